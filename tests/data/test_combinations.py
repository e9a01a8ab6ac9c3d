"""Laws of triplets and pairs: who stands in every row, how often everybody comes, exact resumption, fixed lists."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facenet.data.combinations import PairSampler, TripletSampler, balanced_pairs
from facenet.data.samplers import Draw
from facenet.errors import CheckpointError, InputError, UsageError

Data = tuple[np.ndarray, np.ndarray | None]
"""Labels and anchors."""
Sampler = TripletSampler | PairSampler
laws = settings(max_examples=80, deadline=None)


@st.composite
def data(draw: st.DrawFn) -> Data:
    """People with so many anchors and so many other pictures each, in mixed order; at least one genuine pair."""
    people = draw(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 7)), min_size=1, max_size=7))
    people.append((draw(st.integers(2, 4)), 0) if draw(st.booleans()) else (1, draw(st.integers(1, 9))))
    labels = np.repeat(np.arange(len(people)) * 3 + 2, [sum(counts) for counts in people])
    anchors = np.concatenate([np.arange(sum(counts)) < counts[0] for counts in people])
    order = np.random.default_rng(draw(st.integers(0, 9))).permutation(len(labels))
    return labels[order], anchors[order] if draw(st.booleans()) else None


def obvious_pairs(labels: np.ndarray, anchors: np.ndarray | None) -> dict[bool, set[tuple[int, int]]]:
    """Every (anchor, other picture) there can be: genuine under True, impostor under False."""
    given_anchors = [True] * len(labels) if anchors is None else anchors.tolist()
    anchors_only = {
        person: all(given_anchors[i] for i in range(len(labels)) if labels[i] == person) for person in labels
    }
    pairs: dict[bool, set[tuple[int, int]]] = {True: set(), False: set()}
    for one in range(len(labels)):
        for other in range(len(labels)):
            probe = not given_anchors[other] or anchors_only[labels[other]]
            if one != other and given_anchors[one] and probe:
                pairs[bool(labels[one] == labels[other])].add((one, other))
    return pairs


def indices(batch: list[Draw], width: int) -> list[tuple[int, ...]]:
    rows = [draw.index for draw in batch]
    assert len(rows) % width == 0 and all(type(row) is int for row in rows)
    return [tuple(rows[start : start + width]) for start in range(0, len(rows), width)]


def check_sizes(batches: list[list[tuple[int, ...]]], per_batch: int, total: int) -> None:
    """Full batches, a smaller last one, and none of one row unless all are."""
    sizes = [len(batch) for batch in batches]
    assert sum(sizes) == total
    assert all(size == per_batch for size in sizes[:-1])
    if per_batch > 1 and total > per_batch:
        assert 2 <= sizes[-1] <= per_batch + 1
    else:
        assert sizes[-1] <= per_batch


def check_rounds(counts: list[int]) -> None:
    """In shuffled rounds everybody comes equally often, save one who may have been kept from himself."""
    counts = sorted(counts)
    assert counts[-1] - counts[min(1, len(counts) - 1)] <= 1


@laws
@given(data(), st.integers(1, 12), st.integers(0, 3))
def test_every_epoch_of_triplets(given_data: Data, per_batch: int, seed: int) -> None:
    labels, anchors = given_data
    possible = obvious_pairs(labels, anchors)[True]
    positives = sorted({other for _, other in possible})
    sampler = TripletSampler(labels, triplets_per_batch=per_batch, seed=seed, anchors=anchors)
    assert sampler.positives.tolist() == positives
    for epoch in range(3):
        batches = [indices(batch, 3) for batch in sampler.epoch_batches()]
        assert len(batches) == sampler.batches_per_epoch
        check_sizes(batches, per_batch, len(positives))
        triplets = [triplet for batch in batches for triplet in batch]
        assert sorted(positive for _, positive, _ in triplets) == positives
        assert {(anchor, positive) for anchor, positive, _ in triplets} <= possible
        assert all(labels[anchor] != labels[negative] for anchor, _, negative in triplets)
        if epoch == 0:
            negatives = Counter(negative for _, _, negative in triplets)
            used = Counter(anchor for anchor, _, _ in triplets)
            for person in np.unique(labels):
                own = np.flatnonzero(labels == person)
                shown = [negatives[picture] for picture in own.tolist()]
                assert max(shown) - min(shown) <= 1, "a person's pictures come in rounds"
                times = [used[anchor] for anchor in {anchor for anchor, _ in possible if labels[anchor] == person}]
                assert not times or max(times) - min(times) <= 1, "a person's anchors come in rounds"
            drawn = Counter(labels[[negative for _, _, negative in triplets]].tolist())
            check_rounds([drawn[person] for person in np.unique(labels).tolist()])


@laws
@given(data(), st.integers(1, 12), st.integers(0, 3))
def test_every_epoch_of_pairs(given_data: Data, per_batch: int, seed: int) -> None:
    labels, anchors = given_data
    possible = obvious_pairs(labels, anchors)
    positives = sorted({other for _, other in possible[True]})
    sampler = PairSampler(labels, pairs_per_batch=per_batch, seed=seed, anchors=anchors)
    assert sampler.positives.tolist() == positives
    for epoch in range(3):
        batches = [indices(batch, 2) for batch in sampler.epoch_batches()]
        assert len(batches) == sampler.batches_per_epoch
        check_sizes(batches, per_batch, 2 * len(positives))
        pairs = [pair for batch in batches for pair in batch]
        for same in (True, False):
            of_kind = [pair for pair in pairs if (labels[pair[0]] == labels[pair[1]]) == same]
            assert sorted(other for _, other in of_kind) == positives
            assert set(of_kind) <= possible[same]
            if epoch == 0 and not same:
                drawn = Counter(labels[[one for one, _ in of_kind]].tolist())
                check_rounds([drawn[person] for person in np.unique(labels).tolist()])
        for batch in batches:
            genuine = sum(labels[one] == labels[other] for one, other in batch)
            assert abs(2 * genuine - len(batch)) <= 1


def test_negatives_come_from_everybody_equally_often() -> None:
    """Whoever has many pictures is no more often somebody else than who has few, over many epochs."""
    labels = np.repeat([0, 1, 2, 3], [12, 10, 5, 2])
    sampler = TripletSampler(labels, triplets_per_batch=8, seed=0)
    triplets = [row for _ in range(40) for batch in sampler.epoch_batches() for row in indices(batch, 3)]
    people = Counter(labels[[negative for _, _, negative in triplets]].tolist())
    assert len(people) == 4
    for times in people.values():
        assert times / len(triplets) == pytest.approx(1 / 4, abs=0.01)


def test_one_anchor_each_as_in_a_passport() -> None:
    labels = np.repeat(np.arange(4), 5)
    anchors = np.arange(20) % 5 == 0
    sampler = TripletSampler(labels, triplets_per_batch=4, seed=1, anchors=anchors)
    assert sampler.batches_per_epoch == 4 and sampler.positives.tolist() == np.flatnonzero(~anchors).tolist()
    for batch in sampler.epoch_batches():
        for anchor, positive, _ in indices(batch, 3):
            assert anchor == positive // 5 * 5


def test_several_anchors_meet_every_picture_in_time() -> None:
    labels = np.repeat([0, 1], [6, 2])
    anchors = np.array([True, True, False, False, False, False, True, False])
    sampler = TripletSampler(labels, triplets_per_batch=4, seed=1, anchors=anchors)
    met = {triplet[:2] for _ in range(30) for batch in sampler.epoch_batches() for triplet in indices(batch, 3)}
    assert met == {(anchor, other) for anchor in (0, 1) for other in (2, 3, 4, 5)} | {(6, 7)}


def test_any_two_pictures_meet_in_time_without_anchors() -> None:
    labels = np.repeat([0, 1], 4)
    sampler = PairSampler(labels, pairs_per_batch=4, seed=1)
    met = {frozenset(pair) for _ in range(30) for batch in sampler.epoch_batches() for pair in indices(batch, 2)}
    assert met == {frozenset(pair) for pair in combinations(range(8), 2)}


def test_all_anchors_are_as_good_as_none_told() -> None:
    labels = np.repeat([0, 1, 2], [4, 3, 1])
    told = TripletSampler(labels, triplets_per_batch=3, seed=1, anchors=np.ones(8, dtype=bool))
    untold = TripletSampler(labels, triplets_per_batch=3, seed=1)
    told.load_state_dict(untold.state_dict())
    assert told.epoch_batches() == untold.epoch_batches()


def test_a_last_batch_of_one_joins_the_one_before() -> None:
    labels = np.repeat([0, 1], [5, 4])
    for per_batch, sizes in ((4, [4, 5]), (9, [9]), (100, [9]), (1, [1] * 9)):
        sampler = TripletSampler(labels, triplets_per_batch=per_batch, seed=0)
        assert [len(batch) // 3 for batch in sampler.epoch_batches()] == sizes
        assert sampler.batches_per_epoch == len(sizes)


LABELS = np.repeat([4, 1, 7, 9], [9, 5, 12, 1])
ANCHORS = np.isin(np.arange(27), [0, 9, 10, 14, 15, 16, 26])


@settings(max_examples=40, deadline=None)
@given(data(), st.integers(1, 12), st.integers(0, 3), st.booleans())
def test_any_sampler_goes_on_exactly(given_data: Data, per_batch: int, epochs: int, pairs: bool) -> None:
    labels, anchors = given_data

    def make(seed: int) -> Sampler:
        if pairs:
            return PairSampler(labels, pairs_per_batch=per_batch, seed=seed, anchors=anchors)
        return TripletSampler(labels, triplets_per_batch=per_batch, seed=seed, anchors=anchors)

    uninterrupted, interrupted, resumed = make(0), make(0), make(1)
    for _ in range(epochs):
        assert interrupted.epoch_batches() == uninterrupted.epoch_batches()
    resumed.load_state_dict(interrupted.state_dict())
    assert [resumed.epoch_batches() for _ in range(2)] == [uninterrupted.epoch_batches() for _ in range(2)]


def test_a_fixed_list_touches_no_global_generator() -> None:
    before = np.random.get_state()[1].copy()  # type: ignore[index,union-attr]
    balanced_pairs(LABELS, ANCHORS)
    assert (np.random.get_state()[1] == before).all()  # type: ignore[index,call-overload]


def test_foreign_state_is_refused() -> None:
    def triplets(labels: np.ndarray = LABELS, per_batch: int = 4, anchors: np.ndarray | None = None) -> TripletSampler:
        return TripletSampler(labels, triplets_per_batch=per_batch, seed=0, anchors=anchors)

    pairs = PairSampler(LABELS, pairs_per_batch=4, seed=0)
    for foreign, entry in (
        (pairs, "kind"),
        (triplets(per_batch=5), "shape"),
        (triplets(anchors=ANCHORS), "data"),
        (triplets(LABELS[::-1].copy()), "data"),
    ):
        with pytest.raises(CheckpointError, match=f"{entry} differs"):
            triplets().load_state_dict(foreign.state_dict())
    with pytest.raises(CheckpointError, match="kind differs"):
        pairs.load_state_dict(triplets().state_dict())
    with pytest.raises(CheckpointError, match="data differs"):
        pairs.load_state_dict(PairSampler(LABELS, pairs_per_batch=4, seed=0, anchors=ANCHORS).state_dict())


@pytest.mark.parametrize(
    ("labels", "anchors", "message"),
    [
        ([], None, "at least two people: found 0"),
        ([3, 3, 3], None, "at least two people: found 1"),
        ([0, 1, 2], None, "somebody with an anchor and another picture: each of the 3 people has one picture only"),
        ([0, 0, 1, 1], [True, False, False, False], "1 of 2 people have no anchor"),
    ],
)
def test_people_that_give_nothing(labels: list[int], anchors: list[bool] | None, message: str) -> None:
    numbers = np.array(labels, dtype=np.int64)
    marked = None if anchors is None else np.array(anchors, dtype=bool)
    with pytest.raises(InputError, match=message):
        TripletSampler(numbers, triplets_per_batch=4, seed=0, anchors=marked)
    with pytest.raises(InputError, match=message):
        PairSampler(numbers, pairs_per_batch=4, seed=0, anchors=marked)


def test_senseless_numbers() -> None:
    with pytest.raises(UsageError, match="a batch of 0 triplets: at least 1"):
        TripletSampler(LABELS, triplets_per_batch=0, seed=0)
    with pytest.raises(UsageError, match="a batch of -1 pairs: at least 1"):
        PairSampler(LABELS, pairs_per_batch=-1, seed=0)
    with pytest.raises(UsageError, match="seed of -1"):
        PairSampler(LABELS, pairs_per_batch=4, seed=-1)
    with pytest.raises(UsageError, match="bool"):
        PairSampler(LABELS, pairs_per_batch=4, seed=0, anchors=np.ones(3, dtype=bool))
    with pytest.raises(UsageError, match="at most 0 pairs"):
        balanced_pairs(LABELS, most=0)
    with pytest.raises(UsageError, match="seed -1"):
        balanced_pairs(LABELS, seed=-1)


@laws
@given(data(), st.integers(1, 60), st.integers(0, 3))
def test_every_fixed_list(given_data: Data, most: int, seed: int) -> None:
    labels, anchors = given_data
    first, second = balanced_pairs(labels, anchors, seed=seed, most=most)
    assert first.dtype == second.dtype == np.int64 and first.shape == second.shape
    possible = obvious_pairs(labels, anchors)
    unordered = {same: {frozenset(pair) for pair in pairs} for same, pairs in possible.items()}
    count = min(most, len(unordered[True]), len(unordered[False]))
    pairs = list(zip(first.tolist(), second.tolist(), strict=True))
    assert len(pairs) == len({frozenset(pair) for pair in pairs}) == 2 * count
    assert set(pairs[:count]) <= possible[True] and set(pairs[count:]) <= possible[False]
    assert pairs == sorted(pairs[:count]) + sorted(pairs[count:])
    again = balanced_pairs(labels, anchors, seed=seed, most=most)
    assert (again[0] == first).all() and (again[1] == second).all()


@laws
@given(data(), st.integers(1, 40))
def test_people_are_as_even_as_their_pictures_allow(given_data: Data, most: int) -> None:
    labels, anchors = given_data
    possible = obvious_pairs(labels, anchors)
    first, second = balanced_pairs(labels, anchors, most=most)
    half = len(first) // 2
    given_pairs = Counter(labels[first[:half]].tolist())
    most_each = Counter(int(labels[next(iter(pair))]) for pair in {frozenset(pair) for pair in possible[True]})
    for one in most_each:
        for other in most_each:
            assert given_pairs[one] >= min(most_each[one], given_pairs[other] - 1)
    people = np.unique(labels).tolist()
    met = Counter(
        frozenset(pair) for pair in zip(labels[first[half:]].tolist(), labels[second[half:]].tolist(), strict=True)
    )
    if half <= len(people) * (len(people) - 1) // 2:
        assert max(met.values()) == 1
        times = [sum(count for pair, count in met.items() if person in pair) for person in people]
        assert max(times) - min(times) <= 2
    else:
        assert len(met) == len(people) * (len(people) - 1) // 2


def test_another_seed_gives_another_list() -> None:
    lists = [balanced_pairs(LABELS, seed=seed, most=20) for seed in (0, 1)]
    assert (lists[0][0] != lists[1][0]).any()


def test_any_two_people_may_meet_in_a_fixed_list() -> None:
    """Of six people's fifteen meetings seven are drawn: other ones with every seed."""
    labels = np.repeat(np.arange(6), 3)
    lists = [balanced_pairs(labels, seed=seed, most=7) for seed in range(20)]
    met = {frozenset(labels[list(pair)].tolist()) for rows in lists for pair in np.stack(rows, axis=1)[7:]}
    assert met == {frozenset(pair) for pair in combinations(range(6), 2)}


def test_many_people_give_a_list_quickly_and_evenly() -> None:
    """Eight million meetings, of which some are drawn."""
    labels = np.repeat(np.arange(4_000), 3)
    first, second = balanced_pairs(labels, most=5_000)
    assert len(first) == 10_000
    assert set(Counter(labels[first[:5_000]].tolist()).values()) == {1, 2}
    times = Counter(labels[first[5_000:]].tolist()) + Counter(labels[second[5_000:]].tolist())
    assert len(times) == 4_000 and set(times.values()) <= {2, 3, 4}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 0, 0], "no pair of two people can be made: found 1"),
        ([], "no pair of two people can be made: found 0"),
        ([0, 1, 2], "no pair of one person can be made: each of the 3 people has one picture only"),
    ],
)
def test_no_fixed_list(labels: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        balanced_pairs(np.array(labels, dtype=np.int64))
