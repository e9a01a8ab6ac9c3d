"""Studies written and read again: nothing is lost, nothing foreign comes in, and the digest tells what was compared."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import safetensors.numpy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_studies import classified, compared, findings_of, pairs_study, retrieved, searched
from numpy.typing import NDArray

from facenet.errors import InputError, MissingError
from facenet.evaluation.attributes import Attribute
from facenet.evaluation.groups import group_rates
from facenet.evaluation.packing import pack, unpack
from facenet.evaluation.reliability import reliability_of
from facenet.evaluation.studies import ARRAYS, DOCUMENT, read_study, study_contents, study_digest, study_files
from facenet.evaluation.study import Pictures, Study


def full_study() -> Study:
    """One of everything, in no protocol there is."""
    found = pairs_study()
    assert found.comparisons is not None
    attribute = Attribute("kind", ("a", "b"), (found.comparisons.owners % 2).astype(np.int32))
    decided = classified()
    return replace(
        found,
        samples=(*found.samples, "na\nme \udce9 ž"),
        notices=("three pictures failed",),
        comparisons=replace(found.comparisons, owners=np.append(found.comparisons.owners, 3).astype(np.int32)),
        groups=(group_rates(found.comparisons, attribute, 0.4, replicates=20),),
        searches=searched(),
        retrieval=retrieved(),
        classification=decided,
        reliability=reliability_of(decided.confidences, decided.correct),
        embeddings=torch.zeros(2, 3),
        owners=np.zeros(2, dtype=np.int32),
        people=("Ada",),
        pictures=Pictures((Path("/secret/Ada.jpg"),), np.zeros((1, 4), dtype=np.float32)),
    )


def write(folder: Path, study: Study) -> Path:
    folder.mkdir(exist_ok=True)
    for name, data in study_files(study).items():
        (folder / name).write_bytes(data)
    return folder


def same(one: object, other: object) -> bool:
    """Whether two values are equal, arrays and dataclasses all the way down included."""
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and one.dtype == other.dtype and np.array_equal(one, other)
    if dataclasses.is_dataclass(one):
        names = [field.name for field in dataclasses.fields(one)]
        return type(one) is type(other) and all(same(getattr(one, n), getattr(other, n)) for n in names)
    if isinstance(one, tuple):
        return isinstance(other, tuple) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)


def test_what_is_saved_comes_back_and_nothing_else(tmp_path: Path) -> None:
    study = full_study()
    found = read_study(write(tmp_path, study))
    unsaved = {"embeddings", "owners", "people", "pictures"}
    for field in dataclasses.fields(Study):
        if field.name not in unsaved:
            assert same(getattr(found, field.name), getattr(study, field.name)), field.name
    assert (found.embeddings, found.owners, found.people, found.pictures) == (None, None, (), None)
    assert study_files(found) == study_files(study)
    assert study_digest(found) == study_digest(study)
    assert not any(b"secret" in data for data in study_files(study).values())


def test_a_study_of_nothing_much(tmp_path: Path) -> None:
    study = Study("pairs", "Pairs", "A", {}, ())
    assert same(read_study(write(tmp_path, study)), study)


@pytest.mark.parametrize("name", [DOCUMENT, ARRAYS])
def test_what_is_not_there(tmp_path: Path, name: str) -> None:
    (write(tmp_path, pairs_study()) / name).unlink()
    with pytest.raises(MissingError, match=name):
        read_study(tmp_path)
    with pytest.raises(MissingError):
        read_study(tmp_path / "nowhere")


def broken(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    """Change the document."""

    def apply(folder: Path) -> None:
        document = json.loads((folder / DOCUMENT).read_bytes())
        change(document)
        (folder / DOCUMENT).write_text(json.dumps(document))

    return apply


def with_arrays(change: Callable[[dict[str, NDArray[Any]]], None]) -> Callable[[Path], None]:
    """Change the arrays, and let the document say that this is right."""

    def apply(folder: Path) -> None:
        arrays = safetensors.numpy.load((folder / ARRAYS).read_bytes())
        change(arrays)
        (folder / ARRAYS).write_bytes(safetensors.numpy.save(arrays))
        digest = hashlib.sha256((folder / ARRAYS).read_bytes()).hexdigest()
        broken(lambda document: document.update(arrays=digest))(folder)

    return apply


def set_array(name: str, array: NDArray[Any]) -> Callable[[Path], None]:
    return with_arrays(lambda arrays: arrays.update({name: array}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / DOCUMENT).write_bytes(b"\xff"), "no JSON"),
        (lambda folder: (folder / DOCUMENT).write_text("[" * 100_000), "no JSON"),
        (lambda folder: (folder / DOCUMENT).write_text("[]"), "does not call itself"),
        (broken(lambda document: document.update(format="other")), "does not call itself"),
        (lambda folder: (folder / ARRAYS).write_bytes(b"x"), "not the file"),
        (broken(lambda document: document.pop("findings")), "findings"),
        (broken(lambda document: document.update(about=[])), "about"),
        (broken(lambda document: document.update(title=3)), "no str"),
        (broken(lambda document: document.update(label=None)), "no str"),
        (broken(lambda document: document.update(operating_threshold=True)), "no float"),
        (broken(lambda document: document["findings"][0].update(value=None)), "either a value or a reason"),
        (broken(lambda document: document["findings"][0].update(extra=1)), "has the parts"),
        (broken(lambda document: document["comparisons"].update(scores="other")), "no array"),
        (broken(lambda document: document.update(protocol="lfw")), "other comparisons than it says"),
        (set_array("comparisons.scores", np.full(5, 0.5, dtype=np.float32)), "comparisons need"),
        (set_array("comparisons.scores", np.full(5, 0.5)), "float64"),
        (set_array("comparisons.first", np.zeros(5)), "float64"),
        (set_array("samples", np.full(5, ord("x"), dtype=np.uint8)), "Expecting value"),
        (with_arrays(lambda arrays: arrays.pop("comparisons.owners")), "no array"),
    ],
)
def test_what_is_damaged_is_refused(tmp_path: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(write(tmp_path, pairs_study()))
    with pytest.raises(InputError, match="cannot be used") as raised:
        read_study(tmp_path)
    assert message in str(raised.value) and "\n" not in str(raised.value)


def test_files_too_large_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from facenet.evaluation import studies

    write(tmp_path, pairs_study())
    monkeypatch.setattr(studies, "_MOST_ARRAY_BYTES", 10)
    with pytest.raises(InputError, match="larger than 10 bytes"):
        read_study(tmp_path)


def test_what_json_cannot_hold_is_refused_when_writing() -> None:
    with pytest.raises(ValueError, match="JSON"):
        study_files(replace(pairs_study(), about={"rate": math.nan}))


def test_the_digest_is_blind_to_the_model_and_sees_everything_else() -> None:
    study = full_study()
    assert study.comparisons is not None and study.searches is not None
    assert study.retrieval is not None and study.classification is not None
    comparisons, searches = study.comparisons, study.searches
    other_model = replace(
        study,
        label="B",
        about={},
        findings=findings_of({"eer": 0.5}),
        notices=(),
        comparisons=replace(
            comparisons,
            scores=np.zeros_like(comparisons.scores),
            failed=np.zeros(len(comparisons), dtype=np.bool_),
        ),
        searches=searched(model=1),
        retrieval=retrieved(model=1),
        classification=classified(model=1),
    )
    assert study_digest(other_model) == study_digest(study)
    folds = comparisons.folds
    assert folds is not None
    others = [
        replace(study, protocol="lfw"),
        replace(study, samples=study.samples[::-1]),
        replace(study, comparisons=replace(comparisons, folds=folds[::-1].copy())),
        replace(study, comparisons=replace(comparisons, folds=None)),
        replace(study, comparisons=replace(comparisons, first=comparisons.second, second=comparisons.first)),
        replace(study, comparisons=None),
        replace(study, searches=replace(searches, mated_samples=searches.mated_samples[::-1].copy())),
        replace(study, searches=replace(searches, stranger_people=searches.stranger_people[::-1].copy())),
        replace(study, searches=replace(searches, enrolled=21)),
        replace(study, retrieval=replace(study.retrieval, samples=study.retrieval.samples[::-1].copy())),
        replace(study, classification=replace(study.classification, people=tuple("abcdefgh"))),
    ]
    assert len({study_digest(other) for other in [study, *others]}) == 1 + len(others)
    assert study_contents(study)["folds"][0] == 5 and study_contents(study)["mated searches"][0] == 60


class Kind(StrEnum):
    ONE = "one"


@dataclass(frozen=True, eq=False)
class Inner:
    number: float
    kind: Kind
    choice: Literal["a", 3]
    table: dict[float, tuple[int, ...]]
    array: NDArray[np.int32] | None
    either: int | str
    whole: NDArray[np.integer[Any]]


@settings(max_examples=50)
@given(
    st.floats(allow_nan=False),
    st.dictionaries(st.floats(allow_nan=False), st.lists(st.integers()).map(tuple)),
    st.none() | st.lists(st.integers(-5, 5)).map(lambda items: np.array(items, dtype=np.int32)),
    st.integers() | st.text(),
)
def test_packing_there_and_back(
    number: float, table: dict[float, tuple[int, ...]], array: NDArray[np.int32] | None, either: int | str
) -> None:
    value = Inner(number, Kind.ONE, 3, table, array, either, np.array([1], dtype=np.int8))
    arrays: dict[str, NDArray[Any]] = {}
    packed = json.loads(json.dumps(pack((value, value), "top", arrays), allow_nan=False))
    assert same(unpack(tuple[Inner, ...], packed, arrays), (value, value))
    assert "top.1.whole" in arrays


def test_packing_refuses_what_it_does_not_know() -> None:
    with pytest.raises(TypeError, match=r"top\.1: set"):
        pack((1, {2}), "top", {})
    for hint, packed in [
        (str, 1), (int, True), (float, "nought"), (Kind, "two"), (Literal["a"], "b"), (tuple[int, str], [1]),
        (NDArray[np.int32], 5), (dict[str, int], 3), (Inner, []), (list, []), (Any, 1),
    ]:  # fmt: skip
        with pytest.raises(ValueError):
            unpack(hint, packed, {})
    assert math.isnan(unpack(float, "nan", {})) and unpack(float, 3, {}) == 3.0


def test_comparisons_alone_are_a_study() -> None:
    study = Study("pairs", "Pairs", "A", {}, (), comparisons=compared(10, 2))
    assert set(study_contents(study)) == {"samples", "people", "comparisons", "folds"}
