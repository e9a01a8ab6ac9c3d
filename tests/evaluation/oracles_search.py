"""Slow, obvious loops that say what identification, retrieval and calibration figures mean."""

from __future__ import annotations

import math
from collections.abc import Sequence

TIE = 1e-6


def cosine(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def candidates(
    search: Sequence[float], enrolled: Sequence[Sequence[float]], enrolled_people: Sequence[object], fusion: str
) -> dict[object, float]:
    """Person → score."""
    scores: dict[object, float] = {}
    for name in set(enrolled_people):
        own = [row for row, label in zip(enrolled, enrolled_people, strict=True) if label == name]
        if fusion == "max":
            scores[name] = max(cosine(search, row) for row in own)
        else:
            total = [sum(column) for column in zip(*own, strict=True)]
            length = math.sqrt(cosine(total, total))
            scores[name] = cosine(search, total) / length if length > 1e-9 else 0.0
    return scores


def open_set_rates(
    own_scores: Sequence[float],
    ranks: Sequence[int],
    stranger_scores: Sequence[float],
    threshold: float,
    rank: int | None,
) -> tuple[float, float]:
    """``(FPIR, FNIR)`` at one threshold, by counting; an own score of -1 is never returned."""
    false_positives = sum(score >= threshold for score in stranger_scores)
    misses = 0
    for score, place in zip(own_scores, ranks, strict=True):
        returned = score >= threshold and score > -1 and (rank is None or place <= rank)
        misses += not returned
    return false_positives / len(stranger_scores), misses / len(own_scores)


def thresholds(*scores: Sequence[float]) -> list[float]:
    """One below, between and above any two of the scores."""
    distinct = sorted({score for some in scores for score in some})
    return [distinct[0], *((a + b) / 2 for a, b in zip(distinct[:-1], distinct[1:], strict=True)), distinct[-1] + 1]


def fnir_at_fpir(
    own_scores: Sequence[float],
    ranks: Sequence[int],
    stranger_scores: Sequence[float],
    target: float,
    rank: int | None,
) -> float:
    """The smallest FNIR of all thresholds whose FPIR does not exceed the target."""
    rates = [
        open_set_rates(own_scores, ranks, stranger_scores, threshold, rank)
        for threshold in thresholds(own_scores, stranger_scores)
    ]
    return min(fnir for fpir, fnir in rates if fpir <= target)


def results(query: int, rows: Sequence[Sequence[float]], people: Sequence[object]) -> list[bool]:
    """Whether each result is right, best first; of those that score alike the wrong come first."""
    right = sorted(
        (cosine(rows[query], rows[i]) for i in range(len(rows)) if i != query and people[i] == people[query]),
        reverse=True,
    )
    wrong = [cosine(rows[query], rows[i]) for i in range(len(rows)) if people[i] != people[query]]
    flags = [False] * (len(right) + len(wrong))
    for before, score in enumerate(right):
        flags[before + sum(other >= score - TIE for other in wrong)] = True
    return flags


def recall_at(flags: Sequence[bool], k: int) -> bool:
    return any(flags[:k])


def r_precision(flags: Sequence[bool]) -> float:
    wanted = sum(flags)
    return sum(flags[:wanted]) / wanted


def average_precision_at_r(flags: Sequence[bool]) -> float:
    wanted = sum(flags)
    return sum(sum(flags[:i]) / i for i in range(1, wanted + 1) if flags[i - 1]) / wanted


def calibration_error(confidences: Sequence[float], correct: Sequence[bool], bins: int) -> tuple[float, float]:
    """``(ECE, MCE)``; bin ``i`` holds ``i / bins < confidence <= (i + 1) / bins``, the first one 0 as well."""
    expected = worst = 0.0
    for i in range(bins):
        inside = [
            place
            for place, confidence in enumerate(confidences)
            if (i / bins < confidence or (i == 0 and confidence == 0)) and confidence <= (i + 1) / bins
        ]
        if inside:
            sure = sum(confidences[place] for place in inside) / len(inside)
            right = sum(correct[place] for place in inside) / len(inside)
            expected += len(inside) / len(confidences) * abs(sure - right)
            worst = max(worst, abs(sure - right))
    return expected, worst
