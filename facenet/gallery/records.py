"""What a gallery holds and answers, as values that nobody can change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

from facenet.preprocessing import Preprocessing


class Fusion(StrEnum):
    """How the embeddings of one person stand for that person.

    ``MAX``: a query is compared with each, the best counts. ``MEAN``: with their normalised mean.
    ``QUALITY``: with their normalised mean, each weighted by its quality; the default, for at one rate of false
    positives it missed the fewest (``benchmarks/open_set.py``).
    """

    MAX = "max"
    MEAN = "mean"
    QUALITY = "quality-weighted"


class IndexKind(StrEnum):
    """How a gallery is searched. ``AUTO``: exact up to a size where that gets slow, then approximate."""

    AUTO = "auto"
    EXACT = "exact"
    HNSW = "hnsw"
    IVF = "ivf"


@dataclass(frozen=True)
class Header:
    """What all embeddings of a gallery have in common.

    Attributes:
        fingerprint: of the model that made them.
        preprocessing: the contract by which photos become its inputs.
        embedding_size: values in each.
        model: where that model is, as plain values (see :class:`facenet.evaluation.embedder.ModelSource`).
        fusion: see :class:`Fusion`.
        index: see :class:`IndexKind`.
        calibration: thresholds by purpose, ``"verification"``, ``"identification"`` and ``"tracks"``, each as plain
            values (see :class:`facenet.evaluation.threshold.Threshold`); empty until calibrated.
        uuid: of this gallery; set when it is created.
        created: UTC time, ISO 8601; set when it is created.
    """

    fingerprint: str
    preprocessing: Preprocessing
    embedding_size: int
    model: Mapping[str, Any] = field(default_factory=dict)
    fusion: Fusion = Fusion.QUALITY
    index: IndexKind = IndexKind.AUTO
    calibration: Mapping[str, Any] = field(default_factory=dict)
    uuid: str = ""
    created: str = ""


@dataclass(frozen=True)
class Person:
    """One enrolled person.

    Attributes:
        id: never used for another person, even after removal.
        name: not necessarily unique.
        metadata: free JSON object.
        consent: reference to the consent given, empty if none is recorded.
        expires: UTC time, ISO 8601, from which on the person is no longer found and can be purged; empty: never.
        created: UTC time, ISO 8601.
        embeddings: how many there are.
    """

    id: int
    name: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    consent: str = ""
    expires: str = ""
    created: str = ""
    embeddings: int = 0


@dataclass(frozen=True, eq=False)
class Sample:
    """One embedding to be enrolled, and where it came from.

    Attributes:
        embedding: ``float32 (d,)``, length 1.
        source: file the face was found in (absolute path), empty if there is none.
        content: SHA-256 (hex) of that file's bytes, empty if there is none.
        box: ``(left, top, right, bottom)`` of the face in it; None where the whole picture was the face.
        quality: in ``[0, 1]``.
    """

    embedding: np.ndarray
    source: str = ""
    content: str = ""
    box: tuple[float, float, float, float] | None = None
    quality: float = 1.0


@dataclass(frozen=True, eq=False)
class StoredSample(Sample):
    """An embedding as the store holds it.

    Attributes:
        id: never used again.
        person: id of the person.
        added: UTC time, ISO 8601.
    """

    id: int = 0
    person: int = 0
    added: str = ""


@dataclass(frozen=True)
class Candidate:
    """Someone a query is like.

    Attributes:
        person: id.
        name: at the time of the search.
        score: cosine in ``[-1, 1]``.
    """

    person: int
    name: str
    score: float


@dataclass(frozen=True)
class SearchResult:
    """The best candidates for one query, different people, best first; fewer than asked for in a small gallery."""

    candidates: tuple[Candidate, ...]

    @property
    def best(self) -> Candidate | None:
        """The first candidate, None in an empty gallery."""
        return self.candidates[0] if self.candidates else None

    @property
    def margin(self) -> float | None:
        """Score of the best less that of the runner-up, None with fewer than two candidates."""
        if len(self.candidates) < 2:
            return None
        return self.candidates[0].score - self.candidates[1].score


@dataclass(frozen=True)
class Enrollment:
    """What an enrollment wrote; returned once it is on disk.

    Attributes:
        person: id.
        name: of the person.
        created: whether the person is new.
        samples: ids of the embeddings written.
    """

    person: int
    name: str
    created: bool
    samples: tuple[int, ...]


@dataclass(frozen=True)
class AuditEntry:
    """One line of the audit log; it holds no biometric data and no names.

    Attributes:
        id: position.
        at: UTC time, ISO 8601.
        actor: account that did it.
        action: such as ``enroll`` or ``remove``.
        person: id, or None.
        details: counts, reasons and flags.
    """

    id: int
    at: str
    actor: str
    action: str
    person: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
