"""``embed`` and ``dataset align`` as typed: what they print, how they end, and that being killed costs little."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from safetensors.torch import save_file
from scenes import RedDetector, paint, save

from facenet.cli import main
from facenet.evaluation import photos
from facenet.models.registry import build_backbone

FACE = (10, 10, 80, 80)

Run = Callable[..., int]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for number in range(3):
        save(folder / "Ada" / f"{number}.png", paint(100, 150, FACE, seed=number))
    save(folder / "Bo" / "none.png", paint(60, 60))
    (folder / "Bo" / "broken\nname.jpg").touch()
    return folder


@pytest.fixture
def embed(toy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run ``embed`` with a toy network; its detector finds red squares."""
    monkeypatch.setattr(photos, "Detector", lambda device: RedDetector())
    save_file(build_backbone(toy, seed=5).state_dict(), tmp_path / "toy.safetensors")
    flags = ["--backbone", toy, "--pretrained", str(tmp_path / "toy.safetensors"), "--device", "cpu"]
    return lambda *words: main(["embed", *map(str, words), *flags])


@pytest.fixture
def align(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run ``dataset align``; its detector finds red squares."""
    monkeypatch.setattr("facenet.detection.detector.Detector", lambda device: RedDetector())
    return lambda *words: main(["dataset", "align", *map(str, words)])


def test_embed_for_people(embed: Run, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert embed(root, "--out", tmp_path / "two\nlines") == 0
    out, err = capsys.readouterr()
    assert "no_face" in out and "unreadable" in out
    assert "3 embeddings of 5 photos" in err and "fingerprint" in err and "two\\nlines.csv" in err
    assert (tmp_path / "two\nlines.safetensors").exists()


def test_embed_as_json(embed: Run, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert embed(root, "--out", tmp_path / "out", "--json", "--faces", "all", "--aligned", "--bs", 2) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["rows"], document["photos"], document["resumed"]) == (4, 5, 0)
    assert document["outcomes"] == {"embedded": 4, "unreadable": 1}
    assert load_file(document["embeddings"])["embeddings"].shape == (4, 16)


def test_embed_ends_with_3_if_nobody_was_found(
    embed: Run, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert embed(root / "Bo", "--out", tmp_path / "out") == 3
    assert "no photo held a face" in capsys.readouterr().err
    assert (tmp_path / "out.csv").exists()


def test_embed_refuses(embed: Run, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert embed(tmp_path / "gone", "--out", tmp_path / "out") == 4
    assert embed(root, "--out", tmp_path / "out", "--bs", 0) == 2
    assert embed(root, "--out", tmp_path / "out", "--checkpoint", root) == 2
    for words in ([root], [root, "--out", "x", "--faces", "some"], ["--out", "x"]):
        with pytest.raises(SystemExit) as raised:
            embed(*words)
        assert raised.value.code == 2
    assert capsys.readouterr().out == ""


def test_align_for_people(align: Run, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert align(root, tmp_path / "faces", "--size", "112x96") == 0
    out, err = capsys.readouterr()
    assert "5 files" in out and "written" in out and "unreadable" in out
    assert "112x96 (five-point)" in err and "align.csv" in err
    assert align(root, tmp_path / "faces") == 5
    assert "112x96 five-point" in capsys.readouterr().err


def test_align_as_json(align: Run, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (root, tmp_path / "faces", "--json", "--backbone", "mobilefacenet", "--format", "jpg")
    assert align(*words) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["outcomes"] == {"written": 3, "no_face": 1, "unreadable": 1}
    assert document["alignment"]["preprocessing"]["width"] == 96
    assert align(*words) == 0
    assert json.loads(capsys.readouterr().out)["resumed"] == 5


def test_align_ends_with_3_if_nobody_was_found(align: Run, root: Path, tmp_path: Path) -> None:
    (root / "Ada").rename(tmp_path / "away")
    assert align(root, tmp_path / "faces") == 3


def test_align_takes_one_number_for_a_square(
    align: Run, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert align(root, tmp_path / "faces", "--size", "112") == 0
    assert "112x112 (five-point)" in capsys.readouterr().err


@pytest.mark.parametrize("size", ["0", "0x5", "ax5", "112x", "112x96x3", "-112"])
def test_align_refuses_a_size(
    align: Run, root: Path, tmp_path: Path, size: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert align(root, tmp_path / "faces", f"--size={size}") == 2
    assert f"'{size}' is no size in pixels" in capsys.readouterr().err
    assert not (tmp_path / "faces").exists()


@pytest.mark.parametrize("wrong", [["--faces", "all"], ["--format", "gif"]])
def test_align_refuses_words(align: Run, root: Path, tmp_path: Path, wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        align(root, tmp_path / "faces", *wrong)
    assert raised.value.code == 2
    assert not (tmp_path / "faces").exists()


def test_align_refuses(align: Run, root: Path, tmp_path: Path) -> None:
    assert align(root, root / "faces") == 2
    assert align(root, tmp_path / "faces", "--crop", "round") == 2
    assert align(root, tmp_path / "faces", "--backbone", "mobilefacenet", "--size", "112x96") == 2
    assert align(root, tmp_path / "faces", "--size", "5000x5000") == 2
    assert align(tmp_path / "gone", tmp_path / "faces") == 4
    assert not (tmp_path / "faces").exists()


CHILD = '''
"""The command line in a process that kills itself (SIGKILL) when it writes for the given time."""
import os, signal, sys
from facenet.models import registry
registry.BACKBONES["toy"] = registry.BackboneEntry("toy", "toys:ToyBackbone", 16, (32, 32), 5_552, "for tests")
from scenes import RedDetector
from facenet.detection import detector
from facenet.evaluation import photos
from facenet.workflows import align, align_faces, embed
detector.Detector = photos.Detector = lambda device: RedDetector()
embed._PART_PHOTOS = align._TOGETHER = 3
writes, replace = int(sys.argv[1]), os.replace

def counted(*given):
    global writes
    writes -= 1
    if writes == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(*given)
    if writes == 1 and sys.argv[2] == "after":
        os.kill(os.getpid(), signal.SIGKILL)

os.replace = counted
from facenet.cli import main
sys.exit(main(sys.argv[3:]))
'''


def until_it_ends(script: Path, environment: dict[str, str], words: list[str]) -> int:
    """Kill the command at one of its first writes, again and again until a run ends; how many were killed."""
    for killed in range(20):
        moment = "after" if killed % 2 else "before"
        child = subprocess.run(
            [sys.executable, str(script), str(2 + killed), moment, *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if child.returncode != -signal.SIGKILL:
            assert child.returncode == 0, child.stderr
            return killed
    raise AssertionError("it never came to an end")


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_embed_killed_again_and_again(
    embed: Run, root: Path, tmp_path: Path, child_environment: dict[str, str]
) -> None:
    for number in range(9):
        save(root / "Cem" / f"{number}.png", paint(100, 150, FACE, seed=20 + number))
    assert embed(root, "--out", tmp_path / "whole") == 0
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    flags = ["--backbone=toy", f"--pretrained={tmp_path / 'toy.safetensors'}", "--device=cpu"]
    killed = until_it_ends(script, child_environment, ["embed", str(root), f"--out={tmp_path / 'out'}", *flags])
    assert killed >= 3
    ends = [load_file(tmp_path / f"{name}.safetensors")["embeddings"] for name in ("whole", "out")]
    np.testing.assert_allclose(*ends, atol=1e-2)
    tables = [list(csv.DictReader((tmp_path / f"{name}.csv").open(newline=""))) for name in ("whole", "out")]
    assert tables[0] == tables[1]
    assert not (tmp_path / "out.partial").exists()
    assert not list(tmp_path.rglob(".writing-*"))


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_align_killed_again_and_again(
    align: Run, root: Path, tmp_path: Path, child_environment: dict[str, str]
) -> None:
    for number in range(6):
        save(root / "Cem" / f"{number}.png", paint(100, 150, FACE, seed=20 + number))
    assert align(root, tmp_path / "whole") == 0
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    killed = until_it_ends(script, child_environment, ["dataset", "align", str(root), str(tmp_path / "faces")])
    assert killed >= 3

    def contents(folder: Path) -> dict[str, bytes]:
        hidden = (".alignment.jsonl", ".alignment.lock")
        files = [path for path in folder.rglob("*") if path.is_file() and path.name not in hidden]
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}

    assert contents(tmp_path / "faces") == contents(tmp_path / "whole")
