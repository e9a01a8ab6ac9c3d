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
    identification_rule,
    likeness_of,
    stale_reason,
    verification_rule,
)
from facenet.recognition.gate import Limits
from facenet.recognition.outcomes import Status

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
