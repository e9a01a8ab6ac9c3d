"""Accuracy by folds against a loop over every threshold, and every way in which folds can be unfit."""

from __future__ import annotations

import json
import math

import numpy as np
import oracles_verification as oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_comparisons import dyadic, few_comparisons

from facenet.errors import InputError
from facenet.evaluation.comparisons import Comparisons
from facenet.evaluation.folds import FoldAccuracy, accuracy_on_folds


def accuracy_of(comparisons: Comparisons) -> FoldAccuracy:
    assert comparisons.folds is not None
    return accuracy_on_folds(comparisons.scores, comparisons.genuine, comparisons.folds)


@settings(deadline=None)
@given(few_comparisons(folds=3))
def test_equal_to_a_loop_over_every_threshold(comparisons: Comparisons) -> None:
    assert comparisons.folds is not None
    found = accuracy_of(comparisons)
    scores, folds = comparisons.scores.tolist(), comparisons.folds.tolist()
    expected = oracle.fold_accuracies([scores] * 3, comparisons.genuine.tolist(), folds)
    assert list(found.accuracies) == [accuracy for accuracy, _ in expected]
    np.testing.assert_allclose(found.thresholds, [threshold for _, threshold in expected], atol=1e-7)
    assert found.fold_numbers == (2, 5, 8)
    assert found.pairs == tuple(folds.count(number) for number in (2, 5, 8))


@settings(deadline=None)
@given(few_comparisons(folds=3), st.data())
def test_each_fold_has_the_scores_of_its_own_transform(comparisons: Comparisons, data: st.DataObject) -> None:
    assert comparisons.folds is not None
    n = len(comparisons)
    rows = data.draw(st.lists(st.lists(dyadic, min_size=n, max_size=n), min_size=3, max_size=3))
    found = accuracy_on_folds(np.array(rows, dtype=np.float32), comparisons.genuine, comparisons.folds)
    expected = oracle.fold_accuracies(rows, comparisons.genuine.tolist(), comparisons.folds.tolist())
    assert list(found.accuracies) == [accuracy for accuracy, _ in expected]


@settings(deadline=None)
@given(few_comparisons(folds=2), st.randoms(use_true_random=False))
def test_order_repetition_and_monotone_maps_change_nothing(comparisons: Comparisons, random: object) -> None:
    assert comparisons.folds is not None
    found = accuracy_of(comparisons)
    order = random.sample(range(len(comparisons)), len(comparisons))  # type: ignore[attr-defined]
    scores, genuine, folds = comparisons.scores, comparisons.genuine, comparisons.folds
    assert accuracy_on_folds(scores[order], genuine[order], folds[order]) == found
    doubled = accuracy_on_folds(np.tile(scores, 2), np.tile(genuine, 2), np.tile(folds, 2))
    assert (doubled.accuracies, doubled.thresholds) == (found.accuracies, found.thresholds)
    # Halving and shifting keep the order of the gaps, and are exact.
    moved = accuracy_on_folds(scores / 2 + np.float32(0.25), genuine, folds)
    assert moved.accuracies == found.accuracies


def test_the_threshold_comes_from_the_other_folds() -> None:
    # Each fold by itself is separable, at a threshold that is worth nothing on the other.
    scores = np.array([1.0, 0.5, -0.5, -1.0], dtype=np.float32)
    found = accuracy_on_folds(scores, np.array([True, False, True, False]), np.array([0, 0, 1, 1]))
    assert found.accuracies == (0.5, 0.5)
    assert found.thresholds == (-0.75, 0.75)


def test_of_equally_good_thresholds_the_widest_gap() -> None:
    # On fold 1, both (0.4, 0.8) and (0.1, 0.2) make one error.
    scores = np.array([0.9, 0.8, 0.4, 0.2, 0.1, 0.7, 0.5], dtype=np.float32)
    genuine = np.array([True, True, False, True, False, True, False])
    found = accuracy_on_folds(scores, genuine, np.array([1, 1, 1, 1, 1, 2, 2]))
    assert found.thresholds[1] == pytest.approx(0.6)
    assert found.accuracies[1] == 1.0


def test_ideal_constant_and_known_embedders() -> None:
    genuine, folds = np.arange(6000) % 2 == 0, np.arange(6000) // 600
    ideal = accuracy_on_folds(genuine.astype(np.float32), genuine, folds)
    assert (ideal.mean, ideal.deviation, ideal.standard_error) == (1.0, 0.0, 0.0)
    assert set(ideal.thresholds) == {0.5} and ideal.pairs == (600,) * 10
    constant = accuracy_on_folds(np.full(6000, 0.3, dtype=np.float32), genuine, folds)
    assert (constant.mean, constant.standard_error) == (0.5, 0.0)
    wrong = genuine ^ (np.arange(6000) % 20 < 2)
    known = accuracy_on_folds(wrong.astype(np.float32), genuine, folds)
    assert known.mean == pytest.approx(0.9)


def test_deviation_and_standard_error_are_what_they_say() -> None:
    found = FoldAccuracy((0.9, 0.94, 0.98), (0.1, 0.2, 0.3), (10, 10, 10), (1, 2, 3))
    assert found.mean == pytest.approx(0.94)
    assert found.deviation == pytest.approx(0.04)
    assert found.standard_error == pytest.approx(0.04 / math.sqrt(3))
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert document["accuracies"] == [0.9, 0.94, 0.98] and document["folds"] == [1, 2, 3]
    assert document["standard_error"] == found.standard_error


def test_unfit_folds_are_named() -> None:
    scores = np.linspace(0, 1, 8, dtype=np.float32)
    genuine = np.array([True, False] * 4)
    folds = np.repeat([3, 7, 8, 9], 2)
    with pytest.raises(InputError, match="there are 1"):
        accuracy_on_folds(scores, genuine, np.zeros(8, dtype=np.int64))
    with pytest.raises(InputError, match="there are 0"):
        accuracy_on_folds(scores[:0], genuine[:0], folds[:0])
    with pytest.raises(InputError, match="fold 7 has no impostor pair"):
        accuracy_on_folds(scores, genuine | (folds == 7), folds)
    with pytest.raises(InputError, match="fold 8 has no genuine pair"):
        accuracy_on_folds(scores, genuine & (folds != 8), folds)
    with pytest.raises(InputError, match="all folds but 3 have no impostor pair"):
        accuracy_on_folds(scores, genuine | (folds > 3), folds)


def test_bad_scores_and_shapes_are_refused() -> None:
    scores, genuine, folds = np.array([0.1, 0.2, 0.3, 0.4]), np.array([True, False] * 2), np.array([0, 0, 1, 1])
    for bad in (math.nan, math.inf):
        with pytest.raises(InputError, match="1 of 4 scores are not finite"):
            accuracy_on_folds(np.array([0.1, bad, 0.3, 0.4]), genuine, folds)
    for wrong in (scores[:3], np.zeros((3, 4)), np.zeros((1, 2, 4))):
        with pytest.raises(InputError, match="4 pairs in 2 folds need scores"):
            accuracy_on_folds(wrong, genuine, folds)
    with pytest.raises(InputError, match="one number and one true/false"):
        accuracy_on_folds(scores, genuine, folds[:3])
    with pytest.raises(InputError, match="one number and one true/false"):
        accuracy_on_folds(scores, genuine.astype(int), folds)


def test_results_that_contradict_themselves_are_refused() -> None:
    for wrong in (
        lambda: FoldAccuracy((0.9,), (0.1,), (10,), (1,)),
        lambda: FoldAccuracy((0.9, 0.8), (0.1,), (10, 10), (1, 2)),
        lambda: FoldAccuracy((0.9, 1.8), (0.1, 0.2), (10, 10), (1, 2)),
        lambda: FoldAccuracy((0.9, 0.8), (0.1, math.inf), (10, 10), (1, 2)),
        lambda: FoldAccuracy((0.9, 0.8), (0.1, 0.2), (10, 0), (1, 2)),
    ):
        with pytest.raises(ValueError):
            wrong()
