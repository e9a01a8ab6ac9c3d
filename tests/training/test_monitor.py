"""Where numbers go: lines of JSON, TensorBoard, and what is dropped when a run goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from facenet.errors import StorageError
from facenet.training.monitor import Monitor, Silence, read_records
from facenet.training.runs import RunFolder


def step(number: int, epoch: int) -> dict[str, Any]:
    return {"step": number, "epoch": epoch, "loss": 1 / number, "images_per_second": 5.0, "seconds_left": 1.0}


def evaluation(number: int, epoch: int) -> dict[str, Any]:
    return {"step": number, "epoch": epoch, "metrics": {"roc_auc": 0.5 + number / 100}, "best": True}


def record(monitor: Monitor) -> None:
    """Two epochs of two steps."""
    monitor.evaluated(evaluation(0, 0))
    for number in range(1, 5):
        monitor.step(step(number, (number + 1) // 2))
        if number % 2 == 0:
            monitor.evaluated(evaluation(number, number // 2))


def kinds(run: RunFolder) -> list[tuple[str, int]]:
    return [(found["kind"], found["step"]) for found in read_records(run.metrics)]


WHOLE = [
    ("evaluation", 0), ("step", 1), ("step", 2), ("evaluation", 2), ("step", 3), ("step", 4), ("evaluation", 4),
]  # fmt: skip


def test_lines_and_events(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    with Monitor(run, Silence()) as monitor:
        record(monitor)
    assert kinds(run) == WHOLE
    assert json.loads(run.metrics.read_text().splitlines()[1]) == {"kind": "step", **step(1, 1)}
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    assert sorted(board.Tags()["scalars"]) == ["heldout/roc_auc", "train/images_per_second", "train/loss"]
    assert [(event.step, event.value) for event in board.Scalars("train/loss")] == [
        (number, pytest.approx(1 / number)) for number in range(1, 5)
    ]


@pytest.mark.parametrize(
    ("resumed_at", "kept"),
    [
        ((0, 0), WHOLE[:1]),
        ((0, 1), WHOLE[:2]),
        ((0, 2), WHOLE[:3]),
        ((1, 2), WHOLE[:4]),
        ((1, 3), WHOLE[:5]),
        ((2, 4), WHOLE),
    ],
)
def test_going_on_drops_what_is_done_again(tmp_path: Path, resumed_at: tuple[int, int], kept: list[Any]) -> None:
    run = RunFolder(tmp_path)
    with Monitor(run, Silence()) as monitor:
        record(monitor)
    with run.metrics.open("a") as stream:
        stream.write('{"kind": "step", "step": 5, "ep')
    with Monitor(run, Silence(), resumed_at=resumed_at) as monitor:
        assert kinds(run) == kept
        monitor.step(step(resumed_at[1] + 1, 9))
    assert kinds(run) == [*kept, ("step", resumed_at[1] + 1)]
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    assert [event.step for event in board.Scalars("train/loss")] == list(range(1, resumed_at[1] + 2))


def test_going_on_without_records(tmp_path: Path) -> None:
    with Monitor(RunFolder(tmp_path), Silence(), resumed_at=(3, 9)) as monitor:
        monitor.step(step(10, 4))
    assert kinds(RunFolder(tmp_path)) == [("step", 10)]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(StorageError, match="--run-dir"):
        Monitor(RunFolder(tmp_path), Silence())


@pytest.mark.parametrize("what", ["lines", "board"])
def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    def no_space(*given: object) -> None:
        raise OSError(28, "No space left on device")

    with Monitor(RunFolder(tmp_path), Silence()) as monitor:
        if what == "board":
            monkeypatch.setattr(monitor._board, "add_scalar", no_space)
        else:
            lines = type("Full", (), {"write": no_space, "close": monitor._lines.close})()
            monkeypatch.setattr(monitor, "_lines", lines)
        with pytest.raises(StorageError, match="no space left"):
            monitor.step(step(1, 1))
