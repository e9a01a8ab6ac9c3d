"""Slow, obvious re-implementations of figures over folds, of precision and recall, and of resampled people."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

import oracles_evaluation as plain

Pair = tuple[float, int, int]
"""Score, and the two people."""


def thresholds(scores: Sequence[float]) -> list[tuple[float, float]]:
    """Every threshold worth trying and the gap it lies in, from the highest: above all, halfway, and at the lowest."""
    levels = sorted(set(scores), reverse=True)
    halfway = [((above + below) / 2, above - below) for above, below in zip(levels, levels[1:], strict=False)]
    return [(math.nextafter(levels[0], math.inf), 0.0), *halfway, (levels[-1], 0.0)]


def counts(scores: Sequence[float], genuine: Sequence[bool], threshold: float) -> tuple[int, int, int, int]:
    """Genuine pairs accepted, impostor pairs accepted, genuine pairs rejected, impostor pairs rejected."""
    table = [0, 0, 0, 0]
    for score, same in zip(scores, genuine, strict=True):
        table[2 * (score < threshold) + (not same)] += 1
    return table[0], table[1], table[2], table[3]


def fitted(
    scores: Sequence[float], genuine: Sequence[bool], worth: Callable[[int, int, int, int], Fraction | int]
) -> float:
    """The threshold of the greatest worth; of equal ones that in the widest gap; of these the highest."""
    best = max((worth(*counts(scores, genuine, threshold)), gap, threshold) for threshold, gap in thresholds(scores))
    return best[2]


def accuracy_of(found: int, wrong: int, missed: int, refused: int) -> int:
    return found + refused


def f1_of(found: int, wrong: int, missed: int, refused: int) -> Fraction:
    return Fraction(2 * found, 2 * found + wrong + missed)


def fold_accuracies(
    rows: Sequence[Sequence[float]], genuine: Sequence[bool], folds: Sequence[int]
) -> list[tuple[float, float]]:
    """Accuracy and threshold of each fold, with ``rows[i]`` for the i-th."""
    found = []
    for row, fold in zip(rows, sorted(set(folds)), strict=True):
        rest = [i for i, other in enumerate(folds) if other != fold]
        inside = [i for i, other in enumerate(folds) if other == fold]
        threshold = fitted([row[i] for i in rest], [genuine[i] for i in rest], accuracy_of)
        right = sum((row[i] >= threshold) == genuine[i] for i in inside)
        found.append((right / len(inside), threshold))
    return found


def f1_on_folds(scores: Sequence[float], genuine: Sequence[bool], folds: Sequence[int]) -> float:
    """F1 of all decisions together, each at the threshold of the best F1 on the other folds."""
    totals = [0, 0, 0, 0]
    for fold in sorted(set(folds)):
        rest = [i for i, other in enumerate(folds) if other != fold]
        inside = [i for i, other in enumerate(folds) if other == fold]
        threshold = fitted([scores[i] for i in rest], [genuine[i] for i in rest], f1_of)
        part = counts([scores[i] for i in inside], [genuine[i] for i in inside], threshold)
        totals = [total + more for total, more in zip(totals, part, strict=True)]
    return float(f1_of(totals[0], totals[1], totals[2], totals[3]))


def average_precision(scores: Sequence[float], genuine: Sequence[bool]) -> float:
    """Precision at each recall that is reached, weighted by what the step adds to the recall."""
    total, before = 0.0, 0
    for level in sorted(set(scores), reverse=True):
        found, wrong, _, _ = counts(scores, genuine, level)
        total += (found - before) * found / (found + wrong)
        before = found
    return total / before


def copied(pairs: Sequence[Pair], copies: Sequence[int]) -> tuple[list[float], list[bool]]:
    """Every comparison of a crowd in which each person stands so often; copies of one person are not compared."""
    scores, genuine = [], []
    for score, one, other in pairs:
        times = copies[one] if one == other else copies[one] * copies[other]
        scores += [score] * times
        genuine += [one == other] * times
    return scores, genuine


def figures(scores: Sequence[float], genuine: Sequence[bool], targets: Sequence[float]) -> list[float] | None:
    """AUC, EER, average precision and TAR at each target; None without pairs of both kinds."""
    if all(genuine) or not any(genuine):
        return None
    return [
        plain.roc_auc(scores, genuine),
        plain.equal_error_rate(scores, genuine),
        average_precision(scores, genuine),
        *(plain.tar_at_fmr(scores, genuine, target) for target in targets),
    ]
