"""Run folders: ``RUNS/TASK-NNN``, one for each run, never written into twice by different runs.

``run.json``        command, configuration, data counts, versions
``metrics.jsonl``   a line for every step and evaluation
``tensorboard/``    the same as event files
``checkpoints/``    see :mod:`facenet.training.checkpoint`
``summary.json``    how it ended
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from facenet.errors import StorageError
from facenet.training.checkpoint import newest, usable
from facenet.training.files import storage_error

_NAME = re.compile(r"(triplet|classification|siamese)-(\d{3,})")
_MOST_RUNS = 100_000


@dataclass(frozen=True)
class RunFolder:
    """One run's folder."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        """Where the run's checkpoints lie."""
        return self.path / "checkpoints"

    @property
    def metrics(self) -> Path:
        """A JSON line for every step and evaluation."""
        return self.path / "metrics.jsonl"

    @property
    def number(self) -> int:
        """Counts up over the runs of a task."""
        match = _NAME.fullmatch(self.path.name)
        return int(match.group(2)) if match else 0

    def resumable(self) -> Path | None:
        """The checkpoint to resume from, if there is one."""
        return newest(self.checkpoints, "last")

    def usable(self) -> Path | None:
        """The checkpoint to use: the best one, or the last of a run that has not been evaluated."""
        return usable(self.checkpoints)


def create_run(runs: Path, task: str) -> RunFolder:
    """Make the next folder for a run of ``task`` below ``runs``.

    Raises:
        StorageError: it cannot be made.
    """
    existing = [run.number for run in list_runs(runs, task)]
    try:
        runs.mkdir(parents=True, exist_ok=True)
        for number in range(max(existing, default=0) + 1, _MOST_RUNS):
            path = runs / f"{task}-{number:03d}"
            try:
                path.mkdir()
            except FileExistsError:
                # Another process took this number since we looked.
                continue
            return RunFolder(path)
    except OSError as error:
        raise storage_error(runs, error) from error
    raise StorageError(f"no free run number below {_MOST_RUNS}")


def list_runs(runs: Path, task: str | None = None) -> list[RunFolder]:
    """All runs below ``runs``, of one task or of any, oldest number first."""
    if not runs.is_dir():
        return []
    found = []
    for entry in runs.iterdir():
        match = _NAME.fullmatch(entry.name)
        if match and entry.is_dir() and task in (None, match.group(1)):
            found.append(RunFolder(entry))
    return sorted(found, key=lambda run: (run.number, run.path.name))


def newest_checkpoint(runs: Path, task: str | None = None) -> Path | None:
    """The usable checkpoint that was written last, over all runs of a task or of any; it is not opened."""
    usable = [path for run in list_runs(runs, task) if (path := run.usable()) is not None]
    return max(usable, key=lambda path: (path.stat().st_mtime_ns, path.name), default=None)
