"""Calibration of a classifier: is it right as often as it is sure?

Confidence is the probability of the decision. Decisions are gathered in bins of equal width over confidence, and in
each bin the share that is right is held against the mean confidence. The expected calibration error (ECE) is the mean
of the differences, each bin counting by its decisions; the maximum calibration error (MCE) is the largest of them. Guo,
Pleiss, Sun & Weinberger, "On Calibration of Modern Neural Networks", ICML 2017.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from facenet.errors import InputError, UsageError

_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Reliability:
    """Confidence and accuracy in ``b`` bins of equal width; bin ``i`` holds ``edges[i] < confidence <= edges[i + 1]``.

    Attributes:
        edges: ``(b + 1,)`` float64 from 0 to 1. A confidence of exactly 0 is in the first bin.
        counts: ``(b,)`` int64, decisions in each bin; at least one in all.
        confidence: ``(b,)`` float64, mean confidence; 0 in an empty bin.
        accuracy: ``(b,)`` float64, share that is right; 0 in an empty bin.
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    def __post_init__(self) -> None:
        bins = len(self.counts)
        if self.edges.shape != (bins + 1,) or not self.confidence.shape == self.accuracy.shape == (bins,):
            raise ValueError("a bin has two edges, a count, a confidence and an accuracy")
        if self.counts.min() < 0 or self.pictures < 1:
            raise ValueError("bins hold counts, and at least one decision")
        if not all(((means >= 0) & (means <= 1)).all() for means in (self.confidence, self.accuracy)):
            raise ValueError("confidence and accuracy lie in [0, 1]")

    @property
    def bins(self) -> int:
        """Number of bins."""
        return len(self.counts)

    @property
    def pictures(self) -> int:
        """Number of decisions."""
        return int(self.counts.sum())

    @property
    def ece(self) -> float:
        """Expected calibration error, in ``[0, 1]``."""
        return float(np.abs(self.accuracy - self.confidence) @ self.counts / self.pictures)

    @property
    def mce(self) -> float:
        """Maximum calibration error, in ``[0, 1]``; of bins that hold anything."""
        return float(np.abs(self.accuracy - self.confidence).max())

    def to_dict(self) -> dict[str, Any]:
        """All figures, fit for JSON."""
        return {
            "pictures": self.pictures,
            "ece": self.ece,
            "mce": self.mce,
            "edges": self.edges.tolist(),
            "counts": self.counts.tolist(),
            "confidence": self.confidence.tolist(),
            "accuracy": self.accuracy.tolist(),
        }


def measure_reliability(
    probabilities: NDArray[np.floating[Any]], labels: NDArray[np.integer[Any]], *, bins: int = 15
) -> Reliability:
    """Hold probabilities against what was right.

    Args:
        probabilities: ``(n, c)`` in ``[0, 1]``, rows that sum to 1; see :func:`softmax`. Of equal ones the first is the
            decision.
        labels: ``(n,)`` in ``[0, c)``, the right column.
        bins: how many, at least 1.

    Raises:
        UsageError: no bin.
        InputError: no picture, shapes that do not match, rows that are no probabilities, a label out of range.
    """
    probabilities, labels = np.asarray(probabilities), np.asarray(labels)
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1] or probabilities.size == 0:
        shapes = f"{probabilities.shape} and {labels.shape}"
        raise InputError(f"reliability needs one row of probabilities and one label per picture, got shapes {shapes}")
    # Written so that NaN is counted.
    proper = (np.abs(probabilities.sum(axis=1) - 1) <= _SUM_TOLERANCE) & (probabilities >= 0).all(axis=1)
    bad = int(np.count_nonzero(~proper))
    if bad:
        raise InputError(f"{bad} of {len(labels)} rows are no probabilities that sum to 1")
    columns = probabilities.shape[1]
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() >= columns:
        raise InputError(f"labels must be whole numbers from 0 to {columns - 1}")
    decided = probabilities.argmax(axis=1)
    confidences = np.take_along_axis(probabilities, decided[:, np.newaxis], axis=1)[:, 0]
    # Rounding may lift a sure decision above 1.
    return reliability_of(np.minimum(confidences, 1), decided == labels, bins=bins)


def reliability_of(
    confidences: NDArray[np.floating[Any]], correct: NDArray[np.bool_], *, bins: int = 15
) -> Reliability:
    """Hold the confidence of decisions against whether they were right.

    Args:
        confidences: ``(n,)`` in ``[0, 1]``, at least one.
        correct: ``(n,)`` bool.
        bins: how many, at least 1.

    Raises:
        UsageError: no bin.
        InputError: no decision, shapes that do not match, confidences that are no probabilities.
    """
    if bins < 1:
        raise UsageError(f"reliability needs at least 1 bin, got {bins}")
    if confidences.ndim != 1 or correct.shape != confidences.shape or len(confidences) == 0:
        shapes = f"{confidences.shape} and {correct.shape}"
        raise InputError(f"reliability needs one confidence and one true/false per decision, got shapes {shapes}")
    wide = confidences.astype(np.float64)
    # Written so that NaN is counted.
    bad = int(np.count_nonzero(~((wide >= 0) & (wide <= 1))))
    if bad:
        raise InputError(f"{bad} of {len(wide)} confidences are no probabilities")
    edges = np.linspace(0, 1, bins + 1)
    # Compared in the type they came in: an edge that float32 cannot hold is met by the number nearest to it.
    place = np.searchsorted(edges.astype(confidences.dtype)[1:-1], confidences, side="left")
    counts = np.bincount(place, minlength=bins)
    filled = np.maximum(counts, 1)
    return Reliability(
        edges=edges,
        counts=counts.astype(np.int64),
        confidence=np.minimum(np.bincount(place, wide, minlength=bins) / filled, 1),
        accuracy=np.bincount(place, correct.astype(np.float64), minlength=bins) / filled,
    )


def softmax(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Probabilities of logits, row by row: ``(n, c) → (n, c)`` float64, rows summing to 1."""
    probabilities: NDArray[np.float64] = torch.softmax(torch.from_numpy(np.asarray(logits, np.float64)), 1).numpy()
    return probabilities
