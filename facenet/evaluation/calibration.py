"""Thresholds from data: the score to accept from, so that an error rate stays within its target.

The rules, which every threshold here follows:

* A comparison is accepted if ``score >= value``.
* ``value`` is the smallest threshold whose error rate does not exceed the target: the first impostor score that has to
  be rejected, and all that equal it, lie below. It is put halfway between that score and the next higher impostor
  score, so the last bit of a score decides nothing. Ties therefore count against us.
* A target is refused unless there are at least 3 / target impostor comparisons (rule of three: fewer cannot show it
  with 95 % confidence even if all go well). The rule supposes independent comparisons, and those of the same people
  are not; so the people are counted too, and the intervals are bootstrapped by person.
* The rate at the threshold is that of the data the threshold was set on. On other people it will be another, within
  the interval if they are like these.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from facenet.errors import InputError, UsageError
from facenet.evaluation.bootstrap import Settled, settle
from facenet.evaluation.crowd import Crowd, thin_out
from facenet.evaluation.intervals import FEWEST_PEOPLE
from facenet.evaluation.rates import chance_of_any, errors_allowed, people_needed, target_supported
from facenet.evaluation.threshold import Threshold
from facenet.evaluation.trials import cosines, listed_trials
from facenet.evaluation.verification import impostor_pairs_needed

__all__ = ["Threshold", "calibrate_fmr", "calibrate_fmr_pairs", "calibrate_fpir", "expected_fpir"]

_FEWEST_REPLICATES = 100
_DEPTH = 2
"""So many times the scores that a target accepts are listed at first, for the lower end of the threshold's interval."""

_LEAST_LISTED = 20_000
_MOST_LISTED = 2**25


def calibrate_fmr(
    embeddings: Tensor,
    people: NDArray[Any],
    target: float,
    *,
    fingerprint: str,
    seed: int = 0,
    replicates: int = 1000,
    data: str = "",
    most: int = 4 * 10**9,
) -> Threshold:
    """A 1:1 threshold from every comparison of these pictures with one another.

    Every impostor pair counts the same, so people with many pictures weigh more, as they do among all comparisons.

    Args:
        embeddings: ``(n, d)`` unit rows, any floating type, on any device.
        people: ``(n,)`` person of each, any sortable type; at least 3 people.
        target: false match rate not to be exceeded, in ``(0, 1)``.
        fingerprint: of the model that made the embeddings.
        seed: of the bootstrap, not negative.
        replicates: of the bootstrap, at least 100.
        data: digest of the data, to be kept with the threshold.
        most: impostor comparisons to compute at most. Of a larger set a random part of the pictures is taken, drawn
            with ``seed``; 4·10⁹ of 128 values take about a minute on two cores.

    Raises:
        UsageError: a target outside ``(0, 1)``, a negative seed, too few replicates.
        InputError: embeddings that are no unit rows, fewer than 3 people, too few comparisons for the target (the
            message says how many would be needed), or too many impostor comparisons that score 1.
    """
    _check_request(target, seed, replicates)
    crowd = Crowd(*thin_out(embeddings, people, most, seed))
    count, each = len(crowd.pictures), len(crowd) / len(crowd.pictures)
    _check_support(
        "a false match rate",
        target,
        crowd.impostor,
        f"{count:,} people with {len(crowd):,} pictures give {crowd.impostor:,} impostor comparisons",
        f"about {people_needed(impostor_pairs_needed(target), each):,} people with {each:.3g} pictures each",
    )
    _check_people(count)
    wanted = max(_LEAST_LISTED, _DEPTH * errors_allowed(target, crowd.impostor))
    settled = settle(crowd.impostors(wanted), target, replicates=replicates, seed=seed)
    while settled.shallow and wanted < _MOST_LISTED:
        wanted *= 4
        settled = settle(crowd.impostors(wanted), target, replicates=replicates, seed=seed)
    return _threshold(
        settled,
        target,
        kind="fmr",
        impostor=crowd.impostor,
        misses=crowd.misses(settled.value),
        genuine=crowd.genuine,
        people=count,
        fingerprint=fingerprint,
        data=data,
        seed=seed,
    )


def calibrate_fmr_pairs(
    scores: NDArray[np.floating[Any]],
    same: NDArray[np.bool_],
    first: NDArray[Any],
    second: NDArray[Any],
    target: float,
    *,
    fingerprint: str,
    seed: int = 0,
    replicates: int = 1000,
    data: str = "",
) -> Threshold:
    """A 1:1 threshold from given comparisons.

    Args:
        scores: ``(n,)`` cosine of each pair, in ``[-1, 1]``.
        same: ``(n,)`` bool, true where both pictures show the same person.
        first, second: ``(n,)`` the two people of each pair, one sortable type, by which ``same`` is true exactly where
            they are equal.
        target, fingerprint, seed, replicates, data: as for :func:`calibrate_fmr`.

    Raises:
        UsageError, InputError: as for :func:`calibrate_fmr`, and people that contradict ``same``.
    """
    _check_request(target, seed, replicates)
    scores = cosines(scores, first, second, same)
    if same.dtype != np.bool_ or not np.array_equal(first == second, same):
        raise InputError("the people of some pairs contradict whether the pair shows one person")
    different = ~same
    trials = listed_trials(scores[different], first[different], second[different])
    _check_support(
        "a false match rate",
        target,
        trials.count,
        f"of {len(scores):,} pairs {trials.count:,} show two people",
        f"{impostor_pairs_needed(target):,} such pairs",
    )
    _check_people(trials.people)
    settled = settle(trials, target, replicates=replicates, seed=seed)
    return _threshold(
        settled,
        target,
        kind="fmr",
        impostor=trials.count,
        misses=int(np.count_nonzero(scores[same] < settled.value)),
        genuine=int(same.sum()),
        people=trials.people,
        fingerprint=fingerprint,
        data=data,
        seed=seed,
    )


def calibrate_fpir(
    best_scores: NDArray[np.floating[Any]],
    people: NDArray[Any],
    target: float,
    *,
    gallery_people: int,
    fingerprint: str,
    fusion: str | None = None,
    seed: int = 0,
    replicates: int = 1000,
    data: str = "",
) -> Threshold:
    """A 1:N threshold from searches by strangers, people who are not in the gallery.

    Required are 3 / target *searches*, not as many strangers: the rate is one of searches, and a few pictures of each
    of many people carry it nearly as well. That searches by one person resemble one another widens the interval, which
    is bootstrapped by person; where the strangers alone would be too few, ``Threshold.caution`` says so.

    Args:
        best_scores: ``(n,)`` score of the best candidate of each search, in ``[-1, 1]``.
        people: ``(n,)`` which stranger made the search, any sortable type; at least 3 people.
        target: false-positive identification rate not to be exceeded, in ``(0, 1)``.
        gallery_people: people in the gallery that was searched, at least 1.
        fusion: how it fuses the pictures of a person.
        fingerprint, seed, replicates, data: as for :func:`calibrate_fmr`.

    Raises:
        UsageError, InputError: as for :func:`calibrate_fmr`, and an empty gallery.
    """
    _check_request(target, seed, replicates)
    trials = listed_trials(best_scores, people)
    if gallery_people < 1:
        raise InputError("a threshold for searches needs a gallery that holds somebody")
    _check_support(
        "a false-positive identification rate",
        target,
        trials.count,
        f"{trials.people:,} strangers made {trials.count:,} searches",
        f"{impostor_pairs_needed(target):,} searches, best by as many different people,",
    )
    _check_people(trials.people)
    return _threshold(
        settle(trials, target, replicates=replicates, seed=seed),
        target,
        kind="fpir",
        impostor=trials.count,
        people=trials.people,
        gallery_people=gallery_people,
        fingerprint=fingerprint,
        fusion=fusion,
        data=data,
        seed=seed,
    )


def expected_fpir(threshold: Threshold, gallery_people: int) -> float:
    """How often a stranger's search would return somebody, in a gallery of this size: an estimate.

    It supposes that comparisons with different people err independently of one another. They do not quite: who is
    taken for one person is taken for others more often too, so in truth errors fall on fewer searches, and the
    estimate is rather too high.

    For ``"fpir"`` the target is taken to belong to the gallery size it was set at: ``1 − (1 − FPIR)^(N / N₀)``. For
    ``"fmr"`` each of ``N`` templates is one comparison: ``1 − (1 − FMR)^N``; where a person stands in the gallery
    with several embeddings of which the best counts, count the embeddings instead of the people.

    Args:
        threshold: of either kind; its *target* is used, which the threshold keeps by design.
        gallery_people: people, or embeddings, that a search compares with; not negative.

    Raises:
        UsageError: a negative size.
    """
    if gallery_people < 0:
        raise UsageError(f"a gallery holds 0 people or more, not {gallery_people}")
    calibrated_at = 1 if threshold.gallery_people is None else threshold.gallery_people
    return chance_of_any(threshold.target, gallery_people / calibrated_at)


def _threshold(
    settled: Settled,
    target: float,
    *,
    kind: str,
    impostor: int,
    people: int,
    fingerprint: str,
    data: str,
    seed: int,
    misses: int = 0,
    genuine: int = 0,
    gallery_people: int | None = None,
    fusion: str | None = None,
) -> Threshold:
    """What was settled, with where it comes from."""
    return Threshold(
        value=settled.value,
        kind=kind,
        target=target,
        measured=settled.errors / impostor,
        interval=settled.interval,
        value_interval=settled.value_interval,
        miss_rate=misses / genuine if genuine else None,
        genuine=genuine,
        impostor=impostor,
        people=people,
        gallery_people=gallery_people,
        fingerprint=fingerprint,
        fusion=fusion,
        data=data,
        seed=seed,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _check_request(target: float, seed: int, replicates: int) -> None:
    if not 0 < target < 1:
        raise UsageError(f"a target rate lies between 0 and 1, got {target}")
    if seed < 0 or replicates < _FEWEST_REPLICATES:
        raise UsageError(f"an interval needs a seed >= 0 and {_FEWEST_REPLICATES} replicates, got {seed}, {replicates}")


def _check_support(what: str, target: float, trials: int, have: str, remedy: str) -> None:
    """Rule of three; what there is, what would do, and what this could carry."""
    needed = impostor_pairs_needed(target)
    if trials >= needed:
        return
    within = f", or a target of {target_supported(trials):g}" if trials > 3 else ""
    raise InputError(
        f"{what} of {target:g} needs at least {needed:,} comparisons (3 / target), and {have}: "
        f"{remedy} would do{within}"
    )


def _check_people(people: int) -> None:
    if people < FEWEST_PEOPLE:
        raise InputError(f"{people} people are too few: an interval by person needs at least {FEWEST_PEOPLE}")
