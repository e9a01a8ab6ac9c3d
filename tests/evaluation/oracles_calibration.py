"""Slow, obvious loops that say what a calibrated threshold is; the package is tested against them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations


def pairs_of(people: Sequence[object]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """All genuine and all impostor pairs of pictures."""
    every = list(combinations(range(len(people)), 2))
    genuine = [(i, j) for i, j in every if people[i] == people[j]]
    return genuine, [(i, j) for i, j in every if people[i] != people[j]]


def error_rate(scores: Sequence[float], threshold: float) -> float:
    """Share of impostor scores that are accepted."""
    return sum(score >= threshold for score in scores) / len(scores)


def smallest_threshold(scores: Sequence[float], target: float) -> float:
    """Come down from just above the highest score, gap by gap, as long as the target is kept."""
    distinct = sorted(set(scores), reverse=True)
    best = distinct[0] + 1e-6
    for above, below in zip(distinct[:-1], distinct[1:], strict=True):
        if error_rate(scores, (below + above) / 2) > target:
            break
        best = (below + above) / 2
    return best


def resampled_rate(
    drawn: Sequence[int], people: Sequence[int], scores: dict[tuple[int, int], float], threshold: float
) -> float | None:
    """Error rate of a crowd that holds each person as often as drawn, by comparing everybody in it with everybody else.

    Copies of one person are not compared with each other. None if nobody is left to compare.
    """
    accepted = compared = 0
    for one, other in combinations(drawn, 2):
        if one == other:
            continue
        for i in range(len(people)):
            for j in range(len(people)):
                if people[i] == one and people[j] == other:
                    compared += 1
                    accepted += scores[min(i, j), max(i, j)] >= threshold
    return accepted / compared if compared else None


def resampled_search_rate(
    drawn: Sequence[int], people: Sequence[int], best_scores: Sequence[float], threshold: float
) -> float:
    """Error rate of searches, with each stranger's searches taken as often as the stranger was drawn."""
    searches = [score for one in drawn for person, score in zip(people, best_scores, strict=True) if person == one]
    return error_rate(searches, threshold)
