"""Windows, tracks and votes: against slow loops, against answers that are known, and where nothing can be said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ideal import SIZE, WritePicture, score

from facenet.data.sequences import Edge, FrameSequences
from facenet.detection.faces import Policy
from facenet.errors import UsageError
from facenet.gallery.records import Candidate
from facenet.geometry import cosine, normalise
from facenet.recognition.decisions import Origin, Rule
from facenet.recognition.outcomes import Outcome, Status
from facenet.recognition.recognizer import Recognizer
from facenet.recognition.tracks import (
    TrackFrames,
    agreement,
    decide_tracks,
    fuse_tracks,
    read_tracks,
    vote,
    window_embeddings,
)

RULE = Rule(0.9, Origin.GIVEN)
LENGTHS = st.lists(st.integers(0, 7), min_size=1, max_size=5).filter(any)


def unit_rows(count: int, seed: int, size: int = 6) -> np.ndarray:
    rows = torch.from_numpy(np.random.default_rng(seed).normal(size=(count, size)))
    return normalise(rows).numpy().astype(np.float32)


def recordings(lengths: list[int], seed: int) -> list[np.ndarray]:
    return [unit_rows(length, seed + number) for number, length in enumerate(lengths)]


@settings(deadline=None)
@given(LENGTHS, st.integers(0, 9), st.integers(0, 1000))
def test_windows_are_the_means_of_neighbours_of_the_same_track(lengths: list[int], context: int, seed: int) -> None:
    rows = recordings(lengths, seed)
    found = window_embeddings(FrameSequences(rows, context=context, edge=Edge.ZEROS)).numpy()
    wanted = []
    for recording in rows:
        for row in range(len(recording)):
            neighbours = [recording[i] for i in range(row - context, row + context + 1) if 0 <= i < len(recording)]
            total = np.sum(neighbours, axis=0, dtype=np.float64)
            wanted.append(total / np.sqrt((total**2).sum()))
    np.testing.assert_allclose(found, np.stack(wanted), atol=1e-5)


def test_windows_are_the_same_however_many_are_taken_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = FrameSequences(recordings([5, 0, 9], 0), context=2, edge=Edge.ZEROS)
    whole = window_embeddings(frames)
    monkeypatch.setattr("facenet.recognition.tracks._WINDOWS_AT_ONCE", 3)
    torch.testing.assert_close(window_embeddings(frames), whole, rtol=0, atol=1e-7)


@settings(deadline=None)
@given(LENGTHS, st.integers(0, 3), st.integers(0, 1000))
def test_another_recording_changes_nothing(lengths: list[int], context: int, seed: int) -> None:
    rows = recordings(lengths, seed)
    changed = [unit_rows(len(rows[0]) + 2, seed + 77), *rows[1:], unit_rows(3, seed + 78)]
    frames, others = (FrameSequences(given, context=context, edge=Edge.ZEROS) for given in (rows, changed))
    one, other = window_embeddings(frames), window_embeddings(others)
    fused, fused_others = (
        dict(zip(*fuse_tracks(windows, given), strict=True)) for windows, given in ((one, frames), (other, others))
    )
    for track in range(1, len(rows)):
        mine, same = list(frames.samples_of(track)), list(others.samples_of(track))
        torch.testing.assert_close(one[mine], other[same], rtol=0, atol=1e-6)
        assert (track in fused) == (track in fused_others) == (len(rows[track]) > 0)
        if track in fused:
            np.testing.assert_allclose(fused[track], fused_others[track], atol=1e-6)


def test_where_frames_cancel_out_one_of_them_stands_for_all() -> None:
    row = unit_rows(1, 0)
    frames = FrameSequences([np.concatenate([row, -row])], context=1, edge=Edge.ZEROS)
    windows = window_embeddings(frames)
    np.testing.assert_allclose(windows.numpy(), np.concatenate([row, -row]), atol=1e-6)
    tracks, fused = fuse_tracks(windows, frames)
    assert tracks == [0]
    np.testing.assert_allclose(fused, row, atol=1e-6)


@given(st.integers(1, 9), st.integers(0, 1000))
def test_the_score_of_a_track_is_that_of_its_frames_by_their_agreement(count: int, seed: int) -> None:
    rows, template = unit_rows(count, seed), torch.from_numpy(unit_rows(1, seed + 1))
    frames = FrameSequences([rows], context=0)
    _, fused = fuse_tracks(window_embeddings(frames), frames)
    length = agreement(rows)
    assert length is not None and 0 <= length <= 1
    mean = float(cosine(torch.from_numpy(rows), template).mean())
    assert float(cosine(torch.from_numpy(fused), template)) * length == pytest.approx(mean, abs=1e-5)


def test_agreement_of_the_same_of_opposites_and_of_nothing() -> None:
    row = unit_rows(1, 3)
    assert agreement(np.repeat(row, 5, axis=0)) == pytest.approx(1, abs=1e-6)
    assert agreement(np.concatenate([row, -row])) == pytest.approx(0, abs=1e-6)
    assert agreement(np.empty((0, 6), np.float32)) is None


def read(recognizer: Recognizer, tracks: list[list[Path]], rule: Rule = RULE, top_k: int = 2) -> TrackFrames:
    photos = recognizer.read([path for track in tracks for path in track], faces=Policy.LARGEST)
    lengths = [len(track) for track in tracks]
    return read_tracks(recognizer.gallery, lengths, photos, rule, top_k=top_k, smallest=20)


def test_a_track_is_recognised_that_no_frame_of_it_is(recognizer: Recognizer, picture: WritePicture) -> None:
    # Enrolled at 100 degrees; frames at 70 and 130 score cos 30 = 0.866 each, their mean points to 100.
    recognizer.enroll("Ada", [picture("a.png", 1, 100)])
    recognizer.enroll("Bruno", [picture("b.png", 2, 100)])
    tracks = [
        [picture("1/1.png", 1, 70), picture("1/2.png", 1, 130)],
        [picture("2/1.png", 5, 70), picture("2/2.png", 5, 130)],
    ]
    frames = read(recognizer, tracks)
    assert [[outcome.status for outcome in of_track] for of_track in frames.outcomes] == [[Status.UNKNOWN] * 2] * 2
    assert frames.outcomes[0][0].score == pytest.approx(score(30), abs=1e-5)
    decided = decide_tracks(recognizer.gallery, ["one", "two"], frames, RULE, context=0, top_k=1)
    known, stranger = decided.tracks
    assert (known.source, known.status, known.name, known.threshold) == ("one", Status.MATCHED, "Ada", 0.9)
    assert known.score == pytest.approx(1, abs=1e-5) and len(known.candidates) == 1
    assert known.margin == pytest.approx(1, abs=1e-5)
    assert (stranger.status, stranger.name) == (Status.UNKNOWN, None)
    assert agreement(frames.rows[0]) == pytest.approx(score(30), abs=1e-5)
    # With context 0 the windows are the frames; with 1 both see the whole track.
    assert [[o.status for o in windows] for windows in decided.windows] == [[Status.UNKNOWN] * 2] * 2
    wider = decide_tracks(recognizer.gallery, ["one", "two"], frames, RULE, context=1, top_k=1)
    assert [[o.name for o in windows] for windows in wider.windows] == [["Ada", "Ada"], [None, None]]
    assert [o.source for windows in wider.windows for o in windows] == [str(path) for track in tracks for path in track]


def test_many_windows_are_searched_for_in_parts(
    recognizer: Recognizer, picture: WritePicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    recognizer.enroll("Ada", [picture("a.png", 1, 100)])
    frames = read(recognizer, [[picture(f"{n}.png", 1, 90 + n) for n in range(7)], [picture("x.png", 4, 0)]])
    whole = decide_tracks(recognizer.gallery, ["one", "two"], frames, RULE, context=2, top_k=2)
    monkeypatch.setattr("facenet.recognition.tracks.SEARCHED_AT_ONCE", 3)
    parts = decide_tracks(recognizer.gallery, ["one", "two"], frames, RULE, context=2, top_k=2)
    for one, other in zip(whole.windows, parts.windows, strict=True):
        assert [(o.source, o.status) for o in one] == [(o.source, o.status) for o in other]
        assert [o.score for o in one] == pytest.approx([o.score for o in other], abs=1e-6)


def test_bad_frames_are_outcomes_and_have_no_row(recognizer: Recognizer, picture: WritePicture, tmp_path: Path) -> None:
    recognizer.enroll("Ada", [picture("a.png", 1, 100)])
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    small = picture("small.png", 1, 100, side=12)
    tracks = [
        [picture("1.png", 1, 80), broken, small, picture("2.png", 1, 120)],
        [broken, small, broken],
        [small, broken],
    ]
    frames = read(recognizer, tracks)
    assert [[str(o.status) for o in of_track] for of_track in frames.outcomes] == [
        ["matched", "unreadable", "too_small", "matched"],
        ["unreadable", "too_small", "unreadable"],
        ["too_small", "unreadable"],
    ]
    assert [rows.shape for rows in frames.rows] == [(2, SIZE), (0, SIZE), (0, SIZE)]
    decided = decide_tracks(recognizer.gallery, ["one", "two", "three"], frames, RULE, context=1, top_k=1)
    assert [len(windows) for windows in decided.windows] == [2, 0, 0]
    one, two, three = decided.tracks
    # The neighbours across the gap are neighbours now: both windows point to 100 degrees.
    assert one.name == "Ada" and one.score == pytest.approx(1, abs=1e-5)
    assert [o.score for o in decided.windows[0]] == pytest.approx([1, 1], abs=1e-5)
    assert (two.status, two.candidates, two.score) == (Status.UNREADABLE, (), None)
    assert two.reason == "no usable frame: 1 too_small, 2 unreadable"
    # As many of either kind: the first in the order of the words.
    assert three.status is Status.TOO_SMALL


def test_tracks_without_any_frame_to_compare(recognizer: Recognizer, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"")
    frames = read(recognizer, [[broken], [broken, broken]])
    decided = decide_tracks(recognizer.gallery, ["one", "two"], frames, RULE, context=1, top_k=1)
    assert decided.windows == ((), ())
    assert [outcome.status for outcome in decided.tracks] == [Status.UNREADABLE] * 2
    with pytest.raises(UsageError, match="cannot be -1"):
        decide_tracks(recognizer.gallery, ["one", "two"], frames, RULE, context=-1, top_k=1)


def test_an_empty_gallery_knows_nobody(recognizer: Recognizer, picture: WritePicture) -> None:
    frames = read(recognizer, [[picture("1.png", 1, 80)]])
    (track,) = decide_tracks(recognizer.gallery, ["one"], frames, RULE, context=1, top_k=1).tracks
    assert (track.status, track.reason, track.candidates) == (Status.UNKNOWN, "nobody is enrolled", ())
    found = vote(frames.outcomes[0])
    assert found is not None and (found.candidate, found.frames, found.of) == (None, 1, 1)


def frame(name: str, value: float, status: Status = Status.MATCHED) -> Outcome:
    if status in (Status.NO_FACE, Status.UNREADABLE):
        return Outcome("frame", status)
    return Outcome("frame", status, candidates=(Candidate(ord(name), name, value),))


@pytest.mark.parametrize(
    ("frames", "decided", "ranked"),
    [
        ([frame("A", 0.9), frame("B", 0.8), frame("A", 0.7)], ("A", 2, 3), ("A", 2, 3)),
        # As many votes: the higher sum of scores.
        ([frame("A", 0.7), frame("B", 0.8)], ("B", 1, 2), ("B", 1, 2)),
        ([frame("A", 0.8), frame("B", 0.7)], ("A", 1, 2), ("A", 1, 2)),
        # Frames of nobody known agree with one another, whoever they are most like.
        (
            [frame("A", 0.2, Status.UNKNOWN), frame("B", 0.1, Status.UNKNOWN), frame("C", 0.9)],
            (None, 2, 3),
            ("C", 1, 3),
        ),
        ([frame("A", 0.2, Status.UNDECIDED), frame("", 0, Status.NO_FACE)], ("A", 1, 1), ("A", 1, 1)),
    ],
)
def test_votes(frames: list[Outcome], decided: tuple[str | None, int, int], ranked: tuple[str, int, int]) -> None:
    for wanted, found in ((decided, vote(frames)), (ranked, vote(frames, ranked=True))):
        assert found is not None
        name = None if found.candidate is None else found.candidate.name
        assert (name, found.frames, found.of) == wanted


def test_a_vote_without_voters() -> None:
    assert vote([]) is None
    assert vote([frame("", 0, Status.NO_FACE), frame("", 0, Status.UNREADABLE)]) is None


def test_the_score_of_a_vote_is_the_mean_of_those_who_gave_it() -> None:
    found = vote([frame("A", 0.9), frame("B", 0.8), frame("A", 0.7)])
    assert found is not None and found.candidate is not None
    assert found.candidate.score == pytest.approx(0.8)
