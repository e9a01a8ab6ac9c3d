"""What lists from outside have in common: the line that is wrong is named, and no path leaves its folder."""

from __future__ import annotations

from pathlib import Path, PurePath

from facenet.errors import InputError, printable


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
