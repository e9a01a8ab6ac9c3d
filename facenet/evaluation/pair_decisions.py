"""What a head for pairs decides about a list of pairs, at the probability of one half and as a ranking."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import f1_score, log_loss, precision_score, recall_score, roc_auc_score
from torch import Tensor

from facenet.errors import InputError
from facenet.evaluation.finding import Finding
from facenet.models.pair_head import PairHead

_PAIRS_AT_ONCE = 8192


@dataclass(frozen=True, eq=False)
class PairDecisions:
    """Pair by pair, the truth and what the head makes of it. "One person" is the positive decision.

    Attributes:
        same: ``(n,)`` bool, whether the pair is genuine; at least one is, and one is not.
        probabilities: ``(n,)`` float64 in ``[0, 1]``, how sure the head is of "one person". In float32 too few digits
            would be left of how far it is from being sure.
    """

    same: NDArray[np.bool_]
    probabilities: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.same.ndim != 1 or self.same.dtype != np.bool_ or self.probabilities.dtype != np.float64:
            raise ValueError("every pair needs a bool, and a probability as float64")
        if self.probabilities.shape != self.same.shape:
            raise ValueError(f"{self.same.size} pairs need as many probabilities, not {self.probabilities.shape}")
        # Written so that NaN is refused.
        if not ((self.probabilities >= 0) & (self.probabilities <= 1)).all():
            raise ValueError("probabilities lie in [0, 1]")
        if self.same.all() or not self.same.any():
            raise ValueError("decisions about pairs are of genuine and of impostor pairs")

    @property
    def genuine(self) -> int:
        """Number of genuine pairs."""
        return int(np.count_nonzero(self.same))

    @property
    def impostor(self) -> int:
        """Number of impostor pairs."""
        return len(self.same) - self.genuine

    @property
    def decided(self) -> NDArray[np.bool_]:
        """``(n,)`` bool: which pairs are taken for one person, those with a probability above one half."""
        return self.probabilities > 0.5

    @property
    def accuracy(self) -> float:
        """Share of the pairs that is right."""
        return float(np.mean(self.decided == self.same))

    @property
    def majority_accuracy(self) -> float:
        """The accuracy of always deciding what is more frequent."""
        return max(self.genuine, self.impostor) / len(self.same)

    @cached_property
    def precision(self) -> float:
        """Share of the pairs taken for one person that are; 0 where none is taken for it."""
        return float(precision_score(self.same, self.decided, zero_division=0))

    @cached_property
    def recall(self) -> float:
        """Share of the genuine pairs that are taken for one person."""
        return float(recall_score(self.same, self.decided))

    @cached_property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, in ``[0, 1]``."""
        return float(f1_score(self.same, self.decided, zero_division=0))

    @property
    def always_f1(self) -> float:
        """The F1 of taking every pair for one person: what ``f1`` has to beat, 2/3 if half the pairs are genuine."""
        return 2 * self.genuine / (len(self.same) + self.genuine)

    @cached_property
    def roc_auc(self) -> float:
        """Chance that a genuine pair is given a higher probability than an impostor pair, equal ones counting half."""
        return float(roc_auc_score(self.same, self.probabilities))

    @cached_property
    def loss(self) -> float:
        """Binary cross entropy in nats, the mean over the pairs.

        A probability of exactly 0 or 1 counts as float64's smallest step away from it, so that one that is sure and
        wrong costs 36 nats and not infinitely many.
        """
        return float(log_loss(self.same, self.probabilities))

    def findings(self) -> tuple[Finding, ...]:
        """The figures for a report, without intervals."""
        basis = f"{self.genuine:,} genuine, {self.impostor:,} impostor pairs"
        return (
            Finding("pair_f1", "F1", self.f1, chance=self.always_f1, basis=basis),
            Finding("pair_accuracy", "Accuracy", self.accuracy, chance=self.majority_accuracy, basis=basis),
            Finding("pair_roc_auc", "ROC AUC", self.roc_auc, chance=0.5, basis=basis),
        )

    def to_dict(self) -> dict[str, Any]:
        """All figures, fit for JSON."""
        return {
            "genuine": self.genuine,
            "impostor": self.impostor,
            "accuracy": self.accuracy,
            "majority_accuracy": self.majority_accuracy,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "always_f1": self.always_f1,
            "roc_auc": self.roc_auc,
            "loss": self.loss,
        }


def decide_pairs(
    pair_head: PairHead,
    embeddings: Tensor,
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    same: NDArray[np.bool_],
) -> PairDecisions:
    """Let a head decide pairs of embeddings.

    Args:
        pair_head: in eval mode, on the device of the embeddings.
        embeddings: ``(m, d)`` float32.
        first, second: ``(n,)``, indices of the embeddings of each pair.
        same: ``(n,)``, whether the pair is genuine.

    Raises:
        InputError: genuine or impostor pairs are missing, or a score is NaN or infinite.
        ValueError: the head is in training mode, where dropout makes its decisions random.
    """
    if pair_head.training:
        raise ValueError("the head is in training mode")
    genuine = int(np.count_nonzero(same))
    if genuine in (0, len(same)):
        missing = "genuine" if genuine == 0 else "impostor"
        raise InputError(f"{len(same)} pairs, none of them {missing}: nothing to tell apart")
    with torch.inference_mode():
        parts = [
            pair_head.logits(embeddings[torch.from_numpy(left)], embeddings[torch.from_numpy(right)])
            for left, right in zip(_parts(first), _parts(second), strict=True)
        ]
        logits = torch.cat(parts).double()
    bad = int((~logits.isfinite()).sum())
    if bad:
        raise InputError(f"the scores of {bad} of {len(same)} pairs are not finite numbers")
    return PairDecisions(same=np.asarray(same, dtype=np.bool_), probabilities=logits.sigmoid().cpu().numpy())


def _parts(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [rows[start : start + _PAIRS_AT_ONCE] for start in range(0, len(rows), _PAIRS_AT_ONCE)]
