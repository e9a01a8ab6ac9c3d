"""Pictures for an embedder whose answers are known, and a recogniser with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from ideal import WritePicture, ideal_embedder
from PIL import Image

from facenet.evaluation.embedder import Embedder
from facenet.gallery.records import Fusion
from facenet.recognition.recognizer import Recognizer


@pytest.fixture
def embedder() -> Embedder:
    return ideal_embedder()


@pytest.fixture
def picture(tmp_path: Path) -> WritePicture:
    """Write a sharp picture of a person (0 to 11) at an angle (0 to 255 degrees); ``mark`` makes the bytes differ."""

    def write(name: str, person: int, angle: int = 0, *, mark: int = 0, side: int = 96) -> Path:
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = np.random.default_rng(1).integers(0, 2, (side, side, 1)).repeat(3, 2).astype(np.uint8) * 255
        edge = side // 4
        image[edge:-edge, edge:-edge] = (angle, 20 * person, mark)
        Image.fromarray(image).save(path)
        return path

    return write


@pytest.fixture
def recognizer(embedder: Embedder) -> Iterator[Recognizer]:
    with Recognizer.open("memory:", embedder=embedder, create=True, fusion=Fusion.MAX) as opened:
        yield opened
