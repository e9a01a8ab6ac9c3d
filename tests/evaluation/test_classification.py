"""Classification figures against counting loops and scikit-learn."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import oracles_evaluation as oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score, top_k_accuracy_score

from facenet.errors import InputError, UsageError
from facenet.evaluation.classification import Classification, Confusion, classify
from facenet.evaluation.classification_findings import classification_findings
from facenet.evaluation.identification import RankRate
from facenet.evaluation.reliability import measure_reliability, reliability_of, softmax


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
    for k in (1, 2, 3):
        among = np.mean([order.index(i) < k for order, i in zip(ranked, labels, strict=True)])
        assert result.top(k).value == (None if people <= k else pytest.approx(among))
    assert result.correct.tolist() == [order[0] == i for order, i in zip(ranked, labels, strict=True)]


def test_agrees_with_scikit_learn_when_everybody_has_pictures() -> None:
    generator = np.random.default_rng(0)
    labels = np.concatenate([np.arange(12), generator.integers(0, 4, size=300)])
    scores = generator.normal(size=(312, 12)) + 2 * np.eye(12)[labels]
    result = classify(scores, labels, names(12))
    decided = scores.argmax(axis=1)
    assert result.balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, decided))
    assert result.macro_f1 == pytest.approx(f1_score(labels, decided, average="macro"))
    assert result.weighted_f1 == pytest.approx(f1_score(labels, decided, average="weighted"))
    assert result.top(3).value == pytest.approx(top_k_accuracy_score(labels, scores, k=3))
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


def test_confidence_is_the_probability_of_the_decision() -> None:
    logits, labels = np.array([[0.0, np.log(3)], [1000.0, 0.0]], dtype=np.float32), np.array([1, 1])
    result = classify(logits, labels, names(2))
    assert result.confidences.tolist() == pytest.approx([0.75, 1.0])
    assert result.correct.tolist() == [True, False]
    sure = classify(np.array([[0.2, 0.8], [0.5, 0.5]]), labels, names(2), probabilities=True)
    assert sure.confidences.tolist() == pytest.approx([0.8, 0.5])
    with pytest.raises(InputError, match="no probabilities"):
        classify(logits, labels, names(2), probabilities=True)


def noisy(pictures: int, people: int, wrong: float, seed: int = 0) -> Classification:
    """So many of the pictures are given to the next person, at random."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, people, size=pictures)
    decided = np.where(generator.random(pictures) < wrong, (labels + 1) % people, labels)
    return classify(np.eye(people)[decided] * 5, labels, names(people))


def test_findings_hold_the_figures_and_their_intervals() -> None:
    result = noisy(1000, 10, 0.2)
    reliability = reliability_of(result.confidences, result.correct)
    findings = {f.key: f for f in classification_findings(result, reliability, ks=(2, 5, 10), replicates=500)}
    assert list(findings) == [
        "accuracy",
        "balanced_accuracy",
        "top_2",
        "top_5",
        "top_10",
        "macro_f1",
        "weighted_f1",
        "ece",
    ]
    for key in ("accuracy", "balanced_accuracy", "macro_f1", "weighted_f1"):
        finding = findings[key]
        assert finding.value == getattr(result, key)
        assert finding.interval is not None and finding.value is not None
        assert finding.interval[0] < finding.value < finding.interval[1]
        assert finding.interval_kind == "bootstrap by picture"
        # Binomial over 1,000 pictures.
        assert finding.interval[1] - finding.interval[0] == pytest.approx(2 * 1.96 * np.sqrt(0.16 / 1000), rel=0.2)
    assert findings["accuracy"].chance == result.majority_accuracy
    assert findings["balanced_accuracy"].chance == 0.1
    assert findings["top_5"].chance == 0.5
    assert findings["top_10"].reason == "rank 10 among 10 people cannot be missed"
    assert (findings["ece"].value, findings["ece"].interval) == (reliability.ece, None)
    assert classification_findings(result, ks=())[-1].key == "weighted_f1"


@settings(deadline=None, max_examples=20)
@given(st.permutations(range(60)))
def test_findings_do_not_depend_on_the_order_of_the_pictures(order: list[int]) -> None:
    generator = np.random.default_rng(0)
    scores, labels = generator.normal(size=(60, 7)), generator.integers(0, 7, size=60)
    plain, mixed = classify(scores, labels, names(7)), classify(scores[order], labels[order], names(7))
    assert classification_findings(plain, replicates=20) == classification_findings(mixed, replicates=20)


def test_no_error_is_told_by_the_rule_of_three() -> None:
    ideal = classify(np.eye(6)[np.repeat(np.arange(6), 10)] * 30, np.repeat(np.arange(6), 10), names(6))
    findings = {finding.key: finding for finding in classification_findings(ideal, replicates=20)}
    assert (findings["accuracy"].value, findings["accuracy"].interval) == (1.0, (0.95, 1.0))
    assert findings["top_5"].interval_kind == "rule of three"
    # Of a mean over people no errors say nothing of the kind.
    assert findings["macro_f1"].interval is None and findings["balanced_accuracy"].interval_kind == ""


def test_people_of_one_class_only() -> None:
    result = classify(np.eye(3)[[0, 0, 1, 0]], np.zeros(4, dtype=np.int64), names(3))
    assert (result.accuracy, result.majority_accuracy, result.people_seen) == (0.75, 1.0, 1)
    findings = {finding.key: finding for finding in classification_findings(result, replicates=100)}
    assert (findings["balanced_accuracy"].value, findings["balanced_accuracy"].chance) == (0.75, 1.0)


def test_findings_refuse_what_cannot_be_asked() -> None:
    with pytest.raises(UsageError, match="top-k starts at 1"):
        classification_findings(noisy(10, 3, 0.5), ks=(0,))


def test_reliability_of_the_same_decisions_agrees() -> None:
    generator = np.random.default_rng(1)
    logits, labels = generator.normal(size=(300, 6)), generator.integers(0, 6, size=300)
    result = classify(logits, labels, names(6))
    whole = measure_reliability(softmax(logits), labels)
    assert reliability_of(result.confidences, result.correct).ece == pytest.approx(whole.ece, abs=1e-6)


def test_results_that_contradict_themselves_are_refused() -> None:
    def made(**changes: Any) -> Classification:
        plain: dict[str, Any] = {
            "people": ("ann", "bob"),
            "labels": np.array([0, 0, 1], np.int32),
            "decided": np.array([0, 1, 1], np.int32),
            "ranks": np.array([1, 2, 1], np.int32),
            "confidences": np.array([0.9, 0.6, 1.0], np.float32),
        }
        return Classification(**(plain | changes))

    made()
    empty = np.zeros(0, np.int32)
    for wrong in (
        {"people": ("ann",)},
        {"labels": np.array([0, 0, 1])},
        {"labels": np.array([0, 0], np.int32)},
        {"decided": np.array([0, 2, 1], np.int32)},
        {"ranks": np.array([1, 1, 1], np.int32)},
        {"ranks": np.array([1, 3, 1], np.int32)},
        {"confidences": np.array([0.9, 1.6, 1.0], np.float32)},
        {"confidences": np.array([0.9, np.nan, 1.0], np.float32)},
        {"labels": empty, "decided": empty, "ranks": empty, "confidences": np.zeros(0, np.float32)},
    ):
        with pytest.raises(ValueError):
            made(**wrong)
