"""Real photos, where they lie beside the project: the same faces as facenet-pytorch; nothing is written into it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter
from test_detector import differing, theirs

from facenet.detection.alignment import cut_face
from facenet.detection.detector import Detector
from facenet.detection.quality import measure_quality
from facenet.images import load_image
from facenet.preprocessing import Preprocessing

SHARED = Path(os.environ.get("FACENET_SHARED", Path(__file__).resolve().parents[3] / "shared"))
PHOTOS = SHARED / "data" / "lfw"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PHOTOS.is_dir(), reason=f"no real photos at {PHOTOS} (FACENET_SHARED names another place)"),
]


def some_photos(count: int) -> list[np.ndarray]:
    files = sorted(PHOTOS.rglob("*.jpg"))
    return [load_image(files[index]) for index in np.linspace(0, len(files) - 1, count).astype(int)]


def test_same_faces_as_facenet_pytorch() -> None:
    images = some_photos(300)
    detector = Detector()
    ours = [faces for start in range(0, len(images), 32) for faces in detector.detect(images[start : start + 32])]
    wrong, count = differing(ours, theirs(images))
    assert count >= 300 and wrong <= 0.005 * count


def test_blur_and_lost_pixels_lower_the_quality() -> None:
    contract = Preprocessing(112, 96, detector="mtcnn", crop="five-point")
    detector = Detector()
    medians = []
    for spoil in (
        lambda picture: picture,
        lambda picture: picture.filter(ImageFilter.GaussianBlur(1)),
        lambda picture: picture.filter(ImageFilter.GaussianBlur(2)),
    ):
        images = [np.asarray(spoil(Image.fromarray(image))) for image in some_photos(30)]
        found = detector.detect(images)
        scores = [
            measure_quality(cut_face(image, faces[0], contract), faces[0]).score
            for image, faces in zip(images, found, strict=True)
            if faces
        ]
        medians.append(np.median(scores))
    assert medians[0] > 1.2 * medians[1] > 1.5 * medians[2]
