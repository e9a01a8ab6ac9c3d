"""``dataset audit`` and ``dataset draw``: what they print, and what they cost before they are asked for."""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facenet.commands import dataset
from facenet.data.folders import scan_folder
from facenet.errors import InputError, MissingError, UsageError


def call(arguments: Sequence[str | Path]) -> int:
    """Parse and run, as the command line does."""
    parser = argparse.ArgumentParser()
    dataset.register(parser.add_subparsers())
    args = parser.parse_args(["dataset", *map(str, arguments)])
    module, _, function = args.handler.partition(":")
    code = getattr(importlib.import_module(module), function)(args)
    assert isinstance(code, int)
    return code


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two people with three pictures each, one of them unreadable."""
    rng = np.random.default_rng(0)
    for person in ("Ada", "two\nlines [bold]"):
        (tmp_path / "people" / person).mkdir(parents=True)
        for number in range(3):
            noise = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
            noise.resize((40, 40)).save(tmp_path / "people" / person / f"{number}.png")
    (tmp_path / "people/Ada/broken.jpg").touch()
    return tmp_path / "people"


def test_audit_for_people(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["audit", root]) == 0
    out, err = capsys.readouterr()
    assert "usable pictures" in out and "Ada/broken.jpg: empty file" in out
    assert err == "", "no progress bar where nobody watches"


def test_audit_as_json(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["audit", root, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["people"] == 2 and document["images"] == 6
    assert document["unreadable"] == [{"path": "Ada/broken.jpg", "reason": "empty file"}]


def test_audit_against(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["audit", root, "--against", root, "--json"]) == 0
    overlaps = json.loads(capsys.readouterr().out)["overlaps"]
    assert len(overlaps) == 1 and len(overlaps[0]["exact"]) == 6
    assert call(["audit", root, "--against", root]) == 0
    assert "two\\nlines [bold]" in capsys.readouterr().out


def test_audit_refuses(tmp_path: Path, root: Path) -> None:
    with pytest.raises(MissingError):
        call(["audit", tmp_path / "nowhere"])
    with pytest.raises(MissingError):
        call(["audit", root, "--against", tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError):
        call(["audit", tmp_path / "empty"])


def test_draw_and_audit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["draw", tmp_path / "drawn", "--people", "2", "--pictures", "3", "--seed", "5", "--size", "48"]
    assert call([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["people"] == 2
    folder = scan_folder(tmp_path / "drawn")
    assert folder.counts().tolist() == [3, 3]
    assert call(["audit", tmp_path / "drawn", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["left_out"] == [] and document["images"] == 6


@pytest.mark.parametrize("wrong", [["--people", "0"], ["--size", "-3"], ["--pictures", "0"]])
def test_draw_refuses(tmp_path: Path, wrong: list[str]) -> None:
    with pytest.raises(UsageError, match=f"^{wrong[0][2:]} must be a whole number from "):
        call(["draw", tmp_path / "drawn", *wrong])
    assert not (tmp_path / "drawn").exists()


def test_a_number_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        call(["draw", tmp_path / "drawn", "--pictures", "many"])
    assert raised.value.code == 2
    assert "argument --pictures: invalid int value: 'many'" in capsys.readouterr().err


def test_registering_imports_nothing_heavy() -> None:
    script = (
        "import argparse, sys; from facenet.commands import dataset; "
        "dataset.register(argparse.ArgumentParser().add_subparsers()); "
        "print([name for name in ('torch', 'numpy', 'PIL', 'rich', 'faiss') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
