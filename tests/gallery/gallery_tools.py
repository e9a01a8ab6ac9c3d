"""What tests of galleries share: made-up embeddings, headers, and stores of every kind."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from facenet.gallery.backend import Store, create_store
from facenet.gallery.records import Fusion, Header, Sample
from facenet.preprocessing import Preprocessing

SIZE = 16
FINGERPRINT = "0123456789abcdef0123456789abcdef"

every_store = pytest.mark.parametrize("kind", ["folder", "memory"])
"""For a test that takes ``kind`` and makes its store by :func:`new_store`."""


def header(size: int = SIZE, *, fingerprint: str = FINGERPRINT, fusion: Fusion = Fusion.MAX) -> Header:
    """Of a gallery for embeddings of ``size`` values."""
    model = {"checkpoint": "runs/toy"}
    return Header(fingerprint, Preprocessing(112, 112, "mtcnn", "five-point"), size, model=model, fusion=fusion)


def new_store(kind: str, folder: Path, *, size: int = SIZE) -> Store:
    """A new, empty store; one of kind ``"folder"`` lies at ``folder / "gallery"``."""
    return create_store(str(folder / "gallery") if kind == "folder" else "memory:", header(size))


def unit(count: int, size: int = SIZE, *, seed: int = 0) -> np.ndarray:
    """Embeddings of nobody in particular: ``float32 (count, size)`` of length 1."""
    rows = np.random.default_rng(seed).standard_normal((count, size))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def samples(count: int, size: int = SIZE, *, seed: int = 0, source: str = "") -> list[Sample]:
    """Embeddings with all that can be known about them."""
    return [
        Sample(
            row,
            source or f"/photos/{seed}-{i}.jpg",
            hashlib.sha256(f"{seed}/{i}".encode()).hexdigest(),
            (1.5, 2.0, 30.25, 40.0),
            0.5,
        )
        for i, row in enumerate(unit(count, size, seed=seed))
    ]


def people(count: int, each: int = 2, size: int = SIZE, *, seed: int = 0) -> list[tuple[str, Sequence[Sample]]]:
    """Names with a few embeddings each, near one another as those of one person are."""
    generator = np.random.default_rng(seed)
    found: list[tuple[str, Sequence[Sample]]] = []
    for number, centre in enumerate(unit(count, size, seed=seed + 1)):
        rows = centre + 0.2 * generator.standard_normal((each, size)) / np.sqrt(size)
        rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
        found.append((f"person {number}", [Sample(row) for row in rows]))
    return found
