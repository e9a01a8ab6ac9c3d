"""From photos to enrolled people: what passes the gate is written, one transaction for each person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from facenet.errors import InputError, printable
from facenet.evaluation.photos import Photo, PhotoFace
from facenet.gallery.gallery import Gallery
from facenet.gallery.names import normalise_name
from facenet.gallery.records import Candidate, Person, Sample
from facenet.geometry import cosine
from facenet.recognition.comparing import face_size, problem_of
from facenet.recognition.decisions import likeness_of
from facenet.recognition.gate import (
    Limits,
    Reason,
    Refusal,
    check_face,
    check_others,
    check_person,
    check_together,
)
from facenet.recognition.outcomes import Status
from facenet.recognition.reports import EnrollmentReport, PictureReport, Result


@dataclass(frozen=True)
class Facts:
    """What is recorded with a person; see :class:`facenet.gallery.records.Person`."""

    metadata: Mapping[str, Any] | None = None
    consent: str | None = None
    expires: str | None = None


@dataclass(frozen=True)
class Known:
    """A picture that need not be read, for it is enrolled for this person already.

    Attributes:
        path: its file.
        content: SHA-256 (hex) of the file.
    """

    path: Path
    content: str


@dataclass
class _Draft:
    """A picture on its way through the gate."""

    source: str
    content: str = ""
    sample: Sample | None = None
    result: Result = Result.ENROLLED
    refusals: list[Refusal] = field(default_factory=list)
    words: str = ""

    def refuse(self, refusal: Refusal | None) -> None:
        if refusal is not None:
            self.refusals.append(refusal)


def find_person(gallery: Gallery, name: str, *, person: int | None = None, new: bool = False) -> Person | None:
    """Who is meant by an enrollment: somebody in the gallery, or None for somebody new.

    Raises:
        InputError: an unusable name, several people of that name, no person of that id.
    """
    name = normalise_name(name)
    if person is not None:
        return gallery.store.person(person)
    named = [] if new else gallery.store.people(name=name)
    if len(named) > 1:
        ids = ", ".join(f"id:{known.id}" for known in named)
        raise InputError(f"{len(named)} people are called {printable(name)}: say which one is meant ({ids})")
    return named[0] if named else None


def enroll_pictures(
    gallery: Gallery,
    name: str,
    pictures: Iterable[Photo | Known],
    *,
    limits: Limits,
    one_face: bool,
    force: bool = False,
    person: int | None = None,
    new: bool = False,
    facts: Facts | None = None,
) -> EnrollmentReport:
    """Put pictures of one person through the gate and write what passes, in one transaction.

    Args:
        gallery: written to.
        name: of the person.
        pictures: read with a policy that picks one face, or known to be enrolled. None is asked for if ``name`` cannot
            be used, and their pixels are not kept.
        limits: of the gate.
        one_face: a picture of several people is refused.
        force: enroll whatever has a face; what spoke against it is written to the audit log.
        person, new, facts: see :meth:`facenet.gallery.gallery.Gallery.enroll`.

    Returns:
        Once everything is on disk. The same pictures given again are found enrolled, and what was refused is judged
        as it was the first time.

    Raises:
        InputError: as :func:`find_person`.
        StorageError, GalleryError: the gallery cannot be written.
    """
    owner = find_person(gallery, name, person=person, new=new)
    enrolled = {} if owner is None else _enrolled(gallery, owner)
    drafts = _drafts(pictures, enrolled, limits, one_face)
    _judge(gallery, owner, drafts, {draft.content for draft in drafts}, enrolled, limits)
    for draft in drafts:
        _settle(draft, force)
    accepted = [draft.sample for draft in drafts if draft.result is Result.ENROLLED and draft.sample is not None]
    if not accepted:
        return _report(name, owner, False, drafts, ())
    facts = Facts() if facts is None else facts
    written = gallery.enroll(
        name,
        accepted,
        person=owner,
        new=new,
        metadata=facts.metadata,
        consent=facts.consent,
        expires=facts.expires,
        details=_details(drafts),
    )
    return replace(_report(name, owner, written.created, drafts, written.samples), person=written.person)


def _enrolled(gallery: Gallery, owner: Person) -> dict[str, np.ndarray]:
    """Embeddings of a person, by content of their pictures; those without a picture by a key of their own."""
    samples = gallery.store.samples(owner.id)
    return {sample.content if sample.content else f"sample {sample.id}": sample.embedding for sample in samples}


def _drafts(
    pictures: Iterable[Photo | Known], enrolled: Mapping[str, np.ndarray], limits: Limits, one_face: bool
) -> list[_Draft]:
    """Each picture by itself: readable, a face, new, good enough."""
    drafts = []
    seen: set[str] = set()
    for picture in pictures:
        draft = _Draft(str(picture.path), picture.content)
        drafts.append(draft)
        if picture.content and (picture.content in enrolled or picture.content in seen):
            draft.result, draft.words = Result.ALREADY_ENROLLED, "this picture is enrolled for this person already"
            continue
        if isinstance(picture, Known):
            raise InputError(f"{printable(picture.path)} is no longer enrolled: somebody else is changing the gallery")
        problem = problem_of(picture)
        if problem is not None:
            draft.result = Result.UNREADABLE if problem.status is Status.UNREADABLE else Result.NO_FACE
            draft.words = problem.reason
            continue
        seen.add(picture.content)
        face, others = picture.faces[0], picture.found if one_face else ()
        draft.sample = _sample(picture, face)
        draft.refusals = check_face(face.quality, face_size(picture, face), limits, found=face.found, others=others)
    return drafts


def _judge(
    gallery: Gallery,
    owner: Person | None,
    drafts: Sequence[_Draft],
    given: set[str],
    enrolled: Mapping[str, np.ndarray],
    limits: Limits,
) -> None:
    """The pictures together: like one another, like the person they are added to, unlike everybody else.

    What is enrolled of these same pictures takes part, so that an enrollment that was cut short is judged, when it
    goes on, as it would have been judged as a whole.
    """
    candidates = [draft for draft in drafts if draft.sample is not None and not draft.refusals]
    if not candidates:
        return
    rows = np.stack([draft.sample.embedding for draft in candidates if draft.sample is not None])
    likeness = likeness_of(gallery.header, gallery.store.count(), limits)
    mine = [embedding for content, embedding in enrolled.items() if content in given]
    for draft, refusal in zip(candidates, check_together(np.stack([*rows, *mine]), likeness), strict=False):
        draft.refuse(refusal)
    if owner is not None and len(mine) < len(enrolled):
        known = torch.from_numpy(np.stack(list(enrolled.values())))
        best = cosine(torch.from_numpy(rows), known).max(dim=1).values
        for draft, score in zip(candidates, best.tolist(), strict=True):
            draft.refuse(check_person(score, owner.name, likeness))
    for draft, nearest in zip(candidates, _nearest_others(gallery, rows, owner), strict=True):
        draft.refuse(check_others(nearest, likeness))


def _nearest_others(gallery: Gallery, rows: np.ndarray, owner: Person | None) -> list[Candidate | None]:
    """For each row the most similar person other than the owner."""
    mine = None if owner is None else owner.id
    # Of two different people at least one is somebody else.
    return [
        next((candidate for candidate in result.candidates if candidate.person != mine), None)
        for result in gallery.search(rows, 2)
    ]


def _settle(draft: _Draft, force: bool) -> None:
    if not draft.refusals:
        return
    reasons = [refusal.reason for refusal in draft.refusals]
    draft.words = "; ".join(refusal.words for refusal in draft.refusals)
    if force:
        draft.words = f"enrolled all the same: {draft.words}"
    elif Reason.SEVERAL_FACES in reasons:
        draft.result = Result.SEVERAL_FACES
    elif Reason.TOO_SMALL in reasons:
        draft.result = Result.TOO_SMALL
    else:
        draft.result = Result.REFUSED


def _details(drafts: Sequence[_Draft]) -> dict[str, Any]:
    """What the audit log keeps: counts of results and of overridden reasons, nothing about the pictures."""
    results = Counter(draft.result.value for draft in drafts)
    forced = Counter(
        refusal.reason.value for draft in drafts if draft.result is Result.ENROLLED for refusal in draft.refusals
    )
    return {"results": dict(results), "forced": dict(forced)} if forced else {"results": dict(results)}


def _sample(photo: Photo, face: PhotoFace) -> Sample:
    return Sample(
        embedding=face.embedding,
        source=str(photo.path.absolute()),
        content=photo.content,
        box=None if face.found is None else face.found.box,
        quality=face.quality.score,
    )


def _report(
    name: str, owner: Person | None, created: bool, drafts: Sequence[_Draft], samples: Sequence[int]
) -> EnrollmentReport:
    ids = iter(samples)
    pictures = tuple(
        PictureReport(
            draft.source,
            draft.result,
            tuple(draft.refusals),
            draft.words,
            next(ids) if draft.result is Result.ENROLLED else None,
        )
        for draft in drafts
    )
    return EnrollmentReport(name, None if owner is None else owner.id, created, pictures)
