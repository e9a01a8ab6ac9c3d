"""Run folders: numbered, never shared, and found again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from facenet.errors import StorageError
from facenet.training import runs as runs_module
from facenet.training.runs import RunFolder, create_run, list_runs, newest_checkpoint


def test_numbers_count_up(tmp_path: Path) -> None:
    runs = tmp_path / "deep" / "runs"
    names = [create_run(runs, task).path.name for task in ("triplet", "triplet", "classification", "triplet")]
    assert names == ["triplet-001", "triplet-002", "classification-001", "triplet-003"]
    (runs / "triplet-002").rmdir()
    assert create_run(runs, "triplet").path.name == "triplet-004"
    (runs / "triplet-1000").mkdir()
    assert create_run(runs, "triplet").path.name == "triplet-1001"


def test_two_processes_get_two_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_run(tmp_path, "triplet")
    # The other process made its folder after we looked.
    monkeypatch.setattr(runs_module, "list_runs", lambda runs, task: [])
    assert create_run(tmp_path, "triplet").path.name == "triplet-002"


def test_listing(tmp_path: Path) -> None:
    for name in ("triplet-002", "triplet-010", "classification-003", "triplet-1", "notes", "triplet-005.bak"):
        (tmp_path / name).mkdir()
    (tmp_path / "triplet-007").write_text("a file")
    assert [run.path.name for run in list_runs(tmp_path)] == ["triplet-002", "classification-003", "triplet-010"]
    assert [run.number for run in list_runs(tmp_path, "triplet")] == [2, 10]
    assert list_runs(tmp_path / "missing") == list_runs(tmp_path / "triplet-007") == []


def test_no_more_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs_module, "_MOST_RUNS", 3)
    create_run(tmp_path, "triplet")
    create_run(tmp_path, "triplet")
    with pytest.raises(StorageError, match="no free run number"):
        create_run(tmp_path, "triplet")


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StorageError, match="--run-dir"):
            create_run(place, "triplet")


def checkpoint(run: RunFolder, name: str, written: int) -> Path:
    path = run.checkpoints / name
    path.mkdir(parents=True)
    os.utime(path, ns=(written, written))
    return path


def test_the_newest_checkpoint_is_the_best_of_the_run_written_last(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path) is None
    first, second, head = (create_run(tmp_path, task) for task in ("triplet", "triplet", "classification"))
    assert newest_checkpoint(tmp_path) is None
    only_last = checkpoint(second, "last-00000004-0", 10)
    assert newest_checkpoint(tmp_path) == only_last
    best = checkpoint(first, "best-00000002-0", 20)
    checkpoint(first, "last-00000009-0", 30)
    assert newest_checkpoint(tmp_path) == best
    of_head = checkpoint(head, "best-00000000-0", 25)
    assert newest_checkpoint(tmp_path) == of_head
    assert newest_checkpoint(tmp_path, "triplet") == best
    assert first.resumable() == first.checkpoints / "last-00000009-0"
    assert head.resumable() is None
