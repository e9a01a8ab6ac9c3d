"""Rows read from bare database pages: the same as SQLite reads, and no error whatever the bytes are."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facenet.gallery.pages import PageReader, Value, read_log

COLUMNS = "text_, blob_, real_, whole"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes, dict[int, tuple[Value, ...]]]:
    """Bytes of a database and its log, half of the rows in each, and the rows as SQLite reads them."""
    path = tmp_path_factory.mktemp("pages") / "some.sqlite"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("CREATE TABLE some (id INTEGER PRIMARY KEY, text_ TEXT, blob_ BLOB, real_ REAL, whole INTEGER)")
    chance = random.Random(0)
    for number in range(400):
        row = (
            chance.choice([None, "", "né", "漢字" * 300]),
            chance.randbytes(chance.choice([0, 10, 2048, 4050, 4061, 4062, 9000, 40000])),
            chance.choice([0.0, 1.0, -3.5, 1e300]),
            chance.choice([0, 1, -1, 127, -129, 70000, 1 << 40, -(1 << 63), (1 << 63) - 1]),
        )
        connection.execute(f"INSERT INTO some ({COLUMNS}) VALUES (?, ?, ?, ?)", row)
        if number == 200:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.execute("UPDATE some SET whole = 7 WHERE id % 10 = 0")
    rows = {row[0]: row[1:] for row in connection.execute(f"SELECT id, {COLUMNS} FROM some")}
    contents = path.read_bytes(), Path(f"{path}-wal").read_bytes()
    connection.close()
    return *contents, rows


def found(main: bytes, log: bytes) -> dict[int, tuple[Value, ...]]:
    return {row: values[1:] for row, values in PageReader(main, log, page_size=4096).rows() if len(values) == 5}


def test_the_same_rows_as_sqlite(database: tuple[bytes, bytes, dict[int, tuple[Value, ...]]]) -> None:
    main, log, rows = database
    assert len(rows) == 400
    assert found(main, log) == rows


def test_every_row_without_the_first_page(database: tuple[bytes, bytes, dict[int, tuple[Value, ...]]]) -> None:
    main, log, rows = database
    assert found(bytes(4096) + main[4096:], log) == rows
    alone = found(bytes(4096) + main[4096:], b"")
    assert len(alone) == 201


def test_finished_transactions_behind_a_damaged_frame_are_seen(
    database: tuple[bytes, bytes, dict[int, tuple[Value, ...]]],
) -> None:
    main, log, rows = database
    frames = read_log(log)
    assert frames is not None and not frames.broken
    hurt = bytearray(log)
    hurt[32 + 24 + 100] ^= 1
    frames = read_log(hurt)
    assert frames is not None and frames.broken
    kept = found(main, bytes(hurt))
    assert len(kept) >= 398 and all(kept[row] == rows[row] for row in kept if row > 250)


def test_an_unfinished_transaction_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "some.sqlite"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA cache_size = 1")
    connection.execute("CREATE TABLE some (id INTEGER PRIMARY KEY, a, b, c, d)")
    connection.execute("INSERT INTO some VALUES (1, 'there', 0, 0, 0)")
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO some VALUES (?, ?, 0, 0, 0)", [(row, b"x" * 4000) for row in range(2, 200)])
    log = Path(f"{path}-wal").read_bytes()
    assert len(log) > 100_000, "nothing was written ahead: this test shows nothing"
    assert set(found(path.read_bytes(), log)) == {1}
    connection.close()


def test_an_impossibly_long_row_is_passed_over() -> None:
    page = bytearray(4096)
    page[:10] = bytes([0x0D, 0, 0, 0, 1, 0, 0, 0, 15, 0])
    page[3840:3850] = b"\xff" * 10
    assert list(PageReader(bytes(4096) + bytes(page), b"", page_size=4096).rows()) == []


@given(data=st.data(), seed=st.integers(0, 2**32))
@settings(max_examples=12, deadline=None)
def test_no_bytes_are_an_error(
    database: tuple[bytes, bytes, dict[int, tuple[Value, ...]]], data: st.DataObject, seed: int
) -> None:
    main, log = bytearray(database[0]), bytearray(database[1])
    chance = random.Random(seed)
    for _ in range(data.draw(st.integers(1, 200))):
        for content in (main, log):
            content[chance.randrange(len(content))] = chance.randrange(256)
    cut = data.draw(st.integers(0, len(main)))
    for row, values in PageReader(main[:cut], log, page_size=4096).rows():
        assert isinstance(row, int) and isinstance(values, tuple)


@given(st.binary(max_size=5000), st.binary(max_size=5000))
@settings(max_examples=100, deadline=None)
def test_garbage_is_no_error(main: bytes, log: bytes) -> None:
    reader = PageReader(main, log, page_size=512)
    assert len(list(reader.rows())) + len(list(reader.entries())) < 5000


def test_tables_without_row_ids(tmp_path: Path) -> None:
    path = tmp_path / "some.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE some (key TEXT PRIMARY KEY NOT NULL, value TEXT, crc INTEGER) WITHOUT ROWID")
    chance = random.Random(1)
    rows = {(f"key {row}", "é" * chance.choice([0, 100, 1000, 30_000]), row) for row in range(500)}
    connection.executemany("INSERT INTO some VALUES (?, ?, ?)", sorted(rows, key=lambda row: chance.random()))
    connection.commit()
    entries = list(PageReader(path.read_bytes(), b"", page_size=4096).entries())
    assert len(entries) == 500 and set(entries) == rows
    connection.close()
