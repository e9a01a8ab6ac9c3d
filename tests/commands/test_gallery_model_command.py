"""``gallery calibrate|reembed``: thresholds that hold, and moving to another model."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Main
from patterns import write_patterns, write_weights


@pytest.fixture
def strangers(tmp_path: Path) -> Path:
    """Twelve people with four pictures each."""
    return write_patterns(tmp_path / "strangers", {f"stranger {seed}": seed for seed in range(20, 32)}, count=4)


def test_calibrating(enrolled: Main, strangers: Path, people: Path, stranger: Path) -> None:
    targets = ("--target-fmr=0.01", "--target-fpir=0.1")
    (strangers / "ADA").mkdir()
    (people / "Ada" / "0.png").rename(strangers / "ADA" / "0.png")
    ended = enrolled("gallery", "calibrate", "--data", strangers, *targets, "--aligned")
    assert ended.code == 0, ended.err
    assert "verification" in ended.out and "identification" in ended.out and "among the 3 people enrolled" in ended.out
    assert "48 pictures of 12 people" in ended.err and "left out: 1 people who are enrolled" in ended.err
    document = enrolled("gallery", "calibrate", "--data", strangers, *targets, "--aligned", "--json").document
    assert document["verification"]["target"] == 0.01 and document["identification"]["gallery_people"] == 3
    table = enrolled("gallery", "stats")
    assert "accept from" in " ".join(table.out.split())
    found = enrolled("identify", people / "Bruno", stranger, "--aligned")
    assert found.code == 0 and "calibrated threshold for identification" in found.err
    same = enrolled("verify", people / "Bruno/0.png", people / "Bruno/1.png", "--aligned")
    assert same.code == 0 and "calibrated threshold for verification" in same.err


def test_a_threshold_for_pairs_says_what_it_means_for_searches(enrolled: Main, strangers: Path, stranger: Path) -> None:
    words = ("gallery", "calibrate", "--data", strangers, "--target-fmr=0.01", "--aligned")
    assert enrolled(*words).code == 0
    found = enrolled("identify", stranger, "--aligned")
    assert "WARNING" in found.err and "--target-fpir" in found.err
    decision = enrolled("identify", stranger, "--aligned", "--json").document["decision"]
    assert decision["origin"] == "verification" and len(decision["notices"]) == 1


def test_calibrating_on_pairs(enrolled: Main, strangers: Path, tmp_path: Path) -> None:
    folders = sorted(strangers.iterdir())
    lines = ["a,b,same"]
    lines += [f"{a.name}/0.png,{b.name}/1.png,0" for a in folders for b in folders if a != b]
    lines += [f"{a.name}/0.png,{a.name}/1.png,1" for a in folders]
    (tmp_path / "pairs.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    words = ("gallery", "calibrate", "--pairs=pairs.txt", "--root", strangers, "--target-fmr=0.05", "--aligned")
    ended = enrolled(*words, "--json")
    assert ended.code == 0, ended.err
    assert (ended.document["verification"]["impostor"], ended.document["verification"]["genuine"]) == (132, 12)


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["--data=strangers"], 2, "--target-fmr"),
        (["--target-fmr=0.1"], 2, "--data"),
        (["--data=strangers", "--pairs=x", "--target-fmr=0.1"], 2, "not allowed with"),
        (["--data=strangers", "--root=x", "--target-fmr=0.1"], 2, "--root goes with --pairs"),
        (["--data=strangers", "--target-fmr=0"], 2, "between 0 and 1"),
        (["--data=strangers", "--target-fpir=nan"], 2, "between 0 and 1"),
        (["--data=strangers", "--target-fmr=1e-6", "--aligned"], 3, "3,000,000"),
        (["--data=strangers", "--target-fpir=1e-3", "--aligned"], 3, "3,000"),
        (["--data=people", "--target-fmr=0.1", "--aligned"], 3, "in the gallery"),
        (["--data=missing", "--target-fmr=0.1"], 4, "missing"),
        (["--pairs=missing", "--target-fmr=0.1"], 4, "missing"),
    ],
)
def test_what_cannot_be_calibrated(enrolled: Main, strangers: Path, words: list[str], code: int, why: str) -> None:
    ended = enrolled("gallery", "calibrate", *words)
    assert (ended.code, ended.out) == (code, ""), ended.err
    assert why in ended.error
    assert enrolled("gallery", "stats", "--json").document["calibrated"] == []


def test_moving_to_another_model(enrolled: Main, toy: str, people: Path, strangers: Path, tmp_path: Path) -> None:
    calibrated = enrolled("gallery", "calibrate", "--data", strangers, "--target-fmr=0.01", "--aligned")
    assert calibrated.code == 0
    old = enrolled("gallery", "stats", "--json").document
    other = write_weights(tmp_path / "other.safetensors", toy, seed=1)
    new = (f"--backbone={toy}", f"--pretrained={other}", "--precision=fp32")
    moved = tmp_path / "moved.png"
    (people / "Ada" / "0.png").rename(moved)
    stuck = enrolled("gallery", "reembed", *new)
    assert stuck.code == 3 and "8 of 9 embeddings made anew" in stuck.out and "0.png" in "".join(stuck.out.split())
    assert "--pictures" in stuck.err
    assert enrolled("gallery", "stats", "--json").document["fingerprint"] == old["fingerprint"]
    assert enrolled("identify", people / "Bruno", "--aligned", "--threshold=0.9").code == 0, "still in use"
    unasked = enrolled("gallery", "reembed", "--drop-missing", *new)
    assert unasked.code == 2 and "--yes" in unasked.error
    moved.rename(tmp_path / "strangers" / "found.png")
    done = enrolled("gallery", "reembed", "--pictures=strangers", *new, "--json")
    assert done.code == 0, done.err
    assert (done.document["finished"], done.document["embedded"]) == (True, 9)
    stats = enrolled("gallery", "stats", "--json").document
    assert stats["fingerprint"] == done.document["fingerprint"] != old["fingerprint"]
    assert stats["calibrated"] == []
    assert enrolled("identify", people, "--aligned", "--threshold=0.9", "--json").document["counts"] == {"matched": 8}
    again = enrolled("gallery", "reembed", *new)
    assert again.code == 3 and "already of" in again.error
