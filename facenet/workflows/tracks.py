"""Who the tracks of a folder show, as one call: list, embed, decide, and compare with the truth where it is known."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from facenet.detection.faces import Policy
from facenet.errors import InputError, UnreadableImage, UsageError, printable
from facenet.gallery.gallery import Gallery
from facenet.gallery.names import normalise_name
from facenet.images import read_picture_bytes
from facenet.recognition.decisions import Origin, Rule, track_rules
from facenet.recognition.recognizer import Recognizer
from facenet.recognition.tracks import (
    TrackDecisions,
    TrackFrames,
    agreement,
    decide_tracks,
    read_tracks,
    vote,
)
from facenet.workflows.track_accuracy import AS_USUAL, Decides, Resampling, Way, track_accuracy
from facenet.workflows.track_folders import CONTEXT, TrackFolder, scan_tracks
from facenet.workflows.track_outcomes import TrackOutcome, TracksFound

_SHOWN = 20


def identify_tracks(
    recognizer: Recognizer,
    root: Path,
    *,
    context: int = CONTEXT,
    contexts: Sequence[int] = (),
    truth: bool = False,
    top_k: int = 5,
    threshold: float | None = None,
    aligned: bool = False,
    faces: Policy = Policy.LARGEST,
    resampling: Resampling = AS_USUAL,
    progress: Callable[[int, int | None], None] | None = None,
) -> TracksFound:
    """Decide who every track of a folder shows, once for each track.

    Tracks and windows go by the gallery's threshold for tracks, and frames and votes beside them by that for single
    pictures, so that each is judged by what was calibrated for it; see
    :func:`facenet.recognition.decisions.track_rules` for what decides where one of them is missing.

    Args:
        recognizer: with its gallery.
        root: see :func:`facenet.workflows.track_folders.scan_tracks`.
        context: frames on either side of a window, from 0; a track's decision rests on its windows.
        contexts: others to measure besides; only with ``truth``.
        truth: folders are ``PERSON/TRACK`` or ``PERSON``, and ways to decide are compared; frames that are enrolled
            themselves are left out.
        top_k, threshold, aligned, progress: see :meth:`facenet.recognition.recognizer.Recognizer.identify`.
        faces: which face of a frame is meant, not ``ALL``.
        resampling: for intervals of figures.

    Raises:
        MissingError, InputError: there are no tracks, or not as expected; names of the truth that are no names, that
            several people have, or, without a threshold, that nobody enrolled has.
        UsageError: a negative context, ``contexts`` without ``truth``, ``Policy.ALL``, ``top_k`` below 1, a
            threshold that is no score.
    """
    if min((context, *contexts)) < 0:
        raise UsageError(f"context counts the frames on either side: it cannot be {min((context, *contexts))}")
    if contexts and not truth:
        raise UsageError("several contexts are compared by how often they are right, which takes --truth")
    if faces is Policy.ALL:
        raise UsageError("a track is of one face: largest, central or probable, not all")
    if top_k < 1:
        raise UsageError(f"at least 1 candidate is told for a track, not {top_k}")
    gallery = recognizer.gallery
    folder = scan_tracks(root, truth=truth)
    notices: list[str] = []
    if truth:
        folder, notices = _without_enrolled(folder, gallery)
    truths = [normalise_name(track.truth) for track in folder.tracks if track.truth is not None]
    rules = track_rules(gallery.header, gallery.store.count(), context, threshold)
    known = _enrolled(gallery, truths)
    strangers = sorted(set(truths) - known)
    _check_strangers(strangers, rules.tracks)
    frames = _read(recognizer, folder, rules.frames, top_k, aligned, faces, progress)
    names = [track.name for track in folder.tracks]
    measured = {
        size: decide_tracks(gallery, names, frames, rules.tracks, context=size, top_k=top_k)
        for size in sorted({context, *contexts})
    }
    tracks = _assembled(folder, frames, measured[context])
    ways: tuple[Way, ...] = ()
    if truth:
        ways = track_accuracy(
            truths,
            known,
            gallery.store.count()[0],
            frames,
            tuple(measured.values()),
            decides=Decides(tracks=rules.tracks.threshold is not None, frames=rules.frames.threshold is not None),
            resampling=resampling,
        )
    notices += _notices(tracks, rules.tracks, strangers)
    return TracksFound(tracks, rules, context, ways, tuple(strangers), tuple(notices), folder.left_out)


def enroll_all(
    recognizer: Recognizer, root: Path, *, aligned: bool = False, faces: Policy = Policy.LARGEST
) -> list[str]:
    """Enroll a folder of people as they are given, without the gate that keeps doubtful pictures out of a gallery.

    Args:
        recognizer: with a gallery that nobody else relies on.
        root: see :func:`facenet.data.folders.scan_folder`.
        aligned, faces: as in :func:`identify_tracks`.

    Returns:
        In words, which pictures are not enrolled and why.

    Raises:
        MissingError, InputError: no such folder, nothing in it, two folders of one name, or no face in any picture.
    """
    report = recognizer.enroll_folder(root, aligned=aligned, force=True, faces=faces)
    if recognizer.gallery.store.count()[0] == 0:
        raise InputError(f"nobody is enrolled: no picture in {printable(root)} has a face that can be used")
    words = [
        f"not enrolled: {printable(picture.source)}: {picture.words}"
        for person in report.people
        for picture in person.pictures
        if picture.sample is None
    ]
    return words + [f"left out: {printable(entry.path)}: {printable(entry.reason)}" for entry in report.left_out]


def _read(
    recognizer: Recognizer,
    folder: TrackFolder,
    rule: Rule,
    top_k: int,
    aligned: bool,
    faces: Policy,
    progress: Callable[[int, int | None], None] | None,
) -> TrackFrames:
    paths = [frame for track in folder.tracks for frame in track.frames]
    lengths = [len(track.frames) for track in folder.tracks]
    photos = recognizer.read(paths, aligned=aligned, faces=faces, progress=progress)
    smallest = recognizer.limits.compared
    return read_tracks(recognizer.gallery, lengths, photos, rule, top_k=top_k, smallest=smallest)


def _without_enrolled(folder: TrackFolder, gallery: Gallery) -> tuple[TrackFolder, list[str]]:
    """Leave out frames that somebody is enrolled with: to find these again shows nothing.

    Raises:
        InputError: there is no other frame.
    """
    contents = gallery.store.contents()
    tracks = []
    for track in folder.tracks:
        # What cannot be read has no content and stays, for its outcome to say so.
        fresh = tuple(f for f in track.frames if (content := _content(f)) is None or content not in contents)
        if fresh:
            tracks.append(replace(track, frames=fresh))
    before, after = (sum(len(track.frames) for track in some) for some in (folder.tracks, tracks))
    if before == after:
        return folder, []
    if not tracks:
        raise InputError(f"every frame in {printable(folder.root)} is enrolled itself: there is nothing to measure")
    gone = len(folder.tracks) - len(tracks)
    words = f"left out, for they are enrolled themselves: {before - after:,} frames"
    whole = f", among them all of {gone:,} tracks" if gone else ""
    return replace(folder, tracks=tuple(tracks)), [words + whole]


def _content(frame: Path) -> str | None:
    """SHA-256 (hex) of a picture's bytes; None if they cannot be read."""
    try:
        return hashlib.sha256(read_picture_bytes(frame)).hexdigest()
    except UnreadableImage:
        return None


def _assembled(folder: TrackFolder, frames: TrackFrames, decided: TrackDecisions) -> tuple[TrackOutcome, ...]:
    return tuple(
        TrackOutcome(track, outcome, of_track, windows, agreement(rows), vote(of_track))
        for track, outcome, of_track, windows, rows in zip(
            folder.tracks, decided.tracks, frames.outcomes, decided.windows, frames.rows, strict=True
        )
    )


def _enrolled(gallery: Gallery, truths: Sequence[str]) -> frozenset[str]:
    """The names that somebody has who can be found in the gallery."""
    over = {person.id for person in gallery.store.expired()}
    found: set[str] = set()
    for name in sorted(set(truths)):
        people = [p for p in gallery.store.people(name=name) if p.embeddings and p.id not in over]
        if len(people) > 1:
            ids = ", ".join(f"id:{person.id}" for person in people)
            raise InputError(
                f"{len(people)} people are called {printable(name)} ({ids}): rename them with `gallery rename`, so "
                "that a folder's name says who is meant"
            )
        if people:
            found.add(name)
    return frozenset(found)


def _check_strangers(strangers: Sequence[str], rule: Rule) -> None:
    """Without a threshold nobody is a stranger: a name that nobody enrolled has is then a mistake."""
    if strangers and rule.threshold is None:
        raise InputError(
            f"{_some(strangers)}: not enrolled, and without a threshold nobody can be taken for a stranger; enroll "
            "them, correct the names of the folders, or give a threshold"
        )


def _notices(tracks: Sequence[TrackOutcome], rule: Rule, strangers: Sequence[str]) -> list[str]:
    """What the figures do not say by themselves."""
    found: list[str] = []
    unused = Counter[str]()
    for track in tracks:
        unused.update(track.problems)
    if total := unused.total():
        counts = ", ".join(f"{count:,} {problem}" for problem, count in unused.items() if count)
        frames = sum(len(track.frames) for track in tracks)
        found.append(f"{total:,} of {frames:,} frames could not be compared ({counts}): their tracks go by the others")
    if all(track.track.truth is None and track.track.name.count("/") == 1 for track in tracks):
        found.append("the tracks lie two folders deep: if the upper ones are named as people, --truth compares")
    if strangers:
        found.append(f"not enrolled, so their tracks are those of strangers: {_some(strangers)}")
    lengths = [track.agreement for track in tracks if track.agreement is not None]
    if rule.threshold is not None and rule.origin is not Origin.TRACKS and lengths:
        found.append(_borrowed(rule, float(np.median(lengths)), measured=bool(strangers)))
    return found


def _borrowed(rule: Rule, length: float, *, measured: bool) -> str:
    """What a threshold that was not set on tracks does to them."""
    words = (
        "a track's score is about the mean score of its frames divided by their agreement (here "
        f"{length:.2f}, the median), so it lies farther from 0 than theirs, for strangers too, and the threshold "
        "decides otherwise for tracks than for frames"
    )
    if rule.origin is not Origin.GIVEN:
        words += (
            "; the rate it was calibrated for is that of single pictures, and `gallery calibrate --tracks` sets one "
            "for tracks"
        )
    return words if measured else f"{words}; tracks of strangers and --truth show what it does"


def _some(names: Sequence[str]) -> str:
    """A few names, and how many more there are."""
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(printable(name) for name in names[:_SHOWN]) + more
