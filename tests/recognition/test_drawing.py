from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facenet.detection.faces import FoundFace
from facenet.errors import UsageError
from facenet.gallery.records import Candidate
from facenet.recognition import drawing
from facenet.recognition.drawing import draw_outcomes
from facenet.recognition.outcomes import Outcome, Status

GREY = np.full((300, 400, 3), 128, dtype=np.uint8)


def outcome(
    status: Status = Status.MATCHED,
    box: tuple[float, float, float, float] | None = (100, 120, 200, 250),
    name: str = "Ada",
    person: int = 7,
) -> Outcome:
    compared = status in (Status.MATCHED, Status.UNKNOWN, Status.UNDECIDED)
    return Outcome(
        "photo.jpg",
        status,
        face=None if box is None else FoundFace(box, ((0.0, 0.0),) * 5, 0.99),
        candidates=(Candidate(person, name, 0.8125),) if compared else (),
        quality=0.5,
    )


def lightness(status: Status) -> float:
    return drawing._lightness(drawing._colour(outcome(status)))


def changed(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns that differ."""
    rows, columns = np.nonzero((before != after).any(axis=2))
    return rows, columns


def test_a_box_is_drawn_where_the_face_is_and_the_face_itself_stays() -> None:
    drawn = draw_outcomes(GREY, [outcome()])
    assert drawn.shape == GREY.shape and drawn.dtype == np.uint8
    assert (GREY == 128).all()
    assert (drawn[130:240, 110:190] == 128).all()
    for edge in (drawn[122, 150], drawn[248, 150], drawn[180, 102], drawn[180, 198]):
        assert (edge != 128).any()
    assert (drawn[260:, :] == 128).all() and (drawn[:, 260:] == 128).all()


def test_the_label_stands_above_the_box_and_below_it_where_there_is_no_room() -> None:
    above, _ = changed(GREY, draw_outcomes(GREY, [outcome()]))
    assert above.min() < 115 and above.max() <= 251
    below, _ = changed(GREY, draw_outcomes(GREY, [outcome(box=(100, 2, 200, 100))]))
    assert below.min() >= 1 and below.max() > 105


def test_decisions_differ_in_lightness_too() -> None:
    told = [lightness(status) for status in (Status.MATCHED, Status.UNDECIDED, Status.UNKNOWN, Status.TOO_SMALL)]
    assert told == sorted(told, reverse=True)
    assert min(a - b for a, b in zip(told, told[1:], strict=False)) > 30


@pytest.mark.parametrize("status", list(Status))
def test_every_status_has_a_readable_label(status: Status) -> None:
    drawn = draw_outcomes(GREY, [outcome(status)])
    label = drawn[100:119, 101:120].astype(int)
    # Ink and ground are there, and far apart.
    assert label.max() - label.min() > 80


def test_the_texts() -> None:
    def text(given: Outcome) -> str:
        return drawing._text(given)[0]

    assert text(outcome()) == "Ada 0.81"
    assert text(outcome(Status.UNKNOWN)) == "unknown 0.81"
    assert text(outcome(Status.UNDECIDED)) == "undecided: Ada 0.81"
    assert text(outcome(Status.TOO_SMALL)) == "too small"
    assert text(outcome(name="x" * 300)) == "x" * 37 + "... 0.81"


def test_a_script_without_a_font_is_shown_as_the_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "_fonts", lambda: (drawing._OWN_FONT,))
    assert drawing._text(outcome(name="浅倉")) == ("id:7 0.81", drawing._OWN_FONT)
    assert drawing._text(outcome(name="Ada Lovelace-2"))[0] == "Ada Lovelace-2 0.81"


def test_without_shaping_right_to_left_names_are_shown_as_the_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing.features, "check", lambda feature: False)
    assert drawing._text(outcome(name="عادة"))[0] == "id:7 0.81"


def test_outcomes_of_photos_without_a_face_leave_no_mark() -> None:
    nothing = [replace(outcome(status, box=None), quality=None) for status in (Status.NO_FACE, Status.UNREADABLE)]
    assert (draw_outcomes(GREY, nothing) == GREY).all()


def test_a_whole_picture_that_is_a_face_is_framed() -> None:
    rows, columns = changed(GREY, draw_outcomes(GREY, [outcome(box=None)]))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (0, 299, 0, 399)


def test_labels_of_neighbours_do_not_cover_each_other() -> None:
    one, other = outcome(box=(100, 120, 150, 250)), outcome(box=(130, 120, 180, 250), name="Bo")
    both = draw_outcomes(GREY, [one, other])
    alone = draw_outcomes(GREY, [one])
    assert (both[101:119, 101:165] == alone[101:119, 101:165]).all()


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 200),
    st.integers(1, 200),
    st.tuples(*[st.floats(-300, 500)] * 4),
    st.text(min_size=1, max_size=60),
    st.sampled_from(list(Status)),
)
def test_any_box_on_any_picture(
    height: int, width: int, box: tuple[float, float, float, float], name: str, status: Status
) -> None:
    left, top, right, bottom = min(box[0], box[2]), min(box[1], box[3]), max(box[0], box[2]), max(box[1], box[3])
    image = np.zeros((height, width, 3), dtype=np.uint8)
    drawn = draw_outcomes(image, [outcome(status, (left, top, right, bottom), name)])
    assert drawn.shape == image.shape and (image == 0).all()


@settings(deadline=None, max_examples=40)
@given(st.integers(40, 3000), st.integers(60, 3000), st.integers(0, 3000), st.integers(0, 3000))
def test_the_label_lies_inside_the_picture(height: int, width: int, left: int, top: int) -> None:
    box = (min(left, width - 1), min(top, height - 1), width - 1, height - 1)
    label = drawing._place(("Somebody 0.81", drawing._OWN_FONT), box, (width, height), [])
    assert 0 <= label.left <= label.left + label.width <= width
    assert 0 <= label.top <= label.top + label.height <= height


@pytest.mark.parametrize("image", [np.zeros((4, 4)), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_what_is_no_image_is_refused(image: np.ndarray) -> None:
    with pytest.raises(UsageError, match="an image is uint8"):
        draw_outcomes(image, [])
