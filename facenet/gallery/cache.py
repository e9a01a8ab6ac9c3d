"""An index kept on disk between runs.

The store is the truth; the cache saves the time to build the index from it. It is used only if nobody else could have
written it and every byte of it is as it was written, for this gallery, its history and its fusion, and it is never
newer than the store. Whoever reads or writes it holds a lock. So a saver sees, while holding the lock, whether the
store has changed since its index was in step, and whoever removes a person afterwards finds what was saved.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import numpy as np

from facenet.errors import GalleryError, StorageError, printable
from facenet.gallery.beside import FILE_MODE
from facenet.gallery.cache_file import CacheError, CacheFile, require_private, write_arrays
from facenet.gallery.index import VectorIndex
from facenet.gallery.kinds import make_index, revealing_parts
from facenet.gallery.records import Fusion, IndexKind
from facenet.gallery.rows import Rows
from facenet.training.files import TEMPORARY, flush_folder

FILE_NAME = "index.cache"
LOCK_NAME = "index.lock"
_PATIENCE = 120.0
_ROWS = ("vectors", "persons", "expires")


@dataclass(frozen=True)
class CacheKey:
    """What a cached index must have in common with the gallery.

    Attributes:
        gallery, history: whose embeddings.
        fusion: how its rows were made.
        size: values in an embedding.
    """

    gallery: str
    history: str
    fusion: Fusion
    size: int


@dataclass(frozen=True, eq=False)
class CachedIndex:
    """What a cache held.

    Attributes:
        index: ready to search.
        generation: of the store it is in step with.
        whole: whether nothing of it had to be made again because it had been wiped.
    """

    index: VectorIndex
    generation: int
    whole: bool


class IndexCache:
    """The cache of one gallery.

    Args:
        folder: the gallery's.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / FILE_NAME
        self._beside = folder / (TEMPORARY + FILE_NAME)

    @property
    def bytes(self) -> int:
        """On disk."""
        return self._file.stat().st_size if self._file.is_file() else 0

    def load(self, key: CacheKey, kind: IndexKind, newest: int) -> CachedIndex:
        """Read the index that was saved last.

        Args:
            key: what it must have been saved with.
            kind: what it must be; anything with ``AUTO``.
            newest: generation of the store.

        Raises:
            GalleryError: there is none, or it cannot be used and was deleted; the message goes on after "the index
                cache ".
        """
        try:
            require_private(os.lstat(self._folder), stat.S_ISDIR, "the folder it is in")
            with self._locked():
                try:
                    with self._opened(os.O_RDONLY) as handle:
                        return _read(CacheFile(handle), key, kind, newest)
                except GalleryError:
                    self._file.unlink()
                    raise
        except FileNotFoundError as error:
            raise CacheError("is missing") from error
        except OSError as error:
            raise CacheError(f"cannot be read ({_reason(error)})") from error

    def save(self, key: CacheKey, generation: int, index: VectorIndex, in_step: Callable[[], bool]) -> bool:
        """Write the index beside what is there and put it in its place.

        Args:
            key: see :class:`CacheKey`.
            generation: of the store, which the index is in step with.
            index: what to save.
            in_step: asked while nobody else can touch the cache; if false, nothing is written.

        Returns:
            whether it was written.

        Raises:
            CacheError: no space, no permission, or a folder that others can write; what was there is still there.
        """
        try:
            require_private(os.lstat(self._folder), stat.S_ISDIR, "the folder it is in")
            with self._locked():
                self._beside.unlink(missing_ok=True)
                if not in_step():
                    return False
                try:
                    self._write(key, generation, index)
                    os.replace(self._beside, self._file)
                finally:
                    self._beside.unlink(missing_ok=True)
                flush_folder(self._folder)
        except OSError as error:
            raise CacheError(f"cannot be written ({_reason(error)})") from error
        return True

    def erase(self, persons: Sequence[int]) -> None:
        """Make sure that nothing of these people is left in any file of the cache, whatever state it is in.

        Their rows are zeroed where they are, so that an index that takes long to build is not lost. A file in which
        that cannot be done is deleted.

        Raises:
            StorageError: the files cannot be changed, or somebody holds them for minutes.
        """
        if not self._folder.is_dir():
            return
        try:
            with self._locked():
                self._beside.unlink(missing_ok=True)
                try:
                    with self._opened(os.O_RDWR) as handle:
                        _erase(CacheFile(handle), persons)
                except FileNotFoundError:
                    return
                except (OSError, CacheError):
                    self._file.unlink()
                    flush_folder(self._folder)
        except OSError as error:
            raise StorageError(
                f"what was removed may still be in {printable(self._file)}, which cannot be changed "
                f"({_reason(error)}): delete that file"
            ) from error

    def drop(self) -> None:
        """Delete all files of the cache.

        Raises:
            StorageError: they cannot be deleted.
        """
        try:
            with self._locked():
                self._beside.unlink(missing_ok=True)
                self._file.unlink(missing_ok=True)
                flush_folder(self._folder)
        except OSError as error:
            raise StorageError(f"cannot delete {printable(self._file)}: {_reason(error)}") from error

    def _write(self, key: CacheKey, generation: int, index: VectorIndex) -> None:
        arrays = {"vectors": index.rows.vectors, "persons": index.rows.persons, "expires": index.rows.expires}
        about = {
            "gallery": key.gallery,
            "history": key.history,
            "fusion": key.fusion.value,
            "size": key.size,
            "kind": index.kind.value,
            "generation": generation,
        }
        with open(self._beside, "xb", opener=lambda path, flags: os.open(path, flags, FILE_MODE)) as stream:
            write_arrays(stream, about, {**arrays, **index.structure()})
            stream.flush()
            os.fsync(stream.fileno())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with filelock.FileLock(self._folder / LOCK_NAME, timeout=_PATIENCE, mode=FILE_MODE):
            yield

    @contextmanager
    def _opened(self, flags: int) -> Iterator[int]:
        handle = os.open(self._file, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            require_private(os.fstat(handle), stat.S_ISREG, "its file")
            yield handle
        finally:
            os.close(handle)


def _read(file: CacheFile, key: CacheKey, kind: IndexKind, newest: int) -> CachedIndex:
    about = file.about
    present, generation = _kind(about), about.get("generation")
    reasons = {
        "belongs to another gallery": about.get("gallery") != key.gallery,
        "is from before the gallery was restored, repaired or given another model": about.get("history") != key.history,
        "was made for another fusion": about.get("fusion") != key.fusion.value,
        "holds embeddings of another size": about.get("size") != key.size,
        "is of another kind than the gallery is set to": kind not in (IndexKind.AUTO, present),
        "is newer than the gallery": not isinstance(generation, int) or generation > newest,
    }
    for reason, holds in reasons.items():
        if holds:
            raise CacheError(reason)
    rows = Rows(key.size)
    persons, expires = file.read("persons"), file.read("expires")
    rows.allocate(len(persons))
    file.read("vectors", into=rows.vectors)
    rows.persons, rows.expires = persons, expires
    rows.recount()
    index = make_index(present, rows)
    structure = {name: file.read(name) for name, part in file.sections.items() if name not in _ROWS and not part.wiped}
    whole = index.restore(structure)
    return CachedIndex(index, int(about["generation"]), whole)


def _erase(file: CacheFile, persons: Sequence[int]) -> None:
    slots = np.flatnonzero(np.isin(file.read("persons"), np.asarray(persons, np.int64)))
    if len(slots) == 0:
        return
    for name, value in (("vectors", 0.0), ("persons", -1), ("expires", np.inf)):
        file.edit(name, slots, value)
    for name in revealing_parts(_kind(file.about)) & file.sections.keys():
        file.wipe(name)
    file.seal()


def _kind(about: Mapping[str, Any]) -> IndexKind:
    try:
        return IndexKind(about["kind"])
    except (KeyError, ValueError) as error:
        raise CacheError("is damaged: it does not say what it is") from error


def _reason(error: OSError) -> str:
    if isinstance(error, filelock.Timeout):
        return "another process holds it"
    return error.strerror.lower() if error.strerror else str(error)
