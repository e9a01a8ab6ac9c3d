"""What every protocol does alike: read pictures, say what was measured on what, and judge scored comparisons."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facenet.data.folders import Folder
from facenet.detection.faces import Policy
from facenet.errors import InputError, printable
from facenet.evaluation.embedded import Embedded, State
from facenet.evaluation.embedder import Embedder
from facenet.evaluation.flips import Flip
from facenet.evaluation.study import Pictures
from facenet.training.checkpoint import versions
from facenet.workflows.embedded_pictures import embed_pictures

Progress = Callable[[int, int | None], None]
"""Called with (pictures done, pictures in all)."""

_NAMED = 3


@dataclass(frozen=True)
class Reading:
    """How pictures become embeddings.

    Attributes:
        aligned: each picture is a face already, cut as the model wants it.
        faces: which face of a picture is meant; not ``all``.
        flip: what is done with the mirrored face.
        undetected, missing: see :func:`facenet.workflows.embedded_pictures.embed_pictures`.
        cache: folder in which embeddings are kept, or None.
        batch_size: faces embedded at a time.
    """

    aligned: bool = False
    faces: Policy = Policy.CENTRAL
    flip: Flip = Flip.NONE
    undetected: Literal["middle", "as-failure"] = "middle"
    missing: Literal["refuse", "as-failure"] = "refuse"
    cache: Path | None = None
    batch_size: int = 32


@dataclass(frozen=True)
class Judging:
    """How figures are made of scores.

    Attributes:
        label: what the model is called; None: by its weights.
        threshold: the score at which groups and errors are looked at; None: as the protocol says.
        groups: CSV file of attributes, or None; see :func:`facenet.evaluation.groups.read_attributes`.
        unknown_names: what to do about names in it that are not in the data.
        seed: of everything drawn.
        replicates: how often people are drawn anew for an interval.
        command: the command line, for the record.
    """

    label: str | None = None
    threshold: float | None = None
    groups: Path | None = None
    unknown_names: Literal["refuse", "ignore"] = "refuse"
    seed: int = 0
    replicates: int = 1000
    command: tuple[str, ...] = ()


AS_THEY_ARE = Reading()
"""Photos, read with the defaults."""

AS_USUAL = Judging()
"""Figures made with the defaults."""


def embed(
    paths: Sequence[str], embedder: Embedder, reading: Reading, progress: Progress | None, notices: list[str]
) -> Embedded:
    """Embed pictures as ``reading`` says; what a reader should know about them is added to ``notices``.

    Raises:
        MissingError, InputError, StorageError: as :func:`facenet.workflows.embedded_pictures.embed_pictures`.
    """
    found = embed_pictures(
        paths,
        embedder,
        aligned=reading.aligned,
        policy=reading.faces,
        flip=reading.flip,
        undetected=reading.undetected,
        missing=reading.missing,
        cache=reading.cache,
        batch_size=reading.batch_size,
        progress=progress,
        say=notices.append,
    )
    notices += states_of(found)
    return found


def states_of(found: Embedded) -> list[str]:
    """What a reader should know about pictures that are not as they should be."""
    what = {
        State.FALLBACK: "no face was found, and the middle of the picture stands for it",
        State.NO_FACE: "no face was found, and whatever is measured with it counts as wrong",
        State.UNREADABLE: "not readable, and whatever is measured with it counts as wrong",
        State.MISSING: "no such file, and whatever is measured with it counts as wrong",
    }
    notices = []
    for state, meaning in what.items():
        those = [path for path, its in zip(found.paths, found.states, strict=True) if its is state]
        if those:
            notices.append(f"{len(those):,} of {len(found):,} pictures: {meaning}: {named(those)}")
    return notices


def named(names: Sequence[object]) -> str:
    """The first few of some names, and that there are more."""
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(printable(name) for name in names[:_NAMED]) + more


def usable_rows(found: Embedded) -> Tensor:
    """``float32 (n, d)``: the embeddings, zeros where there is none; such rows are never to be believed.

    Raises:
        InputError: an embedding that is there is not finite, as those of a broken network are not.
    """
    failed = torch.from_numpy(found.failed)
    bad = int((~found.embeddings.isfinite().all(dim=1) & ~failed).sum())
    if bad:
        raise InputError(f"{bad:,} of {len(found):,} embeddings are not finite numbers: the network is broken")
    return found.embeddings.masked_fill(failed[:, None], 0)


def drop_copies(folder: Folder, found: Embedded, notices: list[str]) -> NDArray[np.bool_]:
    """Which pictures are measured, by the rule of the audit: of copies of one person's picture the first, and of what
    is filed under several people nothing.

    Args:
        folder: of people.
        found: its pictures, embedded.
        notices: told how many are left out.

    Returns:
        ``(n,)`` bool.
    """
    rows: dict[str, list[int]] = {}
    for row, content in enumerate(found.contents):
        if content:
            rows.setdefault(content, []).append(row)
    keep = np.ones(len(folder), dtype=np.bool_)
    copies = conflicts = 0
    for twins in rows.values():
        if len(twins) == 1:
            continue
        one_person = len(np.unique(folder.labels[twins])) == 1
        out = twins[1:] if one_person else twins
        keep[out] = False
        copies, conflicts = copies + len(out) * one_person, conflicts + len(out) * (not one_person)
    if copies:
        notices.append(f"{copies:,} pictures are copies, byte for byte, of others of the same person, and are left out")
    if conflicts:
        notices.append(f"{conflicts:,} pictures lie byte for byte under several people, and are left out")
    return keep


def select(found: Embedded, keep: NDArray[np.bool_]) -> Embedded:
    """Some of the pictures, in order."""
    rows = np.flatnonzero(keep)
    return Embedded(
        paths=tuple(found.paths[row] for row in rows),
        embeddings=found.embeddings[torch.from_numpy(rows)],
        states=tuple(found.states[row] for row in rows),
        contents=tuple(found.contents[row] for row in rows),
        boxes=found.boxes[rows],
        qualities=found.qualities[rows],
        fingerprint=found.fingerprint,
        cached=found.cached,
    )


def embed_people(
    folder: Folder, embedder: Embedder, reading: Reading, progress: Progress | None, notices: list[str]
) -> tuple[Folder, Embedded]:
    """Embed a folder of people; of what is left by the rule about copies, the folder and the embeddings.

    Raises:
        InputError, StorageError: as :func:`embed`.
    """
    files = [str(folder.file(row)) for row in range(len(folder))]
    found = embed(files, embedder, reading, progress, notices)
    keep = drop_copies(folder, found, notices)
    return folder.select(keep), select(found, keep)


def pictures_of(found: Embedded) -> Pictures:
    """Where to look at them."""
    return Pictures(tuple(Path(path) for path in found.paths), found.boxes)


def about(
    embedder: Embedder,
    reading: Reading,
    judging: Judging,
    *,
    data: Mapping[str, Any],
    counts: Mapping[str, Any],
    rules: Sequence[str],
) -> dict[str, Any]:
    """What was measured on what: see :attr:`facenet.evaluation.study.Study.about`.

    Args:
        embedder: the model.
        reading, judging: how.
        data: name → path of what was read.
        counts: what there is of it.
        rules: of the protocol, a sentence each.
    """
    whole = reading.aligned or not embedder.preprocessing.finds_faces
    faces = "each picture is a face" if whole else f"found by our own detector; of several the {_MEANT[reading.faces]}"
    model = {
        "model": embedder.source.backbone,
        "weights": printable(_from_here(embedder.source.place)),
        "fingerprint": embedder.fingerprint,
        "preprocessing": embedder.preprocessing.to_dict(),
        "device": embedder.device,
        "precision": embedder.precision,
    }
    how = {"faces": faces, "flip": str(reading.flip)}
    return described(model, judging, data=data, counts=counts, rules=rules, how=how)


def _from_here(place: str) -> str:
    """A place below the working folder as it would be typed here: a report is passed on, and where it was made says
    more about somebody's machine than about the model."""
    path, here = Path(place), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else place


_MEANT = {
    Policy.CENTRAL: "one nearest the middle",
    Policy.LARGEST: "largest",
    Policy.PROBABLE: "one the detector is surest of",
}


def described(
    model: Mapping[str, Any],
    judging: Judging,
    *,
    data: Mapping[str, Any],
    counts: Mapping[str, Any],
    rules: Sequence[str],
    how: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The same for a model that is described already; ``how`` its pictures became embeddings follows upon it."""
    return {
        **model,
        **({} if how is None else how),
        "data": {name: printable(value) for name, value in data.items()},
        "counts": dict(counts),
        "rules": list(rules),
        "seed": judging.seed,
        "replicates": judging.replicates,
        "versions": versions(),
        "command": printable(shlex.join(judging.command)),
    }


def label_of(embedder: Embedder, judging: Judging) -> str:
    """What the model is called where there is little room."""
    if judging.label is not None:
        return judging.label
    place = Path(embedder.source.place)
    if embedder.source.kind == "checkpoint":
        run = place.parent.parent.name
        return f"{run}/{place.name}" if run else place.name
    return place.stem if place.suffix else place.name
