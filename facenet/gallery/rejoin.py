"""Rows that were saved one by one, made a gallery again: what belongs together is joined, what is missing is named."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from facenet.errors import FacenetError, GalleryError
from facenet.gallery.records import Header
from facenet.gallery.salvage import Found, header_from_audit
from facenet.gallery.sqlite_header import header_values, new_history, to_header, write_values
from facenet.gallery.sqlite_rows import insert_person, insert_rows, next_id
from facenet.gallery.sqlite_writing import account, write_audit
from facenet.gallery.values import now

LOST_PERSON = "lost-person"
"""Kind of an entry in ``removed``: gone by damage, not on purpose."""

_ESSENTIAL = ("fingerprint", "preprocessing", "embedding_size")
_UNBOUND = ("uuid", "created", "fusion", "index")
_SMALLEST_ROW = 32

_KNOWN = {
    "people": "SELECT id FROM people UNION SELECT person FROM embeddings UNION SELECT person FROM audit"
    " UNION SELECT id FROM removed WHERE kind <> 'sample'",
    "profiles": "SELECT id FROM profiles UNION SELECT profile FROM people",
    "embeddings": "SELECT id FROM embeddings UNION SELECT sample FROM new_embeddings"
    " UNION SELECT id FROM removed WHERE kind = 'sample'",
    "audit": "SELECT id FROM audit",
}
"""Queries for every id that is known to have been given out."""

_LATEST = "SELECT 0 UNION SELECT max(changed) FROM people UNION SELECT max(generation) FROM removed"


@dataclass(frozen=True)
class Rejoined:
    """What came of it; see :class:`facenet.gallery.repair.RepairReport`."""

    lost_people: tuple[int, ...] = ()
    nameless: tuple[int, ...] = ()
    lost_embeddings: int = 0
    header_from: str = "header"


def rejoin(connection: sqlite3.Connection, found: Found, header: Header | None, *, room: int, place: str) -> Rejoined:
    """Make the saved rows agree with one another, within the caller's transaction and without foreign keys.

    Args:
        found: what goes with the rows.
        header: to be used if the gallery's own is lost.
        room: bytes of the damaged files: no more ids can have been given out than rows fit in there.
        place: for messages.

    Raises:
        GalleryError: nothing tells what made the embeddings.
    """
    values, header_from = _header(connection, found, header, place)
    size = int(values["embedding_size"])
    known = {table: set(_column(connection, query)) for table, query in _KNOWN.items()}
    _set_counters(connection, found, known, room)
    connection.execute("DELETE FROM embeddings WHERE person IS NOT NULL AND length(vector) <> ?", (4 * size,))
    lost_embeddings = _count_lost(connection)
    _drop_removed(connection)
    generation = 1 + max(_as_number(values.get("generation")), *_column(connection, _LATEST))
    nameless = _name_the_nameless(connection, generation)
    _drop_leftovers(connection)
    _record_removals(connection, generation)
    gone = set(_column(connection, "SELECT id FROM people UNION SELECT id FROM removed WHERE kind <> 'sample'"))
    lost = tuple(id_ for id_ in range(1, max(known["people"], default=0) + 1) if id_ not in gone)
    insert_rows(connection, "removed", [(LOST_PERSON, id_, generation) for id_ in lost])
    write_values(connection, {**values, "generation": str(generation), "traces": ""})
    new_history(connection)
    write_audit(connection, account(), "repair", None, {"lost": len(lost), "nameless": len(nameless)})
    return Rejoined(lost, nameless, lost_embeddings, header_from)


def _header(
    connection: sqlite3.Connection, found: Found, header: Header | None, place: str
) -> tuple[dict[str, str], str]:
    """Keys and values of the header, and where they come from."""
    sources: list[tuple[str, dict[str, str] | None]] = [
        ("header", found.header),
        ("audit log", header_from_audit(connection, found.counters.get("audit"))),
        ("caller", None if header is None else header_values(header)),
    ]
    for origin, values in sources:
        if values is None or not all(key in values for key in _ESSENTIAL):
            continue
        defaults = {"model": "{}", "fusion": "max", "index": "auto", "calibration": "{}"}
        filled = {**defaults, "created": now(), "uuid": secrets.token_hex(16), **values}
        if origin != "header":
            filled |= {key: found.header[key] for key in _UNBOUND if key in found.header} | {"calibration": "{}"}
        try:
            to_header(filled, place)
        except FacenetError:
            continue
        return filled, origin
    raise GalleryError(
        f"{place} has lost what says which model and preprocessing made its embeddings: without that they cannot be "
        "used; give the header of a backup, or restore the backup"
    )


def _set_counters(connection: sqlite3.Connection, found: Found, known: Mapping[str, set[int]], room: int) -> None:
    """See to it that no id is given out again, also none of a row that is lost."""
    most = room // _SMALLEST_ROW
    for table, ids in known.items():
        least = max(ids, default=0)
        stated = found.counters.get(table, 0) if found.counters else -1
        # The counters have no checksum: an impossible one is replaced by one that is high enough for sure.
        counter = stated if least <= stated <= least + most else least + most
        connection.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
        connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, counter))


def _count_lost(connection: sqlite3.Connection) -> int:
    """Embeddings that are neither there nor known to have been removed, at most."""
    given = next_id(connection, "embeddings") - 1
    gone = "SELECT id FROM embeddings UNION SELECT id FROM removed WHERE kind = 'sample'"
    return given - len(_column(connection, gone))


def _drop_removed(connection: sqlite3.Connection) -> None:
    """What was removed on purpose does not come back through a former state."""
    connection.execute("DELETE FROM people WHERE id IN (SELECT id FROM removed WHERE kind = 'person')")
    connection.execute(
        "DELETE FROM embeddings WHERE person IN (SELECT id FROM removed WHERE kind = 'person')"
        " OR (person IS NOT NULL AND id IN (SELECT id FROM removed WHERE kind = 'sample'))"
    )


def _record_removals(connection: sqlite3.Connection, generation: int) -> None:
    """Who is not there, and was removed on purpose as the audit log says, was not lost."""
    query = (
        "SELECT DISTINCT person FROM audit WHERE action IN ('remove', 'purge') AND person IS NOT NULL"
        " AND person NOT IN (SELECT id FROM people) AND person NOT IN (SELECT id FROM removed WHERE kind <> 'sample')"
    )
    insert_rows(connection, "removed", [("person", id_, generation) for id_ in _column(connection, query)])


def _name_the_nameless(connection: sqlite3.Connection, generation: int) -> tuple[int, ...]:
    """Stand in for names, and for people of whom only the embeddings are left."""
    unnamed = "NOT EXISTS (SELECT 1 FROM profiles f WHERE f.id = p.profile AND f.name <> '')"
    empty = "NOT EXISTS (SELECT 1 FROM embeddings e WHERE e.person = p.id)"
    connection.execute(f"DELETE FROM people AS p WHERE {unnamed} AND {empty}")
    orphans = connection.execute(
        "SELECT person, min(added) FROM embeddings e WHERE person IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM people p WHERE p.id = e.person) GROUP BY person"
    ).fetchall()
    nameless = connection.execute(f"SELECT id, expires, created FROM people p WHERE {unnamed}").fetchall()
    connection.executemany("DELETE FROM people WHERE id = ?", [row[:1] for row in nameless])
    for id_, expires, created in sorted([*nameless, *((person, "", added) for person, added in orphans)]):
        insert_person(connection, f"unnamed {id_}", generation=generation, created=created, expires=expires, id=id_)
    return tuple(sorted(row[0] for row in [*nameless, *orphans]))


def _drop_leftovers(connection: sqlite3.Connection) -> None:
    """What belongs to nothing any more."""
    connection.execute("DELETE FROM profiles WHERE name <> '' AND id NOT IN (SELECT profile FROM people)")
    connection.execute(
        "DELETE FROM new_embeddings WHERE sample NOT IN (SELECT id FROM embeddings)"
        " OR NOT EXISTS (SELECT 1 FROM reembedding)"
    )


def _column(connection: sqlite3.Connection, query: str) -> list[int]:
    return [row[0] for row in connection.execute(query) if row[0] is not None]


def _as_number(text: str | None) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() else 0
