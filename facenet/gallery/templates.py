"""What stands for a person in the index: their embeddings as they are, or one mean of them."""

from __future__ import annotations

import numpy as np
import torch

from facenet.gallery.backend import VectorBlock
from facenet.gallery.records import Fusion
from facenet.geometry import normalise

_SHORTEST_MEAN = 1e-6


def fuse(block: VectorBlock, fusion: Fusion) -> tuple[np.ndarray, np.ndarray]:
    """Make the rows that a gallery's index holds.

    A mean of unit vectors is normalised again. Where a person's weights are all zero, the plain mean is taken. Where
    the mean has no direction left (opposite vectors that cancel out, shorter than 1e-6 for weights that sum to 1), the
    embedding with the largest weight stands for the person, the first of them if several weigh the same.

    Args:
        block: embeddings sorted by person, with qualities in ``[0, 1]``.
        fusion: see :class:`facenet.gallery.records.Fusion`.

    Returns:
        ids of people, ``int64 (m,)`` in the block's order, and ``float32 (m, d)`` unit rows: with ``MAX`` the block's
        own, otherwise one per person.
    """
    if fusion is Fusion.MAX or len(block.persons) == 0:
        return block.persons, block.vectors
    starts = first_rows(block.persons)
    counts = np.diff(starts, append=len(block.persons))
    weights = np.ones(len(block.persons)) if fusion is Fusion.MEAN else block.qualities.astype(np.float64)
    totals = np.repeat(np.add.reduceat(weights, starts), counts)
    weights = np.where(totals > 0, weights / np.where(totals > 0, totals, 1.0), 1.0 / np.repeat(counts, counts))
    means = np.add.reduceat(block.vectors * weights[:, None], starts, axis=0)
    lost = np.flatnonzero(np.linalg.norm(means, axis=1) < _SHORTEST_MEAN)
    for person in lost:
        own = slice(starts[person], starts[person] + counts[person])
        means[person] = block.vectors[own][np.argmax(weights[own])]
    return block.persons[starts], normalise(torch.from_numpy(means)).numpy().astype(np.float32)


def first_rows(persons: np.ndarray) -> np.ndarray:
    """Where each person begins in ids sorted by person: ``int64 (n,) → int64 (m,)``."""
    if len(persons) == 0:
        return np.empty(0, np.int64)
    return np.flatnonzero(np.concatenate(([True], persons[1:] != persons[:-1])))
