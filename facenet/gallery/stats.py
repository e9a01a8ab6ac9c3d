"""What can be said of a gallery in figures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from facenet.gallery.backend import Store
from facenet.gallery.keeper import IndexKeeper
from facenet.gallery.records import Fusion, IndexKind
from facenet.gallery.schema import DATABASE_NAME


@dataclass(frozen=True)
class Stats:
    """What a gallery is at the moment.

    Attributes:
        location: as it was opened.
        created: UTC time, ISO 8601.
        people, embeddings: enrolled.
        expired: people whose time is over, who are no longer found and wait for ``purge``.
        generation: writes so far.
        fingerprint, embedding_size, fusion: see :class:`facenet.gallery.records.Header`.
        index: the kind asked for.
        index_kind: the kind in use.
        index_rows: rows that it searches.
        recall: share of made-up queries for which it finds the person whom comparing every row finds; 1 if exact.
        calibrated: purposes for which there is a threshold.
        store_bytes, cache_bytes: on disk.
    """

    location: str
    created: str
    people: int
    embeddings: int
    expired: int
    generation: int
    fingerprint: str
    embedding_size: int
    fusion: Fusion
    index: IndexKind
    index_kind: IndexKind
    index_rows: int
    recall: float
    calibrated: tuple[str, ...]
    store_bytes: int
    cache_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return asdict(self) | {
            "fusion": self.fusion.value,
            "index": self.index.value,
            "index_kind": self.index_kind.value,
            "calibrated": list(self.calibrated),
        }


def gather_stats(store: Store, keeper: IndexKeeper) -> Stats:
    """Look at everything; the recall of an approximate index is measured, which takes a moment."""
    header = store.header()
    people, embeddings = store.count()
    index = keeper.figures()
    return Stats(
        location=store.location,
        created=header.created,
        people=people,
        embeddings=embeddings,
        expired=len(store.expired()),
        generation=store.generation(),
        fingerprint=header.fingerprint,
        embedding_size=header.embedding_size,
        fusion=header.fusion,
        index=header.index,
        index_kind=index.kind,
        index_rows=index.rows,
        recall=index.recall,
        calibrated=tuple(sorted(header.calibration)),
        store_bytes=_store_bytes(store.cache_folder),
        cache_bytes=index.cache_bytes,
    )


def _store_bytes(folder: Path | None) -> int:
    """What the database takes, with its log."""
    if folder is None:
        return 0
    return sum(file.stat().st_size for file in folder.glob(f"{DATABASE_NAME}*"))
