"""Who is enrolled, who searches and who is a stranger: what makes identification sets out of folders of people."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from facenet.data.folders import Folder, scan_folder
from facenet.errors import UsageError
from facenet.evaluation.embedded import Embedded
from facenet.workflows.study_shared import drop_copies, named, select


@dataclass(frozen=True)
class Sets:
    """Who is enrolled, who searches, and who is a stranger; name one of the two ways.

    Attributes:
        data: folder of people; some pictures of each are enrolled, the others search.
        enroll: how many, drawn by the seed. Who has no more is enrolled with all and does not search.
        enrolled, probes: instead, two folders of people with the same names.
        strangers: folder of people who are not enrolled.
        strangers_aligned: whether their pictures are faces, cut as the model wants them; None: as those of the others.

    Raises:
        UsageError: neither way, or both; ``strangers_aligned`` without strangers.
    """

    data: Path | None = None
    enroll: int = 1
    enrolled: Path | None = None
    probes: Path | None = None
    strangers: Path | None = None
    strangers_aligned: bool | None = None

    def __post_init__(self) -> None:
        if (self.enrolled is None) != (self.probes is None) or (self.data is None) == (self.enrolled is None):
            raise UsageError("name either --data, or --enrolled and --probes")
        if self.strangers_aligned is not None and self.strangers is None:
            raise UsageError("--strangers-aligned goes with --strangers")
        if self.enroll < 1:
            raise UsageError(f"at least 1 picture of each person is enrolled, not {self.enroll}")

    @property
    def folders(self) -> dict[str, Path]:
        """Part → folder, of those given."""
        parts = {"data": self.data, "enrolled": self.enrolled, "probes": self.probes, "strangers": self.strangers}
        return {part: folder for part, folder in parts.items() if folder is not None}


class Role(StrEnum):
    """What a picture does."""

    ENROLLED = "enrolled"
    PROBE = "probe"
    STRANGER = "stranger"
    LEFT_OUT = "left out"


@dataclass(frozen=True)
class Listed:
    """One picture of one of the folders.

    Attributes:
        part: which folder, a key of :attr:`Sets.folders`.
        path: in it.
        person: whom it shows.
        file: where it lies.
    """

    part: str
    path: str
    person: str
    file: str

    @property
    def sample(self) -> str:
        """Its name in the study: below ``data`` its path, else its part before that."""
        return self.path if self.part == "data" else f"{self.part}/{self.path}"


def list_folders(sets: Sets) -> tuple[list[Listed], list[Folder]]:
    """All pictures of the folders, one folder after the other, and the folders.

    Raises:
        MissingError, InputError: as :func:`facenet.data.folders.scan_folder`.
    """
    folders = {part: scan_folder(root) for part, root in sets.folders.items()}
    pictures = [
        Listed(part, path, folder.people[label], str(folder.root / path))
        for part, folder in folders.items()
        for path, label in zip(folder.paths, folder.labels, strict=True)
    ]
    return pictures, list(folders.values())


def cast_roles(
    pictures: Sequence[Listed],
    folders: Sequence[Folder],
    found: Embedded,
    *,
    enroll: int,
    seed: int,
    notices: list[str],
) -> list[Role]:
    """Give every picture its role.

    Left out are copies within a folder, by the rule of the audit; copies of enrolled pictures, which would find
    themselves; and strangers of whom it is not sure that they are: who have the name of somebody enrolled, or a picture
    that is enrolled or searches as somebody enrolled.

    Args:
        pictures, folders: from :func:`list_folders`.
        found: the pictures, embedded.
        enroll: see :class:`Sets`.
        seed: of what is drawn to be enrolled.
        notices: told what is left out.
    """
    roles = [_FIRST[picture.part] for picture in pictures]
    start = 0
    for folder in folders:
        rows = range(start, start + len(folder))
        start += len(folder)
        part = np.zeros(len(found), dtype=np.bool_)
        part[rows] = True
        for row, kept in zip(rows, drop_copies(folder, select(found, part), notices), strict=True):
            roles[row] = roles[row] if kept else Role.LEFT_OUT
    for row in _drawn(pictures, roles, enroll, seed):
        roles[row] = Role.ENROLLED
    people = {picture.person for picture, role in zip(pictures, roles, strict=True) if role is Role.ENROLLED}
    _judge_probes(pictures, roles, found, people, notices)
    _judge_strangers(pictures, roles, found, people, notices)
    return roles


_FIRST = {"data": Role.PROBE, "enrolled": Role.ENROLLED, "probes": Role.PROBE, "strangers": Role.STRANGER}


def _drawn(pictures: Sequence[Listed], roles: Sequence[Role], wanted: int, seed: int) -> list[int]:
    """Of each person in ``data`` so many, by a hash of the path, so that adding people changes nobody else's."""
    own: dict[str, list[int]] = {}
    for row, picture in enumerate(pictures):
        if picture.part == "data" and roles[row] is Role.PROBE:
            own.setdefault(picture.person, []).append(row)

    def place(row: int) -> bytes:
        return hashlib.sha256(f"{seed}|enroll|{pictures[row].path}".encode("utf-8", "surrogatepass")).digest()

    return [row for rows in own.values() for row in sorted(rows, key=place)[:wanted]]


def _judge_probes(
    pictures: Sequence[Listed], roles: list[Role], found: Embedded, people: Container[str], notices: list[str]
) -> None:
    """Leave out probes that are enrolled pictures; those of people who are not enrolled are strangers."""
    enrolled = _contents(found, roles, Role.ENROLLED)
    probes = [row for row, role in enumerate(roles) if role is Role.PROBE]
    copies = [row for row in probes if found.contents[row] in enrolled]
    for row in copies:
        roles[row] = Role.LEFT_OUT
    if copies:
        notices.append(f"{len(copies):,} probes are copies, byte for byte, of pictures enrolled, and are left out")
    unknown = [row for row in probes if roles[row] is Role.PROBE and pictures[row].person not in people]
    for row in unknown:
        roles[row] = Role.STRANGER
    if unknown:
        names = sorted({pictures[row].person for row in unknown})
        notices.append(
            f"{len(unknown):,} probes are of {len(names):,} people who are not enrolled, and search as strangers: "
            f"{named(names)}"
        )


def _judge_strangers(
    pictures: Sequence[Listed], roles: list[Role], found: Embedded, people: Container[str], notices: list[str]
) -> None:
    """Leave out strangers who may be enrolled."""
    known = _contents(found, roles, Role.ENROLLED) | _contents(found, roles, Role.PROBE)
    strangers = [row for row, role in enumerate(roles) if role is Role.STRANGER]
    seen = {pictures[row].person for row in strangers if found.contents[row] in known}
    out = [row for row in strangers if pictures[row].person in people or pictures[row].person in seen]
    for row in out:
        roles[row] = Role.LEFT_OUT
    if out:
        names = sorted({pictures[row].person for row in out})
        notices.append(
            f"{len(names):,} strangers have the name or a picture of somebody enrolled, and are left out with "
            f"{len(out):,} pictures: {named(names)}"
        )


def _contents(found: Embedded, roles: Sequence[Role], wanted: Role) -> set[str]:
    """Hashes of the files that have a role; of those only that could be read."""
    pairs = zip(found.contents, roles, strict=True)
    return {content for content, role in pairs if role is wanted and content}
