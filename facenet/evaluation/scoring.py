"""Cosines of listed pairs of rows, quickly.

Pairs are put in order of tiles: so many rows one way by so many the other. Where pairs lie dense in the table of all
rows against all, whole tiles are multiplied and the listed cells picked out, for a processor multiplies matrices far
faster than it fetches two rows for each pair. Where they are few, rows are fetched, tile by tile, which keeps them in
the processor's cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facenet import geometry
from facenet.errors import InputError

_SIDE = 1024
"""Rows of a tile. Two such blocks of 512 values and their product fit the second or third cache of a processor core."""

_MOST_BLOCKS = 2**8
"""Blocks of rows along one edge of the table at most: 16 bits number all tiles, and are sorted in linear time."""

_CELLS_PER_PAIR = 32
"""As many cells of a product take as long as fetching the two rows of one pair and comparing them. Measured, 512
values: 10 to 17 ns for a cell, 400 to 500 ns for a pair."""

_VALUES_ALONE = 2**15
"""From so many values on torch shares an element-wise operation out among threads, and waits for them longer than one
of them takes."""

_FAR_AT_ONCE = 2**14
"""Pairs fetched at a time on another device, where every call takes long."""


def score_rows(
    embeddings: Tensor, first: NDArray[np.integer[Any]], second: NDArray[np.integer[Any]], *, side: int = _SIDE
) -> NDArray[np.float32]:
    """Cosine similarity of row ``first[i]`` with row ``second[i]``, for every ``i``.

    Equal rows get equal scores. Which of two ways is taken, and so the last bits of the scores, depends on the number
    of pairs and on the rows they name, not on their order.

    Args:
        embeddings: ``(m, d)`` unit rows, any floating type, on any device.
        first, second: ``(n,)`` rows to compare, any integer type. About 30 bytes a pair are needed besides.
        side: rows of a tile, at least 1; changes a score by rounding only.

    Returns:
        ``(n,)`` float32 in ``[-1, 1]``; NaN where a row is NaN.

    Raises:
        InputError: an index out of range, shapes that do not fit.
    """
    if first.ndim != 1 or first.shape != second.shape:
        raise InputError(f"pairs need two rows each, got {first.shape} and {second.shape}")
    scores = np.empty(len(first), dtype=np.float32)
    if len(first) == 0:
        return scores
    if min(first.min(), second.min()) < 0 or max(first.max(), second.max()) >= len(embeddings):
        raise InputError(f"pairs name pictures beyond the {len(embeddings)} that have an embedding")
    tiles = _Tiles(first, second, len(embeddings), side)
    if tiles.worth_multiplying():
        _multiply_tiles(embeddings, first, second, tiles, scores)
    else:
        _fetch_rows(embeddings, first, second, tiles.order, scores)
    return scores


class _Axis:
    """The rows that one side of the pairs names, without gaps, in blocks.

    Attributes:
        side: rows of a block.
        blocks: how many there are.
        block: ``int32``, for each row of the embeddings that occurs, its block.
        inner: ``int32``, likewise, its place within the block.
    """

    def __init__(self, named: NDArray[np.integer[Any]], count: int, side: int) -> None:
        occurs = np.zeros(count, dtype=np.bool_)
        occurs[named] = True
        self._rows = np.flatnonzero(occurs)
        self.side = max(side, -(-len(self._rows) // _MOST_BLOCKS))
        self.blocks = -(-len(self._rows) // self.side)
        # Divided once for each row, and not for each pair.
        self.block, self.inner = np.divmod(np.cumsum(occurs, dtype=np.int32) - np.int32(1), np.int32(self.side))

    def rows(self, block: int) -> Tensor:
        """The rows of one block: ``int64 (side,)``. The last is filled up, so that every product has one shape: a
        product of another shape may add in another order, and give equal rows unequal scores."""
        numbers = np.arange(block * self.side, (block + 1) * self.side)
        return torch.from_numpy(self._rows[np.minimum(numbers, len(self._rows) - 1)])


class _Tiles:
    """Pairs in order of tiles.

    Attributes:
        down, across: the rows of the table, and its columns.
        order: ``(n,)`` int64, numbers of the pairs, tile after tile, within a tile as they were given.
        ends: ``(tiles + 1,)`` int64, where in ``order`` each tile begins, and where the last one ends.
    """

    def __init__(
        self, first: NDArray[np.integer[Any]], second: NDArray[np.integer[Any]], count: int, side: int
    ) -> None:
        self.down, self.across = _Axis(first, count, side), _Axis(second, count, side)
        tiles = self.down.block[first]
        tiles *= self.across.blocks
        tiles += self.across.block[second]
        numbers = tiles.astype(np.uint16)
        self.order = np.argsort(numbers, kind="stable")
        self.ends = np.searchsorted(numbers[self.order], np.arange(self.down.blocks * self.across.blocks + 1))

    def worth_multiplying(self) -> bool:
        """Whether the pairs lie dense enough in the tiles that have any."""
        cells = int(np.count_nonzero(np.diff(self.ends))) * self.down.side * self.across.side
        return cells <= _CELLS_PER_PAIR * len(self.order)


def _multiply_tiles(
    embeddings: Tensor,
    first: NDArray[np.integer[Any]],
    second: NDArray[np.integer[Any]],
    tiles: _Tiles,
    scores: NDArray[np.float32],
) -> None:
    """Multiply every tile that has pairs, and pick these out of the product."""
    down, across = tiles.down, tiles.across
    for row in range(down.blocks):
        one = embeddings.index_select(0, down.rows(row).to(embeddings.device))
        for column in range(across.blocks):
            tile = row * across.blocks + column
            pairs = tiles.order[tiles.ends[tile] : tiles.ends[tile + 1]]
            if len(pairs) == 0:
                continue
            other = embeddings.index_select(0, across.rows(column).to(embeddings.device))
            product = geometry.cosine(one, other).float().cpu().numpy()
            cells = down.inner[first[pairs]] * across.side + across.inner[second[pairs]]
            scores[pairs] = product.ravel().take(cells)


def _fetch_rows(
    embeddings: Tensor,
    first: NDArray[np.integer[Any]],
    second: NDArray[np.integer[Any]],
    order: NDArray[np.int64],
    scores: NDArray[np.float32],
) -> None:
    """Fetch the rows of some pairs at a time, and compare them."""
    on_cpu = embeddings.device.type == "cpu"
    at_once = max(1, (_VALUES_ALONE - 1) // embeddings.shape[1]) if on_cpu else _FAR_AT_ONCE
    for start in range(0, len(order), at_once):
        pairs = order[start : start + at_once]
        one, other = (
            embeddings.index_select(0, torch.from_numpy(rows[pairs].astype(np.int64)).to(embeddings.device))
            for rows in (first, second)
        )
        scores[pairs] = geometry.paired_cosine(one, other).float().cpu().numpy()
