"""``dataset expressions``: drawn people showing seven expressions, in the folders that training expects."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from facenet.commands.common import emit_json, note
from facenet.errors import printable


def add_expressions(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add the verb; :func:`run_expressions` carries it out."""
    drawn = verbs.add_parser(
        "expressions",
        help="draw people (no real person) with seven expressions, to try expression recognition on",
        description="Writes DST/train/EXPRESSION/NNNN.png and DST/validation/EXPRESSION/NNNN.png: angry, disgust, "
        "fear, happy, neutral, sad and surprise. Everybody shows each of them equally often; nobody is in both halves.",
        allow_abbrev=False,
    )
    drawn.add_argument("folder", type=Path, metavar="DST", help="a new or an empty folder")
    drawn.add_argument("--people", type=int, default=40, metavar="N", help="in train (default: 40)")
    drawn.add_argument("--validation-people", type=int, default=12, metavar="N", help="others (default: 12)")
    drawn.add_argument("--pictures", type=int, default=1, metavar="N", help="of each in each expression (default: 1)")
    drawn.add_argument("--size", type=int, default=64, metavar="PX", help="side in pixels (default: 64)")
    drawn.add_argument("--seed", type=int, default=0, metavar="N", help="other people for another seed (default: 0)")
    return drawn


def run_expressions(args: argparse.Namespace) -> int:
    """Write drawn expressions; 0, or an error."""
    from facenet.commands.screen import Screen
    from facenet.data.synthetic import EXPRESSIONS, write_expressions

    with Screen() as screen:
        files = write_expressions(
            args.folder,
            args.people,
            args.validation_people,
            pictures=args.pictures,
            seed=args.seed,
            size=args.size,
            progress=screen.bar("drawing"),
        )
    if args.json:
        emit_json(
            {
                "root": str(args.folder),
                "expressions": list(EXPRESSIONS),
                "people": {"train": args.people, "validation": args.validation_people},
                "pictures": len(files),
                "seed": args.seed,
                "size": args.size,
            }
        )
        return 0
    note(
        f"drew {args.people + args.validation_people} people with {len(EXPRESSIONS)} expressions into "
        f"{printable(args.folder)}: {len(files):,} pictures"
    )
    recipe = "expression-inception-resnet-v2"
    command = shlex.join(["python", "cli.py", "train", "--recipe", recipe, "--rootdir", str(args.folder)])
    note(f"train on them:  {printable(command)}")
    return 0
