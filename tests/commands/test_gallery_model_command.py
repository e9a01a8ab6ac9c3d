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


def test_calibrating_on_tracks(enrolled: Main, strangers: Path, people: Path) -> None:
    write_patterns(strangers, {"ADA": 1}, count=1, start=5)
    (strangers / "stranger 20" / "3.png").write_bytes(b"no picture")
    targets = ("--target-fmr=0.01", "--target-fpir=0.1")
    assert enrolled("gallery", "calibrate", "--data", strangers, *targets, "--aligned").code == 0
    before = enrolled("gallery", "stats", "--json").document["calibration"]
    words = ("gallery", "calibrate", "--tracks", strangers, "--target-fpir=0.25", "--context=1", "--aligned")
    ended = enrolled(*words)
    assert ended.code == 0, ended.err
    assert "tracks" in ended.out and "verification" not in ended.out and "12 searches by 12 strangers" in ended.out
    assert "12 tracks of 12 people, 47 frames, windows of context 1" in ended.err
    assert "1 people who are enrolled" in ended.err and "1 pictures: unreadable" in ended.err
    document = enrolled(*words, "--json").document
    found = document["tracks"]
    assert (found["context"], found["target"], found["gallery_people"], found["people"]) == (1, 0.25, 3, 12)
    assert (document["tracks_used"], document["tracks_left_out"], document["pictures"]) == (12, 0, 47)
    stats = enrolled("gallery", "stats", "--json").document
    assert stats["calibrated"] == ["identification", "tracks", "verification"]
    assert {**before, "tracks": found} == stats["calibration"]
    shown = " ".join(enrolled("gallery", "stats").out.replace("│", " ").split())
    assert "threshold for tracks accept from" in shown and "windows of context 1" in shown
    # It is for tracks only, and goes where the gallery goes.
    assert "calibrated threshold for identification" in enrolled("identify", people / "Bruno", "--aligned").err
    assert enrolled("gallery", "backup", "kept").code == 0
    copy = enrolled("gallery", "stats", "--gallery=kept", "--json").document
    assert copy["calibration"] == stats["calibration"]
    assert enrolled("gallery", "export", "people.facenet").code == 0
    assert enrolled("gallery", "import", "people.facenet", "--same-name=skip").code == 0
    assert enrolled("gallery", "stats", "--json").document["calibration"] == stats["calibration"]


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["--tracks=strangers", "--target-fmr=0.1"], 2, "pairs of tracks are not offered"),
        (["--tracks=strangers", "--target-fmr=0.1", "--target-fpir=0.1"], 2, "pairs of tracks are not offered"),
        (["--tracks=strangers"], 2, "--tracks takes --target-fpir"),
        (["--tracks=strangers", "--data=strangers", "--target-fpir=0.1"], 2, "not allowed with"),
        (["--tracks=strangers", "--pairs=x", "--target-fpir=0.1"], 2, "not allowed with"),
        (["--tracks=strangers", "--target-fpir=0.1", "--context=-1"], 2, "cannot be -1"),
        (["--tracks=strangers", "--target-fpir=0.1", "--faces=all"], 2, "invalid choice"),
        (["--data=strangers", "--target-fpir=0.1", "--context=1"], 2, "--context goes with --tracks"),
        (["--tracks=strangers", "--root=x", "--target-fpir=0.1"], 2, "--root goes with --pairs"),
        (["--tracks=strangers", "--target-fpir=0.1", "--aligned"], 3, "30 searches"),
        (["--tracks=people", "--target-fpir=0.5", "--aligned"], 3, "3 people are in the gallery"),
        (["--tracks=strangers/stranger 20", "--target-fpir=0.5", "--aligned"], 3, "0 folders deep"),
        (["--tracks=missing", "--target-fpir=0.1"], 4, "missing"),
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
    calibrate = ("gallery", "calibrate", "--aligned")
    assert enrolled(*calibrate, "--data", strangers, "--target-fmr=0.01").code == 0
    assert enrolled(*calibrate, "--tracks", strangers, "--target-fpir=0.25").code == 0
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
