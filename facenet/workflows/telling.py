"""What a job says about what it starts from: settings, weights, pictures."""

from __future__ import annotations

from pathlib import Path

from facenet.data.alignments import declared_contract
from facenet.data.splits import Holdout
from facenet.errors import printable
from facenet.models.backbone import Backbone
from facenet.models.weights import Origin
from facenet.recipes.recipe import Recipe
from facenet.training.config import TrainingConfig
from facenet.workflows.listeners import JobListener
from facenet.workflows.prepare import Prepared
from facenet.workflows.settings import Settings

_MOST_LINES = 5
"""Findings of each kind that are shown; ``audit.json`` in the run folder has them all."""


def tell_recipe(
    recipe: Recipe, settings: Settings, config: TrainingConfig, classes: int, listener: JobListener
) -> None:
    """Which recipe it is, the settings that the run uses and where they come from, and more classes than it is for."""
    listener.say(f"recipe: {printable(recipe.words)}")
    if settings.pointless:
        listener.say(f"left out of it, for the flags given make it pointless: {', '.join(settings.pointless)}")
    for line in settings.lines(config):
        listener.say(line)
    if recipe.most_classes is not None and classes > recipe.most_classes:
        listener.warn(
            f"{classes:,} classes: {printable(recipe.words)} was published for at most {recipe.most_classes:,}; "
            "training goes on"
        )


def tell_origin(origin: Origin, config: TrainingConfig, listener: JobListener) -> None:
    """Where the weights of the trunk come from."""
    if origin.fallback:
        listener.warn(
            f"no pretrained weights for {config.backbone} at hand: starting from RANDOM weights. Faces will be told "
            "apart far worse than with pretrained ones; see `python cli.py models list`"
        )
    else:
        listener.say(f"starting weights: {origin.kind} ({printable(origin.source)})")


def tell_contract(trunk: Backbone, root: Path, aligned: bool, listener: JobListener) -> None:
    """What the pictures are taken for: faces cut out of photos, or whole."""
    contract = trunk.preprocessing
    if contract.finds_faces:
        listener.say(f"pictures: faces cut by {contract.crop}; the checkpoint finds and cuts faces in photos likewise")
    elif aligned or declared_contract(root) is not None:
        listener.warn(
            "these faces were cut out of photos, but the trunk was tuned on whole pictures: it will take photos whole"
        )
    else:
        listener.say("pictures: taken whole, as faces; see --aligned if they were cut out of photos")


def tell_pictures(prepared: Prepared, asked: Holdout | None, listener: JobListener) -> None:
    """How many pictures there are, how many are held out, and what was found wrong with them.

    Args:
        prepared: the pictures.
        asked: what was to be held out; None if nothing was said about it.
        listener: told.
    """
    counts, split = prepared.folder.counts(), prepared.split
    listener.say(
        f"audit: {len(counts):,} people, {len(prepared.folder):,} pictures ({counts.min()} to {counts.max()} each), "
        f"{len(prepared.audit.left_out):,} left out"
    )
    whole = f" and {split.person_held.sum():,} people whole" if split.person_held.any() else ""
    if prepared.holdout.kind == "folder":
        listener.say(f"held out: {split.held_images.sum():,} pictures in the folder beside the training folder")
    else:
        listener.say(f"held out: {split.held_images.sum():,} pictures of people trained on{whole}")
    tops = {name.partition("/")[0] for name in prepared.folder.people}
    if asked is None and len(tops) == 1 and (top := tops.pop()).lower().startswith("train"):
        listener.say(f"there are no pictures in a folder such as validation/ beside {printable(top)}/ to hold out")
    for line in prepared.audit.lines(_MOST_LINES, shared_people=prepared.holdout.kind != "folder"):
        listener.say(line)
