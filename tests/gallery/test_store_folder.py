"""A gallery on disk: where it lies, who may read it, what is left of those who were removed."""

from __future__ import annotations

import os
import random
import re
import sqlite3
import stat
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from gallery_tools import header, new_store, people, samples
from test_store import walk

from facenet.errors import GalleryError, StorageError
from facenet.gallery.backend import create_store, gallery_exists, open_store
from facenet.gallery.schema import DATABASE_NAME, REPAIRED_NAME
from facenet.gallery.store import SqliteStore


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def content(folder: Path) -> bytes:
    """All files' bytes; read by another process, for closing a file would drop this one's locks on it."""
    return b"".join(
        subprocess.run(["cat", str(path)], capture_output=True, check=True).stdout for path in sorted(folder.iterdir())
    )


def traces(data: bytes, secrets: Iterable[bytes]) -> int:
    """How many 16 bytes in a row of ``data`` are somewhere in ``secrets``."""
    pieces = {secret[at : at + 16] for secret in secrets for at in range(len(secret) - 15)}
    return sum(data[at : at + 16] in pieces for at in range(len(data) - 15))


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o277])
def test_nobody_else_can_read_a_gallery_whatever_the_umask(
    tmp_path: Path, umask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, int]] = []
    place = tmp_path / "gallery"

    def connect_and_look(*arguments: object, **options: object) -> sqlite3.Connection:
        seen.append(modes(place))
        return real(*arguments, **options)

    real = sqlite3.connect
    monkeypatch.setattr("facenet.gallery.sqlite_database.sqlite3.connect", connect_and_look)
    before = os.umask(umask)
    try:
        store = create_store(str(place), header())
        store.enroll("Ann", samples(1))
        assert modes(place).keys() >= {DATABASE_NAME, f"{DATABASE_NAME}-wal", f"{DATABASE_NAME}-shm"}
    finally:
        os.umask(before)
    seen.append(modes(place))
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert {mode for look in seen for mode in look.values()} == {0o600}
    store.close()
    assert modes(place) == {DATABASE_NAME: 0o600}


def test_places_where_no_gallery_can_be_made(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(GalleryError, match="is a file"):
        create_store(str(file), header())
    with pytest.raises(StorageError, match="cannot write"):
        create_store(str(file / "inside"), header())
    other = tmp_path / "photos"
    other.mkdir()
    (other / "a.jpg").write_text("x")
    with pytest.raises(GalleryError, match="folder of something else"):
        create_store(str(other), header())
    new_store("folder", tmp_path).close()
    with pytest.raises(GalleryError, match="there is a gallery at .* already"):
        new_store("folder", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "gallery", "photos"]
    with pytest.raises(StorageError, match="cannot write"):
        create_store(str(tmp_path / ("x" * 300)), header())


def test_of_two_who_make_one_gallery_at_once_one_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*arguments: object) -> None:
        monkeypatch.undo()
        new_store("folder", tmp_path).close()
        os.link(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("facenet.gallery.sqlite_folder._require_free", lambda folder: None)
    monkeypatch.setattr("facenet.gallery.sqlite_folder.os.link", link)
    monkeypatch.setattr("facenet.gallery.sqlite_folder.is_free", lambda folder: True)
    with pytest.raises(GalleryError, match="already"):
        new_store("folder", tmp_path)


def test_an_empty_folder_and_what_a_killed_creation_left_can_become_a_gallery(tmp_path: Path) -> None:
    place = tmp_path / "gallery"
    place.mkdir(mode=0o755)
    (place / ".creating-0123").write_bytes(b"")
    store = new_store("folder", tmp_path)
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    store.close()


def test_places_where_there_is_no_gallery(tmp_path: Path) -> None:
    place = tmp_path / "x\n\udcff"
    with pytest.raises(GalleryError, match="there is no gallery at .*: enroll somebody to make one") as caught:
        open_store(str(place))
    assert str(caught.value).isprintable()
    place.mkdir()
    with pytest.raises(GalleryError, match="there is no gallery"):
        open_store(str(place))
    (place / "a.jpg").write_bytes(b"")
    with pytest.raises(GalleryError, match="folder of something else"):
        open_store(str(place))
    with pytest.raises(GalleryError, match="is a file"):
        open_store(str(place / "a.jpg"))
    (place / DATABASE_NAME).mkdir()
    with pytest.raises(GalleryError, match="is no file"):
        open_store(str(place))
    with pytest.raises(StorageError, match="cannot be opened"):
        open_store(str(tmp_path / ("x" * 300)))
    assert sorted(path.name for path in place.iterdir()) == ["a.jpg", DATABASE_NAME], "opening made something"


def test_a_place_of_any_name_can_hold_a_gallery(tmp_path: Path) -> None:
    place = tmp_path / "a b?c=d#e%20'f\n\udcff" / "файл:memory:"
    create_store(str(place), header()).close()
    store = open_store(str(place))
    store.enroll("Ann", samples(1))
    assert store.location == str(place)
    store.close()
    assert [path.name for path in place.iterdir()] == [DATABASE_NAME] and gallery_exists(str(place))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (b"", "not one of our galleries"),
        (b"hello", "damaged"),
        (b"x" * 100_000, "damaged"),
        (b"SQLite format 3\x00" + bytes(100_000), "damaged|not one of our"),
    ],
)
def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path, damage: bytes, reason: str) -> None:
    path = tmp_path / DATABASE_NAME
    path.write_bytes(damage)
    with pytest.raises(GalleryError, match=reason):
        open_store(str(tmp_path))
    assert path.read_bytes() == damage


def test_a_repair_cut_short_is_said(tmp_path: Path) -> None:
    new_store("folder", tmp_path).close()
    (tmp_path / "gallery" / REPAIRED_NAME).write_bytes(b"")
    with pytest.raises(GalleryError, match="repair .* was interrupted"):
        open_store(str(tmp_path / "gallery"))


@pytest.mark.parametrize("table", ["header", "people", "profiles", "embeddings", "audit"])
def test_a_row_that_is_not_what_was_written_is_noticed(tmp_path: Path, table: str) -> None:
    store = new_store("folder", tmp_path)
    store.enroll("Annabella", samples(1), metadata={"a": "bcd"})
    store.close()
    column = {"header": "value", "people": "created", "profiles": "name", "embeddings": "content", "audit": "at"}[table]
    connection = sqlite3.connect(tmp_path / "gallery" / DATABASE_NAME)
    connection.execute(f"UPDATE {table} SET {column} = replace({column}, substr({column}, 2, 1), '#')")
    connection.commit()
    connection.close()
    with pytest.raises(GalleryError, match="damaged.*gallery check"):
        store = open_store(str(tmp_path / "gallery"))
        store.people()
        store.samples(1)
        store.audit()


@pytest.mark.parametrize("length", [0, 4, 60, 68])
def test_a_vector_of_another_length_is_noticed(tmp_path: Path, length: int) -> None:
    store = new_store("folder", tmp_path)
    list(store.enroll_many(people(4)))
    with store.database.transaction() as connection:  # type: ignore[attr-defined]
        connection.execute("UPDATE embeddings SET vector = zeroblob(?) WHERE id = 3", (length,))
    with pytest.raises(GalleryError, match="damaged"):
        list(store.read_vectors())
    store.close()


def test_bytes_overwritten_in_the_middle_are_said_without_a_traceback(tmp_path: Path) -> None:
    store = new_store("folder", tmp_path)
    list(store.enroll_many(people(400, 3)))
    store.close()
    path = tmp_path / "gallery" / DATABASE_NAME
    data = path.read_bytes()
    choose = random.Random(0)
    noticed = 0
    for _ in range(40):
        page = choose.randrange(1, len(data) // 16_384) * 16_384
        path.write_bytes(data[:page] + choose.randbytes(64) + data[page + 64 :])
        try:
            store = open_store(str(path.parent))
        except GalleryError:
            noticed += 1
            continue
        try:
            list(store.read_vectors())
            store.people()
            store.enroll("new", samples(1))
        except GalleryError:
            noticed += 1
        finally:
            try:
                store.close()
            except GalleryError:
                noticed += 1
    assert noticed >= 20


@pytest.mark.parametrize("live", [True, False])
def test_nothing_of_a_removed_person_is_left_in_any_file(tmp_path: Path, live: bool) -> None:
    store = new_store("folder", tmp_path)
    given = samples(3, source="/photos/of/somebody-secret.jpg")
    secrets = [
        *(sample.embedding.tobytes() for sample in given),
        *(sample.content.encode() for sample in given),
        b"Annabella Secretname, 17",
        b"somebody-secret.jpg",
        b"metadata-secret-123",
        b"consent-secret-4567",
        b"Renamed Secretname!!",
    ]
    store.enroll("before", samples(2, seed=1))
    metadata = {"secret": "metadata-secret-123" * 2000}
    store.enroll("Annabella Secretname, 17", given, metadata=metadata, consent="consent-secret-4567")
    store.enroll("after", samples(2, seed=2))
    assert traces(content(tmp_path / "gallery"), secrets) > 100
    store.rename(2, "Renamed Secretname!!")
    store.remove(2)
    assert store.notices() == []
    if not live:
        store.close()
    assert traces(content(tmp_path / "gallery"), secrets) == 0
    assert traces(content(tmp_path / "gallery"), [samples(2, seed=1)[0].embedding.tobytes()]) > 0


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_left_after_any_sequence_of_changes(tmp_path: Path, seed: int) -> None:
    """SQLite alone leaves copies of rows behind that it once moved to another page (see facenet.gallery.schema)."""
    store = new_store("folder", tmp_path)
    store.database._connection().execute("PRAGMA synchronous = OFF")  # type: ignore[attr-defined]
    rows, names = walk(store, 250, seed=50 + seed)
    kept = {vector for held in rows.values() for vector in held.values()}
    ever = {
        sample.embedding.tobytes() for step in range(250) for sample in samples(3, seed=1000 * (50 + seed) + step + 1)
    }
    everyone = {f"{word} {step}" for word in ("person", "renamed") for step in range(250)}
    data = content(tmp_path / "gallery")
    assert traces(data, ever - kept) == 0
    found = {name for name in everyone if f'{name}{{"note"'.encode() in data}
    assert found == {name.lstrip("x") for name in names.values()}
    for person in list(names):
        store.remove(person)
    store.close()
    data = content(tmp_path / "gallery")
    assert traces(data, ever) == 0
    assert not re.search(rb"person \d|renamed \d|note", data)
    assert b"uuuu" not in data and b"mmmm" not in data


def test_traces_that_a_reader_holds_are_said_and_cleared_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facenet.gallery.sqlite_store.WAIT_FOR_READERS", 0.1)
    store, other = new_store("folder", tmp_path), open_store(str(tmp_path / "gallery"))
    list(store.enroll_many(people(3)))
    secret = [sample.embedding.tobytes() for sample in store.samples(1)]
    blocks = other.read_vectors(chunk=1)
    assert len(next(blocks)) == 4
    store.remove(1)
    assert store.count() == (2, 4)
    (notice,) = store.notices()
    assert "traces" in notice and other.notices() == [notice]
    assert traces(content(tmp_path / "gallery"), secret) > 0
    store.enroll("more", samples(1))
    assert store.notices() == [notice]
    assert len(list(blocks)) == 1
    store.enroll("more", samples(1))
    assert store.notices() == other.notices() == []
    assert traces(content(tmp_path / "gallery"), secret) == 0
    store.close()
    other.close()


def test_traces_that_are_left_when_a_process_ends_are_cleared_at_the_next_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_store("folder", tmp_path)
    store.enroll("Ann", samples(1))
    secret = [store.samples(1)[0].embedding.tobytes()]
    monkeypatch.setattr(SqliteStore, "clear_traces", lambda *_: False)
    store.remove(1)
    assert traces(content(tmp_path / "gallery"), secret) > 0
    monkeypatch.undo()
    other = open_store(str(tmp_path / "gallery"))
    assert traces(content(tmp_path / "gallery"), secret) == 0 and other.notices() == store.notices() == []
    store.close()
    other.close()


def test_compacting_gives_space_back_and_keeps_what_is_there(tmp_path: Path) -> None:
    store = new_store("folder", tmp_path)
    list(store.enroll_many(people(200, 30)))
    for person in (*range(10, 15), 100, 199):
        store.remove(person)
    store.enroll("crowd", samples(3000))
    store.remove(201)
    path = tmp_path / "gallery" / DATABASE_NAME
    before, held = path.stat().st_size, [store.samples(200)[i].embedding.tobytes() for i in range(30)]
    everyone = store.people()
    assert store.compact() == 7 * 31 + 3001  # type: ignore[attr-defined]
    assert path.stat().st_size < before and store.people() == everyone
    assert [sample.embedding.tobytes() for sample in store.samples(200)] == held
    assert store.notices() == []
    store.close()


def test_a_database_that_may_not_grow_says_so_and_keeps_what_it_has(tmp_path: Path) -> None:
    store = new_store("folder", tmp_path)
    done = list(store.enroll_many(people(50)))
    with store.database.reading() as connection:  # type: ignore[attr-defined]
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageError, match="no space left"):
        for one in store.enroll_many(((f"more {i}", samples(20)) for i in range(1000)), chunk=100):
            done.append(one)
    assert store.count()[0] == len(done)
    with store.database.reading() as connection:  # type: ignore[attr-defined]
        connection.execute("PRAGMA max_page_count = 100000")
    store.enroll("again", samples(20))
    store.close()
    assert open_store(str(tmp_path / "gallery")).count()[0] == len(done) + 1


def test_who_waits_too_long_for_others_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new_store("folder", tmp_path).close()
    monkeypatch.setattr("facenet.gallery.sqlite_database.PATIENCE", 0.1)
    store, other = open_store(str(tmp_path / "gallery")), open_store(str(tmp_path / "gallery"))
    store.database._patience = 0.1  # type: ignore[attr-defined]
    with other.database.transaction():  # type: ignore[attr-defined]
        with pytest.raises(StorageError, match="busy: others have been writing for too long"):
            store.enroll("Ann", samples(1))
        assert store.count() == (0, 0), "reading waits for nobody"
    store.enroll("Ann", samples(1))
    assert other.count() == (1, 1) and other.generation() == 1
    store.close()
    other.close()
