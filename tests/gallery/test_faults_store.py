"""A store under processes that are killed, that crowd it, and on a disk that is full."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gallery_tools import new_store

Torture = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def torturer(child_environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process that does the tasks of ``store_torture.py``; what goes wrong in it is on stderr."""
    command = [sys.executable, str(Path(__file__).with_name("store_torture.py"))]
    with subprocess.Popen(
        command, env=child_environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process


@pytest.fixture
def torture(torturer: subprocess.Popen[str], tmp_path: Path) -> Torture:
    """Do a task on a gallery to be."""

    def run(task: str, number: int, *, folder: Path = tmp_path / "gallery", seed: int = 1) -> dict[str, Any]:
        assert torturer.stdin is not None and torturer.stdout is not None
        torturer.stdin.write(json.dumps([task, str(folder), number, seed]) + "\n")
        torturer.stdin.flush()
        found: dict[str, Any] = json.loads(torturer.stdout.readline())
        return found

    return run


@pytest.mark.slow
def test_a_writer_killed_at_any_moment_loses_nothing_acknowledged_and_leaves_nothing_half(torture: Torture) -> None:
    found = torture("kills", 100)
    assert found["rounds"] == 100
    assert found["enrolled"] > 50 and found["removed"] > 5, "too little happened for the kills to mean anything"


@pytest.mark.slow
def test_a_gallery_killed_while_it_is_made_is_there_whole_or_not_at_all(torture: Torture) -> None:
    found = torture("creations", 20)
    assert found["rounds"] == 20 and 0 < found["whole"] < 20


@pytest.mark.slow
def test_four_writers_and_four_readers_at_once(torture: Torture) -> None:
    found = torture("crowd", 20)
    assert found["people"] > 4 * 20 - 4 * 5 and found["polls"] >= found["compared"] >= 4


@pytest.mark.slow
@pytest.mark.parametrize("most", [200_000, 3_000_000])
def test_a_disk_that_fills_up_is_said_and_nothing_acknowledged_is_lost(torture: Torture, most: int) -> None:
    found = torture("full", most)
    assert found["message"].startswith("StorageError: no space left at gallery ")
    assert found["acknowledged"] > (10 if most > 1_000_000 else 0)


@pytest.mark.slow
def test_another_account_is_told_whose_gallery_it_is(torture: Torture) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        place = Path(folder) / "gallery"
        new_store("folder", place.parent).close()
        if os.geteuid() != 0:
            # The only other account there is for us is ourselves without permission.
            place.chmod(0o000)
        opening, creating = torture("stranger", 65534, folder=place)["messages"]
        place.chmod(0o700)
    assert "may not read and write it (owner is user" in opening and "cannot write" in creating
