"""``predict`` as typed: what it prints, what it writes, and how it ends."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from command_line import Main
from patterns import pattern_pictures, write_patterns
from PIL import Image
from toys import NAMES, toy_config, toy_trainer

from facenet.training.runs import RunFolder

SIX = {f"person {number}": number for number in range(6)}


@pytest.fixture
def predict(main: Main, toy: str) -> Main:
    """``predict`` beside a run of the toy with a head that knows six people."""
    toy_trainer(Path("runs/classification-001"), toy_config(task="classification", primary="accuracy", epochs=1)).fit()
    return lambda *words: main("predict", *words, "--device=cpu", "--precision=fp32")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two pictures of persons and one that is none."""
    folder = write_patterns(tmp_path / "pictures", {"Ada": 1, "Bo": 2}, count=1)
    (folder / "broken\nname.jpg").touch()
    return folder


def test_for_people(predict: Main, pictures: Path) -> None:
    ended = predict(pictures)
    assert ended.code == 0, ended.err
    assert "3 pictures" in ended.out and "whole picture" in ended.out and "unreadable: empty" in ended.out
    assert "2 faces classified in 3 pictures: 2 predicted, 1 unreadable" in ended.out
    assert "person " in ended.out and "broken\nname" not in ended.out
    assert "runs/classification-001/checkpoints/best-" in ended.err and "6 classes" in ended.err


def test_as_json(predict: Main, pictures: Path) -> None:
    document = predict(pictures, "--json", "--top-k=9").document
    assert document["classes"] == list(NAMES) and document["pictures"] == 3 and document["table"] is None
    assert document["counts"] == {"predicted": 2, "unreadable": 1}
    for one in document["predictions"][:2]:
        assert sum(found["probability"] for found in one["classes"]) == pytest.approx(1)
        assert {found["name"] for found in one["classes"]} == set(NAMES)
    assert document["fingerprint"] and document["device"].startswith("cpu")
    assert len(predict(pictures, "--json").document["predictions"][0]["classes"]) == 5


def test_a_table(predict: Main, pictures: Path, tmp_path: Path) -> None:
    ended = predict(pictures, "--out", "two\nlines.csv", "--top-k=1", "--aligned", "--faces=all", "--bs=1")
    assert ended.code == 0 and ended.err.splitlines()[-1] == "written: two\\nlines.csv"
    with Path("two\nlines.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["status"] for row in rows] == ["predicted", "predicted", "unreadable"]
    assert "class_1" in rows[0] and "class_2" not in rows[0]


def test_ends_with_3_if_no_picture_could_be_used(predict: Main, pictures: Path) -> None:
    ended = predict(pictures / "broken\nname.jpg")
    assert ended.code == 3 and "not one picture could be used" in ended.err and "unreadable" in ended.out
    assert predict(pictures / "broken\nname.jpg", "--json").document["counts"] == {"unreadable": 1}


def test_a_named_checkpoint(predict: Main, pictures: Path) -> None:
    source = RunFolder(Path("runs/classification-001")).usable()
    assert source is not None
    moved = shutil.move(source, "kept")
    assert predict(pictures, "--checkpoint", moved, "--run-dir=nowhere", "--json").document["checkpoint"] == "kept"


def test_refused(predict: Main, pictures: Path, tmp_path: Path) -> None:
    assert predict(tmp_path / "gone").code == 4
    ended = predict(pictures, "--run-dir=nowhere")
    assert ended.code == 4 and "--train-module classification" in ended.error
    ended = predict(pictures, "--checkpoint", pictures)
    assert ended.code == 4 and "error: " in ended.error
    assert predict(pictures, "--out", pictures).code == 2
    for words in ([], [pictures, "--top-k=0"], [pictures, "--bs=0"], [pictures, "--faces=some"], [pictures, "--k=3"]):
        assert predict(*words).code == 2


def test_a_checkpoint_without_a_head_over_people(main: Main, toy: str, pictures: Path) -> None:
    for task in ("triplet", "siamese"):
        trainer = toy_trainer(Path(f"runs/{task}-001"), toy_config(task=task, epochs=1))
        trainer.fit()
        checkpoint = trainer.run.resumable()
        assert checkpoint is not None
        ended = main("predict", pictures, f"--checkpoint={checkpoint}", "--device=cpu")
        assert ended.code == 4 and len(ended.err.splitlines()) == 1 and not ended.out
        assert f"{checkpoint} has no classification head: train one with" in ended.error


def test_names_of_classes_stay_on_their_lines(main: Main, toy: str, tmp_path: Path) -> None:
    root = write_patterns(tmp_path / "people", {"A\nda": 1, "B\x1b[31mo": 2, "[bold]Cy": 3}, count=5)
    flags = ("--backbone=toy", "--pretrained=none", "--precision=fp32", "--bs=4", "--device=cpu", "--ep=1")
    assert main("train", "classification", f"--rootdir={root}", "--trainable=all", *flags).code == 0
    ended = main("predict", root / "[bold]Cy" / "0.png", "--device=cpu")
    assert ended.code == 0 and "\x1b" not in ended.out and "\nda " not in ended.out
    for name in ("A\\nda", "B\\x1b[31mo", "[bold]Cy"):
        assert name in ended.out
    named = main("predict", root / "[bold]Cy" / "0.png", "--device=cpu", "--json").document["predictions"][0]["classes"]
    assert {one["name"] for one in named} == {"A\nda", "B\x1b[31mo", "[bold]Cy"}


def test_after_the_original_command_lines(main: Main, toy: str, tmp_path: Path) -> None:
    root = write_patterns(tmp_path / "people", SIX, count=6)
    toy_flags = ("--backbone=toy", "--pretrained=none", "--precision=fp32", "--bs=8", "--images-per-person=2")
    assert main("train", "triplet", f"--rootdir={root}", "--ep=1", "--device=cpu", *toy_flags).code == 0
    refused = main("predict", root)
    assert refused.code == 4 and "--train-module classification" in refused.error
    trained = main("train", "classification", f"--rootdir={root}", "--ep=40", "--lr=0.1", "--device=cpu")
    assert trained.code == 0, trained.err
    Path("new").mkdir()
    for name, seed in SIX.items():
        Image.fromarray(np.asarray(pattern_pictures(seed, 9)[8])).save(Path("new") / f"{name}.png")
    document = main("predict", "new", "--json", "--device=cpu").document
    right = [one["classes"][0]["name"] == Path(one["path"]).stem for one in document["predictions"]]
    assert len(right) == 6 and sum(right) >= 5
