"""A store in an SQLite database, wherever that is: every method one transaction around the queries it needs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from facenet.errors import InputError, StorageError, UsageError
from facenet.gallery import sqlite_writing as writing
from facenet.gallery.names import normalise_name
from facenet.gallery.records import Enrollment, Fusion, IndexKind, Sample
from facenet.gallery.sqlite_database import Database
from facenet.gallery.sqlite_header import (
    TRACES_IN_FILE,
    bump,
    clear_traces,
    file_was_rewritten,
    mark_traces,
    read_values,
    to_json,
    traces,
    write_values,
)
from facenet.gallery.sqlite_reader import SqlReader
from facenet.gallery.sqlite_writing import Request, Words, account
from facenet.gallery.values import consent_text, expires_text, metadata_text

WAIT_FOR_READERS = 5.0
"""Seconds a removal waits for readers of an earlier state, in which the person still is."""


class SqlStore(SqlReader):
    """A store in an SQLite database (see :class:`facenet.gallery.backend.Store` for what its methods promise).

    Safe for threads; each process opens its own, any number at a time. Long reading (:meth:`read_vectors`) keeps
    nobody from writing.

    Attributes:
        database: for what maintains galleries.
        actor: account that the audit log names.
    """

    def __init__(self, database: Database, location: str) -> None:
        super().__init__(database, location)
        self.actor = account()

    def enroll(
        self,
        name: str,
        samples: Sequence[Sample],
        *,
        person: int | None = None,
        new: bool = False,
        metadata: Mapping[str, Any] | None = None,
        consent: str | None = None,
        expires: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> Enrollment:
        """Add samples to the one person of this name, to a new one, or (``person``; ``name`` is not looked at) by id.

        Raises:
            InputError: an embedding, the name or another value cannot be used; several people have the name; there is
                nobody with the id.
        """
        if person is not None and new:
            raise UsageError("an enrollment is for a person there is, or for a new one, not for both")
        legal = normalise_name(name) if person is None else ""
        words = _words(metadata, consent, expires)
        request = Request(legal, samples, person, new, words, {} if details is None else details)
        with self._writing() as connection:
            return writing.enroll(connection, self.database.place, self.actor, [request])[0]

    def enroll_many(
        self, people: Iterable[tuple[str, Sequence[Sample]]], *, chunk: int = 10_000
    ) -> Iterator[Enrollment]:
        """The same for many, with a transaction for about ``chunk`` samples; yields what is on disk.

        Nothing happens until the iterator is read.

        Raises:
            InputError: as :meth:`enroll`; of the chunk it is in, nothing is written.
        """
        waiting: list[Request] = []
        size = 0
        for name, samples in people:
            waiting.append(Request(normalise_name(name), samples))
            size += max(1, len(samples))
            if size >= chunk:
                yield from self._enroll_chunk(waiting)
                waiting, size = [], 0
        if waiting:
            yield from self._enroll_chunk(waiting)

    def remove(self, person: int, *, action: str = "remove") -> None:
        """Take a person away; :meth:`notices` says if a reader of an earlier state still holds traces.

        Raises:
            InputError: there is no such person.
        """
        with self._writing() as connection:
            generation = bump(connection)
            count = writing.remove_person(connection, person, generation)
            writing.write_audit(connection, self.actor, action, person, {"embeddings": count})
        self.clear_traces(WAIT_FOR_READERS)

    def remove_sample(self, sample: int) -> None:
        """Take one embedding away; otherwise as :meth:`remove`."""
        with self._writing() as connection:
            generation = bump(connection)
            person = writing.remove_sample(connection, self.database.place, sample, generation)
            writing.write_audit(connection, self.actor, "remove-sample", person, {"embeddings": 1})
        self.clear_traces(WAIT_FOR_READERS)

    def rename(self, person: int, name: str) -> None:
        """Give a person another name.

        Raises:
            InputError: not a legal name, or no such person.
        """
        self._change(person, Words(name=normalise_name(name)), "rename", {})

    def update(
        self,
        person: int,
        *,
        metadata: Mapping[str, Any] | None = None,
        consent: str | None = None,
        expires: str | None = None,
    ) -> None:
        """Change what is given; ``expires=""`` is never.

        Raises:
            InputError: a value cannot be used, or no such person.
        """
        given = {"metadata": metadata, "consent": consent, "expires": expires}
        changed = sorted(what for what, value in given.items() if value is not None)
        self._change(person, _words(metadata, consent, expires), "update", {"changed": changed})

    def set_calibration(self, calibration: Mapping[str, Any]) -> None:
        """Replace the thresholds in the header.

        Raises:
            InputError: no plain finite values.
        """
        try:
            text = to_json(calibration)
        except (TypeError, ValueError) as error:
            raise InputError(f"a calibration cannot be stored: {error}") from error
        with self._writing() as connection:
            bump(connection)
            write_values(connection, {"calibration": text})
            details = {"purposes": sorted(calibration)}
            writing.write_audit(connection, self.actor, "calibrate", None, details)

    def set_options(self, *, fusion: Fusion | None = None, index: IndexKind | None = None) -> None:
        """Change fusion or index in the header; another fusion drops the calibration."""
        with self._writing() as connection:
            before = read_values(connection, self.database.place)
            values = {} if index is None else {"index": IndexKind(index).value}
            if fusion is not None and Fusion(fusion).value != before["fusion"]:
                values |= {"fusion": Fusion(fusion).value, "calibration": "{}"}
            bump(connection)
            write_values(connection, values)
            writing.write_audit(connection, self.actor, "options", None, values)

    def log(self, action: str, person: int | None = None, details: Mapping[str, Any] | None = None) -> None:
        """Write an audit entry."""
        with self._writing() as connection:
            writing.write_audit(connection, self.actor, action, person, {} if details is None else details)

    def clear_traces(self, wait: float = 0.0) -> bool:
        """Clear from the files what is left of removals; every removal, opening, writing and closing does this.

        Args:
            wait: seconds to wait for others who still read an earlier state.

        Returns:
            Whether nothing is left.
        """
        with self.database.reading() as connection:
            noted = traces(connection)
        if not noted:
            return True
        try:
            if noted.startswith(TRACES_IN_FILE):
                self.database.rewrite()
                with self.database.transaction() as connection:
                    noted = file_was_rewritten(connection, noted)
            if not self.database.empty_log(wait):
                return False
            with self.database.transaction() as connection:
                clear_traces(connection, noted)
        except StorageError:
            # What the caller came for is on disk already; that traces are left stays noted, and is said.
            return False
        return True

    def compact(self) -> int:
        """Give back the space of what was removed, by rewriting the database; returns how many rows went.

        Takes as much memory as the database has, and for a while as much disk again.
        """
        with self.database.transaction() as connection:
            rows = writing.drop_blank_rows(connection)
            mark_traces(connection, TRACES_IN_FILE, bump(connection))
        self.clear_traces(WAIT_FOR_READERS)
        return rows

    def close(self) -> None:
        """Let go of it; closing twice is fine."""
        if self.database.closed:
            return
        try:
            self.clear_traces()
        finally:
            self.database.close()

    def _enroll_chunk(self, requests: list[Request]) -> list[Enrollment]:
        with self._writing() as connection:
            return writing.enroll(connection, self.database.place, self.actor, requests)

    def _change(self, person: int, words: Words, action: str, details: Mapping[str, Any]) -> None:
        with self._writing() as connection:
            writing.change_person(connection, self.database.place, person, bump(connection), words)
            writing.write_audit(connection, self.actor, action, person, details)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction, and afterwards whatever earlier ones left to be cleared."""
        with self.database.transaction() as connection:
            yield connection
            left = traces(connection)
        if left:
            self.clear_traces()


def _words(metadata: Mapping[str, Any] | None, consent: str | None, expires: str | None) -> Words:
    return Words(
        metadata=None if metadata is None else metadata_text(metadata),
        consent=None if consent is None else consent_text(consent),
        expires=None if expires is None else expires_text(expires),
    )
