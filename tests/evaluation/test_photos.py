"""Photos become embeddings: one answer per photo, in order, whatever the photos are; nothing is left behind."""

from __future__ import annotations

import gc
import hashlib
import os
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scenes import RedDetector, drawn_scene, paint, red_face, save, toy_embedder

from facenet.data.folders import scan_folder
from facenet.detection.alignment import cut_face
from facenet.detection.detector import Detector
from facenet.detection.faces import FoundFace, Policy
from facenet.detection.quality import measure_quality
from facenet.errors import UsageError
from facenet.evaluation import reading
from facenet.evaluation.cuts import middle_face
from facenet.evaluation.embedder import Embedder
from facenet.evaluation.photos import Photo, read_photos
from facenet.evaluation.reading import Picture, read_windows
from facenet.images import load_image

SHARED = Path(os.environ.get("FACENET_SHARED", Path(__file__).resolve().parents[3] / "shared"))

Read = Callable[..., list[Photo]]


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return toy_embedder()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
    assert not readers(), "a reading thread was left behind"


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "photo-reader"]


def read(paths: list[Path], embedder: Embedder, **options: object) -> list[Photo]:
    return list(read_photos(paths, embedder, detector=RedDetector(), **options))


def by_hand(path: Path, embedder: Embedder) -> list[tuple[FoundFace, np.ndarray]]:
    """Faces and embeddings of one photo, one at a time."""
    image = load_image(path)
    rows = []
    for face in RedDetector().detect([image])[0]:
        rows.append((face, embedder.trunk(cut_face(image, face, embedder.preprocessing)[None])[0].numpy()))
    return rows


def many(folder: Path, count: int) -> list[Path]:
    """Pictures of several sizes with none to three faces, some unreadable."""
    paths = []
    for number in range(count):
        boxes = [(10 + 60 * k, 15, 50 + 60 * k + number % 7, 55 + 2 * k) for k in range(number % 4)]
        path = save(folder / f"{number:03d}.png", paint(90 + 8 * (number % 5), 240, *boxes, seed=number))
        if number % 11 == 5:
            path.write_bytes(path.read_bytes()[:200])
        paths.append(path)
    return paths


def test_every_photo_is_answered_in_order_and_as_if_it_were_alone(tmp_path: Path, embedder: Embedder) -> None:
    paths = many(tmp_path, 90)
    photos = read(paths, embedder, batch_size=8)
    assert [photo.path for photo in photos] == paths
    for number, photo in enumerate(photos):
        assert photo.content == hashlib.sha256(photo.path.read_bytes()).hexdigest()
        if number % 11 == 5:
            assert photo.problem == "truncated" and not photo.faces and photo.size is None
            continue
        assert photo.problem == "" and photo.size == (90 + 8 * (number % 5), 240)
        expected = by_hand(photo.path, embedder)
        assert [face.found for face in photo.faces] == list(photo.found) == [found for found, _ in expected]
        for face, (found, embedding) in zip(photo.faces, expected, strict=True):
            assert face.embedding.dtype == np.float32 and face.embedding.shape == (16,)
            np.testing.assert_allclose(face.embedding, embedding, atol=1e-5)
            assert torch.equal(face.face, cut_face(load_image(photo.path), found, embedder.preprocessing))
            assert face.quality == measure_quality(face.face, found)


@pytest.mark.parametrize("batch_size", [1, 3, 32, 1000])
def test_the_batch_size_changes_nothing(tmp_path: Path, embedder: Embedder, batch_size: int) -> None:
    paths = many(tmp_path, 40)
    rows = [[face.embedding for face in photo.faces] for photo in read(paths, embedder, batch_size=batch_size)]
    expected = [[row for _, row in by_hand(path, embedder)] if i % 11 != 5 else [] for i, path in enumerate(paths)]
    assert [len(faces) for faces in rows] == [len(faces) for faces in expected]
    np.testing.assert_allclose(
        np.concatenate([r for r in rows if r]), np.concatenate([r for r in expected if r]), atol=1e-5
    )


def test_faces_of_several_photos_share_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embedder, sizes = toy_embedder(), []
    forward = embedder.trunk.forward

    def counting(faces: torch.Tensor) -> torch.Tensor:
        sizes.append(len(faces))
        return forward(faces)

    monkeypatch.setattr(embedder.trunk, "forward", counting)
    paths = [save(tmp_path / f"{n}.png", paint(80, 80, (10, 10, 60, 60), seed=n)) for n in range(40)]
    assert all(len(photo.faces) == 1 for photo in read(paths, embedder, batch_size=16))
    assert sizes == [16, 16, 8]


def test_photos_without_faces_are_not_held_back(tmp_path: Path, embedder: Embedder) -> None:
    one = save(tmp_path / "one.png", paint(60, 60, (10, 10, 50, 50)))
    none = save(tmp_path / "none.png", paint(60, 60))
    asked: list[int] = []

    def endless() -> Iterator[Path]:
        yield one
        while True:
            asked.append(1)
            yield none

    photos = read_photos(endless(), embedder, detector=RedDetector(), batch_size=16)
    assert len(next(photos).faces) == 1
    assert len(asked) < 200
    photos.close()


def test_a_thousand_faces_in_one_photo(tmp_path: Path, embedder: Embedder) -> None:
    boxes = [(6 + 32 * x, 6 + 32 * y, 30 + 32 * x, 30 + 32 * y) for x in range(40) for y in range(25)]
    crowd = save(tmp_path / "crowd.png", paint(820, 1300, *boxes))
    after = save(tmp_path / "after.png", paint(60, 60, (10, 10, 50, 50)))
    first, second = read([crowd, after], embedder)
    assert len(first.found) == len(first.faces) == 1000 and len(second.faces) == 1
    assert all(np.isclose(np.linalg.norm(face.embedding), 1) for face in first.faces)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Policy.LARGEST, [(200, 10, 280, 90)]),
        (Policy.CENTRAL, [(130, 30, 180, 70)]),
        (Policy.PROBABLE, [(10, 10, 60, 60)]),
        (Policy.ALL, [(200, 10, 280, 90), (10, 10, 60, 60), (130, 30, 180, 70)]),
    ],
)
def test_policy(tmp_path: Path, embedder: Embedder, policy: Policy, expected: list[tuple[int, ...]]) -> None:
    boxes = [(10, 10, 60, 60), (130, 30, 180, 70), (200, 10, 280, 90)]
    (photo,) = read([save(tmp_path / "three.png", paint(100, 300, *boxes))], embedder, policy=policy)
    assert [face.found.box for face in photo.faces if face.found is not None] == expected
    assert len(photo.found) == 3


def test_a_face_that_cannot_be_cut_is_not_meant(tmp_path: Path, embedder: Embedder) -> None:
    class Mistaken(RedDetector):
        def detect(self, images: Sequence[np.ndarray]) -> list[tuple[FoundFace, ...]]:
            outside = red_face(-500, -500, -300, -300)
            return [(outside, *faces) for faces in super().detect(images)]

    paths = [
        save(tmp_path / "one.png", paint(80, 80, (10, 10, 60, 60))),
        save(tmp_path / "none.png", paint(80, 80)),
    ]
    for policy in Policy:
        first, second = read_photos(paths, embedder, detector=Mistaken(), policy=policy)
        assert [face.found.box for face in first.faces if face.found is not None] == [(10, 10, 60, 60)]
        assert second.faces == () and len(second.found) == 1


def test_aligned_pictures_are_used_whole_as_in_training(tmp_path: Path, embedder: Embedder) -> None:
    paths = [save(tmp_path / "small.png", paint(32, 32)), save(tmp_path / "large.jpg", paint(400, 300), quality=95)]
    detector = RedDetector()
    photos = list(read_photos(paths, embedder, detector=detector, aligned=True))
    assert detector.calls == []
    for photo, path in zip(photos, paths, strict=True):
        (face,) = photo.faces
        assert face.found is None and photo.found == ()
        assert torch.equal(face.face, embedder.preprocessing.load(path))
        assert face.quality.probability is None


def test_a_contract_without_a_detector_uses_pictures_whole(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", paint(50, 40, (5, 5, 30, 30)))
    embedder = toy_embedder(None)
    (photo,) = read_photos([path], embedder)
    (face,) = photo.faces
    assert face.found is None
    np.testing.assert_allclose(face.embedding, embedder.trunk(embedder.preprocessing.load(path)[None])[0], atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 8, 1000])
def test_mirrored_faces_are_embedded_beside_the_others(tmp_path: Path, embedder: Embedder, batch_size: int) -> None:
    paths = many(tmp_path, 30)
    plain, photos = read(paths, embedder), read(paths, embedder, mirrored=True, batch_size=batch_size)
    assert all(face.mirrored is None for photo in plain for face in photo.faces)
    seen = 0
    for before, photo in zip(plain, photos, strict=True):
        for one, face in zip(before.faces, photo.faces, strict=True):
            assert face.mirrored is not None and face.mirrored.dtype == np.float32
            turned = torch.from_numpy(np.ascontiguousarray(face.face.numpy()[:, :, ::-1]))
            np.testing.assert_allclose(face.mirrored, embedder.trunk(turned[None])[0], atol=1e-5)
            np.testing.assert_allclose(face.embedding, one.embedding, atol=1e-5)
            assert not np.allclose(face.embedding, face.mirrored, atol=1e-3)
            seen += 1
    assert seen > 30


@pytest.mark.parametrize(("crop", "policy"), [("five-point", Policy.ALL), ("margin-4", Policy.CENTRAL)])
def test_the_middle_stands_for_a_face_only_where_there_is_none(tmp_path: Path, crop: str, policy: Policy) -> None:
    embedder = toy_embedder(crop)
    face, none, broken = (tmp_path / f"{name}.png" for name in ("face", "none", "broken"))
    save(face, paint(100, 160, (10, 10, 60, 60)))
    save(none, paint(100, 160, seed=4))
    broken.write_bytes(b"no picture")
    first, second, third = read([face, none, broken], embedder, middle=True, policy=policy)
    assert [f.guessed for f in first.faces] == [False] and first.faces[0].found == first.found[0]
    assert second.found == () and third.faces == () and third.problem
    (guess,) = second.faces
    assert guess.guessed and guess.found == middle_face(100, 160)
    assert torch.equal(guess.face, cut_face(load_image(none), middle_face(100, 160), embedder.preprocessing))
    assert guess.quality.score == 0
    assert read([none], embedder, policy=policy)[0].faces == ()


@pytest.mark.parametrize("size", [(250, 250), (400, 100), (3, 900), (1, 1)])
def test_the_middle_lies_in_the_middle_whatever_the_photo(size: tuple[int, int]) -> None:
    face = middle_face(*size)
    left, top, right, bottom = face.box
    height, width = size
    assert (left + right, top + bottom) == pytest.approx((width, height))
    assert 0 <= bottom - top - 0.5 * min(size) <= 2 and 0 <= right - left - 0.37 * min(size) <= 2
    points = np.array(face.landmarks)
    assert points.shape == (5, 2) and face.probability == 0
    assert (points > (left, top)).all() and (points < (right, bottom)).all()
    one, other, nose, corner, other_corner = points
    assert one[0] < nose[0] < other[0] and one[1] == other[1] < nose[1] < corner[1] == other_corner[1]
    for preprocessing in (toy_embedder("five-point").preprocessing, toy_embedder("margin-4").preprocessing):
        assert cut_face(np.zeros((*size, 3), dtype=np.uint8), face, preprocessing).shape == (3, 32, 32)


def test_progress(tmp_path: Path, embedder: Embedder) -> None:
    paths = many(tmp_path, 8)
    told: list[tuple[int, int | None]] = []
    read(paths, embedder, progress=lambda done, total: told.append((done, total)))
    assert told == [(done, 8) for done in range(1, 9)]
    told.clear()
    list(read_photos(iter(paths), embedder, detector=RedDetector(), progress=lambda *now: told.append(now)))
    assert told == [(done, None) for done in range(1, 9)]


def test_no_paths_and_bad_arguments(embedder: Embedder) -> None:
    assert read([], embedder) == []
    with pytest.raises(UsageError):
        read_photos([], embedder, batch_size=0)


def huge_png_header() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_bad_pictures_are_answers_not_errors(tmp_path: Path, embedder: Embedder) -> None:
    good = save(tmp_path / "good\nname\x1b[31m.png", paint(80, 80, (10, 10, 60, 60)))
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "huge.png").write_bytes(huge_png_header())
    frames = [Image.fromarray(paint(40, 40, seed=n)) for n in range(3)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    save(tmp_path / "cut.jpg", paint(200, 200), quality=90)
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:3000])
    save(tmp_path / "dot.png", paint(1, 1))
    bad = {
        "empty.jpg": "empty file",
        "text.jpg": "not a picture of a known kind",
        "folder.jpg": "not a regular file",
        "huge.png": "more than the 80,000,000 pixels allowed",
        "moving.gif": "not a picture of a known kind",
        "cut.jpg": "truncated",
        "gone.jpg": "no such file or directory",
        "dot.png": "",
    }
    photos = read([good, *(tmp_path / name for name in bad), good], embedder)
    assert [photo.problem for photo in photos] == ["", *bad.values(), ""]
    assert [len(photo.faces) for photo in photos] == [1, *[0] * len(bad), 1]
    assert photos[8].size == (1, 1)
    assert [bool(photo.content) for photo in photos[1:8]] == [False, True, False, True, True, True, False]


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGBA", "P", "1"])
def test_colour_modes(tmp_path: Path, embedder: Embedder, mode: str) -> None:
    path = tmp_path / ("a.jpg" if mode in ("L", "CMYK") else "a.png")
    Image.fromarray(paint(60, 60)).convert(mode).save(path)
    (photo,) = read_photos([path], embedder, aligned=True)
    assert photo.problem == "" and photo.faces[0].face.shape == (3, 32, 32)


def test_a_photo_turned_by_exif_is_seen_upright(tmp_path: Path, embedder: Embedder) -> None:
    upright = paint(100, 160, (20, 10, 70, 60))
    exif = Image.Exif()
    exif[0x0112] = 6
    # Orientation 6: what is stored must be turned clockwise to be upright.
    turned = save(tmp_path / "turned.png", np.ascontiguousarray(np.rot90(upright)), exif=exif)
    first, second = read([save(tmp_path / "upright.png", upright), turned], embedder)
    assert first.size == second.size == (100, 160)
    assert first.found == second.found
    np.testing.assert_array_equal(first.faces[0].embedding, second.faces[0].embedding)


def test_closing_early_ends_the_thread(tmp_path: Path, embedder: Embedder) -> None:
    paths = many(tmp_path, 8) * 50
    photos = read_photos(paths, embedder, detector=RedDetector())
    next(photos)
    assert len(readers()) == 1
    photos.close()
    assert not readers()
    dropped = read_photos(paths, embedder, detector=RedDetector())
    next(dropped)
    del dropped
    gc.collect()
    assert not readers()
    read_photos(paths, embedder)
    assert not readers(), "nothing is read before the first photo is asked for"


def test_an_error_in_the_reading_thread_reaches_the_caller(
    tmp_path: Path, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = many(tmp_path, 40)
    decode = reading.decode_image

    def failing(data: bytes, name: object, **options: object) -> np.ndarray:
        if name == paths[35]:
            raise MemoryError("no memory")
        return decode(data, name)

    monkeypatch.setattr(reading, "decode_image", failing)
    photos = read_photos(paths, embedder, detector=RedDetector(), batch_size=4)
    seen = []
    with pytest.raises(MemoryError, match="no memory"):
        seen.extend(photo.path for photo in photos)
    assert not readers()


def test_an_error_of_the_paths_reaches_the_caller(tmp_path: Path, embedder: Embedder) -> None:
    def paths() -> Iterator[Path]:
        yield save(tmp_path / "a.png", paint(50, 50))
        raise KeyError("out of paths")

    with pytest.raises(KeyError):
        list(read_photos(paths(), embedder, detector=RedDetector()))


def test_only_so_many_pixels_are_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file stands for a picture of 8 megapixels, as an array that needs no memory."""
    alive, most = 0, 0
    changing = threading.Lock()

    class Tracked(Picture):
        def __init__(self, path: Path) -> None:
            nonlocal alive, most
            super().__init__(path, "", np.broadcast_to(np.uint8(0), (4000, 2000, 3)))
            with changing:
                alive += 1
                most = max(most, alive)

        def __del__(self) -> None:
            nonlocal alive
            with changing:
                alive -= 1

    monkeypatch.setattr(reading, "_read", lambda path, at_least: Tracked(path))
    seen = 0
    for window in read_windows([Path(str(n)) for n in range(60)]):
        assert len(window) == 2, "two of 8 megapixels fill a window of 12"
        seen += len(window)
        del window
    assert seen == 60
    assert most <= 4, "24 megapixels and one picture more"


def test_a_program_that_forgets_a_generator_still_ends(tmp_path: Path) -> None:
    save(tmp_path / "large.png", np.zeros((3000, 3000, 3), dtype=np.uint8), compress_level=1)
    code = (
        "import sys; from pathlib import Path; from facenet.evaluation.reading import read_windows\n"
        f"windows = read_windows([Path({str(tmp_path / 'large.png')!r})] * 40)\n"
        "sys.forgotten = windows; next(windows); import time; time.sleep(1.5)\n"
        "raise SystemExit(7)"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=60, capture_output=True)
    assert done.returncode == 7, done.stderr


def test_the_reading_thread_uses_no_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A torch operator there would start a second team of computing threads."""
    from torch.utils._python_dispatch import TorchDispatchMode

    used: list[str] = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            used.append(str(function))
            return function(*args, **(kwargs if kwargs else {}))

    inner = reading._read

    def watched(path: Path, at_least: tuple[int, int] | None) -> Picture:
        with Watch():
            return inner(path, at_least)

    monkeypatch.setattr(reading, "_read", watched)
    for window in read_windows(many(tmp_path, 12), at_least=(64, 64)):
        assert window
    assert used == []


@pytest.mark.slow
def test_ten_drawn_faces_a_tiny_one_and_none(tmp_path: Path) -> None:
    embedder = toy_embedder("five-point")
    places = [(10 + 210 * (k % 5), 10 + 210 * (k // 5), 200) for k in range(10)]
    ten = save(tmp_path / "ten.jpg", drawn_scene(440, 1070, *places), quality=92)
    tiny = save(tmp_path / "tiny.png", drawn_scene(480, 640, (300, 200, 40)))
    none = save(tmp_path / "none.png", paint(300, 200))
    one = save(tmp_path / "one.jpg", drawn_scene(480, 640, (200, 100, 250)), quality=92)
    photos = list(read_photos([ten, tiny, none, one], embedder, detector=Detector()))
    assert len(photos[0].faces) == 10
    for photo in photos[1:3]:
        assert all(face.found is not None and face.found.width < 40 for face in photo.faces)
    assert len(photos[3].faces) == 1
    assert all(face.quality.score < photos[3].faces[0].quality.score for face in photos[1].faces)
    assert all(abs(np.linalg.norm(face.embedding) - 1) < 1e-5 for photo in photos for face in photo.faces)


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "data" / "lfw").is_dir(), reason=f"no real pictures at {SHARED}")
def test_real_photos_have_a_face_in_the_middle() -> None:
    folder = scan_folder(SHARED / "data" / "lfw")
    paths = [folder.file(index) for index in range(0, len(folder), len(folder) // 48)]
    photos = list(read_photos(paths, toy_embedder("five-point"), policy=Policy.CENTRAL))
    assert sum(bool(photo.faces) for photo in photos) >= 0.95 * len(paths)
    for photo in photos:
        for face in photo.faces:
            assert face.found is not None
            left, top, right, bottom = face.found.box
            assert left < 125 < right and top < 125 < bottom
