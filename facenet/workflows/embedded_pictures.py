"""The pictures of a protocol → one embedding each, in order; kept for the next run where that is wanted."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facenet.data.loaders import usable_cores
from facenet.detection.detector import Detector
from facenet.detection.faces import Policy
from facenet.errors import InputError, MissingError, UnreadableImage, UsageError, printable
from facenet.evaluation.cuts import CUT_VERSION
from facenet.evaluation.embedded import Embedded, State
from facenet.evaluation.embedder import Embedder
from facenet.evaluation.flips import Flip, with_mirrored
from facenet.evaluation.pairfiles import Missing, listed
from facenet.evaluation.photos import Photo, read_photos
from facenet.images import read_picture_bytes
from facenet.workflows.embedding_cache import EmbeddingCache, Entry, open_cache

Undetected = Literal["middle", "as-failure"]
"""What stands for a picture in which no face was found: its ``middle`` (see
:func:`facenet.evaluation.cuts.middle_face`), or nothing, and every comparison with it counts as wrong."""

Progress = Callable[[int, int | None], None]
"""Called with (different pictures done, different pictures in all)."""

_BLOCK = 512
_MOST_THREADS = 8


def embed_pictures(
    paths: Sequence[str | Path],
    embedder: Embedder,
    *,
    aligned: bool = False,
    policy: Policy = Policy.CENTRAL,
    flip: Flip = Flip.NONE,
    undetected: Undetected = "middle",
    missing: Missing = "refuse",
    cache: Path | None = None,
    detector: Detector | None = None,
    batch_size: int = 32,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> Embedded:
    """Embed one face of each picture. Every picture is answered, so that no comparison is dropped.

    Files with the same bytes are embedded once. With a cache, an interrupted run goes on where it was, and the second
    run over the same pictures only reads their bytes.

    Args:
        paths: picture files.
        embedder: the network, and with it the contract that faces are cut by.
        aligned, batch_size: see :func:`facenet.evaluation.photos.read_photos`.
        policy: which of several faces is meant, not ``ALL``. Preset is the one nearest the middle, for there lies the
            face that a picture of a test set is about.
        flip: what the mirrored face adds; for anything but ``NONE`` the network works twice.
        undetected: what stands for a picture without a face.
        missing: ``refuse``: files that are not there or cannot be read end the run, all of them listed.
            ``as-failure``: they are pictures without an embedding.
        cache: folder for embeddings, kept by everything that made them and by the hash of the picture's file; None
            keeps nothing.
        detector: who finds faces; default: one on the embedder's device.
        progress: told how far it is.
        say: told when something stored in the cache is not used.

    Returns:
        One embedding for each path, in order. A fallback has the quality of a face that nobody found, 0.

    Raises:
        UsageError: ``policy`` is ``ALL``, ``batch_size`` is below 1, an unknown choice.
        MissingError: files are not there and ``missing`` is ``refuse``.
        InputError: likewise if files cannot be read; a file changed while it was being read.
        StorageError: the cache cannot be written.
    """
    _check(policy, undetected, missing)
    files = [Path(path) for path in paths]
    contents, problems = _read_contents(files)
    if missing == "refuse":
        _refuse(problems, len(files))
    if aligned or not embedder.preprocessing.finds_faces:
        detector = None
    elif detector is None:
        detector = Detector(device=embedder.trunk.device.type)
    mirrored = flip is not Flip.NONE
    read = partial(
        read_photos,
        embedder=embedder,
        detector=detector,
        aligned=aligned,
        policy=policy,
        batch_size=batch_size,
        mirrored=mirrored,
        middle=True,
    )
    places: dict[str, Path] = {}
    for content, file in zip(contents, files, strict=True):
        if content:
            places.setdefault(content, file)
    maker = _maker(embedder, detector, policy)
    with nullcontext() if cache is None else open_cache(cache, maker, embedder.embedding_size, say=say) as kept:
        entries = {} if kept is None else kept.find(places, mirrored=mirrored)
        cached = sum(content in entries for content in contents)
        undecodable = _complete(entries, places, kept, read, progress)
    problems |= {file: undecodable[c] for file, c in zip(files, contents, strict=True) if c in undecodable}
    if missing == "refuse":
        _refuse(problems, len(files))
    found = [entries.get(content) for content in contents]
    states = tuple(_state(file, entry, undetected) for file, entry in zip(files, found, strict=True))
    embeddings, boxes, qualities = _arrays(found, states, flip, embedder.embedding_size)
    return Embedded(
        tuple(map(str, paths)), embeddings, states, tuple(contents), boxes, qualities, embedder.fingerprint, cached
    )


def _check(policy: Policy, undetected: Undetected, missing: Missing) -> None:
    if policy is Policy.ALL:
        raise UsageError("a protocol compares one face of each picture: choose largest, central or probable")
    for name, value, choices in (("undetected", undetected, Undetected), ("missing", missing, Missing)):
        if value not in get_args(choices):
            raise UsageError(f"{name} is {' or '.join(get_args(choices))}, not {printable(value)}")


def _read_contents(files: Sequence[Path]) -> tuple[list[str], dict[Path, str]]:
    """SHA-256 (hex) of each file, ``""`` where it cannot be read; and why not."""
    contents: list[str] = []
    problems: dict[Path, str] = {}
    with ThreadPoolExecutor(min(_MOST_THREADS, usable_cores()), thread_name_prefix="contents") as pool:
        # In blocks: a pool takes all it is given at once, and a million files asked for are a million objects.
        for start in range(0, len(files), _BLOCK):
            block = files[start : start + _BLOCK]
            for file, (content, problem) in zip(block, pool.map(_read_content, block), strict=True):
                contents.append(content)
                if problem:
                    problems[file] = problem
    return contents, problems


def _read_content(file: Path) -> tuple[str, str]:
    try:
        return hashlib.sha256(read_picture_bytes(file)).hexdigest(), ""
    except UnreadableImage as error:
        return "", error.reason


def _refuse(problems: Mapping[Path, str], files: int) -> None:
    """End the run if there are pictures that cannot be used, and say which."""
    if not problems:
        return
    lines = [f"{file}: {reason}" for file, reason in problems.items()]
    text = f"{len(problems):,} of {files:,} pictures are not there or cannot be read:{listed(lines)}"
    raise InputError(text) if all(os.path.exists(file) for file in problems) else MissingError(text)


def _maker(embedder: Embedder, detector: Detector | None, policy: Policy) -> dict[str, Any]:
    """All that an embedding depends on besides the picture."""
    finding = None
    if detector is not None:
        finding = {
            "policy": policy.value,
            "min_face": detector.min_face,
            "thresholds": list(detector.thresholds),
            "max_pixels": detector.max_pixels,
        }
    return {
        "fingerprint": embedder.fingerprint,
        "precision": str(embedder.trunk.dtype),
        "cut": CUT_VERSION,
        "finding": finding,
    }


def _complete(
    entries: dict[str, Entry],
    places: Mapping[str, Path],
    kept: EmbeddingCache | None,
    read: Callable[..., Generator[Photo, None, None]],
    progress: Progress | None,
) -> dict[str, str]:
    """Embed what is not among ``entries``, and add it to them and to the cache.

    Args:
        places: content → file.

    Returns:
        Content → reason, where a picture cannot be decoded.
    """
    before, undecodable = len(entries), dict[str, str]()
    todo = {file: content for content, file in places.items() if content not in entries}
    with closing(read(list(todo))) as photos:
        for done, photo in enumerate(photos, start=before + 1):
            if photo.content != todo[photo.path]:
                raise InputError(f"{printable(photo.path)} changed while it was being read")
            if photo.problem:
                undecodable[photo.content] = photo.problem
            else:
                entries[photo.content] = entry = _entry(photo)
                if kept is not None:
                    kept.add(entry)
            if progress is not None:
                progress(done, len(places))
    return undecodable


def _entry(photo: Photo) -> Entry:
    (face,) = photo.faces
    box = (np.nan,) * 4 if face.found is None else face.found.box
    return Entry(
        photo.content,
        face.embedding,
        face.mirrored,
        np.array(box, dtype=np.float32),
        face.quality.score,
        face.guessed,
    )


def _state(file: Path, entry: Entry | None, undetected: Undetected) -> State:
    if entry is None:
        return State.UNREADABLE if os.path.exists(file) else State.MISSING
    if not entry.guessed:
        return State.FACE
    return State.FALLBACK if undetected == "middle" else State.NO_FACE


def _arrays(
    entries: Sequence[Entry | None], states: Sequence[State], flip: Flip, size: int
) -> tuple[Tensor, NDArray[np.float32], NDArray[np.float32]]:
    """Embeddings, boxes and qualities of all pictures; NaN where there is none."""
    n = len(entries)
    embeddings, boxes, qualities = (np.full(shape, np.nan, dtype=np.float32) for shape in ((n, size), (n, 4), n))
    mirrored = None if flip is Flip.NONE else np.full_like(embeddings, np.nan)
    for row, (entry, state) in enumerate(zip(entries, states, strict=True)):
        if entry is None or state is State.NO_FACE:
            continue
        embeddings[row], boxes[row], qualities[row] = entry.embedding, entry.box, entry.quality
        if mirrored is not None and entry.mirrored is not None:
            mirrored[row] = entry.mirrored
    flipped = None if mirrored is None else torch.from_numpy(mirrored)
    return with_mirrored(torch.from_numpy(embeddings), flipped, flip), boxes, qualities
