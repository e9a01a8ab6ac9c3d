"""What changes a gallery, on a connection within a transaction."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from facenet.errors import InputError, printable
from facenet.gallery.records import Enrollment, Sample
from facenet.gallery.sqlite_header import TRACES_IN_FILE, TRACES_IN_LOG, bump, mark_traces, read_values
from facenet.gallery.sqlite_reading import no_such_person, people_named, read_person
from facenet.gallery.sqlite_rows import (
    LARGEST_ID,
    Row,
    blank_sample,
    check_vectors,
    insert_rows,
    name_key,
    next_id,
    row_crc,
    sample_row,
    vectors_fit,
)
from facenet.gallery.values import details_text, now


@dataclass(frozen=True)
class Words:
    """What is to be written about a person, in the form that is stored; None: as it is."""

    name: str | None = None
    metadata: str | None = None
    consent: str | None = None
    expires: str | None = None


@dataclass(frozen=True, eq=False)
class Request:
    """One enrollment.

    Attributes:
        name: as it is stored; not looked at where ``person`` is given.
        person: id of the person to add to.
        new: whether to make a person even if there is one of this name.
    """

    name: str
    samples: Sequence[Sample]
    person: int | None = None
    new: bool = False
    words: Words = Words()
    details: Mapping[str, object] = field(default_factory=dict)


def enroll(connection: sqlite3.Connection, place: str, actor: str, requests: Sequence[Request]) -> list[Enrollment]:
    """Write enrollments, in order.

    Raises:
        InputError: an embedding cannot be used, a name means several people, or there is no such person.
    """
    _check_requests(requests, int(read_values(connection, place)["embedding_size"]))
    batch = _Batch(connection, place, actor, bump(connection))
    results = [batch.add(request) for request in requests]
    batch.write()
    return results


def _check_requests(requests: Sequence[Request], size: int) -> None:
    """As :func:`check_samples` for each, but all at once while nothing is wrong."""
    vectors = [sample.embedding for request in requests for sample in request.samples]
    float32 = np.dtype(np.float32)
    shaped = all(isinstance(v, np.ndarray) and v.shape == (size,) and v.dtype == float32 for v in vectors)
    # Concatenated, for stacking first makes a view of every vector.
    if not vectors or (shaped and vectors_fit(np.concatenate(vectors).reshape(-1, size))):
        return
    # Something is wrong: one by one it is known whose it is.
    for request in requests:
        whose = f"“{printable(request.name)}”" if request.person is None else f"id:{request.person}"
        check_samples(request.samples, size, whose)


def check_samples(samples: Sequence[Sample], size: int, whose: str) -> None:
    """Refuse embeddings that a gallery cannot hold.

    Args:
        whose: for the message.

    Raises:
        InputError: names the first that is not finite, of the wrong size or not of length 1.
    """
    what = f"embedding of {whose}:"
    for position, sample in enumerate(samples):
        vector = sample.embedding
        if not isinstance(vector, np.ndarray) or vector.dtype != np.float32 or vector.shape != (size,):
            shape = "x".join(map(str, vector.shape)) if isinstance(vector, np.ndarray) else ""
            kind = f"{vector.dtype} of {shape}" if isinstance(vector, np.ndarray) else type(vector).__name__
            raise InputError(f"{what} {position + 1} is {kind}, not float32 of {size}")
    if samples:
        check_vectors(np.stack([sample.embedding for sample in samples]), size, what)


class _Batch:
    """Rows of several enrollments, written table by table."""

    def __init__(self, connection: sqlite3.Connection, place: str, actor: str, generation: int) -> None:
        self._connection = connection
        self._place = place
        self._actor = actor
        self._generation = generation
        self._at = now()
        self._next = {table: next_id(connection, table) for table in ("people", "profiles", "embeddings", "audit")}
        self._rows: dict[str, list[Row]] = {table: [] for table in ("profiles", "people", "embeddings", "audit")}
        self._created: dict[str, list[int]] = {}
        self._said: dict[tuple[int, bool], str] = {}

    def add(self, request: Request) -> Enrollment:
        """Put one enrollment's rows with the others that wait to be written."""
        person, name = self._target(request)
        created = person is None
        if person is None:
            person = self._new_person(request)
        else:
            self.write()
            change_person(self._connection, self._place, person, self._generation, request.words)
            self._next["profiles"] = next_id(self._connection, "profiles")
        samples = tuple(self._take("embeddings") for _ in request.samples)
        self._rows["embeddings"] += [
            sample_row(id, person, sample, self._at) for id, sample in zip(samples, request.samples, strict=True)
        ]
        self._rows["audit"].append(
            (self._take("audit"), self._at, self._actor, "enroll", person, self._details(request, created))
        )
        return Enrollment(person, name, created, samples)

    def _details(self, request: Request, created: bool) -> str:
        """What the audit log says; of many enrollments alike it is worked out once."""
        key = None if request.details else (len(request.samples), created)
        if key is None or key not in self._said:
            text = details_text({**request.details, "embeddings": len(request.samples), "created": created})
            if key is None:
                return text
            self._said[key] = text
        return self._said[key]

    def write(self) -> None:
        """Write the rows that wait."""
        for table, rows in self._rows.items():
            insert_rows(self._connection, table, rows)
            rows.clear()
        self._created.clear()

    def _target(self, request: Request) -> tuple[int | None, str]:
        """The person to add to, None for a new one, and the name."""
        if request.person is not None:
            return request.person, read_person(self._connection, self._place, request.person).name
        if request.new:
            return None, request.name
        # Not yet written, so not found by a query.
        found = people_named(self._connection, request.name) + self._created.get(request.name, [])
        if len(found) > 1:
            ids = ", ".join(f"id:{id}" for id in found[:10])
            raise InputError(
                f"{len(found)} people are called “{printable(request.name)}” ({ids}): say which one by its id"
            )
        return (found[0] if found else None), request.name

    def _new_person(self, request: Request) -> int:
        words = request.words
        person, profile = self._take("people"), self._take("profiles")
        self._rows["profiles"].append((profile, request.name, words.metadata or "{}", words.consent or ""))
        self._rows["people"].append(
            (person, profile, name_key(request.name), words.expires or "", self._at, self._generation)
        )
        self._created.setdefault(request.name, []).append(person)
        return person

    def _take(self, table: str) -> int:
        self._next[table] += 1
        return self._next[table] - 1


def change_person(connection: sqlite3.Connection, place: str, person: int, generation: int, words: Words) -> None:
    """Write what is given about a person, and that the person changed.

    Raises:
        InputError: there is no such person.
    """
    before = read_person(connection, place, person)
    profile, key = connection.execute("SELECT profile, key FROM people WHERE id = ?", (person,)).fetchone()
    name = before.name if words.name is None else words.name
    spoken = (words.name, words.metadata, words.consent)
    if any(word is not None for word in spoken):
        old = connection.execute("SELECT name, metadata, consent FROM profiles WHERE id = ?", (profile,)).fetchone()
        texts = [given if given is not None else kept for given, kept in zip(spoken, old, strict=True)]
        _blank_profile(connection, profile)
        profile, key = next_id(connection, "profiles"), name_key(name)
        insert_rows(connection, "profiles", [(profile, *texts)])
        mark_traces(connection, TRACES_IN_LOG, generation)
    expires = before.expires if words.expires is None else words.expires
    row = (person, profile, key, expires, before.created, generation)
    connection.execute(
        "UPDATE people SET profile = ?, key = ?, expires = ?, changed = ?, crc = ? WHERE id = ?",
        (profile, key, expires, generation, row_crc("people", row), person),
    )


def remove_person(connection: sqlite3.Connection, person: int, generation: int) -> int:
    """Take a person away; returns how many embeddings went too.

    Raises:
        InputError: there is no such person.
    """
    found = None
    if 0 < person <= LARGEST_ID:
        found = connection.execute("SELECT profile FROM people WHERE id = ?", (person,)).fetchone()
    if found is None:
        raise no_such_person(person)
    samples = [row[0] for row in connection.execute("SELECT id FROM embeddings WHERE person = ?", (person,))]
    for sample in samples:
        _blank_sample(connection, sample)
    connection.execute("DELETE FROM people WHERE id = ?", (person,))
    _blank_profile(connection, found[0])
    insert_rows(connection, "removed", [("person", person, generation)])
    mark_traces(connection, _where_traces_are(connection), generation)
    return len(samples)


def remove_sample(connection: sqlite3.Connection, place: str, sample: int, generation: int) -> int:
    """Take one embedding away; returns the person.

    Raises:
        InputError: there is no such embedding.
    """
    found = None
    if 0 < sample <= LARGEST_ID:
        found = connection.execute("SELECT person FROM embeddings WHERE id = ?", (sample,)).fetchone()
    if found is None or found[0] is None:
        raise InputError(f"there is no embedding {sample} in this gallery")
    _blank_sample(connection, sample)
    insert_rows(connection, "removed", [("sample", sample, generation)])
    change_person(connection, place, found[0], generation, Words())
    mark_traces(connection, _where_traces_are(connection), generation)
    return int(found[0])


def drop_blank_rows(connection: sqlite3.Connection) -> int:
    """Delete what is left of rows that were removed; returns how many there were.

    Copies of the rows beside them can stay behind in the file until it is rewritten.
    """
    connection.execute("DELETE FROM new_embeddings WHERE sample IN (SELECT id FROM embeddings WHERE person IS NULL)")
    samples = connection.execute("DELETE FROM embeddings WHERE person IS NULL").rowcount
    return samples + connection.execute("DELETE FROM profiles WHERE name = ''").rowcount


def write_audit(
    connection: sqlite3.Connection, actor: str, action: str, person: int | None, details: Mapping[str, object]
) -> None:
    """Append an entry to the audit log; the details hold no names, file names or vectors."""
    row = (next_id(connection, "audit"), now(), actor, action, person, details_text(details))
    insert_rows(connection, "audit", [row])


def account() -> str:
    """Name of the account this process runs under, for the audit log."""
    try:
        import pwd
    except ImportError:
        return os.getlogin()
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"user {os.geteuid()}"


def _where_traces_are(connection: sqlite3.Connection) -> str:
    """Of a removed embedding: vectors of a new model are not written in order, so copies of them stay in the file."""
    moving = connection.execute("SELECT 1 FROM new_embeddings LIMIT 1").fetchone()
    return TRACES_IN_LOG if moving is None else TRACES_IN_FILE


def _blank_sample(connection: sqlite3.Connection, sample: int) -> None:
    _, *values = blank_sample(sample)
    connection.execute(
        "UPDATE embeddings SET person = ?, quality = ?, added = ?, content = ?, source = ?, box = ?, vector = ?,"
        " crc = ? WHERE id = ?",
        (*values, row_crc("embeddings", (sample, *values)), sample),
    )
    new = (sample, None, None, "")
    connection.execute(
        "UPDATE new_embeddings SET vector = NULL, quality = NULL, reason = '', crc = ? WHERE sample = ?",
        (row_crc("new_embeddings", new), sample),
    )


def _blank_profile(connection: sqlite3.Connection, profile: int) -> None:
    connection.execute(
        "UPDATE profiles SET name = '', metadata = '', consent = '', crc = ? WHERE id = ?",
        (row_crc("profiles", (profile, "", "", "")), profile),
    )
