"""95 % bands around curves: the curve drawn anew for people who are drawn anew, and what most of them stay within.

At each place of the axis separately: the true curve leaves the band somewhere more often than in 5 of 100 cases.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facenet.evaluation.comparisons import Comparisons
from facenet.evaluation.confidence import person_copies, replicate_counts
from facenet.evaluation.curve import Curve
from facenet.evaluation.open_set import returned
from facenet.evaluation.searches import Searches

REPLICATES = 300
_MOST_COUNTS = 20_000_000
_OUTSIDE = 0.025
_ROUNDING = 1e-12

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Band:
    """Lower and upper end at each place: float64, NaN where no replicate has a value."""

    low: Floats
    high: Floats


def roc_band(comparisons: Comparisons, curve: Curve, *, seed: int) -> tuple[Band, Band]:
    """Bands of the TAR at each FMR of ``curve``, and of the precision at each of its TARs.

    Args:
        comparisons: what the curve was made of.
        curve: of these, thinned (:func:`facenet.evaluation.curve.thin_curve`).
        seed: of the bootstrap over people.
    """
    levels = len(curve.thresholds)
    # Kind 2i + 1: genuine, accepted from the i-th threshold on.
    place = np.searchsorted(-curve.thresholds, -comparisons.scores.astype(np.float64), side="left")
    kinds = 2 * np.minimum(place, levels - 1) + comparisons.genuine
    counts = replicate_counts(kinds, 2 * levels, comparisons, replicates=REPLICATES, seed=seed)
    accepted = np.cumsum(counts.reshape(len(counts), levels, 2), axis=1)
    right, wrong = accepted[:, :, 1], accepted[:, :, 0]
    return _bands(right, wrong, (right[:, -1], wrong[:, -1]), curve.fmr, curve.tar)


def open_set_band(searches: Searches, rank: int | None, fpir: Floats, thresholds: Floats, *, seed: int) -> Band | None:
    """Band of the FNIR at each of these FPIRs; None for more searches and people than is worth the wait.

    Enrolled people and strangers are drawn apart.

    Args:
        searches: mated and non-mated.
        rank: a mated search must return the right person among so many; None: at any rank.
        fpir, thresholds: ``(k,)``, of the open-set curve: rising, falling.
        seed: of the bootstrap.
    """
    own = np.where(returned(searches, rank), searches.own_scores.astype(np.float64), -np.inf)
    hits = _by_person(own, searches.mated_people, thresholds)
    alarms = _by_person(searches.stranger_scores.astype(np.float64), searches.stranger_people, thresholds)
    if hits is None or alarms is None:
        return None
    right, wrong = _replicates(hits, seed), _replicates(alarms, seed + 1)
    tpir, _ = _bands(right[:, :-1], wrong[:, :-1], (right[:, -1], wrong[:, -1]), fpir, np.zeros(0))
    return Band(1 - tpir.high, 1 - tpir.low)


def _by_person(scores: Floats, people: NDArray[np.int32], thresholds: Floats) -> Floats | None:
    """``(people, k + 1)``: how many of each person's searches are accepted from each threshold on; last: never."""
    _, codes = np.unique(people, return_inverse=True)
    width = len(thresholds) + 1
    size = (int(codes.max()) + 1) * width
    if size > _MOST_COUNTS:
        return None
    place = np.searchsorted(-thresholds, -scores, side="left")
    return np.bincount(codes * width + place, minlength=size).reshape(-1, width).astype(np.float64)


def _replicates(counts: Floats, seed: int) -> Floats:
    """``(r, k + 1)``: accepted at each threshold, and last all there are, in each replicate."""
    copies = np.stack(list(person_copies(len(counts), replicates=REPLICATES, seed=seed)))
    return np.cumsum(copies @ counts, axis=1)


def _bands(
    right: Floats, wrong: Floats, totals: tuple[Floats, Floats], fmr: Floats, recall: Floats
) -> tuple[Band, Band]:
    """Bands of the share of ``right`` at ``fmr`` and of the precision at ``recall``.

    Args:
        right, wrong: ``(r, k)`` rising counts of what is accepted at falling thresholds.
        totals: ``(r,)`` each, counts of all there is of both.
        fmr, recall: where the bands are wanted; ``recall`` nowhere above what the last threshold reaches.
    """
    tars = np.full((len(right), len(fmr)), np.nan)
    precisions = np.full((len(right), len(recall)), np.nan)
    for row, (matches, errors, genuine, impostors) in enumerate(zip(right, wrong, *totals, strict=True)):
        if genuine == 0 or impostors == 0:
            continue
        # The smallest threshold whose rate does not exceed the one asked for.
        at = np.searchsorted(errors / impostors, fmr * (1 + _ROUNDING), side="right") - 1
        tars[row] = np.where(at >= 0, matches[at], 0) / genuine
        reached = np.searchsorted(matches / genuine, recall * (1 - _ROUNDING), side="left")
        found = matches[reached]
        precisions[row] = np.divide(found, found + errors[reached], out=np.ones_like(found), where=found > 0)
    return _percentiles(tars), _percentiles(precisions)


def _percentiles(replicates: Floats) -> Band:
    whole = replicates[~np.isnan(replicates).any(axis=1)]
    if len(whole) == 0:
        return Band(*np.full((2, replicates.shape[1]), np.nan))
    return Band(*np.quantile(whole, [_OUTSIDE, 1 - _OUTSIDE], axis=0))
