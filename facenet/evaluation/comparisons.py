"""Scored 1:1 comparisons: what every verification protocol comes down to, and every figure about it starts from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facenet.errors import InputError

REJECTED, ACCEPTED = -1.0, 1.0
"""Scores of comparisons that could not be made: wrong at every threshold, so that nobody gains by failing."""


@dataclass(frozen=True, eq=False)
class Comparisons:
    """Scored comparisons of samples; a sample is a picture, or a template of several.

    Attributes:
        scores: ``(n,)`` float32 cosines in ``[-1, 1]``.
        genuine: ``(n,)`` bool, true where both samples are of one person.
        first, second: ``(n,)`` int32, indices of the samples compared.
        owners: ``(samples,)`` int32, person of each sample, in ``[0, people)``.
        folds: ``(n,)`` int32, not negative, or None where the protocol has no folds.
        failed: ``(n,)`` bool, or None if all could be made: a failed genuine comparison scores -1, a failed impostor
            comparison 1 (see :func:`count_as_wrong`).

    Raises:
        InputError: arrays that do not fit together, no comparison, scores that are no cosines, owners that contradict
            ``genuine``.
    """

    scores: NDArray[np.float32]
    genuine: NDArray[np.bool_]
    first: NDArray[np.int32]
    second: NDArray[np.int32]
    owners: NDArray[np.int32]
    folds: NDArray[np.int32] | None = None
    failed: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        columns: dict[str, tuple[NDArray[Any] | None, type]] = {
            "scores": (self.scores, np.float32),
            "genuine": (self.genuine, np.bool_),
            "first": (self.first, np.int32),
            "second": (self.second, np.int32),
            "folds": (self.folds, np.int32),
            "failed": (self.failed, np.bool_),
        }
        for name, (column, kind) in columns.items():
            if column is not None and (column.shape != (len(self),) or column.dtype != kind):
                raise InputError(f"{name}: {len(self)} comparisons need {kind.__name__} ({len(self)},)")
        if len(self) == 0:
            raise InputError("there is no comparison")
        if self.owners.ndim != 1 or self.owners.dtype != np.int32:
            raise InputError("each sample needs one person, as int32")
        if min(self.first.min(), self.second.min()) < 0 or max(self.first.max(), self.second.max()) >= len(self.owners):
            raise InputError(f"comparisons name samples beyond the {len(self.owners)} there are")
        # Written so that NaN is counted.
        bad = int(np.count_nonzero(~(np.abs(self.scores) <= 1)))
        if bad:
            raise InputError(f"{bad:,} of {len(self):,} scores are no cosines between -1 and 1")
        if not np.array_equal(self.owners[self.first] == self.owners[self.second], self.genuine):
            raise InputError("the people of some comparisons contradict whether the comparison is genuine")

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def genuine_pairs(self) -> int:
        """Number of genuine comparisons."""
        return int(np.count_nonzero(self.genuine))

    @property
    def impostor_pairs(self) -> int:
        """Number of impostor comparisons."""
        return len(self) - self.genuine_pairs

    @property
    def failures(self) -> int:
        """Number of comparisons that could not be made."""
        return 0 if self.failed is None else int(np.count_nonzero(self.failed))

    @property
    def people(self) -> int:
        """How many different people are compared."""
        return len(np.unique(self.owners[np.concatenate([self.first, self.second])]))


def count_as_wrong(
    scores: NDArray[np.float32], genuine: NDArray[np.bool_], failed: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Give comparisons that could not be made the score that is wrong at every threshold.

    Args:
        scores: ``(n,)``; what stands at failed places (NaN, say) is not read.
        genuine, failed: ``(n,)`` bool.

    Returns:
        A new ``(n,)`` float32: -1 at failed genuine, 1 at failed impostor comparisons, else as it was.
    """
    wrong = np.where(genuine, np.float32(REJECTED), np.float32(ACCEPTED))
    return np.where(failed, wrong, scores).astype(np.float32)
