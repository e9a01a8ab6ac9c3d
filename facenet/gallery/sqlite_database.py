"""One SQLite database: connections, transactions that wait for each other, and the clean-up after a removal.

A :class:`Database` has one connection, shared by all threads behind a lock; what reads for long gets a connection of
its own (:meth:`Database.snapshot`). Processes wait for each other. A connection must not cross a ``fork``.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from facenet.errors import StorageError, UsageError
from facenet.gallery.schema import PAGE_SIZE
from facenet.gallery.sqlite_errors import is_busy, translated

T = TypeVar("T")

PATIENCE = 120.0
"""Seconds to wait for other writers before giving up."""

_SLICE = 0.25
"""Seconds SQLite waits by itself before it comes back to us; until then the process cannot be interrupted."""

_PRAGMAS = (
    "PRAGMA foreign_keys = ON",
    "PRAGMA secure_delete = ON",
    "PRAGMA synchronous = FULL",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cell_size_check = ON",
    "PRAGMA cache_size = -16000",
)


def connect(path: Path | None) -> sqlite3.Connection:
    """Connect to a database file that is there, or to a new one in memory (None), with all settings a gallery needs.

    The file is never created here: SQLite would make it readable for others.

    Raises:
        sqlite3.Error: cannot be opened, or is no database.
    """
    name = ":memory:" if path is None else f"{path.absolute().as_uri()}?mode=rw"
    connection = sqlite3.connect(name, uri=True, isolation_level=None, check_same_thread=False, timeout=_SLICE)
    try:
        for pragma in _PRAGMAS:
            connection.execute(pragma)
    except BaseException:
        connection.close()
        raise
    return connection


def prepare(connection: sqlite3.Connection) -> None:
    """Settings that are made once, in a database that is still empty."""
    connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
    connection.execute("PRAGMA journal_mode = WAL")


class Database:
    """Transactions on one database file, or on one in memory.

    Args:
        connection: from :func:`connect`; the database owns it from now on.
        path: of the file; None: in memory.
        place: for messages.
        patience: seconds to wait for other writers.
    """

    def __init__(
        self, connection: sqlite3.Connection, path: Path | None, place: str, patience: float = PATIENCE
    ) -> None:
        self.path = path
        self.place = place
        self._patience = patience
        self._open: sqlite3.Connection | None = connection
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._writes = 0

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Read and write as one step, on disk when the block has ended; undone if it raises.

        Raises:
            StorageError: no space, no permission, or others are writing for too long.
            GalleryError: damaged.
        """
        with self._lock, translated(self.place):
            connection = self._connection()
            self.patiently(lambda: connection.execute("BEGIN IMMEDIATE"))
            self._writes += 1
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            finally:
                # Once more, for what was read within the transaction may have been undone.
                self._writes += 1

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Several short queries as of one moment; within a transaction of the same thread, a part of it.

        Raises:
            GalleryError: damaged.
        """
        with self._lock, translated(self.place):
            connection = self._connection()
            if connection.in_transaction:
                yield connection
                return
            self.patiently(lambda: _begin_reading(connection))
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Long queries as of one moment, which keep nobody from reading or writing.

        In memory this is a copy.

        Raises:
            GalleryError: damaged.
        """
        with translated(self.place):
            with self._lock:
                own = self._connection()
                connection = connect(self.path)
                if self.path is None:
                    own.backup(connection)
            try:
                self.patiently(lambda: _begin_reading(connection))
                yield connection
            finally:
                connection.close()

    def stamp(self) -> tuple[int, int]:
        """Changes with every commit, of ours and of others, and costs a few microseconds."""
        with self._lock, translated(self.place):
            connection = self._connection()
            found = self.patiently(lambda: connection.execute("PRAGMA data_version").fetchone())
            return found[0], self._writes

    def empty_log(self, wait: float) -> bool:
        """Bring the write-ahead log over into the database file and cut it to nothing.

        Args:
            wait: seconds to wait for readers and writers that still need it.

        Returns:
            Whether it is empty; if not, somebody still reads an earlier state of the database.
        """
        with self._lock, translated(self.place):
            connection = self._connection()
            deadline = time.monotonic() + wait
            connection.execute(f"PRAGMA busy_timeout = {round(1000 * min(wait, _SLICE))}")
            try:
                while _checkpoint(connection):
                    if time.monotonic() >= deadline:
                        return False
                return True
            finally:
                connection.execute(f"PRAGMA busy_timeout = {round(1000 * _SLICE)}")

    def rewrite(self) -> None:
        """Write the whole database anew from its rows, so that nothing else is left in it.

        Takes as much memory, and for a while as much space, as the database has.
        """
        with self._lock, translated(self.place):
            connection = self._connection()
            self.patiently(lambda: connection.execute("VACUUM"))
            self._writes += 1

    def patiently(self, action: Callable[[], T]) -> T:
        """Do something again and again while others are in the way, until the patience is over."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return action()
            except sqlite3.OperationalError as error:
                if not is_busy(error) or time.monotonic() >= deadline:
                    raise

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._open is None

    def close(self) -> None:
        """Let go of the file; closing twice is fine."""
        with self._lock, translated(self.place):
            if self._open is not None:
                self._open.close()
                self._open = None

    def _connection(self) -> sqlite3.Connection:
        if self._open is None:
            raise UsageError(f"{self.place} has been closed")
        if os.getpid() != self._process:
            raise StorageError(f"{self.place} was opened before the process forked: open it in each process")
        return self._open


def _begin_reading(connection: sqlite3.Connection) -> None:
    """Begin a transaction that sees the database as it is now (BEGIN alone would wait for the first query)."""
    connection.execute("BEGIN")
    try:
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _checkpoint(connection: sqlite3.Connection) -> bool:
    """Whether somebody was in the way."""
    try:
        busy: int = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    except sqlite3.OperationalError as error:
        if not is_busy(error):
            raise
        return True
    return bool(busy)
