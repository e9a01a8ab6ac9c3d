"""What is remembered of every picture once its file was read: enough to tell copies, too little to fill the memory."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facenet.data.duplicates import LOOK_BYTES, look
from facenet.data.loaders import usable_cores
from facenet.errors import UnreadableImage
from facenet.images import decode_image, read_picture_bytes

Progress = Callable[[int, int], None]
"""Called with (pictures done, pictures in all)."""

_BLOCK = 512
_MOST_THREADS = 8

_LARGE_ENOUGH = (64, 64)
"""To judge a picture's look, a JPEG need not be decoded at full size; all of its data are read all the same."""


@dataclass(frozen=True, eq=False)
class Contents:
    """What was found in ``n`` files.

    Attributes:
        digests: SHA-256 of each file, empty where it is unreadable.
        looks: ``uint8 (n, 264)``, see :func:`facenet.data.duplicates.look`; zeros where unreadable.
        unreadable: row → reason.
    """

    digests: list[bytes]
    looks: np.ndarray
    unreadable: dict[int, str]

    def twins(self) -> list[list[int]]:
        """Groups of rows with the same bytes, in order of their first."""
        rows: dict[bytes, list[int]] = defaultdict(list)
        for row, digest in enumerate(self.digests):
            if digest:
                rows[digest].append(row)
        return [group for group in rows.values() if len(group) > 1]


def read_contents(files: Sequence[Path], *, threads: int | None = None, progress: Progress | None = None) -> Contents:
    """Read and decode every file once, several at a time (the decoders run outside Python's lock).

    Args:
        files: pictures.
        threads: files read at a time, and so pictures held in memory; default: one for each core, at most 8.
        progress: told how far it is.
    """
    threads = min(_MOST_THREADS, usable_cores()) if threads is None else threads
    contents = Contents([], np.zeros((len(files), LOOK_BYTES), dtype=np.uint8), {})
    with ThreadPoolExecutor(threads, thread_name_prefix="contents") as pool:
        # In blocks: a pool takes all it is given at once, and a million files asked for are a million objects.
        for start in range(0, len(files), _BLOCK):
            for row, reading in enumerate(pool.map(_read, files[start : start + _BLOCK]), start):
                if isinstance(reading, str):
                    contents.digests.append(b"")
                    contents.unreadable[row] = reading
                else:
                    contents.digests.append(reading[0])
                    contents.looks[row] = reading[1]
                if progress is not None:
                    progress(row + 1, len(files))
    return contents


def _read(file: Path) -> tuple[bytes, np.ndarray] | str:
    """Digest and look of one picture, or the reason why it cannot be read."""
    try:
        data = read_picture_bytes(file)
        image = decode_image(data, file, at_least=_LARGE_ENOUGH)
    except UnreadableImage as error:
        return error.reason
    return hashlib.sha256(data).digest(), look(image)
