"""From files to decisions with the real detector, on drawn people."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from facenet.data.synthetic import draw_people
from facenet.detection.faces import Policy
from facenet.evaluation.embedder import Embedder, ModelSource
from facenet.geometry import normalise
from facenet.preprocessing import Preprocessing
from facenet.recognition.drawing import draw_outcomes
from facenet.recognition.gate import Limits
from facenet.recognition.outcomes import Status
from facenet.recognition.recognizer import Recognizer
from facenet.recognition.reports import Result

SIDE = 240


class ThumbnailTrunk:
    """The face in a few grey dots: enough to know a picture again, and to tell it from that of somebody else."""

    preprocessing = Preprocessing(112, 112).for_photos("five-point")
    embedding_size = 64
    device = torch.device("cpu")

    def __call__(self, faces: Tensor) -> Tensor:
        dots = torch.nn.functional.adaptive_avg_pool2d(faces.float().mean(dim=1, keepdim=True), 8).flatten(1)
        return normalise(dots - dots.mean(dim=1, keepdim=True))


@pytest.fixture(scope="module")
def people() -> list[np.ndarray]:
    return [images[0] for _, images in draw_people(4, 1, seed=3, size=SIDE)]


@pytest.fixture(scope="module")
def photos(people: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("photos")
    images = {
        "ada": people[0],
        "bo": people[1],
        "both": np.concatenate([people[0], people[1]], axis=1),
        "ada with a stranger": np.concatenate([people[3], people[0]], axis=1),
        "nobody": np.full((200, 300, 3), 120, dtype=np.uint8),
    }
    for name, image in images.items():
        Image.fromarray(image).save(root / f"{name}.png")
    return {name: root / f"{name}.png" for name in images}


@pytest.fixture(scope="module")
def recognizer(photos: dict[str, Path]) -> Iterator[Recognizer]:
    source = ModelSource("weights", "thumbnail", "nowhere")
    embedder = Embedder(ThumbnailTrunk(), "thumbnail", source)  # type: ignore[arg-type]
    # Drawn faces are smooth, and thumbnails of faces all look alike.
    limits = Limits(sharpness=0.0, close=0.99)
    with Recognizer.open("memory:", embedder=embedder, create=True, limits=limits) as opened:
        for name in ("ada", "bo"):
            assert opened.enroll(name, photos[name]).enrolled == 1
        yield opened


def test_everybody_in_a_photo_has_an_outcome_and_the_stranger_is_unknown(
    recognizer: Recognizer, photos: dict[str, Path]
) -> None:
    outcomes = list(recognizer.identify(photos["ada with a stranger"], threshold=0.95))
    assert sorted((outcome.status.value, outcome.name) for outcome in outcomes) == [
        ("matched", "ada"),
        ("unknown", None),
    ]
    (ada,) = (outcome for outcome in outcomes if outcome.status is Status.MATCHED)
    assert ada.face is not None and ada.face.box[0] > SIDE
    assert ada.score is not None and ada.score > 0.98


def test_one_photo_after_the_other(recognizer: Recognizer, photos: dict[str, Path]) -> None:
    asked = [photos["nobody"], photos["both"], photos["bo"]]
    told = [
        (Path(outcome.source).stem, outcome.status, outcome.name)
        for outcome in recognizer.identify(asked, threshold=0.95)
    ]
    assert told[0] == ("nobody", Status.NO_FACE, None)
    assert sorted(told[1:3]) == [("both", Status.MATCHED, "ada"), ("both", Status.MATCHED, "bo")]
    assert told[3] == ("bo", Status.MATCHED, "bo")


def test_a_photo_in_memory_gives_what_its_file_gives(recognizer: Recognizer, photos: dict[str, Path]) -> None:
    image = np.asarray(Image.open(photos["both"]))
    from_file = list(recognizer.identify(photos["both"], threshold=0.95))
    in_memory = recognizer.identify_image(image, threshold=0.95)
    assert [outcome.face for outcome in in_memory] == [outcome.face for outcome in from_file]
    for one, other in zip(in_memory, from_file, strict=True):
        assert one.candidates == other.candidates and one.quality == other.quality
    assert len(recognizer.identify_image(image, faces=Policy.LARGEST)) == 1
    nobody = np.full((90, 120, 3), 120, dtype=np.uint8)
    assert [outcome.status for outcome in recognizer.identify_image(nobody)] == [Status.NO_FACE]


def test_comparing_wants_one_face_or_to_know_which(recognizer: Recognizer, photos: dict[str, Path]) -> None:
    found = recognizer.verify(photos["both"], photos["nobody"], threshold=0.95)
    assert [problem.status for problem in found.problems] == [Status.SEVERAL_FACES, Status.NO_FACE]
    assert "2 faces" in found.reason
    chosen = recognizer.verify(photos["both"], photos["ada"], threshold=0.95, faces=Policy.LARGEST)
    other = recognizer.verify(photos["both"], photos["bo"], threshold=0.95, faces=Policy.LARGEST)
    assert {chosen.same, other.same} == {True, False}
    assert recognizer.verify_person(photos["ada"], "ada", threshold=0.95).same is True
    assert recognizer.verify_person(photos["bo"], "ada", threshold=0.95).same is False


def test_a_photo_of_several_people_is_not_enrolled(recognizer: Recognizer, photos: dict[str, Path]) -> None:
    report = recognizer.enroll("cy", [photos["both"], photos["nobody"]])
    assert [picture.result for picture in report.pictures] == [Result.SEVERAL_FACES, Result.NO_FACE]


def test_outcomes_are_drawn_around_their_faces(recognizer: Recognizer, photos: dict[str, Path]) -> None:
    image = np.asarray(Image.open(photos["ada with a stranger"]))
    drawn = draw_outcomes(image, list(recognizer.identify(photos["ada with a stranger"], threshold=0.95)))
    changed = (drawn != image).any(axis=2)
    assert changed[:, :SIDE].any() and changed[:, SIDE:].any()
    assert changed.mean() < 0.2
