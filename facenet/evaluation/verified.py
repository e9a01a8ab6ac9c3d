"""What verification found: plain values that check themselves, fit for JSON."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from facenet.evaluation.halves import HalvesAccuracy


@dataclass(frozen=True)
class Rate:
    """True accept rate at one target false match rate.

    Attributes:
        target_fmr: the FMR not to be exceeded, in ``(0, 1)``.
        value: TAR in ``[0, 1]``, or None where the comparisons cannot carry the target.
        fmr: FMR at ``threshold``, at most ``target_fmr``; None with ``value``.
        threshold: accept if ``score >= threshold``; None with ``value``.
        false_matches: impostor pairs accepted at ``threshold``; None with ``value``.
        impostor_pairs: impostor pairs the rate rests on.
        reason: why ``value`` is None; empty otherwise.
    """

    target_fmr: float
    value: float | None
    fmr: float | None
    threshold: float | None
    false_matches: int | None
    impostor_pairs: int
    reason: str = ""

    def __post_init__(self) -> None:
        parts = (self.value, self.fmr, self.threshold, self.false_matches)
        if any((part is None) != bool(self.reason) for part in parts):
            raise ValueError("a rate has either all of its figures or a reason why it has none")
        if self.value is not None and not 0 <= self.value <= 1:
            raise ValueError(f"TAR {self.value} is outside [0, 1]")
        if self.fmr is not None and not 0 <= self.fmr <= self.target_fmr:
            raise ValueError(f"FMR {self.fmr} is outside [0, {self.target_fmr}]")

    def to_dict(self) -> dict[str, Any]:
        """All attributes, fit for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Verification:
    """What :func:`facenet.evaluation.verification.verify_pairs` found.

    Attributes:
        genuine_pairs: genuine comparisons, at least 1.
        impostor_pairs: impostor comparisons, at least 1.
        roc_auc: area under the ROC in ``[0, 1]``; chance is 0.5.
        eer: equal error rate in ``[0, 1]``; chance is 0.5.
        eer_threshold: the threshold whose FMR and FNMR are closest to each other.
        tar_at_fmr: target FMR → :class:`Rate`.
        halves: best-threshold accuracy, fitted and scored on different halves.
    """

    genuine_pairs: int
    impostor_pairs: int
    roc_auc: float
    eer: float
    eer_threshold: float
    tar_at_fmr: dict[float, Rate]
    halves: HalvesAccuracy

    def __post_init__(self) -> None:
        if self.genuine_pairs < 1 or self.impostor_pairs < 1:
            raise ValueError("verification needs at least one genuine and one impostor pair")
        if not (0 <= self.roc_auc <= 1 and 0 <= self.eer <= 1 and math.isfinite(self.eer_threshold)):
            raise ValueError(f"AUC {self.roc_auc}, EER {self.eer} at threshold {self.eer_threshold} cannot be")
        for target, rate in self.tar_at_fmr.items():
            if (rate.target_fmr, rate.impostor_pairs) != (target, self.impostor_pairs):
                raise ValueError(f"the rate at FMR {target} belongs to another target or other pairs")

    @property
    def balanced_accuracy(self) -> float | None:
        """``(TAR + 1 - FMR) / 2``, threshold fitted on one half and scored on the other; chance is 0.5.

        Balanced, because impostor pairs outnumber genuine ones so far that accepting nobody would look excellent.
        """
        return self.halves.value

    def to_dict(self) -> dict[str, Any]:
        """All figures, fit for JSON: no NaN, no infinity, text keys."""
        return {
            "genuine_pairs": self.genuine_pairs,
            "impostor_pairs": self.impostor_pairs,
            "roc_auc": self.roc_auc,
            "eer": self.eer,
            "eer_threshold": self.eer_threshold,
            "tar_at_fmr": {f"{target:g}": rate.to_dict() for target, rate in self.tar_at_fmr.items()},
            "balanced_accuracy": self.balanced_accuracy,
            "halves": self.halves.to_dict(),
        }
