"""Distance-weighted sampling of negatives."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from facenet.mining.batch import Batch
from facenet.mining.triplets import Triplets

# L2 distances (not squared): closer negatives are weighted as if they were this far, because the weight explodes
# towards zero; and farther ones than the second have no loss under the usual margins. Both from the paper's code.
_CUTOFF = 0.5
_NO_LOSS = 1.4


def distance_weighted(batch: Batch, generator: torch.Generator) -> Triplets:
    """For every anchor–positive pair one negative, drawn so that all distances are about equally likely.

    Random points on a sphere are nearly all ``sqrt(2)`` apart, so a uniform draw gives uninformative negatives.
    Weights ``1 / q(d)``, ``q(d) = d^(k-2) · (1 - d²/4)^((k-3)/2)`` for ``k`` dimensions, undo that. Distances below
    0.5 count as 0.5, those of 1.4 and above are never drawn. Weights are scaled by the largest of each anchor
    before leaving the logarithm, so no anchor loses its negatives to underflow. A pair whose anchor has no negative
    within 1.4 is left out.

    Returns:
        Ordered by anchor, positive. ``coverage``: share of pairs that got a negative.

    Reference: Wu, Manmatha, Smola, Krähenbühl, *Sampling Matters in Deep Embedding Learning*, arXiv 1706.07567,
    section 4.
    """
    if not batch.has_negatives:
        return Triplets.none(batch.device)
    anchors, positives = batch.pairs
    # One number for each pair, all drawn at once: the result does not depend on how the pairs are cut into chunks.
    uniform = torch.rand(anchors.shape[0], generator=generator, device=generator.device).to(batch.device)
    negatives, kept = [], []
    for chunk in batch.pair_chunks():
        weights = _weights(chunk.negative_distances, batch.dimensions)
        heights = weights.cumsum(dim=1).index_select(0, chunk.rows)
        # A float32 below 1 times the total rounds to less than the total, so the level is always below the top.
        level = uniform[chunk.start : chunk.start + chunk.rows.shape[0]].unsqueeze(1) * heights[:, -1:]
        negative = torch.searchsorted(heights, level, right=True).squeeze(1).clamp(max=len(batch) - 1)
        negatives.append(negative)
        # Zero where nothing is within reach; and a GPU, which sums in another order, might step on an excluded image.
        kept.append(weights[chunk.rows, negative] > 0)
    if not negatives:
        return Triplets.none(batch.device)
    chosen = torch.cat(kept).nonzero().squeeze(1)
    coverage = chosen.shape[0] / anchors.shape[0]
    return Triplets(anchors[chosen], positives[chosen], torch.cat(negatives)[chosen], coverage=coverage)


def _weights(squared: Tensor, dimensions: int) -> Tensor:
    """``1 / q`` of squared distances ``(r, n)``, scaled to at most 1 in each row; 0 beyond the reach, never NaN."""
    reach = squared < _NO_LOSS**2
    inner = squared.clamp(_CUTOFF**2, _NO_LOSS**2)
    log = (2 - dimensions) / 2 * inner.log() + (3 - dimensions) / 2 * (1 - inner / 4).log()
    log.masked_fill_(~reach, -math.inf)
    # A row without a negative within reach has no largest weight; any finite number serves it.
    largest = log.amax(dim=1, keepdim=True).clamp(min=torch.finfo(log.dtype).min)
    return (log - largest).exp()
