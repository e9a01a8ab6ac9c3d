"""What came of an enrollment: one report for each person, one line in it for each picture."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from facenet.recognition.gate import Refusal


class Result(StrEnum):
    """What came of a picture that was to be enrolled.

    ``REFUSED`` by the gate, except where it is for the size or for several faces, which have words of their own.
    """

    ENROLLED = "enrolled"
    ALREADY_ENROLLED = "already_enrolled"
    REFUSED = "refused"
    TOO_SMALL = "too_small"
    SEVERAL_FACES = "several_faces"
    NO_FACE = "no_face"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class PictureReport:
    """One picture.

    Attributes:
        source: its file.
        result: see :class:`Result`.
        refusals: what spoke against it; for an enrolled picture, what was overridden.
        words: why it is not enrolled, or what was overridden; empty if neither.
        sample: id of the embedding written, None if none was.
    """

    source: str
    result: Result
    refusals: tuple[Refusal, ...] = ()
    words: str = ""
    sample: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "source": self.source,
            "result": self.result.value,
            "reasons": [refusal.reason.value for refusal in self.refusals],
            "words": self.words,
            "sample": self.sample,
        }


@dataclass(frozen=True)
class EnrollmentReport:
    """One person.

    Attributes:
        name: as it was asked for.
        person: id; None if nothing was enrolled and there is no such person.
        created: whether the person is new.
        pictures: one for each picture given, in the order given.
    """

    name: str
    person: int | None
    created: bool
    pictures: tuple[PictureReport, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Pictures of each result, only those that occur."""
        return dict(Counter(picture.result.value for picture in self.pictures))

    @property
    def enrolled(self) -> int:
        """Pictures that were written now."""
        return self.counts.get(Result.ENROLLED.value, 0)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "name": self.name,
            "person": self.person,
            "created": self.created,
            "counts": self.counts,
            "pictures": [picture.to_dict() for picture in self.pictures],
        }
