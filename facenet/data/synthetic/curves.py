"""Smooth curves and simple shapes as point arrays: the vocabulary every drawn part is made of.

Points are float64 arrays ``(n, 2)``, x to the viewer's right and y downwards, in whatever unit the caller uses.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.float64]


def smooth(points: ArrayLike, *, closed: bool = False, steps: int = 6) -> Points:
    """Uniform Catmull-Rom spline through ``points``: ``(n, 2)`` → about ``(n · steps, 2)``, same start and end.

    Args:
        points: at least two control points; the curve passes through each of them.
        closed: join the last point to the first.
        steps: points drawn per pair of control points.
    """
    knots = np.asarray(points, dtype=np.float64)
    if closed:
        padded = np.concatenate([knots[-1:], knots, knots[:2]])
    else:
        padded = np.concatenate([knots[:1], knots, knots[-1:]])
    p0, p1, p2, p3 = (padded[i : len(padded) - 3 + i, None, :] for i in range(4))
    t = np.linspace(0.0, 1.0, steps, endpoint=False)[None, :, None]
    spans = 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
    curve = spans.reshape(-1, 2)
    return curve if closed else np.concatenate([curve, knots[-1:]])


def ellipse(x: float, y: float, width: float, height: float, *, points: int = 28) -> Points:
    """Outline of an upright ellipse around ``(x, y)`` with half axes ``width`` and ``height``: ``(points, 2)``."""
    angle = np.linspace(0.0, 2 * np.pi, points, endpoint=False)
    return np.stack([x + width * np.cos(angle), y + height * np.sin(angle)], axis=1)


def mirrored(half: ArrayLike) -> Points:
    """``half``, then its mirror image (x → −x) back from its last point to its first: symmetric lines and outlines.

    A first or last point on the axis (x = 0) is not repeated: an outline made of such a half closes without a kink.
    """
    side = np.asarray(half, dtype=np.float64)
    back = side[::-1] * (-1.0, 1.0)
    return np.concatenate([side, back[int(side[-1, 0] == 0) : len(back) - int(side[0, 0] == 0)]])


def ribbon(line: ArrayLike, widths: float | Sequence[float]) -> Points:
    """Polygon of a stroke along ``line``: ``(n, 2)`` → ``(2n, 2)``.

    Args:
        line: centre line, at least two points.
        widths: full width of the stroke, or widths spread evenly from its start to its end.
    """
    centre = np.asarray(line, dtype=np.float64)
    along = np.gradient(centre, axis=0)
    length = np.hypot(along[:, 0], along[:, 1])
    normal = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.maximum(length, 1e-9)[:, None]
    profile = np.atleast_1d(np.asarray(widths, dtype=np.float64))
    width = np.interp(np.linspace(0.0, 1.0, len(centre)), np.linspace(0.0, 1.0, len(profile)), profile)
    half = normal * (width / 2)[:, None]
    return np.concatenate([centre + half, (centre - half)[::-1]])


def bend(start: ArrayLike, control: ArrayLike, end: ArrayLike, *, points: int = 9) -> Points:
    """Quadratic Bézier curve from ``start`` to ``end``, drawn towards ``control``: ``(points, 2)``."""
    t = np.linspace(0.0, 1.0, points)[:, None]
    a, b, c = (np.asarray(p, dtype=np.float64)[None, :] for p in (start, control, end))
    return (1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c
