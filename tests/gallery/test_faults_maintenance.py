"""Maintenance under processes that are killed: a gallery is as it was before or as it is after, never between."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Torture = Callable[[str, int], dict[str, int]]


@pytest.fixture
def torture(tmp_path: Path, child_environment: dict[str, str]) -> Torture:
    """Run a task of ``maintenance_torture.py`` in a process of its own."""

    def run(task: str, rounds: int) -> dict[str, int]:
        program = Path(__file__).with_name("maintenance_torture.py")
        done = subprocess.run(
            [sys.executable, str(program), task, str(tmp_path / "gallery"), str(rounds), "1"],
            env=child_environment,
            capture_output=True,
            text=True,
            timeout=400,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        found: dict[str, int] = json.loads(done.stdout)
        return found

    return run


@pytest.mark.slow
def test_a_move_to_another_model_killed_at_any_moment(torture: Torture) -> None:
    found = torture("moves", 40)
    assert found["rounds"] == 40 and found["finished"] > 5 and found["under_way"] > 5


@pytest.mark.slow
def test_a_restore_killed_at_any_moment(torture: Torture) -> None:
    found = torture("restores", 20)
    assert found["rounds"] == 20 and found["one"] and found["other"]


@pytest.mark.slow
def test_a_backup_killed_at_any_moment(torture: Torture) -> None:
    found = torture("backups", 15)
    assert 0 < found["whole"] < 15


@pytest.mark.slow
def test_a_repair_killed_at_any_moment(torture: Torture) -> None:
    found = torture("repairs", 15)
    assert 0 < found["kept"]
