"""``evaluate compare``: reports on the same comparisons are tested against each other, others are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import Main
from known_embeddings import direction, ideal, know, known_embedder, noisy, write_lfw, write_names

from facenet.evaluation.studies import study_files
from facenet.evaluation.study import Study
from facenet.workflows.study_pairs import lfw_study, verification_study
from facenet.workflows.study_shared import AS_USUAL

FAST = "--replicates=50"


def worse(path: Path) -> np.ndarray:
    """As ``noisy``, with more of what tells pictures of one person apart."""
    return direction(path.parent.name) + 2.5 * direction(str(path))


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, main: Main) -> Main:
    """Reports ``good``, ``bad`` and ``ideal`` on the same comparisons, ``other`` on others, and the pictures."""
    root = write_names(tmp_path / "people", people=10, pictures=5)
    for name, rule in (("good", noisy), ("bad", worse), ("ideal", ideal)):
        know(monkeypatch, rule)
        keep(tmp_path / name, verification_study(known_embedder(), root, judging=replace(AS_USUAL, label=name)))
    keep(tmp_path / "other", verification_study(known_embedder(), root, most=60))
    pairs = write_lfw(tmp_path / "pairs.txt", root, folds=5, pairs=8)
    for name, rule in (("good lfw", noisy), ("bad lfw", worse)):
        know(monkeypatch, rule)
        keep(tmp_path / name, lfw_study(known_embedder(), root, pairs, judging=replace(AS_USUAL, label=name)))
    return main


def keep(folder: Path, study: Study) -> None:
    """What a report leaves for later, without the page."""
    folder.mkdir()
    for name, data in study_files(study).items():
        (folder / name).write_bytes(data)


def test_one_is_better(reports: Main) -> None:
    words = ("evaluate", "compare", "good", "bad", "ideal", FAST)
    ended = reports(*words)
    assert ended.code == 0, ended.err
    assert "Verification of a folder's people: differences from good" in ended.out
    assert "bad: bad" in ended.err and "ideal: ideal" in ended.err
    found = {(one["key"], one["label"]): one for one in reports(*words, "--json").document["differences"]}
    lost, won = found["roc_auc", "bad"], found["roc_auc", "ideal"]
    assert lost["difference"] < 0 < won["difference"] and lost["adjusted_p"] < 0.05
    assert lost["interval"][1] < 0


def test_folds_are_compared_by_fold(reports: Main) -> None:
    document = reports("evaluate", "compare", "good lfw", "bad lfw", FAST, "--json").document
    (accuracy,) = (one for one in document["differences"] if one["key"] == "accuracy")
    assert "fold" in accuracy["test"] and accuracy["difference"] < 0


def test_the_same_model_twice(reports: Main) -> None:
    document = reports("evaluate", "compare", "good", "good", FAST, "--json").document
    assert all(one["difference"] == 0 and one["p"] in (None, 1) for one in document["differences"])
    assert len({one["label"] for one in document["differences"]}) == 1


def test_a_report_of_it(reports: Main) -> None:
    ended = reports("evaluate", "compare", "good", "bad", FAST, "--report=compared")
    assert ended.code == 0, ended.err
    assert ended.err.splitlines()[-1] == "written: compared/index.html"
    assert Path("compared/index.html").is_file() and Path("compared/comparison.json").is_file()


def test_mistakes(reports: Main) -> None:
    """One test for all, for the reports take longer to make than to be refused."""
    file = Path("bad/study.safetensors")
    for code, why, words in (
        (2, "required", ["good"]),
        (5, "", ["good", "other"]),
        (5, "", ["good", "good lfw"]),
        (4, "nowhere", ["good", "nowhere"]),
        (4, "people", ["good", "people"]),
        (2, "holds what is to be compared", ["good", "bad", "--report=good"]),
        (3, "no part of a report", ["good", "bad", "--report=people"]),
        (2, "at least 1", ["good", "bad", "--replicates=0"]),
        (2, "must not be negative", ["good", "bad", "--seed=-1"]),
    ):
        ended = reports("evaluate", "compare", *words)
        assert (ended.code, ended.out) == (code, ""), (words, ended.err)
        assert why in ended.error
    file.write_bytes(file.read_bytes()[:-100])
    ended = reports("evaluate", "compare", "good", "bad")
    assert ended.code in (3, 4) and "bad" in ended.error
