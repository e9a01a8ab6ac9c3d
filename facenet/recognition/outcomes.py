"""What is said about a photo: one typed outcome for each face, also where there is nothing to recognise."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from facenet.detection.faces import FoundFace
from facenet.gallery.records import Candidate


class Status(StrEnum):
    """What came of a face or a photo.

    ``MATCHED``: the best candidate reaches the threshold. ``UNKNOWN``: none does. ``UNDECIDED``: there are candidates
    but no calibrated threshold to decide by. ``NO_FACE``, ``SEVERAL_FACES`` (where one is wanted), ``TOO_SMALL``,
    ``UNREADABLE``: there is nothing to compare.
    """

    MATCHED = "matched"
    UNKNOWN = "unknown"
    UNDECIDED = "undecided"
    NO_FACE = "no_face"
    SEVERAL_FACES = "several_faces"
    TOO_SMALL = "too_small"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Outcome:
    """One face of a photo, or a photo without a usable one.

    Attributes:
        source: the photo's file name as it was given.
        status: see :class:`Status`.
        face: where it is; None for aligned pictures and where none was found.
        candidates: best first; empty unless the face was compared.
        threshold: the score that decides, None if there is none.
        margin: score of the best candidate less that of the runner-up; None with fewer than two.
        quality: in ``[0, 1]``, None without a face.
        reason: in words, for everything but ``MATCHED``.
    """

    source: str
    status: Status
    face: FoundFace | None = None
    candidates: tuple[Candidate, ...] = ()
    threshold: float | None = None
    margin: float | None = None
    quality: float | None = None
    reason: str = ""

    @property
    def name(self) -> str | None:
        """Of the person recognised; None unless ``MATCHED``."""
        return self.candidates[0].name if self.status is Status.MATCHED else None

    @property
    def score(self) -> float | None:
        """Of the best candidate; None if nothing was compared."""
        return self.candidates[0].score if self.candidates else None

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "source": self.source,
            "status": self.status.value,
            "name": self.name,
            "person": self.candidates[0].person if self.status is Status.MATCHED else None,
            "score": self.score,
            "threshold": self.threshold,
            "margin": self.margin,
            "quality": self.quality,
            "reason": self.reason,
            "box": None if self.face is None else list(self.face.box),
            "probability": None if self.face is None else self.face.probability,
            "candidates": [{"person": c.person, "name": c.name, "score": c.score} for c in self.candidates],
        }
