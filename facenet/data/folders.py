"""People and their pictures below one folder: any nesting, any file name, one deterministic order.

A person is a folder that directly holds pictures, so ``root/Ada/1.jpg`` and ``root/set/a/Ada/1.jpg`` both work.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from facenet.errors import InputError, MissingError, printable
from facenet.images import is_image_name

_SKIPPED = frozenset({"__MACOSX", "@eaDir"})
"""Folders that archive tools and network drives leave behind; what is in them looks like pictures and is none."""

_OTHER_PICTURES = frozenset({".gif", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2", ".jxl"})


class LeftOut(NamedTuple):
    """Something that is not used.

    Attributes:
        path: posix path relative to the root.
        reason: short lower-case cause.
    """

    path: str
    reason: str


@dataclass(frozen=True, eq=False)
class Folder:
    """People and their pictures below one root.

    Attributes:
        root: the folder that was read.
        people: names, sorted: posix path of each person's folder relative to ``root``.
        paths: pictures, sorted: posix path relative to ``root``. Sorting is by the code points of the path's parts,
            so the order is the same on every system.
        labels: ``int64 (n,)``, for each picture the index of its person in ``people``.
        left_out: what looked like a picture or a folder and is not used.
    """

    root: Path
    people: tuple[str, ...]
    paths: tuple[str, ...]
    labels: np.ndarray
    left_out: tuple[LeftOut, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    def file(self, index: int) -> Path:
        """Where picture ``index`` lies."""
        return self.root / self.paths[index]

    def counts(self) -> np.ndarray:
        """Pictures per person: ``int64 (people,)``, each at least 1."""
        return np.bincount(self.labels, minlength=len(self.people))

    def named_with(self, word: str) -> np.ndarray:
        """``bool (n,)``: pictures whose file names, without the suffix, contain ``word``, in capitals or not."""
        stems = (PurePosixPath(path).stem.casefold() for path in self.paths)
        return np.array([word.casefold() in stem for stem in stems], dtype=bool)

    def select(self, keep: np.ndarray) -> Folder:
        """The same root with some pictures only.

        Args:
            keep: ``bool (n,)``.

        Returns:
            A new folder. People without pictures disappear and labels are renumbered; order is kept.
        """
        people, labels = np.unique(self.labels[keep], return_inverse=True)
        return Folder(
            root=self.root,
            people=tuple(self.people[person] for person in people),
            paths=tuple(self.paths[index] for index in np.flatnonzero(keep)),
            labels=labels.astype(np.int64),
            left_out=self.left_out,
        )


def scan_folder(root: str | os.PathLike[str]) -> Folder:
    """Find people and pictures below ``root`` by their names; no picture is opened.

    Hidden names and what archive tools leave behind are skipped. Links to folders are followed, each real folder is
    read once.

    Raises:
        MissingError: ``root`` is not there.
        InputError: ``root`` is no folder, cannot be read, or holds no picture in a person's folder.
    """
    root = Path(root)
    if not root.exists():
        raise MissingError(f"no folder {printable(root)}: {_expected(root)}")
    if not root.is_dir():
        raise InputError(f"{printable(root)} is a file: {_expected(root.parent)}")
    walk = Walk(root)
    walk.run()
    if not walk.pictures:
        lying = sum(entry.reason == NO_PERSON for entry in walk.left_out)
        found = f"its {lying} pictures are in no person's folder" if lying else "no pictures in it"
        raise InputError(f"nothing to use in {printable(root)}: {found}; {_expected(root)}")
    return _assemble(root, walk.pictures, walk.left_out)


NO_PERSON = "not in a person's folder"
"""Why a picture that lies directly in the root is left out."""


def _expected(root: Path) -> str:
    return f"expected one folder per person, such as {printable(root / 'Ada' / '1.jpg')}"


def _assemble(root: Path, pictures: Iterable[str], left_out: Iterable[LeftOut]) -> Folder:
    paths = sorted(pictures, key=path_parts)
    owners = [path.rpartition("/")[0] for path in paths]
    people = sorted(set(owners), key=path_parts)
    number = {name: index for index, name in enumerate(people)}
    return Folder(
        root=root,
        people=tuple(people),
        paths=tuple(paths),
        labels=np.fromiter((number[owner] for owner in owners), dtype=np.int64, count=len(owners)),
        left_out=tuple(sorted(left_out, key=lambda entry: path_parts(entry.path))),
    )


def path_parts(path: str) -> list[str]:
    """What paths are sorted by: the same order on every system."""
    return path.split("/")


class Walk:
    """One pass over a tree: real folders first, then links, so that what a link repeats is left out and not the
    folder itself, and a loop of links ends.

    Attributes:
        root: where it begins.
        pictures, left_out: what was found, unsorted.
    """

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.pictures: list[str] = []
        self.left_out: list[LeftOut] = []
        self._links: list[str] = []
        self._read: set[tuple[int, int]] = set()

    def run(self) -> None:
        """Read everything.

        Raises:
            InputError: the root cannot be read.
        """
        self._walk("")
        while self._links:
            # Sorted anew each round: links found behind links wait, so the order never depends on the disk's.
            links, self._links = sorted(self._links, key=path_parts), []
            for link in links:
                self._walk(link)

    def _walk(self, top: str) -> None:
        """Read ``top`` (relative, ``""`` for the root) and every real folder below it."""
        waiting = [top]
        while waiting:
            folder = waiting.pop()
            full = os.path.join(self.root, folder)
            try:
                status = os.stat(full)
                if (status.st_dev, status.st_ino) in self._read:
                    self.left_out.append(LeftOut(folder, "link to a folder read already"))
                    continue
                self._read.add((status.st_dev, status.st_ino))
                with os.scandir(full) as entries:
                    for entry in entries:
                        self._sort_in(entry, f"{folder}/{entry.name}" if folder else entry.name, waiting)
            except OSError as error:
                self._refuse(folder, error)

    def _sort_in(self, entry: os.DirEntry[str], path: str, waiting: list[str]) -> None:
        if entry.name.startswith(".") or entry.name in _SKIPPED:
            return
        try:
            if entry.is_dir():
                (self._links if entry.is_symlink() else waiting).append(path)
            elif is_image_name(entry.name):
                self._take(entry, path)
            elif os.path.splitext(entry.name)[1].lower() in _OTHER_PICTURES:
                self.left_out.append(LeftOut(path, "a kind of picture that is not read; convert it to jpg or png"))
        except OSError as error:
            self._refuse(path, error)

    def _take(self, entry: os.DirEntry[str], path: str) -> None:
        if not entry.is_file():
            self.left_out.append(LeftOut(path, "broken link" if entry.is_symlink() else "not a regular file"))
        elif "/" not in path:
            self.left_out.append(LeftOut(path, NO_PERSON))
        else:
            self.pictures.append(path)

    def _refuse(self, path: str, error: OSError) -> None:
        reason = error.strerror.lower() if error.strerror else "cannot be read"
        if not path:
            raise InputError(f"cannot read the folder {printable(self.root)}: {reason}") from error
        self.left_out.append(LeftOut(path, reason))
