"""Face tracks below one folder: the frames of each in the order of their names, numbers in them by value."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from facenet.data.folders import NO_PERSON, LeftOut, Walk
from facenet.errors import InputError, MissingError, printable

CONTEXT = 3
"""Frames on either side of a window, if nothing is said."""

_DIGITS = re.compile(r"([0-9]+)")


@dataclass(frozen=True)
class Track:
    """The pictures of one face over the frames of a recording.

    Attributes:
        name: posix path of its folder, relative to the root.
        frames: picture files, in order.
        truth: name of the person's folder, None where nobody said who it is.
    """

    name: str
    frames: tuple[Path, ...]
    truth: str | None = None


@dataclass(frozen=True)
class TrackFolder:
    """Every track below one root.

    Attributes:
        root: the folder that was read.
        tracks: at least one, in natural order.
        left_out: what looked like a picture or a folder and is not used.
    """

    root: Path
    tracks: tuple[Track, ...]
    left_out: tuple[LeftOut, ...] = ()


def natural_key(name: str) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """What names are sorted by: numbers in them by value, so that ``frame 2`` comes before ``frame 10``.

    Two names that differ in leading zeros only (``2`` and ``02``) are told apart by their characters.
    """
    parts = (part for part in _DIGITS.split(name) if part)
    return tuple((0, int(part), "") if _DIGITS.fullmatch(part) else (1, 0, part) for part in parts), name


def scan_tracks(root: Path, *, truth: bool) -> TrackFolder:
    """Find tracks by the names of folders and pictures; no picture is opened.

    A folder that directly holds pictures is a track, and all tracks lie equally deep: pictures at another depth are a
    frame too many or a folder in the wrong place.

    Args:
        root: ``root/TRACK/frame``, or any one depth more. Hidden names and what archive tools leave behind are
            skipped.
        truth: the folders are ``root/PERSON/TRACK/frame``, or ``root/PERSON/frame`` where there is one track of each
            person, and those of people are named as the people are called.

    Raises:
        MissingError: ``root`` is not there.
        InputError: it is no folder or cannot be read, holds no track, or holds them at different depths; with
            ``truth``, at another depth than that.
    """
    if not root.exists():
        raise MissingError(f"no folder {printable(root)}: {_expected(root, truth)}")
    if not root.is_dir():
        raise InputError(f"{printable(root)} is a file: {_expected(root.parent, truth)}")
    walk = Walk(root)
    walk.run()
    frames: dict[str, list[str]] = defaultdict(list)
    # A picture directly in the root is in no person's folder, which is what the walk looks for; here it is in no
    # track's, and so at a depth of its own.
    loose = [entry.path for entry in walk.left_out if entry.reason == NO_PERSON]
    for path in (*walk.pictures, *loose):
        frames[path.rpartition("/")[0]].append(path)
    names = sorted(frames, key=_path_key)
    _check_depths(root, names, truth)
    tracks = tuple(
        Track(
            name,
            tuple(root / path for path in sorted(frames[name], key=_path_key)),
            name.partition("/")[0] if truth else None,
        )
        for name in names
    )
    left_out = sorted((entry for entry in walk.left_out if entry.reason != NO_PERSON), key=lambda e: _path_key(e.path))
    return TrackFolder(root, tracks, tuple(left_out))


def _path_key(path: str) -> list[tuple[tuple[tuple[int, int, str], ...], str]]:
    return [natural_key(part) for part in path.split("/")]


def _check_depths(root: Path, names: list[str], truth: bool) -> None:
    if not names:
        raise InputError(f"no track in {printable(root)}, for there are no pictures: {_expected(root, truth)}")
    depths = {_depth(name): name for name in reversed(names)}
    if len(depths) > 1:
        shown = [printable(root / depths[depth] if depths[depth] else root) for depth in (min(depths), max(depths))]
        raise InputError(
            f"the tracks of {printable(root)} lie at different depths: {shown[0]} and {shown[1]} both hold pictures; "
            "put every track equally deep"
        )
    (depth,) = depths
    if depth == 0 or (truth and depth > 2):
        wanted = "1 or 2" if truth else "at least 1"
        raise InputError(
            f"the pictures of {printable(root)} lie {depth} folders deep, not {wanted}: {_expected(root, truth)}"
        )


def _depth(name: str) -> int:
    return len(name.split("/")) if name else 0


def _expected(root: Path, truth: bool) -> str:
    track = root / "Ada" / "track 1" if truth else root / "track 1"
    layout = "one folder per person and in it one per track" if truth else "one folder per track"
    return f"expected {layout}, such as {printable(track / '0001.jpg')}"
