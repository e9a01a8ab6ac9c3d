"""Weights from files: exactly what a network needs, or an error that says what is wrong; and never any code."""

from __future__ import annotations

import hashlib
import os
import pickle
import random
import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from facenet.errors import StorageError, UsageError, WeightsError
from facenet.models import catalogue
from facenet.models.backbone import Backbone
from facenet.models.face_model import FaceModel
from facenet.models.heads import build_head
from facenet.models.registry import build_backbone
from facenet.models.weights import Origin, load_strictly, pretrain, read_tensors

State = dict[str, Tensor]
Save = Callable[[State, Path], None]

SUFFIXES = (".safetensors", ".pt", "_old.pt")


@pytest.fixture
def backbone(toy: str) -> Backbone:
    """What weights are loaded into."""
    return build_backbone(toy, seed=1)


@pytest.fixture
def state(toy: str) -> State:
    """Other weights for it."""
    return build_backbone(toy, seed=2).state_dict()


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever tries to connect fails."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network in tests")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def save(state: State, path: Path) -> Path:
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization="_old" not in path.name)
    return path


def logits() -> State:
    return {"logits.weight": torch.ones(9, 16), "logits.bias": torch.ones(9)}


def unchanged(backbone: Backbone) -> bool:
    return backbone.fingerprint() == build_backbone("toy", seed=1).fingerprint()


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("classifier", [False, True])
def test_every_format_loads_with_and_without_a_classifier(
    tmp_path: Path, backbone: Backbone, state: State, suffix: str, classifier: bool
) -> None:
    path = save(state | logits() if classifier else state, tmp_path / f"weights{suffix}")
    origin = pretrain(backbone, str(path), seed=0)
    loaded = backbone.state_dict()
    assert list(loaded) == list(state)
    assert all(torch.equal(loaded[key], value) for key, value in state.items())
    assert origin == Origin("file", path.name, hashlib.sha256(path.read_bytes()).hexdigest(), fallback=False)
    assert set(origin.to_dict()) == {"kind", "source", "sha256", "fallback"}


def test_a_state_dict_within_a_training_file_is_found(tmp_path: Path, state: State) -> None:
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "run.pth")
    assert set(read_tensors(tmp_path / "run.pth")) == set(state)


def test_half_precision_files_and_files_without_batch_counters_load(
    tmp_path: Path, backbone: Backbone, state: State
) -> None:
    halves = {key: value.half() for key, value in state.items() if value.is_floating_point()}
    pretrain(backbone, str(save(halves, tmp_path / "w.pt")), seed=0)
    for key, value in backbone.state_dict().items():
        assert value.dtype == state[key].dtype
        torch.testing.assert_close(value, state[key], atol=1e-3, rtol=1e-3)


def test_missing_unknown_and_wrong_tensors_are_all_named(backbone: Backbone, state: State) -> None:
    del state["last.3.bias"], state["first.0.weight"]
    state["extra.weight"] = torch.ones(2)
    state["last.3.weight"] = torch.ones(16, 255)
    with pytest.raises(WeightsError) as caught:
        load_strictly(backbone, state, "some\nfile.pt")
    assert str(caught.value) == (
        "some\\nfile.pt does not fit toy: tensors 2 missing (first.0.weight, last.3.bias); 1 unknown (extra.weight); "
        "1 of another shape (last.3.weight)"
    )
    assert unchanged(backbone)


def test_of_many_wrong_tensors_a_few_are_named(backbone: Backbone) -> None:
    with pytest.raises(
        WeightsError, match=r"12 missing \(.*, .*, .* and 9 more\); 10 unknown \(x0, x1, x2 and 7 more\)"
    ):
        load_strictly(backbone, {f"x{number}": torch.ones(1) for number in range(10)}, "w.pt")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_values_that_are_not_finite_are_refused(backbone: Backbone, state: State, value: float) -> None:
    state["second.1.running_var"][3] = value
    with pytest.raises(WeightsError, match="w.pt holds values that are not finite in second.1.running_var"):
        load_strictly(backbone, state, "w.pt")
    assert unchanged(backbone)


def test_weights_of_another_network_are_refused(tmp_path: Path, backbone: Backbone) -> None:
    path = save(build_backbone("mobilefacenet").state_dict(), tmp_path / "mobile.safetensors")
    with pytest.raises(WeightsError, match="mobile.safetensors does not fit toy: .* missing .* unknown"):
        pretrain(backbone, str(path), seed=0)
    assert unchanged(backbone)


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.marker),)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("how", ["torch", "torch old", "pickle", "pickle of protocol 0"])
@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".safetensors"])
def test_a_pickle_with_code_is_refused_without_running_it(
    tmp_path: Path, backbone: Backbone, state: State, how: str, suffix: str
) -> None:
    marker, path = tmp_path / "ran", tmp_path / f"bomb{suffix}"
    content = {**state, "bomb": Bomb(marker)}
    if how.startswith("torch"):
        torch.save(content, path, _use_new_zipfile_serialization=how == "torch")
    else:
        path.write_bytes(pickle.dumps(content["bomb"], protocol=0 if how.endswith("0") else 4))
    with pytest.raises(WeightsError) as caught:
        pretrain(backbone, str(path), seed=0)
    assert not marker.exists() and unchanged(backbone)
    if how != "pickle of protocol 0" and suffix != ".safetensors":
        assert "is refused: it is a pickle that holds more than tensors" in str(caught.value)
    if how == "torch" and suffix != ".safetensors":
        torch.load(path, weights_only=False)
        assert marker.exists(), "the bomb is a dud, and this test shows nothing"


@pytest.mark.parametrize(
    "content", [[torch.ones(2)], torch.ones(2), {"a": 1}, {1: torch.ones(2)}, {"state_dict": {"a": [1.0]}}, "text"]
)
def test_what_is_no_table_of_tensors_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match="holds no table of named tensors"):
        read_tensors(tmp_path / "w.pt")


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize(
    "content", [b"", b"x", b"some text, long enough to hold a header\n" * 9, b"\xff\xd8\xff\xe0\x00\x10JFIF", b"<html>"]
)
def test_other_files_under_a_weight_files_name_are_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"renamed{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=f"renamed{suffix} is no weight file"):
        read_tensors(path)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol", "ignore:TypedStorage")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damage_anywhere_gives_a_named_error_or_tensors(tmp_path: Path, suffix: str) -> None:
    tensors = {f"layer.{number}": torch.ones(5, 3) for number in range(4)}
    whole = save(tensors, tmp_path / f"whole{suffix}").read_bytes()
    path = tmp_path / f"damaged{suffix}"
    generator = random.Random(0)
    refused = 0
    for _ in range(150):
        path.write_bytes(whole[: generator.randrange(len(whole))])
        with pytest.raises(WeightsError, match="damaged"):
            read_tensors(path)
        changed = bytearray(whole)
        for _ in range(3):
            changed[generator.randrange(len(whole))] = generator.randrange(256)
        path.write_bytes(changed)
        try:
            read_tensors(path)
        except WeightsError:
            refused += 1
    assert refused > 50


def test_a_truncated_file_leaves_the_backbone_as_it_was(tmp_path: Path, backbone: Backbone, state: State) -> None:
    for suffix in SUFFIXES:
        path = save(state, tmp_path / f"w{suffix}")
        path.write_bytes(path.read_bytes()[:-200])
        with pytest.raises(WeightsError, match="is no weight file or is damaged"):
            pretrain(backbone, str(path), seed=0)
    assert unchanged(backbone)


@pytest.mark.parametrize("name", ["nowhere/w.pt", "missing.safetensors", "./vggface2", "a\nb.pt"])
def test_a_path_that_is_not_there_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backbone: Backbone, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match="no weight file at ") as caught:
        pretrain(backbone, name, seed=0)
    assert len(str(caught.value).splitlines()) == 1


def test_none_stays_random(backbone: Backbone) -> None:
    assert pretrain(backbone, "none", seed=1) == Origin("random", "seed 1", "", fallback=False)
    assert unchanged(backbone)


def checkpoint(path: Path, trunk: Backbone) -> Path:
    """The weights of one of our checkpoint folders."""
    path.mkdir()
    save_file(FaceModel(trunk, build_head("linear", 16, 3)).state_dict(), path / "model.safetensors")
    return path


def test_a_checkpoint_folder_gives_its_trunk(tmp_path: Path, backbone: Backbone, state: State) -> None:
    path = checkpoint(tmp_path / "best-00000010-0", build_backbone("toy", seed=2))
    origin = pretrain(backbone, str(path), seed=0)
    assert all(torch.equal(value, state[key]) for key, value in backbone.state_dict().items())
    digest = hashlib.sha256((path / "model.safetensors").read_bytes()).hexdigest()
    assert origin == Origin("checkpoint", "best-00000010-0", digest)


def test_folders_that_are_no_checkpoint_for_this_network_are_refused(tmp_path: Path, backbone: Backbone) -> None:
    with pytest.raises(WeightsError, match=r"no model\.safetensors in .*: a folder must be one of our checkpoints"):
        pretrain(backbone, str(tmp_path), seed=0)
    save({"head.weight": torch.ones(1)}, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match="holds no trunk weights"):
        pretrain(backbone, str(tmp_path), seed=0)
    other = checkpoint(tmp_path / "other", build_backbone("mobilefacenet"))
    with pytest.raises(WeightsError, match="does not fit toy"):
        pretrain(backbone, str(other), seed=0)
    assert unchanged(backbone)


@pytest.fixture
def catalogued(
    tmp_path: Path, toy: str, state: State, monkeypatch: pytest.MonkeyPatch
) -> tuple[catalogue.WeightsEntry, Path]:
    """A catalogue entry for the toy network, and its file outside of the cache folder."""
    file = save(state | logits(), tmp_path / "made-up.pt")
    entry = replace(
        catalogue.CATALOGUE[0],
        name="made-up",
        architecture=toy,
        file_name=file.name,
        url="https://weights.invalid/made-up.pt",
        bytes=file.stat().st_size,
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
    )
    monkeypatch.setattr(catalogue, "CATALOGUE", (*catalogue.CATALOGUE, entry))
    return entry, file


@pytest.mark.parametrize("pretrained", ["made-up", "auto"])
def test_catalogued_weights_at_hand_are_loaded(
    tmp_path: Path,
    backbone: Backbone,
    state: State,
    catalogued: tuple[catalogue.WeightsEntry, Path],
    pretrained: str,
) -> None:
    entry, file = catalogued
    cache = tmp_path / "cache"
    cache.mkdir()
    shutil.copy(file, cache)
    origin = pretrain(backbone, pretrained, seed=0, folder=cache, offline=True)
    assert origin == Origin("catalogue", "made-up", str(entry.sha256))
    assert all(torch.equal(value, state[key]) for key, value in backbone.state_dict().items())


@pytest.mark.parametrize("offline", [True, False])
def test_only_auto_falls_back(
    tmp_path: Path, backbone: Backbone, catalogued: tuple[catalogue.WeightsEntry, Path], offline: bool
) -> None:
    cache = tmp_path / "cache"
    origin = pretrain(backbone, "auto", seed=1, folder=cache, offline=offline)
    assert origin == Origin("random", "seed 1", "", fallback=True)
    if offline:
        with pytest.raises(WeightsError, match=r"made-up\.pt"):
            pretrain(backbone, "made-up", seed=1, folder=cache, offline=True)
    assert unchanged(backbone)


def test_auto_falls_back_where_the_cache_cannot_be_written(
    tmp_path: Path, backbone: Backbone, catalogued: tuple[catalogue.WeightsEntry, Path]
) -> None:
    blocked = tmp_path / "a file"
    blocked.write_text("not a folder")
    assert pretrain(backbone, "auto", seed=1, folder=blocked / "cache").fallback
    with pytest.raises(StorageError):
        pretrain(backbone, "made-up", seed=1, folder=blocked / "cache")


def test_auto_without_any_catalogued_weights_falls_back(backbone: Backbone) -> None:
    assert pretrain(backbone, "auto", seed=1) == Origin("random", "seed 1", "", fallback=True)


def test_auto_does_not_hide_that_a_file_at_hand_does_not_fit(
    tmp_path: Path, backbone: Backbone, catalogued: tuple[catalogue.WeightsEntry, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, _ = catalogued
    other = save({"foreign": torch.ones(3)}, tmp_path / "other.pt")
    size = other.stat().st_size
    unsound = replace(entry, file_name="other.pt", bytes=size, sha256=None)
    monkeypatch.setattr(catalogue, "CATALOGUE", (unsound,))
    with pytest.raises(WeightsError, match="does not fit toy"):
        pretrain(backbone, "auto", seed=1, folder=tmp_path, offline=True)


def test_names_of_other_networks_and_unknown_names_are_wrong_usage(
    backbone: Backbone, catalogued: tuple[catalogue.WeightsEntry, Path]
) -> None:
    for name in ("vggface2", "casia-webface", "imagenet", ""):
        with pytest.raises(UsageError, match=f"unknown weights {name} of toy: known are made-up"):
            pretrain(backbone, name, seed=0)


def test_a_folder_called_like_catalogued_weights_does_not_hide_them(
    tmp_path: Path,
    backbone: Backbone,
    catalogued: tuple[catalogue.WeightsEntry, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "made-up").mkdir()
    assert pretrain(backbone, "made-up", seed=0, folder=tmp_path, offline=True).kind == "catalogue"
    with pytest.raises(WeightsError, match=r"no model\.safetensors in"):
        pretrain(backbone, "./made-up", seed=0, folder=tmp_path, offline=True)
