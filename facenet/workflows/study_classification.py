"""Classification as a protocol: what the head of a checkpoint makes of a folder of people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from facenet.data.folders import Folder, scan_folder
from facenet.errors import InputError, UsageError, printable
from facenet.evaluation.classification import classify
from facenet.evaluation.classification_findings import classification_findings
from facenet.evaluation.flips import Flip
from facenet.evaluation.reliability import reliability_of
from facenet.evaluation.study import Study
from facenet.models.heads import Head
from facenet.workflows.classifier import open_classifier
from facenet.workflows.study_shared import (
    AS_THEY_ARE,
    AS_USUAL,
    Judging,
    Progress,
    Reading,
    about,
    embed_people,
    label_of,
    named,
    pictures_of,
    usable_rows,
)

KS = (5,)
"""Of the top-k rates, if nothing is said."""


def classification_study(
    data: Path,
    *,
    checkpoint: Path | None = None,
    runs: Path = Path("runs"),
    ks: Sequence[int] = KS,
    device: str = "auto",
    precision: str = "auto",
    reading: Reading = AS_THEY_ARE,
    judging: Judging = AS_USUAL,
    progress: Progress | None = None,
) -> Study:
    """Classify the pictures of a folder with the head of a checkpoint.

    Args:
        data: folder of people, all of whom the head knows.
        checkpoint: one of our checkpoint folders, with a head.
        runs: if none is named, the newest checkpoint with a head in these runs is taken.
        ks: k of the top-k rates.
        device, precision: ``auto`` or a name.
        reading, judging: how.
        progress: told how many pictures are embedded.

    Raises:
        CheckpointError: there is none, it is damaged, or it has no head.
        MissingError, InputError: no such folder, pictures that cannot be used, people the head does not know.
        UsageError: mirrored faces side by side, for which the head was not trained.
    """
    if reading.flip is Flip.CONCAT:
        raise UsageError("the head takes one embedding, not two side by side: leave --flip concat out")
    classifier = open_classifier(checkpoint, runs=runs, device=device, precision=precision)
    embedder, people_known = classifier.embedder, classifier.classes
    notices: list[str] = []
    folder = scan_folder(data)
    require_known(folder, people_known)
    folder, found = embed_people(folder, embedder, reading, progress, notices)
    if len(folder) == 0:
        raise InputError(f"{printable(data)} holds no picture that could be classified")
    rows = usable_rows(found)
    number = {name: index for index, name in enumerate(people_known)}
    labels = np.array([number[folder.people[label]] for label in folder.labels], dtype=np.int64)
    classification = classify(_logits(classifier.head, rows, labels, found.failed), labels, people_known)
    reliability = reliability_of(classification.confidences, classification.correct)
    notices.append(
        "it is not checked whether the model was trained on these pictures: bare `evaluate` measures those held out"
    )
    people = {"people": len(folder.people), "people_known": len(people_known)}
    return Study(
        protocol="classification",
        title="Classification",
        label=label_of(embedder, judging),
        about=about(
            embedder,
            reading,
            judging,
            data={"pictures": data},
            counts={"pictures": len(folder), **people, "states": found.counts()},
            rules=["decided for the highest score of the head, whose softmax is the confidence"],
        ),
        findings=classification_findings(
            classification, reliability, ks=tuple(ks), seed=judging.seed, replicates=judging.replicates
        ),
        notices=tuple(notices),
        samples=folder.paths,
        classification=classification,
        reliability=reliability,
        embeddings=rows,
        owners=labels.astype(np.int32),
        people=people_known,
        pictures=pictures_of(found),
    )


def require_known(folder: Folder, people: Sequence[str]) -> None:
    """Refuse people whom a head does not know.

    Raises:
        InputError: there are some; with their number and the first few names.
    """
    known = set(people)
    unknown = [name for name in folder.people if name not in known]
    if unknown:
        raise InputError(
            f"the head does not know {len(unknown):,} of {len(folder.people):,} people: {named(unknown)}; it was "
            f"trained for {named(people)}"
        )


def _logits(head: Head, rows: torch.Tensor, labels: np.ndarray, failed: np.ndarray) -> np.ndarray:
    """``(n, people)`` scores. Where there is no embedding, everybody scores the same but the right person, who comes
    last: wrong in every figure, without confidence.
    """
    with torch.inference_mode():
        logits: np.ndarray = head.logits(rows).float().numpy()
    logits[failed] = 0
    logits[failed, labels[failed]] = -1
    return logits
