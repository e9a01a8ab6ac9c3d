"""Resampled people against crowds built copy by copy, and intervals against populations whose truth is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import oracles_calibration as oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import norm

from facenet.errors import InputError
from facenet.evaluation.bootstrap import resample_people, settle
from facenet.evaluation.calibration import calibrate_fmr_pairs, calibrate_fpir
from facenet.evaluation.intervals import interval_of
from facenet.evaluation.rates import (
    chance_of_any,
    errors_allowed,
    people_needed,
    target_supported,
    thresholds_above,
)
from facenet.evaluation.trials import Trials, listed_trials
from facenet.evaluation.verification import impostor_pairs_needed

rate = st.floats(1e-12, 1 - 1e-6)


def impostor_scores(people: list[int], seed: int) -> dict[tuple[int, int], float]:
    generator = np.random.default_rng(seed)
    return {pair: float(np.float32(generator.uniform(-1, 1))) for pair in oracle.pairs_of(people)[1]}


@pytest.mark.parametrize("people", [[0, 0, 0, 1, 2, 2], [0, 1, 2], [0, 1, 1, 2, 3, 3, 3, 4]])
def test_replicates_are_those_of_crowds_built_copy_by_copy(people: list[int]) -> None:
    scores = impostor_scores(people, seed=1)
    pairs = list(scores)
    sides = [np.array([people[pair[side]] for pair in pairs], dtype=np.int32) for side in (0, 1)]
    count = max(people) + 1
    listed = listed_trials(np.array([scores[pair] for pair in pairs], dtype=np.float32), *sides)
    threshold = float(np.median(list(scores.values())))
    found = resample_people(listed, threshold, 0.3, replicates=40, seed=5)

    generator = np.random.default_rng(5)
    crowds = [generator.integers(count, size=count).tolist() for _ in range(40)]
    expected = [oracle.resampled_rate(drawn, people, scores, threshold) for drawn in crowds]
    np.testing.assert_allclose(found.rates, [value for value in expected if value is not None])
    values = []
    for drawn in crowds:
        shown = [
            scores[min(i, j), max(i, j)]
            for place, one in enumerate(drawn)
            for other in drawn[place + 1 :]
            if one != other
            for i in range(len(people))
            for j in range(len(people))
            if (people[i], people[j]) == (one, other)
        ]
        if shown:
            # The score that has to be rejected; the next higher one is looked up among all trials.
            rejected = sorted(shown, reverse=True)[errors_allowed(0.3, len(shown))]
            values.append(oracle.smallest_threshold([s for s in scores.values() if s >= rejected], 0.999999))
    np.testing.assert_allclose(found.values, values, atol=1e-6)

    pictures = np.bincount(people)
    counted = Trials(listed.scores, listed.sides, -np.inf, len(pairs), count, pictures)
    np.testing.assert_array_equal(resample_people(counted, threshold, 0.3, replicates=40, seed=5).rates, found.rates)


def test_searches_are_resampled_by_stranger() -> None:
    people, scores = [0, 0, 1, 2, 2, 2, 3], [0.9, 0.1, 0.5, 0.6, 0.2, 0.8, 0.3]
    trials = listed_trials(np.array(scores, dtype=np.float32), np.array(people, dtype=np.int32))
    found = resample_people(trials, 0.55, 0.3, replicates=50, seed=2)
    generator = np.random.default_rng(2)
    expected = [
        oracle.resampled_search_rate(generator.integers(4, size=4).tolist(), people, scores, 0.55) for _ in range(50)
    ]
    np.testing.assert_allclose(found.rates, expected)


def test_trials_that_are_not_listed_change_nothing_above_the_floor() -> None:
    generator = np.random.default_rng(3)
    people = np.repeat(np.arange(40), 3)
    first, second = np.triu_indices(len(people), 1)
    apart = people[first] != people[second]
    scores = generator.normal(0, 0.2, int(apart.sum())).clip(-1, 1).astype(np.float32)
    sides = [people[side[apart]].astype(np.int32) for side in (first, second)]
    every = listed_trials(scores, *sides)
    kept = every.scores > every.scores[370]
    few = Trials(
        every.scores[kept],
        (every.sides[0][kept], every.sides[1][kept]),
        float(every.scores[370]),
        every.count,
        40,
        np.full(40, 3),
    )
    assert settle(few, 0.01, replicates=200, seed=0) == settle(every, 0.01, replicates=200, seed=0)
    assert not few.complete and every.complete
    shallow, deep = (settle(trials, 0.05, replicates=200, seed=0) for trials in (few, every))
    assert shallow.shallow and not deep.shallow
    assert (shallow.value, shallow.interval) == (deep.value, deep.interval)
    assert shallow.value_interval == (-1, deep.value_interval[1])


def test_people_who_are_all_alike_give_no_width() -> None:
    sides = [np.array(side, dtype=np.int32) for side in zip(*oracle.pairs_of(range(12))[1], strict=True)]
    flat = listed_trials(np.full(66, 0.25, dtype=np.float32), *sides)
    settled = settle(flat, 0.1, replicates=100, seed=0)
    assert (settled.errors, settled.value) == (0, pytest.approx(0.25 + 1e-6, abs=1e-7))
    # Nothing was accepted, and that is no proof that nothing ever will be.
    assert settled.interval == (0, 3 / 66)


def test_the_same_picture_under_many_names_is_refused() -> None:
    sides = [np.array(side, dtype=np.int32) for side in zip(*oracle.pairs_of(range(12))[1], strict=True)]
    copies = listed_trials(np.ones(66, dtype=np.float32), *sides)
    with pytest.raises(InputError, match="7 or more of 66 impostor comparisons score 1"):
        settle(copies, 0.1, replicates=100, seed=0)


@given(st.lists(st.integers(-20, 20), min_size=1, max_size=30))
def test_thresholds_reject_their_score_and_accept_the_next(steps: list[int]) -> None:
    scores = np.sort(np.array(steps, dtype=np.float32) / 20)[::-1]
    cuts = thresholds_above(scores)
    assert cuts.dtype == np.float32
    for score, cut in zip(scores, cuts, strict=True):
        assert score < cut
        assert all(cut <= higher for higher in scores[scores > score])


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=20))
def test_thresholds_of_any_float64(scores: list[float]) -> None:
    for score, cut in zip(scores, thresholds_above(np.array(scores)), strict=True):
        assert score < cut <= min((other for other in scores if other > score), default=2)


def test_thresholds_between_neighbouring_numbers() -> None:
    low = np.float32(0.3)
    high = np.nextafter(low, np.float32(1))
    np.testing.assert_array_equal(thresholds_above(np.array([high, low]))[1:], [high])


@given(st.integers(1, 10**7), rate)
def test_allowed_errors_are_the_most_within_the_target(trials: int, target: float) -> None:
    errors = errors_allowed(target, trials)
    assert errors / trials <= target < (errors + 1) / trials


@given(st.integers(4, 10**12))
def test_offered_target_is_supported(trials: int) -> None:
    assert impostor_pairs_needed(target_supported(trials)) <= trials
    assert target_supported(trials) <= 1.1 * 3 / trials + 1e-15


@given(st.integers(1, 10**10), st.integers(1, 50))
def test_people_needed_suffice_and_one_less_does_not(comparisons: int, pictures: int) -> None:
    people = people_needed(comparisons, pictures)
    assert pictures**2 * people * (people - 1) // 2 >= comparisons
    assert pictures**2 * (people - 1) * (people - 2) // 2 < comparisons


@given(rate, st.floats(0, 1e9), st.floats(0, 1e9))
def test_chance_of_any_rises_with_rate_and_times(one: float, times: float, more: float) -> None:
    assert 0 <= chance_of_any(one, times) <= chance_of_any(one, times + more) <= 1
    assert chance_of_any(one / 2, times) <= chance_of_any(one, times)
    assert chance_of_any(one, 1) == pytest.approx(one, rel=1e-12)
    assert chance_of_any(one, 0) == 0
    assert chance_of_any(one, times) <= one * times * (1 + 1e-9) or times < 1


@given(rate, st.floats(0, 1000), st.floats(0, 1000))
def test_chances_of_two_galleries_multiply(one: float, here: float, there: float) -> None:
    neither = (1 - chance_of_any(one, here)) * (1 - chance_of_any(one, there))
    assert 1 - chance_of_any(one, here + there) == pytest.approx(neither, abs=1e-9)


def test_chance_of_tiny_rates_is_not_lost_in_rounding() -> None:
    assert chance_of_any(1e-18, 1000) == pytest.approx(1e-15, rel=1e-12)
    assert (chance_of_any(1.0, 5), chance_of_any(1.0, 0), chance_of_any(0.0, 5)) == (1, 0, 0)


def coverage(
    simulate: Callable[[int], tuple[tuple[float, float], tuple[float, float], float]], times: int
) -> tuple[float, float]:
    """Share of simulated data sets whose interval holds the truth: by person, and by comparison."""
    results = [simulate(seed) for seed in range(times)]
    held = [[low <= truth <= high for low, high in (by_person, apart)] for by_person, apart, truth in results]
    by_person, by_comparison = np.mean(held, axis=0)
    return float(by_person), float(by_comparison)


def interval_by_comparison(count: int, measured: float, seed: int) -> tuple[float, float]:
    """What a bootstrap that takes every comparison for independent would say."""
    return interval_of(np.random.default_rng(seed).binomial(count, measured, 1000) / count)


def population(seed: int, people: int, person: float, pair: float) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Impostor scores of pairs of people, where some people are more confusable than others."""
    generator = np.random.default_rng(seed)
    pairs = np.stack(np.triu_indices(people, 1))
    effects = generator.normal(0, person, people)[pairs].sum(axis=0)
    return (effects + generator.normal(0, pair, pairs.shape[1])).astype(np.float32), pairs


@pytest.mark.slow
def test_intervals_by_person_cover_the_truth_and_those_by_pair_do_not() -> None:
    person, pair, target = 0.05, 0.1, 0.05
    spread = float(np.hypot(np.sqrt(2) * person, pair))
    values = []

    def simulate(seed: int) -> tuple[tuple[float, float], tuple[float, float], float]:
        scores, (first, second) = population(seed, 60, person, pair)
        same = np.zeros(len(scores), dtype=np.bool_)
        found = calibrate_fmr_pairs(scores, same, first, second, target, fingerprint="", replicates=400, seed=seed)
        low, high = found.value_interval
        values.append(low <= norm.isf(target, scale=spread) <= high)
        truth = float(norm.sf(found.value, scale=spread))
        return found.interval, interval_by_comparison(found.impostor, found.measured, seed), truth

    by_person, by_pair = coverage(simulate, 250)
    assert 0.9 <= by_person <= 0.99
    assert 0.9 <= np.mean(values) <= 0.99
    assert by_pair < 0.7


@pytest.mark.slow
def test_intervals_of_searches_cover_the_truth() -> None:
    person, picture, target = 0.08, 0.08, 0.05
    spread = float(np.hypot(person, picture))

    def simulate(seed: int) -> tuple[tuple[float, float], tuple[float, float], float]:
        generator = np.random.default_rng(seed)
        strangers = np.repeat(np.arange(150), 8)
        scores = generator.normal(0, person, 150)[strangers] + generator.normal(0, picture, len(strangers))
        found = calibrate_fpir(scores, strangers, target, gallery_people=10, fingerprint="", replicates=400, seed=seed)
        truth = float(norm.sf(found.value, scale=spread))
        return found.interval, interval_by_comparison(found.impostor, found.measured, seed), truth

    by_person, by_search = coverage(simulate, 250)
    assert 0.9 <= by_person <= 0.99
    assert by_search < 0.85


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_the_seed_alone_decides(seed: int) -> None:
    scores, (first, second) = population(1, 12, 0.05, 0.1)
    trials = listed_trials(scores, first.astype(np.int32), second.astype(np.int32))
    one, again, other = (settle(trials, 0.1, replicates=100, seed=number) for number in (seed, seed, seed + 1))
    assert one == again
    assert one.interval != other.interval or one.value_interval != other.value_interval
