"""Where each setting of a run comes from: the task's defaults, a recipe, the command line, or a decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from facenet.errors import CheckpointError, printable
from facenet.recipes.recipe import Recipe
from facenet.training.config import TrainingConfig
from facenet.training.files import read_json
from facenet.training.runs import RunFolder

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
    def merged(self) -> dict[str, Any]:
        """All that differs from the defaults of :class:`TrainingConfig`."""
        return {**TASK_DEFAULTS[self.task], **self.chosen, "task": self.task}

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
        """The final configuration as an aligned table of setting, value and where it comes from."""
        rows = [("setting", "value", "from")]
        rows += [(name, shown(value), self.source(name, config)) for name, value in config.to_dict().items()]
        widths = [max(len(row[column]) for row in rows) for column in range(2)]
        return [f"  {name:<{widths[0]}}  {value:<{widths[1]}}  {source}" for name, value, source in rows]

    def record(self) -> dict[str, Any] | None:
        """What ``run.json`` keeps of the recipe: which file it was, and what the command line changed of it."""
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
        }


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
