"""Finding faces in pictures of any size: one batched interface to MTCNN."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as transform

from facenet.detection.faces import FoundFace
from facenet.detection.mtcnn import Cascade
from facenet.detection.networks import SIDE
from facenet.errors import InputError, UsageError

MAX_PIXELS = 4_000_000
"""Larger pictures are reduced to this before faces are looked for."""

_TOGETHER = 2_000_000
"""Pixels of pictures looked at together."""


class Detector:
    """Finds faces with MTCNN (Zhang et al., arXiv 1604.02878) and facenet-pytorch's weights.

    Finds what ``facenet_pytorch.MTCNN(keep_all=True)`` finds, in less than half the time, in pictures of any mix of
    sizes and within bounded memory: a picture of 50 megapixels needs no more beside itself than one of 4.

    A picture above ``max_pixels`` is reduced first, and so the smallest face found in it grows: in pixels of the
    picture ``min_face * sqrt(pixels / max_pixels)``, which with what is preset is 20 up to 4 megapixels, 35 at 12, 71
    at 50. Boxes and landmarks are always in pixels of the picture as it was given.

    The same detector may be used from several threads; it keeps nothing between calls.
    """

    def __init__(
        self,
        *,
        min_face: int = 20,
        thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7),
        max_pixels: int = MAX_PIXELS,
        device: str = "cpu",
    ) -> None:
        """Load the networks.

        Args:
            min_face: side of the smallest face looked for, in pixels, at least 12; the larger, the faster.
            thresholds: probabilities in ``(0, 1)`` that a candidate must reach in the three stages.
            max_pixels: at most :data:`MAX_PIXELS`.
            device: where the networks run, as torch names it.

        Raises:
            UsageError: a value out of its range.
            WeightsError: the weights cannot be read.
        """
        if min_face < SIDE:
            raise UsageError(f"the smallest face looked for must be at least {SIDE} pixels, not {min_face}")
        if len(thresholds) != 3 or not all(0 < threshold < 1 for threshold in thresholds):
            raise UsageError(f"the detector needs three thresholds between 0 and 1, not {thresholds}")
        if not SIDE * SIDE <= max_pixels <= MAX_PIXELS:
            raise UsageError(f"max_pixels must be {SIDE * SIDE} to {MAX_PIXELS}, not {max_pixels}")
        self.min_face, self.thresholds, self.max_pixels, self.device = min_face, thresholds, max_pixels, device
        self._cascade = Cascade(min_face, thresholds, torch.device(device))

    def detect(self, images: Sequence[np.ndarray]) -> list[tuple[FoundFace, ...]]:
        """Find the faces of every picture.

        Fastest where many pictures have the same size, for these go through the networks together.

        Args:
            images: ``uint8 (H, W, 3)`` each, RGB, upright, of any size; those without room for a face have none.

        Returns:
            For each picture its faces, the largest first; none where there is no face.

        Raises:
            InputError: what is given is no image.
        """
        found: list[tuple[FoundFace, ...]] = [()] * len(images)
        for indices, size in self._batches(images):
            small = np.stack([self._reduced(images[index], size) for index in indices])
            height, width = images[indices[0]].shape[:2]
            stretch = np.array([width / size[1], height / size[0]])
            for index, faces in zip(indices, self._cascade.detect(small), strict=True):
                found[index] = _to_faces(*faces, stretch)
        return found

    def _batches(self, images: Sequence[np.ndarray]) -> Iterator[tuple[list[int], tuple[int, int]]]:
        """Which pictures go together, and the height and width they are looked at."""
        alike: dict[tuple[int, int], list[int]] = {}
        for index, image in enumerate(images):
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
                raise InputError(f"image {index} is {image.dtype} {image.shape}, and not uint8 (height, width, 3)")
            if min(image.shape[:2]) >= self.min_face:
                alike.setdefault((image.shape[0], image.shape[1]), []).append(index)
        for (height, width), indices in alike.items():
            share = min(1.0, math.sqrt(self.max_pixels / (height * width)))
            size = max(1, int(height * share)), max(1, int(width * share))
            together = max(1, _TOGETHER // (size[0] * size[1]))
            for start in range(0, len(indices), together):
                yield indices[start : start + together], size

    def _reduced(self, image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        if image.shape[:2] == size:
            return image
        picture = torch.from_numpy(image).permute(2, 0, 1)
        small = transform.resize(picture, list(size), interpolation=InterpolationMode.BILINEAR, antialias=True)
        return small.permute(1, 2, 0).numpy()


def _to_faces(
    boxes: np.ndarray, landmarks: np.ndarray, probabilities: np.ndarray, stretch: np.ndarray
) -> tuple[FoundFace, ...]:
    """What was found in a picture, in pixels of what it was before it was reduced."""
    faces = [
        FoundFace((left, top, right, bottom), tuple((x, y) for x, y in points), probability)
        for (left, top, right, bottom), points, probability in zip(
            (boxes * np.tile(stretch, 2)).tolist(), (landmarks * stretch).tolist(), probabilities.tolist(), strict=True
        )
    ]
    return tuple(sorted(faces, key=lambda face: face.area, reverse=True))
