"""Retrieval: every picture asks for the others of its person, among all the other pictures.

Figures of Musgrave, Belongie & Lim, "A Metric Learning Reality Check", ECCV 2020. ``R`` is the number of pictures a
query should find, those of its person without itself:

* recall@k: whether any of the first k results is right. (The paper calls it precision@1 for k = 1.)
* R-precision: the share of the first R results that is right.
* MAP@R: ``1/R`` times the sum of precision@i over those i up to R whose result is right.

Whoever has one picture only is nobody's answer and asks nothing, but stays among the results. Ties, scores closer than
1e-6, count against us: wrong results come first. The search is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facenet.errors import InputError, UsageError
from facenet.evaluation.averages import Average, average_findings
from facenet.evaluation.finding import Finding
from facenet.evaluation.neighbours import Neighbours
from facenet.evaluation.trials import codes_of

_LENGTH_TOLERANCE = 1e-2


@dataclass(frozen=True, eq=False)
class Retrieval:
    """What :func:`retrieve` found, query by query.

    Attributes:
        pictures: all that can be results, at least 2; a query is not its own result.
        ks: at which recall was measured, rising.
        samples: ``(q,)`` int32, rising: the picture each query is, in ``[0, pictures)``.
        people: ``(q,)`` int32, person of each query, numbered in the order of their labels.
        relevant: ``(q,)`` int32, R: how many pictures each should find, at least 1.
        recall: ``(q, len(ks))`` bool.
        r_precision: ``(q,)`` float64 in ``[0, 1]``.
        average_precision_at_r: ``(q,)`` float64 in ``[0, r_precision]``.
        left_out: pictures that ask nothing, for their person has no other.
    """

    pictures: int
    ks: tuple[int, ...]
    samples: NDArray[np.int32]
    people: NDArray[np.int32]
    relevant: NDArray[np.int32]
    recall: NDArray[np.bool_]
    r_precision: NDArray[np.float64]
    average_precision_at_r: NDArray[np.float64]
    left_out: int

    def __post_init__(self) -> None:
        columns: tuple[NDArray[Any], ...] = (
            self.samples, self.people, self.relevant, self.r_precision, self.average_precision_at_r,
        )  # fmt: skip
        queries = len(self.samples)
        if any(column.shape != (queries,) for column in columns) or self.recall.shape != (queries, len(self.ks)):
            raise ValueError("every query needs one of each figure")
        if queries == 0 or queries + self.left_out != self.pictures:
            raise ValueError(f"{queries} queries and {self.left_out} left out are not {self.pictures} pictures")
        if list(self.ks) != sorted(set(self.ks)) or min(self.ks, default=1) < 1:
            raise ValueError(f"recall is measured at rising k from 1 on, not {self.ks}")
        if self.relevant.min() < 1 or self.relevant.max() >= self.pictures:
            raise ValueError("a query finds at least one picture, and not itself")
        if (np.diff(self.recall.astype(np.int8), axis=1) < 0).any():
            raise ValueError("recall falls with k")
        # Both are sums of the same fractions, in another order.
        above = self.average_precision_at_r > self.r_precision + 1e-12
        if above.any() or not (self.average_precision_at_r >= 0).all() or not (self.r_precision <= 1).all():
            raise ValueError("0 <= AP@R <= R-precision <= 1 does not hold")

    @property
    def queries(self) -> int:
        """Number of pictures that asked for others."""
        return len(self.samples)

    def recall_at(self, k: int) -> float:
        """Share of queries with a right result among the first ``k``, one of :attr:`ks`."""
        return float(self.recall[:, self.ks.index(k)].mean())

    @property
    def mean_r_precision(self) -> float:
        """Mean R-precision."""
        return float(self.r_precision.mean())

    @property
    def map_at_r(self) -> float:
        """Mean average precision at R."""
        return float(self.average_precision_at_r.mean())

    def to_dict(self) -> dict[str, Any]:
        """The means, fit for JSON."""
        return {
            "queries": self.queries,
            "pictures": self.pictures,
            "left_out": self.left_out,
            "recall": {str(k): self.recall_at(k) for k in self.ks},
            "r_precision": self.mean_r_precision,
            "map_at_r": self.map_at_r,
        }


def retrieve(
    embeddings: Tensor,
    people: NDArray[Any],
    *,
    ks: Sequence[int] = (1, 5, 10),
    failed: NDArray[np.bool_] | None = None,
    results_at_once: int = 2**21,
) -> Retrieval:
    """Let every picture ask for the others of its person.

    Neither the order of the pictures nor the block size matters.

    Args:
        embeddings: ``(n, d)`` unit rows, any floating type, on any device; of a failed picture anything, NaN too.
        people: ``(n,)`` person of each, any sortable type.
        ks: at which to measure recall, each at least 1.
        failed: ``(n,)`` bool, pictures without an embedding: they find nothing, and nobody finds them. None: there are
            none.
        results_at_once: bounds the memory beside the embeddings: queries are taken in blocks of at most this many
            results (but at least one query), about 100 bytes each.

    Raises:
        UsageError: no k, or one below 1.
        InputError: nobody with two pictures, shapes that do not match, rows that are not of length 1 (a zero row, which
            a dead network gives, is let through).
    """
    if min(ks, default=0) < 1:
        raise UsageError(f"recall@k needs one k or more, each at least 1, got {list(ks)}")
    ks = tuple(sorted(set(ks)))
    failed = np.zeros(len(people), dtype=np.bool_) if failed is None else failed
    _check(embeddings, people, failed)
    codes, pictures = codes_of(people)
    samples = np.flatnonzero(pictures[codes] > 1)
    if len(samples) == 0:
        raise InputError(
            f"retrieval needs somebody with two pictures, and each of {len(people):,} is of another person"
        )
    usable = np.flatnonzero(~failed)
    neighbours = Neighbours(_float32(embeddings)[usable], codes[usable])
    relevant = pictures[codes] - 1
    asking = np.flatnonzero(relevant[usable] > 0)
    first = np.full(len(codes), len(codes), dtype=np.int64)
    hits, precisions = np.zeros(len(codes), dtype=np.int64), np.zeros(len(codes))
    needed = np.maximum(relevant[usable[asking]], ks[-1])
    for answers in neighbours.answers(asking, needed, results_at_once=results_at_once):
        query = usable[answers.query]
        nearest = answers.order == 1
        first[query[nearest]] = answers.position[nearest]
        counted = answers.position <= relevant[query]
        hits += np.bincount(query[counted], minlength=len(codes))
        precision = answers.order[counted] / answers.position[counted]
        precisions += np.bincount(query[counted], precision, minlength=len(codes))
    return Retrieval(
        pictures=len(codes),
        ks=ks,
        samples=samples.astype(np.int32),
        people=codes[samples],
        relevant=relevant[samples].astype(np.int32),
        recall=first[samples, np.newaxis] <= np.array(ks),
        r_precision=np.divide(hits[samples], relevant[samples], dtype=np.float64),
        average_precision_at_r=np.divide(precisions[samples], relevant[samples], dtype=np.float64),
        left_out=len(codes) - len(samples),
    )


def retrieval_findings(retrieval: Retrieval, *, seed: int = 0, replicates: int = 1000) -> tuple[Finding, ...]:
    """The means over queries, with intervals by person.

    Chance is what results in random order would give on average.

    Args:
        retrieval: what was found.
        seed, replicates: of the bootstrap; the people who ask are drawn, the pictures that can be results stay.

    Returns:
        Findings ``recall_at_{k}``, ``r_precision``, ``map_at_r``.
    """
    relevant, others = retrieval.relevant.astype(np.float64), retrieval.pictures - 1
    averages = []
    for k in retrieval.ks:
        tried = np.arange(min(k, others))
        missed = np.clip(others - relevant[:, np.newaxis] - tried, 0, None) / (others - tried)
        chance = float(np.mean(1 - missed.prod(axis=1)))
        reason = (
            f"recall@{k} among {others:,} other pictures cannot be missed" if (missed == 0).any(axis=1).all() else ""
        )
        averages.append(Average(f"recall_at_{k}", f"Recall@{k}", chance, reason))
    averages.append(Average("r_precision", "R-precision", float(np.mean(relevant / others))))
    harmonic = np.cumsum(1 / np.arange(1, retrieval.relevant.max() + 1))[retrieval.relevant - 1]
    # The result at place i is right by R / others, and then each before it by (R - 1) / (others - 1).
    by_chance = (harmonic + (relevant - 1) / max(1, others - 1) * (relevant - harmonic)) / others
    averages.append(Average("map_at_r", "MAP@R", float(np.mean(by_chance))))
    people = len(np.unique(retrieval.people))
    return average_findings(
        averages,
        np.column_stack([retrieval.recall, retrieval.r_precision, retrieval.average_precision_at_r]),
        retrieval.people,
        basis=f"{retrieval.queries:,} queries by {people:,} people among {retrieval.pictures:,} pictures",
        seed=seed,
        replicates=replicates,
    )


def _float32(embeddings: Tensor) -> NDArray[np.float32]:
    rows: NDArray[np.float32] = np.ascontiguousarray(embeddings.detach().float().cpu().numpy())
    return rows


def _check(embeddings: Tensor, people: NDArray[Any], failed: NDArray[np.bool_]) -> None:
    """Raise InputError unless there is a unit (or zero) row and one label for each picture."""
    if embeddings.ndim != 2 or people.shape != embeddings.shape[:1] or failed.shape != people.shape:
        shapes = f"{tuple(embeddings.shape)} for labels {people.shape} and failures {failed.shape}"
        raise InputError(f"retrieval needs one row and one label for each picture, got {shapes}")
    if failed.dtype != np.bool_:
        raise InputError("whether pictures failed is told by true and false")
    lengths = torch.linalg.vector_norm(embeddings.float(), dim=1).cpu().numpy()
    # Written so that a NaN length is neither near 1 nor 0, and refused.
    bad = int(np.count_nonzero(~((np.abs(lengths - 1) <= _LENGTH_TOLERANCE) | (lengths == 0) | failed)))
    if bad:
        raise InputError(f"{bad} of {len(people)} embeddings do not have length 1")
