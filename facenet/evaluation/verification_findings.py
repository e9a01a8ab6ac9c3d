"""The figures of verification as findings: each with its interval, with what it rests on, and with what guessing gives.

Intervals are those of resampled people (:mod:`facenet.evaluation.confidence`). Thresholds that follow from an error
rate are found anew in every replicate; thresholds that were fitted on other folds or halves stay as they were fitted,
for that is how they would be used. Where no error was seen, resampling would show no error either, and the rule of
three stands instead: ``n`` trials without an error show a rate below 3 / n.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facenet.errors import InputError
from facenet.evaluation.comparisons import Comparisons
from facenet.evaluation.confidence import VerificationReplicates, replicate_counts, replicate_verification
from facenet.evaluation.finding import Finding
from facenet.evaluation.folds import FoldAccuracy
from facenet.evaluation.halves import deal_halves, number_people
from facenet.evaluation.intervals import BY_PERSON, FEWEST_PEOPLE, RULE_OF_THREE, interval_of, rule_of_three
from facenet.evaluation.precision_recall import PrecisionRecall
from facenet.evaluation.verified import Rate, Verification

_NONE = np.empty(0)


@dataclass(frozen=True, eq=False)
class Judged:
    """Comparisons, and how to draw their people.

    Attributes:
        comparisons: with genuine and impostor pairs.
        people: ``(n, 2)`` the two people of each.
        seed, replicates: see :func:`facenet.evaluation.confidence.person_copies`.
    """

    comparisons: Comparisons
    people: NDArray[np.int32]
    seed: int
    replicates: int

    @property
    def enough(self) -> bool:
        """Whether there are people enough for intervals by person."""
        return number_people(self.people)[1] >= FEWEST_PEOPLE

    def rates(self, kinds: NDArray[np.integer[Any]], count: int) -> NDArray[np.float64]:
        """How many comparisons of each kind there are in each replicate: ``(replicates, count)``."""
        return replicate_counts(kinds, count, self.comparisons, replicates=self.replicates, seed=self.seed)


def findings_of(
    judged: Judged, verification: Verification, found: PrecisionRecall, fold_accuracy: FoldAccuracy | None
) -> tuple[Finding, ...]:
    """Findings of one protocol, in the order a reader wants them.

    Args:
        judged: what was compared.
        verification, found: the figures of these comparisons; halves and decisions drawn with ``judged.seed``.
        fold_accuracy: of these comparisons, or None; without it the balanced accuracy of two halves stands for it.

    Raises:
        InputError: ``fold_accuracy`` is not that of these comparisons.
        UsageError: a negative seed, no replicate.
    """
    enough = judged.enough
    drawn = VerificationReplicates(_NONE, _NONE, _NONE, dict.fromkeys(verification.tar_at_fmr, _NONE))
    if enough:
        [drawn] = replicate_verification(
            [judged.comparisons.scores],
            judged.comparisons,
            tuple(verification.tar_at_fmr),
            replicates=judged.replicates,
            seed=judged.seed,
        )
    genuine, impostor = verification.genuine_pairs, verification.impostor_pairs
    basis = f"{genuine:,} genuine, {impostor:,} impostor pairs" + ("" if enough else "; too few people for an interval")
    # So many pairs of a genuine and an impostor comparison can be formed of which none shares a comparison.
    fewer = min(genuine, impostor)
    auc = Finding("roc_auc", "Area under the ROC", verification.roc_auc, chance=0.5, basis=basis)
    eer = Finding("eer", "Equal error rate", verification.eer, chance=0.5, basis=basis, higher_is_better=False)
    return (
        *([] if fold_accuracy is None else [_accuracy(judged, fold_accuracy, enough)]),
        _with_interval(auc, drawn.roc_auc, fewer),
        _with_interval(eer, drawn.eer, fewer),
        *(_true_accepts(rate, drawn.tar[target], basis, genuine) for target, rate in verification.tar_at_fmr.items()),
        *([_balanced_accuracy(judged, verification, enough)] if fold_accuracy is None else []),
        _f1(judged, found, enough),
        _with_interval(
            Finding(
                "average_precision",
                "Average precision",
                found.average_precision,
                chance=found.prevalence,
                basis=basis,
            ),
            drawn.average_precision,
            None,
        ),
    )


def _with_interval(finding: Finding, replicates: NDArray[np.float64], trials: int | None) -> Finding:
    """The finding with the interval that these replicates give.

    Args:
        finding: a share of 1.
        replicates: ``(r,)``, NaN where a replicate says nothing.
        trials: how many independent ones the share is of, if all came out alike; None if no such number is known.
    """
    known = replicates[~np.isnan(replicates)]
    if finding.value in (0, 1):
        if trials is None:
            return finding
        return replace(finding, interval=rule_of_three(finding.value == 1, trials), interval_kind=RULE_OF_THREE)
    if len(known) == 0:
        return finding
    return replace(finding, interval=interval_of(known), interval_kind=BY_PERSON)


def _true_accepts(rate: Rate, replicates: NDArray[np.float64], basis: str, genuine: int) -> Finding:
    """TAR at a target FMR."""
    key, title = f"tar_at_fmr_{rate.target_fmr:g}", f"True accept rate at FMR {rate.target_fmr:g}"
    if rate.value is None:
        return Finding(key, title, None, chance=rate.target_fmr, basis=basis, reason=rate.reason)
    basis += f"; {rate.false_matches:,} of the latter accepted, threshold {rate.threshold:.4f}"
    return _with_interval(Finding(key, title, rate.value, chance=rate.target_fmr, basis=basis), replicates, genuine)


def _accuracy(judged: Judged, folds: FoldAccuracy, enough: bool) -> Finding:
    """Mean accuracy over the folds: its interval by person, each fold at the threshold fitted without it."""
    comparisons = judged.comparisons
    count = len(folds.fold_numbers)
    if comparisons.folds is None or not np.array_equal(np.unique(comparisons.folds), folds.fold_numbers):
        raise InputError(f"an accuracy over {count} folds was given for comparisons that have other folds")
    place = np.searchsorted(folds.fold_numbers, comparisons.folds)
    right = (comparisons.scores >= np.array(folds.thresholds)[place]) == comparisons.genuine
    pairs, hits = np.bincount(place), np.bincount(place, right)
    if pairs.tolist() != list(folds.pairs) or (hits / pairs).tolist() != list(folds.accuracies):
        raise InputError("an accuracy over folds was given that other scores have")
    replicates = _NONE
    if enough:
        counts = judged.rates(2 * place + right, 2 * count).reshape(-1, count, 2)
        replicates = np.mean(_quotient(counts[:, :, 1], counts.sum(axis=2)), axis=1)
    most = max(comparisons.genuine_pairs, comparisons.impostor_pairs)
    finding = Finding(
        "accuracy",
        "Accuracy, threshold fitted on the other folds",
        folds.mean,
        standard_error=folds.standard_error,
        deviation=folds.deviation,
        chance=most / len(comparisons),
        basis=f"{count} folds, {len(comparisons):,} pairs",
    )
    return _with_interval(finding, replicates, len(comparisons))


def _balanced_accuracy(judged: Judged, verification: Verification, enough: bool) -> Finding:
    """Balanced accuracy: its interval by person, each half at the threshold fitted on the other."""
    key, title = "balanced_accuracy", "Balanced accuracy, threshold fitted on the other half"
    halves, comparisons = verification.halves, judged.comparisons
    dealt = deal_halves(comparisons.scores, comparisons.genuine, judged.people, judged.seed)
    if halves.value is None or dealt is None:
        basis = f"{verification.genuine_pairs:,} genuine, {verification.impostor_pairs:,} impostor pairs"
        return Finding(key, title, None, chance=0.5, basis=basis, reason=halves.reason)
    # Of each half: impostor pairs rejected and accepted, genuine ones rejected and accepted. Last, what is in neither.
    kinds = np.full(len(comparisons), 8)
    for half, (scored, threshold) in enumerate(zip(dealt[1:], halves.thresholds[::-1], strict=True)):
        kinds[scored] = 4 * half + (2 * comparisons.genuine + (comparisons.scores >= threshold))[scored]
    replicates = _NONE
    if enough:
        counts = judged.rates(kinds, 9)[:, :8].reshape(-1, 2, 2, 2)
        right = np.stack([counts[:, :, 0, 0], counts[:, :, 1, 1]], axis=2)
        replicates = np.mean(_quotient(right, counts.sum(axis=3)), axis=(1, 2))
    seen = np.bincount(kinds, minlength=9)[:8].reshape(2, 2, 2).sum(axis=(0, 2))
    basis = f"two halves by {halves.split}: {halves.pairs[0]:,} and {halves.pairs[1]:,} pairs"
    finding = Finding(key, title, halves.value, chance=0.5, basis=basis)
    # The mean of two rates that are each below 3 / n.
    return _with_interval(finding, replicates, int(2 / (1 / seen).sum()))


def _f1(judged: Judged, found: PrecisionRecall, enough: bool) -> Finding:
    """F1: its interval by person, at the thresholds that were fitted."""
    decisions, genuine = found.decisions, judged.comparisons.genuine
    title = f"F1, threshold fitted on the other {'folds' if decisions.rule == 'folds' else 'half'}"
    wanted, decided = int(np.count_nonzero(decisions.made & genuine)), int(np.count_nonzero(decisions.made))
    basis = f"{wanted:,} genuine, {decided - wanted:,} impostor pairs"
    if found.f1 is None:
        return Finding("f1", title, None, chance=found.f1_chance, basis=basis, reason=decisions.reason)
    kinds = np.where(decisions.made, 2 * genuine + decisions.accepted, 0)
    replicates = _NONE
    if enough:
        _, wrong, missed, hit = judged.rates(kinds, 4).T
        replicates = _quotient(2 * hit, 2 * hit + wrong + missed)
    finding = Finding("f1", title, found.f1, chance=found.f1_chance, basis=basis)
    # Three genuine pairs missed, and as many false ones accepted, make F1 1 - 3 / n. Nothing like it is known of 0.
    return _with_interval(finding, replicates, wanted if found.f1 else None)


def _quotient(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """``part / whole``, NaN where ``whole`` is 0."""
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
