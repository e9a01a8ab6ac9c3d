"""The file an index is kept in: named arrays that can be checked quickly and wiped in place.

A page of 4096 bytes (eight letters, then a JSON object padded with spaces), the arrays' bytes one after another, a
CRC-32 for every MiB of each array, and at the end the SHA-256 of page and CRCs. Every byte is covered. Nothing here
trusts the file: sizes and types are checked before they are used, and none of it can run code.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO

import numpy as np

from facenet.errors import GalleryError

_MAGIC = b"FACEIDX1"
_PAGE = 4096
_BLOCK = 1 << 20
_DIGEST = hashlib.sha256().digest_size
_TYPES = ("<f4", "<f8", "<i8", "|u1")
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class CacheError(GalleryError):
    """A cache cannot be used; the message says why, to be read after "the index cache "."""


@dataclass(frozen=True)
class Section:
    """One array in the file.

    Attributes:
        name: unique.
        dtype: one of four little-endian types.
        shape: of the array.
        wiped: whether its bytes were zeroed because they could no longer be kept.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    wiped: bool = False

    @property
    def bytes(self) -> int:
        """Its length in the file."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    @property
    def blocks(self) -> int:
        """CRCs it has."""
        return -(-self.bytes // _BLOCK)


def write_arrays(stream: BinaryIO, about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write a whole file.

    Args:
        stream: empty and writable.
        about: plain values that :func:`read_about` gives back.
        arrays: of the types ``float32``, ``float64``, ``int64`` and ``uint8``.
    """
    sections = [Section(name, array.dtype.newbyteorder("<").str, array.shape) for name, array in arrays.items()]
    page = _page(about, sections)
    stream.write(page)
    sums: list[int] = []
    for section, array in zip(sections, arrays.values(), strict=True):
        content = np.ascontiguousarray(array, section.dtype).reshape(-1).view(np.uint8).data
        for start in range(0, section.bytes, _BLOCK):
            sums.append(zlib.crc32(content[start : start + _BLOCK]))
            stream.write(content[start : start + _BLOCK])
    stream.write(_trailer(page, np.array(sums, "<u4")))


class CacheFile:
    """An open file of this format. Opening reads and checks page and CRCs, not yet the arrays.

    Args:
        handle: descriptor of the file, readable (and writable for :meth:`edit` and :meth:`wipe`); not closed here.

    Attributes:
        about: the plain values it was written with.
        sections: arrays by name.

    Raises:
        CacheError: another kind of file, or a damaged one.
    """

    def __init__(self, handle: int) -> None:
        self._handle = handle
        size = os.fstat(handle).st_size
        self._page = os.pread(handle, _PAGE, 0)
        self.about, sections = _parse(self._page)
        self.sections = {section.name: section for section in sections}
        self._offsets: dict[str, int] = {}
        self._first_block: dict[str, int] = {}
        offset, blocks = _PAGE, 0
        for section in sections:
            self._offsets[section.name], self._first_block[section.name] = offset, blocks
            offset, blocks = offset + section.bytes, blocks + section.blocks
        self._end = offset
        if size != offset + 4 * blocks + _DIGEST:
            raise CacheError("is damaged: it is not as long as it says")
        trailer = os.pread(handle, 4 * blocks + _DIGEST, offset)
        self._sums = np.frombuffer(trailer[: 4 * blocks], "<u4").copy()
        if trailer != _trailer(self._page, self._sums):
            raise CacheError("is damaged: its digest is another")

    def read(self, name: str, into: np.ndarray | None = None) -> np.ndarray:
        """Read one array and check every byte of it.

        Args:
            name: of the section.
            into: contiguous array of its type and shape to read into; a new one if None.

        Raises:
            CacheError: not there, of another type or shape than ``into``, or damaged.
        """
        section = self._section(name)
        array = np.empty(section.shape, section.dtype) if into is None else into
        if array.shape != section.shape or array.dtype != np.dtype(section.dtype):
            raise CacheError(f"is damaged: {name} is not what it should be")
        content = array.reshape(-1).view(np.uint8).data
        for number, start in enumerate(range(0, section.bytes, _BLOCK)):
            self._read_block(name, number, content[start : start + _BLOCK])
        return array

    def edit(self, name: str, rows: np.ndarray, value: float) -> None:
        """Overwrite lines of an array with one value, in place. :meth:`seal` makes the file valid again.

        Raises:
            CacheError: what is overwritten was damaged already.
        """
        section = self._section(name)
        line = section.bytes // max(1, section.shape[0])
        blank = np.full(section.shape[1:], value, section.dtype).tobytes()
        starts = np.sort(rows) * line
        for number in np.unique(np.concatenate([starts, starts + line - 1]) // _BLOCK):
            begin = int(number) * _BLOCK
            block = bytearray(min(_BLOCK, section.bytes - begin))
            self._read_block(name, int(number), memoryview(block))
            for start in starts[(starts + line > begin) & (starts < begin + len(block))].tolist():
                first, last = max(start, begin), min(start + line, begin + len(block))
                block[first - begin : last - begin] = blank[first - start : last - start]
            self._write_block(name, int(number), block)

    def wipe(self, name: str) -> None:
        """Zero a whole array, in place, and mark it so. :meth:`seal` makes the file valid again."""
        section = self._section(name)
        for number in range(section.blocks):
            self._write_block(name, number, bytes(min(_BLOCK, section.bytes - number * _BLOCK)))
        self.sections[name] = Section(section.name, section.dtype, section.shape, wiped=True)

    def seal(self) -> None:
        """Write page and digest that go with the present content, and wait until all is on disk."""
        self._page = _page(self.about, list(self.sections.values()))
        os.pwrite(self._handle, self._page, 0)
        os.pwrite(self._handle, _trailer(self._page, self._sums), self._end)
        os.fsync(self._handle)

    def _section(self, name: str) -> Section:
        section = self.sections.get(name)
        if section is None:
            raise CacheError(f"is damaged: it has no {name}")
        return section

    def _read_block(self, name: str, number: int, into: memoryview) -> None:
        read = os.preadv(self._handle, [into], self._offsets[name] + number * _BLOCK)
        if read != len(into) or zlib.crc32(into) != self._sums[self._first_block[name] + number]:
            raise CacheError(f"is damaged: the checksum of its {name} is another")

    def _write_block(self, name: str, number: int, content: bytes | bytearray) -> None:
        os.pwrite(self._handle, content, self._offsets[name] + number * _BLOCK)
        self._sums[self._first_block[name] + number] = zlib.crc32(content)


def require_private(status: os.stat_result, kind: Callable[[int], bool], what: str) -> None:
    """Refuse what somebody else could have written.

    Args:
        status: of the file or folder.
        kind: such as ``stat.S_ISREG``.
        what: name of it, for the message.

    Raises:
        CacheError: another kind of thing, of another owner, or writable by others.
    """
    if not kind(status.st_mode):
        raise CacheError(f"cannot be trusted: {what} is a link or something else")
    if status.st_uid != os.geteuid():
        raise CacheError(f"cannot be trusted: {what} belongs to another user")
    if status.st_mode & _OTHERS_WRITE:
        raise CacheError(f"cannot be trusted: {what} can be written by others")


def _page(about: Mapping[str, Any], sections: list[Section]) -> bytes:
    document = {"about": dict(about), "sections": [asdict(section) for section in sections]}
    text = json.dumps(document, ensure_ascii=True, allow_nan=False).encode("ascii")
    return (_MAGIC + text).ljust(_PAGE)


def _parse(page: bytes) -> tuple[dict[str, Any], list[Section]]:
    if page[: len(_MAGIC)] != _MAGIC or len(page) != _PAGE:
        raise CacheError("is damaged: it does not begin as one of ours")
    try:
        document = json.loads(page[len(_MAGIC) :])
        about = dict(document["about"])
        sections = [Section(**{**fields, "shape": tuple(fields["shape"])}) for fields in document["sections"]]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CacheError("is damaged: its first page cannot be read") from error
    for section in sections:
        sizes_fit = all(isinstance(length, int) and 0 <= length < 1 << 40 for length in section.shape)
        named = isinstance(section.name, str) and section.dtype in _TYPES
        if not named or not sizes_fit or not 1 <= len(section.shape) <= 2:
            raise CacheError("is damaged: its first page describes no arrays")
    return about, sections


def _trailer(page: bytes, sums: np.ndarray) -> bytes:
    return sums.tobytes() + hashlib.sha256(page + sums.tobytes()).digest()
