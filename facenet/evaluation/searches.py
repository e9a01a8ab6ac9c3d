"""Scored 1:N searches: what every identification protocol comes down to, and every figure about it starts from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facenet.errors import InputError


@dataclass(frozen=True, eq=False)
class Searches:
    """Searches in one gallery: mated ones, by people who are enrolled, and non-mated ones, by strangers.

    Candidates are people, one score each. Ties count against us: ``ranks`` counts other people who score as high.

    Attributes:
        enrolled: people in the gallery, at least 1.
        mated_people: ``(m,)`` int32, who made each mated search, in ``[0, enrolled)``.
        mated_samples: ``(m,)`` int32, the picture searched with.
        own_scores: ``(m,)`` float32 in ``[-1, 1]``, score of the right person.
        other_scores: ``(m,)`` float32, best score of anybody else; -1 if nobody else is enrolled.
        other_people: ``(m,)`` int32, who that is; -1 if nobody.
        ranks: ``(m,)`` int32 in ``[1, enrolled]``, of the right person; ``enrolled`` where a search failed.
        stranger_people: ``(s,)`` int32, who made each non-mated search; numbers of their own, from 0.
        stranger_samples: ``(s,)`` int32, the picture searched with.
        stranger_scores: ``(s,)`` float32 in ``[-1, 1]``, score of the best candidate.
        stranger_matches: ``(s,)`` int32 in ``[0, enrolled)``, who that is.

    A search that could not be made counts as wrong: a mated one has own score -1, other score 1 and the last rank.

    Raises:
        InputError: no search, arrays that do not fit together, scores that are no cosines.
    """

    enrolled: int
    mated_people: NDArray[np.int32]
    mated_samples: NDArray[np.int32]
    own_scores: NDArray[np.float32]
    other_scores: NDArray[np.float32]
    other_people: NDArray[np.int32]
    ranks: NDArray[np.int32]
    stranger_people: NDArray[np.int32]
    stranger_samples: NDArray[np.int32]
    stranger_scores: NDArray[np.float32]
    stranger_matches: NDArray[np.int32]

    def __post_init__(self) -> None:
        mated: tuple[NDArray[Any], ...] = (
            self.mated_people, self.mated_samples, self.own_scores, self.other_scores, self.other_people, self.ranks,
        )  # fmt: skip
        strangers: tuple[NDArray[Any], ...] = (
            self.stranger_people, self.stranger_samples, self.stranger_scores, self.stranger_matches,
        )  # fmt: skip
        for columns in (mated, strangers):
            if any(column.ndim != 1 or column.shape != columns[0].shape for column in columns):
                raise InputError("searches need arrays of one length")
        if self.mated == 0 and self.strangers == 0:
            raise InputError("there is no search: the set of probes is empty")
        for scores in (self.own_scores, self.other_scores, self.stranger_scores):
            # Written so that NaN is counted.
            bad = int(np.count_nonzero(~(np.abs(scores) <= 1)))
            if bad:
                raise InputError(f"{bad:,} of {len(scores):,} scores are no cosines between -1 and 1")
        if self.mated and not (1 <= self.ranks.min() and self.ranks.max() <= self.enrolled):
            raise InputError(f"ranks leave 1 to {self.enrolled}")

    @property
    def mated(self) -> int:
        """Number of searches by people who are enrolled."""
        return len(self.own_scores)

    @property
    def strangers(self) -> int:
        """Number of searches by people who are not."""
        return len(self.stranger_scores)
