"""1:1 verification: how well a similarity score tells pairs of one person from pairs of two.

The rules, which every figure here follows:

* A pair is accepted if ``score >= threshold``. Equal scores fall on the same side of every threshold.
* Thresholds lie halfway between the lowest accepted score and the next lower one, so the last bit of a score decides
  nothing.
* TAR at a target FMR is the largest TAR whose FMR does not exceed the target, among thresholds that exist; no
  interpolation. It is given only if there are at least 3 / target impostor pairs: by the rule of three, seeing no
  false match in ``n`` comparisons shows an FMR below 3 / n with 95 % confidence, so fewer cannot show the target even
  if all goes well. The rule supposes independent comparisons; pairs share people, so it is the least one must ask.
* EER is where FMR = FNMR on the straight lines between the points of the ROC, the lines under which AUC is measured.
* A threshold that is chosen is never scored on the pairs it was chosen on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import auc

from facenet.errors import InputError, UsageError
from facenet.evaluation.curve import Curve, curve_of
from facenet.evaluation.halves import HalvesAccuracy, accuracy_on_halves


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
    """What :func:`verify_pairs` found.

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


def verify_pairs(
    scores: NDArray[np.floating[Any]],
    genuine: NDArray[np.bool_],
    *,
    people: NDArray[Any] | None = None,
    targets: Sequence[float] = (1e-2, 1e-3),
    seed: int = 0,
) -> Verification:
    """Verification figures of scored pairs. The order of the pairs does not matter.

    Args:
        scores: ``(n,)`` finite similarities, higher for more alike (cosine in ``[-1, 1]``).
        genuine: ``(n,)`` bool, true where both pictures show the same person.
        people: ``(n, 2)`` the two people of each pair (``Pairs.people``). With it, the halves of the best-threshold
            accuracy share no person: the people are dealt into two groups, and a pair counts in the half that has
            both. Without it, or where that leaves a half without genuine or impostor pairs, the pairs are dealt out.
        targets: false match rates, each in ``(0, 1)``.
        seed: of the halves; not negative.

    Raises:
        UsageError: a target outside ``(0, 1)``.
        InputError: scores that are NaN or infinite, no genuine or no impostor pair, shapes that do not match, people
            that contradict ``genuine``.
    """
    scores = np.asarray(scores)
    _check(scores, genuine, people)
    for target in targets:
        if not 0 < target < 1:
            raise UsageError(f"a target FMR lies between 0 and 1, got {target}")
    wide = scores.astype(np.float64)
    curve = curve_of(wide, genuine)
    eer, eer_threshold = _equal_error(curve)
    return Verification(
        genuine_pairs=curve.genuine_pairs,
        impostor_pairs=curve.impostor_pairs,
        roc_auc=float(auc(curve.fmr, curve.tar)),
        eer=eer,
        eer_threshold=eer_threshold,
        tar_at_fmr={target: _rate_at(curve, target) for target in targets},
        halves=accuracy_on_halves(wide, genuine, people, seed),
    )


def impostor_pairs_needed(target_fmr: float) -> int:
    """How many impostor pairs can carry a target FMR: ``3 / target`` (rule of three, 95 % confidence)."""
    return math.ceil(round(3 / target_fmr, 6))


def _check(scores: NDArray[Any], genuine: NDArray[Any], people: NDArray[Any] | None) -> None:
    """Raise InputError unless the arguments of :func:`verify_pairs` fit together."""
    if scores.ndim != 1 or genuine.shape != scores.shape or genuine.dtype != np.bool_:
        raise InputError(
            f"verification needs one score and one true/false per pair, "
            f"got scores {scores.shape} and {genuine.dtype} {genuine.shape}"
        )
    bad = int(np.count_nonzero(~np.isfinite(scores)))
    if bad:
        raise InputError(f"{bad} of {len(scores)} scores are not finite numbers")
    if genuine.all() or not genuine.any():
        missing = "genuine" if not genuine.any() else "impostor"
        raise InputError(f"verification needs genuine and impostor pairs, and of {len(scores)} none is {missing}")
    if people is None:
        return
    if people.shape != (len(scores), 2):
        raise InputError(f"verification needs two people per pair, got {people.shape} for {len(scores)} pairs")
    if not np.array_equal(people[:, 0] == people[:, 1], genuine):
        raise InputError("the people of some pairs contradict whether the pair is genuine")


def _equal_error(curve: Curve) -> tuple[float, float]:
    """EER where the ROC crosses FMR = FNMR, and the threshold that comes closest to it."""
    excess = 1 - curve.tar - curve.fmr
    after = int(np.argmax(excess <= 0))
    share = excess[after - 1] / (excess[after - 1] - excess[after])
    eer = curve.fmr[after - 1] + share * (curve.fmr[after] - curve.fmr[after - 1])
    # The first point accepts nobody, and the last, which accepts everybody, is never farther from equality.
    nearest = 1 + int(np.argmin(np.abs(excess[1:])))
    return float(eer), float(curve.thresholds[nearest])


def _rate_at(curve: Curve, target: float) -> Rate:
    """The largest TAR whose FMR does not exceed the target; with the fewest false matches among equals."""
    needed = impostor_pairs_needed(target)
    if curve.impostor_pairs < needed:
        reason = f"FMR {target:g} needs at least {needed:,} impostor pairs, there are {curve.impostor_pairs:,}"
        return Rate(target, None, None, None, None, curve.impostor_pairs, reason)
    within = int(np.searchsorted(curve.fmr, target, side="right"))
    best = int(np.argmax(curve.tar[:within]))
    fmr = float(curve.fmr[best])
    return Rate(
        target_fmr=target,
        value=float(curve.tar[best]),
        fmr=fmr,
        threshold=float(curve.thresholds[best]),
        false_matches=round(fmr * curve.impostor_pairs),
        impostor_pairs=curve.impostor_pairs,
    )
