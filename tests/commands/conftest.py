"""The command line within this process, on a toy network that tells patterns apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Main, Model
from patterns import write_patterns, write_weights

PEOPLE = {"Ada": 1, "Bruno": 2, "Clea": 3}


@pytest.fixture
def model(toy: str, tmp_path: Path) -> Model:
    """Flags that name the toy network, whose pictures are faces."""
    weights = write_weights(tmp_path / "toy.safetensors", toy)
    return (f"--backbone={toy}", f"--pretrained={weights}", "--precision=fp32", "--device=cpu")


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Three people with three pictures each."""
    return write_patterns(tmp_path / "people", PEOPLE, count=3)


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    """A picture of somebody else."""
    return write_patterns(tmp_path / "nobody we know", {"Zoe": 9}, count=1) / "Zoe" / "0.png"


@pytest.fixture
def enrolled(main: Main, model: Model, people: Path) -> Main:
    """The same command line beside a gallery of the three people, in which the best picture counts."""
    ended = main("enroll", "--from-folder", people, "--aligned", "--fusion=max", *model)
    assert ended.code == 0, ended.err
    return main
