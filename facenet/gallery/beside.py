"""Private files and folders that appear whole or not at all: written beside, flushed to disk, renamed into place."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from facenet.errors import InputError, StorageError, printable
from facenet.training.files import TEMPORARY, flush_folder

FILE_MODE = 0o600
FOLDER_MODE = 0o700


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Write a new file that only its owner can read; it is there once the block has ended without an error.

    Raises:
        InputError: something is there already.
        StorageError: no space, no permission; nothing is left behind.
    """
    _refuse_existing(path)
    beside = path.with_name(TEMPORARY + path.name)
    try:
        beside.unlink(missing_ok=True)
        with open(beside, "xb", opener=_private) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.rename(beside, path)
        flush_folder(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Fill a new folder that only its owner can enter; it is there once the block has ended without an error.

    Yields:
        The folder to fill, which will be renamed to ``path``.

    Raises:
        InputError: something is there already.
        StorageError: no space, no permission; nothing is left behind.
    """
    _refuse_existing(path)
    beside = path.with_name(TEMPORARY + path.name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(mode=FOLDER_MODE)
        yield beside
        flush_folder(beside)
        os.rename(beside, path)
        flush_folder(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def make_private(path: Path) -> None:
    """Create an empty file that only its owner can read.

    Raises:
        OSError: it is there already, or cannot be made.
    """
    open(path, "xb", opener=_private).close()


def cannot_write(path: Path, error: OSError) -> StorageError:
    """Say why a place cannot be written and what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StorageError(f"no space left while writing {printable(path)}: free some and try again")
    reason = error.strerror.lower() if error.strerror else str(error)
    return StorageError(f"cannot write {printable(path)}: {reason}; choose another place")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, FILE_MODE)


def _refuse_existing(path: Path) -> None:
    if os.path.lexists(path):
        raise InputError(f"{printable(path)} is there already: name a new place, nothing is ever overwritten")
