"""Accuracy at the best threshold, where the threshold is chosen on one half of the pairs and scored on the other."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from facenet.evaluation.curve import Curve, curve_of


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


def accuracy_on_halves(
    scores: NDArray[np.float64], genuine: NDArray[np.bool_], people: NDArray[Any] | None, seed: int
) -> HalvesAccuracy:
    """Fit the best threshold on each half and score it on the other.

    Args:
        scores: ``(n,)`` finite similarities.
        genuine: ``(n,)`` bool.
        people: ``(n, 2)`` the two people of each pair, or None. With it the halves share no person, where that leaves
            pairs of both kinds in both; else only no pair.
        seed: of the halves; not negative.
    """
    split: Literal["people", "pairs"] = "people"
    halves = None if people is None else _halves_by_people(genuine, people, seed)
    if halves is None:
        split, halves = "pairs", _halves_by_pairs(scores, genuine, seed)
    if halves is None:
        reason = "two halves need at least 2 genuine and 2 impostor pairs"
        return HalvesAccuracy(None, (), (), "none", (), reason)
    one, other = halves
    thresholds = tuple(_best_threshold(curve_of(scores[half], genuine[half])) for half in (one, other))
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


def _best_threshold(curve: Curve) -> float:
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
