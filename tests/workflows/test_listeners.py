"""Listeners for Python: enough for a whole job, silent or in lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from patterns import write_patterns

from facenet.workflows.listeners import evaluation_line
from facenet.workflows.train import Job, Lines, Silence, train


@pytest.fixture
def job(toy: str, tmp_path: Path) -> Job:
    """One epoch of the toy on six people; the pretrained weights it would like are not to be had."""
    root = write_patterns(tmp_path / "six", {f"person {number}": number + 1 for number in range(6)}, count=6)
    settings: dict[str, Any] = {
        "backbone": toy, "precision": "fp32", "epochs": 1, "batch_size": 8, "images_per_person": 2, "workers": 0,
    }  # fmt: skip
    return Job("triplet", root, tmp_path / "runs", settings, device="cpu", offline=True)


def test_silence_is_enough(job: Job, capfd: pytest.CaptureFixture[str]) -> None:
    outcome = train(job, Silence()).outcome
    assert outcome is not None and outcome.status == "finished"
    assert capfd.readouterr() == ("", "")
    Silence().bar("anything")(1, None)


def test_lines(job: Job, capfd: pytest.CaptureFixture[str]) -> None:
    lines: list[str] = []
    train(job, Lines(lines.append))
    assert capfd.readouterr() == ("", "")
    assert not [line for line in lines if "\n" in line]
    assert lines[0] == "device: cpu (asked for); precision: fp32 (asked for)"
    assert any(line.startswith("WARNING: no pretrained weights for toy") for line in lines)
    assert [line[:11].strip() for line in lines[-2:]] == ["start", "epoch   1"]
    assert "roc_auc " in lines[-1] and "(training: loss " in lines[-1]


@pytest.mark.slow
def test_the_python_of_the_page_on_training(
    drawn_people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    code = page.partition("```python\n")[2].partition("```")[0]
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "custom_images").symlink_to(drawn_people)
    monkeypatch.chdir(tmp_path)
    exec(code.replace('"epochs": 5', '"epochs": 1'), {"__name__": "__main__"})
    lines = capfd.readouterr().out.splitlines()
    assert lines[-2].startswith("epoch   1  roc_auc ")
    assert lines[-1].startswith("runs/triplet-001/checkpoints/best-") and "'roc_auc': " in lines[-1]


def record(metrics: dict[str, float], **changes: Any) -> dict[str, Any]:
    return {"epoch": 0, "step": 0, "metrics": metrics, "train": {}, "best": True, **changes}


def test_the_line_of_an_evaluation() -> None:
    assert evaluation_line(record({})) == "start      nothing held out to measure"
    assert (
        evaluation_line(record({"roc_auc": 0.5, "eer": 0.25, "rank_5": 1})) == "start      roc_auc 0.5000  eer 0.2500"
    )
    head = {"roc_auc": 0.5, "accuracy": 1.0, "loss": 2.0, "eer": 0.5}
    training = {"loss": 0.125, "batch_accuracy": 0.5}
    assert evaluation_line(record(head, epoch=3, step=9, train=training)) == (
        "epoch   3  accuracy 1.0000  loss 2.0000  roc_auc 0.5000  (training: loss 0.1250, right 50.0%)  * best so far"
    )
    pairs = {"pair_f1": 0.5, "roc_auc": 0.5, "rank_1": 1.0}
    assert evaluation_line(record(pairs, epoch=12, step=9, train={"loss": 1.0}, best=False)) == (
        "epoch  12  pair_f1 0.5000  roc_auc 0.5000  (training: loss 1.0000)"
    )
