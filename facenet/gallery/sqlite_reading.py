"""What a store answers, read from a connection within a transaction."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator, Sequence

import numpy as np

from facenet.errors import InputError
from facenet.gallery.backend import Changes, VectorBlock
from facenet.gallery.records import AuditEntry, Person, StoredSample
from facenet.gallery.sqlite_header import read_values
from facenet.gallery.sqlite_rows import (
    COLUMNS,
    LARGEST_ID,
    PERSON_QUERY,
    damaged_row,
    from_json,
    name_key,
    row_ok,
    to_person,
    to_sample,
    to_vectors,
)
from facenet.gallery.values import expires_seconds

_FETCH = 512
"""Rows taken from SQLite at once: as many as the processor's caches hold; larger pieces take twice as long."""

_Columns = list[np.ndarray]
_SAMPLE_COLUMNS = ", ".join(COLUMNS["embeddings"])


def people_named(connection: sqlite3.Connection, name: str) -> list[int]:
    """Ids of the people with a name (as it is stored), rising."""
    query = "SELECT p.id FROM people p JOIN profiles f ON f.id = p.profile WHERE p.key = ? AND f.name = ? ORDER BY p.id"
    return [row[0] for row in connection.execute(query, (name_key(name), name))]


def read_people(connection: sqlite3.Connection, place: str, name: str | None = None) -> list[Person]:
    """All people, or those of one name (as it is stored), by id."""
    if name is None:
        rows = connection.execute(f"{PERSON_QUERY} ORDER BY p.id")
    else:
        where = "WHERE p.key = ? AND f.name = ?"
        rows = connection.execute(f"{PERSON_QUERY} {where} ORDER BY p.id", (name_key(name), name))
    return [to_person(row, place) for row in rows]


def read_person(connection: sqlite3.Connection, place: str, id: int) -> Person:
    """One person.

    Raises:
        InputError: there is none.
    """
    if not 0 < id <= LARGEST_ID:
        raise no_such_person(id)
    row = connection.execute(f"{PERSON_QUERY} WHERE p.id = ?", (id,)).fetchone()
    if row is None:
        if connection.execute("SELECT 1 FROM people WHERE id = ?", (id,)).fetchone():
            raise damaged_row(place, f"people, id {id}")
        raise no_such_person(id)
    return to_person(row, place)


def no_such_person(id: int) -> InputError:
    """The error for an id nobody has."""
    return InputError(f"there is no person id:{id} in this gallery")


def read_expired(connection: sqlite3.Connection, place: str, at: str) -> list[Person]:
    """Whose time is over at a moment in the form that is stored."""
    rows = connection.execute(f"{PERSON_QUERY} WHERE p.expires <> '' AND p.expires <= ? ORDER BY p.id", (at,))
    return [to_person(row, place) for row in rows]


def read_names(connection: sqlite3.Connection, ids: Sequence[int]) -> dict[int, str]:
    """Names by id; who is gone is left out."""
    query = (
        "SELECT p.id, f.name FROM json_each(?) j JOIN people p ON p.id = j.value JOIN profiles f ON f.id = p.profile"
    )
    return dict(connection.execute(query, (json.dumps([int(id) for id in ids]),)).fetchall())


def read_count(connection: sqlite3.Connection) -> tuple[int, int]:
    """(people, embeddings)."""
    row = connection.execute(
        "SELECT (SELECT count(*) FROM people), (SELECT count(*) FROM embeddings WHERE person IS NOT NULL)"
    ).fetchone()
    return row[0], row[1]


def read_samples(connection: sqlite3.Connection, place: str, person: int) -> list[StoredSample]:
    """A person's embeddings, by id."""
    size = int(read_values(connection, place)["embedding_size"])
    query = f"SELECT {_SAMPLE_COLUMNS} FROM embeddings WHERE person = ? ORDER BY id"
    return [to_sample(row, size, place) for row in connection.execute(query, (person,))]


def read_contents(connection: sqlite3.Connection, person: int | None) -> dict[str, int]:
    """Hash of a picture's bytes → person (the first, where several have it)."""
    where, values = ("person = ?", (person,)) if person is not None else ("person IS NOT NULL", ())
    query = f"SELECT content, person FROM embeddings WHERE {where} AND content <> '' ORDER BY person DESC"
    return dict(connection.execute(query, values).fetchall())


def read_audit(connection: sqlite3.Connection, place: str, limit: int) -> list[AuditEntry]:
    """The latest entries, newest first."""
    query = f"SELECT {', '.join(COLUMNS['audit'])} FROM audit ORDER BY id DESC LIMIT ?"
    entries = []
    for row in connection.execute(query, (limit,)):
        if not row_ok("audit", row):
            raise damaged_row(place, f"audit, id {row[0]}")
        entries.append(AuditEntry(row[0], row[1], row[2], row[3], row[4], from_json(row[5], place, "audit")))
    return entries


def read_vectors(connection: sqlite3.Connection, place: str, chunk: int) -> Iterator[VectorBlock]:
    """Every embedding in blocks of about ``chunk`` rows, at least one block."""
    reader = _BlockReader(connection, place)
    cursor = connection.execute(
        "SELECT person, id, quality, vector FROM embeddings WHERE person IS NOT NULL ORDER BY person, id"
    )
    pieces: list[_Columns] = []
    count, enough, blocks = 0, chunk, 0
    while rows := cursor.fetchmany(_FETCH):
        pieces.append(reader.columns(rows))
        count += len(rows)
        if count < enough:
            continue
        columns = _joined(pieces)
        # The last person may go on in the next rows: held back until that is known.
        whole = int(np.searchsorted(columns[0], columns[0][-1]))
        if whole:
            yield reader.block([column[:whole] for column in columns])
            blocks += 1
        pieces = [[column[whole:].copy() for column in columns]]
        count -= whole
        enough = max(chunk, 2 * count)
    if count or not blocks:
        yield reader.block(_joined(pieces) if pieces else reader.columns([]))


def read_changes(connection: sqlite3.Connection, place: str, since: int, history: str) -> Changes:
    """What has become different since a generation."""
    reader = _BlockReader(connection, place)
    if reader.history != history or since > reader.generation:
        return Changes(reader.generation, reader.history, reader.block(reader.columns([])), complete=False)
    # The indexes are named, for the planner would rather go through all embeddings than sort a few.
    cursor = connection.execute(
        "SELECT e.person, e.id, e.quality, e.vector FROM people p INDEXED BY people_changed"
        " CROSS JOIN embeddings e INDEXED BY embeddings_person ON e.person = p.id"
        " WHERE p.changed > ? ORDER BY e.person, e.id",
        (since,),
    )
    pieces = [reader.columns([])]
    while rows := cursor.fetchmany(_FETCH):
        pieces.append(reader.columns(rows))
    gone = connection.execute(
        "SELECT id FROM removed INDEXED BY removed_generation WHERE generation > ? AND kind = 'person'", (since,)
    ).fetchall()
    emptied = connection.execute(
        "SELECT id FROM people p INDEXED BY people_changed WHERE changed > ?"
        " AND NOT EXISTS (SELECT 1 FROM embeddings e WHERE e.person = p.id)",
        (since,),
    ).fetchall()
    removed = tuple(sorted(row[0] for row in (*gone, *emptied)))
    return Changes(reader.generation, reader.history, reader.block(_joined(pieces)), removed)


def _joined(pieces: Sequence[_Columns]) -> _Columns:
    return [np.concatenate(column) for column in zip(*pieces, strict=True)]


class _BlockReader:
    """Makes blocks of rows (person, id, quality, vector), all as of the transaction it was made in."""

    def __init__(self, connection: sqlite3.Connection, place: str) -> None:
        values = read_values(connection, place)
        self._place = place
        self._size = int(values["embedding_size"])
        self.generation = int(values["generation"])
        self.history = values["history"]
        found = connection.execute("SELECT id, expires FROM people WHERE expires <> '' ORDER BY id").fetchall()
        self._mortals = np.array([row[0] for row in found], np.int64)
        self._expiries = np.array([*(expires_seconds(row[1]) for row in found), math.inf], np.float64)

    def columns(self, rows: Sequence[tuple[int, int, float, bytes]]) -> _Columns:
        """Persons, samples, qualities and vectors as arrays."""
        persons, samples, qualities, vectors = zip(*rows, strict=True) if rows else ((), (), (), ())
        return [
            np.array(persons, np.int64),
            np.array(samples, np.int64),
            np.array(qualities, np.float32),
            to_vectors(vectors, self._size, self._place),
        ]

    def block(self, columns: _Columns) -> VectorBlock:
        """Columns, with what is known besides."""
        persons, samples, qualities, vectors = columns
        expires = self._expires(persons)
        return VectorBlock(persons, samples, vectors, qualities, expires, self.generation, self.history)

    def _expires(self, persons: np.ndarray) -> np.ndarray:
        place = np.searchsorted(self._mortals, persons)
        found = place < len(self._mortals)
        found[found] = self._mortals[place[found]] == persons[found]
        result: np.ndarray = self._expiries[np.where(found, place, len(self._mortals))]
        return result
