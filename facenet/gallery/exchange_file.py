"""The one file by which people move from gallery to gallery: written, and read as something a stranger may have made.

It is a safetensors file (https://github.com/huggingface/safetensors, "Format") that every reader of that format opens:

======================  ==========================  ===================================================================
tensor ``embeddings``   float32 ``(n, d)``          one row for each embedding, those of one person together
tensor ``people``       uint8, UTF-8 JSON lines     id, name, metadata, consent, expires, created, and how many rows
tensor ``samples``      uint8, UTF-8 JSON lines     for each row: source, content, box, quality, added
metadata                strings                     ``format``, ``version``, and ``gallery``: JSON with the contract,
                                                    the fingerprint and the size of an embedding
======================  ==========================  ===================================================================

The lines lie in tensors, for the metadata of a safetensors file may not grow beyond 100 MB, and so they are read one
after the other and never all at once.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeGuard

import numpy as np

from facenet.errors import CheckpointError, InputError, printable
from facenet.gallery.beside import new_file
from facenet.gallery.records import Header, Person, Sample, StoredSample
from facenet.preprocessing import Preprocessing

FORMAT = "facenet-gallery"
VERSION = 1
LONGEST_LINE = 4 * 1024 * 1024
LARGEST_PERSON = 1 << 30
"""Bytes of one person's embeddings; more are no person but an attempt to fill the memory."""

_HEADER_BYTES = 64 * 1024
_LARGEST_EMBEDDING = 65536
_LARGEST_NUMBER = 1e9
_LONGEST_TEXT = 64 * 1024
_TENSORS = {"embeddings": "F32", "people": "U8", "samples": "U8"}
_PERSON_KEYS = {"id", "name", "metadata", "consent", "expires", "created", "embeddings"}
_SAMPLE_KEYS = {"source", "content", "box", "quality", "added"}


@dataclass(frozen=True)
class FilePerson:
    """A person as the file describes it.

    Attributes:
        person: with the id the person had in the gallery it comes from.
        samples: their embeddings.
        added: UTC time of each, ISO 8601.
    """

    person: Person
    samples: tuple[Sample, ...]
    added: tuple[str, ...]


def write_exchange(
    path: Path,
    header: Header,
    *,
    vectors: Iterable[np.ndarray],
    people: Iterable[Person],
    samples: Iterable[StoredSample],
) -> None:
    """Write the file, readable by its owner only; it appears whole or not at all.

    Args:
        path: must not exist.
        header: of the gallery.
        vectors: blocks ``float32 (k, d)``; all rows, in the order of ``samples``. Used up first.
        people: in the order of their rows. Used up second.
        samples: each person's together; their embeddings are not looked at. Used up last.

    Raises:
        InputError: there is a file already.
        StorageError: it cannot be written.
    """
    with new_file(path) as stream:
        stream.write(bytes(8 + _HEADER_BYTES))
        rows = 0
        for block in vectors:
            stream.write(np.ascontiguousarray(block, dtype="<f4").data)
            rows += len(block)
        ends = [rows * header.embedding_size * 4]
        for lines in (map(_person_line, people), map(_sample_line, samples)):
            ends.append(ends[-1] + sum(stream.write(line) for line in lines))
        stream.seek(0)
        stream.write(_file_header(header, rows, ends))


def _file_header(header: Header, rows: int, ends: Sequence[int]) -> bytes:
    """Length and JSON as the format wants them, filled up with blanks to the room that was left."""
    gallery = {
        "fingerprint": header.fingerprint,
        "preprocessing": header.preprocessing.to_dict(),
        "embedding_size": header.embedding_size,
    }
    shapes = [[rows, header.embedding_size], [ends[1] - ends[0]], [ends[2] - ends[1]]]
    document: dict[str, Any] = {
        "__metadata__": {"format": FORMAT, "version": str(VERSION), "gallery": json.dumps(gallery, allow_nan=False)}
    }
    for name, shape, start, end in zip(_TENSORS, shapes, [0, *ends[:-1]], ends, strict=True):
        document[name] = {"dtype": _TENSORS[name], "shape": shape, "data_offsets": [start, end]}
    return _HEADER_BYTES.to_bytes(8, "little") + json.dumps(document).encode("ascii").ljust(_HEADER_BYTES)


def _person_line(person: Person) -> bytes:
    values = {key: getattr(person, key) for key in sorted(_PERSON_KEYS)}
    return _line({**values, "metadata": dict(person.metadata)})


def _sample_line(sample: StoredSample) -> bytes:
    return _line({key: getattr(sample, key) for key in sorted(_SAMPLE_KEYS)})


def _line(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, ensure_ascii=True, allow_nan=False).encode("ascii") + b"\n"


class ExchangeFile:
    """An export opened for reading; nothing in it is believed before it was looked at.

    Args:
        path: of the file.

    Attributes:
        header: contract, fingerprint and size of the embeddings.
        rows: how many embeddings there are.

    Raises:
        InputError: it cannot be read, or is not one of ours.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._stream: BinaryIO = path.open("rb")
        except OSError as error:
            raise InputError(f"cannot read {printable(path)}: {error.strerror or error}") from error
        try:
            self.header, self.rows, self._starts = self._read_header()
        except BaseException:
            self._stream.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def people(self) -> Iterator[FilePerson]:
        """Everyone in the file, one after the other; embeddings are ``float32 (d,)`` and not yet looked at.

        Raises:
            InputError: something in it is not as it must be.
        """
        vectors_at, person_at, people_end, end = self._starts
        sample_at, width = people_end, self.header.embedding_size
        while person_at < people_end:
            line, person_at = self._line(person_at, people_end)
            person = self._person(line)
            size = person.embeddings * width * 4
            if size > min(LARGEST_PERSON, self._starts[1] - vectors_at):
                raise self._bad("it names more embeddings than there are")
            block = np.frombuffer(self._read(vectors_at, size), dtype="<f4")
            vectors_at += size
            samples, added = [], []
            for vector in block.astype(np.float32, copy=False).reshape(person.embeddings, width):
                line, sample_at = self._line(sample_at, end)
                sample, when = self._sample(line, vector)
                samples.append(sample)
                added.append(when)
            yield FilePerson(person, tuple(samples), tuple(added))
        if vectors_at != self._starts[1] or sample_at != end:
            raise self._bad("it holds embeddings of nobody")

    def _read_header(self) -> tuple[Header, int, tuple[int, int, int, int]]:
        size = os.fstat(self._stream.fileno()).st_size
        length = int.from_bytes(self._read(0, 8), "little")
        if length > _HEADER_BYTES:
            raise self._bad("it is not an export of a gallery")
        document = self._object(self._read(8, length))
        tensors = {name: self._object(document.get(name)) for name in _TENSORS}
        metadata = self._object(document.get("__metadata__"))
        if set(document) != {*_TENSORS, "__metadata__"} or metadata.get("format") != FORMAT:
            raise self._bad("it is not an export of a gallery")
        if metadata.get("version") != str(VERSION):
            raise self._bad(f"this version reads exports of version {VERSION} only")
        header = self._header(metadata.get("gallery"))
        starts, bounds = [8 + length], [0]
        for name, kind in _TENSORS.items():
            shape, span = tensors[name].get("shape"), tensors[name].get("data_offsets")
            if not (_are_counts(shape) and _are_counts(span) and len(span) == 2 and span[0] == bounds[-1] <= span[1]):
                raise self._bad("its tensors cannot be read")
            wanted = math.prod(shape) * (4 if kind == "F32" else 1)
            if tensors[name].get("dtype") != kind or wanted != span[1] - span[0]:
                raise self._bad("its tensors cannot be read")
            bounds.append(span[1])
            starts.append(8 + length + span[1])
        if starts[-1] != size:
            raise self._bad(f"{size} bytes instead of {starts[-1]}: it was cut short or changed")
        shape = tensors["embeddings"]["shape"]
        if len(shape) != 2 or shape[1] != header.embedding_size:
            raise self._bad("its embeddings are not of the size it states")
        return header, shape[0], (starts[0], starts[1], starts[2], starts[3])

    def _header(self, text: object) -> Header:
        values = self._object(text.encode() if isinstance(text, str) else b"")
        fingerprint, size = values.get("fingerprint"), values.get("embedding_size")
        if not isinstance(fingerprint, str) or not _is_count(size) or not 1 <= size <= _LARGEST_EMBEDDING:
            raise self._bad("what it says of its gallery cannot be read")
        try:
            return Header(fingerprint, Preprocessing.from_dict(values.get("preprocessing", ())), size)
        except (CheckpointError, TypeError) as error:
            raise self._bad("its preprocessing contract cannot be read") from error

    def _person(self, line: bytes) -> Person:
        values = self._object(line)
        texts = [values.get(key) for key in ("name", "consent", "expires", "created")]
        if set(values) != _PERSON_KEYS or not all(_is_text(text) for text in texts):
            raise self._bad("a person in it cannot be read")
        if not (_is_count(values["id"]) and _is_count(values["embeddings"]) and isinstance(values["metadata"], dict)):
            raise self._bad("a person in it cannot be read")
        if not _is_time(values["created"]):
            raise self._bad("a person in it cannot be read")
        return Person(**values)

    def _sample(self, line: bytes, vector: np.ndarray) -> tuple[Sample, str]:
        values = self._object(line)
        if set(values) != _SAMPLE_KEYS or not all(_is_text(values[key]) for key in ("source", "content", "added")):
            raise self._bad("an embedding in it cannot be read")
        box, quality = values["box"], values["quality"]
        if not (_is_number(quality) and 0 <= quality <= 1 and _is_time(values["added"])):
            raise self._bad("an embedding in it cannot be read")
        if box is not None:
            if not (isinstance(box, list) and len(box) == 4 and all(_is_number(side) for side in box)):
                raise self._bad("an embedding in it cannot be read")
            box = (float(box[0]), float(box[1]), float(box[2]), float(box[3]))
        return Sample(vector, values["source"], values["content"], box, float(quality)), values["added"]

    def _line(self, start: int, end: int) -> tuple[bytes, int]:
        try:
            self._stream.seek(start)
            line = self._stream.readline(min(LONGEST_LINE, end - start))
        except OSError as error:
            raise self._bad(error.strerror or str(error)) from error
        if not line.endswith(b"\n"):
            raise self._bad("a line in it has no end")
        return line, start + len(line)

    def _read(self, start: int, count: int) -> bytes:
        try:
            self._stream.seek(start)
            data = self._stream.read(count)
        except OSError as error:
            raise self._bad(error.strerror or str(error)) from error
        if len(data) != count:
            raise self._bad("it was cut short")
        return data

    def _object(self, text: object) -> dict[str, Any]:
        """A JSON object, from its text or as it is."""
        if isinstance(text, bytes):
            try:
                text = json.loads(text, parse_constant=_refuse)
            except (ValueError, RecursionError) as error:
                raise self._bad("it is not an export of a gallery, or was changed") from error
        if not isinstance(text, dict):
            raise self._bad("it is not an export of a gallery, or was changed")
        return text

    def _bad(self, reason: str) -> InputError:
        return InputError(f"cannot import {printable(self._path)}: {reason}")


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON")


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62


def _are_counts(values: object) -> TypeGuard[list[int]]:
    return isinstance(values, list) and all(_is_count(value) for value in values)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST_NUMBER


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_TEXT


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
