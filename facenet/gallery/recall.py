"""How often an approximate index finds the person that comparing every row would find."""

from __future__ import annotations

import numpy as np
import torch

from facenet.gallery.exact import ExactIndex
from facenet.gallery.index import VectorIndex
from facenet.gallery.rows import Rows
from facenet.gallery.templates import first_rows
from facenet.geometry import normalise

_ALIKE = 0.6
"""Cosine of a made-up query with the rows it is made from."""


def measured_recall(index: VectorIndex, sample: int = 256, seed: int = 0) -> float:
    """Share of queries whose best person is the one that exact search finds.

    Args:
        index: with whatever effort it makes now.
        sample: how many queries, see :func:`made_up_queries`.
        seed: of the queries.

    Returns:
        In ``[0, 1]``; 1 for an empty index.
    """
    if index.people == 0:
        return 1.0
    queries = made_up_queries(index.rows, sample, seed)
    return share_found(index, queries, exact_best(index.rows, queries))


def made_up_queries(rows: Rows, sample: int, seed: int) -> np.ndarray:
    """New photos of people, as far as they can be made up.

    The mean of a person's rows, turned in a random direction until the cosine with the rows it is the mean of is 0.6 on
    average, about that of two photos of one person.

    Args:
        rows: whose people are taken, with a chance that grows with their rows.
        sample: how many at most.
        seed: of the choice and the directions.

    Returns:
        ``float32 (n, d)`` unit rows, n at most ``sample``: nobody is taken twice.
    """
    generator = np.random.default_rng(seed)
    alive = np.flatnonzero(rows.persons >= 0)
    people = np.unique(rows.persons[generator.choice(alive, min(sample, len(alive)), replace=False)])
    slots = rows.slots_of(people)
    slots = slots[np.argsort(rows.persons[slots], kind="stable")]
    starts = first_rows(rows.persons[slots])
    counts = np.diff(starts, append=len(slots))
    means = np.add.reduceat(rows.vectors[slots].astype(np.float64), starts, axis=0) / counts[:, None]
    # The cosine of a mean with its rows is, on average, its length.
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    wanted = np.minimum(_ALIKE / np.maximum(lengths, _ALIKE), 1.0)
    noise = generator.standard_normal(means.shape) * np.sqrt((wanted**-2 - 1.0) / rows.size)
    directions = normalise(torch.from_numpy(means))
    return normalise(directions + torch.from_numpy(noise)).float().numpy()


def exact_best(rows: Rows, queries: np.ndarray) -> np.ndarray:
    """The person who is found for each query when all rows are compared: ``int64 (q,)``."""
    return ExactIndex(rows).search(queries, 1)[0][:, 0]


def share_found(index: VectorIndex, queries: np.ndarray, best: np.ndarray) -> float:
    """Share of queries for which ``index`` finds the person of ``best``."""
    return float((index.search(queries, 1)[0][:, 0] == best).mean())
