"""The main job by the real command line, and that something is really learnt."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from facenet.data.splits import Holdout
from facenet.data.synthetic import write_people
from facenet.training.files import read_json
from facenet.workflows.train import Job, Silence, train

Cli = Callable[..., subprocess.CompletedProcess[str]]


def document(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The one JSON document on standard output."""
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.slow
def test_from_folders_to_figures(tmp_path: Path, cli: Cli) -> None:
    """Folders with awkward names → triplets → head → evaluation, in the original words."""
    write_people(tmp_path / "drawn", people=5, pictures=8, seed=3, size=112)
    root = tmp_path / "-my 'people'"
    names = ["two\nlines", "-rf", "李小龙", 'the "one"', "Ada"]
    root.mkdir()
    for folder, name in zip(sorted((tmp_path / "drawn").iterdir()), names, strict=True):
        folder.rename(root / name)
    (root / "Ada" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not much")
    data = ("--rootdir=-my 'people'", "--device=cpu", "--json")

    net = ("--backbone=mobilefacenet", "--pretrained=none", "--bs=16", "--lr=0.001", "--ep=4")
    done = cli("--train-module", "inception", *data, *net, cwd=tmp_path)
    trained = document(done)
    assert "left out 1:" in done.stderr and "Ada/broken.jpg" in done.stderr
    assert trained["run"] == "runs/triplet-001"
    run = tmp_path / trained["run"]
    assert sorted(path.name for path in run.iterdir()) == [
        "audit.json", "checkpoints", "metrics.jsonl", "run.json", "summary.json", "tensorboard",
    ]  # fmt: skip
    assert {path.name.partition("-")[0] for path in (run / "checkpoints").iterdir()} == {"best", "last"}
    assert read_json(run / "run.json")["command"][1:3] == ["--train-module", "inception"]

    head = document(cli("--train-module", "classification", *data, "--ep=10", cwd=tmp_path))
    assert head["config"]["backbone"] == "mobilefacenet"
    assert head["best"]["roc_auc"] == pytest.approx(trained["best"]["roc_auc"], abs=1e-3)

    found = document(cli("--train", "0", *data, cwd=tmp_path))
    assert found["checkpoint"] == head["checkpoint"]
    assert found["metrics"]["accuracy"] == pytest.approx(head["best"]["accuracy"], abs=0.2)
    assert found["origin"]["source"].startswith("triplet-001/best-")
    assert sorted(found["classification"]["people"]) == sorted(names)
    written = tmp_path / head["run"]
    assert read_json(written / "evaluation.json") == found
    assert len((written / "confusion.csv").read_text(encoding="utf-8").splitlines()) == 6


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_it_learns_people(tmp_path: Path, toy: str, precision: str) -> None:
    """From random weights, held-out pictures of drawn people come to be told apart."""
    write_people(tmp_path / "people", people=8, pictures=10, seed=11, size=112)
    settings = {
        "backbone": toy, "pretrained": "none", "precision": precision, "epochs": 20, "lr": 1e-2, "eval_every": 10,
    }  # fmt: skip
    job = Job("triplet", tmp_path / "people", tmp_path / "runs", settings, Holdout(images=0.3), device="cpu")
    outcome = train(job, Silence()).outcome
    assert outcome is not None
    assert outcome.start["roc_auc"] < 0.9 < 0.95 < outcome.best["roc_auc"]
    assert outcome.best["eer"] < outcome.start["eer"] / 2
    assert outcome.best["rank_1"] > outcome.start["rank_1"]
