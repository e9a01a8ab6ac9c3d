"""Photos → a file of embeddings and a table of what became of every photo: ``facenet embed``."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors

from facenet.data.listing import Listing, list_pictures
from facenet.detection.faces import Policy
from facenet.errors import InputError, UsageError, printable
from facenet.evaluation.embedder import Embedder
from facenet.evaluation.photos import Photo, PhotoFace, read_photos
from facenet.training.checkpoint import versions
from facenet.workflows.embed_parts import EmbeddedFace, Parts, Place, Record, open_parts
from facenet.workflows.stamps import StampedFiles, file_key, stamp
from facenet.workflows.writing import csv_pieces, write_whole

FORMAT = "facenet-embeddings"
VERSION = "1"

COLUMNS = (
    "path", "content", "status", "reason", "face", "left", "top", "right", "bottom", "probability", "quality", "row",
)  # fmt: skip
"""Of the table: one line for each embedding, and one for each photo without any.

``content``: SHA-256 of the file. ``status``: ``embedded``, ``no_face``, ``unreadable`` or ``left_out``. ``face``: its
number in the photo, from 0. The box is in pixels of the upright photo. ``row``: of the embedding, from 0.
"""

_PART_PHOTOS, _PART_FACES, _PART_SECONDS = 256, 2048, 10.0
"""A part is written after so many photos, embeddings or seconds: no more is lost when the run is interrupted."""


@dataclass(frozen=True)
class EmbedResult:
    """What was written.

    Attributes:
        embeddings: file with the tensor ``embeddings`` ``float32 (rows, d)`` and metadata about what made them.
        table: CSV file; see :data:`COLUMNS`.
        fingerprint: of the model.
        rows: number of embeddings.
        photos: number of photos.
        resumed: photos whose embeddings an interrupted run had left.
        outcomes: photos by status.
    """

    embeddings: Path
    table: Path
    fingerprint: str
    rows: int
    photos: int
    resumed: int
    outcomes: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return asdict(self) | {"embeddings": str(self.embeddings), "table": str(self.table)}


def embed_photos(
    sources: Sequence[Path],
    out: Path,
    embedder: Embedder,
    *,
    aligned: bool = False,
    policy: Policy = Policy.LARGEST,
    batch_size: int = 32,
    progress: Callable[[int, int | None], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> EmbedResult:
    """Embed the faces of photos into ``out``; an interrupted run is gone on with where it was.

    Args:
        sources: picture files, and folders of them at any depth.
        out: ``FILE`` or ``FILE.safetensors``; the table is ``FILE.csv``, and until all is done ``FILE.partial`` holds
            what there is. Results of an earlier run are replaced.
        embedder: the network.
        aligned, policy, batch_size: see :func:`facenet.evaluation.photos.read_photos`.
        progress: called with (photos done, photos in all).
        say: told what is worth knowing.

    Raises:
        MissingError: a source is not there.
        InputError: no pictures, or something else lies where the results belong.
        ContractError: an interrupted run used another model.
        StorageError: the results cannot be written.
    """
    base = out.with_suffix("") if out.suffix == ".safetensors" else out
    if not base.name:
        raise UsageError(f"{printable(out)} names no file to write")
    tensors, table, partial = (base.with_name(base.name + end) for end in (".safetensors", ".csv", ".partial"))
    listing = list_pictures(sources)
    _refuse_foreign(tensors, table, partial)
    described = {
        "format": FORMAT,
        "version": VERSION,
        "fingerprint": embedder.fingerprint,
        "aligned": str(aligned).lower(),
        "faces": policy.value,
    }
    with open_parts(partial, described) as parts:
        done = _resume(parts, listing.files)
        resumed = len(done)
        if resumed and say is not None:
            say(f"going on: {resumed:,} of {len(listing.files):,} photos were done before")
        todo = StampedFiles([file for file in listing.files if file_key(file) not in done])
        with closing(read_photos(todo, embedder, aligned=aligned, policy=policy, batch_size=batch_size)) as photos:
            for new in _keep(photos, todo, parts, done, embedder.embedding_size):
                if progress is not None:
                    progress(resumed + new, len(listing.files))
        places = [done[file_key(file)] for file in listing.files]
        rows = sum(len(_record(parts, place).faces) for place in places)
        write_whole(table, csv_pieces(COLUMNS, _lines(parts, places, listing)))
        metadata = described | {
            "preprocessing": json.dumps(embedder.preprocessing.to_dict()),
            "model": json.dumps(embedder.source.to_dict()),
            "versions": json.dumps(versions()),
        }
        write_whole(tensors, _tensor_pieces(parts, places, (rows, embedder.embedding_size), metadata))
        outcomes = Counter(_record(parts, place).status for place in places)
        if listing.left_out:
            outcomes["left_out"] = len(listing.left_out)
        parts.remove()
    return EmbedResult(tensors, table, embedder.fingerprint, rows, len(places), resumed, dict(outcomes))


def _refuse_foreign(tensors: Path, table: Path, partial: Path) -> None:
    """Only what this command wrote is replaced."""
    if tensors.exists():
        try:
            with safetensors.safe_open(tensors, framework="numpy") as found:
                metadata = found.metadata()
        except (safetensors.SafetensorError, OSError) as error:
            raise InputError(f"{printable(tensors)} is there and not one of ours: choose another --out") from error
        if not metadata or metadata.get("format") != FORMAT:
            raise InputError(f"{printable(tensors)} is there and not one of ours: choose another --out")
    elif table.exists() and not partial.exists():
        raise InputError(f"{printable(table)} is there and not one of ours: choose another --out")


def _resume(parts: Parts, files: Sequence[Path]) -> dict[str, Place]:
    """Where the photos are that were done before and have not changed since."""
    wanted = {file_key(file) for file in files}
    return {
        record.file: Place(number, position)
        for number in parts.numbers
        for position, record in enumerate(parts.read(number).records)
        if record.file in wanted and record.stamp is not None and record.stamp == stamp(Path(record.file))
    }


def _keep(
    photos: Iterator[Photo], todo: StampedFiles, parts: Parts, done: dict[str, Place], size: int
) -> Iterator[int]:
    """Write photos away part by part and note in ``done`` where each is; yields how many have been read."""
    records: list[Record] = []
    rows: list[np.ndarray] = []
    began = time.monotonic()

    def write() -> None:
        number = parts.add(records, np.stack(rows) if rows else np.empty((0, size), dtype=np.float32))
        done.update({record.file: Place(number, position) for position, record in enumerate(records)})
        records.clear()
        rows.clear()

    for new, photo in enumerate(photos, start=1):
        faces = tuple(_described(face) for face in photo.faces)
        records.append(Record(file_key(photo.path), todo.stamps.popleft(), photo.content, photo.problem, faces))
        rows.extend(face.embedding for face in photo.faces)
        if len(records) >= _PART_PHOTOS or len(rows) >= _PART_FACES or time.monotonic() - began > _PART_SECONDS:
            write()
            began = time.monotonic()
        yield new
    if records:
        write()


def _described(face: PhotoFace) -> EmbeddedFace:
    found = face.found
    box, probability = (None, None) if found is None else (found.box, found.probability)
    return EmbeddedFace(box, probability, face.quality.score)


def _record(parts: Parts, place: Place) -> Record:
    return parts.read(place.part).records[place.position]


def _lines(parts: Parts, places: Sequence[Place], listing: Listing) -> Iterator[tuple[object, ...]]:
    """The lines of the table."""
    row = 0
    for file, place in zip(listing.files, places, strict=True):
        record = _record(parts, place)
        start = (str(file), record.content, record.status, record.problem)
        if not record.faces:
            yield (*start, *[None] * 8)
        for number, face in enumerate(record.faces):
            box = [None] * 4 if face.box is None else [f"{edge:.2f}" for edge in face.box]
            sure = None if face.probability is None else f"{face.probability:.4f}"
            yield (*start, number, *box, sure, f"{face.quality:.4f}", row)
            row += 1
    for entry in listing.left_out:
        yield (entry.path, None, "left_out", entry.reason, *[None] * 8)


def _tensor_pieces(
    parts: Parts, places: Sequence[Place], shape: tuple[int, int], metadata: dict[str, str]
) -> Iterator[bytes]:
    """A file in the safetensors format, in pieces: the library would want all of it in memory at once."""
    tensor = {"dtype": "F32", "shape": shape, "data_offsets": (0, 4 * shape[0] * shape[1])}
    header = json.dumps({"__metadata__": metadata, "embeddings": tensor}).encode("ascii")
    header += b" " * (-len(header) % 8)
    yield len(header).to_bytes(8, "little") + header
    for place in places:
        part = parts.read(place.part)
        yield part.embeddings[part.rows(place.position)].astype("<f4", copy=False).tobytes()
