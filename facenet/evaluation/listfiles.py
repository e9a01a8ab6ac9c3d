"""What lists from outside have in common: the line that is wrong is named, and no path leaves its folder."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path, PurePath

from facenet.errors import InputError, MissingError, printable

_MOST_BYTES = 256 * 1024 * 1024


def malformed(file: Path, line: int, what: str) -> InputError:
    """The error to raise for a line, counted from 1."""
    return InputError(f"{printable(file)}, line {line}: {what}")


def path_below(file: Path, line: int, text: str) -> str:
    """A path that stays below the folder of the pictures, in its shortest spelling.

    Args:
        file, line: where it stands.
        text: from outside.

    Raises:
        InputError: absolute, empty, or with a step upwards.
    """
    path = PurePath(text)
    if path.anchor or ".." in path.parts or not path.parts or "\0" in text:
        raise malformed(file, line, f"{printable(text)!r} is no path below the folder of the pictures")
    return path.as_posix()


def read_text(file: Path) -> str:
    """The text of a list, UTF-8 with a byte order mark or without.

    Raises:
        MissingError: there is no such file.
        InputError: it cannot be read, is no such text (with the line), or is larger than 256 MiB.
    """
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise InputError(f"{printable(file)} is larger than the {_MOST_BYTES // 2**20} MiB that a list may have")
        data = file.read_bytes()
    except FileNotFoundError as error:
        raise MissingError(f"no file {printable(file)}") from error
    except OSError as error:
        raise InputError(f"cannot read {printable(file)}: {error.strerror}") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise malformed(file, data.count(b"\n", 0, error.start) + 1, "is not UTF-8 text") from error


def csv_lines(file: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Number and cells of each line of a CSV that is not empty.

    Args:
        file: what an error calls it.
        text: of the file.

    Raises:
        InputError: a line is no CSV.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for cells in reader:
            if cells:
                yield reader.line_num, cells
    except csv.Error as error:
        raise malformed(file, reader.line_num, f"is no CSV: {error}") from error
