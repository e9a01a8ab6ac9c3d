"""Every comparison of many pictures with one another, in blocks."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facenet import geometry
from facenet.errors import InputError
from facenet.evaluation.pairs import count_pairs
from facenet.evaluation.trials import Trials, codes_of

_LENGTH_TOLERANCE = 1e-3


class Crowd:
    """Embeddings of people, to be compared with one another.

    Args:
        embeddings: ``(n, d)`` unit rows, any floating type, on any device.
        people: ``(n,)`` person of each, any sortable type.
        scores_at_once: bounds the memory; does not change a figure.

    Attributes:
        pictures: ``(people,)`` int64, how many each person has.

    Raises:
        InputError: no picture, not one person for each row, rows that are not of length 1.
    """

    def __init__(self, embeddings: Tensor, people: NDArray[Any], *, scores_at_once: int = 2**22) -> None:
        _check(embeddings, people)
        codes, self.pictures = codes_of(people)
        order = np.argsort(codes, kind="stable")
        self._codes = codes[order]
        self._rows = embeddings[torch.from_numpy(order).to(embeddings.device)].float()
        self._ends = np.cumsum(self.pictures)[self._codes]
        self._step = max(1, scores_at_once // len(codes))

    def __len__(self) -> int:
        return len(self._codes)

    @property
    def genuine(self) -> int:
        """Pairs of pictures of one person."""
        return int((self.pictures * (self.pictures - 1) // 2).sum())

    @property
    def impostor(self) -> int:
        """Pairs of pictures of two people."""
        return len(self._codes) * (len(self._codes) - 1) // 2 - self.genuine

    def impostors(self, wanted: int) -> Trials:
        """All impostor pairs, of which about the ``wanted`` highest are listed; at least those above the
        ``wanted``-th, whose score is then the floor."""
        return self._collect(_Tail(wanted, -math.inf))

    def accepted(self, threshold: float) -> Trials:
        """All impostor pairs, of which those are listed that score at least the threshold."""
        return self._collect(_Tail(sys.maxsize, float(np.nextafter(np.float32(threshold), np.float32(-np.inf)))))

    def _collect(self, tail: _Tail) -> Trials:
        for rows, own_end in self._blocks():
            column = int(self._ends[rows.start])
            if column == len(self._codes):
                break
            scores = geometry.cosine(self._rows[rows], self._rows[column:])
            # A pair counts once, from its lower side: for the rows of later people, later columns are others.
            early = np.arange(column, own_end) < self._ends[rows, np.newaxis]
            scores[:, : own_end - column].masked_fill_(torch.from_numpy(early).to(scores.device), -torch.inf)
            one, other = (scores > tail.floor).nonzero(as_tuple=True)
            kept = scores[one, other].cpu().numpy()
            tail.add(kept, self._codes[rows.start + one.cpu().numpy()], self._codes[column + other.cpu().numpy()])
        return tail.trials(self.impostor, self.pictures)

    def misses(self, threshold: float) -> int:
        """How many genuine pairs score below the threshold."""
        missed = 0
        for rows, own_end in self._blocks():
            scores = geometry.cosine(self._rows[rows], self._rows[rows.start : own_end])
            columns = np.arange(rows.start, own_end)
            later = columns > np.arange(rows.start, rows.stop)[:, np.newaxis]
            own = torch.from_numpy(later & (columns < self._ends[rows, np.newaxis])).to(scores.device)
            missed += int(((scores < threshold) & own).sum())
        return missed

    def _blocks(self) -> Iterator[tuple[slice, int]]:
        """Rows, and where the pictures of their last person end."""
        for start in range(0, len(self._codes), self._step):
            rows = slice(start, min(start + self._step, len(self._codes)))
            yield rows, int(self._ends[rows.stop - 1])


class _Tail:
    """The highest of the trials added so far. Everything above ``floor`` is kept, nothing else."""

    def __init__(self, wanted: int, floor: float) -> None:
        self.floor = floor
        self._wanted = max(1, wanted)
        self._parts: list[tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.int32]]] = []
        self._held = 0

    def add(self, scores: NDArray[np.float32], first: NDArray[np.int32], second: NDArray[np.int32]) -> None:
        """Add trials above the floor."""
        self._parts.append((scores, first, second))
        self._held += len(scores)
        if self._held > 2 * self._wanted:
            self._shrink()

    def trials(self, count: int, pictures: NDArray[np.int64]) -> Trials:
        """What is left, in order."""
        if self._held > self._wanted:
            self._shrink()
        scores, first, second = (np.concatenate(part) for part in zip(*self._parts, strict=True))
        order = np.argsort(-scores, kind="stable")
        return Trials(scores[order], (first[order], second[order]), float(self.floor), count, len(pictures), pictures)

    def _shrink(self) -> None:
        """Raise the floor to the score of the last one wanted. Those equal to it go too: not all may have been kept."""
        scores, first, second = (np.concatenate(part) for part in zip(*self._parts, strict=True))
        self.floor = float(np.partition(scores, -self._wanted)[-self._wanted])
        above = scores > self.floor
        self._parts = [(scores[above], first[above], second[above])]
        self._held = int(above.sum())


def thin_out(embeddings: Tensor, people: NDArray[Any], most: int, seed: int) -> tuple[Tensor, NDArray[Any]]:
    """All pictures, or so many drawn at random that they have about ``most`` impostor pairs.

    Raises:
        InputError: as for :class:`Crowd`.
    """
    _check(embeddings, people)
    _, impostor = count_pairs(people)
    if impostor <= most:
        return embeddings, people
    share = math.sqrt(most / impostor)
    drawn = np.random.default_rng([seed, 1]).choice(len(people), size=int(share * len(people)), replace=False)
    return embeddings[torch.from_numpy(drawn).to(embeddings.device)], people[drawn]


def _check(embeddings: Tensor, people: NDArray[Any]) -> None:
    if embeddings.ndim != 2 or not embeddings.is_floating_point() or people.shape != tuple(embeddings.shape[:1]):
        shape = f"{embeddings.dtype} {tuple(embeddings.shape)}"
        raise InputError(f"one row of floats and one person are needed for each picture, got {shape}, {people.shape}")
    if len(people) == 0:
        raise InputError("there is no picture to compare")
    lengths = torch.linalg.vector_norm(embeddings.float(), dim=1)
    # Written so that a NaN length is refused.
    bad = int((~((lengths - 1).abs() <= _LENGTH_TOLERANCE)).sum())
    if bad:
        raise InputError(f"{bad} of {len(people)} embeddings do not have length 1")
