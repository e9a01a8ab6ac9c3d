"""FaceNet's semi-hard selection."""

from __future__ import annotations

import math
from enum import StrEnum

import torch
from torch import Tensor

from facenet.mining.batch import Batch, PairChunk
from facenet.mining.triplets import Triplets


class Fallback(StrEnum):
    """What a pair without a semi-hard negative gets."""

    NONE = "none"
    """Nothing: the pair is left out."""

    HARDEST = "hardest"
    """The hardest remaining negative: the closest to the anchor. As no negative lies in the band, that is either one
    closer than the positive (the strongest violation there is) or, where all are beyond the margin, one without
    loss. Learns most from a batch, but FaceNet warns of it: on a young network it can pull everything to one point,
    so watch the spread, or start with another choice."""

    EASIEST = "easiest"
    """The farthest negative: loss only where no negative at all is farther than the positive, and then the mildest.
    The loss is that of TensorFlow Addons' ``triplet_semihard_loss``."""


def semihard(batch: Batch, margin: float, fallback: Fallback) -> Triplets:
    """For every anchor–positive pair the hardest semi-hard negative.

    A negative is semi-hard if ``d(a, p) < d(a, n) < d(a, p) + margin`` in squared L2; the hardest is the closest to
    the anchor, among equals the one with the lowest index. FaceNet leaves open which to take; the closest needs no
    random number and has the largest loss of them.

    Args:
        batch: the batch.
        margin: above 0; infinite makes every farther negative semi-hard.
        fallback: for pairs that have none.

    Returns:
        Ordered by anchor, positive. ``coverage``: share of pairs that got a negative.

    Reference: Schroff, Kalenichenko, Philbin, *FaceNet*, arXiv 1503.03832, section 3.2.
    """
    if not batch.has_negatives:
        return Triplets.none(batch.device)
    negatives, kept = [], []
    for chunk in batch.pair_chunks():
        negative, inside = _closest_farther(chunk, margin)
        if fallback is Fallback.HARDEST:
            negative = torch.where(inside, negative, chunk.negative_distances.argmin(dim=1)[chunk.rows])
        elif fallback is Fallback.EASIEST:
            others = chunk.negative_distances.masked_fill(chunk.negative_distances.isinf(), -math.inf)
            negative = torch.where(inside, negative, others.argmax(dim=1)[chunk.rows])
        negatives.append(negative)
        kept.append(inside)
    if not negatives:
        return Triplets.none(batch.device)
    anchors, positives = batch.pairs
    negative = torch.cat(negatives)
    if fallback is not Fallback.NONE:
        return Triplets(anchors, positives, negative)
    chosen = torch.cat(kept).nonzero().squeeze(1)
    coverage = chosen.shape[0] / anchors.shape[0]
    return Triplets(anchors[chosen], positives[chosen], negative[chosen], coverage=coverage)


def _closest_farther(chunk: PairChunk, margin: float) -> tuple[Tensor, Tensor]:
    """For each pair the closest negative farther than the positive, and whether it is within the margin.

    Floats that are not negative order like the integers their bits spell, and on integers the search is several
    times faster: subtract the threshold, and what is not farther turns negative; flip the sign bit, and that comes
    last. Own images are infinitely far, so something farther is always found.
    """
    kind = torch.int64 if chunk.negative_distances.dtype == torch.float64 else torch.int32
    keys = chunk.negative_distances.view(kind).index_select(0, chunk.rows)
    keys -= (chunk.positive_distances.view(kind) + 1).unsqueeze(1)
    keys ^= torch.iinfo(kind).min
    negative = keys.min(dim=1).indices
    distance = chunk.negative_distances[chunk.rows, negative]
    return negative, distance < chunk.positive_distances + margin
