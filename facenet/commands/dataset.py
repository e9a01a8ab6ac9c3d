"""``dataset VERB``: folders of people: what is in them, and what can be made of them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from facenet.commands.common import add_common_flags, emit_json, note, print_table
from facenet.commands.dataset_expressions import add_expressions
from facenet.commands.dataset_pairs import add_pairs
from facenet.commands.dataset_passports import add_passports
from facenet.errors import printable
from facenet.models.input_size import parse_size

if TYPE_CHECKING:
    from facenet.data.contents import Progress

_USELESS = 3
"""Exit code when not one photo held a face."""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``dataset`` parser with its verbs."""
    dataset = subparsers.add_parser("dataset", help="folders of people: audit them, cut faces out, make pairs, draw")
    verbs = dataset.add_subparsers(metavar="VERB", required=True)
    audit = verbs.add_parser("audit", help="count people and pictures; find bad files, copies, look-alikes")
    audit.add_argument("folder", type=Path, metavar="DIR", help="one folder per person, at any depth")
    audit.add_argument("--against", type=Path, metavar="DIR2", help="another folder, to find what both share")
    align = _add_align(verbs)
    draw = verbs.add_parser("draw", help="draw sample people (no real person) into a folder")
    draw.add_argument("folder", type=Path, metavar="DIR", help="where to write; one folder per person is made in it")
    draw.add_argument("--people", type=int, default=16, metavar="N", help="how many (default: 16)")
    draw.add_argument("--pictures", type=int, default=10, metavar="N", help="of each (default: 10)")
    draw.add_argument("--seed", type=int, default=0, metavar="S", help="other people for another seed (default: 0)")
    draw.add_argument("--size", type=int, default=160, metavar="PX", help="side in pixels (default: 160)")
    handlers = (
        (audit, "dataset:run_audit"),
        (align, "dataset:run_align"),
        (draw, "dataset:run_draw"),
        (add_pairs(verbs), "dataset_pairs:run_pairs"),
        (add_passports(verbs), "dataset_passports:run_passports"),
        (add_expressions(verbs), "dataset_expressions:run_expressions"),
    )
    for parser, handler in handlers:
        add_common_flags(parser)
        parser.set_defaults(handler=f"facenet.commands.{handler}")


def _add_align(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    align = verbs.add_parser(
        "align",
        help="find the face in each photo and cut it out, into a folder of the same structure",
        description="Writes DST/align.csv (what became of every file) and DST/alignment.json (how the faces were cut; "
        "`train` reads it). Interrupted, the same command goes on where it was. Ends with 3 if there was no face.",
        allow_abbrev=False,
    )
    align.add_argument("source", type=Path, metavar="SRC", help="one folder per person, at any depth")
    align.add_argument("target", type=Path, metavar="DST", help="new, empty, or filled by this command before")
    align.add_argument(
        "--size", type=parse_size, metavar="HxW", help="height and width of a face, or one number (default: 112x112)"
    )
    align.add_argument("--crop", metavar="CROP", help="five-point or margin-N (default: five-point)")
    align.add_argument("--backbone", metavar="NAME", help="size and crop as this network's published weights want them")
    align.add_argument(
        "--faces",
        choices=("largest", "central", "probable"),
        default="largest",
        help="which face of a photo (default: largest)",
    )
    align.add_argument("--format", choices=("png", "jpg"), default="png", help="png loses nothing (default: png)")
    return align


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


def run_align(args: argparse.Namespace) -> int:
    """Cut faces out; 0, or 3 if there was not one."""
    from facenet.commands.screen import Screen
    from facenet.data.alignments import Alignment
    from facenet.detection.detector import Detector
    from facenet.detection.faces import Policy
    from facenet.devices import choose_device
    from facenet.workflows.align import align_folder, photo_contract

    contract = photo_contract(size=args.size, crop=args.crop, backbone=args.backbone)
    alignment = Alignment(contract, Policy(args.faces), args.format)
    detector = Detector(device=choose_device(args.device).value)
    with Screen() as screen:
        result = align_folder(
            args.source, args.target, alignment, detector=detector, progress=screen.bar("photos"), say=screen.say
        )
    if args.json:
        emit_json(result.to_dict())
    else:
        files = sum(result.outcomes.values())
        print_table(f"{files:,} files", ("outcome", "files"), sorted(result.outcomes.items()))
        note(f"faces of {contract.height}x{contract.width} ({contract.crop}): {printable(result.root)}")
        note(f"what became of every file: {printable(result.table)}")
    if not result.outcomes.get("written"):
        note("not one face was written: the table says why for each file")
        return _USELESS
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
