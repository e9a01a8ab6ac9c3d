"""The tables of a gallery's database, and how an older database becomes one of today.

``header``          what the gallery is, as keys and values (:mod:`facenet.gallery.sqlite_header`)
``people``          numbers and times of one person; ``key`` is 20 bits of a checksum of the name, to look it up by
``profiles``        the words that belong to a person: name, metadata, consent
``embeddings``      vector (float32, little-endian), source file (bytes, for a name may be no UTF-8), hash, box, quality
``removed``         ids of people and embeddings that were removed on purpose, and in which generation
``audit``           who did what to whom and when, without names, file names or vectors
``reembedding``     header of the model a gallery is moving to, if it is
``new_embeddings``  vectors of that model

**Nothing stays behind.** SQLite overwrites with zeros what is deleted (``secure_delete``), but when it moves rows to a
neighbouring page, to make room or because a page got too empty, it leaves the old copies in the unused part of that
page, and a later deletion of the row does not reach them. So what must be removable without a trace is never moved:
rows of ``profiles``, ``embeddings`` and ``new_embeddings`` are only ever appended with rising ids, are never made
longer, and are blanked in place (which makes them shorter) instead of deleted. A changed name is a new profile. Other
tables and all indexes hold numbers and times only. Blank rows are dropped by rewriting the whole file
(:meth:`facenet.gallery.sqlite_store.SqlStore.compact`).

**Every row carries a checksum** over its other columns (:func:`facenet.gallery.sqlite_rows.row_crc`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from facenet.errors import GalleryError

DATABASE_NAME = "gallery.sqlite"
"""File name within a gallery's folder."""

REPAIRED_NAME = "gallery.repaired.sqlite"
"""Beside it only while a repair is putting it in place."""

APPLICATION_ID = 0x46414345
PAGE_SIZE = 16_384

Migration = Sequence[str]
"""SQL statements that turn a database of one version into one of the next."""

_FIRST: Migration = (
    "CREATE TABLE header (key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL, crc INTEGER NOT NULL)"
    " STRICT, WITHOUT ROWID",
    "CREATE TABLE profiles (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, metadata TEXT NOT NULL,"
    " consent TEXT NOT NULL, crc INTEGER NOT NULL) STRICT",
    "CREATE TABLE people (id INTEGER PRIMARY KEY AUTOINCREMENT, profile INTEGER NOT NULL REFERENCES profiles(id),"
    " key INTEGER NOT NULL, expires TEXT NOT NULL, created TEXT NOT NULL, changed INTEGER NOT NULL,"
    " crc INTEGER NOT NULL) STRICT",
    "CREATE INDEX people_key ON people(key)",
    "CREATE INDEX people_expires ON people(expires) WHERE expires <> ''",
    "CREATE INDEX people_changed ON people(changed)",
    "CREATE TABLE embeddings (id INTEGER PRIMARY KEY AUTOINCREMENT, person INTEGER REFERENCES people(id),"
    " quality REAL NOT NULL, added TEXT NOT NULL, content TEXT NOT NULL, source BLOB NOT NULL, box BLOB,"
    " vector BLOB NOT NULL, crc INTEGER NOT NULL) STRICT",
    "CREATE INDEX embeddings_person ON embeddings(person)",
    "CREATE TABLE removed (kind TEXT NOT NULL, id INTEGER NOT NULL, generation INTEGER NOT NULL, crc INTEGER NOT NULL,"
    " PRIMARY KEY (kind, id)) STRICT, WITHOUT ROWID",
    "CREATE INDEX removed_generation ON removed(generation)",
    "CREATE TABLE audit (id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, actor TEXT NOT NULL,"
    " action TEXT NOT NULL, person INTEGER, details TEXT NOT NULL, crc INTEGER NOT NULL) STRICT",
    "CREATE TABLE reembedding (id INTEGER PRIMARY KEY CHECK (id = 1), header TEXT NOT NULL, started TEXT NOT NULL,"
    " crc INTEGER NOT NULL) STRICT",
    "CREATE TABLE new_embeddings (sample INTEGER PRIMARY KEY REFERENCES embeddings(id) ON DELETE CASCADE,"
    " vector BLOB, quality REAL, reason TEXT NOT NULL, crc INTEGER NOT NULL) STRICT",
)

MIGRATIONS: tuple[Migration, ...] = (_FIRST,)
"""Step by step from nothing; a database has as many behind it as its version (``user_version``) says."""


def create_tables(connection: sqlite3.Connection, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Make an empty database one of ours, within the caller's transaction."""
    for statements in migrations:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {len(migrations)}")


def version_of(connection: sqlite3.Connection, place: str, migrations: Sequence[Migration] = MIGRATIONS) -> int:
    """Schema version of a database of ours.

    Raises:
        GalleryError: not one of ours, or of a later version.
    """
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise GalleryError(f"{place} is not one of our galleries: {DATABASE_NAME} in it belongs to something else")
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(migrations):
        raise GalleryError(
            f"{place} was written by a later version of this package (schema {version}, this one knows up to "
            f"{len(migrations)}): update the package"
        )
    if version < 1:
        raise GalleryError(f"{place} is damaged: its schema version is {version}; see `gallery repair`")
    return version


def migrate(connection: sqlite3.Connection, place: str, migrations: Sequence[Migration] = MIGRATIONS) -> int:
    """Bring a database of ours up to date, all steps in one transaction; returns the version it had.

    Raises:
        GalleryError: see :func:`version_of`, or its tables are not what a database of its version has.
        sqlite3.Error: a step failed; the database is as it was.
    """
    found = version_of(connection, place, migrations)
    require_schema(connection, place, migrations[:found])
    if found == len(migrations):
        return found
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have been quicker.
        found = version_of(connection, place, migrations)
        for statements in migrations[found:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(migrations)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    require_schema(connection, place, migrations)
    return found


def require_schema(connection: sqlite3.Connection, place: str, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Refuse a database that holds other tables, views or triggers than ours, which could act on our queries.

    Args:
        migrations: what the database has behind it.

    Raises:
        GalleryError: names one that differs.
    """
    scratch = sqlite3.connect(":memory:", isolation_level=None)
    try:
        create_tables(scratch, migrations)
        wanted = _objects(scratch)
    finally:
        scratch.close()
    different = sorted({entry[1] for entry in wanted ^ _objects(connection)})
    if different:
        raise GalleryError(
            f"{place} is damaged or was changed by something else: its database does not have our tables "
            f"({ascii(different[0])} differs); see `gallery check`"
        )


def _objects(connection: sqlite3.Connection) -> set[tuple[str, str, str, str | None]]:
    return set(connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master"))
