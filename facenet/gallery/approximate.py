"""Approximate search: some rows are compared, chosen so that the best one is rarely missed.

Both kinds make an effort (rows followed, or lists read) that is set by measurement when they are built: the least with
which made-up queries find nearly always what exact search finds.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import faiss
import numpy as np
import torch

from facenet.errors import GalleryError
from facenet.gallery.faiss_settings import matrix_products, one_thread
from facenet.gallery.index import VectorIndex
from facenet.gallery.recall import exact_best, made_up_queries, share_found
from facenet.gallery.records import IndexKind
from facenet.gallery.rows import Rows
from facenet.geometry import normalise

_RECALL = 0.993
_SAMPLE = 512
_COMPARED = 64
"""Rows that are compared exactly after a search by codes, at least."""
_AT_ONCE = 65_536
_SEVERAL = 4
"""Queries, or new rows of a graph, from which on threads help."""
_FEW = 4096
"""Below so many rows nothing is worth tuning or building anew."""


class ApproximateIndex(VectorIndex):
    """What both kinds have in common: dead rows stay where they are, and the effort is tuned."""

    def __init__(self, rows: Rows) -> None:
        super().__init__(rows)
        self._effort = 0
        self._tuned_for = 0

    @property
    def worn(self) -> bool:
        return len(self.rows) - self.rows.alive > max(_FEW, self.rows.alive // 4)

    def _find(self, queries: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        return self._candidates(queries, count), np.full(len(queries), -np.inf, np.float32)

    @abstractmethod
    def _candidates(self, queries: np.ndarray, count: int) -> np.ndarray:
        """Slots of ``count`` rows or more that are likely best, -1 for none: ``int64 (q, c)``."""

    @abstractmethod
    def _efforts(self) -> Sequence[int]:
        """What to try, rising."""

    def _tune(self) -> None:
        """Take the least effort that finds the right person for 99.3 % of made-up queries, or the greatest."""
        self._tuned_for = max(_FEW, self.rows.alive)
        efforts = self._efforts()
        self._effort = efforts[-1]
        if self.rows.alive <= _FEW:
            return
        queries = made_up_queries(self.rows, _SAMPLE, seed=0)
        best = exact_best(self.rows, queries)
        for effort in efforts:
            self._effort = effort
            if share_found(self, queries, best) >= _RECALL:
                break

    def _tune_if_grown(self) -> None:
        if 0 < 2 * self._tuned_for < self.rows.alive:
            self._tune()

    def structure(self) -> dict[str, np.ndarray]:
        return {"effort": np.array([self._effort, self._tuned_for], np.int64)}

    def restore(self, structure: Mapping[str, np.ndarray]) -> bool:
        self._effort, self._tuned_for = (int(number) for number in structure["effort"])
        return True


class HnswIndex(ApproximateIndex):
    """A graph of neighbours (Malkov & Yashunin 2016) over the rows, followed from row to row towards the query.

    Adding a row takes about as long as a search, and the graph as much memory as 70 values a row. Nothing can be taken
    out of such a graph: a dead row is zeroed and remains a signpost. Built by several threads its links are not the
    same every time.
    """

    kind: ClassVar[IndexKind] = IndexKind.HNSW
    _LINKS = 32
    _BUILDING_EFFORT = 64

    def __init__(self, rows: Rows) -> None:
        super().__init__(rows)
        self._use(faiss.IndexHNSW(rows.flat, self._LINKS))  # type: ignore[arg-type]
        self._graph.hnsw.efConstruction = self._BUILDING_EFFORT
        self._effort = self._efforts()[-1]

    def build(self) -> None:
        self._tune()

    def structure(self) -> dict[str, np.ndarray]:
        return {**super().structure(), "graph": faiss.serialize_index(self._graph, faiss.IO_FLAG_SKIP_STORAGE)}

    def restore(self, structure: Mapping[str, np.ndarray]) -> bool:
        self._use(_deserialise(structure["graph"], faiss.IndexHNSW, len(self.rows)))
        return super().restore(structure)

    def _use(self, graph: Any) -> None:
        graph.storage = self.rows.flat
        graph.own_fields = False
        self._graph = graph

    def _append(self, persons: np.ndarray, vectors: np.ndarray, expires: np.ndarray) -> None:
        with one_thread(len(persons) < _SEVERAL):
            self.rows.append(persons, vectors, expires, through=self._graph)
        self._tune_if_grown()

    def _discard(self, slots: np.ndarray) -> None:
        self.rows.kill(slots)

    def _candidates(self, queries: np.ndarray, count: int) -> np.ndarray:
        effort = max(self._effort, 2 * count)
        parameters = faiss.SearchParametersHNSW(efSearch=effort)  # type: ignore[attr-defined]
        with one_thread(len(queries) < _SEVERAL):
            return _found(self._graph, queries, count, parameters)

    def _efforts(self) -> Sequence[int]:
        return (32, 64, 128, 256, 512, 1024)


class IvfIndex(ApproximateIndex):
    """Rows in lists around centres, as codes of 4 bits for every 4 values, or 2 of short rows (Jégou et al. 2011).

    The codes take a thirty-second of the memory of the rows, and FAISS scans them as fast as memory delivers them. The
    best by code are compared exactly. The effort is how many lists are read: a few where people form groups, all of
    them where not. Beyond that, more rows are compared.
    """

    kind: ClassVar[IndexKind] = IndexKind.IVF
    revealing: ClassVar[frozenset[str]] = frozenset({"codes"})
    _SEED = 0
    _TRAINING_PER_LIST = 128
    _LEAST_TRAINING = 1024
    _LEAST_PEOPLE = 8

    def __init__(self, rows: Rows) -> None:
        super().__init__(rows)
        self._codes: Any = None
        self._trained = np.empty(0, np.uint8)

    @property
    def worn(self) -> bool:
        return super().worn or self.rows.alive > max(4 * _FEW, 64 * self._codes.nlist**2)

    def build(self) -> None:
        """Train lists and codes on the rows, put the rows in, and find out how many lists must be read."""
        size = self.rows.size
        lists = self._lists()
        # Short embeddings leave less room for coarse codes.
        widths = (4, 2, 1) if size >= 64 else (2, 1)
        parts = size // next(width for width in widths if size % width == 0)
        centres = faiss.IndexFlatIP(size)
        self._codes = faiss.IndexIVFPQFastScan(centres, size, lists, parts, 4, faiss.METRIC_INNER_PRODUCT)
        self._train(centres, lists)
        self._trained = faiss.serialize_index(self._codes)
        self._fill()
        self._tune()

    def structure(self) -> dict[str, np.ndarray]:
        return {**super().structure(), "trained": self._trained, "codes": faiss.serialize_index(self._codes)}

    def restore(self, structure: Mapping[str, np.ndarray]) -> bool:
        """Take lists and codes as they were; codes that were wiped for a removal are made anew from the rows."""
        self._trained = structure["trained"]
        whole = "codes" in structure
        if whole:
            self._codes = _deserialise(structure["codes"], faiss.IndexIVFPQFastScan, self.rows.alive)
        else:
            self._codes = _deserialise(self._trained, faiss.IndexIVFPQFastScan, 0)
            self._fill()
        return super().restore(structure) and whole

    def _lists(self) -> int:
        """A power of two near a quarter of the square root of the rows."""
        return 1 << max(0, round(np.log2(max(1, self.rows.alive)) / 2 - 2))

    def _train(self, centres: faiss.IndexFlatIP, lists: int) -> None:
        """Find centres and codes. Where few people are near a centre it would tell about them: it becomes random."""
        generator = np.random.default_rng(self._SEED)
        alive = np.flatnonzero(self.rows.persons >= 0)
        wanted = max(self._LEAST_TRAINING, self._TRAINING_PER_LIST * lists)
        slots = np.sort(generator.choice(alive, min(wanted, len(alive)), replace=False))
        filling = _random_directions(generator, max(0, self._LEAST_TRAINING - len(slots)), self.rows.size)
        training = np.concatenate([self.rows.vectors[slots], filling])
        with matrix_products(), one_thread():
            self._codes.train(training)
            nearest = centres.search(training[: len(slots)], 1)[1][:, 0] if len(slots) else np.empty(0, np.int64)
        pairs = np.unique(np.stack([nearest, self.rows.persons[slots]]), axis=1)
        telling = np.flatnonzero(np.bincount(pairs[0], minlength=lists) < self._LEAST_PEOPLE)
        positions = faiss.rev_swig_ptr(centres.get_xb(), lists * self.rows.size).reshape(lists, self.rows.size)
        positions[telling] = _random_directions(generator, len(telling), self.rows.size)

    def _fill(self) -> None:
        """Put the living rows into the lists."""
        alive = np.flatnonzero(self.rows.persons >= 0)
        for start in range(0, len(alive), _AT_ONCE):
            self._add(alive[start : start + _AT_ONCE])

    def _add(self, slots: np.ndarray) -> None:
        with matrix_products(), one_thread(len(slots) < _FEW):
            self._codes.add_with_ids(self.rows.vectors[slots], slots)

    def _append(self, persons: np.ndarray, vectors: np.ndarray, expires: np.ndarray) -> None:
        self.rows.append(persons, vectors, expires)
        if self._codes is not None:
            self._add(np.arange(len(self.rows) - len(persons), len(self.rows)))
            self._tune_if_grown()

    def _discard(self, slots: np.ndarray) -> None:
        if self._codes is not None:
            self._take_out(slots)
        self.rows.kill(slots)

    def _take_out(self, slots: np.ndarray) -> None:
        """Remove codes, and blank what FAISS leaves of them behind the ends of lists.

        Left there, they would be saved with the lists, and mixed into the codes that are put in their place later.
        """
        lists: Any = faiss.downcast_InvertedLists(self._codes.invlists)
        packer = lists.packer
        sizes = [lists.list_size(number) for number in range(lists.nlist)]
        self._codes.remove_ids(slots)
        blank = np.zeros(packer.code_size, np.uint8)
        for number, size in enumerate(sizes):
            left = lists.list_size(number)
            blocks = -(-left // packer.nvec)
            if left < size and blocks:
                content = faiss.rev_swig_ptr(lists.get_codes(number), blocks * packer.block_size)
                for position in range(left, min(size, blocks * packer.nvec)):
                    packer.pack_1(blank, position, content.reshape(blocks, packer.block_size))

    def _candidates(self, queries: np.ndarray, count: int) -> np.ndarray:
        lists = self._codes.nlist
        parameters = faiss.IVFSearchParameters(nprobe=min(self._effort, lists))  # type: ignore[call-arg]
        compared = max(_COMPARED * max(1, self._effort // lists), 4 * count)
        with one_thread(len(queries) < _SEVERAL):
            return _found(self._codes, queries, compared, parameters)

    def _efforts(self) -> Sequence[int]:
        lists = self._codes.nlist
        return sorted({max(1, lists * share // 64) for share in (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 128, 256)})


def _found(index: Any, queries: np.ndarray, count: int, parameters: Any) -> np.ndarray:
    """Which rows a FAISS index finds: ``int64 (q, count)``, -1 where there are no more."""
    # `faiss.contrib.torch_utils`, which pytorch-metric-learning loads, puts a method without parameters in the place of
    # FAISS's own, for the whole process, and keeps that one under this name.
    search = getattr(index, "search_numpy", index.search)
    found: np.ndarray = search(queries, count, params=parameters)[1]
    return found


def _random_directions(generator: np.random.Generator, count: int, size: int) -> np.ndarray:
    """``float32 (count, size)`` unit rows."""
    return normalise(torch.from_numpy(generator.standard_normal((count, size), dtype=np.float32))).numpy()


def _deserialise(content: np.ndarray, kind: type[Any], count: int) -> Any:
    """Read what FAISS wrote, from content whose digest was compared."""
    try:
        index = faiss.deserialize_index(content)
    except RuntimeError as error:
        raise GalleryError(f"cannot be read by this version of FAISS: {str(error).splitlines()[0]}") from error
    if not isinstance(index, kind) or index.ntotal != count:
        raise GalleryError("is damaged: its structure and its rows do not go together")
    return index
