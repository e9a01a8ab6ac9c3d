from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from ideal import CONTRACT
from PIL import Image
from torch import Tensor

from facenet.errors import InputError, MissingError, UsageError
from facenet.evaluation.calibration import calibrate_fmr, expected_fpir
from facenet.evaluation.embedder import Embedder, ModelSource
from facenet.evaluation.threshold import Threshold
from facenet.recognition.calibrating import calibrate
from facenet.recognition.outcomes import Status
from facenet.recognition.recognizer import Recognizer

PEOPLE, PICTURES, WIDTH = 40, 3, 12


def vector(person: int, number: int) -> np.ndarray:
    """Pictures of one person lie around a direction of their own; all directions lie somewhat to one side."""
    own = np.random.default_rng(person).normal(size=WIDTH)
    noise = np.random.default_rng([person, number]).normal(size=WIDTH)
    row = own + 0.4 * noise + 0.3
    return (row / np.linalg.norm(row)).astype(np.float32)


class RandomTrunk:
    """Reads person and number of a picture off its colour."""

    preprocessing = CONTRACT
    embedding_size = WIDTH
    device = torch.device("cpu")

    def __call__(self, faces: Tensor) -> Tensor:
        return torch.from_numpy(np.stack([vector(int(face[0, 16, 16]), int(face[1, 16, 16])) for face in faces]))


def write(root: Path, person: int, number: int, name: str | None = None) -> Path:
    folder = root / (f"p{person:03d}" if name is None else name)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{number}.png"
    Image.new("RGB", (48, 48), (person, number, 0)).save(path)
    return path


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("strangers")
    for person in range(PEOPLE):
        for number in range(PICTURES):
            write(root, person, number)
    return root


@pytest.fixture
def recognizer(tmp_path: Path) -> Iterator[Recognizer]:
    """A gallery of ten people who are not among the strangers."""
    embedder = Embedder(RandomTrunk(), "random", ModelSource("weights", "random", "nowhere"))  # type: ignore[arg-type]
    with Recognizer.open("memory:", embedder=embedder, create=True) as opened:
        for person in range(100, 110):
            opened.enroll(f"somebody {person}", write(tmp_path / "own", person, 0), force=True)
        yield opened


def embeddings() -> tuple[np.ndarray, np.ndarray]:
    rows = [vector(person, number) for person in range(PEOPLE) for number in range(PICTURES)]
    return np.stack(rows), np.repeat(np.arange(PEOPLE), PICTURES)


def best_scores() -> np.ndarray:
    enrolled = np.stack([vector(person, 0) for person in range(100, 110)])
    return (embeddings()[0] @ enrolled.T).max(axis=1)


def test_a_threshold_for_pairs(recognizer: Recognizer, strangers: Path) -> None:
    result = calibrate(recognizer, data=strangers, target_fmr=0.01)
    rows, people = embeddings()
    expected = calibrate_fmr(torch.from_numpy(rows), people, 0.01, fingerprint="random")
    assert result.verification is not None and result.identification is None
    assert result.verification.value == pytest.approx(expected.value, abs=1e-6)
    assert (result.verification.impostor, result.verification.people) == (expected.impostor, PEOPLE)
    assert (result.pictures, result.people, result.enrolled_people) == (PEOPLE * PICTURES, PEOPLE, 0)
    assert result.gallery_people == 10 and result.left_out == {}
    assert len(result.verification.data) == 64


def test_what_it_means_in_a_search_is_estimated_and_counted(recognizer: Recognizer, strangers: Path) -> None:
    result = calibrate(recognizer, data=strangers, target_fmr=0.01)
    assert result.verification is not None and result.strangers is not None
    assert result.strangers.expected == pytest.approx(expected_fpir(result.verification, 10))
    assert result.strangers.searches == PEOPLE * PICTURES
    assert result.strangers.accepted == int((best_scores() >= result.verification.value).sum()) > 0
    assert result.strangers.measured == pytest.approx(result.strangers.accepted / (PEOPLE * PICTURES))


def test_a_threshold_for_searches(recognizer: Recognizer, strangers: Path) -> None:
    result = calibrate(recognizer, data=strangers, target_fpir=0.05)
    threshold = result.identification
    assert threshold is not None and result.verification is None and result.strangers is None
    assert (threshold.kind, threshold.gallery_people, threshold.fusion) == ("fpir", 10, "quality-weighted")
    assert np.mean(best_scores() >= threshold.value) == pytest.approx(threshold.measured)
    assert threshold.measured <= 0.05
    # The least threshold that keeps the target: with a little less one more stranger would be taken for somebody.
    assert np.mean(best_scores() >= threshold.value - 0.02) > 0.05


def test_what_is_set_decides_from_then_on(recognizer: Recognizer, strangers: Path, tmp_path: Path) -> None:
    photos = sorted((strangers).rglob("*.png"))
    assert {outcome.status for outcome in recognizer.identify(photos)} == {Status.UNDECIDED}
    result = calibrate(recognizer, data=strangers, target_fpir=0.05)
    assert result.identification is not None
    statuses = [outcome.status for outcome in recognizer.identify(photos)]
    assert set(statuses) == {Status.UNKNOWN, Status.MATCHED}
    assert statuses.count(Status.MATCHED) == result.identification.errors
    (known,) = recognizer.identify(write(tmp_path, 105, 7))
    assert (known.status, known.name) == (Status.MATCHED, "somebody 105")


def test_thresholds_for_other_purposes_stay(recognizer: Recognizer, strangers: Path) -> None:
    calibrate(recognizer, data=strangers, target_fmr=0.01)
    calibrate(recognizer, data=strangers, target_fpir=0.05)
    stored = recognizer.gallery.header.calibration
    assert {purpose: Threshold.from_dict(values).kind for purpose, values in stored.items()} == {
        "verification": "fmr",
        "identification": "fpir",
    }
    assert not recognizer.notices


def test_both_at_once_and_the_same_seed_gives_the_same(recognizer: Recognizer, strangers: Path) -> None:
    one = calibrate(recognizer, data=strangers, target_fmr=0.01, target_fpir=0.05, seed=3).to_dict()
    other = calibrate(recognizer, data=strangers, target_fmr=0.01, target_fpir=0.05, seed=3).to_dict()
    for told in (one, other):
        del told["verification"]["created"], told["identification"]["created"]
    assert one == other


def test_who_is_enrolled_is_left_out(recognizer: Recognizer, tmp_path: Path) -> None:
    root = tmp_path / "data"
    for person in range(30):
        for number in range(PICTURES):
            write(root, person, number)
    # Of the gallery by name, whatever the spelling; by a picture, whatever the name.
    write(root, 50, 0, name="Somebody_100")
    write(root, 50, 1, name="Somebody_100")
    write(root, 51, 1, name="a stranger?")
    write(root, 101, 0, name="a stranger?")
    result = calibrate(recognizer, data=root, target_fmr=0.01)
    assert (result.people, result.pictures, result.enrolled_people) == (30, 30 * PICTURES, 2)


def test_only_people_of_the_gallery(recognizer: Recognizer, tmp_path: Path) -> None:
    write(tmp_path / "data", 100, 0, name="somebody 100")
    with pytest.raises(InputError, match="1 people are in the gallery"):
        calibrate(recognizer, data=tmp_path / "data", target_fmr=0.01)


def test_pictures_that_cannot_be_used_are_counted(recognizer: Recognizer, strangers: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    for person in range(30):
        for number in range(PICTURES):
            write(root, person, number)
    (root / "p000" / "broken.jpg").write_bytes(b"broken")
    Image.new("RGB", (9, 9)).save(root / "p001" / "tiny.png")
    result = calibrate(recognizer, data=root, target_fmr=0.01)
    assert result.left_out == {"unreadable": 1, "too_small": 1}
    assert result.pictures == 30 * PICTURES


def write_pairs(file: Path, root: Path) -> int:
    lines = ["a,b,same"]
    for person in range(PEOPLE):
        lines.append(f"p{person:03d}/0.png,p{person:03d}/1.png,1")
        for other in range(person + 1, PEOPLE):
            lines.append(f"p{person:03d}/0.png,p{other:03d}/1.png,0")
    file.write_text("\n".join(lines), encoding="utf-8")
    return PEOPLE * (PEOPLE - 1) // 2


def test_from_a_list_of_pairs(recognizer: Recognizer, strangers: Path, tmp_path: Path) -> None:
    impostor = write_pairs(tmp_path / "pairs.csv", strangers)
    result = calibrate(recognizer, pairs=tmp_path / "pairs.csv", root=strangers, target_fmr=0.01, target_fpir=0.1)
    threshold = result.verification
    assert threshold is not None and (threshold.impostor, threshold.genuine) == (impostor, PEOPLE)
    scores = [
        float(vector(person, 0) @ vector(other, 1)) for person in range(PEOPLE) for other in range(person + 1, PEOPLE)
    ]
    assert np.mean(np.array(scores) >= threshold.value) == pytest.approx(threshold.measured)
    assert result.pictures == 2 * PEOPLE
    assert result.identification is not None and result.identification.impostor == 2 * PEOPLE


def test_pairs_with_a_picture_that_cannot_be_used_do_not_count(recognizer: Recognizer, tmp_path: Path) -> None:
    root = tmp_path / "data"
    for person in range(PEOPLE):
        for number in range(2):
            write(root, person, number)
    impostor = write_pairs(tmp_path / "pairs.csv", root)
    (root / "p000" / "0.png").write_bytes(b"broken")
    result = calibrate(recognizer, pairs=tmp_path / "pairs.csv", root=root, target_fmr=0.01)
    assert result.verification is not None
    assert result.verification.impostor == impostor - (PEOPLE - 1)
    assert result.verification.genuine == PEOPLE - 1


def test_a_target_that_the_data_cannot_support_is_refused_with_what_would_do(
    recognizer: Recognizer, strangers: Path
) -> None:
    with pytest.raises(InputError, match="3 / target"):
        calibrate(recognizer, data=strangers, target_fmr=1e-6)
    with pytest.raises(InputError, match="3 / target"):
        calibrate(recognizer, data=strangers, target_fpir=1e-3)
    assert recognizer.gallery.header.calibration == {}


def test_nobody_enrolled(strangers: Path, recognizer: Recognizer) -> None:
    with Recognizer.open("memory:", embedder=recognizer.embedder, create=True) as empty:
        with pytest.raises(InputError, match="nobody is enrolled"):
            calibrate(empty, data=strangers, target_fpir=0.05)
        result = calibrate(empty, data=strangers, target_fmr=0.01)
        assert result.strangers is not None and result.strangers.searches == 0
        assert result.strangers.measured is None and result.strangers.expected == 0


def test_wrong_calls(recognizer: Recognizer, strangers: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--data.*--pairs"):
        calibrate(recognizer, target_fmr=0.01)
    with pytest.raises(UsageError, match="--data.*--pairs"):
        calibrate(recognizer, data=strangers, pairs=strangers, target_fmr=0.01)
    with pytest.raises(UsageError, match="--target-fmr"):
        calibrate(recognizer, data=strangers)
    for target in (0.0, 1.0, -1.0, float("nan")):
        with pytest.raises(UsageError, match="between 0 and 1"):
            calibrate(recognizer, data=strangers, target_fmr=target)
        with pytest.raises(UsageError, match="between 0 and 1"):
            calibrate(recognizer, data=strangers, target_fpir=target)
    with pytest.raises(MissingError):
        calibrate(recognizer, data=tmp_path / "nothing", target_fmr=0.01)


def test_growth_is_told(recognizer: Recognizer, strangers: Path, tmp_path: Path) -> None:
    calibrate(recognizer, data=strangers, target_fpir=0.05)
    for person in range(110, 121):
        recognizer.enroll(f"somebody {person}", write(tmp_path / "own", person, 0), force=True)
    assert any("10 people" in notice and "21 now" in notice for notice in recognizer.notices)
