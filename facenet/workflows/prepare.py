"""The first half of every job: read the folder, audit it, split it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from facenet.data.audit import Audit, audit_folder
from facenet.data.folders import Folder, scan_folder
from facenet.data.splits import Holdout, Split, split_folder


@dataclass(frozen=True, eq=False)
class Prepared:
    """Usable pictures of a root and which of them are held out.

    Attributes:
        audit: findings, with what was left out.
        folder: the usable pictures.
        split: what is held out.
        holdout: by which rule.
    """

    audit: Audit
    folder: Folder
    split: Split
    holdout: Holdout

    def digest(self) -> str:
        """Hash over names and split (hex, 16 digits): equal for equal lists of pictures held out equally."""
        digest = hashlib.sha256()
        for path, train in zip(self.folder.paths, self.split.train, strict=True):
            digest.update(f"{path}\0{int(train)}\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()[:16]


def prepare(root: Path, holdout: Holdout, progress: Callable[[int, int], None] | None = None) -> Prepared:
    """Scan, audit and split a folder of people.

    Args:
        root: the folder.
        holdout: what to hold out.
        progress: called with (pictures read, pictures in all).

    Raises:
        MissingError: no such folder.
        InputError: nothing usable in it, or too little to hold anything out.
    """
    audit = audit_folder(scan_folder(root), progress=progress)
    return Prepared(audit, audit.usable, split_folder(audit.usable, holdout, audit.groups), holdout)
