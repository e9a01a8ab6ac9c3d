"""The embeddings of a job that is not finished yet: a folder of parts, each whole or not there.

``FILE.partial/job.json``            what the embeddings depend on besides the pictures
``FILE.partial/000001.safetensors``  embeddings ``(n, d)``, and in its metadata which photos they come from
``FILE.partial/lock``                held while a process writes
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors
import safetensors.numpy

from facenet.errors import CheckpointError, ContractError, InputError, printable
from facenet.training.files import read_json, to_json
from facenet.workflows.stamps import Stamp
from facenet.workflows.writing import held, write_whole

_NAME = re.compile(r"\d{6}\.safetensors")
_JOB, _LOCK = "job.json", "lock"


class EmbeddedFace(NamedTuple):
    """Where an embedding comes from: box and probability are None where a whole picture was the face."""

    box: tuple[float, float, float, float] | None
    probability: float | None
    quality: float


@dataclass(frozen=True)
class Record:
    """What became of one photo.

    Attributes:
        file: absolute path.
        stamp: of the file before it was read.
        content: SHA-256 (hex) of its bytes, ``""`` if these cannot be read.
        problem: why it cannot be read, ``""`` if it can.
        faces: one for each embedding.
    """

    file: str
    stamp: Stamp | None
    content: str
    problem: str
    faces: tuple[EmbeddedFace, ...]

    @property
    def status(self) -> str:
        """``embedded``, ``no_face`` or ``unreadable``."""
        return "unreadable" if self.problem else "embedded" if self.faces else "no_face"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Record:
        """Read back what ``dataclasses.asdict`` gave, from JSON."""
        at = values["stamp"]
        faces = [
            EmbeddedFace(None if box is None else tuple(box), probability, quality)
            for box, probability, quality in values["faces"]
        ]
        return cls(
            file=str(values["file"]),
            stamp=None if at is None else Stamp(*at),
            content=str(values["content"]),
            problem=str(values["problem"]),
            faces=tuple(faces),
        )


class Place(NamedTuple):
    """Number of a part, and of a photo in it."""

    part: int
    position: int


class Part(NamedTuple):
    """What one file of parts holds.

    Attributes:
        records: photos.
        embeddings: of their faces, in order: ``float32 (n, d)``.
        starts: first row of each photo, and ``n``: ``int64 (photos + 1,)``.
    """

    records: tuple[Record, ...]
    embeddings: np.ndarray
    starts: np.ndarray

    def rows(self, position: int) -> slice:
        """Which rows belong to a photo."""
        return slice(self.starts[position], self.starts[position + 1])


class Parts:
    """The parts of one job, on disk; see :func:`open_parts`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.numbers = sorted(int(entry.stem) for entry in folder.iterdir() if _NAME.fullmatch(entry.name))
        self.read = lru_cache(maxsize=4)(self._read)

    def add(self, records: Sequence[Record], embeddings: np.ndarray) -> int:
        """Write one more part, and return its number once it is on disk.

        Raises:
            StorageError: it cannot be written.
        """
        number = max(self.numbers, default=0) + 1
        described = json.dumps([asdict(record) for record in records], allow_nan=False)
        data = safetensors.numpy.save({"embeddings": np.ascontiguousarray(embeddings)}, {"records": described})
        write_whole(self._path(number), [data])
        self.numbers.append(number)
        return number

    def remove(self) -> None:
        """Take the folder away: what was in it is elsewhere."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.safetensors"

    def _read(self, number: int) -> Part:
        path = self._path(number)
        try:
            with safetensors.safe_open(path, framework="numpy") as part:
                described = part.metadata()["records"]
                embeddings = part.get_tensor("embeddings")
            records = tuple(Record.from_dict(values) for values in json.loads(described))
        except (safetensors.SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{printable(path)} is damaged: remove it, and its pictures are embedded again"
            ) from error
        starts = np.cumsum([0, *(len(record.faces) for record in records)])
        if embeddings.ndim != 2 or embeddings.dtype != np.float32 or starts[-1] != len(embeddings):
            raise CheckpointError(f"{printable(path)} is not one of ours: remove it, and run the same command again")
        return Part(records, embeddings, starts)


@contextmanager
def open_parts(folder: Path, job: Mapping[str, Any]) -> Iterator[Parts]:
    """Open the folder of a job, made if it is not there; nobody else can while it is open.

    Args:
        folder: ``FILE.partial``.
        job: what the embeddings depend on besides the pictures, as plain values; ``fingerprint`` among them.

    Raises:
        ContractError: it holds embeddings of another model.
        InputError: it was begun with other flags, or another process is at it.
        CheckpointError: it is damaged, or none of ours.
        StorageError: it cannot be written.
    """
    with held(folder, _LOCK):
        _check(folder, job)
        yield Parts(folder)


def _check(folder: Path, job: Mapping[str, Any]) -> None:
    path = folder / _JOB
    if not path.exists():
        if any(entry.name != _LOCK and not entry.name.startswith(".") for entry in folder.iterdir()):
            raise InputError(f"{printable(folder)} is not one of ours: choose another --out")
        write_whole(path, [to_json(job)])
        return
    begun = read_json(path)
    remedy = f"finish it as it was begun, or remove {printable(folder)} to start again"
    if begun.get("fingerprint") != job["fingerprint"]:
        raise ContractError(
            f"{printable(folder)} holds unfinished embeddings with fingerprint {printable(begun.get('fingerprint'))}, "
            f"this model makes {job['fingerprint']}: {remedy}"
        )
    other = sorted(name for name in {*begun, *job} if begun.get(name) != job.get(name))
    if other:
        raise InputError(f"{printable(folder)} was begun with another {printable(', '.join(other))}: {remedy}")
