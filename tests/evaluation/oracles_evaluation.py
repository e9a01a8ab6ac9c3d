"""Slow, obvious loops that say what the evaluation figures mean; the package is tested against them."""

from __future__ import annotations

import math
from collections.abc import Sequence


def all_pairs(labels: Sequence[object]) -> dict[tuple[int, int], bool]:
    """``{(i, j): same person}`` for every two pictures, ``i < j``."""
    return {(i, j): labels[i] == labels[j] for i in range(len(labels)) for j in range(i + 1, len(labels))}


def rates_at(scores: Sequence[float], genuine: Sequence[bool], threshold: float) -> tuple[float, float]:
    """``(FMR, TAR)`` at one threshold, by counting."""
    matches = false_matches = genuine_pairs = impostor_pairs = 0
    for score, same in zip(scores, genuine, strict=True):
        if same:
            genuine_pairs += 1
            matches += score >= threshold
        else:
            impostor_pairs += 1
            false_matches += score >= threshold
    return false_matches / impostor_pairs, matches / genuine_pairs


def operating_points(scores: Sequence[float], genuine: Sequence[bool]) -> list[tuple[float, float]]:
    """``(FMR, TAR)`` of every threshold that makes a difference, from accepting nobody to accepting everybody."""
    thresholds = [math.inf, *sorted(set(scores), reverse=True)]
    return [rates_at(scores, genuine, threshold) for threshold in thresholds]


def roc_auc(scores: Sequence[float], genuine: Sequence[bool]) -> float:
    """How often a genuine pair beats an impostor pair; a tie is half a win (Mann-Whitney)."""
    wins = comparisons = 0.0
    for score, same in zip(scores, genuine, strict=True):
        for other, other_same in zip(scores, genuine, strict=True):
            if same and not other_same:
                comparisons += 1
                wins += 1.0 if score > other else 0.5 if score == other else 0.0
    return wins / comparisons


def equal_error_rate(scores: Sequence[float], genuine: Sequence[bool]) -> float:
    """The FMR at which a bisection along the straight lines of the ROC finds FMR = FNMR."""
    points = operating_points(scores, genuine)
    for (fmr, tar), (next_fmr, next_tar) in zip(points[:-1], points[1:], strict=True):
        if next_fmr < 1 - next_tar:
            continue
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            if fmr + middle * (next_fmr - fmr) < 1 - tar - middle * (next_tar - tar):
                low = middle
            else:
                high = middle
        return fmr + high * (next_fmr - fmr)
    raise AssertionError("accepting everybody has FMR 1 and FNMR 0")


def tar_at_fmr(scores: Sequence[float], genuine: Sequence[bool], target: float) -> float:
    """The largest TAR of all thresholds whose FMR does not exceed the target."""
    return max(tar for fmr, tar in operating_points(scores, genuine) if fmr <= target)


def best_balanced_accuracy(scores: Sequence[float], genuine: Sequence[bool]) -> float:
    """The best ``(TAR + 1 - FMR) / 2`` of all thresholds."""
    return max((tar + 1 - fmr) / 2 for fmr, tar in operating_points(scores, genuine))


def identification_rank(
    probe: Sequence[float],
    person: object,
    enrolled: Sequence[Sequence[float]],
    enrolled_people: Sequence[object],
    fusion: str,
    tie: float = 1e-6,
) -> int:
    """1 + the other people who score at least as high (up to rounding) as the right one."""
    scores: dict[object, float] = {}
    for name in set(enrolled_people):
        own = [row for row, label in zip(enrolled, enrolled_people, strict=True) if label == name]
        if fusion == "max":
            scores[name] = max(sum(a * b for a, b in zip(probe, row, strict=True)) for row in own)
        else:
            mean = [sum(column) / len(own) for column in zip(*own, strict=True)]
            length = math.sqrt(sum(value * value for value in mean))
            scores[name] = sum(a * b for a, b in zip(probe, mean, strict=True)) / length if length > 1e-9 else 0.0
    return 1 + sum(score >= scores[person] - tie for name, score in scores.items() if name != person)


def confusion(labels: Sequence[int], decided: Sequence[int], people: int) -> list[list[int]]:
    """Rows: who it is; columns: who it was taken for."""
    table = [[0] * people for _ in range(people)]
    for label, decision in zip(labels, decided, strict=True):
        table[label][decision] += 1
    return table


def recall_and_f1(table: Sequence[Sequence[int]]) -> tuple[float, float]:
    """Means of recall and of F1 over the people who have pictures."""
    recalls, f1s = [], []
    for person, row in enumerate(table):
        if sum(row) == 0:
            continue
        named = sum(other[person] for other in table)
        recalls.append(row[person] / sum(row))
        f1s.append(2 * row[person] / (sum(row) + named))
    return sum(recalls) / len(recalls), sum(f1s) / len(f1s)
