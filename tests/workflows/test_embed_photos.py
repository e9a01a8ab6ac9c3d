"""``embed``: every photo has a line, every embedding a row; interrupted runs go on, and nothing foreign is replaced."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import safetensors
from filelock import FileLock
from safetensors.numpy import load_file, save_file
from scenes import RedDetector, paint, save, toy_embedder

from facenet.detection.faces import Policy
from facenet.errors import CheckpointError, ContractError, InputError, MissingError, StorageError, UsageError
from facenet.evaluation import photos
from facenet.evaluation.embedder import Embedder
from facenet.evaluation.photos import Photo, read_photos
from facenet.preprocessing import Preprocessing
from facenet.workflows import embed
from facenet.workflows.embed import COLUMNS, EmbedResult, embed_photos


@pytest.fixture(autouse=True)
def red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos, "Detector", lambda device: RedDetector())


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return toy_embedder()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Seven pictures: two faces, one, none (in the root), a broken one, and one of a kind that is not read."""
    folder = tmp_path / "photos"
    save(folder / "Ada" / "two.png", paint(90, 200, (10, 10, 60, 60), (100, 10, 170, 80)))
    for number in range(3):
        save(folder / "Bo\nb" / f"{number}.png", paint(90, 120, (10, 10, 60, 60), seed=number))
    save(folder / "none.png", paint(60, 60))
    (folder / "Ada" / "broken.jpg").touch()
    (folder / "Ada" / "moving.gif").touch()
    return folder


def lines(result: EmbedResult) -> list[dict[str, str]]:
    with result.table.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def interrupted_after(count: int, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """From now on reading stops with Ctrl-C after so many photos; the list holds whatever was read."""
    seen: list[Path] = []

    def stopping(*given: object, **named: object) -> Iterator[Photo]:
        for photo in read_photos(*given, **named):  # type: ignore[arg-type]
            if len(seen) == count:
                raise KeyboardInterrupt
            seen.append(photo.path)
            yield photo

    monkeypatch.setattr(embed, "read_photos", stopping)
    return seen


def test_what_is_written(root: Path, tmp_path: Path, embedder: Embedder) -> None:
    told: list[tuple[int, int | None]] = []
    result = embed_photos([root], tmp_path / "out", embedder, policy=Policy.ALL, progress=lambda *now: told.append(now))
    assert told == [(done, 6) for done in range(1, 7)]
    assert result.embeddings == tmp_path / "out.safetensors" and result.table == tmp_path / "out.csv"
    assert (result.rows, result.photos, result.resumed) == (5, 6, 0)
    assert result.outcomes == {"embedded": 4, "no_face": 1, "unreadable": 1, "left_out": 1}
    json.dumps(result.to_dict())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "out.safetensors", "photos"]

    embeddings = load_file(result.embeddings)["embeddings"]
    assert embeddings.dtype == np.float32 and embeddings.shape == (5, 16)
    with safetensors.safe_open(result.embeddings, framework="numpy") as found:
        metadata = found.metadata()
    assert metadata["fingerprint"] == embedder.fingerprint and metadata["faces"] == "all"
    assert Preprocessing.from_dict(json.loads(metadata["preprocessing"])) == embedder.preprocessing
    assert "torch" in json.loads(metadata["versions"])

    table = lines(result)
    assert tuple(table[0]) == COLUMNS
    assert [line["path"] for line in table] == [
        str(root / name)
        for name in ("Ada/broken.jpg", "Ada/two.png", "Ada/two.png", "Bo\nb/0.png", "Bo\nb/1.png", "Bo\nb/2.png")
    ] + [str(root / "none.png"), str(root / "Ada/moving.gif")]
    assert [line["status"] for line in table] == ["unreadable", *["embedded"] * 5, "no_face", "left_out"]
    assert table[0]["reason"] == "empty file" and table[0]["row"] == ""
    assert [line["row"] for line in table[1:6]] == ["0", "1", "2", "3", "4"]
    assert [line["face"] for line in table[1:4]] == ["0", "1", "0"]
    assert [table[1][edge] for edge in ("left", "top", "right", "bottom")] == ["100.00", "10.00", "170.00", "80.00"]

    expected = read_photos([root / "Ada/two.png", root / "Bo\nb/0.png"], embedder, detector=RedDetector())
    rows = [face.embedding for photo in expected for face in photo.faces]
    np.testing.assert_allclose(embeddings[:3], rows, atol=1e-5)


def test_only_the_largest_face_unless_told_otherwise(root: Path, tmp_path: Path, embedder: Embedder) -> None:
    result = embed_photos([root / "Ada"], tmp_path / "out.safetensors", embedder)
    assert result.rows == 1 and result.embeddings.name == "out.safetensors"
    assert lines(result)[1]["left"] == "100.00"


def test_files_and_folders_each_once(root: Path, tmp_path: Path, embedder: Embedder) -> None:
    result = embed_photos([root / "Bo\nb" / "2.png", root, root / "none.png"], tmp_path / "out", embedder)
    assert result.photos == 6 and result.rows == 4
    assert lines(result)[0]["path"] == str(root / "Bo\nb" / "2.png")


@pytest.mark.skipif(os.name != "posix", reason="names are bytes there only")
def test_names_that_are_no_text(tmp_path: Path, embedder: Embedder) -> None:
    good = save(tmp_path / "good.png", paint(60, 60, (10, 10, 50, 50)))
    strange = tmp_path / os.fsdecode(b'caf\xe9,"1".png')
    good.rename(strange)
    result = embed_photos([strange], tmp_path / "out", embedder)
    assert result.rows == 1
    assert lines(result)[0]["path"].endswith('caf\\udce9,"1".png')


def test_nothing_to_embed_still_says_why(tmp_path: Path, embedder: Embedder) -> None:
    (tmp_path / "empty.jpg").touch()
    result = embed_photos([tmp_path / "empty.jpg"], tmp_path / "out", embedder)
    assert result.rows == 0 and load_file(result.embeddings)["embeddings"].shape == (0, 16)
    assert lines(result)[0]["reason"] == "empty file"


def test_an_interrupted_run_goes_on(
    root: Path, tmp_path: Path, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embed, "_PART_PHOTOS", 2)
    whole = embed_photos([root], tmp_path / "whole", embedder)
    for reads in (3, 1):
        interrupted_after(reads, monkeypatch)
        with pytest.raises(KeyboardInterrupt):
            embed_photos([root], tmp_path / "out", embedder)
        assert not (tmp_path / "out.safetensors").exists() and not (tmp_path / "out.csv").exists()
    said: list[str] = []
    seen = interrupted_after(100, monkeypatch)
    result = embed_photos([root], tmp_path / "out", embedder, say=said.append)
    assert result.resumed == 2 and len(seen) == 4 and "2 of 6" in said[0]
    assert lines(result) == lines(whole)
    np.testing.assert_allclose(
        load_file(result.embeddings)["embeddings"], load_file(whole.embeddings)["embeddings"], atol=1e-6
    )
    assert not (tmp_path / "out.partial").exists()


def test_a_photo_that_changed_since_is_read_again(
    root: Path, tmp_path: Path, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embed, "_PART_PHOTOS", 1)
    interrupted_after(4, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        embed_photos([root], tmp_path / "out", embedder)
    changed = save(root / "Bo\nb" / "0.png", paint(91, 130, (20, 20, 80, 80), seed=9))
    (root / "Ada" / "two.png").unlink()
    seen = interrupted_after(100, monkeypatch)
    result = embed_photos([root], tmp_path / "out", embedder)
    assert seen == [changed, root / "Bo\nb" / "2.png", root / "none.png"]
    assert (result.photos, result.rows, result.resumed) == (5, 3, 2)
    assert [line["left"] for line in lines(result)[1:4]] == ["20.00", "10.00", "10.00"]


def begun(root: Path, out: Path, embedder: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(embed, "_PART_PHOTOS", 1)
        interrupted_after(2, patch)
        with pytest.raises(KeyboardInterrupt):
            embed_photos([root], out, embedder)


def test_another_model_or_other_flags_are_refused(
    root: Path, tmp_path: Path, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(root, tmp_path / "out", embedder, monkeypatch)
    other = toy_embedder(seed=1)
    with pytest.raises(ContractError) as raised:
        embed_photos([root], tmp_path / "out", other)
    assert other.fingerprint in str(raised.value) and embedder.fingerprint in str(raised.value)
    with pytest.raises(InputError, match="faces"):
        embed_photos([root], tmp_path / "out", embedder, policy=Policy.ALL)
    with pytest.raises(InputError, match="aligned"):
        embed_photos([root], tmp_path / "out", embedder, aligned=True)
    assert embed_photos([root], tmp_path / "out", embedder).resumed == 2


def test_two_at_once_are_refused(root: Path, tmp_path: Path, embedder: Embedder) -> None:
    (tmp_path / "out.partial").mkdir()
    with FileLock(tmp_path / "out.partial" / "lock"), pytest.raises(InputError, match="another process"):
        embed_photos([root], tmp_path / "out", embedder)


def damage(folder: Path) -> None:
    path = folder / "000001.safetensors"
    path.write_bytes(path.read_bytes()[:-9])


def empty_part(folder: Path) -> None:
    save_file({"embeddings": np.zeros((3, 16), dtype=np.float32)}, folder / "000001.safetensors", {"records": "[]"})


@pytest.mark.parametrize("spoil", [damage, empty_part])
def test_damaged_parts_are_named(
    root: Path,
    tmp_path: Path,
    embedder: Embedder,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Path], None],
) -> None:
    begun(root, tmp_path / "out", embedder, monkeypatch)
    spoil(tmp_path / "out.partial")
    with pytest.raises(CheckpointError, match="000001"):
        embed_photos([root], tmp_path / "out", embedder)
    (tmp_path / "out.partial" / "000001.safetensors").unlink()
    assert embed_photos([root], tmp_path / "out", embedder).rows == 4


def test_results_are_replaced_but_nothing_else_is(root: Path, tmp_path: Path, embedder: Embedder) -> None:
    embed_photos([root / "none.png"], tmp_path / "out", embedder)
    assert embed_photos([root], tmp_path / "out", embedder).rows == 4
    save_file({"embeddings": np.zeros((1, 2), dtype=np.float32)}, tmp_path / "other.safetensors")
    (tmp_path / "text.safetensors").write_text("mine")
    (tmp_path / "table.csv").write_text("mine")
    (tmp_path / "full.partial").mkdir()
    (tmp_path / "full.partial" / "mine.txt").touch()
    for name in ("other", "text", "table", "full"):
        with pytest.raises(InputError, match="not one of ours"):
            embed_photos([root], tmp_path / name, embedder)
    assert (tmp_path / "table.csv").read_text() == "mine"
    assert not (tmp_path / "other.partial").exists()


def test_what_cannot_be(root: Path, tmp_path: Path, embedder: Embedder) -> None:
    with pytest.raises(MissingError, match="gone"):
        embed_photos([root, tmp_path / "gone"], tmp_path / "out", embedder)
    (tmp_path / "nothing").mkdir()
    with pytest.raises(InputError, match="no pictures"):
        embed_photos([tmp_path / "nothing"], tmp_path / "out", embedder)
    with pytest.raises(StorageError):
        embed_photos([root], root / "none.png" / "out", embedder)
    with pytest.raises(UsageError):
        embed_photos([root], Path("/"), embedder)
    assert not (tmp_path / "out.partial").exists()


def test_a_full_disk_loses_nothing(
    root: Path, tmp_path: Path, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(root, tmp_path / "out", embedder, monkeypatch)
    before = sorted(path.name for path in (tmp_path / "out.partial").iterdir())

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="no space left"):
            embed_photos([root], tmp_path / "out", embedder)
    assert sorted(path.name for path in (tmp_path / "out.partial").iterdir()) == before
    assert embed_photos([root], tmp_path / "out", embedder).resumed == 2
