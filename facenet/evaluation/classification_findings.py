"""Figures of a classification with their intervals.

People are the classes here. The head knows exactly these, and another draw of people would be another head; what is
drawn by chance is which pictures of them are classified. So pictures are resampled, within each person, and every
person keeps their number of pictures. Pictures of one person taken on one occasion resemble one another, which such
intervals do not see: they err on the narrow side, the more so where people have few pictures.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from facenet.errors import UsageError
from facenet.evaluation.classification import Classification
from facenet.evaluation.finding import Finding
from facenet.evaluation.intervals import RULE_OF_THREE, interval_of, rule_of_three
from facenet.evaluation.reliability import Reliability

BY_PICTURE = "bootstrap by picture"


def classification_findings(
    classification: Classification,
    reliability: Reliability | None = None,
    *,
    ks: Sequence[int] = (5,),
    seed: int = 0,
    replicates: int = 1000,
) -> tuple[Finding, ...]:
    """Every figure of a classification.

    Where no decision was wrong, the share of wrong pictures is at most 3 / pictures (rule of three); of means over
    people that says nothing, and they have no interval then. The calibration error has none: resampling adds noise to
    every bin, so that the replicates lie above what they are replicates of.

    Args:
        classification: what was decided.
        reliability: of the same decisions, for the calibration error.
        ks: for top-k, each at least 1.
        seed, replicates: of the bootstrap, see the head of this module.

    Returns:
        Findings ``accuracy``, ``balanced_accuracy``, ``top_{k}``, ``macro_f1``, ``weighted_f1``, and ``ece``.

    Raises:
        UsageError: a k below 1.
    """
    if min(ks, default=1) < 1:
        raise UsageError(f"top-k starts at 1, got {min(ks)}")
    drawn = _replicates(classification, ks, replicates=replicates, seed=seed)
    tops = [classification.top(k) for k in ks]
    figures: list[tuple[str, str, float | None, float | None, str]] = [
        ("accuracy", "Accuracy", classification.accuracy, classification.majority_accuracy, ""),
        (
            "balanced_accuracy",
            "Balanced accuracy",
            classification.balanced_accuracy,
            1 / classification.people_seen,
            "",
        ),
        *((f"top_{top.rank}", f"Top-{top.rank} accuracy", top.value, top.chance, top.reason) for top in tops),
        ("macro_f1", "Macro F1", classification.macro_f1, None, ""),
        ("weighted_f1", "Weighted F1", classification.weighted_f1, None, ""),
    ]
    basis = f"{classification.pictures:,} pictures of {classification.people_seen:,} people"
    findings = []
    for key, title, value, chance, reason in figures:
        interval, kind = (None, "") if value is None else _interval(classification, key, value, drawn[key])
        findings.append(Finding(key, title, value, interval, kind, chance=chance, basis=basis, reason=reason))
    if reliability is not None:
        basis = f"{reliability.pictures:,} decisions in {reliability.bins} bins of confidence"
        title = "Expected calibration error"
        findings.append(Finding("ece", title, reliability.ece, basis=basis, higher_is_better=False))
    return tuple(findings)


def _interval(
    classification: Classification, key: str, value: float, drawn: NDArray[np.float64]
) -> tuple[tuple[float, float] | None, str]:
    if value not in (0, 1):
        return interval_of(drawn), BY_PICTURE
    if key == "accuracy" or key.startswith("top_"):
        return rule_of_three(value == 1, classification.pictures), RULE_OF_THREE
    return None, ""


def _replicates(
    classification: Classification, ks: Sequence[int], *, replicates: int, seed: int
) -> dict[str, NDArray[np.float64]]:
    """Key → ``(replicates,)`` figures of pictures drawn with replacement, within each person."""
    people = len(classification.people)
    # Which of a person's pictures comes first must not decide what is drawn.
    order = np.lexsort((classification.ranks, classification.decided, classification.labels))
    labels, decided = classification.labels[order], classification.decided[order]
    ranks = classification.ranks[order]
    counts = classification.pictures_per_person
    seen = counts > 0
    starts, sizes = (np.cumsum(counts) - counts)[labels], counts[labels]
    keys = ("accuracy", "balanced_accuracy", *(f"top_{k}" for k in ks), "macro_f1", "weighted_f1")
    drawn = {key: np.empty(replicates) for key in keys}
    generator = np.random.default_rng(seed)
    for replicate in range(replicates):
        chosen = starts + generator.integers(sizes)
        right = np.bincount(labels[chosen], decided[chosen] == labels[chosen], minlength=people)[seen]
        named = np.bincount(decided[chosen], minlength=people)[seen]
        f1 = 2 * right / (counts[seen] + named)
        drawn["accuracy"][replicate] = right.sum() / len(labels)
        drawn["balanced_accuracy"][replicate] = (right / counts[seen]).mean()
        drawn["macro_f1"][replicate] = f1.mean()
        drawn["weighted_f1"][replicate] = f1 @ counts[seen] / len(labels)
        for k in ks:
            drawn[f"top_{k}"][replicate] = np.mean(ranks[chosen] <= k)
    return drawn
