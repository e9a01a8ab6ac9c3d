"""``evaluate identification|retrieval``: searching for people, and for pictures."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from facenet.commands.evaluate_shared import (
    Verbs,
    add_protocol,
    counts,
    finish,
    measure,
    rates,
)
from facenet.commands.gallery_shared import positive

_IDENTIFICATION = """\
Enrolls people and searches for them. With --data some pictures of each person are enrolled and the others search;
with --enrolled and --probes people have the same name in both folders. With --strangers the set is open: how many
searches by people enrolled are missed (FNIR) where so many by strangers return somebody (FPIR). Strangers who have the
name or a picture of somebody enrolled are left out.
"""

_RETRIEVAL = """\
Every picture searches all others: recall@k, R-precision and MAP@R, as defined in Musgrave, Belongie, Lim, "A Metric
Learning Reality Check" (2020).
"""


def register(verbs: Verbs) -> None:
    """Add both parsers."""
    search = add_protocol(
        verbs, "identification", help="search for people, and for strangers", description=_IDENTIFICATION
    )
    search.add_argument("--data", type=Path, metavar="DIR", help="people, of whom some pictures are enrolled")
    search.add_argument(
        "--enroll", type=positive, metavar="N", help="pictures of each person enrolled, with --data (default: 1)"
    )
    search.add_argument("--enrolled", type=Path, metavar="DIR", help="instead: people to enroll")
    search.add_argument("--probes", type=Path, metavar="DIR", help="and pictures of them to search with")
    search.add_argument("--strangers", type=Path, metavar="DIR", help="people who are not enrolled")
    search.add_argument(
        "--strangers-aligned",
        choices=("yes", "no"),
        help="whether their pictures are faces, cut as the model wants them (default: as --aligned says of all)",
    )
    search.add_argument(
        "--fusion", choices=("max", "mean"), default="max", help="of a person's pictures (default: %(default)s)"
    )
    search.add_argument(
        "--ranks", type=counts, default=(1, 5), metavar="K,…", help="k of the rank-k rates (default: 1,5)"
    )
    search.add_argument(
        "--target-fpir",
        type=rates,
        default=(0.1, 0.01),
        metavar="X,…",
        help="false positive identification rates at which FNIR is given (default: 0.1,0.01)",
    )
    finish(search, "facenet.commands.evaluate_search:run_identification")

    retrieval = add_protocol(
        verbs, "retrieval", help="recall@k, R-precision, MAP@R of a folder of people", description=_RETRIEVAL
    )
    retrieval.add_argument("--data", type=Path, required=True, metavar="DIR", help="one folder for each person")
    retrieval.add_argument(
        "--k", type=counts, default=(1, 5, 10), metavar="K,…", help="k of recall@k (default: 1,5,10)"
    )
    finish(retrieval, "facenet.commands.evaluate_search:run_retrieval", groups=False)


def run_identification(args: argparse.Namespace) -> int:
    """Evaluate; always 0."""
    from facenet.errors import UsageError
    from facenet.workflows.study_search import Sets, identification_study

    if args.enroll is not None and args.data is None:
        raise UsageError("--enroll goes with --data")
    sets = Sets(
        data=args.data,
        enroll=1 if args.enroll is None else args.enroll,
        enrolled=args.enrolled,
        probes=args.probes,
        strangers=args.strangers,
        strangers_aligned=None if args.strangers_aligned is None else args.strangers_aligned == "yes",
    )

    return measure(
        args,
        partial(identification_study, sets=sets, fusion=args.fusion, ranks=args.ranks, targets=args.target_fpir),
    )


def run_retrieval(args: argparse.Namespace) -> int:
    """Evaluate; always 0."""
    from facenet.workflows.study_search import retrieval_study

    return measure(args, partial(retrieval_study, data=args.data, ks=args.k))
