"""What the head of a checkpoint makes of pictures: the most probable of its classes for each face, as one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facenet.data.listing import list_pictures
from facenet.detection.faces import Policy
from facenet.errors import UsageError
from facenet.evaluation.photos import Photo, read_photos
from facenet.workflows.classifier import Classifier
from facenet.workflows.predictions import (
    ClassProbability,
    Predicted,
    Prediction,
    Status,
    prepare_table,
    write_table,
)

TOP_K = 5
"""Classes named for each face, if nothing is said."""


def predict_pictures(
    sources: Sequence[Path],
    classifier: Classifier,
    *,
    top_k: int = TOP_K,
    aligned: bool = False,
    policy: Policy = Policy.LARGEST,
    batch_size: int = 32,
    out: Path | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Predicted:
    """Classify the faces of pictures.

    A head knows its own classes only, and its probabilities are shared out among these: a stranger gets a name as
    well. Who may be a stranger is a question for :mod:`facenet.workflows.identify`.

    Args:
        sources: files and folders; see :func:`facenet.data.listing.list_pictures`.
        classifier: the network and its head.
        top_k: classes named for each face; all of them if there are fewer.
        aligned, policy, batch_size, progress: see :func:`facenet.evaluation.photos.read_photos`.
        out: CSV file to write, see :func:`facenet.workflows.predictions.write_table`; an earlier one is replaced.

    Raises:
        MissingError: a source is not there.
        InputError: no picture in them, or something else lies where the table belongs.
        UsageError: ``top_k`` or ``batch_size`` below 1.
        CheckpointError: the network gives something that is no number.
        StorageError: the table cannot be written.
    """
    if top_k < 1:
        raise UsageError(f"at least 1 class is named for each face, not {top_k}")
    top_k = min(top_k, len(classifier.classes))
    listing = list_pictures(sources)
    if out is not None:
        prepare_table(out, listing.files)
    photos = read_photos(
        listing.files,
        classifier.embedder,
        aligned=aligned,
        policy=policy,
        batch_size=batch_size,
        progress=progress,
    )
    with closing(photos):
        predictions = tuple(one for photo in photos for one in _of_photo(photo, classifier, top_k))
    predicted = Predicted(predictions, len(listing.files), listing.left_out, out)
    if out is not None:
        write_table(out, predicted, top_k)
    return predicted


def _of_photo(photo: Photo, classifier: Classifier, top_k: int) -> Iterator[Prediction]:
    if photo.problem:
        yield Prediction(photo.path, Status.UNREADABLE, photo.problem)
    elif not photo.faces:
        yield Prediction(photo.path, Status.NO_FACE, "no face found")
    else:
        rows = classifier.probabilities(np.stack([face.embedding for face in photo.faces]))
        for number, (face, row) in enumerate(zip(photo.faces, rows, strict=True)):
            classes = _best(row, classifier.classes, top_k)
            quality = float(face.quality.score)
            yield Prediction(photo.path, Status.PREDICTED, "", number, face.found, quality, classes)


def _best(row: NDArray[np.float64], names: Sequence[str], top_k: int) -> tuple[ClassProbability, ...]:
    # Stable, so that of equal ones the first of the head comes first.
    order = np.argsort(-row, kind="stable")[:top_k]
    return tuple(ClassProbability(names[index], float(row[index])) for index in order.tolist())
