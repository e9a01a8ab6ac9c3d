"""Where a training loop's embeddings come from: pictures through the trunk, or a table computed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from facenet.data.loaders import FaceDataset, face_loader
from facenet.data.samplers import Draw

Plan = Sequence[Sequence[Draw]]


class Source(Protocol):
    """Inputs and labels of planned batches, and the way from inputs to embeddings."""

    def batches(self, plan: Plan, start: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and int64 labels of each planned batch from number ``start`` on."""

    def embed(self, model: nn.Module, inputs: Tensor) -> Tensor:
        """Inputs of one batch → ``(n, d)`` float32 embeddings, with a gradient if the trunk trains."""


class FaceSource:
    """Reads pictures, augments them and sends them through the trunk.

    Args:
        dataset: the training pictures.
        device: where the network is.
        workers: loading processes, or ``"auto"``.
    """

    def __init__(self, dataset: FaceDataset, device: torch.device, *, workers: int | str = "auto") -> None:
        self.dataset = dataset
        self.device = device
        self.workers = workers

    def batches(self, plan: Plan, start: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Faces ``uint8 (n, 3, h, w)`` and labels ``(n,)``, both on the device."""
        loader = face_loader(self.dataset, plan, workers=self.workers, pin=self.device.type == "cuda", start=start)
        for batch in loader:
            yield (
                batch.faces.to(self.device, non_blocking=True),
                batch.labels.to(self.device, non_blocking=True),
            )

    def embed(self, model: nn.Module, inputs: Tensor) -> Tensor:
        """Normalise the faces and run the trunk."""
        embeddings: Tensor = model(self.dataset.preprocessing.normalise(inputs))
        return embeddings


class EmbeddingSource:
    """Rows of a table of embeddings: for a head on a frozen trunk without augmentation, where every epoch would
    compute the same embeddings again.

    Args:
        embeddings: ``(n, d)`` float32, of the training pictures in order.
        labels: ``(n,)`` int64.
        device: where the head is.
    """

    def __init__(self, embeddings: Tensor, labels: Tensor, device: torch.device) -> None:
        self.embeddings = embeddings.to(device)
        self.labels = labels.to(device)

    def batches(self, plan: Plan, start: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Embeddings ``(n, d)`` and labels ``(n,)``."""
        for draws in plan[start:]:
            rows = torch.tensor([draw.index for draw in draws], device=self.labels.device)
            yield self.embeddings[rows], self.labels[rows]

    def embed(self, model: nn.Module, inputs: Tensor) -> Tensor:
        """They are embeddings already."""
        return inputs
