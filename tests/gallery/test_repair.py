"""Repair of galleries: whatever happened to the file, what comes out opens, and nothing in it is untrue."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import stat
from pathlib import Path

import pytest
from gallery_tools import header, samples
from maintenance_tools import Contents, contents, database, flips, furnished

from facenet.errors import GalleryError, UsageError
from facenet.gallery import repair as repairing
from facenet.gallery.backend import create_store, open_store
from facenet.gallery.health import check
from facenet.gallery.repair import RepairReport, repair
from facenet.gallery.schema import PAGE_SIZE


@pytest.fixture
def location(tmp_path: Path) -> str:
    return furnished(tmp_path)


def assert_true(location: str, report: RepairReport, before: Contents) -> Contents:
    """Everything there is as it was; what is called unnamed is reported as such."""
    after = contents(location)
    assert not check(location).damaged
    assert (report.people, report.embeddings) == (len(after["people"]), len(after["samples"]))
    for id_, person in after["people"].items():
        if id_ in report.nameless:
            assert person.name == f"unnamed {id_}" and not person.consent and not person.metadata
        else:
            was = before["people"][id_]
            assert (person.name, person.metadata, person.consent) == (was.name, was.metadata, was.consent)
            assert (person.expires, person.created) == (was.expires, was.created)
    for id_, sample in after["samples"].items():
        assert sample == before["samples"][id_]
    assert set(report.lost_people) <= set(before["people"]) - set(after["people"])
    for what in ("fingerprint", "preprocessing", "embedding_size"):
        assert getattr(after["header"], what) == getattr(before["header"], what)
    return after


def forget(location: str) -> None:
    """Delete what repairs have kept."""
    for kept in Path(location).glob("gallery.damaged-*"):
        kept.unlink()


def test_a_sound_gallery_is_left_alone(location: str) -> None:
    before = database(location).read_bytes()
    with pytest.raises(UsageError, match="not damaged"):
        repair(location)
    assert database(location).read_bytes() == before


def test_a_sound_gallery_loses_nothing(location: str) -> None:
    before, store = contents(location), open_store(location)
    history, generation, audit = store.history, store.generation(), store.audit(1000)
    store.close()
    report = repair(location, healthy=True)
    assert contents(location) == before
    assert (report.lost_people, report.nameless, report.lost_embeddings) == ((), (), 0)
    store = open_store(location)
    assert store.history != history and store.generation() > generation
    assert store.audit(1000)[1:] == audit and store.audit(1)[0].action == "repair"
    store.close()


def test_nobody_else_may_have_it_open(location: str) -> None:
    store = open_store(location)
    with pytest.raises(GalleryError, match="open elsewhere"):
        repair(location, healthy=True)
    store.enroll("still", samples(1))
    store.close()
    assert len(contents(location)["people"]) == 21
    assert sorted(entry.name for entry in Path(location).iterdir()) == ["gallery.sqlite"]


def test_the_damaged_file_is_kept_for_its_owner_only(location: str) -> None:
    damaged = database(location).read_bytes()[:-PAGE_SIZE]
    database(location).write_bytes(damaged)
    os.chmod(database(location), 0o644)
    report = repair(location)
    assert report.kept is not None and report.kept.read_bytes() == damaged
    assert stat.S_IMODE(report.kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(database(location).stat().st_mode) == 0o600
    assert "biometric" in report.notes[-1]
    assert not [entry for entry in Path(location).iterdir() if entry.name.startswith(".")]


def test_ids_are_not_given_out_again(location: str) -> None:
    before = contents(location)
    store = open_store(location)
    last = store.enroll("last", samples(2, seed=30))
    store.remove(last.person)
    store.close()
    data = bytearray(database(location).read_bytes())
    data[: PAGE_SIZE // 2] = bytes(PAGE_SIZE // 2)
    database(location).write_bytes(data)
    assert_true(location, repair(location), before)
    store = open_store(location)
    new = store.enroll("new", samples(1, seed=31))
    store.close()
    assert new.person > last.person and new.samples[0] > max(last.samples)


@pytest.mark.parametrize("number", [15, pytest.param(150, marks=pytest.mark.slow)])
def test_altered_bits_never_survive(location: str, number: int) -> None:
    before = contents(location)
    repaired = 0
    for data in flips(database(location).read_bytes(), number, seed=11):
        database(location).write_bytes(data)
        if not check(location).damaged:
            continue
        report = repair(location)
        after = assert_true(location, report, before)
        assert set(report.lost_people) == set(before["people"]) - set(after["people"])
        assert report.lost_embeddings >= len(before["samples"]) - len(after["samples"])
        forget(location)
        repaired += 1
    assert repaired > number / 2


@pytest.mark.parametrize("number", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_pages_that_are_gone_take_little_with_them(tmp_path: Path, number: int) -> None:
    location = furnished(tmp_path, count=300, size=128)
    before = contents(location)
    whole = database(location).read_bytes()
    pages = len(whole) // PAGE_SIZE
    assert pages > 30
    chance = random.Random(3)
    kept_embeddings = []
    for page in [0, *chance.sample(range(1, pages), number)]:
        data = bytearray(whole)
        data[page * PAGE_SIZE : (page + 1) * PAGE_SIZE] = chance.choice([bytes(PAGE_SIZE), chance.randbytes(PAGE_SIZE)])
        database(location).write_bytes(data)
        if check(location).damaged:
            try:
                report = repair(location)
            except GalleryError as error:
                assert "which model" in str(error)
                report = repair(location, header=before["header"])
            after = assert_true(location, report, before)
            kept_embeddings.append(len(after["samples"]) / len(before["samples"]))
            forget(location)
    assert len(kept_embeddings) > number / 2 and min(kept_embeddings) > 0.95


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_a_file_cut_short(tmp_path: Path, share: float) -> None:
    location = furnished(tmp_path, count=300, size=128)
    before = contents(location)
    os.truncate(database(location), int(share * database(location).stat().st_size))
    report = repair(location, header=before["header"])
    after = assert_true(location, report, before)
    assert share < 0.5 or after["samples"]


def test_a_first_page_of_zeros_costs_nothing(location: str) -> None:
    before = contents(location)
    data = bytes(PAGE_SIZE) + database(location).read_bytes()[PAGE_SIZE:]
    database(location).write_bytes(data)
    repair(location)
    assert contents(location) == before


def test_garbage_ends_in_an_empty_gallery_if_the_header_is_given(location: str) -> None:
    before = contents(location)
    database(location).write_bytes(random.Random(0).randbytes(50_000))
    with pytest.raises(GalleryError, match="which model"):
        repair(location)
    assert database(location).stat().st_size == 50_000, "a repair that failed has changed something"
    report = repair(location, header=before["header"])
    assert (report.people, report.header_from) == (0, "caller")
    assert contents(location)["people"] == {}


def copied_open(location: str, target: Path) -> str:
    """A copy of a gallery in use, with its log, as a crash would leave it."""
    target.mkdir(mode=0o700)
    for suffix in ("", "-wal"):
        shutil.copy(f"{database(location)}{suffix}", target)
    return str(target)


def test_the_log_is_read_too_and_its_loss_is_survived(location: str, tmp_path: Path) -> None:
    before = contents(location)
    store = open_store(location)
    for number in range(6):
        store.enroll(f"late {number}", samples(2, seed=40 + number))
    crashed = copied_open(location, tmp_path / "crashed")
    without = copied_open(location, tmp_path / "without")
    broken = copied_open(location, tmp_path / "broken")
    store.close()
    everything = contents(location)
    repair(crashed, healthy=True)
    assert contents(crashed) == everything

    Path(f"{database(without)}-wal").unlink()
    assert_true(without, repair(without, healthy=True), before)

    log = Path(f"{database(broken)}-wal")
    data = bytearray(log.read_bytes())
    data[32 + 24 + 100] ^= 1
    log.write_bytes(data)
    after = assert_true(broken, repair(broken), everything)
    assert len(after["people"]) >= len(before["people"]) + 5, "what came after the damaged place is gone"


def test_the_header_can_come_from_the_audit_log(location: str) -> None:
    store = open_store(location)
    assert store.audit(1000)[-1].action == "create"
    store.close()
    before = contents(location)
    data = database(location).read_bytes()
    # Every row of the header table, wherever it is, loses its checksum.
    damaged = data.replace(before["header"].fingerprint.encode(), b"e" * 32, 1)
    place = data.index(before["header"].fingerprint.encode())
    assert damaged != data and place
    database(location).write_bytes(damaged)
    report = repair(location)
    assert_true(location, report, before)


@pytest.mark.parametrize("step", ["rename", "replace"])
def test_an_interrupted_repair_is_completed(location: str, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    before = contents(location)
    store = open_store(location)
    crashed = copied_open(location, Path(location).with_name("crashed"))
    store.close()
    real = getattr(os, step)

    def interrupted(source: str | Path, target: str | Path) -> None:
        if step == "replace" or str(target).endswith("-wal"):
            raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(repairing.os, step, interrupted)
    if step == "replace":
        with pytest.raises(KeyboardInterrupt):
            repair(crashed, healthy=True)
        monkeypatch.undo()
        with pytest.raises(GalleryError, match="interrupted"):
            open_store(crashed)
        assert [finding.kind for finding in check(crashed).findings][0] == "repair-interrupted"
        report = repair(crashed)
        assert "interrupted" in report.notes[0]
    else:
        monkeypatch.undo()
        repair(crashed, healthy=True)
    assert contents(crashed) == before


def test_no_gallery(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="no gallery"):
        repair(tmp_path)
    create_store(str(tmp_path / "empty"), header()).close()
    assert repair(tmp_path / "empty", healthy=True).people == 0


def test_a_gallery_of_a_later_version_is_not_touched(location: str) -> None:
    connection = sqlite3.connect(database(location))
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    before = contents_as_stored(location)
    assert repair(location).lost_people == (), "the number alone was damaged"
    assert contents_as_stored(location) == before
    connection = sqlite3.connect(database(location))
    connection.executescript("PRAGMA user_version = 2; ALTER TABLE people ADD COLUMN more TEXT")
    connection.close()
    with pytest.raises(GalleryError, match="update the package"):
        repair(location)


def contents_as_stored(location: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(database(location))
    rows = connection.execute("SELECT * FROM embeddings").fetchall()
    connection.close()
    return rows
