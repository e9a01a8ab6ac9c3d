"""Classification heads: from embeddings to one score per person, with the loss that trains them.

A head belongs to the trainer like the trunk does: its weights are moved, optimised and saved with the model.
The margin heads are pytorch-metric-learning's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from facenet.errors import UsageError

HEADS = ("linear", "arcface", "cosface")
EMBEDDING_SCALE = 16.0
"""What unit-length embeddings are multiplied by before a linear layer; see :class:`LinearHead`."""


class Head(nn.Module, ABC):
    """Scores and loss over people; both take ``(n, d)`` float32 embeddings."""

    @abstractmethod
    def logits(self, embeddings: Tensor) -> Tensor:
        """``(n, d)`` → ``(n, people)``: softmax of a row gives probabilities; no margin is applied."""

    @abstractmethod
    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """``(n, d)``, ``(n,)`` int64 → scalar, the mean over the batch."""

    def forward(self, embeddings: Tensor) -> Tensor:
        """Same as :meth:`logits`."""
        return self.logits(embeddings)


class LinearHead(Head):
    """A linear layer with cross entropy.

    Unit-length embeddings are scaled up first: with inputs of length 1 a softmax needs huge weights to become sure,
    and training crawls.
    """

    def __init__(self, embedding_size: int, people: int) -> None:
        super().__init__()
        self.linear = nn.Linear(embedding_size, people)

    def logits(self, embeddings: Tensor) -> Tensor:
        """``(n, d)`` → ``(n, people)``."""
        return self.linear(embeddings * EMBEDDING_SCALE)

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Cross entropy, the mean over the batch."""
        return nn.functional.cross_entropy(self.logits(embeddings), labels)


class MarginHead(Head):
    """ArcFace (arXiv 1801.07698) or CosFace (arXiv 1801.09414) through pytorch-metric-learning."""

    def __init__(self, kind: str, embedding_size: int, people: int) -> None:
        super().__init__()
        from pytorch_metric_learning import losses

        margin_loss = {"arcface": losses.ArcFaceLoss, "cosface": losses.CosFaceLoss}[kind]
        self.margin = margin_loss(num_classes=people, embedding_size=embedding_size)

    def logits(self, embeddings: Tensor) -> Tensor:
        """``(n, d)`` → ``(n, people)``: scaled cosines to each person's centre."""
        logits: Tensor = self.margin.get_logits(embeddings)
        return logits

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Cross entropy with the margin on the true person, the mean over the batch."""
        loss: Tensor = self.margin(embeddings, labels)
        return loss


def build_head(kind: str, embedding_size: int, people: int, *, seed: int = 0) -> Head:
    """Build a head with random weights decided by ``seed``; the global generator is left as it was.

    Raises:
        UsageError: unknown kind.
    """
    if kind not in HEADS:
        raise UsageError(f"unknown head {kind!r}: choose one of {', '.join(HEADS)}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LinearHead(embedding_size, people) if kind == "linear" else MarginHead(kind, embedding_size, people)
