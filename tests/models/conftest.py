"""Backbones that behave like trained ones: their batch normalisation holds statistics, and embeddings differ."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from facenet.models.backbone import Backbone
from facenet.models.registry import build_backbone

SMALL = {
    "alexnet": (80, 70),
    "inception_resnet_v2": (100, 90),
    "inception_v3": (150, 140),
    "resnet18": (64, 80),
    "resnet34": (64, 80),
    "vgg16": (48, 40),
}
"""Height and width at which the networks that take pictures of many sizes are tested, to save time."""

BATCH_NORM = (nn.BatchNorm1d, nn.BatchNorm2d)


def coarse_pictures(n: int, height: int, width: int, seed: int) -> Tensor:
    """``uint8 (n, 3, height, width)``: a few soft patches of colour each, unlike noise different from one another."""
    generator = torch.Generator().manual_seed(seed)
    patches = torch.randint(0, 256, (n, 3, 5, 4), generator=generator).float()
    return nn.functional.interpolate(patches, (height, width), mode="bicubic").clamp(0, 255).to(torch.uint8)


def sides(backbone: Backbone) -> tuple[int, int]:
    """Height and width of pictures to test a backbone with."""
    contract = backbone.preprocessing
    return SMALL.get(backbone.architecture, (contract.height, contract.width))


@cache
def _exercised(name: str) -> Backbone:
    backbone = build_backbone(name)
    generator = torch.Generator().manual_seed(0)
    for module in backbone.modules():
        if isinstance(module, BATCH_NORM):
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
            nn.init.uniform_(module.bias, -0.3, 0.3, generator=generator)
            module.momentum = 1.0
    with torch.no_grad():
        backbone.train().features(backbone.preprocessing.normalise(coarse_pictures(12, *sides(backbone), 0)))
    for module in backbone.modules():
        if isinstance(module, BATCH_NORM):
            module.momentum = 0.1
    return backbone.eval()


@pytest.fixture
def pictures() -> Callable[[int, int, int, int], Tensor]:
    """``(n, height, width, seed)`` → faces."""
    return coarse_pictures


@pytest.fixture
def inputs() -> Callable[[Backbone, int], Tensor]:
    """So many network inputs for a backbone, of the contract's size or, to save time, of a smaller one it takes."""
    return lambda backbone, n: backbone.preprocessing.normalise(coarse_pictures(n, *sides(backbone), 1))


@pytest.fixture
def faces_for() -> Callable[[Backbone, int], Tensor]:
    """So many faces for a backbone, of the same sizes."""
    return lambda backbone, n: coarse_pictures(n, *sides(backbone), 1)


@pytest.fixture
def exercised() -> Callable[[str], Backbone]:
    """Name → a backbone of one's own in eval mode, with random scales, shifts and statistics of pictures seen.

    A freshly initialised network would not do: it gives nearly one embedding for all pictures, and hides every mistake.
    """
    return lambda name: copy.deepcopy(_exercised(name))
