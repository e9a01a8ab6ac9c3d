"""Rows read from a database file's pages themselves, where SQLite cannot find its way any more.

A damaged page hides everything that is reached through it, and a damaged first page the whole file. The rows are still
there: every leaf page of a table tells by itself where its rows begin. This module reads them, and nothing it reads is
to be believed without the row's own checksum.

Reference: "Database File Format", https://www.sqlite.org/fileformat2.html, sections 1.3 (header), 1.6 (b-tree pages),
2.1 (records) and 4 (the write-ahead log).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

Value = None | int | float | str | bytes
Buffer = bytes | bytearray | memoryview

_MAGIC = b"SQLite format 3\x00"
_TABLE_LEAF, _INDEX_LEAF, _INDEX_INTERIOR = 0x0D, 0x0A, 0x02
_NO_ROW = (ValueError, IndexError, struct.error)
"""What is raised on the way where there is no row, or no longer: it is missing in what is counted afterwards."""

_WAL_MAGIC = 0x377F0682
_WAL_HEADER = 32
_FRAME_HEADER = 24
_LONGEST_ROW = 8 * 1024 * 1024
_INTEGER_SIZES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


@dataclass(frozen=True)
class LogFrames:
    """What a write-ahead log holds.

    Attributes:
        page_size: in bytes.
        pages: where the data of each page's newest version that belongs to a finished transaction begins.
        broken: a frame cannot be read although finished transactions come after it: SQLite passes over those without
            a word.
    """

    page_size: int
    pages: dict[int, int]
    broken: bool


def read_log(log: Buffer) -> LogFrames | None:
    """Where the pages in a write-ahead log are, also those after a damaged frame; None if there is no log.

    Args:
        log: contents of the ``-wal`` file.
    """
    view = memoryview(log)
    if len(view) < _WAL_HEADER:
        return None
    magic, _, page_size = struct.unpack_from(">III", view)
    order = ">" if magic & 1 else "<"
    sums = _checksum(view[:24], (0, 0), order)
    if magic & ~1 != _WAL_MAGIC or not _is_page_size(page_size) or struct.pack(">II", *sums) != view[24:32]:
        return None
    salts = bytes(view[16:24])
    finished: dict[int, int] = {}
    begun: dict[int, int] = {}
    bad = broken = False
    for start in range(_WAL_HEADER, len(view) - _FRAME_HEADER - page_size + 1, _FRAME_HEADER + page_size):
        number, pages_after = struct.unpack_from(">II", view, start)
        data = start + _FRAME_HEADER
        if view[start + 8 : start + 16] != salts:
            # Left over from before the log was last begun anew, or damaged just here.
            bad = True
            continue
        if not bad:
            sums = _checksum(view[start : start + 8], sums, order)
            sums = _checksum(view[data : data + page_size], sums, order)
            bad = struct.pack(">II", *sums) != view[start + 16 : start + 24]
        begun[number] = data
        if pages_after:
            finished.update(begun)
            begun = {}
            broken = broken or bad
    return LogFrames(page_size, finished, broken)


class PageReader:
    """The rows of all tables in a database file and its write-ahead log, as far as pages can be read.

    Args:
        database: contents of the file; damaged or cut short at will.
        log: contents of its write-ahead log, empty if there is none.
        page_size: to be assumed where neither says it.
    """

    def __init__(self, database: Buffer, log: Buffer, *, page_size: int) -> None:
        self._database, self._log = memoryview(database), memoryview(log)
        frames = read_log(log)
        stated = int.from_bytes(self._database[16:18], "big") if self._database[:16] == _MAGIC else 0
        stated = 65536 if stated == 1 else stated
        if frames is not None:
            self._size = frames.page_size
        elif _is_page_size(stated):
            self._size = stated
        else:
            self._size = page_size
        self._frames = {} if frames is None else frames.pages

    @property
    def size(self) -> int:
        """Bytes of both files."""
        return len(self._database) + len(self._log)

    @property
    def count(self) -> int:
        """How many pages there are."""
        return max([len(self._database) // self._size, *self._frames])

    def rows(self) -> Iterator[tuple[int, tuple[Value, ...]]]:
        """Row id and columns of every row found, in no order; a row may come twice, in a former state, or wrong.

        A column that stands for the row id itself is None, and a float without a fraction is an int, as SQLite
        writes them.
        """
        for page, cell in self._cells({_TABLE_LEAF: 0}):
            with suppress(*_NO_ROW):
                length, position = _varint(page, cell)
                row, position = _varint(page, position)
                row = row - (1 << 64) if row >= 1 << 63 else row
                yield row, _columns(self._payload(page, position, length, self._size - 35))

    def entries(self) -> Iterator[tuple[Value, ...]]:
        """Columns of every row of a table without row ids, and of every index; as little to be relied on."""
        for page, cell in self._cells({_INDEX_LEAF: 0, _INDEX_INTERIOR: 4}):
            with suppress(*_NO_ROW):
                length, position = _varint(page, cell)
                yield _columns(self._payload(page, position, length, (self._size - 12) * 64 // 255 - 23))

    def _cells(self, kinds: Mapping[int, int]) -> Iterator[tuple[memoryview, int]]:
        """Page and position of every row in pages of these kinds.

        Args:
            kinds: first byte of a page → bytes of page numbers before and in each of its cells.
        """
        for number in range(1, self.count + 1):
            page = self._page(number)
            start = 100 if number == 1 else 0
            if page is None or page[start] not in kinds:
                continue
            skipped = kinds[page[start]]
            cells = int.from_bytes(page[start + 3 : start + 5], "big")
            first = start + 8 + skipped
            for pointer in range(first, min(first + 2 * cells, self._size - 1), 2):
                yield page, int.from_bytes(page[pointer : pointer + 2], "big") + skipped

    def _page(self, number: int) -> memoryview | None:
        if number in self._frames:
            start = self._frames[number]
            return self._log[start : start + self._size]
        start = (number - 1) * self._size
        page = self._database[start : start + self._size]
        return page if number >= 1 and len(page) == self._size else None

    def _payload(self, page: memoryview, position: int, length: int, most: int) -> memoryview:
        """A row's bytes, its overflow pages followed (section 1.6, "local payload")."""
        usable = self._size
        if length > _LONGEST_ROW:
            raise ValueError("no row of a gallery")
        if length <= most:
            local = length
        else:
            least = (usable - 12) * 32 // 255 - 23
            local = least + (length - least) % (usable - 4)
            local = local if local <= most else least
        parts, missing = [page[position : position + local]], length - local
        following = int.from_bytes(page[position + local : position + local + 4], "big")
        while missing > 0:
            more = self._page(following)
            if more is None:
                raise ValueError("an overflow page is missing")
            parts.append(more[4 : 4 + min(missing, usable - 4)])
            missing -= len(parts[-1])
            following = int.from_bytes(more[:4], "big")
        whole = parts[0] if len(parts) == 1 else memoryview(b"".join(parts))
        if len(whole) != length:
            raise ValueError("runs over the end of the page")
        return whole


def _columns(payload: memoryview) -> tuple[Value, ...]:
    """Take a record apart (section 2.1)."""
    end, position = _varint(payload, 0)
    body, columns = end, []
    while position < end:
        kind, position = _varint(payload, position)
        size = _INTEGER_SIZES.get(kind, 8 if kind == 7 else 0 if kind < 12 else (kind - 12) // 2)
        data = payload[body : body + size]
        if len(data) != size or kind in (10, 11):
            raise ValueError("not a record")
        columns.append(_value(kind, data))
        body += size
    if body != len(payload):
        raise ValueError("not a record")
    return tuple(columns)


def _value(kind: int, data: memoryview) -> Value:
    if kind == 0:
        return None
    if kind <= 6:
        return int.from_bytes(data, "big", signed=True)
    if kind == 7:
        return float(struct.unpack(">d", data)[0])
    if kind <= 9:
        return kind - 8
    return bytes(data) if kind % 2 == 0 else str(data, "utf-8")


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    """A number of one to nine bytes and the position after it."""
    value = 0
    for read in range(8):
        byte = data[position + read]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, position + read + 1
    return value << 8 | data[position + 8], position + 9


def _checksum(data: memoryview, sums: tuple[int, int], order: str) -> tuple[int, int]:
    """The log's running checksum (section 4.2) over an even number of 32-bit words.

    Each two words ``x, y`` make of the sums ``s`` the sums ``A·s + (x, x + y)`` with ``A = [[1, 1], [1, 2]]``, modulo
    2**32; so many of them are one weighted sum.
    """
    words = np.frombuffer(data, dtype=f"{order}u4").astype(np.uint32).reshape(-1, 2)
    powers = _powers(len(words))
    steps = np.stack([words[:, 0], words[:, 0] + words[:, 1]], axis=1)
    begun = powers[-1] * np.array(sums, np.uint32)
    total = (powers[-2::-1] * steps[:, None, :]).sum(axis=(0, 2), dtype=np.uint32) + begun.sum(axis=1, dtype=np.uint32)
    return int(total[0]), int(total[1])


@lru_cache(maxsize=8)
def _powers(count: int) -> np.ndarray:
    """``A**0 … A**count``, ``uint32 (count + 1, 2, 2)``; see :func:`_checksum`."""
    powers = np.empty((count + 1, 2, 2), np.uint32)
    powers[0] = np.eye(2)
    for number in range(count):
        powers[number + 1] = powers[number] @ np.array([[1, 1], [1, 2]], np.uint32)
    return powers


def _is_page_size(size: int) -> bool:
    return 512 <= size <= 65536 and size & (size - 1) == 0
