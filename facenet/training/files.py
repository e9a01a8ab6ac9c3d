"""Files that are whole or not there: written beside, flushed to disk, renamed into place."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facenet.errors import CheckpointError, StorageError, printable

_LARGEST_JSON = 64 * 1024 * 1024
TEMPORARY = ".writing-"


def write_folder(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write a new folder of files so that it appears whole or not at all, even if the machine stops half-way.

    Raises:
        StorageError: no space, no permission; what was there before is untouched.
    """
    beside = folder.parent / f"{TEMPORARY}{folder.name}"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir()
        for name, data in contents.items():
            write_and_flush(beside / name, data)
        flush_folder(beside)
        os.rename(beside, folder)
        flush_folder(folder.parent)
    except OSError as error:
        shutil.rmtree(beside, ignore_errors=True)
        raise storage_error(folder, error) from error


def write_json(path: Path, document: object) -> None:
    """Write one JSON document so that it appears whole or not at all.

    Raises:
        StorageError: no space, no permission.
    """
    beside = path.with_name(TEMPORARY + path.name)
    try:
        write_and_flush(beside, to_json(document))
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise storage_error(path, error) from error


def to_json(document: object) -> bytes:
    """A JSON document as ASCII bytes; NaN and infinity are refused."""
    return (json.dumps(document, indent=2, ensure_ascii=True, allow_nan=False) + "\n").encode("ascii")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file of bounded size.

    Raises:
        CheckpointError: not there, too large, no JSON, or no object.
    """
    try:
        if path.stat().st_size > _LARGEST_JSON:
            raise CheckpointError(f"{printable(path)} is too large to be one of ours")
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"cannot read {printable(path)}: {_reason(error)}") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{printable(path)} is damaged: it is no valid JSON") from error
    if not isinstance(document, dict):
        raise CheckpointError(f"{printable(path)} is not one of ours: it holds no JSON object")
    return document


def write_and_flush(path: Path, data: bytes) -> None:
    """Write a file and wait until it is on disk."""
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def flush_folder(folder: Path) -> None:
    """Wait until names in a folder are on disk (where the system can do that)."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def storage_error(path: Path, error: OSError) -> StorageError:
    """Say why a place cannot be written and what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StorageError(
            f"no space left while writing {printable(path)}: free some and go on with --check 1; "
            "what was saved before is untouched"
        )
    return StorageError(f"cannot write {printable(path)}: {_reason(error)}; choose another place with --run-dir")


def _reason(error: OSError) -> str:
    return error.strerror.lower() if error.strerror else str(error)
