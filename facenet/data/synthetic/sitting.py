"""One person sitting for one picture: what every drawing function is handed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from facenet.data.synthetic.canvas import Canvas
from facenet.data.synthetic.colours import Colour, mix, tint
from facenet.data.synthetic.curves import Points, mirrored, smooth
from facenet.data.synthetic.person import Person
from facenet.data.synthetic.picture import Picture
from facenet.data.synthetic.pose import Pose


@dataclass(frozen=True)
class Sitting:
    """A person, the circumstances of the picture, the head's place in it, and the canvas to draw on."""

    person: Person
    picture: Picture
    pose: Pose
    canvas: Canvas

    @cached_property
    def face(self) -> Points:
        """Outline of skull, cheeks and jaw in canvas pixels."""
        p = self.person
        width, drop = p.head.width, 0.06 * self.picture.mouth_open
        chin = p.head.length + drop
        jaw = width * p.head.jaw
        right = [
            (0.0, -1.0),
            (0.52 * width, -0.89),
            (0.89 * width, -0.60),
            (1.0 * width, -0.20),
            (0.985 * width, 0.16),
            (0.5 * (0.95 * width + jaw), 0.44),
            (0.87 * jaw, 0.66 * chin + drop),
            (0.5 * (0.76 * jaw + p.head.chin), 0.87 * chin),
            (p.head.chin, 0.975 * chin),
            (0.0, chin),
        ]
        return self.pose.outline(smooth(mirrored(right), closed=True, steps=5))

    @property
    def shade(self) -> Colour:
        """Skin in shadow: darker and warmer, not greyer."""
        return mix(tint(self.person.skin, 0.62), (110, 40, 30), 0.16)

    @property
    def line(self) -> Colour:
        """Skin in a deep crease."""
        return mix(tint(self.person.skin, 0.42), (80, 24, 20), 0.2)

    def details(self, purpose: int) -> np.random.Generator:
        """The person's own source of small details, equal in all their pictures; ``purpose`` keeps uses apart."""
        return np.random.Generator(np.random.PCG64([self.person.texture, purpose]))
