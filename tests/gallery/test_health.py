"""Examination of galleries: silent about sound ones, and nothing that was altered escapes it."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from gallery_tools import header, samples, unit
from maintenance_tools import contents, database, flips, furnished

from facenet.errors import FacenetError, GalleryError, UsageError
from facenet.gallery.backend import create_store, open_store
from facenet.gallery.backup import backup, restore
from facenet.gallery.cache import FILE_NAME
from facenet.gallery.findings import HealthReport, Severity
from facenet.gallery.gallery import Gallery
from facenet.gallery.health import check
from facenet.gallery.records import Sample
from facenet.gallery.sqlite_rows import insert_rows
from facenet.gallery.store import SqliteStore


@pytest.fixture
def location(tmp_path: Path) -> str:
    return furnished(tmp_path)


def kinds(report: HealthReport, severity: Severity = Severity.DAMAGE) -> set[str]:
    return {finding.kind for finding in report.findings if finding.severity is severity}


def change(location: str, *statements: str) -> None:
    """Change the database behind the gallery's back."""
    connection = sqlite3.connect(database(location), isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def test_a_sound_gallery_is_clean(location: str) -> None:
    done: list[tuple[int, int | None]] = []
    report = check(location, progress=lambda now, total: done.append((now, total)))
    assert report.clean and not report.damaged and report.findings == ()
    assert (report.people, report.embeddings) == (20, 40)
    assert done and done[-1][0] > 60


def test_an_empty_gallery_is_clean(tmp_path: Path) -> None:
    create_store(str(tmp_path / "g"), header()).close()
    assert check(f"file:{tmp_path / 'g'}").clean


def test_looking_changes_nothing(location: str) -> None:
    before = database(location).read_bytes()
    check(location)
    assert database(location).read_bytes() == before


def test_a_gallery_in_use_is_clean_and_stays_usable(location: str) -> None:
    with_reader = open_store(location)
    reading = with_reader.read_vectors(chunk=1)
    next(reading)
    with_reader.enroll("while", samples(1, seed=9))
    report = check(location)
    assert report.clean and report.people == 21
    reading.close()
    with_reader.enroll("after", samples(1, seed=10))
    with_reader.close()
    assert check(location).people == 22


def test_no_gallery(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(GalleryError, match="no gallery"):
            check(place)
    with pytest.raises(UsageError):
        check("memory:")


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("UPDATE profiles SET name = 'Eve' WHERE id = 1", "profiles"),
        ("UPDATE people SET expires = '2001-01-01T00:00:00+00:00' WHERE id = 1", "people"),
        ("UPDATE people SET profile = 3 WHERE id = 1", "people"),
        ("UPDATE embeddings SET person = 1 WHERE id = 12", "embeddings"),
        ("UPDATE embeddings SET quality = 0.75 WHERE id = 12", "embeddings"),
        ("UPDATE embeddings SET vector = zeroblob(64) WHERE id = 12", "embeddings"),
        ("UPDATE header SET value = 'f' WHERE key = 'fingerprint'", "header"),
        ("DELETE FROM header WHERE key = 'preprocessing'", "header"),
        ("UPDATE audit SET action = 'enroll' WHERE action = 'remove'", "audit"),
        ("UPDATE removed SET id = 7", "removed"),
        ("DELETE FROM people WHERE id = 1", "references"),
        ("UPDATE sqlite_sequence SET seq = 3 WHERE name = 'people'", "counters"),
        ("UPDATE sqlite_sequence SET seq = 1 << 62 WHERE name = 'embeddings'", "counters"),
        ("CREATE TABLE more (a)", "schema"),
        ("CREATE TRIGGER t AFTER INSERT ON people BEGIN SELECT 1; END", "schema"),
        ("DROP INDEX people_key", "schema"),
        ("PRAGMA user_version = 0", "schema"),
        ("PRAGMA application_id = 7", "schema"),
    ],
)
def test_whatever_was_changed_is_found(location: str, statement: str, kind: str) -> None:
    change(location, statement)
    report = check(location)
    assert report.damaged and kind in kinds(report)
    assert all(finding.advice for finding in report.findings if finding.severity is Severity.DAMAGE)


@pytest.mark.parametrize(
    ("table", "row", "kind"),
    [
        ("embeddings", (500, 1, 1.0, "x", "", b"", None, unit(1, 16)[0].tobytes()[:-4]), "vectors"),
        ("embeddings", (500, 1, 1.0, "x", "", b"", None, np.full(16, 2, "<f4").tobytes()), "vectors"),
        ("embeddings", (500, 1, 1.0, "x", "", b"", None, np.full(16, np.nan, "<f4").tobytes()), "vectors"),
        ("embeddings", (500, None, 1.0, "x", "", b"", None, unit(1, 16)[0].tobytes()), "vectors"),
        ("profiles", (500, "left behind", "{}", ""), "profiles"),
        ("people", (500, 1, 0, "", "x", 1), "people"),
        ("people", (500, 1, 0, "", "x", 10_000), "people"),
        ("removed", ("person", 1, 1), "removed"),
        ("removed", ("sample", 12, 1), "removed"),
        ("removed", ("person", 400, 10_000), "removed"),
        ("new_embeddings", (12, unit(1, 16)[0].tobytes(), 1.0, ""), "reembedding"),
    ],
)
def test_rows_that_are_whole_but_wrong_are_found(location: str, table: str, row: tuple[object, ...], kind: str) -> None:
    connection = sqlite3.connect(database(location), isolation_level=None)
    insert_rows(connection, table, [row])
    connection.close()
    assert kind in kinds(check(location))


def test_what_should_be_done_is_a_warning(location: str) -> None:
    store = open_store(location)
    face = Sample(unit(1)[0], content="ab12")
    store.enroll("one", [face])
    store.enroll("another", [face])
    store.enroll("nobody yet", [])
    store.enroll("over", [Sample(unit(1)[0])], expires="2001-01-01")
    store.close()
    folder = Path(location)
    os.chmod(folder, 0o755)
    os.chmod(folder / "gallery.sqlite", 0o644)
    (folder / ".writing-repair-1").mkdir()
    (folder / "gallery.damaged-x.sqlite").touch(mode=0o600)
    report = check(location)
    assert not report.damaged and not report.clean
    assert kinds(report, Severity.WARNING) == {"duplicates", "file-mode", "left-over"}
    assert kinds(report, Severity.NOTE) == {"no-embeddings", "expired", "kept-aside"}
    modes = [finding.advice for finding in report.findings if finding.kind == "file-mode"]
    assert {"chmod 0700 gallery", "chmod 0600 gallery.sqlite"} <= set(modes)


def test_traces_that_are_left_are_a_warning(location: str) -> None:
    store, reader = SqliteStore.open(location), SqliteStore.open(location)
    with reader.database.snapshot() as snapshot:
        snapshot.execute("SELECT count(*) FROM people").fetchone()
        connection = store.database
        with connection.transaction() as writing:
            insert_rows(writing, "header", [("traces", "log:1")], replace=True)
        assert kinds(check(location), Severity.WARNING) == {"traces"}
    reader.close()
    store.close()
    assert check(location).clean


def test_a_damaged_log_is_found_before_it_is_discarded(location: str) -> None:
    store = open_store(location)
    for number in range(5):
        store.enroll(f"late {number}", samples(2, seed=20 + number))
    log = Path(f"{database(location)}-wal")
    kept = Path(location).with_name("copy")
    kept.mkdir(mode=0o700)
    for file in (database(location), log):
        shutil.copy(file, kept)
    store.close()
    data = bytearray((kept / log.name).read_bytes())
    data[32 + 24 + 5000] ^= 4
    (kept / log.name).write_bytes(data)
    for _ in range(2):
        assert "log" in kinds(check(kept)), "looking at it has discarded the log"


@pytest.mark.parametrize("size", [0, 1, 99, 100, 16_384, 20_000, 40_000])
def test_a_file_cut_short_is_found(location: str, size: int) -> None:
    os.truncate(database(location), size)
    assert check(location).damaged


def test_garbage_is_found(location: str) -> None:
    database(location).write_bytes(random.Random(0).randbytes(50_000))
    report = check(location)
    assert report.damaged and report.people is None


def test_altered_bits_are_found_or_without_effect(location: str) -> None:
    before = contents(location)
    found = 0
    for data in flips(database(location).read_bytes(), 150, seed=7):
        database(location).write_bytes(data)
        if check(location).damaged:
            found += 1
            continue
        try:
            assert contents(location) == before
        except FacenetError as error:
            raise AssertionError("check was content with a gallery that does not open") from error
    assert found > 75, "next to nothing was altered: this test shows nothing"


def test_an_index_that_is_no_longer_of_use_is_a_warning(location: str, tmp_path: Path) -> None:
    backup(location, tmp_path / "copy")
    with Gallery.open(location) as gallery:
        gallery.search(unit(1))
    cache = Path(location) / FILE_NAME
    kept = cache.read_bytes()
    assert check(location).clean
    assert any(vector[-1] in kept for vector in contents(location)["samples"].values())
    cache.write_bytes(kept[:-5000] + b"x" + kept[-4999:])
    assert kinds(check(location), Severity.WARNING) == {"index-cache"}
    cache.write_bytes(kept)
    restore(tmp_path / "copy", location)
    assert not cache.exists(), "embeddings of the earlier state are still there"
    cache.touch(mode=0o600)
    cache.write_bytes(kept)
    assert kinds(check(location), Severity.WARNING) == {"index-cache"}
    with Gallery.open(location) as gallery:
        gallery.search(unit(1))
    assert check(location).clean
