from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from ideal import CONTRACT, SIZE, IdealTrunk, WritePicture, ideal_embedder
from torch import Tensor

from facenet.detection.faces import FoundFace
from facenet.errors import ContractError, InputError
from facenet.evaluation.embedder import Embedder, ModelSource
from facenet.gallery import reembedding
from facenet.gallery.records import Sample
from facenet.preprocessing import Preprocessing
from facenet.recognition import reader, reembed
from facenet.recognition.recognizer import Recognizer
from facenet.recognition.reembed import ReembedReport


class BackwardsTrunk(IdealTrunk):
    """Another model: the same answers with the values in the opposite order."""

    def __call__(self, faces: Tensor) -> Tensor:
        return super().__call__(faces).flip(1)


def new_embedder(fingerprint: str = "new", preprocessing: Preprocessing = CONTRACT) -> Embedder:
    source = ModelSource("weights", "backwards", "nowhere")
    return Embedder(BackwardsTrunk(preprocessing), fingerprint, source)  # type: ignore[arg-type]


@pytest.fixture
def place(tmp_path: Path, embedder: Embedder, picture: WritePicture) -> str:
    """A gallery of three people with two pictures each."""
    location = str(tmp_path / "gallery")
    with Recognizer.open(location, embedder=embedder, create=True) as opened:
        for person, name in enumerate(["Ada", "Bo", "Cy"]):
            opened.enroll(name, [picture(f"{name}/{angle}.png", person, angle) for angle in (0, 20)])
    return location


def vectors(location: str, embedder: Embedder) -> dict[tuple[str, str], np.ndarray]:
    with Recognizer.open(location, embedder=embedder) as opened:
        store = opened.gallery.store
        return {
            (person.name, Path(sample.source).name): sample.embedding
            for person in store.people()
            for sample in store.samples(person.id)
        }


def assert_moved(location: str, before: dict[tuple[str, str], np.ndarray]) -> None:
    after = vectors(location, new_embedder())
    assert set(after) == set(before)
    for key, row in before.items():
        np.testing.assert_allclose(after[key], row[::-1], atol=1e-6)


def test_everything_is_embedded_anew_and_recognised_with_the_new_model(
    place: str, embedder: Embedder, picture: WritePicture
) -> None:
    before = vectors(place, embedder)
    told: list[tuple[int, int | None]] = []
    report = reembed.reembed(place, new_embedder(), progress=lambda *done: told.append(done))
    assert report == ReembedReport(True, "new", 6, 6)
    assert told[-1] == (6, 6)
    assert_moved(place, before)
    with Recognizer.open(place, embedder=new_embedder()) as opened:
        assert opened.gallery.header.model["backbone"] == "backwards"
        (outcome,) = opened.identify(picture("who.png", 1, 5), threshold=0.5)
        assert outcome.name == "Bo"
    with pytest.raises(ContractError):
        Recognizer.open(place, embedder=embedder)


def test_a_gallery_of_this_model_already_is_told(place: str, embedder: Embedder) -> None:
    with pytest.raises(InputError, match="already"):
        reembed.reembed(place, embedder)


def test_with_a_picture_missing_the_gallery_stays_as_it_is_and_says_what_is_missing(
    place: str, embedder: Embedder, tmp_path: Path
) -> None:
    before = vectors(place, embedder)
    (tmp_path / "pictures/Bo/20.png").unlink()
    report = reembed.reembed(place, new_embedder())
    assert not report.finished and (report.total, report.embedded) == (6, 5)
    (missing,) = report.missing
    assert missing.name == "Bo" and missing.source.endswith("Bo/20.png") and "cannot be read" in missing.reason
    assert report.to_dict()["missing"][0]["name"] == "Bo"
    assert {key: row.tobytes() for key, row in vectors(place, embedder).items()} == {
        key: row.tobytes() for key, row in before.items()
    }


def test_a_picture_brought_back_is_found_the_next_time(place: str, embedder: Embedder, tmp_path: Path) -> None:
    before = vectors(place, embedder)
    lost = tmp_path / "pictures/Bo/20.png"
    kept = lost.rename(tmp_path / "kept.png")
    assert not reembed.reembed(place, new_embedder()).finished
    kept.rename(lost)
    assert reembed.reembed(place, new_embedder()).finished
    assert_moved(place, before)


def test_moved_pictures_are_found_by_their_content(place: str, embedder: Embedder, tmp_path: Path) -> None:
    before = vectors(place, embedder)
    shutil.move(tmp_path / "pictures", tmp_path / "moved")
    for number, path in enumerate(sorted((tmp_path / "moved").rglob("*.png"))):
        path.rename(tmp_path / "moved" / f"renamed {number}.png")
    (tmp_path / "moved" / "broken.jpg").write_bytes(b"")
    assert len(reembed.reembed(place, new_embedder()).missing) == 6
    assert reembed.reembed(place, new_embedder(), pictures=tmp_path / "moved").finished
    assert_moved(place, before)


def test_another_picture_in_its_place_is_not_taken_for_it(place: str, picture: WritePicture, tmp_path: Path) -> None:
    picture("Ada/0.png", 7)
    report = reembed.reembed(place, new_embedder())
    assert [missing.reason for missing in report.missing] == ["another picture lies in its place"]


def test_what_is_missing_can_be_let_go(place: str, embedder: Embedder, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "pictures/Cy")
    (tmp_path / "pictures/Bo/20.png").unlink()
    report = reembed.reembed(place, new_embedder(), drop_missing=True)
    assert report.finished and report.embedded == 3 and len(report.missing) == 3 and report.without == (3,)
    assert set(vectors(place, new_embedder())) == {("Ada", "0.png"), ("Ada", "20.png"), ("Bo", "0.png")}


def test_an_embedding_without_a_picture_is_missing(place: str, embedder: Embedder) -> None:
    with Recognizer.open(place, embedder=embedder) as opened:
        opened.gallery.enroll("Dee", [Sample(np.eye(SIZE, dtype=np.float32)[SIZE - 1])])
    report = reembed.reembed(place, new_embedder())
    assert [(missing.name, missing.reason) for missing in report.missing] == [("Dee", "no picture is recorded for it")]


def test_interrupted_it_goes_on(place: str, embedder: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    before = vectors(place, embedder)
    monkeypatch.setattr(reembed, "AT_ONCE", 2)

    class Stop(Exception):
        pass

    def stop(done: int, total: int | None) -> None:
        if done == 4:
            raise Stop

    with pytest.raises(Stop):
        reembed.reembed(place, new_embedder(), progress=stop)
    read: list[str] = []
    original = reader.PhotoReader.read

    def counted(self: reader.PhotoReader, photos: Sequence[Path], **options: object) -> object:
        read.extend(str(photo) for photo in photos)
        return original(self, photos, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(reader.PhotoReader, "read", counted)
    assert reembed.reembed(place, new_embedder()).finished
    assert len(read) == 2
    assert_moved(place, before)


def test_who_is_enrolled_meanwhile_is_moved_too(place: str, embedder: Embedder, picture: WritePicture) -> None:
    picture("Dee/0.png", 5)

    def enroll(done: int, total: int | None) -> None:
        if done == 6:
            with Recognizer.open(place, embedder=embedder) as opened:
                opened.enroll("Dee", picture("Dee/0.png", 5))

    assert reembed.reembed(place, new_embedder(), progress=enroll).finished
    assert ("Dee", "0.png") in vectors(place, new_embedder())


def test_a_move_to_a_third_model_is_refused_or_begun_anew(place: str, tmp_path: Path) -> None:
    kept = (tmp_path / "pictures").rename(tmp_path / "kept")
    assert not reembed.reembed(place, new_embedder()).finished
    kept.rename(tmp_path / "pictures")
    with pytest.raises(ContractError, match="new"):
        reembed.reembed(place, new_embedder("third"))
    assert reembed.reembed(place, new_embedder("third"), restart=True).finished


PHOTOS = CONTRACT.for_photos("margin-0")


class TwoFaces:
    """The left and the right half of every picture."""

    shift = 0.0

    def __init__(self, **options: object) -> None:
        pass

    def detect(self, images: Sequence[np.ndarray]) -> list[tuple[FoundFace, ...]]:
        points = ((10.0, 10.0),) * 5
        found = []
        for image in images:
            height, width = image.shape[:2]
            left = FoundFace((self.shift, 0.0, width / 2 + self.shift, float(height)), points, 0.99)
            right = FoundFace((width / 2 + self.shift, 0.0, width + self.shift, float(height)), points, 0.99)
            found.append((left, right))
        return found


@pytest.fixture
def group(tmp_path: Path, picture: WritePicture, monkeypatch: pytest.MonkeyPatch) -> str:
    """A gallery with both people of one photo, each by the box of their face."""
    import numpy
    from PIL import Image

    monkeypatch.setattr(reader, "Detector", TwoFaces)
    halves = [numpy.asarray(Image.open(picture(f"half {person}.png", person))) for person in (0, 1)]
    Image.fromarray(numpy.concatenate(halves, axis=1)).save(tmp_path / "group.png")
    location = str(tmp_path / "gallery")
    embedder = ideal_embedder(preprocessing=PHOTOS)
    with Recognizer.open(location, embedder=embedder, create=True) as opened:
        (photo,) = opened.read(tmp_path / "group.png")
        for name, face in zip(("Ada", "Bo"), photo.faces, strict=True):
            assert face.found is not None
            sample = Sample(face.embedding, str(photo.path), photo.content, face.found.box, face.quality.score)
            opened.gallery.enroll(name, [sample])
    return location


def test_the_same_face_of_a_group_is_found_again(group: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TwoFaces, "shift", 9.0)
    assert reembed.reembed(group, new_embedder(preprocessing=PHOTOS)).finished
    with Recognizer.open(group, embedder=new_embedder(preprocessing=PHOTOS)) as opened:
        for person, name in ((0, "Ada"), (1, "Bo")):
            (sample,) = opened.gallery.samples(name)
            assert sample.embedding[SIZE - 1 - 2 * person] == pytest.approx(1.0)


def test_a_face_that_is_not_found_again_is_missing(group: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TwoFaces, "shift", 60.0)
    report = reembed.reembed(group, new_embedder(preprocessing=PHOTOS))
    assert "not found in the picture again" in report.missing[0].reason


def test_a_model_for_faces_cut_out_already_cannot_take_photos(group: str) -> None:
    report = reembed.reembed(group, new_embedder())
    assert len(report.missing) == 2 and "cut out already" in report.missing[0].reason


def test_pictures_cut_for_another_crop_are_told(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "Detector", TwoFaces)
    report = reembed.reembed(place, new_embedder(preprocessing=PHOTOS))
    assert report.finished and "6 pictures" in report.notes[0] and "margin-0" in report.notes[0]


def test_nothing_is_left_of_the_move(place: str) -> None:
    reembed.reembed(place, new_embedder())
    with Recognizer.open(place, embedder=new_embedder()) as opened:
        assert reembedding.target(opened.gallery.store) is None
