"""What a training run starts from: settings, weights, pictures; for a new run or a resumed one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from facenet.data.alignments import declared_contract
from facenet.data.augmentation import check_policy
from facenet.data.splits import Holdout
from facenet.devices import Choice, choose_precision
from facenet.errors import InputError, UsageError, printable
from facenet.models.backbone import Backbone
from facenet.models.face_model import FaceModel
from facenet.models.heads import build_head
from facenet.models.registry import build_backbone
from facenet.models.weights import Origin, pretrain
from facenet.training.checkpoint import Description, backbone_options, load_model
from facenet.training.config import TrainingConfig
from facenet.training.files import read_json
from facenet.training.monitor import Listener
from facenet.training.runs import RunFolder, list_runs, newest_checkpoint
from facenet.workflows.contract import training_contract
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

GENTLE_LR = 3e-5
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
        aligned: the pictures are faces cut as the architecture's published weights want them.
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
    aligned: bool = False
    command: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Start:
    """A model as it is before (more) training, and all that goes with it."""

    model: FaceModel
    config: TrainingConfig
    prepared: Prepared
    origin: dict[str, Any]
    people: tuple[str, ...]
    train_mask: np.ndarray


def resumable_run(job: Job, listener: JobListener) -> RunFolder | None:
    """The newest run of the job's task that can go on, if the job asks for one."""
    if not job.resume:
        return None
    for run in reversed(list_runs(job.runs, job.task)):
        if run.resumable() is not None:
            return run
    listener.warn(f"there is no {job.task} run to resume in {printable(job.runs)}: starting a new one")
    return None


def is_finished(run: RunFolder, config: TrainingConfig) -> bool:
    """Whether a run has done all the epochs it should."""
    checkpoint = run.resumable()
    return checkpoint is not None and Description.read(checkpoint).epoch >= config.epochs


def resumed_start(job: Job, run: RunFolder, listener: JobListener) -> Start:
    """Settings, weights and pictures of a run that goes on.

    Raises:
        UsageError: something is to change that a resumed run keeps.
        InputError: the pictures are not those the run was started with.
        CheckpointError: its checkpoint is damaged.
    """
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
    return Start(model, config, prepared, description.origin, description.people, _train_mask(prepared, config))


def fresh_start(job: Job, device: Choice, listener: JobListener) -> Start:
    """Starting weights, settings and pictures of a new run.

    Raises:
        FacenetError: settings, weights or pictures that cannot be used.
    """
    settings = {**DEFAULTS[job.task], **job.settings}
    tuned = newest_checkpoint(job.runs, "triplet") if settings.get("pretrained") == "tuned" else None
    if settings.get("pretrained") == "tuned" and tuned is None:
        settings["pretrained"] = "auto"
        listener.say(f"no triplet run in {printable(job.runs)}: the trunk starts from pretrained weights")
    holdout = job.holdout
    if tuned is not None:
        trunk_model, description = load_model(tuned, backbone=settings.get("backbone"))
        trunk = trunk_model.trunk
        settings |= {"backbone": description.config.backbone, "dropout": description.config.dropout}
        if holdout is None:
            holdout = description.holdout
        elif holdout != description.holdout:
            listener.warn("the trunk was tuned with other pictures held out: held-out figures may be too good")
    config = _decided(job, settings, device, listener)
    if tuned is not None:
        source = f"{tuned.parent.parent.name}/{tuned.name}"
        listener.say(f"trunk: tuned by {source}")
        start = Origin("checkpoint", source).to_dict() | {"before": description.origin}
    else:
        trunk = build_backbone(config.backbone, seed=config.seed, **backbone_options(config))
        found = pretrain(
            trunk, config.pretrained, seed=config.seed, offline=job.offline, progress=listener.bar("weights")
        )
        trunk.preprocessing = training_contract(trunk, job.root, aligned=job.aligned)
        _tell_origin(found, config, listener)
        start = found.to_dict()
    _tell_contract(trunk, job, listener)
    trained = start["kind"] != "random"
    if config.batch_norm == "auto":
        config = replace(config, batch_norm="frozen" if trained else "train")
    if trained and config.trainable != "head" and "lr" not in job.settings:
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
    model = FaceModel(trunk, head, trainable=config.trainable, frozen_batch_norm=config.batch_norm == "frozen")
    return Start(model, config, prepared, start, people, mask)


def _decided(job: Job, settings: dict[str, Any], device: Choice, listener: JobListener) -> TrainingConfig:
    """The configuration with the precision decided, checked as far as it can be before anything is read."""
    config = replace(TrainingConfig(task=job.task), **settings)
    check_policy(config.augmentation)
    precision = choose_precision(config.precision, device.value)
    listener.say(f"device: {device}; precision: {precision}")
    return replace(config, precision=precision.value)


def _tell_origin(origin: Origin, config: TrainingConfig, listener: JobListener) -> None:
    if origin.fallback:
        listener.warn(
            f"no pretrained weights for {config.backbone} at hand: starting from RANDOM weights. Faces will be told "
            "apart far worse than with pretrained ones; see `python cli.py models list`"
        )
    else:
        listener.say(f"starting weights: {origin.kind} ({printable(origin.source)})")


def _tell_contract(trunk: Backbone, job: Job, listener: JobListener) -> None:
    contract = trunk.preprocessing
    if contract.finds_faces:
        listener.say(f"pictures: faces cut by {contract.crop}; the checkpoint finds and cuts faces in photos likewise")
    elif job.aligned or declared_contract(job.root) is not None:
        listener.warn(
            "these faces were cut out of photos, but the trunk was tuned on whole pictures: it will take photos whole"
        )
    else:
        listener.say("pictures: taken whole, as faces; see --aligned if they were cut out of photos")


def _prepare(root: Path, holdout: Holdout, listener: JobListener) -> Prepared:
    prepared = prepare(root, holdout, listener.bar("audit"))
    counts, split = prepared.folder.counts(), prepared.split
    listener.say(
        f"audit: {len(counts):,} people, {len(prepared.folder):,} pictures ({counts.min()} to {counts.max()} each), "
        f"{len(prepared.audit.left_out):,} left out"
    )
    whole = f" and {split.person_held.sum():,} people whole" if split.person_held.any() else ""
    listener.say(f"held out: {split.held_images.sum():,} pictures of people trained on{whole}")
    for line in prepared.audit.lines():
        listener.say(line)
    return prepared


def _train_mask(prepared: Prepared, config: TrainingConfig) -> np.ndarray:
    """Which pictures are trained on. A head on a frozen trunk may know everybody: the trunk learns nothing of them."""
    if config.task == "classification" and config.trainable == "head":
        return ~prepared.split.image_held
    return prepared.split.train
