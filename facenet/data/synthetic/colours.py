"""Colours: the arithmetic the drawing needs, and the palettes people and pictures are drawn from."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

Colour: TypeAlias = tuple[int, int, int]
"""Red, green, blue in 0..255."""

SKINS: tuple[Colour, ...] = (
    (252, 222, 202),
    (244, 206, 178),
    (233, 186, 150),
    (214, 160, 120),
    (190, 132, 94),
    (156, 102, 70),
    (118, 76, 54),
    (88, 56, 42),
)
"""From light to dark; skins between two neighbours are mixed."""

DARK_HAIRS: tuple[Colour, ...] = ((28, 24, 26), (48, 34, 28), (66, 44, 32))
LIGHT_HAIRS: tuple[Colour, ...] = ((96, 62, 40), (138, 92, 54), (206, 162, 96), (226, 194, 136), (168, 78, 40))
GREY_HAIRS: tuple[Colour, ...] = ((150, 148, 148), (196, 194, 192), (224, 222, 218))
DARK_EYES: tuple[Colour, ...] = ((60, 38, 26), (84, 54, 32))
LIGHT_EYES: tuple[Colour, ...] = ((118, 82, 44), (98, 122, 70), (84, 130, 168), (120, 148, 160), (70, 110, 92))
FRAMES: tuple[Colour, ...] = ((30, 28, 32), (96, 56, 34), (128, 30, 44), (44, 62, 104), (176, 146, 84))
CLOTHES: tuple[Colour, ...] = (
    (52, 70, 110),
    (150, 50, 54),
    (70, 106, 82),
    (226, 220, 208),
    (58, 58, 64),
    (196, 148, 66),
    (122, 96, 140),
    (110, 160, 180),
    (214, 138, 130),
)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """``first`` with ``share`` (0..1) of ``second`` mixed in."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def tint(colour: Colour, factor: float) -> Colour:
    """``colour`` made darker (``factor`` < 1) or lighter (> 1), held within 0..255."""
    red, green, blue = (min(255, max(0, round(c * factor))) for c in colour)
    return red, green, blue


def any_colour(rng: np.random.Generator) -> Colour:
    """A muted colour of any hue."""
    red, green, blue = (int(c) for c in rng.integers(70, 226, size=3))
    grey = (red + green + blue) // 3
    return mix((red, green, blue), (grey, grey, grey), 0.6)
