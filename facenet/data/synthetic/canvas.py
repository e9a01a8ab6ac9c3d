"""A supersampled drawing surface: hard shapes, soft shapes, clipping."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from facenet.data.synthetic.colours import Colour
from facenet.data.synthetic.curves import Points

SUPERSAMPLING = 4
"""Pixels drawn per pixel of the result, along each axis: what gives smooth edges."""

_SOFT_REDUCTION = 2
"""Soft shapes have no detail worth the full resolution; their masks are drawn this many times smaller."""


class Canvas:
    """Square picture being drawn at :data:`SUPERSAMPLING` times its final size.

    Attributes:
        size: side of the final picture in pixels.
        image: RGB, the picture so far.
        head, body: L, 255 where head and hair, or neck and clothes are: each is lit as a solid of its own.
    """

    def __init__(self, size: int, backdrop: Image.Image) -> None:
        """Start from ``backdrop`` (RGB, any size; stretched to the canvas)."""
        self.size = size
        side = size * SUPERSAMPLING
        self.image = backdrop.resize((side, side), Image.Resampling.BICUBIC)
        self.head = Image.new("L", (side, side))
        self.body = Image.new("L", (side, side))

    def fill(self, outline: Points, colour: Colour) -> None:
        """Fill a polygon given in canvas pixels."""
        ImageDraw.Draw(self.image).polygon(outline.ravel().tolist(), fill=colour)

    def mark_head(self, outline: Points) -> None:
        """Count the polygon as part of the head."""
        _fill_mask(self.head, outline, 255)

    def mark_body(self, outline: Points) -> None:
        """Count the polygon as part of the body, and no longer of the head behind it."""
        _fill_mask(self.body, outline, 255)
        _fill_mask(self.head, outline, 0)

    def soft(
        self, outline: Points, colour: Colour, strength: float, blur: float, *, inside: Points | None = None
    ) -> None:
        """Lay a polygon with blurred edges over the picture.

        Args:
            outline: polygon in canvas pixels.
            colour: its colour.
            strength: opacity at its middle, 0..1.
            blur: standard deviation of the edge in canvas pixels.
            inside: polygon outside of which nothing is changed.
        """
        reach = 3 * blur + _SOFT_REDUCTION
        left, top = np.floor((outline.min(axis=0) - reach) / _SOFT_REDUCTION).astype(int)
        right, bottom = np.ceil((outline.max(axis=0) + reach) / _SOFT_REDUCTION).astype(int)
        limit = self.image.width // _SOFT_REDUCTION
        left, top, right, bottom = max(left, 0), max(top, 0), min(right, limit), min(bottom, limit)
        if left >= right or top >= bottom:
            return
        corner = np.array([left, top])
        mask = Image.new("L", (int(right - left), int(bottom - top)))
        _fill_mask(mask, outline / _SOFT_REDUCTION - corner, round(255 * strength))
        mask = mask.filter(ImageFilter.GaussianBlur(blur / _SOFT_REDUCTION))
        if inside is not None:
            clip = Image.new("L", mask.size)
            _fill_mask(clip, inside / _SOFT_REDUCTION - corner, 255)
            mask = ImageChops.multiply(mask, clip)
        whole = mask.resize((mask.width * _SOFT_REDUCTION, mask.height * _SOFT_REDUCTION), Image.Resampling.BILINEAR)
        self.image.paste(colour, (int(left) * _SOFT_REDUCTION, int(top) * _SOFT_REDUCTION), whole)

    def layer(self) -> Canvas:
        """Copy of the picture to draw on; :meth:`merge` brings back the part of it to be seen. The masks are shared."""
        copy = Canvas.__new__(Canvas)
        copy.size, copy.image, copy.head, copy.body = self.size, self.image.copy(), self.head, self.body
        return copy

    def merge(self, layer: Canvas, outline: Points, *, strength: float = 1.0, blur: float = 0.0) -> None:
        """Take over what ``layer`` shows inside a polygon, with an opacity and an edge blur (canvas pixels)."""
        mask = Image.new("L", self.image.size)
        _fill_mask(mask, outline, round(255 * strength))
        if blur > 0:
            mask = mask.filter(ImageFilter.GaussianBlur(blur))
        self.image.paste(layer.image, mask=mask)

    def pixels(self) -> NDArray[np.float32]:
        """The picture at its final size, averaged over each pixel: ``(size, size, 3)`` in 0..255."""
        return np.asarray(self.image.reduce(SUPERSAMPLING), dtype=np.float32)

    def shares(self, blur: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """How much of each final pixel is head, and how much is body: two ``(size, size)`` in 0..1.

        Args:
            blur: standard deviation of their edges in final pixels.
        """
        head, body = (
            np.asarray(mask.reduce(SUPERSAMPLING).filter(ImageFilter.GaussianBlur(blur)), dtype=np.float32) / 255.0
            for mask in (self.head, self.body)
        )
        return head, np.minimum(body, 1.0 - head)


def _fill_mask(mask: Image.Image, outline: ArrayLike, value: int) -> None:
    ImageDraw.Draw(mask).polygon(np.asarray(outline).ravel().tolist(), fill=value)
