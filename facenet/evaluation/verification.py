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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facenet.errors import InputError, UsageError
from facenet.evaluation.comparisons import Comparisons
from facenet.evaluation.curve import Curve, curve_of
from facenet.evaluation.finding import Finding
from facenet.evaluation.folds import FoldAccuracy
from facenet.evaluation.halves import accuracy_on_halves
from facenet.evaluation.precision_recall import precision_recall
from facenet.evaluation.verification_findings import Judged, findings_of
from facenet.evaluation.verified import Rate, Verification

__all__ = ["Rate", "Verification", "impostor_pairs_needed", "verify_comparisons", "verify_pairs"]


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
    if scores.dtype != np.float32:
        scores = scores.astype(np.float64)
    return _verify(scores, genuine, people, targets, seed, curve_of(scores, genuine))


def verify_comparisons(
    comparisons: Comparisons,
    *,
    targets: Sequence[float] = (1e-2, 1e-3),
    seed: int = 0,
    replicates: int = 1000,
    fold_accuracy: FoldAccuracy | None = None,
) -> tuple[Verification, tuple[Finding, ...]]:
    """Every verification figure of a protocol, with 95 % intervals by person.

    Args:
        comparisons: with genuine and impostor pairs. Where a transform was fitted without each fold, the score of a
            pair is the one under the transform of its own fold.
        targets: false match rates, each in ``(0, 1)``.
        seed: of halves and resampling, not negative.
        replicates: of the resampling, at least 1.
        fold_accuracy: of the same comparisons, by their folds.

    Returns:
        The figures, and the findings ``accuracy`` (with ``fold_accuracy``), ``roc_auc``, ``eer``, ``tar_at_fmr_…``,
        ``balanced_accuracy`` (without), ``f1`` and ``average_precision``. See
        :func:`facenet.evaluation.verification_findings.findings_of` for how their intervals come about.

    Raises:
        UsageError: a target outside ``(0, 1)``, a negative seed, no replicate.
        InputError: no genuine or no impostor pair, folds that cannot be fitted on, a ``fold_accuracy`` of other folds.
    """
    scores, genuine = comparisons.scores, comparisons.genuine
    people = np.stack([comparisons.owners[comparisons.first], comparisons.owners[comparisons.second]], axis=1)
    _check(scores, genuine, None)
    curve = curve_of(scores, genuine)
    verification = _verify(scores, genuine, people, targets, seed, curve)
    found = precision_recall(comparisons, seed=seed, curve=curve)
    judged = Judged(comparisons, people, seed, replicates)
    return verification, findings_of(judged, verification, found, fold_accuracy)


def impostor_pairs_needed(target_fmr: float) -> int:
    """How many impostor pairs can carry a target FMR: ``3 / target`` (rule of three, 95 % confidence)."""
    return math.ceil(round(3 / target_fmr, 6))


def _verify(
    scores: NDArray[np.floating[Any]],
    genuine: NDArray[np.bool_],
    people: NDArray[Any] | None,
    targets: Sequence[float],
    seed: int,
    curve: Curve,
) -> Verification:
    """:func:`verify_pairs` for pairs that are known to be sound, float32 or float64, and their curve."""
    for target in targets:
        if not 0 < target < 1:
            raise UsageError(f"a target FMR lies between 0 and 1, got {target}")
    if seed < 0:
        raise UsageError(f"a seed is not negative, got {seed}")
    eer, eer_threshold = _equal_error(curve)
    return Verification(
        genuine_pairs=curve.genuine_pairs,
        impostor_pairs=curve.impostor_pairs,
        roc_auc=_area(curve),
        eer=eer,
        eer_threshold=eer_threshold,
        tar_at_fmr={target: _rate_at(curve, target) for target in targets},
        halves=accuracy_on_halves(scores, genuine, people, seed),
    )


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


def _area(curve: Curve) -> float:
    """Area under the ROC: in whole numbers up to the last step, so that rounding never takes it above 1."""
    matches = curve.matches
    twice = int(np.diff(curve.false_matches) @ (matches[1:] + matches[:-1]))
    return twice / (2 * curve.genuine_pairs * curve.impostor_pairs)


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
