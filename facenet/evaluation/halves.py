"""Accuracy at the best threshold, where the threshold is chosen on one half of the pairs and scored on the other."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from facenet.evaluation.curve import Curve, best_threshold, curve_of

TOO_FEW = "two halves need at least 2 genuine and 2 impostor pairs"
"""Why there are no halves."""


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
    scores: NDArray[np.floating[Any]], genuine: NDArray[np.bool_], people: NDArray[Any] | None, seed: int
) -> HalvesAccuracy:
    """Fit the best threshold on each half and score it on the other; see :func:`deal_halves` for the arguments."""
    halves = deal_halves(scores, genuine, people, seed)
    if halves is None:
        return HalvesAccuracy(None, (), (), "none", (), TOO_FEW)
    split, one, other = halves
    thresholds = tuple(_best_threshold(curve_of(scores[half], genuine[half])) for half in (one, other))
    results = tuple(
        _balanced_accuracy(scores[half], genuine[half], threshold)
        for half, threshold in zip((other, one), thresholds, strict=True)
    )
    counts = (int(one.sum()), int(other.sum()))
    return HalvesAccuracy((results[0] + results[1]) / 2, results, thresholds, split, counts)


def deal_halves(
    scores: NDArray[np.floating[Any]], genuine: NDArray[np.bool_], people: NDArray[Any] | None, seed: int
) -> tuple[Literal["people", "pairs"], NDArray[np.bool_], NDArray[np.bool_]] | None:
    """Deal pairs into two halves, so that what is fitted on one can be scored on the other.

    Args:
        scores: ``(n,)`` finite similarities.
        genuine: ``(n,)`` bool.
        people: ``(n, 2)`` the two people of each pair, or None. With it the halves share no person, where that leaves
            pairs of both kinds in both; else only no pair.
        seed: not negative.

    Returns:
        What the halves do not share, and their masks; None if there are too few pairs (see :data:`TOO_FEW`).
    """
    halves = None if people is None else _halves_by_people(genuine, people, seed)
    if halves is not None:
        return "people", *halves
    halves = _halves_by_pairs(scores, genuine, people, seed)
    return None if halves is None else ("pairs", *halves)


def number_people(people: NDArray[Any]) -> tuple[NDArray[np.int32], int]:
    """People as numbers without gaps, in the order of their names: same shape int32, and how many there are.

    Args:
        people: of any shape and sortable type. Numbers not far above the count of entries, as owners are, are not
            sorted but marked, which takes a tenth of the time.
    """
    if people.dtype.kind in "iu" and people.size and people.min() >= 0 and people.max() <= 4 * people.size:
        present = np.zeros(int(people.max()) + 1, dtype=np.bool_)
        present[people] = True
        numbers = np.cumsum(present, dtype=np.int32) - np.int32(1)
        return numbers[people], int(numbers[-1]) + 1
    names, codes = np.unique(people, return_inverse=True)
    return codes.reshape(people.shape).astype(np.int32), len(names)


def _halves_by_people(
    genuine: NDArray[np.bool_], people: NDArray[Any], seed: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
    """Masks of the pairs whose people are both in the first, both in the second group; None if either lacks a kind.

    People who have genuine pairs are dealt first, so that both groups get their share of them.
    """
    codes, count = number_people(people)
    paired = np.zeros(count, dtype=np.bool_)
    paired[codes[genuine, 0]] = True
    generator = np.random.default_rng(seed)
    dealt = [generator.permutation(np.flatnonzero(group)) for group in (paired, ~paired)]
    group = np.empty(count, dtype=np.int8)
    group[np.concatenate(dealt)] = np.arange(count) % 2
    sides = group[codes]
    # Columns rather than rows: a reduction over two values at a time takes ten times as long.
    one, other = (sides[:, 0] | sides[:, 1]) == 0, (sides[:, 0] & sides[:, 1]) == 1
    kinds = [genuine[half] for half in (one, other)]
    return (one, other) if all(kind.any() and not kind.all() for kind in kinds) else None


def _halves_by_pairs(
    scores: NDArray[np.floating[Any]], genuine: NDArray[np.bool_], people: NDArray[Any] | None, seed: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
    """Masks of two random halves, each with half of the genuine and half of the impostor pairs; None if too few.

    The pairs are dealt in order of their score, and of equal scores by their people, so that the halves do not depend
    on the order they came in.
    """
    generator = np.random.default_rng(seed)
    keys: tuple[NDArray[Any], ...] = (scores,)
    if people is not None:
        codes, _ = number_people(people)
        keys = (codes.max(axis=1), codes.min(axis=1), scores)
    one = np.zeros(len(scores), dtype=np.bool_)
    for kind in (genuine, ~genuine):
        where = np.flatnonzero(kind)
        if len(where) < 2:
            return None
        ordered = where[np.lexsort([key[where] for key in keys])]
        one[generator.permutation(ordered)[: len(where) // 2]] = True
    return one, ~one


def _best_threshold(curve: Curve) -> float:
    """The threshold of the best balanced accuracy."""
    # Whole numbers: the same counts must compare as equal, whatever the rounding of their rates.
    return best_threshold(curve, curve.matches * curve.impostor_pairs - curve.false_matches * curve.genuine_pairs)


def _balanced_accuracy(scores: NDArray[np.floating[Any]], genuine: NDArray[np.bool_], threshold: float) -> float:
    accepted = scores >= threshold
    return float((accepted[genuine].mean() + 1 - accepted[~genuine].mean()) / 2)
