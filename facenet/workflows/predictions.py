"""What was found of pictures by the head of a checkpoint: one line for each face, in memory and as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from facenet.data.folders import LeftOut
from facenet.detection.faces import FoundFace
from facenet.errors import InputError, UsageError, printable
from facenet.workflows.writing import cannot_write, csv_pieces, write_whole

_COLUMNS = (
    "path", "status", "reason", "face", "left", "top", "right", "bottom", "detection", "quality",
)  # fmt: skip


class Status(StrEnum):
    """What came of a picture: classes, or there is nothing to classify."""

    PREDICTED = "predicted"
    NO_FACE = "no_face"
    UNREADABLE = "unreadable"


class ClassProbability(NamedTuple):
    """One class of a head (a person, or whatever it was trained to tell apart), its probability in ``[0, 1]``."""

    name: str
    probability: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """One face of a picture, or a picture without a usable one.

    Attributes:
        path: the picture, as it was given or found.
        status: see :class:`Status`.
        reason: in words, for everything but ``PREDICTED``.
        face: number of the face in the picture, from 0; None without one.
        found: where the face is; None if the picture was used whole, and where there is no face.
        quality: of the face, in ``[0, 1]``; None without one.
        classes: the most probable first; of equal ones the first of the head. Empty unless ``PREDICTED``.
    """

    path: Path
    status: Status
    reason: str = ""
    face: int | None = None
    found: FoundFace | None = None
    quality: float | None = None
    classes: tuple[ClassProbability, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "path": str(self.path),
            "status": self.status.value,
            "reason": self.reason,
            "face": self.face,
            "box": None if self.found is None else list(self.found.box),
            "detection": None if self.found is None else self.found.probability,
            "quality": self.quality,
            "classes": [one._asdict() for one in self.classes],
        }


@dataclass(frozen=True)
class Predicted:
    """What was found in pictures.

    Attributes:
        predictions: in the order of the pictures, at least one for each.
        pictures: how many were looked at.
        left_out: what lay in a folder and was not looked at.
        table: CSV file that was written, see :func:`write_table`.
    """

    predictions: tuple[Prediction, ...]
    pictures: int
    left_out: tuple[LeftOut, ...] = ()
    table: Path | None = None

    @property
    def counts(self) -> dict[str, int]:
        """How often each status occurs, only those that do."""
        found = Counter(prediction.status for prediction in self.predictions)
        return {status.value: found[status] for status in Status if status in found}

    @property
    def faces(self) -> int:
        """How many were classified."""
        return sum(prediction.status is Status.PREDICTED for prediction in self.predictions)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "pictures": self.pictures,
            "counts": self.counts,
            "predictions": [prediction.to_dict() for prediction in self.predictions],
            "left_out": [{"path": entry.path, "reason": entry.reason} for entry in self.left_out],
            "table": None if self.table is None else str(self.table),
        }


def prepare_table(out: Path, pictures: Iterable[Path]) -> None:
    """Before the work: a place for the table, where nothing of somebody else's is lost.

    Args:
        out: the file that will be written.
        pictures: none of these may be it.

    Raises:
        UsageError: ``out`` is a folder.
        InputError: there is something that :func:`write_table` has not written.
        StorageError: there can be no file.
    """
    if out.is_dir():
        raise UsageError(f"{printable(out)} is a folder: name a file for the table")
    if out.exists():
        real = out.resolve()
        if any(picture.resolve() == real for picture in pictures):
            raise InputError(f"{printable(out)} is one of the pictures: choose another --out")
        ours = ",".join(_COLUMNS).encode("ascii")
        try:
            with out.open("rb") as stream:
                start = stream.read(len(ours))
        except OSError as error:
            raise cannot_write(out, error) from error
        if start != ours:
            raise InputError(f"{printable(out)} is there and not one of ours: choose another --out")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(out, error) from error


def write_table(out: Path, predicted: Predicted, top_k: int) -> None:
    """Write a CSV file with a line for each prediction and each file left out.

    Boxes are in pixels of the upright picture, ``detection`` is the detector's probability, then come ``top_k`` pairs
    of columns ``class_1, probability_1, …``.

    Raises:
        StorageError: it cannot be written; what was there before is untouched.
    """
    ranked = [f"{column}_{rank}" for rank in range(1, top_k + 1) for column in ("class", "probability")]
    write_whole(out, csv_pieces([*_COLUMNS, *ranked], _lines(predicted, len(ranked))))


def _lines(predicted: Predicted, ranked: int) -> Iterator[tuple[object, ...]]:
    for one in predicted.predictions:
        found = one.found
        box = [None] * 4 if found is None else [f"{edge:.2f}" for edge in found.box]
        sure = None if found is None else f"{found.probability:.4f}"
        quality = None if one.quality is None else f"{one.quality:.4f}"
        best = [cell for name, probability in one.classes for cell in (name, f"{probability:.6f}")]
        start = (str(one.path), one.status.value, one.reason, one.face, *box, sure, quality)
        yield (*start, *best, *[None] * (ranked - len(best)))
    for entry in predicted.left_out:
        yield (entry.path, "left_out", entry.reason, *[None] * (len(_COLUMNS) - 3 + ranked))
