"""Everything that is measured on the held-out pictures of a folder, from one table of embeddings.

Which pictures play which part follows from the split alone:

* ``images`` (closed set): probes are the held-out pictures of people who were trained on; each person is enrolled
  with the training pictures.
* ``people`` (open set): everything is measured on people never trained on. All their pictures are compared with one
  another; for identification some of each person's are enrolled and the others are the probes.

Pairs for a head that decides them are made of the pictures that are compared, or, where each person has reference
pictures, of these and the others. In a closed set the references have been trained on and what is held against them
has not, as when somebody who is enrolled comes back.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facenet.data.combinations import balanced_pairs
from facenet.data.folders import Folder
from facenet.data.splits import Split
from facenet.errors import InputError
from facenet.evaluation.classification import Classification, classify
from facenet.evaluation.identification import Identification, identify
from facenet.evaluation.pair_decisions import PairDecisions, decide_pairs
from facenet.evaluation.pairs import all_or_sampled_pairs, score_pairs
from facenet.evaluation.verification import Verification, verify_pairs
from facenet.models.heads import Head
from facenet.models.pair_head import PairHead
from facenet.training.config import MEASURES


@dataclass(frozen=True, eq=False)
class Parts:
    """Which pictures are compared, identified, enrolled, classified and in pairs; ``bool (n,)`` each.

    ``references`` are those of ``paired`` that may come first in a pair.
    """

    compared: np.ndarray
    probes: np.ndarray
    enrolled: np.ndarray
    classified: np.ndarray
    paired: np.ndarray
    references: np.ndarray

    @property
    def measured(self) -> np.ndarray:
        """``bool (n,)``: the pictures that figures are of: those compared or, if none are, those classified."""
        if self.compared.any():
            return self.compared
        return self.probes if self.probes.any() else self.classified

    @property
    def needed(self) -> np.ndarray:
        """``bool (n,)``: the pictures that must be embedded."""
        return self.compared | self.probes | self.enrolled | self.classified | self.paired


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What was found; a part that could not be measured is None and ``reasons`` says why.

    Attributes:
        kind: ``images`` or ``people``: see the head of this module.
        people, pictures: number of people and pictures measured.
        verification, identification, classification, pairs: the figures.
        loss: cross entropy of the head's probabilities in nats, the mean over the pictures classified.
        reasons: name of a part → why it is missing.
    """

    kind: str
    people: int
    pictures: int
    verification: Verification | None
    identification: Identification | None
    classification: Classification | None
    loss: float | None = None
    pairs: PairDecisions | None = None
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
            found["loss"] = self.loss
        if self.pairs is not None:
            found["pair_accuracy"] = self.pairs.accuracy
            found["pair_f1"] = self.pairs.f1
            found["pair_roc_auc"] = self.pairs.roc_auc
            found["pair_loss"] = self.pairs.loss
        return {name: value for name, value in found.items() if value is not None}

    def to_dict(self) -> dict[str, Any]:
        """Everything, fit for JSON."""
        parts = {
            "verification": self.verification,
            "identification": self.identification,
            "classification": self.classification,
            "pairs": self.pairs,
        }
        return {
            "heldout": self.kind,
            "people": self.people,
            "pictures": self.pictures,
            **{name: None if part is None else part.to_dict() for name, part in parts.items()},
            "loss": self.loss,
            "reasons": self.reasons,
        }


def heldout_parts(
    split: Split, measures: Collection[str] = MEASURES, anchors: NDArray[np.bool_] | None = None
) -> Parts:
    """Choose the parts from the split: the open set if people are held out, else the closed set.

    Args:
        split: what is held out.
        measures: what is measured, some of :data:`facenet.training.config.MEASURES`; what nothing is measured on is
            in no part.
        anchors: ``bool (n,)``, the reference pictures that come first in a pair; None: any of the pictures compared
            may. Who has none is in no pair.
    """
    if split.person_held.any():
        held = split.held_people
        parts = (held, held & split.image_held, held & ~split.image_held, split.image_held)
    else:
        # Who has only held-out or only training pictures can neither be enrolled and probed, but can be compared.
        parts = (split.held_images, split.held_images, split.train, split.image_held)
    compared = "verification" in measures or "pairs" in measures
    searched, classified, paired = (name in measures for name in ("identification", "classification", "pairs"))
    asked = (compared, searched, searched, classified, paired, paired)
    nothing = np.zeros_like(split.image_held)
    chosen = (*parts, *_paired(split, parts[0], anchors))
    return Parts(*(part if wanted else nothing for part, wanted in zip(chosen, asked, strict=True)))


def _paired(
    split: Split, compared: NDArray[np.bool_], anchors: NDArray[np.bool_] | None
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The pictures pairs are made of, and which of them are references."""
    if anchors is None:
        return compared, compared
    references = anchors & (compared if split.person_held.any() else split.train)
    labels = split.labels
    complete = np.isin(labels, labels[references]) & np.isin(labels, labels[compared])
    return (references | compared) & complete, references & complete


def evaluate_heldout(
    embeddings: Tensor,
    folder: Folder,
    split: Split,
    *,
    head: Head | None = None,
    people: tuple[str, ...] = (),
    before: Evaluation | None = None,
    measures: Collection[str] = MEASURES,
    pair_head: PairHead | None = None,
    anchors: NDArray[np.bool_] | None = None,
) -> Evaluation:
    """Measure verification, identification and, with a head for it, classification and pairs.

    Args:
        embeddings: ``(n, d)`` unit rows for the folder's pictures on the CPU; only rows of ``heldout_parts(split)
            .needed`` are read, with the same ``measures`` and ``anchors``.
        folder: the pictures.
        split: what was held out.
        head: on the CPU.
        people: names of the head's outputs, in order.
        before: an evaluation of the same embeddings, whose verification and identification are taken over.
        measures: what to measure, as in :func:`heldout_parts`.
        pair_head: on the CPU, in eval mode.
        anchors: as in :func:`heldout_parts`.
    """
    parts = heldout_parts(split, measures, anchors)
    reasons = {name: "not asked for" for name in MEASURES if name not in measures}
    names = np.array(folder.people, dtype=object)[folder.labels] if len(folder) else np.empty(0, dtype=object)
    classification, loss = None, None
    if "classification" in measures:
        classification, loss = _classification(embeddings, names, parts.classified, head, people, reasons)
    pairs = _pairs(embeddings, folder.labels, parts, pair_head, reasons) if "pairs" in measures else None
    if before is not None:
        of_heads = ("classification", "pairs")
        kept = {name: reason for name, reason in before.reasons.items() if name not in of_heads}
        return replace(before, classification=classification, loss=loss, pairs=pairs, reasons=kept | reasons)
    verified, searched = "verification" in measures, "identification" in measures
    return Evaluation(
        kind="people" if split.person_held.any() else "images",
        people=len(np.unique(folder.labels[parts.measured])),
        pictures=int(parts.measured.sum()),
        verification=_verification(embeddings, folder, parts.compared, reasons) if verified else None,
        identification=_identification(embeddings, folder.labels, parts, reasons) if searched else None,
        classification=classification,
        loss=loss,
        pairs=pairs,
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
) -> tuple[Classification | None, float | None]:
    if head is None:
        reasons["classification"] = "no classification head in this checkpoint"
        return None, None
    column = {name: position for position, name in enumerate(people)}
    known = classified & np.array([name in column for name in names], dtype=bool)
    try:
        labels = np.array([column[name] for name in names[known]], dtype=np.int64)
        with torch.inference_mode():
            logits = head.logits(embeddings[torch.from_numpy(known)]).float()
        found = classify(logits.numpy(), labels, people)
        return found, float(torch.nn.functional.cross_entropy(logits.double(), torch.from_numpy(labels)))
    except InputError as error:
        reasons["classification"] = str(error)
        return None, None


def _pairs(
    embeddings: Tensor, labels: np.ndarray, parts: Parts, pair_head: PairHead | None, reasons: dict[str, str]
) -> PairDecisions | None:
    if pair_head is None:
        reasons["pairs"] = "no head for pairs in this checkpoint"
        return None
    paired = np.flatnonzero(parts.paired)
    try:
        first, second = (paired[rows] for rows in balanced_pairs(labels[paired], parts.references[paired]))
        return decide_pairs(pair_head, embeddings, first, second, labels[first] == labels[second])
    except InputError as error:
        reasons["pairs"] = str(error)
        return None
