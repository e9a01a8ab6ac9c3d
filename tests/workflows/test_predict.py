"""``predict``: every picture is answered, and the probabilities are those of the head, nothing else's."""

from __future__ import annotations

import csv
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scenes import RedDetector, paint, save, toy_embedder
from toys import NAMES, toy_config, toy_faces, toy_trainer

from facenet.detection.faces import Policy
from facenet.errors import CheckpointError, InputError, MissingError, StorageError, UsageError
from facenet.evaluation import photos
from facenet.models.heads import Head, build_head
from facenet.training.checkpoint import load_model
from facenet.training.runs import RunFolder
from facenet.workflows.classifier import Classifier, open_classifier
from facenet.workflows.predict import predict_pictures
from facenet.workflows.predictions import Status

NASTY = ("[b]bold", "line\nbreak", 'comma, "quote"', "\udcff no utf-8")


@pytest.fixture(autouse=True)
def red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos, "Detector", lambda device: RedDetector())


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    """A toy network with an untrained head of four classes; finds faces in photos."""
    return Classifier(Path("toy"), toy_embedder(), build_head("linear", 16, 4, seed=3).eval(), NASTY)


@pytest.fixture
def runs(tmp_path: Path, toy: str) -> Path:
    """A run without a head and an older one with a head that knows six people."""
    head = toy_config(task="classification", primary="accuracy", epochs=12)
    toy_trainer(tmp_path / "runs" / "classification-001", head).fit()
    toy_trainer(tmp_path / "runs" / "triplet-001", toy_config(epochs=1)).fit()
    for age, name in enumerate(("triplet-001", "classification-001")):
        for path in RunFolder(tmp_path / "runs" / name).checkpoints.iterdir():
            os.utime(path, (1_000_000 - age, 1_000_000 - age))
    return tmp_path / "runs"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four photos: two faces, one, none, a broken one; and a file of a kind that is not read."""
    folder = tmp_path / "photos"
    save(folder / "1 two.png", paint(90, 200, (10, 10, 60, 60), (100, 10, 170, 80)))
    save(folder / "2 one.png", paint(90, 120, (10, 10, 60, 60), seed=1))
    save(folder / "3 none.png", paint(60, 60))
    (folder / "4 broken.jpg").touch()
    (folder / "5 moving.gif").touch()
    return folder


def slow_softmax(scores: NDArray[np.float32]) -> list[float]:
    shifted = [float(score) - float(max(scores)) for score in scores]
    powers = [np.exp(np.float64(score)) for score in shifted]
    return [float(power / sum(powers)) for power in powers]


def lines(table: Path) -> list[dict[str, str]]:
    with table.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_photo_is_answered(root: Path, classifier: Classifier) -> None:
    told: list[tuple[int, int | None]] = []
    found = predict_pictures([root], classifier, policy=Policy.ALL, progress=lambda *now: told.append(now))
    assert told == [(done, 4) for done in range(1, 5)]
    assert [(one.path.name, one.status, one.face) for one in found.predictions] == [
        ("1 two.png", Status.PREDICTED, 0),
        ("1 two.png", Status.PREDICTED, 1),
        ("2 one.png", Status.PREDICTED, 0),
        ("3 none.png", Status.NO_FACE, None),
        ("4 broken.jpg", Status.UNREADABLE, None),
    ]
    assert [one.reason for one in found.predictions] == ["", "", "", "no face found", "empty file"]
    assert (found.pictures, found.faces) == (4, 3)
    assert found.counts == {"predicted": 3, "no_face": 1, "unreadable": 1}
    assert [Path(entry.path).name for entry in found.left_out] == ["5 moving.gif"]
    largest, other = found.predictions[:2]
    assert largest.found is not None and largest.found.box == (100, 10, 170, 80)
    assert other.found is not None and other.found.box == (10, 10, 60, 60)
    assert found.predictions[3].to_dict() == {
        "path": str(root / "3 none.png"),
        "status": "no_face",
        "reason": "no face found",
        "face": None,
        "box": None,
        "detection": None,
        "quality": None,
        "classes": [],
    }
    json.dumps(found.to_dict(), allow_nan=False)


def test_which_face_is_meant(root: Path, classifier: Classifier) -> None:
    def left(policy: Policy) -> float:
        (one,) = predict_pictures([root / "1 two.png"], classifier, policy=policy).predictions
        assert one.found is not None
        return one.found.box[0]

    assert left(Policy.LARGEST) == 100 and left(Policy.PROBABLE) == 10 and left(Policy.CENTRAL) == 100
    (whole,) = predict_pictures([root / "3 none.png"], classifier, aligned=True).predictions
    assert whole.status is Status.PREDICTED and whole.found is None


@pytest.mark.parametrize("kind", ["linear", "arcface", "cosface"])
def test_probabilities_are_the_softmax_of_the_head(root: Path, classifier: Classifier, kind: str) -> None:
    head = build_head(kind, 16, 4, seed=5).eval()
    mine = replace(classifier, head=head)
    (photo,) = photos.read_photos([root / "2 one.png"], mine.embedder)
    embedding = photo.faces[0].embedding
    with torch.no_grad():
        (scores,) = head.logits(torch.from_numpy(embedding[np.newaxis])).numpy()
    expected = dict(zip(NASTY, slow_softmax(scores), strict=True))
    (one,) = predict_pictures([root / "2 one.png"], mine).predictions
    assert {name: p for name, p in one.classes} == pytest.approx(expected, abs=1e-9)
    assert [name for name, _ in one.classes] == sorted(NASTY, key=lambda name: -expected[name])
    assert sum(p for _, p in one.classes) == pytest.approx(1, abs=1e-12)
    (short,) = predict_pictures([root / "2 one.png"], mine, top_k=2).predictions
    assert short.classes == one.classes[:2]


def test_batches_change_nothing(root: Path, classifier: Classifier) -> None:
    one, many = (predict_pictures([root], classifier, policy=Policy.ALL, batch_size=size) for size in (1, 32))
    for first, second in zip(one.predictions, many.predictions, strict=True):
        assert [name for name, _ in first.classes] == [name for name, _ in second.classes]
        np.testing.assert_allclose([p for _, p in first.classes], [p for _, p in second.classes], atol=1e-5)


class Constant(Head):
    """Scores that are given, whatever the embedding."""

    def __init__(self, scores: list[float]) -> None:
        super().__init__()
        self.scores = torch.tensor(scores)

    def logits(self, embeddings: torch.Tensor) -> torch.Tensor:
        return self.scores.expand(len(embeddings), -1)

    def loss(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        raise AssertionError("predicting asks for no loss")


def test_of_equal_classes_the_first_comes_first_and_sure_ones_do_not_overflow(
    root: Path, classifier: Classifier
) -> None:
    names = tuple(f"class {number}" for number in range(200))
    mine = replace(classifier, head=Constant([0.0, 1.0] * 100), classes=names)
    (one,) = predict_pictures([root / "2 one.png"], mine, top_k=200).predictions
    assert tuple(name for name, _ in one.classes) == names[1::2] + names[::2]
    sure = replace(classifier, head=Constant([-3e38, 3e38, 0.0, 0.0]))
    (one,) = predict_pictures([root / "2 one.png"], sure).predictions
    assert one.classes[0] == (NASTY[1], 1.0) and one.classes[-1].probability == 0


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), float("-inf")])
def test_scores_that_are_no_numbers_are_refused(root: Path, classifier: Classifier, wrong: float) -> None:
    broken = replace(classifier, head=Constant([0.0, wrong, 1.0, 0.0]))
    with pytest.raises(CheckpointError, match="no numbers"):
        predict_pictures([root], broken)


def test_the_table(root: Path, tmp_path: Path, classifier: Classifier) -> None:
    table = tmp_path / "deep" / "out.csv"
    found = predict_pictures([root], classifier, policy=Policy.ALL, top_k=3, out=table)
    assert found.table == table
    rows = lines(table)
    assert [row["status"] for row in rows] == ["predicted"] * 3 + ["no_face", "unreadable", "left_out"]
    assert [row["reason"] for row in rows[3:5]] == ["no face found", "empty file"]
    assert list(rows[0])[-6:] == ["class_1", "probability_1", "class_2", "probability_2", "class_3", "probability_3"]
    for row, one in zip(rows, found.predictions, strict=False):
        assert row["path"] == str(one.path)
        for rank, (name, probability) in enumerate(one.classes, start=1):
            assert row[f"class_{rank}"] == name.encode("utf-8", "backslashreplace").decode()
            assert float(row[f"probability_{rank}"]) == pytest.approx(probability, abs=5e-7)
    assert rows[0]["left"] == "100.00" and rows[1]["face"] == "1" and rows[3]["class_1"] == rows[3]["left"] == ""
    predict_pictures([root / "2 one.png"], classifier, out=table)
    assert len(lines(table)) == 1 and "class_4" in lines(table)[0]
    assert [path.name for path in table.parent.iterdir()] == ["out.csv"]


def test_nothing_foreign_is_replaced(root: Path, tmp_path: Path, classifier: Classifier) -> None:
    mine = tmp_path / "mine.csv"
    mine.write_text("path,what I think\n")
    with pytest.raises(InputError, match="not one of ours"):
        predict_pictures([root], classifier, out=mine)
    assert mine.read_text() == "path,what I think\n"
    with pytest.raises(InputError, match="one of the pictures"):
        predict_pictures([root], classifier, out=root / ".." / "photos" / "2 one.png")
    assert Image.open(root / "2 one.png").size == (120, 90)
    with pytest.raises(UsageError, match="is a folder"):
        predict_pictures([root], classifier, out=root)
    with pytest.raises(StorageError, match="cannot write"):
        predict_pictures([root], classifier, out=mine / "below.csv")


def test_bad_input(root: Path, tmp_path: Path, classifier: Classifier) -> None:
    with pytest.raises(UsageError, match="at least 1 class"):
        predict_pictures([root], classifier, top_k=0)
    with pytest.raises(UsageError, match="at least 1 at a time"):
        predict_pictures([root], classifier, batch_size=0)
    with pytest.raises(MissingError, match="no file or folder"):
        predict_pictures([tmp_path / "gone"], classifier)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no pictures"):
        predict_pictures([tmp_path / "empty"], classifier)


def test_the_newest_checkpoint_with_a_head(runs: Path, tmp_path: Path) -> None:
    found = open_classifier(runs=runs, device="cpu", precision="fp32")
    assert found.checkpoint.parent.parent.name == "classification-001" and found.classes == NAMES
    model, description = load_model(found.checkpoint)
    assert found.embedder.fingerprint == description.fingerprint
    assert found.embedder.device.startswith("cpu") and found.embedder.precision.startswith("fp32")

    faces, labels = toy_faces()
    for number, face in enumerate(faces):
        save(tmp_path / "faces" / f"{number:02d}.png", face.permute(1, 2, 0).numpy())
    predicted = predict_pictures([tmp_path / "faces"], found, top_k=len(NAMES))
    assert model.head is not None
    with torch.no_grad():
        expected = torch.softmax(model.head.logits(model(model.trunk.preprocessing.normalise(faces))), 1)
    got = [[dict(one.classes)[name] for name in NAMES] for one in predicted.predictions]
    np.testing.assert_allclose(got, expected, atol=1e-5)
    # The ideal case: it was trained on these very pictures.
    right = [one.classes[0].name == NAMES[label] for one, label in zip(predicted.predictions, labels, strict=True)]
    assert np.mean(right) > 0.9


def test_checkpoints_without_a_head(runs: Path, tmp_path: Path) -> None:
    (headless,) = RunFolder(runs / "triplet-001").checkpoints.glob("best-*")
    with pytest.raises(CheckpointError, match="has no classification head: train one with .*classification"):
        open_classifier(headless, device="cpu")
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        open_classifier(tmp_path / "gone", device="cpu")
    shutil.rmtree(runs / "classification-001")
    with pytest.raises(CheckpointError, match=r"no checkpoint with a classification head in .*train one with"):
        open_classifier(runs=runs, device="cpu")
    with pytest.raises(CheckpointError, match=r"train one with"):
        open_classifier(runs=tmp_path / "nowhere", device="cpu")


def test_a_damaged_newer_checkpoint_is_not_passed_over(runs: Path) -> None:
    for path in RunFolder(runs / "triplet-001").checkpoints.iterdir():
        (path / "checkpoint.json").write_text("{")
    with pytest.raises(CheckpointError, match="triplet-001"):
        open_classifier(runs=runs, device="cpu")
