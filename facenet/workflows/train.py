"""Training as one call: ``facenet train`` and ``--train-module``."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from facenet.data.anchors import anchor_pictures
from facenet.data.loaders import FaceDataset
from facenet.devices import Choice, choose_device
from facenet.errors import InputError, printable
from facenet.evaluation.embed import embed_folder
from facenet.evaluation.heldout import Evaluation, evaluate_heldout, heldout_parts
from facenet.models.face_model import FaceModel
from facenet.training.checkpoint import Description, versions
from facenet.training.config import TrainingConfig
from facenet.training.engine import Evaluate, Outcome, Trainer
from facenet.training.files import write_json
from facenet.training.runs import RunFolder, create_run
from facenet.training.sources import EmbeddingSource, FaceSource, Source
from facenet.training.tasks import SampledTripletTask, SiameseTask, TripletTask, build_task
from facenet.workflows.listeners import JobListener, Lines, Silence
from facenet.workflows.start import Job, Start, fresh_start, is_finished, resumable_run, resumed_start

__all__ = ["Job", "JobListener", "Lines", "Silence", "TrainResult", "train"]


@dataclass(frozen=True)
class TrainResult:
    """What a job left behind.

    Attributes:
        run: its folder.
        checkpoint: the checkpoint to use.
        config: with everything decided.
        outcome: how training ended; None if the run had already been finished.
        recipe: which one the run was started with and what was changed of it, or None.
    """

    run: RunFolder
    checkpoint: Path | None
    config: TrainingConfig
    outcome: Outcome | None
    recipe: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        document: dict[str, Any] = {
            "run": str(self.run.path),
            "checkpoint": None if self.checkpoint is None else str(self.checkpoint),
            "config": self.config.to_dict(),
            "recipe": self.recipe,
        }
        if self.outcome is not None:
            document |= {
                "status": self.outcome.status,
                "epochs": self.outcome.progress.epoch,
                "steps": self.outcome.progress.step,
                "best_epoch": self.outcome.progress.best_epoch,
                "start": self.outcome.start,
                "last": self.outcome.last,
                "best": self.outcome.best,
                "train": self.outcome.train,
                "worse_than_start": self.outcome.worse_than_start,
                "images_per_second": round(self.outcome.images_per_second, 1),
                "seconds": round(self.outcome.seconds, 1),
            }
        return document


def train(job: Job, listener: JobListener, stop: Callable[[], bool] = lambda: False) -> TrainResult:
    """Run a job: audit, split, starting weights, training, and files in a run folder.

    Args:
        job: what to train on what.
        listener: shown what happens; ``Lines(print)`` prints it, ``Silence()`` shows nothing.
        stop: asked after every step; true saves and ends the run, which the same job with ``resume`` goes on with.

    Raises:
        FacenetError: anything a person can put right; see :mod:`facenet.errors`.
    """
    device = choose_device(job.device)
    resumed = resumable_run(job, listener)
    start = fresh_start(job, device, listener) if resumed is None else resumed_start(job, resumed, listener)
    config = start.config
    if resumed is not None and is_finished(resumed, config):
        listener.say(f"{resumed.path.name} has done all its {config.epochs} epochs: give a larger --ep to go on")
        return TrainResult(resumed, resumed.usable(), config, None, start.recipe)
    task = build_task(start.prepared.folder.labels[start.train_mask], config, _training_anchors(start))
    if isinstance(task, TripletTask):
        listener.say(f"batches: {task.shape[0]} people x {task.shape[1]} pictures, {task.batches_per_epoch} an epoch")
    elif isinstance(task, SampledTripletTask | SiameseTask):
        samples = "pairs" if config.task == "siamese" else "triplets"
        listener.say(f"batches: {config.batch_size} {samples}, {task.batches_per_epoch} an epoch")
    run = create_run(job.runs, job.task) if resumed is None else resumed
    listener.say(f"run folder: {printable(run.path)}")
    source, evaluate = _source_and_evaluate(start, device.value, listener)
    _write_record(run, job, start, device)
    trainer = Trainer(
        start.model, task, source, config, run, _describe(start), evaluate, listener, device=device.value, stop=stop
    )
    outcome = trainer.fit(resume=resumed is not None)
    result = TrainResult(run, run.usable(), config, outcome, start.recipe)
    write_json(run.path / "summary.json", result.to_dict())
    return result


def _training_anchors(start: Start) -> NDArray[np.bool_] | None:
    """Which of the training pictures are anchors; None if any may be one.

    Raises:
        InputError: somebody has none among them.
    """
    word = start.config.anchor
    if not word:
        return None
    folder, trained = start.prepared.folder, start.train_mask
    named = folder.named_with(word)
    without = np.setdiff1d(folder.labels[trained], folder.labels[trained & named])
    held = np.intersect1d(without, folder.labels[named])
    if len(held):
        raise InputError(
            f"the pictures with {printable(repr(word))} in their names are held out of {len(held):,} people, first "
            f"{printable(folder.people[held[0]])}: keep them for training with --holdout-keep {printable(word)}"
        )
    return anchor_pictures(folder.select(trained), word)


def _source_and_evaluate(start: Start, device: str, listener: JobListener) -> tuple[Source, Evaluate]:
    folder, split, config = start.prepared.folder, start.prepared.split, start.config
    anchors = folder.named_with(config.anchor) if config.anchor else None
    parts = heldout_parts(split, config.measures, anchors)
    workers = "auto" if config.workers < 0 else config.workers
    train_folder = folder.select(start.train_mask)
    table: torch.Tensor | None = None
    if start.model.trunk_is_frozen and config.augmentation == "none":
        table = embed_folder(
            start.model.trunk,
            folder,
            keep=parts.needed | start.train_mask,
            device=device,
            precision=config.precision,
            workers=workers,
            progress=listener.bar("embedding"),
        )
    source: Source
    if table is not None:
        rows = table[torch.from_numpy(start.train_mask)]
        source = EmbeddingSource(rows, torch.from_numpy(train_folder.labels), torch.device(device))
    else:
        dataset = FaceDataset(train_folder, start.model.trunk.preprocessing, augmentation=config.augmentation)
        source = FaceSource(dataset, torch.device(device), workers=workers)

    before: Evaluation | None = None

    def evaluate(model: FaceModel) -> dict[str, float]:
        nonlocal before
        embeddings = table
        if embeddings is None:
            embeddings = embed_folder(
                model.trunk, folder, keep=parts.needed, device=device, precision=config.precision, workers=workers
            )
        found = evaluate_heldout(
            embeddings,
            folder,
            split,
            head=None if model.head is None else copy.deepcopy(model.head).cpu(),
            people=start.people,
            before=before,
            measures=config.measures,
            pair_head=None if model.pair_head is None else copy.deepcopy(model.pair_head).cpu(),
            anchors=anchors,
        )
        if table is not None:
            before = found
        return found.metrics()

    return source, evaluate


def _describe(start: Start) -> Description:
    trunk = start.model.trunk
    return Description(
        config=start.config,
        holdout=start.prepared.holdout,
        preprocessing=trunk.preprocessing,
        fingerprint="",
        people=start.people,
        origin=start.origin,
        epoch=0,
        step=0,
        metrics={},
    )


def _write_record(run: RunFolder, job: Job, start: Start, device: Choice) -> None:
    """``run.json`` and ``audit.json``: what one needs to do it again."""
    folder = start.prepared.folder
    write_json(run.path / "audit.json", start.prepared.audit.to_dict())
    write_json(
        run.path / "run.json",
        {
            "command": list(job.command),
            "config": start.config.to_dict(),
            "holdout": start.prepared.holdout.to_dict(),
            "origin": start.origin,
            "recipe": start.recipe,
            "device": str(device),
            "data": {
                "people": len(folder.people),
                "pictures": len(folder),
                "trained_on": int(start.train_mask.sum()),
                "digest": start.prepared.digest(),
            },
            "versions": versions(),
        },
    )
