"""Photos of drawn people: portraits laid on a backdrop, so that it is known how many faces are where."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from facenet.data.synthetic import Person, Picture, draw_face


def backdrop(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Soft colours without a face: ``uint8 (height, width, 3)``."""
    coarse = np.random.default_rng(seed).integers(60, 200, (5, 6, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def portrait(seed: int, size: int = 160) -> np.ndarray:
    """One drawn person, looking about: ``uint8 (size, size, 3)``."""
    rng = np.random.default_rng(seed)
    return draw_face(Person.random(rng), Picture.random(rng), size)


def photo(height: int, width: int, portraits: Sequence[tuple[int, int, int]], seed: int = 0) -> np.ndarray:
    """Portraits on a backdrop.

    Args:
        portraits: ``(left, top, size)`` of each, in pixels.
    """
    image = backdrop(height, width, seed)
    for number, (left, top, size) in enumerate(portraits):
        image[top : top + size, left : left + size] = portrait(seed * 100 + number, size)
    return image
