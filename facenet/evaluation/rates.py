"""What error rates mean in counts and scores: how many errors a target allows, where the threshold lies, and what a
rate becomes in a larger gallery."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Score = TypeVar("Score", np.float32, np.float64)

SMALLEST_STEP = 1e-6
"""Scores closer than this are not told apart: it is what rounding in float32 can make of equal ones."""


def errors_allowed(target: float, trials: int) -> int:
    """The largest number of errors whose rate ``errors / trials``, as computed, does not exceed the target.

    Args:
        target: in ``(0, 1)``.
        trials: at least 1.
    """
    errors = math.floor(target * trials)
    # The product is rounded: 0.29 * 100 is less than 29.
    while (errors + 1) / trials <= target:
        errors += 1
    while errors > 0 and errors / trials > target:
        errors -= 1
    return errors


def thresholds_above(scores: NDArray[Score]) -> NDArray[Score]:
    """For each score the threshold that just rejects it: halfway to the next higher score there is.

    Args:
        scores: ``(k,)`` float32 or float64 in ``[-1, 1]``, in any order; equal ones share their threshold.

    Returns:
        ``(k,)``, of the same type, each above its score. Above the highest, where there is no neighbour, the threshold
        lies 1e-6 higher; so it leaves ``[-1, 1]`` where the highest score is 1, which no threshold rejects.
    """
    distinct, place = np.unique(scores, return_inverse=True)
    above = np.append(distinct[1:], distinct[-1:] + distinct.dtype.type(2 * SMALLEST_STEP))
    middle = distinct / 2 + above / 2
    # Between neighbouring floating-point numbers nothing lies halfway: rounding must not let the lower one in.
    return np.where(middle > distinct, middle, above)[place]


def people_needed(comparisons: int, pictures: float) -> int:
    """How many people with so many pictures each give that many impostor comparisons.

    ``people · (people − 1) / 2`` pairs of people have ``pictures²`` comparisons each.
    """
    return math.ceil((1 + math.sqrt(1 + 8 * comparisons / pictures**2)) / 2)


def target_supported(trials: int) -> float:
    """The smallest target of two digits that so many trials can carry by the rule of three; at least 4 trials."""
    scale = 10 ** (1 - math.floor(math.log10(3 / trials)))
    # Whole numbers: what is offered must not be refused in turn for a rounding error.
    return -(-3 * scale // trials) / scale


def chance_of_any(rate: float, times: float) -> float:
    """Chance of at least one error in independent trials: ``1 − (1 − rate)^times``, exact for tiny rates too.

    Args:
        rate: of one trial, in ``[0, 1]``.
        times: number of trials, not negative; need not be whole.
    """
    if rate == 1:
        return float(times > 0)
    return -math.expm1(times * math.log1p(-rate))
