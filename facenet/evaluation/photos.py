"""Photos → faces → embeddings: the one way, for every command and every library call that starts from photos."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sized
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor

from facenet.detection.detector import Detector
from facenet.detection.faces import FoundFace, Policy
from facenet.detection.quality import Quality
from facenet.errors import UsageError
from facenet.evaluation.cuts import CutPhoto, cut_photos, cut_window
from facenet.evaluation.embedder import Embedder
from facenet.evaluation.reading import Picture
from facenet.models.inference import InferenceTrunk
from facenet.preprocessing import stack_faces

_AT_ONCE = 32
"""Faces embedded at a time, if nothing is said."""


@dataclass(frozen=True, eq=False)
class PhotoFace:
    """One embedded face.

    Attributes:
        found: where it was in the photo; None if the whole picture is the face.
        face: ``uint8 (3, h, w)``, what the network saw.
        quality: of it.
        embedding: ``float32 (d,)``, length 1.
        mirrored: the same of the face mirrored left to right, where it was asked for.
        guessed: nobody found it: it is the middle of the photo, see :func:`facenet.evaluation.cuts.middle_face`.
    """

    found: FoundFace | None
    face: Tensor
    quality: Quality
    embedding: np.ndarray
    mirrored: np.ndarray | None = None
    guessed: bool = False


class _Row(NamedTuple):
    """What the network says of one face."""

    embedding: np.ndarray
    mirrored: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Photo:
    """One photo and the people in it, or the reason why it cannot be used.

    Attributes:
        path: as it was given.
        content: SHA-256 (hex) of the file's bytes, ``""`` if these cannot be read.
        size: ``(height, width)`` of the upright picture; None if it cannot be decoded. An aligned JPEG far larger
            than needed is scaled while it is decoded: then its size after that.
        found: every face found, largest first.
        faces: the chosen ones, embedded.
        problem: why the picture cannot be read, ``""`` if it can.
    """

    path: Path
    content: str
    size: tuple[int, int] | None
    found: tuple[FoundFace, ...]
    faces: tuple[PhotoFace, ...]
    problem: str = ""


def read_photos(
    paths: Iterable[Path],
    embedder: Embedder,
    *,
    detector: Detector | None = None,
    aligned: bool = False,
    policy: Policy = Policy.ALL,
    batch_size: int = _AT_ONCE,
    mirrored: bool = False,
    middle: bool = False,
    progress: Callable[[int, int | None], None] | None = None,
) -> Generator[Photo, None, None]:
    """Find, choose, cut and embed the faces of photos, many at a time, while the next are being read.

    Memory stays bounded however many and however large the photos are; what is kept of them is the caller's choice.

    Args:
        paths: picture files; asked for one by one, a few dozen ahead.
        embedder: the network, and with it the contract that faces are cut by.
        detector: who finds faces; default: one on the embedder's device.
        aligned: the pictures are already what the contract's detector and crop make of photos: each is used whole.
            So is every picture under a contract without a detector.
        policy: which of the faces found in a photo are embedded.
        batch_size: faces embedded at a time, across photos.
        mirrored: each face is embedded mirrored as well, which makes the network work twice.
        middle: a photo without a face is answered with its middle instead.
        progress: called with (photos done, photos in all or None if ``paths`` has no length) before each is handed
            out.

    Returns:
        A generator of one :class:`Photo` for each path, in order. A picture that cannot be read is one with a
        ``problem``, one without a face is one without ``faces``. Closing it ends the thread that reads.

    Raises:
        UsageError: ``batch_size`` is below 1.
    """
    if batch_size < 1:
        raise UsageError(f"faces are embedded at least 1 at a time, not {batch_size}")
    if aligned or not embedder.preprocessing.finds_faces:
        detector = None
    elif detector is None:
        detector = Detector(device=embedder.trunk.device.type)
    total = len(paths) if isinstance(paths, Sized) else None
    cut = cut_photos(paths, embedder.preprocessing, detector, policy=policy, middle=middle)
    photos = _embed_photos(cut, embedder.trunk, batch_size, mirrored)
    return photos if progress is None else _reported(photos, progress, total)


def read_image(
    image: np.ndarray, name: str, embedder: Embedder, *, detector: Detector | None, policy: Policy = Policy.ALL
) -> Photo:
    """The same for one picture in memory.

    Args:
        image: ``uint8 (H, W, 3)``, RGB, upright, not empty.
        name: what the result calls it.
        embedder, policy: as in :func:`read_photos`.
        detector: who finds faces; None: the picture is a face as it is.
    """
    cut = cut_window([Picture(Path(name), "", image)], embedder.preprocessing, detector, policy=policy)
    (photo,) = _embed_photos(cut, embedder.trunk, _AT_ONCE, mirrored=False)
    return photo


def _embed_photos(
    photos: Generator[CutPhoto, None, None], trunk: InferenceTrunk, batch_size: int, mirrored: bool
) -> Generator[Photo, None, None]:
    """Embed faces in full batches, and hand each photo out once all of its faces are embedded."""
    waiting: deque[CutPhoto] = deque()
    faces: deque[Tensor] = deque()
    rows: deque[_Row] = deque()
    with closing(photos):
        for photo in photos:
            waiting.append(photo)
            faces.extend(cut.face for cut in photo.faces)
            # Photos without faces fill no batch: with so many waiting, what there is must do.
            while len(faces) >= batch_size or (faces and len(waiting) >= batch_size):
                rows.extend(_embed(faces, trunk, batch_size, mirrored))
            yield from _complete(waiting, rows)
        rows.extend(_embed(faces, trunk, batch_size, mirrored))
        yield from _complete(waiting, rows)


def _embed(faces: deque[Tensor], trunk: InferenceTrunk, batch_size: int, mirrored: bool) -> list[_Row]:
    """Take at most ``batch_size`` faces away and embed them."""
    batch = [faces.popleft() for _ in range(min(batch_size, len(faces)))]
    if not batch:
        return []
    stacked = stack_faces(batch)
    # Each row copied, for a view of it would keep its whole batch in memory.
    embeddings = [row.copy() for row in trunk(stacked).cpu().numpy()]
    if not mirrored:
        return [_Row(embedding, None) for embedding in embeddings]
    others = trunk(stacked.flip(-1)).cpu().numpy()
    return [_Row(embedding, other.copy()) for embedding, other in zip(embeddings, others, strict=True)]


def _complete(waiting: deque[CutPhoto], rows: deque[_Row]) -> Iterator[Photo]:
    """Take the photos away whose embeddings are all there, and these with them."""
    while waiting and len(waiting[0].faces) <= len(rows):
        photo = waiting.popleft()
        faces = tuple(PhotoFace(cut.found, cut.face, cut.quality, *rows.popleft(), cut.guessed) for cut in photo.faces)
        yield Photo(photo.path, photo.content, photo.size, photo.found, faces, photo.problem)


def _reported(
    photos: Generator[Photo, None, None], progress: Callable[[int, int | None], None], total: int | None
) -> Generator[Photo, None, None]:
    with closing(photos):
        for done, photo in enumerate(photos, start=1):
            progress(done, total)
            yield photo
