"""The result of triplet selection: three index tensors of one length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from facenet.errors import UsageError


@dataclass(frozen=True, eq=False)
class Triplets:
    """Triplets of a batch; unpacks as ``anchors, positives, negatives = triplets``.

    Attributes:
        anchors: ``(t,)`` int64, indices into the batch, on the device of the embeddings.
        positives: ``(t,)`` int64, another image of the anchor's person.
        negatives: ``(t,)`` int64, an image of another person.
        coverage: in ``[0, 1]``, the share of what the strategy looked at that qualified. Each strategy says what it
            looked at; 1 where it keeps everything or had nothing to look at. A loss needs it to tell "every mined
            triplet is active" (true of some strategies by construction) from "the batch is still hard".

    ``t`` may be 0. Raises :class:`~facenet.errors.UsageError` where shapes, dtypes or devices disagree; the indices
    themselves are not read, which would cost a pass and, on a GPU, a wait.
    """

    anchors: Tensor
    positives: Tensor
    negatives: Tensor
    coverage: float = 1.0

    def __post_init__(self) -> None:
        for name, index in (("anchors", self.anchors), ("positives", self.positives), ("negatives", self.negatives)):
            if index.ndim != 1 or index.dtype != torch.int64:
                raise UsageError(f"{name} must be a 1-d int64 tensor, not {tuple(index.shape)} {index.dtype}")
            if index.shape != self.anchors.shape or index.device != self.anchors.device:
                raise UsageError(f"{name} must have the length and device of anchors")
        if not 0.0 <= self.coverage <= 1.0:
            raise UsageError(f"coverage must lie in [0, 1], not {self.coverage}")

    def __len__(self) -> int:
        return self.anchors.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return iter((self.anchors, self.positives, self.negatives))

    @classmethod
    def none(cls, device: torch.device) -> Triplets:
        """No triplet at all: a legal result for a batch of one person, of singletons, or of nothing."""
        empty = torch.empty(0, dtype=torch.int64, device=device)
        return cls(empty, empty, empty)
