"""What SQLite reports, in words that say what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from facenet.errors import FacenetError, GalleryError, StorageError

_PRIMARY = 0xFF
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
_FULL = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})
_CLOSED = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_AUTH})


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Turn what SQLite raises within the block into errors a user can act on.

    What can only be a mistake in this package is left as it is.

    Args:
        place: where the gallery is, fit for a message.

    Raises:
        StorageError: no space, no permission, or busy for too long.
        GalleryError: damaged.
    """
    try:
        yield
    except sqlite3.Error as error:
        known = _known(error, place)
        if known is None:
            raise
        raise known from error
    except UnicodeDecodeError as error:
        # What SQLite says of a damaged schema quotes it, whatever bytes that holds.
        raise damaged(place, "its database cannot be read") from error


def is_busy(error: sqlite3.Error) -> bool:
    """Whether trying again can help: somebody else is writing."""
    return _code(error) in _BUSY


def damaged(place: str, what: str) -> GalleryError:
    """The error for content that cannot be right."""
    return GalleryError(f"{place} is damaged: {what}; `gallery check` says more, `gallery repair` saves what it can")


def _known(error: sqlite3.Error, place: str) -> FacenetError | None:
    code = _code(error)
    if code in _BUSY:
        return StorageError(f"{place} is busy: others have been writing for too long; try again later")
    if code in _FULL:
        return StorageError(
            f"no space left at {place}, or its disk fails: free some space and try again; "
            "what was acknowledged before is safe, this was not written"
        )
    if code in _CLOSED:
        return StorageError(f"{place} cannot be written: it needs a place and files that this account may write")
    # Text that is no UTF-8 comes without a code, and with the text itself in the message.
    if code in _DAMAGED or (code is None and isinstance(error, sqlite3.OperationalError)):
        return damaged(place, "its database cannot be read")
    return None


def _code(error: sqlite3.Error) -> int | None:
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & _PRIMARY
