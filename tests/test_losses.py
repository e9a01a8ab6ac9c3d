"""Triplet loss, its statistics and the embedding spread against slow oracles and other libraries' definitions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import oracles
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.reducers import AvgNonZeroReducer, MeanReducer
from torch import Tensor

from facenet.errors import TrainingDiverged, UsageError
from facenet.geometry import normalise
from facenet.losses import (
    MeanDifferenceLoss,
    Reduction,
    TripletLoss,
    TripletObjective,
    embedding_spread,
    triplet_loss,
)
from facenet.mining import Fallback, Strategy, Triplets, mine


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tiny tensors gain nothing by threads and lose much where other work keeps the cores busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_batch(people: int = 4, images: int = 3, width: int = 8, seed: int = 0) -> tuple[Tensor, Tensor]:
    rows = torch.randn(people * images, width, generator=seeded(seed), dtype=torch.float64)
    return normalise(rows), torch.arange(people).repeat_interleave(images)


def as_list(triplets: Triplets) -> list[oracles.Triplet]:
    return list(zip(*(index.tolist() for index in triplets), strict=True))


def no_triplets() -> Triplets:
    return Triplets(*torch.empty(3, 0, dtype=torch.int64))


seeds = st.integers(0, 2**32)
Kind = type[TripletLoss] | type[MeanDifferenceLoss]


class TestTripletLoss:
    @given(seeds, st.sampled_from([0.1, 0.2, 1.0]), st.booleans())
    def test_equals_the_oracle(self, seed: int, margin: float, soft: bool) -> None:
        embeddings, labels = random_batch(seed=seed)
        triplets = mine(embeddings, labels, "random", generator=seeded(seed))
        losses = oracles.triplet_losses(embeddings.tolist(), as_list(triplets), margin, soft)
        active = [hinge > 0 for hinge in oracles.triplet_losses(embeddings.tolist(), as_list(triplets), margin, False)]
        mean = TripletLoss(margin, soft=soft)(embeddings, triplets)
        over_active = TripletLoss(margin, soft=soft, reduction="active")(embeddings, triplets)
        assert mean.loss.item() == pytest.approx(sum(losses) / len(losses))
        chosen = [loss for loss, counts in zip(losses, active, strict=True) if counts]
        assert over_active.loss.item() == pytest.approx(sum(chosen) / len(chosen) if chosen else 0.0)
        assert mean.active_fraction.item() == pytest.approx(sum(active) / len(active))

    def test_statistics(self) -> None:
        embeddings, labels = random_batch()
        triplets = mine(embeddings, labels, "random", generator=seeded())
        result = TripletLoss()(embeddings, triplets)
        d = oracles.distance_table(embeddings.tolist())
        count = len(triplets)
        assert result.count == count == 24
        assert result.positive_distance is not None and result.negative_distance is not None
        assert result.positive_distance.item() == pytest.approx(sum(d[a][p] for a, p, _ in as_list(triplets)) / count)
        assert result.negative_distance.item() == pytest.approx(sum(d[a][n] for a, _, n in as_list(triplets)) / count)

    def test_active_fraction_counts_what_the_miner_left_out(self) -> None:
        """Every semi-hard triplet is active by construction; only with its coverage does the fraction say something."""
        embeddings, labels = random_batch(people=3)
        triplets = mine(embeddings, labels, "semihard", fallback="none", margin=0.1)
        assert 0 < len(triplets) < 18
        result = TripletLoss(0.1)(embeddings, triplets)
        assert result.active_fraction.item() == pytest.approx(len(triplets) / 18)

    @pytest.mark.parametrize(("reduction", "reducer"), [("all", MeanReducer()), ("active", AvgNonZeroReducer())])
    @pytest.mark.parametrize("margin", [0.1, 0.5])
    def test_agrees_with_pytorch_metric_learning(self, reduction: str, reducer: Any, margin: float) -> None:
        embeddings, labels = random_batch()
        triplets = mine(embeddings, labels, "random", generator=seeded())
        theirs = TripletMarginLoss(margin, distance=LpDistance(power=2), reducer=reducer)
        expected = theirs(embeddings, labels, tuple(triplets))
        assert TripletLoss(margin, reduction=reduction)(embeddings, triplets).loss.item() == pytest.approx(
            expected.item()
        )

    @given(seeds, st.sampled_from([0.1, 0.3, 2.0]))
    def test_easiest_fallback_has_the_loss_of_tensorflow(self, seed: int, margin: float) -> None:
        embeddings, labels = random_batch(people=3, width=4, seed=seed)
        triplets = mine(embeddings, labels, "semihard", fallback="easiest", margin=margin)
        expected = oracles.tensorflow_semihard_loss(embeddings.tolist(), labels.tolist(), margin)
        assert TripletLoss(margin)(embeddings, triplets).loss.item() == pytest.approx(expected)

    @pytest.mark.parametrize("soft", [False, True])
    @pytest.mark.parametrize("reduction", list(Reduction))
    def test_gradient_is_the_derivative(self, soft: bool, reduction: Reduction) -> None:
        embeddings, labels = random_batch(width=5)
        triplets = mine(embeddings, labels, "random", generator=seeded())
        loss = TripletLoss(0.3, soft=soft, reduction=reduction)
        assert torch.autograd.gradcheck(lambda rows: loss(rows, triplets).loss, embeddings.requires_grad_())

    def test_a_step_against_the_gradient_ranks_better(self) -> None:
        rows = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]], requires_grad=True)
        triplets = Triplets(*torch.tensor([[0], [1], [2]]))
        before = TripletLoss()(rows, triplets)
        before.loss.backward()
        assert rows.grad is not None
        after = TripletLoss()(rows.detach() - 0.1 * rows.grad, triplets)
        assert after.loss < before.loss
        assert after.positive_distance is not None and before.positive_distance is not None
        assert after.positive_distance < before.positive_distance

    @pytest.mark.parametrize("soft", [False, True])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
    def test_one_picture_everywhere_has_finite_gradients(self, soft: bool, dtype: torch.dtype) -> None:
        embeddings = torch.eye(8)[:1].repeat(6, 1).to(dtype).requires_grad_()
        labels = torch.tensor([0, 0, 0, 1, 1, 2])
        result = TripletLoss(0.2, soft=soft)(embeddings, mine(embeddings, labels))
        result.loss.backward()
        assert result.loss.item() == pytest.approx(math.log(2) if soft else 0.2)
        assert embeddings.grad is not None and embeddings.grad.isfinite().all()

    @pytest.mark.parametrize("soft", [False, True])
    @pytest.mark.parametrize("reduction", list(Reduction))
    @pytest.mark.parametrize("size", [0, 4])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
    def test_no_triplet_is_a_differentiable_zero(
        self, soft: bool, reduction: Reduction, size: int, dtype: torch.dtype
    ) -> None:
        # Far from unit length, so that a sum in half precision would overflow into NaN.
        embeddings = torch.full((size, 512), 1000.0, dtype=dtype, requires_grad=True)
        result = TripletLoss(soft=soft, reduction=reduction)(embeddings, no_triplets())
        result.loss.backward()
        assert result.loss.item() == 0.0
        assert embeddings.grad is not None and torch.equal(embeddings.grad, torch.zeros_like(embeddings))
        assert (result.count, result.positive_distance, result.negative_distance) == (0, None, None)
        assert result.active_fraction.item() == 0.0

    @pytest.mark.parametrize("reduction", list(Reduction))
    def test_nothing_active_is_a_differentiable_zero(self, reduction: Reduction) -> None:
        embeddings = torch.eye(4)[[0, 0, 1, 1]].requires_grad_()
        result = TripletLoss(reduction=reduction)(embeddings, mine(embeddings, torch.tensor([0, 0, 1, 1]), "hard"))
        result.loss.backward()
        assert result.loss.item() == 0.0 and result.active_fraction.item() == 0.0
        assert embeddings.grad is not None and not embeddings.grad.any()

    def test_gradient_is_the_same_in_every_run(self) -> None:
        """With several threads and so many triplets, summing in the order of arrival would show."""
        generator = seeded()
        embeddings = normalise(torch.randn(64, 32, generator=generator)).requires_grad_()
        triplets = Triplets(*torch.randint(64, (3, 200_000), generator=generator))
        torch.set_num_threads(2)
        try:
            gradients = []
            for _ in range(8):
                (gradient,) = torch.autograd.grad(TripletLoss(soft=True)(embeddings, triplets).loss, embeddings)
                gradients.append(gradient)
        finally:
            torch.set_num_threads(1)
        assert all(torch.equal(gradients[0], other) for other in gradients)

    def test_refuses_an_unknown_reduction(self) -> None:
        with pytest.raises(UsageError, match="unknown reduction 'sum': choose one of all, active"):
            TripletLoss(reduction="sum")


class TestTripletObjective:
    @pytest.mark.parametrize("strategy", list(Strategy))
    @pytest.mark.parametrize("margin", [0.05, 0.4])
    def test_mines_and_scores_with_one_margin(self, strategy: Strategy, margin: float) -> None:
        embeddings, labels = random_batch()
        objective = TripletObjective(margin, strategy)
        triplets = mine(embeddings, labels, strategy, margin=margin, generator=seeded())
        expected = TripletLoss(margin)(embeddings, triplets)
        result = objective(embeddings, labels, seeded())
        assert result.count == expected.count
        assert torch.equal(result.loss, expected.loss)
        assert torch.equal(result.active_fraction, expected.active_fraction)

    def test_hands_every_choice_on(self) -> None:
        embeddings, labels = random_batch()
        objective = TripletObjective(0.1, Strategy.SEMIHARD, True, Reduction.ACTIVE, Fallback.NONE)
        triplets = mine(embeddings, labels, "semihard", margin=0.1, fallback="none")
        assert len(triplets) < 24
        expected = TripletLoss(0.1, soft=True, reduction="active")(embeddings, triplets)
        assert torch.equal(objective(embeddings, labels).loss, expected.loss)

    def test_soft_margin_takes_easy_triplets_of_all_too(self) -> None:
        embeddings, labels = random_batch()
        valid = len(oracles.valid_triplets(labels.tolist()))
        assert TripletObjective(0.1, Strategy.ALL, soft=True)(embeddings, labels).count == valid
        assert TripletObjective(0.1, Strategy.ALL)(embeddings, labels).count < valid

    def test_respects_the_limit(self) -> None:
        embeddings, labels = random_batch()
        objective = TripletObjective(2.0, Strategy.ALL, max_triplets=7)
        assert objective(embeddings, labels, seeded()).count == 7
        with pytest.raises(UsageError, match="generator"):
            objective(embeddings, labels)

    @pytest.mark.parametrize("margin", [0.0, -1.0, math.inf, math.nan])
    def test_refuses_an_impossible_margin(self, margin: float) -> None:
        with pytest.raises(UsageError, match="margin"):
            TripletObjective(margin)

    def test_takes_names_and_refuses_unknown_ones_at_once(self) -> None:
        assert TripletObjective(strategy="hard").strategy is Strategy.HARD  # type: ignore[arg-type]
        for wrong in ({"strategy": "x"}, {"reduction": "x"}, {"fallback": "x"}):
            with pytest.raises(UsageError, match="unknown"):
                TripletObjective(**wrong)  # type: ignore[arg-type]

    def test_one_person_is_a_differentiable_zero(self) -> None:
        embeddings = torch.eye(4, requires_grad=True)
        result = TripletObjective()(embeddings, torch.zeros(4, dtype=torch.int64))
        result.loss.backward()
        assert result.loss.item() == 0.0 and result.count == 0

    def test_learns(self) -> None:
        """A few steps on free embeddings: everyone ends closer to their own than to anyone else."""
        labels = torch.arange(4).repeat_interleave(4)
        rows = torch.randn(16, 8, generator=seeded()).requires_grad_()
        optimiser = torch.optim.SGD([rows], lr=1.0)
        objective = TripletObjective(0.5, reduction=Reduction.ACTIVE)
        for _ in range(60):
            optimiser.zero_grad()
            objective(normalise(rows), labels).loss.backward()
            optimiser.step()
        final = TripletObjective(0.5, Strategy.HARD)(normalise(rows.detach()), labels)
        assert final.active_fraction.item() == 0.0
        assert embedding_spread(normalise(rows)) > 1.0


class TestEmbeddingSpread:
    @given(st.integers(2, 9), st.integers(1, 6), seeds)
    def test_is_the_mean_pairwise_distance(self, size: int, width: int, seed: int) -> None:
        rows = normalise(torch.randn(size, width, generator=seeded(seed), dtype=torch.float64))
        assert embedding_spread(rows) == pytest.approx(oracles.mean_pairwise_squared_l2(rows.tolist()))

    def test_of_a_collapsed_network_is_zero(self) -> None:
        row = normalise(torch.randn(1, 512, generator=seeded()))
        assert embedding_spread(row.expand(32, 512)) == pytest.approx(0.0, abs=1e-9)
        noise = 1e-3 * normalise(torch.randn(32, 512, generator=seeded(1)))
        assert embedding_spread(normalise(row + noise)) == pytest.approx(2e-6, rel=0.1)

    def test_of_random_directions_is_two(self) -> None:
        assert embedding_spread(normalise(torch.randn(256, 512, generator=seeded()))) == pytest.approx(2.0, abs=0.02)

    def test_of_opposites_is_four(self) -> None:
        assert embedding_spread(torch.tensor([[1.0, 0.0], [-1.0, 0.0]])) == pytest.approx(4.0)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_of_half_precision(self, dtype: torch.dtype) -> None:
        rows = normalise(torch.randn(64, 512, generator=seeded())).to(dtype)
        assert embedding_spread(rows) == pytest.approx(embedding_spread(rows.float()))

    @pytest.mark.parametrize("shape", [(0, 4), (1, 4), (4,), (2, 2, 2)])
    def test_needs_two_rows(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(UsageError, match="at least two"):
            embedding_spread(torch.ones(shape))

    @pytest.mark.parametrize("bad", [math.nan, math.inf])
    def test_of_diverged_embeddings_is_an_error(self, bad: float) -> None:
        rows = torch.eye(4)
        rows[1, 1] = bad
        with pytest.raises(TrainingDiverged):
            embedding_spread(rows)


def raw_rows(seed: int, count: int = 12, width: int = 8) -> Tensor:
    """Rows of any length, float64."""
    return 10 * torch.randn(count, width, generator=seeded(seed), dtype=torch.float64)


def any_triplets(seed: int, count: int = 40, rows: int = 12) -> Triplets:
    return Triplets(*torch.randint(rows, (3, count), generator=seeded(seed)))


class TestMeanDifferenceLoss:
    @given(seeds, st.sampled_from([0.1, 0.3, 5.0]))
    def test_is_the_published_formula(self, seed: int, margin: float) -> None:
        rows, triplets = raw_rows(seed), any_triplets(seed)
        table, width = rows.tolist(), rows.shape[1]

        def mean_difference(a: int, b: int) -> float:
            return sum(x - y for x, y in zip(table[a], table[b], strict=True)) / width

        losses = [max(0.0, mean_difference(a, p) - mean_difference(a, n) + margin) for a, p, n in as_list(triplets)]
        result = MeanDifferenceLoss(margin)(rows, triplets)
        assert result.loss.item() == pytest.approx(sum(losses) / len(losses))
        assert result.active_fraction.item() == pytest.approx(sum(loss > 0 for loss in losses) / len(losses))
        assert result.count == len(triplets)

    @given(seeds)
    def test_differences_of_opposite_sign_cancel(self, seed: int) -> None:
        """Permuted embeddings are anything but alike, yet nothing is between them."""
        row = raw_rows(seed, count=1)
        turned = row[:, torch.randperm(8, generator=seeded(seed))]
        result = MeanDifferenceLoss(0.3)(torch.cat([row, turned, row]), Triplets(*torch.tensor([[0], [1], [2]])))
        assert result.loss.item() == pytest.approx(0.3)

    @given(seeds)
    def test_the_anchor_drops_out(self, seed: int) -> None:
        rows, triplets = raw_rows(seed), any_triplets(seed)
        loss = MeanDifferenceLoss(0.3)
        others = Triplets(torch.randint(12, (40,), generator=seeded(seed + 1)), triplets.positives, triplets.negatives)
        assert loss(rows, triplets).loss.item() == pytest.approx(loss(rows, others).loss.item())

    @given(seeds)
    def test_only_one_number_of_a_picture_counts(self, seed: int) -> None:
        rows, triplets = raw_rows(seed), any_triplets(seed)
        flat = rows.mean(dim=1, keepdim=True).expand_as(rows)
        loss = MeanDifferenceLoss(0.3)
        assert loss(rows, triplets).loss.item() == pytest.approx(loss(flat, triplets).loss.item())

    @given(seeds, st.sampled_from([0.1, 0.3]))
    def test_no_embeddings_get_below_the_margin_if_all_pictures_play_both_parts_alike(
        self, seed: int, margin: float
    ) -> None:
        roles = torch.randint(12, (2, 40), generator=seeded(seed))
        anchors = torch.zeros(80, dtype=torch.int64)
        both_ways = Triplets(anchors, torch.cat([roles[0], roles[1]]), torch.cat([roles[1], roles[0]]))
        assert MeanDifferenceLoss(margin)(raw_rows(seed), both_ways).loss.item() >= margin * (1 - 1e-12)

    @given(seeds, st.integers(2, 40))
    def test_is_bounded_for_unit_rows(self, seed: int, width: int) -> None:
        rows, triplets = normalise(raw_rows(seed, width=width)), any_triplets(seed)
        loss = MeanDifferenceLoss(9.0)(rows, triplets).loss.item()
        assert 9 - 2 / math.sqrt(width) <= loss <= 9 + 2 / math.sqrt(width)
        # The bounds are reached: all values alike, once with either sign.
        ends = torch.tensor([1.0, -1.0], dtype=torch.float64)[:, None].expand(2, width) / math.sqrt(width)
        least = MeanDifferenceLoss(9.0)(ends, Triplets(*torch.tensor([[0], [0], [1]])))
        assert least.loss.item() == pytest.approx(9 - 2 / math.sqrt(width))

    def test_its_distances_are_squared_l2(self) -> None:
        embeddings, labels = random_batch()
        triplets = mine(embeddings, labels, "random", generator=seeded())
        expected, found = TripletLoss()(embeddings, triplets), MeanDifferenceLoss()(embeddings, triplets)
        assert found.positive_distance == expected.positive_distance
        assert found.negative_distance == expected.negative_distance

    def test_gradient_is_the_derivative(self) -> None:
        rows, triplets = raw_rows(0), any_triplets(0)
        loss = MeanDifferenceLoss(0.3)
        assert torch.autograd.gradcheck(lambda given_rows: loss(given_rows, triplets).loss, rows.requires_grad_())

    @pytest.mark.parametrize("size", [0, 4])
    def test_no_triplet_is_a_differentiable_zero(self, size: int) -> None:
        embeddings = torch.full((size, 512), 1000.0, dtype=torch.float16, requires_grad=True)
        result = MeanDifferenceLoss()(embeddings, no_triplets())
        result.loss.backward()
        assert result.loss.item() == 0.0 and (result.count, result.positive_distance) == (0, None)
        assert embeddings.grad is not None and torch.equal(embeddings.grad, torch.zeros_like(embeddings))


@pytest.mark.parametrize("kind", [TripletLoss, MeanDifferenceLoss])
class TestBothLosses:
    def test_statistics_are_detached(self, kind: Kind) -> None:
        embeddings, labels = random_batch()
        result = kind()(embeddings.requires_grad_(), mine(embeddings, labels))
        assert result.loss.requires_grad
        for statistic in (result.active_fraction, result.positive_distance, result.negative_distance):
            assert statistic is not None and not statistic.requires_grad

    def test_computes_in_float32_under_autocast(self, kind: Kind) -> None:
        embeddings, labels = random_batch()
        embeddings = embeddings.float()
        triplets = mine(embeddings, labels)
        plain = kind()(embeddings, triplets)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            inside = kind()(embeddings, triplets)
        assert inside.loss.dtype == torch.float32
        assert vars(inside) == vars(plain)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_half_precision_embeddings(self, kind: Kind, dtype: torch.dtype) -> None:
        embeddings, labels = random_batch()
        rows = embeddings.to(dtype).requires_grad_()
        triplets = mine(rows, labels)
        result = kind()(rows, triplets)
        result.loss.backward()
        assert result.loss.dtype == torch.float32
        assert result.loss.item() == pytest.approx(kind()(rows.detach().float(), triplets).loss.item())
        assert rows.grad is not None and rows.grad.dtype == dtype and rows.grad.isfinite().all()

    @pytest.mark.parametrize("index", [-1, 4])
    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_refuses_triplets_of_another_batch(self, kind: Kind, index: int, place: int) -> None:
        indices = torch.tensor([[0], [1], [2]])
        indices[place] = index
        with pytest.raises(UsageError, match="outside the batch of 4"):
            kind()(torch.eye(4), Triplets(*indices))

    @pytest.mark.parametrize("margin", [0.0, -1.0, math.inf, math.nan])
    def test_refuses_an_impossible_margin(self, kind: Kind, margin: float) -> None:
        with pytest.raises(UsageError, match="margin"):
            kind(margin)


class TestLossByName:
    def test_the_squared_distance_is_the_default(self) -> None:
        assert repr(triplet_loss()) == repr(TripletLoss())
        assert repr(triplet_loss("squared-l2", 0.7, soft=True)) == repr(TripletLoss(0.7, soft=True))
        assert repr(triplet_loss("mean-difference", 0.7)) == repr(MeanDifferenceLoss(0.7))

    def test_refuses_what_there_is_not(self) -> None:
        with pytest.raises(UsageError, match="unknown loss 'l2': choose one of squared-l2, mean-difference"):
            triplet_loss("l2")
        with pytest.raises(UsageError, match="mean-difference has no soft margin.*squared-l2"):
            triplet_loss("mean-difference", soft=True)
