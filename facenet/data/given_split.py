"""Pictures that lie ready in a training folder and a folder beside it to test on.

``ROOT/train/Ada/1.jpg`` and ``ROOT/validation/Ada/7.jpg`` are two pictures of ``Ada``: the first part of the path says
which pictures are held out, the rest who is on them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from facenet.data.folders import Folder, path_parts
from facenet.errors import InputError, printable

_TRAINING = frozenset({"train", "training", "trainset"})
_HELD = frozenset({"val", "valid", "validation", "dev", "test", "testing", "testset", "eval"})
_MOST_NAMES = 3


class GivenSplit(NamedTuple):
    """Names of the two folders below a root."""

    training: str
    held: str


def given_split(folder: Folder) -> GivenSplit | None:
    """The two folders that all pictures lie in, or None if they do not lie like this.

    Args:
        folder: pictures as found below a root; names of people are paths that begin with the split's.
    """
    tops = sorted({name.partition("/")[0] for name in folder.people if "/" in name})
    if len(tops) != 2 or any("/" not in name for name in folder.people):
        return None
    training = [top for top in tops if top.lower() in _TRAINING]
    held = [top for top in tops if top.lower() in _HELD]
    return GivenSplit(training[0], held[0]) if training and held else None


def people_across(folder: Folder) -> Folder:
    """The same pictures with people named without the split's folder.

    Raises:
        InputError: the pictures do not lie in two such folders, or somebody is only in the held one.
    """
    split = given_split(folder)
    if split is None:
        raise InputError(
            f"{printable(folder.root)} does not hold two folders such as train/ and validation/ with all pictures: "
            "choose another --holdout"
        )
    names = [name.partition("/")[2] for name in folder.people]
    trained = {name.partition("/")[2] for name in folder.people if name.startswith(f"{split.training}/")}
    unknown = sorted(set(names) - trained, key=path_parts)
    if unknown:
        shown = ", ".join(printable(name) for name in unknown[:_MOST_NAMES])
        more = f" and {len(unknown) - _MOST_NAMES} more" if len(unknown) > _MOST_NAMES else ""
        raise InputError(
            f"{printable(split.held)}/ has {shown}{more}, which {printable(split.training)}/ lacks: nothing can be "
            "learned of them; add training pictures or take the folders away"
        )
    people = sorted(set(names), key=path_parts)
    number = {name: index for index, name in enumerate(people)}
    renamed = np.array([number[name] for name in names], dtype=np.int64)
    return Folder(folder.root, tuple(people), folder.paths, renamed[folder.labels], folder.left_out)


def held_by_folder(folder: Folder) -> np.ndarray:
    """``bool (n,)``: pictures in the held folder; ``folder`` as from :func:`people_across`.

    Raises:
        InputError: the pictures do not lie in two such folders.
    """
    tops = np.array([path.partition("/")[0] for path in folder.paths], dtype=object)
    held = np.array([top.lower() in _HELD for top in tops.tolist()], dtype=bool)
    if held.all() or not held.any():
        raise InputError(
            f"{printable(folder.root)} needs pictures in a training folder and in one to test on, such as train/ and "
            "validation/"
        )
    return held
