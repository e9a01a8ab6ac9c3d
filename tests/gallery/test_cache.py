"""The index on disk: used only if it is what was saved, for this gallery, and out of others' reach."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gallery_tools import SIZE, unit

from facenet.errors import GalleryError, StorageError
from facenet.gallery import cache as cache_module
from facenet.gallery.cache import FILE_NAME, LOCK_NAME, CacheKey, IndexCache
from facenet.gallery.cache_file import CacheError, CacheFile, write_arrays
from facenet.gallery.index import VectorIndex
from facenet.gallery.kinds import make_index
from facenet.gallery.records import Fusion, IndexKind
from facenet.gallery.rows import Rows

KEY = CacheKey("a-gallery", "a-history", Fusion.MAX, SIZE)
ROWS = unit(300, seed=1)
every_kind = pytest.mark.parametrize("kind", [IndexKind.EXACT, IndexKind.HNSW, IndexKind.IVF])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "gallery"
    place.mkdir(mode=0o700)
    return place


def an_index(kind: IndexKind, rows: np.ndarray = ROWS) -> VectorIndex:
    index = make_index(kind, Rows(SIZE))
    expires = np.full(len(rows), np.inf)
    expires[:1] = 1e9
    index.replace(np.arange(len(rows)) // 3, rows, np.repeat(expires[::3], 3)[: len(rows)])
    index.build()
    return index


def saved(folder: Path, kind: IndexKind = IndexKind.EXACT, generation: int = 7) -> IndexCache:
    cache = IndexCache(folder)
    assert cache.save(KEY, generation, an_index(kind), lambda: True)
    return cache


@every_kind
def test_what_is_saved_is_loaded(folder: Path, kind: IndexKind) -> None:
    cache = saved(folder, kind)
    index, loaded = an_index(kind), cache.load(KEY, IndexKind.AUTO, 9)
    assert loaded.generation == 7 and loaded.whole and loaded.index.kind is kind
    assert loaded.index.people == 100 and loaded.index.rows.alive == 300
    queries = unit(9, seed=2)
    for mine, theirs in zip(loaded.index.search(queries, 4), index.search(queries, 4), strict=True):
        assert np.array_equal(mine, theirs)
    assert loaded.index.rows.expired(2e9).tolist() == [0]
    assert sorted(path.name for path in folder.iterdir()) == [FILE_NAME, LOCK_NAME]
    assert cache.bytes == (folder / FILE_NAME).stat().st_size > 0


def test_only_its_owner_can_read_it(folder: Path) -> None:
    saved(folder)
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_empty_index(folder: Path) -> None:
    cache = IndexCache(folder)
    assert cache.save(KEY, 0, an_index(IndexKind.EXACT, ROWS[:0]), lambda: True)
    assert cache.load(KEY, IndexKind.EXACT, 0).index.people == 0


def test_none(folder: Path) -> None:
    with pytest.raises(CacheError, match="is missing"):
        IndexCache(folder).load(KEY, IndexKind.AUTO, 1)
    IndexCache(folder).erase([1])
    IndexCache(folder).drop()
    IndexCache(folder / "nowhere").erase([1])
    assert IndexCache(folder).bytes == 0


@pytest.mark.parametrize(
    ("key", "kind", "newest", "words"),
    [
        (replace(KEY, gallery="another"), IndexKind.AUTO, 9, "another gallery"),
        (replace(KEY, history="another"), IndexKind.AUTO, 9, "restored"),
        (replace(KEY, fusion=Fusion.MEAN), IndexKind.AUTO, 9, "fusion"),
        (replace(KEY, size=8), IndexKind.AUTO, 9, "size"),
        (KEY, IndexKind.HNSW, 9, "kind"),
        (KEY, IndexKind.AUTO, 6, "newer"),
    ],
)
def test_what_was_saved_for_something_else_is_refused_and_goes(
    folder: Path, key: CacheKey, kind: IndexKind, newest: int, words: str
) -> None:
    cache = saved(folder)
    with pytest.raises(CacheError, match=words):
        cache.load(key, kind, newest)
    assert not (folder / FILE_NAME).exists()


@every_kind
def test_any_flipped_bit_is_found(folder: Path, kind: IndexKind) -> None:
    cache = saved(folder, kind)
    whole = (folder / FILE_NAME).read_bytes()
    generator = np.random.default_rng(3)
    positions = {
        0,
        9,
        60,
        4095,
        4096,
        len(whole) - 1,
        len(whole) - 33,
        *generator.integers(0, len(whole), 120).tolist(),
    }
    for position in positions:
        flipped = bytearray(whole)
        flipped[position] ^= 1 << int(generator.integers(8))
        (folder / FILE_NAME).write_bytes(flipped)
        with pytest.raises(GalleryError, match="damaged"):
            cache.load(KEY, IndexKind.AUTO, 9)
    (folder / FILE_NAME).touch(0o600)
    (folder / FILE_NAME).write_bytes(whole)
    assert cache.load(KEY, IndexKind.AUTO, 9).whole


def test_any_truncation_is_found(folder: Path) -> None:
    cache = saved(folder)
    whole = (folder / FILE_NAME).read_bytes()
    for length in (0, 1, 8, 4095, 4096, 4097, len(whole) // 2, len(whole) - 32, len(whole) - 1):
        (folder / FILE_NAME).touch(0o600)
        (folder / FILE_NAME).write_bytes(whole[:length])
        with pytest.raises(CacheError, match="damaged"):
            cache.load(KEY, IndexKind.AUTO, 9)
    (folder / FILE_NAME).touch(0o600)
    (folder / FILE_NAME).write_bytes(whole + b"\0")
    with pytest.raises(CacheError, match="damaged"):
        cache.load(KEY, IndexKind.AUTO, 9)


@pytest.mark.parametrize("junk", [b"", b"junk", b"FACEIDX1" + b"[" * 4088, b"\x80\x04pickle" * 999, b"{}" * 5000])
def test_other_files_are_refused(folder: Path, junk: bytes) -> None:
    (folder / FILE_NAME).touch(0o600)
    (folder / FILE_NAME).write_bytes(junk)
    with pytest.raises(CacheError, match="damaged"):
        IndexCache(folder).load(KEY, IndexKind.AUTO, 9)


def test_pages_that_lie_about_sizes_are_refused(folder: Path) -> None:
    path = folder / FILE_NAME
    for shape in ([2**39, 2**39], [-1], ["a"], [1.5], [], [True, 2, 3], {}):
        path.touch(0o600)
        with path.open("wb") as stream:
            write_arrays(stream, {"kind": "exact"}, {"persons": np.arange(3)})
        content = path.read_bytes().replace(b'"shape": [3]', f'"shape": {shape}'.replace("'", '"').encode())
        path.write_bytes(content[:4096].rstrip().ljust(4096) + content[4096:])
        with pytest.raises(CacheError, match="damaged"):
            IndexCache(folder).load(KEY, IndexKind.AUTO, 9)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_is_not_used(folder: Path, mode: int) -> None:
    cache = saved(folder)
    (folder / FILE_NAME).chmod(mode)
    with pytest.raises(CacheError, match="can be written by others"):
        cache.load(KEY, IndexKind.AUTO, 9)


def test_a_folder_that_others_can_write_is_not_used(folder: Path) -> None:
    cache = saved(folder)
    folder.chmod(0o770)
    with pytest.raises(CacheError, match="the folder it is in can be written by others"):
        cache.load(KEY, IndexKind.AUTO, 9)
    with pytest.raises(CacheError, match="the folder it is in can be written by others"):
        cache.save(KEY, 8, an_index(IndexKind.EXACT), lambda: True)


@pytest.mark.parametrize("link", [os.symlink, os.mkfifo])
def test_links_and_pipes_are_not_followed(folder: Path, tmp_path: Path, link: Callable[..., None]) -> None:
    cache = saved(folder)
    elsewhere = tmp_path / "elsewhere"
    (folder / FILE_NAME).rename(elsewhere)
    before = elsewhere.read_bytes()
    link(*((elsewhere, folder / FILE_NAME) if link is os.symlink else (folder / FILE_NAME,)))
    with pytest.raises(GalleryError):
        cache.load(KEY, IndexKind.AUTO, 9)
    cache.erase([1])
    assert elsewhere.read_bytes() == before
    assert not os.path.lexists(folder / FILE_NAME)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_somebody_else_is_not_used(folder: Path) -> None:
    cache = saved(folder)
    os.chown(folder / FILE_NAME, 12345, -1)
    with pytest.raises(CacheError, match="another user"):
        cache.load(KEY, IndexKind.AUTO, 9)


@every_kind
def test_erased_people_leave_nothing(folder: Path, kind: IndexKind) -> None:
    cache = saved(folder, kind)
    before = (folder / FILE_NAME).stat().st_ino
    assert ROWS[17].tobytes() in (folder / FILE_NAME).read_bytes()
    cache.erase([5, 99, 12345])
    content = (folder / FILE_NAME).read_bytes()
    for gone in (15, 16, 17, 297, 299):
        assert ROWS[gone].tobytes() not in content and ROWS[gone, :3].tobytes() not in content
    assert ROWS[18].tobytes() in content
    # Wiped in place: a file written anew would leave the old one's blocks on the disk.
    assert (folder / FILE_NAME).stat().st_ino == before
    loaded = cache.load(KEY, IndexKind.AUTO, 9)
    assert loaded.index.people == 98 and loaded.whole is (kind is not IndexKind.IVF)
    persons, _ = loaded.index.search(ROWS, 98)
    assert not {5, 99} & set(persons.ravel().tolist())
    assert set(persons[18].tolist()) == set(range(100)) - {5, 99}


def test_erasing_across_blocks(folder: Path) -> None:
    rows = unit(30_000, seed=4)
    cache = IndexCache(folder)
    assert cache.save(KEY, 1, an_index(IndexKind.EXACT, rows), lambda: True)
    gone = np.random.default_rng(5).choice(10_000, 50, replace=False)
    cache.erase(gone.tolist())
    index = cache.load(KEY, IndexKind.AUTO, 1).index
    assert index.people == 9_950
    kept = np.setdiff1d(np.arange(10_000), gone)
    order = np.argsort(index.rows.persons, kind="stable")
    assert sorted(index.rows.persons.tolist()) == np.repeat(kept, 3).tolist()
    assert np.array_equal(
        np.sort(index.rows.vectors[order], axis=0), np.sort(rows[np.isin(np.arange(30_000) // 3, kept)], axis=0)
    )


def test_erasing_from_a_damaged_file_deletes_it(folder: Path) -> None:
    cache = saved(folder)
    content = bytearray((folder / FILE_NAME).read_bytes())
    content[4096 + 17 * SIZE * 4] ^= 1
    (folder / FILE_NAME).write_bytes(content)
    cache.erase([99])
    assert not (folder / FILE_NAME).exists()


def test_erasing_nobody_changes_nothing(folder: Path) -> None:
    cache = saved(folder)
    before = (folder / FILE_NAME).read_bytes()
    cache.erase([12345])
    assert (folder / FILE_NAME).read_bytes() == before


def test_an_index_that_is_no_longer_in_step_is_not_saved(folder: Path) -> None:
    cache = saved(folder)
    before = (folder / FILE_NAME).read_bytes()
    assert not cache.save(KEY, 8, an_index(IndexKind.HNSW), lambda: False)
    assert (folder / FILE_NAME).read_bytes() == before
    assert len(list(folder.iterdir())) == 2


def test_what_an_interrupted_save_left_goes_with_the_next_removal(folder: Path) -> None:
    cache = saved(folder)
    left = folder / f".writing-{FILE_NAME}"
    left.write_bytes(ROWS.tobytes())
    cache.erase([12345])
    assert not left.exists()


def test_a_lock_held_by_another(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = saved(folder)
    monkeypatch.setattr(cache_module, "_PATIENCE", 0.05)
    with cache_module.filelock.FileLock(folder / LOCK_NAME):
        with pytest.raises(CacheError, match="another process holds it"):
            cache.load(KEY, IndexKind.AUTO, 9)
        with pytest.raises(CacheError, match="another process holds it"):
            cache.save(KEY, 9, an_index(IndexKind.EXACT), lambda: True)
        with pytest.raises(StorageError, match="may still be in .*delete that file"):
            cache.erase([1])
    assert cache.load(KEY, IndexKind.AUTO, 9).whole


def test_no_space_leaves_what_was_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = saved(folder)
    before = (folder / FILE_NAME).read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_module, "write_arrays", full)
    with pytest.raises(CacheError, match="no space left"):
        cache.save(KEY, 9, an_index(IndexKind.EXACT), lambda: True)
    assert (folder / FILE_NAME).read_bytes() == before and len(list(folder.iterdir())) == 2


def test_a_section_that_is_not_there(folder: Path) -> None:
    path = folder / FILE_NAME
    with path.open("wb") as stream:
        write_arrays(stream, {"kind": "exact"}, {"persons": np.arange(3)})
    with path.open("rb") as stream:
        file = CacheFile(stream.fileno())
        assert file.read("persons").tolist() == [0, 1, 2]
        with pytest.raises(CacheError, match="it has no vectors"):
            file.read("vectors")
        with pytest.raises(CacheError, match="not what it should be"):
            file.read("persons", into=np.empty(3, np.float64))
