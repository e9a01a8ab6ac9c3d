"""What a training run starts from: settings, weights, pictures; for a new run or a resumed one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from facenet.data.folders import scan_folder
from facenet.data.splits import Holdout
from facenet.devices import Choice, choose_precision
from facenet.errors import FacenetError, InputError, UsageError, printable
from facenet.models.backbone import Backbone
from facenet.models.face_model import FaceModel
from facenet.models.input_size import set_input_size
from facenet.models.registry import build_backbone
from facenet.models.weights import Origin, pretrain
from facenet.recipes.recipe import Recipe
from facenet.training.checkpoint import Description, build_model, load_model
from facenet.training.config import TrainingConfig
from facenet.training.files import read_json
from facenet.training.runs import RunFolder, list_runs, newest_checkpoint
from facenet.workflows.contract import training_contract
from facenet.workflows.listeners import JobListener
from facenet.workflows.prepare import Prepared, prepare
from facenet.workflows.settings import Settings, made_by, recipe_record
from facenet.workflows.telling import tell_contract, tell_origin, tell_pictures, tell_recipe

_OF_THE_TRUNK = ("backbone", "neck", "image_size", "resize", "dropout")
"""Settings that a tuned trunk brings along."""

GENTLE_LR = 3e-5
"""Default learning rate of a trunk that starts from trained weights: higher ones undo what it knows."""


@dataclass(frozen=True)
class Job:
    """What to train on what.

    Attributes:
        task: ``triplet``, ``classification`` or ``siamese``.
        root: folder of people.
        runs: where run folders are made.
        settings: what was explicitly asked for of :class:`TrainingConfig`; the rest are the recipe's or the task's.
        holdout: what to hold out; None: as the recipe says, else as the trunk's run did, else the default.
        resume: go on with the newest run of this recipe, or without one of this task.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        offline: never use the network.
        aligned: the pictures are faces cut as the architecture's published weights want them.
        command: how it was called, for the record.
        recipe: settings below those explicitly asked for, or None.
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
    recipe: Recipe | None = None


@dataclass(frozen=True, eq=False)
class Start:
    """A model as it is before (more) training, and all that goes with it.

    ``recipe`` is what the record of the run keeps of its recipe, or None; see :class:`Settings`.
    """

    model: FaceModel
    config: TrainingConfig
    prepared: Prepared
    origin: dict[str, Any]
    people: tuple[str, ...]
    train_mask: np.ndarray
    recipe: dict[str, Any] | None = None


def resumable_run(job: Job, listener: JobListener) -> RunFolder | None:
    """The newest run of the job's recipe, or without one of its task, that can go on; if the job asks for one."""
    if not job.resume:
        return None
    for run in reversed(list_runs(job.runs, job.task)):
        if run.resumable() is not None and (job.recipe is None or _is_of(run, job.recipe, listener)):
            return run
    what = job.task if job.recipe is None else printable(job.recipe.words)
    listener.warn(f"there is no {what} run to resume in {printable(job.runs)}: starting a new one")
    return None


def _is_of(run: RunFolder, recipe: Recipe, listener: JobListener) -> bool:
    try:
        return made_by(recipe_record(run), recipe)
    except FacenetError as error:
        listener.warn(f"{run.path.name} is passed over: {error}")
        return False


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
    Settings(job.task, job.recipe, job.settings).require_used(config)
    if job.holdout is not None and job.holdout != description.holdout:
        raise UsageError("a resumed run keeps what it holds out: leave --holdout out, or start a new run")
    listener.say(f"resuming {run.path.name} at epoch {description.epoch}, step {description.step}")
    recipe = recipe_record(run)
    if recipe is not None:
        listener.say(f"recipe: {printable(recipe['name'])}, with the settings that {run.path.name} was started with")
        if job.recipe is not None and job.recipe.sha256 != recipe.get("sha256"):
            listener.warn("the recipe has changed since then: start a new run with --check 0 to train by it as it is")
    prepared = _prepare(job.root, description.holdout, listener)
    record = read_json(run.path / "run.json").get("data")
    if not isinstance(record, dict) or record.get("digest") != prepared.digest():
        raise InputError(
            f"the pictures in {printable(job.root)} are not those that {run.path.name} was started with: put them "
            "back, or start a new run with --check 0"
        )
    return Start(model, config, prepared, description.origin, description.people, _train_mask(prepared, config), recipe)


def fresh_start(job: Job, device: Choice, listener: JobListener) -> Start:
    """Starting weights, settings and pictures of a new run.

    Raises:
        FacenetError: settings, weights or pictures that cannot be used.
    """
    if not job.root.is_dir():
        # Says what is wrong with it, before any weights are downloaded.
        scan_folder(job.root)
    settings = Settings(job.task, job.recipe, job.settings)
    trunk, config, origin, holdout = _trunk(job, settings, device, listener)
    tell_contract(trunk, job.root, job.aligned, listener)
    trained = origin["kind"] != "random"
    if config.batch_norm == "auto":
        config = replace(config, batch_norm="frozen" if trained else "train")
    if trained and config.trainable != "head" and "lr" not in settings.chosen:
        config = replace(config, lr=GENTLE_LR)
    prepared = _prepare(job.root, holdout, listener)
    mask = _train_mask(prepared, config)
    if "batch_size" not in job.settings:
        config = _fitting_batch(config, int(mask.sum()), listener)
    people = prepared.folder.select(mask).people if config.task == "classification" else ()
    if job.recipe is not None:
        tell_recipe(job.recipe, settings, config, len(people), listener)
    model = build_model(trunk, config, people)
    return Start(model, config, prepared, origin, people, mask, settings.record())


def _trunk(
    job: Job, settings: Settings, device: Choice, listener: JobListener
) -> tuple[Backbone, TrainingConfig, dict[str, Any], Holdout | None]:
    """The trunk with its starting weights, the settings as far as it decides them, its origin, and the split."""
    merged = settings.merged
    holdout = job.holdout
    if holdout is None and job.recipe is not None and job.recipe.holdout is not None:
        holdout = Holdout(**job.recipe.holdout)
    if merged.get("pretrained") == "tuned":
        tuned = newest_checkpoint(job.runs, "triplet")
        if tuned is not None:
            return _tuned_trunk(tuned, job, settings, holdout, device, listener)
        merged["pretrained"] = "auto"
        listener.say(f"no triplet run in {printable(job.runs)}: the trunk starts from pretrained weights")
    config = _decided(settings.configuration(merged), device, listener)
    trunk = build_backbone(config.backbone, seed=config.seed, neck=config.neck, dropout=config.dropout)
    _set_size(trunk, config, settings)
    found = pretrain(trunk, config.pretrained, seed=config.seed, offline=job.offline, progress=listener.bar("weights"))
    trunk.preprocessing = training_contract(trunk, job.root, aligned=job.aligned)
    tell_origin(found, config, listener)
    return trunk, config, found.to_dict(), holdout


def _set_size(trunk: Backbone, config: TrainingConfig, settings: Settings) -> None:
    try:
        set_input_size(trunk, config.image_size, config.resize)
    except UsageError as error:
        if settings.source("image_size", config) != "recipe":
            raise
        raise UsageError(f"{error}; --image-size auto is the network's own instead of the recipe's") from error


def _tuned_trunk(
    tuned: Path,
    job: Job,
    settings: Settings,
    holdout: Holdout | None,
    device: Choice,
    listener: JobListener,
) -> tuple[Backbone, TrainingConfig, dict[str, Any], Holdout | None]:
    """As :func:`_trunk`, from a checkpoint of a triplet run."""
    merged = settings.merged
    model, description = load_model(tuned, backbone=merged.get("backbone"))
    source = f"{tuned.parent.parent.name}/{tuned.name}"
    for name in _OF_THE_TRUNK:
        before = getattr(description.config, name)
        if job.settings.get(name, before) != before:
            flag = "--" + name.replace("_", "-")
            raise UsageError(
                f"the trunk of {source} has {flag} {before}, not {job.settings[name]}: leave the flag out, or say "
                "with --pretrained what to start from instead"
            )
        merged[name] = before
    if holdout is None:
        holdout = description.holdout
    elif holdout != description.holdout:
        listener.warn("the trunk was tuned with other pictures held out: held-out figures may be too good")
    config = _decided(settings.configuration(merged), device, listener)
    listener.say(f"trunk: tuned by {source}")
    origin = Origin("checkpoint", source).to_dict() | {"before": description.origin}
    return model.trunk, config, origin, holdout


def _fitting_batch(config: TrainingConfig, pictures: int, listener: JobListener) -> TrainingConfig:
    """A default's or a recipe's batch is a wish, not a demand: with fewer pictures than that, all of them make one."""
    most = max(4, pictures)
    if config.batch_size <= most:
        return config
    listener.say(f"batches of {most} instead of {config.batch_size}: there are {pictures} pictures to train on")
    return replace(config, batch_size=most)


def _decided(config: TrainingConfig, device: Choice, listener: JobListener) -> TrainingConfig:
    """The configuration with the precision decided, checked as far as it can be before anything is read."""
    precision = choose_precision(config.precision, device.value)
    listener.say(f"device: {device}; precision: {precision}")
    return replace(config, precision=precision.value)


def _prepare(root: Path, holdout: Holdout | None, listener: JobListener) -> Prepared:
    prepared = prepare(root, holdout, listener.bar("audit"))
    tell_pictures(prepared, holdout, listener)
    return prepared


def _train_mask(prepared: Prepared, config: TrainingConfig) -> np.ndarray:
    """Which pictures are trained on. A head on a frozen trunk may know everybody: the trunk learns nothing of them."""
    if config.task == "classification" and config.trainable == "head":
        return ~prepared.split.image_held
    return prepared.split.train
