"""The template protocol of the IJB sets: several pictures of one person are compared as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from facenet.errors import printable
from facenet.evaluation.comparisons import Comparisons
from facenet.evaluation.embedder import Embedder
from facenet.evaluation.given import embed_given_faces
from facenet.evaluation.ijbfiles import read_landmarks, read_media, read_template_pairs
from facenet.evaluation.study import Pictures, Study
from facenet.evaluation.templates import compare_templates, fuse_templates
from facenet.workflows.study_comparisons import Protocol, judged
from facenet.workflows.study_shared import (
    AS_THEY_ARE,
    AS_USUAL,
    Judging,
    Progress,
    Reading,
    about,
    embed,
    label_of,
    states_of,
)

TARGETS = (1e-2, 1e-3, 1e-4)
"""False match rates at which the true accept rate is given, if nothing is said."""


_RULES = (
    "accepted if score >= threshold",
    "a template is the mean over its media of the mean over each medium's pictures, brought to length 1",
    "people are what genuine pairs link",
)


def templates_study(
    embedder: Embedder,
    images: Path,
    media: Path,
    pairs: Path,
    *,
    landmarks: Path | None = None,
    targets: Sequence[float] = TARGETS,
    reading: Reading = AS_THEY_ARE,
    judging: Judging = AS_USUAL,
    progress: Progress | None = None,
) -> Study:
    """Compare templates: embeddings averaged within each medium, then over the media, then compared.

    Args:
        embedder: the network.
        images: folder of the pictures.
        media: file ``NAME TEMPLATE MEDIUM``; see :mod:`facenet.evaluation.ijbfiles`.
        pairs: file ``TEMPLATE TEMPLATE SAME``.
        landmarks: file ``NAME x1 y1 … x5 y5 SCORE``: faces are cut by these five points, and none is looked for; their
            embeddings are not kept.
        targets: false match rates.
        reading, judging: how.
        progress: told how many pictures are embedded.

    Raises:
        MissingError, InputError: files that are not there or malformed (with the line), pictures that cannot be used,
            pairs of templates that are not in ``media``.
    """
    notices: list[str] = []
    made = _made(embedder, images, media, pairs, landmarks, reading, progress, notices)
    said = about(
        embedder,
        reading,
        judging,
        data={"pictures": images, "media": media, "pairs": pairs},
        counts=made.counts,
        rules=_RULES,
    )
    if landmarks is not None:
        said |= {"faces": "cut by the landmarks given", "data": {**said["data"], "landmarks": printable(landmarks)}}
    study = judged(
        made.comparisons,
        Protocol("templates", "Templates", made.samples, made.samples),
        judging,
        label=label_of(embedder, judging),
        about=said,
        notices=notices,
        targets=targets,
    )
    return replace(study, pictures=made.pictures)


class _Made(NamedTuple):
    """What is left of the templates once they are compared."""

    comparisons: Comparisons
    samples: tuple[str, ...]
    pictures: Pictures
    counts: dict[str, Any]


def _made(
    embedder: Embedder,
    images: Path,
    media: Path,
    pairs: Path,
    landmarks: Path | None,
    reading: Reading,
    progress: Progress | None,
    notices: list[str],
) -> _Made:
    """Embed the pictures, fuse and compare: apart, so that a million embeddings are gone when figures are made."""
    listed, compared = read_media(media), read_template_pairs(pairs)
    # A picture may be in several templates; it is embedded once.
    names, lines = np.unique(np.array(listed.names, dtype=object), return_inverse=True)
    files = [str(images / name) for name in names]
    if landmarks is None:
        found = embed(files, embedder, reading, progress, notices)
    else:
        found = embed_given_faces(
            [Path(file) for file in files],
            list(read_landmarks(landmarks, names.tolist())),
            embedder,
            flip=reading.flip,
            missing=reading.missing,
            batch_size=reading.batch_size,
            progress=progress,
        )
        notices += states_of(found)
    fused = fuse_templates(found.embeddings, listed, failed=found.failed, rows=lines)
    comparisons = compare_templates(fused, compared)
    left_out = int(fused.left_out.sum())
    if left_out:
        notices.append(f"{left_out:,} pictures have no embedding: the others of their template stand for it alone")
    if fused.failed.any():
        notices.append(f"{int(fused.failed.sum()):,} templates have no embedding at all")
    shown = lines[fused.shown]
    return _Made(
        comparisons,
        tuple(str(number) for number in fused.ids.tolist()),
        Pictures(tuple(Path(found.paths[row]) for row in shown), found.boxes[shown]),
        {"pictures": len(found), "templates": len(fused), "states": found.counts()},
    )
