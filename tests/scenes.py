"""Photos with faces that are quick to find: red squares, and a detector that finds just these; and drawn people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch import nn
from toys import ToyBackbone

from facenet.data.synthetic import draw_people
from facenet.detection.detector import Detector
from facenet.detection.faces import FoundFace
from facenet.evaluation.embedder import Embedder, ModelSource
from facenet.models.inference import InferenceTrunk

RED = (255, 0, 0)


class RedDetector(Detector):
    """Finds red rectangles, with the eyes, nose and mouth where a face of that size would have them.

    Attributes:
        calls: sizes of the pictures of every call.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[list[tuple[int, int]]] = []

    def detect(self, images: Sequence[np.ndarray]) -> list[tuple[FoundFace, ...]]:
        self.calls.append([image.shape[:2] for image in images])
        return [self._find(image) for image in images]

    def _find(self, image: np.ndarray) -> tuple[FoundFace, ...]:
        labels, _ = ndimage.label((image == RED).all(axis=2))
        found = [red_face(x.start, y.start, x.stop, y.stop) for y, x in ndimage.find_objects(labels)]
        return tuple(sorted(found, key=lambda face: -face.area))


def red_face(left: float, top: float, right: float, bottom: float) -> FoundFace:
    """What :class:`RedDetector` says of a rectangle; the farther left, the surer it is."""
    places = ((0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8))
    points = tuple((left + x * (right - left), top + y * (bottom - top)) for x, y in places)
    return FoundFace((left, top, right, bottom), points, 1 / (1 + left / 1000))


def paint(height: int, width: int, *boxes: tuple[int, int, int, int], seed: int = 0) -> np.ndarray:
    """A noisy grey picture with red rectangles ``(left, top, right, bottom)``."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 200, (height, width, 1), dtype=np.uint8).repeat(3, axis=2)
    for left, top, right, bottom in boxes:
        image[top:bottom, left:right] = RED
    return image


def save(path: Path, image: np.ndarray, **options: object) -> Path:
    """Write a picture, and return where."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, **options)
    return path


def toy_embedder(crop: str | None = "margin-4", *, seed: int = 0) -> Embedder:
    """A toy network that tells pictures apart; without a crop, it takes pictures whole."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        trunk = ToyBackbone()
    generator = torch.Generator().manual_seed(seed)
    for module in trunk.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.bias, -0.5, 0.5, generator=generator)
    if crop is not None:
        trunk.preprocessing = trunk.preprocessing.for_photos(crop)
    return Embedder(InferenceTrunk(trunk), trunk.fingerprint(), ModelSource("weights", "toy", "toy.safetensors"))


def drawn_scene(height: int, width: int, *places: tuple[int, int, int], seed: int = 3) -> np.ndarray:
    """A grey picture with a drawn person at each ``(left, top, side)``."""
    scene = np.full((height, width, 3), 128, dtype=np.uint8)
    for number, (left, top, side) in enumerate(places):
        ((_, (portrait,)),) = draw_people([1], seed=seed + number, size=side)
        scene[top : top + side, left : left + side] = portrait
    return scene
