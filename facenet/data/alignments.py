"""What ``dataset align`` declares about the faces it wrote, so that whoever reads the folder need not guess.

``alignment.json``  in the root: the contract by which the faces were cut, and which face of each photo was meant
``align.csv``       beside it: what became of every file
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facenet.detection.faces import Policy
from facenet.errors import CheckpointError, InputError, printable
from facenet.preprocessing import Preprocessing

FILE_NAME = "alignment.json"
FORMAT = "facenet-alignment"
VERSION = 1

_LARGEST = 1024 * 1024


@dataclass(frozen=True)
class Alignment:
    """How the faces of a folder were made.

    Attributes:
        preprocessing: the contract whose detector found and whose crop cut them; its size is theirs.
        faces: which face of a photo was taken.
        picture_format: ``"png"`` or ``"jpg"``.
    """

    preprocessing: Preprocessing
    faces: Policy
    picture_format: str

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "preprocessing": self.preprocessing.to_dict(),
            "faces": self.faces.value,
            "picture_format": self.picture_format,
        }


def read_alignment(root: Path) -> Alignment | None:
    """What ``root/alignment.json`` declares; None if there is no such file, or one of somebody else.

    Raises:
        InputError: it cannot be read or is damaged, so that nobody can tell how the faces were cut.
    """
    path = root / FILE_NAME
    values = _read(path)
    if values is None or values.get("format") != FORMAT:
        return None
    if values.get("version") != VERSION:
        raise InputError(
            f"{printable(path)} was written in format {values.get('version')!r}, this version reads {VERSION}"
        )
    try:
        preprocessing = Preprocessing.from_dict(values["preprocessing"])
        if not preprocessing.finds_faces or values["picture_format"] not in ("png", "jpg"):
            raise ValueError("its values contradict one another")
        return Alignment(preprocessing, Policy(values["faces"]), values["picture_format"])
    except (CheckpointError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{_damaged(path)} ({printable(error)})") from error


def declared_contract(root: Path) -> Preprocessing | None:
    """The contract by which the pictures of ``root`` were cut, if ``dataset align`` wrote them; else None.

    Raises:
        InputError: as :func:`read_alignment`.
    """
    alignment = read_alignment(root)
    return None if alignment is None else alignment.preprocessing


def _read(path: Path) -> Mapping[str, Any] | None:
    """The JSON object in a file of bounded size; None if there is no file, or no object in it."""
    try:
        if path.is_file() and path.stat().st_size > _LARGEST:
            return None
        document = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        reason = error.strerror.lower() if error.strerror else "cannot be opened"
        raise InputError(f"cannot read {printable(path)}: {reason}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(_damaged(path)) from error
    return document if isinstance(document, dict) else None


def _damaged(path: Path) -> str:
    return (
        f"{printable(path)} is damaged, so nobody can tell how the faces below it were cut: "
        "cut them again with `dataset align`, or remove the file if it is not ours"
    )
