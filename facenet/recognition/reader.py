"""Photos, however they are given, into embedded faces: one model, one detector, one way."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from facenet.detection.detector import Detector
from facenet.detection.faces import Policy
from facenet.errors import UsageError
from facenet.evaluation.embedder import Embedder
from facenet.evaluation.photos import Photo, read_image, read_photos

Photos = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
"""One picture file, or several."""

Progress = Callable[[int, int | None], None]
"""Called with (photos done, in all or None)."""


class PhotoReader:
    """Reads photos for one model.

    Args:
        embedder: the model, and with it the contract that faces are found and cut by.
    """

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder
        self._detector: Detector | None = None

    def read(
        self, photos: Photos, *, aligned: bool, faces: Policy, progress: Progress | None = None
    ) -> Iterator[Photo]:
        """One photo after the other; see :func:`facenet.evaluation.photos.read_photos`."""
        return read_photos(
            paths_of(photos),
            self.embedder,
            detector=self._detector_for(aligned),
            aligned=aligned,
            policy=faces,
            progress=progress,
        )

    def read_one_face(self, photos: Photos, *, aligned: bool, faces: Policy | None) -> list[Photo]:
        """All of a few photos, with one face of each; see :func:`one_face_policy`."""
        return list(self.read(photos, aligned=aligned, faces=one_face_policy(faces)))

    def read_image(self, image: np.ndarray, source: str, *, aligned: bool, faces: Policy) -> Photo:
        """A picture in memory: ``uint8 (H, W, 3)``, RGB, upright.

        Raises:
            UsageError: something else.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise UsageError(f"an image is uint8 (height, width, 3), got {image.dtype} {image.shape}")
        return read_image(image, source, self.embedder, detector=self._detector_for(aligned), policy=faces)

    def _detector_for(self, aligned: bool) -> Detector | None:
        """The one detector, made when first needed; None where no face has to be found."""
        if aligned or not self.embedder.preprocessing.finds_faces:
            return None
        if self._detector is None:
            self._detector = Detector(device=self.embedder.trunk.device.type)
        return self._detector


def one_face_policy(faces: Policy | None) -> Policy:
    """The policy to read by where one face is wanted. With none given the largest is read, and gate or comparison
    look at what else was found.

    Raises:
        UsageError: ``Policy.ALL``.
    """
    if faces is Policy.ALL:
        raise UsageError("one face of each photo is wanted: largest, central or probable, not all")
    return Policy.LARGEST if faces is None else faces


def paths_of(photos: Photos) -> list[Path]:
    """Files as a list of paths."""
    if isinstance(photos, str | os.PathLike):
        return [Path(photos)]
    return [Path(photo) for photo in photos]
