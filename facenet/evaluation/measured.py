"""What a threshold does on people it was not set on: the figure that counts, to be shown beside its target."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from facenet.errors import InputError
from facenet.evaluation.bootstrap import Measured, measure
from facenet.evaluation.crowd import Crowd
from facenet.evaluation.trials import listed_trials

__all__ = ["Measured", "measure_fmr", "measure_fpir", "miss_rate"]


def measure_fmr(embeddings: Tensor, people: NDArray[Any], threshold: float, *, seed: int = 0) -> Measured:
    """False match rate over every comparison of these pictures with one another.

    Args:
        embeddings: ``(n, d)`` unit rows.
        people: ``(n,)`` person of each, any sortable type; none of those the threshold was set on.
        threshold: accept if ``score >= threshold``. Memory grows with the comparisons that are accepted.
        seed: of the bootstrap.

    Raises:
        InputError: embeddings that are no unit rows, or fewer than two people.
    """
    crowd = Crowd(embeddings, people)
    if crowd.impostor == 0:
        raise InputError("a false match rate needs pictures of two people")
    return measure(crowd.accepted(threshold), threshold, seed=seed)


def measure_fpir(
    best_scores: NDArray[np.floating[Any]], people: NDArray[Any], threshold: float, *, seed: int = 0
) -> Measured:
    """False-positive identification rate: share of searches by strangers that return somebody.

    Args:
        best_scores: ``(n,)`` score of the best candidate of each search, in ``[-1, 1]``.
        people: ``(n,)`` the stranger of each; nobody enrolled, and none of those the threshold was set on.
        threshold, seed: as for :func:`measure_fmr`.

    Raises:
        InputError: no search, scores that are no cosines, shapes that do not fit.
    """
    trials = listed_trials(best_scores, people)
    if trials.count == 0:
        raise InputError("a false-positive identification rate needs searches by strangers")
    return measure(trials, threshold, seed=seed)


def miss_rate(
    best_people: NDArray[Any], best_scores: NDArray[np.floating[Any]], people: NDArray[Any], threshold: float
) -> float:
    """False-negative identification rate (FNIR): share of searches by enrolled people that do not return them.

    A search misses if its best candidate is somebody else, or scores below the threshold.

    Args:
        best_people: ``(n,)`` best candidate of each search.
        best_scores: ``(n,)`` its score.
        people: ``(n,)`` who was searched for, all enrolled.
        threshold: accept if ``score >= threshold``; ``-inf`` gives 1 - rank-1.

    Raises:
        InputError: no search, shapes that do not fit.
    """
    if not best_people.shape == best_scores.shape == people.shape or len(people) == 0:
        shapes = f"{best_people.shape}, {best_scores.shape} and {people.shape}"
        raise InputError(f"a miss rate needs one candidate, one score and one person per search, got shapes {shapes}")
    return float(np.mean((best_people != people) | ~(best_scores >= threshold)))
