from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from facenet.errors import GalleryError
from facenet.evaluation.threshold import Threshold
from facenet.recognition.track_threshold import TrackThreshold

SEARCHES = Threshold(
    value=0.5,
    kind="fpir",
    target=0.05,
    measured=0.04,
    interval=(0.01, 0.08),
    value_interval=(0.4, 0.6),
    miss_rate=None,
    genuine=0,
    impostor=200,
    people=100,
    gallery_people=10,
    fingerprint="f",
    fusion="mean",
    data="",
    seed=0,
    created="2026-01-01T00:00:00+00:00",
)
WHOLE = TrackThreshold.of(SEARCHES, 2)


def test_it_says_what_it_rests_on_and_is_read_back() -> None:
    assert WHOLE.to_dict() == {**SEARCHES.to_dict(), "context": 2}
    assert TrackThreshold.from_dict(WHOLE.to_dict()) == WHOLE
    assert WHOLE.describe() == f"{SEARCHES.describe()}; each search by a whole track, windows of context 2"
    assert (WHOLE.errors, WHOLE.caution) == (SEARCHES.errors, SEARCHES.caution)


def test_one_for_single_pictures_is_none_for_tracks_nor_the_other_way_round() -> None:
    with pytest.raises(GalleryError, match="context is missing"):
        TrackThreshold.from_dict(SEARCHES.to_dict())
    with pytest.raises(GalleryError, match="entries"):
        Threshold.from_dict(WHOLE.to_dict())


@pytest.mark.parametrize("context", [None, "2", 2.0, True, -1, [2]])
def test_a_damaged_context_is_refused(context: object) -> None:
    with pytest.raises(GalleryError, match="calibrate again"):
        TrackThreshold.from_dict({**WHOLE.to_dict(), "context": context})


@pytest.mark.parametrize("values", [None, [], "text", {}, {"context": 2}, {**WHOLE.to_dict(), "value": 7}])
def test_other_damage_is_refused(values: Any) -> None:
    with pytest.raises(GalleryError, match="calibrate again"):
        TrackThreshold.from_dict(values)


def test_what_cannot_be() -> None:
    with pytest.raises(ValueError, match="cannot be -1"):
        replace(WHOLE, context=-1)
    with pytest.raises(ValueError, match="kind fpir, not fmr"):
        replace(WHOLE, kind="fmr", gallery_people=None)
