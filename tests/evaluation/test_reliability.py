"""Calibration errors against a loop over bins, on edges too."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import oracles_search as oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax as scipy_softmax

from facenet.errors import InputError, UsageError
from facenet.evaluation.reliability import Reliability, measure_reliability, reliability_of, softmax

decisions = st.lists(st.tuples(st.integers(0, 64).map(lambda step: step / 64), st.booleans()), min_size=1, max_size=50)


@settings(deadline=None, max_examples=200)
@given(decisions, st.sampled_from([1, 2, 4, 8, 15, 64]), st.sampled_from([np.float32, np.float64]))
def test_equal_to_a_loop_over_bins(made: list[tuple[float, bool]], bins: int, kind: Any) -> None:
    confidences, correct = zip(*made, strict=True)
    found = reliability_of(np.array(confidences, kind), np.array(correct), bins=bins)
    assert (found.ece, found.mce) == pytest.approx(oracle.calibration_error(confidences, correct, bins))
    assert (found.bins, found.pictures) == (bins, len(made))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_confidence_on_an_edge_belongs_to_the_lower_bin(kind: Any) -> None:
    edges = (np.arange(16) / 15).astype(kind)
    found = reliability_of(edges, np.ones(16, dtype=np.bool_))
    assert found.counts.tolist() == [2, *[1] * 14]
    just_above = reliability_of(np.nextafter(edges[:-1], kind(2)), np.ones(15, dtype=np.bool_))
    assert just_above.counts.tolist() == [1] * 15


@given(st.permutations(range(40)), st.integers(1, 20))
def test_order_and_copies_do_not_matter(order: list[int], bins: int) -> None:
    generator = np.random.default_rng(0)
    confidences, correct = generator.random(40), generator.random(40) < 0.6
    plain = reliability_of(confidences, correct, bins=bins)
    mixed = reliability_of(confidences[order], correct[order], bins=bins)
    twice = reliability_of(np.tile(confidences, 2), np.tile(correct, 2), bins=bins)
    assert mixed.ece == pytest.approx(plain.ece) and twice.ece == pytest.approx(plain.ece)
    assert mixed.counts.tolist() == plain.counts.tolist()


def test_right_as_often_as_sure_has_no_error() -> None:
    # Eight in ten decisions at confidence 0.8 are right.
    probabilities = np.tile([[0.8, 0.2]], (10, 1))
    labels = np.array([0] * 8 + [1] * 2)
    assert measure_reliability(probabilities, labels).ece == pytest.approx(0, abs=1e-12)
    # Always sure, and never right.
    wrong = measure_reliability(np.eye(3)[[0, 1, 2]], np.array([1, 2, 0]))
    assert (wrong.ece, wrong.mce) == (1.0, 1.0)


def test_known_error() -> None:
    # Half of the decisions are too sure by 0.3, half are right as often as they should be.
    confidences = np.repeat([0.9, 0.5], 100)
    correct = np.concatenate([np.arange(100) < 60, np.arange(100) < 50])
    found = reliability_of(confidences, correct)
    assert (found.ece, found.mce) == (pytest.approx(0.15), pytest.approx(0.3))


def test_constant_head_is_as_sure_as_chance() -> None:
    labels = np.repeat(np.arange(4), 25)
    found = measure_reliability(softmax(np.zeros((100, 4))), labels)
    assert found.ece == pytest.approx(0)
    assert found.counts.max() == 100


def test_softmax_is_that_of_scipy() -> None:
    logits = np.random.default_rng(0).normal(scale=30, size=(50, 7)).astype(np.float32)
    assert softmax(logits) == pytest.approx(scipy_softmax(logits.astype(np.float64), axis=1))
    assert softmax(np.array([[1e4, 0.0]])).tolist() == [[1.0, 0.0]]


def test_json_holds_every_figure() -> None:
    document = reliability_of(np.array([0.5, 1.0], np.float32), np.array([True, False])).to_dict()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert sum(document["counts"]) == 2


def test_bad_input_is_refused() -> None:
    fine, labels = np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([0, 1])
    for rows in ([[0.5, 0.4], [1, 0]], [[1.5, -0.5], [1, 0]], [[np.nan, 0.5], [1, 0]]):
        with pytest.raises(InputError, match="1 of 2 rows are no probabilities"):
            measure_reliability(np.array(rows), labels)
    for wrong in (np.array([0, 2]), np.array([0, -1]), np.array([0.0, 1.0])):
        with pytest.raises(InputError, match="whole numbers from 0 to 1"):
            measure_reliability(fine, wrong)
    for rows, some in ((fine[:0], labels[:0]), (fine, labels[:1]), (fine[0], labels)):
        with pytest.raises(InputError, match="one row of probabilities and one label"):
            measure_reliability(rows, some)
    with pytest.raises(InputError, match="1 of 2 confidences are no probabilities"):
        reliability_of(np.array([0.5, np.nan]), np.array([True, True]))
    with pytest.raises(InputError, match="one confidence"):
        reliability_of(np.zeros(0), np.zeros(0, dtype=np.bool_))
    with pytest.raises(UsageError, match="at least 1 bin"):
        reliability_of(np.array([0.5]), np.array([True]), bins=0)


def test_results_that_contradict_themselves_are_refused() -> None:
    edges, counts, means = np.linspace(0, 1, 3), np.array([1, 2]), np.array([0.3, 0.8])
    Reliability(edges, counts, means, means)
    for wrong in (
        lambda: Reliability(edges[:2], counts, means, means),
        lambda: Reliability(edges, counts * 0, means, means),
        lambda: Reliability(edges, counts - 2, means, means),
        lambda: Reliability(edges, counts, means * 2, means),
        lambda: Reliability(edges, counts, means, np.array([0.3, np.nan])),
    ):
        with pytest.raises(ValueError):
            wrong()
