"""Galleries in SQLite: on disk, or in memory for tests and throw-away use."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Self

from facenet.errors import GalleryError, UsageError, printable
from facenet.gallery.records import Header
from facenet.gallery.schema import DATABASE_NAME, create_tables, migrate
from facenet.gallery.sqlite_database import Database, connect, prepare
from facenet.gallery.sqlite_errors import translated
from facenet.gallery.sqlite_folder import create_database, find_database
from facenet.gallery.sqlite_header import header_values, new_header
from facenet.gallery.sqlite_store import SqlStore
from facenet.gallery.sqlite_writing import account, write_audit


class SqliteStore(SqlStore):
    """A gallery on disk: a folder with an SQLite database and whatever an index caches."""

    @classmethod
    def create(cls, place: str, header: Header) -> Self:
        """Make a new gallery in a folder that is not there or empty.

        Raises:
            GalleryError: something lies there already.
            StorageError: the place cannot be written.
        """
        with translated(printable(place)):
            create_database(Path(place), lambda connection: _fill(connection, header))
        return cls.open(place)

    @classmethod
    def open(cls, place: str) -> Self:
        """Open the gallery in a folder.

        Raises:
            GalleryError: nothing there, damaged, not ours, of a later version.
            StorageError: it cannot be written.
        """
        shown = f"gallery {printable(place)}"
        path = find_database(Path(place))
        with translated(shown):
            connection = connect(path)
            try:
                database = Database(connection, path, shown)
                database.patiently(lambda: migrate(connection, shown))
                database.patiently(lambda: connection.execute("PRAGMA journal_mode = WAL"))
            except BaseException:
                connection.close()
                raise
        store = cls(database, place)
        try:
            store.header()
            store.clear_traces()
        except BaseException:
            database.close()
            raise
        return store

    @classmethod
    def exists(cls, place: str) -> bool:
        """Whether there is a database."""
        return os.path.lexists(Path(place) / DATABASE_NAME)


class MemoryStore(SqlStore):
    """A gallery in memory, gone when it is closed."""

    @classmethod
    def create(cls, place: str, header: Header) -> Self:
        """Make a new one.

        Raises:
            UsageError: ``place`` is not empty: there are no names in memory.
        """
        if place:
            raise UsageError("a gallery in memory has no name: give memory: and nothing else")
        connection = connect(None)
        _fill(connection, header)
        return cls(Database(connection, None, "the gallery in memory"), "memory:")

    @classmethod
    def open(cls, place: str) -> Self:
        """There is nothing to open.

        Raises:
            GalleryError: always.
        """
        raise GalleryError("a gallery in memory is gone when it is closed: there is none to open, name a folder")

    @classmethod
    def exists(cls, place: str) -> bool:
        """Whether there is one to open: no."""
        return False


def _fill(connection: sqlite3.Connection, header: Header) -> None:
    prepare(connection)
    connection.execute("BEGIN IMMEDIATE")
    create_tables(connection)
    filled = new_header(connection, header)
    # Should the header be lost, a repair finds here what it was.
    write_audit(connection, account(), "create", None, {"header": header_values(replace(filled, calibration={}))})
    connection.execute("COMMIT")
