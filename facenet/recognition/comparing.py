"""From photos whose faces are embedded to outcomes: who is it, and is it the same person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from facenet.errors import printable
from facenet.evaluation.photos import Photo, PhotoFace
from facenet.gallery.gallery import Gallery
from facenet.gallery.records import Person, SearchResult
from facenet.geometry import paired_cosine
from facenet.recognition.decisions import HOW_TO_CALIBRATE, Rule
from facenet.recognition.outcomes import Outcome, Status

SEARCHED_AT_ONCE = 256
"""Faces, or photos, that are gathered before the gallery is searched for all of them together."""


@dataclass(frozen=True)
class Verification:
    """Whether two faces show one person.

    Attributes:
        same: the answer; None if there is no threshold to decide by or a photo cannot be used.
        score: cosine in ``[-1, 1]``; None if a photo cannot be used.
        threshold: ``same`` is ``score >= threshold``; None if there is none.
        problems: one outcome for each photo that cannot be used; empty if both can.
        person: who the photo was compared with, where that is a person of the gallery.
        reason: in words, where ``same`` is None.
    """

    same: bool | None
    score: float | None
    threshold: float | None
    problems: tuple[Outcome, ...] = ()
    person: Person | None = None
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "same": self.same,
            "score": self.score,
            "threshold": self.threshold,
            "person": None if self.person is None else {"person": self.person.id, "name": self.person.name},
            "problems": [outcome.to_dict() for outcome in self.problems],
            "reason": self.reason,
        }


def identify_photos(
    gallery: Gallery, photos: Iterable[Photo], rule: Rule, *, top_k: int, smallest: float
) -> Iterator[Outcome]:
    """Search the gallery for every face, many faces at a time.

    Args:
        gallery: searched.
        photos: as they come; at most :data:`SEARCHED_AT_ONCE` of them, or a photo more than so many faces, are held.
        rule: decides.
        top_k: candidates told for each face, at least 1.
        smallest: see :class:`facenet.recognition.gate.Limits`, ``compared``.

    Returns:
        In the order of the photos, the faces of each in the order found; one outcome for a photo without a face.
    """
    waiting: list[Photo] = []
    faces = 0
    for photo in photos:
        waiting.append(photo)
        faces += len(photo.faces)
        if max(faces, len(waiting)) >= SEARCHED_AT_ONCE:
            yield from _search(gallery, waiting, rule, top_k, smallest)
            waiting, faces = [], 0
    yield from _search(gallery, waiting, rule, top_k, smallest)


def verify_faces(first: Photo, second: Photo, rule: Rule, *, one_face: bool, smallest: float) -> Verification:
    """Compare the faces of two photos.

    Args:
        first, second: read with a policy that picks one face.
        rule: decides.
        one_face: a photo with several faces is a problem, not a choice.
        smallest: see :class:`facenet.recognition.gate.Limits`, ``compared``.
    """
    problems = _problems((first, second), one_face, smallest)
    if problems:
        return _impossible(problems, rule)
    rows = [torch.from_numpy(np.atleast_2d(photo.faces[0].embedding)) for photo in (first, second)]
    return _judge(float(paired_cosine(rows[0], rows[1])), rule)


def verify_person(
    gallery: Gallery, photo: Photo, person: Person, rule: Rule, *, one_face: bool, smallest: float
) -> Verification:
    """Compare the face of a photo with a person's template; arguments as :func:`verify_faces`."""
    problems = _problems((photo,), one_face, smallest)
    if problems:
        return _impossible(problems, rule, person)
    return _judge(gallery.verify(photo.faces[0].embedding, person), rule, person)


def problem_of(photo: Photo, *, one_face: bool = False) -> Outcome | None:
    """Why a photo offers no face to compare, None if it does.

    Args:
        photo: any.
        one_face: several faces are a problem.
    """
    source = str(photo.path)
    if photo.problem:
        return Outcome(source, Status.UNREADABLE, reason=photo.problem)
    if not photo.faces:
        return Outcome(source, Status.NO_FACE, reason="no face found")
    if one_face and len(photo.found) > 1:
        words = f"{len(photo.found)} faces, one is expected: cut the picture, or say which one is meant"
        return Outcome(source, Status.SEVERAL_FACES, reason=words)
    return None


def face_size(photo: Photo, face: PhotoFace) -> float:
    """Shorter side of a face in pixels of its photo; of the whole photo where that is the face."""
    if face.found is not None or photo.size is None:
        return face.quality.size
    return float(min(photo.size))


def _search(gallery: Gallery, photos: Sequence[Photo], rule: Rule, top_k: int, smallest: float) -> Iterator[Outcome]:
    wanted = [face for photo in photos for face in photo.faces if face_size(photo, face) >= smallest]
    results: Iterator[SearchResult] = iter(())
    if wanted:
        # The runner-up is looked for even where only the best is to be told: the margin needs it.
        results = iter(gallery.search(np.stack([face.embedding for face in wanted]), max(top_k, 2)))
    for photo in photos:
        problem = problem_of(photo)
        if problem is not None:
            yield problem
        for face in photo.faces:
            if face_size(photo, face) < smallest:
                yield _too_small(photo, face, smallest)
            else:
                yield _decide(photo, face, next(results), rule, top_k)


def _decide(photo: Photo, face: PhotoFace, result: SearchResult, rule: Rule, top_k: int) -> Outcome:
    status, reason = rule.decide(result)
    return Outcome(
        source=str(photo.path),
        status=status,
        face=face.found,
        candidates=result.candidates[:top_k],
        threshold=rule.threshold,
        margin=result.margin,
        quality=face.quality.score,
        reason=reason,
    )


def _too_small(photo: Photo, face: PhotoFace, smallest: float) -> Outcome:
    words = f"face of {face_size(photo, face):.0f} pixels, at least {smallest:.0f} are needed to compare it"
    return Outcome(str(photo.path), Status.TOO_SMALL, face=face.found, quality=face.quality.score, reason=words)


def _problems(photos: Sequence[Photo], one_face: bool, smallest: float) -> tuple[Outcome, ...]:
    found = []
    for photo in photos:
        problem = problem_of(photo, one_face=one_face)
        if problem is None and face_size(photo, photo.faces[0]) < smallest:
            problem = _too_small(photo, photo.faces[0], smallest)
        if problem is not None:
            found.append(problem)
    return tuple(found)


def _impossible(problems: tuple[Outcome, ...], rule: Rule, person: Person | None = None) -> Verification:
    reason = "; ".join(f"{printable(problem.source)}: {problem.reason}" for problem in problems)
    return Verification(None, None, rule.threshold, problems, person, reason)


def _judge(score: float, rule: Rule, person: Person | None = None) -> Verification:
    if rule.threshold is None:
        return Verification(None, score, None, (), person, f"no threshold to decide by: {HOW_TO_CALIBRATE}")
    return Verification(score >= rule.threshold, score, rule.threshold, (), person)
