"""Batch-hard selection."""

from __future__ import annotations

import math

import torch

from facenet.mining.batch import Batch
from facenet.mining.triplets import Triplets


def hard(batch: Batch) -> Triplets:
    """For every anchor its farthest positive and its closest negative ("batch hard").

    Among equal distances the lowest index. One triplet for each image whose person has another image, ordered by
    anchor. ``coverage`` is 1.

    Reference: Hermans, Beyer, Leibe, *In Defense of the Triplet Loss for Person Re-Identification*,
    arXiv 1703.07737, equation 5.
    """
    if not batch.has_negatives:
        return Triplets.none(batch.device)
    positives, negatives = [], []
    for first, last in batch.row_ranges():
        distances, same = batch.distances(first, last), batch.same_person(first, last)
        partner = same.clone()
        images = torch.arange(first, last, device=batch.device)
        partner[images - first, images] = False
        positives.append(distances.masked_fill(~partner, -math.inf).argmax(dim=1))
        negatives.append(distances.masked_fill(same, math.inf).argmin(dim=1))
    anchors = (batch.size > 1).nonzero().squeeze(1)
    return Triplets(anchors, torch.cat(positives)[anchors], torch.cat(negatives)[anchors])
