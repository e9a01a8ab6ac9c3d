"""Checkpoints: whole or not there, and refused unless they are exactly what was saved."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from toys import ToyBackbone, toy_config, toy_trainer

from facenet.errors import CheckpointError, ContractError, FacenetError, StorageError
from facenet.models.face_model import FaceModel
from facenet.models.registry import build_backbone
from facenet.training import files
from facenet.training.checkpoint import (
    Description,
    build_model,
    load_model,
    load_trainer_state,
    newest,
    save_checkpoint,
)
from facenet.training.runs import RunFolder

pytestmark = pytest.mark.usefixtures("toy")


@pytest.fixture
def saved(tmp_path: Path, toy: str) -> Path:
    """The last checkpoint of a run with a head."""
    config = toy_config(task="classification", primary="accuracy", epochs=1)
    toy_trainer(tmp_path / "run", config).fit()
    path = newest(RunFolder(tmp_path / "run").checkpoints, "last")
    assert path is not None
    return path


@pytest.fixture
def parts(tmp_path_factory: pytest.TempPathFactory, toy: str) -> tuple[FaceModel, Description]:
    """A model and its description, as a trainer would save them."""
    trainer = toy_trainer(tmp_path_factory.mktemp("other"), toy_config())
    return trainer.model, trainer._described()


def edit(path: Path, **changes: Any) -> None:
    file = path / "checkpoint.json"
    document = json.loads(file.read_text())
    file.write_text(json.dumps({**document, **changes}))


def assert_one_line(error: FacenetError) -> None:
    assert str(error) and "\n" not in str(error)


def test_what_is_saved_comes_back(saved: Path) -> None:
    model, description = load_model(saved)
    raw = safetensors.torch.load_file(saved / "model.safetensors")
    assert raw.keys() == model.state_dict().keys()
    assert all(torch.equal(raw[name], value) for name, value in model.state_dict().items())
    assert not model.training
    assert description.people == tuple(f"person {number}" for number in range(6))
    assert description.fingerprint == model.trunk.fingerprint()
    assert (description.epoch, description.step) == (1, 5)
    assert description.config == toy_config(task="classification", primary="accuracy", epochs=1)
    assert description.created.endswith("+00:00")
    assert description.versions is not None and description.versions["torch"] == torch.__version__.partition("+")[0]
    assert sorted(file.name for file in saved.iterdir()) == ["checkpoint.json", "model.safetensors", "trainer_state.pt"]


def test_neck_and_dropout_come_back(parts: tuple[FaceModel, Description], tmp_path: Path) -> None:
    """A resumed run that dropped nothing any more would learn something else."""
    config = toy_config(backbone="mobilefacenet", neck="conv-8-4", dropout=0.3, task="siamese", primary="pair_f1")
    trunk = build_backbone(config.backbone, seed=1, neck=config.neck, dropout=config.dropout)
    described = replace(
        parts[1], config=config, preprocessing=trunk.preprocessing, fingerprint=trunk.fingerprint(), people=()
    )
    model, _ = load_model(save_checkpoint(tmp_path, "last", build_model(trunk, config, ()), described, None))
    for part in (model.trunk, model.pair_head):
        assert part is not None
        assert {layer.p for layer in part.modules() if isinstance(layer, torch.nn.Dropout)} == {0.3}
    assert model.trunk.fingerprint() == trunk.fingerprint()


def test_names_of_any_kind_survive(tmp_path: Path, parts: tuple[FaceModel, Description]) -> None:
    model, description = parts
    names = ("Жанна д'Арк", "李小龙", "line\nbreak", '"quotes"', "\udcff no utf-8")
    origin = {"kind": "random", "source": names[3]}
    path = save_checkpoint(tmp_path, "best", model, _with(description, people=names, origin=origin), None)
    found = Description.read(path)
    assert (found.people, found.origin) == (names, origin)


def _with(description: Description, **changes: Any) -> Description:
    from dataclasses import replace

    return replace(description, **changes)


def test_older_ones_go_when_the_new_one_is_whole(tmp_path: Path, parts: tuple[FaceModel, Description]) -> None:
    model, description = parts
    for kind, step, name in (
        ("last", 1, "last-00000001-0"),
        ("best", 1, "best-00000001-0"),
        ("last", 1, "last-00000001-1"),
        ("last", 12, "last-00000012-0"),
    ):
        assert save_checkpoint(tmp_path, kind, model, _with(description, step=step), None).name == name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best-00000001-0", "last-00000012-0"]


def test_the_newest_is_told_by_its_name(tmp_path: Path) -> None:
    for name in ("last-00000009-0", "last-00000010-0", "last-00000010-10", "last-00000010-9", "best-00000020-0"):
        (tmp_path / name).mkdir()
    for foreign in (".writing-last-00000099-0", "last-99", "last-00000099-0.bak", "first-00000099-0"):
        (tmp_path / foreign).mkdir()
    (tmp_path / "last-00000098-0").write_text("a file")
    found = [newest(tmp_path, kind) for kind in ("last", "best", None)]
    assert [path and path.name for path in found] == ["last-00000010-10", "best-00000020-0", "best-00000020-0"]
    assert newest(tmp_path / "missing") is None


def test_half_a_checkpoint_is_never_seen(
    tmp_path: Path, parts: tuple[FaceModel, Description], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, description = parts
    before = save_checkpoint(tmp_path, "last", model, description, {"a": 1})

    class Killed(BaseException):
        pass

    def half(path: Path, data: bytes) -> None:
        path.write_bytes(data[: len(data) // 2])
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(files, "write_and_flush", half)
        save_checkpoint(tmp_path, "last", model, _with(description, step=1), {"a": 2})
    assert newest(tmp_path) == before
    assert load_trainer_state(before) == {"a": 1}
    # The same step is reached again after resuming: what was left half-way is in nobody's way.
    after = save_checkpoint(tmp_path, "last", model, _with(description, step=1), {"a": 2})
    assert load_trainer_state(after) == {"a": 2}
    assert [path.name for path in tmp_path.iterdir()] == [after.name]


@pytest.mark.parametrize("failing", ["mkdir", "write", "fsync", "rename"])
def test_a_place_that_cannot_be_written(
    tmp_path: Path, parts: tuple[FaceModel, Description], monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    model, description = parts
    folder = tmp_path / "checkpoints"
    before = save_checkpoint(folder, "last", model, description, None)
    contents = {file: file.read_bytes() for file in before.iterdir()}

    def no_space(*given: object, **named: object) -> None:
        raise OSError(28, "No space left on device")

    target = {"mkdir": (Path, "mkdir"), "write": (files, "write_and_flush")}.get(failing, (os, failing))
    with monkeypatch.context() as patch, pytest.raises(StorageError, match="no space left.*untouched") as caught:
        patch.setattr(*target, no_space)
        save_checkpoint(folder, "last", model, _with(description, step=9), None)
    assert_one_line(caught.value)
    assert caught.value.exit_code == 4
    assert [path.name for path in folder.iterdir()] == [before.name]
    assert contents == {file: file.read_bytes() for file in before.iterdir()}


def test_a_file_where_the_folder_should_be(tmp_path: Path, parts: tuple[FaceModel, Description]) -> None:
    (tmp_path / "checkpoints").write_text("in the way")
    with pytest.raises(StorageError, match="--run-dir"):
        save_checkpoint(tmp_path / "checkpoints", "last", *parts, None)


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def flip_last(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)


def flip_middle(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def text(file: Path) -> None:
    file.write_text("hello")


@pytest.mark.parametrize("damage", [truncate, empty, flip_last, flip_middle, text, Path.unlink])
@pytest.mark.parametrize("name", ["model.safetensors", "trainer_state.pt"])
def test_damage_is_noticed(saved: Path, name: str, damage: Callable[[Path], None]) -> None:
    damage(saved / name)
    with pytest.raises(CheckpointError, match=name) as caught:
        load_model(saved) if name == "model.safetensors" else load_trainer_state(saved)
    assert_one_line(caught.value)


@pytest.mark.parametrize("damage", [truncate, empty, text, Path.unlink])
def test_a_damaged_description(saved: Path, damage: Callable[[Path], None]) -> None:
    damage(saved / "checkpoint.json")
    with pytest.raises(CheckpointError) as caught:
        load_model(saved)
    assert_one_line(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "another"},
        {"format": None},
        {"version": 2},
        {"version": "1"},
        {"config": {"task": "triplet", "added later": 1}},
        {"config": [1]},
        {"config": {"task": "triplet", "epochs": "three"}},
        {"config": {"task": "nothing"}},
        {"holdout": {"kind": "half"}},
        {"holdout": None},
        {"preprocessing": {"height": 0, "width": 3}},
        {"preprocessing": "none"},
        {"people": 3},
        {"epoch": None},
        {"epoch": "two"},
        {"metrics": 4},
        {"origin": 4},
        {"files": None},
        {"files": {}},
        {"versions": None},
    ],
)
def test_foreign_descriptions(saved: Path, changes: dict[str, Any]) -> None:
    edit(saved, **changes)
    with pytest.raises(CheckpointError) as caught:
        load_model(saved)
    assert_one_line(caught.value)


@pytest.mark.parametrize("left_out", ["config", "holdout", "people", "fingerprint", "files", "step", "evaluations"])
def test_incomplete_descriptions(saved: Path, left_out: str) -> None:
    file = saved / "checkpoint.json"
    document = json.loads(file.read_text())
    del document[left_out]
    file.write_text(json.dumps(document))
    with pytest.raises(CheckpointError):
        load_model(saved)


@pytest.mark.parametrize("document", ["[]", "3", "null", '"text"', "{", '{"format": NaN}', "[" * 100_000])
def test_no_object_in_the_description(saved: Path, document: str) -> None:
    (saved / "checkpoint.json").write_text(document)
    with pytest.raises(CheckpointError):
        load_model(saved)


def test_a_description_too_large(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_LARGEST_JSON", 100)
    with pytest.raises(CheckpointError, match="too large"):
        load_model(saved)


def test_fewer_people_than_the_head_has(saved: Path) -> None:
    edit(saved, people=["Ada", "Bob"])
    with pytest.raises(CheckpointError, match="do not fit"):
        load_model(saved)


def test_a_contract_that_was_changed(saved: Path) -> None:
    document = json.loads((saved / "checkpoint.json").read_text())
    edit(saved, preprocessing={**document["preprocessing"], "mean": 0.0})
    with pytest.raises(ContractError, match="fingerprint") as caught:
        load_model(saved)
    assert_one_line(caught.value)
    assert document["fingerprint"] in str(caught.value)


def test_another_architecture(saved: Path) -> None:
    with pytest.raises(ContractError, match="holds a toy, not a mobilefacenet"):
        load_model(saved, backbone="mobilefacenet")
    assert load_model(saved, backbone="toy")[1].config.backbone == "toy"


def test_an_architecture_this_version_does_not_have(saved: Path) -> None:
    document = json.loads((saved / "checkpoint.json").read_text())
    edit(saved, config={**document["config"], "backbone": "of\nthe future"})
    with pytest.raises(CheckpointError) as caught:
        load_model(saved)
    assert_one_line(caught.value)


def test_a_run_instead_of_its_checkpoint(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is the folder of a run: name one of its checkpoints, such as .*best-"):
        load_model(tmp_path / "run")
    (tmp_path / "begun" / "checkpoints").mkdir(parents=True)
    with pytest.raises(CheckpointError, match="but it has none"):
        load_model(tmp_path / "begun")


def test_no_checkpoint_at_all(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        load_model(tmp_path / "missing")
    (tmp_path / "a file").write_text("x")
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        load_model(tmp_path / "a file")
    (tmp_path / "foreign").mkdir()
    with pytest.raises(CheckpointError):
        load_model(tmp_path / "foreign")


class Evil:
    """Unpickled, it makes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.file),))


def resealed(saved: Path, name: str) -> None:
    """Make the description vouch for a file that was put in the place of another."""
    import hashlib

    document = json.loads((saved / "checkpoint.json").read_text())
    digest = hashlib.sha256((saved / name).read_bytes()).hexdigest()
    edit(saved, files={**document["files"], name: digest})


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_code_in_the_trainer_state_is_never_run(saved: Path, tmp_path: Path, how: str) -> None:
    made = tmp_path / "made by the pickle"
    file = saved / "trainer_state.pt"
    if how == "torch":
        torch.save({"progress": Evil(made)}, file)
    else:
        file.write_bytes(pickle.dumps({"progress": Evil(made)}))
    resealed(saved, "trainer_state.pt")
    with pytest.raises(CheckpointError, match="damaged or foreign") as caught:
        load_trainer_state(saved)
    assert_one_line(caught.value)
    assert not made.exists()
    # The trap works: unpickled trustingly, it does make something.
    with file.open("rb") as stream:
        torch.load(stream, weights_only=False) if how == "torch" else pickle.load(stream)  # noqa: S301
    assert made.exists()


def test_a_trainer_state_that_is_no_table(saved: Path) -> None:
    torch.save([1, 2], saved / "trainer_state.pt")
    resealed(saved, "trainer_state.pt")
    with pytest.raises(CheckpointError, match="not one of ours"):
        load_trainer_state(saved)


@pytest.mark.parametrize("tensors", [{}, {"trunk.other": torch.zeros(2)}])
def test_foreign_weights(saved: Path, tensors: dict[str, torch.Tensor]) -> None:
    safetensors.torch.save_file(tensors, saved / "model.safetensors")
    resealed(saved, "model.safetensors")
    with pytest.raises(CheckpointError, match="do not fit") as caught:
        load_model(saved)
    assert_one_line(caught.value)


def test_weights_of_another_checkpoint(saved: Path) -> None:
    tensors = safetensors.torch.load_file(saved / "model.safetensors")
    safetensors.torch.save_file({name: value + 1 for name, value in tensors.items()}, saved / "model.safetensors")
    resealed(saved, "model.safetensors")
    with pytest.raises(ContractError, match="fingerprint"):
        load_model(saved)


def test_best_checkpoints_hold_no_trainer_state(saved: Path) -> None:
    best = newest(saved.parent, "best")
    assert best is not None
    with pytest.raises(CheckpointError, match="no readable trainer_state.pt"):
        load_trainer_state(best)


@pytest.mark.parametrize(("kind", "kept"), [("last", 1), ("best", 1), ("epoch", 3)])
def test_only_weights_of_epochs_pile_up(saved: Path, tmp_path: Path, kind: str, kept: int) -> None:
    model, description = load_model(saved)
    for step in (4, 8, 12):
        save_checkpoint(tmp_path, kind, model, replace(description, step=step), None)
    assert len(list(tmp_path.glob(f"{kind}-*"))) == kept
    found = newest(tmp_path, kind)
    assert found is not None and Description.read(found).step == 12


def test_the_model_of_each_task() -> None:
    triplets = build_model(ToyBackbone(), toy_config(), ())
    assert triplets.head is None and triplets.pair_head is None
    people = build_model(ToyBackbone(), toy_config(task="classification", primary="accuracy"), ("Ada", "Bo", "Cy"))
    assert people.head is not None and people.pair_head is None
    assert people.scores(torch.zeros(2, 3, 32, 32)).shape == (2, 3)
    pairs = build_model(ToyBackbone(), toy_config(task="siamese", primary="pair_f1", dropout=0.3), ())
    assert pairs.head is None and pairs.pair_head is not None
    assert {layer.p for layer in pairs.pair_head.modules() if isinstance(layer, torch.nn.Dropout)} == {0.3}
