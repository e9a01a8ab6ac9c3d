"""Replicates: every figure again and again on resampled people, for intervals and for differences between models.

People are drawn with replacement. A comparison of two people then counts as often as both were drawn (the product), a
genuine comparison as often as its person was; see :mod:`facenet.evaluation.bootstrap` for why people and not
comparisons are drawn, and for what is known of such intervals. Equal seeds draw equal people, so replicates of several
models on the same comparisons are paired: their differences vary only by what the models do differently.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facenet.errors import InputError, UsageError
from facenet.evaluation.comparisons import Comparisons
from facenet.evaluation.halves import number_people
from facenet.evaluation.ranked import rank_comparisons

MOST = 300_000
"""So many comparisons are gone through in every replicate, in 1 to 2 ms; see :func:`replicate_verification`."""

_COPIES_AT_ONCE = 2**22
"""People times replicates of one matrix product: 32 MiB."""


@dataclass(frozen=True, eq=False)
class VerificationReplicates:
    """Figures of resampled people; replicates without genuine or without impostor comparisons are left out.

    Attributes:
        roc_auc, eer, average_precision: ``(r,)`` float64 in ``[0, 1]``.
        tar: target FMR → ``(r,)`` float64 in ``[0, 1]``, at the threshold that the replicate itself gives.
    """

    roc_auc: NDArray[np.float64]
    eer: NDArray[np.float64]
    average_precision: NDArray[np.float64]
    tar: dict[float, NDArray[np.float64]]


def person_copies(people: int, *, replicates: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Draw as many people as there are, with replacement, again and again.

    Args:
        people: how many there are, at least 1.
        replicates: how often, at least 1.
        seed: not negative; the same seed gives the same people.

    Returns:
        One ``(people,)`` array for each replicate: how often each person was drawn.

    Raises:
        UsageError: a negative seed, or no replicate.
    """
    if replicates < 1 or seed < 0:
        raise UsageError(f"resampling takes at least one replicate and no negative seed, got {replicates} and {seed}")
    generator = np.random.default_rng(seed)
    return (
        np.bincount(generator.integers(people, size=people), minlength=people).astype(np.int64)
        for _ in range(replicates)
    )


def replicate_verification(
    scores: Sequence[NDArray[np.float32]],
    comparisons: Comparisons,
    targets: Sequence[float],
    *,
    replicates: int = 1000,
    seed: int = 0,
    most: int = MOST,
) -> list[VerificationReplicates]:
    """Verification figures of resampled people, for one or several models that scored the same comparisons.

    Every figure follows the rules of :mod:`facenet.evaluation.verification`; thresholds are found anew each time.

    Beyond ``most`` comparisons some stand for others. Half of the places go to the errors: the lowest genuine and the
    highest impostor scores are all kept (of 2 million impostor comparisons at least 75,000, nearly four times what a
    target of 0.01 accepts). Farther on, one comparison that is drawn with ``seed`` stands for a group that grows with
    the number of those before it. This adds chance to every replicate and takes none away: intervals get wider, by up
    to 2 % at 2 to 8 million comparisons of some thousand people, and never narrower. Two models are thinned out apart,
    so the interval of their difference takes on the chance of both.

    Args:
        scores: for each model ``(n,)`` float32 finite similarities of the comparisons, in their order.
        comparisons: who is compared; their own scores are not looked at.
        targets: false match rates, each in ``(0, 1)``. Whether the comparisons can carry them is not asked here.
        replicates, seed: see :func:`person_copies`.
        most: comparisons to keep, at least 4.

    Returns:
        One for each model, over the same resampled people, so that differences are paired.

    Raises:
        InputError: scores that are NaN or infinite or not one per comparison; no genuine or no impostor comparison.
        UsageError: a target outside ``(0, 1)``, a negative seed, no replicate.
    """
    if not 0 < comparisons.genuine_pairs < len(comparisons):
        raise InputError("figures of verification need genuine and impostor comparisons")
    if not all(0 < target < 1 for target in targets):
        raise UsageError(f"a target FMR lies between 0 and 1, got {', '.join(f'{target:g}' for target in targets)}")
    for column in scores:
        if column.shape != (len(comparisons),) or not np.isfinite(column).all():
            raise InputError(f"{len(comparisons):,} comparisons need as many finite scores, got shape {column.shape}")
    sides, people = _people_of(comparisons)
    drawn = person_copies(people, replicates=replicates, seed=seed)
    ranked = [rank_comparisons(column, comparisons.genuine, sides, seed=seed, most=most) for column in scores]
    rows = []
    for copies in drawn:
        figures = [found for one in ranked if (found := one.figures(copies, targets)) is not None]
        # One that is lost is lost for all, so that the others stay paired.
        if len(figures) == len(ranked):
            rows.append(figures)
    table = np.array(rows, dtype=np.float64).reshape(len(rows), len(ranked), 3 + len(targets)).transpose(1, 2, 0)
    return [VerificationReplicates(one[0], one[1], one[2], dict(zip(targets, one[3:], strict=True))) for one in table]


def replicate_counts(
    kinds: NDArray[np.integer[Any]],
    count: int,
    comparisons: Comparisons,
    *,
    replicates: int = 1000,
    seed: int = 0,
    most: int = MOST,
) -> NDArray[np.float64]:
    """How many comparisons there are of each kind, among resampled people: what any rate at a given threshold needs.

    Args:
        kinds: ``(n,)`` kind of each comparison, in ``[0, count)``: genuine and accepted, say.
        count: number of kinds.
        comparisons: who is compared.
        replicates, seed: see :func:`person_copies`.
        most: comparisons to keep, at least ``count``. Of more, rare kinds are kept whole, and of the others one stands
            for several that have the same first person, or one close by; this adds chance, but hardly any.

    Returns:
        ``(replicates, count)``; a replicate may have none of a kind.

    Raises:
        UsageError: a negative seed, no replicate.
    """
    sides, people = _people_of(comparisons)
    drawn = person_copies(people, replicates=replicates, seed=seed)
    # A genuine comparison counts once for each copy of its person: the other side is somebody who is there once.
    first, second = sides[0], np.where(comparisons.genuine, np.int32(people), sides[1])
    order = np.argsort((kinds.astype(np.int64) * (people + 1) + first) * (people + 1) + second)
    totals = np.bincount(kinds, minlength=count)
    kept, sizes = _evenly(totals, most, np.random.default_rng([seed, 0]))
    first, second = first[order[kept]].astype(np.int64), second[order[kept]].astype(np.int64)
    occurring = np.flatnonzero(totals)
    starts = np.searchsorted(kept, (np.cumsum(totals) - totals)[occurring])
    found = np.zeros((replicates, count))
    for row, copies in zip(found, drawn, strict=True):
        shown = np.append(copies, 1)
        row[occurring] = np.add.reduceat(shown[first] * shown[second] * sizes, starts)
    return found


def replicate_means(
    values: NDArray[np.float64], people: NDArray[np.integer[Any]], *, replicates: int = 1000, seed: int = 0
) -> NDArray[np.float64]:
    """Means over items that belong to one person each, among resampled people: ranks of searches, say.

    An item counts as often as its person was drawn.

    Args:
        values: ``(n, k)`` finite, at least one item.
        people: ``(n,)`` person of each item, any whole numbers.
        replicates, seed: see :func:`person_copies`.

    Returns:
        ``(replicates, k)``.

    Raises:
        InputError: no item, values that are NaN or infinite, shapes that do not fit.
        UsageError: a negative seed, no replicate.
    """
    if values.ndim != 2 or people.shape != values.shape[:1] or len(values) == 0:
        raise InputError(f"means need values (n, k) and n people, n at least 1, got {values.shape} and {people.shape}")
    if not np.isfinite(values).all():
        raise InputError("means need finite values")
    codes, count = number_people(people)
    # Of each person the sums, and last how many items these are.
    sums = np.stack([np.bincount(codes, column, count) for column in (*values.T, np.ones(len(values)))], axis=1)
    at_once = max(1, _COPIES_AT_ONCE // count)
    drawn = person_copies(count, replicates=replicates, seed=seed)
    found = np.empty((replicates, values.shape[1]))
    for start in range(0, replicates, at_once):
        rows = found[start : start + at_once]
        totals = np.stack([next(drawn) for _ in rows]).astype(np.float64) @ sums
        rows[:] = totals[:, :-1] / totals[:, -1:]
    return found


def _people_of(comparisons: Comparisons) -> tuple[NDArray[np.int32], int]:
    """The two people of each comparison as ``(2, n)`` numbers without gaps, lower one first, and how many there are."""
    owners = np.stack([comparisons.owners[comparisons.first], comparisons.owners[comparisons.second]])
    codes, people = number_people(owners)
    return np.stack([np.minimum(*codes), np.maximum(*codes)]), people


def _evenly(
    totals: NDArray[np.int64], most: int, generator: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which of the comparisons to keep, kind after kind, and how many each stands for; at most ``most`` where possible.

    Every kind keeps as many as any other, or all it has.
    """
    share, left = most, most
    for done, total in enumerate(np.sort(totals)):
        share = left // (len(totals) - done)
        if total > share:
            break
        left -= int(total)
    starts = np.cumsum(totals) - totals
    edges = [
        start + np.arange(count := min(total, max(share, 1)), dtype=np.int64) * total // max(count, 1)
        for start, total in zip(starts.tolist(), totals.tolist(), strict=True)
    ]
    begins = np.concatenate(edges)
    sizes = np.diff(begins, append=totals.sum())
    return begins + (generator.random(len(begins)) * sizes).astype(np.int64), sizes
