"""Tracks of pictures that are one colour each, for an embedder that reads off whom they show."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from known_embeddings import SIZE, direction
from PIL import Image
from torch import Tensor

from facenet.evaluation.embedder import Embedder, ModelSource
from facenet.preprocessing import Preprocessing
from facenet.recognition.recognizer import Recognizer
from facenet.workflows.tracks import enroll_all

SIDE = 32
NAMES = ("Ada", "Bruno", "Clea", "Dario")
EVERYBODY = {name: person for person, name in enumerate(NAMES)}


class KnownTrunk:
    """Reads off a picture's colour whom it shows (red), by how much noise (blue), and by which noise (green)."""

    preprocessing = Preprocessing(height=SIDE, width=SIDE)
    embedding_size = SIZE
    device = torch.device("cpu")

    def __call__(self, faces: Tensor) -> Tensor:
        return torch.from_numpy(np.stack([known_row(*colour) for colour in faces[:, :, 0, 0].tolist()]))


def known_row(person: int, noise: int, blue: int) -> np.ndarray:
    """The embedding of a colour: ``float32 (SIZE,)``, unit length."""
    row = direction(f"person {person}") / np.linalg.norm(direction(f"person {person}"))
    off = direction(f"{person} noise {noise}")
    row = row + blue / 100 * off / np.linalg.norm(off)
    found: np.ndarray = (row / np.linalg.norm(row)).astype(np.float32)
    return found


def paint(path: Path, person: int, noise: int = 0, strength: float = 0.0, side: int = SIDE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = np.array([person, noise, round(100 * strength)], dtype=np.uint8)
    Image.fromarray(np.broadcast_to(colour, (side, side, 3)).copy()).save(path)
    return path


def paint_tracks(root: Path, people: dict[str, int], *, frames: int = 15, strength: float = 2.0, each: int = 2) -> Path:
    """``root/NAME/tN/frame``; returns ``root``."""
    for name, person in people.items():
        for track in range(each):
            for frame in range(frames):
                paint(root / name / f"t{track}" / f"{frame}.png", person, track * frames + frame, strength)
    return root


@contextmanager
def four_people(folder: Path, location: str | Path = "memory:", fingerprint: str = "k" * 32) -> Iterator[Recognizer]:
    """A new gallery of :data:`NAMES`, enrolled without noise."""
    embedder = Embedder(KnownTrunk(), fingerprint, ModelSource("weights", "known", "nowhere"))  # type: ignore[arg-type]
    for person, name in enumerate(NAMES):
        paint(folder / "enrolled" / name / "1.png", person, 250)
    with Recognizer.open(location, embedder=embedder, create=True) as opened:
        assert enroll_all(opened, folder / "enrolled") == []
        yield opened
