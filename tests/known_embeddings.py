"""Protocols on embeddings that are known: no picture is opened, no network asked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from facenet.evaluation.embedded import Embedded, State
from facenet.evaluation.embedder import Embedder, ModelSource
from facenet.preprocessing import Preprocessing
from facenet.workflows import study_shared

SIZE = 32
Rule = Callable[[Path], "np.ndarray | None"]
"""Picture → direction of its embedding; None where it has none."""


def known_embedder() -> Embedder:
    """A model that is never asked."""
    trunk = SimpleNamespace(preprocessing=Preprocessing(height=32, width=32), embedding_size=SIZE)
    return Embedder(trunk, "f" * 32, ModelSource("weights", "known", "nowhere"))  # type: ignore[arg-type]


def direction(name: str, size: int = SIZE) -> np.ndarray:
    """A direction that follows from a name; of two names they are nearly at right angles."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    return np.random.default_rng(seed).normal(size=size)


def ideal(path: Path) -> np.ndarray:
    """Everybody looks the same in all pictures, and unlike everybody else."""
    return direction(path.parent.name)


def constant(path: Path) -> np.ndarray:
    """All pictures look alike."""
    return np.ones(SIZE)


def noisy(path: Path) -> np.ndarray:
    """Pictures of a person resemble each other, more or less."""
    return direction(path.parent.name) + direction(str(path))


def know(monkeypatch: pytest.MonkeyPatch, rule: Rule) -> None:
    """From now on a picture's embedding is what ``rule`` says, and its content its file's bytes."""

    def embed(paths: Sequence[str], embedder: Embedder, **options: Any) -> Embedded:
        found = [rule(Path(path)) for path in paths]
        rows = np.stack([np.full(SIZE, np.nan) if row is None else row / np.linalg.norm(row) for row in found])
        return Embedded(
            paths=tuple(paths),
            embeddings=torch.from_numpy(rows.astype(np.float32)),
            states=tuple(State.NO_FACE if row is None else State.FACE for row in found),
            contents=tuple(hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in paths),
            boxes=np.full((len(paths), 4), np.nan, dtype=np.float32),
            qualities=np.ones(len(paths), dtype=np.float32),
            fingerprint=embedder.fingerprint,
        )

    monkeypatch.setattr(study_shared, "embed_pictures", embed)


def write_names(root: Path, people: int, pictures: int, *, prefix: str = "person") -> Path:
    """Files whose bytes are their names, one folder for each person."""
    for person in range(people):
        folder = root / f"{prefix} {person:02}"
        folder.mkdir(parents=True)
        for number in range(1, pictures + 1):
            (folder / f"{folder.name}_{number:04}.jpg").write_text(f"{prefix} {person} {number}")
    return root


def write_lfw(file: Path, root: Path, folds: int, pairs: int) -> Path:
    """A file of pairs in the LFW format; fold ``k`` compares people ``2k`` and ``2k + 1`` alone."""
    people = sorted(folder.name for folder in root.iterdir())
    pictures = len(list((root / people[0]).iterdir()))
    lines = [f"{folds}\t{pairs}"]
    for fold in range(folds):
        one, other = people[2 * fold], people[2 * fold + 1]
        inner = [(i, j) for i in range(1, pictures + 1) for j in range(i + 1, pictures + 1)]
        outer = [(i, j) for i in range(1, pictures + 1) for j in range(1, pictures + 1)]
        lines += [f"{one}\t{i}\t{j}" for i, j in inner[:pairs]]
        lines += [f"{one}\t{i}\t{other}\t{j}" for i, j in outer[:pairs]]
    file.write_text("\n".join(lines) + "\n")
    return file
