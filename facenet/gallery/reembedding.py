"""Moving a gallery to another model: new vectors gather beside the old ones and take their place all at once.

Until :func:`finish`, the gallery is searched and enrolled into with the old model as ever; what is enrolled or removed
meanwhile is taken into account. Everything is kept in the gallery itself, so whoever is interrupted goes on where they
were. Where the pictures come from is not known here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from facenet.errors import ContractError, InputError, UsageError, printable
from facenet.gallery.backend import Store
from facenet.gallery.records import Header, StoredSample
from facenet.gallery.reembedding_rows import (
    SAMPLE_COLUMNS,
    ReembeddingProgress,
    count_progress,
    drop_new,
    keep_rows,
    new_values,
    read_target,
    replace_vectors,
    require_target,
)
from facenet.gallery.replace import drop_cache
from facenet.gallery.salvage import HEADER_KEYS
from facenet.gallery.sqlite_header import bump, new_history, read_values, write_values
from facenet.gallery.sqlite_rows import blank_sample, check_vectors, insert_rows, to_sample
from facenet.gallery.sqlite_store import WAIT_FOR_READERS, SqlStore
from facenet.gallery.sqlite_writing import write_audit
from facenet.gallery.values import now

_UNDONE = "e.person IS NOT NULL AND NOT EXISTS (SELECT 1 FROM new_embeddings n WHERE n.sample = e.id)"
_MISSING = "e.person IS NOT NULL AND EXISTS (SELECT 1 FROM new_embeddings n WHERE n.sample = e.id AND n.vector IS NULL)"
_WITHOUT = (
    "SELECT id FROM people p WHERE EXISTS (SELECT 1 FROM embeddings e WHERE e.person = p.id) AND NOT EXISTS"
    " (SELECT 1 FROM embeddings e JOIN new_embeddings n ON n.sample = e.id AND n.vector IS NOT NULL"
    " WHERE e.person = p.id) ORDER BY id"
)
_LONGEST_REASON = 200


@dataclass(frozen=True)
class MissingSample:
    """An embedding that cannot have a new vector, and why."""

    sample: int
    person: int
    reason: str


@dataclass(frozen=True)
class Finished:
    """What a move did.

    Attributes:
        embeddings: how many were replaced.
        dropped: ids of embeddings that had no new vector and are gone.
        without: ids of people who have no embedding any more; they are kept, and are not found until they are enrolled
            anew.
    """

    embeddings: int
    dropped: tuple[int, ...] = ()
    without: tuple[int, ...] = ()


def target(store: Store) -> Header | None:
    """The header a gallery is moving to; None if it is not."""
    sql = _sql(store)
    with sql.database.reading() as connection:
        return read_target(connection, sql.database.place)


def begin(store: Store, header: Header, *, restart: bool = False) -> ReembeddingProgress:
    """Begin to move a gallery to another model, or go on with it.

    Args:
        store: of the gallery.
        header: fingerprint, contract, size and model are those to come; the rest stays the gallery's own.
        restart: drop what there is for yet another model.

    Returns:
        How far it already is.

    Raises:
        InputError: the gallery is already of that model.
        ContractError: it is on its way to yet another one.
    """
    sql = _sql(store)
    with sql.database.transaction() as connection:
        place = sql.database.place
        values = read_values(connection, place)
        if values["fingerprint"] == header.fingerprint:
            raise InputError(f"{place} is already of the model with fingerprint {printable(header.fingerprint)}")
        under_way = read_target(connection, place)
        if under_way is not None and under_way.fingerprint != header.fingerprint:
            if not restart:
                raise ContractError(
                    f"{place} is on its way to the model with fingerprint {printable(under_way.fingerprint)}, not to "
                    f"{printable(header.fingerprint)}: go on with that one, or start over (`gallery reembed --restart`)"
                )
            drop_new(connection, int(values["generation"]))
            under_way = None
        if under_way is None:
            insert_rows(connection, "reembedding", [(1, json.dumps(new_values(header)), now())])
            details = {"fingerprint": header.fingerprint}
            write_audit(connection, sql.actor, "reembed-begin", None, details)
        found = count_progress(connection)
    sql.clear_traces(WAIT_FOR_READERS)
    return found


def pending(store: Store, *, after: int = 0, limit: int = 256) -> list[StoredSample]:
    """Embeddings without a new vector that are not known to be missing, by id; also those enrolled meanwhile.

    Args:
        after: only ids larger than this.
        limit: at most so many.
    """
    sql = _sql(store)
    with sql.database.reading() as connection:
        require_target(connection, sql.database.place)
        size = int(read_values(connection, sql.database.place)["embedding_size"])
        query = f"SELECT {SAMPLE_COLUMNS} FROM embeddings e WHERE e.id > ? AND {_UNDONE} ORDER BY e.id LIMIT ?"
        return [to_sample(row, size, sql.database.place) for row in connection.execute(query, (after, limit))]


def put(store: Store, rows: Iterable[tuple[int, np.ndarray, float]]) -> int:
    """Keep new vectors; on disk on return.

    Args:
        rows: (id of the embedding, its new vector ``float32 (d,)`` of length 1, its new quality in ``[0, 1]``). What
            has been removed meanwhile is passed over; what was there is replaced.

    Returns:
        How many were kept.

    Raises:
        InputError: a vector or a quality cannot be used; nothing was kept.
        UsageError: the gallery is not being moved.
    """
    given = sorted(rows, key=lambda row: row[0])
    if not given:
        return 0
    sql = _sql(store)
    with sql.database.transaction() as connection:
        header = require_target(connection, sql.database.place)
        size = header.embedding_size
        for id_, vector, _ in given:
            if vector.shape != (size,):
                raise InputError(f"the new embedding for {id_} has shape {vector.shape}, not ({size},)")
        check_vectors(np.stack([vector for _, vector, _ in given]), size, "new embedding")
        if not all(0.0 <= quality <= 1.0 for _, _, quality in given):
            raise InputError("the quality of an embedding must be 0 to 1")
        blobs = ((id_, vector.astype("<f4").tobytes(), float(quality), "") for id_, vector, quality in given)
        return keep_rows(connection, list(blobs))


def mark_missing(store: Store, samples: Iterable[int], reason: str) -> int:
    """Note that these embeddings cannot have a new vector; a later :func:`put` still gives them one.

    Returns:
        How many were noted; what has been removed meanwhile is passed over.

    Raises:
        UsageError: the gallery is not being moved.
    """
    sql = _sql(store)
    with sql.database.transaction() as connection:
        require_target(connection, sql.database.place)
        text = printable(reason)[:_LONGEST_REASON]
        return keep_rows(connection, [(id_, None, None, text) for id_ in sorted(set(samples))])


def missing(store: Store) -> list[MissingSample]:
    """What :func:`mark_missing` noted, by id."""
    sql = _sql(store)
    with sql.database.reading() as connection:
        rows = connection.execute(
            "SELECT n.sample, e.person, n.reason FROM new_embeddings n JOIN embeddings e ON e.id = n.sample"
            " WHERE e.person IS NOT NULL AND n.vector IS NULL ORDER BY n.sample"
        )
        return [MissingSample(*row) for row in rows]


def progress(store: Store) -> ReembeddingProgress:
    """How far it is.

    Raises:
        UsageError: the gallery is not being moved.
    """
    sql = _sql(store)
    with sql.database.reading() as connection:
        require_target(connection, sql.database.place)
        return count_progress(connection)


def finish(store: Store, *, drop_missing: bool = False) -> Finished:
    """Replace all vectors and the header at once, drop the calibration, and clear the old vectors from the files.

    Args:
        drop_missing: let go of embeddings that are missing; people stay, with or without any.

    Raises:
        UsageError: the gallery is not being moved.
        InputError: something is pending, or missing and not to be dropped; nothing has changed.
    """
    sql = _sql(store)
    with sql.database.transaction() as connection:
        place = sql.database.place
        header = require_target(connection, place)
        state = count_progress(connection)
        if state.pending:
            raise InputError(f"{state.pending} of {state.total} embeddings have no new vector yet: go on first")
        without = tuple(row[0] for row in connection.execute(_WITHOUT))
        if state.missing and not drop_missing:
            raise InputError(_refusal(state, without))
        generation = bump(connection)
        dropped = tuple(
            row[0] for row in connection.execute(f"SELECT e.id FROM embeddings e WHERE {_MISSING} ORDER BY e.id")
        )
        insert_rows(connection, "removed", [("sample", id_, generation) for id_ in dropped])
        insert_rows(connection, "embeddings", [blank_sample(id_) for id_ in dropped], replace=True)
        replace_vectors(connection, place)
        drop_new(connection, generation)
        write_values(connection, new_values(header))
        new_history(connection)
        now_there = read_values(connection, place)
        kept = {key: now_there[key] for key in HEADER_KEYS}
        details = {"header": kept, "embeddings": state.done, "dropped": len(dropped)}
        write_audit(connection, sql.actor, "reembed", None, details)
    drop_cache(sql)
    sql.clear_traces(WAIT_FOR_READERS)
    return Finished(state.done, dropped, without)


def abandon(store: Store) -> None:
    """Stay with the old model: drop the new vectors and clear them from the files.

    Raises:
        UsageError: the gallery is not being moved.
    """
    sql = _sql(store)
    with sql.database.transaction() as connection:
        values = read_values(connection, sql.database.place)
        require_target(connection, sql.database.place)
        drop_new(connection, int(values["generation"]))
        write_audit(connection, sql.actor, "reembed-abandon", None, {})
    sql.clear_traces(WAIT_FOR_READERS)


def _sql(store: Store) -> SqlStore:
    if not isinstance(store, SqlStore):
        raise UsageError("this kind of gallery cannot be moved to another model: export it and import it anew")
    return store


def _refusal(state: ReembeddingProgress, without: Sequence[int]) -> str:
    text = f"{state.missing} of {state.total} embeddings cannot have a new vector"
    if without:
        shown = ", ".join(f"id:{id_}" for id_ in without[:10]) + (" …" if len(without) > 10 else "")
        text += f", and {len(without)} people would be left with none ({shown})"
    return f"{text}: bring their pictures back, or let go of those embeddings (`gallery reembed --drop-missing`)"
