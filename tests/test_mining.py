"""Triplet selection against slow oracles and against pytorch-metric-learning."""

from __future__ import annotations

import math
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import oracles
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.miners import BatchHardMiner, DistanceWeightedMiner, TripletMarginMiner
from scipy.stats import chi2
from torch import Tensor

from facenet.errors import InputError, TrainingDiverged, UsageError
from facenet.geometry import normalise
from facenet.mining import Fallback, Strategy, Triplets, mine

STRATEGIES = [strategy.value for strategy in Strategy]
MARGINS = [0.125, 0.2, 0.25, 1.0, math.inf]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tiny tensors gain nothing by threads and lose much where other work keeps the cores busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def as_list(triplets: Triplets) -> list[oracles.Triplet]:
    return list(zip(*(index.tolist() for index in triplets), strict=True))


def spread_batch(people: int, images: int, width: int = 32, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random embeddings in float64, where rounding decides nothing, grouped by person but in no order."""
    generator = seeded(seed)
    labels = torch.arange(people).repeat_interleave(images)
    labels = labels[torch.randperm(len(labels), generator=generator)]
    centres = torch.randn(people, width, generator=generator, dtype=torch.float64)
    noise = torch.randn(len(labels), width, generator=generator, dtype=torch.float64)
    return normalise(centres[labels] + noise), labels


@st.composite
def grid_batches(draw: st.DrawFn, max_size: int = 12) -> tuple[Tensor, Tensor]:
    """Batches of any size and mix of people on a few exact points: full of duplicates and ties, free of rounding.

    Rows of 16 times ±1/4 have length 1 and distances that are multiples of 1/4, exactly so in any float type.
    """
    size = draw(st.integers(0, max_size))
    labels = draw(st.lists(st.sampled_from([-7, 0, 3, 10**12]), min_size=size, max_size=size))
    signs = draw(st.lists(st.integers(0, 2**16 - 1) | st.sampled_from([0, 1, 2, 3, 7]), min_size=size, max_size=size))
    rows = [[0.25 if sign >> bit & 1 else -0.25 for bit in range(16)] for sign in signs]
    return torch.tensor(rows, dtype=torch.float32).reshape(size, 16), torch.tensor(labels, dtype=torch.int64)


@st.composite
def random_batches(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Batches in general position, in float64."""
    size, width = draw(st.integers(0, 14)), draw(st.integers(1, 9))
    labels = draw(st.lists(st.integers(0, 5), min_size=size, max_size=size))
    rows = torch.randn(size, width, generator=seeded(draw(st.integers(0, 2**32))), dtype=torch.float64)
    return normalise(rows), torch.tensor(labels, dtype=torch.int64)


any_batch = grid_batches() | random_batches()


class TestAgainstOracles:
    @given(any_batch, st.sampled_from(MARGINS))
    def test_all(self, batch: tuple[Tensor, Tensor], margin: float) -> None:
        embeddings, labels = batch
        triplets = mine(embeddings, labels, "all", margin=margin)
        assert as_list(triplets) == oracles.all_triplets(embeddings.tolist(), labels.tolist(), margin)
        valid = oracles.valid_triplets(labels.tolist())
        assert triplets.coverage == (len(triplets) / len(valid) if valid else 1.0)

    @given(any_batch)
    def test_infinite_margin_gives_every_valid_triplet(self, batch: tuple[Tensor, Tensor]) -> None:
        embeddings, labels = batch
        triplets = mine(embeddings, labels, "all", margin=math.inf)
        assert as_list(triplets) == oracles.valid_triplets(labels.tolist())

    @given(any_batch)
    def test_hard(self, batch: tuple[Tensor, Tensor]) -> None:
        embeddings, labels = batch
        triplets = mine(embeddings, labels, "hard")
        assert as_list(triplets) == oracles.hard_triplets(embeddings.tolist(), labels.tolist())
        assert triplets.coverage == 1.0

    @given(any_batch, st.sampled_from(MARGINS), st.sampled_from(list(Fallback)))
    def test_semihard(self, batch: tuple[Tensor, Tensor], margin: float, fallback: Fallback) -> None:
        embeddings, labels = batch
        triplets = mine(embeddings, labels, "semihard", margin=margin, fallback=fallback)
        expected = oracles.semihard_triplets(embeddings.tolist(), labels.tolist(), margin, fallback.value)
        assert as_list(triplets) == expected
        pairs = len(list(oracles.pairs(labels.tolist())))
        assert triplets.coverage == (len(triplets) / pairs if pairs else 1.0)

    @given(any_batch, st.integers(0, 2**32))
    def test_random_gives_each_pair_some_negative(self, batch: tuple[Tensor, Tensor], seed: int) -> None:
        embeddings, labels = batch
        triplets = as_list(mine(embeddings, labels, "random", generator=seeded(seed)))
        assert [(a, p) for a, p, _ in triplets] == list(oracles.pairs(labels.tolist()))
        assert set(triplets) <= set(oracles.valid_triplets(labels.tolist()))

    @given(any_batch, st.integers(0, 2**32))
    def test_distance_weighted_gives_each_pair_a_reachable_negative(
        self, batch: tuple[Tensor, Tensor], seed: int
    ) -> None:
        embeddings, labels = batch
        rows, people = embeddings.tolist(), labels.tolist()
        mined = mine(embeddings, labels, "distance_weighted", generator=seeded(seed))
        triplets = as_list(mined)
        chances = [oracles.distance_weights(rows, people, anchor) for anchor in range(len(people))]
        every = list(oracles.pairs(people))
        assert [(a, p) for a, p, _ in triplets] == [(a, p) for a, p in every if chances[a]]
        assert all(n in chances[a] for a, _, n in triplets)
        assert mined.coverage == (len(triplets) / len(every) if every else 1.0)


def close_and_far() -> tuple[Tensor, Tensor]:
    """Negatives on both sides of the distance from which on all are weighted as if they were as far."""
    embeddings, labels = spread_batch(4, 3, width=6)
    stranger = int((labels != labels[0]).nonzero()[0])
    embeddings[stranger] = normalise(embeddings[:1] + 0.05 * embeddings[stranger])
    return embeddings, labels


class TestDraws:
    """Random strategies: which negative how often."""

    def test_distance_weighted_follows_the_weights(self) -> None:
        embeddings, labels = close_and_far()
        draws: Counter[tuple[int, int]] = Counter()
        rounds = 1500
        for seed in range(rounds):
            draws.update(
                (a, n) for a, _, n in as_list(mine(embeddings, labels, "distance_weighted", generator=seeded(seed)))
            )
        statistic, freedom = 0.0, 0
        for anchor in range(len(labels)):
            chances = oracles.distance_weights(embeddings.tolist(), labels.tolist(), anchor)
            for n, chance in chances.items():
                expected = rounds * 2 * chance
                statistic += (draws[anchor, n] - expected) ** 2 / expected
            freedom += len(chances) - 1
        assert statistic < chi2.ppf(0.9999, freedom)

    def test_distance_weighted_agrees_with_pytorch_metric_learning(self) -> None:
        embeddings, labels = close_and_far()
        ours: Counter[tuple[int, int]] = Counter()
        theirs: Counter[tuple[int, int]] = Counter()
        miner = DistanceWeightedMiner()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            for seed in range(800):
                mined = mine(embeddings, labels, "distance_weighted", generator=seeded(seed))
                ours.update((a, n) for a, _, n in as_list(mined))
                a, _, n = miner(embeddings, labels)
                theirs.update(zip(a.tolist(), n.tolist(), strict=True))
        # They draw one triplet more for each anchor, so counts are compared as two samples of one distribution.
        statistic, freedom = 0.0, 0
        for anchor in range(len(labels)):
            negatives = [n for a, n in ours.keys() | theirs.keys() if a == anchor]
            our_total, their_total = (sum(counts[anchor, n] for n in negatives) for counts in (ours, theirs))
            for n in negatives:
                share = (ours[anchor, n] + theirs[anchor, n]) / (our_total + their_total)
                statistic += (ours[anchor, n] - our_total * share) ** 2 / (our_total * share)
                statistic += (theirs[anchor, n] - their_total * share) ** 2 / (their_total * share)
            freedom += len(negatives) - 1
        assert statistic < chi2.ppf(0.9999, freedom)

    def test_distance_weighted_survives_extreme_weights(self) -> None:
        """In 2,048 dimensions the weights of close and far negatives differ by hundreds of orders of magnitude."""
        embeddings = torch.zeros(6, 2048)
        for image, direction in enumerate([0, 0, 0, 1, 2, 2]):
            embeddings[image, direction] = 1.0
        embeddings[3, 2] = 0.3
        labels = torch.tensor([0, 0, 1, 1, 2, 2])
        triplets = as_list(mine(embeddings, labels, "distance_weighted", generator=seeded()))
        # Image 2 coincides with 0 and 1. Images 4 and 5 have only 3 within reach, whose weight is next to nothing
        # beside that, and 3 has only them.
        assert triplets[:2] == [(0, 1, 2), (1, 0, 2)]
        assert triplets[2][2] in (0, 1) and triplets[3][2] in (4, 5)
        assert triplets[4:] == [(4, 5, 3), (5, 4, 3)]

    @pytest.mark.parametrize("strategy", ["random", "distance_weighted"])
    @pytest.mark.parametrize("number", [0.0, 1.0 - 2.0**-24])
    def test_survives_extreme_random_numbers(
        self, strategy: str, number: float, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The smallest and the largest number the generator can give; at both ends stands the anchor's own person."""
        monkeypatch.setattr(torch, "rand", lambda *shape, **_: torch.full(shape, number))
        embeddings, labels = normalise(torch.randn(40, 8, generator=seeded())), torch.arange(40) // 2 % 19
        triplets = as_list(mine(embeddings, labels, strategy, generator=seeded()))
        assert len(triplets) == len(list(oracles.pairs(labels.tolist())))
        assert set(triplets) <= set(oracles.valid_triplets(labels.tolist()))

    def test_random_draws_every_image_of_other_people_equally(self) -> None:
        labels = torch.tensor([5, 1, 5, 9, 1, 1, 7])
        embeddings = torch.eye(7)
        rounds = 2000
        draws = Counter(
            t for seed in range(rounds) for t in as_list(mine(embeddings, labels, "random", generator=seeded(seed)))
        )
        valid = oracles.valid_triplets(labels.tolist())
        assert draws.keys() == set(valid)
        expected = {t: rounds / len(oracles.negatives_of(t[0], labels.tolist())) for t in valid}
        statistic = sum((draws[t] - expected[t]) ** 2 / expected[t] for t in valid)
        assert statistic < chi2.ppf(0.9999, len(valid) - len(set(oracles.pairs(labels.tolist()))))

    @pytest.mark.parametrize("strategy", ["random", "distance_weighted"])
    def test_same_seed_same_triplets(self, strategy: str) -> None:
        embeddings, labels = spread_batch(5, 4)
        first, again, other = (
            as_list(mine(embeddings, labels, strategy, generator=seeded(seed))) for seed in (1, 1, 2)
        )
        assert first == again
        assert first != other

    @pytest.mark.parametrize("strategy", ["random", "distance_weighted"])
    def test_needs_a_generator(self, strategy: str) -> None:
        with pytest.raises(UsageError, match="generator"):
            mine(*spread_batch(2, 2), strategy)

    @pytest.mark.parametrize("strategy", STRATEGIES)
    def test_leaves_the_global_generator_alone(self, strategy: str) -> None:
        before = torch.get_rng_state()
        mine(*spread_batch(3, 3), strategy, generator=seeded())
        assert torch.equal(before, torch.get_rng_state())


class TestTooManyTriplets:
    def test_draws_exactly_the_limit_without_repeats(self) -> None:
        embeddings, labels = spread_batch(4, 4)
        every = mine(embeddings, labels, "all", margin=1.0)
        for limit in (1, 2, len(every) // 2, len(every) - 1):
            drawn = mine(embeddings, labels, "all", margin=1.0, max_triplets=limit, generator=seeded(limit), chunk=50)
            assert len(drawn) == len(set(as_list(drawn))) == limit
            assert set(as_list(drawn)) <= set(as_list(every))
            assert as_list(drawn) == sorted(as_list(drawn))
            assert drawn.coverage == every.coverage

    def test_limit_that_is_not_exceeded_needs_no_generator(self) -> None:
        embeddings, labels = spread_batch(4, 4)
        every = mine(embeddings, labels, "all", margin=1.0)
        assert as_list(mine(embeddings, labels, "all", margin=1.0, max_triplets=len(every))) == as_list(every)

    def test_every_triplet_has_the_same_chance(self) -> None:
        labels = torch.tensor([0, 0, 1, 1, 2])
        valid = oracles.valid_triplets(labels.tolist())
        rounds, limit = 3000, 5
        draws: Counter[oracles.Triplet] = Counter()
        for seed in range(rounds):
            drawn = mine(torch.eye(5), labels, "all", margin=9.0, max_triplets=limit, generator=seeded(seed))
            draws.update(as_list(drawn))
        chance = limit / len(valid)
        deviation = math.sqrt(rounds * chance * (1 - chance))
        assert all(abs(draws[t] - rounds * chance) < 4.5 * deviation for t in valid)

    def test_without_a_generator_it_says_how_many_and_what_to_do(self) -> None:
        embeddings, labels = spread_batch(4, 4)
        with pytest.raises(UsageError, match=r"576 triplets qualify and max_triplets is 100: pass a generator"):
            mine(embeddings, labels, "all", margin=math.inf, max_triplets=100)


class TestAgainstPytorchMetricLearning:
    """Their default distance is L2; ``power=2`` makes it the squared L2 used here."""

    @pytest.mark.parametrize(("people", "images"), [(2, 2), (7, 3), (3, 9), (12, 2)])
    @pytest.mark.parametrize("margin", [0.1, 0.2, 0.7])
    def test_all(self, people: int, images: int, margin: float) -> None:
        embeddings, labels = spread_batch(people, images)
        theirs = TripletMarginMiner(margin=margin, type_of_triplets="all", distance=LpDistance(power=2))
        expected = set(zip(*(index.tolist() for index in theirs(embeddings, labels)), strict=True))
        assert set(as_list(mine(embeddings, labels, "all", margin=margin))) == expected

    @pytest.mark.parametrize(("people", "images"), [(2, 2), (7, 3), (3, 9), (12, 2)])
    @pytest.mark.parametrize("margin", [0.1, 0.2, 0.7])
    def test_semihard_takes_one_of_theirs_for_every_pair_that_has_one(
        self, people: int, images: int, margin: float
    ) -> None:
        embeddings, labels = spread_batch(people, images)
        theirs = TripletMarginMiner(margin=margin, type_of_triplets="semihard", distance=LpDistance(power=2))
        every = set(zip(*(index.tolist() for index in theirs(embeddings, labels)), strict=True))
        ours = as_list(mine(embeddings, labels, "semihard", margin=margin, fallback="none"))
        assert set(ours) <= every
        assert [(a, p) for a, p, _ in ours] == sorted({(a, p) for a, p, _ in every})

    @pytest.mark.parametrize(("people", "images"), [(2, 2), (7, 3), (3, 9), (12, 2)])
    def test_hard(self, people: int, images: int) -> None:
        embeddings, labels = spread_batch(people, images)
        expected = zip(*(index.tolist() for index in BatchHardMiner()(embeddings, labels)), strict=True)
        assert as_list(mine(embeddings, labels, "hard")) == sorted(expected)


class TestLaws:
    @settings(max_examples=50)
    @given(st.permutations(range(12)), st.sampled_from(["all", "hard", "semihard"]), st.sampled_from(list(Fallback)))
    def test_order_of_the_batch_does_not_matter(self, order: list[int], strategy: str, fallback: Fallback) -> None:
        embeddings, labels = spread_batch(4, 3)
        plain = set(as_list(mine(embeddings, labels, strategy, fallback=fallback)))
        shuffled = mine(embeddings[order], labels[order], strategy, fallback=fallback)
        assert {(order[a], order[p], order[n]) for a, p, n in as_list(shuffled)} == plain

    @given(grid_batches(), st.sampled_from(STRATEGIES), st.sampled_from(list(Fallback)), st.integers(1, 60))
    def test_chunks_do_not_matter(
        self, batch: tuple[Tensor, Tensor], strategy: str, fallback: Fallback, chunk: int
    ) -> None:
        options: dict[str, Any] = {"fallback": fallback, "margin": 0.6}
        whole = mine(*batch, strategy, generator=seeded(), **options)
        cut = mine(*batch, strategy, generator=seeded(), chunk=chunk, **options)
        assert as_list(whole) == as_list(cut)
        assert whole.coverage == cut.coverage

    @given(grid_batches(), st.sampled_from(STRATEGIES))
    def test_half_precision_changes_nothing_that_it_can_express(
        self, batch: tuple[Tensor, Tensor], strategy: str
    ) -> None:
        embeddings, labels = batch
        expected = as_list(mine(embeddings, labels, strategy, generator=seeded()))
        for dtype in (torch.float16, torch.bfloat16):
            assert as_list(mine(embeddings.to(dtype), labels, strategy, generator=seeded())) == expected

    @pytest.mark.parametrize("strategy", STRATEGIES)
    def test_autocast_changes_nothing(self, strategy: str) -> None:
        embeddings, labels = spread_batch(6, 4)
        embeddings = embeddings.float()
        plain = as_list(mine(embeddings, labels, strategy, generator=seeded()))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert as_list(mine(embeddings, labels, strategy, generator=seeded())) == plain

    @pytest.mark.parametrize("strategy", STRATEGIES)
    def test_length_of_the_rows_does_not_matter(self, strategy: str) -> None:
        embeddings, labels = spread_batch(6, 4)
        scaled = embeddings * torch.linspace(0.5, 3.0, len(labels), dtype=torch.float64).unsqueeze(1)
        plain, other = (as_list(mine(rows, labels, strategy, generator=seeded())) for rows in (embeddings, scaled))
        assert plain == other

    def test_large_finite_rows_are_not_taken_for_diverged(self) -> None:
        embeddings, labels = spread_batch(6, 4)
        assert (embeddings.abs() * 6e4).half().sum().isinf()
        large = mine((embeddings.abs() * 6e4).half(), labels)
        assert as_list(large) == as_list(mine((embeddings.abs() * 6e4).half().float(), labels))

    @pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.int8, torch.uint8])
    def test_any_integer_names_a_person(self, dtype: torch.dtype) -> None:
        embeddings, labels = spread_batch(6, 4)
        assert as_list(mine(embeddings, labels.to(dtype))) == as_list(mine(embeddings, labels))

    def test_gradients_are_left_alone(self) -> None:
        embeddings, labels = spread_batch(3, 3)
        embeddings.requires_grad_()
        assert not any(index.requires_grad for index in mine(embeddings, labels))
        assert embeddings.requires_grad and embeddings.grad is None

    @pytest.mark.parametrize("strategy", STRATEGIES)
    def test_nothing_is_kept_for_a_backward_pass(self, strategy: str) -> None:
        embeddings, labels = spread_batch(3, 3)
        kept: list[Tensor] = []
        with torch.autograd.graph.saved_tensors_hooks(kept.append, lambda index: kept[index]):
            mine(embeddings.requires_grad_(), labels, strategy, generator=seeded())
        assert not kept


class TestOrdinaryOddBatches:
    @pytest.mark.parametrize("strategy", STRATEGIES)
    @pytest.mark.parametrize(
        "labels", [[], [3], [4, 4, 4, 4], [1, 2, 3, 4]], ids=["nothing", "one image", "one person", "singletons"]
    )
    def test_no_triplet_is_a_legal_result(self, strategy: str, labels: list[int]) -> None:
        triplets = mine(
            torch.eye(4)[: len(labels)], torch.tensor(labels, dtype=torch.int64), strategy, generator=seeded()
        )
        assert len(triplets) == 0
        assert all(index.dtype == torch.int64 and index.shape == (0,) for index in triplets)

    @pytest.mark.parametrize("strategy", STRATEGIES)
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
    def test_one_picture_everywhere(self, strategy: str, dtype: torch.dtype) -> None:
        """All distances are zero, and nobody is closer than anybody."""
        embeddings = torch.eye(8)[:1].expand(6, 8).to(dtype)
        labels = torch.tensor([0, 0, 0, 1, 1, 2])
        triplets = as_list(mine(embeddings, labels, strategy, generator=seeded()))
        assert set(triplets) <= set(oracles.valid_triplets(labels.tolist()))
        assert triplets

    def test_nothing_is_semihard_among_equals(self) -> None:
        embeddings = torch.eye(8)[:1].expand(6, 8)
        labels = torch.tensor([0, 0, 0, 1, 1, 2])
        assert len(mine(embeddings, labels, "semihard", fallback="none")) == 0

    @pytest.mark.parametrize("strategy", STRATEGIES)
    def test_a_zero_row_is_as_far_from_everything_as_chance(self, strategy: str) -> None:
        embeddings, labels = spread_batch(3, 3)
        embeddings[4] = 0.0
        triplets = as_list(mine(embeddings, labels, strategy, generator=seeded()))
        assert set(triplets) <= set(oracles.valid_triplets(labels.tolist()))


class TestBadInput:
    @pytest.mark.parametrize("strategy", STRATEGIES)
    @pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
    def test_diverged_embeddings(self, strategy: str, bad: float, dtype: torch.dtype) -> None:
        embeddings = torch.eye(6).to(dtype)
        embeddings[3, 2] = embeddings[5, 0] = bad
        with pytest.raises(TrainingDiverged, match=r"2 of 6 embeddings .*first in row 3") as caught:
            mine(embeddings, torch.tensor([0, 0, 1, 1, 2, 2]), strategy, generator=seeded())
        assert isinstance(caught.value, InputError)

    @pytest.mark.parametrize(
        ("embeddings", "labels"),
        [
            (torch.zeros(3), torch.zeros(3, dtype=torch.int64)),
            (torch.zeros(3, 2, 2), torch.zeros(3, dtype=torch.int64)),
            (torch.zeros(3, 0), torch.zeros(3, dtype=torch.int64)),
            (torch.zeros(3, 2, dtype=torch.int64), torch.zeros(3, dtype=torch.int64)),
            (torch.zeros(3, 2), torch.zeros(2, dtype=torch.int64)),
            (torch.zeros(3, 2), torch.zeros(3, 1, dtype=torch.int64)),
            (torch.zeros(3, 2), torch.zeros(3)),
            (torch.zeros(3, 2), torch.zeros(3, dtype=torch.bool)),
            (torch.zeros(3, 2), torch.zeros(3, dtype=torch.int64, device="meta")),
        ],
    )
    def test_wrong_tensors(self, embeddings: Tensor, labels: Tensor) -> None:
        with pytest.raises(UsageError, match="embeddings|labels"):
            mine(embeddings, labels)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"strategy": "hardest"}, "unknown strategy 'hardest': choose one of all, hard, semihard"),
            ({"strategy": "a\nb"}, r"unknown strategy"),
            ({"fallback": "random"}, "unknown fallback 'random': choose one of none, hardest, easiest"),
            ({"margin": 0.0}, "margin"),
            ({"margin": -0.2}, "margin"),
            ({"margin": math.nan}, "margin"),
            ({"max_triplets": 0}, "max_triplets"),
            ({"chunk": 0}, "chunk"),
        ],
    )
    def test_wrong_options(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(UsageError, match=message) as caught:
            mine(torch.eye(4), torch.tensor([0, 0, 1, 1]), **options)
        assert "\n" not in str(caught.value)


class TestTriplets:
    def test_unpacks_and_counts(self) -> None:
        indices = [torch.tensor([1, 2]), torch.tensor([3, 4]), torch.tensor([5, 6])]
        triplets = Triplets(*indices)
        assert len(triplets) == 2
        assert all(a is b for a, b in zip(triplets, indices, strict=True))

    @pytest.mark.parametrize(
        "wrong",
        [
            torch.zeros(2, dtype=torch.int32),
            torch.zeros(2),
            torch.zeros(3, dtype=torch.int64),
            torch.zeros(2, 1, dtype=torch.int64),
            torch.zeros(2, dtype=torch.int64, device="meta"),
        ],
    )
    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_refuses_what_does_not_fit(self, wrong: Tensor, place: int) -> None:
        indices = [torch.zeros(2, dtype=torch.int64) for _ in range(3)]
        indices[place] = wrong
        with pytest.raises(UsageError):
            Triplets(*indices)

    @pytest.mark.parametrize("coverage", [-0.1, 1.1, math.nan])
    def test_refuses_an_impossible_coverage(self, coverage: float) -> None:
        with pytest.raises(UsageError, match="coverage"):
            Triplets(*torch.zeros(3, 2, dtype=torch.int64), coverage=coverage)


FACENET_BATCH = """
import torch
from facenet.mining import mine
torch.set_num_threads(2)
generator = torch.Generator().manual_seed(0)
labels = torch.arange(45).repeat_interleave(40)
embeddings = torch.nn.functional.normalize(torch.randn(1800, 512, generator=generator))
triplets = mine(embeddings, labels, {strategy!r}, generator=generator)
with open("/proc/self/status", encoding="ascii", errors="replace") as status:
    print(len(triplets), status.read().split("VmHWM:")[1].split()[0])
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc to read the peak of a process from")
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_batch_of_facenet_runs_in_two_gigabytes(strategy: str) -> None:
    """45 people with 40 images each: the whole process, the libraries' own memory included, stays below 2 GB."""
    script = FACENET_BATCH.format(strategy=strategy)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=300)
    count, kibibytes = (int(number) for number in done.stdout.split())
    expected = {"all": 10_000_000, "hard": 1800}.get(strategy, 1800 * 39)
    assert count > 0.99 * expected
    assert kibibytes * 1024 < 2e9


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_gpu_finds_the_same_triplets(strategy: str) -> None:
    embeddings, labels = spread_batch(9, 5)
    here = mine(embeddings, labels, strategy, generator=seeded(), margin=0.5)
    there = mine(embeddings.cuda(), labels.cuda(), strategy, generator=seeded(), margin=0.5)
    assert all(index.is_cuda for index in there)
    assert as_list(here) == as_list(there)
