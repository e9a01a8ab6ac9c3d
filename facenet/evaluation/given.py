"""Photos of which somebody else has said where the face is → embeddings. Nobody looks for faces."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from facenet.detection.alignment import cut_face
from facenet.detection.faces import FoundFace
from facenet.detection.quality import measure_quality
from facenet.errors import InputError, MissingError, UsageError
from facenet.evaluation.cuts import CutFace, CutPhoto
from facenet.evaluation.embedded import Embedded, State
from facenet.evaluation.embedder import Embedder
from facenet.evaluation.flips import Flip, with_mirrored
from facenet.evaluation.pairfiles import Missing, listed
from facenet.evaluation.reading import Picture, read_windows
from facenet.models.inference import InferenceTrunk
from facenet.preprocessing import Preprocessing, stack_faces


class GivenFaces(Protocol):
    """Faces one after the other, and how many: a list, or :class:`facenet.evaluation.ijbfiles.Landmarks`."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[FoundFace]: ...


def cut_given(
    paths: Iterable[Path], faces: Iterable[FoundFace], preprocessing: Preprocessing
) -> Generator[CutPhoto, None, None]:
    """Cut one given face out of each photo.

    Args:
        paths: picture files.
        faces: one for each, by its landmarks.
        preprocessing: the contract that faces are cut by, with five points.

    Returns:
        A generator of one :class:`facenet.evaluation.cuts.CutPhoto` for each path, in order: without a face where the
        given one lies outside its photo. Closing it ends the thread that reads.

    Raises:
        UsageError: the contract cuts by the box that a detector finds, or cuts nothing; landmarks do not give one.
    """
    if preprocessing.crop != "five-point":
        raise UsageError(
            f"this model's faces are not cut by landmarks (its crop is {preprocessing.crop}): given ones are of no use"
        )
    return _cut_given(paths, faces, preprocessing)


def _cut_given(
    paths: Iterable[Path], faces: Iterable[FoundFace], preprocessing: Preprocessing
) -> Generator[CutPhoto, None, None]:
    given = iter(faces)
    with closing(read_windows(paths)) as windows:
        for window in windows:
            while window:
                # Taken out, so that its pixels go before what is made of it is used.
                yield _cut(window.pop(0), next(given), preprocessing)


def _cut(picture: Picture, found: FoundFace, preprocessing: Preprocessing) -> CutPhoto:
    if picture.image is None:
        return CutPhoto(picture.path, picture.content, None, (), (), picture.problem)
    cuts: tuple[CutFace, ...]
    try:
        face = cut_face(picture.image, found, preprocessing)
        cuts = (CutFace(found, face, measure_quality(face, found)),)
    except InputError:
        cuts = ()
    return CutPhoto(picture.path, picture.content, (picture.image.shape[0], picture.image.shape[1]), (found,), cuts)


def embed_given_faces(
    paths: Sequence[Path],
    faces: GivenFaces,
    embedder: Embedder,
    *,
    flip: Flip = Flip.NONE,
    missing: Missing = "refuse",
    batch_size: int = 32,
    progress: Callable[[int, int | None], None] | None = None,
) -> Embedded:
    """Embed one given face of each photo.

    Args:
        paths: picture files.
        faces: one for each.
        embedder: the network, whose contract cuts faces by five points.
        flip: what the mirrored face adds; for anything but ``NONE`` the network works twice.
        missing: ``refuse``: files that are not there or cannot be read end the run, all of them listed.
            ``as-failure``: they are pictures without an embedding.
        batch_size: faces embedded at a time.
        progress: called with (photos done, photos in all).

    Returns:
        One embedding for each path, in order. A face that lies outside its photo has state ``NO_FACE``.

    Raises:
        UsageError: the contract does not cut faces by landmarks, or ``batch_size`` is below 1.
        InputError: not one face for each path; files that cannot be read, with ``missing`` at ``refuse``.
        MissingError: likewise files that are not there; none is embedded then.
    """
    if batch_size < 1:
        raise UsageError(f"faces are embedded at least 1 at a time, not {batch_size}")
    if len(paths) != len(faces):
        raise InputError(f"{len(paths):,} pictures need one given face each, not {len(faces):,}")
    absent = [path for path in paths if not path.is_file()]
    if absent and missing == "refuse":
        raise MissingError(f"{len(absent):,} of {len(paths):,} pictures are not there:{listed(absent)}")
    rows = _Rows(len(paths), embedder.trunk, flip, batch_size)
    states: list[State] = []
    contents: list[str] = []
    problems: list[str] = []
    boxes, qualities = np.full((len(paths), 4), np.nan, np.float32), np.full(len(paths), np.nan, np.float32)
    with closing(cut_given(paths, faces, embedder.preprocessing)) as photos:
        for row, photo in enumerate(photos):
            contents.append(photo.content)
            if photo.problem:
                states.append(State.UNREADABLE if photo.path.exists() else State.MISSING)
                problems.append(f"{photo.path}: {photo.problem}")
            elif not photo.faces:
                states.append(State.NO_FACE)
            else:
                states.append(State.FACE)
                boxes[row], qualities[row] = photo.found[0].box, photo.faces[0].quality.score
                rows.add(row, photo.faces[0].face)
            if progress is not None:
                progress(row + 1, len(paths))
    if problems and missing == "refuse":
        raise InputError(f"{len(problems):,} of {len(paths):,} pictures cannot be read:{listed(problems)}")
    names = tuple(map(str, paths))
    return Embedded(names, rows.finish(), tuple(states), tuple(contents), boxes, qualities, embedder.fingerprint)


class _Rows:
    """Embeddings of faces that come one by one: full batches go through the network."""

    def __init__(self, count: int, trunk: InferenceTrunk, flip: Flip, batch_size: int) -> None:
        self._trunk, self._flip, self._batch_size = trunk, flip, batch_size
        self._plain = torch.full((count, trunk.embedding_size), torch.nan)
        self._mirrored = None if flip is Flip.NONE else self._plain.clone()
        self._waiting: list[tuple[int, Tensor]] = []

    def add(self, row: int, face: Tensor) -> None:
        """Embed this face now or with later ones."""
        self._waiting.append((row, face))
        if len(self._waiting) == self._batch_size:
            self._embed()

    def finish(self) -> Tensor:
        """All rows; NaN where there was no face."""
        if self._waiting:
            self._embed()
        return with_mirrored(self._plain, self._mirrored, self._flip)

    def _embed(self) -> None:
        rows = [row for row, _ in self._waiting]
        faces = stack_faces([face for _, face in self._waiting])
        self._waiting.clear()
        self._plain[rows] = self._trunk(faces).cpu()
        if self._mirrored is not None:
            self._mirrored[rows] = self._trunk(faces.flip(-1)).cpu()
