"""What every selection strategy works on: a checked batch, its anchor–positive pairs and its distances in chunks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from facenet.errors import TrainingDiverged, UsageError
from facenet.geometry import normalise, squared_l2

_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


@dataclass(frozen=True, eq=False)
class PairChunk:
    """Some consecutive anchor–positive pairs with the distances of their anchors.

    Attributes:
        start: position of the first pair among all pairs of the batch.
        anchors: ``(m,)`` int64, ascending.
        positives: ``(m,)`` int64, ascending within an anchor.
        positive_distances: ``(m,)`` float in ``[0, 4]``, squared L2 of each pair.
        negative_distances: ``(r, n)`` float in ``[0, 4]``, squared L2 of ``r`` anchors to the whole batch; infinite
            where the column shows the anchor's own person.
        rows: ``(m,)`` int64 in ``[0, r)``, the row of ``negative_distances`` that belongs to each pair.
    """

    start: int
    anchors: Tensor
    positives: Tensor
    positive_distances: Tensor
    negative_distances: Tensor
    rows: Tensor


class Batch:
    """A checked batch of embeddings and the people they show.

    Args:
        embeddings: ``(n, d)``, any floating dtype; rows are normalised again in float32, which heals the rounding of
            half precision. ``n`` may be 0.
        labels: ``(n,)`` integers, one per person, on the same device; any values, in any order.
        chunk: how many numbers a working matrix may hold; one row of ``n`` is the least.

    Raises:
        UsageError: wrong shape, dtype or device.
        TrainingDiverged: a row holds NaN or infinity.

    Attributes:
        order: ``(n,)`` int64, the images sorted by person, within a person by index.
        begin, end: ``(n,)`` int64, from where to where the images of each image's person stand in ``order``.
        size: ``(n,)`` int64, ``end - begin``: how many images each image's person has.
    """

    def __init__(self, embeddings: Tensor, labels: Tensor, chunk: int) -> None:
        _check(embeddings, labels, chunk)
        self._embeddings = embeddings
        self._rows_that_fit = max(1, chunk // max(1, len(labels)))
        self.labels = labels
        self.device = embeddings.device
        self.dimensions = embeddings.shape[1]
        by_person, self.order = labels.sort(stable=True)
        self.begin = torch.searchsorted(by_person, labels)
        self.end = torch.searchsorted(by_person, labels, right=True)
        self.size = self.end - self.begin

    def __len__(self) -> int:
        return self.labels.shape[0]

    @cached_property
    def has_negatives(self) -> bool:
        """Whether at least two people are shown: then every image has a negative, otherwise none has."""
        return len(self) > 0 and int(self.size[0]) < len(self)

    @cached_property
    def embeddings(self) -> Tensor:
        """``(n, d)`` float32 (float64 if given) unit rows."""
        return normalise(self._embeddings)

    @cached_property
    def pairs(self) -> tuple[Tensor, Tensor]:
        """Every ordered pair of two images of one person: anchors and positives, ``(m,)`` int64 each, ascending."""
        partners = self.size - 1
        anchors = torch.repeat_interleave(partners)
        before = partners.cumsum(0) - partners
        place = torch.arange(anchors.shape[0], device=self.device)
        place += (self.begin - before).index_select(0, anchors)
        rank = torch.empty_like(self.order).scatter_(0, self.order, torch.arange(len(self), device=self.device))
        # The anchor itself is stepped over, so its partners beyond it stand one place further on.
        place += rank.index_select(0, anchors).le_(place)
        return anchors, self.order.index_select(0, place)

    def distances(self, first: int, last: int) -> Tensor:
        """Squared L2 of images ``first:last`` to the whole batch: ``(last - first, n)``."""
        return squared_l2(self.embeddings[first:last], self.embeddings)

    def same_person(self, first: int, last: int) -> Tensor:
        """Whether images ``first:last`` show the person of each column, themselves included: ``(last - first, n)``."""
        return self.labels[first:last].unsqueeze(1) == self.labels

    def row_ranges(self) -> Iterator[tuple[int, int]]:
        """Cut the images into ranges ``first, last`` whose distances fit into one working matrix."""
        for first in range(0, len(self), self._rows_that_fit):
            yield first, min(first + self._rows_that_fit, len(self))

    def pair_chunks(self) -> Iterator[PairChunk]:
        """Cut the pairs so that one row of ``n`` numbers for each pair fits into one working matrix."""
        anchors, positives = self.pairs
        step = self._rows_that_fit
        for first, last in self.row_ranges():
            begin, end = torch.searchsorted(anchors, torch.tensor([first, last], device=self.device)).tolist()
            distances = self.distances(first, last)
            to_partner = distances[anchors[begin:end] - first, positives[begin:end]]
            distances.masked_fill_(self.same_person(first, last), math.inf)
            for start in range(begin, end, step):
                part = slice(start, min(start + step, end))
                low, high = int(anchors[part.start]), int(anchors[part.stop - 1]) + 1
                yield PairChunk(
                    start,
                    anchors[part],
                    positives[part],
                    to_partner[part.start - begin : part.stop - begin],
                    distances[low - first : high - first],
                    anchors[part] - low,
                )


def _check(embeddings: Tensor, labels: Tensor, chunk: int) -> None:
    if embeddings.ndim != 2 or embeddings.shape[1] == 0 or not embeddings.is_floating_point():
        raise UsageError(f"embeddings must be floats (n, d), not {tuple(embeddings.shape)} {embeddings.dtype}")
    if labels.dtype not in _INTEGERS:
        raise UsageError(f"labels must be integers, not {labels.dtype}")
    if labels.shape != embeddings.shape[:1]:
        raise UsageError(f"{embeddings.shape[0]} embeddings need as many labels, not shape {tuple(labels.shape)}")
    if labels.device != embeddings.device:
        raise UsageError(f"labels are on {labels.device}, embeddings on {embeddings.device}")
    if chunk < 1:
        raise UsageError(f"chunk must be at least 1, not {chunk}")
    require_finite(embeddings)


def require_finite(embeddings: Tensor) -> None:
    """Raise :class:`~facenet.errors.TrainingDiverged` if any of ``(n, d)`` embeddings holds NaN or infinity."""
    # A sum carries every NaN and infinity along and takes one quick pass. Large finite numbers may overflow it too,
    # so a sum that is not finite calls for a closer look.
    if math.isfinite(embeddings.detach().sum().item()):
        return
    bad = (~embeddings.isfinite().all(dim=1)).nonzero().squeeze(1)
    if len(bad) == 0:
        return
    raise TrainingDiverged(
        f"{len(bad)} of {len(embeddings)} embeddings hold NaN or infinity (the first in row {int(bad[0])}): "
        "training has diverged; lower the learning rate, clip gradients, or train in fp32"
    )
