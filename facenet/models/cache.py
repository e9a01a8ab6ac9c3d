"""The folder weights are kept in: what is there, and whether it is whole.

Beside a downloaded ``FILE`` lies ``FILE.sha256.json``: checksum, length, address and time of its download. Where the
catalogue knows no checksum, that record is what later checks and later downloads compare with.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from facenet.errors import WeightsError, printable
from facenet.models.catalogue import WeightsEntry, weights_folder
from facenet.models.partfile import sha256_of, write_json

_DIGITS = 64


class Condition(StrEnum):
    """What a check of one weights file came to."""

    MISSING = "missing"
    OK = "ok"
    SIZE_DIFFERS = "size differs"
    CHECKSUM_DIFFERS = "checksum differs"
    UNRECORDED = "unrecorded"


@dataclass(frozen=True)
class DownloadRecord:
    """What was noted when a file came.

    Attributes:
        sha256: 64 lower-case hexadecimal digits.
        bytes: length of the file.
        url: where it came from, or None if it was found in the folder.
        time: when it was noted, ISO 8601 in UTC.
    """

    sha256: str
    bytes: int
    url: str | None
    time: str


@dataclass(frozen=True)
class WeightsStatus:
    """Result of :func:`verify` for one catalogue entry.

    Attributes:
        entry: what was checked.
        path: where the file is or would be.
        condition: see :class:`Condition`; ``UNRECORDED`` is a file with nothing against it whose checksum nobody knows.
        bytes: length found, or None if there is no file.
        sha256: checksum found, or None if it was not computed (no file, or the size is wrong already).
        expected_sha256: see :func:`expected_sha256`.
    """

    entry: WeightsEntry
    path: Path
    condition: Condition
    bytes: int | None
    sha256: str | None
    expected_sha256: str | None

    @property
    def usable(self) -> bool:
        """Whether the file is there and nothing known speaks against it."""
        return self.condition in (Condition.OK, Condition.UNRECORDED)


def weights_path(entry: WeightsEntry, folder: Path | None = None) -> Path:
    """Return where the file of ``entry`` is or would be; ``folder`` None is the catalogue's own."""
    return (weights_folder() if folder is None else folder) / entry.file_name


def at_hand(entry: WeightsEntry, folder: Path | None = None) -> bool:
    """Return whether the file of ``entry`` is there and has the right size: a quick look, without hashing.

    A file whose download record names another checksum than the catalogue does not count.

    Raises:
        WeightsError: the download record is damaged.
    """
    path = weights_path(entry, folder)
    if not path.is_file() or path.stat().st_size not in _sizes(entry, path):
        return False
    noted = read_record(path)
    return noted is None or entry.sha256 is None or noted.sha256.startswith(entry.sha256)


def verify(entry: WeightsEntry, folder: Path | None = None) -> WeightsStatus:
    """Check the file of ``entry`` byte by byte against the catalogue or, where that is silent, the download record.

    Raises:
        WeightsError: the file cannot be read, or its download record is damaged.
    """
    path = weights_path(entry, folder)
    expected = expected_sha256(entry, path)
    if not path.is_file():
        return WeightsStatus(entry, path, Condition.MISSING, None, None, expected)
    size = path.stat().st_size
    if size not in _sizes(entry, path):
        return WeightsStatus(entry, path, Condition.SIZE_DIFFERS, size, None, expected)
    found = sha256_of(path)
    if expected is None:
        condition = Condition.UNRECORDED
    else:
        condition = Condition.OK if found.startswith(expected) else Condition.CHECKSUM_DIFFERS
    return WeightsStatus(entry, path, condition, size, found, expected)


def remember(status: WeightsStatus) -> None:
    """Record the checksum of an ``UNRECORDED`` file, so that later checks have something to compare with.

    Raises:
        ValueError: the file is in any other condition.
        StorageError: the record cannot be written.
    """
    if status.condition is not Condition.UNRECORDED or status.sha256 is None or status.bytes is None:
        raise ValueError(f"only an unrecorded file can be recorded, not one that is {status.condition.value}")
    write_record(status.path, status.sha256, status.bytes, None)


def expected_sha256(entry: WeightsEntry, path: Path) -> str | None:
    """Return the checksum the file of ``entry`` must have: the catalogue's, else the recorded one, else None.

    Where the catalogue knows the first digits only, it is the recorded one that begins so, else those digits.

    Raises:
        WeightsError: the download record is needed and damaged.
    """
    if entry.sha256 is not None and len(entry.sha256) == _DIGITS:
        return entry.sha256
    noted = read_record(path)
    if noted is None or not noted.sha256.startswith(entry.sha256 or ""):
        return entry.sha256
    return noted.sha256


def read_record(path: Path) -> DownloadRecord | None:
    """Return what was noted when the file ``path`` came, or None if nothing was.

    Raises:
        WeightsError: there is a record, but it is damaged.
    """
    place = _record_path(path)
    try:
        stored = json.loads(place.read_bytes())
        noted = DownloadRecord(sha256=stored["sha256"], bytes=stored["bytes"], url=stored["url"], time=stored["time"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise WeightsError(_damaged(place)) from error
    if not isinstance(noted.sha256, str) or not isinstance(noted.bytes, int):
        raise WeightsError(_damaged(place))
    return noted


def write_record(path: Path, sha256: str, size: int, url: str | None) -> None:
    """Note checksum, length and origin of the file ``path``, with the present time.

    Raises:
        StorageError: the folder cannot be written.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(_record_path(path), asdict(DownloadRecord(sha256, size, url, now)))


def _sizes(entry: WeightsEntry, path: Path) -> tuple[int, ...]:
    """Return the one length the file may have; its present length where nobody states one."""
    if entry.bytes is not None:
        return (entry.bytes,)
    noted = read_record(path)
    return (path.stat().st_size,) if noted is None else (noted.bytes,)


def _damaged(place: Path) -> str:
    return f"the download record {printable(place)} is damaged: delete it and try again"


def _record_path(path: Path) -> Path:
    return path.with_name(path.name + ".sha256.json")
