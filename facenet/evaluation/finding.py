"""One figure with everything needed to judge it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One figure, and everything needed to judge it.

    Attributes:
        key: its name in JSON, such as ``tar_at_fmr_0.001``; the same in every study.
        title: for people.
        value: or None where it could not be measured.
        interval: 95 % interval, or None where there is none.
        interval_kind: how it was got: ``"bootstrap by person"``, ``"rule of three"``; empty without interval.
        standard_error: of the mean over folds, for figures that are such a mean.
        deviation: standard deviation over the folds (n - 1), likewise.
        chance: what guessing gives; None where that means nothing.
        basis: what it rests on: ``"3,000 genuine, 3,000 impostor pairs"``.
        reason: why ``value`` is None; empty otherwise.
        higher_is_better: which way is up.
        unit: ``"share"`` of 1, or ``"score"``.
    """

    key: str
    title: str
    value: float | None
    interval: tuple[float, float] | None = None
    interval_kind: str = ""
    standard_error: float | None = None
    deviation: float | None = None
    chance: float | None = None
    basis: str = ""
    reason: str = ""
    higher_is_better: bool = True
    unit: str = "share"

    def __post_init__(self) -> None:
        if (self.value is None) != bool(self.reason):
            raise ValueError(f"{self.key}: a finding has either a value or a reason why it has none")
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError(f"{self.key}: {self.value} is no finding")
        if self.interval is not None and not self.interval[0] <= self.interval[1]:
            raise ValueError(f"{self.key}: the interval {self.interval} is upside down")
        if self.unit not in ("share", "score"):
            raise ValueError(f"{self.key}: unknown unit {self.unit}")

    def to_dict(self) -> dict[str, Any]:
        """All attributes, fit for JSON."""
        return asdict(self) | {"interval": None if self.interval is None else list(self.interval)}
