"""All that decides a training run, as one frozen table of plain values that is printed, stored and compared."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from facenet.errors import CheckpointError, UsageError

TASKS = ("triplet", "classification", "siamese")
TRIPLETS = ("mined", "sampled")
LOSSES = ("squared-l2", "mean-difference")
OPTIMISERS = ("sgd", "adam", "adamw")
PRIMARY = (
    "roc_auc", "balanced_accuracy", "tar_at_fmr_0.01", "tar_at_fmr_0.001", "rank_1", "rank_5", "accuracy", "macro_f1",
    "pair_f1", "pair_roc_auc",
)  # fmt: skip
"""Metrics by which weights can be best; of all of them more is better."""
BATCH_NORMS = ("auto", "train", "frozen")
SCHEDULES = ("constant", "step", "exponential", "cosine", "plateau")
WATCHED = ("primary", "loss")
MEASURES = ("verification", "identification", "classification", "pairs")
"""What can be measured on held-out pictures; ``all`` stands for all that the model and the pictures allow."""

MOST_SEED = 2**63 - 1
"""What every generator in use takes."""

MOST_WORKERS = 256
"""Loading processes; each holds a copy of the program, and more than this would only exhaust the machine."""

MAY_CHANGE_ON_RESUME = frozenset({"epochs", "patience", "save_steps", "save_seconds", "eval_every", "workers"})
"""What a resumed run may set anew. All else is part of what the run *is*: changing it makes a new run."""


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of one run.

    Attributes:
        task: ``triplet``, ``classification`` or ``siamese``.
        backbone: name in the registry.
        neck: layers on top of the backbone, ``none``, ``linear-N-...`` or ``conv-N-...``; see
            :mod:`facenet.models.necks`.
        image_size: ``HxW`` in pixels of the network's input, or ``auto``: the backbone's own.
        resize: a whole picture's shorter side is scaled to so many pixels before the input is cut from its middle; 0:
            it is scaled until the input is just covered.
        pretrained: ``auto``, ``none``, a catalogue name or a path; see :func:`facenet.models.weights.pretrain`.
        trainable: ``all``, ``last:N`` or ``head``; see :class:`facenet.models.face_model.FaceModel`.
        dropout: share of values dropped in training, where backbone, neck or head have such a layer.
        epochs: passes over the training pictures.
        batch_size: samples in a batch: pictures, sampled triplets or (siamese) pairs.
        triplets: ``mined`` in P×K batches, or ``sampled``: planned before, each an anchor, another picture of the same
            person and one of somebody else.
        anchor: a word in the names of the files that are each person's reference picture, such as ``script``: the
            anchors of sampled triplets and the first pictures of pairs. Empty: any picture may be.
        images_per_person: K of a P×K batch (mined triplets).
        accumulate: batches whose gradients are added up before a step.
        optimiser, lr, momentum, weight_decay, amsgrad: of the optimiser; ``momentum`` is SGD's, ``amsgrad`` Adam's.
        schedule: of the learning rate. ``step`` multiplies by ``gamma`` every ``step_epochs``, ``exponential`` by
            ``gamma`` every epoch, ``cosine`` falls to zero over the run, ``plateau`` multiplies by ``gamma`` when
            what it watches has not improved for more than ``step_epochs`` evaluations.
        plateau_watch: ``primary``, or ``loss``: the cross entropy of held-out pictures.
        plateau_threshold: relative change that counts as an improvement.
        warmup: share of all steps over which the learning rate rises (cosine).
        clip: largest gradient norm, 0 for no limit.
        loss: of sampled triplets: ``squared-l2``, or ``mean-difference``; see :mod:`facenet.losses`.
        margin: of miner and loss alike, in squared L2.
        soft: soft-margin loss instead of the hinge.
        mining: triplet selection, see :class:`facenet.mining.Strategy`.
        fallback: of ``semihard`` for pairs without a semi-hard negative, see :class:`facenet.mining.Fallback`.
        head: ``linear``, ``arcface`` or ``cosface`` (classification).
        balanced: draw every person equally often, however many pictures they have (classification).
        augmentation: name of the policy.
        batch_norm: ``train``, ``frozen`` (running statistics stay those of the starting weights) or ``auto``: frozen if
            these were trained. The few people of a small folder are a biased sample; their statistics undo more of a
            good network than its weights can gain.
        precision: ``fp32``, ``bf16``, ``fp16`` or ``auto``; the run stores what ``auto`` came to.
        compile: use ``torch.compile``.
        workers: loading processes, at most :data:`MOST_WORKERS`; -1 for automatic.
        seed: of everything random.
        measure: what is measured on held-out pictures: ``all``, or some of :data:`MEASURES`, separated by commas. What
            is left out costs no time.
        primary: the metric that decides which weights are best.
        patience: evaluations without improvement before the run stops, 0 for never.
        eval_every: epochs between evaluations.
        save_steps: optimiser steps between checkpoints, 0 for none within an epoch.
        save_seconds: shortest time between checkpoints at the ends of epochs.
        keep_epochs: also keep the weights of every epoch.
    """

    task: str = "triplet"
    backbone: str = "inception_resnet_v1"
    neck: str = "none"
    image_size: str = "auto"
    resize: int = 0
    pretrained: str = "auto"
    trainable: str = "all"
    dropout: float = 0.0
    epochs: int = 20
    batch_size: int = 32
    triplets: str = "mined"
    anchor: str = ""
    images_per_person: int = 4
    accumulate: int = 1
    optimiser: str = "adam"
    lr: float = 5e-4
    momentum: float = 0.9
    weight_decay: float = 0.0
    amsgrad: bool = False
    schedule: str = "cosine"
    warmup: float = 0.05
    gamma: float = 0.1
    step_epochs: int = 10
    plateau_watch: str = "primary"
    plateau_threshold: float = 1e-4
    clip: float = 0.0
    loss: str = "squared-l2"
    margin: float = 0.2
    soft: bool = False
    mining: str = "semihard"
    fallback: str = "hardest"
    head: str = "linear"
    balanced: bool = True
    augmentation: str = "light"
    batch_norm: str = "auto"
    precision: str = "auto"
    compile: bool = False
    workers: int = -1
    seed: int = 0
    measure: str = "all"
    primary: str = "roc_auc"
    patience: int = 0
    eval_every: int = 1
    save_steps: int = 0
    save_seconds: float = 120.0
    keep_epochs: bool = False

    @property
    def measures(self) -> frozenset[str]:
        """What is measured on held-out pictures, some of :data:`MEASURES`."""
        return frozenset(MEASURES if self.measure == "all" else self.measure.split(","))

    def __post_init__(self) -> None:
        for what, value, choices in (
            ("task", self.task, TASKS),
            ("triplets", self.triplets, TRIPLETS),
            ("loss", self.loss, LOSSES),
            ("optimiser", self.optimiser, OPTIMISERS),
            ("schedule", self.schedule, SCHEDULES),
            ("plateau watch", self.plateau_watch, WATCHED),
            ("primary", self.primary, PRIMARY),
            ("batch norm", self.batch_norm, BATCH_NORMS),
        ):
            _one_of(what, value, choices)
        if not isinstance(self.measure, str):
            raise UsageError(f"--measure takes words, not {self.measure!r}")
        for measure in self.measures:
            _one_of("measure", measure, MEASURES)
        for name in ("epochs", "batch_size", "images_per_person", "accumulate", "step_epochs", "eval_every"):
            if getattr(self, name) < 1:
                raise UsageError(f"{_flag(name)} must be at least 1, not {getattr(self, name)}")
        for name in (
            "seed", "patience", "save_steps", "weight_decay", "momentum", "clip", "save_seconds",
            "resize", "plateau_threshold",
        ):  # fmt: skip
            if not 0 <= getattr(self, name) < math.inf:
                raise UsageError(f"{_flag(name)} must be a finite number and not negative, got {getattr(self, name)}")
        if self.seed > MOST_SEED:
            raise UsageError(f"--seed must be from 0 to {MOST_SEED:,}, not {self.seed:,}")
        if not -1 <= self.workers <= MOST_WORKERS:
            raise UsageError(f"--workers must be from 0 to {MOST_WORKERS}, or -1 for automatic, not {self.workers}")
        for name in ("lr", "margin", "gamma"):
            if not 0 < getattr(self, name) < math.inf:
                raise UsageError(f"{_flag(name)} must be a positive number, not {getattr(self, name)}")
        for name in ("dropout", "warmup"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"{_flag(name)} must be in [0, 1), not {getattr(self, name)}")
        self._check_combinations()

    def _check_combinations(self) -> None:
        """Refuse what would have no effect."""
        sampled = self.task == "triplet" and self.triplets == "sampled"
        if self.loss != "squared-l2" and not sampled:
            raise UsageError(f"--loss {self.loss} goes with --triplets sampled")
        if self.anchor and not (sampled or self.task == "siamese"):
            raise UsageError("--anchor goes with --triplets sampled, or with siamese training")
        if self.amsgrad and self.optimiser == "sgd":
            raise UsageError("--amsgrad goes with --optimiser adam or adamw")
        if self.plateau_watch == "loss" and self.schedule == "plateau" and "classification" not in self.measures:
            raise UsageError("--plateau-watch loss needs --measure classification")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainingConfig:
        """Read a stored configuration back.

        Raises:
            CheckpointError: unknown entries or impossible values.
        """
        if not isinstance(values, Mapping) or set(values) - {field.name for field in fields(cls)}:
            raise CheckpointError("the stored configuration holds entries this version does not know")
        try:
            return cls(**values)
        except (TypeError, UsageError) as error:
            raise CheckpointError(f"the stored configuration cannot be read: {error}") from error

    def resumed_with(self, given: Mapping[str, Any]) -> TrainingConfig:
        """This stored configuration, with what was explicitly given for the resumed run.

        Raises:
            UsageError: something is given anew that a resumed run may not change.
        """
        # The run knows what "auto" came to.
        decided = {name for name in ("precision", "batch_norm") if given.get(name) == "auto"}
        given = {name: value for name, value in given.items() if name not in decided}
        for name, value in given.items():
            before = getattr(self, name)
            if value != before and name not in MAY_CHANGE_ON_RESUME:
                raise UsageError(
                    f"the run to resume has {_flag(name)} {before}, not {value}: leave the flag out, "
                    "or start a new run with --check 0"
                )
        return replace(self, **given)


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UsageError(f"unknown {name} {value!r}: choose one of {', '.join(choices)}")


def _flag(name: str) -> str:
    return {"epochs": "--ep", "batch_size": "--bs"}.get(name, "--" + name.replace("_", "-"))
