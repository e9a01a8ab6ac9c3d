"""Skin, ears, nose, mouth, and what age and nature leave on a face."""

from __future__ import annotations

import numpy as np

from facenet.data.synthetic.colours import mix, tint
from facenet.data.synthetic.curves import Points, bend, ellipse, ribbon
from facenet.data.synthetic.sitting import Sitting

_FRECKLES, _MOLES = 1, 2


def draw_ears(s: Sitting) -> None:
    """Ears at the sides of the head, to be drawn before the face, which hides the far one."""
    p, unit = s.person, s.pose.unit
    for side in (-1, 1):
        x, y = side * (p.head.width + 0.015), 0.04
        outer = s.pose.outline(ellipse(x, y, 0.105 * p.head.ears, 0.20 * p.head.ears), depth=-0.12)
        inner = s.pose.outline(ellipse(x + side * 0.015, y, 0.055 * p.head.ears, 0.125 * p.head.ears), depth=-0.12)
        s.canvas.fill(outer, mix(p.skin, s.shade, 0.22))
        s.canvas.mark_head(outer)
        s.canvas.soft(inner, s.shade, 0.7, 0.02 * unit)
        if p.earrings:
            ring = s.pose.outline(ellipse(x + side * 0.01, y + 0.22 * p.head.ears, 0.035, 0.035), depth=-0.1)
            s.canvas.fill(ring, (226, 190, 96))


def draw_skin(s: Sitting) -> None:
    """The bare face: skin, blush on the cheeks, shadows that fall whatever the light is."""
    p, unit = s.person, s.pose.unit
    s.canvas.fill(s.face, p.skin)
    s.canvas.mark_head(s.face)
    blush = mix(p.skin, (214, 64, 66), 0.5)
    for side in (-1, 1):
        cheek = s.pose.surface(ellipse(side * 0.43, 0.33, 0.19, 0.15))
        s.canvas.soft(cheek, blush, 0.55 * p.blush, 0.09 * unit, inside=s.face)
        socket = s.pose.surface(ellipse(side * p.eyes.spacing, p.eyes.level - 0.06, 0.20, 0.13))
        s.canvas.soft(socket, s.shade, 0.34, 0.07 * unit)
    below_lip = s.pose.surface(ellipse(0.0, p.mouth.level + 0.17, 0.16, 0.035))
    s.canvas.soft(below_lip, s.shade, 0.45, 0.035 * unit)


def draw_marks(s: Sitting) -> None:
    """Freckles, moles and the traces of age, in the same places in every picture."""
    p, unit = s.person, s.pose.unit
    rng = s.details(_FRECKLES)
    for x, y in rng.normal((0.0, 0.24), (0.30, 0.10), size=(p.freckles, 2)):
        spot = s.pose.surface(ellipse(x, y, 0.014, 0.013, points=8))
        s.canvas.soft(spot, mix(p.skin, (140, 74, 40), 0.7), 0.65, 0.006 * unit, inside=s.face)
    rng = s.details(_MOLES)
    for x, y in rng.uniform((-0.5, 0.12), (0.5, 0.85), size=(p.moles, 2)):
        spot = s.pose.surface(ellipse(x, y, 0.022, 0.022, points=10))
        s.canvas.soft(spot, mix(s.line, (40, 22, 18), 0.4), 0.95, 0.006 * unit, inside=s.face)
    _draw_age(s)


def _draw_age(s: Sitting) -> None:
    p, unit, smile = s.person, s.pose.unit, s.picture.smile
    level = p.eyes.level
    for side in (-1, 1):
        fold = bend(
            (side * p.nose.width * 1.15, p.nose.length - 0.02),
            (side * (p.mouth.width + 0.08), p.nose.length + 0.06),
            (side * (p.mouth.width + 0.09), p.mouth.level + 0.02),
        )
        depth = min(0.85, 0.75 * p.age + 0.35 * max(smile, 0.0) + 0.8 * s.picture.movements.sneer)
        s.canvas.soft(s.pose.surface(ribbon(fold, (0.01, 0.035, 0.01))), s.shade, depth, 0.014 * unit)
        bag = bend(
            (side * (p.eyes.spacing - p.eyes.width), level + 0.10),
            (side * p.eyes.spacing, level + 0.21),
            (side * (p.eyes.spacing + p.eyes.width), level + 0.09),
        )
        s.canvas.soft(s.pose.surface(ribbon(bag, (0.01, 0.04, 0.01))), s.shade, 0.12 + 0.6 * p.age, 0.016 * unit)
        for step in range(3 if p.age > 0.5 else 0):
            start = (side * (p.eyes.spacing + p.eyes.width + 0.05), level + 0.01 + 0.02 * step)
            crow = bend(start, (start[0] + side * 0.05, start[1]), (start[0] + side * 0.09, level - 0.05 + 0.06 * step))
            s.canvas.soft(s.pose.surface(ribbon(crow, 0.012)), s.shade, p.age - 0.2, 0.007 * unit, inside=s.face)
    for step in range(3 if p.age > 0.45 else 0):
        y = -0.42 - 0.1 * step - 0.04 * s.picture.brow_raise
        crease = bend((-0.34, y), (0.0, y - 0.05), (0.34, y), points=12)
        s.canvas.soft(s.pose.surface(ribbon(crease, (0.004, 0.02, 0.004))), s.shade, 0.7 * p.age, 0.01 * unit)


def draw_creases(s: Sitting) -> None:
    """Folds that only a strong expression makes: between the brows, on the forehead, across the nose."""
    p, unit, moved = s.person, s.pose.unit, s.picture.movements
    level = p.eyes.level

    def fold(start: tuple[float, float], control: tuple[float, float], end: tuple[float, float], depth: float) -> None:
        line = s.pose.surface(ribbon(bend(start, control, end), (0.006, 0.034, 0.006)), 0.05)
        s.canvas.soft(line, s.line, depth, 0.009 * unit, inside=s.face)

    for side in (-1, 1):
        if moved.brow_slant < 0:
            top, bottom = (side * 0.05, level - 0.27), (side * 0.07, level - 0.08)
            fold(top, (side * 0.035, level - 0.17), bottom, -0.8 * moved.brow_slant)
        for step in range(3 if moved.sneer > 0 else 0):
            y = level + 0.05 + 0.065 * step
            fold((side * 0.02, y), (side * 0.07, y - 0.03), (side * 0.12, y + 0.04), 0.75 * moved.sneer)
    for step in range(3 if moved.brow_lift > 0 else 0):
        y = level - p.brows.gap - 0.26 - 0.075 * step
        fold((-0.36, y), (0.0, y - 0.04), (0.36, y), 0.7 * moved.brow_lift)


def draw_nose(s: Sitting) -> None:
    """Ridge, tip, wings and nostrils; the tip stands out, so it moves most when the head turns."""
    p, unit, pose = s.person, s.pose.unit, s.pose
    base, width = p.nose.length, p.nose.width
    turned = float(np.clip(-4.0 * pose.yaw - 1.2 * s.picture.light_side, -1.0, 1.0))
    for side in (-1, 1):
        flank = [
            (side * p.nose.bridge * 1.1, p.eyes.level - 0.02),
            (side * p.nose.bridge * 1.2, base - 0.14),
            (side * width * 0.95, base - 0.03),
            (side * (p.nose.bridge * 2.0 + 0.02), base - 0.12),
            (side * p.nose.bridge * 2.0, p.eyes.level + 0.02),
        ]
        lift = (0.04, 0.12, 0.06, 0.0, 0.0)
        strength = 0.20 + 0.22 * max(0.0, side * turned)
        s.canvas.soft(pose.surface(flank, lift), s.shade, strength, 0.025 * unit)
    ridge = [(0.0, p.eyes.level), (0.004, base - 0.16), (0.0, base - 0.06)]
    gloss = mix(p.skin, (255, 250, 240), 0.5)
    s.canvas.soft(pose.surface(ribbon(ridge, (0.03, 0.04, 0.07)), 0.15), gloss, 0.35, 0.025 * unit)
    under = pose.surface(ellipse(0.0, base + 0.035, width * 0.9, 0.035), 0.06)
    s.canvas.soft(under, s.shade, 0.6, 0.025 * unit)
    for side in (-1, 1):
        ends = (side * width * 0.92, base - 0.12), (side * width * 0.72, base + 0.015)
        wing = bend(ends[0], (side * width * 1.28, base - 0.01), ends[1])
        s.canvas.soft(pose.surface(ribbon(wing, (0.006, 0.03, 0.02)), 0.05), s.line, 0.62, 0.008 * unit)
        nostril = pose.surface(ellipse(side * width * 0.48, base + 0.002, width * 0.26, 0.026), 0.10)
        s.canvas.soft(nostril, s.line, 0.92, 0.008 * unit)
    tip = bend((-width * 0.3, base + 0.012), (0.0, base + 0.035), (width * 0.3, base + 0.012))
    s.canvas.soft(pose.surface(ribbon(tip, 0.014), 0.13), s.line, 0.5, 0.008 * unit)


def draw_mouth(s: Sitting) -> None:
    """Lips, and teeth and the dark between them when the mouth is open."""
    p, unit, smile, moved = s.person, s.pose.unit, s.picture.smile, s.picture.movements
    half = p.mouth.width * (1.0 + 0.14 * smile - 0.28 * moved.rounded)
    u = np.linspace(-1.0, 1.0, 25)
    arch = 1.0 - u**2
    seam = p.mouth.level - (0.085 * smile + 0.09 * moved.corners) * (u**2 - 0.35) - 0.07 * moved.sneer * arch
    middle = float(seam[len(seam) // 2])
    gap = 0.17 * s.picture.mouth_open * arch**0.7
    bow = 1.0 - 0.38 * np.exp(-((u / 0.17) ** 2))
    thin = 1.0 - 0.22 * max(smile, 0.0) - 0.6 * moved.pressed
    top = seam - p.mouth.upper * thin * arch**0.75 * bow
    bottom = seam + gap + p.mouth.lower * thin * arch**0.6
    x = half * u

    def between(upper: Points, lower: Points) -> Points:
        edge = np.stack([np.concatenate([x, x[::-1]]), np.concatenate([upper, lower[::-1]])], axis=1)
        return s.pose.surface(edge, 0.05)

    def along(y: Points, widths: tuple[float, ...]) -> Points:
        return s.pose.surface(ribbon(np.stack([x, y], axis=1), widths), 0.05)

    dark = mix(tint(p.mouth.colour, 0.35), (44, 12, 16), 0.5)
    if s.picture.mouth_open > 0.05:
        s.canvas.fill(between(seam, seam + gap), dark)
        mouth = s.canvas.layer()
        teeth = ellipse(0.0, middle - 0.03, half * 0.86, 0.095 * (1.0 - 0.8 * max(moved.rounded, 0.0)))
        mouth.fill(s.pose.surface(teeth, 0.03), (240, 234, 224))
        s.canvas.merge(mouth, between(seam, seam + gap * 0.92))
    s.canvas.fill(between(top, seam + 0.004), tint(p.mouth.colour, 0.86))
    s.canvas.fill(between(seam + gap, bottom), p.mouth.colour)
    s.canvas.soft(along(seam + 0.005, (0.008, 0.022, 0.014, 0.022, 0.008)), dark, 0.85, 0.005 * unit)
    s.canvas.soft(along(bottom, (0.0, 0.022, 0.0)), s.shade, 0.5, 0.01 * unit)
    low = middle + float(gap.max()) + p.mouth.lower * 0.5
    gloss = ellipse(0.02, low, half * 0.42, p.mouth.lower * 0.2)
    s.canvas.soft(s.pose.surface(gloss, 0.06), mix(p.mouth.colour, (255, 240, 235), 0.6), 0.5, 0.014 * unit)
    for side in (0, -1):
        corner = ellipse(float(x[side]) * 1.04, float(seam[side]), 0.022, 0.026, points=12)
        s.canvas.soft(s.pose.surface(corner, 0.04), s.line, 0.6, 0.012 * unit)
