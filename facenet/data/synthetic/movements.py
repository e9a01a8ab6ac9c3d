"""What a face does in a strong expression."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Movements:
    """What a face does beyond the everyday ``smile``, ``mouth_open``, ``brow_raise`` and ``eye_open`` of a picture.

    All are zero at rest, and a face at rest is drawn as if they did not exist.

    Attributes:
        brow_slant: −1 (inner ends drawn down and together) to 1 (inner ends raised).
        brow_lift: 0..1, both brows high up, the forehead in creases.
        squint: 0..1, lower lids raised.
        sneer: 0..1, upper lip raised towards the nose, the nose wrinkled.
        rounded: −1 (mouth drawn out to the sides) to 1 (an O).
        pressed: 0..1, lips pressed together until they are thin.
        corners: −1 (corners of the mouth far down) to 1 (far up), added to the smile.
    """

    brow_slant: float = 0.0
    brow_lift: float = 0.0
    squint: float = 0.0
    sneer: float = 0.0
    rounded: float = 0.0
    pressed: float = 0.0
    corners: float = 0.0
