"""Where each setting of a run comes from: the task's defaults, a recipe, the command line, or a decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from facenet.data.augmentation import POLICIES
from facenet.errors import CheckpointError, UsageError, printable
from facenet.losses import triplet_loss
from facenet.mining import Fallback, Strategy
from facenet.models.heads import HEADS
from facenet.recipes.recipe import Recipe, by_key
from facenet.training.config import TrainingConfig
from facenet.training.files import read_json
from facenet.training.runs import RunFolder
from facenet.workflows.used_settings import REFUSED_UNUSED, is_used, require_used

TASK_DEFAULTS: dict[str, dict[str, Any]] = {
    "triplet": {},
    "classification": {
        "trainable": "head",
        "epochs": 30,
        "lr": 1e-2,
        "augmentation": "none",
        "primary": "accuracy",
        "pretrained": "tuned",
    },
    "siamese": {
        "trainable": "head",
        "epochs": 30,
        "lr": 1e-2,
        "augmentation": "none",
        # Unlike F1, it is not fooled by a head that calls every pair the same person.
        "primary": "pair_roc_auc",
        "pretrained": "tuned",
    },
}
"""Where a task's defaults differ from those of :class:`TrainingConfig`. ``tuned`` is the newest triplet run's trunk."""

_WORDS = {"mining": tuple(Strategy), "fallback": tuple(Fallback), "head": HEADS, "augmentation": POLICIES}
"""Settings that are one of a few words."""


@dataclass(frozen=True)
class Settings:
    """Settings from all the places they come from; the later place wins.

    Attributes:
        task: decides the defaults.
        recipe: whose settings override these, or None.
        given: what the command line says, which overrides both.
    """

    task: str
    recipe: Recipe | None
    given: Mapping[str, Any]

    @property
    def chosen(self) -> dict[str, Any]:
        """What recipe or command line say: what nobody may quietly replace by something gentler."""
        return {**({} if self.recipe is None else self.recipe.settings), **self.given}

    @property
    def pointless(self) -> tuple[str, ...]:
        """What the recipe says and the command line has made pointless, such as ``amsgrad`` by another optimiser.

        Raises:
            UsageError: as :meth:`configuration`.
        """
        if self.recipe is None:
            return ()
        said = self.recipe.settings
        try:
            require_used(said, _checked({**TASK_DEFAULTS[self.task], **said, "task": self.task}))
        except UsageError as error:
            raise UsageError(f"recipe {printable(self.recipe.words)}: {by_key(str(error))}") from error
        open_to_doubt = {name for name in said if name in REFUSED_UNUSED and name not in self.given}
        rest = {name: value for name, value in self.chosen.items() if name not in open_to_doubt}
        config = self._possible({**TASK_DEFAULTS[self.task], **rest, "task": self.task})
        return tuple(name for name in said if name not in self.given and not is_used(name, config))

    @property
    def merged(self) -> dict[str, Any]:
        """All that differs from the defaults of :class:`TrainingConfig`, without what is :attr:`pointless`.

        Raises:
            UsageError: as :meth:`configuration`.
        """
        pointless = self.pointless
        chosen = {name: value for name, value in self.chosen.items() if name not in pointless}
        return {**TASK_DEFAULTS[self.task], **chosen, "task": self.task}

    def configuration(self, merged: Mapping[str, Any]) -> TrainingConfig:
        """The configuration that these settings make.

        Args:
            merged: :attr:`merged`, perhaps with what a tuned trunk brings along.

        Raises:
            UsageError: an impossible value, settings that do not go together, or the command line, or the recipe by
                itself, asks for something that this run would ignore.
        """
        config = self._possible(merged)
        self.require_used(config)
        return config

    def _possible(self, values: Mapping[str, Any]) -> TrainingConfig:
        """See :meth:`configuration`; what is wrong with the command line by itself is not the recipe's fault."""
        try:
            return _checked(values)
        except UsageError as error:
            if self.recipe is None:
                raise
            _checked({**TASK_DEFAULTS[self.task], **self.given, "task": self.task})
            flags = " with these flags" if self.given else ""
            raise UsageError(f"recipe {printable(self.recipe.words)}{flags}: {error}") from error

    def require_used(self, config: TrainingConfig) -> None:
        """Refuse what the command line asks for and a run with this configuration would ignore.

        Giving back a default that the recipe has changed asks for nothing.

        Raises:
            UsageError: names the flags.
        """
        recipe = {} if self.recipe is None else self.recipe.settings
        require_used(
            [
                name
                for name, value in self.given.items()
                if name not in recipe or value != getattr(TrainingConfig, name)
            ],
            config,
        )

    def source(self, name: str, config: TrainingConfig) -> str:
        """Where a setting of the final configuration comes from.

        Returns:
            ``default``, ``recipe``, ``command line``, or ``decided`` if it is none of what these say.
        """
        final = getattr(config, name)
        if final != self.merged.get(name, getattr(TrainingConfig, name)):
            return "decided"
        if name in self.given:
            return "command line"
        return "recipe" if self.recipe is not None and name in self.recipe.settings else "default"

    def lines(self, config: TrainingConfig) -> list[str]:
        """What the run uses of the final configuration: an aligned table of setting, value and where it comes from."""
        rows = [("setting", "value", "from")]
        rows += [
            (name, shown(value), self.source(name, config))
            for name, value in config.to_dict().items()
            if is_used(name, config)
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(2)]
        return [f"  {name:<{widths[0]}}  {value:<{widths[1]}}  {source}" for name, value, source in rows]

    def record(self) -> dict[str, Any] | None:
        """What ``run.json`` keeps of the recipe: which file it was, and what the command line made of it."""
        if self.recipe is None:
            return None
        recipe = self.recipe.settings
        return {
            "name": self.recipe.name,
            "path": self.recipe.path,
            "sha256": self.recipe.sha256,
            "overridden": {
                name: {"recipe": recipe[name], "given": value}
                for name, value in self.given.items()
                if name in recipe and recipe[name] != value
            },
            "pointless": list(self.pointless),
        }


def _checked(values: Mapping[str, Any]) -> TrainingConfig:
    """The configuration, with the words in it that only the parts they name would know to be wrong.

    Raises:
        UsageError: see :class:`TrainingConfig`, or an unknown word.
    """
    config = TrainingConfig(**values)
    for name, choices in _WORDS.items():
        word = getattr(config, name)
        if word not in choices:
            raise UsageError(f"unknown --{name} {printable(word)!r}: choose one of {', '.join(choices)}")
    if config.task == "triplet" and config.triplets == "sampled":
        triplet_loss(config.loss, config.margin, soft=config.soft)
    return config


def shown(value: object) -> str:
    """A plain value for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return printable(value) if value != "" else "-"


def recipe_record(run: RunFolder) -> dict[str, Any] | None:
    """What a run's ``run.json`` keeps of the recipe it was started with, or None if with none.

    Raises:
        CheckpointError: the file is damaged.
    """
    record = read_json(run.path / "run.json").get("recipe")
    if record is None or (isinstance(record, dict) and isinstance(record.get("name"), str)):
        return record
    raise CheckpointError(f"{printable(run.path / 'run.json')} is damaged: the entry 'recipe' cannot be read")


def made_by(record: Mapping[str, Any] | None, recipe: Recipe) -> bool:
    """Whether a run with this record was started by that recipe, perhaps an earlier edition of its file."""
    if record is None or record["name"] != recipe.name:
        return False
    # A file of one's own may be called like one of the package's; it is another recipe all the same.
    return (record.get("path") is None) == (recipe.path is None)
