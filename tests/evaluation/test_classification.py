"""Classification figures against counting loops and scikit-learn."""

from __future__ import annotations

import json

import numpy as np
import oracles_evaluation as oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score, top_k_accuracy_score

from facenet.errors import InputError
from facenet.evaluation.classification import Classification, Confusion, classify
from facenet.evaluation.identification import RankRate


def names(count: int) -> list[str]:
    return [f"person {i}" for i in range(count)]


@settings(deadline=None)
@given(st.integers(2, 8), st.integers(1, 30), st.integers(0, 10**6), st.booleans())
def test_equal_to_counting_loops(people: int, pictures: int, seed: int, tied: bool) -> None:
    generator = np.random.default_rng(seed)
    scores = generator.integers(0, 3, size=(pictures, people)) / 2 if tied else generator.random((pictures, people))
    labels = generator.integers(0, people, size=pictures)
    result = classify(scores, labels, names(people))
    # The first of the highest decides; sorted() is stable, so it orders ties the same way.
    ranked = [sorted(range(people), key=lambda person, row=row: -row[person]) for row in scores]
    table = oracle.confusion(labels.tolist(), [order[0] for order in ranked], people)
    assert result.confusion.tolist() == table
    assert result.accuracy == pytest.approx(np.mean([order[0] == i for order, i in zip(ranked, labels, strict=True)]))
    assert (result.balanced_accuracy, result.macro_f1) == pytest.approx(oracle.recall_and_f1(table))
    top5 = np.mean([i in order[:5] for order, i in zip(ranked, labels, strict=True)])
    assert result.top5.value == (None if people <= 5 else pytest.approx(top5))
    assert result.majority_accuracy == np.bincount(labels).max() / pictures
    assert (result.pictures, result.people_seen) == (pictures, len(set(labels.tolist())))


def test_agrees_with_scikit_learn_when_everybody_has_pictures() -> None:
    generator = np.random.default_rng(0)
    labels = np.concatenate([np.arange(12), generator.integers(0, 4, size=300)])
    scores = generator.normal(size=(312, 12)) + 2 * np.eye(12)[labels]
    result = classify(scores, labels, names(12))
    decided = scores.argmax(axis=1)
    assert result.balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, decided))
    assert result.macro_f1 == pytest.approx(f1_score(labels, decided, average="macro"))
    assert result.top5.value == pytest.approx(top_k_accuracy_score(labels, scores, k=5))
    assert result.top5.chance == 5 / 12


@settings(deadline=None)
@given(st.permutations(range(20)))
def test_order_of_pictures_does_not_matter(order: list[int]) -> None:
    generator = np.random.default_rng(0)
    scores, labels = generator.normal(size=(20, 7)), generator.integers(0, 7, size=20)
    plain, mixed = classify(scores, labels, names(7)), classify(scores[order], labels[order], names(7))
    assert plain.to_dict() == mixed.to_dict()


def test_ideal_and_constant_heads() -> None:
    labels = np.repeat(np.arange(6), [5, 4, 3, 2, 1, 1])
    ideal = classify(np.eye(6)[labels] * 30 - 10, labels, names(6))
    assert (ideal.accuracy, ideal.balanced_accuracy, ideal.macro_f1, ideal.top5.value) == (1.0, 1.0, 1.0, 1.0)
    assert ideal.most_confused(3) == []
    constant = classify(np.zeros((16, 6)), labels, names(6))
    assert constant.accuracy == constant.majority_accuracy == 5 / 16
    assert constant.balanced_accuracy == pytest.approx(1 / 6)
    assert constant.top5.value == 15 / 16


def test_people_without_pictures_do_not_enter_the_means() -> None:
    labels = np.array([0, 0, 1, 1])
    scores = np.eye(9)[[0, 8, 1, 1]]
    result = classify(scores, labels, names(9))
    assert result.balanced_accuracy == 0.75
    assert result.macro_f1 == pytest.approx((2 / 3 + 1) / 2)
    assert result.people_seen == 2


def test_few_people_have_no_top5() -> None:
    result = classify(np.eye(5), np.arange(5), names(5))
    assert result.top5 == RankRate(5, None, 1.0, "rank 5 among 5 people cannot be missed")


def test_most_confused_are_the_most_frequent_mistakes() -> None:
    labels = np.array([0] * 4 + [1] * 3 + [2] * 10)
    decided = np.array([1, 1, 0, 0] + [2, 0, 1] + [0, 0, 0] + [2] * 7)
    worst = classify(np.eye(3)[decided], labels, ["ann", "bob", "cid"]).most_confused(3)
    assert worst == [
        Confusion("cid", "ann", 3, 0.3),
        Confusion("ann", "bob", 2, 0.5),
        Confusion("bob", "ann", 1, pytest.approx(1 / 3)),
    ]
    assert json.loads(json.dumps(worst[0].to_dict()))["taken_for"] == "ann"


def test_json_holds_every_figure() -> None:
    document = classify(np.eye(3, dtype=np.float32), np.arange(3), ["ann", "bo\nb", "李"]).to_dict()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["confusion"] == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_bad_input_is_refused() -> None:
    scores, labels = np.eye(3), np.arange(3)
    broken = scores.copy()
    broken[1] = np.nan, np.inf, 0
    with pytest.raises(InputError, match="scores of 1 of 3 pictures are not finite"):
        classify(broken, labels, names(3))
    for bad in (np.array([0, 1, 3]), np.array([0, 1, -1]), np.array([0.0, 1.0, 2.0])):
        with pytest.raises(InputError, match="labels must be whole numbers from 0 to 2"):
            classify(scores, bad, names(3))
    for shapes in ((scores, labels[:2], names(3)), (scores, labels, names(4)), (scores[:0], labels[:0], names(3))):
        with pytest.raises(InputError, match="one row per picture"):
            classify(*shapes)
    with pytest.raises(InputError, match="at least 2 people"):
        classify(scores[:, :1], labels, names(1))


def test_results_that_contradict_themselves_are_refused() -> None:
    table, top5 = np.array([[3, 1], [0, 2]]), RankRate(5, None, 1.0, "two people")
    Classification(("ann", "bob"), table, 0.8, 0.8, top5)
    for wrong in (
        lambda: Classification(("ann",), table, 0.8, 0.8, top5),
        lambda: Classification(("ann", "bob"), table.astype(float), 0.8, 0.8, top5),
        lambda: Classification(("ann", "bob"), table * 0, 0.8, 0.8, top5),
        lambda: Classification(("ann", "bob"), table - 1, 0.8, 0.8, top5),
        lambda: Classification(("ann", "bob"), table, 1.8, 0.8, top5),
        lambda: Classification(("ann", "bob"), table, 0.8, 0.8, RankRate(5, 0.1, 0.5)),
    ):
        with pytest.raises(ValueError):
            wrong()
