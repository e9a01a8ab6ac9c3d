"""What is learned: a task plans the batches of an epoch and turns a batch's embeddings into a loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facenet.data.samplers import BalancedSampler, PeopleSampler, batch_shape
from facenet.errors import UsageError
from facenet.losses import TripletObjective, embedding_spread
from facenet.mining import Fallback, Strategy, choose
from facenet.models.face_model import FaceModel
from facenet.training.combined_tasks import SampledTripletTask, SiameseTask
from facenet.training.config import TrainingConfig
from facenet.training.steps import PlannedTask, StepResult, Task, triplet_step

__all__ = [
    "ClassificationTask", "SampledTripletTask", "SiameseTask", "StepResult", "Task", "TripletTask", "build_task",
]  # fmt: skip


class TripletTask(PlannedTask):
    """Triplets mined in P×K batches (FaceNet, arXiv 1503.03832).

    Args:
        labels: ``int64 (n,)`` of the training pictures.
        config: ``batch_size``, ``images_per_person``, ``margin``, ``soft``, ``mining``, ``seed``.

    Raises:
        InputError: too few people or pictures for a batch; says what there is.
        UsageError: a batch size or mining strategy that cannot be.
    """

    def __init__(self, labels: np.ndarray, config: TrainingConfig) -> None:
        people, images = batch_shape(config.batch_size, labels, config.images_per_person)
        super().__init__(PeopleSampler(labels, people_per_batch=people, images_per_person=images, seed=config.seed))
        self.shape = (people, images)
        self._objective = TripletObjective(
            margin=config.margin,
            strategy=choose(Strategy, config.mining),
            soft=config.soft,
            fallback=choose(Fallback, config.fallback),
        )
        self._generator = torch.Generator().manual_seed(config.seed)

    def loss(self, model: FaceModel, embeddings: Tensor, labels: Tensor) -> StepResult:
        """Mine the batch and average over its triplets."""
        return triplet_step(self._objective(embeddings, labels, self._generator), embeddings)

    def state_dict(self) -> dict[str, Any]:
        """The miner's generator."""
        return {"generator": self._generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back to a saved generator."""
        self._generator.set_state(state["generator"])


class ClassificationTask(PlannedTask):
    """A head over people, on a frozen or a trainable trunk.

    Args:
        labels: ``int64 (n,)`` of the training pictures.
        config: ``batch_size``, ``balanced``, ``seed``.

    Raises:
        InputError: too few people or pictures.
    """

    def __init__(self, labels: np.ndarray, config: TrainingConfig) -> None:
        super().__init__(
            BalancedSampler(labels, batch_size=config.batch_size, seed=config.seed, balanced=config.balanced)
        )

    def loss(self, model: FaceModel, embeddings: Tensor, labels: Tensor) -> StepResult:
        """The head's own loss, and how many of the batch it gets right without a margin."""
        if model.head is None:
            raise UsageError("classification needs a model with a head")
        loss = model.head.loss(embeddings, labels)
        with torch.no_grad():
            right = (model.head.logits(embeddings).argmax(dim=1) == labels).float().mean()
        spread = None if model.trunk_is_frozen else embedding_spread(embeddings.detach())
        return StepResult(loss, {"batch_accuracy": float(right)}, spread)


def build_task(
    labels: np.ndarray, config: TrainingConfig, anchors: np.ndarray | None = None
) -> TripletTask | ClassificationTask | SampledTripletTask | SiameseTask:
    """The task a configuration names; errors as the task's own.

    Args:
        labels: ``int64 (n,)`` of the training pictures.
        config: ``task``, ``triplets`` and what the task reads.
        anchors: ``bool (n,)``, which training pictures are anchors of sampled triplets and pairs; None: all.
    """
    if config.task == "classification":
        return ClassificationTask(labels, config)
    if config.task == "siamese":
        return SiameseTask(labels, config, anchors)
    return SampledTripletTask(labels, config, anchors) if config.triplets == "sampled" else TripletTask(labels, config)
