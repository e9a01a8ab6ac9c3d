"""Comparisons that should all be rejected: the highest scores one by one, the rest only counted.

A threshold for a small rate of errors depends on the highest impostor scores alone. Of the 68 million impostor pairs
of a data set of 11,684 pictures some hundred thousand are kept, and yet every figure is that of all pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facenet.errors import InputError
from facenet.evaluation.rates import SMALLEST_STEP, thresholds_above


@dataclass(frozen=True, eq=False)
class Trials:
    """Impostor comparisons, or searches by strangers.

    Attributes:
        scores: ``(k,)`` float32, falling: every trial above ``floor``.
        sides: one or two ``(k,)`` int32 arrays: the person, or the two people, of each, in ``[0, people)``.
        floor: no trial that is not listed scores higher; ``-inf`` if all are listed.
        count: all trials, listed or not.
        people: how many there are.
        pictures: ``(people,)`` int64, pictures of each, where the trials are all pairs of pictures of different
            people; None where all trials are listed.
    """

    scores: NDArray[np.float32]
    sides: tuple[NDArray[np.int32], ...]
    floor: float
    count: int
    people: int
    pictures: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if any(side.shape != self.scores.shape for side in self.sides) or len(self.sides) not in (1, 2):
            raise ValueError("trials need one or two people for each score")
        if (np.diff(self.scores) > 0).any() or not (self.scores > self.floor).all():
            raise ValueError("the scores of trials fall, and stay above the floor")
        if self.pictures is None and len(self.scores) != self.count:
            raise ValueError("trials that are not listed need the pictures they are of")

    @property
    def complete(self) -> bool:
        """Whether every trial is listed."""
        return len(self.scores) == self.count

    def thresholds(self) -> NDArray[np.float32]:
        """For each listed trial, and last for the floor if there is one, the threshold that just rejects it.

        See :func:`facenet.evaluation.rates.thresholds_above`.
        """
        floor = np.array([] if self.complete else [self.floor], dtype=np.float32)
        return thresholds_above(np.concatenate([self.scores, floor]))

    def weights(self, copies: NDArray[np.int64]) -> NDArray[np.int64]:
        """How often each listed trial occurs if each person occurs so often: ``(people,) → (k,)``."""
        weights = copies[self.sides[0]]
        return weights if len(self.sides) == 1 else weights * copies[self.sides[1]]

    def total(self, copies: NDArray[np.int64]) -> int:
        """How often all trials together occur, listed or not."""
        if self.pictures is None:
            return int(self.weights(copies).sum())
        shown = copies * self.pictures
        return int((shown.sum() ** 2 - (shown**2).sum()) // 2)


def listed_trials(scores: NDArray[np.floating[Any]], *people: NDArray[Any]) -> Trials:
    """Trials given one by one, in any order.

    Args:
        scores: ``(n,)`` cosines.
        people: one or two ``(n,)`` arrays of one sortable type: who made each search, or who are compared.

    Raises:
        InputError: scores that are no cosines, or not as many people.
    """
    listed = cosines(scores, *people)
    codes, pictures = codes_of(np.stack(people))
    order = np.argsort(-listed, kind="stable")
    return Trials(listed[order], tuple(codes[:, order]), -np.inf, len(listed), len(pictures))


def cosines(scores: NDArray[np.floating[Any]], *columns: NDArray[Any]) -> NDArray[np.float32]:
    """The scores as float32 in ``[-1, 1]``, if they are cosines and every column is as long.

    Raises:
        InputError: they are not.
    """
    scores = np.asarray(scores)
    if scores.ndim != 1 or any(column.shape != scores.shape for column in columns):
        shapes = ", ".join(str(column.shape) for column in (scores, *columns))
        raise InputError(f"one score and its people are needed for each comparison, got shapes {shapes}")
    # Written so that NaN is counted.
    bad = int(np.count_nonzero(~(np.abs(scores) <= 1 + SMALLEST_STEP)))
    if bad:
        raise InputError(f"{bad} of {len(scores)} scores are no cosines between -1 and 1")
    return np.clip(scores.astype(np.float32), -1, 1)


def codes_of(labels: NDArray[Any]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Labels as numbers without gaps, and how often each occurs: same shape int32, ``(people,)`` int64."""
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return codes.reshape(labels.shape).astype(np.int32), counts.astype(np.int64)
