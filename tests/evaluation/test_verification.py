"""Verification figures against counting loops, known distributions, and every edge."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import oracles_evaluation as oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from facenet.errors import InputError, UsageError
from facenet.evaluation.halves import HalvesAccuracy
from facenet.evaluation.pairs import all_or_sampled_pairs
from facenet.evaluation.verification import Rate, Verification, impostor_pairs_needed, verify_pairs

# Few distinct scores: most pairs are tied with others, across genuine and impostor.
tied_score = st.integers(-4, 4).map(lambda step: step / 4)
any_score = st.one_of(tied_score, st.floats(-1, 1))


@st.composite
def scored_pairs(draw: st.DrawFn) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    genuine = draw(st.lists(any_score, min_size=1, max_size=15))
    impostor = draw(st.lists(any_score, min_size=1, max_size=25))
    kinds = [True] * len(genuine) + [False] * len(impostor)
    return np.array(genuine + impostor), np.array(kinds)


@settings(deadline=None)
@given(scored_pairs(), st.sampled_from([0.2, 0.29, 0.5, 0.9]))
def test_equal_to_counting_loops(pairs: tuple[NDArray[np.float64], NDArray[np.bool_]], target: float) -> None:
    scores, genuine = pairs
    result = verify_pairs(scores, genuine, targets=(target,))
    assert result.roc_auc == pytest.approx(oracle.roc_auc(scores.tolist(), genuine.tolist()))
    assert result.eer == pytest.approx(oracle.equal_error_rate(scores.tolist(), genuine.tolist()), abs=1e-9)
    rate = result.tar_at_fmr[target]
    if (~genuine).sum() < 3 / target:
        assert rate.value is None and "needs at least" in rate.reason
    else:
        assert rate.value == oracle.tar_at_fmr(scores.tolist(), genuine.tolist(), target)
        assert rate.threshold is not None
        assert (rate.fmr, rate.value) == oracle.rates_at(scores.tolist(), genuine.tolist(), rate.threshold)
        assert rate.false_matches == ((scores >= rate.threshold) & ~genuine).sum()


@settings(deadline=None)
@given(scored_pairs())
def test_eer_threshold_is_the_closest_to_equality(pairs: tuple[NDArray[np.float64], NDArray[np.bool_]]) -> None:
    scores, genuine = pairs
    result = verify_pairs(scores, genuine)
    fmr, tar = oracle.rates_at(scores.tolist(), genuine.tolist(), result.eer_threshold)
    closest = min(abs(f - (1 - t)) for f, t in oracle.operating_points(scores.tolist(), genuine.tolist()))
    assert abs(fmr - (1 - tar)) == pytest.approx(closest)
    assert min(scores) <= result.eer_threshold <= max(scores)


@settings(deadline=None)
@given(scored_pairs(), st.randoms(use_true_random=False), st.integers(0, 3))
def test_order_of_pairs_does_not_matter(
    pairs: tuple[NDArray[np.float64], NDArray[np.bool_]], random: Any, seed: int
) -> None:
    scores, genuine = pairs
    order = np.arange(len(scores))
    random.shuffle(order)
    one = verify_pairs(scores, genuine, targets=(0.3,), seed=seed)
    other = verify_pairs(scores[order], genuine[order], targets=(0.3,), seed=seed)
    assert one == other


def test_order_does_not_matter_with_people() -> None:
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(9), 4)
    pairs = all_or_sampled_pairs(labels)
    scores = pairs.genuine * 0.5 + generator.normal(size=len(pairs))
    order = generator.permutation(len(pairs))
    people = pairs.people(labels)
    turned = people[order, ::-1]
    assert verify_pairs(scores, pairs.genuine, people=people) == verify_pairs(
        scores[order], pairs.genuine[order], people=turned
    )


def test_auc_is_that_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    genuine = generator.random(5000) < 0.1
    scores = (genuine + generator.normal(size=5000)).round(1).astype(np.float32)
    assert verify_pairs(scores, genuine).roc_auc == pytest.approx(roc_auc_score(genuine, scores), abs=1e-12)


def test_two_normal_distributions_give_the_textbook_figures() -> None:
    generator = np.random.default_rng(0)
    genuine = np.arange(240_000) < 40_000
    scores = generator.normal(size=len(genuine)) + 2.0 * genuine
    result = verify_pairs(scores, genuine)
    assert result.roc_auc == pytest.approx(norm.cdf(2 / np.sqrt(2)), abs=3e-3)
    assert result.eer == pytest.approx(norm.cdf(-1), abs=4e-3)
    assert result.eer_threshold == pytest.approx(1, abs=0.05)
    assert result.balanced_accuracy == pytest.approx(norm.cdf(1), abs=4e-3)
    for target, rate in result.tar_at_fmr.items():
        assert rate.value == pytest.approx(norm.sf(norm.isf(target) - 2), abs=0.02)


def test_ideal_embedder_is_perfect() -> None:
    genuine = np.arange(4000) < 100
    result = verify_pairs(genuine.astype(np.float32), genuine)
    assert (result.roc_auc, result.eer, result.balanced_accuracy) == (1.0, 0.0, 1.0)
    assert [(rate.value, rate.false_matches) for rate in result.tar_at_fmr.values()] == [(1.0, 0), (1.0, 0)]
    assert result.eer_threshold == 0.5
    assert result.halves.thresholds == (0.5, 0.5)


def test_constant_embedder_is_chance() -> None:
    genuine = np.arange(4000) < 100
    result = verify_pairs(np.full(4000, 0.7), genuine)
    assert (result.roc_auc, result.eer, result.balanced_accuracy) == (0.5, 0.5, 0.5)
    for rate in result.tar_at_fmr.values():
        assert (rate.value, rate.fmr, rate.false_matches) == (0.0, 0.0, 0)
        assert rate.threshold is not None and rate.threshold > 0.7


def test_inverted_embedder_is_worse_than_chance() -> None:
    genuine = np.arange(4000) < 100
    result = verify_pairs(-genuine.astype(np.float64), genuine)
    assert (result.roc_auc, result.eer) == (0.0, 1.0)
    assert result.tar_at_fmr[1e-2].value == 0.0


def test_ties_with_one_impostor_too_many_are_all_refused() -> None:
    impostors = np.concatenate([np.full(4, 0.8), np.full(296, 0.2)])
    scores = np.concatenate([[0.9, 0.8, 0.8, 0.1], impostors])
    genuine = np.arange(304) < 4
    rate = verify_pairs(scores, genuine, targets=(1e-2,)).tar_at_fmr[1e-2]
    assert (rate.value, rate.false_matches) == (0.25, 0)
    scores[4] = 0.2
    rate = verify_pairs(scores, genuine, targets=(1e-2,)).tar_at_fmr[1e-2]
    assert (rate.value, rate.false_matches, rate.fmr) == (0.75, 3, 0.01)


def test_the_fewest_false_matches_among_equal_tars() -> None:
    scores = np.concatenate([[0.9], [0.5], np.zeros(299)])
    rate = verify_pairs(scores, np.arange(301) < 1, targets=(1e-2,)).tar_at_fmr[1e-2]
    assert (rate.value, rate.false_matches, rate.threshold) == (1.0, 0, 0.7)


@pytest.mark.parametrize(("target", "needed"), [(1e-1, 30), (1e-2, 300), (1e-3, 3000), (1e-4, 30_000), (0.07, 43)])
def test_rates_the_comparisons_cannot_carry_are_not_given(target: float, needed: int) -> None:
    assert impostor_pairs_needed(target) == needed
    for impostors, carried in ((needed - 1, False), (needed, True)):
        genuine = np.arange(impostors + 2) < 2
        rate = verify_pairs(genuine.astype(np.float64), genuine, targets=(target,)).tar_at_fmr[target]
        assert (rate.value is not None) == carried
        if not carried:
            assert rate.reason == f"FMR {target:g} needs at least {needed:,} impostor pairs, there are {impostors:,}"


def test_neighbouring_floats_are_kept_apart() -> None:
    low = 0.5
    high = float(np.nextafter(low, 1))
    result = verify_pairs(np.array([high] * 2 + [low] * 30), np.arange(32) < 2, targets=(0.1,))
    rate = result.tar_at_fmr[0.1]
    assert (rate.value, rate.threshold, result.balanced_accuracy) == (1.0, high, 1.0)


class Lookup:
    """Pairs of a made-up set of people, with the scores that a rule gives them."""

    def __init__(self, pictures: list[int]) -> None:
        self.labels = np.repeat(np.arange(len(pictures)), pictures)
        self.pairs = all_or_sampled_pairs(self.labels)
        self.people = self.pairs.people(self.labels)


def test_halves_share_no_person() -> None:
    data = Lookup([3] * 7 + [1] * 4)
    scores = data.pairs.genuine.astype(np.float64)
    for seed in range(5):
        result = verify_pairs(scores, data.pairs.genuine, people=data.people, seed=seed).halves
        assert result.split == "people"
        # The seven with several pictures fall into 4 and 3, the four others into 2 and 2; pairs across are left out.
        assert result.pairs == (count_within([3, 3, 3, 3, 1, 1]), count_within([3, 3, 3, 1, 1]))


def count_within(pictures: list[int]) -> int:
    return sum(pictures) * (sum(pictures) - 1) // 2


def test_the_threshold_of_one_half_is_scored_on_the_other() -> None:
    data = Lookup([4, 4, 4, 4])
    # For even people same-person pairs score 1 and others 0; for odd ones 3 and 2: each half alone is perfectly
    # separable, and its threshold is worth 0.5 on the other.
    for seed in range(20):
        odd = data.people.max(axis=1) >= 2
        scores = data.pairs.genuine + 2.0 * odd
        result = verify_pairs(scores, data.pairs.genuine, people=data.people, seed=seed).halves
        if sorted(result.thresholds) == [0.5, 2.5]:
            assert result.scores == (0.5, 0.5) and result.value == 0.5
            return
    raise AssertionError("no seed parted the two kinds of people")


def test_the_best_threshold_lies_in_the_widest_gap() -> None:
    data = Lookup([3, 3, 3, 3])
    people = np.sort(data.people, axis=1)
    scores = np.empty(len(people))
    for who in np.unique(people, axis=0):
        alike = [0.9, 0.9, 0.2] if who[0] == who[1] else [0.8] * 3 + [-0.5] * 6
        scores[(people == who).all(axis=1)] = alike
    # Two of three genuine and no impostor pair, or all genuine pairs and a third of the others, are equally good.
    halves = verify_pairs(scores, data.pairs.genuine, people=data.people).halves
    assert halves.thresholds == pytest.approx((-0.15, -0.15))
    assert halves.value == pytest.approx(5 / 6)


def test_too_few_people_fall_back_to_pairs_and_too_few_pairs_to_none() -> None:
    data = Lookup([4, 4, 1])
    scores = data.pairs.genuine.astype(np.float64)
    assert verify_pairs(scores, data.pairs.genuine, people=data.people).halves.split == "pairs"
    few = verify_pairs(np.array([1.0, 0.0, 0.1]), np.array([True, False, False]))
    assert few.halves == HalvesAccuracy(
        None, (), (), "none", (), "two halves need at least 2 genuine and 2 impostor pairs"
    )
    assert few.balanced_accuracy is None


@settings(deadline=None)
@given(scored_pairs(), st.integers(0, 3))
def test_halves_by_pairs_are_stratified(pairs: tuple[NDArray[np.float64], NDArray[np.bool_]], seed: int) -> None:
    scores, genuine = pairs
    halves = verify_pairs(scores, genuine, seed=seed).halves
    if min(genuine.sum(), (~genuine).sum()) < 2:
        assert halves.value is None
        return
    assert halves.value is not None
    assert halves.pairs[0] == genuine.sum() // 2 + (~genuine).sum() // 2
    assert sum(halves.pairs) == len(scores)
    assert halves.value == pytest.approx(sum(halves.scores) / 2)


def test_noise_is_not_flattered_by_tuning() -> None:
    values = []
    for seed in range(40):
        generator = np.random.default_rng(seed)
        genuine = np.arange(60) < 20
        scores = generator.normal(size=60)
        values.append(verify_pairs(scores, genuine, seed=seed).balanced_accuracy)
    tuned = [
        oracle.best_balanced_accuracy(np.random.default_rng(s).normal(size=60).tolist(), (np.arange(60) < 20).tolist())
        for s in range(40)
    ]
    assert np.mean(values) == pytest.approx(0.5, abs=0.03)
    assert np.mean(tuned) > 0.58


def test_json_holds_every_figure() -> None:
    genuine = np.arange(500) < 100
    document = verify_pairs(np.full(500, 1.0), genuine).to_dict()
    again = json.loads(json.dumps(document, allow_nan=False))
    assert again == document
    assert set(again["tar_at_fmr"]) == {"0.01", "0.001"}
    assert again["tar_at_fmr"]["0.001"]["value"] is None
    assert again["halves"]["split"] == "pairs"


def test_bad_input_is_refused() -> None:
    scores, genuine = np.array([0.1, 0.9, 0.3]), np.array([False, True, False])
    for bad in (np.nan, np.inf, -np.inf):
        with pytest.raises(InputError, match="1 of 3 scores are not finite"):
            verify_pairs(np.array([0.1, bad, 0.3]), genuine)
    with pytest.raises(InputError, match="none is impostor"):
        verify_pairs(scores, np.ones(3, dtype=bool))
    with pytest.raises(InputError, match="none is genuine"):
        verify_pairs(scores, np.zeros(3, dtype=bool))
    with pytest.raises(InputError, match="of 0 none is genuine"):
        verify_pairs(np.empty(0), np.empty(0, dtype=bool))
    with pytest.raises(InputError, match="one score"):
        verify_pairs(scores, genuine[:2])
    with pytest.raises(InputError, match="one score"):
        verify_pairs(scores, genuine.astype(int))
    with pytest.raises(InputError, match="two people per pair"):
        verify_pairs(scores, genuine, people=np.zeros((2, 2)))
    with pytest.raises(InputError, match="contradict"):
        verify_pairs(scores, genuine, people=np.zeros((3, 2)))
    with pytest.raises(UsageError, match="between 0 and 1"):
        verify_pairs(scores, genuine, targets=(0.0,))


def test_results_that_contradict_themselves_are_refused() -> None:
    rate = Rate(0.1, 0.5, 0.05, 0.3, 5, 100)
    halves = HalvesAccuracy(0.8, (0.7, 0.9), (0.1, 0.2), "people", (5, 5))
    Verification(10, 100, 0.9, 0.1, 0.4, {0.1: rate}, halves)
    for wrong in (
        lambda: Rate(0.1, None, 0.05, 0.3, 5, 100),
        lambda: Rate(0.1, 0.5, 0.2, 0.3, 20, 100),
        lambda: Rate(0.1, 1.5, 0.05, 0.3, 5, 100),
        lambda: HalvesAccuracy(0.8, (0.7,), (0.1, 0.2), "people", (5, 5)),
        lambda: HalvesAccuracy(0.8, (0.7, 0.9), (0.1, 0.2), "none", (5, 5)),
        lambda: HalvesAccuracy(0.8, (0.7, 1.9), (0.1, 0.2), "pairs", (5, 5)),
        lambda: Verification(0, 100, 0.9, 0.1, 0.4, {0.1: rate}, halves),
        lambda: Verification(10, 99, 0.9, 0.1, 0.4, {0.1: rate}, halves),
        lambda: Verification(10, 100, 0.9, float("nan"), 0.4, {0.1: rate}, halves),
    ):
        with pytest.raises(ValueError):
            wrong()
