"""A gallery's folder, looked at from outside: who may read it, what lies in it, and whether its log is whole."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from facenet.errors import GalleryError, UsageError, printable
from facenet.gallery.beside import FILE_MODE, FOLDER_MODE
from facenet.gallery.cache import FILE_NAME
from facenet.gallery.cache_file import CacheError, CacheFile
from facenet.gallery.findings import Finding, Severity
from facenet.gallery.pages import read_log
from facenet.gallery.schema import DATABASE_NAME, REPAIRED_NAME
from facenet.training.files import TEMPORARY

DAMAGED_NAME = "gallery.damaged-"
"""How the files begin that a repair has kept."""

_HARMLESS = (TEMPORARY + FILE_NAME, ".creating-")
"""Half an index, which every removal looks after, and half an empty gallery."""

_PAUSE = 0.2


def folder_of(location: str | Path) -> Path:
    """The folder a location means.

    Raises:
        UsageError: it is not a folder's.
    """
    scheme, _, rest = str(location).partition(":")
    if scheme == "memory":
        raise UsageError("a gallery in memory has no files: name a folder")
    return Path(rest if scheme == "file" else location)


def gallery_folder(location: str | Path) -> Path:
    """The folder of a gallery on disk, however damaged it is.

    Raises:
        GalleryError: there is none.
        UsageError: the location is not a folder's.
    """
    folder = folder_of(location)
    names = (DATABASE_NAME, f"{DATABASE_NAME}-wal", REPAIRED_NAME)
    if not any((folder / name).is_file() for name in names):
        raise GalleryError(f"there is no gallery at {printable(folder)}: name the folder of one")
    return folder


def check_files(folder: Path) -> Iterator[Finding]:
    """Modes of the files, and what does not belong among them."""
    if _open_to_others(folder):
        yield _mode(folder, FOLDER_MODE)
    for entry in sorted(folder.iterdir()):
        shown = printable(entry.name)
        if entry.name == REPAIRED_NAME:
            message = "a repair was interrupted before its outcome was put in place"
            yield Finding(Severity.DAMAGE, "repair-interrupted", message, "run `gallery repair` again")
        elif entry.name.startswith(DAMAGED_NAME):
            message = f"{shown} was kept by a repair and holds biometric data"
            yield Finding(Severity.NOTE, "kept-aside", message, "delete it as soon as it is not needed any more")
        elif entry.name.startswith(_HARMLESS):
            message = f"{shown} was left behind by something that was interrupted"
            yield Finding(Severity.NOTE, "left-over", message, "it goes with the next removal, or when it is deleted")
        elif entry.name.startswith(TEMPORARY):
            message = f"{shown} was left behind by something that was interrupted, and may hold biometric data"
            yield Finding(Severity.WARNING, "left-over", message, "delete it, unless something is running just now")
        if entry.is_file() and entry.name.startswith(("gallery.", "index.")) and _open_to_others(entry):
            yield _mode(entry, FILE_MODE)


def check_log(database: Path) -> Iterator[Finding]:
    """A damaged place in the write-ahead log: SQLite would pass over all that was acknowledged after it."""
    log = database.with_name(f"{database.name}-wal")
    before = _broken_log(log)
    if before is None:
        return
    # Another process may just have begun the log anew.
    time.sleep(_PAUSE)
    if _broken_log(log) == before:
        message = "the write-ahead log is damaged: what was written from the damaged place on is passed over"
        advice = "run `gallery repair` before anything else: opening the gallery would discard it for good"
        yield Finding(Severity.DAMAGE, "log", message, advice)


def check_cache(folder: Path, gallery: str, history: str) -> Iterator[Finding]:
    """An index kept beside the database that would not be used any more.

    Args:
        folder: of the gallery.
        gallery, history: whose index it must be.
    """
    problem = _cache_problem(folder / FILE_NAME, gallery, history)
    if problem:
        # It may just have been written or erased from.
        time.sleep(_PAUSE)
        problem = _cache_problem(folder / FILE_NAME, gallery, history)
    if problem:
        advice = f"it is replaced when the gallery is next searched; until then {FILE_NAME} can be deleted"
        yield Finding(Severity.WARNING, "index-cache", f"the index cache {problem}", advice)


def _cache_problem(file: Path, gallery: str, history: str) -> str:
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return ""
    try:
        cache = CacheFile(handle)
        for name in cache.sections:
            cache.read(name)
    except CacheError as error:
        return str(error)
    finally:
        os.close(handle)
    if (cache.about.get("gallery"), cache.about.get("history")) != (gallery, history):
        return "is of an earlier state of the gallery and may hold embeddings that were removed"
    return ""


def _broken_log(log: Path) -> bytes | None:
    """The header of a log with a damaged place; None for one without, and where there is no log."""
    try:
        contents = log.read_bytes()
    except FileNotFoundError:
        return None
    frames = read_log(contents)
    return contents[:32] if frames is not None and frames.broken else None


def _open_to_others(path: Path) -> bool:
    return os.name == "posix" and bool(path.stat().st_mode & 0o077)


def _mode(path: Path, wanted: int) -> Finding:
    shown, found = printable(path.name), path.stat().st_mode & 0o777
    message = f"others than the owner may use {shown} (mode {found:04o})"
    return Finding(Severity.WARNING, "file-mode", message, f"chmod {wanted:04o} {shown}")
