"""People carried from gallery to gallery in one file (:mod:`facenet.gallery.exchange_file` says what is in it)."""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np

from facenet.errors import ContractError, InputError, printable
from facenet.evaluation.embedder import require_fingerprint
from facenet.gallery.exchange_file import ExchangeFile, FilePerson, write_exchange
from facenet.gallery.findings import Progress
from facenet.gallery.folder_health import gallery_folder
from facenet.gallery.names import normalise_name
from facenet.gallery.records import Header, Person, Sample, StoredSample
from facenet.gallery.sqlite_header import bump, read_values, to_header
from facenet.gallery.sqlite_reading import people_named, read_person
from facenet.gallery.sqlite_rows import (
    COLUMNS,
    PERSON_QUERY,
    insert_person,
    insert_rows,
    next_id,
    sample_row,
    to_person,
    to_sample,
    to_vectors,
)
from facenet.gallery.sqlite_writing import Words, change_person, check_samples, write_audit
from facenet.gallery.store import SqliteStore
from facenet.gallery.values import consent_text, expires_text, metadata_text

_CHUNK = 4096
_CONTENT = re.compile("[0-9A-Za-z]{0,128}")
_SHOWN = 5


class SameName(StrEnum):
    """What becomes of somebody whose name is in the gallery already.

    ``REFUSE``: nothing is imported. ``NEW``: another person of that name. ``ADD``: the embeddings are added to the one
    person of that name, but for those it has already. ``SKIP``: the person is left out.
    """

    REFUSE = "refuse"
    NEW = "new"
    ADD = "add"
    SKIP = "skip"


@dataclass(frozen=True)
class ExportReport:
    """What was written.

    Attributes:
        file: where.
        people, embeddings: how many.
    """

    file: Path
    people: int
    embeddings: int


@dataclass(frozen=True)
class ImportReport:
    """What was brought in.

    Attributes:
        people: id in the file → id in the gallery, without those left out.
        added_to: ids in the gallery of people who were there and got embeddings.
        skipped: ids in the file of people who were left out.
        embeddings: how many were written.
    """

    people: Mapping[int, int] = field(default_factory=dict)
    added_to: tuple[int, ...] = ()
    skipped: tuple[int, ...] = ()
    embeddings: int = 0


def export(
    location: str | Path, file: Path, *, people: Sequence[int] | None = None, progress: Progress | None = None
) -> ExportReport:
    """Write people and embeddings to one file that only its owner can read, as of one moment.

    It appears whole or not at all. It holds biometric data.

    Args:
        location: of the gallery.
        file: must not exist.
        people: ids; None: everybody.
        progress: called with (embeddings done, embeddings in all).

    Raises:
        GalleryError: no gallery, or damaged.
        InputError: no such person, or there is a file already.
        StorageError: it cannot be written.
    """
    with closing(SqliteStore.open(str(gallery_folder(location)))) as store:
        place = store.database.place
        with store.database.snapshot() as connection:
            header = to_header(read_values(connection, place), place)
            reader = _Reader(connection, place, header, people, progress)
            write_exchange(file, header, vectors=reader.vectors(), people=reader.people(), samples=reader.samples())
        store.log("export", details={"people": reader.count, "embeddings": reader.total})
    return ExportReport(file, reader.count, reader.total)


def import_(
    location: str | Path,
    file: Path,
    *,
    on_same_name: SameName | str = SameName.REFUSE,
    progress: Progress | None = None,
) -> ImportReport:
    """Bring the people of an exported file into a gallery: all of them or, if anything is wrong, nobody.

    Args:
        location: of the gallery; of the same model as the file.
        file: that :func:`export` wrote, or anybody: it is not trusted.
        on_same_name: see :class:`SameName`.
        progress: called with (embeddings done, embeddings in all).

    Raises:
        ContractError: the embeddings are of another model.
        InputError: something in the file is not as it must be, or a name is there already and that is refused.
        GalleryError: no gallery, or damaged.
        StorageError: the gallery cannot be written.
    """
    with closing(SqliteStore.open(str(gallery_folder(location)))) as store, ExchangeFile(file) as opened:
        place = store.database.place
        with store.database.transaction() as connection:
            header = to_header(read_values(connection, place), place)
            _require_same_model(opened.header, header)
            writer = _Writer(connection, place, header, SameName(on_same_name))
            for one in opened.people():
                writer.add(one)
                if progress is not None:
                    progress(writer.seen, opened.rows)
            report = writer.finish()
            details = {"people": len(report.people), "embeddings": report.embeddings}
            write_audit(connection, store.actor, "import", None, details)
    return report


def _require_same_model(given: Header, needed: Header) -> None:
    require_fingerprint(given.fingerprint, needed.fingerprint)
    if given.preprocessing != needed.preprocessing or given.embedding_size != needed.embedding_size:
        raise ContractError(
            "the file has the gallery's fingerprint but another preprocessing contract: do not trust it"
        )


class _Reader:
    """What is to be exported, as of the transaction of the connection."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        place: str,
        header: Header,
        people: Sequence[int] | None,
        progress: Progress | None,
    ) -> None:
        self._connection = connection
        self._place = place
        self._size = header.embedding_size
        self._progress = progress
        wanted = None
        if people is not None:
            wanted = sorted({read_person(connection, place, id_).id for id_ in people})
        self._ids = json.dumps(wanted)
        self._chosen = "IN (SELECT value FROM json_each(?1))" if wanted is not None else "IS NOT NULL AND ?1 = 'null'"
        query = f"SELECT count(*) FROM embeddings WHERE person {self._chosen}"
        self.total: int = connection.execute(query, (self._ids,)).fetchone()[0]
        query = f"SELECT count(*) FROM people WHERE id {self._chosen}"
        self.count: int = connection.execute(query, (self._ids,)).fetchone()[0]

    def vectors(self) -> Iterator[np.ndarray]:
        """Blocks ``float32 (n, d)`` of what is exported, in the order of the samples."""
        query = f"SELECT vector FROM embeddings WHERE person {self._chosen} ORDER BY person, id"
        cursor = self._connection.execute(query, (self._ids,))
        done = 0
        while rows := cursor.fetchmany(_CHUNK):
            yield to_vectors([row[0] for row in rows], self._size, self._place)
            done += len(rows)
            if self._progress is not None:
                self._progress(done, self.total)

    def people(self) -> Iterator[Person]:
        query = f"{PERSON_QUERY} WHERE p.id {self._chosen} ORDER BY p.id"
        for row in self._connection.execute(query, (self._ids,)):
            yield to_person(row, self._place)

    def samples(self) -> Iterator[StoredSample]:
        columns = ", ".join(COLUMNS["embeddings"])
        query = f"SELECT {columns} FROM embeddings WHERE person {self._chosen} ORDER BY person, id"
        for row in self._connection.execute(query, (self._ids,)):
            yield to_sample(row, self._size, self._place)


class _Writer:
    """Brings people in, within the caller's transaction."""

    def __init__(self, connection: sqlite3.Connection, place: str, header: Header, on_same_name: SameName) -> None:
        self._connection = connection
        self._place = place
        self._size = header.embedding_size
        self._on_same_name = on_same_name
        self._generation = bump(connection)
        self._people: dict[int, int] = {}
        self._new: set[int] = set()
        self._added_to: list[int] = []
        self._skipped: list[int] = []
        self._refused: list[str] = []
        self._written = 0
        self.seen = 0

    def add(self, one: FilePerson) -> None:
        """Look at a person of the file in full and write them."""
        given = one.person
        if given.id in self._people or given.id in self._skipped:
            raise InputError(f"the file names person {given.id} twice")
        name = normalise_name(given.name)
        check_samples(one.samples, self._size, name)
        for sample in one.samples:
            _check_origin(sample)
        self.seen += len(one.samples)
        there = [id_ for id_ in people_named(self._connection, name) if id_ not in self._new]
        if there and self._on_same_name is SameName.REFUSE:
            self._refused.append(name)
        elif there and self._on_same_name is SameName.SKIP:
            self._skipped.append(given.id)
        elif there and self._on_same_name is SameName.ADD:
            self._people[given.id] = self._add_to(there, name, one)
        else:
            self._people[given.id] = self._create(name, one)

    def finish(self) -> ImportReport:
        """What was written.

        Raises:
            InputError: names were there already.
        """
        if self._refused:
            shown = ", ".join(f"“{printable(name)}”" for name in self._refused[:_SHOWN])
            more = " …" if len(self._refused) > _SHOWN else ""
            raise InputError(
                f"{len(self._refused)} people of the file have names that are in the gallery already ({shown}{more}): "
                "say whether they are the same people (--same-name add), others (new), or to be left out (skip)"
            )
        return ImportReport(self._people, tuple(self._added_to), tuple(self._skipped), self._written)

    def _create(self, name: str, one: FilePerson) -> int:
        given = one.person
        person = insert_person(
            self._connection,
            name,
            generation=self._generation,
            created=given.created,
            metadata=metadata_text(given.metadata),
            consent=consent_text(given.consent),
            expires=expires_text(given.expires),
        )
        self._new.add(person)
        self._write(person, list(zip(one.samples, one.added, strict=True)))
        return person

    def _add_to(self, there: Sequence[int], name: str, one: FilePerson) -> int:
        if len(there) > 1 or there[0] in self._added_to:
            raise InputError(f"several people are called “{printable(name)}”: it cannot be told who is to be added to")
        query = "SELECT vector FROM embeddings WHERE person = ?"
        known = {row[0] for row in self._connection.execute(query, (there[0],))}
        pairs = zip(one.samples, one.added, strict=True)
        self._write(there[0], [pair for pair in pairs if pair[0].embedding.astype("<f4").tobytes() not in known])
        change_person(self._connection, self._place, there[0], self._generation, Words())
        self._added_to.append(there[0])
        return there[0]

    def _write(self, person: int, samples: Sequence[tuple[Sample, str]]) -> None:
        first = next_id(self._connection, "embeddings")
        rows = [sample_row(first + at, person, sample, added) for at, (sample, added) in enumerate(samples)]
        insert_rows(self._connection, "embeddings", rows)
        self._written += len(rows)


def _check_origin(sample: Sample) -> None:
    """Refuse what no picture can be called, and no hash of its bytes can be."""
    try:
        os.fsencode(sample.source)
    except UnicodeEncodeError as error:
        raise InputError("the file names a picture that no file system could hold") from error
    if _CONTENT.fullmatch(sample.content) is None:
        raise InputError("the file states a hash that is none")
