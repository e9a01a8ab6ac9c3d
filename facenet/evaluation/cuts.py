"""Photos → faces cut out of them as a contract wants them: the part of the way that needs no network of ours."""

from __future__ import annotations

import math
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

CUT_VERSION = "1"
"""Counted up whenever the same photo and contract give other pixels, or another face: by then, stored embeddings do not
fit new ones. Concerns decoding, detection, choice and cutting alike."""

_MIDDLE_HEIGHT, _MIDDLE_WIDTH = 0.5, 0.37
"""Size of the face in the middle of a photo, in shorter sides of the photo: the median of boxes found in the press
photos of Labeled Faces in the Wild."""

_MIDDLE_POINTS = ((0.27, 0.39), (0.73, 0.39), (0.5, 0.59), (0.3, 0.76), (0.7, 0.76))
"""Where eyes, nose and mouth lie in such a box, likewise, made symmetrical."""


@dataclass(frozen=True, eq=False)
class CutFace:
    """One face, ready for a network.

    Attributes:
        found: where it was in the photo; None if the whole picture is the face.
        face: ``uint8 (3, height, width)``.
        quality: of it.
        guessed: nobody found it: it is the middle of the photo, see :func:`middle_face`.
    """

    found: FoundFace | None
    face: Tensor
    quality: Quality
    guessed: bool = False


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
    middle: bool = False,
) -> Generator[CutPhoto, None, None]:
    """Find, choose and cut faces, many photos at a time.

    Args:
        paths: picture files of any kind and size.
        preprocessing: the contract that faces are cut by.
        detector: who finds them; None where every picture is a face as it is, used whole.
        policy: which of the faces found are cut.
        middle: where there is none, the middle of the photo is cut instead; see :func:`middle_face`.

    Returns:
        A generator of one :class:`CutPhoto` for each path, in order. Closing it ends the thread that reads.
    """
    # As Preprocessing.load does, so that a picture used whole gives the same pixels here and in training.
    at_least = (2 * preprocessing.height, 2 * preprocessing.width) if detector is None else None
    with closing(read_windows(paths, at_least=at_least)) as windows:
        for window in windows:
            yield from cut_window(window, preprocessing, detector, policy=policy, middle=middle)


def cut_window(
    window: list[Picture],
    preprocessing: Preprocessing,
    detector: Detector | None,
    *,
    policy: Policy,
    middle: bool = False,
) -> Generator[CutPhoto, None, None]:
    """The same for a few pictures that are decoded already; the list is emptied."""
    found = _find(window, detector)
    while window:
        # Taken out, so that its pixels go before what is made of it is used.
        picture, faces = window.pop(0), found.pop(0)
        if picture.image is None:
            yield CutPhoto(picture.path, picture.content, None, (), (), picture.problem)
            continue
        if detector is None:
            cuts = [_judged(preprocessing.to_face(picture.image), None)]
        else:
            cuts = _choose(picture.image, faces, preprocessing, policy)
        if middle and not cuts:
            cuts = [_middle(picture.image, preprocessing)]
        size = (picture.image.shape[0], picture.image.shape[1])
        path, content = picture.path, picture.content
        del picture
        yield CutPhoto(path, content, size, faces, tuple(cuts))


def _find(window: list[Picture], detector: Detector | None) -> list[tuple[FoundFace, ...]]:
    """Faces of each picture of a window; none where there is no image or nobody looks."""
    if detector is None:
        return [()] * len(window)
    images = [picture.image for picture in window if picture.image is not None]
    found = iter(detector.detect(images) if images else ())
    return [() if picture.image is None else next(found) for picture in window]


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


def middle_face(height: int, width: int) -> FoundFace:
    """What stands for the face of a photo in which none was found.

    Photos are mostly taken, and those of a test set cut, so that the face lies in the middle: there is the centre of
    the box, half as high as the photo's shorter side and three quarters as wide as high. Eyes, nose and mouth lie in
    it as they do in a face seen from the front.

    Args:
        height, width: of the photo, in pixels.

    Returns:
        A face of probability 0.
    """
    shorter = min(height, width)
    # Outwards to whole pixels, so that the smallest photo has a middle.
    left = math.floor((width - _MIDDLE_WIDTH * shorter) / 2)
    top = math.floor((height - _MIDDLE_HEIGHT * shorter) / 2)
    wide, high = width - 2 * left, height - 2 * top
    points = tuple((left + x * wide, top + y * high) for x, y in _MIDDLE_POINTS)
    return FoundFace((left, top, left + wide, top + high), points, 0.0)


def _middle(image: np.ndarray, preprocessing: Preprocessing) -> CutFace:
    found = middle_face(image.shape[0], image.shape[1])
    face = cut_face(image, found, preprocessing)
    return CutFace(found, face, measure_quality(face, found), guessed=True)
