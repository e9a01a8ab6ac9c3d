"""The ROC of scored pairs, as the list of every operating point.

A pair is accepted if ``score >= threshold``. Thresholds lie halfway between the lowest accepted score and the next
lower one, so the last bit of a score decides nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Curve(NamedTuple):
    """Every operating point, from accepting no pair to accepting all; thresholds fall strictly.

    Attributes:
        fmr, tar: ``(k,)`` float64, rising from 0 to 1.
        thresholds: ``(k,)`` float64, finite; accept if ``score >= threshold``. They are numbers of the scores' own
            type: float32 scores and a threshold compare the same in float32 and in float64.
        gaps: ``(k,)`` float64, distance between the lowest accepted and the next lower score; 0 at both ends.
        genuine_pairs, impostor_pairs: how many the rates rest on.
    """

    fmr: NDArray[np.float64]
    tar: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    gaps: NDArray[np.float64]
    genuine_pairs: int
    impostor_pairs: int

    @property
    def matches(self) -> NDArray[np.int64]:
        """``(k,)``: genuine pairs accepted. Whole numbers, where equal counts compare as equal."""
        return np.rint(self.tar * self.genuine_pairs).astype(np.int64)

    @property
    def false_matches(self) -> NDArray[np.int64]:
        """``(k,)``: impostor pairs accepted."""
        return np.rint(self.fmr * self.impostor_pairs).astype(np.int64)


def curve_of(scores: NDArray[np.floating[Any]], genuine: NDArray[np.bool_]) -> Curve:
    """All operating points of these pairs.

    One sort of bare scores, which is many times quicker than one of scores with their kinds; the rarer kind is then
    looked up among them. 15.6 million pairs take about a second, and some 60 bytes each.

    Args:
        scores: ``(n,)`` finite similarities, float32 or float64; of float32 nothing is widened but the result.
        genuine: ``(n,)`` bool, with at least one pair of each kind.
    """
    genuine_pairs = int(np.count_nonzero(genuine))
    impostor_pairs = len(genuine) - genuine_pairs
    genuine_is_rarer = genuine_pairs <= impostor_pairs
    falling = np.sort(-scores)
    ends = np.ones(len(scores) + 1, dtype=np.bool_)
    np.not_equal(falling[1:], falling[:-1], out=ends[1:-1])
    distinct = falling[ends[:-1]]
    # Pairs accepted at each operating point: of either kind, of the rarer kind, and so of the other.
    others = np.flatnonzero(ends)
    places = np.searchsorted(distinct, np.sort(-scores[genuine if genuine_is_rarer else ~genuine]))
    rarer = np.bincount(places + 1, minlength=len(others))
    np.cumsum(rarer, out=rarer)
    others -= rarer
    matches, false_matches = (rarer, others) if genuine_is_rarer else (others, rarer)
    np.negative(distinct, out=distinct)
    gaps = np.zeros(len(others))
    np.subtract(distinct[:-1], distinct[1:], out=gaps[1:-1], dtype=np.float64)
    return Curve(
        fmr=false_matches / impostor_pairs,
        tar=matches / genuine_pairs,
        thresholds=_thresholds(distinct),
        gaps=gaps,
        genuine_pairs=genuine_pairs,
        impostor_pairs=impostor_pairs,
    )


def best_threshold(curve: Curve, gain: NDArray[Any]) -> float:
    """The threshold of the greatest gain.

    Args:
        curve: of the pairs to fit on.
        gain: ``(k,)`` worth of each operating point; equal worth must be equal numbers.

    Returns:
        Among equally good ones the threshold in the widest gap between scores; of equally wide gaps the highest.
    """
    return float(curve.thresholds[np.argmax(np.where(gain == gain.max(), curve.gaps, -1.0))])


def thin_curve(curve: Curve, points: int = 2000) -> Curve:
    """Some operating points of a curve, enough to draw it: the ends, and points evenly spaced on every usual axis.

    A third of the points each is spaced evenly in the logarithm of FMR, in that of FNMR, and in TAR. Every point is one
    of the curve's own; a point asked for falls on the next one that is no better than it.

    Args:
        curve: of any length; a short one is returned as it is.
        points: how many at most, at least 2.
    """
    if len(curve.fmr) <= points:
        return curve
    share = (points - 2) // 3
    fmr = np.geomspace(1 / curve.impostor_pairs, 1, share)
    tar = np.concatenate([1 - np.geomspace(1 / curve.genuine_pairs, 1, share), np.linspace(0, 1, share)])
    last = len(curve.fmr) - 1
    wanted = np.concatenate(
        [
            [0, last],
            np.searchsorted(curve.fmr, fmr, side="left"),
            np.searchsorted(curve.tar, tar, side="right") - 1,
        ]
    )
    kept = np.unique(wanted.clip(0, last))
    fmr, tar, thresholds, gaps = (column[kept] for column in (curve.fmr, curve.tar, curve.thresholds, curve.gaps))
    return Curve(fmr, tar, thresholds, gaps, curve.genuine_pairs, curve.impostor_pairs)


def _thresholds(distinct: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """First the threshold that accepts none of these falling scores, then for each that which accepts no lower one."""
    upper, lower = distinct[:-1], distinct[1:]
    thresholds = np.empty(len(distinct) + 1, dtype=distinct.dtype)
    thresholds[0], thresholds[-1] = np.nextafter(distinct[0], distinct.dtype.type(np.inf)), distinct[-1]
    # Halved first, for the sum of two huge scores.
    middle = np.add(upper / 2, lower / 2, out=thresholds[1:-1])
    # Between neighbouring floating-point numbers nothing lies halfway: rounding must not let the lower one in.
    np.copyto(middle, upper, where=middle <= lower)
    return thresholds.astype(np.float64)
