"""Carrying out 1:N searches: pictures of people who are enrolled, and of strangers, against everybody enrolled.

The rules, which every figure of :class:`~facenet.evaluation.searches.Searches` rests on:

* A person's score is that of the best of their enrolled embeddings (``fusion="max"``) or of the normalised mean of
  them (``fusion="mean"``).
* The rank of a search is 1 + the number of other people who score at least as high as the right person: ties count
  against us, so an embedder that sees no difference between people never finds the right one.
* Scores closer than 1e-6 are ties: that is what rounding in float32 can make of equal ones.
* A picture without an embedding is never left out: a search with it counts as wrong, and somebody of whom no enrolled
  picture could be embedded stays enrolled and is never found.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facenet import geometry
from facenet.errors import InputError, UsageError, printable
from facenet.evaluation.comparisons import ACCEPTED, REJECTED
from facenet.evaluation.rates import SMALLEST_STEP
from facenet.evaluation.searches import Searches

_LENGTH_TOLERANCE = 1e-2


def search_people(
    probes: Tensor,
    probe_people: NDArray[Any],
    enrolled: Tensor,
    enrolled_people: NDArray[Any],
    *,
    strangers: Tensor | None = None,
    stranger_people: NDArray[Any] | None = None,
    fusion: Literal["max", "mean"] = "max",
    failed_probes: NDArray[np.bool_] | None = None,
    failed_enrolled: NDArray[np.bool_] | None = None,
    failed_strangers: NDArray[np.bool_] | None = None,
    probe_samples: NDArray[Any] | None = None,
    stranger_samples: NDArray[Any] | None = None,
    scores_at_once: int = 2**22,
) -> Searches:
    """Search for every probe and every stranger among all people enrolled.

    Labels of people are of one sortable type throughout, names or numbers. The result speaks of the enrolled by their
    place in ``np.unique(enrolled_people)``, and of the strangers by theirs in ``np.unique(stranger_people)``.
    Neither the order of the pictures nor the block size matters, up to the rounding of the scores.

    Args:
        probes: ``(n, d)`` unit rows, any floating type; of a failed picture anything, NaN too. ``n`` may be 0.
        probe_people: ``(n,)`` person of each; everyone must be enrolled.
        enrolled: ``(m, d)`` unit rows on the same device, at least one; no picture of them among the probes.
        enrolled_people: ``(m,)`` person of each.
        strangers: ``(s, d)`` unit rows on the same device, or None if there are none.
        stranger_people: ``(s,)`` person of each; nobody enrolled.
        fusion: ``"max"`` or ``"mean"``, see the head of this module.
        failed_probes, failed_enrolled, failed_strangers: ``(n,)``, ``(m,)``, ``(s,)`` bool, pictures without an
            embedding; None: there are none.
        probe_samples, stranger_samples: ``(n,)``, ``(s,)`` whole numbers, which picture each is; None: 0, 1, 2, ….
        scores_at_once: pictures are taken in blocks of at most this many scores (but at least one picture), which
            bounds the memory: 4 bytes each for the scores and about as much again.

    Raises:
        UsageError: unknown fusion.
        InputError: no search, nobody enrolled, a probe of somebody not enrolled, a stranger who is, shapes that do not
            match, rows that are not of length 1 (a zero row, which a dead network gives, is let through: it matches
            nobody).
    """
    if fusion not in ("max", "mean"):
        raise UsageError(f"fusion is max or mean, not {printable(fusion)}")
    if (strangers is None) != (stranger_people is None):
        raise UsageError("strangers are embeddings and people, or neither")
    gallery = _Gallery(_rows("enrolled", enrolled, enrolled_people, failed_enrolled, enrolled.shape[1]), fusion)
    width = enrolled.shape[1]
    mated = _rows("probe", probes, probe_people, failed_probes, width)
    unknown = _rows(
        "stranger",
        enrolled[:0] if strangers is None else strangers,
        np.unique(enrolled_people)[:0] if stranger_people is None else stranger_people,
        failed_strangers,
        width,
    )
    right = _codes_of(mated.people, gallery.people)
    _check_strangers(unknown.people, gallery.people)
    step = max(1, scores_at_once // gallery.rows)
    own, other, other_people, ranks = _mated(gallery, mated, right, step)
    stranger_scores, matches = _strangers(gallery, unknown, step)
    return Searches(
        enrolled=len(gallery.people),
        mated_people=right.astype(np.int32),
        mated_samples=_samples("probe", probe_samples, len(mated.people)),
        own_scores=own,
        other_scores=other,
        other_people=other_people,
        ranks=ranks,
        stranger_people=np.unique(unknown.people, return_inverse=True)[1].astype(np.int32),
        stranger_samples=_samples("stranger", stranger_samples, len(unknown.people)),
        stranger_scores=stranger_scores,
        stranger_matches=matches,
    )


class _Rows(NamedTuple):
    """Embeddings ``(n, d)``, zero where they failed, with the person of each and whether it failed."""

    embeddings: Tensor
    people: NDArray[Any]
    failed: NDArray[np.bool_]

    def blocks(self, step: int) -> Iterator[slice]:
        """``step`` rows at a time."""
        return (slice(start, start + step) for start in range(0, len(self.people), step))


class _Gallery:
    """Everybody enrolled, in order of their labels."""

    def __init__(self, enrolled: _Rows, fusion: str) -> None:
        if len(enrolled.people) == 0:
            raise InputError("nobody is enrolled")
        self.people, codes = np.unique(enrolled.people, return_inverse=True)
        usable = torch.from_numpy(~enrolled.failed).to(enrolled.embeddings.device)
        if fusion == "max":
            order = np.argsort(codes, kind="stable")
            self._templates = enrolled.embeddings[torch.from_numpy(order).to(usable.device)]
            self._absent = np.flatnonzero(enrolled.failed[order])
            self._starts = np.searchsorted(codes[order], np.arange(len(self.people)))
        else:
            self._templates = _means(enrolled.embeddings[usable], codes[~enrolled.failed], len(self.people))
            self._absent = np.setdiff1d(np.arange(len(self.people)), codes[~enrolled.failed])
            self._starts = np.arange(len(self.people))
        self.lost = np.bincount(codes[~enrolled.failed], minlength=len(self.people)) == 0

    @property
    def rows(self) -> int:
        """How many embeddings a search is compared with."""
        return len(self._templates)

    def scores(self, searches: Tensor) -> NDArray[np.floating[Any]]:
        """``(n, d) → (n, people)``, best or fused score of each person; -1 for those of whom there is no embedding."""
        scores = geometry.cosine(searches, self._templates).cpu().numpy()
        scores[:, self._absent] = REJECTED
        if self.rows == len(self.people):
            return scores
        best: NDArray[np.floating[Any]] = np.maximum.reduceat(scores, self._starts, axis=1)
        return best


def _means(embeddings: Tensor, codes: NDArray[np.int64], people: int) -> Tensor:
    """``(m, d) → (people, d)``, the normalised mean of each person's rows; zero for those without."""
    wide = embeddings if embeddings.dtype == torch.float64 else embeddings.float()
    sums = torch.zeros(people, wide.shape[1], dtype=wide.dtype, device=wide.device)
    sums.index_add_(0, torch.from_numpy(codes).to(wide.device), wide)
    # The mean and the sum point the same way.
    return geometry.normalise(sums)


def _mated(
    gallery: _Gallery, mated: _Rows, right: NDArray[np.int64], step: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32], NDArray[np.int32]]:
    """Own scores, best scores of others, who those are, and ranks."""
    count = len(right)
    own, other = np.full(count, REJECTED, np.float32), np.full(count, ACCEPTED, np.float32)
    other_people, ranks = np.full(count, -1, np.int32), np.full(count, len(gallery.people), np.int32)
    for block in mated.blocks(step):
        scores = gallery.scores(mated.embeddings[block])
        rows = np.arange(len(scores))
        of_right = scores[rows, right[block]]
        # The right person is at least as high as itself and so supplies the 1 that ranks start from.
        ranks[block] = np.count_nonzero(scores >= of_right[:, np.newaxis] - SMALLEST_STEP, axis=1)
        own[block] = of_right
        if len(gallery.people) == 1:
            other[block] = REJECTED
            continue
        scores[rows, right[block]] = -np.inf
        other[block], other_people[block] = _best(scores)
    failed = mated.failed | gallery.lost[right]
    own[failed], other[failed], other_people[failed], ranks[failed] = REJECTED, ACCEPTED, -1, len(gallery.people)
    return own, other, other_people, ranks


def _strangers(gallery: _Gallery, unknown: _Rows, step: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Best scores, and whose they are."""
    best = np.empty(len(unknown.people), dtype=np.float32)
    matches = np.empty(len(unknown.people), dtype=np.int32)
    for block in unknown.blocks(step):
        best[block], matches[block] = _best(gallery.scores(unknown.embeddings[block]))
    best[unknown.failed], matches[unknown.failed] = ACCEPTED, 0
    return best, matches


def _best(scores: NDArray[np.floating[Any]]) -> tuple[NDArray[np.floating[Any]], NDArray[np.int64]]:
    """The highest score of each row, and the first of the people who have it: rounding must not choose among them."""
    highest = scores.max(axis=1)
    return highest, np.argmax(scores >= highest[:, np.newaxis] - SMALLEST_STEP, axis=1)


def _rows(what: str, embeddings: Tensor, people: NDArray[Any], failed: NDArray[np.bool_] | None, width: int) -> _Rows:
    """Embeddings, zero where they failed; InputError unless the others are unit (or zero) rows with a label each."""
    if embeddings.ndim != 2 or people.shape != embeddings.shape[:1]:
        shapes = f"{tuple(embeddings.shape)} for labels {people.shape}"
        raise InputError(f"{what} embeddings need one row and one label for each picture, got {shapes}")
    if embeddings.shape[1] != width:
        raise InputError(f"{what} embeddings have {embeddings.shape[1]} dimensions, enrolled ones {width}")
    if failed is None:
        failed = np.zeros(len(people), dtype=np.bool_)
    if failed.shape != people.shape or failed.dtype != np.bool_:
        raise InputError(f"{what} pictures: {len(people)} need one true/false each for whether they failed")
    gone = torch.from_numpy(failed).to(embeddings.device)
    embeddings = embeddings.masked_fill(gone[:, None], 0)
    lengths = torch.linalg.vector_norm(embeddings.float(), dim=1)
    # Written so that a NaN length is neither near 1 nor 0, and refused.
    bad = int((~(((lengths - 1).abs() <= _LENGTH_TOLERANCE) | (lengths == 0))).sum())
    if bad:
        raise InputError(f"{bad} of {len(people)} {what} embeddings do not have length 1")
    return _Rows(embeddings, people, failed)


def _codes_of(probe_people: NDArray[Any], people: NDArray[Any]) -> NDArray[np.int64]:
    """Place of each probe's person in the sorted ``people``; InputError naming one who is not there."""
    codes = np.minimum(np.searchsorted(people, probe_people), len(people) - 1)
    missing = np.unique(probe_people[people[codes] != probe_people])
    if len(missing):
        raise InputError(
            f"{len(missing)} people have probes but are not enrolled, such as {printable(missing[0])}: "
            f"a search for them cannot be right"
        )
    return codes


def _check_strangers(stranger_people: NDArray[Any], people: NDArray[Any]) -> None:
    """Raise InputError if somebody is both."""
    both = np.intersect1d(stranger_people, people)
    if len(both):
        raise InputError(
            f"{len(both)} people are among the strangers and enrolled as well, such as {printable(both[0])}"
        )


def _samples(what: str, samples: NDArray[Any] | None, count: int) -> NDArray[np.int32]:
    """Numbers of pictures as int32."""
    if samples is None:
        return np.arange(count, dtype=np.int32)
    if samples.shape != (count,):
        raise InputError(f"{what} pictures: {count} need one number each, got {samples.shape}")
    return samples.astype(np.int32)
