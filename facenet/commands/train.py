"""``train triplet|classification`` and, in the original words, ``--train-module inception|classification``."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from facenet.commands.common import add_common_flags, emit_json, note, print_table
from facenet.commands.models import is_offline
from facenet.errors import UsageError, printable

if TYPE_CHECKING:
    from facenet.data.splits import Holdout
    from facenet.training.engine import Outcome
    from facenet.workflows.train import TrainResult

TASKS = {"triplet": "triplet", "inception": "triplet", "classification": "classification"}
MODULES = {"triplet": "inception", "classification": "classification"}
INTERRUPTED = 130

_SETTINGS: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (("--ep", "--epochs"), {"dest": "epochs", "type": int, "help": "passes over the training pictures"}),
    (("--bs",), {"dest": "batch_size", "type": int, "help": "pictures in a batch"}),
    (("--images-per-person",), {"type": int, "help": "K of a P x K batch (triplet)"}),
    (("--accumulate",), {"type": int, "help": "batches whose gradients are added up before a step"}),
    (("--backbone",), {"help": "a network of `models list`"}),
    (("--pretrained",), {"help": "vggface2, casia-webface, imagenet, none, auto or a PATH"}),
    (("--trainable",), {"help": "all, last:N or head"}),
    (("--dropout",), {"type": float, "help": "before the embedding layer, in training"}),
    (("--optimiser", "--optimizer"), {"dest": "optimiser", "help": "sgd, adam or adamw"}),
    (("--momentum",), {"type": float, "help": "of sgd"}),
    (("--weight-decay",), {"type": float, "help": "of the optimiser"}),
    (("--schedule",), {"help": "constant, step, exponential, cosine or plateau"}),
    (("--warmup",), {"type": float, "help": "share of the run over which the learning rate rises (cosine)"}),
    (("--gamma",), {"type": float, "help": "factor of step, exponential and plateau"}),
    (("--step-epochs",), {"type": int, "help": "epochs between steps, or the plateau's patience"}),
    (("--clip",), {"type": float, "help": "largest gradient norm, 0 for none"}),
    (("--margin",), {"type": float, "help": "of miner and loss, in squared L2 (triplet)"}),
    (("--soft",), {"action": "store_true", "help": "soft margin (triplet)"}),
    (("--mining",), {"help": "semihard, hard, all, distance_weighted or random (triplet)"}),
    (("--fallback",), {"help": "hardest, easiest or none: for pairs without a semi-hard negative (triplet)"}),
    (("--head",), {"help": "linear, arcface or cosface (classification)"}),
    (("--unbalanced",), {"dest": "balanced", "action": "store_false", "help": "draw every picture equally often"}),
    (("--augmentation",), {"help": "none, flip, light or strong"}),
    (("--batch-norm",), {"help": "train, frozen or auto: frozen when starting from trained weights"}),
    (("--precision",), {"help": "auto, fp32, bf16 or fp16"}),
    (("--compile",), {"action": "store_true", "help": "use torch.compile"}),
    (("--workers",), {"type": int, "help": "loading processes, -1 for automatic"}),
    (("--seed",), {"type": int, "help": "of everything random"}),
    (("--primary",), {"help": "metric that decides which weights are best"}),
    (("--patience",), {"type": int, "help": "stop after so many evaluations without improvement, 0 for never"}),
    (("--eval-every",), {"type": int, "help": "epochs between evaluations"}),
    (("--save-steps",), {"type": int, "help": "steps between checkpoints, 0 for the ends of epochs only"}),
    (("--save-seconds",), {"type": float, "help": "shortest time between checkpoints at the ends of epochs"}),
)


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``train`` parser."""
    parser = subparsers.add_parser(
        "train",
        help="fine-tune an embedding network with triplets, or train a classification head",
        description="Settings that are not given have the task's defaults; the run folder records them all.",
        allow_abbrev=False,
    )
    parser.add_argument("task", choices=sorted(TASKS), help="what to train (inception: the original word for triplet)")
    add_data_flags(parser)
    parser.add_argument("--check", type=int, choices=(0, 1), default=0, help="1: resume the newest run of this task")
    parser.add_argument("--offline", action="store_true", help="never use the network (also FACENET_OFFLINE=1)")
    parser.add_argument(
        "--aligned",
        action="store_true",
        help="the pictures are faces cut out of photos as the backbone's published weights want them",
    )
    rates = parser.add_argument_group("learning rate")
    rates.add_argument("--lr", type=float, help="of this task")
    rates.add_argument("--lrin", type=float, help="of triplet training")
    rates.add_argument("--lrcl", type=float, help="of the classification head")
    held = parser.add_argument_group("held-out pictures")
    held.add_argument("--holdout", choices=("images", "people"), help="some pictures of everybody, or people whole")
    held.add_argument("--holdout-images", type=float, metavar="SHARE", help="share of each person's pictures")
    held.add_argument("--holdout-people", metavar="N|SHARE|NAME,NAME", help="which people (implies --holdout people)")
    held.add_argument("--holdout-seed", type=int, metavar="N", help="changes which are held out")
    settings = parser.add_argument_group("settings")
    for flags, options in _SETTINGS:
        settings.add_argument(*flags, **{"default": argparse.SUPPRESS, **options})
    add_common_flags(parser)
    parser.set_defaults(handler="facenet.commands.train:run")


def add_data_flags(parser: argparse.ArgumentParser) -> None:
    """Add ``--rootdir`` and ``--run-dir``."""
    parser.add_argument(
        "--rootdir", type=Path, default=Path("datasets/custom_images"), help="folder of people (default: %(default)s)"
    )
    parser.add_argument("--run-dir", type=Path, default=Path("runs"), help="folder of runs (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Train; 0 when done, 130 when interrupted (and saved)."""
    from facenet.commands.screen import Screen
    from facenet.workflows.train import Job, train

    task = TASKS[args.task]
    job = Job(
        task=task,
        root=args.rootdir,
        runs=args.run_dir,
        settings=_settings(args, task),
        holdout=_holdout(args),
        resume=bool(args.check),
        device=args.device,
        offline=is_offline(args),
        aligned=args.aligned,
        command=tuple(sys.argv),
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
        command = shlex.join(["python", "cli.py", "--train-module", MODULES[task], *places, "--check", "1"])
        note(f"stopped and saved: go on with  {printable(command)}")
        return INTERRUPTED
    return 0


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


def _holdout(args: argparse.Namespace) -> Holdout | None:
    """The split asked for, or None if nothing was said about it."""
    from facenet.data.splits import Holdout

    given: dict[str, Any] = {}
    if args.holdout is not None:
        given["kind"] = args.holdout
    if args.holdout_images is not None:
        given["images"] = args.holdout_images
    if args.holdout_seed is not None:
        given["seed"] = args.holdout_seed
    if args.holdout_people is not None:
        if args.holdout == "images":
            raise UsageError("--holdout-people goes with --holdout people")
        given |= {"kind": "people", **_people(args.holdout_people)}
    return Holdout(**given) if given else None


def _people(text: str) -> dict[str, Any]:
    """``3`` → a number, ``0.25`` → a share, anything else → names."""
    try:
        return {"people": int(text) if text.isdecimal() else float(text)}
    except ValueError:
        return {"names": tuple(name for name in text.split(",") if name)}
