"""Evaluation of a checkpoint as one call: ``facenet evaluate`` and ``--train 0``."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from facenet.data.folders import Folder
from facenet.data.splits import Split
from facenet.devices import choose_device, choose_precision
from facenet.errors import CheckpointError, printable
from facenet.evaluation.classification import Classification
from facenet.evaluation.embed import embed_folder
from facenet.evaluation.heldout import Evaluation, evaluate_heldout, heldout_parts
from facenet.models.face_model import FaceModel
from facenet.models.heads import Head
from facenet.training.checkpoint import Description, load_model, newest, versions
from facenet.training.files import storage_error, write_and_flush, write_json
from facenet.training.runs import newest_checkpoint
from facenet.workflows.prepare import Prepared, prepare


@dataclass(frozen=True, eq=False)
class Material:
    """What figures were made of, for whoever wants to look closer.

    Attributes:
        folder: the usable pictures.
        split: which of them are held out.
        embeddings: ``float32 (n, d)``; only those rows are filled that the figures need.
        head: of the checkpoint, if it has one.
    """

    folder: Folder
    split: Split
    embeddings: Tensor
    head: Head | None


@dataclass(frozen=True, eq=False)
class EvaluationResult:
    """Figures, and what they are figures of.

    Attributes:
        checkpoint: the folder that was evaluated.
        description: of it.
        evaluation: the figures.
        device, precision: what they were computed on and in, with the reason.
        chosen_from: so many evaluations on these same pictures decided which weights were kept as the best; 1 or 0 if
            nothing was chosen by them.
        files: what was written.
        material: what the figures were made of.
    """

    checkpoint: Path
    description: Description
    evaluation: Evaluation
    device: str
    precision: str
    chosen_from: int
    material: Material = field(repr=False)
    files: tuple[Path, ...] = ()

    @property
    def missing(self) -> dict[str, str]:
        """Name of a part → why it is missing, without what nobody expects of such a checkpoint."""
        expects_pairs = self.description.config.task == "siamese"
        return {part: reason for part, reason in self.evaluation.reasons.items() if part != "pairs" or expects_pairs}

    def to_dict(self) -> dict[str, Any]:
        """Everything, fit for JSON."""
        return {
            "checkpoint": str(self.checkpoint),
            "backbone": self.description.config.backbone,
            "fingerprint": self.description.fingerprint,
            "origin": self.description.origin,
            "epoch": self.description.epoch,
            "holdout": self.description.holdout.to_dict(),
            "device": self.device,
            "precision": self.precision,
            "chosen_from_evaluations": self.chosen_from,
            "versions": versions(),
            "metrics": self.evaluation.metrics(),
            **self.evaluation.to_dict(),
        }


def evaluate_checkpoint(
    root: Path,
    runs: Path,
    *,
    checkpoint: Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    backbone: str | None = None,
    progress: Callable[[int, int | None], None] | None = None,
    into: Path | None = None,
) -> EvaluationResult:
    """Measure a checkpoint on the pictures of ``root`` that its run held out.

    Args:
        root: folder of people.
        runs: where to look for the newest checkpoint.
        checkpoint: use this one instead.
        device, precision: ``auto`` or a name.
        backbone: refuse a checkpoint of another architecture.
        progress: called with (pictures embedded, in all).
        into: folder for ``evaluation.json`` and ``confusion.csv``; None: the checkpoint's run folder.

    Raises:
        CheckpointError: there is none, or it is damaged.
        ContractError: another architecture than asked for.
        InputError, MissingError: the pictures.
    """
    path = newest_checkpoint(runs) if checkpoint is None else checkpoint
    if path is None:
        raise CheckpointError(
            f"no checkpoint in {printable(runs)}: train one with `python cli.py --train-module inception`, "
            "or name one with --checkpoint"
        )
    model, description = load_model(path, backbone=backbone)
    prepared = prepare(root, description.holdout)
    chosen_device = choose_device(device)
    chosen_precision = choose_precision(precision, chosen_device.value)
    embeddings, evaluation = _measured(
        model, description, prepared, chosen_device.value, chosen_precision.value, progress
    )
    result = EvaluationResult(
        checkpoint=path,
        description=description,
        evaluation=evaluation,
        device=str(chosen_device),
        precision=str(chosen_precision),
        chosen_from=_chosen_from(path, description),
        material=Material(prepared.folder, prepared.split, embeddings, model.head),
    )
    return replace(result, files=_write(path.parent.parent if into is None else into, result))


def _measured(
    model: FaceModel,
    description: Description,
    prepared: Prepared,
    device: str,
    precision: str,
    progress: Callable[[int, int | None], None] | None,
) -> tuple[Tensor, Evaluation]:
    """The embeddings of all pictures that the figures of this checkpoint need, and the figures."""
    folder, split = prepared.folder, prepared.split
    measures, word = description.config.measures, description.config.anchor
    anchors = folder.named_with(word) if word else None
    needed = heldout_parts(split, measures, anchors).needed
    embeddings = embed_folder(model.trunk, folder, keep=needed, device=device, precision=precision, progress=progress)
    evaluation = evaluate_heldout(
        embeddings,
        folder,
        split,
        head=model.head,
        people=description.people,
        measures=measures,
        pair_head=model.pair_head,
        anchors=anchors,
    )
    return embeddings, evaluation


def _chosen_from(path: Path, description: Description) -> int:
    last = newest(path.parent, "last")
    if not path.name.startswith("best") or last is None:
        return description.evaluations if path.name.startswith("best") else 0
    return Description.read(last).evaluations


def _write(folder: Path, result: EvaluationResult) -> tuple[Path, ...]:
    files = [folder / "evaluation.json"]
    write_json(files[0], result.to_dict())
    classification = result.evaluation.classification
    if classification is not None:
        files.append(folder / "confusion.csv")
        try:
            write_and_flush(files[1], confusion_csv(classification))
        except OSError as error:
            raise storage_error(files[1], error) from error
    return tuple(files)


def confusion_csv(classification: Classification) -> bytes:
    """The confusion matrix as CSV (UTF-8): a row for each true person, a column for each decision."""
    text = io.StringIO()
    writer = csv.writer(text)
    names = [printable(name) for name in classification.people]
    writer.writerow(["true / decided", *names])
    for name, row in zip(names, classification.confusion.tolist(), strict=True):
        writer.writerow([name, *row])
    return text.getvalue().encode("utf-8")
