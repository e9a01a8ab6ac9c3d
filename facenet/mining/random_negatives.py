"""The simple selection: any negative will do."""

from __future__ import annotations

import torch

from facenet.mining.batch import Batch
from facenet.mining.triplets import Triplets


def random_negatives(batch: Batch, generator: torch.Generator) -> Triplets:
    """For every anchor–positive pair one image of another person, each image equally likely.

    Distances play no part. Ordered by anchor, positive; ``coverage`` is 1.
    """
    if not batch.has_negatives:
        return Triplets.none(batch.device)
    anchors, positives = batch.pairs
    others = (len(batch) - batch.size).index_select(0, anchors)
    # A number below 1 times a whole number rounds to at most the number before it, so the draw stays in range.
    uniform = torch.rand(anchors.shape[0], generator=generator, device=generator.device).to(batch.device)
    place = (uniform * others).long()
    # Count on from the end of the anchor's person, round to its beginning: the second copy saves the modulo.
    place += batch.end.index_select(0, anchors)
    return Triplets(anchors, positives, torch.cat((batch.order, batch.order)).index_select(0, place))
