from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from facenet.errors import GalleryError, UsageError
from facenet.evaluation.threshold import Threshold
from facenet.gallery.records import Candidate, Fusion, Header, SearchResult
from facenet.preprocessing import Preprocessing
from facenet.recognition.decisions import (
    Origin,
    Rule,
    calibrated,
    identification_rule,
    likeness_of,
    stale_reason,
    track_rules,
    verification_rule,
)
from facenet.recognition.gate import Limits
from facenet.recognition.outcomes import Status
from facenet.recognition.track_threshold import TrackThreshold

PAIRS = Threshold(
    value=0.375,
    kind="fmr",
    target=0.001,
    measured=0.0009,
    interval=(0.0001, 0.002),
    value_interval=(0.3, 0.4),
    miss_rate=None,
    genuine=0,
    impostor=5000,
    people=100,
    gallery_people=None,
    fingerprint="f",
    fusion=None,
    data="",
    seed=0,
    created="2026-01-01T00:00:00+00:00",
)
SEARCHES = replace(PAIRS, kind="fpir", value=0.5, target=0.01, gallery_people=10, fusion="quality-weighted")
WHOLE = TrackThreshold.of(replace(SEARCHES, value=0.6), 3)
LIMITS = Limits(same=0.2, close=0.8)


def header(**calibration: Threshold) -> Header:
    stored = {purpose: threshold.to_dict() for purpose, threshold in calibration.items()}
    return Header("f", Preprocessing(32, 32), 8, calibration=stored)


def rule(head: Header, people: int = 10, embeddings: int | None = None, **given: Any) -> Rule:
    return identification_rule(head, (people, people if embeddings is None else embeddings), **given)


def found(*scores: float) -> SearchResult:
    return SearchResult(tuple(Candidate(number, f"p{number}", score) for number, score in enumerate(scores)))


def test_a_given_threshold_comes_before_every_stored_one() -> None:
    head = header(identification=SEARCHES, verification=PAIRS)
    assert rule(head, given=0.9) == Rule(0.9, Origin.GIVEN)
    assert verification_rule(head, 0.9) == Rule(0.9, Origin.GIVEN)


@pytest.mark.parametrize("given", [math.nan, math.inf, 1.01, -1.01])
def test_a_threshold_that_is_no_score_is_refused(given: float) -> None:
    with pytest.raises(UsageError, match="from -1 to 1"):
        rule(header(), given=given)
    with pytest.raises(UsageError, match="from -1 to 1"):
        verification_rule(header(), given)


def test_zero_is_a_threshold() -> None:
    assert rule(header(), given=0.0).threshold == 0.0
    assert verification_rule(header(), 0.0).threshold == 0.0


def test_searches_go_by_their_own_threshold_before_that_for_pairs() -> None:
    used = rule(header(identification=SEARCHES, verification=PAIRS))
    assert (used.threshold, used.origin, used.notices) == (0.5, Origin.IDENTIFICATION, ())
    assert used.strangers == pytest.approx(0.01)


def test_a_threshold_for_pairs_says_what_it_means_in_a_search() -> None:
    used = rule(header(verification=PAIRS), people=100)
    assert (used.threshold, used.origin) == (0.375, Origin.VERIFICATION)
    # 1 - 0.999 ** 100 = 9.5 %
    assert used.strangers == pytest.approx(1 - 0.999**100)
    assert len(used.notices) == 1 and "9.5 %" in used.notices[0] and "100 people" in used.notices[0]


def test_where_the_best_picture_counts_every_picture_is_a_comparison() -> None:
    best = replace(header(verification=PAIRS), fusion=Fusion.MAX)
    assert "39 %" in rule(best, people=100, embeddings=500).notices[0]
    mean = replace(header(verification=PAIRS), fusion=Fusion.MEAN)
    assert "9.5 %" in rule(mean, people=100, embeddings=500).notices[0]


def test_comparing_two_faces_never_goes_by_the_threshold_for_searches() -> None:
    assert verification_rule(header(identification=SEARCHES)) == Rule(None, Origin.NONE)
    assert verification_rule(header(verification=PAIRS)) == Rule(0.375, Origin.VERIFICATION)


def test_without_calibration_nothing_is_decided() -> None:
    assert rule(header()) == Rule(None, Origin.NONE)
    status, reason = rule(header()).decide(found(0.99))
    assert status is Status.UNDECIDED and "gallery calibrate" in reason


def test_a_threshold_of_another_model_is_not_used_and_said_so() -> None:
    foreign = header(identification=replace(SEARCHES, fingerprint="g"), verification=replace(PAIRS, fingerprint="g"))
    used = rule(foreign)
    assert used.threshold is None
    assert len(used.notices) == 2 and all("another model" in notice for notice in used.notices)


def test_a_threshold_of_another_fusion_is_not_used_and_said_so() -> None:
    used = rule(replace(header(identification=SEARCHES), fusion=Fusion.MEAN))
    assert used.threshold is None and "fusion quality-weighted, not mean" in used.notices[0]


def test_a_damaged_threshold_is_an_error_not_a_guess() -> None:
    head = replace(header(), calibration={"identification": {"value": 0.3}})
    with pytest.raises(GalleryError):
        rule(head)


@pytest.mark.parametrize(("people", "stale"), [(5, False), (20, False), (21, True)])
def test_growth_beyond_twice_is_told(people: int, stale: bool) -> None:
    assert bool(stale_reason(SEARCHES, people)) is stale
    assert bool(rule(header(identification=SEARCHES), people=people).notices) is stale
    assert stale_reason(PAIRS, people) == ""


def test_the_threshold_itself_is_a_match() -> None:
    decided = Rule(0.5, Origin.GIVEN)
    assert decided.decide(found(0.5, 0.1)) == (Status.MATCHED, "")
    status, reason = decided.decide(found(math.nextafter(0.5, 0)))
    assert status is Status.UNKNOWN and "below the threshold 0.500" in reason


@pytest.mark.parametrize("threshold", [None, 0.5])
def test_nobody_is_recognised_where_nobody_is_enrolled(threshold: float | None) -> None:
    assert Rule(threshold, Origin.NONE).decide(found()) == (Status.UNKNOWN, "nobody is enrolled")


def test_the_gate_goes_by_the_thresholds_that_decide_later() -> None:
    both = likeness_of(header(identification=SEARCHES, verification=PAIRS), (10, 10), LIMITS)
    assert (both.same, both.close) == (0.375, 0.5)
    assert both.same_is == "calibrated for verification" and both.close_is == "calibrated for identification"
    pairs = likeness_of(header(verification=PAIRS), (10, 10), LIMITS)
    assert (pairs.same, pairs.close) == (0.375, 0.375)
    searches = likeness_of(header(identification=SEARCHES), (10, 10), LIMITS)
    assert (searches.same, searches.close) == (0.2, 0.5)
    assert searches.same_is == "not calibrated"
    neither = likeness_of(header(), (10, 10), LIMITS)
    assert (neither.same, neither.close, neither.close_is) == (0.2, 0.8, "not calibrated")


def test_a_threshold_that_half_of_all_newcomers_would_reach_keeps_nobody_out() -> None:
    grown = likeness_of(header(verification=PAIRS), (1000, 1000), LIMITS)
    assert (grown.same, grown.close) == (0.375, 0.8)
    assert grown.close_is == "not calibrated for a gallery of this size"
    strict = replace(PAIRS, value=0.9)
    assert likeness_of(header(verification=strict), (1000, 1000), LIMITS).close == pytest.approx(0.9)


def test_tracks_go_by_their_own_threshold_and_frames_by_theirs() -> None:
    rules = track_rules(header(identification=SEARCHES, verification=PAIRS, tracks=WHOLE), (10, 10), 3)
    assert (rules.tracks.threshold, rules.tracks.origin, rules.tracks.notices) == (0.6, Origin.TRACKS, ())
    assert rules.tracks.strangers == pytest.approx(0.01)
    assert (rules.frames.threshold, rules.frames.origin) == (0.5, Origin.IDENTIFICATION)
    assert rules.differ
    pairs = track_rules(header(verification=PAIRS, tracks=WHOLE), (10, 10), 3)
    assert (pairs.frames.threshold, pairs.frames.origin) == (0.375, Origin.VERIFICATION)
    assert track_rules(header(tracks=WHOLE), (10, 10), 3).frames == Rule(None, Origin.NONE)


@pytest.mark.parametrize("stored", [{}, {"verification": PAIRS}, {"identification": SEARCHES}])
def test_without_a_threshold_for_tracks_everything_goes_as_single_pictures_do(stored: dict[str, Threshold]) -> None:
    rules = track_rules(header(**stored), (10, 10), 3)
    assert rules.tracks == rules.frames == rule(header(**stored)) and not rules.differ


def test_a_given_threshold_decides_tracks_and_frames() -> None:
    rules = track_rules(header(identification=SEARCHES, tracks=WHOLE), (10, 10), 0, 0.2)
    assert rules.tracks == rules.frames == Rule(0.2, Origin.GIVEN) and not rules.differ
    with pytest.raises(UsageError, match="from -1 to 1"):
        track_rules(header(tracks=WHOLE), (10, 10), 3, math.nan)


def test_another_context_and_growth_are_told_and_change_nothing() -> None:
    rules = track_rules(header(tracks=WHOLE), (30, 30), 0)
    assert rules.tracks.threshold == 0.6 and len(rules.tracks.notices) == 2
    assert "10 people in the gallery and there are 30 now" in rules.tracks.notices[0]
    assert "context 3, and these are of context 0" in rules.tracks.notices[1]


@pytest.mark.parametrize("change", [{"fingerprint": "g"}, {"fusion": "max"}])
def test_a_threshold_for_tracks_of_another_model_or_fusion_is_not_used(change: dict[str, str]) -> None:
    rules = track_rules(header(identification=SEARCHES, tracks=replace(WHOLE, **change)), (10, 10), 3)
    assert (rules.tracks.threshold, rules.tracks.origin) == (0.5, Origin.IDENTIFICATION) and not rules.differ
    assert len(rules.tracks.notices) == 1 and "threshold for tracks was calibrated" in rules.tracks.notices[0]


def test_a_threshold_for_tracks_decides_about_nothing_else() -> None:
    head = header(tracks=WHOLE)
    assert rule(head) == verification_rule(head) == Rule(None, Origin.NONE)
    assert likeness_of(head, (10, 10), LIMITS) == likeness_of(header(), (10, 10), LIMITS)


def test_each_purpose_is_read_as_what_it_is() -> None:
    head = header(verification=PAIRS, tracks=WHOLE)
    assert calibrated(head, "verification") == PAIRS and calibrated(head, "tracks") == WHOLE
    assert calibrated(head, "identification") is None
    with pytest.raises(GalleryError, match="context is missing"):
        track_rules(header(tracks=SEARCHES), (10, 10), 3)
