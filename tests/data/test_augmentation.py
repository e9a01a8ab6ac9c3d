"""Named policies: reproducible from one seed, gentle, and without any global randomness."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as transform

from facenet.data.augmentation import POLICIES, Augmentation, _recolour, augment, check_policy
from facenet.errors import UsageError

varying = pytest.mark.parametrize("policy", [policy for policy in POLICIES if policy != "none"])


def face(height: int = 48, width: int = 40) -> Tensor:
    """A smooth picture without symmetry, laid out as loaded: uint8 (3, height, width)."""
    coarse = np.random.default_rng(3).integers(30, 220, (5, 4, 3), dtype=np.uint8)
    image = np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    return torch.from_numpy(image).permute(2, 0, 1)


def distance(a: Tensor, b: Tensor) -> float:
    return (a.int() - b.int()).abs().float().mean().item()


def test_none_changes_nothing() -> None:
    for seed in range(20):
        assert torch.equal(augment(face(), "none", seed), face())


def test_flip_mirrors_half_of_them() -> None:
    mirrored = 0
    for seed in range(400):
        result = augment(face(), "flip", seed)
        same = torch.equal(result, face())
        assert same or torch.equal(result, face().flip(-1))
        mirrored += not same
    assert 160 < mirrored < 240


@varying
@pytest.mark.parametrize("size", [(48, 40), (112, 96), (160, 160), (8, 8), (1, 1)])
def test_size_and_type_stay(policy: Augmentation, size: tuple[int, int]) -> None:
    for seed in range(30):
        result = augment(face(*size), policy, seed)
        assert result.shape == (3, *size) and result.dtype == torch.uint8


@varying
def test_same_seed_same_pixels(policy: Augmentation) -> None:
    results = [augment(face(), policy, seed) for seed in range(40)]
    for seed, result in enumerate(results):
        assert torch.equal(augment(face(), policy, seed), result)
    distinct = {result.contiguous().numpy().tobytes() for result in results}
    assert len(distinct) == (2 if policy == "flip" else 40)


@varying
def test_any_63_bit_seed(policy: Augmentation) -> None:
    assert augment(face(), policy, 2**63 - 1).shape == (3, 48, 40)


@varying
def test_no_global_generator_is_touched(policy: Augmentation) -> None:
    states = random.getstate(), torch.random.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index,union-attr]
    torch.manual_seed(1)
    first = [augment(face(), policy, seed) for seed in range(20)]
    torch.manual_seed(2)
    before = torch.random.get_rng_state()
    assert all(torch.equal(augment(face(), policy, seed), result) for seed, result in enumerate(first))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert random.getstate() == states[0]
    assert (np.random.get_state()[1] == states[2]).all()  # type: ignore[index,call-overload]
    torch.random.set_rng_state(states[1])


@varying
def test_the_face_given_is_left_alone(policy: Augmentation) -> None:
    given = face()
    for seed in range(20):
        augment(given, policy, seed)
    assert torch.equal(given, face())


def test_policies_grow_stronger() -> None:
    """How far a face moves at all, mirrored ones compared with their mirror image."""
    moved = {
        policy: np.mean([min(distance(result, face()), distance(result, face().flip(-1))) for result in results])
        for policy in POLICIES
        for results in [[augment(face(), policy, seed) for seed in range(60)]]
    }
    assert moved["none"] == moved["flip"] == 0
    assert 1 < moved["light"] < 20
    assert moved["light"] * 1.3 < moved["strong"] < 50


def test_strong_makes_some_grey() -> None:
    grey = 0
    for seed in range(300):
        red, green, blue = augment(face(), "strong", seed)
        grey += bool((red == green).all() and (green == blue).all())
    assert 15 <= grey <= 50


def test_light_keeps_colour() -> None:
    for seed in range(100):
        red, _, blue = augment(face(), "light", seed)
        assert not torch.equal(red, blue)


@pytest.mark.parametrize("factors", [(1, 1, 1), (1.2, 1, 1), (1, 0.8, 1), (1, 1, 0), (0.8, 0.9, 1.3), (1.1, 0.7, 0.6)])
def test_colour_is_that_of_torchvision(factors: tuple[float, float, float]) -> None:
    light, contrast, saturation = factors
    # Away from black and white, for three clippings in a row are not one; as floats, for torchvision rounds downwards.
    plain = (face().float() * 0.5 + 60).to(torch.uint8)
    expected = transform.adjust_brightness(plain.float() / 255, light)
    expected = transform.adjust_saturation(transform.adjust_contrast(expected, contrast), saturation) * 255
    result = _recolour(plain, light, contrast, saturation)
    assert (result.float() - expected).abs().max() <= 0.6
    assert torch.equal(_recolour(plain, 1, 1, 1), plain)


def test_colour_is_clipped() -> None:
    white, black = torch.full((3, 2, 2), 250, dtype=torch.uint8), torch.zeros((3, 2, 2), dtype=torch.uint8)
    assert (_recolour(white, 1.3, 1, 1) == 255).all()
    assert (_recolour(black, 0.7, 1.3, 1.4) == 0).all()


def test_unknown_policy() -> None:
    assert [check_policy(policy) for policy in POLICIES] == list(POLICIES)
    with pytest.raises(UsageError, match="no augmentation 'heavy': choose from none, flip, light, strong"):
        check_policy("heavy")
