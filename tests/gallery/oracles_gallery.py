"""Galleries as a dictionary and loops: slow and obvious."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from facenet.gallery.records import Fusion


def fuse_slowly(
    persons: Sequence[int], vectors: Sequence[Sequence[float]], qualities: Sequence[float], fusion: Fusion
) -> list[tuple[int, list[float]]]:
    """Rows of an index, person by person and number by number."""
    if fusion is Fusion.MAX:
        return [(int(person), [float(x) for x in vector]) for person, vector in zip(persons, vectors, strict=True)]
    rows = []
    for person in sorted({int(person) for person in persons}):
        own = [i for i, other in enumerate(persons) if other == person]
        weights = [1.0 if fusion is Fusion.MEAN else float(qualities[i]) for i in own]
        if sum(weights) == 0.0:
            weights = [1.0] * len(own)
        total = sum(weights)
        mean = [
            sum(weight / total * float(vectors[i][axis]) for i, weight in zip(own, weights, strict=True))
            for axis in range(len(vectors[0]))
        ]
        length = math.sqrt(sum(x * x for x in mean))
        if length < 1e-6:
            heaviest = own[max(range(len(own)), key=lambda n: (weights[n], -n))]
            rows.append((person, [float(x) for x in vectors[heaviest]]))
        else:
            rows.append((person, [x / length for x in mean]))
    return rows


def search_slowly(
    persons: Sequence[int], rows: Sequence[Sequence[float]], query: Sequence[float], k: int
) -> list[tuple[int, float]]:
    """The ``k`` best people and their scores, in double precision; equal scores by id."""
    best: dict[int, float] = {}
    for person, row in zip(persons, rows, strict=True):
        score = min(1.0, max(-1.0, sum(float(a) * float(b) for a, b in zip(query, row, strict=True))))
        best[int(person)] = max(score, best.get(int(person), -2.0))
    return sorted(best.items(), key=lambda item: (-item[1], item[0]))[:k]


def agree(found: Sequence[tuple[int, float]], expected: Sequence[tuple[int, float]], tolerance: float = 2e-6) -> bool:
    """Whether two answers are the same but for rounding, which may swap people who score (nearly) the same."""
    if len(found) != len(expected) or len({person for person, _ in found}) != len(found):
        return False
    scores_agree = all(abs(a[1] - b[1]) <= tolerance for a, b in zip(found, expected, strict=True))
    certain = [
        a[0] == b[0]
        for i, (a, b) in enumerate(zip(found, expected, strict=True))
        if all(abs(b[1] - other[1]) > 2 * tolerance for j, other in enumerate(expected) if j != i)
    ]
    # The last one may be tied with somebody who is no longer in the list.
    return scores_agree and all(certain[:-1])


class OracleGallery:
    """People by id, each a name and a list of embeddings with qualities."""

    def __init__(self, fusion: Fusion) -> None:
        self.fusion = fusion
        self.people: dict[int, tuple[str, list[tuple[np.ndarray, float]]]] = {}

    def search(self, query: np.ndarray, k: int) -> list[tuple[int, float]]:
        """See :func:`search_slowly`."""
        flat = [
            (person, vector, quality)
            for person, (_, embeddings) in sorted(self.people.items())
            for vector, quality in embeddings
        ]
        if not flat:
            return []
        rows = fuse_slowly([f[0] for f in flat], [f[1].tolist() for f in flat], [f[2] for f in flat], self.fusion)
        return search_slowly([person for person, _ in rows], [row for _, row in rows], query.tolist(), k)
