"""What is learned: a task plans the batches of an epoch and turns a batch's embeddings into a loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from facenet.data.samplers import BalancedSampler, Draw, PeopleSampler, batch_shape
from facenet.errors import UsageError
from facenet.losses import TripletObjective, embedding_spread
from facenet.mining import Fallback, Strategy, choose
from facenet.models.face_model import FaceModel
from facenet.training.config import TrainingConfig


@dataclass(frozen=True)
class StepResult:
    """A loss and what is worth watching.

    Attributes:
        loss: scalar, with a gradient.
        figures: name → number, for the log.
        spread: mean squared L2 distance between two embeddings of the batch if the trunk can collapse, else None.
    """

    loss: Tensor
    figures: dict[str, float]
    spread: float | None


class Task(Protocol):
    """One thing to learn."""

    batches_per_epoch: int

    def epoch_batches(self) -> list[list[Draw]]:
        """Plan the next epoch."""

    def loss(self, model: FaceModel, embeddings: Tensor, labels: Tensor) -> StepResult:
        """``(n, d)`` float32 embeddings and ``(n,)`` int64 labels → loss, in float32."""

    def sampler_state(self) -> dict[str, Any]:
        """Where the sampler is: plain values and tensors."""

    def load_sampler_state(self, state: Mapping[str, Any]) -> None:
        """Go back there."""

    def state_dict(self) -> dict[str, Any]:
        """Everything else that the next loss depends on."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back there."""


class TripletTask:
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
        self._sampler = PeopleSampler(labels, people_per_batch=people, images_per_person=images, seed=config.seed)
        self.batches_per_epoch = self._sampler.batches_per_epoch
        self.shape = (people, images)
        self._objective = TripletObjective(
            margin=config.margin,
            strategy=choose(Strategy, config.mining),
            soft=config.soft,
            fallback=choose(Fallback, config.fallback),
        )
        self._generator = torch.Generator().manual_seed(config.seed)

    def epoch_batches(self) -> list[list[Draw]]:
        """P people with K pictures each, in every batch."""
        return self._sampler.epoch_batches()

    def loss(self, model: FaceModel, embeddings: Tensor, labels: Tensor) -> StepResult:
        """Mine the batch and average over its triplets."""
        result = self._objective(embeddings, labels, self._generator)
        figures = {"active": float(result.active_fraction), "triplets": float(result.count)}
        if result.positive_distance is not None and result.negative_distance is not None:
            figures["positive_distance"] = float(result.positive_distance)
            figures["negative_distance"] = float(result.negative_distance)
        spread = float(embedding_spread(embeddings.detach()))
        return StepResult(result.loss, {**figures, "spread": spread}, spread)

    def sampler_state(self) -> dict[str, Any]:
        """The P×K sampler's state."""
        return self._sampler.state_dict()

    def load_sampler_state(self, state: Mapping[str, Any]) -> None:
        """Go back to a saved sampler state."""
        self._sampler.load_state_dict(state)

    def state_dict(self) -> dict[str, Any]:
        """The miner's generator."""
        return {"generator": self._generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back to a saved generator."""
        self._generator.set_state(state["generator"])


class ClassificationTask:
    """A head over people, on a frozen or a trainable trunk.

    Args:
        labels: ``int64 (n,)`` of the training pictures.
        config: ``batch_size``, ``balanced``, ``seed``.

    Raises:
        InputError: too few people or pictures.
    """

    def __init__(self, labels: np.ndarray, config: TrainingConfig) -> None:
        self._sampler = BalancedSampler(
            labels, batch_size=config.batch_size, seed=config.seed, balanced=config.balanced
        )
        self.batches_per_epoch = self._sampler.batches_per_epoch

    def epoch_batches(self) -> list[list[Draw]]:
        """Every person equally often, or every picture once."""
        return self._sampler.epoch_batches()

    def loss(self, model: FaceModel, embeddings: Tensor, labels: Tensor) -> StepResult:
        """The head's own loss, and how many of the batch it gets right without a margin."""
        if model.head is None:
            raise UsageError("classification needs a model with a head")
        loss = model.head.loss(embeddings, labels)
        with torch.no_grad():
            right = (model.head.logits(embeddings).argmax(dim=1) == labels).float().mean()
        spread = None if model.trunk_is_frozen else float(embedding_spread(embeddings.detach()))
        return StepResult(loss, {"batch_accuracy": float(right)}, spread)

    def sampler_state(self) -> dict[str, Any]:
        """The sampler's state."""
        return self._sampler.state_dict()

    def load_sampler_state(self, state: Mapping[str, Any]) -> None:
        """Go back to a saved sampler state."""
        self._sampler.load_state_dict(state)

    def state_dict(self) -> dict[str, Any]:
        """Nothing else."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing to do."""


def build_task(labels: np.ndarray, config: TrainingConfig) -> TripletTask | ClassificationTask:
    """The task a configuration names; errors as the task's own."""
    return TripletTask(labels, config) if config.task == "triplet" else ClassificationTask(labels, config)
