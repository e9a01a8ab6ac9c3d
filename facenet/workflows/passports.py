"""A folder of people rearranged as a set of passports: one picture of each person named as the others' anchor."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facenet.data.anchors import PASSPORT
from facenet.data.contents import Progress, read_contents
from facenet.data.folders import Folder, LeftOut, scan_folder
from facenet.errors import InputError, UsageError, printable
from facenet.gallery.beside import new_folder
from facenet.images import read_picture_bytes
from facenet.training.files import flush_folder, write_and_flush

PLACE = Path("trainset", "folder-1", "folder-2")
"""Where the people lie in such a set."""


@dataclass(frozen=True)
class PassportSet:
    """What :func:`write_passports` wrote.

    Attributes:
        root: the new folder.
        people, pictures: how many, anchors included.
        too_few: names of people left out, for they have too few pictures that can be read.
        left_out: pictures, paths relative to the source, and why.
    """

    root: Path
    people: int
    pictures: int
    too_few: tuple[str, ...]
    left_out: tuple[LeftOut, ...]

    def to_dict(self) -> dict[str, Any]:
        """Everything, fit for JSON."""
        return {
            "root": str(self.root),
            "anchor": PASSPORT,
            "people": self.people,
            "pictures": self.pictures,
            "left_out": {
                "people_with_too_few_pictures": list(self.too_few),
                "pictures": [entry._asdict() for entry in self.left_out],
            },
        }


def write_passports(source: Path, target: Path, *, anchor: int = 1, progress: Progress | None = None) -> PassportSet:
    """Copy people to ``target/trainset/folder-1/folder-2/<person>/``, one picture of each named as their anchor.

    The anchor becomes ``0001-script``, the others ``0002`` and so on, in order of their names; endings and bytes stay
    what they are. Who lies deeper than one folder below ``source`` lies as deep in the copy.

    Args:
        source: folder of people; every picture is read and decoded once. It is not changed.
        target: a new folder, which appears when all is written and only its owner can enter.
        anchor: which picture of each person is the anchor, from 1, in order of their names; those that cannot be read
            do not count.
        progress: called with (pictures read, in all).

    Raises:
        UsageError: ``anchor`` below 1.
        MissingError: there is no such source.
        InputError: ``target`` is there already or lies in ``source``; or nobody has enough pictures.
        UnreadableImage: a picture could be read, and then no more.
        StorageError: ``target`` cannot be written; nothing is left behind.
    """
    if anchor < 1:
        raise UsageError(f"picture {anchor} of each person cannot be the anchor: 1 is the first")
    folder = scan_folder(source)
    if Path(os.path.realpath(source)) in Path(os.path.realpath(target)).parents:
        raise InputError(
            f"{printable(target)} lies in {printable(source)}, which is to be read: name a folder elsewhere"
        )
    with new_folder(target) as beside:
        unreadable = read_contents([folder.file(row) for row in range(len(folder))], progress=progress).unreadable
        people, too_few = _people(folder, unreadable, least=max(2, anchor))
        if not people:
            raise InputError(
                f"nobody in {printable(source)} has {max(2, anchor)} pictures that can be read: an anchor and another "
                "are needed"
            )
        for name, rows in people.items():
            _copy(folder, [rows[anchor - 1], *rows[: anchor - 1], *rows[anchor:]], beside / PLACE / name)
        for place, _, _ in os.walk(beside):
            flush_folder(Path(place))
    left_out = [LeftOut(folder.paths[row], reason) for row, reason in sorted(unreadable.items())]
    return PassportSet(
        target, len(people), sum(map(len, people.values())), too_few, tuple([*folder.left_out, *left_out])
    )


def _people(folder: Folder, unreadable: dict[int, str], *, least: int) -> tuple[dict[str, list[int]], tuple[str, ...]]:
    """The readable pictures of everybody who has so many, and the names of the others."""
    own: list[list[int]] = [[] for _ in folder.people]
    for row, person in enumerate(folder.labels.tolist()):
        if row not in unreadable:
            own[person].append(row)
    enough = {name: rows for name, rows in zip(folder.people, own, strict=True) if len(rows) >= least}
    return enough, tuple(name for name in folder.people if name not in enough)


def _copy(folder: Folder, rows: list[int], place: Path) -> None:
    """Copy pictures of one person, the anchor first."""
    place.mkdir(parents=True, exist_ok=True)
    for number, row in enumerate(rows, start=1):
        file = folder.file(row)
        name = f"{number:04d}-{PASSPORT}" if number == 1 else f"{number:04d}"
        write_and_flush(place / f"{name}{file.suffix}", read_picture_bytes(file))
