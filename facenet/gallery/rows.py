"""The rows of an index in memory: unit vectors, whom each stands for, and until when."""

from __future__ import annotations

import faiss
import numpy as np

from facenet.gallery.templates import first_rows


class Rows:
    """Columns of equal length. A dead row is zero and stands for person -1.

    Args:
        size: values in a vector.

    Attributes:
        flat: FAISS's store of the vectors, which indexes may share; add to it only through :meth:`append`.
        persons: ``int64 (n,)``.
        expires: ``float64 (n,)``, Unix time from which on the row's person is no longer found; infinity for never.
        alive: rows that stand for somebody.
        people: different people among them.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.flat = faiss.IndexFlatIP(size)
        self.persons = np.empty(0, np.int64)
        self.expires = np.empty(0, np.float64)
        self.alive = 0
        self.people = 0
        self._highest = -1
        self._next_expiry = np.inf

    def __len__(self) -> int:
        return len(self.persons)

    @property
    def vectors(self) -> np.ndarray:
        """``float32 (n, size)``: the vectors themselves, not a copy, until rows are appended or filled up."""
        if len(self) == 0:
            return np.empty((0, self.size), np.float32)
        found: np.ndarray = faiss.rev_swig_ptr(self.flat.get_xb(), len(self) * self.size).reshape(len(self), self.size)
        return found

    def allocate(self, count: int) -> None:
        """Become ``count`` dead rows; whoever fills the columns calls :meth:`recount` afterwards."""
        self._resize(0)
        self._resize(count)
        self.persons = np.full(count, -1, np.int64)
        self.expires = np.full(count, np.inf)
        self.recount()

    def recount(self) -> None:
        """Bring the counts in line with columns that were written directly."""
        present = np.sort(self.persons[self.persons >= 0])
        self.alive = len(present)
        self.people = len(first_rows(present))
        self._highest = int(present[-1]) if len(present) else -1
        self._next_expiry = float(self.expires.min()) if len(self) else np.inf

    def append(
        self, persons: np.ndarray, vectors: np.ndarray, expires: np.ndarray, through: faiss.Index | None = None
    ) -> None:
        """Add rows of people who have none.

        Args:
            persons: ids, ``int64 (m,)``, all rows of a person next to one another.
            vectors: ``float32 (m, size)``.
            expires: ``float64 (m,)``.
            through: an index over ``flat`` that adds to it itself.
        """
        if len(persons) == 0:
            return
        (self.flat if through is None else through).add(np.ascontiguousarray(vectors, np.float32))
        self.persons = np.concatenate([self.persons, persons])
        self.expires = np.concatenate([self.expires, expires])
        self.alive += len(persons)
        self.people += len(first_rows(persons))
        self._highest = max(self._highest, int(persons.max()))
        self._next_expiry = min(self._next_expiry, float(expires.min()))

    def slots_of(self, persons: np.ndarray) -> np.ndarray:
        """Where the rows of these people are, in order; ids that are not there have none."""
        if len(persons) == 0 or persons.min() > self._highest:
            return np.empty(0, np.int64)
        return np.flatnonzero(np.isin(self.persons, persons) & (self.persons >= 0))

    def expired(self, now: float) -> np.ndarray:
        """Ids of people whose time is over at ``now``; costs nothing until it is somebody's."""
        if now < self._next_expiry:
            return np.empty(0, np.int64)
        over = np.unique(self.persons[(self.expires <= now) & (self.persons >= 0)])
        ahead = self.expires[(self.expires > now) & (self.persons >= 0)]
        self._next_expiry = float(ahead.min()) if len(ahead) else np.inf
        return over

    def kill(self, slots: np.ndarray) -> None:
        """Make all rows of some people dead; they stay where they are."""
        self._discount(slots)
        self.vectors[slots] = 0.0
        self.persons[slots] = -1
        self.expires[slots] = np.inf

    def close_up(self, slots: np.ndarray) -> None:
        """Take dead rows, or all rows of some people, away: rows from the end move into the holes."""
        self._discount(slots)
        left = len(self) - len(slots)
        from_end = np.ones(len(slots), bool)
        from_end[slots[slots >= left] - left] = False
        holes, movers = slots[slots < left], left + np.flatnonzero(from_end)
        vectors = self.vectors
        for column in (vectors, self.persons, self.expires):
            column[holes] = column[movers]
        vectors[left:] = 0.0
        self._resize(left)
        self.persons, self.expires = self.persons[:left].copy(), self.expires[:left].copy()

    def _discount(self, slots: np.ndarray) -> None:
        persons = self.persons[slots]
        persons = persons[persons >= 0]
        self.alive -= len(persons)
        self.people -= len(np.unique(persons))

    def _resize(self, count: int) -> None:
        """Cut off vectors at the end, or add zeros there."""
        self.flat.codes.resize(count * self.flat.code_size)
        self.flat.ntotal = count
