"""What ``dataset align`` has done so far, line by line, in the folder it fills.

``.alignment.jsonl`` is only appended to. A line is written before pictures are, naming them, and after they are, saying
what became of each file; so whatever moment a run is interrupted at, the next one knows which pictures are its own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from facenet.workflows.stamps import Stamp
from facenet.workflows.writing import cannot_write

FILE_NAME = ".alignment.jsonl"


@dataclass(frozen=True)
class Fate:
    """What became of one file.

    Attributes:
        source: posix path below the source folder.
        stamp: of the file before it was read.
        content: SHA-256 (hex) of its bytes, ``""`` if these cannot be read.
        status: ``written``, ``no_face``, ``unreadable`` or ``in_the_way``.
        reason: in words, where there is something to say.
        output: posix path of the face below the folder that is filled, ``""`` if none was written.
        faces: how many were found.
        box: of the one taken, ``(left, top, right, bottom)`` in pixels of the upright photo.
        probability, quality: of the one taken.
    """

    source: str
    stamp: Stamp | None
    content: str
    status: str
    reason: str = ""
    output: str = ""
    faces: int = 0
    box: tuple[float, float, float, float] | None = None
    probability: float | None = None
    quality: float | None = None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Fate:
        """Read back what ``dataclasses.asdict`` gave, from JSON."""
        box, at = values["box"], values["stamp"]
        return cls(**{**values, "box": box if box is None else tuple(box), "stamp": at if at is None else Stamp(*at)})


class Journal:
    """The lines of one folder.

    Attributes:
        root: the source folder, ``""`` before it was said.
        fates: the last of each file.
        own: outputs that this command wrote, or meant to write when it was interrupted.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / FILE_NAME
        self.root = ""
        self.fates: dict[str, Fate] = {}
        self.own: set[str] = set()
        try:
            lines = self._path.read_bytes().splitlines() if self._path.exists() else []
        except OSError as error:
            raise cannot_write(self._path, error) from error
        for line in lines:
            self._take(line)

    def begin(self, root: str) -> None:
        """Say whose faces these are."""
        self._append([{"root": root}])
        self.root = root

    def intend(self, outputs: Sequence[str]) -> None:
        """Say which pictures are about to be written."""
        self._append([{"intended": list(outputs)}])
        self.own.update(outputs)

    def note(self, fates: Sequence[Fate]) -> None:
        """Say what became of files."""
        self._append([asdict(fate) for fate in fates])
        self.fates.update((fate.source, fate) for fate in fates)

    def _take(self, line: bytes) -> None:
        try:
            values = json.loads(line)
            if "root" in values:
                self.root = str(values["root"])
            elif "intended" in values:
                self.own.update(str(output) for output in values["intended"])
            else:
                fate = Fate.from_dict(values)
                self.fates[fate.source] = fate
        except (ValueError, TypeError, KeyError):
            # A line that was cut off half-way stands for work that is done again.
            return

    def _append(self, documents: Sequence[Mapping[str, Any]]) -> None:
        # The newline in front ends a line that was cut off half-way; an empty line means nothing.
        lines = "".join("\n" + json.dumps(document, allow_nan=False) for document in documents)
        try:
            with self._path.open("ab") as stream:
                stream.write(lines.encode("ascii"))
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise cannot_write(self._path, error) from error
