"""The header table: what a gallery is, its generation, its history, and traces that are still to be cleared."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from facenet.errors import CheckpointError, GalleryError
from facenet.gallery.records import Fusion, Header, IndexKind
from facenet.gallery.sqlite_errors import damaged
from facenet.gallery.sqlite_rows import insert_rows, row_ok
from facenet.gallery.values import now
from facenet.preprocessing import Preprocessing

TRACES_IN_LOG = "log"
TRACES_IN_FILE = "file"


def read_values(connection: sqlite3.Connection, place: str) -> dict[str, str]:
    """All keys and values.

    Raises:
        GalleryError: one is not what was written.
    """
    rows = connection.execute("SELECT key, value, crc FROM header").fetchall()
    for row in rows:
        if not row_ok("header", row):
            raise damaged(place, f"its header, {ascii(row[0])}, is not what was written")
    return {row[0]: row[1] for row in rows}


def write_values(connection: sqlite3.Connection, values: Mapping[str, str]) -> None:
    """Set some keys."""
    insert_rows(connection, "header", values.items(), replace=True)


def new_header(connection: sqlite3.Connection, header: Header) -> Header:
    """Fill the header of an empty gallery; ``uuid`` and ``created`` are drawn if they are empty."""
    filled = replace(header, uuid=header.uuid or secrets.token_hex(16), created=header.created or now())
    write_values(connection, {**header_values(filled), "generation": "0", "traces": ""})
    new_history(connection)
    return filled


def header_values(header: Header) -> dict[str, str]:
    """A header as keys and values."""
    return {
        "uuid": header.uuid,
        "created": header.created,
        "fingerprint": header.fingerprint,
        "preprocessing": to_json(header.preprocessing.to_dict()),
        "embedding_size": str(header.embedding_size),
        "model": to_json(header.model),
        "fusion": header.fusion.value,
        "index": header.index.value,
        "calibration": to_json(header.calibration),
    }


def to_header(values: Mapping[str, str], place: str) -> Header:
    """Keys and values → header.

    Raises:
        GalleryError: some are missing or impossible.
    """
    try:
        return Header(
            fingerprint=values["fingerprint"],
            preprocessing=Preprocessing.from_dict(json.loads(values["preprocessing"])),
            embedding_size=int(values["embedding_size"]),
            model=json.loads(values["model"]),
            fusion=Fusion(values["fusion"]),
            index=IndexKind(values["index"]),
            calibration=json.loads(values["calibration"]),
            uuid=values["uuid"],
            created=values["created"],
        )
    except (KeyError, ValueError, RecursionError, CheckpointError) as error:
        raise damaged(place, "its header cannot be read") from error


def to_json(value: Mapping[str, Any]) -> str:
    """Plain values as JSON text; NaN and infinity are refused."""
    return json.dumps(dict(value), ensure_ascii=True, allow_nan=False, sort_keys=True)


def bump(connection: sqlite3.Connection) -> int:
    """Count the generation up; returns the new one.

    Raises:
        GalleryError: the header is damaged.
    """
    generation = int(_one(connection, "generation")) + 1
    write_values(connection, {"generation": str(generation)})
    return generation


def new_history(connection: sqlite3.Connection) -> str:
    """Begin another history, whose generations have nothing to do with the earlier one's."""
    history = secrets.token_hex(16)
    write_values(connection, {"history": history})
    return history


def mark_traces(connection: sqlite3.Connection, kind: str, generation: int) -> None:
    """Note that something removed can still be found in the log, or in unused parts of the file."""
    if _one(connection, "traces").startswith(TRACES_IN_FILE):
        kind = TRACES_IN_FILE
    write_values(connection, {"traces": f"{kind}:{generation}"})


def traces(connection: sqlite3.Connection) -> str:
    """What :func:`mark_traces` noted, empty if nothing is left."""
    return _one(connection, "traces")


def file_was_rewritten(connection: sqlite3.Connection, noted: str) -> str:
    """Note that what was noted is in the log only, unless another removal has come since; returns the note now."""
    if _one(connection, "traces") != noted:
        return noted
    _, _, generation = noted.partition(":")
    write_values(connection, {"traces": f"{TRACES_IN_LOG}:{generation}"})
    return _one(connection, "traces")


def clear_traces(connection: sqlite3.Connection, noted: str) -> None:
    """Forget what was noted, unless another removal has come since."""
    if _one(connection, "traces") == noted:
        write_values(connection, {"traces": ""})


def _one(connection: sqlite3.Connection, key: str) -> str:
    row = connection.execute("SELECT key, value, crc FROM header WHERE key = ?", (key,)).fetchone()
    if row is None or not row_ok("header", row):
        raise GalleryError(f"a gallery's header is damaged ({key}): see `gallery check`")
    return str(row[1])
