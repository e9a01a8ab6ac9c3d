"""``verify``: yes, no, and when there is no answer."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Main, Model


def test_two_photos(enrolled: Main, people: Path) -> None:
    same = enrolled("verify", people / "Ada/0.png", people / "Ada/1.png", "--aligned", "--threshold=0.9")
    assert same.code == 0 and "the same person" in same.out and "threshold 0.9000" in same.out
    other = enrolled("verify", people / "Ada/0.png", people / "Bruno/1.png", "--aligned", "--threshold=0.9")
    assert other.code == 1 and "different people" in other.out and other.err.count("error") == 0


def test_a_photo_and_a_person(enrolled: Main, people: Path) -> None:
    same = enrolled("verify", people / "Ada/0.png", "--person=Ada", "--aligned", "--threshold=0.9", "--json")
    assert same.code == 0 and same.document["same"] is True
    assert same.document["person"] == {"person": 1, "name": "Ada"}
    assert same.document["score"] == pytest.approx(1, abs=1e-3)
    other = enrolled("verify", people / "Ada/0.png", "--person=id:2", "--aligned", "--threshold=0.9")
    assert other.code == 1 and "this is not Bruno" in other.out


def test_no_threshold_no_answer(enrolled: Main, people: Path) -> None:
    ended = enrolled("verify", people / "Ada/0.png", people / "Ada/1.png", "--aligned")
    assert ended.code == 3
    assert "threshold -: no answer" in ended.out and "no threshold to decide by" in ended.error
    document = enrolled("verify", people / "Ada/0.png", people / "Ada/1.png", "--aligned", "--json").document
    assert document["same"] is None and document["score"] > 0.9


def test_a_photo_that_cannot_be_used(enrolled: Main, people: Path, tmp_path: Path) -> None:
    (tmp_path / "empty\n.png").touch()
    ended = enrolled("verify", people / "Ada/0.png", tmp_path / "empty\n.png", "--aligned", "--threshold=0.5")
    assert ended.code == 3 and ended.out == ""
    assert "empty\\n.png: empty file" in ended.error
    document = enrolled("verify", tmp_path / "missing.png", "--person=Ada", "--aligned", "--json").document
    assert document["score"] is None and [problem["status"] for problem in document["problems"]] == ["unreadable"]


def test_by_a_model_alone(main: Main, model: Model, people: Path, tmp_path: Path) -> None:
    pair = ("verify", people / "Ada/0.png", people / "Ada/1.png", "--aligned", *model)
    assert main(*pair, "--threshold=0.9").code == 0
    undecided = main(*pair)
    assert undecided.code == 3 and "no threshold" in undecided.error
    assert not (tmp_path / "gallery").exists()
    # A gallery that is named is used, and must be there.
    assert main(*pair, "--threshold=0.9", "--gallery=gallery").code == 4


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["people/Ada/0.png"], 2, "name two photos"),
        (["people/Ada/0.png", "people/Ada/1.png", "--person=Ada"], 2, "name two photos"),
        (["people/Ada/0.png", "people/Ada/1.png", "--threshold=-2"], 2, "between -1 and 1"),
        (["people/Ada/0.png", "--person=Nobody"], 3, "Nobody"),
        (["people/Ada/0.png", "--person=id:77"], 3, "77"),
        (["people/Ada/0.png", "people/Ada/1.png", "--gallery=missing"], 4, "missing"),
    ],
)
def test_mistakes(enrolled: Main, words: list[str], code: int, why: str) -> None:
    ended = enrolled("verify", *words, *(["--aligned"] if code == 3 else []))
    assert (ended.code, ended.out) == (code, "")
    assert why in ended.error
