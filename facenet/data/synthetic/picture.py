"""What changes from one picture of a person to the next: pose, light, expression, surroundings, camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facenet.data.synthetic.colours import CLOTHES, Colour, any_colour, mix, tint
from facenet.data.synthetic.movements import Movements
from facenet.data.synthetic.person import pick


@dataclass(frozen=True)
class Picture:
    """What differs from one picture of a person to the next. Angles in radians, colours RGB 0..255.

    Attributes:
        yaw, pitch, roll: how the head is turned, as in :class:`~facenet.data.synthetic.pose.Pose`.
        scale: head unit as a share of the picture's side.
        x, y: centre of the head as a share of the picture's side.
        light_side, light_height: direction the light comes from (right and above are positive), radians.
        light_strength: share of the light that has a direction, 0..1.
        light_colour: its colour.
        exposure: factor on all brightness.
        contrast: exponent on it.
        smile: −1 (corners down) to 1.
        mouth_open: 0..1.
        brow_raise: −1 (frown) to 1.
        eye_open: 0 (closed) to about 1.1 (wide), 1.6 (staring).
        gaze_x, gaze_y: where the eyes look, −1..1 of the room they have.
        backdrop: two background colours.
        clothes, collar: colour, and depth of the neckline in head units.
        blur: standard deviation in pixels of a 160-pixel picture.
        noise: standard deviation in grey levels.
        texture: seed of background pattern and noise.
        movements: what the face does beyond that; nothing in a random picture (see
            :func:`~facenet.data.synthetic.expressions.with_expression`).
    """

    yaw: float
    pitch: float
    roll: float
    scale: float
    x: float
    y: float
    light_side: float
    light_height: float
    light_strength: float
    light_colour: Colour
    exposure: float
    contrast: float
    smile: float
    mouth_open: float
    brow_raise: float
    eye_open: float
    gaze_x: float
    gaze_y: float
    backdrop: tuple[Colour, Colour]
    clothes: Colour
    collar: float
    blur: float
    noise: float
    texture: int
    movements: Movements = Movements()

    @classmethod
    def random(cls, rng: np.random.Generator) -> Picture:
        """Draw the circumstances of one picture."""
        base = pick(rng, CLOTHES) if rng.random() < 0.6 else any_colour(rng)
        warmth = rng.normal(0.0, 1.0)
        extreme: Colour = (255, 208, 160) if warmth > 0 else (196, 218, 255)
        smile = rng.uniform(-0.35, 1.0)
        return cls(
            yaw=float(np.clip(rng.normal(0.0, 0.20), -0.42, 0.42)),
            pitch=float(np.clip(rng.normal(0.0, 0.12), -0.26, 0.26)),
            roll=float(np.clip(rng.normal(0.0, 0.10), -0.28, 0.28)),
            scale=rng.uniform(0.295, 0.330),
            x=0.5 + float(np.clip(rng.normal(0.0, 0.018), -0.05, 0.05)),
            y=0.465 + float(np.clip(rng.normal(0.0, 0.015), -0.04, 0.04)),
            light_side=rng.uniform(-1.0, 1.0),
            light_height=rng.uniform(-0.05, 0.75),
            light_strength=rng.uniform(0.25, 0.85),
            light_colour=mix((255, 246, 236), extreme, min(abs(warmth) / 3, 0.8)),
            exposure=float(np.exp(np.clip(rng.normal(0.0, 0.12), -0.25, 0.2))),
            contrast=rng.uniform(0.85, 1.2),
            smile=smile,
            mouth_open=max(0.0, rng.uniform(-0.6, 0.5) + 0.35 * smile),
            brow_raise=rng.uniform(-0.6, 1.0),
            eye_open=rng.uniform(0.72, 1.1),
            gaze_x=rng.uniform(-0.5, 0.5),
            gaze_y=rng.uniform(-0.3, 0.3),
            backdrop=(any_colour(rng), any_colour(rng)),
            clothes=tint(base, rng.uniform(0.8, 1.15)),
            collar=rng.uniform(0.02, 0.34),
            blur=float(np.clip(rng.normal(0.1, 0.35), 0.0, 0.8)),
            noise=rng.uniform(0.5, 5.0),
            texture=int(rng.integers(2**32)),
        )
