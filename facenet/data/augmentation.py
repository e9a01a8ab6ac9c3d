"""Named ways to vary a face while training, each reproducible from one integer.

Parameters come from a generator made of the seed alone: no global random state is read or changed, so a picture is
varied the same in any worker and after any restart.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as transform

from facenet.errors import UsageError

Augmentation = Literal["none", "flip", "light", "strong"]
"""``none``: the face as it is. ``flip``: half of them mirrored. ``light``: also slight shifts, zooms and changes of
light, as a better detector or another camera would make. ``strong``: more of these, some grey, some blurred."""

POLICIES: tuple[Augmentation, ...] = get_args(Augmentation)


@dataclass(frozen=True)
class _Strength:
    """How far a policy may go.

    Attributes:
        area: smallest part of the face that is kept by a crop.
        ratio: largest stretch of one side against the other.
        light, contrast, saturation: each factor is drawn from ``[1 - value, 1 + value]``.
        grey, blur: probabilities.
    """

    area: float = 1.0
    ratio: float = 1.0
    light: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    grey: float = 0.0
    blur: float = 0.0


_STRENGTHS: dict[Augmentation, _Strength] = {
    "flip": _Strength(),
    "light": _Strength(area=0.85, ratio=1.05, light=0.15, contrast=0.15, saturation=0.15),
    "strong": _Strength(area=0.65, ratio=1.15, light=0.35, contrast=0.35, saturation=0.4, grey=0.1, blur=0.15),
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
    return _recolour(face, strength, draw)


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
    return transform.resized_crop(
        face, top, left, high, wide, [height, width], interpolation=InterpolationMode.BILINEAR, antialias=True
    )


def _recolour(face: Tensor, strength: _Strength, draw: random.Random) -> Tensor:
    if strength.light:
        face = transform.adjust_brightness(face, _factor(strength.light, draw))
    if strength.contrast:
        face = transform.adjust_contrast(face, _factor(strength.contrast, draw))
    if draw.random() < strength.grey:
        face = transform.rgb_to_grayscale(face, num_output_channels=3)
    elif strength.saturation:
        face = transform.adjust_saturation(face, _factor(strength.saturation, draw))
    if draw.random() < strength.blur:
        face = transform.gaussian_blur(face, kernel_size=[7, 7], sigma=draw.uniform(0.4, 1.2))
    return face


def _factor(spread: float, draw: random.Random) -> float:
    return draw.uniform(1 - spread, 1 + spread)
