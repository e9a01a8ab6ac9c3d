"""The flags by which a command is told which trained network to use, and the network they name."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from facenet.commands.models import is_offline

if TYPE_CHECKING:
    from facenet.evaluation.embedder import Embedder


def add_model_flags(
    parser: argparse.ArgumentParser,
    *,
    default: str = "the newest checkpoint of the run folder, else vggface2",
    precision: str = "auto",
) -> None:
    """Add ``--checkpoint``, ``--backbone``, ``--pretrained``, ``--run-dir``, ``--precision`` and ``--offline``.

    Args:
        parser: gets the flags, in a group of their own.
        default: which network is taken if none is named, for the help text.
        precision: what is computed in if nothing is said.
    """
    model = parser.add_argument_group(f"model (default: {default})")
    model.add_argument("--checkpoint", type=Path, metavar="DIR", help="a checkpoint folder")
    model.add_argument("--backbone", metavar="NAME", help="a network of `models list`, for --pretrained")
    model.add_argument("--pretrained", metavar="NAME|PATH", help="weights of the catalogue, or a weight file")
    model.add_argument("--run-dir", type=Path, default=Path("runs"), help="folder of runs (default: %(default)s)")
    model.add_argument("--precision", default=precision, help="auto, fp32, bf16 or fp16 (default: %(default)s)")
    model.add_argument("--offline", action="store_true", help="never use the network (also FACENET_OFFLINE=1)")


def embedder_from(args: argparse.Namespace, progress: Callable[[int, int | None], None] | None = None) -> Embedder:
    """Open the network that the flags name.

    Args:
        args: parsed by a parser with :func:`add_model_flags` and ``--device``.
        progress: called with (bytes so far, bytes in all or None) during a download.

    Raises:
        UsageError, CheckpointError, ContractError, WeightsError: as :func:`facenet.evaluation.embedder.open_embedder`.
    """
    from facenet.evaluation.embedder import open_embedder

    return open_embedder(
        checkpoint=args.checkpoint,
        backbone=args.backbone,
        pretrained=args.pretrained,
        runs=args.run_dir,
        device=args.device,
        precision=args.precision,
        offline=is_offline(args),
        progress=progress,
    )


def names_model(args: argparse.Namespace) -> bool:
    """Whether the flags name a network, so that none may be picked instead."""
    return any(given is not None for given in (args.checkpoint, args.backbone, args.pretrained))
