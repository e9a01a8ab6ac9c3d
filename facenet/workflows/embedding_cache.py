"""Embeddings kept between runs, by what made them and by what is in the picture's file.

``CACHE/KEY/``                           KEY: hash over all that an embedding depends on besides the picture
``CACHE/KEY/TOKEN-SHA256.safetensors``   a part: embeddings of up to 2,048 pictures, named by the hash of its bytes

Embeddings are biometric data: the folders can be entered by their owner only. A part is whole or not there, is never
changed, and has a name of its own, so that several processes may use one cache. What is read is checked, and what does
not pass is embedded again.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from facenet.errors import printable
from facenet.training.files import TEMPORARY
from facenet.workflows.writing import cannot_write, write_whole

_FORMAT = "1"
_KEY = re.compile(r"[0-9a-f]{32}")
_PART = re.compile(r"[0-9a-f]{16}-(?P<digest>[0-9a-f]{64})\.safetensors")

_PART_ENTRIES, _PART_SECONDS = 2048, 20.0
"""A part is written after so many embeddings or seconds: no more is lost when a run is interrupted."""

_MOST_BYTES = 256 * 1024 * 1024
"""Larger files are none of ours."""

_UNIT = 1e-3
"""By how much the length of a stored embedding may differ from 1."""


class Entry(NamedTuple):
    """What is known of one picture.

    Attributes:
        content: 64 hexadecimal digits: SHA-256 of what the embedding was made from.
        embedding: ``float32 (d,)``, length 1.
        mirrored: the same of the face mirrored, or None.
        box: ``float32 (4,)``; NaN where the whole picture is the face.
        quality: in ``[0, 1]``.
        guessed: no face was found, and this is the middle of the picture.
    """

    content: str
    embedding: NDArray[np.float32]
    mirrored: NDArray[np.float32] | None
    box: NDArray[np.float32]
    quality: float
    guessed: bool


class EmbeddingCache:
    """The embeddings of one maker; see :func:`open_cache`."""

    def __init__(self, folder: Path, digest: str, size: int, say: Callable[[str], None] | None) -> None:
        self.folder = folder
        self._maker, self._size, self._say = np.frombuffer(bytes.fromhex(digest), dtype=np.uint8), size, say
        self._waiting: list[Entry] = []
        self._since = time.monotonic()

    def find(self, contents: Collection[str], *, mirrored: bool) -> dict[str, Entry]:
        """Those of some pictures that are at hand.

        Args:
            contents: see :attr:`Entry.content`.
            mirrored: only entries with an embedding of the mirrored face will do.
        """
        wanted, found, refused = set(contents), dict[str, Entry](), 0
        for path in sorted(self.folder.iterdir()):
            if _PART.fullmatch(path.name) is None:
                continue
            part = self._read(path)
            if part is None:
                refused += 1
            elif "mirrored" in part or not mirrored:
                found.update((entry.content, entry) for entry in _entries(part, wanted))
        if refused and self._say is not None:
            self._say(
                f"{refused:,} files of stored embeddings in {printable(self.folder)} are damaged or foreign and are "
                "not used: their pictures are embedded again"
            )
        return found

    def add(self, entry: Entry) -> None:
        """Keep one more. It is on disk after :meth:`flush`, or when enough have come together.

        Raises:
            StorageError: it cannot be written.
        """
        self._waiting.append(entry)
        if len(self._waiting) >= _PART_ENTRIES or time.monotonic() - self._since > _PART_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what has been added.

        Raises:
            StorageError: it cannot be written.
        """
        waiting, self._waiting, self._since = self._waiting, [], time.monotonic()
        for mirrored in (False, True):
            entries = [entry for entry in waiting if (entry.mirrored is not None) == mirrored]
            if entries:
                self._write(entries)

    def _write(self, entries: list[Entry]) -> None:
        arrays: dict[str, NDArray[Any]] = {
            "maker": self._maker,
            "contents": np.stack([np.frombuffer(bytes.fromhex(entry.content), dtype=np.uint8) for entry in entries]),
            "embeddings": np.stack([entry.embedding for entry in entries]),
            "boxes": np.stack([entry.box for entry in entries]),
            "qualities": np.array([entry.quality for entry in entries], dtype=np.float32),
            "guessed": np.array([entry.guessed for entry in entries], dtype=np.bool_),
        }
        mirrored = [entry.mirrored for entry in entries if entry.mirrored is not None]
        if mirrored:
            arrays["mirrored"] = np.stack(mirrored)
        data = safetensors.numpy.save(arrays)
        path = self.folder / f"{secrets.token_hex(8)}-{hashlib.sha256(data).hexdigest()}.safetensors"
        write_whole(path, [data])
        try:
            # The folder has been closed to others all the while; this is for the day when somebody opens it.
            path.chmod(0o600)
        except OSError as error:
            raise cannot_write(path, error) from error

    def _read(self, path: Path) -> dict[str, NDArray[Any]] | None:
        """The arrays of a part; None if it is not to be trusted."""
        named = _PART.fullmatch(path.name)
        try:
            if named is None or path.stat().st_size > _MOST_BYTES:
                return None
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() != named["digest"]:
                return None
            part = safetensors.numpy.load(data)
        except (OSError, safetensors.SafetensorError, KeyError, TypeError, ValueError):
            # The library fails in its own ways on types that NumPy does not know.
            return None
        return part if self._sound(part) else None

    def _sound(self, part: Mapping[str, NDArray[Any]]) -> bool:
        """Whether the arrays are what this maker can have made."""
        if not {"maker", "contents", "embeddings", "boxes", "qualities", "guessed"} <= set(part):
            return False
        n = part["contents"].shape[:1]
        shapes = {
            "maker": (np.uint8, self._maker.shape), "contents": (np.uint8, (*n, 32)),
            "embeddings": (np.float32, (*n, self._size)), "mirrored": (np.float32, (*n, self._size)),
            "boxes": (np.float32, (*n, 4)), "qualities": (np.float32, n), "guessed": (np.bool_, n),
        }  # fmt: skip
        if not all(name in shapes and (array.dtype, array.shape) == shapes[name] for name, array in part.items()):
            return False
        # Each written so that NaN does not pass.
        unit = [np.abs(np.linalg.norm(part[name], axis=1) - 1) < _UNIT for name in _VECTORS if name in part]
        whole = np.isnan(part["boxes"]).all(axis=1) | np.isfinite(part["boxes"]).all(axis=1)
        within = np.abs(part["qualities"] - 0.5) <= 0.5
        return np.array_equal(part["maker"], self._maker) and all(bool(good.all()) for good in (*unit, whole, within))


_VECTORS = ("embeddings", "mirrored")


@contextmanager
def open_cache(
    folder: Path, maker: Mapping[str, Any], size: int, *, say: Callable[[str], None] | None = None
) -> Iterator[EmbeddingCache]:
    """Open the part of a cache that holds what one maker made. At the end, and when interrupted, all is on disk.

    Args:
        folder: of the cache; made if it is not there.
        maker: all that an embedding depends on besides the picture, as plain values.
        size: values in an embedding.
        say: told when something stored is not used.

    Raises:
        StorageError: it cannot be made or written.
    """
    described = json.dumps({"format": _FORMAT, **maker}, sort_keys=True, allow_nan=False)
    digest = hashlib.sha256(described.encode()).hexdigest()
    place = folder / digest[:32]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        place.mkdir(mode=0o700, exist_ok=True)
        # It may have been there, and open to others.
        place.chmod(0o700)
    except OSError as error:
        raise cannot_write(place, error) from error
    cache = EmbeddingCache(place, digest, size, say)
    try:
        yield cache
    finally:
        cache.flush()


def forget(folder: Path) -> int:
    """Delete all stored embeddings of a cache, whatever made them; nothing else that lies there is touched.

    Returns:
        How many files were deleted.

    Raises:
        StorageError: one cannot be deleted.
    """
    deleted = 0
    try:
        for place in sorted(folder.iterdir()) if folder.is_dir() else ():
            if not (_KEY.fullmatch(place.name) and place.is_dir() and not place.is_symlink()):
                continue
            for path in sorted(place.iterdir()):
                if _PART.fullmatch(path.name.removeprefix(TEMPORARY)):
                    path.unlink(missing_ok=True)
                    deleted += 1
            if not any(place.iterdir()):
                place.rmdir()
    except OSError as error:
        raise cannot_write(folder, error) from error
    return deleted


def _entries(part: Mapping[str, NDArray[Any]], wanted: Collection[str]) -> Iterator[Entry]:
    """The wanted rows of a part, copied, so that the others need not stay in memory."""
    contents = [row.tobytes().hex() for row in part["contents"]]
    mirrored = part.get("mirrored")
    for row, content in enumerate(contents):
        if content in wanted:
            yield Entry(
                content,
                part["embeddings"][row].copy(),
                None if mirrored is None else mirrored[row].copy(),
                part["boxes"][row].copy(),
                float(part["qualities"][row]),
                bool(part["guessed"][row]),
            )
