"""Backups taken and brought back while a gallery is in use."""

from __future__ import annotations

import os
import shutil
import stat
import threading
from pathlib import Path

import pytest
from gallery_tools import header, samples, unit
from maintenance_tools import contents, contents_of, database, furnished

from facenet.errors import GalleryError, InputError, StorageError, UsageError
from facenet.gallery.backend import create_store, open_store
from facenet.gallery.backup import backup, restore
from facenet.gallery.health import check
from facenet.gallery.records import Sample


@pytest.fixture
def location(tmp_path: Path) -> str:
    return furnished(tmp_path)


def test_a_backup_is_the_gallery(location: str, tmp_path: Path) -> None:
    steps: list[tuple[int, int | None]] = []
    report = backup(location, tmp_path / "deep" / "copy", progress=lambda now, all_: steps.append((now, all_)))
    copy = str(tmp_path / "deep" / "copy")
    assert [entry.name for entry in Path(copy).iterdir()] == ["gallery.sqlite"]
    assert (report.people, report.embeddings, report.bytes) == (20, 40, database(copy).stat().st_size)
    assert contents(copy) == contents(location)
    assert steps and steps[-1][0] == steps[-1][1]
    assert check(copy).clean
    assert [stat.S_IMODE(path.stat().st_mode) for path in (Path(copy), database(copy))] == [0o700, 0o600]
    ours, theirs = open_store(location), open_store(copy)
    assert ours.history != theirs.history
    assert ours.audit(1)[0].action == "backup" and theirs.audit(1)[0].action == "backup"
    ours.close()
    theirs.close()


def test_nothing_is_overwritten(location: str, tmp_path: Path) -> None:
    backup(location, tmp_path / "copy")
    before = database(str(tmp_path / "copy")).read_bytes()
    with pytest.raises(InputError, match="there already"):
        backup(location, tmp_path / "copy")
    assert database(str(tmp_path / "copy")).read_bytes() == before


def test_bad_places(location: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError):
        backup(location, tmp_path / "file" / "copy")
    with pytest.raises(GalleryError, match="no gallery"):
        backup(tmp_path / "nothing", tmp_path / "copy")
    with pytest.raises(UsageError):
        restore(Path(location), "memory:")
    with pytest.raises(GalleryError, match="no gallery"):
        restore(tmp_path / "nothing", location)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "gallery"]


def test_a_damaged_gallery_is_not_backed_up(location: str, tmp_path: Path) -> None:
    data = bytearray(database(location).read_bytes())
    vector = unit(3, 16, seed=5)[0].tobytes()
    data[data.index(vector)] ^= 1
    database(location).write_bytes(data)
    with pytest.raises(GalleryError, match="damaged"):
        backup(location, tmp_path / "copy")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["gallery"]


def test_writers_go_on_meanwhile(location: str, tmp_path: Path) -> None:
    stop = threading.Event()
    written: list[int] = []

    def write() -> None:
        store = open_store(location)
        while not stop.is_set():
            written.append(store.enroll(f"new {len(written)}", samples(2, seed=100 + len(written))).person)
        store.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(3):
            backup(location, tmp_path / f"copy {number}")
    finally:
        stop.set()
        writer.join()
    everything = contents(location)
    for number in range(3):
        part = contents(str(tmp_path / f"copy {number}"))
        assert all(everything["people"][id_] == person for id_, person in part["people"].items())
        assert all(person.embeddings == 2 for id_, person in part["people"].items() if id_ > 21)
    assert len(written) > 3


def test_a_restore_brings_everything_back(location: str, tmp_path: Path) -> None:
    backup(location, tmp_path / "copy")
    before = contents(location)
    bystander = open_store(location)
    history, generation = bystander.history, bystander.generation()
    store = open_store(location)
    store.rename(1, "someone else")
    store.update(2, metadata={"new": 1})
    late = store.enroll("late", samples(2, seed=50))
    store.enroll("added to", samples(2, seed=51), person=3)
    store.close()
    report = restore(tmp_path / "copy", location)
    assert contents_of(bystander) == before
    assert bystander.history != history and bystander.generation() > generation
    assert not bystander.changes(generation, history).complete
    assert (report.people, report.embeddings, report.dropped) == (20, 40, (late.person,))
    assert report.removed_since == () and report.removals_known
    assert check(location).clean
    new = bystander.enroll("new", samples(1, seed=52))
    assert new.person > late.person and min(new.samples) > max(late.samples) + 2
    actions = [entry.action for entry in bystander.audit(1000)]
    assert actions[:2] == ["enroll", "restore"] and "rename" in actions
    bystander.close()


def test_who_was_removed_stays_removed(location: str, tmp_path: Path) -> None:
    backup(location, tmp_path / "copy")
    before = contents(location)
    store = open_store(location)
    store.remove(7)
    store.remove(8, action="purge")
    gone = store.samples(9)[0].id
    store.remove_sample(gone)
    store.close()
    report = restore(tmp_path / "copy", location)
    assert (report.removed_since, report.removed_embeddings, report.included) == ((7, 8), 1, False)
    assert "left out" in report.notes[0]
    after = contents(location)
    assert set(before["people"]) - set(after["people"]) == {7, 8}
    assert gone not in after["samples"] and len(after["samples"]) == 40 - 5
    assert check(location).clean
    for vector in (before["samples"][id_][-1] for id_ in set(before["samples"]) - set(after["samples"])):
        assert not any(vector in file.read_bytes() for file in Path(location).iterdir())
    # Brought back on purpose, they are no longer counted as removed.
    report = restore(tmp_path / "copy", location, include_removed=True)
    assert report.removed_since == (7, 8) and report.included
    assert contents(location) == before
    assert check(location).clean
    assert restore(tmp_path / "copy", location).removed_since == ()


def test_who_was_dropped_by_a_restore_can_come_back(location: str, tmp_path: Path) -> None:
    backup(location, tmp_path / "old")
    store = open_store(location)
    late = store.enroll("late", samples(2, seed=50)).person
    store.close()
    backup(location, tmp_path / "newer")
    everything = contents(location)
    assert restore(tmp_path / "old", location).dropped == (late,)
    assert restore(tmp_path / "newer", location).removed_since == ()
    assert contents(location) == everything
    assert check(location).clean


def test_what_is_replaced_leaves_no_trace(location: str, tmp_path: Path) -> None:
    backup(location, tmp_path / "copy")
    face = Sample(unit(1, 16, seed=77)[0])
    store = open_store(location)
    store.enroll("a very late name", [face])
    store.close()
    restore(tmp_path / "copy", location)
    for file in Path(location).iterdir():
        data = file.read_bytes()
        assert face.embedding.tobytes() not in data and b"a very late name" not in data


def test_readers_see_the_old_or_the_new(location: str, tmp_path: Path) -> None:
    backup(location, tmp_path / "copy")
    old = names_of(location)
    store = open_store(location)
    list(store.enroll_many((f"late {number}", samples(1, seed=200 + number)) for number in range(30)))
    store.close()
    new = names_of(location)
    stop, seen, wrong = threading.Event(), set(), []

    def read() -> None:
        reader = open_store(location)
        while not stop.is_set():
            names = {person.name for person in reader.people()}
            seen.add(len(names))
            if names not in (old, new):
                wrong.append(names)
        reader.close()

    readers = [threading.Thread(target=read) for _ in range(2)]
    for thread in readers:
        thread.start()
    restore(tmp_path / "copy", location)
    stop.set()
    for thread in readers:
        thread.join()
    assert not wrong
    assert names_of(location) == old


def names_of(location: str) -> set[str]:
    return {person.name for person in contents(location)["people"].values()}


def test_restored_into_an_empty_place(location: str, tmp_path: Path) -> None:
    backup(location, tmp_path / "copy")
    (tmp_path / "empty").mkdir()
    for place in ("new", "empty"):
        report = restore(tmp_path / "copy", tmp_path / place)
        assert contents(str(tmp_path / place)) == contents(location)
        assert not report.removals_known and "removed again" in report.notes[0]
        assert stat.S_IMODE((tmp_path / place).stat().st_mode) == 0o700
        assert check(tmp_path / place).clean


def test_a_backup_of_another_gallery_is_refused(location: str, tmp_path: Path) -> None:
    create_store(str(tmp_path / "other"), header()).close()
    before = contents(location)
    with pytest.raises(InputError, match="another gallery"):
        restore(tmp_path / "other", location)
    assert contents(location) == before


def test_a_damaged_backup_is_refused(location: str, tmp_path: Path) -> None:
    backup(location, tmp_path / "copy")
    before = contents(location)
    os.truncate(database(str(tmp_path / "copy")), 50_000)
    for place in (location, str(tmp_path / "new")):
        with pytest.raises(GalleryError, match="damaged"):
            restore(tmp_path / "copy", place)
    assert contents(location) == before and not (tmp_path / "new").exists()


def test_a_damaged_gallery_is_not_restored_into(location: str, tmp_path: Path) -> None:
    backup(location, tmp_path / "copy")
    database(location).write_bytes(b"x" * 50_000)
    with pytest.raises(GalleryError, match="damaged"):
        restore(tmp_path / "copy", location)
    shutil.rmtree(location)
    assert restore(tmp_path / "copy", location).people == 20
