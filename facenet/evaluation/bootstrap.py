"""The threshold of some trials, and how far it can be trusted: intervals by resampling people, not comparisons.

Comparisons share people, and some people are confused with others far more often than the rest. Drawing comparisons
anew would take each for independent of the others and give intervals several times too narrow. Here people are drawn
with replacement, and a comparison of persons ``a`` and ``b`` counts ``copies[a] · copies[b]`` times; copies of one
person are not compared with each other. Snijders & Borgatti, "Non-parametric standard errors and tests for network
statistics", Connections 22 (1999); Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1 (2007), who shows
that such intervals err on the wide side: chance that belongs to single comparisons counts up to three times. That
matters only where errors are few.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facenet.errors import InputError
from facenet.evaluation.confidence import person_copies
from facenet.evaluation.intervals import interval_of, rule_of_three
from facenet.evaluation.rates import errors_allowed
from facenet.evaluation.trials import Trials

_MOST_BEYOND = 0.01
"""Share of replicates that may run out of listed trials: less than what an interval leaves out at its lower end."""


@dataclass(frozen=True)
class Settled:
    """A threshold, the error rate at it, and 95 % intervals of both.

    Attributes:
        value: the smallest threshold whose error rate does not exceed the target, in ``[-1, 1]``.
        interval: of the error rate at ``value``, in ``[0, 1]``.
        value_interval: of the threshold, in ``[-1, 1]``.
        errors: trials accepted at ``value``.
        shallow: too few trials are listed to find the lower end of ``value_interval``, which is then given as -1.
    """

    value: float
    interval: tuple[float, float]
    value_interval: tuple[float, float]
    errors: int
    shallow: bool


def settle(trials: Trials, target: float, *, replicates: int, seed: int) -> Settled:
    """Find the threshold of some trials.

    Args:
        trials: comparisons that should be rejected; of at least 3 people. More than ``target`` allows must be listed,
            or else lie at the floor.
        target: error rate not to be exceeded, in ``(0, 1)``.
        replicates, seed: see :func:`resample_people`.

    Raises:
        InputError: no threshold meets the target, for too many trials score 1.
    """
    # Where equal scores leave fewer listed, the first score to be rejected is the floor.
    rejected = min(errors_allowed(target, trials.count), len(trials.scores))
    value = float(trials.thresholds()[rejected])
    if value > 1:
        raise InputError(
            f"{rejected + 1:,} or more of {trials.count:,} impostor comparisons score 1, and a rate of {target:g} "
            f"allows {rejected:,}: the same pictures must be there under several names (`dataset audit` finds them)"
        )
    found = resample_people(trials, value, target, replicates=replicates, seed=seed)
    errors, interval = _errors(trials, value, found)
    low, high = interval_of(found.values)
    shallow = found.beyond > _MOST_BEYOND * len(found.values)
    return Settled(value, interval, (-1.0 if shallow else low, high), errors, shallow)


@dataclass(frozen=True)
class Measured:
    """What a given threshold does on people it was not set on.

    Attributes:
        rate: share of trials accepted, in ``[0, 1]``.
        interval: 95 % interval of it, by person.
        errors, count: trials accepted, and all trials.
        people: of how many they are.
    """

    rate: float
    interval: tuple[float, float]
    errors: int
    count: int
    people: int


def measure(trials: Trials, threshold: float, *, replicates: int = 1000, seed: int = 0) -> Measured:
    """Count what a threshold accepts.

    Args:
        trials: comparisons that should be rejected; those that reach ``threshold`` must be listed. At least one.
        threshold: accept if ``score >= threshold``.
        replicates, seed: see :func:`resample_people`.
    """
    found = resample_people(trials, threshold, 0.5, replicates=replicates, seed=seed)
    errors, interval = _errors(trials, threshold, found)
    return Measured(errors / trials.count, interval, errors, trials.count, trials.people)


def _errors(trials: Trials, threshold: float, found: Replicates) -> tuple[int, tuple[float, float]]:
    """Trials accepted, and the interval of their share."""
    errors = int(np.count_nonzero(trials.scores >= threshold))
    # No error in n trials shows a rate below 3 / n; resampling them would show 0.
    return errors, interval_of(found.rates) if errors else rule_of_three(False, trials.count)


class Replicates(NamedTuple):
    """What came of the resampled people; replicates without any trial are left out.

    Attributes:
        rates: ``(r,)`` float64, share of trials accepted at the threshold that was asked about.
        values: ``(r,)`` float64, the threshold that the replicate itself would have given.
        beyond: how many of those lie at the floor of the trials or below, and are given as the one above the floor.
    """

    rates: NDArray[np.float64]
    values: NDArray[np.float64]
    beyond: int


def resample_people(trials: Trials, threshold: float, target: float, *, replicates: int, seed: int) -> Replicates:
    """Draw the people again and again, and look at the error rate and at the threshold each time.

    Args:
        trials: comparisons that should be rejected.
        threshold: a score above the trials' floor.
        target: the rate by which thresholds are set, in ``(0, 1)``.
        replicates, seed: see :func:`facenet.evaluation.confidence.person_copies`.
    """
    accepted = int(np.count_nonzero(trials.scores >= threshold))
    cuts = np.minimum(trials.thresholds(), np.float32(1))
    rates, values, beyond = [], [], 0
    for copies in person_copies(trials.people, replicates=replicates, seed=seed):
        total = trials.total(copies)
        if total == 0:
            continue
        running = np.cumsum(trials.weights(copies))
        rates.append(running[accepted - 1] / total if accepted else 0.0)
        rejected = int(np.searchsorted(running, errors_allowed(target, total), side="right"))
        beyond += rejected == len(trials.scores)
        values.append(cuts[rejected])
    return Replicates(np.array(rates), np.array(values, dtype=np.float64), beyond)
