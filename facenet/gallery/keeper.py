"""Keeping an index in step with its store, whoever writes to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facenet.errors import GalleryError
from facenet.gallery.backend import Store, VectorBlock
from facenet.gallery.cache import CacheKey, IndexCache
from facenet.gallery.cache_file import CacheError
from facenet.gallery.index import VectorIndex
from facenet.gallery.kinds import kind_for, make_index
from facenet.gallery.recall import measured_recall
from facenet.gallery.records import Fusion, Header, IndexKind
from facenet.gallery.rows import Rows
from facenet.gallery.templates import first_rows, fuse

_MUCH = 5_000
"""Rows that may have changed before the cache is written again; in large galleries a fifth of all."""


@dataclass(frozen=True)
class IndexFigures:
    """What an index is at the moment.

    Attributes:
        kind: in use, never ``AUTO``.
        rows: that are searched.
        people: whom they stand for.
        recall: see :func:`facenet.gallery.recall.measured_recall`.
        cache_bytes: size of the cache file.
    """

    kind: IndexKind
    rows: int
    people: int
    recall: float
    cache_bytes: int


class IndexKeeper:
    """Searches a store through an index that knows every write acknowledged before the search began.

    Every search asks the store for its generation, which costs next to nothing, and brings in what has changed, by
    this process or another. People whose time is over are left out from that second on. Safe for threads.

    Args:
        store: to be kept in step with.

    Attributes:
        notices: what was noticed about the cache and done about it, in words.
    """

    def __init__(self, store: Store) -> None:
        self.notices: list[str] = []
        self._store = store
        self._lock = threading.RLock()
        self._cache = None if store.cache_folder is None else IndexCache(store.cache_folder)
        self._index: VectorIndex | None = None
        self._key: CacheKey | None = None
        self._generation = -1
        self._unsaved = 0

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`facenet.gallery.index.VectorIndex.search`."""
        with self._lock:
            return self._current().search(queries, k)

    def figures(self) -> IndexFigures:
        """What the index is now; the recall is measured, which takes as long as some hundred searches."""
        with self._lock:
            index = self._current()
            recall = 1.0 if index.kind is IndexKind.EXACT else measured_recall(index, seed=1)
            cached = 0 if self._cache is None else self._cache.bytes
            return IndexFigures(index.kind, index.rows.alive, index.people, recall, cached)

    def begin(self) -> None:
        """Make and save the index of a gallery that has just been made."""
        with self._lock:
            self._rebuild()

    def forget(self, persons: Sequence[int]) -> None:
        """Make sure that the cache on disk and the index in memory hold nothing more of people the store removed.

        Raises:
            StorageError: it cannot be made sure.
        """
        if self._cache is not None:
            self._cache.erase(persons)
        with self._lock:
            if self._index is not None:
                self._current()

    def close(self) -> None:
        """Let go of the memory."""
        with self._lock:
            self._index = None

    def _current(self) -> VectorIndex:
        index = self._index
        if index is None:
            index = self._open()
        elif self._store.generation() != self._generation:
            index = self._catch_up(index)
        index.drop_expired(time.time())
        return index

    def _open(self) -> VectorIndex:
        """The index from the cache, brought up to date, or built anew."""
        if self._cache is None:
            return self._rebuild()
        header = self._store.header()
        key = _key(header, self._store.history)
        try:
            newest = self._store.generation()
            cached = self._cache.load(key, header.index, newest)
        except GalleryError as error:
            self._note(f"the index cache {error}: the index was built from the store")
            return self._rebuild()
        rows = cached.index.rows.alive
        if cached.generation < newest and self._rows_expected(header.fusion) > 2 * rows + _MUCH:
            return self._rebuild()
        self._key, self._generation = key, cached.generation
        self._unsaved = 0 if cached.whole else rows
        return self._catch_up(cached.index, erase=True)

    def _catch_up(self, index: VectorIndex, *, erase: bool = False) -> VectorIndex:
        """Bring in what the store has and the index has not.

        Args:
            index: the present one.
            erase: whether a removal may have been cut short before it reached the cache.
        """
        assert self._key is not None
        changes = self._store.changes(self._generation, self._key.history)
        # Read after the changes: an option that was set in between is seen now or as a change next time.
        header = self._store.header()
        kind = kind_for(header.index, index.rows.alive, header.embedding_size, index.kind)
        if not changes.complete or _key(header, changes.history) != self._key or kind is not index.kind:
            return self._rebuild()
        if erase and self._cache is not None and (len(changes.block) or changes.removed):
            self._cache.erase([*changes.removed, *changes.block.persons.tolist()])
        # Should this be interrupted, the index is neither of before nor of now.
        self._index = None
        index.remove(np.array(changes.removed, np.int64))
        index.replace(*_templates(changes.block, header.fusion))
        self._index, self._generation = index, changes.generation
        self._unsaved += len(changes.block) + len(changes.removed)
        if index.worn:
            return self._rebuild()
        if self._unsaved > max(_MUCH, index.rows.alive // 5):
            self._save(index)
        return index

    def _rebuild(self) -> VectorIndex:
        """An index from all that the store has; saved."""
        index: VectorIndex | None = None
        for block in self._store.read_vectors():
            if index is None:
                header = self._store.header()
                key, generation = _key(header, block.history), block.generation
                kind = kind_for(header.index, self._rows_expected(header.fusion), header.embedding_size)
                index = make_index(kind, Rows(header.embedding_size))
            index.replace(*_templates(block, header.fusion))
        assert index is not None, "a store gives one block at least"
        index.build()
        self._index, self._key, self._generation, self._unsaved = index, key, generation, 0
        self._save(index)
        return index

    def _save(self, index: VectorIndex) -> None:
        """Write the cache, unless the store has changed meanwhile: then at the next opportunity."""
        if self._cache is None or self._key is None:
            return
        try:
            if self._cache.save(
                self._key, self._generation, index, lambda: self._store.generation() == self._generation
            ):
                self._unsaved = 0
        except CacheError as error:
            self._note(f"the index cache {error}: the index is kept in memory only")

    def _rows_expected(self, fusion: Fusion) -> int:
        people, embeddings = self._store.count()
        return embeddings if fusion is Fusion.MAX else people

    def _note(self, text: str) -> None:
        if text not in self.notices:
            self.notices.append(text)


def _key(header: Header, history: str) -> CacheKey:
    return CacheKey(header.uuid, history, header.fusion, header.embedding_size)


def _templates(block: VectorBlock, fusion: Fusion) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """People, rows and expiries as an index takes them."""
    persons, rows = fuse(block, fusion)
    return persons, rows, block.expires if fusion is Fusion.MAX else block.expires[first_rows(block.persons)]
