"""The folder of a report: written whole, replaced by another report, and never in place of anything else."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from known_embeddings import know, known_embedder, noisy, write_names

from facenet.errors import InputError, StorageError
from facenet.evaluation.studies import read_study
from facenet.evaluation.study import Study
from facenet.workflows import report
from facenet.workflows.report import require_report_folder, write_report
from facenet.workflows.study_pairs import verification_study
from facenet.workflows.study_shared import AS_USUAL


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Study:
    know(monkeypatch, noisy)
    monkeypatch.setattr(report, "report_files", lambda study, **_: {"index.html": b"page", "figures/roc.png": b"roc"})
    root = write_names(tmp_path / "people", people=4, pictures=3)
    return verification_study(known_embedder(), root, judging=replace(AS_USUAL, replicates=20))


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_report_and_another_in_its_place(study: Study, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "report"
    assert write_report(folder, study) == folder / "index.html"
    files = ["figures/roc.png", "index.html", "report.json", "study.json", "study.safetensors"]
    assert names(folder) == files and read_study(folder).label == study.label
    write_report(folder, replace(study, label="another"))
    assert names(folder) == files and read_study(folder).label == "another"
    assert [path.name for path in folder.parent.iterdir()] == ["report"]


def test_an_empty_folder_will_do(study: Study, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert write_report(tmp_path / "empty", study).is_file()


def test_what_is_not_ours_is_left_alone(study: Study, tmp_path: Path) -> None:
    folder = tmp_path / "report"
    write_report(folder, study)
    (folder / "my notes.txt").write_text("mine")
    for refused in (folder, tmp_path / "people"):
        before = names(refused)
        with pytest.raises(InputError, match="no part of a report"):
            write_report(refused, study)
        assert names(refused) == before
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="is a file"):
        require_report_folder(tmp_path / "file")
    (folder / "my notes.txt").unlink()
    (folder / "report.json").write_text("[")
    with pytest.raises(InputError, match="no report of ours"):
        require_report_folder(folder)


def test_an_earlier_report_survives_a_full_disk(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "report"
    write_report(folder, study)

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(report, "write_and_flush", full)
    with pytest.raises(StorageError, match="no space left"):
        write_report(folder, replace(study, label="another"))
    assert read_study(folder).label == study.label
    assert sorted(path.name for path in tmp_path.iterdir()) == ["people", "report"]
