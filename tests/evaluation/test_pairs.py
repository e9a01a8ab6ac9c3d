"""Pair sampling: complete when small, uniform and bounded when large, independent of order."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles_evaluation import all_pairs

from facenet import geometry
from facenet.errors import InputError, UsageError
from facenet.evaluation.pairs import Pairs, all_or_sampled_pairs, count_pairs, score_pairs

people_of_pictures = st.lists(st.integers(0, 5), max_size=25)


def as_dict(pairs: Pairs) -> dict[tuple[int, int], bool]:
    """Undirected pairs → same person; fails on a pair that comes twice."""
    found = {
        (min(a, b), max(a, b)): same
        for a, b, same in zip(pairs.first.tolist(), pairs.second.tolist(), pairs.genuine.tolist(), strict=True)
    }
    assert len(found) == len(pairs)
    return found


@given(people_of_pictures)
def test_all_pairs_when_they_fit(labels: list[int]) -> None:
    pairs = all_or_sampled_pairs(np.array(labels, dtype=np.int64), most=300)
    assert as_dict(pairs) == all_pairs(labels)
    assert count_pairs(np.array(labels)) == (pairs.genuine_pairs, pairs.impostor_pairs)


@given(people_of_pictures, st.integers(2, 60), st.integers(0, 3), st.data())
def test_sample_is_a_subset_of_the_right_size(labels: list[int], most: int, seed: int, data: st.DataObject) -> None:
    every = all_pairs(labels)
    barred = data.draw(st.lists(st.sampled_from(sorted(every)), max_size=20)) if every else []
    flipped = np.array([pair[::-1] if i % 2 else pair for i, pair in enumerate(barred)], dtype=np.int64).reshape(-1, 2)
    pairs = all_or_sampled_pairs(np.array(labels, dtype=np.int64), most=most, seed=seed, exclude=flipped)
    allowed = {pair: same for pair, same in every.items() if pair not in barred}
    assert as_dict(pairs).items() <= allowed.items()
    genuine = sum(allowed.values())
    impostor = len(allowed) - genuine
    assert len(pairs) == min(most, len(allowed))
    assert pairs.genuine_pairs == min(genuine, max(most // 2, most - impostor))


def test_every_pair_is_drawn_equally_often() -> None:
    labels = np.repeat([0, 1, 2, 3], [5, 4, 2, 1])
    counts = dict.fromkeys(all_pairs(labels.tolist()), 0)
    kinds = all_pairs(labels.tolist())
    draws = 3000
    for seed in range(draws):
        for pair in as_dict(all_or_sampled_pairs(labels, most=20, seed=seed)):
            counts[pair] += 1
    for same, wanted, there in ((True, 10, 17), (False, 10, 49)):
        expected = draws * wanted / there
        spread = np.sqrt(expected * (1 - wanted / there))
        drawn = np.array([count for pair, count in counts.items() if kinds[pair] == same])
        assert drawn.sum() == draws * wanted
        assert np.abs(drawn - expected).max() < 4.5 * spread


def test_same_seed_same_pairs_and_other_seed_other_pairs() -> None:
    labels = np.repeat(np.arange(30), 10)
    one, again, other = (all_or_sampled_pairs(labels, most=500, seed=seed) for seed in (1, 1, 2))
    assert as_dict(one) == as_dict(again)
    assert as_dict(one) != as_dict(other)


def test_interleaving_of_people_does_not_matter() -> None:
    labels = np.repeat(np.arange(20), 6)
    place_in_person = np.tile(np.arange(6), 20)
    shuffled = np.lexsort((np.random.default_rng(0).permutation(120), place_in_person))
    plain = all_or_sampled_pairs(labels, most=200)
    mixed = all_or_sampled_pairs(labels[shuffled], most=200)
    back = Pairs(shuffled[mixed.first], shuffled[mixed.second], mixed.genuine)
    assert as_dict(back) == as_dict(plain)


@given(st.randoms(use_true_random=False))
def test_keys_make_the_sample_independent_of_any_order(random: object) -> None:
    labels = np.repeat(["ann", "bob", "cid", "di"], [9, 7, 5, 1])
    keys = np.array([f"picture {i}" for i in range(len(labels))])
    order = np.arange(len(labels))
    random.shuffle(order)  # type: ignore[attr-defined]
    plain = all_or_sampled_pairs(labels, most=40, keys=keys)
    mixed = all_or_sampled_pairs(labels[order], most=40, keys=keys[order])
    assert as_dict(Pairs(order[mixed.first], order[mixed.second], mixed.genuine)) == as_dict(plain)


def test_memory_is_that_of_the_sample_not_of_the_pairs() -> None:
    labels = np.random.default_rng(0).integers(0, 3000, size=100_000)
    tracemalloc.start()
    pairs = all_or_sampled_pairs(labels, most=20_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (pairs.genuine_pairs, pairs.impostor_pairs) == (10_000, 10_000)
    assert sum(count_pairs(labels)) == 100_000 * 99_999 // 2
    assert peak < 20e6
    assert (labels[pairs.first] == labels[pairs.second]).tolist() == pairs.genuine.tolist()


def test_people_of_pairs() -> None:
    labels = np.array(["b", "a", "b"])
    pairs = all_or_sampled_pairs(labels)
    found = {tuple(row) for row in np.sort(pairs.people(labels), axis=1).tolist()}
    assert found == {("b", "b"), ("a", "b")}


@settings(deadline=None)
@given(st.integers(0, 5))
def test_scores_are_cosines(seed: int) -> None:
    embeddings = geometry.normalise(torch.randn(13, 7, generator=torch.Generator().manual_seed(seed)))
    pairs = all_or_sampled_pairs(np.arange(13) // 3)
    scores = score_pairs(embeddings, pairs)
    table = geometry.cosine(embeddings, embeddings).numpy()
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, table[pairs.first, pairs.second], atol=1e-6)


def test_pairs_that_contradict_themselves_are_refused() -> None:
    index, other, same = np.array([0, 1]), np.array([2, 3]), np.array([True, False])
    Pairs(index, other, same)
    for bad in (
        (index, other[:1], same),
        (index.astype(np.int32), other, same),
        (index, other, same.astype(np.int64)),
        (index - 1, other, same),
        (index, index, same),
        (index[:, None], other[:, None], same[:, None]),
    ):
        with pytest.raises(InputError):
            Pairs(*bad)


def test_bad_calls_are_refused() -> None:
    labels = np.array([0, 0, 1])
    with pytest.raises(UsageError, match="most"):
        all_or_sampled_pairs(labels, most=1)
    with pytest.raises(UsageError, match="seed"):
        all_or_sampled_pairs(labels, seed=-1)
    with pytest.raises(InputError, match="key"):
        all_or_sampled_pairs(labels, keys=np.array(["a"]))
    for exclude in (
        np.array([[0, 3]]),
        np.array([[1, 1]]),
        np.array([[-1, 1]]),
        np.array([0, 1]),
        np.array([[0.5, 1]]),
    ):
        with pytest.raises(InputError, match="excluded"):
            all_or_sampled_pairs(labels, exclude=exclude)
    with pytest.raises(InputError, match="beyond"):
        score_pairs(torch.eye(2), all_or_sampled_pairs(labels))
