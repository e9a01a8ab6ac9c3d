"""Training around reference pictures, with sampled triplets and with pairs, and what ``evaluate`` says afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import Main
from PIL import Image

from facenet.evaluation.studies import read_study

TOY = ("--backbone=toy", "--pretrained=none", "--precision=fp32", "--device=cpu", "--bs=8", "--ep=2")
ANCHORS = ("--anchor=script", "--holdout-keep=script")
PAIRS = {"pair_accuracy", "pair_f1", "pair_roc_auc", "pair_loss"}


@pytest.fixture
def six(tmp_path: Path) -> Path:
    """Six people with a reference picture and five others each: a pattern of their own under noise."""
    rng = np.random.default_rng(5)
    for person in range(6):
        folder = tmp_path / "six" / f"person {person}"
        folder.mkdir(parents=True)
        pattern = rng.integers(40, 216, (6, 6, 3)).repeat(6, 0).repeat(6, 1)
        for name in ("1-SCRIPT", "2", "3", "4", "5", "6"):
            noisy = (pattern + rng.normal(0, 60, pattern.shape)).clip(0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(folder / f"{name}.png")
    return tmp_path / "six"


@pytest.mark.slow
@pytest.mark.usefixtures("toy")
def test_pairs_around_reference_pictures(main: Main, six: Path) -> None:
    train = ("train", "siamese", f"--rootdir={six}", "--primary=pair_f1", *ANCHORS, *TOY)
    ended = main(*train)
    assert ended.code == 0, ended.err
    assert "batches: 8 pairs, " in ended.err
    best = json.loads(Path("runs/siamese-001/summary.json").read_text())["best"]
    assert set(best) >= PAIRS

    evaluated = main("evaluate", f"--rootdir={six}", "--device=cpu", "--precision=fp32", "--json")
    assert evaluated.code == 0, evaluated.err
    metrics, pairs = evaluated.document["metrics"], evaluated.document["pairs"]
    for name in PAIRS:
        assert metrics[name] == pytest.approx(best[name], abs=1e-5)
    assert pairs["f1"] == metrics["pair_f1"] and pairs["always_f1"] == pytest.approx(2 / 3)
    # Each picture held out is compared with the one reference of its person.
    assert pairs["genuine"] == pairs["impostor"] == evaluated.document["pictures"]
    assert set(evaluated.document["reasons"]) == {"classification"}

    shown = main("evaluate", f"--rootdir={six}", "--device=cpu", "--precision=fp32", "--report=out", "--no-pictures")
    assert shown.code == 0, shown.err
    assert "pairs: F1" in shown.out and f"{pairs['f1']:.4f}" in shown.out and "0.6667" in shown.out
    study = read_study(Path("out"))
    for name in PAIRS - {"pair_loss"}:
        found = study.finding(name)
        assert found is not None and found.value == pytest.approx(metrics[name]), name


@pytest.mark.slow
@pytest.mark.usefixtures("toy")
def test_pairs_alone_on_people_held_out(main: Main, six: Path) -> None:
    ended = main(
        "train", "siamese", f"--rootdir={six}", "--primary=pair_roc_auc", "--measure=pairs", "--holdout-people=3",
        "--trainable=head", "--augmentation=none", *TOY,
    )  # fmt: skip
    assert ended.code == 0, ended.err
    evaluated = main("evaluate", f"--rootdir={six}", "--device=cpu", "--json")
    assert evaluated.code == 0, evaluated.err
    document = evaluated.document
    assert set(document["metrics"]) == PAIRS
    assert (document["heldout"], document["people"], document["pictures"]) == ("people", 3, 18)
    # Any two of each person's six pictures.
    assert document["pairs"]["genuine"] == document["pairs"]["impostor"] == 3 * 15
    reported = main("evaluate", f"--rootdir={six}", "--device=cpu", "--report=out")
    assert reported.code == 0, reported.err
    assert "pairs: F1" in Path("out/index.html").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize("loss", ["squared-l2", "mean-difference"])
def test_sampled_triplets_around_reference_pictures(main: Main, six: Path, loss: str) -> None:
    ended = main("train", "triplet", f"--rootdir={six}", "--triplets=sampled", f"--loss={loss}", *ANCHORS, *TOY)
    assert ended.code == 0, ended.err
    assert "batches: 8 triplets, " in ended.err
    evaluated = main("evaluate", f"--rootdir={six}", "--device=cpu")
    assert evaluated.code == 0, evaluated.err
    assert "verification: ROC AUC" in evaluated.out and "pairs: F1" not in evaluated.out
    assert "no classification: no classification head" in evaluated.err and "no pairs" not in evaluated.err


@pytest.mark.usefixtures("toy")
def test_people_without_a_reference_picture(main: Main, six: Path) -> None:
    train = ("train", "siamese", f"--rootdir={six}", "--primary=pair_f1", "--anchor=script", *TOY)
    ended = main(*train, "--holdout-images=0.8")
    assert ended.code == 3
    assert "'script' in their names are held out" in ended.error and "--holdout-keep script" in ended.error
    for person in (1, 4):
        (six / f"person {person}" / "1-SCRIPT.png").rename(six / f"person {person}" / "1.png")
    ended = main(*train, "--holdout-keep=script")
    assert ended.code == 3
    assert "2 of 6 people" in ended.error and "person 1, person 4" in ended.error
    assert not Path("runs").exists()
