"""Tasks: batches of the right shape, one margin, and figures worth watching."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from toys import ToyBackbone, toy_config

from facenet.errors import InputError, UsageError
from facenet.losses import TripletLoss
from facenet.mining import Strategy, mine
from facenet.models.face_model import FaceModel
from facenet.models.heads import build_head
from facenet.training.tasks import ClassificationTask, TripletTask, build_task

LABELS = np.arange(6).repeat(6)


def embeddings(seed: int = 0) -> torch.Tensor:
    rows = torch.randn(12, 16, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(rows).requires_grad_()


def head_config(**changes: Any) -> Any:
    return toy_config(task="classification", primary="accuracy", **changes)


def test_the_configuration_names_the_task() -> None:
    assert isinstance(build_task(LABELS, toy_config()), TripletTask)
    assert isinstance(build_task(LABELS, head_config()), ClassificationTask)


def test_triplet_batches_hold_people_with_several_pictures() -> None:
    task = TripletTask(LABELS, toy_config())
    assert task.shape == (4, 2) and task.batches_per_epoch == 5
    for batch in task.epoch_batches():
        counts = np.bincount(LABELS[[draw.index for draw in batch]], minlength=6)
        assert sorted(counts.tolist()) == [0, 0, 2, 2, 2, 2]


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


@pytest.mark.parametrize("config", [toy_config(mining="random"), head_config(), head_config(balanced=False)])
def test_state_goes_on_exactly(config: Any) -> None:
    first, second = build_task(LABELS, config), build_task(LABELS, config)
    labels = torch.arange(4).repeat_interleave(3)
    model = FaceModel(ToyBackbone(), build_head("linear", 16, 6))
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
    ],
)
def test_data_that_cannot_be(labels: np.ndarray, config: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says) as caught:
        build_task(labels, config)
    assert "\n" not in str(caught.value)
