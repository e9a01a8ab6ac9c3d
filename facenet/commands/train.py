"""``train TASK`` or ``train --recipe NAME`` and, in the original words, ``--train-module inception|classification``."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

from facenet.commands.common import add_common_flags, emit_json, note, print_table
from facenet.commands.models import is_offline
from facenet.commands.train_flags import add_data_flags, add_holdout_flags, add_recipe_flags, add_setting_flags
from facenet.commands.train_recipes import show_recipes
from facenet.errors import UsageError, printable

if TYPE_CHECKING:
    from facenet.data.splits import Holdout
    from facenet.recipes.recipe import Recipe
    from facenet.training.engine import Outcome
    from facenet.workflows.train import TrainResult

TASKS = {"triplet": "triplet", "inception": "triplet", "classification": "classification", "siamese": "siamese"}
MODULES = {"triplet": "inception", "classification": "classification", "siamese": "siamese"}
INTERRUPTED = 130


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``train`` parser."""
    parser = subparsers.add_parser(
        "train",
        help="fine-tune an embedding network, or train a head on it; by published recipes or settings of one's own",
        description="Settings that are not given are those of the recipe, if there is one, or else the task's "
        "defaults; the run folder records them all. A flag that the run would ignore is refused.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "task",
        nargs="?",
        choices=sorted(TASKS),
        help="what to train (inception: the original word for triplet); a recipe says it itself",
    )
    add_recipe_flags(parser)
    add_data_flags(parser)
    parser.add_argument(
        "--check", type=int, choices=(0, 1), default=0, help="1: resume the newest run of this task or recipe"
    )
    parser.add_argument("--offline", action="store_true", help="never use the network (also FACENET_OFFLINE=1)")
    parser.add_argument(
        "--aligned",
        action="store_true",
        help="the pictures are faces cut out of photos as the backbone's published weights want them",
    )
    add_holdout_flags(parser)
    add_setting_flags(parser)
    add_common_flags(parser)
    parser.set_defaults(handler="facenet.commands.train:run")


def run(args: argparse.Namespace) -> int:
    """Train, or list the recipes; 0 when done, 130 when interrupted (and saved)."""
    if args.list:
        return show_recipes(args)
    recipe, task = _recipe_and_task(args)

    from facenet.commands.screen import Screen
    from facenet.workflows.train import Job, train

    job = Job(
        task=task,
        root=args.rootdir,
        runs=args.run_dir,
        settings=_settings(args, task),
        holdout=_holdout(args, None if recipe is None else recipe.holdout),
        resume=bool(args.check),
        device=args.device,
        offline=is_offline(args),
        aligned=args.aligned,
        command=tuple(sys.argv),
        recipe=recipe,
    )
    with Screen() as screen, stop_on_interrupt(screen.say) as stop:
        result = train(job, screen, stop)
    if args.json:
        emit_json(result.to_dict())
    elif result.outcome is not None:
        show_outcome(f"{task} training", result.outcome)
        show_checkpoint(result)
    if result.outcome is not None and result.outcome.status == "interrupted":
        places = [f"--rootdir={args.rootdir}", f"--run-dir={args.run_dir}"]
        module = MODULES[task] if recipe is None else recipe.words
        command = shlex.join(["python", "cli.py", "--train-module", module, *places, "--check", "1"])
        note(f"stopped and saved: go on with  {printable(command)}")
        return INTERRUPTED
    return 0


def _recipe_and_task(args: argparse.Namespace) -> tuple[Recipe | None, str]:
    """The recipe asked for, if one was, and the task that it or the command line names."""
    given = None if args.task is None else TASKS[args.task]
    if args.recipe is None:
        if given is None:
            raise UsageError(
                f"say what to train, one of {', '.join(sorted(TASKS))}, or --recipe NAME: "
                "see `python cli.py train --list`"
            )
        return None, given
    from facenet.recipes.recipe import load_recipe

    recipe = load_recipe(args.recipe)
    if given not in (None, recipe.task):
        raise UsageError(f"recipe {printable(recipe.words)} is for {recipe.task} training, not {given}: leave it out")
    return recipe, recipe.task


def show_outcome(title: str, outcome: Outcome) -> None:
    """Print what training changed, as a table."""
    rows = [
        (name, *(f"{found[name]:.4f}" if name in found else "-" for found in (outcome.start, outcome.best)))
        for name in outcome.last
    ]
    if rows:
        best = f"best (epoch {outcome.progress.best_epoch})"
        print_table(f"{title}: held-out pictures", ("metric", "start", best), rows)
    note(
        f"{outcome.progress.epoch} epochs, {outcome.progress.step} steps, {outcome.seconds:.0f} s, "
        f"{outcome.images_per_second:.0f} images/s"
    )
    if outcome.worse_than_start:
        note("training did not improve on the starting weights, which are kept: try a lower --lr or more pictures")


def show_checkpoint(result: TrainResult) -> None:
    """Say where the model is."""
    if result.checkpoint is not None:
        note(f"checkpoint: {printable(result.checkpoint)}")


@contextmanager
def stop_on_interrupt(say: Callable[[str], None]) -> Iterator[Callable[[], bool]]:
    """Within the block, the first Ctrl-C (or SIGTERM) asks to stop after the step; the second stops at once."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        say("finishing this step and saving; once more to stop at once")

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, ask) for number in numbers]
    try:
        yield lambda: asked
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _settings(args: argparse.Namespace, task: str) -> dict[str, Any]:
    """What was explicitly given of the training configuration."""
    from dataclasses import fields

    from facenet.training.config import TrainingConfig

    names = {field.name for field in fields(TrainingConfig)} - {"task", "lr"}
    given = {name: value for name, value in vars(args).items() if name in names}
    own = args.lrin if task == "triplet" else args.lrcl
    rate = own if own is not None else args.lr
    return given if rate is None else {**given, "lr": rate}


def _holdout(args: argparse.Namespace, base: Mapping[str, Any] | None = None) -> Holdout | None:
    """The split asked for, on top of a recipe's, or None if nothing was said about it on the command line."""
    from facenet.data.splits import Holdout

    given: dict[str, Any] = {}
    if args.holdout is not None:
        given["kind"] = args.holdout
    if args.holdout_images is not None:
        if args.holdout == "folder":
            raise UsageError("--holdout-images goes with --holdout images or people")
        given["images"] = args.holdout_images
    if args.holdout_seed is not None:
        given["seed"] = args.holdout_seed
    if args.holdout_keep is not None:
        given["keep"] = args.holdout_keep
    if args.holdout_people is not None:
        if args.holdout not in (None, "people"):
            raise UsageError("--holdout-people goes with --holdout people")
        given |= {"kind": "people", **_people(args.holdout_people)}
    if not given:
        return None
    recipe = {} if base is None else dict(base)
    if given.get("kind", recipe.get("kind")) != "people" or "people" in given:
        # A recipe's names are those of another choice.
        recipe.pop("names", None)
    return Holdout(**{**recipe, **given})


def _people(text: str) -> dict[str, Any]:
    """``3`` → a number, ``0.25`` → a share, anything else → names."""
    try:
        return {"people": int(text) if text.isdecimal() else float(text)}
    except ValueError:
        return {"names": tuple(name for name in text.split(",") if name)}
