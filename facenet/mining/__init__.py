"""Triplet selection: which (anchor, positive, negative) of a batch to learn from.

Distances are squared L2 of unit rows, in ``[0, 4]``. Nothing loops over images in Python, and working memory is
bounded by ``chunk`` whatever the batch. A new strategy is one function, one member of :class:`Strategy` and one
line in :func:`mine`.
"""

from __future__ import annotations

import math
from enum import StrEnum

import torch
from torch import Tensor

from facenet.errors import UsageError
from facenet.mining.all_triplets import all_triplets
from facenet.mining.batch import Batch, require_finite
from facenet.mining.choices import choose
from facenet.mining.distance_weighted import distance_weighted
from facenet.mining.hard import hard
from facenet.mining.random_negatives import random_negatives
from facenet.mining.semihard import Fallback, semihard
from facenet.mining.triplets import Triplets

__all__ = ["Fallback", "Strategy", "Triplets", "choose", "mine", "require_finite"]


class Strategy(StrEnum):
    """How triplets are selected."""

    ALL = "all"
    """Every triplet that violates the margin. Small batches; average over the active ones."""

    HARD = "hard"
    """Farthest positive and closest negative of every anchor. Fine-tuning a good network on clean data."""

    SEMIHARD = "semihard"
    """For every anchor–positive pair the closest negative beyond the positive (FaceNet). The default."""

    DISTANCE_WEIGHTED = "distance_weighted"
    """For every pair a negative drawn evenly over distances. Steady gradients; needs a generator."""

    RANDOM = "random"
    """For every pair any negative. The baseline; needs a generator."""


@torch.no_grad()
def mine(
    embeddings: Tensor,
    labels: Tensor,
    strategy: Strategy | str = Strategy.SEMIHARD,
    *,
    margin: float = 0.2,
    fallback: Fallback | str = Fallback.HARDEST,
    generator: torch.Generator | None = None,
    max_triplets: int | None = 10_000_000,
    chunk: int = 1 << 20,
) -> Triplets:
    """Select triplets of a batch.

    Deterministic on CPU, given its arguments and the generator's state. Works in float32 (float64 if given), under
    autocast too. A batch that has no triplet (empty, one person, only singletons) gives an empty result.

    Args:
        embeddings: ``(n, d)`` unit rows, any floating dtype.
        labels: ``(n,)`` integers: who is shown. Same device.
        strategy: see :class:`Strategy` and the function of the same name.
        margin: above 0, in squared L2; used by ``all`` and ``semihard``. Infinite: no limit.
        fallback: ``semihard`` only, for pairs without a semi-hard negative: see :class:`Fallback`.
        generator: source of randomness, on any device; used by ``distance_weighted``, ``random``, and by ``all``
            when it has to draw.
        max_triplets: ``all`` only: draw this many where more qualify (10 million take 240 MB); ``None``: no limit.
        chunk: how many numbers a working matrix may hold (4 bytes each; a handful of them live at once).

    Returns:
        :class:`Triplets` on the device of the embeddings.

    Raises:
        UsageError: unknown strategy or fallback, wrong shape or dtype, no generator where one is needed.
        TrainingDiverged: an embedding holds NaN or infinity.
    """
    chosen, instead = choose(Strategy, strategy), choose(Fallback, fallback)
    if math.isnan(margin) or margin <= 0:
        raise UsageError(f"margin must be above 0, not {margin}")
    if max_triplets is not None and max_triplets < 1:
        raise UsageError(f"max_triplets must be at least 1 or None, not {max_triplets}")
    with torch.autocast(embeddings.device.type, enabled=False):
        batch = Batch(embeddings, labels, chunk)
        if chosen is Strategy.ALL:
            return all_triplets(batch, margin, max_triplets=max_triplets, generator=generator)
        if chosen is Strategy.HARD:
            return hard(batch)
        if chosen is Strategy.SEMIHARD:
            return semihard(batch, margin, instead)
        if generator is None:
            raise UsageError(f"strategy {chosen.value} draws at random: pass a generator")
        if chosen is Strategy.DISTANCE_WEIGHTED:
            return distance_weighted(batch, generator)
        return random_negatives(batch, generator)
