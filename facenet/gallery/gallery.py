"""The one class in front of a gallery: who is enrolled, and who is this?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from facenet.errors import InputError
from facenet.evaluation.embedder import require_fingerprint
from facenet.gallery.backend import create_store, open_store
from facenet.gallery.reader import Embeddings, GalleryReader, Reference, shown
from facenet.gallery.records import Enrollment, Header, Person, Sample
from facenet.gallery.validation import checked_samples


class Gallery(GalleryReader):
    """People and their embeddings, durable and searchable. A context manager; safe for threads.

    Every acknowledged write is on disk. Every search sees what was written before it, by whichever process, and leaves
    out people whose time is over.

    Args:
        store: where the gallery lies; closed with it.

    Attributes:
        store: the durable truth. People and embeddings are removed through the gallery, which sees to it that its
            index keeps no trace of them either.
    """

    @classmethod
    def create(cls, location: str | Path, header: Header) -> Self:
        """Make a new gallery.

        Args:
            location: a folder that is not there or is empty, or ``memory:``.
            header: what all embeddings have in common; ``uuid`` and ``created`` are filled in.

        Raises:
            GalleryError: something lies there already.
            StorageError: the place cannot be written.
            UsageError: unknown kind of location.
        """
        gallery = cls(create_store(str(location), header))
        try:
            gallery._keeper.begin()
        except BaseException:
            gallery.close()
            raise
        return gallery

    @classmethod
    def open(cls, location: str | Path, *, fingerprint: str | None = None) -> Self:
        """Open a gallery that is there.

        Args:
            location: its folder.
            fingerprint: of the model whose embeddings are going to be used with it; None if that is checked later.

        Raises:
            GalleryError: none there, damaged, or not one of ours.
            ContractError: another fingerprint.
        """
        store = open_store(str(location))
        try:
            if fingerprint is not None:
                require_fingerprint(fingerprint, store.header().fingerprint)
        except BaseException:
            store.close()
            raise
        return cls(store)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of files and memory; closing twice is fine."""
        self._keeper.close()
        self.store.close()

    def enroll(
        self,
        name: str,
        embeddings: Embeddings | Sequence[Sample],
        *,
        fingerprint: str | None = None,
        person: Reference | None = None,
        new: bool = False,
        metadata: Mapping[str, Any] | None = None,
        consent: str | None = None,
        expires: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> Enrollment:
        """Add embeddings to a person, who is made if need be; on disk when this returns.

        Args:
            name: of the person; not looked at where ``person`` is given.
            embeddings: unit rows, or samples, which say also where they come from.
            fingerprint: of the model that made them; None if the caller has compared it.
            person: who is meant, where several have the name.
            new: make another person even if somebody has the name.
            metadata, consent, expires: see :class:`facenet.gallery.records.Person`; None leaves them as they are.
            details: for the audit log; no names, nothing biometric.

        Raises:
            InputError: an embedding is not finite, not of length 1 or of the wrong size (with its row); a name that is
                no name, or that several people have.
            ContractError: another fingerprint.
            UsageError: both ``person`` and ``new``.
            StorageError: no space; nothing was written.
        """
        self._require(fingerprint)
        samples = checked_samples(embeddings, self.header.embedding_size)
        target = None if person is None else self.resolve(person).id
        return self.store.enroll(
            name,
            samples,
            person=target,
            new=new,
            metadata=metadata,
            consent=consent,
            expires=expires,
            details=details,
        )

    def enroll_many(
        self,
        people: Iterable[tuple[str, Embeddings | Sequence[Sample]]],
        *,
        fingerprint: str | None = None,
        chunk: int = 10_000,
    ) -> Iterator[Enrollment]:
        """Enroll many people fast: one transaction for about ``chunk`` embeddings.

        What was yielded is on disk, and nothing is written until the iterator is read. Arguments and errors as
        :meth:`enroll`; after an error nothing of the chunk it is in was written.
        """
        self._require(fingerprint)
        size = self.header.embedding_size
        checked = ((name, checked_samples(embeddings, size)) for name, embeddings in people)
        return self.store.enroll_many(checked, chunk=chunk)

    def remove(self, person: Reference) -> None:
        """Take a person away. Nothing of the embeddings is left in any file when this returns.

        Raises:
            InputError: nobody of this name or id, or several.
            StorageError: the person is gone, but something may be left in a file that the message names.
        """
        id = self.resolve(person).id
        self.store.remove(id)
        self._keeper.forget([id])

    def remove_sample(self, person: Reference, sample: int) -> None:
        """Take one embedding of a person away, as :meth:`remove` does.

        Args:
            person: whose.
            sample: its id (:class:`facenet.gallery.records.StoredSample`).

        Raises:
            InputError: nobody of this name or id, or none of the person's embeddings.
            StorageError: as :meth:`remove`.
        """
        owner = self.resolve(person)
        if sample not in [stored.id for stored in self.store.samples(owner.id)]:
            raise InputError(f"{shown(owner)} has no embedding {sample}")
        self.store.remove_sample(sample)
        self._keeper.forget([owner.id])

    def purge(self, at: str | None = None) -> list[Person]:
        """Remove everybody whose time is over.

        Args:
            at: ISO 8601; None for now.

        Returns:
            who was removed.

        Raises:
            StorageError: as :meth:`remove`.
        """
        removed: list[Person] = []
        try:
            for person in self.store.expired(at):
                self.store.remove(person.id, action="purge")
                removed.append(person)
        finally:
            if removed:
                self._keeper.forget([person.id for person in removed])
        return removed

    def compact(self) -> int:
        """Give back the space of what was removed. Takes as much memory as the database has.

        Returns:
            rows that were given up.

        Raises:
            StorageError: no space; nothing changed.
        """
        return self.store.compact()

    def rename(self, person: Reference, name: str) -> None:
        """Give a person another name.

        Raises:
            InputError: nobody of this name or id, several, or ``name`` is no name.
        """
        self.store.rename(self.resolve(person).id, name)

    def update(
        self,
        person: Reference,
        *,
        metadata: Mapping[str, Any] | None = None,
        consent: str | None = None,
        expires: str | None = None,
    ) -> None:
        """Change what is given; ``expires=""`` is never.

        Raises:
            InputError: nobody of this name or id, several, or a value that cannot be used.
        """
        self.store.update(self.resolve(person).id, metadata=metadata, consent=consent, expires=expires)
