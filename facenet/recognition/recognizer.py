"""The public class: a gallery, the model its embeddings come from, and decisions about photos."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from facenet.detection.faces import Policy
from facenet.errors import UsageError
from facenet.evaluation.embedder import Embedder, require_fingerprint
from facenet.evaluation.photos import Photo
from facenet.gallery.gallery import Gallery
from facenet.gallery.records import Fusion, IndexKind, Person
from facenet.recognition.comparing import Verification, identify_photos, verify_faces, verify_person
from facenet.recognition.decisions import Rule, identification_rule, verification_rule
from facenet.recognition.enrolling import Facts, enroll_pictures
from facenet.recognition.folders import FolderReport, Naming, enroll_people
from facenet.recognition.gate import Limits
from facenet.recognition.opening import open_gallery
from facenet.recognition.outcomes import Outcome
from facenet.recognition.reader import PhotoReader, Photos, Progress, one_face_policy
from facenet.recognition.reports import EnrollmentReport


class Recognizer:
    """Enrolls people from photos, and says who is in a photo.

    Example::

        with Recognizer.open("people") as recognizer:
            recognizer.enroll("Ada", ["ada-1.jpg", "ada-2.jpg"])
            for outcome in recognizer.identify("photo.jpg"):
                print(outcome.status, outcome.name, outcome.score)

    Photos are file names. Where a photo's face is found by a detector, ``aligned=True`` says that the pictures given
    are faces cut out already, as that detector and crop would have cut them.

    Args:
        gallery: open; closed together with this.
        embedder: of the gallery's fingerprint.
        limits: what a face must reach to be compared and to be enrolled.

    Raises:
        ContractError: the embedder is not the model the gallery was made with.
    """

    def __init__(self, gallery: Gallery, embedder: Embedder, *, limits: Limits | None = None) -> None:
        require_fingerprint(embedder.fingerprint, gallery.header.fingerprint)
        self._gallery = gallery
        self._limits = Limits() if limits is None else limits
        self._reader = PhotoReader(embedder)

    @classmethod
    def open(
        cls,
        location: str | os.PathLike[str],
        *,
        embedder: Embedder | None = None,
        create: bool = False,
        fusion: Fusion | None = None,
        index: IndexKind | None = None,
        limits: Limits | None = None,
        device: str = "auto",
        precision: str = "auto",
        offline: bool = False,
    ) -> Recognizer:
        """Open a gallery with the model it names.

        Args:
            location: folder of the gallery; see :func:`facenet.gallery.backend.open_store`.
            embedder: the model, if it is open already. Default: the one the gallery names; for a new gallery the
                published VGGFace2 weights.
            create: make the gallery if it is not there.
            fusion, index: of a gallery that is made; see :class:`facenet.gallery.records.Header`.
            limits: see :class:`facenet.recognition.gate.Limits`.
            device, precision, offline: for opening the model; see :func:`facenet.evaluation.embedder.open_embedder`.

        Raises:
            GalleryError: there is no gallery, or it is damaged.
            ContractError: ``embedder`` is not the model the gallery was made with.
            WeightsError: that model is no longer where it was.
            UsageError: ``fusion`` or ``index`` contradict an existing gallery.
        """
        gallery, embedder = open_gallery(
            os.fspath(location),
            embedder,
            create=create,
            fusion=fusion,
            index=index,
            device=device,
            precision=precision,
            offline=offline,
        )
        return cls(gallery, embedder, limits=limits)

    @property
    def gallery(self) -> Gallery:
        """Who is enrolled."""
        return self._gallery

    @property
    def embedder(self) -> Embedder:
        """What embeds."""
        return self._reader.embedder

    @property
    def limits(self) -> Limits:
        """What a face must reach."""
        return self._limits

    @property
    def notices(self) -> list[str]:
        """What should be known about the gallery and its thresholds, in words; best told to the user."""
        rules = (self.identification_rule(), self.verification_rule())
        return list(dict.fromkeys([*self._gallery.notices, *(notice for rule in rules for notice in rule.notices)]))

    def identification_rule(self, threshold: float | None = None) -> Rule:
        """By what ``identify`` decides; see :func:`facenet.recognition.decisions.identification_rule`."""
        return identification_rule(self._gallery.header, self._gallery.store.count(), threshold)

    def verification_rule(self, threshold: float | None = None) -> Rule:
        """By what ``verify`` decides; see :func:`facenet.recognition.decisions.verification_rule`."""
        return verification_rule(self._gallery.header, threshold)

    def identify(
        self,
        photos: Photos,
        *,
        top_k: int = 5,
        threshold: float | None = None,
        aligned: bool = False,
        faces: Policy = Policy.ALL,
        progress: Progress | None = None,
    ) -> Iterator[Outcome]:
        """Say for every face who it is; strangers are ``unknown``.

        Args:
            photos: one file or several. A photo that cannot be used is an outcome, not an error.
            top_k: candidates told for each face.
            threshold: decide by this score instead of the gallery's threshold.
            aligned: see the class.
            faces: which faces of a photo are meant.
            progress: called with (photos done, in all or None).

        Returns:
            Outcomes in the order of the photos, and of the faces in each, the largest first; as they come, while
            later photos are still to be read.

        Raises:
            UsageError: ``top_k`` below 1, a threshold that is no score.
        """
        _require_top_k(top_k)
        rule = self.identification_rule(threshold)
        read = self.read(photos, aligned=aligned, faces=faces, progress=progress)
        return identify_photos(self._gallery, read, rule, top_k=top_k, smallest=self._limits.compared)

    def identify_image(
        self,
        image: np.ndarray,
        *,
        top_k: int = 5,
        threshold: float | None = None,
        aligned: bool = False,
        faces: Policy = Policy.ALL,
        source: str = "image",
    ) -> list[Outcome]:
        """The same for a picture in memory.

        Args:
            image: ``uint8 (H, W, 3)``, RGB, upright.
            source: what the outcomes call it.
            top_k, threshold, aligned, faces: as in :meth:`identify`.

        Raises:
            UsageError: as :meth:`identify`, and for an array that is no image.
        """
        _require_top_k(top_k)
        rule = self.identification_rule(threshold)
        photo = self._reader.read_image(image, source, aligned=aligned, faces=faces)
        return list(identify_photos(self._gallery, [photo], rule, top_k=top_k, smallest=self._limits.compared))

    def verify(
        self,
        first: str | os.PathLike[str],
        second: str | os.PathLike[str],
        *,
        aligned: bool = False,
        threshold: float | None = None,
        faces: Policy | None = None,
    ) -> Verification:
        """Say whether two photos show one person.

        Args:
            first, second: files.
            aligned: see the class.
            threshold: decide by this score instead of the gallery's threshold for pairs.
            faces: which face of a photo is meant; None: a photo with several cannot be used.

        Raises:
            UsageError: ``Policy.ALL``, a threshold that is no score.
        """
        rule = self.verification_rule(threshold)
        one, other = self._reader.read_one_face([first, second], aligned=aligned, faces=faces)
        return verify_faces(one, other, rule, one_face=faces is None, smallest=self._limits.compared)

    def verify_person(
        self,
        photo: str | os.PathLike[str],
        person: str | int | Person,
        *,
        aligned: bool = False,
        threshold: float | None = None,
        faces: Policy | None = None,
    ) -> Verification:
        """Say whether a photo shows a person of the gallery.

        Args:
            photo: a file.
            person: a name, ``"id:7"``, an id, or the person.
            aligned, threshold, faces: as in :meth:`verify`.

        Raises:
            InputError: nobody, or more than one person, is called that.
            UsageError: as :meth:`verify`.
        """
        rule = self.verification_rule(threshold)
        who = person if isinstance(person, Person) else self._gallery.resolve(person)
        (read,) = self._reader.read_one_face(photo, aligned=aligned, faces=faces)
        return verify_person(self._gallery, read, who, rule, one_face=faces is None, smallest=self._limits.compared)

    def enroll(
        self,
        name: str,
        photos: Photos,
        *,
        aligned: bool = False,
        force: bool = False,
        person: int | None = None,
        new: bool = False,
        metadata: Mapping[str, Any] | None = None,
        consent: str | None = None,
        expires: str | None = None,
        faces: Policy | None = None,
        progress: Progress | None = None,
    ) -> EnrollmentReport:
        """Enroll one person from photos, all in one transaction.

        Args:
            name: of the person; somebody of that name in the gallery gets the photos added.
            photos: one file or several. What cannot or should not be enrolled is in the report, not an error.
            aligned: see the class.
            force: enroll in spite of the gate; told in the audit log.
            person: add to the person of this id.
            new: somebody else of the same name.
            metadata, consent, expires: see :class:`facenet.gallery.records.Person`.
            faces: which face of a photo is meant; None: a photo with several is refused.
            progress: called with (photos done, in all or None).

        Raises:
            InputError: an unusable name, several people of that name, no person of that id.
            UsageError: ``Policy.ALL``.
            StorageError: the gallery cannot be written.
        """
        read = self.read(photos, aligned=aligned, faces=one_face_policy(faces), progress=progress)
        return enroll_pictures(
            self._gallery,
            name,
            read,
            limits=self._limits,
            one_face=faces is None,
            force=force,
            person=person,
            new=new,
            facts=Facts(metadata, consent, expires),
        )

    def enroll_folder(
        self,
        root: str | os.PathLike[str],
        *,
        aligned: bool = False,
        force: bool = False,
        naming: Naming = Naming.FOLDER,
        metadata: Mapping[str, Any] | None = None,
        consent: str | None = None,
        expires: str | None = None,
        faces: Policy | None = None,
        progress: Progress | None = None,
        listener: Callable[[EnrollmentReport], None] | None = None,
    ) -> FolderReport:
        """Enroll a folder of people, each in one transaction; goes on where it was stopped.

        Args:
            root: ``root/<person>/<picture>``, in any nesting; see :func:`facenet.data.folders.scan_folder`.
            naming: how people are called; see :class:`facenet.recognition.folders.Naming`.
            listener: told of each person once they are on disk.
            aligned, force, metadata, consent, expires, faces, progress: as in :meth:`enroll`.

        Raises:
            MissingError, InputError: no such folder, nothing in it, two folders that would be one person.
            UsageError: ``Policy.ALL``.
            StorageError: the gallery cannot be written; what the listener was told of is.
        """
        policy = one_face_policy(faces)
        return enroll_people(
            self._gallery,
            Path(root),
            lambda paths: self.read(paths, aligned=aligned, faces=policy, progress=progress),
            limits=self._limits,
            one_face=faces is None,
            force=force,
            naming=naming,
            facts=Facts(metadata, consent, expires),
            listener=listener,
        )

    def read(
        self,
        photos: Photos,
        *,
        aligned: bool = False,
        faces: Policy = Policy.ALL,
        progress: Progress | None = None,
    ) -> Iterator[Photo]:
        """Find, cut and embed faces; see :func:`facenet.evaluation.photos.read_photos`."""
        return self._reader.read(photos, aligned=aligned, faces=faces, progress=progress)

    def close(self) -> None:
        """Close the gallery."""
        self._gallery.close()

    def __enter__(self) -> Recognizer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _require_top_k(top_k: int) -> None:
    if top_k < 1:
        raise UsageError(f"at least 1 candidate is told for a face, not {top_k}")
