"""``dataset passports``: a folder of people rearranged for training on anchors."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from facenet.commands.common import emit_json, note, print_table
from facenet.errors import printable

_NAMED = 3
"""How many of those left out are named at a terminal."""


def add_passports(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add the verb; :func:`run_passports` carries it out."""
    passports = verbs.add_parser(
        "passports",
        help="copy people with one picture of each named as in a passport, for training on anchors",
        description="Writes DST/trainset/folder-1/folder-2/PERSON/0001-script.jpg, 0002.jpg and so on. SRC stays as it "
        "is. Unreadable pictures and people with one picture are left out.",
        allow_abbrev=False,
    )
    passports.add_argument("source", type=Path, metavar="SRC", help="one folder per person, at any depth")
    passports.add_argument("target", type=Path, metavar="DST", help="a new folder")
    passports.add_argument(
        "--anchor",
        type=_number,
        default=1,
        metavar="first|N",
        help="which picture of each person is the passport's, in order of their names (default: first)",
    )
    return passports


def run_passports(args: argparse.Namespace) -> int:
    """Copy people; 0, or an error."""
    from facenet.commands.screen import Screen
    from facenet.workflows.passports import write_passports

    with Screen() as screen:
        written = write_passports(args.source, args.target, anchor=args.anchor, progress=screen.bar("reading pictures"))
    if args.json:
        emit_json(written.to_dict())
        return 0
    rows = [
        ("people", f"{written.people:,}"),
        ("pictures, one of each named as the anchor", f"{written.pictures:,}"),
        ("left out: people with too few pictures", f"{len(written.too_few):,}"),
        ("left out: pictures that cannot be used", f"{len(written.left_out):,}"),
    ]
    print_table(f"Passports of {printable(args.source)}", ("what", "how many"), rows)
    _name_some("people with too few pictures", [printable(name) for name in written.too_few])
    _name_some("pictures", [f"{printable(entry.path)} ({entry.reason})" for entry in written.left_out])
    command = shlex.join(["python", "cli.py", "train", "--recipe", "passport-triplet", "--rootdir", str(args.target)])
    note(f"train on them:  {printable(command)}")
    return 0


def _name_some(what: str, names: Sequence[str]) -> None:
    if names:
        more = f" and {len(names) - _NAMED:,} more; --json names all" if len(names) > _NAMED else ""
        note(f"left out, {what}: {', '.join(names[:_NAMED])}{more}")


def _number(text: str) -> int:
    if text == "first":
        return 1
    if not (text.isascii() and text.isdigit()) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be first, or a number from 1 on, not {text!r}")
    return int(text)
