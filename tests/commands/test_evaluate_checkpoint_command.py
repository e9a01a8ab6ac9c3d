"""Bare ``evaluate`` with a report, and ``evaluate classification``."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import Main
from PIL import Image

from facenet.evaluation.studies import read_study

FAST = "--replicates=20"
TOY = ("--backbone=toy", "--pretrained=none", "--precision=fp32", "--device=cpu", "--bs=8", "--images-per-person=2")


@pytest.fixture
def six(tmp_path: Path) -> Path:
    """Six people with six pictures each: a pattern of their own under noise."""
    rng = np.random.default_rng(5)
    for person in range(6):
        folder = tmp_path / "six" / f"person {person}"
        folder.mkdir(parents=True)
        pattern = rng.integers(40, 216, (6, 6, 3)).repeat(6, 0).repeat(6, 1)
        for number in range(6):
            noisy = (pattern + rng.normal(0, 60, pattern.shape)).clip(0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(folder / f"{number}.png")
    return tmp_path / "six"


@pytest.fixture
def trained(main: Main, toy: str, six: Path) -> Main:
    """The command line beside a run of the toy with triplets."""
    assert main("train", "triplet", f"--rootdir={six}", "--ep=1", *TOY).code == 0
    return main


@pytest.fixture
def headed(trained: Main, six: Path) -> Main:
    """The same with a head."""
    assert trained("train", "classification", f"--rootdir={six}", "--device=cpu", "--ep=3").code == 0
    return trained


@pytest.mark.slow
def test_the_report_has_the_figures_of_the_evaluation(headed: Main, six: Path) -> None:
    words = ("evaluate", f"--rootdir={six}", "--device=cpu")
    plain = headed(*words, "--json")
    reported = headed(*words, "--json", "--report=out", "--label=mine")
    assert plain.code == reported.code == 0, reported.err
    assert plain.document == reported.document and reported.err.splitlines()[-1] == "written: out/index.html"
    study = read_study(Path("out"))
    assert (study.protocol, study.label) == ("checkpoint", "mine")
    metrics: dict[str, Any] = reported.document["metrics"]
    assert {"roc_auc", "eer", "balanced_accuracy", "rank_1", "accuracy", "macro_f1"} <= set(metrics)
    # The loss is there to follow a run by; a report has the calibration instead.
    for key in metrics.keys() - {"loss"}:
        value, found = metrics[key], study.finding(key)
        assert found is not None and found.value == pytest.approx(value, abs=1e-6), key
    assert study.comparisons is not None and study.searches is not None and study.classification is not None
    assert len(study.samples) == len(study.comparisons.owners)
    held = {study.samples[row] for row in study.searches.mated_samples}
    assert len(held) == reported.document["pictures"]
    shown = headed(*words, "--report=out", "--no-pictures")
    assert shown.code == 0 and "verification: ROC AUC" in shown.out


@pytest.mark.slow
def test_people_held_out(trained: Main, six: Path) -> None:
    assert trained("train", "triplet", f"--rootdir={six}", "--ep=1", "--holdout-people=3", *TOY).code == 0
    ended = trained("--train", "0", f"--rootdir={six}", "--device=cpu", "--json", "--report=out")
    assert ended.code == 0, ended.err
    study = read_study(Path("out"))
    assert study.title == "Checkpoint on people never trained on"
    assert any("no classification" in notice for notice in study.notices)
    for key, value in ended.document["metrics"].items():
        assert study.finding(key).value == pytest.approx(value, abs=1e-6), key  # type: ignore[union-attr]


def test_a_place_where_no_report_may_go_is_refused_before_the_work(trained: Main, six: Path) -> None:
    ended = trained("evaluate", f"--rootdir={six}", "--report", six)
    assert ended.code == 3 and "no part of a report" in ended.error
    assert not list(Path("runs").rglob("evaluation.json"))


def test_classification(headed: Main, six: Path, tmp_path: Path) -> None:
    words = ("evaluate", "classification", "--device=cpu", FAST)
    ended = headed(*words, "--data", six, "--k=2")
    assert ended.code == 0, ended.err
    assert "Top-2" in ended.out and "Confusion" in ended.out and "not checked whether" in ended.err
    document = headed(*words, "--data", six, "--json").document
    assert {"accuracy", "top_5", "balanced_accuracy", "macro_f1", "weighted_f1", "ece"} <= set(document["findings"])
    assert document["about"]["counts"]["pictures"] == 36 and len(document["classification"]["people"]) == 6
    some = shutil.copytree(six, tmp_path / "some", ignore=shutil.ignore_patterns("person 0", "person 1"))
    assert headed(*words, "--data", some, "--json").document["about"]["counts"]["people"] == 4
    (some / "person 2").rename(some / "[b] unknown")
    refused = headed(*words, "--data", some)
    assert refused.code == 3 and "does not know 1 of 4 people: [b] unknown" in refused.error


def test_pictures_that_cannot_be_classified_are_wrong(headed: Main, six: Path) -> None:
    words = ("evaluate", "classification", "--data", six, "--device=cpu", FAST)
    before = headed(*words, "--json").document["classification"]
    for number in range(3):
        (six / "person 0" / f"{number}.png").write_bytes(b"no picture" + bytes([number]))
    assert headed(*words).code == 3
    after = headed(*words, "--missing=as-failure", "--json").document["classification"]
    assert sum(after["pictures_per_person"]) == 36
    assert after["confusion"][0][0] <= min(3, before["confusion"][0][0])


def test_a_checkpoint_without_a_head(trained: Main, six: Path) -> None:
    ended = trained("evaluate", "classification", "--data", six)
    assert ended.code == 4 and "no checkpoint with a classification head in runs" in ended.error
    ended = trained("evaluate", "classification", "--data", six, "--pretrained=vggface2")
    assert ended.code == 2 and "have no head" in ended.error
    ended = trained("evaluate", "classification", "--data", six, "--run-dir=nowhere")
    assert ended.code == 4 and "no checkpoint with a classification head in nowhere" in ended.error
    ended = trained("evaluate", "classification", "--data", six, "--flip=concat")
    assert ended.code == 2 and "--flip concat" in ended.error
