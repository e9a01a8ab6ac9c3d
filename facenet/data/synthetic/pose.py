"""Where a point of the head lands in the picture: a small three-dimensional head, turned and projected.

Head coordinates: x to the viewer's right, y downwards, z towards the viewer; the top of the skull is at y = −1,
the chin near y = 1, the eyes near y = 0. The projection is orthographic, so a point's depth shows only as the
sideways shift (parallax) it gets when the head turns.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, sin

import numpy as np
from numpy.typing import ArrayLike

from facenet.data.synthetic.curves import Points

_SKULL = (0.88, 1.18, 0.72)
"""Half axes (x, y, z) of the ellipsoid that the features lie on."""


@dataclass(frozen=True)
class Pose:
    """A head in the picture.

    Attributes:
        x, y: canvas pixels of the head's centre.
        unit: canvas pixels per head unit.
        yaw: turn to the viewer's right, radians.
        pitch: look upwards, radians.
        roll: tilt clockwise as the viewer sees it, radians.
    """

    x: float
    y: float
    unit: float
    yaw: float
    pitch: float
    roll: float

    def surface(self, points: ArrayLike, lift: float | ArrayLike = 0.0) -> Points:
        """Canvas pixels of points ``(n, 2)`` lying on the face, raised above it by ``lift`` (one value or ``(n,)``)."""
        flat = np.asarray(points, dtype=np.float64)
        depth = 1.0 - (flat[:, 0] / _SKULL[0]) ** 2 - (flat[:, 1] / _SKULL[1]) ** 2
        return self._turned(flat, _SKULL[2] * np.sqrt(np.maximum(depth, 0.05)) + np.asarray(lift))

    def outline(self, points: ArrayLike, depth: float | None = None) -> Points:
        """Canvas pixels of points ``(n, 2)`` on the silhouette, which shifts but does not narrow when the head turns.

        Args:
            points: in head coordinates.
            depth: z of all points; by default that of the rim of the face, whose chin juts forward.
        """
        flat = np.asarray(points, dtype=np.float64)
        z = 0.46 * np.clip((flat[:, 1] - 0.25) / 0.75, 0.0, 1.2) ** 1.3 if depth is None else np.full(len(flat), depth)
        return self._placed(flat[:, 0] + z * sin(self.yaw), flat[:, 1] - z * sin(self.pitch))

    def upright(self, pixels: ArrayLike) -> Points:
        """Canvas pixels ``(n, 2)`` as seen by an upright head facing the viewer: the reverse of placing, depth lost."""
        c, s = cos(self.roll) / self.unit, sin(self.roll) / self.unit
        dx, dy = (np.asarray(pixels, dtype=np.float64) - (self.x, self.y)).T
        return np.stack([dx * c + dy * s, dy * c - dx * s], axis=1)

    def _turned(self, flat: Points, z: Points) -> Points:
        x = flat[:, 0] * cos(self.yaw) + z * sin(self.yaw)
        ahead = z * cos(self.yaw) - flat[:, 0] * sin(self.yaw)
        return self._placed(x, flat[:, 1] * cos(self.pitch) - ahead * sin(self.pitch))

    def _placed(self, x: Points, y: Points) -> Points:
        c, s = cos(self.roll) * self.unit, sin(self.roll) * self.unit
        return np.stack([self.x + x * c - y * s, self.y + x * s + y * c], axis=1)
