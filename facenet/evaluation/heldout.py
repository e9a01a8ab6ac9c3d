"""Everything that is measured on the held-out pictures of a folder, from one table of embeddings.

Which pictures play which part follows from the split alone:

* ``images`` (closed set): probes are the held-out pictures of people who were trained on; each person is enrolled
  with the training pictures.
* ``people`` (open set): everything is measured on people never trained on. All their pictures are compared with one
  another; for identification some of each person's are enrolled and the others are the probes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facenet.data.folders import Folder
from facenet.data.splits import Split
from facenet.errors import InputError
from facenet.evaluation.classification import Classification, classify
from facenet.evaluation.identification import Identification, identify
from facenet.evaluation.pairs import all_or_sampled_pairs, score_pairs
from facenet.evaluation.verification import Verification, verify_pairs
from facenet.models.heads import Head


@dataclass(frozen=True, eq=False)
class Parts:
    """Which pictures are compared, identified, enrolled and classified; ``bool (n,)`` each."""

    compared: np.ndarray
    probes: np.ndarray
    enrolled: np.ndarray
    classified: np.ndarray

    @property
    def needed(self) -> np.ndarray:
        """``bool (n,)``: the pictures that must be embedded."""
        return self.compared | self.probes | self.enrolled | self.classified


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What was found; a part that could not be measured is None and ``reasons`` says why.

    Attributes:
        kind: ``images`` or ``people``: see the head of this module.
        people, pictures: number of people and pictures measured.
        verification, identification, classification: the figures.
        reasons: name of a part → why it is missing.
    """

    kind: str
    people: int
    pictures: int
    verification: Verification | None
    identification: Identification | None
    classification: Classification | None
    reasons: dict[str, str] = field(default_factory=dict)

    def metrics(self) -> dict[str, float]:
        """The figures that can be followed over training, by name; what could not be measured is left out."""
        found: dict[str, float | None] = {}
        if self.verification is not None:
            found["roc_auc"] = self.verification.roc_auc
            found["eer"] = self.verification.eer
            found["balanced_accuracy"] = self.verification.balanced_accuracy
            for target, rate in self.verification.tar_at_fmr.items():
                found[f"tar_at_fmr_{target:g}"] = rate.value
        if self.identification is not None:
            for rank, rank_rate in self.identification.rank_rates.items():
                found[f"rank_{rank}"] = rank_rate.value
        if self.classification is not None:
            found["accuracy"] = self.classification.accuracy
            found["macro_f1"] = self.classification.macro_f1
        return {name: value for name, value in found.items() if value is not None}

    def to_dict(self) -> dict[str, Any]:
        """Everything, fit for JSON."""
        parts = {
            "verification": self.verification,
            "identification": self.identification,
            "classification": self.classification,
        }
        return {
            "heldout": self.kind,
            "people": self.people,
            "pictures": self.pictures,
            **{name: None if part is None else part.to_dict() for name, part in parts.items()},
            "reasons": self.reasons,
        }


def heldout_parts(split: Split) -> Parts:
    """Choose the parts from the split: the open set if people are held out, else the closed set."""
    if split.person_held.any():
        held = split.held_people
        return Parts(held, held & split.image_held, held & ~split.image_held, split.image_held)
    # Who has only held-out or only training pictures can neither be enrolled and probed, but can be compared.
    return Parts(split.held_images, split.held_images, split.train, split.image_held)


def evaluate_heldout(
    embeddings: Tensor,
    folder: Folder,
    split: Split,
    *,
    head: Head | None = None,
    people: tuple[str, ...] = (),
    before: Evaluation | None = None,
) -> Evaluation:
    """Measure verification, identification and, with a head, classification.

    Args:
        embeddings: ``(n, d)`` unit rows for the folder's pictures on the CPU; only rows of ``heldout_parts(split)
            .needed`` are read.
        folder: the pictures.
        split: what was held out.
        head: on the CPU.
        people: names of the head's outputs, in order.
        before: an evaluation of the same embeddings, whose verification and identification are taken over.
    """
    parts = heldout_parts(split)
    reasons: dict[str, str] = {}
    names = np.array(folder.people, dtype=object)[folder.labels] if len(folder) else np.empty(0, dtype=object)
    if before is not None:
        classification = _classification(embeddings, names, parts.classified, head, people, reasons)
        kept = {name: reason for name, reason in before.reasons.items() if name != "classification"}
        return replace(before, classification=classification, reasons=kept | reasons)
    return Evaluation(
        kind="people" if split.person_held.any() else "images",
        people=len(np.unique(folder.labels[parts.compared])),
        pictures=int(parts.compared.sum()),
        verification=_verification(embeddings, folder, parts.compared, reasons),
        identification=_identification(embeddings, folder.labels, parts, reasons),
        classification=_classification(embeddings, names, parts.classified, head, people, reasons),
        reasons=reasons,
    )


def _verification(
    embeddings: Tensor, folder: Folder, compared: np.ndarray, reasons: dict[str, str]
) -> Verification | None:
    labels = folder.labels[compared]
    pairs = all_or_sampled_pairs(labels)
    try:
        scores = score_pairs(embeddings[torch.from_numpy(compared)], pairs)
        return verify_pairs(scores, pairs.genuine, people=pairs.people(labels))
    except InputError as error:
        reasons["verification"] = str(error)
        return None


def _identification(
    embeddings: Tensor, labels: np.ndarray, parts: Parts, reasons: dict[str, str]
) -> Identification | None:
    probes = parts.probes & np.isin(labels, labels[parts.enrolled])
    try:
        return identify(
            embeddings[torch.from_numpy(probes)],
            labels[probes],
            embeddings[torch.from_numpy(parts.enrolled)],
            labels[parts.enrolled],
        )
    except InputError as error:
        reasons["identification"] = str(error)
        return None


def _classification(
    embeddings: Tensor,
    names: np.ndarray,
    classified: np.ndarray,
    head: Head | None,
    people: tuple[str, ...],
    reasons: dict[str, str],
) -> Classification | None:
    if head is None:
        reasons["classification"] = "no classification head in this checkpoint"
        return None
    column = {name: position for position, name in enumerate(people)}
    known = classified & np.array([name in column for name in names], dtype=bool)
    try:
        with torch.inference_mode():
            logits = head.logits(embeddings[torch.from_numpy(known)]).numpy()
        return classify(logits, np.array([column[name] for name in names[known]], dtype=np.int64), people)
    except InputError as error:
        reasons["classification"] = str(error)
        return None
