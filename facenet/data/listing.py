"""Pictures named one by one or lying in folders, in persons' folders or not: for work that needs no people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from facenet.data.folders import NO_PERSON, LeftOut, Walk, path_parts
from facenet.errors import InputError, MissingError, printable


@dataclass(frozen=True)
class Listing:
    """Pictures, found by name or named.

    Attributes:
        files: in the order of the sources, each file once; those of a folder sorted as in
            :class:`facenet.data.folders.Folder`.
        left_out: what looked like a picture or a folder and is not used.
    """

    files: tuple[Path, ...]
    left_out: tuple[LeftOut, ...] = ()


def list_pictures(sources: Sequence[Path]) -> Listing:
    """Find pictures by their names; none is opened.

    Args:
        sources: files, taken whatever they are called, and folders, searched at any depth by the rules of
            :func:`facenet.data.folders.scan_folder`.

    Raises:
        MissingError: a source is not there.
        InputError: a folder cannot be read, or there is no picture at all.
    """
    files: dict[str, Path] = {}
    left_out: list[LeftOut] = []
    for source in sources:
        if not source.exists():
            raise MissingError(f"no file or folder {printable(source)}")
        found = [source]
        if source.is_dir():
            found, others = _below(source)
            left_out += others
        for file in found:
            files.setdefault(str(file.absolute()), file)
    if not files:
        named = ", ".join(printable(source) for source in sources[:3])
        raise InputError(f"no pictures in {named}{' and others' if len(sources) > 3 else ''}")
    return Listing(tuple(files.values()), tuple(left_out))


def _below(root: Path) -> tuple[list[Path], list[LeftOut]]:
    walk = Walk(root)
    walk.run()
    lying = [entry.path for entry in walk.left_out if entry.reason == NO_PERSON]
    others = sorted((entry for entry in walk.left_out if entry.reason != NO_PERSON), key=lambda e: path_parts(e.path))
    files = [root / path for path in sorted([*walk.pictures, *lying], key=path_parts)]
    return files, [LeftOut(str(root / entry.path), entry.reason) for entry in others]
