"""``evaluate compare``: is one model better than another, or can they not be told apart?"""

from __future__ import annotations

import argparse
from pathlib import Path

from facenet.commands.common import add_common_flags, emit_json, note
from facenet.commands.evaluate_shared import Verbs, add_protocol, seed_value
from facenet.commands.evaluate_tables import show_differences
from facenet.commands.gallery_shared import positive
from facenet.errors import UsageError, printable

_ABOUT = """\
Takes the folders of two or more reports on the same protocol and the same pictures, and tests each against the first.
Differences are paired: by fold for an accuracy over folds, else by drawing the same people anew for both. p-values are
corrected for the number of differences shown (Holm). Ends with 5 if the reports are not on the same comparisons.
"""


def register(verbs: Verbs) -> None:
    """Add the parser."""
    parser = add_protocol(verbs, "compare", help="test reports against each other", description=_ABOUT)
    parser.add_argument("first", type=Path, metavar="A", help="folder of a report, with which the others are compared")
    parser.add_argument("others", nargs="+", type=Path, metavar="B", help="folders of other reports")
    parser.add_argument("--report", type=Path, metavar="DIR", help="write a report into a folder of its own")
    parser.add_argument(
        "--replicates", type=positive, default=1000, metavar="N", help="how often people are drawn (default: 1000)"
    )
    parser.add_argument("--seed", type=seed_value, default=0, metavar="N", help="of everything drawn (default: 0)")
    add_common_flags(parser)
    parser.set_defaults(handler="facenet.commands.evaluate_compare:run")


def run(args: argparse.Namespace) -> int:
    """Compare; always 0.

    Raises:
        ContractError: the reports are on different protocols or different data.
        UsageError: the comparison is to be written over what is compared.
    """
    from facenet.commands.screen import Screen
    from facenet.workflows.compare import compare
    from facenet.workflows.report import require_report_folder, write_comparison

    folders = [args.first, *args.others]
    if args.report is not None:
        if any(args.report.resolve() == folder.resolve() for folder in folders):
            raise UsageError(f"{printable(args.report)} holds what is to be compared: name another folder for --report")
        require_report_folder(args.report)
    with Screen() as screen:
        screen.bar("comparing")(0, None)
        found = compare(folders, seed=args.seed, replicates=args.replicates)
        page = None if args.report is None else write_comparison(args.report, found.studies, found.differences)
    if args.json:
        emit_json(found.to_dict())
    else:
        show_differences(found.studies[0], found.differences)
    for study, folder in zip(found.studies, folders, strict=True):
        note(f"{printable(study.label)}: {printable(folder)}")
    if page is not None:
        note(f"written: {printable(page)}")
    return 0
