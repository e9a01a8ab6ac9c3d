"""Arithmetic on boxes ``float32 (k, 4)``: left, top, right, bottom, in pixels.

Rounding and the added ones are those of MTCNN's first implementation, which counted pixels from 1; its networks were
trained with them.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import nms


def moved(boxes: Tensor, shares: Tensor, *, extra: float) -> Tensor:
    """Boxes with each edge moved by a share ``(k, 4)`` of the box's own size, to which ``extra`` pixels are added."""
    size = boxes[:, 2:] - boxes[:, :2] + extra
    return boxes + shares * size.repeat(1, 2)


def squared(boxes: Tensor) -> Tensor:
    """Squares of the longer side around the same centres."""
    size = boxes[:, 2:] - boxes[:, :2]
    side = size.amax(dim=1, keepdim=True)
    corner = boxes[:, :2] + size * 0.5 - side * 0.5
    return torch.cat([corner, corner + side], dim=1)


def pixels_within(boxes: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """What of the boxes lies in the picture.

    Returns:
        ``int64 (k, 4)``, the first pixel's column and row and the ones after the last, and ``bool (k,)``, whether
        there is anything.
    """
    corners = boxes.trunc().long()
    first = corners[:, :2].clamp(min=1) - 1
    last = torch.minimum(corners[:, 2:], torch.tensor([width, height]))
    return torch.cat([first, last], dim=1), (last > first).all(dim=1)


def best(scores: Tensor, group: Tensor, most: int) -> Tensor:
    """The rows with the highest scores, at most ``most`` of each group.

    Args:
        group: ``int64 (k,)``, rising.

    Returns:
        ``int64 (m,)``, in order of groups.
    """
    if len(scores) <= most:
        return torch.arange(len(scores))
    order = scores.argsort(descending=True, stable=True)
    order = order[group[order].argsort(stable=True)]
    counts = torch.unique_consecutive(group, return_counts=True)[1]
    rank = torch.arange(len(group)) - (counts.cumsum(0) - counts).repeat_interleave(counts)
    return order[rank < most]


def suppressed(boxes: Tensor, scores: Tensor, group: Tensor, overlap: float) -> Tensor:
    """Non-maximum suppression within groups.

    Of two boxes of a group whose intersection is more than ``overlap`` of their union, the better one stays.

    Args:
        group: ``int64 (k,)``, rising.

    Returns:
        Rows that stay, ``int64 (m,)``, in order of groups.
    """
    # One call per group, for the work grows with the square of the boxes.
    kept, start = [], 0
    for count in torch.unique_consecutive(group, return_counts=True)[1].tolist():
        kept.append(nms(boxes[start : start + count], scores[start : start + count], overlap) + start)
        start += count
    return torch.cat(kept) if kept else torch.empty(0, dtype=torch.int64)


def uncovered(boxes: Tensor, scores: Tensor, overlap: float) -> Tensor:
    """Suppression that also removes a box lying within a better one, for a few boxes of one picture.

    Of two boxes whose intersection is more than ``overlap`` of the *smaller*, the better one stays, and of equally good
    ones the later: several boxes of one face are often equally certain, and facenet-pytorch decides so.

    Returns:
        Rows that stay, ``int64 (m,)``, best first.
    """
    corner, end = boxes[:, :2].numpy(), boxes[:, 2:].numpy()
    shared = np.minimum(end[:, None], end) - np.maximum(corner[:, None], corner) + 1
    shared = shared.clip(min=0).prod(axis=2)
    area = (end - corner + 1).prod(axis=1)
    covers = shared > overlap * np.minimum(area[:, None], area)
    kept: list[int] = []
    for row in scores.argsort(stable=True).flip(0).tolist():
        if not covers[row, kept].any():
            kept.append(row)
    return torch.tensor(kept, dtype=torch.int64)
