"""Rows of a gallery's tables: their checksums, and people and embeddings as rows and back.

Functions that write expect to be within a transaction.
"""

from __future__ import annotations

import json
import math
import os
import sqlite3
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from facenet.errors import GalleryError, InputError
from facenet.gallery.records import Person, Sample, StoredSample

Row = tuple[Any, ...]

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "header": ("key", "value", "crc"),
    "profiles": ("id", "name", "metadata", "consent", "crc"),
    "people": ("id", "profile", "key", "expires", "created", "changed", "crc"),
    "embeddings": ("id", "person", "quality", "added", "content", "source", "box", "vector", "crc"),
    "removed": ("kind", "id", "generation", "crc"),
    "audit": ("id", "at", "actor", "action", "person", "details", "crc"),
    "reembedding": ("id", "header", "started", "crc"),
    "new_embeddings": ("sample", "vector", "quality", "reason", "crc"),
}
"""Of each table, in the order they are stored and summed in; ``crc`` is the last everywhere."""

LARGEST_ID = 2**63 - 1

_KEY_BITS = 20
_BOX = struct.Struct("<4d")
_LONGEST_CONTENT = 128
_LENGTH_TOLERANCE = 1e-3


def row_crc(table: str, values: Iterable[Any]) -> int:
    """CRC-32 over a row: the table's name and all columns but ``crc``, with their types and lengths.

    Args:
        values: each None, ``int``, ``float``, ``str`` or ``bytes``.
    """
    parts = [table.encode("ascii")]
    for value in values:
        # By exact type, for this runs for every row of a bulk enrollment: isinstance would take half as long again.
        kind = type(value)
        if kind is str:
            data = value.encode("utf-8")
            parts += (b"T%d;" % len(data), data)
        elif kind is int:
            parts.append(b"I%d;" % value)
        elif kind is bytes:
            parts += (b"B%d;" % len(value), value)
        elif kind is float:
            parts.append(b"F" + struct.pack("<d", value))
        elif value is None:
            parts.append(b"N")
        else:
            raise TypeError(f"a row holds no {kind.__name__}")
    return zlib.crc32(b"".join(parts))


def row_ok(table: str, row: Sequence[Any]) -> bool:
    """Whether a row, all columns of :data:`COLUMNS` in their order, is what was written."""
    return bool(row[-1] == row_crc(table, row[:-1]))


def insert_rows(connection: sqlite3.Connection, table: str, rows: Iterable[Row], *, replace: bool = False) -> None:
    """Append rows: all columns but ``crc``, in their order."""
    marks = ", ".join("?" * len(COLUMNS[table]))
    verb = "REPLACE" if replace else "INSERT"
    connection.executemany(f"{verb} INTO {table} VALUES ({marks})", ((*row, row_crc(table, row)) for row in rows))


def next_id(connection: sqlite3.Connection, table: str) -> int:
    """The id the next row will have; ids of rows that are gone do not come back."""
    found = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
    return 1 if found is None else int(found[0]) + 1


def name_key(name: str) -> int:
    """20 bits of a checksum of a name: enough to look it up by, too few to tell what it was."""
    return zlib.crc32(name.encode("utf-8")) & ((1 << _KEY_BITS) - 1)


def insert_person(
    connection: sqlite3.Connection,
    name: str,
    *,
    generation: int,
    created: str,
    metadata: str = "{}",
    consent: str = "",
    expires: str = "",
    id: int | None = None,
) -> int:
    """Append a person whose values have been brought into the form that is stored; returns the id.

    Args:
        id: larger than every one given before; None: the next.
    """
    number = next_id(connection, "people") if id is None else id
    profile = next_id(connection, "profiles")
    insert_rows(connection, "profiles", [(profile, name, metadata, consent)])
    insert_rows(connection, "people", [(number, profile, name_key(name), expires, created, generation)])
    return number


def insert_sample(
    connection: sqlite3.Connection, person: int, sample: Sample, *, added: str, id: int | None = None
) -> int:
    """Append an embedding that was checked (:func:`check_vectors`, :func:`sample_row`); returns the id."""
    number = next_id(connection, "embeddings") if id is None else id
    insert_rows(connection, "embeddings", [sample_row(number, person, sample, added)])
    return number


def sample_row(id: int, person: int, sample: Sample, added: str) -> Row:
    """An embedding as a row without its ``crc``.

    Raises:
        InputError: quality, box, content hash or source cannot be.
    """
    quality = float(sample.quality)
    if not 0.0 <= quality <= 1.0:
        raise InputError(f"the quality of an embedding must be 0 to 1, not {quality:g}")
    box = None
    if sample.box is not None:
        sides = tuple(float(side) for side in sample.box)
        if len(sides) != 4 or not all(math.isfinite(side) for side in sides):
            raise InputError("the box of an embedding must be four finite numbers")
        box = _BOX.pack(*sides)
    if not sample.content.isascii() or len(sample.content) > _LONGEST_CONTENT:
        raise InputError(f"a content hash must be at most {_LONGEST_CONTENT} ASCII characters")
    try:
        source = os.fsencode(sample.source)
    except UnicodeEncodeError as error:
        raise InputError("the source of an embedding is no file name") from error
    vector = np.ascontiguousarray(sample.embedding, dtype="<f4").tobytes()
    return (id, person, quality, added, sample.content, source, box, vector)


def check_vectors(vectors: np.ndarray, size: int, what: str = "embedding") -> np.ndarray:
    """Refuse embeddings that a gallery cannot hold.

    Args:
        vectors: to be ``float32 (n, size)``, finite, each row of length 1 (to within 1e-3).
        size: values in each embedding of the gallery.
        what: for the message, such as ``"embedding of somebody"``.

    Returns:
        ``float32 (n,)``, their lengths.

    Raises:
        InputError: names the first row that is not.
    """
    if vectors.dtype != np.float32 or vectors.ndim != 2 or vectors.shape[1] != size:
        shape = "x".join(map(str, vectors.shape))
        raise InputError(f"{what}: float32 of n x {size} values is wanted, this is {vectors.dtype} of {shape}")
    lengths, fit = _lengths(vectors)
    wrong = np.flatnonzero(~fit)
    if len(wrong):
        row = int(wrong[0])
        if not np.isfinite(vectors[row]).all():
            reason = "holds NaN or infinity"
        elif not vectors[row].any():
            reason = "is all zeros"
        else:
            reason = f"has length {lengths[row]:.6g}, not 1"
        raise InputError(f"{what} {row + 1} of {len(vectors)} {reason}")
    return lengths


def vectors_fit(vectors: np.ndarray) -> bool:
    """Whether all rows ``float32 (n, d)`` are finite and of length 1, as :func:`check_vectors` wants them."""
    return bool(_lengths(vectors)[1].all())


def _lengths(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Length of each row, and whether it is near enough to 1."""
    # An infinite or huge row has an infinite length, one with NaN has length NaN: neither is near 1.
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
        return lengths, np.abs(lengths - 1.0) <= _LENGTH_TOLERANCE


def to_vectors(blobs: Sequence[bytes], size: int, place: str) -> np.ndarray:
    """Stored vectors → ``float32 (n, size)``, read-only.

    Raises:
        GalleryError: one has another length.
    """
    joined = b"".join(blobs)
    if len(joined) != 4 * size * len(blobs) or any(len(blob) != 4 * size for blob in blobs):
        raise damaged_row(place, "embeddings")
    return np.frombuffer(joined, dtype="<f4").astype(np.float32, copy=False).reshape(-1, size)


PERSON_QUERY = (
    "SELECT p.id, p.profile, p.key, p.expires, p.created, p.changed, p.crc,"
    " f.id, f.name, f.metadata, f.consent, f.crc,"
    " (SELECT count(*) FROM embeddings e WHERE e.person = p.id)"
    " FROM people p JOIN profiles f ON f.id = p.profile"
)
"""For :func:`to_person`; conditions on ``p`` and ``f`` may follow."""


def to_person(row: Sequence[Any], place: str) -> Person:
    """A row of :data:`PERSON_QUERY` → person.

    Raises:
        GalleryError: not what was written.
    """
    people, profile = row[:7], row[7:12]
    if not (row_ok("people", people) and row_ok("profiles", profile)):
        raise damaged_row(place, f"people, id {people[0]}")
    metadata = from_json(profile[2], place, f"people, id {people[0]}")
    return Person(people[0], profile[1], metadata, profile[3], people[3], people[4], row[12])


def to_sample(row: Sequence[Any], size: int, place: str) -> StoredSample:
    """A row of ``embeddings``, all columns → sample.

    Raises:
        GalleryError: not what was written.
    """
    if not row_ok("embeddings", row):
        raise damaged_row(place, f"embeddings, id {row[0]}")
    id_, person, quality, added, content, source, box, vector, _ = row
    return StoredSample(
        embedding=to_vectors([vector], size, place)[0],
        source=os.fsdecode(source),
        content=content,
        box=None if box is None else _BOX.unpack(box),
        quality=quality,
        id=id_,
        person=person,
        added=added,
    )


def from_json(text: str, place: str, where: str) -> Any:
    """Stored JSON → value.

    Raises:
        GalleryError: no JSON, or nested deeper than anything that was ever written.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise damaged_row(place, where) from error


def blank_sample(id: int) -> Row:
    """What is left of an embedding that was removed: a row without its ``crc``."""
    return (id, None, 0.0, "", "", b"", None, b"")


def damaged_row(place: str, where: str) -> GalleryError:
    """The error for a row that is not what was written."""
    return GalleryError(
        f"{place} is damaged (table {where}): `gallery check` says more, `gallery repair` saves what it can"
    )
