"""Closed-set 1:N identification: a picture of somebody enrolled is compared with everybody enrolled.

The rules, which every figure here follows:

* A person's score is that of the best of their enrolled embeddings (``fusion="max"``) or of the normalised mean of
  them (``fusion="mean"``).
* The rank of a probe is 1 + the number of other people who score at least as high as the right person: ties count
  against us, so an embedder that sees no difference between people gets rank-1 = 0, not 1.
* Scores closer than 1e-6 are ties: that is what rounding in float32 can make of equal ones.
* Rank-k stands beside its chance level k / people, and is not given where k reaches the number of people: it could
  not fail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facenet import geometry
from facenet.errors import InputError, UsageError, printable

_TIE = 1e-6
_LENGTH_TOLERANCE = 1e-2


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


def rank_rate(ranks: NDArray[np.int64], people: int, rank: int) -> RankRate:
    """Share of ``ranks`` that are at most ``rank``, unless every rank among so few people must be.

    Args:
        ranks: ``(n,)`` int64 in ``[1, people]``, not empty: the rank of the right person for each picture.
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
        counts = np.bincount(self.probe_ranks, minlength=self.people + 1)[1:]
        return np.cumsum(counts) / self.probes

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
    scores_at_once: int = 2**24,
) -> Identification:
    """Rank the right person of every probe among all people enrolled.

    The order of the probes, of the enrolled embeddings and the block size do not matter.

    Args:
        probes: ``(n, d)`` unit rows, any floating type.
        probe_people: ``(n,)`` person of each probe; everyone must be enrolled.
        enrolled: ``(m, d)`` unit rows on the same device; no picture of them among the probes.
        enrolled_people: ``(m,)`` person of each, same type of label; at least two people.
        ranks: which rank-k rates to give, each at least 1.
        fusion: ``"max"`` or ``"mean"``, see the head of this module.
        scores_at_once: probes are taken in blocks of at most this many scores (but at least one probe), which
            bounds the memory: 4 bytes each for the scores and about as much again.

    Raises:
        UsageError: unknown fusion, a rank below 1.
        InputError: no probe, fewer than two people, a probe of somebody not enrolled, shapes that do not match, rows
            that are not of length 1 (a zero row, which a dead network gives, is let through: it matches nobody).
    """
    if fusion not in ("max", "mean"):
        raise UsageError(f"fusion is max or mean, not {printable(fusion)}")
    if min(ranks, default=1) < 1:
        raise UsageError(f"ranks start at 1, got {min(ranks)}")
    _check_embeddings("probe", probes, probe_people)
    _check_embeddings("enrolled", enrolled, enrolled_people)
    if probes.shape[1] != enrolled.shape[1]:
        raise InputError(f"probes have {probes.shape[1]} dimensions, enrolled embeddings {enrolled.shape[1]}")
    people, codes = np.unique(enrolled_people, return_inverse=True)
    if len(people) < 2:
        raise InputError(f"identification needs at least 2 people enrolled, there is {len(people)}")
    right = _codes_of(probe_people, people)
    templates, starts = _templates(enrolled, codes, len(people), fusion)
    probe_ranks = np.empty(len(probes), dtype=np.int64)
    step = max(1, scores_at_once // len(templates))
    for start in range(0, len(probes), step):
        block = slice(start, start + step)
        scores = geometry.cosine(probes[block], templates).cpu().numpy()
        probe_ranks[block] = _ranks(np.maximum.reduceat(scores, starts, axis=1), right[block])
    return Identification(
        probes=len(probes),
        people=len(people),
        enrolled=len(enrolled),
        fusion=fusion,
        rank_rates={rank: rank_rate(probe_ranks, len(people), rank) for rank in ranks},
        probe_ranks=probe_ranks,
    )


def _check_embeddings(what: str, embeddings: Tensor, people: NDArray[Any]) -> None:
    """Raise InputError unless there is one unit (or zero) row for each label, and at least one."""
    if embeddings.ndim != 2 or people.shape != embeddings.shape[:1] or len(people) == 0:
        shapes = f"{tuple(embeddings.shape)} for labels {people.shape}"
        raise InputError(f"{what} embeddings need one row and one label for each picture, got {shapes}")
    lengths = torch.linalg.vector_norm(embeddings.float(), dim=1)
    # Written so that a NaN length is neither near 1 nor 0, and refused.
    bad = int((~(((lengths - 1).abs() <= _LENGTH_TOLERANCE) | (lengths == 0))).sum())
    if bad:
        raise InputError(f"{bad} of {len(people)} {what} embeddings do not have length 1")


def _codes_of(probe_people: NDArray[Any], people: NDArray[Any]) -> NDArray[np.int64]:
    """Place of each probe's person in the sorted ``people``; InputError naming one who is not there."""
    codes = np.minimum(np.searchsorted(people, probe_people), len(people) - 1)
    strangers = np.unique(probe_people[people[codes] != probe_people])
    if len(strangers):
        raise InputError(
            f"{len(strangers)} people have probes but are not enrolled, such as {printable(strangers[0])}: "
            f"closed-set identification cannot be right about them"
        )
    return codes


def _templates(
    enrolled: Tensor, codes: NDArray[np.int64], people: int, fusion: str
) -> tuple[Tensor, NDArray[np.int64]]:
    """Rows in order of person, and where in them each person begins."""
    if fusion == "max":
        order = np.argsort(codes, kind="stable")
        starts = np.searchsorted(codes[order], np.arange(people))
        return enrolled[torch.from_numpy(order).to(enrolled.device)], starts
    wide = enrolled if enrolled.dtype == torch.float64 else enrolled.float()
    sums = torch.zeros(people, wide.shape[1], dtype=wide.dtype, device=wide.device)
    sums.index_add_(0, torch.from_numpy(codes).to(wide.device), wide)
    # The mean and the sum point the same way.
    return geometry.normalise(sums), np.arange(people)


def _ranks(scores: NDArray[np.floating[Any]], right: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rank of the right person in each row of ``(n, people)`` scores, ties counted against it."""
    own = np.take_along_axis(scores, right[:, np.newaxis], axis=1)
    # The right person is at least as high as itself and so supplies the 1 that ranks start from.
    return np.count_nonzero(scores >= own - _TIE, axis=1).astype(np.int64)
