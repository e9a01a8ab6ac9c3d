"""The real command line, killed where it hurts: what is resumed ends as if nothing had happened, bit for bit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
Cli = Callable[..., subprocess.CompletedProcess[str]]

CHILD = '''
"""The command line in a process that kills itself (SIGKILL) at the spot its first argument names."""
import os, signal, sys
from facenet.cli import main
from facenet.training import engine, files, monitor

spot, *argv = sys.argv[1:]
die = lambda: os.kill(os.getpid(), signal.SIGKILL)

def dying(function, when, first=False):
    def wrapped(*given, **named):
        if first and when(*given, **named):
            die()
        result = function(*given, **named)
        if when(*given, **named):
            die()
        return result
    return wrapped

if spot == "after step 3":
    monitor.Monitor.step = dying(monitor.Monitor.step, lambda self, record: record["step"] == 3)
elif spot == "before renaming last-4":
    files.os.rename = dying(os.rename, lambda source, target: "last-00000004" in str(target), first=True)
elif spot == "after measuring epoch 1":
    engine.Trainer._evaluate = dying(engine.Trainer._evaluate, lambda self, monitor: self.progress.epoch == 1)
elif spot == "after renaming last-6":
    files.os.rename = dying(os.rename, lambda source, target: "last-00000006" in str(target))
else:
    raise SystemExit(f"unknown spot {spot}")
sys.exit(main(argv))
'''

SPOTS = (
    "after step 3",
    "before renaming last-4",
    "after measuring epoch 1",
    "after renaming last-6",
)


def weights(runs: Path, kind: str) -> dict[str, torch.Tensor]:
    (folder,) = (runs / "triplet-001" / "checkpoints").glob(f"{kind}-*")
    return load_file(folder / "model.safetensors")


def records(runs: Path) -> list[dict[str, Any]]:
    lines = (runs / "triplet-001" / "metrics.jsonl").read_text().splitlines()
    return [
        {key: value for key, value in json.loads(line).items() if key not in ("images_per_second", "seconds_left")}
        for line in lines
    ]


def settings(root: Path, runs: Path) -> list[str]:
    return [
        "--train-module=inception", f"--rootdir={root}", f"--run-dir={runs}", "--backbone=mobilefacenet",
        "--pretrained=none", "--precision=fp32", "--device=cpu", "--bs=8", "--images-per-person=2", "--ep=3",
        "--lr=0.001", "--save-steps=2",
    ]  # fmt: skip


def test_killed_again_and_again(
    tmp_path: Path, drawn_people: Path, cli: Cli, child_environment: dict[str, str]
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert cli(*settings(drawn_people, whole), cwd=tmp_path).returncode == 0
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    for spot in SPOTS:
        check = [] if spot == SPOTS[0] else ["--check=1"]
        child = subprocess.run(
            [sys.executable, str(script), spot, *settings(drawn_people, killed), *check],
            cwd=tmp_path,
            env=child_environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert child.returncode == -signal.SIGKILL, f"{spot}: {child.stderr}"
    last = cli(*settings(drawn_people, killed), "--check=1", cwd=tmp_path)
    assert last.returncode == 0, last.stderr

    for kind in ("last", "best"):
        expected, found = weights(whole, kind), weights(killed, kind)
        assert expected.keys() == found.keys()
        assert [name for name in expected if not torch.equal(expected[name], found[name])] == []
    assert records(whole) == records(killed)
    assert [record["step"] for record in records(killed) if record["kind"] == "step"] == list(range(1, 13))
    summaries = [json.loads((runs / "triplet-001" / "summary.json").read_text()) for runs in (whole, killed)]
    for name in ("status", "epochs", "steps", "best_epoch", "start", "last", "best", "worse_than_start", "config"):
        assert summaries[0][name] == summaries[1][name]
    leftovers = [path.name for path in (killed / "triplet-001").rglob(".writing-*")]
    assert leftovers == []
    assert [path.name for path in killed.iterdir()] == ["triplet-001"]


def test_interrupted_by_ctrl_c(tmp_path: Path, drawn_people: Path, cli: Cli, child_environment: dict[str, str]) -> None:
    runs = tmp_path / "my runs"
    child = subprocess.Popen(
        [sys.executable, str(ROOT / "cli.py"), *settings(drawn_people, runs), "--ep=100000", "--save-steps=0"],
        cwd=tmp_path,
        env=child_environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    metrics = runs / "triplet-001" / "metrics.jsonl"
    while child.poll() is None and not (metrics.exists() and '"step": 2,' in metrics.read_text()):
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGINT)
    _, errors = child.communicate(timeout=120)
    assert child.returncode == 130, errors
    assert "Traceback" not in errors
    assert "finishing this step and saving" in errors
    hint = next(line for line in errors.splitlines() if "--check 1" in line)
    assert f"'--run-dir={runs}'" in hint and "--train-module inception" in hint

    (last,) = (runs / "triplet-001" / "checkpoints").glob("last-*")
    described = json.loads((last / "checkpoint.json").read_text())
    steps = [record["step"] for record in records(runs) if record["kind"] == "step"]
    assert described["step"] == steps[-1] == len(steps)
    assert json.loads((runs / "triplet-001" / "summary.json").read_text())["status"] == "interrupted"

    more = described["epoch"] + 1
    resumed = cli(
        "--train-module=inception", f"--rootdir={drawn_people}", f"--run-dir={runs}", "--device=cpu", "--check=1",
        f"--ep={more}", cwd=tmp_path,
    )  # fmt: skip
    assert resumed.returncode == 0, resumed.stderr
    assert f"resuming triplet-001 at epoch {described['epoch']}, step {described['step']}" in resumed.stderr
    assert [record["step"] for record in records(runs) if record["kind"] == "step"] == list(range(1, 4 * more + 1))
