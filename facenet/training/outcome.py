"""Where a run stands, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Progress:
    """How far a run is; all of it is saved and restored.

    Attributes:
        epoch: epochs completed.
        batches: batches done of the present epoch.
        step: optimiser steps taken.
        images: pictures seen.
        best_value, best_epoch: the primary metric's best value so far and where; None before any.
        stale: evaluations since the best.
        evaluations: taken so far.
        start_value: the primary metric of the starting weights.
    """

    epoch: int = 0
    batches: int = 0
    step: int = 0
    images: int = 0
    best_value: float | None = None
    best_epoch: int = 0
    stale: int = 0
    evaluations: int = 0
    start_value: float | None = None


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        status: ``finished``, ``stopped_early`` or ``interrupted``.
        progress: where it stands.
        start, last, best: metrics of the starting, the last and the best weights.
        worse_than_start: whether no weights better than the starting ones were found.
        seconds: spent in the training loop by this process, without evaluations.
        images_per_second: pictures a second in the training loop.
    """

    status: str
    progress: Progress
    start: dict[str, float]
    last: dict[str, float]
    best: dict[str, float]
    worse_than_start: bool
    seconds: float
    images_per_second: float
