"""How often an approximate index finds the person that comparing every row would find."""

from __future__ import annotations

import numpy as np
import torch

from facenet.gallery.exact import ExactIndex
from facenet.gallery.index import VectorIndex
from facenet.gallery.rows import Rows
from facenet.geometry import normalise

_ALIKE = 0.6
"""Cosine of a made-up query with the row it is made from: about that of two photos of one person."""


def measured_recall(index: VectorIndex, sample: int = 256, seed: int = 0) -> float:
    """Share of queries whose best person is the one that exact search finds.

    Args:
        index: with whatever effort it makes now.
        sample: how many queries, at most as many as there are rows; see :func:`made_up_queries`.
        seed: of the queries.

    Returns:
        In ``[0, 1]``; 1 for an empty index.
    """
    queries = made_up_queries(index.rows, sample, seed)
    if len(queries) == 0:
        return 1.0
    return share_found(index, queries, exact_best(index.rows, queries))


def made_up_queries(rows: Rows, sample: int, seed: int) -> np.ndarray:
    """Rows turned in a random direction until their cosine with what they were is about 0.6.

    That is about what two photos of one person have. ``float32 (sample, d)`` unit rows.
    """
    generator = np.random.default_rng(seed)
    alive = np.flatnonzero(rows.persons >= 0)
    chosen = rows.vectors[np.sort(generator.choice(alive, min(sample, len(alive)), replace=False))]
    noise = generator.standard_normal(chosen.shape) * np.sqrt((_ALIKE**-2 - 1.0) / rows.size)
    return normalise(torch.from_numpy(chosen + noise)).float().numpy()


def exact_best(rows: Rows, queries: np.ndarray) -> np.ndarray:
    """The person who is found for each query when all rows are compared: ``int64 (q,)``."""
    return ExactIndex(rows).search(queries, 1)[0][:, 0]


def share_found(index: VectorIndex, queries: np.ndarray, best: np.ndarray) -> float:
    """Share of queries for which ``index`` finds the person of ``best``."""
    return float((index.search(queries, 1)[0][:, 0] == best).mean())
