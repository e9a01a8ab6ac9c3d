"""A folder of people into a gallery: read in one stream, written person by person, resumed by what is enrolled."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from facenet.data.folders import Folder, LeftOut, scan_folder
from facenet.errors import InputError, UnreadableImage, printable
from facenet.evaluation.photos import Photo
from facenet.gallery.gallery import Gallery
from facenet.gallery.names import normalise_name
from facenet.images import read_picture_bytes
from facenet.recognition.enrolling import EnrollmentReport, Facts, Known, enroll_pictures, find_person
from facenet.recognition.gate import Limits

_SHOWN = 3


class Naming(StrEnum):
    """What a person is called.

    ``FOLDER``: as the folder that holds the pictures. ``PATH``: as the whole way to it from the root, with slashes;
    tells people apart whose folders have the same name.
    """

    FOLDER = "folder"
    PATH = "path"


@dataclass(frozen=True)
class FolderReport:
    """What came of a folder.

    Attributes:
        people: one report for each person, in the order of their folders.
        left_out: files and folders that were not even looked at.
    """

    people: tuple[EnrollmentReport, ...]
    left_out: tuple[LeftOut, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """Pictures of each result, only those that occur."""
        total: Counter[str] = Counter()
        for person in self.people:
            total.update(person.counts)
        return dict(total)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "counts": self.counts,
            "people": [person.to_dict() for person in self.people],
            "left_out": [{"path": entry.path, "reason": entry.reason} for entry in self.left_out],
        }


def enroll_people(
    gallery: Gallery,
    root: Path,
    read: Callable[[Sequence[Path]], Iterator[Photo]],
    *,
    limits: Limits,
    one_face: bool,
    force: bool = False,
    naming: Naming = Naming.FOLDER,
    facts: Facts | None = None,
    listener: Callable[[EnrollmentReport], None] | None = None,
) -> FolderReport:
    """Enroll everybody in a folder, each in a transaction of their own.

    A picture that is enrolled for its person already is not read again: so an enrollment that was stopped goes on
    where it was, and ends as it would have ended.

    Args:
        gallery: written to.
        root: see :func:`facenet.data.folders.scan_folder`.
        read: gives one photo for each path, in order, with one face of each.
        limits, one_face, force, facts: see :func:`facenet.recognition.enrolling.enroll_pictures`.
        naming: see :class:`Naming`.
        listener: told of each person once they are on disk.

    Raises:
        MissingError, InputError: no such folder, nothing in it, an unusable name, two folders of one name, a name
            that several people in the gallery have. Nothing has been written then.
        StorageError, GalleryError: the gallery cannot be written; what the listener was told of is.
    """
    folder = scan_folder(root)
    names = _names(folder, naming)
    files = _files_of(folder)
    known = [_known(gallery, name, paths) for name, paths in zip(names, files, strict=True)]
    unread = [path for paths, there in zip(files, known, strict=True) for path in paths if path not in there]
    photos = read(unread)
    reports = []
    for name, paths, there in zip(names, files, known, strict=True):
        fresh = islice(photos, sum(path not in there for path in paths))
        pictures = (there[path] if path in there else next(fresh) for path in paths)
        report = enroll_pictures(gallery, name, pictures, limits=limits, one_face=one_face, force=force, facts=facts)
        reports.append(report)
        if listener is not None:
            listener(report)
    return FolderReport(tuple(reports), folder.left_out)


def _names(folder: Folder, naming: Naming) -> list[str]:
    """What each person is called; refused if two would be called the same, for they would be made one."""
    names = []
    folders: dict[str, list[str]] = defaultdict(list)
    for person in folder.people:
        try:
            name = normalise_name(person if naming is Naming.PATH else person.rpartition("/")[2])
        except InputError as error:
            raise InputError(f"the folder {printable(person)} cannot name a person: {error}") from error
        names.append(name)
        folders[name].append(person)
    double = {name: people for name, people in folders.items() if len(people) > 1}
    if double:
        name, people = next(iter(double.items()))
        shown = ", ".join(printable(person) for person in people[:_SHOWN])
        more = f" and {len(double) - 1:,} more such names" if len(double) > 1 else ""
        raise InputError(
            f"{len(people)} folders name the same person, {printable(name)} ({shown}){more}: move the pictures of one "
            "person into one folder, or tell the people apart with --names path"
        )
    return names


def _files_of(folder: Folder) -> list[list[Path]]:
    files: list[list[Path]] = [[] for _ in folder.people]
    for index, label in enumerate(np.asarray(folder.labels).tolist()):
        files[label].append(folder.file(index))
    return files


def _known(gallery: Gallery, name: str, paths: Sequence[Path]) -> dict[Path, Known]:
    """Which pictures of a person are enrolled for them; of people not in the gallery nothing is read."""
    owner = find_person(gallery, name)
    contents = {} if owner is None else gallery.store.contents(owner.id)
    if not contents:
        return {}
    found = {}
    for path in paths:
        try:
            content = hashlib.sha256(read_picture_bytes(path)).hexdigest()
        except UnreadableImage:
            # Left to the stream, which says why.
            continue
        if content in contents:
            found[path] = Known(path, content)
    return found
