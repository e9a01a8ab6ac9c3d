"""Which pictures are compared with which: every genuine and impostor pair, or a uniform sample of them.

Pairs are never listed to be sampled from. The pictures are put in order of person; the pairs of each kind are then
numbered without gaps, and a drawn number is turned back into its pair. So a sample of a thousand out of 10¹² pairs
takes the memory of a thousand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from facenet.errors import InputError, UsageError
from facenet.evaluation.scoring import score_rows


@dataclass(frozen=True, eq=False)
class Pairs:
    """Comparisons of one set of pictures with itself.

    Attributes:
        first: ``(n,)`` int64, index of one picture of each pair.
        second: ``(n,)`` int64, index of the other; never equal to ``first``.
        genuine: ``(n,)`` bool, true where both pictures show the same person.

    Raises:
        InputError: arrays of other shapes or types, a negative index, a picture paired with itself.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    genuine: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if not self.first.shape == self.second.shape == self.genuine.shape or self.first.ndim != 1:
            shapes = f"{self.first.shape}, {self.second.shape} and {self.genuine.shape}"
            raise InputError(f"pairs need three arrays of one length, got shapes {shapes}")
        if (self.first.dtype, self.second.dtype, self.genuine.dtype) != (np.int64, np.int64, np.bool_):
            kinds = f"{self.first.dtype}, {self.second.dtype} and {self.genuine.dtype}"
            raise InputError(f"pairs need int64, int64 and bool arrays, got {kinds}")
        if len(self) and min(self.first.min(), self.second.min()) < 0:
            raise InputError("pairs hold a negative picture index")
        if (self.first == self.second).any():
            raise InputError("pairs compare a picture with itself")

    def __len__(self) -> int:
        return len(self.first)

    @property
    def genuine_pairs(self) -> int:
        """Number of genuine pairs."""
        return int(self.genuine.sum())

    @property
    def impostor_pairs(self) -> int:
        """Number of impostor pairs."""
        return len(self) - self.genuine_pairs

    def people(self, labels: NDArray[Any]) -> NDArray[Any]:
        """The two people of each pair.

        Args:
            labels: ``(pictures,)`` person of each picture, as given when the pairs were made.

        Returns:
            ``(n, 2)``, of the type of ``labels``.
        """
        return np.stack([labels[self.first], labels[self.second]], axis=1)


def count_pairs(labels: NDArray[Any]) -> tuple[int, int]:
    """How many genuine and how many impostor pairs the pictures allow: ``(genuine, impostor)``.

    Args:
        labels: ``(n,)`` person of each picture, any sortable type.
    """
    n = len(labels)
    _, pictures = np.unique(labels, return_counts=True)
    genuine = int((pictures * (pictures - 1) // 2).sum())
    return genuine, n * (n - 1) // 2 - genuine


def all_or_sampled_pairs(
    labels: NDArray[Any],
    *,
    most: int = 2_000_000,
    seed: int = 0,
    keys: NDArray[Any] | None = None,
    exclude: NDArray[np.int64] | None = None,
) -> Pairs:
    """Every pair of pictures if there are at most ``most``, otherwise a uniform sample of each kind.

    When sampling, genuine pairs get half of ``most`` (more where impostor pairs are the scarce ones, fewer where there
    are not so many), impostor pairs the rest. Each kind is drawn uniformly without replacement, so people with many
    pictures weigh as much as they do among all pairs.

    The sample depends on ``seed``, on the sorted labels and on the order of the pictures *within* each person; how
    the people's pictures are interleaved does not matter. With ``keys`` it does not depend on any order.

    Args:
        labels: ``(n,)`` person of each picture, any sortable type.
        most: largest number of pairs returned, at least 2.
        seed: not negative; the same seed gives the same pairs.
        keys: ``(n,)`` a distinct, sortable name of each picture (its path), that stands for its place in the order.
        exclude: ``(k, 2)`` int64 indices of pictures never to be compared, in either direction: copies of one
            picture, say, whose comparison measures nothing.

    Returns:
        The pairs, each once and in one direction, genuine ones first. Memory: O(n + ``most`` + k).

    Raises:
        UsageError: ``most`` below 2 or a negative seed.
        InputError: labels, keys or exclusions of the wrong shape or out of range.
    """
    if most < 2 or seed < 0:
        raise UsageError(f"pairs need most >= 2 and seed >= 0, got most {most} and seed {seed}")
    if labels.ndim != 1 or (keys is not None and keys.shape != labels.shape):
        raise InputError("pairs need one label, and one key if any, for each picture")
    order = np.argsort(labels, kind="stable") if keys is None else np.lexsort((keys, labels))
    spaces = _pair_spaces(labels[order])
    barred = _barred_ranks(spaces, order, labels, exclude)
    genuine_left, impostor_left = (space.size - len(ranks) for space, ranks in zip(spaces, barred, strict=True))
    genuine_wanted = min(genuine_left, max(most // 2, most - impostor_left))
    wanted = (genuine_wanted, min(impostor_left, most - genuine_wanted))

    first, second = [], []
    for kind, space in enumerate(spaces):
        # A generator for each kind: the impostor sample does not change with the number of genuine pairs.
        generator = np.random.default_rng([seed, kind])
        ranks = _distinct(generator, space.size - len(barred[kind]), wanted[kind])
        one, other = space.pairs(_step_over(ranks, barred[kind]))
        first.append(order[one])
        second.append(order[other])
    return Pairs(np.concatenate(first), np.concatenate(second), np.repeat([True, False], wanted))


def score_pairs(embeddings: Tensor, pairs: Pairs) -> NDArray[np.float32]:
    """Cosine similarity of each pair.

    Args:
        embeddings: ``(pictures, d)`` unit rows, any floating type, on any device.
        pairs: which rows to compare.

    Returns:
        ``(n,)`` float32 in ``[-1, 1]``; see :func:`facenet.evaluation.scoring.score_rows`.

    Raises:
        InputError: a pair names a picture that has no embedding.
    """
    return score_rows(embeddings, pairs.first, pairs.second)


class _PairSpace(NamedTuple):
    """The pairs of one kind, numbered from 0: picture ``s`` is paired with ``base[s], base[s] + 1, …``.

    Attributes:
        base: ``(n,)`` int64, the first partner of each picture.
        offsets: ``(n + 1,)`` int64, the number of the first pair of each picture; the last is the number of pairs.
    """

    base: NDArray[np.int64]
    offsets: NDArray[np.int64]

    @property
    def size(self) -> int:
        return int(self.offsets[-1])

    def pairs(self, ranks: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The pairs of these numbers. Pictures without a partner share an offset with the next and are passed over."""
        one = np.searchsorted(self.offsets, ranks, side="right") - 1
        return one, self.base[one] + ranks - self.offsets[one]

    def ranks(self, one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
        """The numbers of these pairs, ``one < other``: the inverse of :meth:`pairs`."""
        return self.offsets[one] + other - self.base[one]


def _pair_spaces(labels: NDArray[Any]) -> tuple[_PairSpace, _PairSpace]:
    """The genuine and the impostor pairs of pictures whose sorted labels are given; each pair from its lower side."""
    n = len(labels)
    place = np.arange(n, dtype=np.int64)
    _, pictures = np.unique(labels, return_counts=True)
    end = np.repeat(np.cumsum(pictures), pictures)
    genuine = np.concatenate([[0], np.cumsum(end - place - 1)])
    impostor = np.concatenate([[0], np.cumsum(n - end)])
    return _PairSpace(place + 1, genuine.astype(np.int64)), _PairSpace(end, impostor.astype(np.int64))


def _barred_ranks(
    spaces: tuple[_PairSpace, _PairSpace],
    order: NDArray[np.int64],
    labels: NDArray[Any],
    exclude: NDArray[np.int64] | None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The sorted, distinct numbers of the excluded pairs in the genuine and in the impostor space."""
    if exclude is None or len(exclude) == 0:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    if exclude.ndim != 2 or exclude.shape[1] != 2 or not np.issubdtype(exclude.dtype, np.integer):
        raise InputError(f"excluded pairs must be whole numbers of shape (k, 2), got {exclude.dtype} {exclude.shape}")
    if exclude.min() < 0 or exclude.max() >= len(labels) or (exclude[:, 0] == exclude[:, 1]).any():
        raise InputError(f"excluded pairs must name two different pictures out of {len(labels)}")
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    one, other = np.sort(place[exclude], axis=1).T
    same = labels[exclude[:, 0]] == labels[exclude[:, 1]]
    genuine, impostor = spaces
    return np.unique(genuine.ranks(one[same], other[same])), np.unique(impostor.ranks(one[~same], other[~same]))


def _step_over(ranks: NDArray[np.int64], barred: NDArray[np.int64]) -> NDArray[np.int64]:
    """Turn numbers among the pairs that are left into numbers among all pairs, in the same order."""
    left_before = barred - np.arange(len(barred))
    return ranks + np.searchsorted(left_before, ranks, side="right")


def _distinct(generator: np.random.Generator, count: int, wanted: int) -> NDArray[np.int64]:
    """``wanted`` different numbers below ``count``, sorted, every such set equally likely; O(``wanted``) memory."""
    if wanted == count:
        return np.arange(count, dtype=np.int64)
    if 2 * wanted > count:
        kept = np.ones(count, dtype=np.bool_)
        kept[_distinct(generator, count, count - wanted)] = False
        return np.flatnonzero(kept).astype(np.int64)
    chosen = np.empty(0, dtype=np.int64)
    while len(chosen) < wanted:
        # Never more than what is missing, so nothing need be thrown away and no number is favoured.
        drawn = generator.integers(count, size=wanted - len(chosen), dtype=np.int64)
        # Sorted and compared by hand: np.unique takes a hash table here, a hundred times as long.
        merged = np.sort(np.concatenate([chosen, drawn]))
        chosen = merged[np.concatenate([[True], merged[1:] != merged[:-1]])]
    return chosen
