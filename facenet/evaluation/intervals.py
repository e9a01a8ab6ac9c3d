"""What every interval by person has in common: its names, how many people it asks for, what it is without errors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FEWEST_PEOPLE = 3
"""Of fewer people no interval by person is given: there would be hardly two ways to draw them."""

BY_PERSON, RULE_OF_THREE = "bootstrap by person", "rule of three"


def rule_of_three(all_right: bool, count: int) -> tuple[float, float]:
    """What ``count`` trials that all came out alike show of a share: at least ``1 - 3 / count``, or at most 3 / count.

    With 95 % confidence, if the trials are independent of one another.
    """
    margin = min(1.0, 3 / count)
    return (1 - margin, 1.0) if all_right else (0.0, margin)


def interval_of(replicates: NDArray[np.float64], confidence: float = 0.95) -> tuple[float, float]:
    """The percentile interval: what all but ``1 - confidence`` of the replicates lie in, as much cut off either end."""
    outside = (1 - confidence) / 2
    low, high = np.quantile(replicates, [outside, 1 - outside])
    return float(low), float(high)
