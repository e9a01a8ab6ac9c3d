"""``tracks``: one decision for each track, with and without the truth, and what cannot be used."""

from __future__ import annotations

import csv
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Main, Model
from patterns import write_patterns, write_weights

from facenet.workflows.track_folders import CONTEXT

PEOPLE = {"Ada": 1, "Bruno": 2, "Clea": 3}
"""Those of the fixture ``people``."""


@pytest.fixture
def tracks(people: Path, tmp_path: Path) -> Path:
    """Two tracks of four new pictures of each person: ``recordings/NAME/in`` and ``out``."""
    root = tmp_path / "recordings"
    for name, seed in PEOPLE.items():
        write_patterns(root / name, {"in": seed}, count=4, start=3)
        write_patterns(root / name, {"out": seed}, count=4, start=7)
    return root


def add_stranger(tracks: Path) -> None:
    write_patterns(tracks / "Zoe", {"in": 9}, count=4)


def test_one_decision_for_each_track(enrolled: Main, tracks: Path) -> None:
    ended = enrolled("tracks", tracks / "Ada", "--aligned", "--threshold=0.9", "--context=1")
    assert ended.code == 0, ended.err
    assert "2 tracks of 8 frames, windows of context 1: 2 matched" in ended.out
    assert "Ada 4 of 4" in ended.out and "rank-1" not in ended.out
    assert "decided by the threshold given, 0.9000" in ended.err
    assert "divided by their agreement" in ended.err and "tracks of strangers and --truth" in ended.err


def test_json_and_csv(enrolled: Main, tracks: Path, tmp_path: Path) -> None:
    out = tmp_path / "tables" / "tracks.csv"
    ended = enrolled("tracks", tracks, "--aligned", "--threshold=0.9", "--json", "--out", out, "--top-k=2")
    assert ended.code == 0, ended.err
    document = ended.document
    assert (document["gallery"], document["enrolled"]) == ("gallery", None)
    assert document["decision"]["threshold"] == 0.9 and document["counts"] == {"matched": 6}
    assert (document["context"], document["frames"], document["frames_compared"]) == (3, 24, 24)
    for track in document["tracks"]:
        assert track["name"] == track["track"].split("/")[0] and track["truth"] is None
        assert track["vote"] == {"name": track["name"], "frames": 4, "of": 4}
        assert len(track["candidates"]) == 2 and track["margin"] > 0.1 and 0.8 < track["agreement"] <= 1
        assert [Path(frame["source"]).name for frame in track["frames"]] == [
            f"{number}.png" for number in (range(3, 7) if track["track"].endswith("in") else range(7, 11))
        ]
        assert all(frame["window"]["name"] == track["name"] for frame in track["frames"])
    assert document["accuracy"] == [] and document["strangers"] == []
    with out.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["track"], row["name"]) for row in rows] == [(t["track"], t["name"]) for t in document["tracks"]]
    assert "written: " in ended.err


def test_ways_are_compared_where_the_truth_is_known(enrolled: Main, tracks: Path) -> None:
    add_stranger(tracks)
    words = ("tracks", tracks, "--aligned", "--truth", "--threshold=0.9", "--contexts=0,1")
    ended = enrolled(*words)
    assert ended.code == 0, ended.err
    for text in ("each frame alone", "windows, context 1", "windows, context 3", "vote of a track's frames"):
        assert text in ended.out
    assert "FPIR: how often a stranger is taken for somebody" in ended.out
    assert "minus frames alone" in ended.out and "(4 frames of 1 tracks by 1 people; too few" in ended.out
    assert "those of strangers: Zoe" in ended.err
    document = enrolled(*words, "--json").document
    assert [(way["way"], way["context"]) for way in document["accuracy"]] == [
        ("frames", 0), ("windows", 1), ("windows", 3), ("vote", None), ("tracks", 0), ("tracks", 1), ("tracks", 3),
    ]  # fmt: skip
    for way in document["accuracy"]:
        assert {key: found["value"] for key, found in way["findings"].items()} == {"rank_1": 1, "fnir": 0, "fpir": 0}
    assert document["strangers"] == ["Zoe"]
    assert {track["truth"] for track in document["tracks"]} == {*PEOPLE, "Zoe"}


def test_people_enrolled_for_this_once(main: Main, model: Model, people: Path, tracks: Path) -> None:
    (people / "Ada" / "broken.png").write_bytes(b"")
    ended = main("tracks", tracks, "--enrolled", people, "--aligned", "--truth", *model)
    assert ended.code == 0, ended.err
    assert "6 undecided" in ended.out and "rank-1: how often the person shown is the best" in ended.out
    assert "FNIR" not in ended.out
    assert "only ranked" in ended.err and "not enrolled: " in ended.err and "broken.png" in ended.err
    document = main("tracks", tracks, "--enrolled", people, "--aligned", "--truth", "--json", *model).document
    assert [way["findings"]["rank_1"]["value"] for way in document["accuracy"]] == [1, 1, 1, 1]
    assert [track["candidates"][0]["name"] for track in document["tracks"]] == [n for n in PEOPLE for _ in range(2)]
    assert document["decision"]["origin"] == "none" and document["gallery"] is None
    decided = main("tracks", tracks, "--enrolled", people, "--aligned", "--threshold=0.9", "--json", *model)
    assert decided.document["counts"] == {"matched": 6}


def test_without_a_threshold_a_gallery_decides_nothing(enrolled: Main, tracks: Path) -> None:
    ended = enrolled("tracks", tracks / "Ada", "--aligned")
    assert ended.code == 0
    assert "2 undecided" in ended.out and "(Ada)" in ended.out and "gallery calibrate" in ended.err
    assert "agreement (" not in ended.err


def test_the_calibrated_threshold_is_that_of_single_pictures(enrolled: Main, tracks: Path, tmp_path: Path) -> None:
    visitors = write_patterns(tmp_path / "visitors", {f"visitor {seed}": seed for seed in range(20, 44)}, count=4)
    done = enrolled("gallery", "calibrate", "--data", visitors, "--aligned", "--target-fmr=0.01", "--target-fpir=0.2")
    assert done.code == 0, done.err
    ended = enrolled("tracks", tracks, "--aligned", "--json")
    assert ended.code == 0, ended.err
    assert ended.document["decision"]["origin"] == "identification"
    (notice,) = (text for text in ended.document["notices"] if "agreement" in text)
    assert "the rate it was calibrated for is that of single pictures" in notice
    assert "decided by the calibrated threshold for identification" in ended.err


def test_the_threshold_for_tracks_decides_tracks_and_no_single_pictures(
    enrolled: Main, tracks: Path, tmp_path: Path
) -> None:
    add_stranger(tracks)
    visitors = tmp_path / "visitors"
    for seed in range(20, 40):
        write_patterns(visitors / f"visitor {seed}", {"in": seed}, count=3)
        write_patterns(visitors / f"visitor {seed}", {"out": seed}, count=3, start=3)
    calibrate = ("gallery", "calibrate", "--tracks", visitors, "--target-fpir=0.1", "--aligned", "--json")
    whole = enrolled(*calibrate).document["tracks"]
    assert whole["impostor"] == 40 and whole["measured"] <= 0.1
    words = ("tracks", tracks, "--aligned", "--truth")
    alone = enrolled(*words)
    assert alone.code == 0, alone.err
    assert "decided by the calibrated threshold for tracks: accept from" in alone.err
    assert "for a target of 10 %" in alone.err and "single frames are undecided" in alone.err
    assert "agreement (" not in alone.err and "rate it was calibrated for" not in alone.err
    assert "there is a threshold for tracks only" in " ".join(alone.out.split())
    singles = tmp_path / "singles"
    for seed in range(20, 40):
        write_patterns(singles, {f"single {seed}": seed}, count=3)
    for_pictures = ("gallery", "calibrate", "--data", singles, "--target-fpir=0.1", "--aligned", "--json")
    single = enrolled(*for_pictures).document["identification"]
    both = enrolled(*words)
    assert "single frames and their votes go by the threshold for single pictures" in both.err
    assert "decided by the calibrated threshold for identification" in both.err
    document = enrolled(*words, "--json").document
    assert (document["decision"]["origin"], document["decision"]["calibration"]) == ("tracks", whole)
    assert document["frames_decision"]["origin"] == "identification"
    assert document["frames_decision"]["threshold"] == single["value"] != whole["value"]
    assert {track["threshold"] for track in document["tracks"]} == {whole["value"]}
    assert document["counts"] == {"matched": 6, "unknown": 1}
    assert not any("agreement" in notice for notice in document["notices"])
    other = enrolled(*words, "--context=1")
    assert other.code == 0 and "WARNING: the threshold for tracks was calibrated with windows of context 3" in other.err
    assert enrolled(*words, "--threshold=0.9", "--json").document["frames_decision"]["origin"] == "given"


def test_the_help_names_the_context_that_is_usual(main: Main) -> None:
    for words in (("tracks",), ("gallery", "calibrate")):
        assert f"(default: {CONTEXT})" in " ".join(main(*words, "--help").out.split("--context N ")[-1].split())


def test_bad_frames_and_tracks_are_told(enrolled: Main, tracks: Path) -> None:
    (tracks / "Ada" / "in" / "note.jpg").write_text("no picture")
    (tracks / "Ada" / "two\nlines").mkdir()
    (tracks / "Ada" / "two\nlines" / "1.png").write_bytes(b"")
    ended = enrolled("tracks", tracks / "Ada", "--aligned", "--threshold=0.9")
    assert ended.code == 0, ended.err
    assert "2 matched, 1 unreadable" in ended.out and "4 of 5" in ended.out and "two\\nlines" in ended.out
    assert "2 of 10 frames could not be compared (2 unreadable)" in ended.err
    for track in ("in", "out"):
        for file in (tracks / "Ada" / track).iterdir():
            file.write_bytes(b"")
    nothing = enrolled("tracks", tracks / "Ada", "--aligned", "--threshold=0.9")
    assert nothing.code == 3 and "3 unreadable" in nothing.out


def test_another_model_than_the_gallerys(enrolled: Main, tracks: Path, tmp_path: Path) -> None:
    other = write_weights(tmp_path / "other.safetensors", "toy", seed=5)
    ended = enrolled("tracks", tracks, "--aligned", "--backbone=toy", f"--pretrained={other}", "--precision=fp32")
    assert ended.code == 5 and "gallery reembed" in ended.error and ended.out == ""


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        ([], 2, "DIR"),
        (["recordings", "--context=-1"], 2, "cannot be -1"),
        (["recordings", "--context=few"], 2, "invalid"),
        (["recordings", "--truth", "--contexts=1,-2"], 2, "cannot be -2"),
        (["recordings", "--contexts=1,2"], 2, "takes --truth"),
        (["recordings", "--gallery=gallery", "--enrolled=people"], 2, "not allowed with"),
        (["recordings", "--faces=all"], 2, "invalid choice"),
        (["recordings", "--threshold=nan"], 2, "between -1 and 1"),
        (["recordings", "--top-k=0"], 2, "at least 1"),
        (["missing"], 4, "one folder per track"),
        (["recordings", "--gallery=missing"], 4, "missing"),
        (["people/Ada/0.png"], 3, "is a file"),
        (["empty"], 3, "no track"),
        (["people/Ada"], 3, "0 folders deep"),
        (["mixed"], 3, "different depths"),
        (["people", "--truth"], 3, "every frame in people is enrolled itself"),
        (["people/Ada", "--truth"], 3, "0 folders deep, not 1 or 2"),
        (["misnamed", "--truth"], 3, "Adah: not enrolled, and without a threshold"),
    ],
)
def test_mistakes(enrolled: Main, tracks: Path, tmp_path: Path, words: list[str], code: int, why: str) -> None:
    (tmp_path / "empty").mkdir()
    write_patterns(tmp_path / "mixed", {"1": 1, "2/3": 1}, count=1)
    write_patterns(tmp_path / "misnamed" / "Adah", {"1": 1}, count=1, start=3)
    ended = enrolled("tracks", *words, *(["--aligned"] if words else []))
    assert (ended.code, ended.out) == (code, ""), ended.err
    assert why in ended.error


def test_a_table_that_cannot_be_written(enrolled: Main, tracks: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    ended = enrolled("tracks", tracks, "--aligned", "--threshold=0.9", "--out", tmp_path / "file" / "out.csv")
    assert ended.code == 4 and "cannot write" in ended.error and ended.out == ""


@pytest.mark.slow
def test_from_drawing_to_tracks(cli: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    """The real program in its own process, on people who are patterns and a network of random weights."""
    weights = write_weights(tmp_path / "net.safetensors")
    people = write_patterns(tmp_path / "people", PEOPLE, count=2)
    for name, seed in PEOPLE.items():
        write_patterns(tmp_path / "tracks" / name, {"1": seed}, count=3, start=2)
    words = ("--enrolled", people, "--truth", "--aligned", "--backbone=mobilefacenet", f"--pretrained={weights}")
    done = cli("tracks", "tracks", *words, "--precision=fp32", "--device=cpu", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "3 tracks of 9 frames" in done.stdout and "rank-1: how often" in done.stdout


@pytest.mark.slow
def test_from_enrolling_to_a_threshold_for_tracks(
    cli: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """The same with a gallery, whose threshold is set on tracks of strangers and decides about others."""
    weights = write_weights(tmp_path / "net.safetensors")
    write_patterns(tmp_path / "people", PEOPLE, count=2)
    write_patterns(tmp_path / "strangers", {f"stranger {seed}": seed for seed in range(20, 50)}, count=2)
    for name, seed in {**PEOPLE, "Zoe": 9}.items():
        write_patterns(tmp_path / "tracks" / name, {"1": seed}, count=3, start=2)
    model = ("--backbone=mobilefacenet", f"--pretrained={weights}", "--precision=fp32")
    for words in (
        ("enroll", "--from-folder", "people", *model),
        ("gallery", "calibrate", "--tracks", "strangers", "--target-fpir=0.1"),
    ):
        done = cli(*words, "--aligned", "--device=cpu", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    done = cli("tracks", "tracks", "--truth", "--aligned", "--device=cpu", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "3 matched, 1 unknown" in done.stdout
    assert "decided by the calibrated threshold for tracks" in done.stderr
