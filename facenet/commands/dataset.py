"""``dataset audit|draw``: what is in a folder of people, and sample people where there is none."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from facenet.commands.common import add_common_flags, emit_json, note, print_table
from facenet.errors import printable

if TYPE_CHECKING:
    from facenet.data.contents import Progress


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``dataset`` parser with its verbs."""
    dataset = subparsers.add_parser("dataset", help="folders of people: audit them, draw sample people")
    verbs = dataset.add_subparsers(metavar="VERB", required=True)
    audit = verbs.add_parser("audit", help="count people and pictures; find bad files, copies, look-alikes")
    audit.add_argument("folder", type=Path, metavar="DIR", help="one folder per person, at any depth")
    audit.add_argument("--against", type=Path, metavar="DIR2", help="another folder, to find what both share")
    draw = verbs.add_parser("draw", help="draw sample people (no real person) into a folder")
    draw.add_argument("folder", type=Path, metavar="DIR", help="where to write; one folder per person is made in it")
    draw.add_argument("--people", type=_positive, default=16, metavar="N", help="how many (default: 16)")
    draw.add_argument("--pictures", type=_positive, default=10, metavar="N", help="of each (default: 10)")
    draw.add_argument("--seed", type=int, default=0, metavar="S", help="other people for another seed (default: 0)")
    draw.add_argument("--size", type=_positive, default=160, metavar="PX", help="side in pixels (default: 160)")
    for parser, handler in ((audit, "run_audit"), (draw, "run_draw")):
        add_common_flags(parser)
        parser.set_defaults(handler=f"facenet.commands.dataset:{handler}")


def run_audit(args: argparse.Namespace) -> int:
    """Show what is in a folder; 0 whatever is found, as long as something can be used."""
    from facenet.data.audit import audit_folder
    from facenet.data.folders import scan_folder

    folder = scan_folder(args.folder)
    other = None if args.against is None else scan_folder(args.against)
    with _progress("reading pictures") as progress:
        audit = audit_folder(folder, other=other, progress=progress)
    if args.json:
        emit_json(audit.to_dict())
        return 0
    print_table(f"Audit of {printable(args.folder)}", ("what", "how many"), audit.rows())
    for line in audit.lines():
        print(line)
    return 0


def run_draw(args: argparse.Namespace) -> int:
    """Write sample people; 0, or a StorageError."""
    from facenet.data.synthetic import write_people

    write_people(args.folder, args.people, args.pictures, seed=args.seed, size=args.size)
    if args.json:
        emit_json({"root": str(args.folder), "people": args.people, "pictures": args.pictures, "seed": args.seed})
    else:
        note(f"drew {args.people} people with {args.pictures} pictures each into {printable(args.folder)}")
    return 0


@contextmanager
def _progress(title: str) -> Iterator[Progress | None]:
    """A progress bar on standard error; None where nobody watches."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {number}")
    return number
