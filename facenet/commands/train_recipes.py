"""``train --list``: the recipes there are, and all about one of them."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterable
from typing import TYPE_CHECKING

from facenet.commands.common import emit_json, print_table
from facenet.errors import printable

if TYPE_CHECKING:
    from facenet.recipes.recipe import Recipe


def show_recipes(args: argparse.Namespace) -> int:
    """List the recipes, or with ``--recipe`` describe that one; 0."""
    from facenet.recipes.recipe import load_recipe, recipe_names

    if args.recipe is not None:
        recipe = load_recipe(args.recipe)
        if args.json:
            emit_json(recipe.to_dict() | {"command": command_of(recipe)})
        else:
            _describe(recipe)
        return 0
    recipes = [load_recipe(name) for name in recipe_names()]
    if args.json:
        listed = [
            {"name": recipe.name, "task": recipe.task, "network": network_of(recipe), "summary": recipe.summary}
            for recipe in recipes
        ]
        emit_json({"recipes": listed})
        return 0
    rows = [(recipe.name, recipe.task, network_of(recipe), recipe.summary) for recipe in recipes]
    print_table("Recipes", ("name", "task", "network", "summary"), rows)
    print("all about one:  python cli.py train --list --recipe NAME")
    return 0


def network_of(recipe: Recipe) -> str:
    """Backbone and neck, in words."""
    from facenet.training.config import TrainingConfig

    if recipe.settings.get("pretrained") == "tuned" and "backbone" not in recipe.settings:
        return "the newest triplet run's"
    neck = recipe.settings.get("neck", TrainingConfig.neck)
    backbone: str = recipe.settings.get("backbone", TrainingConfig.backbone)
    return backbone if neck == "none" else f"{backbone} + {neck}"


def command_of(recipe: Recipe) -> str:
    """The command line that trains by it."""
    return f"python cli.py train --recipe {shlex.quote(recipe.words)} --rootdir DIR"


def _describe(recipe: Recipe) -> None:
    print(printable(recipe.name) + (f": {printable(recipe.summary)}" if recipe.summary else ""))
    _table("Settings", recipe.settings.items())
    print("all other settings have the defaults of the task")
    if recipe.holdout is not None:
        _table("Held out", recipe.holdout.items())
    if recipe.published:
        _table("As published", recipe.published.items())
    if recipe.differs:
        print("What is different here, and why")
        for text in recipe.differs:
            print(f"  - {printable(text)}")
    if recipe.most_classes is not None:
        print(f"Published for at most {recipe.most_classes:,} classes")
    print(f"To train:  {printable(command_of(recipe))}")


def _table(title: str, items: Iterable[tuple[str, object]]) -> None:
    # A column that must not be taken for numbers: texts and numbers are mixed.
    rows = [(name.replace("_", " "), printable(_shown(value))) for name, value in items]
    print_table(title, ("what", "value"), rows)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, tuple) else str(value)
