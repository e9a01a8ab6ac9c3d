"""Every triplet that violates the margin, and a uniform draw from them where they are too many."""

from __future__ import annotations

import torch
from torch import Tensor

from facenet.errors import UsageError
from facenet.mining.batch import Batch, PairChunk
from facenet.mining.triplets import Triplets


def all_triplets(
    batch: Batch, margin: float, *, max_triplets: int | None, generator: torch.Generator | None
) -> Triplets:
    """Every triplet with ``d(a, n) < d(a, p) + margin``: those, and only those, whose hinge loss is not zero.

    A margin of infinity gives every valid triplet. They are counted first, so the result is allocated once and a
    batch with too many is noticed before it fills the memory.

    Args:
        batch: the batch.
        margin: above 0, may be infinite.
        max_triplets: at most so many, ``None`` for no limit. Where more qualify, so many of them are drawn.
        generator: for that draw.

    Returns:
        Ordered by anchor, positive, negative. ``coverage``: share of all valid triplets that qualify (drawn or not).

    Raises:
        UsageError: more triplets than ``max_triplets`` and no generator.
    """
    considered = int(((batch.size - 1) * (len(batch) - batch.size)).sum())
    if considered == 0:
        return Triplets.none(batch.device)
    counts = [_violating(chunk, margin).sum(dim=1) for chunk in batch.pair_chunks()]
    total = sum(int(count.sum()) for count in counts)
    drawn = None
    if max_triplets is not None and total > max_triplets:
        drawn = _systematic_draw(total, max_triplets, generator).to(batch.device)
    found = total if drawn is None else drawn.shape[0]
    anchors, positives, negatives = torch.empty(3, found, dtype=torch.int64, device=batch.device).unbind()
    passed = written = 0
    for count, chunk in zip(counts, batch.pair_chunks(), strict=True):
        pair = torch.repeat_interleave(count)
        negative = _violating(chunk, margin).flatten().nonzero().squeeze(1) - pair * len(batch)
        following = passed + pair.shape[0]
        if drawn is not None:
            chosen = drawn[written : int(torch.searchsorted(drawn, following))] - passed
            pair, negative = pair[chosen], negative[chosen]
        part = slice(written, written + pair.shape[0])
        torch.index_select(chunk.anchors, 0, pair, out=anchors[part])
        torch.index_select(chunk.positives, 0, pair, out=positives[part])
        negatives[part] = negative
        passed, written = following, part.stop
    return Triplets(anchors, positives, negatives, coverage=total / considered)


def _violating(chunk: PairChunk, margin: float) -> Tensor:
    """``(m, n)`` bool; the anchor's own person, infinitely far, never violates."""
    return chunk.negative_distances.index_select(0, chunk.rows) < (chunk.positive_distances + margin).unsqueeze(1)


def _systematic_draw(total: int, count: int, generator: torch.Generator | None) -> Tensor:
    """``count`` different ranks in ``[0, total)``, ascending, each rank with the same chance ``count / total``.

    One random start, then equal steps of ``total / count`` (systematic sampling): the mean over the draw is an
    unbiased estimate of the mean over all, every pair gets its share of triplets, and it takes memory for the
    draw only. In integers, because rounded steps could meet the same rank twice.
    """
    if generator is None:
        raise UsageError(
            f"{total:,} triplets qualify and max_triplets is {count:,}: pass a generator to draw that many of them, "
            "raise max_triplets, or mine a smaller batch"
        )
    start = torch.randint(total, (), generator=generator, device=generator.device)
    return (torch.arange(count, device=generator.device) * total + start).div(count, rounding_mode="floor")
