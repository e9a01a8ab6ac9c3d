"""The seam behind a gallery: what a store must do, and which store a location means.

A new backend is one class that keeps :class:`Store`'s promises and one line in ``_BACKENDS``.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from facenet.gallery.records import AuditEntry, Enrollment, Fusion, Header, IndexKind, Person, Sample, StoredSample


@dataclass(frozen=True, eq=False)
class VectorBlock:
    """Embeddings of some people, ordered by person and, within a person, by sample; no person is split.

    Attributes:
        persons, samples: ids, ``int64 (n,)``.
        vectors: ``float32 (n, d)``, unit rows.
        qualities: ``float32 (n,)`` in ``[0, 1]``.
        expires: ``float64 (n,)``, Unix time from which on the row's person is no longer found; infinity for never.
        generation: of the store when this was read; the same for all blocks of one reading.
        history: likewise.
    """

    persons: np.ndarray
    samples: np.ndarray
    vectors: np.ndarray
    qualities: np.ndarray
    expires: np.ndarray
    generation: int = 0
    history: str = ""

    def __len__(self) -> int:
        return len(self.persons)


@dataclass(frozen=True, eq=False)
class Changes:
    """What has become different since a generation.

    Attributes:
        generation, history: of the store now.
        block: all present rows of the people who are new or changed.
        removed: ids of people who are gone, or have no embedding left; rising.
        complete: whether this says everything; if not (the store has another history), read all vectors anew.
    """

    generation: int
    history: str
    block: VectorBlock
    removed: tuple[int, ...] = field(default=())
    complete: bool = True


class Store(Protocol):
    """Durable truth about people and embeddings. Thread-safe; every write is one transaction, on disk on return."""

    @property
    def location(self) -> str:
        """As it was opened."""

    @property
    def cache_folder(self) -> Path | None:
        """Where an index may keep its cache; None for a store that is not on disk."""

    @property
    def history(self) -> str:
        """Random; another one after anything that rewrites the past (restore, repair, re-embedding)."""

    def header(self) -> Header:
        """What all embeddings have in common, as it is now."""

    def generation(self) -> int:
        """Grows with every write that changes people or embeddings. Cheap when nothing has changed."""

    def enroll(
        self,
        name: str,
        samples: Sequence[Sample],
        *,
        person: int | None = None,
        new: bool = False,
        metadata: Mapping[str, Any] | None = None,
        consent: str | None = None,
        expires: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> Enrollment:
        """Add samples to the person of this name or id, or to a new one; ``details`` go to the audit log."""

    def enroll_many(
        self, people: Iterable[tuple[str, Sequence[Sample]]], *, chunk: int = 10_000
    ) -> Iterator[Enrollment]:
        """The same for many, with a transaction for about ``chunk`` samples; yields what is on disk."""

    def remove(self, person: int, *, action: str = "remove") -> None:
        """Take a person away without a trace."""

    def remove_sample(self, sample: int) -> None:
        """Take one embedding away without a trace."""

    def rename(self, person: int, name: str) -> None:
        """Give a person another name."""

    def update(
        self,
        person: int,
        *,
        metadata: Mapping[str, Any] | None = None,
        consent: str | None = None,
        expires: str | None = None,
    ) -> None:
        """Change what is given; ``expires=""`` is never."""

    def people(self, *, name: str | None = None) -> list[Person]:
        """All, or those of one name, by id."""

    def person(self, id: int) -> Person:
        """One; InputError if there is none of this id."""

    def count(self) -> tuple[int, int]:
        """(people, embeddings)."""

    def names(self, ids: Sequence[int]) -> dict[int, str]:
        """Names by id, in one query; ids that are gone are left out."""

    def samples(self, person: int) -> list[StoredSample]:
        """A person's embeddings, by id."""

    def expired(self, at: str | None = None) -> list[Person]:
        """Whose time is over at ``at`` (ISO 8601; default: now)."""

    def contents(self, person: int | None = None) -> dict[str, int]:
        """Hash of a picture's bytes → person it is enrolled for."""

    def read_vectors(self, *, chunk: int = 65_536) -> Iterator[VectorBlock]:
        """Every embedding, as of one moment, in blocks of about ``chunk`` rows."""

    def changes(self, since: int, history: str) -> Changes:
        """What has become different since generation ``since`` of ``history``."""

    def set_calibration(self, calibration: Mapping[str, Any]) -> None:
        """Replace the thresholds in the header."""

    def set_options(self, *, fusion: Fusion | None = None, index: IndexKind | None = None) -> None:
        """Change fusion or index in the header; another fusion drops the calibration."""

    def audit(self, limit: int = 100) -> list[AuditEntry]:
        """The latest entries, newest first."""

    def log(self, action: str, person: int | None = None, details: Mapping[str, Any] | None = None) -> None:
        """Write an audit entry."""

    def compact(self) -> int:
        """Give back the space of what was removed; returns how many rows that were."""

    def notices(self) -> list[str]:
        """What should be known, in words, such as traces that an open reader still holds."""

    def close(self) -> None:
        """Let go of it; closing twice is fine."""


_BACKENDS: dict[str, str] = {
    "file": "facenet.gallery.store:SqliteStore",
    "memory": "facenet.gallery.store:MemoryStore",
}
"""Scheme of a location → class with ``create(place, header)``, ``open(place)`` and ``exists(place)``."""


def create_store(location: str, header: Header) -> Store:
    """Make a new store.

    Args:
        location: ``PATH`` or ``file:PATH`` (a folder that is not there or is empty), or ``memory:``.
        header: ``uuid`` and ``created`` are filled in.

    Raises:
        UsageError: unknown scheme.
        GalleryError: something lies there already.
        StorageError: the place cannot be written.
    """
    backend, place = _backend(location)
    store: Store = backend.create(place, header)
    return store


def open_store(location: str) -> Store:
    """Open a store that is there; arguments and errors as :func:`create_store`.

    Raises:
        GalleryError: nothing there (the message says how to make one), damaged, not ours, of a later version.
    """
    backend, place = _backend(location)
    store: Store = backend.open(place)
    return store


def gallery_exists(location: str) -> bool:
    """Whether there is something that :func:`open_store` would try to open."""
    backend, place = _backend(location)
    return bool(backend.exists(place))


def _backend(location: str) -> tuple[Any, str]:
    scheme, colon, place = location.partition(":")
    if not colon or scheme not in _BACKENDS:
        scheme, place = "file", location
    module, _, name = _BACKENDS[scheme].partition(":")
    return getattr(importlib.import_module(module), name), place
