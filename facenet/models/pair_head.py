"""A head that decides whether two embeddings are of one person, learned from labelled pairs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from facenet.models.heads import EMBEDDING_SCALE


class PairHead(nn.Module):
    """Two embeddings side by side → one score, by two linear layers.

    As in :class:`facenet.models.heads.LinearHead`, unit-length embeddings are scaled up first.

    Args:
        embedding_size: length ``d`` of an embedding.
        hidden: values between the two layers.
        dropout: share of those set to zero in training.
    """

    def __init__(self, embedding_size: int, *, hidden: int = 256, dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2 * embedding_size, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, 1)
        )

    def logits(self, first: Tensor, second: Tensor) -> Tensor:
        """Two times ``(n, d)`` float32 embeddings → ``(n,)``: the sigmoid of a value is how sure "one person" is.

        The layers see which of the two came first, but whether two pictures show one person must not depend on the
        order they are named in: a score is the mean over both orders.
        """
        return (self._in_order(first, second) + self._in_order(second, first)) / 2

    def loss(self, first: Tensor, second: Tensor, same: Tensor) -> Tensor:
        """Two times ``(n, d)``, and ``(n,)`` bool, whether one person → binary cross entropy, the mean over pairs.

        Every pair is learned in both orders. Samplers may always name the same kind of picture first, and a head that
        was taught one order only knows less of the other, which every score rests on as well.
        """
        logits = torch.cat([self._in_order(first, second), self._in_order(second, first)])
        return nn.functional.binary_cross_entropy_with_logits(logits, torch.cat([same, same]).to(logits.dtype))

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Same as :meth:`logits`."""
        return self.logits(first, second)

    def _in_order(self, first: Tensor, second: Tensor) -> Tensor:
        outputs: Tensor = self.layers(torch.cat([first, second], dim=1) * EMBEDDING_SCALE)
        return outputs.squeeze(1)


def build_pair_head(embedding_size: int, *, dropout: float = 0.0, seed: int = 0) -> PairHead:
    """Build a head with random weights decided by ``seed``; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return PairHead(embedding_size, dropout=dropout)
