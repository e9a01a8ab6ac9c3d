"""Moving a gallery to another model: resumable, unnoticed until it is complete, and without a trace of the old one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gallery_tools import every_store, header, new_store, people, samples, unit
from maintenance_tools import contents_of

from facenet.errors import ContractError, InputError, UsageError
from facenet.gallery import reembedding as moving
from facenet.gallery.backend import Store, open_store
from facenet.gallery.health import check
from facenet.gallery.records import Header
from facenet.gallery.reembedding import Finished, MissingSample, ReembeddingProgress
from facenet.gallery.repair import repair

NEW = header(24, fingerprint="e" * 32)


def filled(kind: str, folder: Path) -> Store:
    store = new_store(kind, folder)
    list(store.enroll_many(people(6, 2)))
    store.set_calibration({"verification": {"value": 0.5}})
    return store


def new_vector(sample: int, size: int = 24) -> np.ndarray:
    """What the new model makes of an embedding's picture."""
    return unit(1, size, seed=1000 + sample)[0]


def advance(store: Store, number: int = 10_000, *, batch: int = 5, header: Header = NEW) -> None:
    """Give new vectors to at most so many that have none."""
    last = 0
    while number > 0 and (waiting := moving.pending(store, after=last, limit=min(batch, number))):
        rows = [(sample.id, new_vector(sample.id, header.embedding_size), 0.25) for sample in waiting]
        assert moving.put(store, rows) == len(waiting)
        last, number = waiting[-1].id, number - len(waiting)


@every_store
def test_a_move_from_beginning_to_end(kind: str, tmp_path: Path) -> None:
    store = filled(kind, tmp_path)
    before, history, generation = contents_of(store), store.history, store.generation()
    assert moving.target(store) is None
    assert moving.begin(store, NEW) == ReembeddingProgress(done=0, missing=0, total=12)
    advance(store, 7)
    assert contents_of(store) == before and store.history == history
    assert moving.begin(store, NEW) == moving.progress(store) == ReembeddingProgress(7, 0, 12)
    target = moving.target(store)
    assert target is not None and (target.fingerprint, target.embedding_size) == (NEW.fingerprint, 24)
    with pytest.raises(InputError, match="5 of 12 embeddings have no new vector"):
        moving.finish(store)
    advance(store)
    assert moving.finish(store) == Finished(12)
    after = store.header()
    assert (after.fingerprint, after.embedding_size, after.calibration) == (NEW.fingerprint, 24, {})
    assert (after.uuid, after.created, after.fusion) == tuple(
        getattr(before["header"], what) for what in ("uuid", "created", "fusion")
    )
    assert store.history != history and store.generation() > generation
    assert not store.changes(generation, history).complete
    for person in store.people():
        assert person == before["people"][person.id]
        for sample in store.samples(person.id):
            assert np.array_equal(sample.embedding, new_vector(sample.id)) and sample.quality == 0.25
            was = before["samples"][sample.id]
            assert (sample.person, sample.source, sample.content, sample.box, sample.added) == (*was[:4], was[5])
    assert moving.target(store) is None
    assert store.audit(1)[0].details["header"]["fingerprint"] == NEW.fingerprint
    store.enroll("of the new model", samples(1, 24))
    store.close()


@every_store
def test_the_old_model_goes_on_meanwhile(kind: str, tmp_path: Path) -> None:
    store = filled(kind, tmp_path)
    moving.begin(store, NEW)
    advance(store)
    late = store.enroll("late", samples(2))
    store.remove(2)
    store.remove_sample(store.samples(3)[0].id)
    assert [sample.id for sample in moving.pending(store)] == list(late.samples)
    assert moving.progress(store) == ReembeddingProgress(9, 0, 11)
    advance(store)
    assert moving.finish(store) == Finished(11)
    assert [person.id for person in store.people()] == [1, 3, 4, 5, 6, 7]
    assert store.count() == (6, 11)
    store.close()


@every_store
def test_what_is_missing_is_refused_or_dropped_by_name(kind: str, tmp_path: Path) -> None:
    store = filled(kind, tmp_path)
    moving.begin(store, NEW)
    assert moving.mark_missing(store, [1, 2, 3, 99], "the picture is gone\n") == 3
    assert moving.missing(store)[0] == MissingSample(1, 1, "the picture is gone\\n")
    advance(store)
    assert moving.progress(store) == ReembeddingProgress(9, 3, 12)
    before = contents_of(store)
    with pytest.raises(InputError, match=r"3 of 12 .* 1 people would be left with none \(id:1\)"):
        moving.finish(store)
    assert contents_of(store) == before
    # A picture that is found again is no longer missing.
    assert moving.put(store, [(3, new_vector(3), 1.0)]) == 1
    done = moving.finish(store, drop_missing=True)
    assert done == Finished(10, dropped=(1, 2), without=(1,))
    assert store.person(1).embeddings == 0 and store.count() == (6, 10)
    if kind == "folder":
        store.close()
        report = check(tmp_path / "gallery")
        assert report.clean and [finding.kind for finding in report.findings] == ["no-embeddings"]


@every_store
def test_one_move_at_a_time(kind: str, tmp_path: Path) -> None:
    store = filled(kind, tmp_path)
    with pytest.raises(InputError, match="already of the model"):
        moving.begin(store, header())
    for use in (
        lambda: moving.pending(store),
        lambda: moving.progress(store),
        lambda: moving.put(store, [(1, new_vector(1), 1.0)]),
        lambda: moving.mark_missing(store, [1], ""),
        lambda: moving.finish(store),
        lambda: moving.abandon(store),
    ):
        with pytest.raises(UsageError, match="not being moved"):
            use()
    moving.begin(store, NEW)
    advance(store, 3)
    other = header(8, fingerprint="d" * 32)
    with pytest.raises(ContractError, match="on its way"):
        moving.begin(store, other)
    assert moving.begin(store, other, restart=True) == ReembeddingProgress(0, 0, 12)
    advance(store, header=other)
    moving.finish(store)
    assert store.header().embedding_size == 8
    store.close()


@every_store
def test_staying_with_the_old_model(kind: str, tmp_path: Path) -> None:
    store = filled(kind, tmp_path)
    before = contents_of(store)
    moving.begin(store, NEW)
    advance(store, 8)
    moving.abandon(store)
    assert moving.target(store) is None and contents_of(store) == before
    assert moving.begin(store, NEW) == ReembeddingProgress(0, 0, 12)
    store.close()


@every_store
@pytest.mark.parametrize(
    ("vector", "quality"),
    [
        (unit(1, 16)[0], 1.0),
        (unit(1, 24)[0] * np.float32(2), 1.0),
        (np.zeros(24, np.float32), 1.0),
        (np.full(24, np.nan, np.float32), 1.0),
        (unit(1, 24)[0].astype(np.float64), 1.0),
        (unit(1, 24)[0], 1.5),
        (unit(1, 24)[0], float("nan")),
    ],
)
def test_vectors_that_cannot_be(kind: str, tmp_path: Path, vector: np.ndarray, quality: float) -> None:
    store = filled(kind, tmp_path)
    moving.begin(store, NEW)
    with pytest.raises(InputError):
        moving.put(store, [(1, new_vector(1).astype(vector.dtype), 1.0), (2, vector, quality)])
    assert moving.progress(store).done == 0
    assert moving.put(store, []) == 0
    store.close()


def traces(folder: Path, vectors: list[np.ndarray]) -> int:
    """How many of the vectors can be found in the files, in part at least."""
    contents = [file.read_bytes() for file in folder.iterdir()]
    pieces = [vector.tobytes()[start : start + 24] for vector in vectors for start in (0, len(vector.tobytes()) - 24)]
    return sum(any(piece in data for data in contents) for piece in pieces)


@pytest.mark.parametrize("end", ["finish", "abandon"])
def test_no_trace_of_what_was_given_up(tmp_path: Path, end: str) -> None:
    store = new_store("folder", tmp_path, size=128)
    given = people(150, 2, 128)
    list(store.enroll_many(given))
    old = [sample.embedding for _, some in given for sample in some]
    moving.begin(store, header(160, fingerprint="e" * 32))
    # Out of order, so that rows have to be moved.
    order = np.random.default_rng(0).permutation(np.arange(1, 301)).tolist()
    new = {sample: new_vector(sample, 160) for sample in order}
    for start in range(0, 300, 20):
        moving.put(store, [(sample, new[sample], 1.0) for sample in order[start : start + 20]])
    assert traces(tmp_path / "gallery", [old[5], new[5]]) == 4, "this test cannot find anything"
    gone = store.samples(40)
    store.remove(40)
    assert (
        traces(tmp_path / "gallery", [sample.embedding for sample in gone] + [new[sample.id] for sample in gone]) == 0
    )
    getattr(moving, end)(store)
    assert traces(tmp_path / "gallery", old if end == "finish" else list(new.values())) == 0
    store.close()
    assert check(tmp_path / "gallery").clean


def test_another_process_sees_the_new_model(tmp_path: Path) -> None:
    store = filled("folder", tmp_path)
    other = open_store(str(tmp_path / "gallery"))
    assert other.header().fingerprint != NEW.fingerprint
    moving.begin(store, NEW)
    advance(store)
    moving.finish(store)
    assert other.header().fingerprint == NEW.fingerprint
    assert next(other.read_vectors()).vectors.shape == (12, 24)
    with pytest.raises(InputError):
        other.enroll("old", samples(1, 16))
    other.close()
    store.close()


def test_a_gallery_on_its_way_survives_a_repair(tmp_path: Path) -> None:
    store = filled("folder", tmp_path)
    moving.begin(store, NEW)
    advance(store, 7)
    store.close()
    report = check(tmp_path / "gallery")
    assert report.clean and [finding.kind for finding in report.findings] == ["reembedding"]
    repair(tmp_path / "gallery", healthy=True)
    store = open_store(str(tmp_path / "gallery"))
    assert moving.progress(store) == ReembeddingProgress(7, 0, 12)
    advance(store)
    moving.finish(store)
    store.close()
    assert check(tmp_path / "gallery").clean
