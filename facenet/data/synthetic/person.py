"""What stays the same in all pictures of a person. Lengths in head units (see ``pose``), colours RGB 0..255."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from facenet.data.synthetic import colours
from facenet.data.synthetic.colours import Colour, mix, tint
from facenet.data.synthetic.styles import BEARDS, GLASSES, LONG_STYLES, SHORT_STYLES, Beard, Glasses, Hair

Item = TypeVar("Item")

_FAIR = 3.2
"""Place in the palette of skins up to which light hair and eyes occur."""


@dataclass(frozen=True)
class Head:
    """Bones of the head.

    Attributes:
        width: half width at the cheekbones.
        jaw: half width at the jaw's corner as a share of ``width``.
        chin: half width of the chin.
        length: y of the chin.
        ears: scale of the ears.
        neck: half width of the neck.
    """

    width: float
    jaw: float
    chin: float
    length: float
    ears: float
    neck: float

    @classmethod
    def random(cls, rng: np.random.Generator, *, feminine: bool) -> Head:
        """Draw a head."""
        return cls(
            width=rng.uniform(0.64, 0.75) if feminine else rng.uniform(0.67, 0.80),
            jaw=rng.uniform(0.74, 0.88) if feminine else rng.uniform(0.80, 0.96),
            chin=rng.uniform(0.15, 0.26) if feminine else rng.uniform(0.22, 0.38),
            length=rng.uniform(0.90, 1.03) if feminine else rng.uniform(0.94, 1.06),
            ears=rng.uniform(0.8, 1.2),
            neck=rng.uniform(0.29, 0.35) if feminine else rng.uniform(0.38, 0.48),
        )


@dataclass(frozen=True)
class Eyes:
    """Both eyes.

    Attributes:
        colour: of the iris.
        spacing: half the distance of their centres.
        width, height: half axes.
        tilt: rise of the outer corner.
        level: y of their centres.
        lid: how visible the crease of the upper lid is, 0..1.
        lashes: strength of the lashes, 0..1.
    """

    colour: Colour
    spacing: float
    width: float
    height: float
    tilt: float
    level: float
    lid: float
    lashes: float

    @classmethod
    def random(cls, rng: np.random.Generator, colour: Colour, *, feminine: bool) -> Eyes:
        """Draw the shape of eyes of a given colour."""
        return cls(
            colour=colour,
            spacing=rng.uniform(0.28, 0.355),
            width=rng.uniform(0.155, 0.205),
            height=rng.uniform(0.085, 0.135),
            tilt=rng.uniform(-0.03, 0.06),
            level=rng.uniform(-0.06, 0.06),
            lid=rng.uniform(0.0, 1.0),
            lashes=rng.uniform(0.5, 1.0) if feminine else rng.uniform(0.0, 0.25),
        )


@dataclass(frozen=True)
class Brows:
    """Both brows.

    Attributes:
        colour: of their hair.
        thickness: at the thickest.
        arch: rise of their middle.
        tilt: rise of the outer end.
        gap: distance above the eye's centre.
    """

    colour: Colour
    thickness: float
    arch: float
    tilt: float
    gap: float

    @classmethod
    def random(cls, rng: np.random.Generator, colour: Colour, *, feminine: bool) -> Brows:
        """Draw the shape of brows of a given colour."""
        return cls(
            colour=colour,
            thickness=rng.uniform(0.035, 0.065) if feminine else rng.uniform(0.055, 0.11),
            arch=rng.uniform(0.01, 0.09),
            tilt=rng.uniform(-0.055, 0.015),
            gap=rng.uniform(0.15, 0.22) if feminine else rng.uniform(0.12, 0.19),
        )


@dataclass(frozen=True)
class Nose:
    """Half width at the nostrils, y of the base, half width of the ridge."""

    width: float
    length: float
    bridge: float

    @classmethod
    def random(cls, rng: np.random.Generator, *, feminine: bool) -> Nose:
        """Draw a nose."""
        width = rng.uniform(0.10, 0.155) if feminine else rng.uniform(0.12, 0.19)
        return cls(width=width, length=rng.uniform(0.34, 0.46), bridge=rng.uniform(0.045, 0.09))


@dataclass(frozen=True)
class Mouth:
    """Half width, y of the line between the lips, heights of the upper and the lower lip, and their colour."""

    width: float
    level: float
    upper: float
    lower: float
    colour: Colour

    @classmethod
    def random(cls, rng: np.random.Generator, skin: Colour, *, feminine: bool) -> Mouth:
        """Draw a mouth that goes with a skin."""
        red: Colour = (196, 84, 92) if feminine else (180, 96, 88)
        return cls(
            width=rng.uniform(0.20, 0.31),
            level=rng.uniform(0.60, 0.67),
            upper=rng.uniform(0.04, 0.085),
            lower=rng.uniform(0.055, 0.11),
            colour=mix(skin, red, rng.uniform(0.45, 0.95) if feminine else rng.uniform(0.25, 0.45)),
        )


@dataclass(frozen=True)
class Person:
    """Somebody who does not exist.

    Attributes:
        skin: skin colour in neutral light.
        age: 0 (young adult) to 1 (old): wrinkles, shadows under the eyes.
        head, eyes, brows, nose, mouth: shapes and colours of the parts.
        hair, hair_colour: style and colour.
        beard, glasses: ``None`` where there are none.
        frame_colour: of the glasses.
        blush: redness of the cheeks, 0..1.
        freckles, moles: how many.
        earrings: wears them.
        texture: seed of the details too small to be a number here (strands, places of freckles).
    """

    skin: Colour
    age: float
    head: Head
    eyes: Eyes
    brows: Brows
    nose: Nose
    mouth: Mouth
    hair: Hair
    hair_colour: Colour
    beard: Beard | None
    glasses: Glasses | None
    frame_colour: Colour
    blush: float
    freckles: int
    moles: int
    earrings: bool
    texture: int

    @classmethod
    def random(cls, rng: np.random.Generator, *, feminine: bool | None = None) -> Person:
        """Draw a person.

        Args:
            rng: source of every choice.
            feminine: lean towards features that read as a woman's or a man's; by default a coin decides.
        """
        woman = bool(rng.random() < 0.5) if feminine is None else feminine
        age, tone = float(rng.beta(1.1, 1.6)), rng.uniform(0.0, len(colours.SKINS) - 1.0)
        skin = mix(colours.SKINS[int(tone)], colours.SKINS[int(tone) + 1], tone % 1.0)
        fair = bool(tone < _FAIR and rng.random() < 0.72)
        hair_colour = pick(rng, colours.LIGHT_HAIRS if fair else colours.DARK_HAIRS)
        brow_colour = mix(tint(hair_colour, 0.72), (40, 28, 24), 0.25)
        if age > 0.62:
            hair_colour = mix(hair_colour, pick(rng, colours.GREY_HAIRS), rng.uniform(0.55, 1.0))
        eye_colour = pick(rng, colours.LIGHT_EYES if fair and rng.random() < 0.75 else colours.DARK_EYES)
        return cls(
            skin=skin,
            age=age,
            head=Head.random(rng, feminine=woman),
            eyes=Eyes.random(rng, eye_colour, feminine=woman),
            brows=Brows.random(rng, brow_colour, feminine=woman),
            nose=Nose.random(rng, feminine=woman),
            mouth=Mouth.random(rng, skin, feminine=woman),
            hair=pick(rng, LONG_STYLES if woman else SHORT_STYLES),
            hair_colour=hair_colour,
            beard=pick(rng, BEARDS) if not woman and rng.random() < 0.5 else None,
            glasses=pick(rng, GLASSES) if rng.random() < 0.3 else None,
            frame_colour=pick(rng, colours.FRAMES),
            blush=rng.uniform(0.15, 0.8) if woman else rng.uniform(0.0, 0.45),
            freckles=int(rng.integers(14, 40)) if fair and rng.random() < 0.4 else 0,
            moles=int(rng.integers(0, 3)),
            earrings=woman and bool(rng.random() < 0.4),
            texture=int(rng.integers(2**32)),
        )


def pick(rng: np.random.Generator, items: Sequence[Item]) -> Item:
    """One of ``items``, all equally likely."""
    return items[int(rng.integers(len(items)))]
