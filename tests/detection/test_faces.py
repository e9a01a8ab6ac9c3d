"""What a detector finds, and which of several faces is meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facenet.detection.faces import FoundFace, Policy, choose_faces

SIZE = (100, 200)


def face(left: float, top: float, side: float, probability: float = 0.9) -> FoundFace:
    return FoundFace((left, top, left + side, top + 2 * side), ((0.0, 0.0),) * 5, probability)


BIG, MIDDLE, SURE = face(0, 0, 40), face(95, 40, 10), face(180, 80, 5, 0.99)


def test_sizes_are_those_of_the_box() -> None:
    assert (BIG.width, BIG.height, BIG.area) == (40, 80, 3200)


@pytest.mark.parametrize(
    ("policy", "wanted"), [(Policy.LARGEST, BIG), (Policy.CENTRAL, MIDDLE), (Policy.PROBABLE, SURE)]
)
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_each_policy_picks_its_face_in_any_order(policy: Policy, wanted: FoundFace, order: tuple[int, ...]) -> None:
    faces = [BIG, MIDDLE, SURE]
    assert choose_faces([faces[index] for index in order], policy, SIZE) == (wanted,)


def test_all_keeps_everyone_in_order() -> None:
    assert choose_faces([SURE, BIG, MIDDLE], Policy.ALL, SIZE) == (SURE, BIG, MIDDLE)


@pytest.mark.parametrize("policy", Policy)
def test_nobody_is_nobody(policy: Policy) -> None:
    assert choose_faces([], policy, SIZE) == ()


def test_the_first_of_equals_is_meant() -> None:
    twins = [face(0, 0, 10), face(190, 80, 10)]
    for policy in (Policy.LARGEST, Policy.PROBABLE, Policy.CENTRAL):
        assert choose_faces(twins, policy, SIZE)[0] is twins[0]


def test_the_centre_is_that_of_the_picture_and_not_of_its_corner() -> None:
    tall = (400, 100)
    low, high = face(40, 180, 20), face(40, 20, 20)
    assert choose_faces([high, low], Policy.CENTRAL, tall) == (low,)


@given(
    st.lists(st.tuples(st.floats(-50, 250), st.floats(-50, 150), st.floats(0, 90), st.floats(0, 1)), max_size=6),
    st.sampled_from(Policy),
)
def test_what_is_chosen_was_given(values: list[tuple[float, float, float, float]], policy: Policy) -> None:
    faces = [face(*value) for value in values]
    chosen = choose_faces(faces, policy, SIZE)
    assert set(chosen) <= set(faces)
    assert len(chosen) == (len(faces) if policy is Policy.ALL else min(1, len(faces)))
