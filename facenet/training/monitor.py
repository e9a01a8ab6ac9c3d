"""Where a run's numbers go: a JSON line each, TensorBoard event files, and whoever listens."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol

from torch.utils.tensorboard import SummaryWriter

from facenet.training.files import storage_error, write_and_flush
from facenet.training.runs import RunFolder


class Listener(Protocol):
    """Shows a run to a person. All methods are called from the training loop."""

    def started(self, epochs: int, steps: int, done: int) -> None:
        """A run of ``steps`` optimiser steps begins, ``done`` of them taken earlier."""

    def step(self, record: Mapping[str, Any]) -> None:
        """A step was taken: ``step``, ``epoch``, ``loss``, ``images_per_second``, ``seconds_left`` and the task's."""

    def evaluated(self, record: Mapping[str, Any]) -> None:
        """Held-out pictures were evaluated: ``epoch``, ``step``, ``metrics``, ``train``, ``best``."""

    def say(self, text: str) -> None:
        """One line worth reading."""

    def ended(self) -> None:
        """The run is over, whatever the reason."""


class Silence:
    """A listener that shows nothing, of training and of the work around it."""

    def started(self, epochs: int, steps: int, done: int) -> None:
        """Nothing."""

    def step(self, record: Mapping[str, Any]) -> None:
        """Nothing."""

    def evaluated(self, record: Mapping[str, Any]) -> None:
        """Nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def warn(self, text: str) -> None:
        """Nothing."""

    def ended(self) -> None:
        """Nothing."""

    def bar(self, what: str) -> Callable[[int, int | None], None]:
        """A bar that nobody sees."""
        return lambda done, total: None


class Monitor:
    """Writes a run's records; use as a context manager.

    Args:
        run: where ``metrics.jsonl`` and ``tensorboard/`` go.
        listener: told everything too.
        resumed_at: (epochs completed, steps taken) that the run goes on from; what an interrupted run recorded after
            that is dropped, for it is done again. None for a new run.
    """

    def __init__(self, run: RunFolder, listener: Listener, *, resumed_at: tuple[int, int] | None = None) -> None:
        self.listener = listener
        try:
            if resumed_at is not None:
                _drop_after(run.metrics, *resumed_at)
            self._lines: IO[str] = run.metrics.open("a", encoding="ascii")
            self._board = SummaryWriter(
                str(run.path / "tensorboard"), purge_step=None if resumed_at is None else resumed_at[1] + 1
            )
        except OSError as error:
            raise storage_error(run.path, error) from error
        self._path = run.metrics

    def __enter__(self) -> Monitor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.listener.ended()
        self._lines.close()
        self._board.close()

    def step(self, record: dict[str, Any]) -> None:
        """Record one optimiser step."""
        shown = {name: value for name, value in record.items() if name not in ("step", "epoch", "seconds_left")}
        self._write({"kind": "step", **record}, "train", shown)
        self.listener.step(record)

    def evaluated(self, record: dict[str, Any]) -> None:
        """Record one evaluation."""
        self._write({"kind": "evaluation", **record}, "heldout", record["metrics"])
        self.listener.evaluated(record)

    def _write(self, record: dict[str, Any], group: str, shown: Mapping[str, float]) -> None:
        try:
            self._lines.write(json.dumps(record, allow_nan=False) + "\n")
            self._lines.flush()
            for name, value in shown.items():
                # What a full disk did to its writing thread, TensorBoard raises here.
                self._board.add_scalar(f"{group}/{name}", value, record["step"])
        except OSError as error:
            raise storage_error(self._path, error) from error


def read_records(path: Path) -> list[dict[str, Any]]:
    """Read ``metrics.jsonl`` back; a last line that was cut off while being written is passed over."""
    records = []
    for line in path.read_text(encoding="ascii").splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            continue
    return records


def _drop_after(path: Path, epoch: int, step: int) -> None:
    if not path.exists():
        return
    # An evaluation bears the number of epochs completed before it. It may have been taken after the last step that
    # was saved: then the epoch's end, which is no step, is done again.
    kept = [
        record
        for record in read_records(path)
        if record["step"] <= step and (record["kind"] == "step" or record["epoch"] <= epoch)
    ]
    beside = path.with_name(path.name + ".kept")
    write_and_flush(beside, "".join(json.dumps(record) + "\n" for record in kept).encode("ascii"))
    os.replace(beside, path)
