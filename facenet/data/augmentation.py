"""Named ways to vary a face while training, each reproducible from one integer.

Parameters come from a generator made of the seed alone: no global random state is read or changed, so a picture is
varied the same in any worker and after any restart.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as transform

from facenet.errors import UsageError

Augmentation = Literal["none", "flip", "light", "strong"]
"""``none``: the face as it is. ``flip``: half of them mirrored. ``light``: also slight shifts, zooms and changes of
light, as another camera or detector would make. ``strong``: more of these, some grey, some of low resolution."""

POLICIES: tuple[Augmentation, ...] = get_args(Augmentation)

_GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Weights of red, green and blue (ITU-R BT.601)."""


@dataclass(frozen=True)
class _Strength:
    """How far a policy may go.

    Attributes:
        area: smallest part of the face that is kept by a crop.
        ratio: largest stretch of one side against the other.
        light, contrast, saturation: each factor is drawn from ``[1 - value, 1 + value]``.
        grey, coarse: probabilities of losing the colour, and of losing resolution.
    """

    area: float = 1.0
    ratio: float = 1.0
    light: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    grey: float = 0.0
    coarse: float = 0.0


_STRENGTHS: dict[Augmentation, _Strength] = {
    "flip": _Strength(),
    "light": _Strength(area=0.85, ratio=1.05, light=0.15, contrast=0.15, saturation=0.15),
    "strong": _Strength(area=0.65, ratio=1.15, light=0.35, contrast=0.35, saturation=0.4, grey=0.1, coarse=0.15),
}


def check_policy(name: str) -> Augmentation:
    """``name`` if it is one of :data:`POLICIES`.

    Raises:
        UsageError: it is none.
    """
    if name not in POLICIES:
        raise UsageError(f"no augmentation {name!r}: choose from {', '.join(POLICIES)}")
    return name


def augment(face: Tensor, policy: Augmentation, seed: int) -> Tensor:
    """Vary one face.

    Args:
        face: ``uint8 (3, h, w)``; never changed in place.
        policy: one of :data:`POLICIES`.
        seed: any integer; equal seeds give equal pixels.

    Returns:
        ``uint8 (3, h, w)``, same size; ``face`` itself where nothing changes.
    """
    if policy == "none":
        return face
    strength = _STRENGTHS[policy]
    draw = random.Random(seed)
    if draw.random() < 0.5:
        face = transform.horizontal_flip(face)
    if strength.area < 1:
        face = _crop(face, strength, draw)
    if draw.random() < strength.coarse:
        face = _coarsen(face, draw.uniform(0.35, 0.75))
    if strength.light == 0:
        return face
    saturation = 0.0 if draw.random() < strength.grey else _factor(strength.saturation, draw)
    return _recolour(face, _factor(strength.light, draw), _factor(strength.contrast, draw), saturation)


def _crop(face: Tensor, strength: _Strength, draw: random.Random) -> Tensor:
    """Cut a part out somewhere and bring it back to full size."""
    height, width = face.shape[-2:]
    side = math.sqrt(draw.uniform(strength.area, 1))
    stretch = math.exp(draw.uniform(-1, 1) * math.log(strength.ratio) / 2)
    high = max(1, min(height, round(height * side * stretch)))
    wide = max(1, min(width, round(width * side / stretch)))
    top, left = draw.randint(0, height - high), draw.randint(0, width - wide)
    if (high, wide) == (height, width):
        return face
    return _resize(face[:, top : top + high, left : left + wide], [height, width])


def _recolour(face: Tensor, light: float, contrast: float, saturation: float) -> Tensor:
    """Change brightness, then contrast, then saturation, each by a factor (1: as it is).

    The three of torchvision one after the other (blend with black, with the mean grey level, with the grey picture),
    put together: one pass and one rounding instead of three. NumPy, because torch would call all cores together
    for each of many small steps, while they are busy computing.
    """
    wide = face.permute(1, 2, 0).numpy().astype(np.float32)
    grey = wide @ _GREY
    constant = light * (1 - contrast) * float(grey.mean())
    wide *= light * contrast * saturation
    wide += (light * contrast * (1 - saturation) * grey + constant)[..., None]
    np.clip(wide, 0, 255, out=wide)
    return torch.from_numpy(np.rint(wide, out=wide).astype(np.uint8)).permute(2, 0, 1)


def _coarsen(face: Tensor, part: float) -> Tensor:
    """What is left of a face that was only ``part`` as large."""
    height, width = face.shape[-2:]
    small = [max(1, round(height * part)), max(1, round(width * part))]
    return _resize(_resize(face, small), [height, width])


def _resize(face: Tensor, size: list[int]) -> Tensor:
    return transform.resize(face, size, interpolation=InterpolationMode.BILINEAR, antialias=True)


def _factor(spread: float, draw: random.Random) -> float:
    return draw.uniform(1 - spread, 1 + spread)
