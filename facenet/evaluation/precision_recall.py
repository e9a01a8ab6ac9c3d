"""Precision, recall and F1 of scored pairs, by which siamese networks are judged.

All three depend on how many of the pairs are genuine, so they compare models on the same pairs only, and guessing has
an F1 of its own, which stands beside. A threshold is fitted on other pairs than it is scored on. The decisions of all
folds are then counted together: the mean of the folds' F1 would be biased (Forman & Scholz, "Apples-to-apples in
cross-validation studies", SIGKDD Explorations 12, 2010).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from facenet.errors import InputError
from facenet.evaluation.comparisons import Comparisons
from facenet.evaluation.curve import Curve, best_threshold, curve_of
from facenet.evaluation.folds import fold_parts
from facenet.evaluation.halves import TOO_FEW, deal_halves

Rule = Literal["folds", "people", "pairs", "none"]


@dataclass(frozen=True, eq=False)
class Decisions:
    """Decisions at thresholds that were fitted on other pairs.

    Attributes:
        rule: what the thresholds were fitted on: ``"folds"`` (all other folds), ``"people"`` (the other half of the
            people), ``"pairs"`` (the other half of the pairs), ``"none"`` where there are too few for halves.
        thresholds: one for each fold or half.
        made: ``(n,)`` bool, pairs decided on: all, or those within one half of the people, or none.
        accepted: ``(n,)`` bool, those of them that were taken for genuine.
        reason: why there are none; empty otherwise.
    """

    rule: Rule
    thresholds: tuple[float, ...]
    made: NDArray[np.bool_]
    accepted: NDArray[np.bool_]
    reason: str = ""


@dataclass(frozen=True, eq=False)
class PrecisionRecall:
    """Every operating point that accepts somebody, and what can be said in one figure.

    Attributes:
        precision: ``(k,)`` float64 in ``[0, 1]``, share of genuine pairs among those accepted.
        recall: ``(k,)`` float64 in ``[0, 1]``, share of the genuine pairs accepted (TAR), rising to 1.
        thresholds: ``(k,)`` float64, falling strictly; accept if ``score >= threshold``.
        average_precision: ``Σ (recall_i − recall_(i−1)) · precision_i`` in ``(0, 1]``, nothing interpolated.
        prevalence: share of genuine pairs among all: the average precision of guessing.
        f1: of all :attr:`decisions` counted together, in ``[0, 1]``; None where there are none.
        f1_precision, f1_recall: of the same decisions; None with ``f1``. Nothing accepted has precision 0.
        f1_chance: F1 of always saying "same" of the pairs that decisions were made on (of all where there are none).
            With a share ``p`` of genuine pairs among them, ``2p / (1 + p)``.
        decisions: at the best F1 of other pairs.
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    average_precision: float
    prevalence: float
    f1: float | None
    f1_precision: float | None
    f1_recall: float | None
    f1_chance: float
    decisions: Decisions

    def __post_init__(self) -> None:
        if not self.precision.shape == self.recall.shape == self.thresholds.shape:
            raise ValueError("each operating point has a precision, a recall and a threshold")
        parts = (self.f1, self.f1_precision, self.f1_recall)
        if any((part is None) != (self.decisions.rule == "none") for part in parts):
            raise ValueError("an F1 needs decisions, and is given with its precision and recall")
        if not all(0 <= part <= 1 for part in (self.average_precision, *parts) if part is not None):
            raise ValueError(f"average precision {self.average_precision} and F1 {parts} leave [0, 1]")

    def to_dict(self) -> dict[str, Any]:
        """All single figures, fit for JSON."""
        return {
            "average_precision": self.average_precision,
            "prevalence": self.prevalence,
            "f1": self.f1,
            "f1_precision": self.f1_precision,
            "f1_recall": self.f1_recall,
            "f1_chance": self.f1_chance,
            "f1_rule": self.decisions.rule,
            "f1_thresholds": list(self.decisions.thresholds),
            "reason": self.decisions.reason,
        }


def precision_recall(comparisons: Comparisons, *, seed: int = 0, curve: Curve | None = None) -> PrecisionRecall:
    """Precision and recall at every threshold, and F1 at a threshold of other pairs.

    Args:
        comparisons: with at least one genuine and one impostor pair. Where they have folds, F1's thresholds are fitted
            on the other folds; else on the other of two halves (:func:`facenet.evaluation.halves.deal_halves`).
        seed: of the halves; not negative.
        curve: of the same comparisons, where it is at hand.

    Raises:
        InputError: no genuine or no impostor pair, or folds that :func:`facenet.evaluation.folds.fold_parts` refuses.
    """
    if not 0 < comparisons.genuine_pairs < len(comparisons):
        missing = "impostor" if comparisons.genuine_pairs else "genuine"
        raise InputError(f"precision and recall need genuine and impostor pairs, and none is {missing}")
    if curve is None:
        curve = curve_of(comparisons.scores, comparisons.genuine)
    matches = curve.matches
    precision = matches[1:] / (matches + curve.false_matches)[1:]
    prevalence = comparisons.genuine_pairs / len(comparisons)
    decisions = decide_best_f1(comparisons, seed)
    f1, f1_precision, f1_recall, f1_chance = None, None, None, 2 * prevalence / (1 + prevalence)
    if decisions.rule != "none":
        hits = int(np.count_nonzero(decisions.accepted & comparisons.genuine))
        accepted = int(np.count_nonzero(decisions.accepted))
        wanted = int(np.count_nonzero(decisions.made & comparisons.genuine))
        f1, f1_recall = 2 * hits / (accepted + wanted), hits / wanted
        f1_precision = hits / accepted if accepted else 0.0
        f1_chance = 2 * wanted / (wanted + int(np.count_nonzero(decisions.made)))
    return PrecisionRecall(
        precision=precision,
        recall=curve.tar[1:],
        thresholds=curve.thresholds[1:],
        average_precision=float(np.diff(matches) @ precision) / curve.genuine_pairs,
        prevalence=prevalence,
        f1=f1,
        f1_precision=f1_precision,
        f1_recall=f1_recall,
        f1_chance=f1_chance,
        decisions=decisions,
    )


def decide_best_f1(comparisons: Comparisons, seed: int) -> Decisions:
    """Decide on each pair at the threshold of the best F1 of other pairs; see :func:`precision_recall`."""
    scores, genuine = comparisons.scores, comparisons.genuine
    made, accepted = np.zeros(len(scores), dtype=np.bool_), np.zeros(len(scores), dtype=np.bool_)
    parts: Iterable[tuple[NDArray[np.bool_], NDArray[np.bool_]]]
    rule: Rule
    if comparisons.folds is not None:
        rule, parts = "folds", ((scored, rest) for _, scored, rest in fold_parts(genuine, comparisons.folds))
    else:
        people = np.stack([comparisons.owners[comparisons.first], comparisons.owners[comparisons.second]], axis=1)
        halves = deal_halves(scores, genuine, people, seed)
        if halves is None:
            return Decisions("none", (), made, accepted, TOO_FEW)
        rule, one, other = halves
        parts = ((one, other), (other, one))
    thresholds = []
    for scored, fitted in parts:
        curve = curve_of(scores[fitted], genuine[fitted])
        # Correctly rounded quotients: where two are equal, they are equal as numbers too.
        f1 = 2 * curve.matches / (curve.matches + curve.false_matches + curve.genuine_pairs)
        thresholds.append(best_threshold(curve, f1))
        made |= scored
        accepted |= scored & (scores >= thresholds[-1])
    return Decisions(rule, tuple(thresholds), made, accepted)
