"""Folders of people with photos → the same folders with faces cut out of them: ``facenet dataset align``."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from facenet.data.alignments import FILE_NAME, Alignment, read_alignment
from facenet.data.folders import Folder, scan_folder
from facenet.detection.detector import Detector
from facenet.detection.faces import Policy
from facenet.errors import ContractError, InputError, UsageError, printable
from facenet.evaluation.cuts import cut_photos
from facenet.models.registry import build_backbone
from facenet.preprocessing import Preprocessing
from facenet.training.files import to_json
from facenet.workflows.align_faces import Cut, FaceWriter
from facenet.workflows.align_journal import Fate, Journal
from facenet.workflows.stamps import StampedFiles, stamp
from facenet.workflows.writing import csv_pieces, held, write_whole

TABLE = "align.csv"
COLUMNS = (
    "source", "output", "status", "reason", "content", "faces", "left", "top", "right", "bottom", "probability",
    "quality",
)  # fmt: skip
"""Of the table: one line for each file.

``source`` and ``output`` are paths below the two folders. ``status``: ``written``, ``no_face``, ``unreadable``,
``in_the_way`` (where the face belongs lies something that this command did not write), ``left_out``, or
``source_gone`` (written earlier, and the photo is no longer there). ``faces``: how many were found; box, probability
and quality are those of the one that was taken.
"""

_LOCK = ".alignment.lock"
_TOGETHER = 32
"""Pictures between two lines of the journal."""


@dataclass(frozen=True)
class AlignResult:
    """What was done.

    Attributes:
        root: the folder that was filled.
        table: CSV file; see :data:`COLUMNS`.
        alignment: how the faces were made.
        resumed: files that needed no work, for it was done before.
        outcomes: files by status.
    """

    root: Path
    table: Path
    alignment: Alignment
    resumed: int
    outcomes: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "root": str(self.root),
            "table": str(self.table),
            "alignment": self.alignment.to_dict(),
            "resumed": self.resumed,
            "outcomes": self.outcomes,
        }


def photo_contract(
    *, size: tuple[int, int] | None = None, crop: str | None = None, backbone: str | None = None
) -> Preprocessing:
    """The contract to cut faces by.

    Args:
        size: ``(height, width)`` of a face in pixels; default: 112×112.
        crop: ``five-point`` (default) or ``margin-N``.
        backbone: take both from what this architecture's published weights want.

    Raises:
        UsageError: contradicting arguments, unknown names, impossible sizes.
    """
    if backbone is None:
        height, width = (112, 112) if size is None else size
        return Preprocessing(height, width).for_photos("five-point" if crop is None else crop)
    if size is not None or crop is not None:
        raise UsageError("--backbone says how faces are cut: leave --size and --crop out")
    trunk = build_backbone(backbone)
    return trunk.preprocessing.for_photos(trunk.photo_crop)


def align_folder(
    source: Path,
    target: Path,
    alignment: Alignment,
    *,
    detector: Detector | None = None,
    progress: Callable[[int, int | None], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> AlignResult:
    """Cut one face out of each photo of a folder of people, into a folder of the same structure.

    What was done before by the same alignment is not done again, so an interrupted run is gone on with. Nothing that
    this command did not write is replaced, and nothing is written outside of ``target``.

    Args:
        source: folder of people.
        target: new, empty, or filled by this command before.
        alignment: which face, how it is cut, and how it is written.
        detector: who finds faces; default: one on the CPU.
        progress: called with (files done, files in all).
        say: told what is worth knowing.

    Raises:
        MissingError, InputError: there is nothing to use in ``source``, or something else in ``target``.
        ContractError: ``target`` holds faces of another alignment.
        UsageError: one folder lies in the other, or more than one face of a photo is asked for.
        StorageError: ``target`` cannot be written.
    """
    if alignment.faces is Policy.ALL:
        raise UsageError("one face of each photo: the others in it are other people, who do not belong in this folder")
    _refuse_nested(source, target)
    folder = scan_folder(source)
    with _opened(target, alignment, source) as journal:
        outputs = name_outputs(folder.paths, journal.fates, alignment.picture_format)
        todo = [index for index in range(len(folder)) if not _is_done(journal, target, folder, index)]
        resumed = len(folder) - len(todo)
        if resumed and say is not None:
            say(f"going on: {resumed:,} of {len(folder):,} files were done before")
        files = StampedFiles([folder.file(index) for index in todo])
        finder = Detector() if detector is None else detector
        writer, done = FaceWriter(target, journal), resumed
        with closing(cut_photos(files, alignment.preprocessing, finder, policy=alignment.faces)) as photos:
            cuts = (
                Cut(photo, folder.paths[index], files.stamps.popleft(), outputs[index])
                for photo, index in zip(photos, todo, strict=True)
            )
            while batch := list(islice(cuts, _TOGETHER)):
                writer.write(batch)
                done += len(batch)
                if progress is not None:
                    progress(done, len(folder))
        lines = list(_lines(folder, journal.fates))
        write_whole(target / TABLE, csv_pieces(COLUMNS, lines))
    return AlignResult(target, target / TABLE, alignment, resumed, dict(Counter(str(line[2]) for line in lines)))


def name_outputs(paths: Sequence[str], fates: Mapping[str, Fate], ending: str) -> list[str]:
    """Where the face of each picture belongs: the picture's path with the new ending.

    Where two pictures would get one name (``1.jpg`` and ``1.png``; for some disks also ``A.jpg`` and ``a.jpg``), the
    second keeps its own ending within the name (``1.png.png``). Names given in an earlier run are kept.
    """
    given = {fate.source: fate.output for fate in fates.values() if fate.output}
    taken = {_comparable(output) for output in given.values()}
    outputs = []
    for path in paths:
        output = given.get(path)
        if output is None:
            output = next(name for name in _names(path, ending) if _comparable(name) not in taken)
            taken.add(_comparable(output))
        outputs.append(output)
    return outputs


def _names(path: str, ending: str) -> Iterator[str]:
    yield str(PurePosixPath(path).with_suffix(f".{ending}"))
    yield f"{path}.{ending}"
    number = 2
    while True:
        yield f"{path}-{number}.{ending}"
        number += 1


def _comparable(name: str) -> str:
    """Equal for names that some file system takes for one."""
    return unicodedata.normalize("NFC", name).casefold()


def _refuse_nested(source: Path, target: Path) -> None:
    first, second = Path(os.path.realpath(source)), Path(os.path.realpath(target))
    if first == second or first in second.parents or second in first.parents:
        raise UsageError(f"{printable(target)} and {printable(source)} lie in one another: name a folder beside it")


@contextmanager
def _opened(target: Path, alignment: Alignment, source: Path) -> Iterator[Journal]:
    """The journal of a folder that may be written into, by this process alone."""
    if target.exists() and not target.is_dir():
        raise InputError(f"{printable(target)} is a file: name a folder")
    declared = read_alignment(target)
    if declared is None and target.exists() and any(entry.name != _LOCK for entry in target.iterdir()):
        raise InputError(f"{printable(target)} holds something else already: name a new or empty folder")
    if declared is not None and declared != alignment:
        raise ContractError(
            f"{printable(target)} holds faces made by {_told(declared)}, not by {_told(alignment)}: name another folder"
        )
    with held(target, _LOCK):
        if declared is None:
            write_whole(target / FILE_NAME, [to_json(alignment.to_dict())])
        yield _journal(target, source)


def _journal(target: Path, source: Path) -> Journal:
    """The journal of a target, which belongs to one source; that may have moved."""
    journal = Journal(target)
    where = os.path.realpath(source)
    if journal.root != where:
        if journal.root and os.path.isdir(journal.root):
            raise InputError(
                f"{printable(target)} holds the faces of {printable(journal.root)}: name another folder for those of "
                f"{printable(source)}"
            )
        journal.begin(where)
    return journal


def _told(alignment: Alignment) -> str:
    contract = alignment.preprocessing
    return (
        f"{contract.height}x{contract.width} {contract.crop}, {alignment.faces.value} face, {alignment.picture_format}"
    )


def _is_done(journal: Journal, target: Path, folder: Folder, index: int) -> bool:
    """Whether nothing has changed since this file was dealt with."""
    fate = journal.fates.get(folder.paths[index])
    if fate is None or fate.stamp is None or fate.stamp != stamp(folder.file(index)):
        return False
    if fate.status != "written":
        return fate.status in ("no_face", "unreadable")
    output = target / fate.output
    # A file whose contents never reached the disk when the machine stopped is empty.
    return output.is_file() and output.stat().st_size > 0


def _lines(folder: Folder, fates: Mapping[str, Fate]) -> Iterator[tuple[object, ...]]:
    """The lines of the table."""
    for path in folder.paths:
        yield _line(fates[path])
    for entry in folder.left_out:
        yield (entry.path, None, "left_out", entry.reason, *[None] * 8)
    for path in sorted(set(fates) - set(folder.paths)):
        if fates[path].output:
            yield _line(replace(fates[path], status="source_gone", reason="its photo is gone, its face is still here"))


def _line(fate: Fate) -> tuple[object, ...]:
    box = [None] * 4 if fate.box is None else [f"{edge:.2f}" for edge in fate.box]
    scores = [None if score is None else f"{score:.4f}" for score in (fate.probability, fate.quality)]
    return (fate.source, fate.output, fate.status, fate.reason, fate.content, fate.faces, *box, *scores)
