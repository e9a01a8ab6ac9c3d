"""What the protocols of ``evaluate`` share: flags, and showing what a study found."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facenet.commands.common import add_common_flags, emit_json, note
from facenet.commands.evaluate_tables import say_study, show_study
from facenet.commands.gallery_shared import ONE_FACE, positive, rate_value, threshold_value
from facenet.commands.model_flags import add_model_flags, embedder_from
from facenet.errors import UsageError, printable

if TYPE_CHECKING:
    from facenet.commands.screen import Screen
    from facenet.evaluation.study import Study
    from facenet.workflows.study_shared import Judging, Reading

Verbs = argparse._SubParsersAction
"""What ``add_subparsers`` gives."""


def add_protocol(verbs: Verbs, name: str, *, help: str, description: str) -> argparse.ArgumentParser:
    """Add the parser of a protocol; :func:`finish` completes it."""
    return verbs.add_parser(
        name,
        help=help,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def finish(parser: argparse.ArgumentParser, handler: str, *, groups: bool = True, model: str | None = None) -> None:
    """Add the flags that every protocol has, after its own, and say who handles it.

    Args:
        parser: of a protocol.
        handler: ``module:function``.
        groups: whether errors can be counted for each group, at one threshold.
        model: which network is taken if none is named, where that is not the usual one.
    """
    _add_reading_flags(parser)
    _add_judging_flags(parser, groups)
    add_report_flags(parser)
    # Not auto: a figure to be published must not depend on what the machine at hand is quick at.
    if model is None:
        add_model_flags(parser, precision="fp32")
    else:
        add_model_flags(parser, default=model, precision="fp32")
    add_common_flags(parser)
    parser.set_defaults(handler=handler)


def add_report_flags(parser: argparse.ArgumentParser) -> None:
    """Add ``--report``, ``--no-pictures`` and ``--label``."""
    report = parser.add_argument_group("report")
    report.add_argument("--report", type=Path, metavar="DIR", help="write a report into a folder of its own")
    report.add_argument("--no-pictures", action="store_true", help="without pictures of people in it")
    report.add_argument("--label", metavar="TEXT", help="what the model is called (default: by its weights)")


def rates(text: str) -> tuple[float, ...]:
    """``0.01,0.001``: rates, each more than 0 and less than 1."""
    return tuple(sorted({rate_value(part) for part in text.split(",")}, reverse=True))


def counts(text: str) -> tuple[int, ...]:
    """``1,5,10``: whole numbers from 1."""
    return tuple(sorted({positive(part) for part in text.split(",")}))


def seed_value(text: str) -> int:
    """A whole number from 0."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"must not be negative, as {number} is")
    return number


def _add_reading_flags(parser: argparse.ArgumentParser) -> None:
    reading = parser.add_argument_group("pictures")
    reading.add_argument("--aligned", action="store_true", help="each picture is a face, cut as the model wants it")
    reading.add_argument(
        "--faces", choices=ONE_FACE, default="central", help="which face of a picture is meant (default: %(default)s)"
    )
    reading.add_argument(
        "--flip",
        choices=("none", "sum", "concat"),
        default="none",
        help="embed the mirrored face too, and add both up or put them side by side (default: %(default)s)",
    )
    reading.add_argument(
        "--undetected",
        choices=("middle", "as-failure"),
        default="middle",
        help="no face found: use the middle of the picture, or count all comparisons as wrong (default: %(default)s)",
    )
    reading.add_argument(
        "--missing",
        choices=("refuse", "as-failure"),
        default="refuse",
        help="no such file, or not readable: end, or count all comparisons as wrong (default: %(default)s)",
    )
    cache = reading.add_mutually_exclusive_group()
    cache.add_argument("--cache", type=Path, metavar="DIR", help="keep embeddings here (default: RUN-DIR/embeddings)")
    cache.add_argument("--no-cache", action="store_true", help="keep no embeddings, which are biometric data")
    reading.add_argument("--bs", type=positive, default=32, metavar="N", help="faces embedded at a time (default: 32)")


def _add_judging_flags(parser: argparse.ArgumentParser, groups: bool) -> None:
    judging = parser.add_argument_group("figures")
    judging.add_argument(
        "--replicates",
        type=positive,
        default=1000,
        metavar="N",
        help="how often people are drawn anew for intervals (default: %(default)s)",
    )
    judging.add_argument("--seed", type=seed_value, default=0, metavar="N", help="of everything drawn (default: 0)")
    if not groups:
        parser.set_defaults(groups=None, unknown_names="refuse", threshold=None)
        return
    judging.add_argument(
        "--threshold", type=threshold_value, metavar="T", help="score at which groups and errors are looked at"
    )
    judging.add_argument(
        "--groups", type=Path, metavar="CSV", help="attributes of people or pictures: error rates for each value"
    )
    judging.add_argument(
        "--unknown-names",
        choices=("refuse", "ignore"),
        default="refuse",
        help="names in CSV that are not in the data (default: %(default)s)",
    )


def kept_in(args: argparse.Namespace) -> Path:
    """The folder of the embeddings that are kept: ``--cache``, or one in ``--run-dir``."""
    folder: Path = args.run_dir / "embeddings" if args.cache is None else args.cache
    return folder


def reading_from(args: argparse.Namespace) -> Reading:
    """How the flags say that pictures are read."""
    from facenet.detection.faces import Policy
    from facenet.evaluation.flips import Flip
    from facenet.workflows.study_shared import Reading

    return Reading(
        aligned=args.aligned,
        faces=Policy(args.faces),
        flip=Flip(args.flip),
        undetected=args.undetected,
        missing=args.missing,
        cache=None if args.no_cache else kept_in(args),
        batch_size=args.bs,
    )


def judging_from(args: argparse.Namespace) -> Judging:
    """How the flags say that figures are made."""
    from facenet.workflows.study_shared import Judging

    if args.unknown_names != "refuse" and args.groups is None:
        raise UsageError("--unknown-names goes with --groups")
    return Judging(
        label=args.label,
        threshold=args.threshold,
        groups=args.groups,
        unknown_names=args.unknown_names,
        seed=args.seed,
        replicates=args.replicates,
        command=tuple(sys.argv),
    )


def require_place(args: argparse.Namespace) -> None:
    """Refuse a place for a report that cannot be one: asked before the work, not after it.

    Raises:
        UsageError: flags for a report, and none is asked for.
        InputError: as :func:`facenet.workflows.report.require_report_folder`.
    """
    from facenet.workflows.report import require_report_folder

    if args.report is not None:
        require_report_folder(args.report)
    elif args.no_pictures:
        raise UsageError("--no-pictures goes with --report")


def measure(args: argparse.Namespace, protocol: Callable[..., Study]) -> int:
    """Carry out a protocol with the network that the flags name; always 0.

    Args:
        args: parsed by a parser that :func:`finish` completed.
        protocol: takes an embedder, and by name what :func:`asked` gives.
    """

    def study(screen: Screen) -> Study:
        return protocol(embedder_from(args, screen.bar("downloading weights")), **asked(args, screen))

    return carry_out(args, study)


def asked(args: argparse.Namespace, screen: Screen) -> dict[str, Any]:
    """What every protocol is told by name: how pictures are read, how figures are made, who shows the progress."""
    return {"reading": reading_from(args), "judging": judging_from(args), "progress": screen.bar("pictures")}


def carry_out(args: argparse.Namespace, study_of: Callable[[Screen], Study]) -> int:
    """Make a study, write its report if one is asked for, and show what was found; always 0."""
    from facenet.commands.screen import Screen
    from facenet.workflows.report import write_report

    require_place(args)
    page = None
    with Screen() as screen:
        # Without an end, for it stands for all that is not counted: scoring, resampling, drawing.
        screen.bar("measuring")(0, None)
        study = study_of(screen)
        if args.report is not None:
            page = write_report(args.report, study, pictures=not args.no_pictures, seed=args.seed)
    if args.json:
        emit_json(study.to_dict())
    else:
        show_study(study)
    say_study(study)
    if page is not None:
        note(f"written: {printable(page)}")
    return 0
