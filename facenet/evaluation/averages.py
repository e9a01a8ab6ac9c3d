"""Findings that are averages over searches or pictures, with intervals by person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facenet.evaluation.confidence import replicate_means
from facenet.evaluation.finding import Finding
from facenet.evaluation.intervals import BY_PERSON, FEWEST_PEOPLE, RULE_OF_THREE, interval_of, rule_of_three


class Average(NamedTuple):
    """What one column of values is an average of; see :class:`~facenet.evaluation.finding.Finding`.

    ``reason`` says why the average means nothing, and is empty where it does.
    """

    key: str
    title: str
    chance: float | None
    reason: str = ""
    higher_is_better: bool = True


def average_findings(
    averages: Sequence[Average],
    values: NDArray[np.floating[Any] | np.bool_],
    people: NDArray[np.integer[Any]],
    *,
    basis: str,
    seed: int,
    replicates: int,
) -> tuple[Finding, ...]:
    """One finding for each column of values.

    Args:
        averages: what the ``k`` columns are.
        values: ``(n, k)`` in ``[0, 1]`` or true/false, at least one row.
        people: ``(n,)`` whose search each row is, as numbers.
        basis: what all of them rest on.
        seed, replicates: of the bootstrap by person.
    """
    columns = values.astype(np.float64)
    known = [column for column, average in enumerate(averages) if not average.reason]
    intervals: dict[int, tuple[float, float]] = {}
    if len(np.unique(people)) < FEWEST_PEOPLE:
        basis += "; too few people for an interval"
    elif known:
        drawn = replicate_means(columns[:, known], people, replicates=replicates, seed=seed)
        intervals = {column: interval_of(drawn[:, place]) for place, column in enumerate(known)}
    findings = []
    for column, average in enumerate(averages):
        value = None if average.reason else float(columns[:, column].mean())
        interval, kind = intervals.get(column), BY_PERSON
        if interval is not None and (columns[0, column] in (0, 1)) and (columns[:, column] == columns[0, column]).all():
            interval, kind = rule_of_three(columns[0, column] == 1, len(columns)), RULE_OF_THREE
        findings.append(
            Finding(
                key=average.key,
                title=average.title,
                value=value,
                interval=interval,
                interval_kind="" if interval is None else kind,
                chance=average.chance,
                basis=basis,
                reason=average.reason,
                higher_is_better=average.higher_is_better,
            )
        )
    return tuple(findings)
