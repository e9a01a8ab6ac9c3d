"""How a running job looks at a terminal, or in a log file: everything on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text


class Screen:
    """Shows a job: bars at a terminal, plain lines elsewhere. Use as a context manager."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, width=None if sys.stderr.isatty() else 140, highlight=False)
        self._live = sys.stderr.isatty()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self._live,
        )
        self._training: TaskID | None = None

    def __enter__(self) -> Screen:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def started(self, epochs: int, steps: int, done: int) -> None:
        """Show the bar of a training run."""
        self._training = self._progress.add_task("training", total=steps, completed=done, figures="")

    def step(self, record: Mapping[str, Any]) -> None:
        """Move the bar."""
        if self._training is None:
            return
        figures = [f"loss {record['loss']:.4f}"]
        if "active" in record:
            figures.append(f"active {record['active']:.0%}")
        if "batch_accuracy" in record:
            figures.append(f"right {record['batch_accuracy']:.0%}")
        figures.append(f"{record['images_per_second']:.0f} images/s")
        self._progress.update(
            self._training,
            completed=record["step"],
            description=f"epoch {record['epoch']}",
            figures="  ".join(figures),
        )

    def evaluated(self, record: Mapping[str, Any]) -> None:
        """One line for every evaluation: held-out pictures, then the epoch's training pictures."""
        # Not for all who show a bar: it brings torch.
        from facenet.workflows.listeners import evaluation_line

        self.say(evaluation_line(record))

    def say(self, text: str) -> None:
        """One line."""
        self.console.print(Text(text), soft_wrap=True)

    def warn(self, text: str) -> None:
        """One line that must not be missed."""
        self.console.print(Text(f"WARNING: {text}", style="bold red"), soft_wrap=True)

    def ended(self) -> None:
        """Take the training bar away."""
        if self._training is not None:
            self._progress.remove_task(self._training)
            self._training = None

    def bar(self, what: str) -> Callable[[int, int | None], None]:
        """A bar that appears at the first report and goes when all is done."""
        task: TaskID | None = None

        def report(done: int, total: int | None) -> None:
            nonlocal task
            if task is None:
                task = self._progress.add_task(what, total=total, figures="")
            self._progress.update(task, completed=done, total=total)
            if done == total:
                self._progress.remove_task(task)
                task = None

        return report
