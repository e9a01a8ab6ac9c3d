"""The folder a gallery lives in: made so that nobody else can read it, and never half made."""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Callable
from pathlib import Path

from facenet.errors import GalleryError, StorageError, printable
from facenet.gallery.beside import FILE_MODE, FOLDER_MODE, cannot_write
from facenet.gallery.schema import DATABASE_NAME, REPAIRED_NAME
from facenet.gallery.sqlite_database import connect
from facenet.training.files import flush_folder

_CREATING = ".creating-"
_SIDE_FILES = ("", "-wal", "-shm", "-journal")


def create_database(folder: Path, fill: Callable[[sqlite3.Connection], None]) -> Path:
    """Make a gallery's folder and database; returns the database's path.

    The database is filled beside its place and linked there when it is whole and on disk. Folder and file can be
    read by nobody else from the first byte on, whatever the umask; SQLite gives its side files the same mode.

    Args:
        folder: not there, or empty.
        fill: writes the tables.

    Raises:
        GalleryError: something lies there already.
        StorageError: the place cannot be written.
    """
    target = folder / DATABASE_NAME
    try:
        _require_free(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
        os.chmod(folder, FOLDER_MODE)
        beside = folder / f"{_CREATING}{secrets.token_hex(8)}"
        try:
            _make_private(beside)
            connection = connect(beside)
            try:
                fill(connection)
            finally:
                connection.close()
            _put_in_place(beside, target)
        finally:
            for suffix in _SIDE_FILES:
                Path(f"{beside}{suffix}").unlink(missing_ok=True)
        flush_folder(folder)
        flush_folder(folder.parent)
    except OSError as error:
        raise cannot_write(folder, error) from error
    return target


def find_database(folder: Path) -> Path:
    """Path of the database of a gallery that is there and may be written.

    Raises:
        GalleryError: nothing there, something else there, or a repair was cut short.
        StorageError: it belongs to somebody else, or cannot be written.
    """
    shown, path = printable(folder), folder / DATABASE_NAME
    try:
        if folder.is_file():
            raise GalleryError(f"{shown} is a file: a gallery is a folder")
        if folder.is_dir() and not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise StorageError(f"{shown} cannot be opened: {_whose(folder)}")
        if not os.path.lexists(path):
            if folder.is_dir() and not is_free(folder):
                raise GalleryError(f"{shown} is a folder of something else: there is no {DATABASE_NAME} in it")
            raise GalleryError(f"there is no gallery at {shown}: enroll somebody to make one, or name another place")
        if not path.is_file():
            raise GalleryError(f"{shown} is not one of our galleries: {DATABASE_NAME} in it is no file")
        if os.path.lexists(folder / REPAIRED_NAME):
            raise GalleryError(f"a repair of {shown} was interrupted: run `gallery repair` again")
        if not os.access(path, os.R_OK | os.W_OK):
            raise StorageError(f"{shown} cannot be opened: {_whose(path)}")
    except OSError as error:
        reason = error.strerror.lower() if error.strerror else str(error)
        raise StorageError(f"{shown} cannot be opened: {reason}") from error
    return path


def is_free(folder: Path) -> bool:
    """Whether a folder holds nothing but what a creation that was cut short left behind."""
    return all(entry.name.startswith(_CREATING) for entry in folder.iterdir())


def _require_free(folder: Path) -> None:
    shown = printable(folder)
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise GalleryError(f"{shown} is a file: a gallery is a folder, name another place")
    if os.path.lexists(folder / DATABASE_NAME):
        raise _taken(folder)
    if not is_free(folder):
        raise GalleryError(f"{shown} is a folder of something else: name an empty or a new one")


def _put_in_place(beside: Path, target: Path) -> None:
    """Unlike renaming, this fails if another process was quicker."""
    try:
        os.link(beside, target)
    except FileExistsError as error:
        raise _taken(target.parent) from error


def _taken(folder: Path) -> GalleryError:
    return GalleryError(f"there is a gallery at {printable(folder)} already: open it, or name another place")


def _make_private(path: Path) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, FILE_MODE))
    # The umask may have taken more away than it should.
    os.chmod(path, FILE_MODE)


def _whose(path: Path) -> str:
    status = path.stat()
    return (
        f"this account may not read and write it (owner is user {status.st_uid}, mode {status.st_mode & 0o777:03o}, "
        "or the disk is read-only): ask the owner, or use a copy of your own"
    )
