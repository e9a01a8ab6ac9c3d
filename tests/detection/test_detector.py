"""The detector against facenet-pytorch's, one picture at a time, and against pictures of every kind and size."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from drawn_photos import backdrop, photo, portrait
from PIL import Image

from facenet.detection import detector as detector_module
from facenet.detection import mtcnn
from facenet.detection.detector import Detector
from facenet.detection.faces import FoundFace
from facenet.detection.sums import AreaMeans
from facenet.errors import InputError, UsageError

SEVERAL = [(20, 20, 160), (300, 50, 300), (650, 300, 200), (200, 400, 90)]


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector()


def theirs(images: Sequence[np.ndarray], min_face: int = 20) -> list[list[FoundFace]]:
    """What facenet-pytorch finds."""
    from facenet_pytorch import MTCNN

    finder = MTCNN(keep_all=True, min_face_size=min_face)
    found = []
    for image in images:
        boxes, probabilities, points = finder.detect(Image.fromarray(image), landmarks=True)
        rows = range(0 if boxes is None else len(boxes))
        found.append([FoundFace(tuple(boxes[k]), tuple(map(tuple, points[k])), probabilities[k]) for k in rows])
    return found


def apart(one: FoundFace, other: FoundFace) -> float:
    """Largest difference of an edge or a landmark, in pixels."""
    edges = np.abs(np.subtract(one.box, other.box, dtype=np.float64)).max()
    points = np.abs(np.subtract(one.landmarks, other.landmarks, dtype=np.float64)).max()
    return float(max(edges, points))


def differing(ours: Sequence[Sequence[FoundFace]], others: Sequence[Sequence[FoundFace]]) -> tuple[int, int]:
    """How many faces have no equal among the others, from both sides, and how many there are."""
    wrong = 0
    for some, rest in zip(ours, others, strict=True):
        wrong += sum(all(apart(a, b) > 1 or abs(a.probability - b.probability) > 0.001 for b in rest) for a in some)
        wrong += sum(all(apart(a, b) > 1 for a in some) for b in rest)
    return wrong, sum(map(len, others))


def test_finds_what_facenet_pytorch_finds_in_drawn_photos(detector: Detector) -> None:
    images = [portrait(seed, size) for seed, size in enumerate((64, 100, 160, 161, 199))]
    images += [photo(400, 610, [(20, 20, 160), (300, 50, 200)], seed=4), photo(301, 222, [(5, 60, 200)], seed=5)]
    wrong, count = differing(detector.detect(images), theirs(images))
    assert count >= 8 and wrong == 0


def test_finds_what_facenet_pytorch_finds_when_small_faces_do_not_count() -> None:
    images = [photo(300, 400, [(10, 10, 64), (150, 50, 200)], seed=2)]
    wrong, count = differing(Detector(min_face=40).detect(images), theirs(images, 40))
    assert count >= 1 and wrong == 0


@pytest.mark.slow
def test_finds_what_facenet_pytorch_finds_in_larger_photos(detector: Detector) -> None:
    images = [photo(600, 900, SEVERAL, seed) for seed in range(3)] + [photo(1100, 1500, SEVERAL, 9)]
    wrong, count = differing(detector.detect(images), theirs(images))
    assert count >= 15 and wrong <= 0.005 * count


def test_faces_are_where_they_were_drawn(detector: Detector) -> None:
    (faces,) = detector.detect([photo(600, 900, SEVERAL, seed=3)])
    assert len(faces) == len(SEVERAL)
    assert [face.area for face in faces] == sorted((face.area for face in faces), reverse=True)
    homes = []
    for face in faces:
        middle = ((face.box[0] + face.box[2]) / 2, (face.box[1] + face.box[3]) / 2)
        homes += [h for h in SEVERAL if h[0] < middle[0] < h[0] + h[2] and h[1] < middle[1] < h[1] + h[2]]
        (left_eye, right_eye, nose, left_mouth, right_mouth) = face.landmarks
        assert left_eye[0] < right_eye[0] and left_mouth[0] < right_mouth[0]
        assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])
        assert 0.7 <= face.probability <= 1
        assert all(isinstance(value, float) for value in (*face.box, *left_eye, face.probability))
    assert sorted(homes) == sorted(SEVERAL)


def test_company_changes_nothing(detector: Detector, monkeypatch: pytest.MonkeyPatch) -> None:
    images = [portrait(1), backdrop(160, 160), portrait(2), photo(240, 320, [(30, 30, 160)]), portrait(3), portrait(1)]
    together = detector.detect(images)
    alone = [detector.detect([image])[0] for image in images]
    monkeypatch.setattr(detector_module, "_TOGETHER", 2 * 160 * 160)
    few = detector.detect(images)
    for company in (together, few):
        assert differing(company, alone) == (0, 5)
        assert [len(faces) for faces in company] == [1, 0, 1, 1, 1, 1]


def test_portions_change_nothing(detector: Detector, monkeypatch: pytest.MonkeyPatch) -> None:
    images = [photo(300, 400, [(20, 20, 160), (200, 100, 180)], seed) for seed in range(2)]
    whole = detector.detect(images)
    monkeypatch.setattr(detector._cascade, "_portions", mtcnn.Portions(3000, 3, 2))
    assert differing(detector.detect(images), whole) == (0, 4)


@pytest.mark.parametrize(
    "shape",
    [(1, 1), (10, 10), (5, 3000), (3000, 5), (19, 400), (20, 20), (21, 20), (2000, 21), (0, 7), (33, 1), (20, 9000)],
)
@pytest.mark.parametrize("value", [0, 255])
def test_pictures_without_room_or_content_have_no_face(detector: Detector, shape: tuple[int, int], value: int) -> None:
    assert detector.detect([np.full((*shape, 3), value, dtype=np.uint8)]) == [()]


def test_no_pictures_at_all(detector: Detector) -> None:
    assert detector.detect([]) == []


def test_pictures_that_cannot_be_written_to_or_lie_oddly_in_memory(detector: Detector) -> None:
    image = portrait(1)
    fixed = image.copy()
    fixed.setflags(write=False)
    odd = [fixed, np.asfortranarray(image), image[::-1][::-1], np.repeat(image, 2, axis=1)[:, ::2]]
    faces = detector.detect([image])
    for found in detector.detect(odd):
        assert [found] == faces


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((30, 30), np.uint8),
        np.zeros((30, 30, 4), np.uint8),
        np.zeros((30, 30, 3), np.float32),
        np.zeros((1, 30, 30, 3), np.uint8),
    ],
)
def test_what_is_no_image_is_named(detector: Detector, image: np.ndarray) -> None:
    with pytest.raises(InputError, match="image 1 is"):
        detector.detect([portrait(1), image])


@pytest.mark.parametrize(
    "options",
    [
        {"min_face": 11},
        {"thresholds": (0.6, 0.7)},
        {"thresholds": (0.6, 0.7, 1.0)},
        {"thresholds": (float("nan"), 0.7, 0.7)},
        {"max_pixels": 100},
        {"max_pixels": 50_000_000},
    ],
)
def test_impossible_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Detector(**options)  # type: ignore[arg-type]


def test_faces_of_a_reduced_picture_are_given_in_its_own_pixels(detector: Detector) -> None:
    image = photo(600, 900, SEVERAL[:3], seed=3)
    (wanted,) = detector.detect([image])
    (found,) = Detector(max_pixels=150_000).detect([image])
    assert len(found) == len(wanted) == 3
    for face, other in zip(found, wanted, strict=True):
        # Half the resolution, and so boxes and landmarks that are half as sure.
        assert apart(face, other) < 0.12 * other.height


def test_a_reduced_picture_large_enough_for_a_face_in_one_direction_only() -> None:
    assert Detector(max_pixels=4000).detect([np.zeros((25, 9000, 3), np.uint8)]) == [()]


def test_noise_cannot_grow_beyond_bounds(detector: Detector, monkeypatch: pytest.MonkeyPatch) -> None:
    """With everything let through, each stage hands on no more than its cap, the best first."""
    seen: list[int] = []
    within = mtcnn._within

    def watched(means: AreaMeans, boxes: mtcnn.Boxes) -> object:
        seen.append(int(boxes.picture.bincount().max()))
        return within(means, boxes)

    monkeypatch.setattr(mtcnn, "_within", watched)
    monkeypatch.setattr(mtcnn, "MOST_WINDOWS", 200)
    monkeypatch.setattr(mtcnn, "MOST_PROPOSALS", 90)
    monkeypatch.setattr(mtcnn, "MOST_REFINED", 30)
    noise = np.random.default_rng(0).integers(0, 256, (2, 120, 160, 3), dtype=np.uint8)
    Detector(thresholds=(0.0001, 0.0001, 0.0001)).detect([*noise])
    assert seen == [90, 30]


def test_caps_leave_the_faces(monkeypatch: pytest.MonkeyPatch, detector: Detector) -> None:
    image = photo(400, 610, [(20, 20, 160), (300, 50, 200)], seed=4)
    whole = detector.detect([image])
    monkeypatch.setattr(mtcnn, "MOST_PROPOSALS", 60)
    monkeypatch.setattr(mtcnn, "MOST_REFINED", 20)
    capped = detector.detect([image])
    assert len(capped[0]) == len(whole[0]) == 2


def test_threads_may_share_a_detector(detector: Detector) -> None:
    images = [portrait(seed) for seed in range(4)]
    wanted = detector.detect(images)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda image: detector.detect([image])[0], images))
    assert differing(found, wanted) == (0, 4)


MEMORY = """
import sys
from pathlib import Path
import numpy as np
sys.path.insert(0, {folder!r})
from drawn_photos import portrait
from facenet.detection.detector import Detector

rng = np.random.default_rng(0)
height, width = {size}
if {noise}:
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
else:
    image = np.full((height, width, 3), 120, dtype=np.uint8)
    for number in range(6):
        face = portrait(number, 512).repeat(2, axis=0).repeat(2, axis=1)
        top, left = 400 + 2200 * (number // 3), 300 + 2400 * (number % 3)
        image[top:top + 1024, left:left + 1024] = face
found = Detector().detect([image])[0]
print(len(found), *(round(face.width) for face in found))
# Of this program alone: getrusage also counts the process that started it, which may have been larger.
print(*(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux says how much memory a program had")
@pytest.mark.parametrize(("size", "noise"), [((6000, 8333), False), ((6000, 8333), True), ((2000, 2000), True)])
def test_memory_is_bounded(size: tuple[int, int], noise: bool, child_environment: dict[str, str]) -> None:
    code = MEMORY.format(folder=str(Path(__file__).parent), size=size, noise=noise)
    done = subprocess.run(
        [sys.executable, "-c", code], env=child_environment, capture_output=True, text=True, check=True
    )
    faces, peak = done.stdout.splitlines()
    assert int(peak) * 1024 < 1.5e9
    if not noise:
        count, *widths = map(int, faces.split())
        assert count == 6 and all(200 < width < 1000 for width in widths)
