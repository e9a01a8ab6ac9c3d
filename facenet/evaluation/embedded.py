"""Pictures, and for each the one face that stands for it in a protocol."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facenet.errors import InputError


class State(StrEnum):
    """What became of one picture."""

    FACE = "face"
    """A face was found and embedded, or the whole picture was declared to be one."""

    FALLBACK = "fallback"
    """No face was found: the middle of the picture stands for it."""

    NO_FACE = "no_face"
    """No face was found, and every comparison with it counts as wrong."""

    UNREADABLE = "unreadable"
    """The file cannot be decoded, and every comparison with it counts as wrong."""

    MISSING = "missing"
    """There is no such file, and every comparison with it counts as wrong."""


@dataclass(frozen=True, eq=False)
class Embedded:
    """One embedding for each picture of a protocol.

    Attributes:
        paths: picture files, as they were given.
        embeddings: ``float32 (n, d)`` on the CPU, unit rows; NaN where there is none (see :attr:`failed`).
        states: one for each picture.
        contents: SHA-256 (hex) of each file's bytes, ``""`` where they cannot be read.
        boxes: ``float32 (n, 4)``, left, top, right, bottom of the face in pixels of the upright picture; NaN where
            the whole picture is the face, or there is none.
        qualities: ``float32 (n,)`` in ``[0, 1]``; NaN where there is no face.
        fingerprint: of the model.
        cached: how many embeddings were at hand already.
    """

    paths: tuple[str, ...]
    embeddings: Tensor
    states: tuple[State, ...]
    contents: tuple[str, ...]
    boxes: NDArray[np.float32]
    qualities: NDArray[np.float32]
    fingerprint: str
    cached: int = 0

    def __post_init__(self) -> None:
        n = len(self.paths)
        if len(self.states) != n or len(self.contents) != n or self.embeddings.shape[:1] != (n,):
            raise InputError(f"{n} pictures need one state, one content and one embedding each")
        if self.boxes.shape != (n, 4) or self.qualities.shape != (n,):
            raise InputError(f"{n} pictures need one box and one quality each")

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def failed(self) -> NDArray[np.bool_]:
        """``(n,)`` bool: pictures without an embedding."""
        return np.array([state not in (State.FACE, State.FALLBACK) for state in self.states], dtype=np.bool_)

    def counts(self) -> dict[str, int]:
        """State → pictures, for those states that occur."""
        return {str(state): number for state, number in sorted(Counter(self.states).items())}


def one_after_another(parts: Sequence[Embedded]) -> Embedded:
    """Several lists of pictures as one.

    Args:
        parts: one or more, of one model.

    Raises:
        InputError: they are of different models, whose embeddings cannot be compared.
    """
    (fingerprint, *others) = {part.fingerprint for part in parts}
    if others:
        raise InputError("embeddings of different models cannot be compared")
    return Embedded(
        tuple(path for part in parts for path in part.paths),
        torch.cat([part.embeddings for part in parts]),
        tuple(state for part in parts for state in part.states),
        tuple(content for part in parts for content in part.contents),
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.qualities for part in parts]),
        fingerprint,
        sum(part.cached for part in parts),
    )
