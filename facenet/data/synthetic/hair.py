"""Hair and beards: an area between two curves, filled, then given strands or curls."""

from __future__ import annotations

import numpy as np

from facenet.data.synthetic.colours import Colour, mix, tint
from facenet.data.synthetic.curves import Points, bend, ellipse, mirrored, ribbon, smooth
from facenet.data.synthetic.sitting import Sitting
from facenet.data.synthetic.styles import Beard

_STRANDS, _CURLS, _STUBBLE, _BACK_STRANDS, _TUFTS = 4, 5, 6, 7, 8

_BEHIND, _CROWN, _RIM = -0.22, -0.35, -0.02
"""Depths (z) of hair behind the neck, of a knot on the crown, of the silhouette."""


def draw_hair_behind(s: Sitting) -> None:
    """What hangs or stands behind head and neck; moves against the face when the head turns."""
    style, unit = s.person.hair, s.pose.unit
    if style.cover == 0:
        return
    if style.bun > 0:
        _draw_bun(s)
    if style.behind == 0:
        return
    colour = tint(s.person.hair_colour, 0.62)
    reach = s.person.head.width + style.width
    drop = np.linspace(-0.4, style.behind, 8)
    swing = style.wave * np.sin(drop * 6.5)
    side = np.stack([reach * (0.94 + 0.05 * np.sin(2.0 * (drop + 0.6))) + swing, drop], axis=1)
    half = np.concatenate([[(0.35 * reach, -0.98), (0.78 * reach, -0.82)], side, [(0.86 * reach, style.behind + 0.07)]])
    outline = s.pose.outline(smooth(mirrored(half), closed=True), _BEHIND)
    s.canvas.fill(outline, colour)
    s.canvas.mark_head(outline)
    if style.curl:
        _puffs(s, half[1:-1], _BEHIND, tone=0.62)
        return
    rng = s.details(_BACK_STRANDS)
    layer = s.canvas.layer()
    for x in rng.uniform(-1.0, 1.0, size=46):
        root, tip = (x * 0.7 * reach, -0.4), (x * 1.02 * reach, style.behind + 0.1)
        strand = s.pose.outline(bend(root, (x * (reach + 0.1), 0.3), tip), _BEHIND)
        tone = tint(colour, float(rng.uniform(0.7, 1.35)))
        layer.fill(ribbon(strand, (0.01 * unit, 0.035 * unit, 0.0)), tone)
    s.canvas.merge(layer, outline)


def _draw_bun(s: Sitting) -> None:
    """A knot of hair on the crown."""
    colour, size = s.person.hair_colour, s.person.hair.bun
    knot = s.pose.outline(ellipse(0.0, -1.0 - size * 0.72, size * 1.05, size), _CROWN)
    s.canvas.fill(knot, tint(colour, 0.8))
    s.canvas.mark_head(knot)
    rng = s.details(_BACK_STRANDS)
    for x in rng.uniform(-0.8, 0.8, size=14) * size:
        path = bend((x, -1.0 - size * 1.5), (x * 1.8, -1.0 - size * 0.7), (-x * 0.6, -1.0 - size * 0.1))
        strand = s.pose.outline(path, _CROWN)
        s.canvas.fill(ribbon(strand, (0.0, 0.02 * s.pose.unit, 0.0)), tint(colour, float(rng.uniform(0.6, 1.3))))


def draw_hair(s: Sitting) -> None:
    """Hair on the skull and beside the face, its shadow on the skin, and its texture."""
    p, style, unit = s.person, s.person.hair, s.pose.unit
    if style.cover == 0:
        return
    outer, inner = _outer(s), _inner(s)
    area = np.concatenate([s.pose.outline(outer, _RIM), inner[::-1]])
    shadow = np.concatenate([s.pose.outline(outer, _RIM), (inner + (0.0, 0.07 * unit))[::-1]])
    s.canvas.soft(shadow, s.shade, 0.5 * style.cover, 0.045 * unit, inside=s.face)
    if style.cover < 1:
        s.canvas.soft(area, p.hair_colour, style.cover, 0.03 * unit)
        _stipple(s, area, p.hair_colour)
        return
    s.canvas.fill(area, p.hair_colour)
    s.canvas.mark_head(area)
    if style.curl:
        _puffs(s, outer, _RIM, tone=1.0)
        _curls(s, area)
        return
    _strands(s, outer, inner, area)


def _outer(s: Sitting) -> Points:
    """Outer silhouette from the left end of the hair over the top to the right one, head coordinates."""
    p, style = s.person, s.person.hair
    reach, spring = p.head.width + style.width, -0.38
    down = np.linspace(style.length, spring, 7 if style.length > 0.3 else 3, endpoint=False)
    tuck = 0.10 * np.clip((down - style.length + 0.22) / 0.22, 0.0, 1.0) ** 2 if style.length > 0.3 else 0.0 * down
    edge = np.stack([-(reach - tuck) - style.wave * np.sin(down * 6.5), down], axis=1)
    angle = np.linspace(np.pi, 0.0, 13)
    dome = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    dome = np.sign(dome) * np.abs(dome) ** 0.92 * (reach, -(1.0 + spring + style.volume)) + (0.0, spring)
    curve = smooth(np.concatenate([edge, dome, edge[::-1] * (-1.0, 1.0)]), steps=4)
    if style.spikes:
        rng = s.details(_TUFTS)
        high = np.clip((-0.60 - curve[:, 1]) / 0.3, 0.0, 1.0)
        comb = np.where(np.arange(len(curve)) % 4 == 1, 1.0, 0.0) * rng.uniform(0.5, 1.3, size=len(curve))
        curve = curve + np.stack([0.5 * high * comb * style.spikes, -high * comb * style.spikes], axis=1)
    return curve


def _hairline(s: Sitting) -> Points:
    """Inner edge from the left end of the hair over the forehead to the right one, head coordinates."""
    style, width = s.person.hair, s.person.head.width
    brow = [(width * x, y) for x, y in zip((-0.86, -0.48, 0.0, 0.48, 0.86), style.hairline, strict=True)]
    if style.length > 0.1:
        ends = np.linspace(style.length, min(0.05, style.length - 0.1), 4)
        x = np.full(4, -0.89 * width) - 0.04 * (ends > 0.7) - style.wave * np.sin(ends * 6.5)
        beside = np.stack([x, ends], axis=1)
    else:
        beside = np.array([(-width * 0.965, style.length), (-width * 0.90, -0.20)])
    return smooth(np.concatenate([beside, brow, beside[::-1] * (-1.0, 1.0)]), steps=5)


def _inner(s: Sitting) -> Points:
    """The hairline in canvas pixels: it turns with the forehead, but the locks beside the face belong to its rim."""
    flat = _hairline(s)
    on_face, on_rim = s.pose.surface(flat), s.pose.outline(flat, depth=0.05)
    middle = np.clip((0.92 - np.abs(flat[:, 0]) / s.person.head.width) / 0.3, 0.0, 1.0)
    return on_rim + (on_face - on_rim) * (middle * np.clip((0.1 - flat[:, 1]) / 0.3, 0.0, 1.0))[:, None]


def _strands(s: Sitting, outer: Points, inner: Points, area: Points) -> None:
    """Strands from the parting to the ends, a sheen across the crown, and locks that break up the hairline."""
    p, style, unit = s.person, s.person.hair, s.pose.unit
    rng = s.details(_STRANDS)
    rim, line = _evenly(s.pose.outline(outer, _RIM)), _evenly(inner)
    root = s.pose.outline([(style.parting * p.head.width, -0.96 - 0.8 * style.volume)], depth=0.15)[0]
    layer = s.canvas.layer()

    def strand(at: float, inwards: float, beyond: float) -> Points:
        """From the root along the flow of the hair; ``inwards`` 0 at the silhouette, 1 at the hairline."""
        middle = 0.5 + (at - 0.5) * 0.55
        end, control = (_between(rim, line, t, inwards * k) for t, k in ((at, 1.0), (middle, 0.72)))
        return bend(root + rng.normal(0.0, 0.04, size=2) * unit, control, end + (end - control) * beyond, points=9)

    for at in rng.permutation(np.linspace(0.0, 1.0, 150)):
        path = strand(float(at), float(rng.uniform(0.0, 1.0)), float(rng.uniform(0.0, 0.15)))
        tone = tint(p.hair_colour, float(rng.uniform(0.80, 1.20)))
        layer.fill(ribbon(path, (0.012 * unit, float(rng.uniform(0.02, 0.05)) * unit, 0.004 * unit)), tone)
    sheen = bend((-0.60 * p.head.width, -0.74), (0.0, -1.06 - style.volume * 0.5), (0.60 * p.head.width, -0.74))
    gloss = mix(p.hair_colour, (255, 240, 220), 0.45)
    layer.soft(s.pose.outline(ribbon(sheen, (0.03, 0.10, 0.03)), depth=0.3), gloss, 0.25, 0.05 * unit)
    s.canvas.merge(layer, area)
    # Locks end on the forehead only: beside the face they would leave specks of skin between them.
    forehead = np.abs(_evenly(_hairline(s))[:, 0]) < 0.8 * p.head.width
    for at in rng.choice(np.linspace(0.0, 1.0, len(line))[forehead], size=30):
        path = strand(float(at), 1.0, 0.03 + 0.04 * float(rng.random()))[4:]
        tone = tint(p.hair_colour, float(rng.uniform(0.82, 1.10)))
        s.canvas.fill(ribbon(path, (0.02 * unit, 0.05 * unit, 0.0)), tone)


def _evenly(curve: Points, points: int = 121) -> Points:
    """``curve`` resampled at ``points`` places evenly spaced along its length."""
    length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(curve, axis=0).T))])
    at = np.linspace(0.0, length[-1], points)
    return np.stack([np.interp(at, length, curve[:, 0]), np.interp(at, length, curve[:, 1])], axis=1)


def _between(rim: Points, line: Points, at: float, inwards: float) -> Points:
    """Point ``at`` (0..1) along the hair, ``inwards`` (0..1) from its silhouette to its hairline."""
    index = round(at * (len(rim) - 1))
    return rim[index] + (line[index] - rim[index]) * inwards


def _puffs(s: Sitting, edge: Points, depth: float, tone: float) -> None:
    """Round bumps along an outline: what makes a curly silhouette."""
    rng = s.details(_CURLS)
    for x, y in edge[:: max(1, len(edge) // 26)]:
        radius = float(rng.uniform(0.07, 0.12))
        for side in (-1, 1):
            bump = s.pose.outline(ellipse(side * x, y, radius, radius, points=14), depth=depth)
            s.canvas.fill(bump, tint(s.person.hair_colour, tone))
            s.canvas.mark_head(bump)


def _curls(s: Sitting, area: Points) -> None:
    """Small arcs of lighter and darker hair all over ``area``."""
    p, unit = s.person, s.pose.unit
    rng = s.details(_CURLS)
    layer = s.canvas.layer()
    low, high = (-p.head.width - 0.4, -1.4), (p.head.width + 0.4, max(0.0, p.hair.length))
    for x, y in rng.uniform(low, high, size=(240, 2)):
        start, size = rng.uniform(0.0, 2 * np.pi), rng.uniform(0.035, 0.075)
        angle = np.linspace(start, start + 4.0, 9)
        arc = np.stack([x + size * np.cos(angle), y + size * np.sin(angle)], axis=1)
        line = s.pose.outline(arc, depth=0.1)
        layer.fill(ribbon(line, (0.0, 0.03 * unit, 0.0)), tint(p.hair_colour, float(rng.uniform(0.72, 1.32))))
    s.canvas.merge(layer, area)


def _stipple(s: Sitting, area: Points, colour: Colour) -> None:
    """Fine short hairs over ``area``: cropped hair."""
    rng = s.details(_STUBBLE)
    layer = s.canvas.layer()
    for x, y in rng.uniform((-0.85, -1.1), (0.85, 0.1), size=(260, 2)):
        dash = s.pose.outline([(x, y), (x * 0.98, y + 0.035)], depth=0.15)
        layer.fill(ribbon(dash, 0.012 * s.pose.unit), tint(colour, float(rng.uniform(0.7, 1.2))))
    s.canvas.merge(layer, area, strength=0.6, blur=0.03 * s.pose.unit)


def draw_beard(s: Sitting) -> None:
    """Beard on cheeks and chin, moustache above the lip; to be drawn before the mouth."""
    p, unit = s.person, s.pose.unit
    if p.beard is None:
        return
    cover, colour = p.beard.cover, mix(p.hair_colour, p.brows.colour, 0.5)
    layer = s.canvas.layer()
    areas = _beard_areas(s, p.beard)
    for area in areas:
        layer.soft(area, colour, cover, 0.022 * unit)
    dense = cover > 0.6
    if dense:
        rng = s.details(_STUBBLE)
        hairs = layer.layer()
        for x, y in rng.uniform((-0.8, 0.05), (0.8, 1.15), size=(220, 2)):
            dash = s.pose.surface(bend((x, y), (x * 1.02, y + 0.03), (x * 0.98, y + 0.075), points=4))
            hairs.fill(ribbon(dash, (0.016 * unit, 0.004 * unit)), tint(colour, float(rng.uniform(0.65, 1.45))))
        for area in areas:
            layer.merge(hairs, area, strength=0.75 * cover, blur=0.015 * unit)
    centre = np.array([s.pose.x, s.pose.y])
    reach = centre + (s.face - centre) * (1.05 if dense else 1.0)
    s.canvas.merge(layer, reach, blur=0.012 * unit)


def _beard_areas(s: Sitting, beard: Beard) -> list[Points]:
    """Polygons that a beard covers, in canvas pixels."""
    p, pose = s.person, s.pose
    corner, chin = p.mouth.width + 0.07, p.head.length + 0.06 * s.picture.mouth_open
    above, beside = p.mouth.level - p.mouth.upper - 0.02, p.mouth.level + 0.03
    areas = []
    if beard.cheeks:
        cheek = [
            (-0.99 * p.head.width, 0.02),
            (-0.80 * p.head.width, 0.40),
            (-corner, beside - 0.07),
            (0.0, above + 0.08),
        ]
        rim = [(p.head.width, 0.2), (0.98 * p.head.width, 0.55 * chin), (0.62 * p.head.width, chin), (0.0, chin + 0.08)]
        areas.append(np.concatenate([pose.surface(smooth(mirrored(cheek))), pose.outline(smooth(mirrored(rim)))]))
    elif beard.chin:
        half = [(0.0, chin + 0.03), (-corner * 0.75, chin - 0.10), (-corner * 0.8, p.mouth.level)]
        areas.append(pose.surface(smooth(mirrored(half), closed=True)))
    if beard.moustache:
        half = [(-corner, beside), (-0.13, above - 0.035), (0.0, above - 0.025)]
        areas.append(pose.surface(ribbon(smooth(mirrored(half)), (0.03, 0.10, 0.085, 0.10, 0.03)), 0.04))
    return areas
