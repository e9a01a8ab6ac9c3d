"""The first half of every job: read the folder, audit it, split it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from facenet.data.audit import Audit, audit_folder
from facenet.data.folders import Folder, scan_folder
from facenet.data.given_split import given_split, people_across
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


def prepare(root: Path, holdout: Holdout | None, progress: Callable[[int, int], None] | None = None) -> Prepared:
    """Scan, audit and split a folder of people.

    Args:
        root: the folder.
        holdout: what to hold out; None: the pictures in the folder to test on if the root has one beside a training
            folder, else some pictures of everybody.
        progress: called with (pictures read, pictures in all).

    Raises:
        MissingError: no such folder.
        InputError: nothing usable in it, or too little to hold anything out.
    """
    found = scan_folder(root)
    if holdout is None:
        holdout = Holdout() if given_split(found) is None else Holdout(kind="folder")
    if holdout.kind == "folder":
        # Before a picture is read: thousands may be, before this says that a folder is misplaced.
        people_across(found)
    audit = audit_folder(found, progress=progress)
    usable = people_across(audit.usable) if holdout.kind == "folder" else audit.usable
    return Prepared(audit, usable, split_folder(usable, holdout, audit.groups), holdout)
