"""Tasks: batches of the right shape, one margin, and figures worth watching."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from toys import ToyBackbone, toy_config

from facenet.errors import InputError, UsageError
from facenet.losses import MeanDifferenceLoss, TripletLoss
from facenet.mining import Strategy, Triplets, mine
from facenet.models.face_model import FaceModel
from facenet.models.heads import build_head
from facenet.models.pair_head import build_pair_head
from facenet.training.tasks import ClassificationTask, SampledTripletTask, SiameseTask, TripletTask, build_task

LABELS = np.arange(6).repeat(6)
ANCHORS = np.arange(36) % 6 == 0
ROWS_OF_TRIPLETS = torch.tensor([0, 0, 1, 2, 2, 0, 3, 3, 4, 1, 1, 5])
ROWS_OF_PAIRS = torch.tensor([0, 0, 0, 1, 2, 2, 2, 1, 3, 3, 4, 5])


def embeddings(seed: int = 0) -> torch.Tensor:
    rows = torch.randn(12, 16, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(rows).requires_grad_()


def head_config(**changes: Any) -> Any:
    return toy_config(task="classification", primary="accuracy", **changes)


def sampled_config(**changes: Any) -> Any:
    return toy_config(triplets="sampled", **changes)


def pair_config(**changes: Any) -> Any:
    return toy_config(task="siamese", primary="pair_f1", **changes)


def test_the_configuration_names_the_task() -> None:
    assert isinstance(build_task(LABELS, toy_config()), TripletTask)
    assert isinstance(build_task(LABELS, head_config()), ClassificationTask)
    assert isinstance(build_task(LABELS, sampled_config()), SampledTripletTask)
    assert isinstance(build_task(LABELS, pair_config()), SiameseTask)


def test_triplet_batches_hold_people_with_several_pictures() -> None:
    task = TripletTask(LABELS, toy_config())
    assert task.shape == (4, 2) and task.batches_per_epoch == 5
    for batch in task.epoch_batches():
        counts = np.bincount(LABELS[[draw.index for draw in batch]], minlength=6)
        assert sorted(counts.tolist()) == [0, 0, 2, 2, 2, 2]


@pytest.mark.parametrize("config", [toy_config, head_config, sampled_config, pair_config])
def test_the_seed_decides_the_batches(config: Callable[..., Any]) -> None:
    first, again, other = (build_task(LABELS, config(seed=seed)).epoch_batches() for seed in (1, 1, 2))
    assert first == again
    indices = [[[draw.index for draw in batch] for batch in batches] for batches in (first, other)]
    assert indices[0] != indices[1]


@pytest.mark.parametrize("balanced", [True, False])
def test_people_or_pictures_are_drawn_equally_often(balanced: bool) -> None:
    labels = np.repeat([0, 1, 2], [2, 4, 18])
    task = ClassificationTask(labels, head_config(balanced=balanced))
    drawn = [draw.index for batch in task.epoch_batches() for draw in batch]
    assert np.bincount(labels[drawn]).tolist() == ([8, 8, 8] if balanced else [2, 4, 18])


def test_a_soft_margin_is_that_of_the_loss() -> None:
    rows, labels = embeddings(), torch.arange(4).repeat_interleave(3)
    found = TripletTask(LABELS, toy_config(soft=True, mining="hard")).loss(FaceModel(ToyBackbone()), rows, labels)
    triplets = mine(rows, labels, Strategy.HARD, margin=toy_config().margin)
    assert torch.equal(found.loss, TripletLoss(toy_config().margin, soft=True)(rows, triplets).loss)


@pytest.mark.parametrize("strategy", list(Strategy))
def test_triplet_loss_is_that_of_the_mined_triplets_with_one_margin(strategy: Strategy) -> None:
    labels = torch.arange(4).repeat_interleave(3)
    task = TripletTask(LABELS, toy_config(margin=0.7, mining=strategy.value))
    rows = embeddings()
    found = task.loss(FaceModel(ToyBackbone()), rows, labels)
    seeded = torch.Generator().manual_seed(toy_config().seed)
    triplets = mine(rows, labels, strategy, margin=0.7, generator=seeded)
    assert torch.equal(found.loss, TripletLoss(0.7)(rows, triplets).loss)
    assert found.figures["triplets"] == len(triplets)
    assert 0 <= found.figures["active"] <= 1
    # Rows in all directions are about 2 apart.
    assert found.spread == found.figures["spread"] == pytest.approx(2.0, abs=0.4)
    found.loss.backward()
    assert rows.grad is not None and bool(rows.grad.isfinite().all())


def test_a_batch_without_triplets_costs_nothing() -> None:
    task = TripletTask(LABELS, toy_config())
    rows = embeddings()
    found = task.loss(FaceModel(ToyBackbone()), rows, torch.zeros(12, dtype=torch.int64))
    assert found.loss.item() == 0 and found.figures["triplets"] == 0
    assert "positive_distance" not in found.figures
    found.loss.backward()
    assert rows.grad is not None and not rows.grad.any()


@pytest.mark.parametrize("kind", ["linear", "arcface", "cosface"])
@pytest.mark.parametrize("trainable", ["all", "head"])
def test_classification(kind: str, trainable: str) -> None:
    task = ClassificationTask(LABELS, head_config(head=kind))
    model = FaceModel(ToyBackbone(), build_head(kind, 16, 6), trainable=trainable)
    rows, labels = embeddings(), torch.arange(12) % 6
    found = task.loss(model, rows, labels)
    assert model.head is not None
    right = (model.head.logits(rows).argmax(1) == labels).float().mean().item()
    assert found.figures == {"batch_accuracy": pytest.approx(right)}
    assert (found.spread is None) == (trainable == "head")
    found.loss.backward()
    assert all(weight.grad is not None for weight in model.head.parameters())


def test_a_head_is_needed() -> None:
    with pytest.raises(UsageError, match="head"):
        ClassificationTask(LABELS, head_config()).loss(FaceModel(ToyBackbone()), embeddings(), torch.arange(12))


@pytest.mark.parametrize("anchors", [None, ANCHORS], ids=["any picture", "anchors"])
def test_batches_hold_triplets_one_after_the_other(anchors: np.ndarray | None) -> None:
    task = build_task(LABELS, sampled_config(), anchors)
    batches = task.epoch_batches()
    assert len(batches) == task.batches_per_epoch == (5 if anchors is None else 4)
    assert len(batches[0]) == 3 * 8
    for batch in batches:
        rows = np.array([draw.index for draw in batch]).reshape(-1, 3)
        anchor, positive, negative = LABELS[rows].T
        assert (anchor == positive).all() and (anchor != negative).all() and (rows[:, 0] != rows[:, 1]).all()
        assert anchors is None or anchors[rows[:, 0]].all()


@pytest.mark.parametrize("anchors", [None, ANCHORS], ids=["any picture", "anchors"])
def test_batches_hold_pairs_one_after_the_other(anchors: np.ndarray | None) -> None:
    task = build_task(LABELS, pair_config(), anchors)
    batches = task.epoch_batches()
    assert len(batches) == task.batches_per_epoch and len(batches[0]) == 2 * 8
    rows = np.array([draw.index for batch in batches for draw in batch]).reshape(-1, 2)
    same = LABELS[rows[:, 0]] == LABELS[rows[:, 1]]
    assert same.sum() == len(same) / 2 and (rows[:, 0] != rows[:, 1]).all()
    assert anchors is None or anchors[rows[:, 0]].all()


@pytest.mark.parametrize(
    ("settings", "loss"),
    [
        ({"margin": 0.7}, TripletLoss(0.7)),
        ({"margin": 0.7, "soft": True}, TripletLoss(0.7, soft=True)),
        ({"margin": 0.7, "loss": "mean-difference"}, MeanDifferenceLoss(0.7)),
    ],
)
def test_the_loss_of_sampled_triplets_is_that_of_the_given_rows(
    settings: dict[str, Any], loss: TripletLoss | MeanDifferenceLoss
) -> None:
    rows = embeddings()
    found = build_task(LABELS, sampled_config(**settings)).loss(FaceModel(ToyBackbone()), rows, ROWS_OF_TRIPLETS)
    expected = loss(rows, Triplets(*torch.arange(12).view(4, 3).T.contiguous()))
    assert torch.equal(found.loss, expected.loss)
    assert found.figures["triplets"] == 4 and found.figures["active"] == pytest.approx(float(expected.active_fraction))
    assert found.figures["positive_distance"] == pytest.approx(float(expected.positive_distance))
    assert found.figures["negative_distance"] == pytest.approx(float(expected.negative_distance))
    assert found.spread == found.figures["spread"] == pytest.approx(2.0, abs=0.4)
    found.loss.backward()
    assert rows.grad is not None and bool(rows.grad.isfinite().all())


@pytest.mark.parametrize("trainable", ["all", "head"])
def test_siamese(trainable: str) -> None:
    model = FaceModel(ToyBackbone(), pair_head=build_pair_head(16), trainable=trainable)
    rows, same = embeddings(), torch.tensor([True, False, True, False, True, False])
    found = build_task(LABELS, pair_config()).loss(model, rows, ROWS_OF_PAIRS)
    assert model.pair_head is not None
    pairs = rows.view(6, 2, 16)
    assert torch.equal(found.loss, model.pair_head.loss(pairs[:, 0], pairs[:, 1], same))
    right = ((model.pair_head.logits(pairs[:, 0], pairs[:, 1]) > 0) == same).float().mean().item()
    assert found.figures["batch_accuracy"] == pytest.approx(right)
    assert (found.spread is None) == (trainable == "head")
    assert found.figures.get("spread") == found.spread
    found.loss.backward()
    assert all(weight.grad is not None for weight in model.pair_head.parameters())


def test_rows_that_are_no_triplets_or_pairs() -> None:
    model = FaceModel(ToyBackbone(), pair_head=build_pair_head(16))
    triplets, pairs = build_task(LABELS, sampled_config()), build_task(LABELS, pair_config())
    for labels in (torch.tensor([0, 1, 2] * 4), torch.zeros(12, dtype=torch.int64)):
        with pytest.raises(UsageError, match="not an anchor, a positive and a negative"):
            triplets.loss(model, embeddings(), labels)
    with pytest.raises(UsageError, match="11 rows cannot be cut into samples of 3"):
        triplets.loss(model, embeddings()[:11], ROWS_OF_TRIPLETS[:11])
    with pytest.raises(UsageError, match="11 rows cannot be cut into samples of 2"):
        pairs.loss(model, embeddings()[:11], ROWS_OF_PAIRS[:11])


def test_a_head_for_pairs_is_needed() -> None:
    with pytest.raises(UsageError, match="head for pairs"):
        build_task(LABELS, pair_config()).loss(FaceModel(ToyBackbone()), embeddings(), ROWS_OF_PAIRS)


@pytest.mark.parametrize(
    ("config", "labels"),
    [
        (toy_config(mining="random"), torch.arange(4).repeat_interleave(3)),
        (head_config(), torch.arange(4).repeat_interleave(3)),
        (head_config(balanced=False), torch.arange(4).repeat_interleave(3)),
        (sampled_config(), ROWS_OF_TRIPLETS),
        (pair_config(), ROWS_OF_PAIRS),
    ],
)
def test_state_goes_on_exactly(config: Any, labels: torch.Tensor) -> None:
    first, second = build_task(LABELS, config), build_task(LABELS, config)
    model = FaceModel(ToyBackbone(), build_head("linear", 16, 6), pair_head=build_pair_head(16))
    for _ in range(3):
        first.epoch_batches()
        first.loss(model, embeddings(), labels)
    second.load_sampler_state(first.sampler_state())
    second.load_state_dict(first.state_dict())
    assert first.epoch_batches() == second.epoch_batches()
    assert first.loss(model, embeddings(), labels).loss == second.loss(model, embeddings(), labels).loss


@pytest.mark.parametrize(
    ("labels", "config", "error", "says"),
    [
        (LABELS, toy_config(mining="best"), UsageError, "unknown .*'best'.*semihard"),
        (LABELS, toy_config(batch_size=3), UsageError, "at least 4"),
        (LABELS, toy_config(images_per_person=1), UsageError, "at least 2"),
        (LABELS[:6], toy_config(), InputError, "one person only"),
        (np.arange(9), toy_config(), InputError, "one picture only"),
        (np.array([], dtype=np.int64), toy_config(), InputError, "found 0"),
        (LABELS, toy_config(batch_size=99, images_per_person=20), InputError, "larger than the data"),
        (LABELS, head_config(batch_size=99), InputError, "largest usable batch is 36"),
        (LABELS[:6], head_config(batch_size=2), InputError, "at least two: found 1"),
        (LABELS, head_config(batch_size=1), UsageError, "at least 2"),
        (LABELS[:6], sampled_config(), InputError, "at least two people: found 1"),
        (np.arange(9), sampled_config(), InputError, "one picture only"),
        (LABELS, sampled_config(loss="mean-difference", soft=True), UsageError, "no soft margin"),
        (LABELS[:6], pair_config(), InputError, "at least two people: found 1"),
        (np.arange(9), pair_config(), InputError, "one picture only"),
    ],
)
def test_data_that_cannot_be(labels: np.ndarray, config: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says) as caught:
        build_task(labels, config)
    assert "\n" not in str(caught.value)
