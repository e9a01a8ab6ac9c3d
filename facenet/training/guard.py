"""Stops a run that no longer learns: loss not finite, or all embeddings (nearly) one point."""

from __future__ import annotations

import math
from collections.abc import Iterable

from torch import Tensor

from facenet.errors import EmbeddingCollapse, TrainingDiverged
from facenet.training.config import TrainingConfig

_LEAST_SPREAD = 0.01
_LEAST_SPREAD_FOR_A_HEAD = 1e-4
"""A head scales up what it is given, and learns from embeddings far closer together than a loss of distances can."""


class CollapseGuard:
    """Watches every step.

    Collapse shows in the embedding spread (mean squared L2 distance between two embeddings of a batch, about 2 for
    unrelated ones): a triplet loss that gives up maps all pictures to one point, where the loss is the margin and the
    gradient vanishes. FaceNet (arXiv 1503.03832, section 3.2) meets it with semi-hard negatives.

    Args:
        config: the remedy is named after its settings.
        least_spread: below this the batch counts as collapsed; None: 0.01, or 0.0001 where a head learns.
        steps: so many collapsed steps in a row stop the run.
    """

    def __init__(self, config: TrainingConfig, *, least_spread: float | None = None, steps: int = 25) -> None:
        self.config = config
        usual = _LEAST_SPREAD if config.task == "triplet" else _LEAST_SPREAD_FOR_A_HEAD
        self.least_spread = usual if least_spread is None else least_spread
        self.steps = steps
        self.collapsed_steps = 0

    def check_loss(self, loss: float, step: int) -> None:
        """Before the step is taken.

        Raises:
            TrainingDiverged: the loss is NaN or infinite.
        """
        if not math.isfinite(loss):
            raise TrainingDiverged(f"the loss became {loss} at step {step}; {self._gentler()}")

    def check_weights(self, weights: Iterable[Tensor], step: int) -> None:
        """Before weights are measured or saved: the step that broke them may have been the last.

        Raises:
            TrainingDiverged: a weight is NaN or infinite.
        """
        if not all(bool(weight.isfinite().all()) for weight in weights):
            raise TrainingDiverged(f"the weights became infinite or NaN by step {step}; {self._gentler()}")

    def check_spread(self, spread: float, step: int) -> None:
        """After the step is taken.

        Raises:
            EmbeddingCollapse: the spread has been too small for too long.
        """
        self.collapsed_steps = self.collapsed_steps + 1 if spread < self.least_spread else 0
        if self.collapsed_steps >= self.steps:
            raise EmbeddingCollapse(
                f"training collapsed: for {self.steps} steps up to step {step} all embeddings of a batch were one "
                f"point (spread {spread:.2g}, healthy is about 1 to 2); {self._remedy()}"
            )

    def _remedy(self) -> str:
        config = self.config
        if config.task == "triplet" and config.triplets == "mined" and config.mining == "hard":
            return "hardest negatives pull everything together early on: try --mining semihard"
        if config.loss == "mean-difference":
            return (
                "the loss mean-difference does not see how far embeddings are from each other, and keeps none apart: "
                "try --loss squared-l2"
            )
        return f"try --lr {config.lr / 10:g}, or start from --pretrained weights"

    def _gentler(self) -> str:
        rate = self.config.lr
        return f"the learning rate was {rate:g}: try --lr {rate / 10:g}, --clip 1 or --precision fp32"
