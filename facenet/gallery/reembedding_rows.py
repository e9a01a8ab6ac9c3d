"""The tables of a move to another model, on a connection within a transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from facenet.errors import UsageError
from facenet.gallery.records import Header
from facenet.gallery.sqlite_errors import damaged
from facenet.gallery.sqlite_header import TRACES_IN_FILE, header_values, mark_traces, read_values, to_header
from facenet.gallery.sqlite_rows import COLUMNS, Row, insert_rows, row_crc, row_ok

SAMPLE_COLUMNS = ", ".join(f"e.{column}" for column in COLUMNS["embeddings"])
_CHUNK = 1000


@dataclass(frozen=True)
class ReembeddingProgress:
    """How far a gallery is on its way.

    Attributes:
        done: embeddings that have a new vector.
        missing: embeddings that cannot have one.
        total: embeddings there are.
    """

    done: int
    missing: int
    total: int

    @property
    def pending(self) -> int:
        """Embeddings that are still to be looked at."""
        return self.total - self.done - self.missing


def read_target(connection: sqlite3.Connection, place: str) -> Header | None:
    """The header a gallery is moving to; None if it is not."""
    row = connection.execute(f"SELECT {', '.join(COLUMNS['reembedding'])} FROM reembedding").fetchone()
    if row is None:
        return None
    if not row_ok("reembedding", row):
        raise damaged(place, "what model it is moving to is not what was written")
    return to_header({**read_values(connection, place), **json.loads(row[1])}, place)


def require_target(connection: sqlite3.Connection, place: str) -> Header:
    """The header a gallery is moving to.

    Raises:
        UsageError: it is not moving.
    """
    header = read_target(connection, place)
    if header is None:
        raise UsageError(f"{place} is not being moved to another model")
    return header


def new_values(header: Header) -> dict[str, str]:
    """What a move changes in the header."""
    values = header_values(header)
    return {
        **{key: values[key] for key in ("fingerprint", "preprocessing", "embedding_size", "model")},
        "calibration": "{}",
    }


def count_progress(connection: sqlite3.Connection) -> ReembeddingProgress:
    """How far it is."""
    row = connection.execute(
        "SELECT (SELECT count(*) FROM embeddings WHERE person IS NOT NULL), count(n.vector), count(*)"
        " FROM new_embeddings n JOIN embeddings e ON e.id = n.sample WHERE e.person IS NOT NULL"
    ).fetchone()
    return ReembeddingProgress(done=row[1], missing=row[2] - row[1], total=row[0])


def keep_rows(connection: sqlite3.Connection, rows: Sequence[Row]) -> int:
    """Write rows of ``new_embeddings`` for what is still there; returns how many."""
    query = "SELECT e.id FROM json_each(?) j JOIN embeddings e ON e.id = j.value WHERE e.person IS NOT NULL"
    there = {row[0] for row in connection.execute(query, (json.dumps([int(row[0]) for row in rows]),))}
    kept = [row for row in rows if row[0] in there]
    insert_rows(connection, "new_embeddings", kept, replace=True)
    return len(kept)


def replace_vectors(connection: sqlite3.Connection, place: str) -> None:
    """Old vectors and qualities make way for the new ones."""
    query = (
        f"SELECT {SAMPLE_COLUMNS}, n.sample, n.vector, n.quality, n.reason, n.crc FROM embeddings e"
        " JOIN new_embeddings n ON n.sample = e.id WHERE e.id > ? AND e.person IS NOT NULL ORDER BY e.id LIMIT ?"
    )
    last, width = 0, len(COLUMNS["embeddings"])
    while rows := connection.execute(query, (last, _CHUNK)).fetchall():
        changes = []
        for row in rows:
            old, new = row[:width], row[width:]
            if not (row_ok("embeddings", old) and row_ok("new_embeddings", new)):
                raise damaged(place, f"embedding {old[0]} is not what was written")
            # id, person, quality, added, content, source, box, vector
            changed = (*old[:2], new[2], *old[3:7], new[1])
            changes.append((new[2], new[1], row_crc("embeddings", changed), old[0]))
        connection.executemany("UPDATE embeddings SET quality = ?, vector = ?, crc = ? WHERE id = ?", changes)
        last = rows[-1][0]


def drop_new(connection: sqlite3.Connection, generation: int) -> None:
    """Let go of the new vectors; pages that were moved keep copies of them until the file is rewritten."""
    connection.execute("DELETE FROM new_embeddings")
    connection.execute("DELETE FROM reembedding")
    mark_traces(connection, TRACES_IN_FILE, generation)
