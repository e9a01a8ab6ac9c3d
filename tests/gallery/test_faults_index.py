"""What happens to the index on disk, and what a gallery makes of it."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gallery_tools import header, people, unit

from facenet.gallery import keeper as keeper_module
from facenet.gallery.cache import FILE_NAME, IndexCache
from facenet.gallery.gallery import Gallery
from facenet.gallery.records import Fusion, IndexKind

KINDS = [IndexKind.EXACT, IndexKind.HNSW, IndexKind.IVF]
EVERYBODY = people(40, 3)
QUERIES = unit(6, seed=70)
BUILT = "the index was built from the store"


def enrolled(place: Path, index: IndexKind = IndexKind.EXACT, fusion: Fusion = Fusion.MAX) -> list[list[int]]:
    """Make a gallery of 40 people whose index is on disk; returns whom the queries find."""
    with Gallery.create(place, replace(header(), index=index, fusion=fusion)) as gallery:
        list(gallery.enroll_many(EVERYBODY))
    (place / FILE_NAME).unlink()
    with Gallery.open(place) as gallery:
        answer = gallery.search_arrays(QUERIES, 10)[0].tolist()
        assert gallery.notices == [f"the index cache is missing: {BUILT}"]
    return answer


def found(place: Path) -> tuple[list[list[int]], list[str]]:
    """Whom the queries find in a gallery, and what was noticed."""
    with Gallery.open(place) as gallery:
        answer = gallery.search_arrays(QUERIES, 10)[0].tolist()
        return answer, gallery.notices


def traces(place: Path, vectors: list[np.ndarray]) -> set[str]:
    """Files of a folder that hold any of these vectors, or the beginning of one."""
    return {
        path.name
        for path in place.rglob("*")
        for vector in vectors
        if path.is_file() and vector.tobytes()[:16] in path.read_bytes()
    }


@pytest.mark.parametrize("index", KINDS)
def test_a_good_cache_is_used_without_a_word(tmp_path: Path, index: IndexKind) -> None:
    answer = enrolled(tmp_path / "g", index)
    before = (tmp_path / "g" / FILE_NAME).stat()
    assert found(tmp_path / "g") == (answer, [])
    assert (tmp_path / "g" / FILE_NAME).stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("index", KINDS)
def test_a_damaged_cache_is_noticed_and_made_again(tmp_path: Path, index: IndexKind) -> None:
    answer = enrolled(tmp_path / "g", index)
    file = tmp_path / "g" / FILE_NAME
    whole = file.read_bytes()
    generator = random.Random(1)
    damages = [whole[:0], whole[:4096], whole[: len(whole) // 2], whole[:-1]]
    for _ in range(12):
        flipped = bytearray(whole)
        flipped[generator.randrange(len(whole))] ^= 1 << generator.randrange(8)
        damages.append(bytes(flipped))
    for damage in damages:
        file.write_bytes(damage)
        again, notices = found(tmp_path / "g")
        assert again == answer
        assert len(notices) == 1 and "is damaged" in notices[0] and BUILT in notices[0]
        assert found(tmp_path / "g") == (answer, [])


def test_the_cache_of_another_gallery(tmp_path: Path) -> None:
    answer = enrolled(tmp_path / "a")
    with Gallery.create(tmp_path / "b", header()) as other:
        other.enroll("x", unit(1))
    shutil.copy(tmp_path / "b" / FILE_NAME, tmp_path / "a" / FILE_NAME)
    assert found(tmp_path / "a") == (answer, [f"the index cache belongs to another gallery: {BUILT}"])
    assert found(tmp_path / "a") == (answer, [])


def test_a_cache_of_another_fusion(tmp_path: Path) -> None:
    enrolled(tmp_path / "a")
    with Gallery.open(tmp_path / "a") as gallery:
        gallery.store.set_options(fusion=Fusion.MEAN)
    _, notices = found(tmp_path / "a")
    assert notices == [f"the index cache was made for another fusion: {BUILT}"]
    with Gallery.open(tmp_path / "a") as gallery:
        assert gallery.stats().index_rows == 40 and gallery.notices == []


def test_a_cache_from_before_the_past_was_rewritten(tmp_path: Path) -> None:
    answer = enrolled(tmp_path / "a")
    rewrite_history(tmp_path / "a")
    again, notices = found(tmp_path / "a")
    assert again == answer and len(notices) == 1 and "restored, repaired or given another model" in notices[0]


def test_history_changes_under_an_open_reader(tmp_path: Path) -> None:
    answer = enrolled(tmp_path / "a")
    with Gallery.open(tmp_path / "a") as gallery:
        gallery.search(QUERIES)
        rewrite_history(tmp_path / "a")
        assert gallery.search_arrays(QUERIES, 10)[0].tolist() == answer


def rewrite_history(place: Path) -> None:
    """Do to the store what a restore does."""
    from facenet.gallery.sqlite_header import bump, new_history

    with Gallery.open(place) as gallery, gallery.store.database.transaction() as connection:
        new_history(connection)
        bump(connection)


def test_a_database_put_back_beside_a_newer_cache(tmp_path: Path) -> None:
    place = tmp_path / "a"
    answer = enrolled(place)
    copy = sqlite3.connect(tmp_path / "copy.sqlite")
    with Gallery.open(place) as gallery, gallery.store.database.reading() as connection:
        connection.backup(copy)
    copy.close()
    with Gallery.open(place) as gallery:
        list(gallery.enroll_many([(f"late {name}", own) for name, own in people(30, 3, seed=5)]))
    (place / FILE_NAME).unlink()
    found(place)
    for old in place.glob("gallery.sqlite*"):
        old.unlink()
    shutil.copyfile(tmp_path / "copy.sqlite", place / "gallery.sqlite")
    (place / "gallery.sqlite").chmod(0o600)
    assert found(place) == (answer, [f"the index cache is newer than the gallery: {BUILT}"])


def test_a_cache_that_others_can_write(tmp_path: Path) -> None:
    answer = enrolled(tmp_path / "a")
    (tmp_path / "a" / FILE_NAME).chmod(0o660)
    again, notices = found(tmp_path / "a")
    assert again == answer
    assert notices == [f"the index cache cannot be trusted: its file can be written by others: {BUILT}"]
    assert (tmp_path / "a" / FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert found(tmp_path / "a") == (answer, [])


def test_a_gallery_that_others_can_write(tmp_path: Path) -> None:
    answer = enrolled(tmp_path / "a")
    with Gallery.open(tmp_path / "a") as gallery:
        (tmp_path / "a").chmod(0o770)
        again = gallery.search_arrays(QUERIES, 10)[0].tolist()
        notices = gallery.notices
    assert again == answer
    assert notices[0] == f"the index cache cannot be trusted: the folder it is in can be written by others: {BUILT}"
    assert notices[1].endswith("the index is kept in memory only")


@pytest.mark.parametrize("index", KINDS)
@pytest.mark.parametrize("fusion", [Fusion.MAX, Fusion.MEAN])
def test_removed_people_are_in_no_file_and_the_index_stays(tmp_path: Path, index: IndexKind, fusion: Fusion) -> None:
    place = tmp_path / "a"
    enrolled(place, index, fusion)
    with Gallery.open(place) as gallery:
        first, second, third = gallery.samples("person 3"), gallery.samples("person 7"), gallery.samples("person 9")
        gallery.search(QUERIES)
        gallery.update("person 9", expires="2020-01-01")
        gallery.remove("person 3")
        gallery.remove_sample("person 7", second[1].id)
        assert [person.name for person in gallery.purge()] == ["person 9"]
        gone = [sample.embedding for sample in [*first, second[1], *third]]
        assert traces(place, gone) == set()
        assert traces(place, [second[0].embedding]) != set()
    assert traces(place, gone) == set()
    with Gallery.open(place) as gallery:
        names = {candidate.name for candidate in gallery.search(gone[0], 40)[0].candidates}
        assert gallery.notices == [] and len(names) == 38 and not names & {"person 3", "person 9"}
        assert gallery.verify(second[0].embedding, "person 7") == pytest.approx(
            {c.name: c.score for c in gallery.search(second[0].embedding, 40)[0].candidates}["person 7"], abs=2e-6
        )
    assert traces(place, gone) == set()


def test_a_removal_that_never_reached_the_cache_does_with_the_next_opening(tmp_path: Path) -> None:
    place = tmp_path / "a"
    enrolled(place)
    with Gallery.open(place) as gallery:
        gone = [sample.embedding for sample in gallery.samples("person 3")]
        gallery.store.remove(gallery.resolve("person 3").id)
    assert traces(place, gone) == {FILE_NAME}
    assert found(place)[1] == []
    assert traces(place, gone) == set()


def test_a_save_that_began_before_a_removal_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "a"
    enrolled(place)
    (place / FILE_NAME).unlink()
    remover = Gallery.open(place)
    gone = [sample.embedding for sample in remover.samples("person 3")]
    save = IndexCache.save

    def slowly(self: IndexCache, *arguments: object) -> bool:
        # Everything is in the memory of the one who saves; now somebody else removes a person.
        monkeypatch.setattr(IndexCache, "save", save)
        remover.remove("person 3")
        return save(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(IndexCache, "save", slowly)
    with Gallery.open(place) as gallery:
        gallery.search(QUERIES)
        assert traces(place, gone) == set() and not (place / FILE_NAME).exists()
        assert "person 3" not in {c.name for c in gallery.search(gone[0], 40)[0].candidates}
    remover.close()


def test_much_that_is_new_is_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_module, "_MUCH", 20)
    place = tmp_path / "a"
    enrolled(place)
    with Gallery.open(place) as gallery:
        size = gallery.stats().cache_bytes
        gallery.enroll("little", unit(3, seed=80))
        assert gallery.stats().cache_bytes == size
        list(gallery.enroll_many([(f"late {name}", own) for name, own in people(12, 3, seed=5)]))
        assert gallery.stats().cache_bytes > size
    with Gallery.open(place) as gallery:
        list(gallery.enroll_many([(f"very late {name}", own) for name, own in people(90, 3, seed=6)]))
    with Gallery.open(place) as gallery:
        assert gallery.stats().index_rows == 40 * 3 + 3 + 12 * 3 + 90 * 3 and gallery.notices == []


@pytest.mark.slow
def test_killed_while_saving_the_index(tmp_path: Path) -> None:
    place = tmp_path / "a"
    answer = enrolled(place)
    generator = random.Random(2)
    left = set()
    for _ in range(36):
        killed_at_work(
            lambda gallery: [gallery._keeper.begin() for _ in iter(int, 1)], place, generator.uniform(0, 0.03)
        )
        left |= {path.name for path in place.iterdir()}
        # Renamed into place when it is whole: there is always one that can be used.
        assert found(place) == (answer, [])
    assert f".writing-{FILE_NAME}" in left
    with Gallery.open(place) as gallery:
        gone = [sample.embedding for sample in gallery.samples("person 3")]
        gallery.remove("person 3")
        assert traces(place, gone) == set()


@pytest.mark.slow
def test_killed_while_removing(tmp_path: Path) -> None:
    place = tmp_path / "a"
    enrolled(place)
    generator = random.Random(3)
    with Gallery.open(place) as gallery:
        vectors = {person.id: [sample.embedding for sample in gallery.samples(person)] for person in gallery.people()}
        began = time.perf_counter()
        gallery.remove(1)
        usual = time.perf_counter() - began
    gone = {1}
    for person, own in list(vectors.items())[1:]:
        killed_at_work(lambda gallery, person=person: gallery.remove(person), place, generator.uniform(0, 2 * usual))
        with Gallery.open(place) as gallery:
            gallery.search(QUERIES)
            if person in {other.id for other in gallery.people()}:
                assert gallery.search_arrays(own[0], 1)[0].tolist() == [[person]]
            else:
                gone.add(person)
                assert traces(place, own) == set()
                assert person not in gallery.search_arrays(own[0], 40)[0]
    assert 1 < len(gone) < len(vectors)


def killed_at_work(work: Callable[[Gallery], object], place: Path, seconds: float) -> None:
    """Let a child open the gallery and work on it, and kill it so long after it has begun."""
    ready, begun = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            gallery = Gallery.open(place)
            os.write(begun, b"x")
            work(gallery)
            time.sleep(60)
        finally:
            os._exit(1)
    os.close(begun)
    assert os.read(ready, 1) == b"x"
    os.close(ready)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
