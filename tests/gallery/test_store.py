"""What every store promises, on every backend."""

from __future__ import annotations

import math
import random
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gallery_tools import SIZE, every_store, header, new_store, people, samples, unit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facenet.errors import GalleryError, InputError, StorageError, UsageError
from facenet.gallery.backend import Changes, Store, create_store, gallery_exists, open_store
from facenet.gallery.names import normalise_name
from facenet.gallery.records import Fusion, IndexKind, Sample, StoredSample
from facenet.gallery.values import LONGEST_CONSENT, MOST_METADATA


def same_sample(stored: StoredSample, given: Sample) -> bool:
    words = (stored.source, stored.content, stored.box, stored.quality)
    return words == (given.source, given.content, given.box, given.quality) and np.array_equal(
        stored.embedding, given.embedding
    )


@every_store
def test_a_new_store_is_empty_and_knows_its_header(kind: str, tmp_path: Path) -> None:
    store = new_store(kind, tmp_path)
    found = store.header()
    assert replace(found, uuid="", created="") == header()
    assert len(found.uuid) == 32 and found.created.endswith("+00:00")
    assert store.count() == (0, 0) and store.people() == [] and store.generation() == 0 and store.notices() == []
    (block,) = store.read_vectors()
    assert len(block) == 0 and block.vectors.shape == (0, SIZE)
    assert store.header().uuid != new_store(kind, tmp_path / "other").header().uuid
    store.close()
    store.close()
    with pytest.raises(UsageError, match="closed"):
        store.count()


@every_store
def test_what_was_enrolled_comes_back_as_it_was(kind: str, tmp_path: Path) -> None:
    store = new_store(kind, tmp_path)
    given = [
        *samples(2),
        Sample(unit(1, seed=5)[0]),
        Sample(unit(1)[0], "/a\udcff\nb.jpg", "c" * 64, (0, 0, 1, 1), 0.0),
    ]
    metadata = {"room": 12, "tags": ["a", None, True, 0.5], "naïve": {"x": "\u2028"}}
    done = store.enroll(" Zoe\u0308 ", given, metadata=metadata, consent="form 7", expires="2030-01-01T12:00:00+02:00")
    assert (done.person, done.name, done.created, done.samples) == (1, "Zo\u00eb", True, (1, 2, 3, 4))
    (person,) = store.people()
    assert person == store.person(1)
    assert (person.name, person.metadata, person.consent, person.embeddings) == ("Zoë", metadata, "form 7", 4)
    assert person.expires == "2030-01-01T10:00:00+00:00"
    stored = store.samples(1)
    assert [sample.id for sample in stored] == [1, 2, 3, 4] and {sample.person for sample in stored} == {1}
    assert all(same_sample(found, want) for found, want in zip(stored, given, strict=True))
    assert all(sample.embedding.dtype == np.float32 and sample.added for sample in stored)


@every_store
def test_a_name_there_is_gets_more_and_a_name_of_several_is_asked_about(kind: str, tmp_path: Path) -> None:
    store = new_store(kind, tmp_path)
    first = store.enroll("Ann", samples(1), metadata={"a": 1}, consent="c")
    again = store.enroll("Ann", samples(2, seed=1), expires="2030-01-01")
    assert (again.person, again.created, again.samples) == (first.person, False, (2, 3))
    person = store.person(1)
    assert (person.metadata, person.consent, person.embeddings) == ({"a": 1}, "c", 3)
    other = store.enroll("Ann", samples(1, seed=2), new=True)
    assert other.created and other.person == 2
    with pytest.raises(InputError, match="2 people are called “Ann” .id:1, id:2."):
        store.enroll("Ann", samples(1, seed=3))
    assert store.enroll("", samples(1, seed=3), person=2).name == "Ann"
    assert store.people(name="Ann") == store.people() and store.people(name="ann") == []
    assert store.count() == (2, 5)
    with pytest.raises(InputError, match="no person id:7"):
        store.enroll("", samples(1), person=7)
    with pytest.raises(UsageError, match="not for both"):
        store.enroll("Ann", samples(1), person=2, new=True)


@every_store
@pytest.mark.parametrize(
    ("embedding", "reason"),
    [
        (np.full(SIZE, np.nan, np.float32), "1 of 1 holds NaN or infinity"),
        (np.where(np.arange(SIZE) == 3, np.inf, 0).astype(np.float32), "1 of 1 holds NaN or infinity"),
        (np.zeros(SIZE, np.float32), "is all zeros"),
        (unit(1)[0] * np.float32(1.01), "has length 1.01, not 1"),
        (unit(1)[0] * np.float32(1e30), "has length"),
        (unit(1, SIZE + 1)[0], "1 is float32 of 17, not float32 of 16"),
        (unit(1), "1 is float32 of 1x16"),
        (unit(1)[0].astype(np.float64), "1 is float64 of 16"),
        ([1.0] + [0.0] * (SIZE - 1), "1 is list"),
    ],
)
def test_embeddings_that_cannot_be_are_refused_and_nothing_is_written(
    kind: str, tmp_path: Path, embedding: np.ndarray, reason: str
) -> None:
    store = new_store(kind, tmp_path)
    with pytest.raises(InputError, match=reason):
        store.enroll("Ann", [Sample(embedding)])
    with pytest.raises(InputError, match=reason):
        list(store.enroll_many([("Bob", samples(1)), ("Ann", [Sample(embedding)])]))
    assert store.count() == (0, 0) and store.generation() == 0 and len(store.audit()) == 1


@every_store
@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"metadata": {"x": math.nan}}, "metadata cannot be stored"),
        ({"metadata": {"x": math.inf}}, "metadata cannot be stored"),
        ({"metadata": {"x": object()}}, "metadata cannot be stored"),
        ({"metadata": {"x": "\ud800"}}, "not valid Unicode"),
        ({"metadata": {1: "x"}}, "text as keys"),
        ({"metadata": {"a": [{"b": {2: 3}}]}}, "text as keys"),
        ({"metadata": [1]}, "must be a JSON object, not list"),
        ({"metadata": {"x": "y" * MOST_METADATA}}, "at most 65536"),
        ({"consent": "x" * (LONGEST_CONSENT + 1)}, "at most 1024"),
        ({"consent": "a\nb"}, "cannot be printed"),
        ({"consent": 5}, "must be text"),
        ({"expires": "soon"}, "cannot read the expiry"),
        ({"expires": "2030-02-30"}, "cannot read the expiry"),
        ({"expires": "9999-12-31"}, "cannot read the expiry"),
        ({"expires": "0001-01-01T00:00:00+05:00"}, "cannot read the expiry"),
        ({"expires": 2030}, "must be text"),
        ({"details": {"x": "y" * 20_000}}, "at most 16384"),
    ],
)
def test_values_that_cannot_be_are_refused(kind: str, tmp_path: Path, given: dict, reason: str) -> None:
    store = new_store(kind, tmp_path)
    with pytest.raises(InputError, match=reason) as caught:
        store.enroll("Ann", samples(1), **given)
    assert len(str(caught.value)) < 300
    assert store.count() == (0, 0)
    if "details" not in given:
        store.enroll("Ann", samples(1))
        with pytest.raises(InputError, match=reason):
            store.update(1, **given)


@every_store
@pytest.mark.parametrize(
    "sample",
    [
        {"quality": 1.1},
        {"quality": math.nan},
        {"box": (0, 0, 1)},
        {"box": (0, 0, 1, math.inf)},
        {"content": "x" * 129},
        {"content": "é"},
    ],
)
def test_what_else_is_known_of_an_embedding_must_be_possible(kind: str, tmp_path: Path, sample: dict) -> None:
    store = new_store(kind, tmp_path)
    with pytest.raises(InputError, match="must be"):
        store.enroll("Ann", [Sample(unit(1)[0], **sample)])
    with pytest.raises(InputError, match="no file name"):
        store.enroll("Ann", [Sample(unit(1)[0], "\ud800")])


@every_store
def test_metadata_that_leads_back_into_itself_is_refused(kind: str, tmp_path: Path) -> None:
    endless: dict[str, object] = {}
    endless["self"] = endless
    with pytest.raises(InputError, match="lead back into themselves"):
        new_store(kind, tmp_path).enroll("Ann", samples(1), metadata=endless)


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("2030-06-30", "2030-07-01T00:00:00+00:00"),
        ("20300630", "2030-07-01T00:00:00+00:00"),
        ("2030-06-30T18:00", "2030-06-30T18:00:00+00:00"),
        ("2030-06-30T18:00:00Z", "2030-06-30T18:00:00+00:00"),
        ("2030-06-30T23:30:00-05:00", "2030-07-01T04:30:00+00:00"),
        ("2030-06-30T18:00:00.25Z", "2030-06-30T18:00:01+00:00"),
        ("", ""),
        (" ", ""),
    ],
)
@every_store
def test_an_expiry_is_kept_in_utc_and_a_day_counts_in_full(kind: str, tmp_path: Path, given: str, stored: str) -> None:
    store = new_store(kind, tmp_path)
    store.enroll("Ann", samples(1), expires=given)
    assert store.person(1).expires == stored


@every_store
def test_who_expired_is_told_by_the_moment_asked_for(kind: str, tmp_path: Path) -> None:
    store = new_store(kind, tmp_path)
    for day in ("2020-01-01", "2030-01-01T00:00:00Z", "2040-01-01", ""):
        store.enroll(f"until {day}", samples(1), expires=day)
    assert [person.id for person in store.expired("2029-12-31T23:59:59Z")] == [1]
    assert [person.id for person in store.expired("2030-01-01T00:00:00Z")] == [1, 2]
    assert [person.id for person in store.expired()] == [1]
    store.update(1, expires="")
    assert store.expired() == []
    (block,) = store.read_vectors()
    assert block.expires.tolist() == [math.inf, 1893456000.0, 2209075200.0, math.inf]
    with pytest.raises(InputError, match="expiry"):
        store.expired("yesterday")


@every_store
def test_ids_are_never_given_again(kind: str, tmp_path: Path) -> None:
    store = new_store(kind, tmp_path)
    store.enroll("Ann", samples(2))
    last = store.enroll("Bob", samples(2))
    store.remove(last.person)
    store.remove(1)
    assert store.count() == (0, 0)
    again = store.enroll("Bob", samples(1))
    assert again.person == 3 and again.samples == (5,)
    store.compact()  # type: ignore[attr-defined]
    store.remove(3)
    store.compact()  # type: ignore[attr-defined]
    assert store.enroll("Cem", samples(1)).person == 4


@every_store
@pytest.mark.parametrize("id", [0, -1, 2, 2**63 - 1, 2**63, 10**30])
def test_an_id_nobody_has_is_said(kind: str, tmp_path: Path, id: int) -> None:
    store = new_store(kind, tmp_path)
    store.enroll("Ann", samples(1))
    for call in (
        lambda: store.person(id),
        lambda: store.remove(id),
        lambda: store.rename(id, "x"),
        lambda: store.update(id, consent="x"),
        lambda: store.samples(id),
    ):
        with pytest.raises(InputError, match=f"no person id:{id}"):
            call()
    with pytest.raises(InputError, match=f"no embedding {id}"):
        store.remove_sample(id)
    assert store.names([id, 1] if id < 2**63 else [1]) == {1: "Ann"}
    assert store.generation() == 1


@every_store
def test_changing_one_thing_leaves_the_others(kind: str, tmp_path: Path) -> None:
    store = new_store(kind, tmp_path)
    store.enroll("Ann", samples(2), metadata={"a": 1}, consent="c", expires="2030-01-01")
    before = store.person(1)
    store.rename(1, "Anne")
    assert store.person(1) == replace(before, name="Anne")
    assert store.people(name="Ann") == [] and store.names([1, 5]) == {1: "Anne"}
    store.update(1, metadata={"b": 2})
    store.update(1, consent="")
    assert store.person(1) == replace(before, name="Anne", metadata={"b": 2}, consent="")
    store.update(1, expires="")
    assert store.person(1).expires == ""
    store.enroll("Anne", samples(1, seed=4), metadata={})
    assert store.person(1) == replace(before, name="Anne", metadata={}, consent="", expires="", embeddings=3)
    with pytest.raises(InputError, match="nothing visible|empty"):
        store.rename(1, " ")


@every_store
def test_header_options(kind: str, tmp_path: Path) -> None:
    store = new_store(kind, tmp_path)
    store.set_calibration({"verification": {"value": 0.5}})
    store.set_options(index=IndexKind.HNSW)
    store.set_options(fusion=Fusion.MAX)
    assert store.header().calibration == {"verification": {"value": 0.5}} and store.header().index is IndexKind.HNSW
    store.set_options(fusion=Fusion.MEAN)
    assert store.header().calibration == {} and store.header().fusion is Fusion.MEAN
    with pytest.raises(InputError, match="calibration"):
        store.set_calibration({"x": math.nan})
    assert store.generation() == 4


@every_store
def test_the_audit_log_says_who_did_what_without_saying_to_whom(kind: str, tmp_path: Path) -> None:
    store = new_store(kind, tmp_path)
    store.enroll("Secretname", samples(2, source="/home/secretfile.jpg"), details={"forced": ["blurred"]})
    store.enroll("Secretname", samples(1))
    store.rename(1, "Secretother")
    store.update(1, metadata={"secretkey": "secretvalue"}, consent="secretconsent")
    store.remove_sample(1)
    store.log("identify", details={"photos": 3})
    store.remove(1, action="purge")
    entries = store.audit()
    actions = [entry.action for entry in reversed(entries)]
    assert actions == ["create", "enroll", "enroll", "rename", "update", "remove-sample", "identify", "purge"]
    assert [entry.person for entry in reversed(entries)] == [None, 1, 1, 1, 1, 1, None, 1]
    assert entries[-1].details["header"]["fingerprint"] == store.header().fingerprint
    assert entries[-2].details == {"forced": ["blurred"], "embeddings": 2, "created": True}
    assert entries[0].details == {"embeddings": 2} and entries[3].details == {"changed": ["consent", "metadata"]}
    assert "secret" not in str(entries).lower()
    assert all(entry.actor and entry.at for entry in entries) and len(store.audit(2)) == 2


@every_store
def test_pictures_that_are_in_already_are_known_by_their_content(kind: str, tmp_path: Path) -> None:
    store = new_store(kind, tmp_path)
    given = samples(3)
    store.enroll("Ann", given[:2])
    store.enroll("Bob", [given[1], Sample(unit(1)[0])])
    assert store.contents() == {given[0].content: 1, given[1].content: 1}
    assert store.contents(2) == {given[1].content: 2}
    store.remove(1)
    assert store.contents() == {given[1].content: 2}


@every_store
def test_bulk_enrollment_gives_what_one_by_one_gives(kind: str, tmp_path: Path) -> None:
    bulk, single = new_store(kind, tmp_path / "bulk"), new_store(kind, tmp_path / "single")
    given = [*people(30, 3), *people(5, 1, seed=9), ("alone", samples(1)), ("nobody", [])]
    for store in (bulk, single):
        store.enroll("person 3", samples(1), consent="kept")
    many = list(bulk.enroll_many(given, chunk=7))
    assert many == [single.enroll(name, found) for name, found in given]
    for one, other in zip(bulk.people(), single.people(), strict=True):
        assert replace(one, created="") == replace(other, created="")
    (left,), (right,) = bulk.read_vectors(), single.read_vectors()
    assert np.array_equal(left.vectors, right.vectors) and np.array_equal(left.persons, right.persons)
    assert len(bulk.audit(1000)) == len(single.audit(1000))


@every_store
def test_bulk_enrollment_gives_out_only_what_is_written(kind: str, tmp_path: Path) -> None:
    store = new_store(kind, tmp_path)
    coming = store.enroll_many([*people(4, 2), ("id:1", samples(1))], chunk=4)
    next(coming)
    assert store.count() == (2, 4)
    with pytest.raises(InputError, match="refers to a person by number"):
        list(coming)
    assert store.count() == (4, 8)


@every_store
@pytest.mark.parametrize("chunk", [1, 7, 100, 65_536])
def test_blocks_hold_everything_in_order_and_no_person_twice(
    kind: str, tmp_path: Path, chunk: int, monkeypatch
) -> None:
    monkeypatch.setattr("facenet.gallery.sqlite_reading._FETCH", 3)
    store = new_store(kind, tmp_path)
    list(store.enroll_many(people(9, 4)))
    list(store.enroll_many(people(5, 3, seed=7)))
    store.enroll("crowd", samples(40))
    blocks = list(store.read_vectors(chunk=chunk))
    assert all(len(block) for block in blocks)
    assert {(block.generation, block.history) for block in blocks} == {(store.generation(), store.history)}
    rows = [(int(p), int(s)) for block in blocks for p, s in zip(block.persons, block.samples, strict=True)]
    assert rows == sorted(rows) and len(rows) == store.count()[1] == 91
    assert sum(len(set(block.persons.tolist())) for block in blocks) == 10
    vectors = {sample.id: sample.embedding for person in store.people() for sample in store.samples(person.id)}
    for block in blocks:
        assert block.vectors.dtype == np.float32 and block.qualities.dtype == np.float32
        assert np.array_equal(block.vectors, np.stack([vectors[id] for id in block.samples.tolist()]))


@every_store
def test_reading_sees_one_moment_while_others_write(kind: str, tmp_path: Path) -> None:
    store = new_store(kind, tmp_path)
    list(store.enroll_many(people(20, 2)))
    blocks = store.read_vectors(chunk=4)
    first = next(blocks)
    store.enroll("late", samples(1))
    store.remove(20) if kind == "memory" else store.rename(20, "other")
    rest = list(blocks)
    assert sum(map(len, [first, *rest])) == 40 and {block.generation for block in rest} == {first.generation}
    assert store.generation() > first.generation


def apply(replica: dict[int, dict[int, bytes]], changes: Changes) -> None:
    """What a reader does to stay in step."""
    for person in changes.removed:
        replica.pop(person, None)
    for person in set(changes.block.persons.tolist()):
        replica.pop(person, None)
    for person, sample, vector in zip(changes.block.persons, changes.block.samples, changes.block.vectors, strict=True):
        replica.setdefault(int(person), {})[int(sample)] = vector.tobytes()


def walk(store: Store, steps: int, seed: int) -> tuple[dict[int, dict[int, bytes]], dict[int, str]]:
    """Random changes; returns what must be in the store then, kept in the simplest way there is."""
    choose = random.Random(seed)
    rows: dict[int, dict[int, bytes]] = {}
    names: dict[int, str] = {}
    for step in range(steps):
        action = choose.choice(["new", "new", "more", "remove", "remove sample", "rename", "update"])
        if action == "new" or not rows:
            given = samples(choose.randint(0, 3), seed=1000 * seed + step + 1)
            done = store.enroll(f"person {step}", given, metadata={"note": "m" * choose.choice([0, 10, 9000])})
            rows[done.person], names[done.person] = {}, f"person {step}"
        else:
            person = choose.choice(list(rows))
            given = []
            if action == "more":
                given = samples(choose.randint(1, 3), seed=1000 * seed + step + 1)
                done = store.enroll("", given, person=person)
            elif action == "remove":
                store.remove(person)
                del rows[person], names[person]
            elif action == "remove sample" and rows[person]:
                gone = choose.choice(list(rows[person]))
                store.remove_sample(gone)
                del rows[person][gone]
            elif action == "rename":
                names[person] = "x" * choose.choice([0, 60]) + f"renamed {step}"
                store.rename(person, names[person])
            else:
                store.update(person, metadata={"note": "u" * choose.choice([0, 100, 5000])}, expires="2090-01-01")
        if given:
            rows[done.person] |= dict(zip(done.samples, [s.embedding.tobytes() for s in given], strict=True))
    return rows, names


@every_store
@pytest.mark.parametrize("seed", range(3))
def test_any_sequence_of_changes_gives_what_a_dictionary_gives(kind: str, tmp_path: Path, seed: int) -> None:
    store = new_store(kind, tmp_path)
    replica: dict[int, dict[int, bytes]] = {}
    generation, last = 0, store.generation()
    for part in range(4):
        rows, names = walk(store, 30, seed=10 * seed + part)
        assert store.generation() > last
        last = store.generation()
        changes = store.changes(generation, store.history)
        assert changes.complete and changes.generation == last and list(changes.removed) == sorted(changes.removed)
        apply(replica, changes)
        generation = changes.generation
        found = {person.id: person.name for person in store.people()}
        assert names.items() <= found.items()
        everyone = {person: {s.id: s.embedding.tobytes() for s in store.samples(person)} for person in found}
        assert rows.items() <= everyone.items()
        assert replica == {person: held for person, held in everyone.items() if held}
        whole: dict[int, dict[int, bytes]] = {}
        for block in store.read_vectors(chunk=10):
            apply(whole, Changes(0, "", block))
        assert whole == replica
        for person in found:
            store.remove(person)
    assert store.count() == (0, 0)


@every_store
def test_changes_of_another_history_or_of_the_future_cannot_be_told(kind: str, tmp_path: Path) -> None:
    store = new_store(kind, tmp_path)
    store.enroll("Ann", samples(1))
    assert store.changes(0, store.history).complete and len(store.changes(0, store.history).block) == 1
    assert len(store.changes(1, store.history).block) == 0
    assert not store.changes(0, "of something else").complete
    assert not store.changes(2, store.history).complete


@every_store
def test_threads_share_a_store(kind: str, tmp_path: Path) -> None:
    store = new_store(kind, tmp_path)
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for i in range(10):
                store.enroll(f"{number} {i}", samples(2))
                store.enroll("everyone", samples(1))
                assert store.count()[0] > 0 and store.changes(0, store.history).complete
                for block in store.read_vectors(chunk=5):
                    own = block.persons.tolist()
                    assert own == sorted(own)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert store.count() == (41, 120) and len(store.people(name="everyone")) == 1
    assert store.people(name="everyone")[0].embeddings == 40


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Store]:
    """A store of each kind that takes whatever a property test comes up with."""
    return {kind: new_store(kind, tmp_path_factory.mktemp(kind)) for kind in ("folder", "memory")}


@every_store
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    name=st.text(min_size=1, max_size=40),
    key=st.text(st.characters(codec="utf-8")),
    number=st.floats(allow_nan=False, allow_infinity=False),
)
def test_any_name_and_any_metadata_survive(
    kind: str, shared: dict[str, Store], name: str, key: str, number: float
) -> None:
    store = shared[kind]
    try:
        legal = normalise_name(name)
    except InputError:
        return
    metadata = {key: [number, key], "again": {key: name}} if name.isprintable() else {key: number}
    done = store.enroll(name, [], new=True, metadata=metadata)
    person = store.person(done.person)
    assert person.name == legal and person.metadata == metadata
    assert done.person in [found.id for found in store.people(name=name)]


def test_locations(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="gone when it is closed"):
        open_store("memory:")
    with pytest.raises(UsageError, match="has no name"):
        create_store("memory:x", header())
    assert not gallery_exists("memory:") and not gallery_exists(str(tmp_path / "x"))
    store = create_store(f"file:{tmp_path / 'x'}", header())
    assert gallery_exists(str(tmp_path / "x")) and store.cache_folder == tmp_path / "x"
    assert create_store("memory:", header()).cache_folder is None
    store.close()


def test_a_store_does_not_cross_a_fork(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = new_store("folder", tmp_path)
    monkeypatch.setattr("facenet.gallery.sqlite_database.os.getpid", lambda: 1)
    with pytest.raises(StorageError, match="open it in each process"):
        store.count()
