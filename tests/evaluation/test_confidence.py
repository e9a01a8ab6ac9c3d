"""Replicates against crowds built copy by copy, intervals against a population whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import oracles_verification as oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_comparisons import comparisons_of, crowd, few_comparisons, reordered
from numpy.typing import NDArray
from scipy.stats import norm

from facenet.errors import InputError, UsageError
from facenet.evaluation.comparisons import Comparisons
from facenet.evaluation.confidence import (
    VerificationReplicates,
    person_copies,
    replicate_counts,
    replicate_means,
    replicate_verification,
)
from facenet.evaluation.intervals import interval_of, rule_of_three

TARGETS = (0.1, 0.3, 0.5)


def sides_of(comparisons: Comparisons) -> tuple[list[tuple[int, int]], int]:
    """The two people of each comparison, numbered without gaps, and how many there are."""
    owners = [comparisons.owners[side] for side in (comparisons.first, comparisons.second)]
    names = sorted(set(owners[0].tolist()) | set(owners[1].tolist()))
    return [(names.index(a), names.index(b)) for a, b in zip(*owners, strict=True)], len(names)


def table(replicates: VerificationReplicates) -> NDArray[np.float64]:
    """``(figures, r)``"""
    return np.stack([replicates.roc_auc, replicates.eer, replicates.average_precision, *replicates.tar.values()])


@settings(deadline=None)
@given(few_comparisons(), st.integers(0, 5))
def test_replicates_are_those_of_crowds_built_copy_by_copy(comparisons: Comparisons, seed: int) -> None:
    [found] = replicate_verification([comparisons.scores], comparisons, TARGETS, replicates=6, seed=seed)
    sides, people = sides_of(comparisons)
    pairs = [(score, *pair) for score, pair in zip(comparisons.scores.tolist(), sides, strict=True)]
    expected = [
        oracle.figures(*oracle.copied(pairs, copies.tolist()), TARGETS)
        for copies in person_copies(people, replicates=6, seed=seed)
    ]
    kept = [row for row in expected if row is not None]
    assert table(found).shape == (6, len(kept))
    if kept:
        np.testing.assert_allclose(table(found), np.array(kept).T, atol=1e-9)
    assert list(found.tar) == list(TARGETS)


@settings(deadline=None)
@given(few_comparisons(), st.randoms(use_true_random=False), st.booleans())
def test_order_sides_and_repetition_change_nothing(comparisons: Comparisons, random: Any, swap: bool) -> None:
    order = random.sample(range(len(comparisons)), len(comparisons))
    [found] = replicate_verification([comparisons.scores], comparisons, TARGETS, replicates=5)
    for other in (reordered(comparisons, order, swap=swap), reordered(comparisons, np.tile(order, 2), swap=swap)):
        [again] = replicate_verification([other.scores], other, TARGETS, replicates=5)
        np.testing.assert_allclose(table(again), table(found), atol=1e-12)


@settings(deadline=None)
@given(few_comparisons())
def test_monotone_maps_change_nothing(comparisons: Comparisons) -> None:
    moved = np.tanh(3 * comparisons.scores)
    one, other = replicate_verification([comparisons.scores, moved], comparisons, TARGETS, replicates=5)
    np.testing.assert_array_equal(table(one), table(other))


def test_samples_that_nobody_compares_are_no_people() -> None:
    scores, pairs = [0.9, 0.1, 0.5, 0.3], [(0, 1), (0, 2), (2, 3), (1, 3)]
    tight = comparisons_of(scores, pairs, [0, 0, 1, 1])
    loose = comparisons_of(scores, pairs, [4, 4, 9, 9, 2, 0])
    found = [replicate_verification([c.scores], c, TARGETS, replicates=20)[0] for c in (tight, loose)]
    np.testing.assert_array_equal(table(found[0]), table(found[1]))


def test_models_are_judged_on_the_same_people() -> None:
    comparisons = crowd(50, genuine=200, impostor=2000, seed=1)
    generator = np.random.default_rng(2)
    noisy = (comparisons.scores + generator.normal(0, 0.01, len(comparisons)).astype(np.float32)).clip(-1, 1)
    same, again, other = replicate_verification([comparisons.scores] * 2 + [noisy], comparisons, (0.01,), replicates=99)
    np.testing.assert_array_equal(table(same), table(again))
    assert (table(other) - table(same)).std() < 0.5 * table(same).std()
    assert not np.array_equal(table(other), table(same))
    alone = replicate_verification([noisy], comparisons, (0.01,), replicates=99)[0]
    np.testing.assert_array_equal(table(alone), table(other))


def test_replicates_without_a_kind_are_left_out_for_every_model() -> None:
    comparisons = comparisons_of([0.9, 0.1, 0.2], [(0, 1), (0, 2), (1, 2)], [0, 0, 1])
    flipped = -comparisons.scores
    found = replicate_verification([comparisons.scores, flipped], comparisons, (), replicates=400)
    kept = sum(copies.min() > 0 for copies in person_copies(2, replicates=400, seed=0))
    assert 150 < kept < 250
    assert [len(one.roc_auc) for one in found] == [kept, kept]
    assert set(found[0].roc_auc) == {1.0} and set(found[1].roc_auc) == {0.0}
    assert found[0].tar == {}


@pytest.mark.parametrize(("genuine", "impostor"), [(2000, 38_000), (20_000, 20_000), (38_000, 2000), (500, 40_000)])
def test_what_is_thinned_out_hardly_changes_a_replicate(genuine: int, impostor: int) -> None:
    comparisons = crowd(300, genuine=genuine, impostor=impostor, seed=3)
    targets = (1e-1, 1e-2, 1e-3) if impostor > 3000 else (1e-1,)
    [whole] = replicate_verification([comparisons.scores], comparisons, targets, replicates=100, most=10**6)
    [thin] = replicate_verification([comparisons.scores], comparisons, targets, replicates=100, most=10_000)
    for full, few in zip(table(whole), table(thin), strict=True):
        assert (few - full).std() < 0.4 * full.std()
        assert abs((few - full).mean()) < 0.15 * full.std()


def test_thinning_out_does_not_depend_on_the_order_or_the_sides() -> None:
    comparisons = crowd(100, genuine=3000, impostor=9000, seed=5)
    rounded = (comparisons.scores * 50).round() / np.float32(50)
    order = np.random.default_rng(0).permutation(len(comparisons))
    other = reordered(comparisons, order, swap=True)
    [one] = replicate_verification([rounded], comparisons, (0.01,), replicates=30, seed=7, most=2000)
    [two] = replicate_verification([rounded[order]], other, (0.01,), replicates=30, seed=7, most=2000)
    np.testing.assert_array_equal(table(one), table(two))
    [three] = replicate_verification([rounded], comparisons, (0.01,), replicates=30, seed=8, most=2000)
    assert not np.array_equal(table(one), table(three))


@pytest.mark.parametrize("most", [4, 5, 7, 20])
def test_however_few_are_kept(most: int) -> None:
    comparisons = crowd(20, genuine=30, impostor=90, seed=5)
    [found] = replicate_verification([comparisons.scores], comparisons, (0.1,), replicates=20, most=most)
    assert table(found).shape[0] == 4 and ((table(found) >= 0) & (table(found) <= 1)).all()
    kinds = comparisons.genuine.astype(np.int64)
    counts = replicate_counts(kinds, 2, comparisons, replicates=200, most=most)
    assert counts.mean(axis=0) == pytest.approx([90, 30], rel=0.4)


@pytest.mark.parametrize("apart", [0.5, 0.25])
def test_intervals_cover_the_truth(apart: float) -> None:
    """Scores are normal, people harder or easier: the AUC of infinitely many people is known."""
    truth = float(norm.cdf(apart / np.sqrt(2 * 0.1**2 + 4 * 0.05**2 + 2 * 0.05**2)))
    covered = 0
    for seed in range(60):
        comparisons = crowd(40, genuine=400, impostor=800, seed=seed, apart=apart)
        [found] = replicate_verification([comparisons.scores], comparisons, (), replicates=200, seed=seed)
        low, high = interval_of(found.roc_auc)
        covered += low <= truth <= high
        assert high - low < 0.1
    assert covered >= 52


@settings(deadline=None)
@given(few_comparisons(), st.data())
def test_counts_are_those_of_crowds_built_copy_by_copy(comparisons: Comparisons, data: st.DataObject) -> None:
    n = len(comparisons)
    kinds = np.array(data.draw(st.lists(st.integers(0, 5), min_size=n, max_size=n)))
    found = replicate_counts(kinds, 7, comparisons, replicates=5, seed=3)
    sides, people = sides_of(comparisons)
    for row, copies in zip(found, person_copies(people, replicates=5, seed=3), strict=True):
        expected = [0] * 7
        for kind, (a, b) in zip(kinds.tolist(), sides, strict=True):
            expected[kind] += int(copies[a]) * (1 if a == b else int(copies[b]))
        assert row.tolist() == expected


def test_counts_are_thinned_out_alike_for_every_kind() -> None:
    comparisons = crowd(200, genuine=3000, impostor=30_000, seed=6)
    kinds = 2 * comparisons.genuine + (comparisons.scores >= 0.3)
    whole = replicate_counts(kinds, 5, comparisons, replicates=100, most=10**6)
    thin = replicate_counts(kinds, 5, comparisons, replicates=100, most=9000)
    rare = np.bincount(kinds, minlength=5) < 9000 / 5
    assert rare.tolist() == [False, True, True, False, True]
    np.testing.assert_array_equal(thin[:, rare], whole[:, rare])
    for kind in np.flatnonzero(~rare):
        assert (thin[:, kind] / whole[:, kind] - 1).std() < 0.02
    order = np.random.default_rng(0).permutation(len(comparisons))
    other = reordered(comparisons, order, swap=True)
    np.testing.assert_array_equal(replicate_counts(kinds[order], 5, other, replicates=100, most=9000), thin)


@given(
    st.lists(st.tuples(st.integers(-5, 3), st.floats(-1, 1), st.floats(-1, 1)), min_size=1, max_size=12),
    st.integers(1, 9),
)
def test_means_are_those_of_lists_built_copy_by_copy(rows: Sequence[tuple[int, float, float]], replicates: int) -> None:
    people = np.array([row[0] for row in rows])
    values = np.array([row[1:] for row in rows])
    found = replicate_means(values, people, replicates=replicates, seed=4)
    names = sorted(set(people.tolist()))
    for row, copies in zip(found, person_copies(len(names), replicates=replicates, seed=4), strict=True):
        drawn = [value for who, value in zip(people, values, strict=True) for _ in range(copies[names.index(who)])]
        np.testing.assert_allclose(row, np.mean(drawn, axis=0), atol=1e-12)
    assert found.shape == (replicates, 2)


def test_many_people_are_done_in_parts() -> None:
    people = np.arange(60_000)
    values = np.stack([people % 2, people % 3 == 0], axis=1).astype(np.float64)
    found = replicate_means(values, people, replicates=150, seed=1)
    for place in (0, 75, 149):
        copies = list(person_copies(60_000, replicates=150, seed=1))[place]
        np.testing.assert_allclose(found[place], copies @ values / 60_000)


def test_copies_are_seeded_and_as_many_as_people() -> None:
    drawn = np.stack(list(person_copies(30, replicates=200, seed=1)))
    assert drawn.shape == (200, 30) and drawn.dtype == np.int64 and (drawn.sum(axis=1) == 30).all()
    np.testing.assert_array_equal(drawn, np.stack(list(person_copies(30, replicates=200, seed=1))))
    assert not np.array_equal(drawn, np.stack(list(person_copies(30, replicates=200, seed=2))))
    assert drawn.mean(axis=0) == pytest.approx(np.ones(30), abs=0.3)


def test_the_rule_of_three() -> None:
    assert rule_of_three(True, 300) == (0.99, 1)
    assert rule_of_three(False, 300) == (0, 0.01)
    assert rule_of_three(True, 2) == (0, 1) and rule_of_three(False, 1) == (0, 1)


def test_bad_input_is_refused() -> None:
    comparisons = crowd(20, genuine=30, impostor=90, seed=5)
    for bad in (np.nan, np.inf):
        wrong = comparisons.scores.copy()
        wrong[3] = bad
        with pytest.raises(InputError, match="as many finite scores"):
            replicate_verification([comparisons.scores, wrong], comparisons, (0.1,))
    with pytest.raises(InputError, match="as many finite scores"):
        replicate_verification([comparisons.scores[1:]], comparisons, (0.1,))
    with pytest.raises(InputError, match="genuine and impostor"):
        only = comparisons_of([0.5], [(0, 1)], [0, 0])
        replicate_verification([only.scores], only, (0.1,))
    for target in (0.0, 1.0):
        with pytest.raises(UsageError, match="between 0 and 1"):
            replicate_verification([comparisons.scores], comparisons, (target,))
    for replicates, seed in ((0, 0), (10, -1)):
        with pytest.raises(UsageError, match="at least one replicate"):
            person_copies(5, replicates=replicates, seed=seed)
        with pytest.raises(UsageError, match="at least one replicate"):
            replicate_counts(np.zeros(120, dtype=int), 1, comparisons, replicates=replicates, seed=seed)
        with pytest.raises(UsageError, match="at least one replicate"):
            replicate_verification([comparisons.scores], comparisons, (), replicates=replicates, seed=seed)
    for values, people in ((np.zeros((0, 2)), np.zeros(0, dtype=int)), (np.zeros(3), np.zeros(3, dtype=int))):
        with pytest.raises(InputError, match="means need"):
            replicate_means(values, people)
    with pytest.raises(InputError, match="finite"):
        replicate_means(np.full((2, 1), np.nan), np.arange(2))
