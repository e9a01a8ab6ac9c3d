"""The contract by which pictures become network inputs, and the fingerprint over it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision import transforms
from torchvision.transforms.functional import normalize

from facenet.errors import CheckpointError, UnreadableImage, UsageError
from facenet.images import load_image
from facenet.preprocessing import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Preprocessing,
    fingerprint,
    stack_faces,
    weights_digest,
)


def photograph(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth shapes without symmetry: uint8 (height, width, 3)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 6, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


@settings(max_examples=100, deadline=None)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    target=st.tuples(st.integers(1, 64), st.integers(1, 64)),
)
def test_size_type_and_layout(height: int, width: int, target: tuple[int, int]) -> None:
    face = Preprocessing(*target).to_face(photograph(height, width))
    assert face.shape == (3, *target) and face.dtype == torch.uint8
    if min(height, width, *target) >= 16:
        assert face.stride(0) == 1, "channels lie side by side in memory"


@pytest.mark.parametrize("size", [(250, 250), (250, 180), (120, 333), (161, 160), (80, 90)])
@pytest.mark.parametrize("target", [(160, 160), (112, 96)])
def test_pixels_are_those_of_a_plain_resize_and_crop(size: tuple[int, int], target: tuple[int, int]) -> None:
    image = photograph(*size)
    scale = max(target[0] / size[0], target[1] / size[1])
    scaled = [max(side, round(full * scale)) for side, full in zip(target, size, strict=True)]
    resized = Image.fromarray(image).resize((scaled[1], scaled[0]), Image.Resampling.BILINEAR)
    top, left = (scaled[0] - target[0]) // 2, (scaled[1] - target[1]) // 2
    expected = np.asarray(resized)[top : top + target[0], left : left + target[1]]
    face = Preprocessing(*target).to_face(image).permute(1, 2, 0).numpy()
    assert np.abs(face.astype(int) - expected.astype(int)).mean() <= 1


@pytest.mark.parametrize("size", [(250, 250), (300, 260), (256, 256), (100, 640)])
def test_cover_may_be_wider_than_the_input(size: tuple[int, int]) -> None:
    image = photograph(*size)
    torchvision = transforms.Compose([transforms.Resize(256, antialias=True), transforms.CenterCrop(224)])
    expected = torchvision(torch.from_numpy(image).permute(2, 0, 1))
    face = Preprocessing(224, 224, fit="cover-256").to_face(image)
    assert face.shape == expected.shape == (3, 224, 224)
    # Where the sides round to odd numbers the middle may lie a pixel aside.
    assert (face.int() - expected.int()).abs().float().mean() < (1 if size[0] == size[1] else 12)


def test_photos_are_cut_by_the_detector_whatever_the_fit_was() -> None:
    contract = Preprocessing(224, 224, fit="cover-256")
    assert contract.for_photos("margin-20") == Preprocessing(224, 224, detector="mtcnn", crop="margin-20")
    assert Preprocessing.from_dict(contract.to_dict()) == contract


def test_right_size_is_passed_through() -> None:
    image = photograph(112, 96)
    assert (Preprocessing(112, 96).to_face(image).permute(1, 2, 0).numpy() == image).all()


def test_cover_keeps_the_middle() -> None:
    image = np.zeros((20, 60, 3), dtype=np.uint8)
    image[:, 20:40] = 255
    assert (Preprocessing(20, 20).to_face(image) == 255).all()
    assert (Preprocessing(20, 20).to_face(np.ascontiguousarray(image.transpose(1, 0, 2))) == 255).all()


@pytest.mark.parametrize("shape", [(1, 3_000_000), (3_000_000, 1), (1, 1), (2, 4000)])
def test_extreme_shapes_need_little_memory(shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), 77, dtype=np.uint8)
    face = Preprocessing(160, 160).to_face(image)
    assert face.shape == (3, 160, 160) and (face == 77).all()


def test_long_picture_keeps_its_middle() -> None:
    image = np.zeros((10, 2000, 3), dtype=np.uint8)
    image[:, 980:1020] = 255
    face = Preprocessing(10, 10).to_face(image)
    assert (face == 255).all()


@pytest.mark.parametrize("size", [(1000, 800), (641, 707), (320, 320), (330, 1200), (250, 250)])
@pytest.mark.parametrize("target", [(160, 160), (112, 96)])
def test_scaled_decoding_gives_the_same_face(tmp_path: Path, size: tuple[int, int], target: tuple[int, int]) -> None:
    file = tmp_path / "photo.jpg"
    Image.fromarray(photograph(*size)).save(file, quality=92)
    preprocessing = Preprocessing(*target)
    quick, whole = preprocessing.load(file), preprocessing.to_face(load_image(file))
    assert quick.shape == (3, *target)
    # Sides that are no multiple of 8 are scaled to whole pixels, which shifts the far edge a little.
    assert (quick.int() - whole.int()).abs().float().mean() <= (1 if not np.mod(size, 8).any() else 1.5)


def test_load_names_the_unreadable_file(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match="nobody.jpg"):
        Preprocessing(8, 8).load(tmp_path / "nobody.jpg")


def test_normalise() -> None:
    preprocessing = Preprocessing(1, 4)
    faces = torch.tensor([0, 127, 128, 255], dtype=torch.uint8).reshape(1, 1, 1, 4).expand(2, 3, 1, 4)
    expected = torch.tensor([-127.5, -0.5, 0.5, 127.5]) / 128
    network_input = preprocessing.normalise(faces)
    assert network_input.dtype == torch.float32 and network_input.shape == (2, 3, 1, 4)
    assert (network_input == expected).all()
    other = replace(preprocessing, mean=0.0, std=255.0).normalise(faces)
    assert torch.allclose(other[0, 0, 0], torch.tensor([0, 127, 128, 255]) / 255)


def test_each_channel_may_have_its_own_scale() -> None:
    preprocessing = Preprocessing(6, 5, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    faces = stack_faces([preprocessing.to_face(photograph(6, 5))] * 2)
    network_input = preprocessing.normalise(faces)
    expected = normalize(faces.float() / 255, mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
    assert network_input.is_contiguous(memory_format=torch.channels_last) and network_input.dtype == torch.float32
    torch.testing.assert_close(network_input, expected, atol=1e-5, rtol=0)
    alike = replace(preprocessing, mean=(127.5,) * 3, std=(128.0,) * 3).normalise(faces)
    assert torch.equal(alike, Preprocessing(6, 5).normalise(faces))


def test_normalise_keeps_layout_and_leaves_its_argument_alone() -> None:
    faces = stack_faces([Preprocessing(6, 5).to_face(photograph(6, 5))] * 3)
    assert Preprocessing(6, 5).normalise(faces).is_contiguous(memory_format=torch.channels_last)
    wide = faces.float()
    before = wide.clone()
    Preprocessing(6, 5).normalise(wide)
    assert torch.equal(wide, before)


def test_stack_faces() -> None:
    images = [photograph(6, 5, seed) for seed in range(4)]
    faces = stack_faces([Preprocessing(6, 5).to_face(image) for image in images])
    assert faces.shape == (4, 3, 6, 5) and faces.is_contiguous(memory_format=torch.channels_last)
    assert (faces.permute(0, 2, 3, 1).numpy() == np.stack(images)).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"height": 0},
        {"width": 5000},
        {"std": 0.0},
        {"std": -1.0},
        {"mean": math.nan},
        {"std": math.inf},
        {"mean": (0.0, 0.0)},
        {"mean": (0.0, math.nan, 0.0)},
        {"std": (1.0, 1.0, 0.0)},
        {"std": (1.0, math.inf, 1.0)},
        {"std": [1.0] * 4},
        {"fit": "squash"},
        {"fit": "cover-"},
        {"fit": "cover-159"},
        {"fit": "cover-0256"},
        {"fit": "cover-4097"},
        {"fit": 256},
        {"fit": "cover-256", "detector": "mtcnn", "crop": "margin-14"},
        {"detector": "mtcnn", "crop": 14},
        {"colour": "BGR"},
        {"interpolation": "nearest"},
    ],
)
def test_impossible_contracts_are_refused(wrong: dict[str, object]) -> None:
    values = {"height": 160, "width": 160, **wrong}
    with pytest.raises(UsageError):
        Preprocessing(**values)
    with pytest.raises(CheckpointError):
        Preprocessing.from_dict(values)


@pytest.mark.parametrize(("mean", "std"), [(1.5, 2.5), (IMAGENET_MEAN, IMAGENET_STD), (0, (1, 2, 3))])
def test_contract_survives_json(mean: float | tuple[float, ...], std: float | tuple[float, ...]) -> None:
    preprocessing = Preprocessing(112, 96, detector="mtcnn", crop="five-point", mean=mean, std=std)
    assert hash(preprocessing) == hash(Preprocessing.from_dict(preprocessing.to_dict()))
    assert json.loads(json.dumps(preprocessing.to_dict())) == preprocessing.to_dict()
    assert Preprocessing.from_dict(json.loads(json.dumps(preprocessing.to_dict()))) == preprocessing


@pytest.mark.parametrize(
    "values", [{}, {"height": 1}, {"height": 1, "width": 1, "gamma": 2}, {"height": "1", "width": 1}]
)
def test_foreign_contracts_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(CheckpointError):
        Preprocessing.from_dict(values)


def weights() -> dict[str, torch.Tensor]:
    return {
        "a.weight": torch.arange(6.0).reshape(2, 3),
        "bn.running_mean": torch.zeros(2),
        "bn.num_batches_tracked": torch.tensor(7),
    }


def test_fingerprint_is_the_same_for_the_same() -> None:
    first = fingerprint(Preprocessing(160, 160), "net", weights())
    shuffled = dict(reversed(weights().items()))
    strided = shuffled | {"a.weight": torch.arange(6.0).reshape(2, 3).T.contiguous().T}
    assert first == fingerprint(Preprocessing(160, 160), "net", strided)
    assert len(first) == 32 and int(first, 16) >= 0
    counted = weights() | {"bn.num_batches_tracked": torch.tensor(99)}
    assert first == fingerprint(Preprocessing(160, 160), "net", counted), "a counter changes no output"


@pytest.mark.parametrize(
    ("contract", "architecture", "expected"),
    [
        (Preprocessing(160, 160), "inception_resnet_v1", "b0435610f3d0eb015e82e069013b45b5"),
        (Preprocessing(112, 96).for_photos("five-point"), "mobilefacenet", "997b444f678ab507d172bbe621306089"),
        (Preprocessing(160, 160, mean=0.0, std=255.0), "inception_resnet_v1", "10710874a3feffc1b0cd100002a0e73b"),
    ],
)
def test_fingerprints_in_checkpoints_and_galleries_stay_valid(
    contract: Preprocessing, architecture: str, expected: str
) -> None:
    state = {"a.weight": torch.arange(6.0).reshape(2, 3), "b.bias": torch.tensor([0.5, -1.0])}
    assert fingerprint(contract, architecture, state) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"a.weight": torch.arange(6.0).reshape(3, 2)},
        {"a.weight": torch.arange(6.0).reshape(2, 3).half()},
        {"a.weight": torch.tensor([[0.0, 1, 2], [3, 4, 5 + 1e-6]])},
        {"bn.running_mean": torch.tensor([0.0, 1e-9])},
        {"new": torch.zeros(1)},
    ],
)
def test_fingerprint_follows_weights(change: dict[str, torch.Tensor]) -> None:
    assert weights_digest(weights() | change) != weights_digest(weights())


@pytest.mark.parametrize(
    "change",
    [
        {"height": 161},
        {"width": 161},
        {"detector": "none", "crop": "none"},
        {"crop": "five-point"},
        {"crop": "margin-1"},
        {"mean": 127.0},
        {"std": 127.5},
        {"mean": (127.5, 127.5, 127.0)},
        {"std": (128.0, 128.0, 127.0)},
    ],
    ids=lambda change: "-".join(change),
)
def test_fingerprint_follows_the_contract(change: dict[str, object]) -> None:
    base = Preprocessing(160, 160).for_photos("margin-0")
    other = replace(base, **change)
    assert fingerprint(base, "a", weights()) == fingerprint(base, "a", weights())
    assert fingerprint(base, "a", weights()) != fingerprint(other, "a", weights())
    assert fingerprint(base, "a", weights()) != fingerprint(base, "b", weights())


@pytest.mark.parametrize(
    ("detector", "crop"),
    [
        ("haar", "five-point"),
        ("mtcnn", "none"),
        ("none", "five-point"),
        ("mtcnn", "margin"),
        ("mtcnn", "margin-"),
        ("mtcnn", "margin--1"),
        ("mtcnn", "margin-1.5"),
        ("mtcnn", "margin-007"),
        ("mtcnn", "margin-160"),
        ("mtcnn", "margin-²"),
    ],
)
def test_crops_nobody_can_make_are_refused(detector: str, crop: str) -> None:
    with pytest.raises(UsageError, match="preprocessing"):
        Preprocessing(160, 160, detector=detector, crop=crop)


def test_margin_is_read_from_the_crop() -> None:
    assert Preprocessing(160, 160).margin == 0
    assert Preprocessing(160, 160).for_photos("margin-14").margin == 14
    assert Preprocessing(160, 160).for_photos("five-point").margin == 0
    assert not Preprocessing(160, 160).finds_faces and Preprocessing(160, 160).for_photos("five-point").finds_faces
