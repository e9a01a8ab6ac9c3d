"""What all sets of drawn pictures share: bounds, a source of chance for each picture, folders filled all at once."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral
from pathlib import Path

import numpy as np

from facenet.errors import InputError, StorageError, UsageError, printable

MOST_PEOPLE = 100_000
MOST_PICTURES = 1_000
MOST_SEED = 2**63 - 1
SIZES = (32, 1024)
"""Smallest and largest side of a picture in pixels."""


def generator(seed: int, *key: int) -> np.random.Generator:
    """A source of its own for every person and every picture, whatever else is drawn."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


def whole(name: str, value: object, low: int, high: int) -> int:
    """``value`` if it is a whole number within bounds.

    Raises:
        UsageError: it is not; the message calls it ``name``.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or not low <= int(value) <= high:
        raise UsageError(f"{name} must be a whole number from {low:,} to {high:,}, not {printable(value)}")
    return int(value)


@contextmanager
def filled_at_once(root: Path) -> Iterator[Path]:
    """A hidden folder inside ``root`` to write into; what is in it moves up when all is written, else it vanishes.

    Args:
        root: folder to fill; made if it is not there, with its parents.

    Raises:
        InputError: ``root`` is a file, or a folder with something in it.
        StorageError: ``root`` cannot be written.
    """
    try:
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise InputError(f"{printable(root)} is not an empty folder: name a new one, or clear it yourself")
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".drawing-", dir=root) as name:
            unfinished = Path(name)
            yield unfinished
            for folder in sorted(unfinished.iterdir()):
                folder.rename(root / folder.name)
    except OSError as error:
        raise StorageError(f"cannot write drawn pictures to {printable(root)}: {error.strerror or error}") from error
