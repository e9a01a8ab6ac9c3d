"""Files of results: written whole or not at all, and tables that any program can read."""

from __future__ import annotations

import csv
import errno
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from filelock import FileLock, Timeout

from facenet.errors import InputError, StorageError, printable
from facenet.training.files import TEMPORARY, flush_folder

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_whole(path: Path, pieces: Iterable[bytes]) -> None:
    """Write a file, piece after piece, so that it appears whole or not at all; one that was there is replaced.

    Raises:
        StorageError: no space, no permission; what was there before is untouched.
    """
    beside = path.with_name(TEMPORARY + path.name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with beside.open("wb") as stream:
                stream.writelines(pieces)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(beside, path)
        finally:
            beside.unlink(missing_ok=True)
        flush_folder(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error


@contextmanager
def held(folder: Path, lock: str) -> Iterator[None]:
    """A folder, made if need be, that no other process writes to meanwhile.

    Args:
        lock: name of the lock's file in it.

    Raises:
        InputError: another process is at it.
        StorageError: it cannot be made.
    """
    file = FileLock(folder / lock, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file.acquire()
    except Timeout as error:
        raise InputError(f"another process is writing to {printable(folder)}: wait for it to end") from error
    except OSError as error:
        raise cannot_write(folder, error) from error
    try:
        yield
    finally:
        file.release()


def cannot_write(path: Path, error: OSError) -> StorageError:
    """Say why results cannot be written, and what to do."""
    if error.errno in _FULL:
        return StorageError(
            f"no space left while writing {printable(path)}: free some and run the same command again; it goes on "
            "where it was"
        )
    reason = error.strerror.lower() if error.strerror else str(error)
    return StorageError(f"cannot write {printable(path)}: {reason}")


def csv_pieces(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[bytes]:
    """A table as CSV (RFC 4180, UTF-8), line by line; None is an empty cell.

    Bytes of a file name that are no UTF-8 are shown escaped, so that one name cannot spoil the table.
    """
    for row in chain([columns], rows):
        text = io.StringIO()
        csv.writer(text).writerow(["" if cell is None else cell for cell in row])
        yield text.getvalue().encode("utf-8", "backslashreplace")
