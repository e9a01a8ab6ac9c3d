"""Copies of a gallery, taken and brought back while it is in use.

**Who was removed stays removed.** A backup still holds people who have been removed since. Bringing them back would
undo what they, or the law, asked for; so a restore leaves them out and says so, unless it is told otherwise. It knows
them from the gallery it restores into, which keeps the ids of everybody removed. Restored into an empty place there is
nothing to know it from, and the report says that too: after such a restore, people whose removal was asked for since
the backup have to be removed again. Names, consents and expiries come back as they were. Backups themselves are
biometric data and should not be kept longer than they are needed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from facenet.errors import GalleryError, printable
from facenet.gallery.backend import gallery_exists
from facenet.gallery.beside import make_private, new_folder
from facenet.gallery.findings import Progress
from facenet.gallery.folder_health import folder_of, gallery_folder
from facenet.gallery.health import check, look_into
from facenet.gallery.replace import replace_contents
from facenet.gallery.schema import DATABASE_NAME, MIGRATIONS, migrate, version_of
from facenet.gallery.sqlite_database import connect
from facenet.gallery.sqlite_errors import translated
from facenet.gallery.sqlite_header import TRACES_IN_FILE, bump, new_history, traces, write_values
from facenet.gallery.sqlite_store import WAIT_FOR_READERS
from facenet.gallery.sqlite_writing import account, write_audit
from facenet.gallery.store import SqliteStore

_SIDE_FILES = ("-wal", "-shm")
_PAGES = 1024


@dataclass(frozen=True)
class BackupReport:
    """What was copied.

    Attributes:
        destination: the new gallery folder.
        people, embeddings: how many are in it.
        bytes: size of its database.
    """

    destination: Path
    people: int
    embeddings: int
    bytes: int


@dataclass(frozen=True)
class RestoreReport:
    """What a restore brought back.

    Attributes:
        people, embeddings: how many the gallery has now.
        removed_since: ids of people who are in the backup, but have been removed since.
        removed_embeddings: how many embeddings have been removed one by one since.
        included: whether those people and embeddings were brought back nevertheless.
        dropped: ids of people who were enrolled since the backup and are gone now.
        removals_known: whether it could be told who has been removed since.
        notes: what should be known, in words.
    """

    people: int
    embeddings: int
    removed_since: tuple[int, ...] = ()
    removed_embeddings: int = 0
    included: bool = False
    dropped: tuple[int, ...] = ()
    removals_known: bool = True
    notes: tuple[str, ...] = ()


def backup(location: str | Path, destination: Path, *, progress: Progress | None = None) -> BackupReport:
    """Copy a gallery as it is at this moment; others may go on reading and writing.

    The copy is a gallery like any other, private to its owner. It is there whole or not at all, and was read back in
    full before it is.

    Args:
        location: of the gallery.
        destination: folder to make.
        progress: called with (pages done, pages in all).

    Raises:
        GalleryError: no gallery, or it is damaged.
        InputError: there is something at the destination.
        StorageError: no space, no permission.
    """
    folder = gallery_folder(location)
    with closing(SqliteStore.open(str(folder))) as store:
        with new_folder(destination) as beside:
            with store.database.snapshot() as source:
                people, embeddings = _copy(source, beside, "backup", store.database.place, progress)
            size = (beside / DATABASE_NAME).stat().st_size
        store.log("backup", details={"people": people, "embeddings": embeddings})
    return BackupReport(destination, people, embeddings, size)


def restore(
    source: Path, location: str | Path, *, include_removed: bool = False, progress: Progress | None = None
) -> RestoreReport:
    """Bring a gallery back to the state of a backup, in one step; others may have it open.

    Others see the gallery as it was before or as it is after, never something between, and learn that its past was
    replaced. Ids given out since the backup are not given out again, the audit log goes on.

    Args:
        source: folder that :func:`backup` made; only read.
        location: of a gallery with the same origin, or of a place where there is none.
        include_removed: also bring back who has been removed since.
        progress: called with (rows done, rows in all) while the backup is examined.

    Raises:
        GalleryError: no backup there, a damaged one, or the gallery at ``location`` is damaged.
        InputError: the backup is of another gallery.
        StorageError: no space, no permission; the gallery is as it was.
    """
    report = check(source, progress=progress)
    if report.damaged:
        raise GalleryError(f"the backup {printable(source)} is damaged ({report.findings[0].message}): take another")
    if not gallery_exists(str(location)):
        return _restore_anew(source, folder_of(location))
    with closing(SqliteStore.open(str(gallery_folder(location)))) as store:
        with _earlier(source) as copy:
            outcome = replace_contents(store, copy, include_removed=include_removed)
        cleared = store.clear_traces(WAIT_FOR_READERS)
        people, embeddings = store.count()
    notes = []
    if outcome.removed_since or outcome.removed_embeddings:
        notes.append(
            f"{len(outcome.removed_since)} people and {outcome.removed_embeddings} single embeddings were removed "
            f"since the backup; they were {'brought back, as was asked for' if include_removed else 'left out'}"
        )
    if outcome.dropped:
        notes.append(f"{len(outcome.dropped)} people were enrolled since the backup and are gone")
    if not cleared:
        notes.append("traces of what was replaced are still in the files, for somebody reads an earlier state")
    return RestoreReport(
        people=people,
        embeddings=embeddings,
        removed_since=outcome.removed_since,
        removed_embeddings=outcome.removed_embeddings,
        included=include_removed,
        dropped=outcome.dropped,
        notes=tuple(notes),
    )


def _restore_anew(source: Path, folder: Path) -> RestoreReport:
    """Restore to where no gallery is."""
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
    with new_folder(folder) as beside:
        with closing(look_into(source / DATABASE_NAME)) as copy, translated(printable(folder)):
            people, embeddings = _copy(copy, beside, "restore", f"backup {printable(source)}", None)
    note = (
        "nothing tells who has been removed since the backup was made: people whose removal was asked for since have "
        "to be removed again"
    )
    return RestoreReport(people, embeddings, removals_known=False, notes=(note,))


@contextmanager
def _earlier(source: Path) -> Iterator[sqlite3.Connection]:
    """A backup's contents as this version of the package keeps them; the backup itself is only read."""
    place = f"backup {printable(source)}"
    with translated(place), closing(look_into(source / DATABASE_NAME)) as connection:
        if version_of(connection, place) == len(MIGRATIONS):
            yield connection
            return
        with closing(connect(None)) as migrated:
            connection.backup(migrated)
            migrate(migrated, place)
            yield migrated


def _copy(
    source: sqlite3.Connection, folder: Path, action: str, place: str, progress: Progress | None
) -> tuple[int, int]:
    """Fill a new folder with a copy, as of the moment of the source's transaction, and read that back.

    The copy has a history of its own: put in the original's place, it is not taken for the original by an index.

    Returns:
        (people, embeddings).

    Raises:
        GalleryError: it is damaged, hence ``place`` is.
    """
    path = folder / DATABASE_NAME
    make_private(path)
    with closing(connect(path)) as copy:
        source.backup(copy, pages=_PAGES, progress=_reporter(progress))
        migrate(copy, printable(folder))
        copy.execute("BEGIN IMMEDIATE")
        generation = bump(copy)
        new_history(copy)
        write_audit(copy, account(), action, None, {"generation": generation})
        left = traces(copy)
        write_values(copy, {"traces": ""})
        copy.execute("COMMIT")
        if left.startswith(TRACES_IN_FILE):
            copy.execute("VACUUM")
    report = check(folder)
    if report.damaged or report.people is None or report.embeddings is None:
        raise GalleryError(f"{place} is damaged ({report.findings[0].message}): see `gallery check`")
    for suffix in _SIDE_FILES:
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return report.people, report.embeddings


def _reporter(progress: Progress | None) -> Callable[[int, int, int], None] | None:
    """SQLite's way of telling how far a copy is, as ours."""
    if progress is None:
        return None
    return lambda status, left, total: progress(total - left, total)
