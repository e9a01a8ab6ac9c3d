"""Open-set 1:N identification: strangers search too, and a threshold has to turn them away.

Terms of ISO/IEC 19795-1. A *mated* search is made by somebody enrolled, a *non-mated* one by a stranger.

* FPIR at a threshold is the share of non-mated searches that return anybody: whose best candidate reaches the
  threshold.
* FNIR at a threshold and a rank is the share of mated searches that do not return the right person among so many first
  candidates at the threshold or above. ``rank=None`` asks for no rank: threshold alone decides.
* A candidate is returned if ``score >= threshold``. Thresholds lie halfway between neighbouring scores, so the last
  bit of a score decides nothing.
* FNIR at a target FPIR is that of the smallest threshold whose FPIR does not exceed the target. It is given only if
  there are at least 3 / target non-mated searches (rule of three).
* A mated search that could not be made is missed at every threshold.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facenet.errors import InputError, UsageError
from facenet.evaluation.comparisons import REJECTED
from facenet.evaluation.rates import errors_allowed, thresholds_above
from facenet.evaluation.searches import Searches
from facenet.evaluation.verification import impostor_pairs_needed


@dataclass(frozen=True)
class OpenSetRate:
    """What the smallest threshold does whose FPIR does not exceed a target.

    Attributes:
        target: the FPIR not to be exceeded, in ``(0, 1)``.
        rank: the right person must be among so many first candidates; None: anywhere.
        threshold: accept if ``score >= threshold``; above 1 where nobody may be accepted. None, like all figures below,
            where the searches cannot carry the target.
        fpir: share of non-mated searches accepted, at most ``target``.
        fnir: share of mated searches missed, in ``[0, 1]``.
        false_positives, misses: the counts these are of.
        reason: why there are no figures; empty otherwise.
    """

    target: float
    rank: int | None
    threshold: float | None = None
    fpir: float | None = None
    fnir: float | None = None
    false_positives: int | None = None
    misses: int | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        figures = (self.threshold, self.fpir, self.fnir, self.false_positives, self.misses)
        if any((figure is None) != bool(self.reason) for figure in figures):
            raise ValueError("a rate has either all of its figures or a reason why it has none")
        if self.fpir is not None and not 0 <= self.fpir <= self.target:
            raise ValueError(f"FPIR {self.fpir} is outside [0, {self.target}]")
        if self.fnir is not None and not 0 <= self.fnir <= 1:
            raise ValueError(f"FNIR {self.fnir} is outside [0, 1]")

    def to_dict(self) -> dict[str, Any]:
        """All attributes, fit for JSON."""
        return asdict(self)


def open_set_curve(
    searches: Searches, rank: int | None = 1
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Every operating point, from returning nobody to returning somebody in every search.

    Args:
        searches: with mated and non-mated ones.
        rank: see the head of this module; at least 1.

    Returns:
        ``(fpir, fnir, thresholds)``, each ``(k,)`` float64: FPIR rises from 0 to 1, FNIR does not rise, thresholds fall
        strictly.

    Raises:
        UsageError: a rank below 1.
        InputError: no mated or no non-mated search.
    """
    check_request(rank)
    for kind, count in (("mated", searches.mated), ("non-mated", searches.strangers)):
        if count == 0:
            raise InputError(f"an open-set curve needs {kind} searches, and there are none")
    found = np.sort(searches.own_scores[returned(searches, rank)])
    strangers = np.sort(searches.stranger_scores)
    scores = np.unique(np.concatenate([found, strangers]))
    thresholds = np.concatenate([thresholds_above(scores)[::-1], scores[:1]]).astype(np.float64)
    accepted = np.append(len(strangers) - np.searchsorted(strangers, scores, side="right")[::-1], len(strangers))
    right = np.append(len(found) - np.searchsorted(found, scores, side="right")[::-1], len(found))
    return accepted / len(strangers), 1 - right / searches.mated, thresholds


def missed(searches: Searches, threshold: float, rank: int | None = 1) -> NDArray[np.bool_]:
    """Which mated searches do not return the right person: ``(mated,)``.

    Args:
        searches: any.
        threshold: accept if ``score >= threshold``; ``-inf`` leaves all to the rank.
        rank: see the head of this module; at least 1.
    """
    check_request(rank)
    return ~(returned(searches, rank) & (searches.own_scores >= threshold))


def open_set_rate(searches: Searches, target: float, *, rank: int | None = 1) -> OpenSetRate:
    """FNIR at the smallest threshold whose FPIR does not exceed the target, where the searches can carry it.

    Args:
        searches: any.
        target: FPIR not to be exceeded, in ``(0, 1)``.
        rank: see the head of this module; at least 1.

    Raises:
        UsageError: a target outside ``(0, 1)``, a rank below 1.
    """
    check_request(rank, target)
    if searches.mated == 0:
        return OpenSetRate(target, rank, reason="no search was made by anybody enrolled")
    needed = impostor_pairs_needed(target)
    if searches.strangers < needed:
        reason = f"FPIR {target:g} needs at least {needed:,} searches by strangers, there are {searches.strangers:,}"
        return OpenSetRate(target, rank, reason=reason)
    threshold = smallest_threshold(searches.stranger_scores, searches.own_scores[returned(searches, rank)], target)
    false_positives = int(np.count_nonzero(searches.stranger_scores >= threshold))
    misses = int(np.count_nonzero(missed(searches, threshold, rank)))
    return OpenSetRate(
        target=target,
        rank=rank,
        threshold=threshold,
        fpir=false_positives / searches.strangers,
        fnir=misses / searches.mated,
        false_positives=false_positives,
        misses=misses,
    )


def returned(searches: Searches, rank: int | None = 1) -> NDArray[np.bool_]:
    """Which mated searches return the right person at a low enough threshold: ``(mated,)``.

    Args:
        searches: any.
        rank: see the head of this module.
    """
    possible = searches.own_scores > REJECTED
    return possible if rank is None else possible & (searches.ranks <= rank)


def smallest_threshold(stranger_scores: NDArray[np.float32], own_scores: NDArray[np.float32], target: float) -> float:
    """The smallest threshold whose FPIR does not exceed the target.

    It lies halfway between the highest score of a stranger that has to be rejected and the next higher score there is.

    Args:
        stranger_scores: ``(s,)``, at least one.
        own_scores: ``(m,)``, scores of right people who should be returned.
        target: in ``(0, 1)``.
    """
    rejected = len(stranger_scores) - 1 - errors_allowed(target, len(stranger_scores))
    highest = np.partition(stranger_scores, rejected)[rejected]
    scores = np.concatenate([stranger_scores, own_scores])
    neighbours = np.append(scores[scores > highest].min(initial=np.inf), highest)
    return float(thresholds_above(neighbours[np.isfinite(neighbours)])[-1])


def check_request(rank: int | None, target: float | None = None) -> None:
    """Raise UsageError unless the rank is at least 1 and the target lies between 0 and 1."""
    if rank is not None and rank < 1:
        raise UsageError(f"ranks start at 1, got {rank}")
    if target is not None and not 0 < target < 1:
        raise UsageError(f"a target FPIR lies between 0 and 1, got {target}")
