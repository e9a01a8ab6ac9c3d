"""Tracks in folders: the order of frames, how deep tracks lie, and what is no folder of tracks."""

from __future__ import annotations

import functools
import random
import re
from itertools import zip_longest
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facenet.errors import InputError, MissingError
from facenet.workflows.track_folders import natural_key, scan_tracks


def touch(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"")
    return root


def test_frames_and_tracks_come_in_natural_order(tmp_path: Path) -> None:
    names = [f"frame {number}.jpg" for number in (1, 2, 3, 9, 10, 11, 100)]
    shuffled = [f"track {track}/{name}" for track in (10, 2, 1) for name in names]
    random.Random(0).shuffle(shuffled)
    found = scan_tracks(touch(tmp_path, *shuffled), truth=False)
    assert [track.name for track in found.tracks] == ["track 1", "track 2", "track 10"]
    for track in found.tracks:
        assert [frame.name for frame in track.frames] == names
        assert all(frame.parent == tmp_path / track.name for frame in track.frames)
        assert track.truth is None


def before(one: str, other: str) -> int:
    """The order of two names by going through them piece by piece: -1, 0 or 1."""
    pieces = [re.findall(r"[0-9]+|[^0-9]+", name) for name in (one, other)]
    for first, second in zip_longest(*pieces):
        if first is None or second is None:
            return -1 if first is None else 1
        numbers = [piece[0] in "0123456789" for piece in (first, second)]
        if all(numbers) and int(first) != int(second):
            return -1 if int(first) < int(second) else 1
        if not any(numbers) and first != second:
            return -1 if first < second else 1
        if numbers[0] != numbers[1]:
            return -1 if numbers[0] else 1
    return (one > other) - (one < other)


@given(st.lists(st.text("012a.é²٣ ", max_size=8), max_size=8))
def test_the_order_is_total_and_that_of_the_pieces(names: list[str]) -> None:
    assert sorted(names, key=natural_key) == sorted(names, key=functools.cmp_to_key(before))


def test_people_are_the_upper_folders_only_if_that_is_said(tmp_path: Path) -> None:
    touch(tmp_path, "Ada/2/1.jpg", "Ada/10/1.jpg", "Bruno/1/1.png", "Bruno/1/.hidden.png", "Bruno/1/notes.txt")
    said = scan_tracks(tmp_path, truth=True).tracks
    assert [(track.name, track.truth) for track in said] == [("Ada/2", "Ada"), ("Ada/10", "Ada"), ("Bruno/1", "Bruno")]
    unsaid = scan_tracks(tmp_path, truth=False).tracks
    assert [(track.name, track.truth) for track in unsaid] == [("Ada/2", None), ("Ada/10", None), ("Bruno/1", None)]
    assert [len(track.frames) for track in unsaid] == [1, 1, 1]


def test_a_person_may_have_one_track(tmp_path: Path) -> None:
    (one,) = scan_tracks(touch(tmp_path, "Ada/1.jpg", "Ada/2.jpg"), truth=True).tracks
    assert (one.name, one.truth, len(one.frames)) == ("Ada", "Ada", 2)


@pytest.mark.parametrize(
    ("paths", "truth", "why"),
    [
        ([], False, "no track in"),
        (["a/notes.txt"], False, "no track in"),
        (["1.jpg"], False, "lie 0 folders deep, not at least 1"),
        (["1.jpg"], True, "lie 0 folders deep, not 1 or 2"),
        (["1.jpg", "a/1.jpg"], False, "different depths"),
        (["a/1.jpg", "a/b/1.jpg"], False, "different depths"),
        (["Ada/1/1.jpg", "Bruno/1.jpg"], True, "different depths"),
        (["set/Ada/1/1.jpg"], True, "lie 3 folders deep, not 1 or 2"),
    ],
)
def test_what_is_no_folder_of_tracks(tmp_path: Path, paths: list[str], truth: bool, why: str) -> None:
    with pytest.raises(InputError, match=why) as raised:
        scan_tracks(touch(tmp_path, *paths), truth=truth)
    assert str(raised.value).isprintable()


def test_a_place_that_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="one folder per person and in it one per track"):
        scan_tracks(tmp_path / "nowhere", truth=True)
    (tmp_path / "file\n").write_bytes(b"")
    with pytest.raises(InputError, match=r"file\\n is a file: expected one folder per track"):
        scan_tracks(tmp_path / "file\n", truth=False)


def test_what_is_passed_over_is_told(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg", "a/2.heic")
    (tmp_path / "a" / "3.jpg").symlink_to(tmp_path / "gone")
    left_out = scan_tracks(tmp_path, truth=False).left_out
    assert [(entry.path, entry.reason.split(";")[0]) for entry in left_out] == [
        ("a/2.heic", "a kind of picture that is not read"),
        ("a/3.jpg", "broken link"),
    ]
