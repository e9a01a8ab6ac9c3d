from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facenet.detection.faces import FoundFace
from facenet.detection.quality import Quality
from facenet.gallery.records import Candidate
from facenet.recognition.gate import (
    Likeness,
    Limits,
    Reason,
    check_face,
    check_others,
    check_person,
    check_together,
    rivals_of,
)

LIMITS = Limits(size=40, sharpness=0.3, probability=0.9, rival=0.5)
GOOD = Quality(sharpness=0.8, size=80, probability=0.99, score=0.9)
LIKENESS = Likeness(same=0.5, close=0.7, same_is="not calibrated", close_is="calibrated for identification")


def face(side: float, probability: float = 0.99) -> FoundFace:
    return FoundFace((0.0, 0.0, side, side), ((0.0, 0.0),) * 5, probability)


def reasons(quality: Quality, size: float = 80, **others: object) -> list[Reason]:
    return [refusal.reason for refusal in check_face(quality, size, LIMITS, **others)]  # type: ignore[arg-type]


def at(*degrees: float) -> np.ndarray:
    radians = np.deg2rad(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def verdict(*degrees: float, same: float = 0.5) -> list[bool]:
    """Which pictures at these angles are taken for one person's."""
    likeness = Likeness(same, 0.7, "", "")
    return [refusal is None for refusal in check_together(at(*degrees), likeness)]


def test_a_good_face_is_not_refused() -> None:
    assert check_face(GOOD, 80, LIMITS, found=face(80), others=[face(80)]) == []


@pytest.mark.parametrize(
    ("quality", "size", "reason"),
    [
        (GOOD, 39.9, Reason.TOO_SMALL),
        (Quality(0.29, 80, 0.99, 0.5), 80, Reason.BLURRED),
        (Quality(0.8, 80, 0.89, 0.5), 80, Reason.UNSURE),
    ],
)
def test_each_limit_refuses_by_itself(quality: Quality, size: float, reason: Reason) -> None:
    assert reasons(quality, size) == [reason]


def test_the_limits_themselves_are_good_enough() -> None:
    assert reasons(Quality(0.3, 40, 0.9, 0.5), 40) == []


def test_all_reasons_are_told_with_figure_and_limit() -> None:
    refusals = check_face(Quality(0.1, 12, 0.5, 0.1), 12, LIMITS)
    assert [refusal.reason for refusal in refusals] == [Reason.TOO_SMALL, Reason.BLURRED, Reason.UNSURE]
    assert "12 pixels" in refusals[0].words and "40" in refusals[0].words
    assert "0.1" in refusals[1].words and "0.3" in refusals[1].words
    assert "0.50" in refusals[2].words and "0.90" in refusals[2].words


def test_a_face_that_came_cut_out_is_never_unsure() -> None:
    assert reasons(Quality(0.8, 80, None, 0.5)) == []


def test_a_second_face_counts_if_it_is_sure_and_not_much_smaller() -> None:
    largest = face(80)
    found = [largest, face(41), face(39), face(60, probability=0.8)]
    assert rivals_of(largest, found, LIMITS) == 1
    assert reasons(GOOD, found=largest, others=found) == [Reason.SEVERAL_FACES]
    assert reasons(GOOD, found=largest, others=[largest, face(39)]) == []


@pytest.mark.parametrize(
    ("degrees", "kept"),
    [
        ((0,), [True]),
        ((0, 59), [True, True]),
        ((0, 61), [False, False]),
        ((0, 10, 20, 120), [True, True, True, False]),
        ((0, 10, 150, 20, 200, 30), [True, True, False, True, False, True]),
        ((0, 120, 240), [False, False, False]),
        ((0, 0, 180, 180), [False, False, False, False]),
    ],
)
def test_pictures_unlike_the_others_are_found(degrees: tuple[float, ...], kept: list[bool]) -> None:
    assert verdict(*degrees) == kept


def test_who_was_set_aside_because_of_wrong_pictures_comes_back() -> None:
    # Next to 100 degrees, 0 is the least like the mean of the others; without it, it is like all of them.
    assert verdict(0, 55, 58, 61, 130, same=0.45) == [True, True, True, True, False]


@given(st.lists(st.floats(0, 360), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_the_order_of_pictures_does_not_matter(degrees: list[float], random: object) -> None:
    order = list(range(len(degrees)))
    random.shuffle(order)  # type: ignore[attr-defined]
    straight = verdict(*degrees)
    assert verdict(*(degrees[place] for place in order)) == [straight[place] for place in order]


@given(st.lists(st.floats(-20, 20), min_size=3, max_size=9), st.lists(st.floats(100, 260), max_size=4))
def test_wrong_pictures_are_told_from_right_ones_that_outnumber_them(right: list[float], wrong: list[float]) -> None:
    wrong = wrong[: (len(right) - 1) // 2]
    assert verdict(*right, *wrong) == [True] * len(right) + [False] * len(wrong)


def test_adding_to_a_person_wants_likeness() -> None:
    assert check_person(0.5, "Ada", LIKENESS) is None
    refusal = check_person(0.499, "Ada\n", LIKENESS)
    assert refusal is not None and refusal.reason is Reason.UNLIKE
    assert refusal.words == "unlike Ada\\n: score 0.499, at least 0.500 (not calibrated)"


def test_somebody_else_wants_distance() -> None:
    assert check_others(None, LIKENESS) is None
    assert check_others(Candidate(3, "Bo", math.nextafter(0.7, 0)), LIKENESS) is None
    refusal = check_others(Candidate(3, "Bo", 0.7), LIKENESS)
    assert refusal is not None and refusal.reason is Reason.TOO_CLOSE
    assert "Bo (id:3)" in refusal.words
    assert "score 0.700, different people stay below 0.700 (calibrated for identification)" in refusal.words
