"""``evaluate classification``: what the head of a checkpoint makes of a folder of people."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from facenet.commands.evaluate_shared import (
    Verbs,
    add_protocol,
    asked,
    carry_out,
    counts,
    finish,
)
from facenet.errors import UsageError

if TYPE_CHECKING:
    from facenet.commands.screen import Screen
    from facenet.evaluation.study import Study

_ABOUT = """\
Accuracy, top-k, balanced accuracy, F1, confusion matrix and calibration of a checkpoint's head, on any folder of people
whom it knows. It is not checked whether it was trained on these very pictures: bare `evaluate` measures those held out.
"""


def register(verbs: Verbs) -> None:
    """Add the parser."""
    parser = add_protocol(verbs, "classification", help="the head of a checkpoint", description=_ABOUT)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="one folder for each person")
    parser.add_argument("--k", type=counts, default=(5,), metavar="K,…", help="k of the top-k rates (default: 5)")
    finish(
        parser,
        "facenet.commands.evaluate_classification:run",
        groups=False,
        model="the newest checkpoint of the run folder; it must have a head",
    )


def run(args: argparse.Namespace) -> int:
    """Evaluate; always 0."""
    from facenet.workflows.study_classification import classification_study

    if args.backbone is not None or args.pretrained is not None:
        raise UsageError("published weights have no head for these people: name a checkpoint with --checkpoint")

    def study(screen: Screen) -> Study:
        return classification_study(
            args.data,
            checkpoint=args.checkpoint,
            runs=args.run_dir,
            ks=args.k,
            device=args.device,
            precision=args.precision,
            **asked(args, screen),
        )

    return carry_out(args, study)
