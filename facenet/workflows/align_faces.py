"""Writing cut faces into a folder: only what is ours is replaced, and nothing leads outside."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from facenet.errors import StorageError
from facenet.evaluation.cuts import CutFace, CutPhoto
from facenet.images import save_image
from facenet.training.files import TEMPORARY
from facenet.workflows.align_journal import Fate, Journal
from facenet.workflows.stamps import Stamp
from facenet.workflows.writing import cannot_write


class Cut(NamedTuple):
    """A photo with its face cut out, its path below the source, and where the face belongs below the target."""

    photo: CutPhoto
    source: str
    stamp: Stamp | None
    output: str


class FaceWriter:
    """Writes faces below one folder and notes in its journal what became of every photo."""

    def __init__(self, target: Path, journal: Journal) -> None:
        self._target = target
        self._journal = journal
        self._clear()

    def write(self, cuts: Sequence[Cut]) -> None:
        """Write the faces of some photos.

        Raises:
            StorageError: one cannot be written.
        """
        obstacles = [self._obstacle(cut.output) if cut.photo.faces else "" for cut in cuts]
        free = [cut.output for cut, obstacle in zip(cuts, obstacles, strict=True) if cut.photo.faces and not obstacle]
        if free:
            self._journal.intend(free)
        self._journal.note([self._settle(cut, obstacle) for cut, obstacle in zip(cuts, obstacles, strict=True)])

    def _settle(self, cut: Cut, obstacle: str) -> Fate:
        """Write one face, if there is one and nothing is in its way."""
        photo = cut.photo
        if not photo.faces:
            self._withdraw(cut.source)
            status = "unreadable" if photo.problem else "no_face"
            return Fate(cut.source, cut.stamp, photo.content, status, photo.problem)
        face = photo.faces[0]
        obstacle = obstacle if obstacle else self._save(face, cut.output)
        found = face.found
        return Fate(
            cut.source,
            cut.stamp,
            photo.content,
            status="in_the_way" if obstacle else "written",
            reason=obstacle if obstacle else _renamed(cut),
            output="" if obstacle else cut.output,
            faces=len(photo.found),
            box=None if found is None else found.box,
            probability=None if found is None else found.probability,
            quality=face.quality.score,
        )

    def _save(self, face: CutFace, output: str) -> str:
        """Write one picture whole or not at all; what is in its way, if anything is."""
        path = self._path(output)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(path, error) from error
        try:
            save_image(path, face.face.permute(1, 2, 0).numpy())
        except StorageError as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.ENAMETOOLONG:
                return "its name is too long for this disk"
            raise
        return ""

    def _obstacle(self, output: str) -> str:
        """What keeps a face from being written to its place, ``""`` if nothing does."""
        path = self._target
        for part in PurePosixPath(output).parts[:-1]:
            path /= part
            # A link would lead to wherever somebody made it point.
            if path.is_symlink() or (path.exists() and not path.is_dir()):
                return f"{PurePosixPath(path.relative_to(self._target))} is there and no folder"
        if os.path.lexists(self._path(output)) and output not in self._journal.own:
            return f"{output} is there and was not written by this command"
        return ""

    def _withdraw(self, source: str) -> None:
        """Take back the face that an earlier picture of this name had."""
        earlier = self._journal.fates.get(source)
        if earlier is not None and earlier.output and not self._obstacle(earlier.output):
            self._path(earlier.output).unlink(missing_ok=True)

    def _clear(self) -> None:
        """Take away what an interrupted run had half written."""
        for folder in {self._path(output).parent for output in self._journal.own}:
            if folder.is_dir() and not self._obstacle((folder / "any").relative_to(self._target).as_posix()):
                for half in folder.glob(f"{TEMPORARY}*"):
                    half.unlink(missing_ok=True)

    def _path(self, output: str) -> Path:
        return self._target.joinpath(*PurePosixPath(output).parts)


def _renamed(cut: Cut) -> str:
    usual = PurePosixPath(cut.source).stem
    return "" if PurePosixPath(cut.output).stem == usual else f"another picture has the name {usual}"
