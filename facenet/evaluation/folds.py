"""Accuracy by folds: the threshold is fitted on all folds but one and scored on that one, as LFW's View 2 asks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facenet.errors import InputError
from facenet.evaluation.curve import best_threshold, curve_of


@dataclass(frozen=True)
class FoldAccuracy:
    """Share of right decisions in each fold, at the threshold that was best on the other folds.

    Attributes:
        accuracies: one for each fold, in ``[0, 1]``.
        thresholds: fitted on the others; accept if ``score >= threshold``.
        pairs: number of pairs in each fold.
        fold_numbers: what the folds are called, rising.
    """

    accuracies: tuple[float, ...]
    thresholds: tuple[float, ...]
    pairs: tuple[int, ...]
    fold_numbers: tuple[int, ...]

    def __post_init__(self) -> None:
        folds = len(self.fold_numbers)
        if folds < 2 or not len(self.accuracies) == len(self.thresholds) == len(self.pairs) == folds:
            raise ValueError("at least two folds are needed, each with an accuracy, a threshold and a count")
        if not all(0 <= accuracy <= 1 for accuracy in self.accuracies) or min(self.pairs) < 1:
            raise ValueError(f"accuracies {self.accuracies} of {self.pairs} pairs cannot be")
        if not all(math.isfinite(threshold) for threshold in self.thresholds):
            raise ValueError(f"thresholds {self.thresholds} are not all finite")

    @property
    def mean(self) -> float:
        """Mean of the accuracies of the folds, each fold counted the same."""
        return float(np.mean(self.accuracies))

    @property
    def deviation(self) -> float:
        """Standard deviation of the accuracies of single folds, with ``folds - 1`` in the denominator."""
        return float(np.std(self.accuracies, ddof=1))

    @property
    def standard_error(self) -> float:
        """Standard error of :attr:`mean`: the deviation over ``sqrt(folds)``, as LFW's results are reported."""
        return self.deviation / math.sqrt(len(self.accuracies))

    def to_dict(self) -> dict[str, Any]:
        """All attributes and figures, fit for JSON."""
        return {
            "mean": self.mean,
            "standard_error": self.standard_error,
            "deviation": self.deviation,
            "accuracies": list(self.accuracies),
            "thresholds": list(self.thresholds),
            "pairs": list(self.pairs),
            "folds": list(self.fold_numbers),
        }


def accuracy_on_folds(
    scores: NDArray[np.floating[Any]], genuine: NDArray[np.bool_], folds: NDArray[np.integer[Any]]
) -> FoldAccuracy:
    """Fit the threshold of the best plain accuracy on all folds but one, score it on that one, for each.

    Of all thresholds halfway between neighbouring scores the best is taken; among equally good ones that in the widest
    gap between scores, and of equally wide gaps the highest.

    Args:
        scores: ``(n,)`` finite similarities; or ``(folds, n)``, where row ``i`` holds the scores of all pairs under a
            transform (centring, say) that was fitted without the ``i``-th fold, folds in rising order.
        genuine: ``(n,)`` bool.
        folds: ``(n,)`` number of the fold of each pair.

    Raises:
        InputError: scores that are NaN or infinite, shapes that do not fit, fewer than two folds, a fold (or what is
            left without it) that lacks genuine or impostor pairs.
    """
    rows, count = np.atleast_2d(scores), len(np.unique(folds))
    if rows.ndim != 2 or rows.shape[1] != len(genuine) or len(rows) not in (1, count):
        raise InputError(
            f"{len(genuine)} pairs in {count} folds need scores ({len(genuine)},) or ({count}, {len(genuine)}), "
            f"got {np.shape(scores)}"
        )
    bad = int(np.count_nonzero(~np.isfinite(rows)))
    if bad:
        raise InputError(f"{bad:,} of {rows.size:,} scores are not finite numbers")
    accuracies, thresholds, pairs, numbers = [], [], [], []
    for place, (number, scored, rest) in enumerate(fold_parts(genuine, folds)):
        row = rows[place if len(rows) > 1 else 0]
        curve = curve_of(row[rest], genuine[rest])
        # Right decisions, but for the impostor pairs, which are as many at every threshold.
        threshold = best_threshold(curve, curve.matches - curve.false_matches)
        accuracies.append(float(np.mean((row[scored] >= threshold) == genuine[scored])))
        thresholds.append(threshold)
        pairs.append(int(np.count_nonzero(scored)))
        numbers.append(number)
    return FoldAccuracy(tuple(accuracies), tuple(thresholds), tuple(pairs), tuple(numbers))


def fold_parts(
    genuine: NDArray[np.bool_], folds: NDArray[np.integer[Any]]
) -> Iterator[tuple[int, NDArray[np.bool_], NDArray[np.bool_]]]:
    """For each fold in rising order its number, the mask of its pairs, and the mask of all others.

    Raises:
        InputError: shapes that do not fit, fewer than two folds, a fold (or what is left without it) that lacks
            genuine or impostor pairs.
    """
    if genuine.ndim != 1 or genuine.dtype != np.bool_ or folds.shape != genuine.shape:
        raise InputError(
            f"folds need one number and one true/false per pair, got {folds.shape} and {genuine.dtype} {genuine.shape}"
        )
    numbers = np.unique(folds)
    if len(numbers) < 2:
        raise InputError(f"a threshold is fitted on other folds than it is scored on, and there are {len(numbers)}")
    for number in numbers.tolist():
        scored = folds == number
        rest = ~scored
        for mask, where in ((scored, f"fold {number} has"), (rest, f"all folds but {number} have")):
            for kind, name in ((genuine, "genuine"), (~genuine, "impostor")):
                if not (mask & kind).any():
                    raise InputError(f"{where} no {name} pair")
        yield int(number), scored, rest
