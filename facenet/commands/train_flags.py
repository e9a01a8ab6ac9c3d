"""Flags of ``train``: where pictures are and runs go, what is held out, and each setting of a training run."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from facenet.models.input_size import canonical_size


def number(text: str) -> float:
    """A finite number; its name is what argparse calls it in its own messages."""
    value = float(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"must be a finite number, not {text}")
    return value


_EITHER_WAY: dict[str, Any] = {"action": argparse.BooleanOptionalAction}
_RUN: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (("--ep", "--epochs"), {"dest": "epochs", "type": int, "help": "passes over the training pictures"}),
    (("--bs",), {"dest": "batch_size", "type": int, "help": "samples in a batch: pictures, sampled triplets or pairs"}),
    (("--accumulate",), {"type": int, "help": "batches whose gradients are added up before a step"}),
    (("--precision",), {"help": "auto, fp32, bf16 or fp16"}),
    (("--compile",), {**_EITHER_WAY, "help": "use torch.compile"}),
    (("--workers",), {"type": int, "help": "loading processes, -1 for automatic"}),
    (("--seed",), {"type": int, "help": "of everything random"}),
    (("--measure",), {"help": "all, or some of verification,identification,classification,pairs"}),
    (("--primary",), {"help": "metric that decides which weights are best"}),
    (("--patience",), {"type": int, "help": "stop after so many evaluations without improvement, 0 for never"}),
    (("--eval-every",), {"type": int, "help": "epochs between evaluations"}),
    (("--save-steps",), {"type": int, "help": "steps between checkpoints, 0 for the ends of epochs only"}),
    (("--save-seconds",), {"type": number, "help": "shortest time between checkpoints at the ends of epochs"}),
    (("--keep-epochs",), {**_EITHER_WAY, "help": "also keep the weights of every epoch"}),
)
_NETWORK: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (("--backbone",), {"help": "a network of `models list`"}),
    (("--neck",), {"help": "layers on top of it: none, linear-1000-256-108, conv-512-256 or the like"}),
    (("--image-size",), {"type": canonical_size, "metavar": "N|HxW", "help": "pixels of its input, auto for its own"}),
    (("--resize",), {"type": int, "help": "scale a picture's shorter side to this before its middle is cut out"}),
    (("--pretrained",), {"help": "vggface2, casia-webface, imagenet, none, auto or a PATH"}),
    (("--trainable",), {"help": "all, last:N or head"}),
    (
        ("--dropout",),
        {"type": number, "help": "share of values dropped in training, by networks that have such a layer"},
    ),
    (("--batch-norm",), {"help": "train, frozen or auto: frozen when starting from trained weights"}),
    (("--head",), {"help": "linear, arcface or cosface (classification)"}),
    (("--balanced",), {**_EITHER_WAY, "help": "draw every person equally often (classification)"}),
    (("--unbalanced",), {"dest": "balanced", "action": "store_false", "help": "the same as --no-balanced"}),
    (("--augmentation",), {"help": "none, flip, light or strong"}),
)
_OPTIMISER: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (("--optimiser", "--optimizer"), {"dest": "optimiser", "help": "sgd, adam or adamw"}),
    (("--momentum",), {"type": number, "help": "of sgd"}),
    (("--weight-decay",), {"type": number, "help": "of the optimiser"}),
    (("--amsgrad",), {**_EITHER_WAY, "help": "of adam and adamw"}),
    (("--clip",), {"type": number, "help": "largest gradient norm, 0 for none"}),
    (("--schedule",), {"help": "constant, step, exponential, cosine or plateau"}),
    (("--warmup",), {"type": number, "help": "share of the run over which the learning rate rises (cosine)"}),
    (("--gamma",), {"type": number, "help": "factor of step, exponential and plateau"}),
    (("--step-epochs",), {"type": int, "help": "epochs between steps, or the plateau's patience"}),
    (("--plateau-watch",), {"help": "primary, or loss: the held-out cross entropy"}),
    (("--plateau-threshold",), {"type": number, "help": "relative change that counts as an improvement"}),
)
_TRIPLETS: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (("--triplets",), {"help": "mined in P x K batches, or sampled: planned one by one (triplet)"}),
    (("--anchor",), {"metavar": "WORD", "help": "in the file names of reference pictures (sampled triplets, siamese)"}),
    (("--images-per-person",), {"type": int, "help": "K of a P x K batch (mined triplets)"}),
    (("--mining",), {"help": "semihard, hard, all, distance_weighted or random (mined triplets)"}),
    (("--fallback",), {"help": "hardest, easiest or none: for pairs without a semi-hard negative (mined triplets)"}),
    (("--loss",), {"help": "squared-l2 or mean-difference (sampled triplets)"}),
    (("--margin",), {"type": number, "help": "of miner and loss, in squared L2 (triplet)"}),
    (("--soft",), {**_EITHER_WAY, "help": "soft margin (triplet)"}),
)


def add_data_flags(parser: argparse.ArgumentParser) -> None:
    """Add ``--rootdir`` and ``--run-dir``."""
    parser.add_argument(
        "--rootdir", type=Path, default=Path("datasets/custom_images"), help="folder of people (default: %(default)s)"
    )
    parser.add_argument("--run-dir", type=Path, default=Path("runs"), help="folder of runs (default: %(default)s)")


def add_recipe_flags(parser: argparse.ArgumentParser) -> None:
    """Add ``--recipe`` and ``--list``."""
    parser.add_argument(
        "--recipe", metavar="NAME|PATH", help="settings by name (see --list), or from a .toml file of one's own"
    )
    parser.add_argument("--list", action="store_true", help="list the recipes; with --recipe: all about this one")


def add_holdout_flags(parser: argparse.ArgumentParser) -> None:
    """Add what decides which pictures are held out."""
    held = parser.add_argument_group("held-out pictures")
    held.add_argument(
        "--holdout",
        choices=("images", "people", "folder"),
        help="some pictures of everybody, people whole, or a validation folder beside a train folder",
    )
    held.add_argument("--holdout-images", type=number, metavar="SHARE", help="share of each person's pictures")
    held.add_argument("--holdout-people", metavar="N|SHARE|NAME,NAME", help="which people (implies --holdout people)")
    held.add_argument("--holdout-seed", type=int, metavar="N", help="changes which are held out")
    held.add_argument("--holdout-keep", metavar="WORD", help="in the names of files that are trained on in any case")


def add_setting_flags(parser: argparse.ArgumentParser) -> None:
    """Add the learning rates and a flag for each other setting; one that is not given is absent from the result."""
    rates = parser.add_argument_group("learning rate")
    rates.add_argument("--lr", type=number, help="of this task")
    rates.add_argument("--lrin", type=number, help="of triplet training")
    rates.add_argument("--lrcl", type=number, help="of a head (classification, siamese)")
    for title, table in (
        ("run", _RUN),
        ("network and pictures", _NETWORK),
        ("optimiser and schedule", _OPTIMISER),
        ("triplets and pairs", _TRIPLETS),
    ):
        group = parser.add_argument_group(title)
        for flags, options in table:
            group.add_argument(*flags, **{"default": argparse.SUPPRESS, **options})
