from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ideal import WritePicture, ideal_embedder, score

from facenet.detection.faces import Policy
from facenet.errors import ContractError, GalleryError, InputError, UsageError
from facenet.evaluation.embedder import Embedder
from facenet.gallery.records import Fusion, IndexKind
from facenet.recognition.comparing import SEARCHED_AT_ONCE
from facenet.recognition.gate import Limits
from facenet.recognition.outcomes import Outcome, Status
from facenet.recognition.recognizer import Recognizer


def identify(recognizer: Recognizer, *photos: Path, threshold: float | None = 0.5, top_k: int = 5) -> list[Outcome]:
    return list(recognizer.identify(photos, threshold=threshold, top_k=top_k))


@pytest.fixture
def enrolled(recognizer: Recognizer, picture: WritePicture) -> Recognizer:
    """Ada (person 0) and Bo (person 1), with two pictures each."""
    for person, name in enumerate(["Ada", "Bo"]):
        report = recognizer.enroll(name, [picture(f"{name}{angle}.png", person, angle) for angle in (0, 10)])
        assert report.counts == {"enrolled": 2}
    return recognizer


class TestOpening:
    def test_a_gallery_that_is_not_there_is_made_only_when_asked(self, tmp_path: Path, embedder: Embedder) -> None:
        place = tmp_path / "people"
        with pytest.raises(GalleryError):
            Recognizer.open(place, embedder=embedder)
        with Recognizer.open(place, embedder=embedder, create=True, fusion=Fusion.MEAN) as made:
            assert made.gallery.header.fusion is Fusion.MEAN
            assert made.gallery.header.fingerprint == "ideal"
            assert made.gallery.header.model == embedder.source.to_dict()

    def test_create_opens_what_is_there(self, tmp_path: Path, embedder: Embedder, picture: WritePicture) -> None:
        for expected in (0, 1):
            with Recognizer.open(tmp_path / "people", embedder=embedder, create=True) as opened:
                assert opened.gallery.store.count()[0] == expected
                opened.enroll("Ada", picture("a.png", 0))

    def test_another_model_is_refused(self, tmp_path: Path, embedder: Embedder) -> None:
        Recognizer.open(tmp_path / "people", embedder=embedder, create=True).close()
        with pytest.raises(ContractError, match="other-model"):
            Recognizer.open(tmp_path / "people", embedder=ideal_embedder("other-model"))

    def test_options_that_contradict_the_gallery_are_refused(self, tmp_path: Path, embedder: Embedder) -> None:
        Recognizer.open(tmp_path / "people", embedder=embedder, create=True, fusion=Fusion.MEAN).close()
        with pytest.raises(UsageError, match="fusion is mean"):
            Recognizer.open(tmp_path / "people", embedder=embedder, create=True, fusion=Fusion.MAX)
        with pytest.raises(UsageError, match="index is auto"):
            Recognizer.open(tmp_path / "people", embedder=embedder, index=IndexKind.HNSW)
        Recognizer.open(tmp_path / "people", embedder=embedder, fusion=Fusion.MEAN).close()

    def test_the_model_the_gallery_names_is_opened(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, embedder: Embedder
    ) -> None:
        Recognizer.open(tmp_path / "people", embedder=embedder, create=True).close()
        asked = []

        def reopen(source: object, fingerprint: str, **options: object) -> Embedder:
            asked.append((source, fingerprint, options))
            return embedder

        monkeypatch.setattr("facenet.recognition.opening.reopen_embedder", reopen)
        with Recognizer.open(tmp_path / "people", device="cpu", precision="fp32", offline=True) as opened:
            assert opened.embedder is embedder
        assert asked == [
            (embedder.source, "ideal", {"device": "cpu", "precision": "fp32", "offline": True}),
        ]


class TestIdentify:
    def test_somebody_enrolled_is_matched(self, enrolled: Recognizer, picture: WritePicture) -> None:
        (outcome,) = identify(enrolled, picture("who.png", 0, 30))
        assert outcome.status is Status.MATCHED and outcome.name == "Ada" and outcome.reason == ""
        assert outcome.score == pytest.approx(score(20), abs=1e-6)
        assert outcome.margin == pytest.approx(score(20), abs=1e-6)
        assert [candidate.name for candidate in outcome.candidates] == ["Ada", "Bo"]
        assert outcome.threshold == 0.5 and outcome.face is None
        assert outcome.source.endswith("who.png")

    def test_a_stranger_is_unknown(self, enrolled: Recognizer, picture: WritePicture) -> None:
        far, stranger = identify(enrolled, picture("far.png", 0, 80), picture("s.png", 5))
        assert far.status is Status.UNKNOWN and far.name is None
        assert far.score == pytest.approx(score(70), abs=1e-6)
        assert stranger.status is Status.UNKNOWN and "below the threshold" in stranger.reason

    def test_without_a_threshold_candidates_are_ranked_and_nothing_is_decided(
        self, enrolled: Recognizer, picture: WritePicture
    ) -> None:
        (outcome,) = identify(enrolled, picture("who.png", 1, 5), threshold=None)
        assert outcome.status is Status.UNDECIDED and outcome.name is None and outcome.threshold is None
        assert outcome.candidates[0].name == "Bo"
        assert "gallery calibrate" in outcome.reason

    def test_nobody_enrolled(self, recognizer: Recognizer, picture: WritePicture) -> None:
        (outcome,) = identify(recognizer, picture("who.png", 1))
        assert outcome.status is Status.UNKNOWN and outcome.candidates == () and outcome.score is None

    def test_bad_photos_are_outcomes_in_their_place(
        self, enrolled: Recognizer, picture: WritePicture, tmp_path: Path
    ) -> None:
        bad = tmp_path / "bad.jpg"
        bad.write_bytes(b"no picture")
        photos = [picture("a.png", 0), bad, tmp_path / "missing.jpg", tmp_path, picture("b.png", 1)]
        outcomes = identify(enrolled, *photos)
        assert [outcome.source for outcome in outcomes] == [str(photo) for photo in photos]
        assert [outcome.status for outcome in outcomes] == [
            Status.MATCHED,
            Status.UNREADABLE,
            Status.UNREADABLE,
            Status.UNREADABLE,
            Status.MATCHED,
        ]
        assert all(outcome.reason for outcome in outcomes[1:4])

    def test_a_tiny_picture_is_too_small(self, enrolled: Recognizer, picture: WritePicture) -> None:
        (outcome,) = identify(enrolled, picture("tiny.png", 0, side=12))
        assert outcome.status is Status.TOO_SMALL and outcome.candidates == ()
        assert "12 pixels" in outcome.reason

    def test_top_k_limits_what_is_told_and_not_the_margin(self, enrolled: Recognizer, picture: WritePicture) -> None:
        (one,) = identify(enrolled, picture("who.png", 0), top_k=1)
        assert len(one.candidates) == 1 and one.margin == pytest.approx(1.0)
        (all_of_them,) = identify(enrolled, picture("who.png", 0), top_k=100)
        assert len(all_of_them.candidates) == 2

    def test_wrong_calls_are_refused_at_once(self, enrolled: Recognizer, picture: WritePicture) -> None:
        photo = picture("who.png", 0)
        with pytest.raises(UsageError, match="candidate"):
            enrolled.identify(photo, top_k=0)
        with pytest.raises(UsageError, match="threshold"):
            enrolled.identify(photo, threshold=float("nan"))

    def test_one_path_will_do(self, enrolled: Recognizer, picture: WritePicture) -> None:
        photo = picture("who.png", 0)
        assert next(enrolled.identify(photo, threshold=0.5)).name == "Ada"
        assert next(enrolled.identify(str(photo), threshold=0.5)).name == "Ada"

    def test_many_photos_are_searched_together_and_come_in_order(
        self, enrolled: Recognizer, picture: WritePicture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        photos = [picture(f"{number}.png", number % 2, side=32) for number in range(4)] * (SEARCHED_AT_ONCE // 4 + 2)
        sizes = []
        search = enrolled.gallery.search

        def counted(embeddings: np.ndarray, k: int) -> object:
            sizes.append(len(embeddings))
            return search(embeddings, k)

        monkeypatch.setattr(enrolled.gallery, "search", counted)
        seen: list[tuple[int, int | None]] = []
        outcomes = list(enrolled.identify(photos, threshold=0.5, progress=lambda *told: seen.append(told)))
        assert [outcome.name for outcome in outcomes] == ["Ada", "Bo"] * (len(photos) // 2)
        assert sizes == [SEARCHED_AT_ONCE, 8]
        assert seen[-1] == (len(photos), len(photos))

    def test_outcomes_come_while_photos_are_still_read(self, enrolled: Recognizer, picture: WritePicture) -> None:
        photo = picture("who.png", 0, side=32)
        seen: list[int] = []
        outcomes = enrolled.identify([photo] * 2000, threshold=0.5, progress=lambda done, total: seen.append(done))
        next(outcomes)
        assert seen[-1] < 1000
        outcomes.close()  # type: ignore[attr-defined]

    def test_a_person_enrolled_meanwhile_is_found(self, enrolled: Recognizer, picture: WritePicture) -> None:
        assert identify(enrolled, picture("c.png", 2))[0].status is Status.UNKNOWN
        enrolled.enroll("Cy", picture("c0.png", 2))
        assert identify(enrolled, picture("c.png", 2))[0].name == "Cy"


class TestIdentifyImage:
    def test_a_picture_in_memory(self, enrolled: Recognizer) -> None:
        image = np.full((64, 64, 3), (0, 20, 0), dtype=np.uint8)
        (outcome,) = enrolled.identify_image(image, threshold=0.5, source="camera 1")
        assert (outcome.source, outcome.name) == ("camera 1", "Bo")

    @pytest.mark.parametrize("image", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3)), np.zeros((0, 8, 3), np.uint8)])
    def test_what_is_no_image_is_refused(self, enrolled: Recognizer, image: np.ndarray) -> None:
        with pytest.raises(UsageError, match="uint8"):
            enrolled.identify_image(image)


class TestVerify:
    def test_same_and_different(self, recognizer: Recognizer, picture: WritePicture) -> None:
        first, second = picture("a.png", 0), picture("b.png", 0, 60)
        same = recognizer.verify(first, second, threshold=0.49)
        assert same.same is True and same.score == pytest.approx(0.5, abs=1e-6) and same.problems == ()
        different = recognizer.verify(first, second, threshold=0.51)
        assert different.same is False and different.reason == ""
        assert recognizer.verify(first, picture("c.png", 1), threshold=0.1).same is False

    def test_without_a_threshold_there_is_a_score_and_no_answer(
        self, recognizer: Recognizer, picture: WritePicture
    ) -> None:
        found = recognizer.verify(picture("a.png", 0), picture("b.png", 0, 60))
        assert found.same is None and found.score is not None and "gallery calibrate" in found.reason

    def test_bad_photos_are_told_and_never_raise(
        self, recognizer: Recognizer, picture: WritePicture, tmp_path: Path
    ) -> None:
        found = recognizer.verify(tmp_path / "missing.jpg", picture("b.png", 0, side=10), threshold=0.5)
        assert found.same is None and found.score is None
        assert [problem.status for problem in found.problems] == [Status.UNREADABLE, Status.TOO_SMALL]
        assert "missing.jpg" in found.reason
        assert found.to_dict()["problems"][0]["status"] == "unreadable"

    def test_all_faces_cannot_be_compared(self, recognizer: Recognizer, picture: WritePicture) -> None:
        photo = picture("a.png", 0)
        with pytest.raises(UsageError, match="one face"):
            recognizer.verify(photo, photo, faces=Policy.ALL)

    def test_a_person_by_name_id_or_record(self, enrolled: Recognizer, picture: WritePicture) -> None:
        photo = picture("who.png", 1, 40)
        (bo,) = enrolled.gallery.store.people(name="Bo")
        for person in ("Bo", f"id:{bo.id}", bo.id, bo):
            found = enrolled.verify_person(photo, person, threshold=0.5)
            assert found.same is True and found.score == pytest.approx(score(30), abs=1e-6)
            assert found.person is not None and found.person.name == "Bo"
        assert enrolled.verify_person(photo, "Ada", threshold=0.5).same is False
        assert enrolled.verify_person(photo, "Ada", threshold=0.5).to_dict()["person"]["name"] == "Ada"

    def test_nobody_of_that_name(self, enrolled: Recognizer, picture: WritePicture) -> None:
        with pytest.raises(InputError):
            enrolled.verify_person(picture("who.png", 1), "Nobody")


def test_limits_can_be_set(embedder: Embedder, picture: WritePicture) -> None:
    with Recognizer.open("memory:", embedder=embedder, create=True, limits=Limits(compared=200)) as strict:
        assert identify(strict, picture("who.png", 0))[0].status is Status.TOO_SMALL
