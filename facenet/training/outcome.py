"""Where a run stands, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


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
        sums: loss and figures of the epoch's pictures so far, each batch's times its pictures.
        counts: the pictures each of them rests on.
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
    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, figures: Mapping[str, float], images: int) -> None:
        """Count a batch in."""
        for name, value in figures.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * images
            self.counts[name] = self.counts.get(name, 0) + images

    def means(self) -> dict[str, float]:
        """Means over the epoch's pictures so far, by name."""
        return {name: value / self.counts[name] for name, value in self.sums.items()}


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        status: ``finished``, ``stopped_early`` or ``interrupted``.
        progress: where it stands.
        start, last, best: metrics of the starting, the last and the best weights.
        train: mean loss and figures over the training pictures of the last epoch, each batch's as it was when the batch
            was learned from.
        worse_than_start: whether no weights better than the starting ones were found.
        seconds: spent in the training loop by this process, without evaluations.
        images_per_second: pictures a second in the training loop.
    """

    status: str
    progress: Progress
    start: dict[str, float]
    last: dict[str, float]
    best: dict[str, float]
    train: dict[str, float]
    worse_than_start: bool
    seconds: float
    images_per_second: float
