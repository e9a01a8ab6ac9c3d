"""Opening a trained network: the one that was named, with the contract and the fingerprint it had."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from toys import ToyBackbone, toy_config, toy_trainer

from facenet.errors import CheckpointError, ContractError, UsageError, WeightsError
from facenet.evaluation.embedder import ModelSource, open_embedder, reopen_embedder, require_fingerprint
from facenet.models.registry import build_backbone
from facenet.training.checkpoint import newest


@pytest.fixture
def checkpoint(toy: str, tmp_path: Path) -> Path:
    """A checkpoint of a run in ``tmp_path/runs``."""
    folder = tmp_path / "runs" / "triplet-001"
    toy_trainer(folder, toy_config(epochs=1)).fit()
    path = newest(folder / "checkpoints", "best")
    assert path is not None
    return path


@pytest.fixture
def weights(toy: str, tmp_path: Path) -> Path:
    """A file of weights."""
    path = tmp_path / "toy.safetensors"
    save_file(build_backbone(toy, seed=5).state_dict(), path)
    return path


def test_a_checkpoint_keeps_its_contract(checkpoint: Path) -> None:
    embedder = open_embedder(checkpoint=checkpoint, device="cpu", precision="fp32")
    description = json.loads((checkpoint / "checkpoint.json").read_text())
    assert embedder.fingerprint == description["fingerprint"]
    assert embedder.preprocessing.to_dict() == description["preprocessing"]
    assert not embedder.preprocessing.finds_faces
    assert embedder.source == ModelSource("checkpoint", "toy", str(checkpoint))
    assert embedder.embedding_size == 16
    assert embedder.precision.startswith("fp32") and embedder.device.startswith("cpu")


def test_weights_cut_photos_as_published(toy: str, weights: Path) -> None:
    embedder = open_embedder(backbone=toy, pretrained=str(weights), device="cpu", precision="fp32")
    assert embedder.preprocessing == ToyBackbone().preprocessing.for_photos("five-point")
    trunk = build_backbone(toy, seed=5)
    assert embedder.fingerprint != trunk.fingerprint(), "cut faces and whole pictures are not to be compared"
    trunk.preprocessing = embedder.preprocessing
    assert embedder.fingerprint == trunk.fingerprint()
    faces = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = trunk.eval()(trunk.preprocessing.normalise(faces))
    torch.testing.assert_close(embedder.trunk(faces), expected, atol=1e-5, rtol=0)
    assert embedder.source == ModelSource("weights", toy, str(weights))


def test_precision_leaves_the_fingerprint(toy: str, weights: Path) -> None:
    opened = [open_embedder(backbone=toy, pretrained=str(weights), precision=name) for name in ("fp32", "bf16")]
    assert opened[0].fingerprint == opened[1].fingerprint
    assert [embedder.trunk.dtype for embedder in opened] == [torch.float32, torch.bfloat16]


def test_the_newest_checkpoint_unless_something_is_named(checkpoint: Path, weights: Path, toy: str) -> None:
    runs = checkpoint.parents[2]
    assert open_embedder(runs=runs).source.place == str(checkpoint)
    named = open_embedder(runs=runs, backbone=toy, pretrained=str(weights))
    assert named.source.kind == "weights"


def test_without_anything_vggface2_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match="vggface2"):
        open_embedder(runs=tmp_path / "runs", offline=True)


def test_what_contradicts_itself(checkpoint: Path, weights: Path, toy: str) -> None:
    with pytest.raises(UsageError, match="--checkpoint"):
        open_embedder(checkpoint=checkpoint, pretrained=str(weights))
    with pytest.raises(UsageError, match="--checkpoint"):
        open_embedder(checkpoint=checkpoint, backbone=toy)
    for untrained in ("none", "auto"):
        with pytest.raises(UsageError, match="recognise nobody"):
            open_embedder(backbone=toy, pretrained=untrained)
    with pytest.raises(UsageError, match="unknown backbone"):
        open_embedder(backbone="nonsense", pretrained=str(weights))


def test_what_is_not_there(tmp_path: Path, toy: str) -> None:
    with pytest.raises(CheckpointError):
        open_embedder(checkpoint=tmp_path / "gone")
    with pytest.raises(WeightsError):
        open_embedder(backbone=toy, pretrained=str(tmp_path / "gone.safetensors"))


def test_reopening_gives_the_same(checkpoint: Path, weights: Path, toy: str) -> None:
    for opened in (open_embedder(checkpoint=checkpoint), open_embedder(backbone=toy, pretrained=str(weights))):
        described = json.loads(json.dumps(opened.source.to_dict()))
        again = reopen_embedder(ModelSource.from_dict(described), opened.fingerprint)
        assert (again.fingerprint, again.preprocessing) == (opened.fingerprint, opened.preprocessing)


def test_reopening_another_model_is_refused(checkpoint: Path, weights: Path, toy: str) -> None:
    opened = open_embedder(backbone=toy, pretrained=str(weights))
    save_file(build_backbone(toy, seed=6).state_dict(), weights)
    with pytest.raises(ContractError) as raised:
        reopen_embedder(opened.source, opened.fingerprint)
    assert opened.fingerprint in str(raised.value) and "gallery reembed" in str(raised.value)


def test_reopening_what_is_gone_says_the_way_out(checkpoint: Path, weights: Path, toy: str) -> None:
    trained = open_embedder(checkpoint=checkpoint)
    shutil.rmtree(checkpoint)
    with pytest.raises(WeightsError, match="--checkpoint or --pretrained"):
        reopen_embedder(trained.source, trained.fingerprint)
    published = open_embedder(backbone=toy, pretrained=str(weights))
    weights.unlink()
    with pytest.raises(WeightsError, match="--checkpoint or --pretrained"):
        reopen_embedder(published.source, published.fingerprint)
    with pytest.raises(CheckpointError, match="unknown kind"):
        reopen_embedder(replace(published.source, kind="rumour"), published.fingerprint)


@pytest.mark.parametrize(
    "values", [{}, {"kind": "weights"}, {"kind": "weights", "backbone": "toy", "place": 3}, {"kind": 1, "a": 2, "b": 3}]
)
def test_a_description_that_cannot_be_read(values: dict[str, object]) -> None:
    with pytest.raises(CheckpointError):
        ModelSource.from_dict(values)


def test_fingerprints() -> None:
    require_fingerprint("a" * 32, "a" * 32)
    with pytest.raises(ContractError, match="aaa.*bbb.*gallery reembed"):
        require_fingerprint("aaa", "bbb")
