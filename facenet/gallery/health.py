"""Is everything in a gallery as it was written? Looked at from outside, while others go on reading and writing.

Nothing is changed. Every row carries a checksum, so a single altered bit in a name, a vector or a fingerprint shows;
what SQLite itself knows about its pages and its log comes on top.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from facenet.errors import GalleryError, StorageError, printable
from facenet.gallery.findings import Finding, HealthReport, Progress, Severity
from facenet.gallery.folder_health import check_cache, check_files, check_log, gallery_folder
from facenet.gallery.row_health import DAMAGE, REPAIR, RowCheck
from facenet.gallery.schema import DATABASE_NAME, MIGRATIONS, require_schema, version_of
from facenet.gallery.sqlite_errors import is_busy

_PATIENCE = 30.0
_MOST_LINES = 20


def check(location: str | Path, *, progress: Progress | None = None) -> HealthReport:
    """Examine a gallery on disk, down to every row; it may be in use, and as damaged as it likes.

    Everything is seen as of one moment; what is written meanwhile is not looked at.

    Args:
        location: of the gallery, as for :func:`facenet.gallery.backend.open_store`.
        progress: called with (rows done, rows in all).

    Raises:
        GalleryError: there is no gallery.
        StorageError: it may not be read, or is kept locked.
        UsageError: the location is not a folder's.
    """
    folder = gallery_folder(location)
    place, path = f"gallery {printable(folder)}", folder / DATABASE_NAME
    people = embeddings = None
    try:
        # The log comes first: whoever writes to it later only hides what is wrong with it now.
        findings = [*check_files(folder), *check_log(path)]
        with closing(look_into(path)) as connection:
            findings += _check_database(connection, place)
            rows = RowCheck(connection, place, progress)
            findings += rows.run()
            people, embeddings = rows.people, rows.embeddings
            findings += check_cache(folder, rows.header.get("uuid", ""), rows.header.get("history", ""))
    except OSError as error:
        raise StorageError(f"{place} cannot be read: {error.strerror or error}") from error
    except DAMAGE as error:
        if isinstance(error, sqlite3.Error) and is_busy(error):
            raise StorageError(f"{place} is busy: a repair may be running; try again later") from error
        message = f"the database cannot be opened ({printable(error)})"
        findings.append(Finding(Severity.DAMAGE, "database", message, REPAIR))
    order = list(Severity)
    findings.sort(key=lambda finding: order.index(finding.severity))
    return HealthReport(str(location), people, embeddings, tuple(findings))


def look_into(path: Path) -> sqlite3.Connection:
    """Connect to a gallery's database for reading only, as of this moment; text may be anything.

    Unlike any other, such a connection leaves the log alone when it is closed.

    Raises:
        sqlite3.Error: cannot be read.
    """
    uri = f"{path.absolute().as_uri()}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_PATIENCE)
    connection.text_factory = lambda text: text.decode("utf-8", "replace")
    try:
        for pragma in ("query_only = ON", "temp_store = MEMORY", "trusted_schema = OFF", "cell_size_check = ON"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _check_database(connection: sqlite3.Connection, place: str) -> Iterator[Finding]:
    """What SQLite and the schema say."""
    try:
        require_schema(connection, place, MIGRATIONS[: version_of(connection, place)])
    except GalleryError as error:
        yield Finding(Severity.DAMAGE, "schema", str(error), REPAIR)
    lines = [row[0] for row in connection.execute(f"PRAGMA integrity_check({_MOST_LINES})")]
    if lines != ["ok"]:
        yield Finding(Severity.DAMAGE, "pages", f"the database file is damaged: {printable('; '.join(lines))}", REPAIR)
    orphans = connection.execute("PRAGMA foreign_key_check").fetchall()
    if orphans:
        tables = ", ".join(sorted({row[0] for row in orphans}))
        message = f"{len(orphans)} rows belong to rows that are not there ({tables})"
        yield Finding(Severity.DAMAGE, "references", message, REPAIR, tuple(row[1] for row in orphans[:10]))
