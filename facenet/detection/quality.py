"""How fit a face is for recognition, from what can be seen without recognising anyone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image
from torch import Tensor

from facenet.detection.faces import FoundFace

_LUMA = np.array((0.299, 0.587, 0.114), dtype=np.float32)
"""Brightness of red, green and blue (ITU-R BT.601)."""

_SIDE = 56
_LEVEL = 0.6
"""Sharpness is measured on the square from the brows to the mouth, around 0.6 of the face's height and half as high,
always in 56×56 pixels (its size in a face of 112). Hair, background and the black corners of a face at the edge of its
photo stay outside, and values of networks with inputs of different sizes can be compared."""

_HALF_SHARP = 50.0
"""Variance of the Laplacian that counts as half sharp. Press photos of 250×250 pixels have a median of 144, the same
blurred by a Gaussian of 1 pixel 54, of 2 pixels 12; reduced to half 77, to a quarter 25."""

_HALF_SIZE = 40.0
"""Shorter side of a face in its photo, in pixels, that counts as half large. An aligned face has 35 pixels between its
eyes, which is what a box 80 wide gives; half of that has to be made up."""


@dataclass(frozen=True)
class Quality:
    """How fit a face is for recognition.

    Attributes:
        sharpness: in ``[0, 1)``: 0 where nothing can be told apart.
        size: shorter side of the face in its photo, in pixels.
        probability: the detector's, in ``[0, 1]``; None for a face that came cut already.
        score: all of them together, in ``[0, 1]``; it never falls when one of them rises.
    """

    sharpness: float
    size: float
    probability: float | None
    score: float


def measure_quality(face: Tensor, found: FoundFace | None) -> Quality:
    """Measure one face.

    Args:
        face: ``uint8 (3, h, w)``, as the network sees it.
        found: where it was in its photo; None if it came cut already, and its own size counts.
    """
    sharpness = measure_sharpness(face)
    if found is None:
        size, probability = float(min(face.shape[-2:])), None
    else:
        size, probability = min(found.width, found.height), found.probability
    return Quality(sharpness, size, probability, quality_score(sharpness, size, probability))


def measure_sharpness(face: Tensor) -> float:
    """Sharpness of a face ``uint8 (3, h, w)``, in ``[0, 1)``.

    ``v / (v + 50)``, where ``v`` is the variance of the Laplacian (Pech-Pacheco et al., ICPR 2000) of the brightness
    between brows and mouth. A small face is blurred by having been enlarged, and so it should count.
    """
    height, width = face.shape[-2:]
    side = min(height / 2, width)
    left, top = (width - side) / 2, height * _LEVEL - side / 2
    picture = Image.fromarray(np.ascontiguousarray(face.permute(1, 2, 0).numpy()))
    middle = picture.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))
    grey = np.asarray(middle) @ _LUMA
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    variance = float((around - 4 * grey[1:-1, 1:-1]).var())
    return variance / (variance + _HALF_SHARP)


def quality_score(sharpness: float, size: float, probability: float | None) -> float:
    """Sharpness times size times certainty, in ``[0, 1]``: a face that fails in one of them is not saved by the others.

    Args:
        sharpness: in ``[0, 1]``.
        size: in pixels; it counts as ``size / (size + 40)``, which has no end: more is better, ever less.
        probability: in ``[0, 1]``, or None, which counts as 1.
    """
    size = max(0.0, size)
    return sharpness * (size / (size + _HALF_SIZE)) * (1.0 if probability is None else probability)
