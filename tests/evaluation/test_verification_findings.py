"""What a protocol reports: every figure with an interval that means something, or the reason why it has none."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import numpy as np
import oracles_verification as oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_comparisons import comparisons_of, crowd, few_comparisons, reordered
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from facenet.errors import InputError, UsageError
from facenet.evaluation.comparisons import Comparisons, count_as_wrong
from facenet.evaluation.confidence import person_copies, replicate_verification
from facenet.evaluation.finding import Finding
from facenet.evaluation.folds import FoldAccuracy, accuracy_on_folds
from facenet.evaluation.intervals import interval_of
from facenet.evaluation.verification import verify_comparisons, verify_pairs


def findings(comparisons: Comparisons, **options: Any) -> dict[str, Finding]:
    return {found.key: found for found in verify_comparisons(comparisons, **options)[1]}


def with_scores(comparisons: Comparisons, scores: Any) -> Comparisons:
    return replace(comparisons, scores=np.asarray(scores, dtype=np.float32))


def in_folds(comparisons: Comparisons, count: int = 10) -> tuple[Comparisons, FoldAccuracy]:
    """Every count-th pair of each kind in the same fold."""
    folds = np.empty(len(comparisons), dtype=np.int32)
    for kind in (comparisons.genuine, ~comparisons.genuine):
        folds[kind] = np.arange(kind.sum()) % count
    dealt = replace(comparisons, folds=folds)
    return dealt, accuracy_on_folds(dealt.scores, dealt.genuine, folds)


def test_every_figure_is_there_with_its_interval() -> None:
    comparisons = crowd(200, genuine=1500, impostor=4000, seed=0)
    verification, found = verify_comparisons(comparisons)
    people = np.stack([comparisons.owners[comparisons.first], comparisons.owners[comparisons.second]], axis=1)
    assert verification == verify_pairs(comparisons.scores, comparisons.genuine, people=people)
    by_key = {one.key: one for one in found}
    assert list(by_key) == [
        "roc_auc", "eer", "tar_at_fmr_0.01", "tar_at_fmr_0.001", "balanced_accuracy", "f1", "average_precision",
    ]  # fmt: skip
    for one in found:
        assert one.value is not None and one.interval is not None and one.interval_kind == "bootstrap by person"
        assert 0 < one.interval[0] < one.value < one.interval[1] < 1
        assert one.higher_is_better == (one.key != "eer")
        json.dumps(one.to_dict(), allow_nan=False)
    assert by_key["roc_auc"].value == pytest.approx(roc_auc_score(comparisons.genuine, comparisons.scores))
    assert by_key["average_precision"].value == pytest.approx(
        average_precision_score(comparisons.genuine, comparisons.scores)
    )
    assert by_key["eer"].value == verification.eer
    assert by_key["balanced_accuracy"].value == verification.balanced_accuracy
    rate = verification.tar_at_fmr[0.01]
    assert by_key["tar_at_fmr_0.01"].value == rate.value
    assert by_key["tar_at_fmr_0.01"].basis == (
        f"1,500 genuine, 4,000 impostor pairs; {rate.false_matches} of the latter accepted, "
        f"threshold {rate.threshold:.4f}"
    )
    [drawn] = replicate_verification([comparisons.scores], comparisons, (0.01,))
    assert by_key["tar_at_fmr_0.01"].interval == interval_of(drawn.tar[0.01])
    assert {one.key: one.chance for one in found} == {
        "roc_auc": 0.5,
        "eer": 0.5,
        "tar_at_fmr_0.01": 0.01,
        "tar_at_fmr_0.001": 0.001,
        "balanced_accuracy": 0.5,
        "f1": by_key["f1"].chance,
        "average_precision": pytest.approx(1500 / 5500),
    }


def test_folds_report_accuracy_with_the_error_of_its_mean() -> None:
    comparisons, accuracy = in_folds(crowd(200, genuine=900, impostor=1100, seed=2))
    found = findings(comparisons, fold_accuracy=accuracy)
    assert "balanced_accuracy" not in found
    one = found["accuracy"]
    assert (one.value, one.standard_error, one.deviation) == (
        accuracy.mean, accuracy.standard_error, accuracy.deviation,
    )  # fmt: skip
    assert (one.chance, one.basis) == (0.55, "10 folds, 2,000 pairs")
    assert one.interval is not None and one.interval[0] < accuracy.mean < one.interval[1]
    assert found["f1"].title == "F1, threshold fitted on the other folds"


def test_folds_with_transforms_of_their_own_are_pooled() -> None:
    comparisons, _ = in_folds(crowd(200, genuine=900, impostor=1100, seed=2))
    assert comparisons.folds is not None
    shifts = np.random.default_rng(0).uniform(-0.1, 0.1, 10).astype(np.float32)
    rows = (comparisons.scores + shifts[:, None]).clip(-1, 1)
    accuracy = accuracy_on_folds(rows, comparisons.genuine, comparisons.folds)
    pooled = with_scores(comparisons, rows[comparisons.folds, np.arange(len(comparisons))])
    assert findings(pooled, fold_accuracy=accuracy)["accuracy"].value == accuracy.mean
    with pytest.raises(InputError, match="other scores"):
        verify_comparisons(comparisons, fold_accuracy=accuracy)


@settings(deadline=None)
@given(few_comparisons(folds=2))
def test_intervals_at_fitted_thresholds_are_those_of_crowds_built_copy_by_copy(comparisons: Comparisons) -> None:
    assert comparisons.folds is not None
    accuracy = accuracy_on_folds(comparisons.scores, comparisons.genuine, comparisons.folds)
    found = findings(comparisons, fold_accuracy=accuracy, replicates=8, seed=1)["accuracy"]
    names = sorted(set(comparisons.owners[np.concatenate([comparisons.first, comparisons.second])].tolist()))
    if len(names) < 3:
        assert found.interval is None or found.interval_kind == "rule of three"
        return
    means = []
    for copies in person_copies(len(names), replicates=8, seed=1):
        shares = []
        for number, threshold in zip(accuracy.fold_numbers, accuracy.thresholds, strict=True):
            right = total = 0
            for place in np.flatnonzero(comparisons.folds == number):
                a, b = (
                    names.index(comparisons.owners[side[place]]) for side in (comparisons.first, comparisons.second)
                )
                times = copies[a] if a == b else copies[a] * copies[b]
                total += times
                right += times * ((comparisons.scores[place] >= threshold) == comparisons.genuine[place])
            shares.append(right / total if total else np.nan)
        means.append(np.mean(shares))
    known = [mean for mean in means if not np.isnan(mean)]
    if found.interval_kind == "bootstrap by person":
        assert found.interval == pytest.approx(interval_of(np.array(known)))
    else:
        assert accuracy.mean in (0, 1) or not known


def test_f1_and_balanced_accuracy_vary_with_the_people_at_thresholds_that_stay() -> None:
    comparisons = crowd(12, genuine=60, impostor=200, seed=9, apart=0.2)
    found = findings(comparisons, replicates=500)
    for key, least in (("f1", 0.05), ("balanced_accuracy", 0.03)):
        interval = found[key].interval
        assert interval is not None and least < interval[1] - interval[0] < 0.6


def test_ideal_embedder_is_perfect_as_far_as_so_many_pairs_can_show() -> None:
    comparisons = crowd(100, genuine=600, impostor=3000, seed=1)
    ideal, accuracy = in_folds(with_scores(comparisons, comparisons.genuine))
    found = findings(ideal, fold_accuracy=accuracy) | findings(replace(ideal, folds=None))
    assert found.pop("eer").interval == (0, 3 / 600)
    assert found["accuracy"].interval == (1 - 3 / 3600, 1)
    for key in ("roc_auc", "tar_at_fmr_0.01", "tar_at_fmr_0.001"):
        assert found[key].interval == (1 - 3 / 600, 1)
    assert {one.value for one in found.values()} == {1.0}
    assert found.pop("average_precision").interval is None
    for one in found.values():
        assert one.interval_kind == "rule of three"
    # Both halves have as many pairs as F1 decides on; the mean of two rates that are each below 3 / n.
    genuine, impostor = (int(part.split()[0].replace(",", "")) for part in found["f1"].basis.split(", "))
    assert found["f1"].interval == (1 - 3 / genuine, 1)
    low = found["balanced_accuracy"].interval
    assert low is not None and low[0] == pytest.approx(1 - (3 / genuine + 3 / impostor) / 2, abs=2e-5)


def test_constant_embedder_is_chance() -> None:
    comparisons, accuracy = in_folds(with_scores(crowd(100, genuine=3000, impostor=3000, seed=1), np.full(6000, 0.7)))
    found = findings(comparisons, fold_accuracy=accuracy) | findings(replace(comparisons, folds=None))
    assert {key: one.value for key, one in found.items()} == {
        "accuracy": 0.5,
        "roc_auc": 0.5,
        "eer": 0.5,
        "tar_at_fmr_0.01": 0,
        "tar_at_fmr_0.001": 0,
        "balanced_accuracy": 0.5,
        "f1": pytest.approx(found["f1"].chance),
        "average_precision": 0.5,
    }
    assert found["tar_at_fmr_0.01"].interval == (0, 3 / 3000)
    # Whoever is drawn, saying the same of every pair is right for all of one kind and for none of the other.
    for key in ("roc_auc", "eer", "balanced_accuracy"):
        assert found[key].interval == (0.5, 0.5)


def test_known_errors_are_found() -> None:
    """One genuine pair in ten scores as impostors do, one impostor pair in fifty as genuine ones do."""
    comparisons = crowd(500, genuine=5000, impostor=10_000, seed=4)
    place = np.empty(len(comparisons), dtype=np.int64)
    for kind in (comparisons.genuine, ~comparisons.genuine):
        place[kind] = np.arange(kind.sum())
    high = np.where(comparisons.genuine, place % 10 > 0, place % 50 == 0)
    found = findings(with_scores(comparisons, np.where(high, 0.6, 0.1)), targets=(0.01, 0.02, 0.1))
    truth = {
        "roc_auc": 0.9 * 0.98 + 0.5 * (0.9 * 0.02 + 0.1 * 0.98),
        "tar_at_fmr_0.01": 0.0,
        "tar_at_fmr_0.02": 0.9,
        "tar_at_fmr_0.1": 0.9,
        "balanced_accuracy": (0.9 + 0.98) / 2,
    }
    for key, value in truth.items():
        one = found[key]
        assert one.value == pytest.approx(value, abs=0.015 if key == "balanced_accuracy" else 1e-12)
        assert one.interval is not None and one.interval[0] <= value <= one.interval[1] + 1e-12
    # On the straight line from (0.02, 0.9) to (1, 1).
    assert found["eer"].value == pytest.approx(0.02 + 0.98 * 0.08 / 1.08)


def test_failed_comparisons_count_against_the_model() -> None:
    comparisons = crowd(100, genuine=600, impostor=3000, seed=1)
    failed = np.random.default_rng(0).random(3600) < 0.05
    scores = np.where(failed, np.nan, comparisons.genuine).astype(np.float32)
    hurt = replace(comparisons, scores=count_as_wrong(scores, comparisons.genuine, failed), failed=failed)
    found = findings(hurt, targets=(0.01, 0.1))
    assert found["tar_at_fmr_0.01"].value == 0
    assert found["tar_at_fmr_0.1"].value == pytest.approx(1 - failed[comparisons.genuine].mean())


@settings(deadline=None)
@given(few_comparisons(), st.randoms(use_true_random=False), st.booleans())
def test_order_and_sides_change_nothing(comparisons: Comparisons, random: Any, swap: bool) -> None:
    order = random.sample(range(len(comparisons)), len(comparisons))
    one = verify_comparisons(comparisons, targets=(0.3,), replicates=5)
    other = verify_comparisons(reordered(comparisons, order, swap=swap), targets=(0.3,), replicates=5)
    assert one[0] == other[0]
    for found, again in zip(one[1], other[1], strict=True):
        if found.interval is None or again.interval is None:
            assert found.interval is again.interval
        else:
            assert found.interval == pytest.approx(again.interval)
        assert replace(found, value=None, interval=None, reason="-") == replace(
            again, value=None, interval=None, reason="-"
        )
        assert found.value == pytest.approx(again.value)


@settings(deadline=None)
@given(few_comparisons(), st.integers(2, 4))
def test_repeating_every_comparison_changes_no_rate(comparisons: Comparisons, times: int) -> None:
    order = np.tile(np.arange(len(comparisons)), times)
    one, other = (
        {found.key: found for found in verify_comparisons(c, targets=(0.3, 0.5), replicates=5)[1]}
        for c in (comparisons, reordered(comparisons, order))
    )
    for key in ("roc_auc", "eer", "average_precision", "tar_at_fmr_0.3", "tar_at_fmr_0.5"):
        # More pairs can carry targets that fewer cannot.
        if one[key].value is not None:
            assert other[key].value == pytest.approx(one[key].value)


@settings(deadline=None)
@given(few_comparisons())
def test_monotone_maps_of_the_scores_change_no_rate(comparisons: Comparisons) -> None:
    one, other = (
        findings(c, targets=(0.3, 0.5), replicates=5)
        for c in (comparisons, with_scores(comparisons, np.tanh(2 * comparisons.scores)))
    )
    for key in ("roc_auc", "eer", "average_precision", "tar_at_fmr_0.3", "tar_at_fmr_0.5"):
        assert (other[key].value, other[key].interval) == (one[key].value, one[key].interval)


def test_rates_the_pairs_cannot_carry_have_a_reason_and_no_interval() -> None:
    found = findings(crowd(100, genuine=600, impostor=2999, seed=1))["tar_at_fmr_0.001"]
    assert (found.value, found.interval) == (None, None)
    assert found.reason == "FMR 0.001 needs at least 3,000 impostor pairs, there are 2,999"


def test_two_people_have_figures_and_no_interval_by_person() -> None:
    found = findings(
        comparisons_of([0.9, 0.3, 0.4, 0.2], [(0, 1), (2, 3), (0, 2), (1, 3)], [0, 0, 1, 1]), replicates=20
    )
    assert found["roc_auc"].value == 0.75 and found["roc_auc"].interval is None
    assert found["roc_auc"].basis.endswith("too few people for an interval")
    few = findings(comparisons_of([0.9, 0.1], [(0, 1), (0, 2)], [0, 0, 1]), replicates=20)
    for key in ("balanced_accuracy", "f1"):
        assert few[key].value is None and "at least 2 genuine" in few[key].reason


def test_one_genuine_pair_of_a_person_who_is_hardly_ever_drawn() -> None:
    comparisons = comparisons_of([0.4] + [0.1, 0.5] * 3, [(0, 1)] + [(0, 2), (1, 3)] * 3, [0, 0, 1, 2])
    one = findings(comparisons, replicates=1, seed=0)
    kept = [copies.tolist() for copies in person_copies(3, replicates=1, seed=0)]
    assert (one["roc_auc"].interval is None) == (kept[0][0] == 0 or sum(kept[0][1:]) == 0)


def test_area_is_never_above_one() -> None:
    for genuine, impostor in ((997, 991), (3000, 7919), (49, 49)):
        scores = np.concatenate([np.linspace(0.5, 0.9, genuine), np.linspace(-0.5, 0.4, impostor)])
        assert verify_pairs(scores, np.arange(len(scores)) < genuine).roc_auc == 1.0


def test_the_halves_of_the_report_are_those_of_the_figures() -> None:
    comparisons = crowd(60, genuine=300, impostor=900, seed=5, apart=0.2)
    verification, found = verify_comparisons(comparisons, seed=3, replicates=10)
    f1 = next(one for one in found if one.key == "f1")
    balanced = next(one for one in found if one.key == "balanced_accuracy")
    assert balanced.basis == (
        f"two halves by people: {verification.halves.pairs[0]:,} and {verification.halves.pairs[1]:,} pairs"
    )
    genuine, impostor = (int(part.split()[0].replace(",", "")) for part in f1.basis.split(", "))
    assert genuine + impostor == sum(verification.halves.pairs)
    everything = np.ones(genuine + impostor, dtype=bool)
    assert f1.chance == pytest.approx(f1_score(np.arange(genuine + impostor) < genuine, everything))


def test_bad_input_is_refused() -> None:
    comparisons, accuracy = in_folds(crowd(30, genuine=60, impostor=200, seed=9, apart=0.2))
    with pytest.raises(InputError, match="none is impostor"):
        verify_comparisons(comparisons_of([0.9], [(0, 1)], [0, 0]))
    with pytest.raises(InputError, match="no cosines"):
        verify_comparisons(comparisons_of([0.9, np.nan], [(0, 1), (0, 2)], [0, 0, 1]))
    with pytest.raises(InputError, match="other folds"):
        verify_comparisons(replace(comparisons, folds=None), fold_accuracy=accuracy)
    with pytest.raises(InputError, match="other folds"):
        verify_comparisons(in_folds(comparisons, 5)[0], fold_accuracy=accuracy)
    with pytest.raises(InputError, match="other scores"):
        verify_comparisons(with_scores(comparisons, -comparisons.scores), fold_accuracy=accuracy)
    for target in (0.0, 1.0, np.nan):
        with pytest.raises(UsageError, match="between 0 and 1"):
            verify_comparisons(comparisons, targets=(target,))
    with pytest.raises(UsageError, match="seed"):
        verify_comparisons(comparisons, seed=-1)
    with pytest.raises(UsageError, match="replicate"):
        verify_comparisons(comparisons, replicates=0)


def test_the_oracle_itself_copies_people() -> None:
    scores, genuine = oracle.copied([(0.5, 0, 0), (0.1, 0, 1)], [2, 3])
    assert scores == [0.5] * 2 + [0.1] * 6 and genuine == [True] * 2 + [False] * 6


def test_as_many_pairs_as_lfw_has_take_no_time() -> None:
    comparisons, accuracy = in_folds(crowd(4000, genuine=3000, impostor=3000, seed=0))
    start = time.process_time()
    verify_comparisons(comparisons, fold_accuracy=accuracy)
    assert time.process_time() - start < 1


@pytest.mark.slow
def test_two_million_pairs_take_seconds() -> None:
    comparisons = crowd(5000, genuine=200_000, impostor=1_800_000, seed=0)
    start = time.process_time()
    verify_comparisons(comparisons)
    assert time.process_time() - start < 15
