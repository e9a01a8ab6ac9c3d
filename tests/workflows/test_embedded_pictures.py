"""One embedding for each picture of a protocol: every picture answered, nothing computed twice, nothing mixed up."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from scenes import RedDetector, paint, save, toy_embedder

from facenet.detection.alignment import cut_face
from facenet.detection.detector import Detector
from facenet.detection.faces import Policy
from facenet.detection.quality import measure_quality
from facenet.errors import InputError, MissingError, StorageError, UsageError
from facenet.evaluation import photos
from facenet.evaluation.cuts import middle_face
from facenet.evaluation.embedded import Embedded, State
from facenet.evaluation.embedder import Embedder, open_embedder
from facenet.evaluation.flips import Flip, with_mirrored
from facenet.evaluation.pairfiles import read_pair_list
from facenet.geometry import paired_cosine
from facenet.images import load_image
from facenet.workflows import embedded_pictures
from facenet.workflows.embedded_pictures import embed_pictures
from facenet.workflows.embedding_cache import forget

SHARED = Path(os.environ.get("FACENET_SHARED", Path(__file__).resolve().parents[3] / "shared"))
LFW, WEIGHTS = SHARED / "data" / "lfw", SHARED / "weights" / "mobilefacenet_casia.safetensors"


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return toy_embedder()


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The photos that are decoded, looked at and embedded."""
    read: list[Path] = []
    inner = photos.cut_photos

    def watched(paths: list[Path], *given: object, **named: object) -> Iterator[object]:
        read.extend(paths)
        return inner(paths, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(photos, "cut_photos", watched)
    return read


@pytest.fixture
def people(tmp_path: Path) -> list[Path]:
    """Two faces (the larger one off centre), one face, none, a copy of the second, another face."""
    folder = tmp_path / "people"
    made = [
        save(folder / "two.png", paint(100, 200, (80, 30, 120, 70), (130, 10, 190, 70))),
        save(folder / "one.png", paint(90, 120, (10, 10, 60, 60), seed=1)),
        save(folder / "none.png", paint(60, 80, seed=2)),
        folder / "copy.png",
        save(folder / "other.png", paint(90, 120, (30, 20, 70, 80), seed=3)),
    ]
    shutil.copy(made[1], made[3])
    return made


def embed(paths: list[Path], embedder: Embedder, **options: object) -> Embedded:
    return embed_pictures(paths, embedder, detector=RedDetector(), **options)  # type: ignore[arg-type]


def assert_equal(one: Embedded, other: Embedded) -> None:
    assert (one.paths, one.states, one.contents) == (other.paths, other.states, other.contents)
    torch.testing.assert_close(one.embeddings, other.embeddings, atol=1e-5, rtol=0, equal_nan=True)
    np.testing.assert_array_equal(one.boxes, other.boxes)
    np.testing.assert_allclose(one.qualities, other.qualities, atol=1e-6)


def test_every_picture_is_answered_in_order(people: list[Path], embedder: Embedder) -> None:
    found = embed(people, embedder)
    assert found.paths == tuple(map(str, people)) and len(found) == 5
    assert found.fingerprint == embedder.fingerprint and found.cached == 0
    assert found.contents == tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in people)
    face = State.FACE
    assert found.states == (face, face, State.FALLBACK, face, face)
    assert not found.failed.any() and found.counts() == {"face": 4, "fallback": 1}
    boxes = [(80, 30, 120, 70), (10, 10, 60, 60), middle_face(60, 80).box, (10, 10, 60, 60), (30, 20, 70, 80)]
    np.testing.assert_allclose(found.boxes, boxes)
    assert found.qualities[2] == 0
    assert found.embeddings.dtype == torch.float32 and found.embeddings.shape == (5, 16)
    for row, path in enumerate(people):
        image = load_image(path)
        faces = RedDetector().detect([image])[0]
        here = next((f for f in faces if np.allclose(f.box, boxes[row])), middle_face(*image.shape[:2]))
        expected = embedder.trunk(cut_face(image, here, embedder.preprocessing)[None])[0]
        torch.testing.assert_close(found.embeddings[row], expected, atol=1e-5, rtol=0)


def test_which_face_is_the_policys_choice(people: list[Path], embedder: Embedder) -> None:
    boxes = [
        embed(people[:1], embedder, policy=policy).boxes[0].tolist() for policy in (Policy.LARGEST, Policy.CENTRAL)
    ]
    assert boxes == [[130, 10, 190, 70], [80, 30, 120, 70]]
    with pytest.raises(UsageError, match="one face"):
        embed(people, embedder, policy=Policy.ALL)


def test_a_picture_without_a_face_as_a_failure(people: list[Path], embedder: Embedder) -> None:
    found = embed(people, embedder, undetected="as-failure")
    assert found.states[2] is State.NO_FACE and found.failed.tolist() == [False, False, True, False, False]
    assert torch.isnan(found.embeddings[2]).all() and np.isnan(found.boxes[2]).all() and np.isnan(found.qualities[2])
    others = [0, 1, 3, 4]
    torch.testing.assert_close(found.embeddings[others], embed(people, embedder).embeddings[others])


def test_aligned_pictures_are_faces_as_they_are(people: list[Path], embedder: Embedder) -> None:
    found = embed(people, embedder, aligned=True)
    assert set(found.states) == {State.FACE} and np.isnan(found.boxes).all()
    face = embedder.preprocessing.load(people[2])
    torch.testing.assert_close(found.embeddings[2], embedder.trunk(face[None])[0], atol=1e-5, rtol=0)
    assert found.qualities[2] == pytest.approx(measure_quality(face, None).score) and found.qualities[2] > 0
    whole = toy_embedder(None)
    assert np.isnan(embed_pictures(people, whole).boxes).all()


@pytest.mark.parametrize("flip", [Flip.SUM, Flip.CONCAT])
@pytest.mark.parametrize("undetected", ["middle", "as-failure"])
def test_flips(people: list[Path], embedder: Embedder, flip: Flip, undetected: str) -> None:
    found = embed(people, embedder, flip=flip, undetected=undetected)
    assert found.embeddings.shape == (5, 32 if flip is Flip.CONCAT else 16)
    read = photos.read_photos(
        people, embedder, detector=RedDetector(), policy=Policy.CENTRAL, mirrored=True, middle=undetected == "middle"
    )
    for row, photo in enumerate(read):
        if not photo.faces:
            assert found.failed[row] and torch.isnan(found.embeddings[row]).all()
            continue
        (face,) = photo.faces
        assert face.mirrored is not None
        plain, mirrored = torch.from_numpy(face.embedding)[None], torch.from_numpy(face.mirrored)[None]
        torch.testing.assert_close(found.embeddings[row], with_mirrored(plain, mirrored, flip)[0], atol=1e-5, rtol=0)


def test_files_with_the_same_bytes_are_embedded_once(people: list[Path], embedder: Embedder, seen: list[Path]) -> None:
    told: list[tuple[int, int | None]] = []
    found = embed([*people, people[0]], embedder, progress=lambda *now: told.append(now))
    assert seen == [people[0], people[1], people[2], people[4]]
    assert told == [(done, 4) for done in (1, 2, 3, 4)]
    assert torch.equal(found.embeddings[1], found.embeddings[3])
    assert torch.equal(found.embeddings[0], found.embeddings[5])


def test_order_and_batch_size_change_nothing(people: list[Path], embedder: Embedder) -> None:
    found, turned = embed(people, embedder), embed(people[::-1], embedder, batch_size=2)
    torch.testing.assert_close(found.embeddings, turned.embeddings.flip(0), atol=1e-5, rtol=0)
    assert found.states == turned.states[::-1]
    np.testing.assert_array_equal(found.boxes, turned.boxes[::-1])


def test_no_pictures(tmp_path: Path, embedder: Embedder) -> None:
    found = embed([], embedder, cache=tmp_path / "cache")
    assert len(found) == 0 and found.embeddings.shape == (0, 16) and found.boxes.shape == (0, 4)
    assert embed([], embedder, flip=Flip.CONCAT).embeddings.shape == (0, 32)


@pytest.fixture
def spoilt(people: list[Path]) -> list[Path]:
    """The same with a file that is not there, an empty one, one that is no picture and its copy, and a folder."""
    folder = people[0].parent
    (folder / "empty.jpg").touch()
    for name in ("text.jpg", "text2.jpg"):
        (folder / name).write_text("no picture")
    (folder / "folder.jpg").mkdir()
    return [*people, *(folder / f"{name}.jpg" for name in ("gone", "empty", "text", "text2", "folder"))]


def test_pictures_that_cannot_be_used_are_all_listed(spoilt: list[Path], embedder: Embedder, seen: list[Path]) -> None:
    with pytest.raises(MissingError, match=r"^3 of 10 pictures are not there or cannot be read:\n") as refusal:
        embed(spoilt, embedder)
    named = [line.removeprefix(str(spoilt[0].parent)) for line in str(refusal.value).split("\n  ")[1:]]
    assert named == [
        "/gone.jpg: no such file or directory",
        "/empty.jpg: empty file",
        "/folder.jpg: not a regular file",
    ]
    assert seen == [], "known before anything is embedded"


def test_pictures_that_cannot_be_decoded_are_all_listed_and_the_others_kept(
    spoilt: list[Path], embedder: Embedder, tmp_path: Path, seen: list[Path]
) -> None:
    paths = [*spoilt[:5], *spoilt[7:9]]
    with pytest.raises(InputError, match=r"^2 of 7 pictures") as refusal:
        embed(paths, embedder, cache=tmp_path / "cache")
    assert not isinstance(refusal.value, MissingError), "they are there"
    assert str(refusal.value).count(": not a picture of a known kind") == 2
    seen.clear()
    assert embed(paths[:5], embedder, cache=tmp_path / "cache").cached == 5 and seen == []


def test_pictures_that_cannot_be_used_as_failures(spoilt: list[Path], embedder: Embedder, tmp_path: Path) -> None:
    for _ in range(2):
        found = embed(spoilt, embedder, missing="as-failure", cache=tmp_path / "cache")
        assert found.states[5:] == (State.MISSING, *[State.UNREADABLE] * 4)
        assert found.failed.tolist() == [False] * 5 + [True] * 5
        assert [bool(content) for content in found.contents[5:]] == [False, False, True, True, False]
        assert torch.isnan(found.embeddings[5:]).all() and not torch.isnan(found.embeddings[:5]).any()
        assert np.isnan(found.boxes[5:]).all() and np.isnan(found.qualities[5:]).all()


@pytest.mark.parametrize("options", [{"missing": "ignore"}, {"undetected": "drop"}, {"batch_size": 0}])
def test_bad_choices(people: list[Path], embedder: Embedder, options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        embed(people, embedder, **options)


def test_a_file_that_changes_while_it_is_read(
    people: list[Path], embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = embedded_pictures.read_photos

    def late(paths: list[Path], **named: object) -> object:
        save(people[1], paint(90, 120, (10, 10, 60, 60), seed=99))
        return inner(paths, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(embedded_pictures, "read_photos", late)
    with pytest.raises(InputError, match=r"one\.png changed while it was being read"):
        embed(people, embedder)


@pytest.mark.parametrize("flip", list(Flip))
def test_the_second_run_embeds_nothing(
    people: list[Path], embedder: Embedder, tmp_path: Path, seen: list[Path], flip: Flip
) -> None:
    first = embed(people, embedder, cache=tmp_path / "cache", flip=flip)
    seen.clear()
    second = embed(people, embedder, cache=tmp_path / "cache", flip=flip)
    assert seen == [] and (first.cached, second.cached) == (0, 5)
    assert_equal(first, second)
    assert torch.equal(first.embeddings, second.embeddings)
    assert_equal(first, embed(people, embedder, flip=flip))
    moved = [shutil.copy(path, tmp_path / f"moved-{path.name}") for path in people]
    assert embed([Path(path) for path in moved], embedder, cache=tmp_path / "cache", flip=flip).cached == 5


def test_what_stands_for_undetected_faces_may_change_between_runs(
    people: list[Path], embedder: Embedder, tmp_path: Path, seen: list[Path]
) -> None:
    embed(people, embedder, cache=tmp_path, undetected="as-failure")
    seen.clear()
    found = embed(people, embedder, cache=tmp_path)
    assert seen == [] and found.states[2] is State.FALLBACK
    assert_equal(found, embed(people, embedder))


def test_mirrored_faces_are_added_when_they_are_first_needed(
    people: list[Path], embedder: Embedder, tmp_path: Path, seen: list[Path]
) -> None:
    embed(people, embedder, cache=tmp_path)
    seen.clear()
    assert embed(people, embedder, cache=tmp_path, flip=Flip.SUM).cached == 0 and len(seen) == 4
    seen.clear()
    for flip in Flip:
        assert_equal(embed(people, embedder, cache=tmp_path, flip=flip), embed(people[:], embedder, flip=flip))
    assert len(seen) == 3 * 4, "only the runs without a cache"


@pytest.mark.parametrize(
    "options",
    [{"aligned": True}, {"policy": Policy.LARGEST}, {"detector": Detector(min_face=40)}],
)
def test_embeddings_made_in_another_way_are_not_used(
    people: list[Path], embedder: Embedder, tmp_path: Path, options: dict[str, object]
) -> None:
    embed(people, embedder, cache=tmp_path)
    settings = {"detector": RedDetector(), **options}
    assert embed_pictures(people, embedder, cache=tmp_path, **settings).cached == 0  # type: ignore[arg-type]
    assert embed_pictures(people, embedder, cache=tmp_path, **settings).cached == 5  # type: ignore[arg-type]
    assert embed(people, embedder, cache=tmp_path).cached == 5


def test_how_faces_are_cut_is_part_of_the_key(
    people: list[Path], embedder: Embedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed(people, embedder, cache=tmp_path)
    monkeypatch.setattr(embedded_pictures, "CUT_VERSION", "another")
    assert embed(people, embedder, cache=tmp_path).cached == 0


def test_embeddings_of_another_fingerprint_are_never_used(
    people: list[Path], embedder: Embedder, tmp_path: Path
) -> None:
    other = toy_embedder(seed=1)
    assert other.fingerprint != embedder.fingerprint
    theirs = embed(people, other, cache=tmp_path)
    mine = embed(people, embedder, cache=tmp_path)
    assert mine.cached == 0
    assert_equal(mine, embed(people, embedder))
    assert not torch.allclose(mine.embeddings, theirs.embeddings, atol=1e-2)
    one, two = (path for path in tmp_path.iterdir() if path.name != "people")
    for part in (*one.iterdir(), *two.iterdir()):
        shutil.copy(part, two if part.parent == one else one)
    told: list[str] = []
    assert_equal(embed(people, embedder, cache=tmp_path, say=told.append), mine)
    assert len(told) == 1 and "foreign" in told[0]


def test_a_changed_picture_is_embedded_again(people: list[Path], embedder: Embedder, tmp_path: Path) -> None:
    before = embed(people, embedder, cache=tmp_path / "cache")
    save(people[1], paint(90, 120, (20, 10, 70, 60), seed=50))
    after = embed(people, embedder, cache=tmp_path / "cache")
    assert after.cached == 4
    assert_equal(after, embed(people, embedder))
    assert not torch.allclose(before.embeddings[1], after.embeddings[1])


def test_an_interrupted_run_goes_on_where_it_was(people: list[Path], embedder: Embedder, tmp_path: Path) -> None:
    def stop(done: int, _: int | None) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed(people, embedder, cache=tmp_path / "cache", progress=stop)
    told: list[tuple[int, int | None]] = []
    found = embed(people, embedder, cache=tmp_path / "cache", progress=lambda *now: told.append(now))
    assert told == [(4, 4)] and found.cached == 4
    assert_equal(found, embed(people, embedder))


def test_damaged_embeddings_are_made_anew(people: list[Path], embedder: Embedder, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = embed(people, embedder, cache=cache)
    for part in cache.rglob("*.safetensors"):
        part.write_bytes(part.read_bytes()[:-5])
    told: list[str] = []
    again = embed(people, embedder, cache=cache, say=told.append)
    assert again.cached == 0 and len(told) == 1
    assert_equal(first, again)
    assert forget(cache) == 2 and list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_known_before_anything_is_embedded(
    people: list[Path], embedder: Embedder, tmp_path: Path, seen: list[Path]
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError):
        embed(people, embedder, cache=tmp_path / "file")
    assert seen == []


@pytest.mark.slow
@pytest.mark.skipif(not (LFW.is_dir() and WEIGHTS.is_file()), reason=f"no real pictures or weights at {SHARED}")
def test_real_pictures_of_one_person_are_alike(tmp_path: Path) -> None:
    """Asserted is far less than what is reached, which is 99 %."""
    pairs = read_pair_list(LFW.parent / "lfw_pairs.txt", root=LFW)
    some = np.arange(0, len(pairs), 40)
    paths = [pairs.paths[row] for row in np.concatenate([pairs.first[some], pairs.second[some]])]
    embedder = open_embedder(backbone="mobilefacenet", pretrained=str(WEIGHTS), device="cpu", precision="fp32")
    first = embed_pictures(paths, embedder, flip=Flip.SUM, cache=tmp_path)
    scores = paired_cosine(*first.embeddings.split(len(some))).numpy()
    assert ((scores >= 0.25) == pairs.same[some]).mean() > 0.96
    assert len(first.counts()) <= 2 and first.counts()["face"] >= 0.99 * len(paths)
    second = embed_pictures(paths, embedder, flip=Flip.SUM, cache=tmp_path)
    assert second.cached == len(paths) and torch.equal(first.embeddings, second.embeddings)
