"""``evaluate lfw|pairs|verification``: are two pictures of one person?"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from facenet.commands.evaluate_shared import (
    Verbs,
    add_protocol,
    finish,
    measure,
    rates,
)

_LFW = """\
View 2 of Labeled Faces in the Wild: the threshold is fitted on nine folds and scored on the tenth. Gives the mean
accuracy with its standard error, AUC, EER, and the true accept rate at given false match rates.
"""

_PAIRS = """\
Takes the LFW format, and CSV with the header `a,b,same` or `a,b,same,fold`, where a and b are paths of pictures.
`dataset pairs` makes such a file from a folder of people.
"""

_VERIFICATION = """\
Compares all pictures of a folder of people with one another, or a uniform sample of genuine and of impostor pairs.
Copies, byte for byte, are left out.
"""


def register(verbs: Verbs) -> None:
    """Add the parsers of the three protocols."""
    lfw = add_protocol(verbs, "lfw", help="LFW View 2: accuracy over ten folds", description=_LFW)
    lfw.add_argument("--images", type=Path, required=True, metavar="DIR", help="one folder for each person")
    lfw.add_argument("--pairs", type=Path, required=True, metavar="FILE", help="the protocol's pairs.txt")
    _finish_pairs(lfw, "run_lfw")

    pairs = add_protocol(verbs, "pairs", help="any file of pairs", description=_PAIRS)
    pairs.add_argument("--pairs", type=Path, required=True, metavar="FILE", help="pairs, as LFW's or as CSV")
    pairs.add_argument("--images", type=Path, metavar="DIR", help="where the pictures lie (default: beside FILE)")
    _finish_pairs(pairs, "run_pairs")

    verification = add_protocol(
        verbs, "verification", help="all or sampled pairs of a folder of people", description=_VERIFICATION
    )
    verification.add_argument("--data", type=Path, required=True, metavar="DIR", help="one folder for each person")
    verification.add_argument(
        "--most", type=_at_least_two, default=2_000_000, metavar="N", help="largest number of pairs (default: 2000000)"
    )
    add_target_fmr(verification)
    finish(verification, "facenet.commands.evaluate_pairs:run_verification")


def add_target_fmr(parser: argparse.ArgumentParser, default: str = "0.01,0.001") -> None:
    """Add ``--target-fmr``."""
    parser.add_argument(
        "--target-fmr",
        type=rates,
        default=rates(default),
        metavar="X,…",
        help=f"false match rates at which the true accept rate is given (default: {default})",
    )


def run_lfw(args: argparse.Namespace) -> int:
    """Evaluate; always 0."""
    from facenet.workflows.study_pairs import lfw_study

    return measure(
        args,
        partial(lfw_study, images=args.images, pairs=args.pairs, centre=args.centre, targets=args.target_fmr),
    )


def run_pairs(args: argparse.Namespace) -> int:
    """Evaluate; always 0."""
    from facenet.workflows.study_pairs import pairs_study

    return measure(
        args,
        partial(pairs_study, pairs=args.pairs, images=args.images, centre=args.centre, targets=args.target_fmr),
    )


def run_verification(args: argparse.Namespace) -> int:
    """Evaluate; always 0."""
    from facenet.workflows.study_pairs import verification_study

    return measure(args, partial(verification_study, data=args.data, most=args.most, targets=args.target_fmr))


def _finish_pairs(parser: argparse.ArgumentParser, handler: str) -> None:
    parser.add_argument(
        "--centre", action="store_true", help="take away the mean embedding of the other folds' pictures"
    )
    add_target_fmr(parser)
    finish(parser, f"facenet.commands.evaluate_pairs:{handler}")


def _at_least_two(text: str) -> int:
    number = int(text)
    if number < 2:
        raise argparse.ArgumentTypeError(f"must be at least 2, not {number}")
    return number
