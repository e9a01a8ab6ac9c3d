"""Thresholds against counting loops; what they refuse, what they state, and how they are stored."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import oracles_calibration as oracle
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from facenet.errors import GalleryError, InputError, UsageError
from facenet.evaluation import calibration
from facenet.evaluation.calibration import (
    Threshold,
    calibrate_fmr,
    calibrate_fmr_pairs,
    calibrate_fpir,
    expected_fpir,
)
from facenet.evaluation.crowd import Crowd
from facenet.evaluation.pairs import all_or_sampled_pairs, score_pairs
from facenet.geometry import cosine, normalise

# Unit vectors whose products are exact and mostly tied: -1, -0.5, 0, 0.5, 1.
EXACT = torch.tensor(
    [[1, 0, 0, 0], [0, 1, 0, 0], [0.5, 0.5, 0.5, 0.5], [0.5, -0.5, 0.5, -0.5], [-1, 0, 0, 0], [0.5, 0.5, -0.5, -0.5]]
)


def crowd(people: int, pictures: int, *, d: int = 16, spread: float = 0.15, seed: int = 0) -> tuple[Tensor, np.ndarray]:
    """People with a centre each and pictures around it, in no order."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(people).repeat(pictures)
    centres = normalise(torch.randn(people, d, generator=generator))
    rows = normalise(centres[labels] + spread * torch.randn(len(labels), d, generator=generator))
    return rows, labels.numpy().astype(np.int64)


@st.composite
def tied_crowd(draw: st.DrawFn) -> tuple[Tensor, np.ndarray]:
    people = draw(st.lists(st.integers(0, 5), min_size=6, max_size=14).filter(lambda found: len(set(found)) > 2))
    rows = draw(st.lists(st.integers(0, len(EXACT) - 1), min_size=len(people), max_size=len(people)))
    return EXACT[rows], np.array(people, dtype=np.int64)


@settings(deadline=None)
@given(tied_crowd(), st.sampled_from([0.29, 0.5, 0.75]))
def test_equal_to_counting_loops(pictures: tuple[Tensor, np.ndarray], target: float) -> None:
    embeddings, people = pictures
    scores = cosine(embeddings, embeddings).tolist()
    genuine, impostor = ([scores[i][j] for i, j in pairs] for pairs in oracle.pairs_of(people.tolist()))
    if len(impostor) < 3 / target:
        with pytest.raises(InputError, match="needs at least"):
            calibrate_fmr(embeddings, people, target, fingerprint="", replicates=100)
        return
    expected = oracle.smallest_threshold(impostor, target)
    if expected > 1:
        with pytest.raises(InputError, match="score 1"):
            calibrate_fmr(embeddings, people, target, fingerprint="", replicates=100)
        return
    found = calibrate_fmr(embeddings, people, target, fingerprint="", replicates=100)
    assert found.value == pytest.approx(expected, abs=1e-7)
    assert found.measured == oracle.error_rate(impostor, found.value) <= target
    assert (found.genuine, found.impostor, found.people) == (len(genuine), len(impostor), len(set(people.tolist())))
    missed = sum(score < found.value for score in genuine)
    assert found.miss_rate == (missed / len(genuine) if genuine else None)


@pytest.mark.parametrize(("target", "pictures"), [(0.3, 1), (0.02, 3), (0.001, 5)])
def test_all_ways_in_give_the_same_threshold(target: float, pictures: int) -> None:
    embeddings, people = crowd(40, pictures)
    direct = calibrate_fmr(embeddings, people, target, fingerprint="f", seed=3)
    pairs = all_or_sampled_pairs(people)
    scores = score_pairs(embeddings, pairs)
    listed = calibrate_fmr_pairs(
        scores, pairs.genuine, people[pairs.first], people[pairs.second], target, fingerprint="f", seed=3
    )
    for name in ("value", "measured", "interval", "value_interval", "miss_rate"):
        assert getattr(direct, name) == pytest.approx(getattr(listed, name), abs=1e-6), name
    assert (direct.genuine, direct.impostor, direct.people) == (listed.genuine, listed.impostor, listed.people)
    impostor = scores[~pairs.genuine].tolist()
    assert direct.value == pytest.approx(oracle.smallest_threshold(impostor, target), abs=1e-6)
    # Just below the value, the first score that had to be rejected would be accepted.
    rejected = max(score for score in impostor if score < direct.value)
    assert oracle.error_rate(impostor, rejected) > target >= direct.measured


def test_order_block_size_and_names_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings, people = crowd(30, 4)
    found = calibrate_fmr(embeddings, people, 0.01, fingerprint="")
    order = np.random.default_rng(0).permutation(len(people))
    names = np.array([f"person {label:03d}" for label in people])
    shuffled = calibrate_fmr(embeddings[torch.from_numpy(order)], names[order], 0.01, fingerprint="")
    monkeypatch.setattr(calibration, "_LEAST_LISTED", 1)
    monkeypatch.setattr(calibration, "_DEPTH", 1)
    shallow = calibrate_fmr(embeddings, people, 0.01, fingerprint="")
    for other in (shuffled, shallow):
        assert other.value == pytest.approx(found.value, abs=1e-6)
        assert other.interval == pytest.approx(found.interval)
        assert other.value_interval == pytest.approx(found.value_interval, abs=1e-6)
        assert other.miss_rate == found.miss_rate


@pytest.mark.parametrize("scores_at_once", [1, 50, 700, 2**22])
@pytest.mark.parametrize("wanted", [1, 20, 10**6])
def test_the_listed_impostors_are_the_highest(scores_at_once: int, wanted: int) -> None:
    embeddings, people = crowd(15, 3, seed=2)
    embeddings, people = embeddings[:41], people[:41]
    here = Crowd(embeddings, people, scores_at_once=scores_at_once)
    trials = here.impostors(wanted)
    scores = cosine(embeddings, embeddings).numpy()
    genuine, impostor = oracle.pairs_of(people.tolist())
    expected = np.sort([scores[pair] for pair in impostor])[::-1]
    assert (here.genuine, here.impostor, trials.count) == (len(genuine), len(impostor), len(impostor))
    np.testing.assert_allclose(trials.scores, expected[: len(trials.scores)], atol=1e-6)
    if wanted < len(impostor):
        assert wanted - 1 <= len(trials.scores) <= wanted
        assert trials.floor == pytest.approx(expected[len(trials.scores)], abs=1e-6)
    else:
        assert trials.complete and trials.floor == -np.inf
    by_score = {round(float(scores[i, j]), 4): {int(people[i]), int(people[j])} for i, j in impostor}
    for score, *sides in zip(trials.scores[:5], *trials.sides, strict=False):
        assert by_score[round(float(score), 4)] == {int(side) for side in sides}
    for threshold in (-0.5, 0.3, 0.9):
        assert here.misses(threshold) == sum(scores[pair] < threshold for pair in genuine)


def test_countless_equal_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "_LEAST_LISTED", 1)
    everybody = torch.eye(120)
    everybody[1] = normalise(torch.tensor([[0.6, 0.8] + [0.0] * 118]))
    for most_listed, low in ((2**25, 0.3), (200, -1)):
        monkeypatch.setattr(calibration, "_MOST_LISTED", most_listed)
        found = calibrate_fmr(everybody, np.arange(120), 0.01, fingerprint="")
        # One pair at 0.6, all others at 0, of which 71 would be allowed: none of equal ones can be let in.
        assert (found.errors, found.impostor) == (1, 7140)
        assert found.value == pytest.approx(0.3)
        assert found.value_interval[0] == pytest.approx(low)


def test_the_value_means_the_same_in_float32_and_float64() -> None:
    value = calibrate_fmr(*crowd(40, 3), 0.01, fingerprint="").value
    assert float(np.float32(value)) == value


def test_half_precision_and_people_with_one_picture() -> None:
    embeddings, people = crowd(60, 1)
    found = calibrate_fmr(normalise(embeddings).half(), people, 0.05, fingerprint="", replicates=100)
    assert (found.miss_rate, found.genuine) == (None, 0)
    assert "misses" not in found.describe()


def test_very_many_pictures_are_thinned() -> None:
    embeddings, people = crowd(100, 4)
    every = calibrate_fmr(embeddings, people, 0.01, fingerprint="", replicates=100)
    some = calibrate_fmr(embeddings, people, 0.01, fingerprint="", replicates=100, most=every.impostor // 4)
    assert 0.8 * every.impostor / 4 < some.impostor < 1.1 * every.impostor / 4
    assert abs(some.value - every.value) < 0.05


def test_what_the_data_cannot_support_is_refused_with_what_would_do() -> None:
    embeddings, people = crowd(10, 3)
    with pytest.raises(InputError) as refusal:
        calibrate_fmr(embeddings, people, 1e-3, fingerprint="")
    text = str(refusal.value)
    assert "3,000 comparisons" in text and "10 people with 30 pictures give 405 impostor comparisons" in text
    assert "27 people with 3 pictures each" in text and "target of 0.0075" in text
    assert calibrate_fmr(*crowd(27, 3), 1e-3, fingerprint="").impostor >= 3000
    assert calibrate_fmr(embeddings, people, 0.0075, fingerprint="").impostor == 405
    with pytest.raises(InputError, match=r"100 strangers made 200 searches: 300 searches.*target of 0.015"):
        calibrate_fpir(np.zeros(200), np.arange(200) % 100, 0.01, gallery_people=5, fingerprint="")
    same = np.array([True, False, False, False, False])
    numbers = np.arange(5)
    with pytest.raises(InputError, match=r"of 5 pairs 4 show two people: 30 such pairs"):
        calibrate_fmr_pairs(np.zeros(5), same, numbers, np.where(same, numbers, 9), 0.1, fingerprint="")


@pytest.mark.parametrize("people", [1, 2])
def test_too_few_people_are_refused(people: int) -> None:
    embeddings, labels = crowd(people, 50)
    with pytest.raises(InputError):
        calibrate_fmr(embeddings, labels, 0.1, fingerprint="")
    with pytest.raises(InputError, match="too few"):
        calibrate_fpir(np.linspace(0, 1, len(labels)), labels, 0.1, gallery_people=5, fingerprint="")


def test_bad_arguments_are_refused() -> None:
    embeddings, people = crowd(10, 4)
    for target in (0.0, 1.0, -1.0, math.nan):
        with pytest.raises(UsageError, match="target"):
            calibrate_fmr(embeddings, people, target, fingerprint="")
    for wrong in ({"seed": -1}, {"replicates": 10}):
        with pytest.raises(UsageError, match="replicates"):
            calibrate_fmr(embeddings, people, 0.1, fingerprint="", **wrong)
    spoilt = embeddings.clone()
    spoilt[3, 2] = math.nan
    for rows in (spoilt, embeddings * 1.01, torch.zeros_like(embeddings)):
        with pytest.raises(InputError, match="length 1"):
            calibrate_fmr(rows, people, 0.1, fingerprint="")
    for rows, labels in ((embeddings[:-1], people), (embeddings[0], people[:1]), (embeddings.int(), people)):
        with pytest.raises(InputError, match="one row"):
            calibrate_fmr(rows, labels, 0.1, fingerprint="")
    with pytest.raises(InputError):
        calibrate_fmr(embeddings[:0], people[:0], 0.1, fingerprint="")
    scores, numbers = np.linspace(0, 1, 40), np.arange(40)
    for bad in (scores * 2, np.where(numbers == 3, np.nan, scores), np.where(numbers == 3, -np.inf, scores)):
        with pytest.raises(InputError, match="no cosines"):
            calibrate_fpir(bad, numbers, 0.1, gallery_people=5, fingerprint="")
    with pytest.raises(InputError, match="one score"):
        calibrate_fpir(scores, numbers[:-1], 0.1, gallery_people=5, fingerprint="")
    with pytest.raises(InputError, match="holds somebody"):
        calibrate_fpir(scores, numbers, 0.1, gallery_people=0, fingerprint="")
    with pytest.raises(InputError, match="contradict"):
        calibrate_fmr_pairs(scores, np.ones(40, dtype=np.bool_), numbers, numbers + 1, 0.1, fingerprint="")


@settings(deadline=None)
@given(st.lists(st.integers(-10, 9), min_size=12, max_size=60), st.sampled_from([0.25, 0.3, 0.6]))
def test_searches_equal_to_counting_loops(steps: list[int], target: float) -> None:
    scores = [step / 10 for step in steps]
    found = calibrate_fpir(
        np.array(scores), np.arange(len(scores)) // 2, target, gallery_people=7, fingerprint="", replicates=100
    )
    assert found.value == pytest.approx(oracle.smallest_threshold(scores, target), abs=1e-6)
    exact = [float(np.float32(score)) for score in scores]
    assert found.measured == oracle.error_rate(exact, found.value) <= target
    assert found.errors == sum(score >= found.value for score in exact)
    assert (found.impostor, found.people, found.gallery_people) == (len(scores), -(-len(scores) // 2), 7)
    assert (found.kind, found.genuine, found.miss_rate) == ("fpir", 0, None)


def test_few_people_are_pointed_out() -> None:
    scores = np.linspace(-1, 0.9, 1000)
    assert (
        "only 10 people" in calibrate_fpir(scores, np.arange(1000) % 10, 0.01, gallery_people=5, fingerprint="").caution
    )
    some = calibrate_fpir(scores, np.arange(1000) % 200, 0.01, gallery_people=5, fingerprint="")
    assert "200 strangers are fewer than the 300" in some.caution
    assert not calibrate_fpir(scores, np.arange(1000) % 300, 0.01, gallery_people=5, fingerprint="").caution


rate = st.floats(1e-9, 0.999)


def searched(target: float, people: int) -> Threshold:
    return replace(EXAMPLE, kind="fpir", target=target, measured=0.0, gallery_people=people, fusion="mean")


@given(rate, st.integers(1, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_expected_rate_follows_the_gallery(target: float, calibrated_at: int, size: int, more: int) -> None:
    one_to_one = replace(EXAMPLE, target=target, measured=0.0)
    for threshold, same in ((one_to_one, 1), (searched(target, calibrated_at), calibrated_at)):
        assert expected_fpir(threshold, same) == pytest.approx(target, rel=1e-12)
        assert expected_fpir(threshold, 0) == 0
        assert 0 <= expected_fpir(threshold, size) <= expected_fpir(threshold, size + more) <= 1
    # A threshold set on one person is a threshold set on comparisons.
    assert expected_fpir(searched(target, 1), size) == expected_fpir(one_to_one, size)
    with pytest.raises(UsageError):
        expected_fpir(one_to_one, -1)


def test_expected_rate_is_near_that_of_people_who_resemble_nobody_in_particular() -> None:
    embeddings, people = crowd(600, 1, d=64)
    threshold = calibrate_fmr(embeddings[:300], people[:300], 1e-3, fingerprint="", replicates=100)
    best = cosine(embeddings[300:], embeddings[:200]).amax(dim=1)
    assert float((best >= threshold.value).float().mean()) == pytest.approx(expected_fpir(threshold, 200), abs=0.06)


EXAMPLE = calibrate_fmr(*crowd(40, 3), 0.01, fingerprint="abc", data="d1", seed=4, replicates=100)


@pytest.mark.parametrize("threshold", [EXAMPLE, searched(0.01, 12)])
def test_survives_storage(threshold: Threshold) -> None:
    assert Threshold.from_dict(json.loads(json.dumps(threshold.to_dict(), allow_nan=False))) == threshold


def test_says_what_it_is() -> None:
    text = EXAMPLE.describe()
    assert (
        f"{EXAMPLE.value:.4f}" in text and "target of 1 %" in text and "7,020 impostor comparisons of 40 people" in text
    )
    assert "120 genuine" in text and "false match rate" in text and "\n" not in text
    assert "among 12 people" in searched(0.01, 12).describe()


nonsense: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.text(min_size=300),
    st.lists(st.floats(), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@settings(max_examples=300)
@given(st.sampled_from(sorted(EXAMPLE.to_dict())), nonsense)
def test_nonsense_is_refused_or_sane(name: str, value: Any) -> None:
    try:
        read = Threshold.from_dict({**EXAMPLE.to_dict(), name: value})
    except GalleryError as error:
        assert "calibrate again" in str(error)
        return
    assert -1 <= read.value <= 1 and 0 <= read.measured <= read.target < 1
    json.dumps(read.to_dict(), allow_nan=False)
    read.describe()


@pytest.mark.parametrize(
    "change",
    [
        {"value": math.nan},
        {"value": 1.5},
        {"value": "0.4"},
        {"value": True},
        {"kind": "guess"},
        {"kind": "fpir"},
        {"gallery_people": 5},
        {"target": 0},
        {"measured": 0.02},
        {"measured": -0.1},
        {"interval": [0.2, 0.1]},
        {"interval": [0.1]},
        {"interval": "ab"},
        {"interval": [0.0, math.inf]},
        {"value_interval": [-2, 0]},
        {"miss_rate": None},
        {"miss_rate": 1.5},
        {"genuine": 0},
        {"genuine": 3.5},
        {"impostor": 0},
        {"people": True},
        {"fingerprint": None},
        {"fingerprint": "a\nb"},
        {"seed": -1},
        {"extra": 1},
    ],
)
def test_each_kind_of_nonsense_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(GalleryError, match="stored threshold cannot be used"):
        Threshold.from_dict({**EXAMPLE.to_dict(), **change})


@pytest.mark.parametrize("name", sorted(asdict(EXAMPLE)))
def test_a_missing_entry_is_refused(name: str) -> None:
    with pytest.raises(GalleryError):
        Threshold.from_dict({key: value for key, value in EXAMPLE.to_dict().items() if key != name})


@pytest.mark.parametrize("values", [[], None, "text", 3])
def test_what_is_no_object_is_refused(values: Any) -> None:
    with pytest.raises(GalleryError):
        Threshold.from_dict(values)
