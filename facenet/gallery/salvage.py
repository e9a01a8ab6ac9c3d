"""What is left of a damaged gallery: every row that still is what was written, gathered into a new database.

Rows are read from the pages themselves (:mod:`facenet.gallery.pages`) and believed only if their checksum says so; it
also tells which table a row belongs to. Where two states of a row are found, a removed one counts, then the later.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from facenet.gallery.findings import Progress
from facenet.gallery.pages import PageReader, Value
from facenet.gallery.sqlite_rows import COLUMNS, Row, row_ok

HEADER_ACTIONS = ("create", "reembed")
"""Entries of the audit log whose details hold the header's values from then on."""

HEADER_KEYS = ("uuid", "created", "fingerprint", "preprocessing", "embedding_size", "model")
"""What of the header is written there."""

_BY_WIDTH = {5: ("profiles", "new_embeddings"), 7: ("people", "audit"), 9: ("embeddings",), 4: ("reembedding",)}
_FLOATS = {"embeddings": 2, "new_embeddings": 2}
_BATCH = 1000

_BETTER = {
    "profiles": "length(excluded.name) < length(profiles.name)",
    "people": "excluded.changed > people.changed",
    "embeddings": "length(excluded.vector) < length(embeddings.vector)",
    "new_embeddings": "excluded.vector IS NULL",
    "removed": "excluded.generation > removed.generation",
}
"""Which of two sound rows with one key is to be kept, the one found later if this holds."""


@dataclass
class Found:
    """What does not go into the new database as it is.

    Attributes:
        header: keys and values.
        counters: highest id given out by table, as far as that is known; not protected by a checksum.
    """

    header: dict[str, str] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)


def gather(reader: PageReader, connection: sqlite3.Connection, progress: Progress | None = None) -> Found:
    """Copy every sound row into a database that has our tables and no rows, within the caller's transaction."""
    found = Found()
    waiting: defaultdict[str, list[Row]] = defaultdict(list)
    done = 0
    for table, row in sound_rows(reader, found.counters):
        if table == "header":
            _note_header(found.header, row[0], row[1])
            continue
        waiting[table].append(row)
        if len(waiting[table]) >= _BATCH:
            done += len(waiting[table])
            _write(connection, table, waiting.pop(table))
            if progress is not None:
                progress(done, None)
    for table, rows in waiting.items():
        _write(connection, table, rows)
    return found


def sound_rows(reader: PageReader, counters: dict[str, int]) -> Iterator[tuple[str, Row]]:
    """Table and columns of every row that is what was written; ``counters`` is filled on the way."""
    for number, values in reader.rows():
        if len(values) == 2 and isinstance(values[0], str) and isinstance(values[1], int) and values[0] in COLUMNS:
            counters[values[0]] = max(values[1], counters.get(values[0], 0))
        for table in _BY_WIDTH.get(len(values), ()):
            row = _stored(table, number, values)
            if values[0] is None and row_ok(table, row):
                yield table, row
    for values in reader.entries():
        for table in ("header", "removed"):
            if len(values) == len(COLUMNS[table]) and row_ok(table, values):
                yield table, values


def header_from_audit(connection: sqlite3.Connection, counter: int | None) -> dict[str, str] | None:
    """The header's values as the audit log has them; None unless nothing in it can have been lost since.

    Args:
        counter: highest id the log has given out, if that is known.
    """
    query = "SELECT id, details FROM audit WHERE action IN (?, ?) ORDER BY id DESC LIMIT 1"
    entry = connection.execute(query, HEADER_ACTIONS).fetchone()
    if entry is None:
        return None
    count, last = connection.execute("SELECT count(*), max(id) FROM audit WHERE id >= ?", entry[:1]).fetchone()
    values = json.loads(entry[1]).get("header")
    # A later change of model, its entry lost, would put these vectors under a wrong fingerprint.
    if last - entry[0] + 1 != count or counter not in (None, last) or not isinstance(values, dict):
        return None
    return {key: value for key, value in values.items() if isinstance(value, str)}


def _note_header(header: dict[str, str], key: str, value: str) -> None:
    if key == "generation" and key in header:
        value = str(max(int(value), int(header[key])))
    header[key] = value


def _stored(table: str, number: int, values: Sequence[Value]) -> tuple[Any, ...]:
    """A row as SQLite would give it."""
    row: list[Any] = [number, *values[1:]]
    column = _FLOATS.get(table)
    if column is not None and isinstance(row[column], int):
        row[column] = float(row[column])
    return tuple(row)


def _write(connection: sqlite3.Connection, table: str, rows: Sequence[Row]) -> None:
    columns = COLUMNS[table]
    key = "kind, id" if table == "removed" else columns[0]
    changes = ", ".join(f"{column} = excluded.{column}" for column in columns)
    better = f"DO UPDATE SET {changes} WHERE {_BETTER[table]}" if table in _BETTER else "DO NOTHING"
    marks = ", ".join("?" * len(columns))
    connection.executemany(f"INSERT INTO {table} VALUES ({marks}) ON CONFLICT ({key}) {better}", rows)
