"""Photos → faces cut out of them as a contract wants them: the part of the way that needs no network of ours."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from facenet.detection.alignment import cut_face
from facenet.detection.detector import Detector
from facenet.detection.faces import FoundFace, Policy, choose_faces
from facenet.detection.quality import Quality, measure_quality
from facenet.errors import InputError
from facenet.evaluation.reading import Picture, read_windows
from facenet.preprocessing import Preprocessing


@dataclass(frozen=True, eq=False)
class CutFace:
    """One face, ready for a network.

    Attributes:
        found: where it was in the photo; None if the whole picture is the face.
        face: ``uint8 (3, height, width)``.
        quality: of it.
    """

    found: FoundFace | None
    face: Tensor
    quality: Quality


@dataclass(frozen=True, eq=False)
class CutPhoto:
    """One photo, or the reason why it cannot be used.

    Attributes:
        path: as it was given.
        content: SHA-256 (hex) of the file's bytes, ``""`` if these cannot be read.
        size: ``(height, width)`` of the upright picture; None if it cannot be decoded. An aligned JPEG far larger
            than needed is scaled while it is decoded: then its size after that.
        found: every face found, largest first.
        faces: the chosen ones.
        problem: why the picture cannot be read, ``""`` if it can.
    """

    path: Path
    content: str
    size: tuple[int, int] | None
    found: tuple[FoundFace, ...]
    faces: tuple[CutFace, ...]
    problem: str = ""


def cut_photos(
    paths: Iterable[Path],
    preprocessing: Preprocessing,
    detector: Detector | None,
    *,
    policy: Policy = Policy.ALL,
) -> Generator[CutPhoto, None, None]:
    """Find, choose and cut faces, many photos at a time.

    Args:
        paths: picture files of any kind and size.
        preprocessing: the contract that faces are cut by.
        detector: who finds them; None where every picture is a face as it is, used whole.
        policy: which of the faces found are cut.

    Returns:
        A generator of one :class:`CutPhoto` for each path, in order. Closing it ends the thread that reads.
    """
    # As Preprocessing.load does, so that a picture used whole gives the same pixels here and in training.
    at_least = (2 * preprocessing.height, 2 * preprocessing.width) if detector is None else None
    with closing(read_windows(paths, at_least=at_least)) as windows:
        for window in windows:
            yield from cut_window(window, preprocessing, detector, policy=policy)


def cut_window(
    window: list[Picture], preprocessing: Preprocessing, detector: Detector | None, *, policy: Policy
) -> Generator[CutPhoto, None, None]:
    """The same for a few pictures that are decoded already; the list is emptied."""
    found = _find(window, detector)
    while window:
        # Taken out, so that its pixels go before what is made of it is used.
        yield _cut(window.pop(0), found.pop(0), preprocessing, detector is None, policy)


def _find(window: list[Picture], detector: Detector | None) -> list[tuple[FoundFace, ...]]:
    """Faces of each picture of a window; none where there is no image or nobody looks."""
    if detector is None:
        return [()] * len(window)
    images = [picture.image for picture in window if picture.image is not None]
    found = iter(detector.detect(images) if images else ())
    return [() if picture.image is None else next(found) for picture in window]


def _cut(
    picture: Picture, found: tuple[FoundFace, ...], preprocessing: Preprocessing, whole: bool, policy: Policy
) -> CutPhoto:
    image = picture.image
    if image is None:
        return CutPhoto(picture.path, picture.content, None, (), (), picture.problem)
    size = (image.shape[0], image.shape[1])
    cuts = [_judged(preprocessing.to_face(image), None)] if whole else _choose(image, found, preprocessing, policy)
    return CutPhoto(picture.path, picture.content, size, found, tuple(cuts))


def _choose(
    image: np.ndarray, found: Sequence[FoundFace], preprocessing: Preprocessing, policy: Policy
) -> list[CutFace]:
    """Cut the faces that are meant. One that cannot be cut, for nothing of it is in the photo, is not meant."""
    left = list(found)
    while left:
        cuts = []
        for face in choose_faces(left, policy, (image.shape[0], image.shape[1])):
            try:
                cuts.append(_judged(cut_face(image, face, preprocessing), face))
            except InputError:
                left.remove(face)
        if cuts:
            return cuts
    return []


def _judged(face: Tensor, found: FoundFace | None) -> CutFace:
    return CutFace(found, face, measure_quality(face, found))
