"""Moving a gallery to another model from the pictures its people were enrolled with."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facenet.data.listing import list_pictures
from facenet.detection.faces import Policy
from facenet.errors import UnreadableImage
from facenet.evaluation.embedder import Embedder
from facenet.evaluation.photos import Photo, PhotoFace
from facenet.gallery import reembedding
from facenet.gallery.backend import Store, open_store
from facenet.gallery.records import StoredSample
from facenet.images import read_picture_bytes
from facenet.recognition.opening import header_for
from facenet.recognition.reader import PhotoReader, Progress

AT_ONCE = 256
"""Embeddings that are read, embedded and put on disk together."""

SAME_FACE = 0.5
"""A face found now is the one enrolled if their boxes share this part of what they cover together (IoU)."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class MissingPicture:
    """An embedding that cannot be made anew.

    Attributes:
        sample, person: ids.
        name: of the person.
        source: where the picture was when it was enrolled; empty if that is not known.
        reason: in words.
    """

    sample: int
    person: int
    name: str
    source: str
    reason: str


@dataclass(frozen=True)
class ReembedReport:
    """How far a gallery has come on its way to another model.

    Attributes:
        finished: whether it has arrived; until then it works with the old model.
        fingerprint: of the new model.
        total: embeddings in the gallery.
        embedded: of them, those with a new vector.
        missing: those without; where ``finished``, those that were dropped.
        without: people whom nothing is left of but their entry.
        notes: what else should be known, in words.
    """

    finished: bool
    fingerprint: str
    total: int
    embedded: int
    missing: tuple[MissingPicture, ...] = ()
    without: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return asdict(self)


def reembed(
    location: str,
    new_embedder: Embedder,
    *,
    pictures: Path | None = None,
    drop_missing: bool = False,
    restart: bool = False,
    progress: Progress | None = None,
) -> ReembedReport:
    """Embed every enrolled picture with another model, and change over once all are there.

    A picture is known by its content, so it may lie elsewhere now; the face in it by where it was. What has been
    embedded is kept in the gallery, which works with its old model until the end; called again, this goes on, and
    looks again for what was missing.

    Args:
        location: of the gallery.
        new_embedder: the model to move to.
        pictures: folder to look in for pictures that are not where they were.
        drop_missing: change over without what is missing.
        restart: give up a move to yet another model.
        progress: called with (embeddings looked at, in all).

    Returns:
        Not ``finished`` if something is missing and not to be dropped.

    Raises:
        InputError: the gallery is of this model already.
        ContractError: it is on its way to yet another one.
        GalleryError, StorageError: it cannot be opened or written.
    """
    with closing(open_store(location)) as store:
        old = store.header().preprocessing
        begun = reembedding.begin(store, header_for(new_embedder), restart=restart)
        move = _Move(store, PhotoReader(new_embedder), pictures)
        again, done, last = _missing_samples(store), begun.done, 0
        for start in range(0, len(again), AT_ONCE):
            done += move.work(again[start : start + AT_ONCE])
            _tell(progress, done, begun.total)
        while samples := reembedding.pending(store, after=last, limit=AT_ONCE):
            last = samples[-1].id
            move.work(samples)
            done += len(samples)
            _tell(progress, done, begun.total)
        missing, state = _missing(store), reembedding.progress(store)
        notes = _notes(old.crop, new_embedder.preprocessing.crop, move.whole)
        if missing and not drop_missing:
            return ReembedReport(False, new_embedder.fingerprint, state.total, state.done, missing, (), notes)
        finished = reembedding.finish(store, drop_missing=drop_missing)
    return ReembedReport(
        True, new_embedder.fingerprint, state.total, finished.embeddings, missing, finished.without, notes
    )


class _Move:
    """Embeds samples from wherever their pictures are, and puts what comes of them on disk."""

    def __init__(self, store: Store, reader: PhotoReader, pictures: Path | None) -> None:
        self.whole = 0
        self._store = store
        self._reader = reader
        self._pictures = pictures
        self._elsewhere: dict[str, Path] | None = None

    def work(self, samples: Sequence[StoredSample]) -> int:
        """Embed and keep these; returns how many have a new vector now."""
        rows: list[tuple[int, np.ndarray, float]] = []
        reasons: dict[int, str] = {}
        self._embed([(sample, Path(sample.source)) for sample in samples if sample.source], rows, reasons)
        found = {sample for sample, _, _ in rows}
        left = [sample for sample in samples if sample.id not in found]
        self._embed(self._located(left), rows, reasons)
        kept = reembedding.put(self._store, rows)
        found = {sample for sample, _, _ in rows}
        by_reason: dict[str, list[int]] = defaultdict(list)
        for sample in left:
            if sample.id not in found:
                by_reason[reasons.get(sample.id, "no picture is recorded for it")].append(sample.id)
        for reason, ids in by_reason.items():
            reembedding.mark_missing(self._store, ids, reason)
        return kept

    def _embed(
        self,
        placed: Sequence[tuple[StoredSample, Path]],
        rows: list[tuple[int, np.ndarray, float]],
        reasons: dict[int, str],
    ) -> None:
        """Read each picture once, for all the samples in it; add to ``rows`` or to ``reasons``."""
        for aligned in (False, True):
            samples: dict[Path, list[StoredSample]] = defaultdict(list)
            for sample, path in placed:
                if (sample.box is None) == aligned:
                    samples[path].append(sample)
            for photo in self._reader.read(list(samples), aligned=aligned, faces=Policy.ALL):
                for sample in samples[photo.path]:
                    face, reason = _face_of(sample, photo)
                    if face is None:
                        reasons[sample.id] = reason
                    else:
                        self.whole += aligned
                        rows.append((sample.id, face.embedding, face.quality.score))

    def _located(self, samples: Iterable[StoredSample]) -> list[tuple[StoredSample, Path]]:
        """Where else the pictures of these samples are, by their content."""
        if self._pictures is None or not samples:
            return []
        if self._elsewhere is None:
            self._elsewhere = dict(_by_content(self._pictures))
        return [
            (sample, self._elsewhere[sample.content])
            for sample in samples
            if sample.content and sample.content in self._elsewhere
        ]


def _face_of(sample: StoredSample, photo: Photo) -> tuple[PhotoFace | None, str]:
    """The face of a photo that a sample was made from, or why there is none."""
    if not photo.content:
        return None, f"its picture cannot be read: {photo.problem}"
    if photo.content != sample.content:
        return None, "another picture lies in its place"
    if photo.problem:
        return None, f"its picture cannot be read: {photo.problem}"
    if sample.box is None:
        return photo.faces[0], ""
    found = [face for face in photo.faces if face.found is not None]
    if not found and photo.faces:
        return None, "it was found in a photo, and the new model takes faces that are cut out already"
    best = max(found, key=lambda face: _shared(sample.box, face), default=None)
    if best is None or _shared(sample.box, best) < SAME_FACE:
        return None, "its face is not found in the picture again"
    return best, ""


def _shared(box: Box | None, face: PhotoFace) -> float:
    """Intersection over union of a recorded box and a face's."""
    assert box is not None and face.found is not None
    other = face.found.box
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / ((box[2] - box[0]) * (box[3] - box[1]) + face.found.area - width * height)


def _by_content(folder: Path) -> Iterable[tuple[str, Path]]:
    for path in list_pictures([folder]).files:
        try:
            yield hashlib.sha256(read_picture_bytes(path)).hexdigest(), path
        except UnreadableImage:
            # It cannot be the one that is looked for: that one could be read.
            continue


def _missing_samples(store: Store) -> list[StoredSample]:
    """What an earlier call could not find."""
    noted = reembedding.missing(store)
    wanted = {entry.sample for entry in noted}
    people = sorted({entry.person for entry in noted})
    return [sample for person in people for sample in store.samples(person) if sample.id in wanted]


def _missing(store: Store) -> tuple[MissingPicture, ...]:
    noted = reembedding.missing(store)
    names = store.names(sorted({entry.person for entry in noted}))
    sources = {sample.id: sample.source for sample in _missing_samples(store)}
    return tuple(
        MissingPicture(
            entry.sample, entry.person, names.get(entry.person, ""), sources.get(entry.sample, ""), entry.reason
        )
        for entry in noted
    )


def _notes(old: str, new: str, whole: int) -> tuple[str, ...]:
    if whole == 0 or old == new:
        return ()
    return (
        f"{whole:,} pictures were enrolled as faces that are cut out already, for a model with crop {old}; they were "
        f"used as they are for one with crop {new}",
    )


def _tell(progress: Callable[[int, int | None], None] | None, done: int, total: int) -> None:
    if progress is not None:
        progress(min(done, total), total)
