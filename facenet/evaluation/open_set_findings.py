"""Open-set identification with its uncertainty: FNIR at given FPIR, and what the threshold does to other strangers.

* The interval of FNIR is got by drawing the enrolled who searched and the strangers anew, apart from each other, and
  setting the threshold anew each time. Who is in the gallery stays as it is.
* A threshold was set on the very strangers its FPIR is counted on. So beside FNIR stands the FPIR of strangers it was
  not set on: they are dealt into two halves by person, and the threshold of each half is tried on the other. Its
  interval takes the two thresholds for given.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from facenet.errors import InputError
from facenet.evaluation.averages import Average, average_findings
from facenet.evaluation.confidence import person_copies
from facenet.evaluation.finding import Finding
from facenet.evaluation.intervals import BY_PERSON, FEWEST_PEOPLE, RULE_OF_THREE, interval_of, rule_of_three
from facenet.evaluation.open_set import OpenSetRate, check_request, open_set_rate, returned, smallest_threshold
from facenet.evaluation.rates import errors_allowed
from facenet.evaluation.searches import Searches
from facenet.evaluation.trials import codes_of
from facenet.evaluation.verification import impostor_pairs_needed


def fnir_at_fpir(
    searches: Searches,
    targets: Sequence[float],
    *,
    rank: int | None = 1,
    seed: int = 0,
    replicates: int = 1000,
) -> tuple[Finding, ...]:
    """FNIR at each target, and then for each target the FPIR of strangers its threshold was not set on.

    Args:
        searches: any; what they cannot carry is refused by the finding's reason.
        targets: FPIRs not to be exceeded, each in ``(0, 1)``.
        rank: the right person must be among so many first candidates, at least 1; None: anywhere.
        seed, replicates: of the halves and of the bootstrap by person.

    Returns:
        Findings ``fnir_at_fpir_{target:g}``, then ``fpir_held_out_{target:g}``.

    Raises:
        UsageError: a target outside ``(0, 1)``, a rank below 1.
    """
    rates = [open_set_rate(searches, target, rank=rank) for target in targets]
    enough = min(len(np.unique(searches.mated_people)), len(np.unique(searches.stranger_people))) >= FEWEST_PEOPLE
    carried = [rate.target for rate in rates if not rate.reason] if enough else []
    drawn = fnir_replicates(searches, carried, rank=rank, replicates=replicates, seed=seed) if carried else {}
    misses = [_fnir_finding(searches, rate, drawn.get(rate.target)) for rate in rates]
    held_out = [_held_out_finding(searches, rate, seed=seed, replicates=replicates) for rate in rates]
    return (*misses, *held_out)


def fnir_replicates(
    searches: Searches, targets: Sequence[float], *, rank: int | None = 1, replicates: int = 1000, seed: int = 0
) -> dict[float, NDArray[np.float64]]:
    """FNIR at each target in resampled data, with the threshold that each replicate itself gives.

    Models that made the same searches get the same draws for the same seed, so their replicates are paired.

    Args:
        searches: with mated and non-mated ones.
        targets, rank, replicates, seed: as for :func:`fnir_at_fpir`.

    Returns:
        target → ``(replicates,)`` float64 in ``[0, 1]``.

    Raises:
        UsageError: a target outside ``(0, 1)``, a rank below 1.
        InputError: no mated or no non-mated search.
    """
    for target in targets:
        check_request(rank, target)
    if searches.mated == 0 or searches.strangers == 0:
        raise InputError("FNIR at a given FPIR needs mated and non-mated searches")
    mated_people, mated_counts = codes_of(searches.mated_people)
    strangers, stranger_counts = codes_of(searches.stranger_people)
    right = np.flatnonzero(returned(searches, rank))
    right = right[np.argsort(-searches.own_scores[right], kind="stable")]
    falling = np.argsort(-searches.stranger_scores, kind="stable")
    wrong_scores, wrong_people = searches.stranger_scores[falling], strangers[falling]
    # How many right people score higher than each stranger: ties count against us.
    ahead = np.searchsorted(-searches.own_scores[right], -wrong_scores, side="left")
    right_people = mated_people[right]
    draws = zip(
        person_copies(len(mated_counts), replicates=replicates, seed=seed),
        # Another stream: two kinds of people, as many of each, are not to be drawn alike.
        person_copies(len(stranger_counts), replicates=replicates, seed=seed + 1),
        strict=True,
    )
    found = {target: np.empty(replicates) for target in targets}
    for replicate, (mated_copies, stranger_copies) in enumerate(draws):
        accepted = np.cumsum(stranger_copies[wrong_people])
        matched = np.concatenate([[0], np.cumsum(mated_copies[right_people])])
        mated = int(mated_copies @ mated_counts)
        for target, rates in found.items():
            rejected = np.searchsorted(accepted, errors_allowed(target, int(accepted[-1])), side="right")
            rates[replicate] = 1 - matched[ahead[rejected]] / mated
    return found


def accepted_unseen(
    searches: Searches, target: float, *, rank: int | None = 1, seed: int = 0
) -> NDArray[np.bool_] | None:
    """Which non-mated searches return somebody at the threshold that the other half of the strangers gives: ``(s,)``.

    Args:
        searches: any.
        target, rank: as for :func:`fnir_at_fpir`.
        seed: of the halves, which share no stranger.

    Returns:
        None where a half has fewer than 3 / target searches.
    """
    check_request(rank, target)
    strangers, counts = codes_of(searches.stranger_people)
    half = (np.random.default_rng(seed).permutation(len(counts)) % 2).astype(np.bool_)[strangers]
    if min(np.count_nonzero(half), np.count_nonzero(~half)) < impostor_pairs_needed(target):
        return None
    own_scores = searches.own_scores[returned(searches, rank)]
    accepted = np.empty(searches.strangers, dtype=np.bool_)
    for one, other in ((half, ~half), (~half, half)):
        threshold = smallest_threshold(searches.stranger_scores[one], own_scores, target)
        accepted[other] = searches.stranger_scores[other] >= threshold
    return accepted


def _fnir_finding(searches: Searches, rate: OpenSetRate, drawn: NDArray[np.float64] | None) -> Finding:
    interval, kind = None, ""
    if rate.fnir is not None and drawn is not None:
        interval, kind = interval_of(drawn), BY_PERSON
        shown = rule_of_three(rate.misses == searches.mated, searches.mated)
        # Replicates of searches that all came out alike differ by their thresholds only.
        if (rate.misses == 0 and shown[1] > interval[1]) or (rate.misses == searches.mated and shown[0] < interval[0]):
            interval, kind = shown, RULE_OF_THREE
    named = 1.0 if rate.rank is None else min(1.0, rate.rank / searches.enrolled)
    where = "" if rate.rank == 1 else " (any rank)" if rate.rank is None else f" (rank {rate.rank})"
    return Finding(
        key=f"fnir_at_fpir_{rate.target:g}",
        title=f"FNIR at FPIR {rate.target:g}{where}",
        value=rate.fnir,
        interval=interval,
        interval_kind=kind,
        chance=1 - rate.target * named,
        basis=_basis(searches, rate),
        reason=rate.reason,
        higher_is_better=False,
    )


def _basis(searches: Searches, rate: OpenSetRate) -> str:
    mated, strangers = len(np.unique(searches.mated_people)), len(np.unique(searches.stranger_people))
    basis = (
        f"{searches.mated:,} searches by {mated:,} of {searches.enrolled:,} people enrolled, "
        f"{searches.strangers:,} by {strangers:,} strangers"
    )
    if rate.threshold is not None:
        basis += f"; threshold {rate.threshold:.4f}"
        if min(mated, strangers) < FEWEST_PEOPLE:
            basis += "; too few people for an interval"
    return basis


def _held_out_finding(searches: Searches, rate: OpenSetRate, *, seed: int, replicates: int) -> Finding:
    target = rate.target
    key, title = f"fpir_held_out_{target:g}", f"FPIR of other strangers, threshold set for {target:g}"
    basis = f"{searches.strangers:,} searches by strangers, the threshold set on half of the people, in both directions"
    accepted = accepted_unseen(searches, target, rank=rate.rank, seed=seed) if searches.strangers else None
    if accepted is None:
        reason = rate.reason or f"a half of the strangers makes fewer than {impostor_pairs_needed(target):,} searches"
        return Finding(key, title, None, basis=basis, reason=reason, higher_is_better=False)
    average = Average(key, title, None, higher_is_better=False)
    return average_findings(
        [average], accepted[:, np.newaxis], searches.stranger_people, basis=basis, seed=seed, replicates=replicates
    )[0]
