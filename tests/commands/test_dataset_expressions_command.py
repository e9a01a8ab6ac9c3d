"""``dataset expressions`` as it is typed: what it writes, says and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import Main

from facenet.data.synthetic import EXPRESSIONS

SMALL = ("--people", 2, "--validation-people", 1, "--size", 32)


def test_a_set_that_can_be_trained_on(main: Main, tmp_path: Path) -> None:
    done = main("dataset", "expressions", "faces", *SMALL)
    assert done.code == 0, done.err
    assert done.out == "" and "drew 3 people with 7 expressions into faces: 21 pictures" in done.err
    command = "python cli.py train --recipe expression-inception-resnet-v2 --rootdir faces"
    assert done.err.splitlines()[-1] == f"train on them:  {command}"
    for half, people in (("train", 2), ("validation", 1)):
        found = {path.name: len(list(path.glob("*.png"))) for path in (tmp_path / "faces" / half).iterdir()}
        assert found == dict.fromkeys(EXPRESSIONS, people)

    again = main("dataset", "expressions", "again", *SMALL, "--json")
    document = json.loads(again.out)
    assert document["pictures"] == 21 and document["people"] == {"train": 2, "validation": 1}
    assert document["expressions"] == list(EXPRESSIONS)
    one = "train/sad/0002.png"
    assert (tmp_path / "again" / one).read_bytes() == (tmp_path / "faces" / one).read_bytes()


def test_what_is_refused(main: Main, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    there = main("dataset", "expressions", "mine", *SMALL)
    assert there.code == 3 and "mine is not an empty folder" in there.error
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    assert main("dataset", "expressions", "faces", "--people", 0).code == 2
    assert main("dataset", "expressions", "faces", "--size", 8).code == 2
    assert not (tmp_path / "faces").exists()


@pytest.mark.parametrize("wrong", [["--people", "many"], ["--peopl", "3"]])
def test_wrong_usage(main: Main, wrong: list[str], tmp_path: Path) -> None:
    assert main("dataset", "expressions", "faces", *wrong).code == 2
    assert main("dataset", "expressions").code == 2
    assert not (tmp_path / "faces").exists()
