"""Cutting found faces out of a photo the way a network wants them.

Points are ``(x, y)`` in pixels, with a pixel's centre at whole numbers: the middle of the first pixel is ``(0, 0)``.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from facenet.detection.faces import FoundFace
from facenet.errors import InputError, UsageError
from facenet.preprocessing import Preprocessing

_TEMPLATE = (
    (30.2946, 51.6963),
    (65.5318, 51.5014),
    (48.0252, 71.7366),
    (33.5493, 92.3655),
    (62.7299, 92.2041),
)
_TEMPLATE_HEIGHT, _TEMPLATE_WIDTH = 112, 96

_SAME_POINT = 1e-3
"""Landmarks that differ by less than this many pixels say nothing about size and direction."""


def template(height: int, width: int) -> np.ndarray:
    """Where the landmarks of an aligned face lie: ``float64 (5, 2)``, ``(x, y)`` in pixels, in order.

    The five points of the 112×96 template that SphereFace (Liu et al., CVPR 2017) introduced. ArcFace's 112×112 is the
    same in the middle of a wider picture, and so is every other size: scaled by its height, centred across its width.
    """
    scale = height / _TEMPLATE_HEIGHT
    return np.array(_TEMPLATE) * scale + ((width - _TEMPLATE_WIDTH * scale) / 2, 0.0)


def similarity(landmarks: np.ndarray, onto: np.ndarray) -> np.ndarray:
    """The turn, scaling and shift that brings points closest to others: ``float64 (2, 3)``.

    Least squares over all similarities without reflection (Umeyama, IEEE PAMI 13(4), 1991). In the plane these are
    ``z → a·z + b`` on complex numbers, which makes it a regression with one coefficient.

    Args:
        landmarks, onto: ``(n, 2)``, ``n`` at least 2.

    Returns:
        ``M`` with ``onto ≈ landmarks @ M[:, :2].T + M[:, 2]``.

    Raises:
        InputError: points that are not finite, or all the same.
    """
    start, goal = (np.asarray(points, dtype=np.float64) @ (1, 1j) for points in (landmarks, onto))
    if not (np.isfinite(start).all() and np.isfinite(goal).all()):
        raise InputError("landmarks are not finite numbers")
    around, towards = start - start.mean(), goal - goal.mean()
    spread = np.vdot(around, around).real
    if spread < _SAME_POINT**2:
        raise InputError("landmarks are all at the same point")
    factor = np.vdot(around, towards) / spread
    shift = goal.mean() - factor * start.mean()
    return np.array([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]])


def cut_face(image: np.ndarray, found: FoundFace, preprocessing: Preprocessing) -> Tensor:
    """Cut one face out of a photo as a contract says.

    ``"five-point"``: the similarity that brings the landmarks onto the template; bilinear, after averaging areas where
    the face is at least twice as large as the input. What lies outside the photo becomes black, as it was in the
    training pictures of the networks that use this template; a repeated edge would be a pattern they never saw.

    ``"margin-N"``: facenet-pytorch's ``extract_face``: the box, enlarged so that the margin would be N pixels in the
    result, cut off at the photo's edges, and stretched to the input with antialiased bilinear interpolation.

    Args:
        image: ``uint8 (H, W, 3)``.

    Returns:
        ``uint8 (3, height, width)``, laid out in memory as ``(height, width, 3)``.

    Raises:
        InputError: box or landmarks are not finite, or have no extent, or lie outside the photo.
        UsageError: the contract cuts no faces out of photos.
    """
    if not preprocessing.finds_faces:
        raise UsageError("this contract takes pictures as they are: it says nothing about cutting faces out of photos")
    size = (preprocessing.height, preprocessing.width)
    if preprocessing.crop == "five-point":
        face = _aligned(image, np.array(found.landmarks), size)
    else:
        face = _boxed(image, found.box, preprocessing.margin, size)
    return torch.from_numpy(face).permute(2, 0, 1)


def _aligned(image: np.ndarray, landmarks: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The face as the template wants it."""
    height, width = size
    # Backwards: for each pixel of the face, where in the photo it comes from.
    forwards = similarity(landmarks, template(height, width))
    turn = np.linalg.inv(forwards[:, :2])
    shift = -turn @ forwards[:, 2]
    corners = np.array([(0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)]) @ turn.T + shift
    # Pixels of the photo for one of the face; where it is a whole number, rounding errors must not make it the one
    # below.
    reduction = max(1, math.floor(math.hypot(*turn[0]) + 1e-6))
    # A little more than the face, so that its outermost pixels have neighbours.
    first = np.maximum(np.floor(corners.min(axis=0)) - 2 * reduction, 0)
    last = np.minimum(np.ceil(corners.max(axis=0)) + 2 * reduction + 1, image.shape[1::-1])
    if not (last > first).all():
        raise InputError("the face lies outside the photo")
    (left, top), (right, bottom) = first.astype(int), last.astype(int)
    region = image[top:bottom, left:right]
    if reduction > 1:
        reduction = min(reduction, max(region.shape[:2]))
        region = np.asarray(Image.fromarray(region).reduce(reduction))
    # Pixel k of the reduced region is the mean of those around reduction * k + (reduction - 1) / 2 of the whole.
    return _sampled(region, turn / reduction, (shift - first - (reduction - 1) / 2) / reduction, size)


def _sampled(region: np.ndarray, turn: np.ndarray, shift: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear samples of a region at ``turn @ (column, row) + shift``: ``uint8 (height, width, 3)``.

    NumPy, which starts no threads of its own where a loading thread calls this, and rounds where Pillow cuts off.
    """
    high, wide = region.shape[:2]
    across, down = np.arange(size[1]), np.arange(size[0])[:, None]
    # One black pixel around the region is all that can be seen of what is outside.
    framed = np.zeros((high + 2, wide + 2, 3), dtype=np.float32)
    framed[1:-1, 1:-1] = region
    x = (turn[0, 0] * across + turn[0, 1] * down + (shift[0] + 1)).clip(0, wide + 1).ravel()
    y = (turn[1, 0] * across + turn[1, 1] * down + (shift[1] + 1)).clip(0, high + 1).ravel()
    left, top = np.minimum(x.astype(np.int64), wide), np.minimum(y.astype(np.int64), high)
    u, v = (x - left).astype(np.float32)[:, None], (y - top).astype(np.float32)[:, None]
    pixels, corner = framed.reshape(-1, 3), top * (wide + 2) + left
    upper = (1 - u) * pixels.take(corner, axis=0) + u * pixels.take(corner + 1, axis=0)
    corner += wide + 2
    lower = (1 - u) * pixels.take(corner, axis=0) + u * pixels.take(corner + 1, axis=0)
    return np.rint((1 - v) * upper + v * lower).astype(np.uint8).reshape(*size, 3)


def _boxed(image: np.ndarray, box: tuple[float, float, float, float], margin: int, size: tuple[int, int]) -> np.ndarray:
    """The box with its margin, stretched."""
    if not all(math.isfinite(edge) for edge in box):
        raise InputError("the face's box is not made of finite numbers")
    left, top, right, bottom = box
    (height, width), (high, wide) = size, image.shape[:2]
    across = margin * (right - left) / (width - margin) / 2
    along = margin * (bottom - top) / (height - margin) / 2
    left, top = int(max(left - across, 0)), int(max(top - along, 0))
    right, bottom = int(min(right + across, wide)), int(min(bottom + along, high))
    if right <= left or bottom <= top:
        raise InputError("the face's box has no extent within the photo")
    stretched = Image.fromarray(image[top:bottom, left:right]).resize((width, height), Image.Resampling.BILINEAR)
    # A copy, for what Pillow lends cannot be written to.
    return np.array(stretched)
