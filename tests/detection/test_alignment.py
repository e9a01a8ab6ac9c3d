"""Similarity, template and both ways of cutting a face out, against other implementations and against laws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from drawn_photos import portrait
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from facenet.detection.alignment import cut_face, similarity, template
from facenet.detection.detector import Detector
from facenet.detection.faces import FoundFace
from facenet.errors import InputError, UsageError
from facenet.preprocessing import Preprocessing

FIVE_POINT = Preprocessing(112, 96, detector="mtcnn", crop="five-point")
WIDE = Preprocessing(112, 112, detector="mtcnn", crop="five-point")


def photograph(height: int, width: int, seed: int = 0, detail: int = 7) -> np.ndarray:
    """Smooth shapes without symmetry: uint8 (height, width, 3)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (detail, detail, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def found_at(points: np.ndarray, box: tuple[float, float, float, float] = (0, 0, 1, 1)) -> FoundFace:
    return FoundFace(box, tuple((float(x), float(y)) for x, y in points), 1.0)


def boxed(*box: float) -> FoundFace:
    left, top, right, bottom = box
    return found_at(template(112, 96), (left, top, right, bottom))


def turned(angle: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    a, b = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[a, -b, shift[0]], [b, a, shift[1]]])


def move(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return points @ matrix[:, :2].T + matrix[:, 2]


def least_squares(points: np.ndarray, onto: np.ndarray) -> np.ndarray:
    """The same regression with one row per coordinate and unknowns a, b, x, y."""
    rows, goal = [], []
    for (x, y), (u, v) in zip(points, onto, strict=True):
        rows += [(x, -y, 1, 0), (y, x, 0, 1)]
        goal += [u, v]
    a, b, across, down = np.linalg.lstsq(np.array(rows), np.array(goal), rcond=None)[0]
    return np.array([[a, -b, across], [b, a, down]])


shifts = st.tuples(st.floats(-500, 500), st.floats(-500, 500))
similarities = st.builds(turned, st.floats(-3.1, 3.1), st.floats(0.05, 20), shifts)


def test_templates_of_the_field() -> None:
    small, wide = template(112, 96), template(112, 112)
    assert small.shape == (5, 2) and small.dtype == np.float64
    assert small[0].tolist() == [30.2946, 51.6963] and small[4].tolist() == [62.7299, 92.2041]
    assert np.allclose(wide - small, (8, 0))
    assert np.allclose(template(224, 192), 2 * small)
    assert np.allclose(template(224, 224), 2 * wide)


@given(similarities)
def test_a_similarity_is_recovered(matrix: np.ndarray) -> None:
    points = template(112, 96)
    assert np.allclose(similarity(points, move(points, matrix)), matrix, rtol=1e-8, atol=1e-6)


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(2, 8))
def test_the_best_similarity_is_that_of_least_squares(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    points, onto = rng.normal(size=(count, 2)) * 40, rng.normal(size=(count, 2)) * 30 + 50
    assert np.allclose(similarity(points, onto), least_squares(points, onto), atol=1e-8)


@given(st.integers(0, 10_000), similarities)
def test_where_a_face_is_in_its_photo_does_not_matter(seed: int, matrix: np.ndarray) -> None:
    points = template(112, 96) + np.random.default_rng(seed).normal(size=(5, 2)) * 4
    there = move(points, matrix)
    aligned = move(there, similarity(there, template(112, 112)))
    assert np.allclose(aligned, move(points, similarity(points, template(112, 112))), atol=1e-5)


def test_a_mirror_image_is_not_turned_back() -> None:
    points = template(112, 96)
    matrix = similarity(points * (-1, 1), points)
    assert np.linalg.det(matrix[:, :2]) > 0


@pytest.mark.parametrize("bad", [np.zeros((5, 2)), np.full((5, 2), 7e5), np.full((5, 2), np.nan)])
def test_landmarks_that_say_nothing_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(InputError):
        similarity(bad, template(112, 96))
    with pytest.raises(InputError):
        cut_face(photograph(50, 50), found_at(bad), FIVE_POINT)


def test_a_face_on_the_template_comes_out_as_it_is() -> None:
    image = np.random.default_rng(0).integers(0, 256, (112, 96, 3), dtype=np.uint8)
    face = cut_face(image, found_at(template(112, 96)), FIVE_POINT)
    assert face.dtype == torch.uint8 and face.shape == (3, 112, 96)
    assert face.stride(0) == 1, "channels lie side by side in memory"
    assert np.array_equal(face.permute(1, 2, 0).numpy(), image)


@pytest.mark.parametrize("shift", [(0, 0), (17, 40), (250, 3)])
def test_a_shifted_face_gives_the_same_pixels(shift: tuple[int, int]) -> None:
    image = np.random.default_rng(1).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    face = cut_face(image, found_at(template(112, 96) + shift), FIVE_POINT)
    left, top = shift
    assert np.array_equal(face.permute(1, 2, 0).numpy(), image[top : top + 112, left : left + 96])


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_face_on_its_side_is_turned_upright(turns: int) -> None:
    upright = np.random.default_rng(2).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    points = template(112, 112)
    for _ in range(turns):
        points = np.stack([points[:, 1], 111 - points[:, 0]], axis=1)
    face = cut_face(np.rot90(upright, turns), found_at(points), WIDE)
    assert np.array_equal(face.permute(1, 2, 0).numpy(), upright)


def sampled(image: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear interpolation pixel by pixel; black outside. ``matrix`` leads from the face back into the photo."""

    def pixel(x: int, y: int) -> np.ndarray:
        inside = 0 <= x < image.shape[1] and 0 <= y < image.shape[0]
        return image[y, x].astype(float) if inside else np.zeros(3)

    out = np.zeros((*size, 3))
    for row in range(size[0]):
        for column in range(size[1]):
            x, y = matrix[:, :2] @ (column, row) + matrix[:, 2]
            left, top = int(np.floor(x)), int(np.floor(y))
            for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
                share = (1 - abs(x - left - dx)) * (1 - abs(y - top - dy))
                out[row, column] += share * pixel(left + dx, top + dy)
    return out


@pytest.mark.parametrize(
    ("angle", "scale", "shift"),
    [(0.3, 1.0, (60, 20)), (-0.5, 1.7, (20, 90)), (2.5, 0.6, (150, 140)), (0.1, 1.3, (-30, -20)), (0.0, 0.5, (9, 9.5))],
)
def test_warped_faces_are_bilinear_samples(angle: float, scale: float, shift: tuple[float, float]) -> None:
    image = photograph(220, 260, detail=20)
    backwards = turned(angle, scale, shift)
    small = Preprocessing(56, 48, detector="mtcnn", crop="five-point")
    face = cut_face(image, found_at(move(template(56, 48), backwards)), small).permute(1, 2, 0).numpy()
    wanted = sampled(image, backwards, (56, 48))
    assert np.abs(face - wanted).max() < 0.51


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_a_large_face_is_averaged_and_not_picked_from(factor: int) -> None:
    checks = np.indices((112 * factor, 96 * factor)).sum(axis=0) % 2 * 255
    image = np.repeat(checks[:, :, None], 3, axis=2).astype(np.uint8)
    centres = template(112, 96) * factor + (factor - 1) / 2
    face = cut_face(image, found_at(centres), FIVE_POINT).numpy().astype(int)
    assert np.abs(face - 127.5).max() <= 127.5 / factor**2 + 1


@pytest.mark.parametrize("factor", [2, 3])
def test_a_large_face_keeps_its_place(factor: int) -> None:
    small = np.random.default_rng(0).integers(0, 256, (112, 96, 3), dtype=np.uint8)
    large = small.repeat(factor, axis=0).repeat(factor, axis=1)
    face = cut_face(large, found_at(template(112, 96) * factor + (factor - 1) / 2), FIVE_POINT)
    assert np.abs(face.permute(1, 2, 0).numpy().astype(int) - small).max() <= 1


def test_outside_the_photo_there_is_black() -> None:
    white = np.full((112, 96, 3), 255, dtype=np.uint8)
    face = cut_face(white, found_at(template(112, 96) + (30, 0)), FIVE_POINT).numpy()
    assert (face[:, :, :66] == 255).all() and (face[:, :, 66:] == 0).all()


@pytest.mark.parametrize("shift", [(5000, 0), (-5000, 0), (0, 5000), (0, -5000), (1e9, 1e9)])
def test_a_face_outside_its_photo_is_refused(shift: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="outside the photo"):
        cut_face(photograph(100, 100), found_at(template(112, 96) + shift), FIVE_POINT)


@settings(max_examples=150, deadline=None)
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    points=st.lists(st.tuples(st.floats(-1e7, 1e7), st.floats(-1e7, 1e7)), min_size=5, max_size=5),
)
def test_any_landmarks_give_a_face_or_are_refused(size: tuple[int, int], points: list[tuple[float, float]]) -> None:
    try:
        face = cut_face(photograph(*size), found_at(np.array(points)), FIVE_POINT)
    except InputError:
        return
    assert face.shape == (3, 112, 96)


def test_a_huge_and_a_tiny_face() -> None:
    for scale in (1e-2, 1e-4 * 400, 40.0):
        face = cut_face(photograph(300, 300), found_at(template(112, 96) * scale + 20), FIVE_POINT)
        assert face.shape == (3, 112, 96)


def theirs(image: np.ndarray, box: tuple[float, ...], size: int, margin: int) -> np.ndarray:
    from facenet_pytorch import extract_face

    cut = extract_face(Image.fromarray(image), np.array(box), image_size=size, margin=margin)
    return (cut.permute(1, 2, 0).numpy() * (255 if cut.max() <= 1 else 1)).round().astype(int)


@pytest.mark.parametrize("margin", [0, 14, 44])
@pytest.mark.parametrize("box", [(50.7, 30.2, 120.9, 130.1), (-12.0, -3.5, 60.0, 80.0), (150.2, 140.0, 230.5, 230.0)])
def test_boxes_are_cut_as_facenet_pytorch_does(margin: int, box: tuple[float, float, float, float]) -> None:
    image = photograph(200, 220, detail=40)
    contract = Preprocessing(160, 160, detector="mtcnn", crop=f"margin-{margin}")
    face = cut_face(image, boxed(*box), contract)
    assert face.shape == (3, 160, 160) and face.stride(0) == 1
    assert np.abs(face.permute(1, 2, 0).numpy() - theirs(image, box, 160, margin)).mean() < 0.1


def test_the_margin_of_an_oblong_input_is_counted_in_its_own_pixels() -> None:
    image = photograph(200, 200, detail=40)
    contract = Preprocessing(80, 60, detector="mtcnn", crop="margin-20")
    face = cut_face(image, boxed(60, 60, 100, 120), contract)
    # 20 of 60 pixels across: the box's 40 pixels are what the other 40 show; 20 of 80 along: its 60 are the other 60.
    wanted = Image.fromarray(image[50:130, 50:110]).resize((60, 80), Image.Resampling.BILINEAR)
    assert np.array_equal(face.permute(1, 2, 0).numpy(), np.asarray(wanted))


@pytest.mark.parametrize(
    "box",
    [
        (float("nan"), 0, 9, 9),
        (0, 0, float("inf"), 9),
        (50, 50, 50, 60),
        (60, 50, 40, 60),
        (300, 0, 330, 30),
        (-40, 0, -5, 30),
        (0.1, 0.1, 0.4, 0.9),
    ],
)
def test_boxes_without_extent_are_refused(box: tuple[float, float, float, float]) -> None:
    contract = Preprocessing(112, 112, detector="mtcnn", crop="margin-0")
    with pytest.raises(InputError):
        cut_face(photograph(100, 100), boxed(*box), contract)


def test_a_contract_without_faces_is_refused() -> None:
    with pytest.raises(UsageError):
        cut_face(photograph(100, 100), boxed(0, 0, 50, 50), Preprocessing(112, 112))


def test_a_found_face_comes_to_lie_on_the_template() -> None:
    image = np.array(Image.fromarray(portrait(3, 320)).rotate(15, Image.Resampling.BICUBIC))
    detector = Detector()
    (found,) = detector.detect([image])[0]
    big = Preprocessing(224, 224, detector="mtcnn", crop="five-point")
    face = cut_face(image, found, big)
    (again,) = detector.detect([np.ascontiguousarray(face.permute(1, 2, 0).numpy())])[0]
    assert np.abs(np.array(again.landmarks) - template(224, 224)).mean() < 8
    eyes = np.subtract(again.landmarks[1], again.landmarks[0])
    assert abs(np.degrees(np.arctan2(eyes[1], eyes[0]))) < 5


def test_two_cuts_share_no_memory() -> None:
    image = photograph(150, 150)
    first, second = (cut_face(image, found_at(template(112, 96)), FIVE_POINT) for _ in range(2))
    first.zero_()
    assert second.max() > 0 and image.max() > 0
