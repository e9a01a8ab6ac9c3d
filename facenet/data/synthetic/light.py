"""Light on the finished drawing, and what the camera does to it.

The head is lit as a body: an ellipsoid with a relief of nose, brows, cheekbones, lips and chin on it. Its normals
give Lambert shading and a little gloss, so that moving the light moves the shadows as it would on a face.
"""

from __future__ import annotations

from math import cos, sin
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from facenet.data.synthetic.canvas import SUPERSAMPLING
from facenet.data.synthetic.sitting import Sitting

Field = NDArray[np.float32]
Scalars = TypeVar("Scalars", float, Field)

_GLOSS = 26.0
"""Phong exponent: how small highlights are."""

_WRAP = 0.35
"""How far the light reaches round the edge: skin scatters it, so its shadows are soft."""


def shine(s: Sitting, pixels: Field) -> Field:
    """Multiply the picture's light onto flat colours: ``(size, size, 3)`` in 0..255 → the same, not yet clipped."""
    strength, exposure = s.picture.light_strength, s.picture.exposure
    x, y = _head_grid(s)
    light, normal = _direction(s), _normals(s, x, y)
    # Whoever takes a picture exposes it for the face: what faces the camera has brightness 1.
    frontal = _diffuse(max(float(light[2]), 0.3))
    on_head = 1.0 + strength * (np.minimum(_diffuse(_dot(normal, light)) / frontal, 1.55) - 1.0)
    nx = np.clip(0.75 * x, -0.9, 0.9)
    upright = (nx, np.full_like(nx, -0.1), np.sqrt(1.0 - nx**2))
    on_body = 1.0 + strength * (np.clip(_diffuse(_dot(upright, light)) / frontal, 0.3, 1.4) - 1.0)
    behind = 1.0 + 0.35 * strength * (np.clip(x, -1.2, 1.2) * light[0] - 0.1)
    head, body = s.canvas.shares(blur=0.6 * s.canvas.size / 160.0)
    brightness = exposure * (head * on_head + body * on_body + (1.0 - head - body) * behind)
    half = light + np.array([0.0, 0.0, 1.0], dtype=np.float32)
    mirror = np.maximum(0.0, _dot(normal, half / np.linalg.norm(half))) ** _GLOSS
    colour = np.asarray(s.picture.light_colour, dtype=np.float32) / 245.0
    return (pixels * brightness[..., None] + (34.0 * strength * exposure * head * mirror)[..., None]) * colour


def photograph(s: Sitting, lit: Field) -> NDArray[np.uint8]:
    """Tone curve, blur, noise and rounding: ``(size, size, 3)`` → uint8."""
    picture, size = s.picture, s.canvas.size
    curved = 255.0 * np.clip(lit / 255.0, 0.0, 1.0) ** np.float32(picture.contrast)
    sharp = Image.fromarray(np.rint(curved).astype(np.uint8))
    seen = np.asarray(sharp.filter(ImageFilter.GaussianBlur(picture.blur * size / 160.0)), dtype=np.float32)
    rng = np.random.Generator(np.random.PCG64([picture.texture, 2]))
    grey, coloured = (rng.standard_normal((size, size, n), dtype=np.float32) for n in (1, 3))
    return np.rint(np.clip(seen + picture.noise * (grey + 0.5 * coloured), 0.0, 255.0)).astype(np.uint8)


def _diffuse(facing: Scalars) -> Scalars:
    """Lambert's law with light wrapped round the edge: cosine to the light → brightness, 0 or more."""
    return np.maximum(0.0, (facing + _WRAP) / (1.0 + _WRAP))


def _dot(normal: tuple[Field, Field, Field], vector: Field) -> Field:
    return normal[0] * vector[0] + normal[1] * vector[1] + normal[2] * vector[2]


def _head_grid(s: Sitting) -> tuple[Field, Field]:
    """Upright head coordinates of every final pixel's centre: two ``(size, size)`` fields."""
    size = s.canvas.size
    at = (np.arange(size) + 0.5) * SUPERSAMPLING
    pixels = np.stack(np.meshgrid(at, at), axis=-1).reshape(-1, 2)
    x, y = s.pose.upright(pixels).astype(np.float32).T
    return x.reshape(size, size), y.reshape(size, size)


def _direction(s: Sitting) -> Field:
    """Unit vector towards the light in upright head coordinates."""
    side, height, roll = s.picture.light_side, s.picture.light_height, s.pose.roll
    x, y, z = sin(side) * cos(height), -sin(height), cos(side) * cos(height)
    return np.array([x * cos(roll) + y * sin(roll), y * cos(roll) - x * sin(roll), z], dtype=np.float32)


def _normals(s: Sitting, x: Field, y: Field) -> tuple[Field, Field, Field]:
    """Unit normals of ellipsoid and relief at every pixel: three ``(size, size)`` fields."""
    p = s.person
    wide, tall = p.head.width + 0.5 * p.hair.width + 0.10, 1.22
    nx, ny = x / wide, y / tall
    rim = np.maximum(1.0, np.hypot(nx, ny) / 0.97)
    nx, ny = nx / rim, ny / rim
    nz = np.sqrt(1.0 - nx**2 - ny**2)
    gx, gy = _relief_slope(s, x, y)
    nx, ny = nx - gx, ny - gy
    length = np.sqrt(nx**2 + ny**2 + nz**2)
    return nx / length, ny / length, nz / length


def _relief_slope(s: Sitting, x: Field, y: Field) -> tuple[Field, Field]:
    """Slope of the relief on the face: Gaussian bumps (x, y, lift, half width, half height, height)."""
    p = s.person
    bridge = 0.5 * (p.eyes.level + p.nose.length)
    bumps = [
        (0.0, bridge, 0.08, p.nose.bridge * 1.25, 0.20, 0.085),
        (0.0, p.nose.length - 0.05, 0.14, p.nose.width * 0.7, 0.075, 0.10),
        (0.0, p.mouth.level, 0.0, p.mouth.width * 0.9, 0.10, 0.05),
        (0.0, p.head.length - 0.10, 0.0, 0.17, 0.11, 0.06),
    ]
    for side in (-1, 1):
        bumps += [
            (side * p.eyes.spacing, p.eyes.level - 0.02, 0.0, 0.17, 0.10, -0.045),
            (side * p.eyes.spacing, p.eyes.level - p.brows.gap - 0.03, 0.0, 0.20, 0.07, 0.035),
            (side * 0.42, 0.28, 0.0, 0.17, 0.14, 0.05),
        ]
    gx, gy = np.zeros_like(x), np.zeros_like(x)
    for bx, by, lift, width, height, rise in bumps:
        cx, cy = s.pose.upright(s.pose.surface([(bx, by)], lift))[0].astype(np.float32)
        fx, fy = x - cx, y - cy
        bump = np.float32(rise) * np.exp(-0.5 * ((fx / width) ** 2 + (fy / height) ** 2))
        gx -= bump * fx / np.float32(width**2)
        gy -= bump * fy / np.float32(height**2)
    return gx, gy
