from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from ideal import CONTRACT, WritePicture, ideal_embedder

from facenet.detection.faces import FoundFace, Policy
from facenet.errors import InputError, UsageError
from facenet.evaluation.embedder import Embedder
from facenet.recognition import reader
from facenet.recognition.folders import Naming
from facenet.recognition.gate import Limits, Reason
from facenet.recognition.recognizer import Recognizer
from facenet.recognition.reports import EnrollmentReport, Result


def results(report: EnrollmentReport) -> list[Result]:
    return [picture.result for picture in report.pictures]


def reasons(report: EnrollmentReport) -> list[list[Reason]]:
    return [[refusal.reason for refusal in picture.refusals] for picture in report.pictures]


def last_audit(recognizer: Recognizer) -> dict[str, object]:
    (entry,) = recognizer.gallery.store.audit(limit=1)
    assert entry.action == "enroll"
    return dict(entry.details)


class TestOnePerson:
    def test_what_is_written(self, recognizer: Recognizer, picture: WritePicture) -> None:
        photos = [picture("a.png", 0), picture("b.png", 0, 10)]
        report = recognizer.enroll(
            "Ada", photos, metadata={"team": "blue"}, consent="form 7", expires="2099-01-01T00:00:00+00:00"
        )
        assert report.created and report.counts == {"enrolled": 2} and report.enrolled == 2
        assert report.person is not None
        person = recognizer.gallery.store.person(report.person)
        assert (person.name, dict(person.metadata), person.consent) == ("Ada", {"team": "blue"}, "form 7")
        samples = recognizer.gallery.store.samples(report.person)
        assert [sample.id for sample in samples] == [told.sample for told in report.pictures]
        assert [sample.source for sample in samples] == [str(photo.absolute()) for photo in photos]
        assert all(len(sample.content) == 64 and sample.box is None for sample in samples)
        np.testing.assert_allclose(samples[0].embedding[:2], [1, 0], atol=1e-6)

    def test_a_name_that_is_there_gets_the_pictures_added(self, recognizer: Recognizer, picture: WritePicture) -> None:
        first = recognizer.enroll("Ada", picture("a.png", 0))
        second = recognizer.enroll("Ada", picture("b.png", 0, 20))
        assert not second.created and second.person == first.person
        assert recognizer.gallery.store.count() == (1, 2)

    def test_a_second_person_of_the_same_name_is_told_apart(
        self, recognizer: Recognizer, picture: WritePicture
    ) -> None:
        first = recognizer.enroll("Ada", picture("a.png", 0))
        second = recognizer.enroll("Ada", picture("b.png", 1), new=True)
        assert second.created and second.person != first.person
        with pytest.raises(InputError, match=f"id:{first.person}, id:{second.person}"):
            recognizer.enroll("Ada", picture("c.png", 1, 5))
        third = recognizer.enroll("Ada", picture("c.png", 1, 5), person=second.person)
        assert third.person == second.person and third.enrolled == 1

    @pytest.mark.parametrize("name", ["", "id:7", "a\nb", "x" * 10_000])
    def test_an_unusable_name_is_refused_before_any_photo_is_read(
        self, recognizer: Recognizer, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*given: object, **options: object) -> Iterator[object]:
            pytest.fail("a photo was read")
            yield

        monkeypatch.setattr(reader, "read_photos", fail)
        with pytest.raises(InputError):
            recognizer.enroll(name, tmp_path / "missing.jpg")

    def test_the_same_picture_is_enrolled_once(self, recognizer: Recognizer, picture: WritePicture) -> None:
        photo, copy = picture("a.png", 0), picture("copy.png", 0)
        assert results(recognizer.enroll("Ada", [photo, copy])) == [Result.ENROLLED, Result.ALREADY_ENROLLED]
        again = recognizer.enroll("Ada", [photo])
        assert results(again) == [Result.ALREADY_ENROLLED] and not again.created
        assert recognizer.gallery.store.count() == (1, 1)

    def test_a_person_is_not_made_without_a_picture(self, recognizer: Recognizer, tmp_path: Path) -> None:
        report = recognizer.enroll("Ada", [tmp_path / "missing.jpg"])
        assert results(report) == [Result.UNREADABLE] and report.person is None and not report.created
        assert report.pictures[0].words
        assert recognizer.gallery.store.count() == (0, 0)

    def test_all_faces_cannot_be_one_person(self, recognizer: Recognizer, picture: WritePicture) -> None:
        with pytest.raises(UsageError, match="one face"):
            recognizer.enroll("Ada", picture("a.png", 0), faces=Policy.ALL)

    def test_consent_that_is_over_can_be_renewed(self, recognizer: Recognizer, picture: WritePicture) -> None:
        recognizer.enroll("Ada", picture("a.png", 0), expires="2000-01-01T00:00:00+00:00")
        assert next(recognizer.identify(picture("who.png", 0, 5), threshold=0.5)).name is None
        report = recognizer.enroll("Ada", picture("b.png", 0, 10), expires="2099-01-01T00:00:00+00:00")
        assert results(report) == [Result.ENROLLED] and not report.created
        assert next(recognizer.identify(picture("who.png", 0, 5), threshold=0.5)).name == "Ada"

    def test_a_report_goes_into_json(self, recognizer: Recognizer, picture: WritePicture, tmp_path: Path) -> None:
        told = recognizer.enroll("Ada", [picture("a.png", 0), tmp_path / "no.jpg"]).to_dict()
        assert told["counts"] == {"enrolled": 1, "unreadable": 1}
        assert [line["result"] for line in told["pictures"]] == ["enrolled", "unreadable"]


def refused_then_forced(recognizer: Recognizer, name: str, photo: Path, result: Result, reason: Reason) -> None:
    before = recognizer.gallery.store.count()[1]
    report = recognizer.enroll(name, photo)
    assert results(report) == [result] and reasons(report) == [[reason]]
    assert recognizer.gallery.store.count()[1] == before
    forced = recognizer.enroll(name, photo, force=True)
    assert results(forced) == [Result.ENROLLED] and reasons(forced) == [[reason]]
    assert "all the same" in forced.pictures[0].words
    assert recognizer.gallery.store.count()[1] == before + 1
    assert last_audit(recognizer)["forced"] == {reason.value: 1}


class TestGate:
    """Each refusal, and what force makes of it."""

    def test_too_small(self, recognizer: Recognizer, picture: WritePicture) -> None:
        photo = picture("small.png", 0, side=36)
        refused_then_forced(recognizer, "Ada", photo, Result.TOO_SMALL, Reason.TOO_SMALL)

    def test_blurred(self, embedder: Embedder, picture: WritePicture) -> None:
        with Recognizer.open("memory:", embedder=embedder, create=True, limits=Limits(sharpness=1e9)) as strict:
            refused_then_forced(strict, "Ada", picture("a.png", 0), Result.REFUSED, Reason.BLURRED)

    def test_unlike_the_person_it_is_added_to(self, recognizer: Recognizer, picture: WritePicture) -> None:
        recognizer.enroll("Ada", picture("a.png", 0))
        refused_then_forced(recognizer, "Ada", picture("b.png", 0, 90), Result.REFUSED, Reason.UNLIKE)

    def test_too_close_to_somebody_else(self, recognizer: Recognizer, picture: WritePicture) -> None:
        first = recognizer.enroll("Ada", picture("a.png", 0))
        photo = picture("b.png", 0, 30)
        report = recognizer.enroll("Eve", photo)
        assert f"Ada (id:{first.person})" in report.pictures[0].words
        assert "not calibrated" in report.pictures[0].words
        refused_then_forced(recognizer, "Eve", photo, Result.REFUSED, Reason.TOO_CLOSE)

    def test_a_picture_unlike_the_others(self, recognizer: Recognizer, picture: WritePicture) -> None:
        photos = [picture(f"{angle}.png", 0, angle) for angle in (0, 5, 120, 10)]
        report = recognizer.enroll("Ada", photos)
        assert results(report) == [Result.ENROLLED, Result.ENROLLED, Result.REFUSED, Result.ENROLLED]
        assert reasons(report)[2] == [Reason.OUTLIER]
        assert "forced" not in last_audit(recognizer)
        forced = recognizer.enroll("Ada", photos, force=True)
        assert [told.result for told in forced.pictures].count(Result.ALREADY_ENROLLED) == 3
        assert last_audit(recognizer)["forced"] == {"outlier": 1}

    def test_two_pictures_that_differ_are_both_refused(self, recognizer: Recognizer, picture: WritePicture) -> None:
        report = recognizer.enroll("Ada", [picture("a.png", 0), picture("b.png", 3)])
        assert reasons(report) == [[Reason.OUTLIER], [Reason.OUTLIER]]
        assert report.person is None

    def test_nobody_else_means_the_person_themselves_do_not_count(
        self, recognizer: Recognizer, picture: WritePicture
    ) -> None:
        recognizer.enroll("Ada", picture("a.png", 0))
        recognizer.enroll("Bo", picture("b.png", 1))
        assert results(recognizer.enroll("Ada", picture("c.png", 0, 1))) == [Result.ENROLLED]

    def test_the_audit_log_names_nobody_and_no_picture(self, recognizer: Recognizer, picture: WritePicture) -> None:
        recognizer.enroll("Ada", picture("secret.png", 0))
        told = repr(recognizer.gallery.store.audit())
        assert "Ada" not in told and "secret" not in told


class FakeDetector:
    """Finds what the test says: squares of these sides, all over one another."""

    faces: Sequence[tuple[float, float]] = ()

    def __init__(self, **options: object) -> None:
        pass

    def detect(self, images: Sequence[np.ndarray]) -> list[tuple[FoundFace, ...]]:
        points = ((0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8))
        return [
            tuple(
                FoundFace((0.0, 0.0, side, side), tuple((side * x, side * y) for x, y in points), probability)
                for side, probability in self.faces
            )
            for _ in images
        ]


@pytest.fixture
def with_detector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recognizer]:
    monkeypatch.setattr(reader, "Detector", FakeDetector)
    embedder = ideal_embedder(preprocessing=CONTRACT.for_photos("margin-0"))
    with Recognizer.open("memory:", embedder=embedder, create=True) as opened:
        yield opened


class TestFoundFaces:
    """What only a detector can tell."""

    @pytest.fixture
    def recognizer(self, with_detector: Recognizer, monkeypatch: pytest.MonkeyPatch) -> Recognizer:
        monkeypatch.setattr(FakeDetector, "faces", [(96.0, 0.99)])
        return with_detector

    @pytest.mark.parametrize(
        ("faces", "result", "reason"),
        [
            ([(36.0, 0.99)], Result.TOO_SMALL, Reason.TOO_SMALL),
            ([(90.0, 0.8)], Result.REFUSED, Reason.UNSURE),
            ([(90.0, 0.99), (60.0, 0.99)], Result.SEVERAL_FACES, Reason.SEVERAL_FACES),
        ],
    )
    def test_faces_that_are_refused(
        self,
        recognizer: Recognizer,
        picture: WritePicture,
        monkeypatch: pytest.MonkeyPatch,
        faces: list[tuple[float, float]],
        result: Result,
        reason: Reason,
    ) -> None:
        monkeypatch.setattr(FakeDetector, "faces", faces)
        refused_then_forced(recognizer, "Ada", picture("a.png", 0), result, reason)

    def test_no_face_cannot_be_forced(
        self, recognizer: Recognizer, picture: WritePicture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(FakeDetector, "faces", [])
        for force in (False, True):
            assert results(recognizer.enroll("Ada", picture("a.png", 0), force=force)) == [Result.NO_FACE]

    def test_a_policy_picks_one_of_several(
        self, recognizer: Recognizer, picture: WritePicture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(FakeDetector, "faces", [(90.0, 0.96), (60.0, 0.99)])
        assert results(recognizer.enroll("Ada", picture("a.png", 0), faces=Policy.PROBABLE)) == [Result.ENROLLED]
        (sample,) = recognizer.gallery.store.samples(1)
        assert sample.box == (0.0, 0.0, 60.0, 60.0)

    def test_people_in_the_background_do_not_count(
        self, recognizer: Recognizer, picture: WritePicture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(FakeDetector, "faces", [(90.0, 0.96), (40.0, 0.99)])
        assert results(recognizer.enroll("Ada", picture("a.png", 0))) == [Result.ENROLLED]

    def test_aligned_pictures_are_used_whole(
        self, recognizer: Recognizer, picture: WritePicture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(FakeDetector, "faces", [])
        assert results(recognizer.enroll("Ada", picture("a.png", 0), aligned=True)) == [Result.ENROLLED]


def write_folder(picture: WritePicture, root: str = "people") -> None:
    """Three people; one of Ada's pictures shows somebody else, one of Bo's is small, one of Cy's is like Ada."""
    for angle in (0, 5, 10):
        picture(f"{root}/Ada/{angle}.png", 0, angle)
    picture(f"{root}/Ada/wrong.png", 4)
    for angle in (0, 5):
        picture(f"{root}/Bo/{angle}.png", 1, angle)
    picture(f"{root}/Bo/small.png", 1, 7, side=30)
    picture(f"{root}/more/Cy/0.png", 2)
    picture(f"{root}/more/Cy/like-ada.png", 0, 3)
    (picture(f"{root}/more/Cy/zz.png", 2, 9).parent / "broken.jpg").write_bytes(b"broken")


def content_of(recognizer: Recognizer) -> dict[str, list[tuple[str, bytes]]]:
    """Everything that counts in a gallery, whatever the ids."""
    store = recognizer.gallery.store
    return {
        person.name: sorted((sample.content, sample.embedding.tobytes()) for sample in store.samples(person.id))
        for person in store.people()
    }


class TestFolder:
    def test_people_are_called_as_their_folders(
        self, recognizer: Recognizer, picture: WritePicture, tmp_path: Path
    ) -> None:
        write_folder(picture)
        told: list[EnrollmentReport] = []
        seen: list[tuple[int, int | None]] = []
        report = recognizer.enroll_folder(
            tmp_path / "pictures/people", listener=told.append, progress=lambda *done: seen.append(done)
        )
        assert [person.name for person in report.people] == ["Ada", "Bo", "Cy"] == [person.name for person in told]
        assert report.counts == {"enrolled": 7, "refused": 2, "too_small": 1, "unreadable": 1}
        assert reasons(report.people[0])[3] == [Reason.OUTLIER]
        assert report.to_dict()["counts"] == report.counts
        assert seen[-1] == (11, 11)

    def test_a_second_time_nothing_is_read_again(
        self, recognizer: Recognizer, picture: WritePicture, tmp_path: Path
    ) -> None:
        write_folder(picture)
        recognizer.enroll_folder(tmp_path / "pictures/people")
        before = content_of(recognizer)
        seen: list[tuple[int, int | None]] = []
        again = recognizer.enroll_folder(tmp_path / "pictures/people", progress=lambda *done: seen.append(done))
        assert again.counts == {"already_enrolled": 7, "refused": 2, "too_small": 1, "unreadable": 1}
        assert seen[-1] == (4, 4)
        assert content_of(recognizer) == before

    @pytest.mark.parametrize("stopped_after", [0, 1, 2])
    def test_stopped_and_resumed_it_ends_as_if_it_had_not_been(
        self, embedder: Embedder, picture: WritePicture, tmp_path: Path, stopped_after: int
    ) -> None:
        write_folder(picture)
        root = tmp_path / "pictures/people"
        with Recognizer.open(tmp_path / "whole", embedder=embedder, create=True) as whole:
            straight = whole.enroll_folder(root)
            expected = content_of(whole)

        class Stop(Exception):
            pass

        def stop(report: EnrollmentReport) -> None:
            done.append(report)
            if len(done) > stopped_after:
                raise Stop

        done: list[EnrollmentReport] = []
        with Recognizer.open(tmp_path / "parts", embedder=embedder, create=True) as parts, pytest.raises(Stop):
            parts.enroll_folder(root, listener=stop)
        with Recognizer.open(tmp_path / "parts", embedder=embedder) as parts:
            resumed = parts.enroll_folder(root)
            assert content_of(parts) == expected
        for one, other in zip(straight.people, resumed.people, strict=True):
            assert reasons(one) == reasons(other)
            assert [result is Result.ALREADY_ENROLLED or result for result in results(other)] == [
                True if result is Result.ENROLLED and done_before else result
                for result, done_before in zip(
                    results(one), [one.name in {report.name for report in done}] * len(one.pictures), strict=True
                )
            ]

    def test_pictures_that_came_later_are_added(
        self, recognizer: Recognizer, picture: WritePicture, tmp_path: Path
    ) -> None:
        write_folder(picture)
        recognizer.enroll_folder(tmp_path / "pictures/people")
        picture("people/Bo/later.png", 1, 20)
        report = recognizer.enroll_folder(tmp_path / "pictures/people")
        assert report.people[1].counts == {"enrolled": 1, "already_enrolled": 2, "too_small": 1}

    def test_another_folder_of_the_same_name_must_show_the_same_person(
        self, recognizer: Recognizer, picture: WritePicture, tmp_path: Path
    ) -> None:
        picture("one/Ada/a.png", 0)
        picture("two/Ada/b.png", 5)
        recognizer.enroll_folder(tmp_path / "pictures/one")
        report = recognizer.enroll_folder(tmp_path / "pictures/two")
        assert reasons(report.people[0]) == [[Reason.UNLIKE]]

    @pytest.mark.parametrize("other", ["Ada", " Ada ", unicodedata.normalize("NFD", "Zoë")])
    def test_two_folders_of_one_name_are_never_made_one_person(
        self, recognizer: Recognizer, picture: WritePicture, tmp_path: Path, other: str
    ) -> None:
        picture("people/a/Ada/1.png", 0)
        picture("people/c/Zoë/1.png", 2)
        picture(f"people/b/{other}/1.png", 1)
        with pytest.raises(InputError, match="2 folders name the same person.*--names path"):
            recognizer.enroll_folder(tmp_path / "pictures/people")
        assert recognizer.gallery.store.count() == (0, 0)
        report = recognizer.enroll_folder(tmp_path / "pictures/people", naming=Naming.PATH)
        assert report.counts == {"enrolled": 3}
        assert recognizer.gallery.store.count()[0] == 3

    def test_a_folder_that_cannot_name_a_person_is_refused(
        self, recognizer: Recognizer, picture: WritePicture, tmp_path: Path
    ) -> None:
        picture("people/id:7/1.png", 0)
        with pytest.raises(InputError, match="id:7"):
            recognizer.enroll_folder(tmp_path / "pictures/people")

    def test_force_holds_for_the_whole_folder(
        self, recognizer: Recognizer, picture: WritePicture, tmp_path: Path
    ) -> None:
        write_folder(picture)
        report = recognizer.enroll_folder(tmp_path / "pictures/people", force=True)
        assert report.counts == {"enrolled": 10, "unreadable": 1}
