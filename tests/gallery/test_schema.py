"""The tables, and how one version of them becomes the next."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from gallery_tools import new_store, samples

from facenet.errors import GalleryError
from facenet.gallery import schema
from facenet.gallery.backend import open_store
from facenet.gallery.sqlite_database import connect
from facenet.gallery.sqlite_rows import COLUMNS

NEXT = (*schema.MIGRATIONS, ("ALTER TABLE audit ADD COLUMN note TEXT NOT NULL DEFAULT 'none'", "CREATE TABLE more (a)"))
FAILING = (
    *schema.MIGRATIONS,
    ("CREATE TABLE more (a)", "INSERT INTO more VALUES (1)", "INSERT INTO nowhere VALUES (1)"),
)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Of a gallery with one person, closed."""
    store = new_store("folder", tmp_path)
    store.enroll("Zoë", samples(2))
    store.close()
    return tmp_path / "gallery" / schema.DATABASE_NAME


def content(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    try:
        return [*connection.iterdump(), *map(str, connection.execute("PRAGMA user_version"))]
    finally:
        connection.close()


def test_the_columns_are_those_of_the_tables() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    schema.create_tables(connection)
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    assert {name for name in tables if not name.startswith("sqlite_")} == set(COLUMNS)
    for table, columns in COLUMNS.items():
        found = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        assert tuple(found) == columns


def test_an_older_database_is_brought_up_to_date_with_all_it_holds(database: Path) -> None:
    connection = connect(database)
    assert schema.migrate(connection, "it", NEXT) == 1
    assert schema.migrate(connection, "it", NEXT) == 2
    assert connection.execute("SELECT action, note FROM audit").fetchall() == [("create", "none"), ("enroll", "none")]
    assert connection.execute("SELECT count(*) FROM embeddings").fetchone() == (2,)
    assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    connection.close()


def test_a_step_that_fails_leaves_the_database_as_it_was(database: Path) -> None:
    before = content(database)
    connection = connect(database)
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        schema.migrate(connection, "it", FAILING)
    assert not connection.in_transaction
    connection.close()
    assert content(database) == before
    store = open_store(str(database.parent))
    assert store.count() == (1, 2)
    store.close()


def test_a_database_of_a_later_version_is_refused(database: Path) -> None:
    connection = connect(database)
    schema.migrate(connection, "it", NEXT)
    connection.close()
    with pytest.raises(GalleryError, match="later version .*schema 2, this one knows up to 1.*update"):
        open_store(str(database.parent))


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER spy AFTER INSERT ON audit BEGIN DELETE FROM people; END",
        "CREATE VIEW extra AS SELECT * FROM people",
        "CREATE TABLE extra (a)",
        "DROP INDEX people_key",
        "ALTER TABLE people RENAME COLUMN created TO born",
        "DROP TABLE removed",
    ],
)
def test_other_tables_views_or_triggers_are_refused(database: Path, statement: str) -> None:
    connection = sqlite3.connect(database)
    connection.execute(statement)
    connection.close()
    with pytest.raises(GalleryError, match="does not have our tables"):
        open_store(str(database.parent))


def test_a_view_in_the_place_of_a_table_is_refused(database: Path) -> None:
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("ALTER TABLE profiles RENAME TO stolen")
    connection.execute("CREATE VIEW profiles AS SELECT id, 'mallory' AS name, metadata, consent, crc FROM stolen")
    connection.close()
    with pytest.raises(GalleryError, match="does not have our tables"):
        open_store(str(database.parent))


@pytest.mark.parametrize(
    ("pragma", "reason"), [("application_id = 7", "not one of our"), ("user_version = 0", "damaged")]
)
def test_a_database_of_something_else_is_refused(database: Path, pragma: str, reason: str) -> None:
    connection = sqlite3.connect(database)
    connection.execute(f"PRAGMA {pragma}")
    connection.close()
    with pytest.raises(GalleryError, match=reason):
        open_store(str(database.parent))
