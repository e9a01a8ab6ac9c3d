"""MTCNN's cascade over many equally large pictures at once.

Zhang, Zhang, Li, Qiao, arXiv 1604.02878: a small network looks at every 12×12 window of a pyramid of scaled pictures
and proposes boxes; a second looks at each proposal in 24×24 pixels, a third at what is left in 48×48. Each moves the
edges of its boxes, and after each, boxes that overlap a better one are dropped.

Thresholds, rounding and the pixels looked at are facenet-pytorch's, and so are the faces found. What differs is the
order of the work: everything is done for all pictures and boxes at once, in portions that fit the processor's cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from facenet.detection.boxes import best, moved, pixels_within, squared, suppressed, uncovered
from facenet.detection.networks import SIDE, STRIDE, answers, load_networks, pixels_for
from facenet.detection.sums import AreaMeans

FACTOR = 0.709
"""From one size of the pyramid to the next; about half the area."""

MOST_WINDOWS, MOST_PROPOSALS, MOST_REFINED = 16384, 4096, 1024
"""The best that are kept of one size of one picture, of one picture after its proposals, and after the refinement.

Photos stay below them; noise, of which every other window looks like something, stays affordable.
"""


@dataclass(frozen=True)
class Portions:
    """How much each network is shown at once.

    Attributes:
        pixels: for the first network, of pictures already scaled.
        proposals, refined: boxes, for the second and the third.
    """

    pixels: int
    proposals: int
    refined: int


_IN_CACHE = Portions(100_000, 32, 16)
"""On a processor, what lies between two layers should not leave the cache: twice as fast as all at once."""

_ACCELERATED = Portions(8_000_000, 4096, 2048)


@dataclass(frozen=True)
class Boxes:
    """Candidates: picture ``int64 (k,)`` in rising order, box ``float32 (k, 4)``, score ``float32 (k,)``."""

    picture: Tensor
    box: Tensor
    score: Tensor

    def __len__(self) -> int:
        return len(self.score)

    def __getitem__(self, rows: Tensor) -> Boxes:
        return Boxes(self.picture[rows], self.box[rows], self.score[rows])


def _joined(parts: Sequence[Boxes]) -> Boxes:
    """All boxes, one part after the other."""
    return Boxes(
        *(torch.cat(list(values)) for values in zip(*((p.picture, p.box, p.score) for p in parts), strict=True))
    )


class Cascade:
    """The three networks and what happens between them."""

    def __init__(self, min_face: int, thresholds: tuple[float, float, float], device: torch.device) -> None:
        self.min_face, self.thresholds, self.device = min_face, thresholds, device
        self._portions = _IN_CACHE if device.type == "cpu" else _ACCELERATED
        self._proposing, self._refining, self._finishing = load_networks(device)

    @torch.inference_mode()
    def detect(self, pictures: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Faces of equally large pictures ``uint8 (n, H, W, 3)``.

        Returns:
            For each picture boxes ``float32 (f, 4)``, landmarks ``float32 (f, 5, 2)`` and probabilities
            ``float32 (f,)``, most probable first.
        """
        if not self.scales(*pictures.shape[1:3]):
            return [_nothing() for _ in pictures]
        means = AreaMeans(pictures, self.device)
        refined = self._refine(means, self._propose(means))
        final, landmarks = self._finish(means, refined)
        found = []
        for picture in range(len(pictures)):
            rows = (final.picture == picture).nonzero().flatten()
            rows = rows[uncovered(final.box[rows], final.score[rows], 0.7)]
            found.append((final.box[rows].numpy(), landmarks[rows].numpy(), final.score[rows].numpy()))
        return found

    def scales(self, height: int, width: int) -> list[float]:
        """Sizes of the pyramid: the smallest face becomes one window high, the picture at least that."""
        scales, scale = [], SIDE / self.min_face
        shorter = min(height, width) * scale
        while shorter >= SIDE:
            scales.append(scale)
            scale, shorter = scale * FACTOR, shorter * FACTOR
        return scales

    def _propose(self, means: AreaMeans) -> Boxes:
        """First stage: windows that look like a face, as squares."""
        found = [self._windows(means, scale) for scale in self.scales(means.height, means.width)]
        boxes, shares = _joined([boxes for boxes, _ in found]), torch.cat([shares for _, shares in found])
        order = boxes.picture.argsort(stable=True)
        order = order[suppressed(boxes.box[order], boxes.score[order], boxes.picture[order], 0.7)]
        order = order[best(boxes.score[order], boxes.picture[order], MOST_PROPOSALS)]
        return Boxes(boxes.picture[order], squared(moved(boxes.box[order], shares[order], extra=0)), boxes.score[order])

    def _windows(self, means: AreaMeans, scale: float) -> tuple[Boxes, Tensor]:
        """Windows of one size, and by what share their edges are to be moved."""
        size = (int(means.height * scale + 1), int(means.width * scale + 1))
        parts = []
        for pictures, rows in _portions(means.count, size, self._portions.pixels):
            scores, shares = self._proposing(means.level(pictures, size, pixels_for(rows, size[0])))
            index = (scores >= self.thresholds[0]).nonzero()
            picture, row, column = index.unbind(1)
            place = index + index.new_tensor([pictures.start, rows.start, 0])
            parts.append((place.cpu(), scores[picture, row, column].cpu(), shares[picture, :, row, column].cpu()))
        place, score, shares = (torch.cat(values) for values in zip(*parts, strict=True))
        picture, corner = place[:, 0], place[:, 1:].flip(1).float() * STRIDE
        box = torch.cat([((corner + 1) / scale).floor(), ((corner + SIDE) / scale).floor()], dim=1)
        kept = best(score, picture, MOST_WINDOWS)
        kept = kept[suppressed(box[kept], score[kept], picture[kept], 0.5)]
        return Boxes(picture[kept], box[kept], score[kept]), shares[kept]

    def _refine(self, means: AreaMeans, boxes: Boxes) -> Boxes:
        """Second stage: fewer and better squares."""
        boxes, corners = _within(means, boxes)
        if not len(boxes):
            return boxes
        shares, probabilities = _look(means, boxes.picture, corners, 24, self._refining, self._portions.proposals)
        score = probabilities[:, 1]
        rows = (score > self.thresholds[1]).nonzero().flatten()
        rows = rows[suppressed(boxes.box[rows], score[rows], boxes.picture[rows], 0.7)]
        rows = rows[best(score[rows], boxes.picture[rows], MOST_REFINED)]
        return Boxes(boxes.picture[rows], squared(moved(boxes.box[rows], shares[rows], extra=1)), score[rows])

    def _finish(self, means: AreaMeans, boxes: Boxes) -> tuple[Boxes, Tensor]:
        """Third stage: faces, several boxes for each, and their landmarks ``float32 (k, 5, 2)``."""
        boxes, corners = _within(means, boxes)
        if not len(boxes):
            return boxes, torch.empty(0, 5, 2)
        looked = _look(means, boxes.picture, corners, 48, self._finishing, self._portions.refined)
        shares, points, probabilities = looked
        sure = probabilities[:, 1] > self.thresholds[2]
        box, points = boxes.box[sure], points[sure]
        size = (box[:, 2:] - box[:, :2] + 1)[:, None]
        landmarks = points.reshape(-1, 2, 5).transpose(1, 2) * size + box[:, None, :2] - 1
        return Boxes(boxes.picture[sure], moved(box, shares[sure], extra=1), probabilities[sure, 1]), landmarks


def _within(means: AreaMeans, boxes: Boxes) -> tuple[Boxes, Tensor]:
    """The boxes that reach into their picture, and the pixels of it that they hold."""
    corners, inside = pixels_within(boxes.box, means.height, means.width)
    return boxes[inside], corners[inside]


def _look(
    means: AreaMeans, picture: Tensor, corners: Tensor, side: int, network: nn.Module, portion: int
) -> tuple[Tensor, ...]:
    """Show boxes, one at least, to a network; its answers, joined."""
    given = [
        network(means.boxes(*part, side)) for part in zip(picture.split(portion), corners.split(portion), strict=True)
    ]
    return tuple(torch.cat(values).cpu() for values in zip(*given, strict=True))


def _portions(count: int, size: tuple[int, int], pixels: int) -> Iterator[tuple[slice, slice]]:
    """Pictures and rows of windows that are looked at together, in order."""
    height, width = size
    rows, together = answers(height), max(1, pixels // (height * width))
    strip = rows if together > 1 else max(1, pixels // (STRIDE * width))
    for first in range(0, count, together):
        for top in range(0, rows, strip):
            yield slice(first, min(count, first + together)), slice(top, min(rows, top + strip))


def _nothing() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.empty((0, 4), np.float32), np.empty((0, 5, 2), np.float32), np.empty(0, np.float32)
