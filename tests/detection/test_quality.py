"""Quality: bounded, never falling where something gets better, and falling where a picture gets worse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from drawn_photos import portrait
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter
from torch import Tensor

from facenet.detection.faces import FoundFace
from facenet.detection.quality import measure_quality, measure_sharpness, quality_score

unit = st.floats(0, 1)
pixels = st.floats(0, 1e6)
certainty = st.none() | unit


def as_face(image: np.ndarray | Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def found(width: float, height: float, probability: float = 0.9) -> FoundFace:
    return FoundFace((10.0, 20.0, 10.0 + width, 20.0 + height), ((0.0, 0.0),) * 5, probability)


@given(unit, pixels, certainty)
def test_the_score_is_bounded(sharpness: float, size: float, probability: float | None) -> None:
    assert 0 <= quality_score(sharpness, size, probability) <= 1


@given(unit, pixels, unit, unit, pixels, unit)
def test_the_score_never_falls_when_one_thing_rises(
    sharpness: float, size: float, probability: float, more: float, larger: float, surer: float
) -> None:
    score = quality_score(sharpness, size, probability)
    assert quality_score(max(sharpness, more), size, probability) >= score
    assert quality_score(sharpness, max(size, larger), probability) >= score
    assert quality_score(sharpness, size, max(probability, surer)) >= score
    assert quality_score(sharpness, size, None) >= score


def test_each_of_the_three_counts() -> None:
    assert quality_score(0.5, 80, 0.9) < min(
        quality_score(0.6, 80, 0.9), quality_score(0.5, 90, 0.9), quality_score(0.5, 80, 0.95)
    )


def test_a_box_turned_inside_out_is_no_face() -> None:
    assert quality_score(0.5, -40.0, 0.9) == 0


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 200), st.integers(2, 200), st.integers(0, 1000))
def test_sharpness_of_anything_is_bounded(height: int, width: int, seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    assert 0 <= measure_sharpness(as_face(noise)) < 1


def test_nothing_to_see_is_not_sharp() -> None:
    assert measure_sharpness(torch.full((3, 112, 96), 200, dtype=torch.uint8)) == 0


@pytest.mark.parametrize("seed", range(5))
def test_blur_lowers_sharpness(seed: int) -> None:
    face = Image.fromarray(portrait(seed, 112))
    levels = [measure_sharpness(as_face(face.filter(ImageFilter.GaussianBlur(radius)))) for radius in (0, 1, 2, 4)]
    assert levels == sorted(levels, reverse=True) and levels[0] > 2 * levels[2]


@pytest.mark.parametrize("seed", range(5))
def test_enlarged_small_faces_are_not_sharp(seed: int) -> None:
    face = Image.fromarray(portrait(seed, 112))
    levels = [
        measure_sharpness(as_face(face.resize((side, side)).resize((112, 112), Image.Resampling.BILINEAR)))
        for side in (112, 56, 28, 14)
    ]
    assert levels == sorted(levels, reverse=True) and levels[0] > 2 * levels[2]


def test_the_size_of_the_input_hardly_matters() -> None:
    face = Image.fromarray(portrait(1, 448))
    levels = [measure_sharpness(as_face(face.resize((side, side), Image.Resampling.BOX))) for side in (112, 160, 224)]
    assert max(levels) - min(levels) < 0.15


def test_what_lies_around_the_face_does_not_count() -> None:
    face = portrait(2, 112)
    framed = face.copy()
    framed[:20], framed[:, :15], framed[:, -15:], framed[-8:] = 0, 0, 0, 0
    assert measure_sharpness(as_face(framed)) == measure_sharpness(as_face(face))


def test_size_and_probability_are_those_of_the_photo() -> None:
    face = as_face(portrait(1, 112))
    quality = measure_quality(face, found(30.0, 41.5, 0.75))
    assert (quality.size, quality.probability) == (30.0, 0.75)
    assert quality.score == quality_score(quality.sharpness, 30.0, 0.75)
    assert quality.sharpness == measure_sharpness(face)


def test_a_face_that_came_cut_counts_with_its_own_size() -> None:
    quality = measure_quality(as_face(portrait(1, 112))[:, :, 8:104], None)
    assert (quality.size, quality.probability) == (96.0, None)
    assert quality.score == quality_score(quality.sharpness, 96.0, None)
