"""Laws of batches: their shape, who is in them, how soon everybody was, and exact resumption."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from facenet.data.combinations import PairSampler, TripletSampler
from facenet.data.samplers import BalancedSampler, Draw, PeopleSampler, Sampler, batch_shape, sequential_batches
from facenet.errors import CheckpointError, InputError, UsageError


def labels_of(counts: list[int], seed: int = 0) -> np.ndarray:
    """So many pictures of each person, in mixed order, with labels that are not consecutive."""
    labels = np.repeat(np.arange(len(counts)) * 3 + 1, counts)
    return np.random.default_rng(seed).permutation(labels)


@st.composite
def populations(draw: st.DrawFn) -> np.ndarray:
    several = draw(st.lists(st.integers(2, 30), min_size=2, max_size=10))
    alone = draw(st.integers(0, 15))
    return labels_of(several + [1] * alone, draw(st.integers(0, 9)))


@st.composite
def people_samplers(draw: st.DrawFn) -> tuple[np.ndarray, PeopleSampler]:
    labels = draw(populations())
    available = int((np.unique(labels, return_counts=True)[1] >= 2).sum())
    people = draw(st.integers(2, available))
    images = draw(st.integers(2, 8))
    drawable = len(labels) if people >= 3 else int((np.bincount(labels)[labels] >= 2).sum())
    assume(people * images <= drawable)
    seed = draw(st.integers(0, 5))
    return labels, PeopleSampler(labels, people_per_batch=people, images_per_person=images, seed=seed)


@settings(max_examples=150, deadline=None)
@given(people_samplers())
def test_every_batch_of_people(given_sampler: tuple[np.ndarray, PeopleSampler]) -> None:
    labels, sampler = given_sampler
    images, size = sampler.images_per_person, sampler.images_per_person * sampler.people_per_batch
    total = np.bincount(labels)
    for _ in range(3):
        batches = sampler.epoch_batches()
        assert len(batches) == sampler.batches_per_epoch == -(-len(labels) // size)
        for batch in batches:
            rows = [draw.index for draw in batch]
            assert len(rows) == size
            people = Counter(labels[rows].tolist())
            several = {person: count for person, count in people.items() if total[person] >= 2}
            alone = [row for row in rows if total[labels[row]] == 1]
            assert len(several) >= 2 and all(count >= 2 for count in several.values())
            assert len(alone) == len(set(alone)), "the same negative twice tells nothing new"
            assert len(several) == sampler.people_per_batch - bool(alone)
            if alone:
                assert len(alone) == min(images, (total == 1).sum())
            extra = images - len(alone) if alone else 0
            assert sorted(several.values())[:-1] == [images] * (len(several) - 1)
            assert max(several.values()) == images + extra
            repeated = Counter(rows)
            for person, count in several.items():
                own = np.flatnonzero(labels == person)
                seen = [repeated[row] for row in own]
                assert (max(seen) == 1) if total[person] >= count else (min(seen) >= 1)


@settings(max_examples=100, deadline=None)
@given(people_samplers())
def test_every_picture_within_the_bound(given_sampler: tuple[np.ndarray, PeopleSampler]) -> None:
    labels, sampler = given_sampler
    bound = sampler.epochs_to_see_all
    epochs = [{draw.index for batch in sampler.epoch_batches() for draw in batch} for _ in range(min(5 * bound, 60))]
    everything = set(range(len(labels))) - set(sampler.unused.tolist())
    assert set.union(*epochs[:bound]) == everything
    for start in range(len(epochs) - 3 * bound + 1):
        assert set.union(*epochs[start : start + 3 * bound]) == everything


def test_bound_is_not_slack() -> None:
    """One person with many pictures: the bound follows from how often each person is drawn."""
    labels = labels_of([90, 4, 4, 4])
    sampler = PeopleSampler(labels, people_per_batch=2, images_per_person=3, seed=0)
    # 30 turns of 3 pictures, each person's turn once in two batches, 17 batches an epoch.
    assert sampler.batches_per_epoch == 17 and sampler.epochs_to_see_all == 4
    seen: set[int] = set()
    for epoch in range(1, 5):
        seen |= {draw.index for batch in sampler.epoch_batches() for draw in batch}
        assert (len(seen) == len(labels)) == (epoch == 4)


def test_people_are_drawn_equally_often() -> None:
    labels = labels_of([40, 2, 7, 9, 11, 30, 5])
    sampler = PeopleSampler(labels, people_per_batch=3, images_per_person=4, seed=3)
    turns: Counter[int] = Counter()
    for _ in range(12):
        for batch in sampler.epoch_batches():
            turns.update(set(labels[[draw.index for draw in batch]].tolist()))
            assert max(turns.values()) - min(turns.values() if len(turns) == 7 else [0]) <= 1


def test_pictures_of_one_person_are_drawn_equally_often() -> None:
    labels = labels_of([10, 10])
    sampler = PeopleSampler(labels, people_per_batch=2, images_per_person=4, seed=3)
    counts = Counter(draw.index for _ in range(20) for batch in sampler.epoch_batches() for draw in batch)
    assert max(counts.values()) - min(counts.values()) <= 1


def test_singletons_need_three_people() -> None:
    labels = labels_of([8, 8, 1, 1, 1])
    sampler = PeopleSampler(labels, people_per_batch=2, images_per_person=4, seed=0)
    alone = np.flatnonzero(np.bincount(labels)[labels] == 1)
    assert sampler.unused.tolist() == alone.tolist()
    rows = {draw.index for _ in range(5) for batch in sampler.epoch_batches() for draw in batch}
    assert not rows & set(alone.tolist())
    with_three = PeopleSampler(labels_of([8, 8, 8, 1]), people_per_batch=3, images_per_person=4, seed=0)
    assert len(with_three.unused) == 0


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([], "found 0 among 0 people"),
        ([50], "found one person only"),
        ([1], "found one person only"),
        ([1, 1, 1], "each of the 3 people has one picture only"),
        ([9, 1, 1], "found 1 among 3 people"),
    ],
)
def test_too_few_people(counts: list[int], message: str) -> None:
    labels = labels_of(counts)
    with pytest.raises(InputError, match=f"two people with two pictures each: {message}"):
        PeopleSampler(labels, people_per_batch=2, images_per_person=2, seed=0)
    with pytest.raises(InputError, match=message):
        batch_shape(32, labels)


def test_batch_larger_than_the_data() -> None:
    labels = labels_of([5, 5, 1])
    with pytest.raises(InputError, match="batch of 12 is larger than the data: the largest usable batch is 10"):
        PeopleSampler(labels, people_per_batch=2, images_per_person=6, seed=0)
    PeopleSampler(labels, people_per_batch=2, images_per_person=5, seed=0)
    with pytest.raises(InputError, match="batch of 12 is larger than the data: the largest usable batch is 11"):
        BalancedSampler(labels, batch_size=12, seed=0)
    with pytest.raises(InputError, match="batch of 3 people needs as many .* found 2"):
        PeopleSampler(labels, people_per_batch=3, images_per_person=2, seed=0)


@pytest.mark.parametrize(("people", "images"), [(1, 4), (4, 1), (0, 2)])
def test_senseless_shapes(people: int, images: int) -> None:
    with pytest.raises(UsageError):
        PeopleSampler(labels_of([5] * 6), people_per_batch=people, images_per_person=images, seed=0)


def test_negative_seed() -> None:
    with pytest.raises(UsageError, match="seed of -1"):
        BalancedSampler(labels_of([5, 5]), batch_size=4, seed=-1)


@settings(max_examples=150, deadline=None)
@given(labels=populations(), size=st.integers(4, 200), images=st.integers(2, 9))
def test_batch_shape(labels: np.ndarray, size: int, images: int) -> None:
    people, each = batch_shape(size, labels, images)
    available = (np.unique(labels, return_counts=True)[1] >= 2).sum()
    assert 2 <= people <= available and each >= 2
    assert people * each <= size
    if people < available:
        assert each == min(images, size // 2) and (people + 1) * each > size
    else:
        assert people * (each + 1) > size or each == min(images, size // 2)


@pytest.mark.parametrize(
    ("size", "counts", "images", "expected"),
    [
        (32, [9] * 20, 4, (8, 4)),
        (32, [9] * 5, 4, (5, 6)),
        (4, [9] * 5, 4, (2, 2)),
        (5, [9] * 5, 4, (2, 2)),
        (1800, [99] * 100, 40, (45, 40)),
    ],
)
def test_batch_shapes(size: int, counts: list[int], images: int, expected: tuple[int, int]) -> None:
    assert batch_shape(size, labels_of(counts), images) == expected


def test_batch_shape_refuses() -> None:
    with pytest.raises(UsageError, match="batch of 3"):
        batch_shape(3, labels_of([5, 5]))
    with pytest.raises(UsageError, match="1 pictures per person"):
        batch_shape(8, labels_of([5, 5]), 1)


@settings(max_examples=100, deadline=None)
@given(labels=populations(), size=st.integers(2, 40), balanced=st.booleans(), seed=st.integers(0, 5))
def test_balanced_batches(labels: np.ndarray, size: int, balanced: bool, seed: int) -> None:
    assume(size <= len(labels))
    sampler = BalancedSampler(labels, batch_size=size, seed=seed, balanced=balanced)
    people = np.unique(labels)
    turns: Counter[int] = Counter()
    seen: set[int] = set()
    for epoch in range(1, min(sampler.epochs_to_see_all, 20) + 1):
        batches = sampler.epoch_batches()
        rows = [draw.index for batch in batches for draw in batch]
        assert len(rows) == len(labels) and len(batches) == sampler.batches_per_epoch
        assert all(len(batch) == size for batch in batches[:-1])
        assert 2 <= len(batches[-1]) <= size + 1
        turns.update(labels[rows].tolist())
        seen.update(rows)
        if balanced:
            counts = [turns[person] for person in people.tolist()]
            assert max(counts) - min(counts) <= 1
        else:
            assert len(set(rows)) == len(labels)
        if epoch == sampler.epochs_to_see_all:
            assert seen == set(range(len(labels)))


def test_last_batch_of_one_joins_the_one_before() -> None:
    for counts, sizes in (([5, 4], [4, 5]), ([5, 5], [4, 4, 2]), ([4, 4], [4, 4])):
        sampler = BalancedSampler(labels_of(counts), batch_size=4, seed=0, balanced=False)
        assert [len(batch) for batch in sampler.epoch_batches()] == sizes


def test_balanced_sampler_refuses() -> None:
    with pytest.raises(InputError, match="at least two: found 1"):
        BalancedSampler(labels_of([9]), batch_size=4, seed=0)
    with pytest.raises(UsageError, match="batch of 1"):
        BalancedSampler(labels_of([9, 9]), batch_size=1, seed=0)


# People with one anchor, with nothing but anchors, with several, and with a single picture.
ANCHORED = np.repeat([4, 1, 7, 9], [9, 5, 12, 1])
ANCHORS = np.isin(np.arange(27), [0, *range(9, 14), 14, 15, 16, 26])
SAMPLERS: dict[str, Callable[[int], Sampler]] = {
    "people": lambda seed: PeopleSampler(
        labels_of([9, 5, 2, 30, 1, 1, 1]), people_per_batch=3, images_per_person=4, seed=seed
    ),
    "balanced": lambda seed: BalancedSampler(labels_of([9, 5, 2, 30, 1]), batch_size=8, seed=seed),
    "plain": lambda seed: BalancedSampler(labels_of([9, 5, 2, 30, 1]), batch_size=8, seed=seed, balanced=False),
    "triplets": lambda seed: TripletSampler(labels_of([9, 5, 2, 30, 1]), triplets_per_batch=8, seed=seed),
    "anchored triplets": lambda seed: TripletSampler(ANCHORED, triplets_per_batch=8, seed=seed, anchors=ANCHORS),
    "pairs": lambda seed: PairSampler(labels_of([9, 5, 2, 30, 1]), pairs_per_batch=8, seed=seed),
    "anchored pairs": lambda seed: PairSampler(ANCHORED, pairs_per_batch=8, seed=seed, anchors=ANCHORS),
}
every_sampler = pytest.mark.parametrize("make", SAMPLERS.values(), ids=SAMPLERS)


@every_sampler
def test_saved_state_goes_on_exactly(make: Callable[[int], Sampler]) -> None:
    sampler = make(7)
    for _ in range(3):
        sampler.epoch_batches()
    saved = io.BytesIO()
    torch.save(sampler.state_dict(), saved)
    expected = [sampler.epoch_batches() for _ in range(4)]
    saved.seek(0)
    resumed = make(99)
    resumed.load_state_dict(torch.load(saved, weights_only=True))
    assert [resumed.epoch_batches() for _ in range(4)] == expected


@every_sampler
def test_saved_state_does_not_move_on(make: Callable[[int], Sampler]) -> None:
    sampler = make(7)
    state = sampler.state_dict()
    first = sampler.epoch_batches()
    sampler.load_state_dict(state)
    assert sampler.epoch_batches() == first


@every_sampler
def test_epochs_and_seeds_differ_and_repeat(make: Callable[[int], Sampler]) -> None:
    sampler, again, other = make(1), make(1), make(2)
    first, second = sampler.epoch_batches(), sampler.epoch_batches()
    assert first != second
    assert [again.epoch_batches(), again.epoch_batches()] == [first, second]
    assert other.epoch_batches() != first


@every_sampler
def test_every_row_has_a_seed_of_its_own(make: Callable[[int], Sampler]) -> None:
    draws = [
        draw
        for seed in (1, 2)
        for s in [make(seed)]
        for _ in range(20)
        for batch in s.epoch_batches()
        for draw in batch
    ]
    seeds = {draw.seed for draw in draws}
    assert len(seeds) == len(draws) > 1000
    assert all(type(seed) is int and 0 <= seed < 2**63 for seed in seeds)
    assert max(seeds) > 2**62, "all 63 bits are used"


@every_sampler
def test_no_global_generator_is_touched(make: Callable[[int], Sampler]) -> None:
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index,union-attr]
    make(1).epoch_batches()
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # type: ignore[index,call-overload]


def test_foreign_state_is_refused() -> None:
    people, balanced = SAMPLERS["people"](0), SAMPLERS["balanced"](0)
    other_data = PeopleSampler(labels_of([9, 5, 2, 30, 1, 1, 1], 5), people_per_batch=3, images_per_person=4, seed=0)
    other_shape = PeopleSampler(labels_of([9, 5, 2, 30, 1, 1, 1]), people_per_batch=4, images_per_person=3, seed=0)
    for foreign, entry in ((balanced, "kind"), (other_data, "data"), (other_shape, "shape")):
        with pytest.raises(CheckpointError, match=f"{entry} differs"):
            people.load_state_dict(foreign.state_dict())
    whole = people.state_dict()
    for missing in whole:
        with pytest.raises(CheckpointError):
            people.load_state_dict({key: value for key, value in whole.items() if key != missing})
    with pytest.raises(CheckpointError):
        people.load_state_dict(whole | {"cards": torch.zeros(3)})


@pytest.mark.parametrize(("n", "size"), [(0, 4), (1, 4), (4, 4), (5, 4), (9, 1)])
def test_sequential_batches(n: int, size: int) -> None:
    batches = sequential_batches(n, size)
    assert [draw.index for batch in batches for draw in batch] == list(range(n))
    assert all(len(batch) == size for batch in batches[:-1])
    assert all(len(first) >= len(second) >= 1 for first, second in pairwise(batches))
    assert all(isinstance(draw, Draw) for batch in batches for draw in batch)


def test_sequential_batches_refuse() -> None:
    with pytest.raises(UsageError):
        sequential_batches(5, 0)
