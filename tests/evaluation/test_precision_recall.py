"""Precision, recall and F1 against scikit-learn and against counting loops."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import oracles_verification as oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_comparisons import comparisons_of, crowd, few_comparisons, reordered
from sklearn.metrics import average_precision_score, f1_score, precision_recall_curve

from facenet.errors import InputError
from facenet.evaluation.comparisons import Comparisons
from facenet.evaluation.curve import curve_of
from facenet.evaluation.halves import deal_halves
from facenet.evaluation.precision_recall import Decisions, PrecisionRecall, precision_recall


@settings(deadline=None)
@given(few_comparisons())
def test_the_curve_is_that_of_scikit_learn(comparisons: Comparisons) -> None:
    found = precision_recall(comparisons)
    precision, recall, lowest = precision_recall_curve(comparisons.genuine, comparisons.scores)
    np.testing.assert_allclose(found.precision[::-1], precision[:-1])
    np.testing.assert_allclose(found.recall[::-1], recall[:-1])
    for threshold, level in zip(found.thresholds[::-1].tolist(), lowest, strict=True):
        np.testing.assert_array_equal(comparisons.scores >= threshold, comparisons.scores >= level)
    expected = average_precision_score(comparisons.genuine, comparisons.scores)
    assert found.average_precision == pytest.approx(expected)
    assert found.average_precision == pytest.approx(
        oracle.average_precision(comparisons.scores.tolist(), comparisons.genuine.tolist())
    )


@settings(deadline=None)
@given(few_comparisons(folds=3))
def test_f1_on_folds_is_that_of_a_loop(comparisons: Comparisons) -> None:
    assert comparisons.folds is not None
    found = precision_recall(comparisons)
    assert found.decisions.rule == "folds" and len(found.decisions.thresholds) == 3
    assert found.f1 == pytest.approx(
        oracle.f1_on_folds(comparisons.scores.tolist(), comparisons.genuine.tolist(), comparisons.folds.tolist())
    )
    assert found.decisions.made.all()
    assert found.f1 == pytest.approx(f1_score(comparisons.genuine, found.decisions.accepted, zero_division=0))
    always = f1_score(comparisons.genuine, np.ones(len(comparisons), dtype=bool))
    assert found.f1_chance == pytest.approx(always)


def test_the_threshold_of_one_half_of_the_people_is_used_on_the_other() -> None:
    comparisons = crowd(60, genuine=200, impostor=800, seed=1)
    found = precision_recall(comparisons, seed=3)
    decisions = found.decisions
    assert decisions.rule == "people" and 0.2 < decisions.made.mean() < 0.8
    made, genuine = decisions.made, comparisons.genuine
    assert not decisions.accepted[~made].any()
    assert found.f1 == pytest.approx(f1_score(genuine[made], decisions.accepted[made]))
    assert found.f1_chance == pytest.approx(f1_score(genuine[made], np.ones(made.sum(), dtype=bool)))
    # Impostor pairs across the halves are left out, so genuine pairs are a larger share of those decided on.
    assert found.f1_chance > 2 * found.prevalence / (1 + found.prevalence)
    assert found.f1_precision is not None and found.f1_recall is not None and found.f1 is not None
    assert found.f1 == pytest.approx(2 * found.f1_precision * found.f1_recall / (found.f1_precision + found.f1_recall))
    people = np.stack([comparisons.owners[comparisons.first], comparisons.owners[comparisons.second]], axis=1)
    dealt = deal_halves(comparisons.scores, genuine, people, seed=3)
    assert dealt is not None
    for scored, other, threshold in zip(dealt[1:], dealt[:0:-1], decisions.thresholds, strict=True):
        fitted = oracle.fitted(comparisons.scores[other].tolist(), genuine[other].tolist(), oracle.f1_of)
        assert threshold == pytest.approx(fitted)
        np.testing.assert_array_equal(decisions.accepted[scored], comparisons.scores[scored] >= threshold)


@settings(deadline=None)
@given(few_comparisons(), st.randoms(use_true_random=False), st.booleans())
def test_order_sides_and_repetition_change_nothing(comparisons: Comparisons, random: Any, swap: bool) -> None:
    order = random.sample(range(len(comparisons)), len(comparisons))
    found, other = precision_recall(comparisons), precision_recall(reordered(comparisons, order, swap=swap))
    assert found.to_dict() == other.to_dict()
    doubled = precision_recall(reordered(comparisons, np.tile(order, 2)))
    assert doubled.average_precision == pytest.approx(found.average_precision)


def test_ideal_and_constant_embedders() -> None:
    comparisons = crowd(40, genuine=100, impostor=300, seed=0)
    ideal = precision_recall(replaced(comparisons, comparisons.genuine))
    assert (ideal.average_precision, ideal.f1, ideal.f1_precision, ideal.f1_recall) == (1, 1, 1, 1)
    constant = precision_recall(replaced(comparisons, np.full(400, 0.5)))
    assert constant.average_precision == constant.prevalence == 0.25
    # Saying "same" always is the best that can be done.
    assert constant.f1 == pytest.approx(constant.f1_chance)
    inverted = precision_recall(replaced(comparisons, -1.0 * comparisons.genuine))
    assert inverted.average_precision < 0.26


def replaced(comparisons: Comparisons, scores: Any) -> Comparisons:
    pairs = np.stack([comparisons.first, comparisons.second], axis=1)
    return comparisons_of(scores, pairs, comparisons.owners, comparisons.folds)


def test_average_precision_of_many_genuine_scores_in_a_row_is_exactly_one() -> None:
    scores = np.concatenate([np.linspace(0.5, 0.9, 997), np.linspace(-0.5, 0.4, 991)])
    genuine = np.arange(len(scores)) < 997
    pairs = np.where(genuine[:, None], [[0, 1]], [[0, 2]])
    assert precision_recall(comparisons_of(scores, pairs, [0, 0, 1])).average_precision == 1.0


def test_too_few_pairs_for_halves_have_no_f1() -> None:
    found = precision_recall(comparisons_of([0.9, 0.1], [(0, 1), (0, 2)], [0, 0, 1]))
    assert (found.f1, found.f1_precision, found.f1_recall, found.decisions.rule) == (None, None, None, "none")
    assert "at least 2 genuine and 2 impostor" in found.decisions.reason
    assert found.f1_chance == pytest.approx(2 / 3)
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["f1"] is None


def test_a_curve_at_hand_is_used() -> None:
    comparisons = crowd(20, genuine=50, impostor=50, seed=4)
    curve = curve_of(comparisons.scores, comparisons.genuine)
    assert precision_recall(comparisons, curve=curve).to_dict() == precision_recall(comparisons).to_dict()


def test_one_kind_only_is_refused() -> None:
    with pytest.raises(InputError, match="none is impostor"):
        precision_recall(comparisons_of([0.9], [(0, 1)], [0, 0]))
    with pytest.raises(InputError, match="none is genuine"):
        precision_recall(comparisons_of([0.9], [(0, 1)], [0, 1]))
    comparisons = crowd(20, genuine=50, impostor=50, seed=4)
    folded = comparisons_of(
        comparisons.scores, np.stack([comparisons.first, comparisons.second], axis=1), comparisons.owners,
        np.where(comparisons.genuine, 1, 2),
    )  # fmt: skip
    with pytest.raises(InputError, match="fold 1 has no impostor pair"):
        precision_recall(folded)


def test_results_that_contradict_themselves_are_refused() -> None:
    line, none = np.ones(2), np.zeros(2, dtype=bool)
    made = Decisions("people", (0.1, 0.2), ~none, none)
    PrecisionRecall(line, line, line, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, made)
    for wrong in (
        lambda: PrecisionRecall(line[:1], line, line, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, made),
        lambda: PrecisionRecall(line, line, line, 0.5, 0.5, None, 0.5, 0.5, 0.5, made),
        lambda: PrecisionRecall(line, line, line, 1.5, 0.5, 0.5, 0.5, 0.5, 0.5, made),
        lambda: PrecisionRecall(line, line, line, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, Decisions("none", (), none, none)),
    ):
        with pytest.raises(ValueError):
            wrong()
