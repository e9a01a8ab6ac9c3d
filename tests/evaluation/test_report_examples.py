"""The worst errors: the right ones, in order, with the right faces."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up_studies import classification_study, identification_study, verification_study

from facenet.evaluation.report import examples as module
from facenet.evaluation.report.examples import examples
from facenet.evaluation.report.tiles import SIDE, cut, tile
from facenet.evaluation.study import Pictures, Study
from facenet.images import save_image


def with_paths(study: Study) -> Study:
    """Pictures that are not there: what is shown of them does not matter here."""
    boxes = np.full((len(study.samples), 4), np.nan, dtype=np.float32)
    return replace(study, pictures=Pictures(tuple(Path("gone") for _ in study.samples), boxes))


@pytest.fixture(scope="module")
def verified() -> Study:
    return with_paths(verification_study(20, 4, spread=1.6, folds=None, replicates=20))


def test_false_accepts_and_rejects_are_those_a_loop_finds(verified: Study) -> None:
    found, threshold = verified.comparisons, verified.operating_threshold
    assert found is not None and found.failed is not None and threshold is not None
    accepts, rejects = module._of_comparisons(found, threshold)
    for (_, words, shown), genuine in ((accepts, False), (rejects, True)):
        pairs = [i for i in range(len(found)) if found.genuine[i] == genuine and not found.failed[i]]
        pairs.sort(key=lambda i: float(found.scores[i]) * (1 if genuine else -1))
        errors = [i for i in pairs if (found.scores[i] >= threshold) != genuine]
        assert words.startswith(f"{len(errors):,} of {len(pairs):,} pairs")
        seen: Counter[int] = Counter()
        expected: list[tuple[tuple[int, int], bool]] = []
        for i in pairs:
            sides = (int(found.first[i]), int(found.second[i]))
            if max(seen[side] for side in sides) < 2 and len(expected) < module.MOST:
                seen.update(sides)
                expected.append((sides, bool((found.scores[i] >= threshold) != genuine)))
        assert [(example.samples, example.wrong) for example in shown] == expected


def test_the_nearest_are_shown_where_there_is_no_error(verified: Study) -> None:
    found = verified.comparisons
    assert found is not None
    _, words, shown = module._of_comparisons(found, 0.999)[0]
    assert words.startswith("0 of ") and "no errors" in words
    assert len(shown) == module.MOST and not any(example.wrong for example in shown)


def test_searches_show_the_candidate_they_returned() -> None:
    study = with_paths(identification_study(12, 4, 8, spread=1.5, replicates=20))
    found, threshold = study.searches, study.operating_threshold
    assert found is not None and threshold is not None and study.owners is not None
    positives, negatives = module._of_searches(study, found, threshold)
    first = positives[2][0]
    best = int(np.argmax(found.stranger_scores))
    assert first.score == pytest.approx(float(found.stranger_scores[best]))
    assert first.samples[0] == found.stranger_samples[best]
    assert study.owners[first.samples[1]] == found.stranger_matches[best]
    assert study.people[found.stranger_matches[best]] in first.note
    missed = (found.own_scores < threshold) | (found.ranks > 1)
    assert negatives[1].startswith(f"{int(missed.sum()):,} of {found.mated:,} ")
    assert all(example.wrong for example in negatives[2])


def test_wrong_decisions_are_the_most_confident_ones() -> None:
    study = classification_study(4, 10, spread=3, replicates=20)
    found = study.classification
    assert found is not None
    _, _, shown = module._of_decisions(study)[0]
    wrong = np.flatnonzero(~found.correct)
    assert 0 < len(wrong)
    order = wrong[np.argsort(-found.confidences[wrong], kind="stable")]
    assert [example.samples[0] for example in shown] == order[: module.MOST].tolist()


def test_without_pictures_threshold_or_matching_samples_nothing_is_shown(verified: Study) -> None:
    assert examples(verified)
    assert not examples(replace(verified, pictures=None))
    assert not examples(replace(verified, operating_threshold=None))
    assert not examples(replace(verified, samples=verified.samples[:-1]))


@pytest.mark.parametrize("count", [5, 1999, 2001, 50_000])
def test_the_first_of_many_are_those_of_a_full_sort(count: int) -> None:
    keys = np.random.default_rng(0).normal(size=count).astype(np.float32)
    which = np.flatnonzero(keys > -1)
    full = which[np.argsort(keys[which], kind="stable")]
    assert np.array_equal(module._first(which, keys)[:100], full[:100])


def test_very_many_equal_scores_stay_bounded() -> None:
    assert len(module._first(np.arange(100_000), np.zeros(100_000, np.float32))) <= 2000


def picture() -> np.ndarray:
    image = np.zeros((200, 300, 3), np.uint8)
    image[50:90, 100:140] = 255
    return image


def test_a_face_is_cut_out_with_room_around_it() -> None:
    shown = cut(picture(), np.array([100, 50, 140, 90], np.float32))
    assert shown.shape == (SIDE, SIDE, 3)
    # The face is 40 of 64 pixels.
    assert np.mean(shown > 128) == pytest.approx((40 / 64) ** 2, abs=0.02)
    assert shown[SIDE // 2, SIDE // 2, 0] == 255 and shown[2, 2, 0] == 0


@pytest.mark.parametrize(
    "box",
    [[np.nan] * 4, [10, 10, 10, 10], [-500, -500, 900, 900], [290, 190, 310, 230], [1e9, 1e9, 2e9, 2e9], [5, 5, 1, 1]],
)
def test_boxes_of_every_kind_give_a_square(box: list[float]) -> None:
    assert cut(picture(), np.array(box, np.float32)).shape == (SIDE, SIDE, 3)


def test_a_picture_of_one_pixel() -> None:
    assert cut(np.full((1, 1, 3), 7, np.uint8), np.array([0, 0, 1, 1], np.float32)).max() == 7


def test_a_tile_is_in_the_page_itself(tmp_path: Path) -> None:
    save_image(tmp_path / "a.png", picture())
    pictures = Pictures((tmp_path / "a.png", tmp_path / "gone.png"), np.full((2, 4), np.nan, np.float32))
    assert tile(pictures, 0, 'a "face"').startswith('<img src="data:image/jpeg;base64,')
    assert 'alt="a &quot;face&quot;"' in tile(pictures, 0, 'a "face"')
    assert "no such file" in tile(pictures, 1, "a") and "<img" not in tile(pictures, 1, "a")
