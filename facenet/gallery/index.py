"""Searching rows in memory for people.

Which rows are worth a look is found with FAISS, in a way that differs from one kind of index to the next; what they
score is computed by :mod:`facenet.geometry`, so that a query gets the same scores from every kind, alone or among
others. No index is thread-safe.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch

from facenet.gallery.records import IndexKind
from facenet.gallery.rows import Rows
from facenet.geometry import paired_cosine

_VALUES_AT_ONCE = 1 << 24
_MOST_CANDIDATES = 2048
_FEW = 64
"""Candidates up to which plain loops are quicker than NumPy."""

_ROUNDING = 1e-5
"""How far FAISS's score of a row may be from ours: it sums in another order."""


class VectorIndex(ABC):
    """People by the vectors that stand for them.

    Args:
        rows: what is searched; from now on changed by the index only.
    """

    kind: ClassVar[IndexKind]
    revealing: ClassVar[frozenset[str]] = frozenset()
    """Parts of :meth:`structure` that hold vectors in another form, so that a removal has to reach them too."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    @property
    def people(self) -> int:
        """Different people that can be found."""
        return self.rows.people

    @property
    def worn(self) -> bool:
        """Whether so much has changed since it was built that it should be built anew."""
        return False

    def replace(self, persons: np.ndarray, vectors: np.ndarray, expires: np.ndarray) -> None:
        """Put these rows in the place of all rows of these people.

        Args:
            persons: ids, ``int64 (m,)``, all rows of a person next to one another.
            vectors: ``float32 (m, d)`` unit rows.
            expires: ``float64 (m,)``, Unix time from which on the person is no longer found, infinity for never.
        """
        self.remove(persons)
        if len(persons):
            self._append(persons, vectors, expires)

    def remove(self, persons: np.ndarray) -> None:
        """Take all rows of these people away; ids that are not there are ignored."""
        slots = self.rows.slots_of(np.asarray(persons, np.int64))
        if len(slots):
            self._discard(slots)

    def drop_expired(self, now: float) -> None:
        """Take away the people whose time is over at ``now`` (Unix time)."""
        self.remove(self.rows.expired(now))

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Find the people most like each query.

        Args:
            queries: ``float32 (q, d)`` unit rows.
            k: how many different people to find, at least 1.

        Returns:
            ``int64 (q, k)`` ids and ``float32 (q, k)`` scores (cosines in ``[-1, 1]``), best first, equal scores by id;
            -1 and minus infinity where there are not so many people.
        """
        persons = np.full((len(queries), k), -1, np.int64)
        scores = np.full((len(queries), k), -np.inf, np.float32)
        wanted = min(k, self.people)
        if wanted and len(queries):
            several = -(-self.rows.alive // self.people)
            found = self._search(np.ascontiguousarray(queries, np.float32), wanted, wanted + 2 * several + 2)
            persons[:, :wanted], scores[:, :wanted] = found
        return persons, scores

    @abstractmethod
    def structure(self) -> dict[str, np.ndarray]:
        """What is needed besides the rows to have this index again: arrays by name."""

    @abstractmethod
    def build(self) -> None:
        """Make ready to search, after the rows were put in by :meth:`replace`."""

    @abstractmethod
    def restore(self, structure: Mapping[str, np.ndarray]) -> bool:
        """Make ready to search rows that came with what :meth:`structure` gave.

        The parts named in :attr:`revealing` may be missing, and rows may have died since.

        Returns:
            whether all was there, so that nothing had to be made again.

        Raises:
            GalleryError: the structure is not one that this version of FAISS understands.
        """

    @abstractmethod
    def _append(self, persons: np.ndarray, vectors: np.ndarray, expires: np.ndarray) -> None:
        """Add rows of people who have none."""

    @abstractmethod
    def _discard(self, slots: np.ndarray) -> None:
        """Take all rows of some people away."""

    @abstractmethod
    def _find(self, queries: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Find ``count`` rows or more that are likely best.

        Returns:
            ``int64 (q, c)`` slots, -1 for none, and ``float32 (q,)``: no row left out scores higher than this. An index
            that cannot know says minus infinity.
        """

    def _search(self, queries: np.ndarray, wanted: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Look at ``count`` rows for each query, and at more where these do not settle who the best people are."""
        if count > _MOST_CANDIDATES or 2 * count > len(self.rows):
            return self._compare_all(queries, wanted)
        persons = np.empty((len(queries), wanted), np.int64)
        scores = np.empty((len(queries), wanted), np.float32)
        step = max(1, _VALUES_AT_ONCE // (self.rows.size * count))
        for start in range(0, len(queries), step):
            part = slice(start, start + step)
            slots, bound = self._find(queries[part], count)
            persons[part], scores[part] = best_people(*self._rate(queries[part], slots), wanted)
            unsettled = start + np.flatnonzero(scores[part, -1] <= bound + _ROUNDING)
            if len(unsettled):
                persons[unsettled], scores[unsettled] = self._search(queries[unsettled], wanted, 2 * count)
        return persons, scores

    def _rate(self, queries: np.ndarray, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Person and score of each row found: ``(q, c), (q, c)``; -1 and minus infinity for none."""
        persons = np.where(slots < 0, -1, self.rows.persons[slots])
        vectors = torch.from_numpy(self.rows.vectors[slots])
        scores = paired_cosine(torch.from_numpy(queries)[:, None, :], vectors).numpy()
        return persons, np.where(persons < 0, np.float32(-np.inf), scores)

    def _compare_all(self, queries: np.ndarray, wanted: int) -> tuple[np.ndarray, np.ndarray]:
        """The answer itself, from every row, whatever is asked."""
        persons = np.empty((len(queries), wanted), np.int64)
        scores = np.empty((len(queries), wanted), np.float32)
        step = max(1, _VALUES_AT_ONCE // self.rows.size)
        for number, query in enumerate(queries):
            parts = [
                self._rate(query[None], np.arange(start, min(start + step, len(self.rows)))[None])
                for start in range(0, len(self.rows), step)
            ]
            everyone = np.concatenate([part[0] for part in parts], axis=1)
            theirs = np.concatenate([part[1] for part in parts], axis=1)
            best = best_people(everyone, theirs, wanted)
            persons[number], scores[number] = best[0][0], best[1][0]
        return persons, scores


def best_people(persons: np.ndarray, scores: np.ndarray, wanted: int) -> tuple[np.ndarray, np.ndarray]:
    """The best different people of each line.

    Args:
        persons: ``int64 (q, c)``, the same person possibly several times, -1 for nobody.
        scores: ``float32 (q, c)``, minus infinity for nobody.
        wanted: at most c.

    Returns:
        ``(q, wanted)`` persons and their highest scores, falling, equal ones by id; -1 and minus infinity at the end
        where there are fewer.
    """
    if persons.size <= _FEW:
        return _best_of_few(persons, scores, wanted)
    order = np.lexsort((persons, -scores), axis=-1)
    persons, scores = np.take_along_axis(persons, order, 1), np.take_along_axis(scores, order, 1)
    by_person = np.argsort(persons, axis=1, kind="stable")
    sorted_persons = np.take_along_axis(persons, by_person, 1)
    again = np.zeros(persons.shape, bool)
    np.put_along_axis(again, by_person[:, 1:], sorted_persons[:, 1:] == sorted_persons[:, :-1], 1)
    useless = again | (persons < 0)
    first = np.argsort(useless, axis=1, kind="stable")[:, :wanted]
    dropped = np.take_along_axis(useless, first, 1)
    persons, scores = np.take_along_axis(persons, first, 1), np.take_along_axis(scores, first, 1)
    return np.where(dropped, -1, persons), np.where(dropped, np.float32(-np.inf), scores)


def _best_of_few(persons: np.ndarray, scores: np.ndarray, wanted: int) -> tuple[np.ndarray, np.ndarray]:
    """The same, one candidate after the other: quicker than a dozen array operations on a handful of values."""
    best_persons = np.full((len(persons), wanted), -1, np.int64)
    best_scores = np.full((len(persons), wanted), -np.inf, np.float32)
    for line, (ids, values) in enumerate(zip(persons.tolist(), scores.tolist(), strict=True)):
        best: dict[int, float] = {}
        for value, id in sorted(zip(values, ids, strict=True), key=lambda pair: (-pair[0], pair[1])):
            if id >= 0 and id not in best:
                best[id] = value
        kept = list(best.items())[:wanted]
        for place, (id, value) in enumerate(kept):
            best_persons[line, place], best_scores[line, place] = id, value
    return best_persons, best_scores
