"""Saving what is left of a damaged gallery.

A new database is made beside the damaged one from every row that still is what was written (:mod:`.salvage`), and takes
its place when it is whole. Ids stay, and none that was ever given out is given out again. The damaged file is kept.

While that goes on nobody else may have the gallery open, for they would go on with the old file.
"""

from __future__ import annotations

import io
import os
import secrets
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from facenet.errors import GalleryError, UsageError, printable
from facenet.gallery.beside import FILE_MODE, FOLDER_MODE, cannot_write, make_private
from facenet.gallery.cache import IndexCache
from facenet.gallery.findings import Progress
from facenet.gallery.folder_health import DAMAGED_NAME, gallery_folder
from facenet.gallery.health import check, look_into
from facenet.gallery.pages import PageReader
from facenet.gallery.records import Header
from facenet.gallery.rejoin import Rejoined, rejoin
from facenet.gallery.row_health import DAMAGE
from facenet.gallery.salvage import gather
from facenet.gallery.schema import (
    DATABASE_NAME,
    MIGRATIONS,
    PAGE_SIZE,
    REPAIRED_NAME,
    create_tables,
    require_schema,
    version_of,
)
from facenet.gallery.sqlite_database import connect, prepare
from facenet.gallery.sqlite_errors import is_busy, translated
from facenet.training.files import TEMPORARY, flush_folder

_PATIENCE = 1.0
"""Seconds to wait for somebody who has the gallery open just now."""


@dataclass(frozen=True)
class RepairReport:
    """What a repair saved.

    Attributes:
        location: of the gallery.
        people, embeddings: how many there are now.
        lost_people: ids of people who were there and are no more.
        nameless: ids of people whose embeddings are there, but whose name, consent and possibly expiry are lost; they
            are called ``unnamed N`` now.
        lost_embeddings: how many at most; what was removed and is forgotten counts, for nothing tells it apart.
        header_from: where fingerprint and contract were found: ``"header"``, ``"audit log"`` or ``"caller"``.
        kept: the damaged database, None if there was none; it holds biometric data.
        notes: what should be known, in words.
    """

    location: str
    people: int
    embeddings: int
    lost_people: tuple[int, ...]
    nameless: tuple[int, ...]
    lost_embeddings: int
    header_from: str
    kept: Path | None
    notes: tuple[str, ...]


def repair(
    location: str | Path, *, header: Header | None = None, healthy: bool = False, progress: Progress | None = None
) -> RepairReport:
    """Save what can be saved; every name and vector afterwards is exactly what was once written.

    Takes as much memory as the gallery has bytes.

    Args:
        location: of the gallery; nobody may have it open.
        header: fingerprint, contract and size of its embeddings, used only if the gallery has lost its own.
        healthy: go on even if nothing is wrong.
        progress: called with (rows saved, None).

    Raises:
        UsageError: nothing is wrong.
        GalleryError: no gallery, somebody has it open, or nothing tells any more what made its embeddings.
        StorageError: no space, no permission; the gallery is as it was.
    """
    folder = gallery_folder(location)
    place, path = f"gallery {printable(folder)}", folder / DATABASE_NAME
    waiting = folder / REPAIRED_NAME
    if not waiting.exists() and not healthy and not check(location).damaged:
        raise UsageError(f"{place} is not damaged: there is nothing to repair")
    _require_known(path, place)
    rejoined = None
    try:
        # Closing a file drops the locks SQLite has on it: the damaged ones are closed last of all.
        with ExitStack() as files, _alone(path, place), translated(place):
            # If there is one, it is whole and checked, and only putting it in place was interrupted.
            if not waiting.exists():
                log = path.with_name(f"{path.name}-wal")
                database, ahead = (files.enter_context(_opened(file)).read() for file in (path, log))
                rejoined = _save(folder, PageReader(database, ahead, page_size=PAGE_SIZE), header, progress)
            IndexCache(folder).drop()
            kept = _swap(folder)
    except OSError as error:
        raise cannot_write(folder, error) from error
    return _report(location, rejoined, kept)


def _report(location: str | Path, rejoined: Rejoined | None, kept: Path | None) -> RepairReport:
    found = check(location)
    notes = []
    if rejoined is None:
        notes.append("an earlier repair was interrupted before its outcome was put in place: that was done now")
        rejoined = Rejoined()
    if rejoined.nameless:
        notes.append(
            f"{len(rejoined.nameless)} people have lost their name, and perhaps their expiry: rename or remove them"
        )
    if kept is not None:
        notes.append(
            f"the damaged database was kept as {printable(kept.name)} and holds biometric data: delete it, and what "
            "lies beside it under the same name, as soon as it is not needed any more"
        )
    return RepairReport(
        location=str(location),
        people=0 if found.people is None else found.people,
        embeddings=0 if found.embeddings is None else found.embeddings,
        lost_people=rejoined.lost_people,
        nameless=rejoined.nameless,
        lost_embeddings=rejoined.lost_embeddings,
        header_from=rejoined.header_from,
        kept=kept,
        notes=tuple(notes),
    )


def _require_known(path: Path, place: str) -> None:
    """Refuse a gallery of a later version of this package, whose rows look different.

    Raises:
        GalleryError: it is of one.
    """
    with suppress(*DAMAGE), closing(look_into(path)) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        with suppress(GalleryError):
            # With tables that are known, only the number is wrong.
            require_schema(connection, place)
            return
        if version > len(MIGRATIONS):
            version_of(connection, place)


@contextmanager
def _alone(path: Path, place: str) -> Iterator[None]:
    """Keep everybody else from the database, as far as SQLite can still tell that it is one.

    Raises:
        GalleryError: somebody has it open.
    """
    connection = None
    try:
        with suppress(*DAMAGE):
            connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=_PATIENCE
            )
            try:
                connection.execute("PRAGMA locking_mode = EXCLUSIVE")
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
            except sqlite3.OperationalError as error:
                if is_busy(error):
                    raise GalleryError(
                        f"{place} is open elsewhere: end whatever uses it, and close it here, before it is repaired"
                    ) from error
                raise
        yield
    finally:
        # Once another file has the name, SQLite leaves the log of that name alone.
        if connection is not None:
            connection.close()


def _save(folder: Path, reader: PageReader, header: Header | None, progress: Progress | None) -> Rejoined:
    """Write the new database and check it; it lies under its waiting name when it is whole."""
    beside = folder / f"{TEMPORARY}repair-{secrets.token_hex(4)}"
    beside.mkdir(mode=FOLDER_MODE)
    try:
        make_private(beside / DATABASE_NAME)
        with closing(connect(beside / DATABASE_NAME)) as connection:
            prepare(connection)
            connection.execute("PRAGMA foreign_keys = OFF")
            connection.execute("BEGIN IMMEDIATE")
            create_tables(connection)
            found = gather(reader, connection, progress)
            rejoined = rejoin(connection, found, header, room=reader.size, place=f"gallery {printable(folder)}")
            connection.execute("COMMIT")
            # Rows came in the order of the damaged pages: now they lie as a gallery must have them.
            connection.execute("VACUUM")
        report = check(beside)
        if report.damaged:
            raise GalleryError(f"the repair of {printable(folder)} failed: {report.findings[0].message}")
        with (beside / DATABASE_NAME).open("rb") as stream:
            os.fsync(stream.fileno())
        os.rename(beside / DATABASE_NAME, folder / REPAIRED_NAME)
        flush_folder(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return rejoined


def _opened(path: Path) -> BinaryIO:
    return path.open("rb") if path.exists() else io.BytesIO()


def _swap(folder: Path) -> Path | None:
    """Put the repaired database in place of the damaged one; whenever it is interrupted, it can be done again."""
    path = folder / DATABASE_NAME
    log, shared = (path.with_name(f"{path.name}{suffix}") for suffix in ("-wal", "-shm"))
    kept = _free_name(folder)
    if path.exists():
        os.chmod(path, FILE_MODE)
        if path.stat().st_nlink == 1:
            os.link(path, kept)
        else:
            kept = next(entry for entry in folder.glob(f"{DAMAGED_NAME}*") if entry.samefile(path))
    # The old log, found beside the new database, would be applied to it.
    if log.exists() and log.stat().st_size == 0:
        log.unlink()
    if log.exists():
        os.chmod(log, FILE_MODE)
        os.rename(log, kept.with_name(f"{kept.name}-wal"))
    shared.unlink(missing_ok=True)
    flush_folder(folder)
    os.replace(folder / REPAIRED_NAME, path)
    flush_folder(folder)
    return kept if kept.exists() else None


def _free_name(folder: Path) -> Path:
    at = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    names = (f"{DAMAGED_NAME}{at}{suffix}.sqlite" for suffix in ("", *(f"-{number}" for number in range(2, 1000))))
    return next(folder / name for name in names if not os.path.lexists(folder / name))
