"""By what a job that goes on where it was tells that a file has not changed since."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple


class Stamp(NamedTuple):
    """Length in bytes, and time of the last change in nanoseconds."""

    bytes: int
    changed: int


def stamp(file: Path) -> Stamp | None:
    """The stamp of a file as it is now; None if there is none."""
    try:
        status = os.stat(file)
    except OSError:
        return None
    return Stamp(status.st_size, status.st_mtime_ns)


def file_key(file: Path) -> str:
    """What a file is remembered by: its absolute path."""
    return str(file.absolute())


class StampedFiles:
    """Files, each stamped when it is asked for: before it is read, so that a later change is noticed.

    Attributes:
        stamps: of the files asked for, in order; whoever has dealt with a file takes its stamp away.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files
        self.stamps: deque[Stamp | None] = deque()

    def __iter__(self) -> Iterator[Path]:
        for file in self._files:
            self.stamps.append(stamp(file))
            yield file
