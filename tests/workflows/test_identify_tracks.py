"""A folder of tracks from pictures to figures, by an embedder whose answers are known, and on drawn people."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from painted_tracks import EVERYBODY, NAMES, SIDE, KnownTrunk, four_people, paint, paint_tracks
from torch import Tensor

from facenet.data.synthetic import draw_people
from facenet.detection.faces import Policy
from facenet.errors import InputError, UsageError
from facenet.evaluation.embedder import Embedder, ModelSource
from facenet.images import save_image
from facenet.recognition.recognizer import Recognizer
from facenet.workflows.track_accuracy import Resampling
from facenet.workflows.track_outcomes import TracksFound, write_tracks
from facenet.workflows.tracks import enroll_all, identify_tracks

FEW = Resampling(replicates=20)


@pytest.fixture
def recognizer(tmp_path: Path) -> Iterator[Recognizer]:
    with four_people(tmp_path) as opened:
        yield opened


def rates(found: TracksFound, key: str = "rank_1") -> dict[tuple[str, int | None], float]:
    return {
        (way.key, way.context): finding.value
        for way in found.ways
        for finding in way.findings
        if finding.key == key and finding.value is not None
    }


def test_without_noise_every_way_is_right(recognizer: Recognizer, tmp_path: Path) -> None:
    root = paint_tracks(tmp_path / "tracks", EVERYBODY, strength=0)
    found = identify_tracks(recognizer, root, truth=True, threshold=0.9, contexts=(0, 1), resampling=FEW)
    assert set(rates(found).values()) == {1.0} and set(rates(found, "fnir").values()) == {0.0}
    assert [track.outcome.name for track in found.tracks] == [name for name in NAMES for _ in range(2)]
    assert all(track.agreement == pytest.approx(1) for track in found.tracks)
    assert found.counts == {"matched": 8} and found.compared == 8 and found.frames == 120


def test_the_more_frames_the_oftener_right(recognizer: Recognizer, tmp_path: Path) -> None:
    root = paint_tracks(tmp_path / "tracks", EVERYBODY, strength=2.55, each=4)
    found = identify_tracks(recognizer, root, truth=True, context=4, contexts=(1, 0), resampling=FEW)
    rate = rates(found)
    assert list(rate) == [
        ("frames", 0), ("windows", 1), ("windows", 4), ("vote", None), ("tracks", 0), ("tracks", 1), ("tracks", 4),
    ]  # fmt: skip
    assert 0.25 < rate["frames", 0] < 0.9
    assert rate["frames", 0] + 0.1 < rate["windows", 1] < rate["windows", 4]
    assert rate["tracks", 0] == rate["tracks", 4] == 1
    assert found.ways[-1].differences["rank_1"].value == pytest.approx(1 - rate["frames", 0])


def test_tracks_of_strangers(recognizer: Recognizer, tmp_path: Path) -> None:
    root = paint_tracks(tmp_path / "tracks", {**EVERYBODY, "Zoe": 77}, strength=0.5)
    # Somebody who looks like Ada.
    for frame in range(3):
        paint(root / "Twin" / "1" / f"{frame}.png", 0)
    found = identify_tracks(recognizer, root, truth=True, threshold=0.8, resampling=FEW)
    assert found.strangers == ("Twin", "Zoe")
    assert rates(found, "fpir")["tracks", 3] == pytest.approx(1 / 3)
    assert rates(found, "fnir")["tracks", 3] == 0
    said = " ".join(found.notices)
    assert "those of strangers: Twin, Zoe" in said and "divided by their agreement" in said
    with pytest.raises(InputError, match="Twin, Zoe: not enrolled, and without a threshold"):
        identify_tracks(recognizer, root, truth=True)
    assert "strangers" not in " ".join(identify_tracks(recognizer, root).notices)


def test_bad_frames_are_counted_and_said(recognizer: Recognizer, tmp_path: Path) -> None:
    root = paint_tracks(tmp_path / "tracks", {"Ada": 0}, frames=3, each=1)
    (root / "Ada" / "t0" / "7.png").write_bytes(b"no picture")
    paint(root / "Ada" / "t0" / "8.png", 1, side=8)
    (root / "Ada" / "t1").mkdir()
    (root / "Ada" / "t1" / "1.jpg").write_bytes(b"")
    found = identify_tracks(recognizer, root, truth=True, threshold=0.1, context=1, resampling=FEW)
    good, bad = found.tracks
    assert (good.compared, good.problems) == (3, {"no_face": 0, "too_small": 1, "unreadable": 1})
    assert (bad.outcome.status.value, bad.compared, bad.agreement, bad.vote) == ("unreadable", 0, None, None)
    assert found.notices[0] == (
        "3 of 6 frames could not be compared (1 too_small, 2 unreadable): their tracks go by the others"
    )
    assert found.compared == 1
    # Ada is enrolled, and three of her six frames and one of her two tracks were not to be found.
    assert rates(found)["frames", 0] <= 0.5 and rates(found)["tracks", 1] == 0.5
    document = found.to_dict()
    assert [frame["status"] for frame in document["tracks"][0]["frames"]][3:] == ["unreadable", "too_small"]
    assert [frame["window"] is None for frame in document["tracks"][0]["frames"]] == [False] * 3 + [True] * 2
    assert document["tracks"][1]["vote"] is None and document["frames_compared"] == 3


def test_the_table_that_is_written(recognizer: Recognizer, tmp_path: Path) -> None:
    root = paint_tracks(tmp_path / "tracks", {"Ada": 0}, frames=3, strength=0, each=1)
    (root / "Ada" / "a,\n").mkdir()
    (root / "Ada" / "a,\n" / "1.jpg").write_bytes(b"")
    out = tmp_path / "made" / "tracks.csv"
    write_tracks(out, identify_tracks(recognizer, root, threshold=0.9))
    with out.open(newline="", encoding="utf-8") as stream:
        bad, good = csv.DictReader(stream)
    assert (good["track"], good["status"], good["name"], good["vote"], good["votes"]) == (
        "Ada/t0", "matched", "Ada", "Ada", "3",
    )  # fmt: skip
    assert float(good["score"]) == pytest.approx(1, abs=1e-4) and good["truth"] == ""
    assert (bad["track"], bad["status"], bad["name"], bad["score"]) == ("Ada/a,\n", "unreadable", "", "")
    assert (bad["frames"], bad["compared"], bad["unreadable"]) == ("1", "0", "1")


def test_frames_that_are_enrolled_show_nothing(recognizer: Recognizer, tmp_path: Path) -> None:
    root = paint_tracks(tmp_path / "tracks", {"Ada": 0, "Bruno": 1}, frames=2, each=1)
    for name in ("Ada", "Clea"):
        (root / name / "t9").mkdir(parents=True)
        for place in (root / name / "t9" / "1.png", root / "Ada" / "t0" / f"{name}.png"):
            place.write_bytes((tmp_path / "enrolled" / name / "1.png").read_bytes())
    found = identify_tracks(recognizer, root, truth=True, threshold=0.9, resampling=FEW)
    assert [(track.track.name, len(track.frames)) for track in found.tracks] == [("Ada/t0", 2), ("Bruno/t0", 2)]
    assert found.notices[0] == ("left out, for they are enrolled themselves: 4 frames, among them all of 2 tracks")
    # Where nothing is measured, every frame counts.
    assert len(identify_tracks(recognizer, root, threshold=0.9).tracks) == 4
    with pytest.raises(InputError, match="is enrolled itself: there is nothing to measure"):
        identify_tracks(recognizer, tmp_path / "enrolled", truth=True)


def test_names_that_say_nobody(recognizer: Recognizer, tmp_path: Path) -> None:
    recognizer.enroll("Ada", [paint(tmp_path / "other.png", 50)], new=True, force=True)
    root = paint_tracks(tmp_path / "tracks", {"Ada": 0}, frames=1)
    with pytest.raises(InputError, match=r"2 people are called Ada \(id:1, id:5\): rename them"):
        identify_tracks(recognizer, root, truth=True)
    odd = paint_tracks(tmp_path / "odd", {"id:3": 0}, frames=1)
    with pytest.raises(InputError, match="refers to a person by number"):
        identify_tracks(recognizer, odd, truth=True)
    assert identify_tracks(recognizer, odd).compared == 2


def test_who_may_no_longer_be_found_is_a_stranger(recognizer: Recognizer, tmp_path: Path) -> None:
    recognizer.gallery.update("Ada", expires="2001-01-01")
    root = paint_tracks(tmp_path / "tracks", {"Ada": 0, "Bruno": 1}, frames=2)
    assert identify_tracks(recognizer, root, truth=True, threshold=0.9, resampling=FEW).strangers == ("Ada",)


def test_wrong_usage(recognizer: Recognizer, tmp_path: Path) -> None:
    root = paint_tracks(tmp_path / "tracks", {"Ada": 0}, frames=1)
    with pytest.raises(UsageError, match="cannot be -1"):
        identify_tracks(recognizer, root, context=-1)
    with pytest.raises(UsageError, match="cannot be -2"):
        identify_tracks(recognizer, root, truth=True, contexts=(1, -2))
    with pytest.raises(UsageError, match="takes --truth"):
        identify_tracks(recognizer, root, contexts=(1,))
    with pytest.raises(UsageError, match="not all"):
        identify_tracks(recognizer, root, faces=Policy.ALL)
    with pytest.raises(UsageError, match="at least 1 candidate"):
        identify_tracks(recognizer, root, top_k=0)
    with pytest.raises(UsageError, match="from -1 to 1"):
        identify_tracks(recognizer, root, threshold=2)


def test_folders_two_deep_are_asked_about(recognizer: Recognizer, tmp_path: Path) -> None:
    root = paint_tracks(tmp_path / "tracks", {"Ada": 0}, frames=1)
    assert any("--truth compares" in notice for notice in identify_tracks(recognizer, root).notices)
    assert not identify_tracks(recognizer, root / "Ada").notices


def test_nobody_can_be_enrolled_from_broken_pictures(recognizer: Recognizer, tmp_path: Path) -> None:
    folder = tmp_path / "people" / "Eve"
    folder.mkdir(parents=True)
    (folder / "1.png").write_bytes(b"")
    said = enroll_all(recognizer, folder.parent)
    assert len(said) == 1 and said[0].startswith("not enrolled: ") and "1.png" in said[0]
    with (
        Recognizer.open("memory:", embedder=recognizer.embedder, create=True) as empty,
        pytest.raises(InputError, match="nobody is enrolled"),
    ):
        enroll_all(empty, folder.parent)


def test_drawn_people_by_their_colours(tmp_path: Path) -> None:
    """Frames of drawn faces under noise, looked at by the crudest of embedders: what their parts' colours are."""

    class ColourTrunk(KnownTrunk):
        embedding_size = 192

        def __call__(self, faces: Tensor) -> Tensor:
            parts = torch.nn.functional.adaptive_avg_pool2d(faces.float(), 8).flatten(1)
            return torch.nn.functional.normalize(parts - parts.mean(dim=1, keepdim=True), dim=1)

    rng = np.random.default_rng(0)
    for name, images in draw_people(4, 1, seed=5, size=SIDE):
        (tmp_path / "enrolled" / name).mkdir(parents=True)
        save_image(tmp_path / "enrolled" / name / "1.png", images[0])
        (tmp_path / "tracks" / name / "walk").mkdir(parents=True)
        for frame in range(8):
            moved = np.roll(images[0].astype(np.float64), frame % 3, axis=1) + rng.normal(0, 90, images[0].shape)
            save_image(tmp_path / "tracks" / name / "walk" / f"{frame}.png", moved.clip(0, 255).astype(np.uint8))
    embedder = Embedder(ColourTrunk(), "c" * 32, ModelSource("weights", "known", "nowhere"))  # type: ignore[arg-type]
    with Recognizer.open("memory:", embedder=embedder, create=True) as recognizer:
        enroll_all(recognizer, tmp_path / "enrolled")
        found = identify_tracks(recognizer, tmp_path / "tracks", truth=True, resampling=FEW)
    rate = rates(found)
    assert rate["frames", 0] <= rate["windows", 3] <= rate["tracks", 3] == 1
