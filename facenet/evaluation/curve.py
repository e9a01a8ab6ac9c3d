"""The ROC of scored pairs, as the list of every operating point.

A pair is accepted if ``score >= threshold``. Thresholds lie halfway between the lowest accepted score and the next
lower one, so the last bit of a score decides nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from facenet.evaluation.rates import thresholds_above


class Curve(NamedTuple):
    """Every operating point, from accepting no pair to accepting all; thresholds fall strictly.

    Attributes:
        fmr, tar: ``(k,)`` float64, rising from 0 to 1.
        thresholds: ``(k,)`` float64, finite; accept if ``score >= threshold``.
        gaps: ``(k,)`` float64, distance between the lowest accepted and the next lower score; 0 at both ends.
        genuine_pairs, impostor_pairs: how many the rates rest on.
    """

    fmr: NDArray[np.float64]
    tar: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    gaps: NDArray[np.float64]
    genuine_pairs: int
    impostor_pairs: int


def curve_of(scores: NDArray[np.float64], genuine: NDArray[np.bool_]) -> Curve:
    """All operating points of these pairs.

    Args:
        scores: ``(n,)`` finite similarities.
        genuine: ``(n,)`` bool, with at least one pair of each kind.
    """
    fmr, tar, lowest = roc_curve(genuine, scores, drop_intermediate=False)
    above, below = lowest[1:-1], lowest[2:]
    # Of neighbouring scores; the first has no neighbour above it.
    middle = thresholds_above(lowest[1:])[1:]
    thresholds = np.concatenate([[np.nextafter(lowest[1], np.inf)], middle, lowest[-1:]])
    gaps = np.concatenate([[0.0], above - below, [0.0]])
    genuine_pairs = int(genuine.sum())
    return Curve(fmr, tar, thresholds, gaps, genuine_pairs, len(genuine) - genuine_pairs)
