"""What a detector finds, and which of several faces is meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class FoundFace:
    """One face in a picture.

    Attributes:
        box: ``(left, top, right, bottom)`` in pixels of the upright picture; may reach over its edge.
        landmarks: five points ``(x, y)`` in pixels: the eye on the picture's left, the eye on its right, nose, the
            corner of the mouth on the left, the one on the right.
        probability: the detector's, in ``[0, 1]``.
    """

    box: tuple[float, float, float, float]
    landmarks: tuple[tuple[float, float], ...]
    probability: float

    @property
    def width(self) -> float:
        """Of the box, in pixels."""
        return self.box[2] - self.box[0]

    @property
    def height(self) -> float:
        """Of the box, in pixels."""
        return self.box[3] - self.box[1]

    @property
    def area(self) -> float:
        """Of the box, in square pixels."""
        return self.width * self.height


class Policy(StrEnum):
    """Which faces of a picture are meant."""

    LARGEST = "largest"
    CENTRAL = "central"
    PROBABLE = "probable"
    ALL = "all"


def choose_faces(found: Sequence[FoundFace], policy: Policy, size: tuple[int, int]) -> tuple[FoundFace, ...]:
    """Pick by policy.

    Args:
        found: faces of one picture.
        policy: ``LARGEST`` by area, ``CENTRAL`` by the distance of its centre to the picture's, ``PROBABLE`` by the
            detector's probability, or ``ALL``. The first of equals wins.
        size: ``(height, width)`` of the picture.

    Returns:
        At most one face, or for ``ALL`` every one, in the order given.
    """
    if policy is Policy.ALL or not found:
        return tuple(found)
    if policy is Policy.LARGEST:
        return (max(found, key=lambda face: face.area),)
    if policy is Policy.PROBABLE:
        return (max(found, key=lambda face: face.probability),)
    height, width = size

    def off_centre(face: FoundFace) -> float:
        left, top, right, bottom = face.box
        return (left + right - width) ** 2 + (top + bottom - height) ** 2

    return (min(found, key=off_centre),)
