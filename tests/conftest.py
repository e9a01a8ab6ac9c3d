"""What several test modules need: a toy network in the registry, drawn people, and the real command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_line import Ended, Main

ROOT = Path(__file__).parent.parent


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a network of a few thousand weights that ``--backbone`` takes within the test.

    Computed by one thread: several would spend their time waiting for one another.
    """
    import torch

    from facenet.models import registry

    entry = registry.BackboneEntry("toy", "toys:ToyBackbone", 16, (32, 32), 5_552, "for tests")
    monkeypatch.setitem(registry.BACKBONES, "toy", entry)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield "toy"
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def drawn_people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six drawn people with six pictures each; not to be written into."""
    from facenet.data.synthetic import write_people

    root = tmp_path_factory.mktemp("drawn") / "people"
    write_people(root, people=6, pictures=6, seed=1, size=112)
    return root


@pytest.fixture(scope="session")
def child_environment() -> dict[str, str]:
    """Environment of a child that finds package and tests, uses two threads at most and never the network."""
    found = {name: value for name, value in os.environ.items() if not name.startswith("FACENET_")}
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return {**found, "PYTHONPATH": path, "OMP_NUM_THREADS": "2", "FACENET_OFFLINE": "1", "PYTHONUTF8": "1"}


@pytest.fixture(scope="session")
def cli(child_environment: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run ``python cli.py …`` to its end, in a folder of choice."""

    def run(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(ROOT / "cli.py"), *map(str, words)],
            cwd=cwd,
            env=child_environment,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=300,
        )

    return run


@pytest.fixture
def main(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Main:
    """Run a command line within this process, in an empty folder."""
    from facenet import cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FACENET_OFFLINE", "1")

    def run(*words: object) -> Ended:
        capfd.readouterr()
        try:
            code = cli.main([str(word) for word in words])
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else 1
        out, err = capfd.readouterr()
        return Ended(code, out, err)

    return run
