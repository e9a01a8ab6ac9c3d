"""Means over any rectangle of a picture in four look-ups: a summed-area table (Crow, SIGGRAPH 1984).

MTCNN looks at every picture in a pyramid of sizes and at hundreds of boxes in it, all scaled by averaging areas. From
one table of running sums each of these pixels costs the same however large the area is that it stands for, and all
boxes of all pictures are cut out by one indexing operation instead of one call per box.

Bins are those of torch's ``adaptive_avg_pool2d``: of ``length`` pixels cut into ``count`` bins, bin ``i`` reaches from
``floor(i * length / count)`` to ``ceil((i + 1) * length / count)``; neighbours may share a pixel.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

_BITS = 21
_MASK = (1 << _BITS) - 1

_MOST_TOGETHER = _MASK // 255
"""Largest rectangle whose three sums are told apart, in pixels."""

_MEAN, _SCALE = 127.5, 128.0


class AreaMeans:
    """Summed-area tables of equally large pictures.

    The three colours share one 64-bit sum, 21 bits each. Running sums spill from one colour into the next, but sums of
    a rectangle are differences of them, and arithmetic modulo 2^64 makes these exact wherever the rectangle's own sums
    fit in 21 bits: up to 8,224 pixels. Larger bins, in the smallest sizes of a pyramid, are summed up in parts.

    What comes out is what MTCNN's networks take: ``(mean - 127.5) / 128``.
    """

    def __init__(self, pictures: np.ndarray, device: torch.device) -> None:
        """Sum up pictures ``uint8 (n, H, W, 3)``, of at most 4 megapixels each: 8 bytes for every pixel."""
        count, height, width, _ = pictures.shape
        self.count, self.height, self.width = count, height, width
        table = np.zeros((count, height + 1, width + 1), dtype=np.int64)
        inner = table[:, 1:, 1:]
        np.copyto(inner, pictures[..., 2])
        for colour in (1, 0):
            inner <<= _BITS
            inner += pictures[..., colour]
        # NumPy's running sums over several pictures are eight times faster than torch's.
        np.cumsum(inner, axis=1, out=inner)
        np.cumsum(inner, axis=2, out=inner)
        self._table = torch.from_numpy(table).to(device)

    def level(self, pictures: slice, size: tuple[int, int], rows: slice) -> Tensor:
        """Rows of pictures scaled to ``size``: ``float32 (n, 3, rows, width)``, channels last in memory.

        Args:
            pictures: which of them.
            size: ``(height, width)`` of the whole scaled picture.
            rows: which rows of the scaled picture, ``start`` and ``stop``.
        """
        device = self._table.device
        top, bottom = _bins(self.height, torch.arange(rows.start, rows.stop, device=device), size[0])
        left, right = _bins(self.width, torch.arange(size[1], device=device), size[1])
        area = (bottom - top)[:, None] * (right - left)
        largest = (self.height // size[0] + 2) * (self.width // size[1] + 2)
        parts = 1 if largest <= _MOST_TOGETHER else math.ceil(math.sqrt(2 * largest / _MOST_TOGETHER))
        (top, bottom), (left, right) = _parts(top, bottom, parts), _parts(left, right, parts)
        table = self._table[pictures]
        across = table.index_select(1, bottom).sub_(table.index_select(1, top))
        return _unpack(across.index_select(2, right).sub_(across.index_select(2, left)), area, parts)

    def boxes(self, picture: Tensor, corners: Tensor, side: int) -> Tensor:
        """Boxes scaled to squares: ``float32 (k, 3, side, side)``, channels last in memory.

        Args:
            picture: ``int64 (k,)``, the picture that each box is in.
            corners: ``int64 (k, 4)``, ``(left, top, right, bottom)`` in pixels, not empty, inside the picture.
            side: in pixels.
        """
        device = self._table.device
        picture, corners = picture.to(device), corners.to(device)
        steps = torch.arange(side, device=device)
        left, top, right, bottom = corners[:, :, None].unbind(1)
        x0, x1 = (left + edge for edge in _bins(right - left, steps, side))
        y0, y1 = (top + edge for edge in _bins(bottom - top, steps, side))
        first = picture[:, None] * (self.height + 1)
        above, below = ((first + y)[:, :, None] * (self.width + 1) for y in (y0, y1))
        before, after = x0[:, None, :], x1[:, None, :]
        sums = self._at(below + after)
        sums -= self._at(above + after)
        sums -= self._at(below + before)
        sums += self._at(above + before)
        return _unpack(sums, (y1 - y0)[:, :, None] * (x1 - x0)[:, None, :])

    def _at(self, places: Tensor) -> Tensor:
        """Running sums at places of the table as if it were one row."""
        return self._table.view(-1).index_select(0, places.view(-1)).view(places.shape)


def _bins(length: Tensor | int, bin: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Where bins start and end."""
    return bin * length // count, -(-(bin + 1) * length // count)


def _parts(start: Tensor, end: Tensor, parts: int) -> tuple[Tensor, Tensor]:
    """Bins cut into as many parts, next to each other: ``(n,)`` → ``(n * parts,)`` each."""
    if parts == 1:
        return start, end
    edges = start[:, None] + (end - start)[:, None] * torch.arange(parts + 1, device=start.device) // parts
    return edges[:, :-1].flatten(), edges[:, 1:].flatten()


def _unpack(sums: Tensor, area: Tensor, parts: int = 1) -> Tensor:
    """Sums ``int64 (n, h * parts, w * parts)`` over an area ``(h, w)`` → network input ``float32 (n, 3, h, w)``."""
    share = (area * _SCALE).reciprocal_()
    colours = torch.empty((len(sums), *area.shape[-2:], 3), device=sums.device)
    for colour in range(3):
        values = (sums >> (_BITS * colour)) & _MASK
        if parts > 1:
            values = values.unflatten(1, (-1, parts)).unflatten(3, (-1, parts)).sum(dim=(2, 4))
        torch.mul(values, share, out=colours[..., colour])
    return colours.sub_(_MEAN / _SCALE).permute(0, 3, 1, 2)
