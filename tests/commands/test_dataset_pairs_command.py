"""``dataset pairs`` as it is typed: what it writes, prints and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import Main

from facenet.evaluation.pairfiles import read_pair_list


def test_a_list_that_can_be_measured(main: Main, drawn_people: Path, tmp_path: Path) -> None:
    words = ("dataset", "pairs", drawn_people, "made/pairs.csv", "--folds", 3, "--pairs", 8, "--seed", 4)
    done = main(*words)
    assert done.code == 0, done.err
    assert "pairs of one person" in done.out and "24" in done.out
    assert "evaluate pairs --pairs made/pairs.csv --images" in done.err
    text = (tmp_path / "made/pairs.csv").read_text()
    assert text.startswith("a,b,same,fold\n") and text.count("\n") == 49
    found = read_pair_list(tmp_path / "made/pairs.csv", root=drawn_people)
    assert len(found) == 48 and found.same.sum() == 24 and set(found.folds.tolist()) == {0, 1, 2}

    again = main(*words[:3], "again.csv", *words[4:], "--json")
    document = json.loads(again.out)
    assert document["pairs"] == 48 and document["people"] == 6 and document["file"] == "again.csv"
    assert document["left_out"]["unreadable"] == 0
    assert (tmp_path / "again.csv").read_text() == text


def test_what_is_refused(main: Main, drawn_people: Path, tmp_path: Path) -> None:
    few = main("dataset", "pairs", drawn_people, "pairs.csv", "--pairs", 999)
    assert few.code == 3 and "ask for fewer pairs or fewer folds" in few.err
    assert main("dataset", "pairs", "nowhere", "pairs.csv").code == 4
    assert main("dataset", "pairs", drawn_people, "pairs.csv", "--folds", 0).code == 2
    assert not (tmp_path / "pairs.csv").exists()
    (tmp_path / "pairs.csv").write_text("mine")
    there = main("dataset", "pairs", drawn_people, "pairs.csv", "--folds", 2, "--pairs", 4)
    assert there.code == 3 and "is there already" in there.err
    assert (tmp_path / "pairs.csv").read_text() == "mine"


@pytest.mark.parametrize("wrong", [["--pairs", "many"], ["--fold", "3"], []])
def test_wrong_usage(main: Main, wrong: list[str]) -> None:
    assert main("dataset", "pairs", "somewhere", *wrong).code == 2
