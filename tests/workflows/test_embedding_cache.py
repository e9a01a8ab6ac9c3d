"""Stored embeddings: what was put in comes back, and what is damaged, foreign or of another maker is never used."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from numpy.typing import NDArray

from facenet.errors import StorageError
from facenet.workflows import embedding_cache
from facenet.workflows.embedding_cache import Entry, forget, open_cache

MAKER: dict[str, Any] = {"fingerprint": "f" * 32, "precision": "fp32", "finding": {"policy": "central"}}
SIZE = 8

Change = Callable[[dict[str, NDArray[Any]]], object]


def entry(number: int, *, mirrored: bool = False, whole: bool = False) -> Entry:
    rng = np.random.default_rng(number)
    one, other = (row / np.linalg.norm(row) for row in rng.normal(size=(2, SIZE)).astype(np.float32))
    box = np.full(4, np.nan) if whole else rng.uniform(0, 100, 4)
    content = hashlib.sha256(str(number).encode()).hexdigest()
    return Entry(content, one, other if mirrored else None, box.astype(np.float32), rng.random(), number % 5 == 4)


def put(folder: Path, *entries: Entry, maker: dict[str, Any] = MAKER) -> None:
    with open_cache(folder, maker, SIZE) as cache:
        for one in entries:
            cache.add(one)


def take(
    folder: Path, *entries: Entry, maker: dict[str, Any] = MAKER, mirrored: bool = False, told: list[str] | None = None
) -> dict[str, Entry]:
    say = None if told is None else told.append
    with open_cache(folder, maker, SIZE, say=say) as cache:
        return cache.find({one.content for one in entries}, mirrored=mirrored)


def parts(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.safetensors"))


def rewrite(path: Path, change: Change) -> Path:
    """A part with other arrays and the name that its bytes deserve, as only somebody who knows the format can make."""
    arrays = {name: array.copy() for name, array in safetensors.numpy.load_file(path).items()}
    change(arrays)
    data = safetensors.numpy.save(arrays)
    path.unlink()
    other = path.with_name(f"{'0' * 16}-{hashlib.sha256(data).hexdigest()}.safetensors")
    other.write_bytes(data)
    return other


def assert_same(found: Entry, expected: Entry) -> None:
    assert (found.content, found.guessed) == (expected.content, expected.guessed)
    assert found.quality == pytest.approx(expected.quality, abs=1e-6)
    np.testing.assert_array_equal(found.embedding, expected.embedding)
    np.testing.assert_array_equal(found.box, expected.box)
    assert (found.mirrored is None) == (expected.mirrored is None)
    if found.mirrored is not None and expected.mirrored is not None:
        np.testing.assert_array_equal(found.mirrored, expected.mirrored)


def test_what_was_put_in_comes_back_and_nothing_else(tmp_path: Path) -> None:
    stored = [entry(n, mirrored=n % 3 == 0, whole=n % 4 == 0) for n in range(20)]
    put(tmp_path / "cache", *stored[:12])
    put(tmp_path / "cache", *stored[12:])
    found = take(tmp_path / "cache", *stored[::2], entry(100))
    assert set(found) == {one.content for one in stored[::2]}
    for one in stored[::2]:
        assert_same(found[one.content], one)
    assert take(tmp_path / "cache") == {}


def test_only_entries_with_the_mirrored_face_will_do_where_it_is_needed(tmp_path: Path) -> None:
    with_it, without = entry(1, mirrored=True), entry(2)
    put(tmp_path, with_it, without)
    assert set(take(tmp_path, with_it, without)) == {with_it.content, without.content}
    assert set(take(tmp_path, with_it, without, mirrored=True)) == {with_it.content}
    put(tmp_path, entry(2, mirrored=True))
    assert set(take(tmp_path, with_it, without, mirrored=True)) == {with_it.content, without.content}


@pytest.mark.parametrize(
    "change",
    [
        {"fingerprint": "e" * 32},
        {"precision": "bf16"},
        {"finding": None},
        {"finding": {"policy": "largest"}},
        {"new": 1},
    ],
)
def test_what_another_maker_made_is_never_used(tmp_path: Path, change: dict[str, Any]) -> None:
    put(tmp_path, entry(1))
    assert take(tmp_path, entry(1), maker=MAKER | change) == {}
    assert set(take(tmp_path, entry(1))) == {entry(1).content}


def test_another_version_of_the_format_is_never_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, entry(1))
    monkeypatch.setattr(embedding_cache, "_FORMAT", "2")
    assert take(tmp_path, entry(1)) == {}


def test_a_part_moved_to_another_makers_folder_is_not_used(tmp_path: Path) -> None:
    other = MAKER | {"fingerprint": "e" * 32}
    put(tmp_path, entry(1), maker=other)
    put(tmp_path, entry(2))
    one, two = parts(tmp_path)
    shutil.copy(one, two.parent)
    shutil.copy(two, one.parent)
    told: list[str] = []
    assert set(take(tmp_path, entry(1), entry(2), told=told)) == {entry(2).content}
    assert len(told) == 1 and told[0].startswith("1 file")


@pytest.mark.parametrize("cut", [0, 1, 7, 100, -1])
def test_damaged_parts_are_left_aside_with_a_notice(tmp_path: Path, cut: int) -> None:
    put(tmp_path, entry(1))
    put(tmp_path, entry(2))
    damaged = parts(tmp_path)[0]
    damaged.write_bytes(damaged.read_bytes()[:cut])
    told: list[str] = []
    assert len(take(tmp_path, entry(1), entry(2), told=told)) == 1
    assert len(told) == 1 and "embedded again" in told[0] and "\n" not in told[0]


def test_one_turned_bit_is_noticed(tmp_path: Path) -> None:
    put(tmp_path, entry(1))
    (part,) = parts(tmp_path)
    data = bytearray(part.read_bytes())
    data[-1] ^= 1
    part.write_bytes(data)
    assert take(tmp_path, entry(1)) == {}


def _drop(name: str) -> Change:
    return lambda arrays: arrays.pop(name)


def _put(name: str, where: Any, value: object) -> Change:
    return lambda arrays: arrays[name].__setitem__(where, value)


def _replace(name: str, make: Callable[[NDArray[Any]], NDArray[Any]]) -> Change:
    return lambda arrays: arrays.__setitem__(name, np.ascontiguousarray(make(arrays[name])))


@pytest.mark.parametrize(
    "change",
    [
        *(_drop(name) for name in ("maker", "contents", "embeddings", "boxes", "qualities", "guessed")),
        _put("embeddings", (0, 0), np.nan),
        _put("embeddings", 0, 0),
        _put("embeddings", 0, 1),
        _put("mirrored", (1, 2), np.inf),
        _put("mirrored", 0, 0),
        _put("qualities", 0, np.nan),
        _put("qualities", 0, 1.5),
        _put("boxes", (0, 1), np.nan),
        _put("boxes", (0, 1), np.inf),
        _put("maker", 0, 7),
        _replace("embeddings", lambda rows: rows.astype(np.float64)),
        _replace("embeddings", lambda rows: rows[:, :-1]),
        _replace("embeddings", lambda rows: rows[:1]),
        _replace("mirrored", lambda rows: rows[:1]),
        _replace("contents", lambda rows: rows[:, :16]),
        _replace("contents", lambda rows: rows[0]),
        lambda arrays: arrays.__setitem__("contents", np.array(7, dtype=np.uint8)),
        _replace("guessed", lambda rows: rows.astype(np.int8)),
        lambda arrays: arrays.__setitem__("other", np.zeros(1)),
    ],
)
def test_whole_parts_that_hold_something_impossible_are_not_used(tmp_path: Path, change: Change) -> None:
    stored = [entry(1, mirrored=True), entry(2, mirrored=True)]
    put(tmp_path, *stored)
    rewrite(parts(tmp_path)[0], lambda arrays: None)
    assert len(take(tmp_path, *stored)) == 2, "the test's own way of writing must pass"
    rewrite(parts(tmp_path)[0], change)
    told: list[str] = []
    assert take(tmp_path, *stored, told=told) == {} and len(told) == 1


def test_a_type_that_numpy_does_not_know(tmp_path: Path) -> None:
    put(tmp_path, entry(1))
    part = parts(tmp_path)[0]
    arrays = {name: torch.from_numpy(array) for name, array in safetensors.numpy.load_file(part).items()}
    data = safetensors.torch.save({**arrays, "embeddings": arrays["embeddings"].bfloat16()})
    (part.parent / f"{'0' * 16}-{hashlib.sha256(data).hexdigest()}.safetensors").write_bytes(data)
    told: list[str] = []
    assert len(take(tmp_path, entry(1), told=told)) == 1 and len(told) == 1


def test_huge_files_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, entry(1))
    monkeypatch.setattr(embedding_cache, "_MOST_BYTES", parts(tmp_path)[0].stat().st_size - 1)
    assert take(tmp_path, entry(1)) == {}


def test_files_of_others_are_passed_over_in_silence(tmp_path: Path) -> None:
    put(tmp_path, entry(1))
    place = parts(tmp_path)[0].parent
    (place / "notes.txt").write_text("mine")
    (place / f".writing-{parts(tmp_path)[0].name}").write_bytes(b"half a part")
    (place / f"{'0' * 16}-{'0' * 64}.safetensors").mkdir()
    told: list[str] = []
    assert len(take(tmp_path, entry(1), told=told)) == 1
    assert len(told) == 1, "the folder with a part's name, and nothing else"


@pytest.mark.skipif(os.name != "posix", reason="permissions as POSIX has them")
def test_only_the_owner_can_enter(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        put(tmp_path / "new", entry(1))
        (tmp_path / "old").mkdir(mode=0o755)
        put(tmp_path / "old", entry(1))
        place = parts(tmp_path / "old")[0].parent
        place.chmod(0o777)
        take(tmp_path / "old", entry(1))
    finally:
        os.umask(before)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert modes.pop(tmp_path / "old") == 0o755, "a folder that was there is not ours to close"
    assert set(modes.values()) == {0o700, 0o600}
    assert all((mode == 0o700) == path.is_dir() for path, mode in modes.items())


def test_what_was_added_is_kept_when_the_run_is_interrupted(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), open_cache(tmp_path, MAKER, SIZE) as cache:
        cache.add(entry(1))
        raise KeyboardInterrupt
    assert len(take(tmp_path, entry(1))) == 1


def test_parts_are_written_as_the_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_cache, "_PART_ENTRIES", 3)
    with open_cache(tmp_path, MAKER, SIZE) as cache:
        for number in range(7):
            cache.add(entry(number))
        assert len(parts(tmp_path)) == 2
        assert len(cache.find([entry(n).content for n in range(7)], mirrored=False)) == 6
        monkeypatch.setattr(embedding_cache, "_PART_SECONDS", -1.0)
        cache.add(entry(7))
        assert len(parts(tmp_path)) == 3
    assert len(parts(tmp_path)) == 3, "nothing is written twice"


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for place in ("file", "file/below"):
        with pytest.raises(StorageError, match="cannot write"):
            put(tmp_path / place, entry(1))


def test_several_processes_at_once(tmp_path: Path) -> None:
    """Each writes some entries, some of them the same, and reads whatever is there."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; import test_embedding_cache as t\n"
        "first = int(sys.argv[3]); place = Path(sys.argv[2])\n"
        "for n in range(first, first + 20):\n"
        "    t.put(place, t.entry(n))\n"
        "    found = t.take(place, t.entry(n))\n"
        "    assert len(found) == 1\n"
    )
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": str(here.parents[1]), "OMP_NUM_THREADS": "1"}
    running = [
        subprocess.Popen([sys.executable, "-c", code, here, tmp_path, str(start)], env=environment)
        for start in (0, 0, 10)
    ]
    assert [process.wait(timeout=120) for process in running] == [0, 0, 0]
    told: list[str] = []
    stored = [entry(n) for n in range(30)]
    found = take(tmp_path, *stored, told=told)
    assert told == [] and len(found) == 30
    for one in stored:
        assert_same(found[one.content], one)


def test_forgetting_deletes_what_is_stored_and_nothing_else(tmp_path: Path) -> None:
    put(tmp_path / "cache", entry(1))
    put(tmp_path / "cache", entry(2), maker=MAKER | {"new": 1})
    place = parts(tmp_path / "cache")[0].parent
    (place / f".writing-{'0' * 16}-{'0' * 64}.safetensors").write_bytes(b"half a part")
    (place / "notes.txt").write_text("mine")
    (tmp_path / "cache" / "other.safetensors").write_bytes(b"mine")
    outside = tmp_path / "outside"
    shutil.copytree(place, outside)
    (tmp_path / "cache" / ("a" * 32)).symlink_to(outside)
    kept = sorted(outside.iterdir())
    assert forget(tmp_path / "cache") == 3
    assert sorted(outside.iterdir()) == kept
    left = {path.relative_to(tmp_path / "cache").as_posix() for path in (tmp_path / "cache").rglob("*")}
    assert left == {"other.safetensors", "a" * 32, place.name, f"{place.name}/notes.txt"}
    assert forget(tmp_path / "cache") == 0 and forget(tmp_path / "nothing") == 0


def test_the_maker_must_be_plain_values(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        put(tmp_path, maker={"rate": float("nan")})
    with pytest.raises(TypeError):
        put(tmp_path, maker={"path": tmp_path})
