"""How often tracks are right: counts that are known, what counts as wrong, and intervals by person."""

from __future__ import annotations

import numpy as np
import pytest

from facenet.evaluation.finding import Finding
from facenet.gallery.records import Candidate
from facenet.recognition.outcomes import Outcome, Status
from facenet.recognition.tracks import TrackDecisions, TrackFrames
from facenet.workflows.track_accuracy import Decides, Resampling, Way, track_accuracy

FEW = Resampling(replicates=50, seed=1)
THRESHOLD = 0.5


def said(name: str, score: float = 0.9, *, margin: float | None = 0.3, decides: bool = True) -> Outcome:
    """A face that is most like ``name``."""
    status = Status.UNDECIDED if not decides else Status.MATCHED if score >= THRESHOLD else Status.UNKNOWN
    threshold = THRESHOLD if decides else None
    return Outcome(
        "face", status, candidates=(Candidate(sum(map(ord, name)), name, score),), threshold=threshold, margin=margin
    )


NO_FACE = Outcome("face", Status.NO_FACE)


def measure(
    tracks: list[tuple[str, list[Outcome], Outcome]],
    known: set[str],
    *,
    enrolled: int = 5,
    decides: bool = True,
    frames_decide: bool | None = None,
    windows: list[list[Outcome]] | None = None,
) -> dict[str, Way]:
    """Tracks as (truth, frames, decision); windows say what frames say if nothing else is given."""
    frames = tuple(tuple(of_track) for _, of_track, _ in tracks)
    compared = [[o for o in of_track if o.status is not Status.NO_FACE] for of_track in frames]
    seen = tuple(tuple(of_track) for of_track in (compared if windows is None else windows))
    whole = tuple(decision for *_, decision in tracks)
    rows = tuple(np.zeros((len(of_track), 2), np.float32) for of_track in compared)
    decided = TrackDecisions(3, seen, whole)
    truths = [truth for truth, *_ in tracks]
    both = Decides(tracks=decides, frames=decides if frames_decide is None else frames_decide)
    ways = track_accuracy(
        truths, frozenset(known), enrolled, TrackFrames(frames, rows), (decided,), decides=both, resampling=FEW
    )
    assert [way.key for way in ways] == ["frames", "windows", "vote", "tracks"]
    return {way.key: way for way in ways}


def finding(way: Way, key: str) -> Finding:
    (found,) = (finding for finding in way.findings if finding.key == key)
    return found


def test_counts_of_people_who_are_enrolled() -> None:
    found = measure(
        [
            ("Ada", [said("Ada"), said("Ada", 0.4), said("Bo"), NO_FACE], said("Ada")),
            ("Bo", [said("Ada"), said("Bo")], said("Ada")),
            ("Cy", [said("Cy", 0.1), said("Cy", 0.2)], said("Cy", 0.3)),
        ],
        {"Ada", "Bo", "Cy"},
        windows=[[said("Ada"), said("Ada"), said("Ada")], [said("Bo"), said("Bo")], [said("Cy", 0.1), said("Ada")]],
    )
    values = {key: [finding(way, figure).value for figure in ("rank_1", "fnir")] for key, way in found.items()}
    # The frame without a face is of somebody enrolled and was not found, in either way of looking at frames.
    assert values["frames"] == pytest.approx([5 / 8, 1 - 2 / 8])
    assert values["windows"] == pytest.approx([6 / 8, 1 - 5 / 8])
    # Ada's frames vote Ada 2:1 by candidates, 1:1 by decisions, where the higher score wins, or the first of equal.
    assert values["vote"][0] == pytest.approx(2 / 3)
    assert values["tracks"] == pytest.approx([2 / 3, 2 / 3])
    assert found["frames"].differences == {}
    differences = {key: difference.value for key, difference in found["windows"].differences.items()}
    assert differences == pytest.approx({"rank_1": 1 / 8, "fnir": -3 / 8})
    basis = finding(found["frames"], "rank_1").basis
    assert basis == "8 frames of 3 tracks by 3 people"
    assert finding(found["tracks"], "rank_1").basis == "3 tracks by 3 people"
    assert finding(found["tracks"], "rank_1").chance == 1 / 5


def test_counts_of_strangers() -> None:
    found = measure(
        [
            ("Ada", [said("Ada")], said("Ada")),
            ("Zoe", [said("Ada"), said("Bo"), said("Ada", 0.2), said("Ada", 0.3)], said("Bo")),
            ("Yan", [said("Ada", 0.1), NO_FACE], said("Ada", 0.1)),
            ("Xi", [NO_FACE], NO_FACE),
        ],
        {"Ada"},
    )
    assert finding(found["frames"], "fpir").value == pytest.approx(2 / 7)
    assert finding(found["vote"], "fpir").value == 0
    assert finding(found["tracks"], "fpir").value == pytest.approx(1 / 3)
    assert finding(found["tracks"], "fpir").basis == "3 tracks by 3 people"
    assert finding(found["tracks"], "rank_1").value == 1


def test_without_a_threshold_only_ranks_are_counted() -> None:
    frames = [said("Ada", decides=False), said("Bo", decides=False), said("Ada", decides=False)]
    found = measure([("Ada", frames, said("Ada", decides=False))], {"Ada"}, decides=False)
    assert {f.key for way in found.values() for f in way.findings} == {"rank_1"}
    assert [finding(way, "rank_1").value for way in found.values()] == pytest.approx([2 / 3, 2 / 3, 1, 1])


def test_somebody_else_with_the_same_score_makes_it_wrong() -> None:
    frames = [said("Ada", margin=0.0), said("Ada", margin=1e-3), said("Ada", margin=None)]
    found = measure([("Ada", frames, said("Ada", margin=5e-7))], {"Ada"})
    assert finding(found["frames"], "rank_1").value == pytest.approx(2 / 3)
    assert finding(found["tracks"], "rank_1").value == 0


def test_among_one_person_nobody_can_be_wrong() -> None:
    found = measure([("Ada", [said("Ada")], said("Ada"))], {"Ada"}, enrolled=1)
    for way in found.values():
        assert finding(way, "rank_1").value is None
        assert "cannot be missed" in finding(way, "rank_1").reason
        assert "rank_1" not in way.differences


def test_only_strangers() -> None:
    found = measure([("Zoe", [said("Ada")], said("Ada", 0.1))], set())
    assert [[f.key for f in way.findings] for way in found.values()] == [["fpir"]] * 4
    assert [list(way.differences) for way in found.values()] == [[], ["fpir"], ["fpir"], ["fpir"]]


def test_intervals_are_by_person_and_not_by_frame() -> None:
    # Six people, of whom two are never found: a hundred frames each say no more than one.
    def tracks(frames: int) -> list[tuple[str, list[Outcome], Outcome]]:
        names = ["A", "B", "C", "D", "E", "F"]
        return [(name, [said("A" if name == "B" else name)] * frames, said(name)) for name in names]

    few, many = (measure(tracks(frames), set("ABCDEF"), enrolled=6) for frames in (1, 100))
    one, other = finding(few["frames"], "rank_1"), finding(many["frames"], "rank_1")
    assert one.value == other.value == pytest.approx(5 / 6)
    assert one.interval == pytest.approx(other.interval)
    assert one.interval is not None and one.interval[0] < 0.7
    assert one.interval_kind == "bootstrap by person"
    # All right: by the tracks, of which there are six, and not by the frames.
    assert finding(many["tracks"], "rank_1").interval == pytest.approx((1 - 3 / 6, 1))
    assert finding(many["tracks"], "rank_1").interval_kind == "rule of three"
    windows = measure(tracks(100), set("ABCDEF"), enrolled=6, windows=[[said(name)] * 100 for name in "ABCDEF"])[
        "windows"
    ]
    assert finding(windows, "rank_1").interval == pytest.approx((1 - 3 / 6, 1))
    gain = many["tracks"].differences["rank_1"]
    # Whenever B is drawn frames miss it and tracks do not, so the gain is exactly the share of B.
    assert gain.interval is not None and one.interval is not None
    assert gain.value == pytest.approx(1 / 6)
    assert gain.interval[0] == pytest.approx(1 - one.interval[1], abs=1e-9)
    assert gain.interval[1] == pytest.approx(1 - one.interval[0], abs=1e-9)


def test_two_people_give_no_interval() -> None:
    found = measure([(name, [said("A")], said(name)) for name in "AB"], set("AB"), enrolled=2)
    assert finding(found["frames"], "rank_1").interval is None
    assert finding(found["frames"], "rank_1").basis.endswith("; too few people for an interval")
    gain = found["tracks"].differences["rank_1"]
    assert (gain.value, gain.interval) == (0.5, None)


def test_a_thousand_tracks_of_six_people_say_as_much_as_six() -> None:
    few, many = (
        measure([(name, [said("A")], said("A" if name in "BC" else name)) for name in "ABCDEF"] * each, set("ABCDEF"))
        for each in (1, 50)
    )
    for way in ("frames", "tracks"):
        one, other = finding(few[way], "rank_1"), finding(many[way], "rank_1")
        assert one.value == pytest.approx(other.value) and one.interval == pytest.approx(other.interval)
    assert few["tracks"].differences["rank_1"].interval == pytest.approx(many["tracks"].differences["rank_1"].interval)


def test_the_window_of_a_frame_takes_its_place() -> None:
    found = measure([("Ada", [NO_FACE, said("Ada")], said("Ada"))], {"Ada"}, windows=[[said("Bo")]])
    assert finding(found["windows"], "rank_1").value == 0
    assert finding(found["frames"], "rank_1").value == 0.5


def test_where_nothing_varies_no_interval_is_made_up() -> None:
    found = measure([(name, [said(name)], said(name)) for name in "ABCD"], set("ABCD"))
    difference = found["tracks"].differences["rank_1"]
    assert (difference.value, difference.interval) == (0, None)


def test_plain_values() -> None:
    found = measure([(name, [said("A")], said(name)) for name in "ABC"], set("ABC"))["tracks"].to_dict()
    assert (found["way"], found["context"]) == ("tracks", 3)
    assert set(found["findings"]) == {"rank_1", "fnir"}
    difference = found["differences"]["rank_1"]
    assert difference["value"] == pytest.approx(2 / 3) and len(difference["interval"]) == 2


def test_with_a_threshold_for_tracks_only_frames_are_ranked() -> None:
    frames = [said("Ada", decides=False), said("Bo", decides=False)]
    tracks = [("Ada", frames, said("Ada")), ("Zoe", frames, said("Ada"))]
    found = measure(tracks, {"Ada"}, frames_decide=False, windows=[[said("Ada"), said("Ada", 0.1)]] * 2)
    for key in ("fnir", "fpir"):
        assert [finding(found[way], key).value for way in ("frames", "vote")] == [None, None]
        assert "for tracks only" in finding(found["vote"], key).reason
    assert finding(found["tracks"], "fpir").value == 1 and finding(found["tracks"], "fnir").value == 0
    assert finding(found["windows"], "fpir").value == finding(found["windows"], "fnir").value == 0.5
    assert finding(found["frames"], "rank_1").value == 0.5
    assert [list(way.differences) for way in found.values()] == [[], ["rank_1"], ["rank_1"], ["rank_1"]]
