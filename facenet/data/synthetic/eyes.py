"""Eyes, brows and glasses."""

from __future__ import annotations

import numpy as np

from facenet.data.synthetic.canvas import Canvas
from facenet.data.synthetic.colours import Colour, mix, tint
from facenet.data.synthetic.curves import Points, bend, ellipse, ribbon
from facenet.data.synthetic.sitting import Sitting

_BROW_HAIRS = 3
_INK: Colour = (24, 16, 16)


def draw_eyes(s: Sitting) -> None:
    """Both eyes: ball, iris, lids, lashes."""
    for side in (-1, 1):
        _draw_eye(s, side)


def _draw_eye(s: Sitting, side: int) -> None:
    """One eye, from the nose (u = −1) to the temple (u = 1)."""
    p, unit, pose = s.person, s.pose.unit, s.pose
    opening = s.picture.eye_open - 0.12 * max(s.picture.smile, 0.0)
    u = np.linspace(-1.0, 1.0, 19)
    x = side * (p.eyes.spacing + p.eyes.width * u)
    tilt = p.eyes.level - p.eyes.tilt * u
    upper = tilt - p.eyes.height * opening * np.clip(1.0 - np.abs(u + 0.08) ** 2.2, 0.0, 1.0)
    depth = 0.58 * (0.6 + 0.4 * opening - 0.6 * s.picture.movements.squint)
    lower = tilt + p.eyes.height * depth * np.clip(1.0 - np.abs(u - 0.1) ** 2.2, 0.0, 1.0)
    upper[[0, -1]], lower[[0, -1]] = tilt[[0, -1]], tilt[[0, -1]]

    def line(y: Points, widths: tuple[float, ...]) -> Points:
        return pose.surface(ribbon(np.stack([x, y], axis=1), widths))

    shape = pose.surface(np.concatenate([np.stack([x, upper], axis=1), np.stack([x, lower], axis=1)[::-1]]))
    ball = s.canvas.layer()
    _draw_ball(s, ball, side, opening)
    ball.soft(line(upper + 0.02, (0.03, 0.06, 0.04)), (70, 48, 48), 0.5, 0.014 * unit)
    s.canvas.merge(ball, shape)

    lash = mix(_INK, s.line, 0.55 - 0.5 * p.eyes.lashes)
    s.canvas.fill(line(upper, (0.012, 0.026 + 0.016 * p.eyes.lashes, 0.028 + 0.014 * p.eyes.lashes)), lash)
    s.canvas.soft(line(lower, (0.006, 0.012, 0.016)), s.line, 0.7, 0.005 * unit)
    crease = line(upper - 0.045 - 0.02 * p.eyes.lid, (0.006, 0.024, 0.010))
    s.canvas.soft(crease, s.line, 0.2 + 0.6 * p.eyes.lid, 0.007 * unit)
    for t in (0.55, 0.78, 1.0) if p.eyes.lashes > 0.4 else ():
        root = (float(np.interp(t, u, x * side)) * side, float(np.interp(t, u, upper)))
        end = (root[0] + side * 0.055 * t, root[1] - 0.05 * p.eyes.lashes)
        stroke = bend(root, (end[0], root[1] - 0.01), end, points=5)
        s.canvas.fill(pose.surface(ribbon(stroke, (0.018, 0.004))), lash)


def _draw_ball(s: Sitting, layer: Canvas, side: int, opening: float) -> None:
    """White, iris, pupil and highlight of one eye, unclipped."""
    p, unit, pose = s.person, s.pose.unit, s.pose
    white = ellipse(side * p.eyes.spacing, p.eyes.level, p.eyes.width * 1.3, p.eyes.height * 1.8)
    layer.fill(pose.surface(white), (238, 232, 226))
    nose_corner = ellipse(side * (p.eyes.spacing - p.eyes.width), p.eyes.level + p.eyes.tilt, 0.05, 0.05, points=12)
    layer.soft(pose.surface(nose_corner), (214, 130, 122), 0.7, 0.014 * unit)
    # People look into the lens more often than straight ahead, so the iris turns against the head.
    x = side * p.eyes.spacing + (s.picture.gaze_x * 0.5 - 1.3 * pose.yaw) * p.eyes.width * 0.35
    y = p.eyes.level + (s.picture.gaze_y * 0.4 + pose.pitch) * p.eyes.height * 0.5 - 0.012 * opening
    radius = 0.093

    def disc(share: float, dx: float = 0.0, dy: float = 0.0) -> Points:
        return pose.surface(ellipse(x + dx * radius, y + dy * radius, share * radius, share * radius))

    layer.fill(disc(1.0), mix(tint(p.eyes.colour, 0.45), _INK, 0.3))
    layer.fill(disc(0.88), p.eyes.colour)
    layer.soft(disc(0.55, dy=0.35), tint(p.eyes.colour, 1.5), 0.6, 0.014 * unit)
    layer.fill(disc(0.46), (14, 10, 12))
    glint = 0.36 if s.picture.light_side > 0 else -0.36
    layer.fill(disc(0.22, dx=glint, dy=-0.38), (255, 252, 248))
    layer.soft(disc(0.14, dx=-glint, dy=0.4), (255, 252, 248), 0.6, 0.006 * unit)


def draw_brows(s: Sitting) -> None:
    """Brows: a tapered band with hairs, moved by the expression."""
    p, unit, pose = s.person, s.pose.unit, s.pose
    rng = s.details(_BROW_HAIRS)
    u = np.linspace(-1.0, 1.0, 13)
    moved = s.picture.movements
    raised = 0.055 * s.picture.brow_raise + 0.10 * moved.brow_lift
    tilt = p.brows.tilt - 0.085 * moved.brow_slant
    knit = 0.05 * min(moved.brow_slant, 0.0) * (1.0 - u) / 2
    for side in (-1, 1):
        x = side * (p.eyes.spacing + 0.02 + (p.eyes.width + 0.055) * u + knit)
        frown = 0.045 * min(s.picture.brow_raise, 0.0) * (1.0 - u) / 2
        y = p.eyes.level - p.brows.gap - raised - frown - tilt * u - p.brows.arch * (1.0 - (u - 0.12) ** 2)
        line = np.stack([x, y], axis=1)
        thick = p.brows.thickness
        band = pose.surface(ribbon(line, (thick * 0.8, thick, thick * 0.7, 0.012)))
        s.canvas.soft(band, p.brows.colour, 0.88, 0.011 * unit)
        for at in rng.uniform(0.0, 0.85, size=16):
            centre = line[int(at * 12)]
            lean = np.array([side * (0.02 + 0.03 * at), -0.04 * (1.0 - at) - 0.004])
            hair = bend(centre - lean * thick * 9, centre, centre + lean * thick * 9, points=4)
            tone = tint(p.brows.colour, float(rng.uniform(0.6, 1.35)))
            s.canvas.fill(pose.surface(ribbon(hair, (0.012, 0.003))), tone)


def draw_glasses(s: Sitting) -> None:
    """Rims, bridge and arms in front of the face, with a faint sheen on the lenses."""
    p, unit, pose = s.person, s.pose.unit, s.pose
    if p.glasses is None:
        return
    rim, y = p.glasses, p.eyes.level + 0.03
    centre = max(p.eyes.spacing, rim.width + 0.05)
    angle = np.linspace(0.0, 2 * np.pi, 40)
    power = 2.0 / rim.squareness
    corner_x = rim.width * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** power
    corner_y = rim.height * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** power
    arm = [(centre + rim.width, y - 0.05), (p.head.width * 1.04, y - 0.03)]
    for side in (-1, 1):
        lens = np.stack([side * centre + corner_x, y + corner_y], axis=1)
        s.canvas.soft(pose.surface(lens, 0.02), (255, 255, 255), 0.10, 0.01 * unit)
        s.canvas.soft(pose.surface(ribbon(lens + (0.0, 0.03), rim.thickness), 0.0), s.shade, 0.4, 0.012 * unit)
        s.canvas.fill(pose.surface(ribbon(lens, rim.thickness), 0.06), p.frame_colour)
        joint = pose.surface(np.array(arm[:1]) * (side, 1.0), 0.06)
        end = pose.outline(np.array(arm[1:]) * (side, 1.0), depth=0.0)
        s.canvas.fill(ribbon(np.concatenate([joint, end]), rim.thickness * unit), tint(p.frame_colour, 0.8))
    bridge = bend((rim.width - centre, y - 0.04), (0.0, y - 0.10), (centre - rim.width, y - 0.04))
    s.canvas.fill(pose.surface(ribbon(bridge, rim.thickness), 0.10), p.frame_colour)
