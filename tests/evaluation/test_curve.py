"""The ROC against scikit-learn and against counting, at every tie and for every type of score."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import oracles_evaluation as oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from facenet.evaluation.curve import Curve, best_threshold, curve_of, thin_curve

tied = st.integers(-4, 4).map(lambda step: step / 4)
narrow = st.floats(-1, 1, width=32)
kinds = st.lists(st.booleans(), min_size=2, max_size=30).filter(lambda same: any(same) and not all(same))


@st.composite
def scored(draw: st.DrawFn) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    genuine = draw(kinds)
    kind = draw(st.sampled_from([np.float32, np.float64]))
    score = st.one_of(tied, narrow if kind == np.float32 else st.floats(-1, 1))
    scores = draw(st.lists(score, min_size=len(genuine), max_size=len(genuine)))
    return np.array(scores, dtype=kind), np.array(genuine)


def large(n: int, genuine: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    generator = np.random.default_rng(seed)
    same = generator.permutation(n) < genuine
    return (generator.normal(0, 0.1, n) + 0.4 * same).clip(-1, 1).astype(np.float32), same


@settings(deadline=None)
@given(scored())
def test_the_points_are_those_of_scikit_learn(pairs: tuple[NDArray[Any], NDArray[np.bool_]]) -> None:
    scores, genuine = pairs
    curve = curve_of(scores, genuine)
    fmr, tar, lowest = roc_curve(genuine, scores.astype(np.float64), drop_intermediate=False)
    np.testing.assert_array_equal(curve.fmr, fmr)
    np.testing.assert_array_equal(curve.tar, tar)
    levels = lowest[1:]
    np.testing.assert_array_equal(curve.gaps, [0.0, *(levels[:-1] - levels[1:]), 0.0])
    assert (curve.genuine_pairs, curve.impostor_pairs) == (genuine.sum(), (~genuine).sum())
    np.testing.assert_array_equal(curve.matches, [(scores[genuine] >= level).sum() for level in lowest])
    np.testing.assert_array_equal(curve.false_matches, [(scores[~genuine] >= level).sum() for level in lowest])


@settings(deadline=None)
@given(scored())
def test_every_threshold_does_what_its_point_says(pairs: tuple[NDArray[Any], NDArray[np.bool_]]) -> None:
    scores, genuine = pairs
    curve = curve_of(scores, genuine)
    assert (np.diff(curve.thresholds) < 0).all() and np.isfinite(curve.thresholds).all()
    for fmr, tar, threshold in zip(curve.fmr, curve.tar, curve.thresholds.tolist(), strict=True):
        assert oracle.rates_at(scores.tolist(), genuine.tolist(), threshold) == (fmr, tar)
        # NumPy compares float32 with a Python number in float32.
        accepted = scores >= threshold
        assert (accepted[~genuine].mean(), accepted[genuine].mean()) == (fmr, tar)
    levels = np.unique(scores)[::-1].astype(np.float64)
    np.testing.assert_allclose(curve.thresholds[1:-1], (levels[:-1] + levels[1:]) / 2, rtol=1e-7, atol=1e-44)
    assert curve.thresholds[-1] == levels[-1]


def test_neighbouring_numbers_are_kept_apart() -> None:
    for kind in (np.float32, np.float64):
        low = kind(0.3)
        high = np.nextafter(low, kind(1))
        curve = curve_of(np.array([low, high, high], dtype=kind), np.array([False, True, True]))
        assert curve.thresholds[1] == high
        assert (curve.fmr.tolist(), curve.tar.tolist()) == ([0, 0, 1], [0, 1, 1])


def test_both_zeros_are_one_score() -> None:
    curve = curve_of(np.array([0.0, -0.0, 0.0, -0.0], dtype=np.float32), np.array([True, True, False, False]))
    assert (curve.fmr.tolist(), curve.tar.tolist()) == ([0, 1], [0, 1])


@pytest.mark.parametrize("genuine", [300, 50_000, 99_900])
def test_whichever_kind_is_rarer(genuine: int) -> None:
    scores, same = large(100_000, genuine)
    curve = curve_of(scores, same)
    fmr, tar, _ = roc_curve(same, scores, drop_intermediate=False)
    np.testing.assert_array_equal(curve.fmr, fmr)
    np.testing.assert_array_equal(curve.tar, tar)


@given(scored(), st.randoms(use_true_random=False))
def test_order_and_repetition_change_nothing(pairs: tuple[NDArray[Any], NDArray[np.bool_]], random: Any) -> None:
    scores, genuine = pairs
    curve = curve_of(scores, genuine)
    order = random.sample(range(len(scores)), len(scores))
    for other in (curve_of(scores[order], genuine[order]), curve_of(np.tile(scores, 3), np.tile(genuine, 3))):
        for column, again in zip(curve[:4], other[:4], strict=True):
            np.testing.assert_array_equal(column, again)


def test_memory_and_arguments_are_left_alone() -> None:
    n = 400_000
    scores, genuine = large(n, 4000)
    before = scores.copy()
    tracemalloc.start()
    curve_of(scores, genuine)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 62 * n
    np.testing.assert_array_equal(scores, before)


def test_the_best_threshold_lies_in_the_widest_gap_and_of_equal_gaps_it_is_the_highest() -> None:
    curve = curve_of(np.array([0.9, 0.8, 0.4, 0.3, -0.1]), np.array([True, False, True, False, True]))
    assert best_threshold(curve, np.array([0, 1, 1, 1, 0, 0])) == pytest.approx(0.6)
    assert best_threshold(curve, np.array([0, 0, 2, 1, 2, 3])) == -0.1
    even = curve_of(np.array([0.75, 0.5, 0.25]), np.array([True, False, True]))
    assert best_threshold(even, np.array([1, 1, 1, 1])) == 0.625


def test_a_thin_curve_keeps_its_ends_and_reaches_every_part() -> None:
    scores, genuine = large(300_000, 20_000)
    curve = curve_of(scores, genuine)
    thin = thin_curve(curve, points=600)
    assert 400 < len(thin.fmr) <= 600 and len(curve.fmr) > 100_000
    places = np.searchsorted(-curve.thresholds, -thin.thresholds)
    for column, whole in zip(thin[:4], curve[:4], strict=True):
        np.testing.assert_array_equal(column, whole[places])
    assert (thin.fmr[0], thin.tar[0], thin.fmr[-1], thin.tar[-1]) == (0, 0, 1, 1)
    assert thin[4:] == curve[4:]
    # Every decade of either error rate has its points, and no step of TAR is wide.
    for low, high in ((1e-4, 1e-3), (1e-3, 1e-2), (1e-2, 1e-1)):
        assert ((thin.fmr >= low) & (thin.fmr < high)).sum() > 20
        assert ((1 - thin.tar >= low) & (1 - thin.tar < high)).sum() > 20
    assert np.diff(thin.tar).max() < 0.01


def test_a_short_curve_stays_as_it_is() -> None:
    curve = curve_of(np.array([0.9, 0.1]), np.array([True, False]))
    assert thin_curve(curve, points=3) is curve
    assert isinstance(thin_curve(curve, points=2), Curve)
    assert thin_curve(curve, points=2).fmr.tolist() == [0, 1]


@pytest.mark.slow
def test_as_many_pairs_as_a_template_protocol_has() -> None:
    scores, genuine = large(15_600_000, 19_000)
    curve = curve_of(scores, genuine)
    assert curve.genuine_pairs == 19_000 and len(curve.fmr) > 10_000_000
    place = int(np.searchsorted(curve.fmr, 1e-4, side="right")) - 1
    threshold = np.float32(curve.thresholds[place])
    assert np.mean(scores[~genuine] >= threshold) == curve.fmr[place] <= 1e-4
    assert np.mean(scores[genuine] >= threshold) == curve.tar[place]
