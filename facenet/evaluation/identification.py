"""Closed-set 1:N identification: a picture of somebody enrolled is compared with everybody enrolled.

Scores, ranks and ties are those of :mod:`facenet.evaluation.searching`: ties count against us, so an embedder that sees
no difference between people gets rank-1 = 0, not 1. Rank-k stands beside its chance level k / people, and is not given
where k reaches the number of people: it could not fail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from facenet.errors import InputError, UsageError
from facenet.evaluation.averages import Average, average_findings
from facenet.evaluation.finding import Finding
from facenet.evaluation.open_set_findings import fnir_at_fpir
from facenet.evaluation.searches import Searches
from facenet.evaluation.searching import search_people


@dataclass(frozen=True)
class RankRate:
    """How often the right person is among the first ``rank``.

    Attributes:
        rank: k, at least 1.
        value: share of pictures in ``[0, 1]``, or None where it could not be below 1.
        chance: what guessing gives, ``min(1, k / people)``.
        reason: why ``value`` is None; empty otherwise.
    """

    rank: int
    value: float | None
    chance: float
    reason: str = ""

    def __post_init__(self) -> None:
        if self.rank < 1 or not 0 < self.chance <= 1:
            raise ValueError(f"rank {self.rank} with chance {self.chance} cannot be")
        if (self.value is None) != bool(self.reason):
            raise ValueError("a rate has either a value or a reason why it has none")
        if self.value is not None and not 0 <= self.value <= 1:
            raise ValueError(f"rate {self.value} is outside [0, 1]")

    def to_dict(self) -> dict[str, Any]:
        """All attributes, fit for JSON."""
        return asdict(self)


def rank_rate(ranks: NDArray[np.integer[Any]], people: int, rank: int) -> RankRate:
    """Share of ``ranks`` that are at most ``rank``, unless every rank among so few people must be.

    Args:
        ranks: ``(n,)`` whole numbers in ``[1, people]``, not empty: the rank of the right person for each picture.
        people: how many people there are to choose from.
        rank: k, at least 1.
    """
    if rank >= people:
        return RankRate(rank, None, 1.0, f"rank {rank} among {people} people cannot be missed")
    return RankRate(rank, float(np.mean(ranks <= rank)), rank / people)


@dataclass(frozen=True, eq=False)
class Identification:
    """What :func:`identify` found.

    Attributes:
        probes: number of pictures identified, at least 1.
        people: number of people enrolled, at least 2.
        enrolled: number of enrolled embeddings.
        fusion: how several embeddings of a person became one score.
        rank_rates: k → :class:`RankRate`.
        probe_ranks: ``(probes,)`` int64 in ``[1, people]``, rank of the right person for each probe.
    """

    probes: int
    people: int
    enrolled: int
    fusion: Literal["max", "mean"]
    rank_rates: dict[int, RankRate]
    probe_ranks: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.probe_ranks.shape != (self.probes,) or self.probes < 1:
            raise ValueError(f"{self.probes} probes and ranks of shape {self.probe_ranks.shape} do not fit")
        if not 2 <= self.people <= self.enrolled:
            raise ValueError(f"{self.people} people and {self.enrolled} enrolled embeddings do not fit")
        if self.probe_ranks.min() < 1 or self.probe_ranks.max() > self.people:
            raise ValueError(f"ranks leave 1 to {self.people}")
        if any(rate != rank_rate(self.probe_ranks, self.people, rank) for rank, rate in self.rank_rates.items()):
            raise ValueError("rank rates contradict the ranks")

    @property
    def cmc(self) -> NDArray[np.float64]:
        """Cumulative match characteristic, ``(people,)`` rising to 1: entry ``k - 1`` is the rank-k rate."""
        return _cumulated(self.probe_ranks, self.people)

    def to_dict(self, cmc_length: int = 20) -> dict[str, Any]:
        """All figures, fit for JSON; of the CMC the first ``cmc_length`` entries, of the single ranks none."""
        return {
            "probes": self.probes,
            "people": self.people,
            "enrolled": self.enrolled,
            "fusion": self.fusion,
            "rank_rates": {str(rank): rate.to_dict() for rank, rate in self.rank_rates.items()},
            "cmc": self.cmc[:cmc_length].tolist(),
        }


def identify(
    probes: Tensor,
    probe_people: NDArray[Any],
    enrolled: Tensor,
    enrolled_people: NDArray[Any],
    *,
    ranks: Sequence[int] = (1, 5),
    fusion: Literal["max", "mean"] = "max",
    scores_at_once: int = 2**22,
) -> Identification:
    """Rank the right person of every probe among all people enrolled.

    The order of the probes, of the enrolled embeddings and the block size do not matter.

    Args:
        probes: ``(n, d)`` unit rows, any floating type.
        probe_people: ``(n,)`` person of each probe; everyone must be enrolled.
        enrolled: ``(m, d)`` unit rows on the same device; no picture of them among the probes.
        enrolled_people: ``(m,)`` person of each, same type of label; at least two people.
        ranks: which rank-k rates to give, each at least 1.
        fusion, scores_at_once: as for :func:`facenet.evaluation.searching.search_people`.

    Raises:
        UsageError: unknown fusion, a rank below 1.
        InputError: no probe, fewer than two people, a probe of somebody not enrolled, shapes that do not match, rows
            that are not of length 1 (a zero row, which a dead network gives, is let through: it matches nobody).
    """
    if min(ranks, default=1) < 1:
        raise UsageError(f"ranks start at 1, got {min(ranks)}")
    if len(probe_people) == 0:
        raise InputError("there is nothing to identify: the set of probes is empty")
    people = len(np.unique(enrolled_people))
    if people < 2:
        raise InputError(f"identification needs at least 2 people enrolled, there is {people}")
    searches = search_people(
        probes, probe_people, enrolled, enrolled_people, fusion=fusion, scores_at_once=scores_at_once
    )
    found = searches.ranks.astype(np.int64)
    return Identification(
        probes=len(found),
        people=people,
        enrolled=len(enrolled),
        fusion=fusion,
        rank_rates={rank: rank_rate(found, people, rank) for rank in ranks},
        probe_ranks=found,
    )


def cmc(searches: Searches) -> NDArray[np.float64]:
    """Cumulative match characteristic of the mated searches.

    Args:
        searches: with at least one mated search.

    Returns:
        ``(enrolled,)`` float64 rising to 1: entry ``k - 1`` is the rank-k rate.

    Raises:
        InputError: no mated search.
    """
    if searches.mated == 0:
        raise InputError("a CMC needs searches by people who are enrolled")
    return _cumulated(searches.ranks, searches.enrolled)


def identification_findings(
    searches: Searches,
    *,
    ranks: Sequence[int] = (1, 5),
    targets: Sequence[float] = (0.1, 0.01),
    seed: int = 0,
    replicates: int = 1000,
) -> tuple[Finding, ...]:
    """Every figure of some searches, with intervals by person.

    In rank mode no threshold is asked for; in threshold mode the right person must be the first candidate and reach
    the threshold that keeps strangers out.

    Args:
        searches: any; without strangers there is no threshold mode, without mated searches no rank mode.
        ranks: each at least 1.
        targets: FPIRs, each in ``(0, 1)``.
        seed, replicates: of the bootstrap by person.

    Returns:
        Findings ``rank_{k}``; then those of :func:`facenet.evaluation.open_set_findings.fnir_at_fpir`.

    Raises:
        UsageError: a rank below 1, a target outside ``(0, 1)``.
    """
    if min(ranks, default=1) < 1:
        raise UsageError(f"ranks start at 1, got {min(ranks)}")
    findings: tuple[Finding, ...] = ()
    if searches.mated:
        rates = [rank_rate(searches.ranks, searches.enrolled, rank) for rank in ranks]
        searchers = len(np.unique(searches.mated_people))
        findings = average_findings(
            [Average(f"rank_{rate.rank}", f"Rank-{rate.rank} rate", rate.chance, rate.reason) for rate in rates],
            searches.ranks[:, np.newaxis] <= np.array(ranks),
            searches.mated_people,
            basis=f"{searches.mated:,} searches by {searchers:,} of {searches.enrolled:,} people enrolled",
            seed=seed,
            replicates=replicates,
        )
    if searches.strangers:
        findings += fnir_at_fpir(searches, targets, seed=seed, replicates=replicates)
    return findings


def _cumulated(ranks: NDArray[np.integer[Any]], people: int) -> NDArray[np.float64]:
    """Share of ranks up to each, ``(people,)``."""
    return np.cumsum(np.bincount(ranks, minlength=people + 1)[1:]) / len(ranks)
