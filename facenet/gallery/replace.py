"""The contents of a gallery replaced by those of an earlier copy of it, in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from facenet.errors import InputError
from facenet.gallery.cache import IndexCache
from facenet.gallery.rejoin import LOST_PERSON
from facenet.gallery.sqlite_header import TRACES_IN_FILE, mark_traces, new_history, read_values, write_values
from facenet.gallery.sqlite_rows import COLUMNS, insert_rows
from facenet.gallery.sqlite_store import SqlStore
from facenet.gallery.sqlite_writing import write_audit

_REPLACED = ("profiles", "people", "embeddings", "reembedding", "new_embeddings")
"""In the order in which they refer to one another."""


@dataclass(frozen=True)
class Replaced:
    """What the replacement meant; see :class:`facenet.gallery.backup.RestoreReport`."""

    removed_since: tuple[int, ...]
    removed_embeddings: int
    dropped: tuple[int, ...]


def replace_contents(store: SqlStore, copy: sqlite3.Connection, *, include_removed: bool) -> Replaced:
    """Put the people, embeddings and header of ``copy`` in place of the store's own.

    Args:
        store: of the gallery; its audit log, counters and record of removals go on.
        copy: connection to an earlier state of it, of the same schema version.
        include_removed: also bring back who and what was removed since.

    Raises:
        InputError: the copy is of another gallery.
        GalleryError: one of them is damaged.
        StorageError: as for every write; nothing has changed.
    """
    place = store.database.place
    theirs = read_values(copy, place)
    with store.database.transaction() as connection:
        ours = read_values(connection, place)
        if theirs["uuid"] != ours["uuid"]:
            raise InputError(f"that is a backup of another gallery than {place}: restore it to a new place")
        generation = 1 + max(int(ours["generation"]), int(theirs["generation"]))
        now_there, then_there = _ids(connection, "SELECT id FROM people"), _ids(copy, "SELECT id FROM people")
        gone = _removed(connection, "person")
        gone_samples = _removed(connection, "sample")
        back = then_there & gone
        back_samples = _ids(copy, "SELECT id FROM embeddings WHERE person IS NOT NULL") & gone_samples
        if include_removed:
            gone, gone_samples = set(), set()
        for table in reversed(_REPLACED):
            connection.execute(f"DELETE FROM {table}")
        for table in _REPLACED:
            insert_rows(connection, table, _kept(copy, table, gone, gone_samples))
        dropped = now_there - then_there
        _record_removals(connection, copy, generation, dropped)
        _raise_counters(connection, copy)
        write_values(connection, {**theirs, "generation": str(generation), "traces": ""})
        new_history(connection)
        mark_traces(connection, TRACES_IN_FILE, generation)
        details = {"removed_since": len(back), "included": include_removed, "dropped": len(dropped)}
        write_audit(connection, store.actor, "restore", None, details)
    drop_cache(store)
    return Replaced(tuple(sorted(back)), len(back_samples), tuple(sorted(dropped)))


def drop_cache(store: SqlStore) -> None:
    """Delete the index kept beside a store: it holds embeddings that are there no more.

    Not within a transaction: whoever saves an index has the cache locked and asks the store something. An index that
    is saved or left there nevertheless is of another history, so it is never used and goes at the next search.

    Raises:
        StorageError: it cannot be deleted.
    """
    if store.cache_folder is not None:
        IndexCache(store.cache_folder).drop()


def _kept(copy: sqlite3.Connection, table: str, people: set[int], samples: set[int]) -> Iterator[tuple[Any, ...]]:
    """The copy's rows without their checksums, by id, but none of these people and samples."""
    left_out = {row[1] for row in copy.execute("SELECT id, profile FROM people") if row[0] in people}
    columns = ", ".join(COLUMNS[table])
    owner = "(SELECT person FROM embeddings e WHERE e.id = sample)" if table == "new_embeddings" else "NULL"
    for *row, _, person in copy.execute(f"SELECT {columns}, {owner} FROM {table} ORDER BY {COLUMNS[table][0]}"):
        unwanted = (
            (table == "profiles" and row[0] in left_out)
            or (table == "people" and row[0] in people)
            or (table == "embeddings" and (row[1] in people or row[0] in samples))
            or (table == "new_embeddings" and (person in people or row[0] in samples))
        )
        if not unwanted:
            yield tuple(row)


def _record_removals(
    connection: sqlite3.Connection, copy: sqlite3.Connection, generation: int, dropped: set[int]
) -> None:
    """Who is there again was not removed; who was removed before the copy stays so; who is dropped is only lost."""
    earlier = copy.execute("SELECT kind, id, generation FROM removed").fetchall()
    insert_rows(connection, "removed", earlier, replace=True)
    insert_rows(connection, "removed", [(LOST_PERSON, id_, generation) for id_ in sorted(dropped)], replace=True)
    connection.execute("DELETE FROM removed WHERE kind <> 'sample' AND id IN (SELECT id FROM people)")
    connection.execute(
        "DELETE FROM removed WHERE kind = 'sample' AND id IN (SELECT id FROM embeddings WHERE person IS NOT NULL)"
    )


def _raise_counters(connection: sqlite3.Connection, copy: sqlite3.Connection) -> None:
    """No id given out in either is given out again."""
    connection.executemany(
        "UPDATE sqlite_sequence SET seq = max(seq, ?2) WHERE name = ?1",
        copy.execute("SELECT name, seq FROM sqlite_sequence").fetchall(),
    )


def _removed(connection: sqlite3.Connection, kind: str) -> set[int]:
    return {row[0] for row in connection.execute("SELECT id FROM removed WHERE kind = ?", (kind,))}


def _ids(connection: sqlite3.Connection, query: str) -> set[int]:
    return {row[0] for row in connection.execute(query)}
