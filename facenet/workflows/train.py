"""Training as one call: ``facenet train`` and ``--train-module``."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from facenet.data.augmentation import check_policy
from facenet.data.loaders import FaceDataset
from facenet.data.splits import Holdout
from facenet.devices import Choice, choose_device, choose_precision
from facenet.errors import InputError, UsageError, printable
from facenet.evaluation.embed import embed_folder
from facenet.evaluation.heldout import Evaluation, evaluate_heldout, heldout_parts
from facenet.models.face_model import FaceModel
from facenet.models.heads import build_head
from facenet.models.registry import build_backbone
from facenet.models.weights import Origin, pretrain
from facenet.training.checkpoint import Description, backbone_options, load_model, versions
from facenet.training.config import TrainingConfig
from facenet.training.engine import Evaluate, Outcome, Trainer
from facenet.training.files import read_json, write_json
from facenet.training.monitor import Listener
from facenet.training.runs import RunFolder, create_run, list_runs, newest_checkpoint
from facenet.training.sources import EmbeddingSource, FaceSource, Source
from facenet.training.tasks import TripletTask, build_task
from facenet.workflows.prepare import Prepared, prepare

DEFAULTS: dict[str, dict[str, Any]] = {
    "triplet": {},
    "classification": {
        "trainable": "head",
        "epochs": 30,
        "lr": 1e-2,
        "augmentation": "none",
        "primary": "accuracy",
        "pretrained": "tuned",
    },
}
"""Where a task's defaults differ from those of :class:`TrainingConfig`. ``tuned`` is the newest triplet run's trunk."""

GENTLE_LR = 1e-4
"""Default learning rate of a trunk that starts from trained weights: higher ones undo what it knows."""


class JobListener(Listener, Protocol):
    """A :class:`~facenet.training.monitor.Listener` that also hears about the work around training."""

    def warn(self, text: str) -> None:
        """One line that must not be missed."""

    def bar(self, what: str) -> Callable[[int, int | None], None]:
        """A progress bar: call the result with (done, in all or None)."""


@dataclass(frozen=True)
class Job:
    """What to train on what.

    Attributes:
        task: ``triplet`` or ``classification``.
        root: folder of people.
        runs: where run folders are made.
        settings: what was explicitly asked for of :class:`TrainingConfig`; the rest are the task's defaults.
        holdout: what to hold out; None: as the trunk's run did, else the default.
        resume: go on with the newest run of this task.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        offline: never use the network.
        command: how it was called, for the record.
    """

    task: str
    root: Path
    runs: Path
    settings: Mapping[str, Any]
    holdout: Holdout | None = None
    resume: bool = False
    device: str = "auto"
    offline: bool = False
    command: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainResult:
    """What a job left behind.

    Attributes:
        run: its folder.
        checkpoint: the checkpoint to use.
        config: with everything decided.
        outcome: how training ended; None if the run had already been finished.
    """

    run: RunFolder
    checkpoint: Path | None
    config: TrainingConfig
    outcome: Outcome | None

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        document: dict[str, Any] = {
            "run": str(self.run.path),
            "checkpoint": None if self.checkpoint is None else str(self.checkpoint),
            "config": self.config.to_dict(),
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
                "worse_than_start": self.outcome.worse_than_start,
                "images_per_second": round(self.outcome.images_per_second, 1),
                "seconds": round(self.outcome.seconds, 1),
            }
        return document


@dataclass(frozen=True, eq=False)
class _Start:
    """A model as it is before (more) training, and all that goes with it."""

    model: FaceModel
    config: TrainingConfig
    prepared: Prepared
    origin: dict[str, Any]
    people: tuple[str, ...]
    train_mask: np.ndarray


def train(job: Job, listener: JobListener, stop: Callable[[], bool] = lambda: False) -> TrainResult:
    """Run a job: audit, split, starting weights, training, and files in a run folder.

    Raises:
        FacenetError: anything a person can put right; see :mod:`facenet.errors`.
    """
    device = choose_device(job.device)
    resumed = _resumable(job, listener)
    start = _fresh_start(job, device, listener) if resumed is None else _resumed_start(job, resumed, listener)
    config = start.config
    if resumed is not None and _is_finished(resumed, config):
        listener.say(f"{resumed.path.name} has done all its {config.epochs} epochs: give a larger --ep to go on")
        return TrainResult(resumed, resumed.usable(), config, None)
    task = build_task(start.prepared.folder.labels[start.train_mask], config)
    if isinstance(task, TripletTask):
        listener.say(f"batches: {task.shape[0]} people x {task.shape[1]} pictures, {task.batches_per_epoch} an epoch")
    run = create_run(job.runs, job.task) if resumed is None else resumed
    listener.say(f"run folder: {printable(run.path)}")
    source, evaluate = _source_and_evaluate(start, device.value, listener)
    _write_record(run, job, start, device)
    trainer = Trainer(
        start.model, task, source, config, run, _describe(start), evaluate, listener, device=device.value, stop=stop
    )
    result_of = _finish(run, config)
    return result_of(trainer.fit(resume=resumed is not None))


def _finish(run: RunFolder, config: TrainingConfig) -> Callable[[Outcome], TrainResult]:
    def result_of(outcome: Outcome) -> TrainResult:
        result = TrainResult(run, run.usable(), config, outcome)
        write_json(run.path / "summary.json", result.to_dict())
        return result

    return result_of


def _resumable(job: Job, listener: JobListener) -> RunFolder | None:
    if not job.resume:
        return None
    for run in reversed(list_runs(job.runs, job.task)):
        if run.resumable() is not None:
            return run
    listener.warn(f"there is no {job.task} run to resume in {printable(job.runs)}: starting a new one")
    return None


def _is_finished(run: RunFolder, config: TrainingConfig) -> bool:
    checkpoint = run.resumable()
    return checkpoint is not None and Description.read(checkpoint).epoch >= config.epochs


def _resumed_start(job: Job, run: RunFolder, listener: JobListener) -> _Start:
    checkpoint = run.resumable()
    if checkpoint is None:
        raise UsageError(f"{printable(run.path)} has nothing to resume from")
    model, description = load_model(checkpoint)
    config = description.config.resumed_with(job.settings)
    if job.holdout is not None and job.holdout != description.holdout:
        raise UsageError("a resumed run keeps what it holds out: leave --holdout out, or start a new run")
    listener.say(f"resuming {run.path.name} at epoch {description.epoch}, step {description.step}")
    prepared = _prepare(job.root, description.holdout, listener)
    record = read_json(run.path / "run.json").get("data")
    if not isinstance(record, dict) or record.get("digest") != prepared.digest():
        raise InputError(
            f"the pictures in {printable(job.root)} are not those that {run.path.name} was started with: put them "
            "back, or start a new run with --check 0"
        )
    return _Start(model, config, prepared, description.origin, description.people, _train_mask(prepared, config))


def _fresh_start(job: Job, device: Choice, listener: JobListener) -> _Start:
    settings = {**DEFAULTS[job.task], **job.settings}
    tuned = newest_checkpoint(job.runs, "triplet") if settings.get("pretrained") == "tuned" else None
    holdout = job.holdout
    if tuned is not None:
        trunk_model, description = load_model(tuned, backbone=settings.get("backbone"))
        trunk, origin = trunk_model.trunk, Origin("checkpoint", f"{tuned.parent.parent.name}/{tuned.name}").to_dict()
        settings |= {"backbone": description.config.backbone, "dropout": description.config.dropout}
        listener.say(f"trunk: tuned by {tuned.parent.parent.name} ({tuned.name})")
        if holdout is None:
            holdout = description.holdout
        elif holdout != description.holdout:
            listener.warn("the trunk was tuned with other pictures held out: held-out figures may be too good")
    elif settings.get("pretrained") == "tuned":
        settings["pretrained"] = "auto"
        listener.say(f"no triplet run in {printable(job.runs)}: the trunk starts from pretrained weights")
    config = replace(TrainingConfig(task=job.task), **settings)
    check_policy(config.augmentation)
    precision = choose_precision(config.precision, device.value)
    listener.say(f"device: {device}; precision: {precision}")
    config = replace(config, precision=precision.value)
    if tuned is None:
        trunk = build_backbone(config.backbone, seed=config.seed, **backbone_options(config))
        found = pretrain(
            trunk, config.pretrained, seed=config.seed, offline=job.offline, progress=listener.bar("weights")
        )
        _tell_origin(found, config, listener)
        origin = found.to_dict()
        if found.kind != "random" and "lr" not in job.settings and config.trainable != "head":
            config = replace(config, lr=GENTLE_LR)
    prepared = _prepare(job.root, Holdout() if holdout is None else holdout, listener)
    mask = _train_mask(prepared, config)
    if "batch_size" not in job.settings:
        # The default is a wish, not a demand: with fewer pictures than that, all of them make a batch.
        config = replace(config, batch_size=min(config.batch_size, max(4, int(mask.sum()))))
    people: tuple[str, ...] = ()
    head = None
    if config.task == "classification":
        people = prepared.folder.select(mask).people
        head = build_head(config.head, trunk.embedding_size, len(people), seed=config.seed)
    return _Start(FaceModel(trunk, head, trainable=config.trainable), config, prepared, origin, people, mask)


def _tell_origin(origin: Origin, config: TrainingConfig, listener: JobListener) -> None:
    if origin.fallback:
        listener.warn(
            f"no pretrained weights for {config.backbone} at hand: starting from RANDOM weights. Faces will be told "
            "apart far worse than with pretrained ones; see `python cli.py models list`"
        )
    else:
        listener.say(f"starting weights: {origin.kind} ({printable(origin.source)})")


def _prepare(root: Path, holdout: Holdout, listener: JobListener) -> Prepared:
    prepared = prepare(root, holdout, listener.bar("audit"))
    for line in prepared.audit.lines():
        listener.say(line)
    return prepared


def _train_mask(prepared: Prepared, config: TrainingConfig) -> np.ndarray:
    """Which pictures are trained on. A head on a frozen trunk may know everybody: the trunk learns nothing of them."""
    if config.task == "classification" and config.trainable == "head":
        return ~prepared.split.image_held
    return prepared.split.train


def _source_and_evaluate(start: _Start, device: str, listener: JobListener) -> tuple[Source, Evaluate]:
    folder, split, config = start.prepared.folder, start.prepared.split, start.config
    parts = heldout_parts(split)
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
        head = None if model.head is None else copy.deepcopy(model.head).cpu()
        found = evaluate_heldout(embeddings, folder, split, head=head, people=start.people, before=before)
        if table is not None:
            before = found
        return found.metrics()

    return source, evaluate


def _describe(start: _Start) -> Description:
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


def _write_record(run: RunFolder, job: Job, start: _Start, device: Choice) -> None:
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
