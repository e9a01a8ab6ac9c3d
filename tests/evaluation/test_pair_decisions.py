"""Decisions about pairs: figures against plain counting, heads whose figures are known, and what is refused."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from known_heads import knowing_pair_head
from numpy.typing import NDArray

from facenet.errors import InputError
from facenet.evaluation.pair_decisions import PairDecisions, decide_pairs
from facenet.models.pair_head import PairHead, build_pair_head


def decisions(same: list[bool], probabilities: list[float]) -> PairDecisions:
    return PairDecisions(np.array(same), np.array(probabilities, dtype=np.float64))


pairs = st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.75, 0.875, 1.0])), max_size=30).map(
    # One pair of each kind at least.
    lambda drawn: [*drawn, (True, 0.75), (False, 0.25)]
)


@given(pairs)
def test_figures_are_those_of_plain_counting(drawn: list[tuple[bool, float]]) -> None:
    found = decisions([same for same, _ in drawn], [probability for _, probability in drawn])
    genuine = [probability for same, probability in drawn if same]
    impostor = [probability for same, probability in drawn if not same]
    accepted, wrongly = sum(p > 0.5 for p in genuine), sum(p > 0.5 for p in impostor)
    assert (found.genuine, found.impostor) == (len(genuine), len(impostor))
    assert found.accuracy == pytest.approx((accepted + len(impostor) - wrongly) / len(drawn))
    assert found.recall == pytest.approx(accepted / len(genuine))
    assert found.precision == pytest.approx(accepted / (accepted + wrongly))
    assert found.f1 == pytest.approx(2 * accepted / (2 * accepted + wrongly + len(genuine) - accepted))
    wins = sum((g > i) + (g == i) / 2 for g in genuine for i in impostor)
    assert found.roc_auc == pytest.approx(wins / len(genuine) / len(impostor))
    least = float(np.finfo(np.float64).eps)
    costs = [-math.log(max(p if same else 1 - p, least)) for same, p in drawn]
    assert found.loss == pytest.approx(sum(costs) / len(costs), rel=1e-5)


def test_what_guessing_gives() -> None:
    everything = decisions([True, False, False, False], [0.9] * 4)
    assert everything.f1 == pytest.approx(everything.always_f1) == pytest.approx(2 / 5)
    nothing = decisions([True, False, False, False], [0.1] * 4)
    assert nothing.accuracy == nothing.majority_accuracy == 0.75
    assert (nothing.precision, nothing.recall, nothing.f1, nothing.roc_auc) == (0, 0, 0, 0.5)
    one_half = decisions([True, False], [0.5, 0.5])
    assert not one_half.decided.any() and one_half.loss == pytest.approx(math.log(2))


def test_sure_and_wrong_costs_a_finite_number() -> None:
    assert decisions([True, False], [0.0, 1.0]).loss == pytest.approx(36.04, abs=0.01)


def test_everything_fits_into_json() -> None:
    document = decisions([True, False, True], [0.9, 0.2, 0.4]).to_dict()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert (document["genuine"], document["impostor"], document["recall"]) == (2, 1, 0.5)


@pytest.mark.parametrize(
    ("same", "probabilities"),
    [
        (np.array([True, False]), np.array([0.5, np.nan], dtype=np.float64)),
        (np.array([True, False]), np.array([0.5, 1.01], dtype=np.float64)),
        (np.array([True, False]), np.array([-0.01, 0.5], dtype=np.float64)),
        (np.array([True, False]), np.array([0.5, 0.5], dtype=np.float32)),
        (np.array([True, False]), np.array([0.5], dtype=np.float64)),
        (np.array([1, 0]), np.array([0.5, 0.5], dtype=np.float64)),
        (np.array([[True, False]]), np.array([[0.5, 0.5]], dtype=np.float64)),
        (np.array([True, True]), np.array([0.5, 0.5], dtype=np.float64)),
        (np.array([False, False]), np.array([0.5, 0.5], dtype=np.float64)),
        (np.array([], dtype=bool), np.array([], dtype=np.float64)),
    ],
)
def test_invariants(same: NDArray[Any], probabilities: NDArray[Any]) -> None:
    with pytest.raises(ValueError):
        PairDecisions(same, probabilities)


def every_pair(people: int, pictures: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    labels = np.arange(people).repeat(pictures)
    first, second = np.triu_indices(people * pictures, 1)
    return first, second, labels[first] == labels[second]


def test_an_ideal_embedder_with_an_ideal_head_is_perfect() -> None:
    first, second, same = every_pair(5, 3)
    found = decide_pairs(knowing_pair_head(5), torch.eye(5).repeat_interleave(3, 0), first, second, same)
    assert (found.accuracy, found.precision, found.recall, found.f1, found.roc_auc) == (1, 1, 1, 1, 1)
    assert found.loss == pytest.approx(math.log1p(math.exp(-10)), rel=1e-3)
    np.testing.assert_array_equal(found.same, same)


def test_pairs_of_which_the_head_is_sure_are_still_ranked() -> None:
    """Scores of 30 and 24: in float32 both probabilities would be 1."""
    rows = torch.tensor([[1.0], [2.0], [1.7]])
    found = decide_pairs(knowing_pair_head(1), rows, np.array([0, 0]), np.array([1, 2]), np.array([True, False]))
    assert found.roc_auc == 1 and found.probabilities.max() < 1


def test_an_embedder_that_sees_no_difference_is_chance() -> None:
    first, second, same = every_pair(5, 3)
    found = decide_pairs(knowing_pair_head(5), torch.ones(15, 5) / 5**0.5, first, second, same)
    assert found.roc_auc == 0.5 and found.recall == 1 and found.f1 == pytest.approx(found.always_f1)


def test_many_pairs_are_decided_like_few() -> None:
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.nn.functional.normalize(torch.randn(200, 8, generator=generator))
    head = build_pair_head(8, seed=1).eval()
    first, second = np.triu_indices(200, 1)
    same = (first + second) % 3 == 0
    assert len(first) > 2 * 8192
    found = decide_pairs(head, embeddings, first, second, same)
    with torch.inference_mode():
        expected = head.logits(embeddings[torch.from_numpy(first)], embeddings[torch.from_numpy(second)]).sigmoid()
    np.testing.assert_allclose(found.probabilities, expected.numpy(), atol=1e-6)
    assert found.probabilities.dtype == np.float64


@pytest.mark.parametrize(
    ("same", "says"), [([True, True], "none of them impostor"), ([False, False], "none of them genuine"), ([], "0 ")]
)
def test_one_kind_of_pairs_is_refused(same: list[bool], says: str) -> None:
    rows = np.arange(len(same))
    with pytest.raises(InputError, match=says):
        decide_pairs(knowing_pair_head(4), torch.eye(4), rows, rows + 1, np.array(same, dtype=bool))


def test_scores_that_are_no_numbers_are_refused() -> None:
    embeddings = torch.eye(4)
    embeddings[3] = float("nan")
    with pytest.raises(InputError, match="scores of 1 of 2 pairs are not finite"):
        decide_pairs(knowing_pair_head(4), embeddings, np.array([0, 1]), np.array([2, 3]), np.array([True, False]))


def test_a_head_in_training_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="training mode"):
        decide_pairs(PairHead(4), torch.eye(4), np.array([0, 1]), np.array([2, 3]), np.array([True, False]))
