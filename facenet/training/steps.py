"""What a task is to the training loop, what one step of it gives back, and what all tasks have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from facenet.data.samplers import Draw, Sampler
from facenet.losses import TripletLossResult, embedding_spread
from facenet.models.face_model import FaceModel


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


class PlannedTask:
    """All of a task but its loss: a sampler plans the batches, and nothing but its place in them must be saved."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler
        self.batches_per_epoch = sampler.batches_per_epoch

    def epoch_batches(self) -> list[list[Draw]]:
        """As the sampler plans them."""
        return self._sampler.epoch_batches()

    def sampler_state(self) -> dict[str, Any]:
        """The sampler's state."""
        return self._sampler.state_dict()

    def load_sampler_state(self, state: Mapping[str, Any]) -> None:
        """Go back to a saved sampler state."""
        self._sampler.load_state_dict(state)

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing to do."""


def triplet_step(result: TripletLossResult, embeddings: Tensor) -> StepResult:
    """The step of a triplet loss over ``(n, d)`` embeddings, with its statistics and the spread as figures."""
    figures = {"active": float(result.active_fraction), "triplets": float(result.count)}
    if result.positive_distance is not None and result.negative_distance is not None:
        figures["positive_distance"] = float(result.positive_distance)
        figures["negative_distance"] = float(result.negative_distance)
    spread = embedding_spread(embeddings.detach())
    return StepResult(result.loss, {**figures, "spread": spread}, spread)
