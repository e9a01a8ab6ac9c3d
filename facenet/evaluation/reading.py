"""Photos from disk, decoded ahead of whoever looks at them by one thread, within a bound on memory."""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from facenet.errors import UnreadableImage
from facenet.images import decode_image, read_picture_bytes

WINDOW = 32
"""Pictures looked at together at most."""

WINDOW_PIXELS = 12_000_000
"""A window is closed by the picture with which it reaches so many pixels."""

_ROOM = 2 * WINDOW_PIXELS
"""While so many pixels are decoded and in use, no further picture is decoded: one window in use, one ahead."""


@dataclass(frozen=True, eq=False)
class Picture:
    """One file, read.

    Attributes:
        path: as it was given.
        content: SHA-256 (hex) of its bytes, ``""`` if these cannot be read.
        image: ``uint8 (H, W, 3)``, upright; None if it cannot be decoded.
        problem: why it cannot be used, ``""`` if it can.
    """

    path: Path
    content: str
    image: np.ndarray | None
    problem: str = ""


def read_windows(
    paths: Iterable[Path], *, at_least: tuple[int, int] | None = None
) -> Generator[list[Picture], None, None]:
    """Read files in order, a window at a time, while the windows before are being worked on.

    The thread that reads uses no torch operator: it would start a second team of computing threads, and the two would
    fight over the cores. At most 24 million pixels and one picture more are in memory, whatever is read.

    Args:
        paths: files; asked for one by one, by the thread that asks for windows.
        at_least: see :func:`facenet.images.load_image`.

    Returns:
        A generator of windows of 1 to 32 pictures. A window counts as used up when the next one is asked for. Closing
        the generator ends the thread.

    Raises:
        Exception: while iterating, whatever went wrong in the thread other than an unreadable picture.
    """
    reader = _Reader(at_least)
    waiting = iter(paths)
    ahead: deque[Future[Picture]] = deque()
    try:
        ahead.extend(reader.ask(path) for path in islice(waiting, 2 * WINDOW))
        while ahead:
            window: list[Picture] = []
            pixels = 0
            while ahead and len(window) < WINDOW and pixels < WINDOW_PIXELS:
                window.append(ahead.popleft().result())
                pixels += _pixels(window[-1])
            ahead.extend(reader.ask(path) for path in islice(waiting, len(window)))
            yield window
            # Not kept alive by this frame while the next window fills up.
            del window
            reader.give_back(pixels)
    finally:
        reader.close()


class _Reader:
    """One thread that reads what it is asked for, in order, as long as not too much of it is in use.

    A daemon: if whoever holds the generator never closes it, the thread must not keep the program from ending.
    """

    def __init__(self, at_least: tuple[int, int] | None) -> None:
        self._at_least = at_least
        self._asked: deque[tuple[Path, Future[Picture]]] = deque()
        self._used = 0
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="photo-reader", daemon=True)
        self._thread.start()

    def ask(self, path: Path) -> Future[Picture]:
        """Have one more file read."""
        future: Future[Picture] = Future()
        with self._changed:
            self._asked.append((path, future))
            self._changed.notify()
        return future

    def give_back(self, pixels: int) -> None:
        """So many pixels are no longer in use."""
        with self._changed:
            self._used -= pixels
            self._changed.notify()

    def close(self) -> None:
        """End the thread, after the picture it is at."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or (self._asked and self._used < _ROOM))
                if self._closed:
                    return
                path, future = self._asked.popleft()
            try:
                picture = _read(path, self._at_least)
            except BaseException as error:  # noqa: BLE001 - not swallowed: it is raised where the picture is used
                future.set_exception(error)
            else:
                with self._changed:
                    self._used += _pixels(picture)
                future.set_result(picture)
                del picture
            del future


def _read(path: Path, at_least: tuple[int, int] | None) -> Picture:
    content = ""
    try:
        data = read_picture_bytes(path)
        content = hashlib.sha256(data).hexdigest()
        return Picture(path, content, decode_image(data, path, at_least=at_least))
    except UnreadableImage as error:
        return Picture(path, content, None, error.reason)


def _pixels(picture: Picture) -> int:
    return 0 if picture.image is None else picture.image.shape[0] * picture.image.shape[1]
