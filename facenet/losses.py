"""Losses of triplets, their statistics, and the spread that tells a collapsed network.

Distances are squared L2 of unit rows, in ``[0, 4]``; everything is computed in float32 (float64 if given), under
autocast too. The one loss that judges by something else, :class:`MeanDifferenceLoss`, says why it should not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from facenet.errors import UsageError
from facenet.geometry import normalise, squared_l2
from facenet.mining import Fallback, Strategy, Triplets, choose, mine, require_finite


class Loss(StrEnum):
    """What the loss of a given triplet is made of."""

    SQUARED_L2 = "squared-l2"
    """Distances between embeddings: :class:`TripletLoss`. The default."""

    MEAN_DIFFERENCE = "mean-difference"
    """Means of raw differences: :class:`MeanDifferenceLoss`, to compare with."""


class Reduction(StrEnum):
    """Over what the loss is averaged."""

    ALL = "all"
    """Every triplet given: the gradient fades as fewer of them violate the margin."""

    ACTIVE = "active"
    """The triplets that violate the margin: the gradient keeps its size however few they are. The strategy ``all``
    gives no others, unless its margin is infinite."""


@dataclass(frozen=True, eq=False)
class TripletLossResult:
    """A loss and what it rests on. Everything but ``loss`` is detached; tensors are 0-d, so nothing waits for a GPU.

    Attributes:
        loss: 0-d float, differentiable, finite for finite embeddings; a differentiable 0 where there is no triplet.
        active_fraction: in ``[0, 1]``, the share of the triplets (or pairs, or anchors) the strategy looked at that
            violate the margin: the share of given triplets times their :attr:`~facenet.mining.Triplets.coverage`.
            0 where there is no triplet. Falls as training succeeds.
        positive_distance: mean ``d(a, p)`` of the triplets, in ``[0, 4]``; ``None`` where there is no triplet.
        negative_distance: mean ``d(a, n)`` likewise.
        count: number of triplets.
    """

    loss: Tensor
    active_fraction: Tensor
    positive_distance: Tensor | None
    negative_distance: Tensor | None
    count: int


class TripletLoss(nn.Module):
    """Triplet loss over given triplets.

    With a margin: ``relu(d(a, p) - d(a, n) + margin)`` (FaceNet, arXiv 1503.03832, equation 2). Soft:
    ``softplus(d(a, p) - d(a, n))``, which never quite stops pulling (arXiv 1703.07737, section 2).

    Args:
        margin: above 0, finite, in squared L2. With ``soft`` it only decides which triplets count as active.
        soft: soft margin.
        reduction: see :class:`Reduction`.

    Raises:
        UsageError: a margin that is not above 0 and finite, an unknown reduction.
    """

    def __init__(self, margin: float = 0.2, *, soft: bool = False, reduction: Reduction | str = Reduction.ALL) -> None:
        super().__init__()
        self.margin, self.soft, self.reduction = _checked_margin(margin), soft, choose(Reduction, reduction)

    def forward(self, embeddings: Tensor, triplets: Triplets) -> TripletLossResult:
        """Loss of the triplets.

        Args:
            embeddings: ``(n, d)`` unit rows, any floating dtype; normalised again in float32, as for mining.
            triplets: indices into the rows, each in ``[0, n)``.

        Raises:
            UsageError: an index outside the batch.
        """
        with torch.autocast(embeddings.device.type, enabled=False):
            rows = normalise(embeddings)
            if len(triplets) == 0:
                return TripletLossResult(0.0 * rows.sum(), rows.new_zeros(()), None, None, 0)
            # One matrix product, whatever the number of triplets: each distance occurs in many of them. Without a
            # square root there is no infinite gradient where two images coincide.
            to_positive, to_negative = _looked_up(squared_l2(rows, rows), triplets)
            violation = to_positive - to_negative
            active = (violation.detach() + self.margin) > 0
            losses = softplus(violation) if self.soft else relu(violation + self.margin)
            return TripletLossResult(
                loss=self._reduce(losses, active),
                active_fraction=active.to(losses.dtype).mean() * triplets.coverage,
                positive_distance=to_positive.detach().mean(),
                negative_distance=to_negative.detach().mean(),
                count=len(triplets),
            )

    def _reduce(self, losses: Tensor, active: Tensor) -> Tensor:
        if self.reduction is Reduction.ALL:
            return losses.mean()
        return (losses * active).sum() / active.sum().clamp(min=1)

    def extra_repr(self) -> str:
        return f"margin={self.margin}, soft={self.soft}, reduction={self.reduction.value}"


class MeanDifferenceLoss(nn.Module):
    """Triplet loss of a small published project, kept so that its recipe can be run as it was published.

    The "distance" of two embeddings is the mean of their raw differences, ``d(a, b) = mean_j(a_j - b_j)``, and the loss
    is ``relu(d(a, p) - d(a, n) + margin)``, the mean over the triplets.

    The squared distance of :class:`TripletLoss` is the default for good reasons:

    * Differences of opposite sign cancel: ``d`` is 0 for very different embeddings whose values have one mean, and
      negative as often as positive.
    * The anchor drops out: ``d(a, p) - d(a, n) = mean(n) - mean(p)``. All that is learned is to order one number for
      each picture, the mean of its embedding, which says nothing about who is on it.
    * Where every picture is a positive as often as a negative, the loss of no network is below the margin (the mean of
      a hinge is at least the hinge of the mean, which is here the margin). Where the loss falls, the pictures drawn as
      positives are others than those drawn as negatives, and it is these that the network has learned to tell apart.
    * The mean of a unit row of length ``d`` lies within ``±1/√d``, so no triplet's loss falls below
      ``margin - 2/√d``: with 108 values, below ``margin - 0.192``.

    Args:
        margin: above 0, finite, in units of an embedding's value.

    Raises:
        UsageError: a margin that is not above 0 and finite.
    """

    def __init__(self, margin: float = 0.2) -> None:
        super().__init__()
        self.margin = _checked_margin(margin)

    def forward(self, embeddings: Tensor, triplets: Triplets) -> TripletLossResult:
        """Loss of the triplets.

        Args:
            embeddings: ``(n, d)`` rows, any floating dtype; taken as they are.
            triplets: indices into the rows, each in ``[0, n)``.

        Returns:
            ``active_fraction`` is of this loss. The two distances are squared L2 as everywhere, so that runs can be
            compared and what this loss does not see can be seen.

        Raises:
            UsageError: an index outside the batch.
        """
        with torch.autocast(embeddings.device.type, enabled=False):
            means = (embeddings if embeddings.dtype == torch.float64 else embeddings.float()).mean(dim=1)
            if len(triplets) == 0:
                return TripletLossResult(0.0 * means.sum(), means.new_zeros(()), None, None, 0)
            with torch.no_grad():
                rows = normalise(embeddings)
                to_positive, to_negative = _looked_up(squared_l2(rows, rows), triplets)
            # The anchor's mean stands on both sides: leaving it out changes the rounding only.
            _, positives, negatives = triplets
            violation = means.index_select(0, negatives) - means.index_select(0, positives)
            losses = relu(violation + self.margin)
            active = (violation.detach() + self.margin) > 0
            return TripletLossResult(
                loss=losses.mean(),
                active_fraction=active.to(losses.dtype).mean() * triplets.coverage,
                positive_distance=to_positive.mean(),
                negative_distance=to_negative.mean(),
                count=len(triplets),
            )

    def extra_repr(self) -> str:
        return f"margin={self.margin}"


def triplet_loss(
    loss: Loss | str = Loss.SQUARED_L2, margin: float = 0.2, *, soft: bool = False
) -> TripletLoss | MeanDifferenceLoss:
    """The loss of given triplets by its name.

    Raises:
        UsageError: an unknown name, a margin that cannot be, a soft margin for a loss that has none.
    """
    if choose(Loss, loss) is Loss.SQUARED_L2:
        return TripletLoss(margin, soft=soft)
    if soft:
        raise UsageError(f"the loss {Loss.MEAN_DIFFERENCE} has no soft margin: choose {Loss.SQUARED_L2} with --soft")
    return MeanDifferenceLoss(margin)


@dataclass(frozen=True)
class TripletObjective:
    """Mining and loss under one margin: what a trainer calls on every batch.

    Attributes:
        margin: above 0, finite, in squared L2; the same for selection and loss.
        strategy: how triplets are selected.
        soft: soft margin in the loss. Then easy triplets have a loss too, so the strategy ``all`` takes every one.
        reduction: see :class:`Reduction`.
        fallback: for the strategy ``semihard``: see :class:`~facenet.mining.Fallback`.
        max_triplets: for the strategy ``all``: see :func:`~facenet.mining.mine`.

    Raises:
        UsageError: a value that is not allowed, at once and not on the first batch.
    """

    margin: float = 0.2
    strategy: Strategy = Strategy.SEMIHARD
    soft: bool = False
    reduction: Reduction = Reduction.ALL
    fallback: Fallback = Fallback.HARDEST
    max_triplets: int | None = 10_000_000

    def __post_init__(self) -> None:
        _checked_margin(self.margin)
        for name, kind in (("strategy", Strategy), ("reduction", Reduction), ("fallback", Fallback)):
            object.__setattr__(self, name, choose(kind, getattr(self, name)))

    def __call__(
        self, embeddings: Tensor, labels: Tensor, generator: torch.Generator | None = None
    ) -> TripletLossResult:
        """Mine the batch and return its loss; arguments and errors as for :func:`~facenet.mining.mine`."""
        every = self.soft and self.strategy is Strategy.ALL
        triplets = mine(
            embeddings,
            labels,
            self.strategy,
            margin=math.inf if every else self.margin,
            fallback=self.fallback,
            generator=generator,
            max_triplets=self.max_triplets,
        )
        return TripletLoss(self.margin, soft=self.soft, reduction=self.reduction)(embeddings, triplets)


def embedding_spread(embeddings: Tensor) -> float:
    """Mean squared L2 distance between two different rows of a batch: about 0 once a network has collapsed.

    Computed as twice the summed variance of the columns, which is the same number in ``O(n·d)``. About 2 for rows
    in all directions; the people in a batch being few, a good network stays somewhat below.

    Args:
        embeddings: ``(n, d)`` unit rows, any floating dtype, ``n >= 2``.

    Returns:
        In ``[0, 4]``; at most ``2n / (n - 1)``.

    Raises:
        UsageError: fewer than two rows.
        TrainingDiverged: an embedding holds NaN or infinity.
    """
    if embeddings.ndim != 2 or embeddings.shape[0] < 2:
        raise UsageError(f"spread needs at least two embeddings (n, d), not shape {tuple(embeddings.shape)}")
    require_finite(embeddings)
    return 2.0 * normalise(embeddings.detach()).var(dim=0).sum().item()


def _looked_up(distances: Tensor, triplets: Triplets) -> tuple[Tensor, Tensor]:
    """``d(a, p)`` and ``d(a, n)`` of each triplet, from the ``(n, n)`` distances of the batch."""
    size = distances.shape[0]
    for index in triplets:
        smallest, largest = index.aminmax()
        if smallest.item() < 0 or largest.item() >= size:
            raise UsageError(f"triplets point outside the batch of {size} embeddings")
    anchors, positives, negatives = triplets
    # Not distances[anchors, positives]: its gradient is summed by several CPU threads in an order that changes from
    # run to run, and an interrupted and resumed training would not end in the same weights.
    flat = distances.flatten()
    return flat.index_select(0, anchors * size + positives), flat.index_select(0, anchors * size + negatives)


def _checked_margin(margin: float) -> float:
    if not 0.0 < margin < math.inf:
        raise UsageError(f"the margin of a triplet loss must be above 0 and finite, not {margin}")
    return margin
