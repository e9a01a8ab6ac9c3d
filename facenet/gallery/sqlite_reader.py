"""A store in an SQLite database, as far as reading goes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from facenet.gallery import sqlite_reading as reading
from facenet.gallery.backend import Changes, VectorBlock
from facenet.gallery.names import normalise_name
from facenet.gallery.records import AuditEntry, Header, Person, StoredSample
from facenet.gallery.sqlite_database import Database
from facenet.gallery.sqlite_header import read_values, to_header
from facenet.gallery.values import expires_text, now


class SqlReader:
    """What can be asked of a store in an SQLite database; attributes as of
    :class:`facenet.gallery.sqlite_store.SqlStore`.
    """

    def __init__(self, database: Database, location: str) -> None:
        self.database = database
        self._location = location
        self._known: tuple[tuple[int, int], dict[str, str], Header] | None = None

    @property
    def location(self) -> str:
        """As it was opened."""
        return self._location

    @property
    def cache_folder(self) -> Path | None:
        """Where an index may keep its cache; None in memory."""
        return None if self.database.path is None else self.database.path.parent

    @property
    def history(self) -> str:
        """Random; another one after anything that rewrites the past."""
        return self._state()[0]["history"]

    def header(self) -> Header:
        """What all embeddings have in common, as it is now."""
        return self._state()[1]

    def generation(self) -> int:
        """Grows with every write that changes people, embeddings or the header."""
        return int(self._state()[0]["generation"])

    def people(self, *, name: str | None = None) -> list[Person]:
        """All, or those of one name, by id."""
        wanted = None if name is None else normalise_name(name)
        with self.database.reading() as connection:
            return reading.read_people(connection, self.database.place, wanted)

    def person(self, id: int) -> Person:
        """One.

        Raises:
            InputError: there is none of this id.
        """
        with self.database.reading() as connection:
            return reading.read_person(connection, self.database.place, id)

    def count(self) -> tuple[int, int]:
        """(people, embeddings)."""
        with self.database.reading() as connection:
            return reading.read_count(connection)

    def names(self, ids: Sequence[int]) -> dict[int, str]:
        """Names by id, in one query; ids that are gone are left out."""
        with self.database.reading() as connection:
            return reading.read_names(connection, ids)

    def samples(self, person: int) -> list[StoredSample]:
        """A person's embeddings, by id.

        Raises:
            InputError: there is no such person.
        """
        place = self.database.place
        with self.database.reading() as connection:
            reading.read_person(connection, place, person)
            return reading.read_samples(connection, place, person)

    def expired(self, at: str | None = None) -> list[Person]:
        """Whose time is over at ``at`` (ISO 8601; default: now).

        Raises:
            InputError: ``at`` is no time.
        """
        moment = now() if at is None else expires_text(at)
        with self.database.reading() as connection:
            return reading.read_expired(connection, self.database.place, moment)

    def contents(self, person: int | None = None) -> dict[str, int]:
        """Hash of a picture's bytes → person it is enrolled for."""
        with self.database.reading() as connection:
            return reading.read_contents(connection, person)

    def read_vectors(self, *, chunk: int = 65_536) -> Iterator[VectorBlock]:
        """Every embedding, as of the moment the first block is asked for, in blocks of about ``chunk`` rows.

        At least one block comes, empty if the gallery is. As long as the iterator is open, removed people stay in the
        log: read it to its end or close it.
        """
        with self.database.snapshot() as connection:
            yield from reading.read_vectors(connection, self.database.place, chunk)

    def changes(self, since: int, history: str) -> Changes:
        """What has become different since generation ``since`` of ``history``."""
        with self.database.reading() as connection:
            return reading.read_changes(connection, self.database.place, since, history)

    def audit(self, limit: int = 100) -> list[AuditEntry]:
        """The latest entries, newest first."""
        with self.database.reading() as connection:
            return reading.read_audit(connection, self.database.place, limit)

    def notices(self) -> list[str]:
        """What should be known, in words."""
        if not self._state()[0]["traces"]:
            return []
        return [
            f"what was removed from {self.database.place} is found no more, but traces of it are still in its files, "
            "because another process reads an earlier state or one was interrupted: they are cleared when the gallery "
            "is next written, opened or closed without such a reader"
        ]

    def _state(self) -> tuple[dict[str, str], Header]:
        """Header as text and as values, read again only if something was committed since."""
        known, stamp = self._known, self.database.stamp()
        if known is None or known[0] != stamp:
            with self.database.reading() as connection:
                values = read_values(connection, self.database.place)
            known = (stamp, values, to_header(values, self.database.place))
            self._known = known
        return known[1], known[2]
