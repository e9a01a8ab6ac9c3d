"""People carried from gallery to gallery, and files that strangers made."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gallery_tools import header, samples, unit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from maintenance_tools import contents, furnished

from facenet.errors import ContractError, FacenetError, GalleryError, InputError
from facenet.gallery.backend import create_store, open_store
from facenet.gallery.exchange import ImportReport, SameName, export, import_
from facenet.gallery.exchange_file import write_exchange
from facenet.gallery.health import check
from facenet.gallery.records import Header, Person, Sample, StoredSample
from facenet.preprocessing import Preprocessing

WHEN = "2026-01-02T03:04:05+00:00"


@pytest.fixture
def location(tmp_path: Path) -> str:
    return furnished(tmp_path)


@pytest.fixture
def empty(tmp_path: Path) -> str:
    create_store(str(tmp_path / "empty"), header()).close()
    return str(tmp_path / "empty")


def without_ids(location: str) -> list[Any]:
    """Everything about people but their ids, each with their embeddings in order."""
    found = contents(location)
    return [
        (replace(person, id=0), [sample[1:] for _, sample in sorted(found["samples"].items()) if sample[0] == id_])
        for id_, person in sorted(found["people"].items())
    ]


def test_a_round_trip_keeps_everything_but_ids(location: str, empty: str, tmp_path: Path) -> None:
    store = open_store(location)
    store.enroll("odd file name", [Sample(unit(1)[0], source=os.fsdecode(b"/p/\xff\xfe.jpg"))])
    store.enroll("none", [])
    store.close()
    steps: list[tuple[int, int | None]] = []
    report = export(location, tmp_path / "people.safetensors", progress=lambda *step: steps.append(step))
    assert (report.people, report.embeddings) == (22, 41) and steps[-1] == (41, 41)
    assert stat.S_IMODE(report.file.stat().st_mode) == 0o600
    brought = import_(empty, report.file, progress=lambda *step: steps.append(step))
    assert steps[-1] == (41, 41)
    assert without_ids(empty) == without_ids(location)
    assert (brought.embeddings, brought.skipped, brought.added_to) == (41, (), ())
    there = contents(location)["people"]
    here = contents(empty)["people"]
    assert {old: here[new].name for old, new in brought.people.items()} == {id_: p.name for id_, p in there.items()}
    assert check(empty).clean
    store = open_store(empty)
    assert store.audit(1)[0].action == "import" and next(store.read_vectors()).vectors.shape == (41, 16)
    store.close()


def test_only_some_people(location: str, empty: str, tmp_path: Path) -> None:
    report = export(location, tmp_path / "some", people=[3, 5, 3])
    assert (report.people, report.embeddings) == (2, 3)
    assert set(import_(empty, tmp_path / "some").people) == {3, 5}
    assert export(location, tmp_path / "nobody", people=[]).people == 0
    assert import_(empty, tmp_path / "nobody") == ImportReport()
    with pytest.raises(InputError, match="no person id:4"):
        export(location, tmp_path / "gone", people=[4])
    assert not (tmp_path / "gone").exists()


def test_names_that_are_there_already(location: str, tmp_path: Path) -> None:
    file = tmp_path / "people"
    export(location, file)
    before = contents(location)
    with pytest.raises(InputError, match="20 people of the file .*--same-name"):
        import_(location, file)
    assert contents(location) == before
    report = import_(location, file, on_same_name="skip")
    assert len(report.skipped) == 20 and report.embeddings == 0 and contents(location)["people"] == before["people"]
    report = import_(location, file, on_same_name="add")
    assert (len(report.added_to), report.embeddings) == (20, 0), "the same embeddings were added again"
    assert contents(location) == before
    report = import_(location, file, on_same_name="new")
    assert len(report.people) == 20 and min(report.people.values()) > 21
    assert len(contents(location)["people"]) == 40
    with pytest.raises(InputError, match="several people"):
        import_(location, file, on_same_name=SameName.ADD)
    with pytest.raises(ValueError, match="perhaps"):
        import_(location, file, on_same_name="perhaps")
    assert check(location).damaged is False


def test_adding_to_people_who_are_there(location: str, empty: str, tmp_path: Path) -> None:
    store = open_store(empty)
    store.enroll("Ada", samples(1, seed=99), consent="other")
    since, history = store.generation(), store.history
    export(location, tmp_path / "people")
    report = import_(empty, tmp_path / "people", on_same_name="add")
    assert report.added_to == (1,) and report.people[2] == 1
    assert (store.person(1).embeddings, store.person(1).consent) == (3, "other")
    changes = store.changes(since, history)
    assert changes.complete and set(changes.block.persons.tolist()) == set(report.people.values())
    store.close()


def test_two_people_of_one_name_stay_two(empty: str, tmp_path: Path) -> None:
    store = open_store(empty)
    for seed in range(2):
        store.enroll("Smith", samples(1, seed=seed), new=True)
    store.close()
    export(empty, tmp_path / "people")
    create_store(str(tmp_path / "third"), header()).close()
    assert import_(tmp_path / "third", tmp_path / "people").people == {1: 1, 2: 2}
    assert without_ids(str(tmp_path / "third")) == without_ids(empty)


def test_another_model_is_refused(location: str, tmp_path: Path) -> None:
    export(location, tmp_path / "people")
    create_store(str(tmp_path / "other"), header(fingerprint="e" * 32)).close()
    with pytest.raises(ContractError, match="gallery reembed"):
        import_(tmp_path / "other", tmp_path / "people")
    lying = Header(header().fingerprint, Preprocessing(160, 160), 16)
    write_exchange(tmp_path / "lying", lying, vectors=[], people=[], samples=[])
    with pytest.raises(ContractError, match="contract"):
        import_(location, tmp_path / "lying")


def test_no_gallery_no_file(location: str, tmp_path: Path) -> None:
    with pytest.raises(GalleryError):
        export(tmp_path / "nowhere", tmp_path / "x")
    with pytest.raises(InputError, match="cannot read"):
        import_(location, tmp_path / "nowhere")
    (tmp_path / "there").touch()
    with pytest.raises(InputError, match="there already"):
        export(location, tmp_path / "there")


def person(**changes: Any) -> Person:
    return Person(**{"id": 1, "name": "Eve", "created": WHEN, "embeddings": 1, **changes})


def sample(vector: np.ndarray | None = None, **changes: Any) -> StoredSample:
    return StoredSample(unit(1)[0] if vector is None else vector, **{"added": WHEN, **changes})


HOSTILE: dict[str, Callable[[], tuple[list[Person], list[StoredSample]]]] = {
    "name with control characters": lambda: ([person(name="a\x00b")], [sample()]),
    "name like an id": lambda: ([person(name="id:5")], [sample()]),
    "empty name": lambda: ([person(name=" ")], [sample()]),
    "long name": lambda: ([person(name="x" * 10_000)], [sample()]),
    "half a character": lambda: ([person(name="\ud800")], [sample()]),
    "consent": lambda: ([person(consent="a\nb")], [sample()]),
    "expiry": lambda: ([person(expires="never")], [sample()]),
    "metadata": lambda: ([person(metadata={"a": "x" * 70_000})], [sample()]),
    "metadata with half a character": lambda: ([person(metadata={"a": "\ud800"})], [sample()]),
    "one id twice": lambda: ([person(), person(name="Bob")], [sample(), sample()]),
    "source": lambda: ([person()], [sample(source="\ud800")]),
    "hash": lambda: ([person()], [sample(content="../etc")]),
    "long hash": lambda: ([person()], [sample(content="a" * 1000)]),
    "NaN": lambda: ([person()], [sample(np.full(16, np.nan, np.float32))]),
    "zeros": lambda: ([person()], [sample(np.zeros(16, np.float32))]),
    "too long": lambda: ([person()], [sample(unit(1)[0] * np.float32(1.1))]),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_people_are_refused_and_nobody_is_imported(empty: str, tmp_path: Path, what: str) -> None:
    people, rows = HOSTILE[what]()
    good = person(id=77, name="Good")
    vectors = [np.stack([unit(1)[0], *(row.embedding for row in rows)])]
    write_exchange(tmp_path / "x", header(), vectors=vectors, people=[good, *people], samples=[sample(), *rows])
    with pytest.raises(InputError):
        import_(empty, tmp_path / "x")
    assert contents(empty)["people"] == {}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, bytes]]:
    """An empty gallery and the bytes of an export."""
    folder = tmp_path_factory.mktemp("exchange")
    export(furnished(folder, count=5), folder / "people")
    create_store(str(folder / "empty"), header()).close()
    yield str(folder / "empty"), (folder / "people").read_bytes()


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_files_are_refused_as_a_whole(exported: tuple[str, bytes], tmp_path: Path, data: st.DataObject) -> None:
    empty, whole = exported
    changed = bytearray(whole)
    body = 8 + 65536
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.one_of(st.integers(0, 1200), st.integers(body, len(whole) - 1)))
        changed[place] = data.draw(st.integers(0, 255))
    (tmp_path / "damaged").write_bytes(changed)
    before = contents(empty)
    try:
        report = import_(empty, tmp_path / "damaged", on_same_name="new")
    except FacenetError:
        assert contents(empty) == before
    else:
        assert len(contents(empty)["people"]) == len(before["people"]) + len(report.people)
        assert not check(empty).damaged


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=("Cc", "Cs", "Cf", "Zl", "Zp", "M", "Z", "Cn", "Co")), min_size=1),
            st.dictionaries(
                st.text(max_size=5), st.one_of(st.none(), st.integers(-9, 9), st.text(max_size=9)), max_size=3
            ),
            st.integers(0, 3),
        ),
        max_size=4,
    )
)
@settings(max_examples=8, deadline=None)
def test_any_people_survive_the_journey(
    tmp_path_factory: pytest.TempPathFactory, given_people: list[tuple[str, dict[str, Any], int]]
) -> None:
    folder = tmp_path_factory.mktemp("journey")
    store = create_store(str(folder / "a"), header())
    for seed, (name, metadata, count) in enumerate(given_people):
        with suppress(InputError):
            store.enroll(name[:200], samples(count, seed=seed), new=True, metadata=metadata)
    store.close()
    create_store(str(folder / "b"), header()).close()
    export(folder / "a", folder / "file")
    import_(folder / "b", folder / "file")
    assert without_ids(str(folder / "a")) == without_ids(str(folder / "b"))
