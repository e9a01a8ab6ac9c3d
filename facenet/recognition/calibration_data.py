"""Pictures to calibrate on: embedded, and without those of anybody who is in the gallery."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from facenet.detection.faces import Policy
from facenet.errors import InputError
from facenet.recognition.comparing import face_size, problem_of
from facenet.recognition.outcomes import Status
from facenet.recognition.reader import Progress
from facenet.recognition.recognizer import Recognizer


class Subject(NamedTuple):
    """Whom a picture shows: what tells them apart from others in the data, and what the gallery might call them."""

    person: str
    name: str


@dataclass
class CalibrationData:
    """Calibration data as far as they can be used.

    Attributes:
        rows: ``float32 (d,)`` each, unit length, one for each usable picture.
        people: whom each shows.
        contents: SHA-256 (hex) of each.
        files: which row is that of a file.
        left_out: pictures that cannot be used, by status.
        enrolled: people left out because they are in the gallery, by name or by a picture.
    """

    rows: list[np.ndarray] = field(default_factory=list)
    people: list[str] = field(default_factory=list)
    contents: list[str] = field(default_factory=list)
    files: dict[Path, int] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    enrolled: set[str] = field(default_factory=set)

    @property
    def embeddings(self) -> torch.Tensor:
        """All rows: ``float32 (n, d)``."""
        return torch.from_numpy(np.stack(self.rows))

    @property
    def labels(self) -> NDArray[np.int64]:
        """Number of the person of each row: ``int64 (n,)``."""
        return np.unique(np.array(self.people), return_inverse=True)[1].astype(np.int64)

    @property
    def digest(self) -> str:
        """Of the contents, in whatever order: SHA-256 (hex)."""
        return hashlib.sha256("\n".join(sorted(self.contents)).encode("ascii")).hexdigest()

    def require_some(self) -> None:
        """Refuse data of which nothing is left.

        Raises:
            InputError: there is no row; says why.
        """
        if self.rows:
            return
        told = [f"{count:,} {status.replace('_', ' ')}" for status, count in sorted(self.left_out.items())]
        if self.enrolled:
            told.append(f"{len(self.enrolled):,} people are in the gallery themselves")
        raise InputError(f"no picture can be used for calibration: {', '.join(told)}")


def read_calibration_data(
    recognizer: Recognizer,
    subjects: Mapping[Path, Subject],
    aligned: bool,
    faces: Policy,
    progress: Progress | None,
) -> CalibrationData:
    """Embed the pictures, and leave out who is in the gallery: such a search would not be one by a stranger.

    Args:
        recognizer: embeds; its gallery says who is enrolled.
        subjects: whom each picture shows.
        aligned: the pictures are faces, cut as the model wants them.
        faces: which face of a picture is meant; not ``ALL``.
        progress: told how many pictures are done.
    """
    store = recognizer.gallery.store
    names = {_loose(person.name) for person in store.people()}
    contents = store.contents()
    read = CalibrationData()
    read.enrolled = {subject.person for subject in subjects.values() if _loose(subject.name) in names}
    wanted = [path for path, subject in subjects.items() if subject.person not in read.enrolled]
    for photo in recognizer.read(wanted, aligned=aligned, faces=faces, progress=progress):
        person = subjects[photo.path].person
        if photo.content in contents:
            read.enrolled.add(person)
        problem = problem_of(photo)
        if problem is not None:
            read.left_out[problem.status.value] += 1
        elif face_size(photo, photo.faces[0]) < recognizer.limits.compared:
            read.left_out[Status.TOO_SMALL.value] += 1
        else:
            read.files[photo.path] = len(read.rows)
            read.rows.append(photo.faces[0].embedding)
            read.people.append(person)
            read.contents.append(photo.content)
    return _without_enrolled(read)


def _without_enrolled(read: CalibrationData) -> CalibrationData:
    """Drop the pictures of people of whom only a later picture showed that they are enrolled."""
    kept = [row for row, person in enumerate(read.people) if person not in read.enrolled]
    place = {row: index for index, row in enumerate(kept)}
    return CalibrationData(
        rows=[read.rows[row] for row in kept],
        people=[read.people[row] for row in kept],
        contents=[read.contents[row] for row in kept],
        files={path: place[row] for path, row in read.files.items() if row in place},
        left_out=read.left_out,
        enrolled=read.enrolled,
    )


def _loose(name: str) -> str:
    """A name in the form that names are compared in. Leaving somebody out who need not be costs nothing."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().replace("_", " ").split())
