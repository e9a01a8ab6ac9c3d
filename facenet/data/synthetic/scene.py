"""What surrounds the head: background, neck, shoulders and clothes."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from facenet.data.synthetic.colours import mix, tint
from facenet.data.synthetic.curves import bend, mirrored, ribbon, smooth
from facenet.data.synthetic.picture import Picture
from facenet.data.synthetic.pose import Pose
from facenet.data.synthetic.sitting import Sitting

_SIDE = 64
"""Pixels of a background before it is stretched over the picture: out of focus, so it needs no more."""


def backdrop(picture: Picture) -> Image.Image:
    """An out-of-focus room or street: gradient, upright and level edges, spots of light; RGB, 64 × 64."""
    rng = np.random.Generator(np.random.PCG64([picture.texture, 1]))
    first, second = (np.array(c, dtype=np.float64) for c in picture.backdrop)
    angle = rng.uniform(0.0, 2 * np.pi)
    y, x = np.mgrid[0:_SIDE, 0:_SIDE] / (_SIDE - 1.0) - 0.5
    share = np.clip(0.5 + x * np.cos(angle) + y * np.sin(angle), 0.0, 1.0)[..., None]
    image = Image.fromarray(np.rint(first + (second - first) * share).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(0, 5))):
        tone = tint(picture.backdrop[int(rng.integers(2))], float(rng.uniform(0.5, 1.5)))
        left, top, width, height = rng.uniform((-20, -20, 6, 6), (60, 50, 40, 60))
        if rng.random() < 0.65:
            draw.rectangle((left, top, left + width, top + height), fill=tone)
        else:
            draw.ellipse((left, top, left + width, top + width), fill=tone)
    return image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.8, 4.0))))


def draw_body(s: Sitting) -> None:
    """Neck, shoulders and clothes; they follow the head's place, and its turn only a little."""
    p, unit, head = s.person, s.pose.unit, s.pose
    wide = p.head.neck
    pivot = head.outline([(0.0, p.head.length - 0.04)], depth=-0.1)[0]
    body = Pose(float(pivot[0]), float(pivot[1]), unit, 0.0, 0.0, 0.15 * head.roll)
    neck_top = head.outline([(-wide, 0.5), (wide, 0.5)], depth=-0.1)
    slope = [(wide * 1.02, 0.10), (wide * 1.12, 0.24), (wide * 1.6, 0.38), (wide * 2.2, 0.48), (wide * 2.2, 1.4)]
    neck = np.concatenate([neck_top, body.outline(mirrored(slope), depth=0.0)])
    s.canvas.fill(neck, p.skin)
    s.canvas.mark_body(neck)
    s.canvas.soft(s.face + (0.0, 0.17 * unit), s.shade, 0.75, 0.07 * unit, inside=neck)
    _draw_clothes(s, body)


def _draw_clothes(s: Sitting, body: Pose) -> None:
    """A plain top: a neckline, two shoulders, a fold beside each arm."""
    wide, collar, unit, colour = s.person.head.neck, s.picture.collar, s.pose.unit, s.picture.clothes
    dark = mix(tint(colour, 0.6), (20, 20, 36), 0.3)
    broad = 2.1 * wide + 0.35
    end = (wide * 1.42, 0.30)
    neckline = smooth(mirrored([(-end[0], end[1]), (-end[0] * 0.75, 0.36 + 0.6 * collar), (0.0, 0.42 + collar)]))
    shoulder = smooth([end, (wide * 2.0, 0.40), (broad, 0.56), (broad + 0.22, 0.85), (broad + 0.3, 2.4)])
    cloth = body.outline(np.concatenate([neckline, mirrored(shoulder)]), depth=0.0)
    s.canvas.soft(body.outline(neckline + (0.0, -0.02), depth=0.0), s.shade, 0.4, 0.03 * unit)
    s.canvas.fill(cloth, colour)
    s.canvas.mark_body(cloth)
    s.canvas.fill(body.outline(ribbon(neckline + (0.0, 0.02), 0.055), depth=0.0), tint(colour, 0.84))
    for side in (-1, 1):
        fold = bend((side * wide * 1.9, 0.62), (side * wide * 2.3, 0.9), (side * wide * 2.1, 1.5))
        s.canvas.soft(body.outline(ribbon(fold, (0.02, 0.09, 0.03)), depth=0.0), dark, 0.45, 0.035 * unit)
