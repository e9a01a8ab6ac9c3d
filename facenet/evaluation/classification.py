"""Classification among known people: what the head decides, where it errs, and what guessing would have given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, f1_score, recall_score

from facenet.errors import InputError
from facenet.evaluation.identification import RankRate, rank_rate


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
    """What :func:`classify` found. ``c`` is the number of people the head knows.

    Attributes:
        people: names, ``c`` of them.
        confusion: ``(c, c)`` int64, row: who it is, column: who the head says it is.
        balanced_accuracy: mean over people of the share of their pictures that is right; chance is 1 / people_seen.
        macro_f1: mean over people of the F1 score, in ``[0, 1]``.
        top5: how often the right person is among the first five.

    Both means run over the people who have pictures here. A picture wrongly given to somebody without pictures
    counts against the person who is on it.
    """

    people: tuple[str, ...]
    confusion: NDArray[np.int64]
    balanced_accuracy: float
    macro_f1: float
    top5: RankRate

    def __post_init__(self) -> None:
        if self.confusion.shape != (len(self.people), len(self.people)) or self.confusion.dtype != np.int64:
            raise ValueError(f"{len(self.people)} people and a confusion matrix {self.confusion.shape} do not fit")
        if self.pictures < 1 or self.confusion.min() < 0:
            raise ValueError("a confusion matrix holds counts, and at least one picture")
        if not (0 <= self.balanced_accuracy <= 1 and 0 <= self.macro_f1 <= 1):
            raise ValueError(f"balanced accuracy {self.balanced_accuracy} and F1 {self.macro_f1} leave [0, 1]")
        if self.top5.value is not None and self.top5.value < self.accuracy:
            raise ValueError(f"top-5 {self.top5.value} is below accuracy {self.accuracy}")

    @property
    def pictures(self) -> int:
        """Number of pictures classified."""
        return int(self.confusion.sum())

    @property
    def pictures_per_person(self) -> NDArray[np.int64]:
        """``(c,)`` number of pictures of each person."""
        return self.confusion.sum(axis=1)

    @property
    def people_seen(self) -> int:
        """Number of people who have pictures here."""
        return int(np.count_nonzero(self.pictures_per_person))

    @property
    def accuracy(self) -> float:
        """Share of the pictures that is right."""
        return int(self.confusion.trace()) / self.pictures

    @property
    def majority_accuracy(self) -> float:
        """The accuracy of always naming the person with the most pictures: what ``accuracy`` has to beat."""
        return int(self.pictures_per_person.max()) / self.pictures

    def most_confused(self, k: int) -> list[Confusion]:
        """The ``k`` most frequent mistakes (fewer if there are fewer), most pictures first, then by place of name."""
        rows, columns = np.nonzero(self.confusion)
        wrong = rows != columns
        rows, columns = rows[wrong], columns[wrong]
        counts = self.confusion[rows, columns]
        worst = np.argsort(-counts, kind="stable")[:k]
        totals = self.pictures_per_person
        return [
            Confusion(self.people[row], self.people[column], int(count), float(count / totals[row]))
            for row, column, count in zip(rows[worst], columns[worst], counts[worst], strict=True)
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
            "people": list(self.people),
            "pictures_per_person": self.pictures_per_person.tolist(),
            "confusion": self.confusion.tolist(),
        }


def classify(
    scores: NDArray[np.floating[Any]], labels: NDArray[np.integer[Any]], people: Sequence[str]
) -> Classification:
    """Score the decisions of a classification head.

    The decision is the person with the highest score; of people with equal scores, which only a degenerate head
    gives, the one named first comes first, in the decision and in the top five alike.

    Args:
        scores: ``(n, c)`` finite logits or probabilities.
        labels: ``(n,)`` in ``[0, c)``, column of the right person.
        people: ``c`` names, at least 2.

    Raises:
        InputError: no picture, scores that are NaN or infinite, a label out of range, shapes that do not match,
            fewer than two people.
    """
    scores, labels = np.asarray(scores), np.asarray(labels)
    _check(scores, labels, people)
    decided = scores.argmax(axis=1)
    seen = np.unique(labels)
    return Classification(
        people=tuple(people),
        confusion=confusion_matrix(labels, decided, labels=np.arange(len(people))).astype(np.int64),
        balanced_accuracy=float(recall_score(labels, decided, labels=seen, average="macro", zero_division=0)),
        macro_f1=float(f1_score(labels, decided, labels=seen, average="macro", zero_division=0)),
        top5=rank_rate(_ranks(scores, labels), len(people), 5),
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


def _ranks(scores: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.int64]:
    """Rank of the right person in each row; rank 1 where the decision is right."""
    own = np.take_along_axis(scores, labels[:, np.newaxis], axis=1)
    earlier = np.arange(scores.shape[1]) < labels[:, np.newaxis]
    ahead = (scores > own) | ((scores == own) & earlier)
    return 1 + np.count_nonzero(ahead, axis=1).astype(np.int64)
