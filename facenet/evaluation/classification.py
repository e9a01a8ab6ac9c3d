"""Classification among known people: what the head decides, where it errs, and what guessing would have given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, f1_score, recall_score

from facenet.errors import InputError
from facenet.evaluation.identification import RankRate, rank_rate
from facenet.evaluation.rates import SMALLEST_STEP
from facenet.evaluation.reliability import softmax


@dataclass(frozen=True)
class Confusion:
    """Pictures of one person taken for another.

    Attributes:
        person: who is on the pictures.
        taken_for: who the head says it is.
        pictures: how many pictures, at least 1.
        share: of all pictures of ``person``, in ``(0, 1]``.
    """

    person: str
    taken_for: str
    pictures: int
    share: float

    def to_dict(self) -> dict[str, Any]:
        """All attributes, fit for JSON."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Classification:
    """What :func:`classify` found, picture by picture. ``c`` is the number of people the head knows.

    Attributes:
        people: names, ``c`` of them.
        labels: ``(n,)`` int32 in ``[0, c)``, who is on each picture; at least one picture.
        decided: ``(n,)`` int32 in ``[0, c)``, who the head says it is.
        ranks: ``(n,)`` int32 in ``[1, c]``, at which place of the head's list the right person stands; 1 exactly where
            the decision is right.
        confidences: ``(n,)`` float32 in ``[0, 1]``, probability the head gives to its decision.

    Means over people run over those who have pictures here. A picture wrongly given to somebody without pictures counts
    against the person who is on it.
    """

    people: tuple[str, ...]
    labels: NDArray[np.int32]
    decided: NDArray[np.int32]
    ranks: NDArray[np.int32]
    confidences: NDArray[np.float32]

    def __post_init__(self) -> None:
        columns: tuple[NDArray[Any], ...] = (self.labels, self.decided, self.ranks)
        if any(column.shape != self.labels.shape or column.dtype != np.int32 for column in columns):
            raise ValueError("every picture needs a label, a decision and a rank, as int32")
        if self.labels.ndim != 1 or self.pictures < 1 or self.confidences.shape != self.labels.shape:
            raise ValueError("a classification is of at least one picture, with one confidence each")
        if any(column.min() < 0 or column.max() >= len(self.people) for column in (self.labels, self.decided)):
            raise ValueError(f"labels and decisions name others than the {len(self.people)} people there are")
        if self.ranks.min() < 1 or self.ranks.max() > len(self.people):
            raise ValueError(f"ranks leave 1 to {len(self.people)}")
        if not np.array_equal(self.ranks == 1, self.correct):
            raise ValueError("the right person is first exactly where the decision is right")
        # Written so that NaN is refused.
        if not ((self.confidences >= 0) & (self.confidences <= 1)).all():
            raise ValueError("confidences are probabilities")

    @property
    def pictures(self) -> int:
        """Number of pictures classified."""
        return len(self.labels)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """``(n,)`` bool: which decisions are right."""
        right: NDArray[np.bool_] = self.labels == self.decided
        return right

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """``(c, c)`` int64, row: who it is, column: who the head says it is."""
        table: NDArray[np.int64] = confusion_matrix(self.labels, self.decided, labels=np.arange(len(self.people)))
        return table.astype(np.int64)

    @property
    def pictures_per_person(self) -> NDArray[np.int64]:
        """``(c,)`` int64, number of pictures of each person."""
        return np.bincount(self.labels, minlength=len(self.people)).astype(np.int64)

    @property
    def people_seen(self) -> int:
        """Number of people who have pictures here."""
        return int(np.count_nonzero(self.pictures_per_person))

    @property
    def accuracy(self) -> float:
        """Share of the pictures that is right."""
        return int(np.count_nonzero(self.correct)) / self.pictures

    @property
    def majority_accuracy(self) -> float:
        """The accuracy of always naming the person with the most pictures: what ``accuracy`` has to beat."""
        return int(self.pictures_per_person.max()) / self.pictures

    @cached_property
    def balanced_accuracy(self) -> float:
        """Mean over people of the share of their pictures that is right; chance is 1 / people_seen."""
        return float(recall_score(self.labels, self.decided, **self._over("macro")))

    @cached_property
    def macro_f1(self) -> float:
        """Mean over people of the F1 score, in ``[0, 1]``."""
        return float(f1_score(self.labels, self.decided, **self._over("macro")))

    @cached_property
    def weighted_f1(self) -> float:
        """Mean over people of the F1 score, each counting by their pictures, in ``[0, 1]``."""
        return float(f1_score(self.labels, self.decided, **self._over("weighted")))

    def _over(self, average: str) -> dict[str, Any]:
        return {"labels": np.unique(self.labels), "average": average, "zero_division": 0}

    def top(self, k: int) -> RankRate:
        """How often the right person is among the first ``k``, at least 1."""
        return rank_rate(self.ranks, len(self.people), k)

    @property
    def top5(self) -> RankRate:
        """How often the right person is among the first five."""
        return self.top(5)

    def most_confused(self, k: int) -> list[Confusion]:
        """The ``k`` most frequent mistakes (fewer if there are fewer), most pictures first, then by place of name."""
        wrong = ~self.correct
        mistakes, counts = np.unique(np.column_stack([self.labels, self.decided])[wrong], axis=0, return_counts=True)
        worst = np.argsort(-counts, kind="stable")[:k]
        totals = self.pictures_per_person
        return [
            Confusion(self.people[person], self.people[other], int(count), float(count / totals[person]))
            for (person, other), count in zip(mistakes[worst], counts[worst], strict=True)
        ]

    def to_dict(self) -> dict[str, Any]:
        """All figures, fit for JSON."""
        return {
            "pictures": self.pictures,
            "people_seen": self.people_seen,
            "accuracy": self.accuracy,
            "majority_accuracy": self.majority_accuracy,
            "top5": self.top5.to_dict(),
            "balanced_accuracy": self.balanced_accuracy,
            "macro_f1": self.macro_f1,
            "weighted_f1": self.weighted_f1,
            "people": list(self.people),
            "pictures_per_person": self.pictures_per_person.tolist(),
            "confusion": self.confusion.tolist(),
        }


def classify(
    scores: NDArray[np.floating[Any]],
    labels: NDArray[np.integer[Any]],
    people: Sequence[str],
    *,
    probabilities: bool = False,
) -> Classification:
    """Score the decisions of a classification head.

    The decision is the person with the highest score; of people with equal scores, which only a degenerate head
    gives, the one named first comes first, in the decision and in its list alike.

    Args:
        scores: ``(n, c)`` finite logits, or probabilities.
        labels: ``(n,)`` in ``[0, c)``, column of the right person.
        people: ``c`` names, at least 2.
        probabilities: the scores are probabilities, and the highest is the confidence as it is; else it is that of the
            softmax of the logits.

    Raises:
        InputError: no picture, scores that are NaN or infinite, probabilities outside ``[0, 1]``, a label out of range,
            shapes that do not match, fewer than two people.
    """
    scores, labels = np.asarray(scores), np.asarray(labels)
    _check(scores, labels, people)
    decided = scores.argmax(axis=1)
    shares = scores if probabilities else softmax(scores)
    confidences = np.take_along_axis(shares, decided[:, np.newaxis], axis=1)[:, 0]
    if confidences.min() < 0 or confidences.max() > 1 + SMALLEST_STEP:
        raise InputError("the scores are no probabilities: some decision has less than 0 or more than 1")
    return Classification(
        people=tuple(people),
        labels=labels.astype(np.int32),
        decided=decided.astype(np.int32),
        ranks=_ranks(scores, labels),
        confidences=np.minimum(confidences, 1).astype(np.float32),
    )


def _check(scores: NDArray[Any], labels: NDArray[Any], people: Sequence[str]) -> None:
    """Raise InputError unless the arguments of :func:`classify` fit together."""
    if labels.ndim != 1 or scores.shape != (len(labels), len(people)) or len(labels) == 0:
        shapes = f"scores {scores.shape}, labels {labels.shape}, {len(people)} people"
        raise InputError(f"classification needs one row per picture and one column per person, got {shapes}")
    if len(people) < 2:
        raise InputError(f"classification needs at least 2 people, there is {len(people)}")
    bad = int(np.count_nonzero(~np.isfinite(scores).all(axis=1)))
    if bad:
        raise InputError(f"the scores of {bad} of {len(labels)} pictures are not finite numbers")
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() >= len(people):
        raise InputError(f"labels must be whole numbers from 0 to {len(people) - 1}")


def _ranks(scores: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.int32]:
    """Rank of the right person in each row; rank 1 where the decision is right."""
    own = np.take_along_axis(scores, labels[:, np.newaxis], axis=1)
    earlier = np.arange(scores.shape[1]) < labels[:, np.newaxis]
    ahead = (scores > own) | ((scores == own) & earlier)
    return 1 + np.count_nonzero(ahead, axis=1).astype(np.int32)
