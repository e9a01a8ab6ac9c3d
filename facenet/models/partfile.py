"""Files that come piece by piece: the part, the note that says what it is part of, and writing without half results.

Beside a growing ``FILE.part`` lies ``FILE.part.json`` with the validator (ETag or Last-Modified) the server gave for
the file. Only a part with a legible note for the same address is ever continued.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from facenet.errors import StorageError, WeightsError, printable


@dataclass(frozen=True)
class PartNote:
    """What is known of the file a part belongs to.

    Attributes:
        url: address it was asked from.
        validator: a strong ETag (with its quotes) or a Last-Modified date.
        total: length of the whole file in bytes, or None where the server did not say.
    """

    url: str
    validator: str
    total: int | None


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Turn an OSError of the file system into a StorageError that names ``path``."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot write {printable(path)}: {error.strerror or error}") from error


def read_note(part: Path, url: str) -> PartNote | None:
    """Return the note of a part of ``url``; None (start over) if there is none or it is not legible."""
    try:
        stored = json.loads(_note_path(part).read_bytes())
        note = PartNote(url=stored["url"], validator=stored["validator"], total=stored["total"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
    legible = isinstance(note.validator, str) and (note.total is None or isinstance(note.total, int))
    return note if legible and note.url == url else None


def restart(part: Path, note: PartNote | None) -> None:
    """Make ``part`` empty and ``note`` its note; without a note it will not be continued.

    Raises:
        StorageError: the folder cannot be written.
    """
    with storing(part):
        # Empty first: a note must never describe bytes of another file.
        part.open("wb").close()
        if note is None:
            _note_path(part).unlink(missing_ok=True)
        else:
            write_json(_note_path(part), asdict(note))


def discard(part: Path) -> None:
    """Remove a part and its note, as far as they are there.

    Raises:
        StorageError: they cannot be removed.
    """
    with storing(part):
        part.unlink(missing_ok=True)
        _note_path(part).unlink(missing_ok=True)


def write_json(path: Path, document: object) -> None:
    """Write ``document`` so that ``path`` holds either the old or the new text, never a piece of it.

    Raises:
        StorageError: the folder cannot be written.
    """
    fresh = path.with_name(path.name + ".new")
    with storing(path):
        with fresh.open("w", encoding="utf-8") as file:
            json.dump(document, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as 64 lower-case hexadecimal digits.

    Raises:
        WeightsError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"cannot read {printable(path)}: {error.strerror or error}") from error


def _note_path(part: Path) -> Path:
    return part.with_name(part.name + ".json")
