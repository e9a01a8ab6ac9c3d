"""Builds the command line and dispatches: nothing heavy is imported before a command runs."""

from __future__ import annotations

import argparse
import importlib
import io
import logging
import os
import sys
from collections.abc import Callable, Sequence

from facenet._version import __version__
from facenet.errors import FacenetError, UsageError, printable

_COMMANDS = (
    "train", "evaluate", "predict", "embed", "enroll", "identify", "verify", "tracks", "gallery", "demo", "dataset",
    "models",
)  # fmt: skip
_MODULES = ("inception", "classification", "siamese")
_USAGE = 2
_INTERRUPTED = 130

_ORIGINAL = """\
the original command lines:
  python cli.py --train-module inception       fine-tune the embedding network with triplets
  python cli.py --train-module classification  train the head on the tuned network
  python cli.py --train-module NAME            train by a recipe, see `python cli.py train --list`
  python cli.py --train 0                      evaluate the newest checkpoint
each takes the flags of `train` or `evaluate`, such as --rootdir DIR, --lr, --bs, --ep, --check 1 (resume)
"""


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="facenet",
        description="From folders of face pictures to a recogniser one can trust.",
        epilog=_ORIGINAL,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"facenet {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in _COMMANDS:
        importlib.import_module(f"facenet.commands.{name}").register(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code.

    0 done, 1 a negative answer, 2 wrong usage, 3 bad input, 4 something missing, 5 contract mismatch, 130 interrupted.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in given
    try:
        parser = build_parser()
        if not given:
            parser.print_help(sys.stderr)
            return _USAGE
        args = parser.parse_args(_translated(given))
        # Lightning announces its own choices; a run says what it chose in its own words.
        logging.getLogger("lightning_fabric.utilities.rank_zero").setLevel(logging.WARNING)
        module, _, name = args.handler.partition(":")
        handler: Callable[[argparse.Namespace], int] = getattr(importlib.import_module(module), name)
        return handler(args)
    except FacenetError as error:
        if debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone. Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def run() -> None:
    """Entry point of the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A name that the terminal's encoding cannot show is shown escaped, instead of ending the command.
            stream.reconfigure(errors="backslashreplace")
    sys.exit(main())


def _translated(argv: list[str]) -> list[str]:
    """The original flags-only command line in terms of the verbs; anything else as it is."""
    if not any(word.split("=")[0] in ("--train", "--train-module") for word in argv):
        return argv
    parser = argparse.ArgumentParser(prog="facenet", allow_abbrev=False, add_help=False)
    parser.add_argument("--train", type=int, choices=(0, 1), default=1)
    parser.add_argument("--train-module")
    known, rest = parser.parse_known_args(argv)
    by_recipe = any(word.split("=")[0] == "--recipe" for word in rest)
    if known.train == 0:
        if by_recipe:
            raise UsageError("--train 0 evaluates, and --recipe says how to train: leave one of them out")
        return ["evaluate", *rest]
    if known.train_module is None:
        if by_recipe:
            return ["train", *rest]
        raise UsageError("--train 1 needs --train-module inception, --train-module classification or a recipe's name")
    if known.train_module in _MODULES:
        return ["train", known.train_module, *rest]
    recipe = _recipe_word(known.train_module)
    if by_recipe:
        raise UsageError(f"--train-module {printable(recipe)} names a recipe, and so does --recipe: leave one out")
    return ["train", "--recipe", recipe, *rest]


def _recipe_word(module: str) -> str:
    """The word, if it names a recipe or a file; otherwise an error that names whatever is nearest."""
    from facenet.recipes.recipe import is_path, nearest, recipe_names

    names = recipe_names()
    if module not in names and not is_path(module):
        near = nearest(module, [*_MODULES, *names])
        raise UsageError(
            f"--train-module takes {', '.join(_MODULES)} or a recipe's name, not '{printable(module)}'{near}: "
            "see `python cli.py train --list`"
        )
    return module
