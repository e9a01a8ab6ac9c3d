"""Hair, beards and glasses as plain numbers: a new style is one new line in a table.

Lengths are in head units (:mod:`facenet.data.synthetic.pose`): the skull's top is at y = −1, the chin near 1.
"""

from __future__ import annotations

from typing import NamedTuple


class Hair(NamedTuple):
    """Shape of a head of hair; all of it grows between an outer silhouette and a hairline.

    Attributes:
        volume: height above the skull.
        width: reach to the side beyond the temples.
        length: y at which the hair beside the face ends.
        hairline: y of the hairline at five places from the left temple to the right one.
        parting: x the strands start from.
        wave: how far the outline of long hair swings.
        curl: 0 for strands, 1 for curls all over.
        behind: y down to which hair hangs behind the neck; anything above 0.5 for none.
        bun: radius of a knot on top, 0 for none.
        spikes: height of the tufts along the top.
        cover: opacity: 1 for full hair, less where skin shines through, 0 for none.
    """

    volume: float
    width: float
    length: float
    hairline: tuple[float, float, float, float, float]
    parting: float = 0.0
    wave: float = 0.0
    curl: float = 0.0
    behind: float = 0.0
    bun: float = 0.0
    spikes: float = 0.0
    cover: float = 1.0


class Beard(NamedTuple):
    """Where a beard grows, each 0..1 of its full extent there, and how dense it is (opacity)."""

    cheeks: float
    chin: float
    moustache: float
    cover: float


class Glasses(NamedTuple):
    """Frame of a pair of glasses: half axes of one rim, squareness (2 = oval, 6 = box), thickness of the rim."""

    width: float
    height: float
    squareness: float
    thickness: float


_HIGH = (-0.42, -0.62, -0.68, -0.62, -0.42)
_SWEPT = (-0.34, -0.42, -0.56, -0.70, -0.46)
_FRINGE = (-0.20, -0.27, -0.29, -0.27, -0.20)
_CURTAIN = (-0.18, -0.46, -0.74, -0.46, -0.18)

LONG_STYLES: tuple[Hair, ...] = (
    Hair(0.16, 0.12, 1.35, _CURTAIN, behind=1.55),
    Hair(0.15, 0.12, 1.30, _SWEPT, parting=0.34, behind=1.45),
    Hair(0.17, 0.17, 1.20, _CURTAIN, parting=0.05, wave=0.07, behind=1.5),
    Hair(0.18, 0.14, 0.66, _FRINGE, behind=0.72),
    Hair(0.17, 0.16, 0.72, _SWEPT, parting=-0.36, wave=0.04, behind=0.85),
    Hair(0.10, 0.03, -0.10, _HIGH, bun=0.30),
    Hair(0.26, 0.34, 0.85, (-0.30, -0.50, -0.58, -0.50, -0.30), curl=1.0, behind=1.1),
    Hair(0.36, 0.36, 0.10, (-0.40, -0.58, -0.62, -0.58, -0.40), curl=1.0, behind=0.3),
    Hair(0.17, 0.06, 0.06, (-0.26, -0.34, -0.44, -0.60, -0.40), parting=0.3),
    Hair(0.15, 0.12, 1.35, _FRINGE, wave=0.02, behind=1.5),
)

SHORT_STYLES: tuple[Hair, ...] = (
    Hair(0.14, 0.02, -0.08, (-0.44, -0.58, -0.64, -0.66, -0.46), parting=0.36),
    Hair(0.20, 0.03, -0.10, (-0.40, -0.60, -0.64, -0.60, -0.40), spikes=0.09),
    Hair(0.05, 0.01, -0.08, _HIGH, cover=0.72),
    Hair(0.11, 0.03, -0.05, (-0.40, -0.78, -0.62, -0.78, -0.40), parting=0.1),
    Hair(0.22, 0.06, -0.04, (-0.36, -0.44, -0.46, -0.54, -0.42), parting=-0.3),
    Hair(0.18, 0.10, 0.02, (-0.40, -0.52, -0.56, -0.52, -0.40), curl=1.0),
    Hair(0.16, 0.10, 0.44, _CURTAIN, parting=0.0, wave=0.03, behind=0.6),
    Hair(0.00, 0.00, -0.10, _HIGH, cover=0.0),
    Hair(0.14, 0.04, -0.02, (-0.30, -0.36, -0.38, -0.38, -0.32)),
    Hair(0.17, 0.02, -0.12, (-0.46, -0.64, -0.70, -0.66, -0.46), parting=-0.5),
)

BEARDS: tuple[Beard, ...] = (
    Beard(1.0, 1.0, 1.0, 0.95),
    Beard(1.0, 1.0, 1.0, 0.38),
    Beard(0.0, 1.0, 0.8, 0.90),
    Beard(0.0, 0.0, 1.0, 0.95),
)

GLASSES: tuple[Glasses, ...] = (
    Glasses(0.250, 0.235, 2.0, 0.030),
    Glasses(0.265, 0.180, 4.5, 0.045),
    Glasses(0.255, 0.150, 5.0, 0.022),
    Glasses(0.275, 0.230, 3.0, 0.050),
)
