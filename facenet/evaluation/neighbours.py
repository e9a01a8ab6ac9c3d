"""Where among all pictures, ordered by likeness, those of the same person stand: exact, and with ties against us."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import faiss
import numpy as np
import torch
from numpy.typing import NDArray

from facenet import geometry
from facenet.evaluation.rates import SMALLEST_STEP

_SPARE = 8
"""Results asked for beyond those needed: so many ties at the end of a list are settled without all scores."""

_SCORES_AT_ONCE = 2**22


class Answers(NamedTuple):
    """Right results of some queries, one each at the same place of three ``(a,)`` int64 arrays.

    Attributes:
        query: whose result it is.
        order: its place among the right results of the query, from 1.
        position: its place among all results of the query, from 1; wrong ones that score as high, up to 1e-6, come
            before it.
    """

    query: NDArray[np.int64]
    order: NDArray[np.int64]
    position: NDArray[np.int64]


class Neighbours:
    """Pictures that look for one another.

    Args:
        rows: ``(n, d)`` float32 embeddings, contiguous, finite.
        codes: ``(n,)`` int32, person of each.
    """

    def __init__(self, rows: NDArray[np.float32], codes: NDArray[np.int32]) -> None:
        self._rows, self._codes = rows, codes

    def answers(
        self, queries: NDArray[np.int64], needed: NDArray[np.int64], *, results_at_once: int
    ) -> Iterator[Answers]:
        """All right results that stand at the places needed, and some beyond.

        Args:
            queries: ``(q,)`` which pictures look; none finds itself.
            needed: ``(q,)`` how many of the first results of each count, at least 1.
            results_at_once: bounds the memory; at least one query is taken at a time.
        """
        # Lists of one block are equally long, so those that need equally much are searched together.
        rising = np.argsort(needed, kind="stable")
        queries, needed = queries[rising], needed[rising]
        start = 0
        while start < len(queries):
            # Lists get longer within a block, too: it ends before its longest would make it too large.
            sizes = np.arange(1, len(queries) - start + 1) * (needed[start:] + 1 + _SPARE)
            stop = start + max(1, int(np.searchsorted(sizes, results_at_once, side="right")))
            yield self._search(queries[start:stop], needed[start:stop])
            start = stop

    def _search(self, queries: NDArray[np.int64], needed: NDArray[np.int64]) -> Answers:
        length = min(len(self._rows), int(needed[-1]) + 1 + _SPARE)
        scores, found = faiss.knn(self._rows[queries], self._rows, length, metric=faiss.METRIC_INNER_PRODUCT)
        itself = found == queries[:, np.newaxis]
        same = self._codes[found] == self._codes[queries, np.newaxis]
        right = same & ~itself
        query, column = np.nonzero(right)
        order = np.cumsum(right, axis=1)[query, column]
        # All lists in one rising sequence, each in a range of its own: one search finds where the ties of each end.
        rising = 4.0 * np.arange(len(queries))[:, np.newaxis] - scores.astype(np.float64)
        tied = rising[query, column] + SMALLEST_STEP
        ends = np.searchsorted(rising.ravel(), tied, side="right") - length * query
        answers = Answers(queries[query], order, order + np.cumsum(~same, axis=1)[query, ends - 1])
        if length == len(self._rows):
            return answers
        # Some of those that tie with the last one listed may be missing. Right ones that low stand beyond the places
        # needed, if all that is listed above them fills these; if it does not, all scores have to be looked at.
        unsure = tied >= rising[query, -1]
        above = length - itself.sum(axis=1) - np.bincount(query[unsure], minlength=len(queries))
        unsettled = above < needed
        settled = ~unsure & ~unsettled[query]
        parts = [Answers(*(column[settled] for column in answers))]
        again = queries[unsettled]
        step = max(1, _SCORES_AT_ONCE // len(self._rows))
        parts += [self._look_at_all(again[at : at + step]) for at in range(0, len(again), step)]
        return _joined(parts)

    def _look_at_all(self, queries: NDArray[np.int64]) -> Answers:
        """Every right result, from all scores there are."""
        rows = torch.from_numpy(self._rows)
        parts = []
        for query, scores in zip(queries, geometry.cosine(rows[queries], rows).numpy(), strict=True):
            right = self._codes == self._codes[query]
            wrong = np.sort(scores[~right])
            right[query] = False
            falling = np.sort(scores[right])[::-1].astype(np.float64)
            order = np.arange(1, len(falling) + 1)
            before = len(wrong) - np.searchsorted(wrong, falling - SMALLEST_STEP, side="left")
            parts.append(Answers(np.full(len(falling), query), order, order + before))
        return _joined(parts)


def _joined(parts: Sequence[Answers]) -> Answers:
    return Answers(*(np.concatenate(column) for column in zip(*parts, strict=True)))
