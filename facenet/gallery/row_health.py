"""Every row of a gallery, looked at: is it what was written, and do the rows fit together?"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from facenet.errors import GalleryError, InputError, printable
from facenet.gallery.findings import Finding, Progress, Severity
from facenet.gallery.names import normalise_name
from facenet.gallery.sqlite_header import to_header
from facenet.gallery.sqlite_rows import COLUMNS, blank_sample, check_vectors, name_key, row_ok
from facenet.gallery.values import expires_seconds, now

REPAIR = "save what can be saved with `gallery repair`, or restore a backup with `gallery restore`"

DAMAGE = (sqlite3.Error, UnicodeDecodeError)
"""What is raised where something cannot be read; the second while SQLite's message quotes damaged text."""

_CHUNK = 2048
_SHOWN = 10
_LARGEST_COUNTER = 1 << 62


class RowCheck:
    """One look at all rows.

    Args:
        connection: within a transaction; text that is no UTF-8 must not be an error.
        place: for messages.
        progress: called with (rows done, rows in all).

    Attributes:
        header: keys and values that are what was written, once they have been read.
        people, embeddings: how many there are; None until they have been counted.
    """

    def __init__(self, connection: sqlite3.Connection, place: str, progress: Progress | None) -> None:
        self._connection = connection
        self._place = place
        self._progress = progress
        self._done = 0
        self._total: int | None = None
        self.header: dict[str, str] = {}
        self._size: int | None = None
        self._bad: dict[str, list[int]] = {}
        self._profiles: set[int] = set()
        self.people: int | None = None
        self.embeddings: int | None = None

    def run(self) -> Iterator[Finding]:
        """Look at everything, as far as it can be read."""
        steps: tuple[tuple[str, Callable[[], Iterator[Finding]]], ...] = (
            ("header", self._check_header),
            ("people", self._check_people),
            ("profiles", self._check_profiles),
            ("embeddings", self._check_embeddings),
            ("removed", self._check_removed),
            ("audit", lambda: self._check_sums("audit")),
            ("reembedding", self._check_reembedding),
            ("counters", self._check_counters),
            ("duplicates", self._check_duplicates),
        )
        for what, step in steps:
            try:
                yield from step()
            except DAMAGE as error:
                yield Finding(Severity.DAMAGE, what, f"{what}: cannot be read to the end ({printable(error)})", REPAIR)

    def _check_header(self) -> Iterator[Finding]:
        self._total = sum(row[0] for row in self._connection.execute("SELECT seq FROM sqlite_sequence"))
        for row in self._rows("header"):
            if row_ok("header", row):
                self.header[row[0]] = row[1]
        yield from self._sums("header")
        try:
            self._size = to_header(self.header, self._place).embedding_size
        except GalleryError:
            yield Finding(Severity.DAMAGE, "header", "what the gallery is cannot be read from its header", REPAIR)
        if self.header.get("traces"):
            message = "what was removed can still be found in the files: its traces have not been cleared yet"
            advice = "end what reads the gallery, then open it once, such as with `gallery stats`"
            yield Finding(Severity.WARNING, "traces", message, advice)

    def _check_people(self) -> Iterator[Finding]:
        generation = self._number("generation")
        wrong, count = [], 0
        for row in self._rows("people"):
            count += 1
            id_, profile, _, expires, _, changed, _ = row
            if not row_ok("people", row):
                continue
            self._profiles.add(profile)
            try:
                expires_seconds(expires)
            except ValueError:
                wrong.append(id_)
            if generation is not None and changed > generation:
                wrong.append(id_)
        self.people = count
        yield from self._sums("people")
        query = "SELECT p.id, p.key, f.name FROM people p LEFT JOIN profiles f ON f.id = p.profile"
        wrong += [id_ for id_, key, name in self._connection.execute(query) if not _legal(name, key)]
        if wrong:
            message = f"{len(wrong)} people have no legal name, no legal expiry or a generation that is yet to come"
            yield _finding("people", message, sorted(set(wrong)))
        query = "SELECT id FROM people p WHERE NOT EXISTS (SELECT 1 FROM embeddings e WHERE e.person = p.id)"
        without = [row[0] for row in self._connection.execute(query)]
        if without:
            message = f"{len(without)} people have no embedding and so are never found"
            yield _finding("no-embeddings", message, without, Severity.NOTE, "enroll or remove them")
        query = "SELECT id FROM people WHERE expires <> '' AND expires <= ?"
        expired = [row[0] for row in self._connection.execute(query, (now(),))]
        if expired:
            message = f"the time of {len(expired)} people is over"
            yield _finding("expired", message, expired, Severity.NOTE, "remove them with `gallery purge`")

    def _check_profiles(self) -> Iterator[Finding]:
        nobody = [row[0] for row in self._rows("profiles") if row[1] != "" and row[0] not in self._profiles]
        yield from self._sums("profiles")
        if nobody:
            yield _finding("profiles", f"{len(nobody)} names belong to nobody any more", nobody)

    def _check_embeddings(self) -> Iterator[Finding]:
        wrong, count = [], 0
        for rows in self._chunks("embeddings"):
            sound = [row for row in rows if row_ok("embeddings", row)]
            present = [row for row in sound if row[1] is not None]
            count += len(present)
            wrong += [row[0] for row in sound if row[1] is None and row[:-1] != blank_sample(row[0])]
            if self._size is not None:
                wrong += _wrong_vectors(present, 7, self._size)
        self.embeddings = count
        yield from self._sums("embeddings")
        if wrong:
            yield _finding(
                "vectors", f"{len(wrong)} embeddings are of the wrong size, not finite, not of length 1", wrong
            )

    def _check_removed(self) -> Iterator[Finding]:
        generation = self._number("generation")
        late = [row[1] for row in self._rows("removed") if generation is not None and row[2] > generation]
        yield from self._sums("removed")
        back = self._connection.execute(
            "SELECT p.id FROM people p JOIN removed r ON r.kind = 'person' AND r.id = p.id"
            " UNION ALL SELECT e.id FROM embeddings e JOIN removed r ON r.kind = 'sample' AND r.id = e.id"
            " WHERE e.person IS NOT NULL"
        )
        ids = [*late, *(row[0] for row in back)]
        if ids:
            yield _finding("removed", f"{len(ids)} removals do not agree with what is there", ids)

    def _check_reembedding(self) -> Iterator[Finding]:
        begun = [row[0] for row in self._rows("reembedding")]
        yield from self._sums("reembedding")
        yield from self._check_sums("new_embeddings")
        left = self._connection.execute(
            "SELECT n.sample FROM new_embeddings n LEFT JOIN embeddings e ON e.id = n.sample"
            " WHERE n.vector IS NOT NULL AND e.person IS NULL"
        )
        ids = [row[0] for row in left]
        if not begun:
            ids += [row[0] for row in self._connection.execute("SELECT sample FROM new_embeddings")]
        if ids:
            yield _finding("reembedding", f"{len(ids)} new embeddings belong to nothing", ids)
        if begun:
            message = "the gallery is being moved to another model"
            yield _finding("reembedding", message, [], Severity.NOTE, "go on with `gallery reembed`")

    def _check_counters(self) -> Iterator[Finding]:
        counters = dict(self._connection.execute("SELECT name, seq FROM sqlite_sequence"))
        highest = {
            "people": "SELECT max(coalesce((SELECT max(id) FROM people), 0), coalesce((SELECT max(id) FROM removed"
            " WHERE kind = 'person'), 0))",
            "profiles": "SELECT coalesce(max(id), 0) FROM profiles",
            "embeddings": "SELECT coalesce(max(id), 0) FROM embeddings",
            "audit": "SELECT coalesce(max(id), 0) FROM audit",
        }
        for table, query in highest.items():
            least = self._connection.execute(query).fetchone()[0]
            found = counters.get(table, 0)
            if not isinstance(found, int) or not least <= found < _LARGEST_COUNTER:
                message = f"the counter of {table} is {found!r}, but ids up to {least} were given out"
                yield Finding(Severity.DAMAGE, "counters", message, REPAIR)

    def _check_duplicates(self) -> Iterator[Finding]:
        query = (
            "SELECT min(person), max(person) FROM embeddings WHERE person IS NOT NULL AND content <> ''"
            " GROUP BY content, box HAVING min(person) <> max(person)"
        )
        pairs = self._connection.execute(query).fetchall()
        if pairs:
            message = f"{len(pairs)} faces are enrolled for two different people, who cannot be told apart by them"
            advice = "see `gallery show` for both and remove the embedding from whom it does not belong to"
            yield _finding(
                "duplicates", message, sorted({id_ for pair in pairs for id_ in pair}), Severity.WARNING, advice
            )

    def _check_sums(self, table: str) -> Iterator[Finding]:
        for _ in self._rows(table):
            pass
        yield from self._sums(table)

    def _sums(self, table: str) -> Iterator[Finding]:
        """What :meth:`_rows` found out about checksums."""
        bad = self._bad.get(table, [])
        if bad:
            yield _finding(table, f"{table}: {len(bad)} rows are not what was written", bad)

    def _rows(self, table: str) -> Iterator[Sequence[Any]]:
        for rows in self._chunks(table):
            yield from rows

    def _chunks(self, table: str) -> Iterator[list[Sequence[Any]]]:
        """All rows of a table; their checksums are looked at on the way."""
        cursor = self._connection.execute(f"SELECT {', '.join(COLUMNS[table])} FROM {table} NOT INDEXED")
        while rows := cursor.fetchmany(_CHUNK):
            bad = [row[0] if isinstance(row[0], int) else 0 for row in rows if not row_ok(table, row)]
            if bad:
                self._bad.setdefault(table, []).extend(bad)
            self._done += len(rows)
            if self._progress is not None:
                self._progress(self._done, self._total)
            yield rows

    def _number(self, key: str) -> int | None:
        text = self.header.get(key, "")
        return int(text) if text.isascii() and text.isdigit() else None


def _legal(name: object, key: int) -> bool:
    try:
        return isinstance(name, str) and normalise_name(name) == name and name_key(name) == key
    except InputError:
        return False


def _wrong_vectors(rows: Sequence[Sequence[Any]], column: int, size: int) -> list[int]:
    """Ids of rows whose vector a gallery cannot hold."""
    wrong = [row[0] for row in rows if len(row[column]) != 4 * size]
    right = [row for row in rows if len(row[column]) == 4 * size]
    vectors = np.frombuffer(b"".join(row[column] for row in right), dtype="<f4").reshape(-1, size).astype(np.float32)
    try:
        check_vectors(vectors, size)
    except InputError:
        for row, vector in zip(right, vectors, strict=True):
            try:
                check_vectors(vector[None], size)
            except InputError:
                wrong.append(row[0])
    return wrong


def _finding(
    kind: str, message: str, ids: Sequence[int], severity: Severity = Severity.DAMAGE, advice: str = REPAIR
) -> Finding:
    shown = ", ".join(f"id:{id_}" for id_ in ids[:_SHOWN]) + (" …" if len(ids) > _SHOWN else "")
    return Finding(severity, kind, f"{message} ({shown})" if ids else message, advice, tuple(ids[:_SHOWN]))
