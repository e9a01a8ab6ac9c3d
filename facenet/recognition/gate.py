"""What may be enrolled: rules that keep a bad picture, a stranger's picture or a second entry out of a gallery.

Every rule gives a reason with the figure and its limit, so that a refusal can be understood and, where it is wrong,
overridden.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import torch

from facenet.detection.faces import FoundFace
from facenet.detection.quality import Quality
from facenet.errors import printable
from facenet.gallery.records import Candidate
from facenet.geometry import cosine, normalise, paired_cosine

_TIE = 1e-9
"""Scores closer than this are the same, but for rounding."""


class Reason(StrEnum):
    """Why a face is not enrolled.

    ``TOO_SMALL``, ``BLURRED``, ``UNSURE`` (the detector is, that it is a face at all), ``SEVERAL_FACES``: the picture.
    ``OUTLIER``: unlike the other pictures it is enrolled with. ``UNLIKE``: unlike the person it is to be added to.
    ``TOO_CLOSE``: like somebody else who is enrolled already.
    """

    TOO_SMALL = "too_small"
    BLURRED = "blurred"
    UNSURE = "unsure"
    SEVERAL_FACES = "several_faces"
    OUTLIER = "outlier"
    UNLIKE = "unlike"
    TOO_CLOSE = "too_close"


@dataclass(frozen=True)
class Refusal:
    """One reason, in one word for programs and in words with figures for people."""

    reason: Reason
    words: str


@dataclass(frozen=True)
class Limits:
    """What a face must reach. Measured with MobileFaceNet on press photos (LFW), accepting from a cosine of 0.4.

    Attributes:
        compared: shorter side of a face, in pixels of the photo, below which it is not compared with anybody. Of faces
            of 80 pixels 4 % of genuine comparisons are missed, of 27 pixels 10 %, of 20 pixels 22 %, of 16 pixels 55 %.
        size: the same, below which it is not enrolled; more is asked for, since every later search depends on it. At
            40 pixels 5 % are missed, as good as at 80.
        sharpness: see :class:`facenet.detection.quality.Quality`. The photos have 0.34 to 0.95; blurred with a Gaussian
            of 2 pixels 95 of 100 are below 0.25, and 17 % of genuine comparisons are missed.
        probability: of the detector. 1 photo in 700 is below.
        rival: another face counts beside the largest if its shorter side is at least this share of the largest's (and
            its probability is high enough); smaller ones are people in the background. 15 % of the photos show several
            faces, 9 % several that count.
        same: without a calibrated threshold, pictures of one person must be at least so alike (cosine). With one wrong
            picture among five, 96 % of the wrong ones are found and none of the right ones refused.
        close: without a calibrated threshold, two people must be less alike than this (cosine). High, so that it
            refuses only what a usable model does not score between different people: none of 1,093,140 impostor
            comparisons reach it, and a third of the genuine ones.
        newcomers: a calibrated threshold is used in the place of ``close`` as long as no larger share of strangers is
            expected to reach it by chance.
    """

    compared: float = 20.0
    size: float = 40.0
    sharpness: float = 0.25
    probability: float = 0.95
    rival: float = 0.5
    same: float = 0.25
    close: float = 0.7
    newcomers: float = 0.05


@dataclass(frozen=True)
class Likeness:
    """The scores that decide whether two faces show one person, and where they come from.

    Attributes:
        same: pictures of one person reach it.
        close: two different people stay below it.
        same_is, close_is: what kind of threshold each is, in words.
    """

    same: float
    close: float
    same_is: str
    close_is: str


def check_face(
    quality: Quality,
    size: float,
    limits: Limits,
    *,
    found: FoundFace | None = None,
    others: Sequence[FoundFace] = (),
) -> list[Refusal]:
    """What speaks against one face of one picture, by itself.

    Args:
        quality: of the face.
        size: its shorter side in pixels of the photo.
        limits: what it must reach.
        found: the face, where a detector found it.
        others: all faces of the picture, if only one is expected; ``found`` may be among them.

    Returns:
        Every reason, empty if there is none. A face that came cut out already is never ``UNSURE``.
    """
    refusals = []
    if found is not None and (rivals := rivals_of(found, others, limits)):
        words = f"{rivals + 1} faces, one is expected: cut the picture, or say which one is meant"
        refusals.append(Refusal(Reason.SEVERAL_FACES, words))
    if size < limits.size:
        refusals.append(Refusal(Reason.TOO_SMALL, f"face of {size:.0f} pixels, at least {limits.size:.0f}"))
    if quality.sharpness < limits.sharpness:
        words = f"sharpness {quality.sharpness:.3g}, at least {limits.sharpness:.3g}"
        refusals.append(Refusal(Reason.BLURRED, words))
    if quality.probability is not None and quality.probability < limits.probability:
        words = f"a face with probability {quality.probability:.2f}, at least {limits.probability:.2f}"
        refusals.append(Refusal(Reason.UNSURE, words))
    return refusals


def rivals_of(found: FoundFace, others: Sequence[FoundFace], limits: Limits) -> int:
    """How many other faces could be meant just as well: sure ones that are not much smaller."""
    least = limits.rival * min(found.width, found.height)
    return sum(
        other != found and min(other.width, other.height) >= least and other.probability >= limits.probability
        for other in others
    )


def check_together(embeddings: np.ndarray, likeness: Likeness) -> list[Refusal | None]:
    """Which of the pictures that are said to show one person do not.

    Each is compared with the mean of the others. The one that is least like them is set aside, until all that remain
    are alike; what was set aside comes back if it is like the mean of those. So one wrong picture does not make the
    right ones look wrong, as long as the right ones outnumber it. Of two that differ, both are refused, for nothing
    says which one is right.

    Args:
        embeddings: ``float32 (n, d)``, unit rows.
        likeness: its ``same`` is the limit.

    Returns:
        For each row a refusal, or None.
    """
    rows = normalise(torch.from_numpy(embeddings).double())
    inside = torch.ones(len(rows), dtype=torch.bool)
    scores = torch.ones(len(rows), dtype=torch.float64)
    while inside.sum() > 1:
        own = rows[inside]
        scores[inside] = paired_cosine(own, normalise(own.sum(dim=0) - own))
        worst = scores[inside].min()
        if worst >= likeness.same:
            break
        # Of two that differ both are the worst, and both go.
        inside &= scores > worst + _TIE
    if inside.any():
        scores[~inside] = cosine(rows[~inside], normalise(rows[inside].sum(dim=0, keepdim=True)))[:, 0]
        inside |= scores >= likeness.same
    told = scores.tolist()
    return [None if kept else _outlier(told[row], len(rows), likeness) for row, kept in enumerate(inside.tolist())]


def check_person(score: float, name: str, likeness: Likeness) -> Refusal | None:
    """Whether a face may be added to a person; ``score`` is that with the most similar of their pictures."""
    if score >= likeness.same:
        return None
    words = f"unlike {printable(name)}: score {score:.3f}, at least {likeness.same:.3f} ({likeness.same_is})"
    return Refusal(Reason.UNLIKE, words)


def check_others(nearest: Candidate | None, likeness: Likeness) -> Refusal | None:
    """Whether a face belongs to somebody else: ``nearest`` is the most similar other person, None without any."""
    if nearest is None or nearest.score < likeness.close:
        return None
    who = f"{printable(nearest.name)} (id:{nearest.person})"
    limit = f"different people stay below {likeness.close:.3f} ({likeness.close_is})"
    return Refusal(Reason.TOO_CLOSE, f"too close to {who}: score {nearest.score:.3f}, {limit}")


def _outlier(score: float, pictures: int, likeness: Likeness) -> Refusal:
    rest = "the other picture" if pictures == 2 else "most of the other pictures"
    words = f"unlike {rest} given: score {score:.3f}, at least {likeness.same:.3f} ({likeness.same_is})"
    return Refusal(Reason.OUTLIER, words)
