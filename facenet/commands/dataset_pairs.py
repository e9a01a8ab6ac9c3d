"""``dataset pairs``: a list of pairs to verify, made of a folder of people."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from facenet.commands.common import emit_json, note, print_table
from facenet.errors import printable


def add_pairs(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add the verb; :func:`run_pairs` carries it out."""
    pairs = verbs.add_parser(
        "pairs",
        help="make a list of pairs to verify: as many of one person as of two, folds that share no person",
        description="Writes OUT.csv with the columns a,b,same,fold, for `evaluate pairs --pairs OUT.csv --images SRC`. "
        "Unreadable pictures and copies are in no pair.",
        allow_abbrev=False,
    )
    pairs.add_argument("source", type=Path, metavar="SRC", help="one folder per person, at any depth")
    pairs.add_argument("file", type=Path, metavar="OUT.csv", help="a new file")
    pairs.add_argument("--folds", type=int, default=10, metavar="N", help="share no person (default: 10)")
    pairs.add_argument("--pairs", type=int, default=300, metavar="N", help="of each kind in each fold (default: 300)")
    pairs.add_argument("--seed", type=int, default=0, metavar="N", help="other pairs for another seed (default: 0)")
    return pairs


def run_pairs(args: argparse.Namespace) -> int:
    """Write a list of pairs; 0, or an error."""
    from facenet.commands.screen import Screen
    from facenet.workflows.pairs_file import write_pairs

    with Screen() as screen:
        written = write_pairs(
            args.source,
            args.file,
            folds=args.folds,
            pairs=args.pairs,
            seed=args.seed,
            progress=screen.bar("reading pictures"),
        )
    if args.json:
        emit_json(written.to_dict())
        return 0
    made = written.made
    rows = [
        ("pairs of one person", f"{args.folds * args.pairs:,}"),
        ("pairs of two people", f"{args.folds * args.pairs:,}"),
        ("folds", f"{args.folds:,}"),
        ("people", f"{made.people:,}"),
        ("pictures they were drawn from", f"{made.pictures:,}"),
        ("left out: unreadable", f"{made.unreadable:,}"),
        ("left out: copies of another picture", f"{made.copies:,}"),
        ("left out: under several people", f"{made.claimed:,}"),
    ]
    print_table(f"Pairs of {printable(args.source)}", ("what", "how many"), rows)
    command = ["python", "cli.py", "evaluate", "pairs", "--pairs", str(args.file), "--images", str(args.source)]
    note(f"measure them:  {printable(shlex.join(command))}")
    return 0
