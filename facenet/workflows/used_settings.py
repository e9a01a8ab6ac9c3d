"""Which settings a run uses: many matter to one task, optimiser or schedule only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from facenet.errors import UsageError
from facenet.models.registry import takes_dropout
from facenet.training.config import TrainingConfig


@dataclass(frozen=True)
class Use:
    """When a setting matters.

    Attributes:
        matters: whether a run with this configuration, which is checked already, would be another one if the setting
            had another value.
        goes_with: the same for people, in the words of the command line.
    """

    matters: Callable[[TrainingConfig], bool]
    goes_with: str


def _trunk_learns(config: TrainingConfig) -> bool:
    # Without a head, "head" is the trunk's own embedding layer.
    return config.task == "triplet" or config.trainable != "head"


def _mined(config: TrainingConfig) -> bool:
    return config.task == "triplet" and config.triplets == "mined"


def _sampled(config: TrainingConfig) -> bool:
    return config.task == "triplet" and config.triplets == "sampled"


def _drops(config: TrainingConfig) -> bool:
    # The head for pairs has a layer that drops values; other heads have none.
    return config.task == "siamese" or (_trunk_learns(config) and takes_dropout(config.backbone, config.neck))


_TRIPLET = Use(lambda config: config.task == "triplet", "triplet training")
_MINED = Use(_mined, "mined triplets")
_CLASSIFICATION = Use(lambda config: config.task == "classification", "classification")
_PLATEAU = Use(lambda config: config.schedule == "plateau", "--schedule plateau")
_LEARNING = "a network that learns (--trainable all or last:N)"

USES: Mapping[str, Use] = {
    "triplets": _TRIPLET,
    "margin": _TRIPLET,
    "soft": _TRIPLET,
    "images_per_person": _MINED,
    "mining": _MINED,
    "fallback": Use(
        lambda config: _mined(config) and config.mining == "semihard", "triplets mined by --mining semihard"
    ),
    "loss": Use(_sampled, "--triplets sampled"),
    "anchor": Use(
        lambda config: _sampled(config) or config.task == "siamese", "--triplets sampled, or with siamese training"
    ),
    "head": _CLASSIFICATION,
    "balanced": _CLASSIFICATION,
    "dropout": Use(_drops, "a network that learns and has such a layer, or with siamese training"),
    "batch_norm": Use(_trunk_learns, _LEARNING),
    # Of a trunk that stays as it is, every picture is embedded once, before anything is compiled.
    "compile": Use(
        lambda config: _trunk_learns(config) or config.augmentation != "none",
        f"{_LEARNING}, or with an --augmentation",
    ),
    "momentum": Use(lambda config: config.optimiser == "sgd", "--optimiser sgd"),
    "amsgrad": Use(lambda config: config.optimiser in ("adam", "adamw"), "--optimiser adam or adamw"),
    "warmup": Use(lambda config: config.schedule == "cosine", "--schedule cosine"),
    "gamma": Use(
        lambda config: config.schedule in ("step", "exponential", "plateau"), "--schedule step, exponential or plateau"
    ),
    "step_epochs": Use(lambda config: config.schedule in ("step", "plateau"), "--schedule step or plateau"),
    "plateau_watch": _PLATEAU,
    "plateau_threshold": _PLATEAU,
}
"""When a setting matters, for those that do not matter always."""

ALWAYS = frozenset(
    {
        "task", "backbone", "neck", "image_size", "resize", "pretrained", "trainable", "augmentation",
        "epochs", "batch_size", "accumulate", "optimiser", "lr", "weight_decay", "clip", "schedule",
        "precision", "workers", "seed", "measure", "primary", "patience", "eval_every",
        "save_steps", "save_seconds", "keep_epochs",
    }
)  # fmt: skip
"""The others: together with :data:`USES` these are all fields of :class:`TrainingConfig`."""


REFUSED_UNUSED = frozenset({"loss", "anchor", "amsgrad"})
"""Of these, what :class:`TrainingConfig` itself refuses where it would be ignored."""


def is_used(name: str, config: TrainingConfig) -> bool:
    """Whether a run with this configuration uses the setting."""
    return name in ALWAYS or USES[name].matters(config)


def require_used(given: Iterable[str], config: TrainingConfig) -> None:
    """Refuse settings that were asked for and that the run would ignore.

    Args:
        given: names of settings.
        config: what the run would be.

    Raises:
        UsageError: names them all, and what each goes with.
    """
    ignored = [name for name in given if not is_used(name, config)]
    if not ignored:
        return
    named = "; ".join(f"--{name.replace('_', '-')} goes with {USES[name].goes_with}" for name in ignored)
    it = "it" if len(ignored) == 1 else "them"
    raise UsageError(f"{named}: this run would ignore {it}, leave {it} out")
