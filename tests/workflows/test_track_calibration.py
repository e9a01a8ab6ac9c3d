"""A threshold for whole tracks: against a slow oracle, where it decides, and what cannot be calibrated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from painted_tracks import NAMES, four_people, known_row, paint, paint_tracks

from facenet.detection.faces import Policy
from facenet.errors import InputError, MissingError, UsageError
from facenet.evaluation.calibration import calibrate_fpir
from facenet.gallery.gallery import Gallery
from facenet.gallery.records import Fusion
from facenet.recognition.calibrating import calibrate
from facenet.recognition.decisions import Origin, calibrated
from facenet.recognition.recognizer import Recognizer
from facenet.workflows.track_accuracy import Resampling
from facenet.workflows.track_calibration import calibrate_tracks
from facenet.workflows.track_outcomes import TracksFound
from facenet.workflows.tracks import identify_tracks

FEW = Resampling(replicates=20)
PEOPLE, EACH, FRAMES, BLUE = 20, 2, 3, 150
STRANGERS = {f"stranger {person}": person for person in range(50, 50 + PEOPLE)}


@pytest.fixture
def recognizer(tmp_path: Path) -> Iterator[Recognizer]:
    with four_people(tmp_path) as opened:
        yield opened


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("strangers")
    return paint_tracks(root, STRANGERS, frames=FRAMES, strength=BLUE / 100, each=EACH)


def unit(row: np.ndarray) -> np.ndarray:
    found: np.ndarray = row / np.sqrt((row.astype(np.float64) ** 2).sum())
    return found


def best_scores(context: int) -> np.ndarray:
    """Of every track by slow means: windows, then the track, then the most alike of the people enrolled."""
    found = []
    for person in STRANGERS.values():
        for track in range(EACH):
            rows = [known_row(person, track * FRAMES + frame, BLUE).astype(np.float64) for frame in range(FRAMES)]
            windows = [unit(sum(rows[max(0, i - context) : i + context + 1], np.zeros(1))) for i in range(FRAMES)]
            whole = unit(sum(windows, np.zeros(1)))
            found.append(max(float(whole @ known_row(known, 250, 0)) for known in range(len(NAMES))))
    return np.array(found, dtype=np.float32)


@pytest.mark.parametrize("context", [0, 1, 3])
def test_the_threshold_is_that_of_the_searches_tracks_make(
    recognizer: Recognizer, strangers: Path, context: int
) -> None:
    result = calibrate_tracks(recognizer, strangers, target_fpir=0.1, context=context, seed=5)
    best = best_scores(context)
    wanted = calibrate_fpir(
        best, np.repeat(np.arange(PEOPLE), EACH), 0.1, gallery_people=4, fingerprint="k" * 32, seed=5
    )
    found = result.threshold
    assert found.value == pytest.approx(wanted.value, abs=1e-5)
    assert found.interval == pytest.approx(wanted.interval)
    assert (found.measured, found.impostor, found.people) == (wanted.measured, PEOPLE * EACH, PEOPLE)
    assert (found.context, found.gallery_people, found.fusion) == (context, 4, "quality-weighted")
    assert 0 < np.mean(best >= found.value) <= 0.1
    assert (result.tracks, result.people, result.pictures) == (PEOPLE * EACH, PEOPLE, PEOPLE * EACH * FRAMES)
    assert (result.enrolled_people, result.left_out, result.tracks_left_out) == (0, {}, 0)


def decided(recognizer: Recognizer, root: Path, **words: object) -> TracksFound:
    return identify_tracks(recognizer, root, truth=True, resampling=FEW, **words)  # type: ignore[arg-type]


def figures(found: TracksFound, key: str) -> dict[str, float | None]:
    return {way.key: f.value for way in found.ways for f in way.findings if f.key == key}


def test_tracks_go_by_it_and_frames_by_their_own(recognizer: Recognizer, strangers: Path) -> None:
    single = calibrate(recognizer, data=strangers, target_fpir=0.1).identification
    before = decided(recognizer, strangers)
    whole = calibrate_tracks(recognizer, strangers, target_fpir=0.1).threshold
    after = decided(recognizer, strangers)
    assert single is not None and whole.value != single.value
    assert (before.rules.tracks.origin, before.rules.frames.origin) == (Origin.IDENTIFICATION, Origin.IDENTIFICATION)
    assert (after.rules.tracks.origin, after.rules.frames.origin) == (Origin.TRACKS, Origin.IDENTIFICATION)
    for track in after.tracks:
        assert {outcome.threshold for outcome in (track.outcome, *track.windows)} == {whole.value}
        assert {outcome.threshold for outcome in track.frames} == {single.value}
    # The very tracks it was set on: every way that is decided by its own threshold keeps its own rate.
    assert figures(after, "fpir")["tracks"] == pytest.approx(whole.measured)
    assert figures(after, "fpir")["frames"] == pytest.approx(single.measured)
    for way in ("frames", "vote"):
        assert figures(after, "fpir")[way] == figures(before, "fpir")[way]
    assert [t.frames for t in after.tracks] == [t.frames for t in before.tracks]
    assert any("that of single pictures" in notice for notice in before.notices)
    assert not any("agreement" in notice for notice in after.notices)


def test_a_threshold_given_decides_everything(recognizer: Recognizer, strangers: Path) -> None:
    calibrate_tracks(recognizer, strangers, target_fpir=0.1)
    found = decided(recognizer, strangers, threshold=0.5)
    assert found.rules.tracks == found.rules.frames
    assert {o.threshold for t in found.tracks for o in (t.outcome, *t.frames, *t.windows)} == {0.5}


def test_without_one_for_single_pictures_frames_are_undecided(
    recognizer: Recognizer, strangers: Path, tmp_path: Path
) -> None:
    whole = calibrate_tracks(recognizer, strangers, target_fpir=0.1).threshold
    root = paint_tracks(tmp_path / "mixed", {**STRANGERS, "Ada": 0}, frames=FRAMES, strength=0.5, each=1)
    found = decided(recognizer, root)
    assert {outcome.status.value for track in found.tracks for outcome in track.frames} == {"undecided"}
    assert found.counts.keys() <= {"matched", "unknown"} and found.tracks[0].outcome.name == "Ada"
    assert figures(found, "rank_1") == dict.fromkeys(("frames", "windows", "vote", "tracks"), 1.0)
    for key in ("fnir", "fpir"):
        values = figures(found, key)
        assert values["tracks"] is not None and values["windows"] is not None
        assert values["frames"] is values["vote"] is None
    assert [set(way.differences) for way in found.ways] == [set(), {"rank_1"}, {"rank_1"}, {"rank_1"}]
    assert whole.value == found.tracks[0].outcome.threshold


def test_it_stays_where_others_are_set_and_the_other_way_round(recognizer: Recognizer, strangers: Path) -> None:
    calibrate(recognizer, data=strangers, target_fmr=0.1, target_fpir=0.1)
    header = recognizer.gallery.header
    both = dict(header.calibration)
    whole = calibrate_tracks(recognizer, strangers, target_fpir=0.1, context=1).threshold
    stored = recognizer.gallery.header.calibration
    assert set(stored) == {"verification", "identification", "tracks"}
    assert {purpose: stored[purpose] for purpose in both} == both
    calibrate(recognizer, data=strangers, target_fpir=0.2)
    assert calibrated(recognizer.gallery.header, "tracks") == whole
    again = calibrate_tracks(recognizer, strangers, target_fpir=0.2, context=2).threshold
    assert calibrated(recognizer.gallery.header, "tracks") == again != whole


def test_it_is_there_when_the_gallery_is_opened_again(strangers: Path, tmp_path: Path) -> None:
    with four_people(tmp_path, tmp_path / "gallery") as recognizer:
        whole = calibrate_tracks(recognizer, strangers, target_fpir=0.1, context=1).threshold
    with Gallery.open(tmp_path / "gallery") as opened:
        assert calibrated(opened.header, "tracks") == whole
        # Another fusion makes other templates: the thresholds go.
        opened.store.set_options(fusion=Fusion.MEAN)
        assert calibrated(opened.store.header(), "tracks") is None


def test_another_context_is_told_and_decides_all_the_same(recognizer: Recognizer, strangers: Path) -> None:
    whole = calibrate_tracks(recognizer, strangers, target_fpir=0.1, context=1).threshold
    same, other = (decided(recognizer, strangers, context=context) for context in (1, 2))
    assert same.rules.tracks.notices == ()
    (notice,) = other.rules.tracks.notices
    assert "calibrated with windows of context 1, and these are of context 2" in notice and "--context 1" in notice
    assert other.rules.tracks.threshold == same.rules.tracks.threshold == whole.value


def test_of_another_model_it_is_not_used(recognizer: Recognizer, strangers: Path) -> None:
    calibrate(recognizer, data=strangers, target_fpir=0.1)
    whole = calibrate_tracks(recognizer, strangers, target_fpir=0.1).threshold
    store = recognizer.gallery.store
    foreign = replace(whole, fingerprint="another").to_dict()
    store.set_calibration({**store.header().calibration, "tracks": foreign})
    found = decided(recognizer, strangers)
    assert found.rules.tracks.origin is Origin.IDENTIFICATION and not found.rules.differ
    assert any("threshold for tracks was calibrated with another model" in n for n in found.rules.tracks.notices)
    assert any("that of single pictures" in notice for notice in found.notices)


def test_growth_is_told(recognizer: Recognizer, strangers: Path, tmp_path: Path) -> None:
    calibrate_tracks(recognizer, strangers, target_fpir=0.1)
    for person in range(20, 26):
        recognizer.enroll(f"new {person}", [paint(tmp_path / f"{person}.png", person)], force=True)
    (notice,) = decided(recognizer, strangers).rules.tracks.notices
    assert "4 people in the gallery and there are 10 now" in notice


def test_who_is_enrolled_and_what_cannot_be_used_is_left_out(
    recognizer: Recognizer, strangers: Path, tmp_path: Path
) -> None:
    root = paint_tracks(tmp_path / "some", STRANGERS, frames=FRAMES, strength=BLUE / 100, each=EACH)
    paint_tracks(root, {"ADA": 0}, frames=2, each=1)
    # Enrolled as Bruno: one frame is the very picture, so the whole person is.
    paint_tracks(root, {"no stranger": 90}, frames=2, each=2)
    (root / "no stranger" / "t1" / "9.png").write_bytes((tmp_path / "enrolled" / "Bruno" / "1.png").read_bytes())
    (root / "stranger 50" / "t0" / "9.png").write_bytes(b"no picture")
    paint(root / "stranger 51" / "t9" / "1.png", 51, side=8)
    result = calibrate_tracks(recognizer, root, target_fpir=0.1)
    assert (result.enrolled_people, result.people, result.tracks) == (2, PEOPLE, PEOPLE * EACH)
    assert result.left_out == {"unreadable": 1, "too_small": 1}
    assert result.tracks_left_out == 1 and "1 tracks are left out" in result.notes[0]
    assert result.threshold.value == calibrate_tracks(recognizer, strangers, target_fpir=0.1).threshold.value


def test_one_track_of_each_person(recognizer: Recognizer, tmp_path: Path) -> None:
    for name, person in STRANGERS.items():
        for frame in range(2):
            paint(tmp_path / "flat" / name / f"{frame}.png", person, frame, 1.0)
    result = calibrate_tracks(recognizer, tmp_path / "flat", target_fpir=0.2)
    assert (result.tracks, result.people, result.pictures) == (PEOPLE, PEOPLE, 2 * PEOPLE)
    assert result.to_dict()["tracks"] == result.threshold.to_dict()


def test_what_cannot_be_calibrated(recognizer: Recognizer, strangers: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    cases = {
        tmp_path / "empty": "no track",
        paint_tracks(tmp_path / "known", {"Ada": 0, "bruno": 1}, frames=2): "2 people are in the gallery",
        strangers / "stranger 50" / "t0": "0 folders deep",
        strangers: "3 / target.*40 searches",
        paint_tracks(tmp_path / "two", {"Xi": 30, "Yan": 31}, frames=1, each=200): "2 people are too few",
    }
    for root, why in cases.items():
        with pytest.raises(InputError, match=why):
            calibrate_tracks(recognizer, root, target_fpir=0.01)
    with pytest.raises(MissingError):
        calibrate_tracks(recognizer, tmp_path / "nothing", target_fpir=0.1)
    with (
        Recognizer.open("memory:", embedder=recognizer.embedder, create=True) as empty,
        pytest.raises(InputError, match="nobody is enrolled"),
    ):
        calibrate_tracks(empty, strangers, target_fpir=0.1)
    assert recognizer.gallery.header.calibration == {}


def test_wrong_calls(recognizer: Recognizer, strangers: Path) -> None:
    for target in (0.0, 1.0, float("nan")):
        with pytest.raises(UsageError, match="between 0 and 1"):
            calibrate_tracks(recognizer, strangers, target_fpir=target)
    with pytest.raises(UsageError, match="cannot be -1"):
        calibrate_tracks(recognizer, strangers, target_fpir=0.1, context=-1)
    with pytest.raises(UsageError, match="not all"):
        calibrate_tracks(recognizer, strangers, target_fpir=0.1, faces=Policy.ALL)
