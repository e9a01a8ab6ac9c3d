"""Tasks whose samples are combinations of pictures, planned before they are embedded: triplets and pairs."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from facenet.data.combinations import PairSampler, TripletSampler
from facenet.errors import UsageError
from facenet.losses import embedding_spread, triplet_loss
from facenet.mining import Triplets
from facenet.models.face_model import FaceModel
from facenet.training.config import TrainingConfig
from facenet.training.steps import PlannedTask, StepResult, triplet_step


class SampledTripletTask(PlannedTask):
    """Triplets drawn before anything is embedded: an anchor, another picture of the person, one of somebody else.

    Most of them are easy once training is under way: mining (:class:`facenet.training.tasks.TripletTask`) learns more
    from as many pictures. This is for pictures that come as reference and others, and for recipes published this way.

    Args:
        labels: ``int64 (n,)`` of the training pictures.
        config: ``batch_size`` (triplets, of three pictures each), ``loss``, ``margin``, ``soft``, ``seed``.
        anchors: ``bool (n,)``, which pictures may be anchors; None: all.

    Raises:
        InputError: no such triplet, or somebody without an anchor.
        UsageError: a loss, margin or batch size that cannot be.
    """

    def __init__(self, labels: np.ndarray, config: TrainingConfig, anchors: np.ndarray | None = None) -> None:
        self._loss = triplet_loss(config.loss, config.margin, soft=config.soft)
        super().__init__(
            TripletSampler(labels, triplets_per_batch=config.batch_size, seed=config.seed, anchors=anchors)
        )

    def loss(self, model: FaceModel, embeddings: Tensor, labels: Tensor) -> StepResult:
        """The mean over the triplets that the rows are, three by three.

        Raises:
            UsageError: the rows are no such triplets.
        """
        anchors, positives, negatives = _columns(labels, 3)
        if not (torch.equal(anchors, positives) and bool((anchors != negatives).all())):
            raise UsageError("the rows of the batch are not an anchor, a positive and a negative, again and again")
        anchors, positives, negatives = _columns(torch.arange(len(labels), device=labels.device), 3)
        return triplet_step(self._loss(embeddings, Triplets(anchors, positives, negatives)), embeddings)


class SiameseTask(PlannedTask):
    """A head that decides whether two pictures are of one person, on a trunk that embeds both.

    Args:
        labels: ``int64 (n,)`` of the training pictures.
        config: ``batch_size`` (pairs, of two pictures each), ``seed``.
        anchors: ``bool (n,)``, which pictures may come first in a pair; None: all.

    Raises:
        InputError: no such pair, or somebody without an anchor.
        UsageError: a batch size that cannot be.
    """

    def __init__(self, labels: np.ndarray, config: TrainingConfig, anchors: np.ndarray | None = None) -> None:
        super().__init__(PairSampler(labels, pairs_per_batch=config.batch_size, seed=config.seed, anchors=anchors))

    def loss(self, model: FaceModel, embeddings: Tensor, labels: Tensor) -> StepResult:
        """The head's own loss of the pairs that the rows are, two by two, and how many of them it gets right.

        Raises:
            UsageError: the model has no head for pairs, or a row is left over.
        """
        if model.pair_head is None:
            raise UsageError("siamese training needs a model with a head for pairs")
        first_people, second_people = _columns(labels, 2)
        same = first_people == second_people
        first, second = embeddings[0::2], embeddings[1::2]
        loss = model.pair_head.loss(first, second, same)
        with torch.no_grad():
            right = ((model.pair_head.logits(first, second) > 0) == same).float().mean()
        figures = {"batch_accuracy": float(right)}
        if model.trunk_is_frozen:
            return StepResult(loss, figures, None)
        # Two embeddings side by side teach a trunk slowly; whether it still tells pictures apart is worth watching.
        spread = embedding_spread(embeddings.detach())
        return StepResult(loss, {**figures, "spread": spread}, spread)


def _columns(rows: Tensor, width: int) -> tuple[Tensor, ...]:
    """``(n · width,)`` → ``width`` times ``(n,)``: what stands at each place of a sample."""
    if len(rows) % width:
        raise UsageError(f"a batch of {len(rows)} rows cannot be cut into samples of {width}")
    return rows.view(-1, width).unbind(dim=1)
