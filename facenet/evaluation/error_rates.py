"""An error rate at a fixed threshold, its interval by person, and what it is in each of the people drawn anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from facenet.evaluation.confidence import person_copies
from facenet.evaluation.intervals import BY_PERSON, FEWEST_PEOPLE, RULE_OF_THREE, interval_of, rule_of_three

_COPIES_AT_ONCE = 2**22
_DENSE_PEOPLE = 4096
_DENSE_FACTOR = 32
"""So many times as fast is a product with a dense matrix, entry by entry."""


@dataclass(frozen=True)
class GroupRate:
    """One error rate of one group.

    Attributes:
        errors, count: comparisons or searches decided wrongly, and all of them.
        people: how many people they are of.
        interval: 95 % interval of the rate, or None.
        interval_kind: ``"bootstrap by person"``, ``"rule of three"``; empty without interval.
        reason: why there is no rate, or no interval; empty otherwise.
    """

    errors: int
    count: int
    people: int
    interval: tuple[float, float] | None = None
    interval_kind: str = ""
    reason: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.errors <= self.count:
            raise ValueError(f"{self.errors} errors of {self.count} cannot be")
        if (self.interval is None) != bool(self.reason) or (self.interval is None) == bool(self.interval_kind):
            raise ValueError("a rate has either an interval of some kind or a reason why it has none")

    @property
    def value(self) -> float | None:
        """The rate in ``[0, 1]``; None where nothing was compared."""
        return None if self.count == 0 else self.errors / self.count

    def to_dict(self) -> dict[str, Any]:
        """The rate and all attributes, fit for JSON."""
        return {"value": self.value} | asdict(self)


class Drawn(NamedTuple):
    """How people are drawn: of how many, how often, by which seed."""

    people: int
    replicates: int
    seed: int

    def chunks(self) -> Iterator[NDArray[np.float64]]:
        """The same copies on every call, ``(some replicates, people)`` at a time."""
        copies = person_copies(self.people, replicates=self.replicates, seed=self.seed)
        at_once = max(1, _COPIES_AT_ONCE // max(1, self.people))
        while chunk := list(islice(copies, at_once)):
            yield np.stack(chunk).astype(np.float64)


class MeasuredRate(NamedTuple):
    """A rate, and what it is in each replicate: ``(replicates,)``, NaN where nothing was compared in one."""

    rate: GroupRate
    replicates: NDArray[np.float64]


def measure_rate(
    wrong: NDArray[np.bool_], one: NDArray[np.integer[Any]], other: NDArray[np.integer[Any]] | None, drawn: Drawn
) -> MeasuredRate:
    """The rate of some comparisons or searches, and its interval.

    Args:
        wrong: ``(n,)``.
        one, other: ``(n,)`` people on either side, or of each search, in ``[0, drawn.people)``; ``other`` is None
            where there is but one.
        drawn: how to resample them.
    """
    taking_part = np.zeros(drawn.people, dtype=np.bool_)
    for side in (one, other):
        if side is not None:
            taking_part[side] = True
    members = np.flatnonzero(taking_part)
    errors, count = int(np.count_nonzero(wrong)), len(wrong)
    few = len(members) < FEWEST_PEOPLE
    found = np.empty(0) if few or errors == 0 else _replicates(wrong, one, other, members, drawn)
    if count == 0:
        rate = GroupRate(0, 0, 0, reason="nothing was compared")
    elif errors in (0, count):
        # Resampling what never differs would show no width at all.
        rate = GroupRate(errors, count, len(members), rule_of_three(errors > 0, count), RULE_OF_THREE)
    elif few or np.isnan(found).all():
        reason = f"an interval by person needs {FEWEST_PEOPLE} people, there are {len(members)}"
        rate = GroupRate(errors, count, len(members), reason=reason)
    else:
        rate = GroupRate(errors, count, len(members), interval_of(found[~np.isnan(found)]), BY_PERSON)
    return MeasuredRate(rate, found)


def _replicates(
    wrong: NDArray[np.bool_],
    one: NDArray[np.integer[Any]],
    other: NDArray[np.integer[Any]] | None,
    members: NDArray[np.intp],
    drawn: Drawn,
) -> NDArray[np.float64]:
    """The rate in each replicate, NaN where nothing was compared: errors and comparisons are summed by person, or by
    pair of people, once, and each replicate is a product with those sums."""
    place = np.zeros(drawn.people, dtype=np.intp)
    place[members] = np.arange(len(members))
    first = place[one]
    parts = []
    if other is None:
        table = np.stack([np.bincount(first, weights=wrong), np.bincount(first)], axis=1)
        parts = [chunk[:, members] @ table for chunk in drawn.chunks()]
    else:
        tables = [_by_pair(first, place[other], weights, len(members)) for weights in (wrong, np.ones(len(wrong)))]
        for chunk in drawn.chunks():
            copies = chunk[:, members]
            parts.append(np.stack([((copies @ table) * copies).sum(axis=1) for table in tables], axis=1))
    errors, counts = np.concatenate(parts).T
    return np.divide(errors, counts, out=np.full(len(counts), np.nan), where=counts > 0)


def _by_pair(
    first: NDArray[np.intp], second: NDArray[np.intp], weights: NDArray[Any], people: int
) -> NDArray[np.float64] | csr_array:
    """Sums of weights by pair of people, ``(people, people)``; dense where a product with it is quicker so."""
    sums = coo_array((weights.astype(np.float64), (first, second)), shape=(people, people)).tocsr()
    dense = people <= _DENSE_PEOPLE and sums.nnz * _DENSE_FACTOR >= people**2
    return sums.toarray() if dense else sums
