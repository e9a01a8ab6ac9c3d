"""The public class: the same body over every backend and every kind of index."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gallery_tools import FINGERPRINT, SIZE, header, people, samples, unit
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule
from oracles_gallery import OracleGallery, agree

from facenet.errors import ContractError, GalleryError, InputError, UsageError
from facenet.gallery.gallery import Gallery
from facenet.gallery.records import Candidate, Fusion, IndexKind, Person, Sample, SearchResult
from facenet.gallery.rows import Rows

KINDS = [IndexKind.EXACT, IndexKind.HNSW, IndexKind.IVF]
Make = Callable[..., Gallery]


@pytest.fixture(params=["folder", "memory:"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Makes empty galleries that are closed after the test."""
    made: list[Gallery] = []

    def new(index: IndexKind = IndexKind.AUTO, fusion: Fusion = Fusion.MAX) -> Gallery:
        location = "memory:" if request.param == "memory:" else str(tmp_path / f"gallery{len(made)}")
        made.append(Gallery.create(location, replace(header(), index=index, fusion=fusion)))
        return made[-1]

    yield new
    for gallery in made:
        gallery.close()


@pytest.mark.parametrize("index", KINDS)
@pytest.mark.parametrize("fusion", list(Fusion))
def test_finds_whom_loops_find(make: Make, index: IndexKind, fusion: Fusion) -> None:
    gallery, oracle = make(index, fusion), OracleGallery(fusion)
    for number, (name, own) in enumerate(people(25, 3)):
        weighed = [replace(sample, quality=(i + number % 2) / 3) for i, sample in enumerate(own)]
        id = gallery.enroll(name, weighed).person
        oracle.people[id] = name, [(sample.embedding, sample.quality) for sample in weighed]
    queries = unit(5, seed=9)
    for k in (1, 4, 25, 60):
        for query, result in zip(queries, gallery.search(queries, k), strict=True):
            found = [(candidate.person, candidate.score) for candidate in result.candidates]
            assert agree(found, oracle.search(query, k))
            assert all(oracle.people[candidate.person][0] == candidate.name for candidate in result.candidates)
    best = gallery.search(queries[:1], 1)[0].best
    assert best is not None and gallery.verify(queries[0], best.person) == pytest.approx(best.score, abs=2e-6)


class GalleryMachine(RuleBasedStateMachine):
    """A gallery and a dictionary, treated alike."""

    persons = Bundle("persons")

    @initialize(index=st.sampled_from(KINDS), fusion=st.sampled_from(list(Fusion)))
    def begin(self, index: IndexKind, fusion: Fusion) -> None:
        self.gallery = Gallery.create("memory:", replace(header(), index=index, fusion=fusion))
        self.oracle = OracleGallery(fusion)

    @rule(
        target=persons, name=st.sampled_from("abc"), seed=st.integers(0, 99), count=st.integers(1, 3), new=st.booleans()
    )
    def enroll(self, name: str, seed: int, count: int, new: bool) -> Any:
        alike = [id for id, (other, _) in self.oracle.people.items() if other == name]
        if len(alike) > 1 and not new:
            with pytest.raises(InputError, match=f"id:{alike[0]}"):
                self.gallery.enroll(name, unit(count, seed=seed))
            return multiple()
        enrollment = self.gallery.enroll(name, samples(count, seed=seed), new=new)
        assert enrollment.created == (new or not alike)
        own = self.oracle.people.setdefault(enrollment.person, (name, []))[1]
        own += [(sample.embedding, sample.quality) for sample in samples(count, seed=seed)]
        return enrollment.person

    @rule(person=persons)
    def remove(self, person: int) -> None:
        if person not in self.oracle.people:
            with pytest.raises(InputError):
                self.gallery.remove(person)
            return
        self.gallery.remove(person)
        del self.oracle.people[person]

    @rule(person=persons)
    def remove_the_first_embedding(self, person: int) -> None:
        if self.oracle.people.get(person, ("", []))[1]:
            self.gallery.remove_sample(person, self.gallery.samples(person)[0].id)
            del self.oracle.people[person][1][0]

    @rule(person=persons, name=st.sampled_from("abcd"))
    def rename(self, person: int, name: str) -> None:
        if person in self.oracle.people:
            self.gallery.rename(person, name)
            self.oracle.people[person] = name, self.oracle.people[person][1]

    @rule(seed=st.integers(100, 120), k=st.integers(1, 8))
    def search(self, seed: int, k: int) -> None:
        query = unit(1, seed=seed)
        found = self.gallery.search(query, k)[0].candidates
        assert agree([(c.person, c.score) for c in found], self.oracle.search(query[0], k))
        assert all(self.oracle.people[c.person][0] == c.name for c in found)

    @invariant()
    def counts(self) -> None:
        if hasattr(self, "oracle"):
            embeddings = sum(len(own) for _, own in self.oracle.people.values())
            assert self.gallery.store.count() == (len(self.oracle.people), embeddings)

    def teardown(self) -> None:
        if hasattr(self, "gallery"):
            self.gallery.close()


TestGalleryMachine = GalleryMachine.TestCase
TestGalleryMachine.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


@pytest.mark.parametrize("index", KINDS)
def test_nobody_is_enrolled(make: Make, index: IndexKind) -> None:
    gallery = make(index)
    assert gallery.search(unit(2), 5) == [SearchResult(()), SearchResult(())]
    assert gallery.search(np.empty((0, SIZE), np.float32)) == []
    persons, scores = gallery.search_arrays(unit(1), 3)
    assert persons.tolist() == [[-1, -1, -1]] and np.isneginf(scores).all()
    assert gallery.nearest_other(unit(1)) is None and gallery.people() == []
    assert gallery.stats().recall == 1.0


def test_more_candidates_than_people(make: Make) -> None:
    gallery = make()
    for name, own in people(3):
        gallery.enroll(name, own)
    assert len(gallery.search(unit(1), 50)[0].candidates) == 3
    assert gallery.search_arrays(unit(1), 5)[0][0, 3:].tolist() == [-1, -1]


def test_margin_and_best(make: Make) -> None:
    gallery = make()
    rows = np.eye(SIZE, dtype=np.float32)
    for number in range(3):
        gallery.enroll(f"person {number}", rows[number : number + 1])
    query = np.array([0.8, 0.6, *[0.0] * (SIZE - 2)], np.float32)
    result = gallery.search(query, 2)[0]
    assert result.best == Candidate(1, "person 0", pytest.approx(0.8))
    assert result.margin == pytest.approx(0.2)


BAD = {
    "NaN": (lambda rows: rows.__setitem__((1, 3), np.nan), "embedding 2 of 3 holds NaN or infinity"),
    "infinity": (lambda rows: rows.__setitem__((2, 0), np.inf), "embedding 3 of 3 holds NaN or infinity"),
    "huge": (lambda rows: rows.__setitem__((0, 0), 1e30), "embedding 1 of 3 has length"),
    "zeros": (lambda rows: rows.__setitem__(1, 0), "embedding 2 of 3 is all zeros"),
    "too long": (lambda rows: rows.__setitem__(2, rows[2] * 1.002), "embedding 3 of 3 has length 1.002"),
    "too short": (lambda rows: rows.__setitem__(0, rows[0] * 0.998), "embedding 1 of 3 has length 0.998"),
}


@pytest.mark.parametrize("what", BAD)
def test_embeddings_that_cannot_be_used(make: Make, what: str) -> None:
    gallery, rows = make(), unit(3)
    change, words = BAD[what]
    change(rows)
    uses: list[Callable[[], object]] = [
        lambda: gallery.search(rows),
        lambda: gallery.enroll("a", rows),
        lambda: gallery.enroll("a", [Sample(row) for row in rows]),
        lambda: list(gallery.enroll_many([("a", rows)])),
        lambda: gallery.nearest_other(torch.from_numpy(rows)),
    ]
    for use in uses:
        with pytest.raises(InputError, match=words.replace("embedding ", "").split(" of 3")[0]):
            use()
    with pytest.raises(InputError, match=words):
        gallery.search(rows)
    assert gallery.store.count() == (0, 0)


@pytest.mark.parametrize(
    "rows",
    [
        unit(2, SIZE + 1),
        unit(2, SIZE - 1),
        unit(2)[None],
        np.ones((1, SIZE), np.int64),
        np.array([["a"] * SIZE]),
        [[1.0] + [0.0] * (SIZE - 1)],
        None,
        torch.ones(1, SIZE, dtype=torch.int32),
        np.float32(1.0),
    ],
)
def test_not_embeddings_at_all(make: Make, rows: Any) -> None:
    gallery = make()
    for use in (gallery.search, lambda given: gallery.enroll("a", given)):
        with pytest.raises(InputError):
            use(rows)


def test_every_floating_type_and_layout(make: Make) -> None:
    gallery, rows = make(), unit(4)
    gallery.enroll("a", rows)
    expected = gallery.search(rows, 1)
    others: list[Any] = [
        rows.astype(np.float64),
        np.asfortranarray(rows),
        torch.from_numpy(rows),
        torch.from_numpy(rows).requires_grad_(),
        rows[::-1][::-1],
        rows.astype(">f4"),
    ]
    for other in others:
        assert gallery.search(other, 1) == expected
    half = gallery.search(rows.astype(np.float16), 1)
    assert half[0].candidates[0].score == pytest.approx(1.0, abs=1e-3)
    assert gallery.search(rows[0], 1) == expected[:1]
    before = rows.copy()
    gallery.search(rows * np.float32(1.0005), 1)
    assert np.array_equal(rows, before)


@pytest.mark.parametrize("k", [0, -1, 1.5, "5", None, True])
def test_how_many_candidates(make: Make, k: Any) -> None:
    with pytest.raises(UsageError, match="number of candidates"):
        make().search(unit(1), k)


def test_another_model(make: Make) -> None:
    gallery = make()
    gallery.enroll("a", unit(1), fingerprint=FINGERPRINT)
    uses: list[Callable[[str], object]] = [
        lambda given: gallery.search(unit(1), fingerprint=given),
        lambda given: gallery.enroll("a", unit(1), fingerprint=given),
        lambda given: gallery.enroll_many([], fingerprint=given),
        lambda given: gallery.verify(unit(1), "a", fingerprint=given),
    ]
    for use in uses:
        use(FINGERPRINT)
        with pytest.raises(ContractError, match="gallery reembed"):
            use("f" * 32)


def test_opening_with_another_model(tmp_path: Path) -> None:
    Gallery.create(tmp_path / "g", header()).close()
    with pytest.raises(ContractError):
        Gallery.open(tmp_path / "g", fingerprint="f" * 32)
    with Gallery.open(tmp_path / "g", fingerprint=FINGERPRINT) as gallery:
        assert gallery.header.fingerprint == FINGERPRINT
    with pytest.raises(GalleryError):
        Gallery.open(tmp_path / "nothing")
    with pytest.raises(GalleryError):
        Gallery.create(tmp_path / "g", header())


def test_who_is_meant(make: Make) -> None:
    gallery = make()
    first = gallery.enroll("Ann", unit(1)).person
    second = gallery.enroll("Ann", unit(1, seed=1), new=True).person
    other = gallery.enroll("Bo", unit(1, seed=2)).person
    assert gallery.resolve("Bo").id == gallery.resolve(other).id == gallery.resolve(f"id:{other}").id == other
    assert gallery.resolve(Person(second, "whatever")).name == "Ann"
    with pytest.raises(InputError, match=f"2 people are called “Ann” \\(id:{first}, id:{second}\\)"):
        gallery.resolve("Ann")
    for nobody in ("Cy", "id:99", 99, "", "id:x", -1):
        with pytest.raises(InputError):
            gallery.resolve(nobody)
    gallery.rename(f"id:{second}", "Anna")
    assert gallery.resolve("Anna").id == second
    gallery.enroll("", unit(1, seed=3), person="Anna")
    assert gallery.resolve("Anna").embeddings == 2
    gallery.update("Anna", consent="form 7", metadata={"room": 5})
    assert gallery.resolve("Anna").consent == "form 7" and gallery.person(second).metadata == {"room": 5}


@pytest.mark.parametrize("fusion", list(Fusion))
def test_verify_is_what_search_says(make: Make, fusion: Fusion) -> None:
    gallery = make(fusion=fusion)
    for name, own in people(6, 4):
        gallery.enroll(name, [replace(sample, quality=0.2 + 0.2 * i) for i, sample in enumerate(own)])
    query = unit(1, seed=40)
    for candidate in gallery.search(query, 6)[0].candidates:
        assert gallery.verify(query, candidate.name) == pytest.approx(candidate.score, abs=2e-6)
        assert gallery.verify(query[0], candidate.person) == gallery.verify(query, candidate.name)
    with pytest.raises(InputError, match="one embedding"):
        gallery.verify(unit(2), 1)
    with pytest.raises(InputError, match="nobody"):
        gallery.verify(query, "nobody")


def test_a_person_without_embeddings_is_not_found(make: Make) -> None:
    gallery = make()
    id = gallery.enroll("a", unit(1)).person
    assert gallery.search(unit(1), 1)[0].best is not None
    gallery.remove_sample("a", gallery.samples("a")[0].id)
    assert gallery.search(unit(1), 1)[0].best is None
    with pytest.raises(InputError, match="no embeddings"):
        gallery.verify(unit(1), id)
    with pytest.raises(InputError, match="has no embedding 77"):
        gallery.remove_sample("a", 77)


def test_nearest_other(make: Make) -> None:
    gallery = make()
    for name, own in people(4, 2):
        gallery.enroll(name, own)
    mine = gallery.samples("person 2")
    rows = np.stack([sample.embedding for sample in mine])
    nearest = gallery.nearest_other(rows)
    assert nearest is not None and nearest.name == "person 2" and nearest.score == pytest.approx(1.0)
    other = gallery.nearest_other(rows, "person 2")
    scores = [
        max(gallery.verify(row, f"person {number}") for row in rows) if number != 2 else -1.0 for number in range(4)
    ]
    assert other is not None and other.name == f"person {np.argmax(scores)}"
    assert other.score == pytest.approx(max(scores), abs=2e-6)


@pytest.mark.parametrize("index", KINDS)
def test_people_whose_time_is_over_are_not_found(make: Make, index: IndexKind) -> None:
    gallery, rows = make(index), unit(3)
    soon = (datetime.now(UTC) + timedelta(seconds=1.2)).isoformat(timespec="seconds")
    gallery.enroll("soon", rows[:1], expires=soon)
    gallery.enroll("never", rows[1:2])
    gallery.enroll("long ago", rows[2:], expires="2020-01-01")
    assert {candidate.name for candidate in gallery.search(rows[0], 3)[0].candidates} <= {"soon", "never"}
    deadline = datetime.fromisoformat(soon).timestamp() + 0.05
    time.sleep(max(0.0, deadline - time.time()))
    assert [candidate.name for candidate in gallery.search(rows[0], 3)[0].candidates] == ["never"]
    assert gallery.stats().expired == 2 and gallery.stats().index_rows == 1
    with pytest.raises(InputError, match="which is over"):
        gallery.verify(rows[0], "soon")
    gallery.update("soon", expires="2999-01-01")
    assert gallery.search(rows[0], 1)[0].best == Candidate(1, "soon", pytest.approx(1.0))
    assert [person.name for person in gallery.purge()] == ["long ago"]
    assert gallery.purge() == [] and gallery.store.count() == (2, 2)
    assert [person.name for person in gallery.purge("2999-06-01")] == ["soon"]


def test_figures(make: Make) -> None:
    gallery = make(IndexKind.IVF, Fusion.MEAN)
    list(gallery.enroll_many(people(20, 3)))
    gallery.store.set_calibration({"verification": {"value": 0.5}})
    stats = gallery.stats()
    assert (stats.people, stats.embeddings, stats.index_rows, stats.expired) == (20, 60, 20, 0)
    assert (stats.index, stats.index_kind, stats.fusion) == (IndexKind.IVF, IndexKind.IVF, Fusion.MEAN)
    assert stats.recall == 1.0 and stats.calibrated == ("verification",)
    assert stats.embedding_size == SIZE and stats.fingerprint == FINGERPRINT
    document = stats.to_dict()
    assert document["index_kind"] == "ivf" and document["calibrated"] == ["verification"]
    if gallery.store.cache_folder is not None:
        assert stats.store_bytes > 0 and stats.cache_bytes > 0


def test_options_change_the_index(make: Make) -> None:
    gallery = make()
    for name, own in people(9, 3):
        gallery.enroll(name, own)
    query = unit(1, seed=3)
    gallery.search(query)
    assert gallery.stats().index_kind is IndexKind.EXACT
    gallery.store.set_options(index=IndexKind.HNSW)
    assert gallery.stats().index_kind is IndexKind.HNSW and gallery.stats().index_rows == 27
    gallery.store.set_options(fusion=Fusion.MEAN)
    assert gallery.stats().index_rows == 9
    best = gallery.search(query, 1)[0].best
    assert best is not None and gallery.verify(query, best.person) == pytest.approx(best.score, abs=2e-6)


def test_an_update_of_the_index_that_was_cut_short_is_made_up_for(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    gallery = make()
    for name, own in people(5):
        gallery.enroll(name, own)
    gallery.search(unit(1))
    gallery.enroll("late", unit(1, seed=3))
    append = Rows.append

    def interrupted(self: Rows, *arguments: Any, **options: Any) -> None:
        append(self, *arguments, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(Rows, "append", interrupted)
    with pytest.raises(KeyboardInterrupt):
        gallery.search(unit(1))
    monkeypatch.setattr(Rows, "append", append)
    assert gallery.search(unit(1, seed=3), 1)[0].candidates[0].name == "late"
    assert gallery.stats().index_rows == 11


def test_many_threads_at_once(make: Make) -> None:
    gallery = make()
    everybody = people(40, 2)
    for name, own in everybody[:10]:
        gallery.enroll(name, own)
    problems: list[BaseException] = []
    done = threading.Event()

    def read() -> None:
        try:
            while not done.is_set():
                for result in gallery.search(unit(8, seed=1), 3):
                    assert len({candidate.person for candidate in result.candidates}) == 3
        except BaseException as error:  # noqa: BLE001 - handed to the main thread
            problems.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for name, own in everybody[10:]:
        gallery.enroll(name, own)
        assert gallery.search(own[0].embedding, 1)[0].candidates[0].name == name
    gallery.remove("person 3")
    assert "person 3" not in {c.name for c in gallery.search(everybody[3][1][0].embedding, 39)[0].candidates}
    done.set()
    for reader in readers:
        reader.join()
    assert not problems


def test_a_reader_sees_what_a_writer_writes_without_reopening(tmp_path: Path) -> None:
    everybody = people(12, 2)
    with Gallery.create(tmp_path / "g", header()) as writer, Gallery.open(tmp_path / "g") as reader:
        for name, own in everybody:
            writer.enroll(name, own)
            best = reader.search(own[0].embedding, 1)[0].best
            assert best is not None and best.name == name
        writer.rename("person 5", "another name")
        assert reader.search(everybody[5][1][0].embedding, 1)[0].candidates[0].name == "another name"
        writer.remove("another name")
        assert reader.search(everybody[5][1][0].embedding, 1)[0].candidates[0].name != "another name"
        reader.enroll("from the reader", unit(1, seed=50))
        assert writer.search(unit(1, seed=50), 1)[0].candidates[0].name == "from the reader"
        assert (
            writer.search_arrays(unit(30, seed=60), 4)[0].tolist()
            == reader.search_arrays(unit(30, seed=60), 4)[0].tolist()
        )


def test_bulk_enrollment_is_the_same_as_one_by_one(tmp_path: Path) -> None:
    everybody = people(30, 2)
    with Gallery.create(tmp_path / "a", header()) as one, Gallery.create(tmp_path / "b", header()) as bulk:
        singly = [one.enroll(name, own) for name, own in everybody]
        assert list(bulk.enroll_many(iter(everybody), chunk=7)) == singly
        assert one.search(unit(5), 4) == bulk.search(unit(5), 4)
    with Gallery.open(tmp_path / "b") as bulk:
        assert bulk.search(everybody[8][1][0].embedding, 1)[0].candidates[0].name == "person 8"


def test_closing_twice_and_files_of_the_owner_only(tmp_path: Path) -> None:
    gallery = Gallery.create(tmp_path / "g", header())
    gallery.enroll("a", unit(1))
    gallery.search(unit(1))
    gallery.close()
    gallery.close()
    assert all(path.stat().st_mode & 0o077 == 0 for path in [tmp_path / "g", *(tmp_path / "g").iterdir()])
    assert os.listdir(tmp_path) == ["g"]
