"""Seven expressions as plain numbers: what each does to mouth, brows, lids and nose, and by how much that varies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from facenet.data.synthetic.movements import Movements
from facenet.data.synthetic.picture import Picture
from facenet.errors import UsageError, printable

Ranges = Mapping[str, tuple[float, float]]
"""Lowest and highest value of fields of a picture, or of :class:`Movements`."""


@dataclass(frozen=True)
class Expression:
    """What is drawn evenly from which range, in the picture's own fields and in :class:`Movements`."""

    face: Ranges
    movements: Ranges


_TABLE = {
    "angry": Expression(
        face={"smile": (-0.5, -0.2), "mouth_open": (0.0, 0.0), "brow_raise": (-1.0, -0.7), "eye_open": (0.8, 1.0)},
        movements={"brow_slant": (-1.0, -0.75), "squint": (0.2, 0.4), "pressed": (0.6, 1.0), "corners": (-0.3, -0.1)},
    ),
    "disgust": Expression(
        face={"smile": (-0.3, 0.0), "mouth_open": (0.1, 0.3), "brow_raise": (-0.6, -0.2), "eye_open": (0.4, 0.6)},
        movements={"brow_slant": (-0.5, -0.2), "squint": (0.7, 1.0), "sneer": (0.8, 1.0), "corners": (-0.6, -0.3)},
    ),
    "fear": Expression(
        face={"smile": (-0.3, 0.0), "mouth_open": (0.4, 0.7), "brow_raise": (0.6, 1.0), "eye_open": (1.35, 1.55)},
        movements={"brow_slant": (0.7, 1.0), "brow_lift": (0.3, 0.6), "rounded": (-1.0, -0.6), "corners": (-0.8, -0.4)},
    ),
    "happy": Expression(
        face={"smile": (0.8, 1.1), "mouth_open": (0.3, 0.8), "brow_raise": (0.0, 0.4), "eye_open": (0.8, 0.95)},
        movements={"squint": (0.3, 0.7), "rounded": (-0.5, -0.2), "corners": (0.4, 0.8)},
    ),
    "neutral": Expression(
        face={"smile": (-0.08, 0.12), "mouth_open": (0.0, 0.0), "brow_raise": (-0.1, 0.2), "eye_open": (0.85, 1.0)},
        movements={},
    ),
    "sad": Expression(
        face={"smile": (-0.7, -0.4), "mouth_open": (0.0, 0.0), "brow_raise": (-0.1, 0.3), "eye_open": (0.55, 0.75)},
        movements={"brow_slant": (0.75, 1.0), "corners": (-1.0, -0.7)},
    ),
    "surprise": Expression(
        face={"smile": (0.0, 0.1), "mouth_open": (1.0, 1.4), "brow_raise": (0.8, 1.0), "eye_open": (1.3, 1.5)},
        movements={"brow_lift": (0.7, 1.0), "rounded": (0.7, 1.0)},
    ),
}

EXPRESSIONS: Mapping[str, Expression] = MappingProxyType(_TABLE)
"""The seven that expression data sets tell apart, by name, in alphabetical order."""


def with_expression(picture: Picture, name: str, rng: np.random.Generator) -> Picture:
    """The same picture with another expression on the face: pose, light, clothes and surroundings stay.

    Args:
        picture: the circumstances.
        name: one of :data:`EXPRESSIONS`.
        rng: source of how strong each movement is.

    Raises:
        UsageError: there is no such expression.
    """
    if name not in EXPRESSIONS:
        raise UsageError(f"no expression is called {printable(name)}: there are {', '.join(EXPRESSIONS)}")
    shown = EXPRESSIONS[name]
    face: dict[str, Any] = {field: float(rng.uniform(*shown.face[field])) for field in shown.face}
    movements: dict[str, Any] = {field: float(rng.uniform(*shown.movements[field])) for field in shown.movements}
    return replace(picture, **face, movements=Movements(**movements))
