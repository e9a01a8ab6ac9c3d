"""Networks other than the face networks, through the whole command line: train, evaluate, embed, classify, resume."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from command_line import Main

from facenet.models.registry import build_backbone

CPU = ("--device=cpu", "--json")


@pytest.mark.parametrize(
    ("name", "size"),
    [
        pytest.param("resnet18", 512, marks=pytest.mark.slow),
        ("timm:test_vit", 64),
    ],
)
def test_train_evaluate_embed_and_classify(name: str, size: int, main: Main, drawn_people: Path) -> None:
    folder = f"--rootdir={drawn_people}"
    settings = ("--pretrained=none", "--ep=1", "--bs=8", "--precision=fp32")
    trained = main("train", "triplet", f"--backbone={name}", folder, *settings, *CPU).document
    assert trained["config"]["backbone"] == name
    again = main("--train-module=inception", folder, "--check=1", "--ep=2", *CPU).document
    assert again["run"] == trained["run"] and again["config"]["backbone"] == name
    evaluated = main("--train=0", folder, "--precision=fp32", *CPU).document
    assert evaluated["metrics"]["roc_auc"] == pytest.approx(again["best"]["roc_auc"], abs=1e-3)

    done = main("embed", drawn_people, "--aligned", "--out=vectors", "--precision=fp32", *CPU)
    assert done.code == 0, done.err
    embeddings = safetensors.numpy.load_file("vectors.safetensors")["embeddings"]
    assert embeddings.shape == (36, size)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)

    head = main("--train-module=classification", folder, "--ep=1", "--bs=8", "--precision=fp32", *CPU).document
    assert head["config"]["backbone"] == name
    assert "accuracy" in main("--train=0", folder, *CPU).document["metrics"]


def test_weights_from_a_file_embed_as_the_backbone_does(main: Main, drawn_people: Path, tmp_path: Path) -> None:
    backbone = build_backbone("resnet18", seed=3).eval()
    torch.save(backbone.state_dict(), "resnet18.pth")
    person = sorted(drawn_people.iterdir())[0]
    picture = sorted(person.iterdir())[0]
    model = ("--backbone=resnet18", "--pretrained=resnet18.pth", "--precision=fp32")
    done = main("embed", picture, "--aligned", "--out=one", *model, *CPU)
    assert done.code == 0, done.err
    with torch.no_grad():
        contract = backbone.preprocessing
        expected = backbone(contract.normalise(contract.load(picture)[None])).numpy()
    found = safetensors.numpy.load_file("one.safetensors")["embeddings"]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_what_cannot_be_had_is_said_before_anything_is_read(main: Main, drawn_people: Path) -> None:
    folder = f"--rootdir={drawn_people}"
    unknown = main("train", "triplet", "--backbone=resnet81", folder, "--pretrained=none")
    assert unknown.code == 2 and "did you mean resnet18?" in unknown.error
    absent = main("train", "triplet", "--backbone=vgg16", folder, "--pretrained=imagenet", "--offline")
    assert absent.code == 4 and "vgg16-397923af.pth" in absent.error and "checkpoints" in absent.error
    foreign = main("train", "triplet", "--backbone=resnet18", folder, "--pretrained=vggface2", "--offline")
    assert foreign.code == 2 and "unknown weights vggface2 of resnet18: known are imagenet" in foreign.error
