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
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import auc, roc_curve

from facenet.errors import InputError, UsageError


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
class HalvesAccuracy:
    """Balanced accuracy with the best threshold of one half, scored on the other half, in both directions.

    Attributes:
        value: mean of the two directions in ``[0, 1]``, or None if there are too few pairs for two halves.
        scores: balanced accuracy on the second half (threshold from the first), and the other way round.
        thresholds: the threshold fitted on the first half and the one fitted on the second.
        split: ``"people"`` if no person is in both halves, ``"pairs"`` if only no pair is, ``"none"`` without value.
        pairs: number of pairs in each half; pairs of one person from each half are in neither.
        reason: why ``value`` is None; empty otherwise.
    """

    value: float | None
    scores: tuple[float, ...]
    thresholds: tuple[float, ...]
    split: Literal["people", "pairs", "none"]
    pairs: tuple[int, ...]
    reason: str = ""

    def __post_init__(self) -> None:
        size = 0 if self.value is None else 2
        if not len(self.scores) == len(self.thresholds) == len(self.pairs) == size:
            raise ValueError("two halves give two scores, two thresholds and two counts")
        if (self.value is None) != bool(self.reason) or (self.value is None) != (self.split == "none"):
            raise ValueError("an accuracy has either a value or a reason why it has none")
        if not all(0 <= score <= 1 for score in self.scores):
            raise ValueError(f"balanced accuracies {self.scores} leave [0, 1]")

    def to_dict(self) -> dict[str, Any]:
        """All attributes, fit for JSON."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


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
    curve = _curve(wide, genuine)
    eer, eer_threshold = _equal_error(curve)
    return Verification(
        genuine_pairs=curve.genuine_pairs,
        impostor_pairs=curve.impostor_pairs,
        roc_auc=float(auc(curve.fmr, curve.tar)),
        eer=eer,
        eer_threshold=eer_threshold,
        tar_at_fmr={target: _rate_at(curve, target) for target in targets},
        halves=_accuracy_on_halves(wide, genuine, people, seed),
    )


def impostor_pairs_needed(target_fmr: float) -> int:
    """How many impostor pairs can carry a target FMR: ``3 / target`` (rule of three, 95 % confidence)."""
    return math.ceil(round(3 / target_fmr, 6))


class _Curve(NamedTuple):
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


def _curve(scores: NDArray[np.float64], genuine: NDArray[np.bool_]) -> _Curve:
    """All operating points of these pairs."""
    fmr, tar, lowest = roc_curve(genuine, scores, drop_intermediate=False)
    above, below = lowest[1:-1], lowest[2:]
    middle = above / 2 + below / 2
    # Between neighbouring floating-point numbers nothing lies halfway: rounding must not let the lower one in.
    middle = np.where((middle > below) & (middle <= above), middle, above)
    thresholds = np.concatenate([[np.nextafter(lowest[1], np.inf)], middle, lowest[-1:]])
    gaps = np.concatenate([[0.0], above - below, [0.0]])
    genuine_pairs = int(genuine.sum())
    return _Curve(fmr, tar, thresholds, gaps, genuine_pairs, len(genuine) - genuine_pairs)


def _equal_error(curve: _Curve) -> tuple[float, float]:
    """EER where the ROC crosses FMR = FNMR, and the threshold that comes closest to it."""
    excess = 1 - curve.tar - curve.fmr
    after = int(np.argmax(excess <= 0))
    share = excess[after - 1] / (excess[after - 1] - excess[after])
    eer = curve.fmr[after - 1] + share * (curve.fmr[after] - curve.fmr[after - 1])
    # The first point accepts nobody, and the last, which accepts everybody, is never farther from equality.
    nearest = 1 + int(np.argmin(np.abs(excess[1:])))
    return float(eer), float(curve.thresholds[nearest])


def _rate_at(curve: _Curve, target: float) -> Rate:
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


def _accuracy_on_halves(
    scores: NDArray[np.float64], genuine: NDArray[np.bool_], people: NDArray[Any] | None, seed: int
) -> HalvesAccuracy:
    """Fit the best threshold on each half and score it on the other."""
    split: Literal["people", "pairs"] = "people"
    halves = None if people is None else _halves_by_people(genuine, people, seed)
    if halves is None:
        split, halves = "pairs", _halves_by_pairs(scores, genuine, seed)
    if halves is None:
        reason = "two halves need at least 2 genuine and 2 impostor pairs"
        return HalvesAccuracy(None, (), (), "none", (), reason)
    one, other = halves
    thresholds = tuple(_best_threshold(_curve(scores[half], genuine[half])) for half in (one, other))
    results = tuple(
        _balanced_accuracy(scores[half], genuine[half], threshold)
        for half, threshold in zip((other, one), thresholds, strict=True)
    )
    counts = (int(one.sum()), int(other.sum()))
    return HalvesAccuracy((results[0] + results[1]) / 2, results, thresholds, split, counts)


def _halves_by_people(
    genuine: NDArray[np.bool_], people: NDArray[Any], seed: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
    """Masks of the pairs whose people are both in the first, both in the second group; None if either lacks a kind.

    People who have genuine pairs are dealt first, so that both groups get their share of them.
    """
    names, codes = np.unique(people, return_inverse=True)
    codes = codes.reshape(people.shape)
    paired = np.zeros(len(names), dtype=np.bool_)
    paired[codes[genuine, 0]] = True
    generator = np.random.default_rng(seed)
    dealt = [generator.permutation(np.flatnonzero(group)) for group in (paired, ~paired)]
    group = np.empty(len(names), dtype=np.int64)
    group[np.concatenate(dealt)] = np.arange(len(names)) % 2
    sides = group[codes]
    one, other = (sides == 0).all(axis=1), (sides == 1).all(axis=1)
    kinds = [genuine[half] for half in (one, other)]
    return (one, other) if all(kind.any() and not kind.all() for kind in kinds) else None


def _halves_by_pairs(
    scores: NDArray[np.float64], genuine: NDArray[np.bool_], seed: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
    """Masks of two random halves, each with half of the genuine and half of the impostor pairs; None if too few.

    The pairs are dealt in order of their score, so that the halves do not depend on the order they came in.
    """
    generator = np.random.default_rng(seed)
    one = np.zeros(len(scores), dtype=np.bool_)
    for kind in (genuine, ~genuine):
        where = np.flatnonzero(kind)
        if len(where) < 2:
            return None
        ordered = where[np.argsort(scores[where], kind="stable")]
        one[generator.permutation(ordered)[: len(where) // 2]] = True
    return one, ~one


def _best_threshold(curve: _Curve) -> float:
    """The threshold of the best balanced accuracy; among equally good ones that in the widest gap between scores."""
    # Whole numbers: the same counts must compare as equal, whatever the rounding of their rates.
    matches = np.rint(curve.tar * curve.genuine_pairs).astype(np.int64)
    false_matches = np.rint(curve.fmr * curve.impostor_pairs).astype(np.int64)
    gain = matches * curve.impostor_pairs - false_matches * curve.genuine_pairs
    best = np.where(gain == gain.max(), curve.gaps, -1.0)
    return float(curve.thresholds[np.argmax(best)])


def _balanced_accuracy(scores: NDArray[np.float64], genuine: NDArray[np.bool_], threshold: float) -> float:
    accepted = scores >= threshold
    return float((accepted[genuine].mean() + 1 - accepted[~genuine].mean()) / 2)
