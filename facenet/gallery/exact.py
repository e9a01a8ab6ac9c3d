"""Exact search: every row is compared."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import faiss
import numpy as np

from facenet.gallery.faiss_settings import matrix_products, one_thread
from facenet.gallery.index import VectorIndex
from facenet.gallery.records import IndexKind

_PRODUCT_FROM = 4
"""Queries from which on one matrix product for all takes less time than one pass over the rows for each."""

_VALUES_FOR_A_THREAD = 1 << 21


class ExactIndex(VectorIndex):
    """FAISS's flat inner product over rows without holes.

    Many queries are searched by matrix products, each thread in a part of the rows of its own: threads that share
    every product wait for one another, and on a busy machine longer than they compute.
    """

    kind: ClassVar[IndexKind] = IndexKind.EXACT

    def structure(self) -> dict[str, np.ndarray]:
        return {}

    def build(self) -> None:
        """Nothing to do: the rows are the index."""

    def restore(self, structure: Mapping[str, np.ndarray]) -> bool:
        """Close up the rows that died while they lay in a file."""
        dead = np.flatnonzero(self.rows.persons < 0)
        if len(dead):
            self.rows.close_up(dead)
        return True

    def _append(self, persons: np.ndarray, vectors: np.ndarray, expires: np.ndarray) -> None:
        self.rows.append(persons, vectors, expires)

    def _discard(self, slots: np.ndarray) -> None:
        self.rows.close_up(slots)

    def _find(self, queries: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        if len(queries) < _PRODUCT_FROM:
            scores, slots = self.rows.flat.search(queries, count)
            return slots, scores[:, -1]
        threads = min(faiss.omp_get_max_threads(), 1 + len(self.rows) * self.rows.size // _VALUES_FOR_A_THREAD)
        edges = np.linspace(0, len(self.rows), threads + 1).astype(int).tolist()
        parts = list(zip(edges[:-1], edges[1:], strict=True))
        with matrix_products():
            if threads == 1:
                return self._find_among(queries, count, *parts[0])
            with ThreadPoolExecutor(threads) as pool:
                found = list(pool.map(lambda part: self._find_among(queries, count, *part), parts))
        return np.concatenate([slots for slots, _ in found], axis=1), np.max([bound for _, bound in found], axis=0)

    def _find_among(self, queries: np.ndarray, count: int, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """The best of some rows that follow one another, by the calling thread alone."""
        rows = self.rows.vectors[start:stop]
        with one_thread():
            scores, slots = faiss.knn(queries, rows, min(count, len(rows)), metric=faiss.METRIC_INNER_PRODUCT)
        bound = scores[:, -1] if count < len(rows) else np.full(len(queries), -np.inf, np.float32)
        return slots + start, bound
