"""``identify``: outcomes, by which threshold, drawn pictures, and what cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Main, Model
from patterns import write_patterns

from facenet.images import load_image


def test_known_people_and_a_stranger(enrolled: Main, people: Path, stranger: Path) -> None:
    ended = enrolled("identify", people, stranger, "--aligned", "--threshold=0.9")
    assert ended.code == 0, ended.err
    assert "10 faces compared in 10 photos: 9 matched, 1 unknown" in ended.out
    assert "decided by the threshold given, 0.9000" in ended.err
    document = enrolled("identify", people, stranger, "--aligned", "--threshold=0.9", "--json").document
    for outcome in document["outcomes"][:-1]:
        assert outcome["name"] == Path(outcome["source"]).parent.name
        assert outcome["score"] == pytest.approx(1, abs=1e-3) and outcome["margin"] > 0.1
    assert document["outcomes"][-1]["status"] == "unknown" and document["outcomes"][-1]["name"] is None
    assert document["decision"] == {"threshold": 0.9, "origin": "given", "calibration": None, "notices": []}


def test_without_a_threshold_nothing_is_decided(enrolled: Main, stranger: Path) -> None:
    ended = enrolled("identify", stranger, "--aligned", "--top-k=2")
    assert ended.code == 0
    assert "1 undecided" in ended.out and "gallery calibrate" in ended.err
    (outcome,) = enrolled("identify", stranger, "--aligned", "--top-k=2", "--json").document["outcomes"]
    assert (outcome["status"], outcome["threshold"], len(outcome["candidates"])) == ("undecided", None, 2)


def test_bad_pictures_are_outcomes(enrolled: Main, people: Path, tmp_path: Path) -> None:
    photos = write_patterns(tmp_path / "photos", {"two\nlines": 1}, count=1)
    (photos / "two\nlines" / "cut.png").write_bytes((people / "Ada" / "0.png").read_bytes()[:200])
    (photos / "two\nlines" / "note.jpg").write_text("no picture")
    ended = enrolled("identify", photos, "--aligned", "--threshold=0.9")
    assert ended.code == 0
    assert "1 faces compared in 3 photos: 1 matched, 2 unreadable" in ended.out
    assert "two\\nlines" in "".join(ended.out.split())
    alone = enrolled("identify", photos / "two\nlines" / "note.jpg", "--aligned", "--threshold=0.9")
    assert alone.code == 3 and "1 unreadable" in alone.out


def test_drawing(enrolled: Main, people: Path, stranger: Path, tmp_path: Path) -> None:
    (people / "Ada" / "bad.png").write_bytes(b"x")
    out = tmp_path / "drawn"
    ended = enrolled("identify", people, stranger, "--aligned", "--threshold=0.9", "--draw", out, "--json")
    assert ended.code == 0, ended.err
    written = {path.name for path in out.iterdir()}
    # Four people have a 0.png.
    assert written == {f"{number}{copy}.png" for number in range(3) for copy in ("", ".2", ".3")} | {"0.4.png"}
    assert {str(out / name) for name in written} == set(ended.document["drawn"])
    before, after = load_image(people / "Ada" / "0.png"), load_image(out / "0.png")
    assert before.shape == after.shape and (before != after).any()
    into_itself = enrolled("identify", people, "--aligned", "--draw", people / "Ada")
    assert into_itself.code == 3 and "name another folder" in into_itself.error
    (tmp_path / "file").write_text("in the way")
    blocked = enrolled("identify", stranger, "--aligned", "--draw", tmp_path / "file")
    assert blocked.code == 4 and "cannot write" in blocked.error


def test_an_empty_gallery_knows_nobody(main: Main, model: Model, stranger: Path) -> None:
    assert main("gallery", "create", *model).code == 0
    (outcome,) = main("identify", stranger, "--aligned", "--json").document["outcomes"]
    assert (outcome["status"], outcome["reason"], outcome["candidates"]) == ("unknown", "nobody is enrolled", [])


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        ([], 2, "IMG|DIR"),
        (["people", "--threshold=2"], 2, "between -1 and 1"),
        (["people", "--threshold=nan"], 2, "between -1 and 1"),
        (["people", "--top-k=0"], 2, "at least 1"),
        (["people", "--faces=some"], 2, "invalid choice"),
        (["missing.png"], 4, "no file or folder"),
        (["people", "--gallery=missing"], 4, "missing"),
        (["people", "--gallery=people/Ada/0.png"], 4, "0.png"),
    ],
)
def test_mistakes(enrolled: Main, words: list[str], code: int, why: str) -> None:
    ended = enrolled("identify", *words)
    assert (ended.code, ended.out) == (code, "")
    assert why in ended.error
