"""Looking at a gallery: who is enrolled, and who is this?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from facenet.errors import InputError, UsageError, printable
from facenet.evaluation.embedder import require_fingerprint
from facenet.gallery.backend import Store, VectorBlock
from facenet.gallery.keeper import IndexKeeper
from facenet.gallery.names import parse_reference
from facenet.gallery.records import Candidate, Header, Person, SearchResult, StoredSample
from facenet.gallery.stats import Stats, gather_stats
from facenet.gallery.templates import fuse
from facenet.gallery.validation import checked_embeddings
from facenet.geometry import paired_cosine

Embeddings = np.ndarray | Tensor
"""``(n, d)`` unit rows of a floating type, or ``(d,)`` for one."""

Reference = str | int | Person
"""A person: by name or ``id:N``, by id, or as given by the gallery."""

_ATTEMPTS = 3
"""Searches for one answer, where people are removed between the search and the look at their names."""


class GalleryReader:
    """What can be asked of a gallery; see :class:`facenet.gallery.gallery.Gallery`.

    Args:
        store: where the gallery lies.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._keeper = IndexKeeper(store)

    @property
    def header(self) -> Header:
        """What all embeddings have in common, as it is now."""
        return self.store.header()

    @property
    def notices(self) -> list[str]:
        """What was noticed so far and should be known, in words, such as a damaged index cache."""
        return [*self._keeper.notices, *self.store.notices()]

    def resolve(self, reference: Reference) -> Person:
        """Who is meant.

        Args:
            reference: a name, ``id:N``, an id, or a person, of whom the present state is read.

        Raises:
            InputError: nobody, or several people (with their ids).
        """
        if isinstance(reference, Person):
            return self.store.person(reference.id)
        meant = parse_reference(reference) if isinstance(reference, str) else reference
        if not isinstance(meant, str):
            return self.store.person(meant)
        found = self.store.people(name=meant)
        if not found:
            raise InputError(f"nobody in this gallery is called “{printable(meant)}”")
        if len(found) > 1:
            ids = ", ".join(f"id:{person.id}" for person in found[:10])
            raise InputError(f"{len(found)} people are called “{printable(meant)}” ({ids}): say which one by its id")
        return found[0]

    def people(self, *, name: str | None = None) -> list[Person]:
        """Everybody, or those of one name, by id."""
        return self.store.people(name=name)

    def person(self, id: int) -> Person:
        """One person.

        Raises:
            InputError: there is none of this id.
        """
        return self.store.person(id)

    def samples(self, person: Reference) -> list[StoredSample]:
        """A person's embeddings and where they come from, by id; errors as :meth:`resolve`."""
        return self.store.samples(self.resolve(person).id)

    def search(self, embeddings: Embeddings, k: int = 5, *, fingerprint: str | None = None) -> list[SearchResult]:
        """Find the people most like each embedding.

        Args:
            embeddings: unit rows.
            k: how many different people for each, at least 1.
            fingerprint: of the model that made them; None if the caller has compared it.

        Returns:
            one result for each row, with fewer than ``k`` candidates if there are not so many people.

        Raises:
            InputError: a row is not finite, not of length 1 or of the wrong size.
            ContractError: another fingerprint.
            UsageError: ``k`` is less than 1.
        """
        for _ in range(_ATTEMPTS):
            persons, scores = self.search_arrays(embeddings, k, fingerprint=fingerprint)
            found = list(set(persons[persons >= 0].tolist()))
            names = self.store.names(found)
            # Whoever was removed since the search has no name: a new search finds others instead.
            if len(names) == len(found):
                break
        return [
            SearchResult(
                tuple(
                    Candidate(person, names[person], score)
                    for person, score in zip(line, values, strict=True)
                    if person in names
                )
            )
            for line, values in zip(persons.tolist(), scores.tolist(), strict=True)
        ]

    def search_arrays(
        self, embeddings: Embeddings, k: int, *, fingerprint: str | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """What :meth:`search` finds, as arrays without names, for many embeddings.

        Returns:
            ``int64 (q, k)`` ids and ``float32 (q, k)`` scores (cosines in ``[-1, 1]``), best first, equal scores by id;
            -1 and minus infinity where there are not so many people.
        """
        self._require(fingerprint)
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
            raise UsageError(f"the number of candidates must be a whole number of at least 1, not {k!r}")
        return self._keeper.search(checked_embeddings(embeddings, self.header.embedding_size), int(k))

    def verify(self, embedding: Embeddings, person: Reference, *, fingerprint: str | None = None) -> float:
        """How alike an embedding and a person are.

        Args:
            embedding: one unit row.
            person: compared with by the gallery's fusion.
            fingerprint: of the model that made the embedding; None if the caller has compared it.

        Returns:
            cosine in ``[-1, 1]``, the score that :meth:`search` gives.

        Raises:
            InputError: the embedding cannot be used; nobody of this name or id, or several; the person has no
                embeddings, or the time until which they may be used is over.
            ContractError: another fingerprint.
        """
        self._require(fingerprint)
        header = self.header
        query = checked_embeddings(embedding, header.embedding_size)
        if len(query) != 1:
            raise InputError(f"one embedding is compared with a person, not {len(query)}")
        who = self.resolve(person)
        if any(expired.id == who.id for expired in self.store.expired()):
            raise InputError(f"{shown(who)} may be compared with only until {who.expires}, which is over")
        samples = self.store.samples(who.id)
        if not samples:
            raise InputError(f"{shown(who)} has no embeddings to compare with")
        rows = fuse(_block(samples), header.fusion)[1]
        return float(paired_cosine(torch.from_numpy(query), torch.from_numpy(rows)).max())

    def nearest_other(self, embeddings: Embeddings, person: Reference | None = None) -> Candidate | None:
        """The one most like any of some embeddings, other than one person.

        Args:
            embeddings: unit rows.
            person: who is left out; None for nobody.

        Returns:
            None if there is nobody else.
        """
        left_out = None if person is None else self.resolve(person).id
        others = [
            candidate
            for result in self.search(embeddings, 2)
            for candidate in result.candidates
            if candidate.person != left_out
        ]
        return max(others, key=lambda candidate: candidate.score, default=None)

    def stats(self) -> Stats:
        """Figures of the gallery. The recall of an approximate index is measured, which takes a moment."""
        return gather_stats(self.store, self._keeper)

    def _require(self, fingerprint: str | None) -> None:
        if fingerprint is not None:
            require_fingerprint(fingerprint, self.header.fingerprint)


def _block(samples: Sequence[StoredSample]) -> VectorBlock:
    """The embeddings of one person as the store hands out those of many."""
    return VectorBlock(
        persons=np.array([sample.person for sample in samples], np.int64),
        samples=np.array([sample.id for sample in samples], np.int64),
        vectors=np.stack([sample.embedding for sample in samples]),
        qualities=np.array([sample.quality for sample in samples], np.float32),
        expires=np.full(len(samples), np.inf),
    )


def shown(person: Person) -> str:
    """A person's name and id, for a message."""
    return f"{printable(person.name)} (id:{person.id})"
