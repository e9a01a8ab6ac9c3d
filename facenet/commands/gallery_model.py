"""``gallery create|calibrate|reembed``: the model of a gallery, and the thresholds that its scores are judged by."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from facenet.commands.common import emit_json, note, print_table
from facenet.commands.gallery_opening import opened_recognizer, say_made, say_notices
from facenet.commands.gallery_shared import (
    DECLINED,
    ONE_FACE,
    add_making_flags,
    add_verb,
    add_yes_flag,
    confirm,
    finish,
    made_with,
    number,
    rate_value,
)
from facenet.commands.model_flags import add_model_flags, embedder_from
from facenet.errors import UsageError, printable

if TYPE_CHECKING:
    from facenet.evaluation.calibration import Threshold
    from facenet.recognition.calibrating import CalibrationResult
    from facenet.recognition.reembed import ReembedReport

MISSING_PICTURES = 3
"""Exit code of ``reembed`` while a picture cannot be embedded anew."""


def add_verbs(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parsers."""
    create = add_verb(verbs, "create", "make an empty gallery for a model (`enroll` makes one, too)")
    add_making_flags(create)
    add_model_flags(create)
    finish(create, "facenet.commands.gallery_model:run_create")
    calibrate = add_verb(
        verbs,
        "calibrate",
        "set the thresholds that decide, from pictures of people who are not enrolled",
        "Sets a threshold for pairs (--target-fmr), for searches of this gallery (--target-fpir), or both. A target "
        "that the pictures cannot show is refused, with how many would be needed.",
    )
    calibrate.add_argument(
        "--target-fmr", type=rate_value, metavar="R", help="share of pairs of two people taken for one, such as 0.001"
    )
    calibrate.add_argument(
        "--target-fpir", type=rate_value, metavar="R", help="share of strangers taken for somebody enrolled"
    )
    source = calibrate.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path, metavar="DIR", help="folder of people; who is enrolled is left out")
    source.add_argument("--pairs", type=Path, metavar="FILE", help="list of pairs of pictures")
    calibrate.add_argument("--root", type=Path, metavar="DIR", help="folder in which --pairs names its pictures")
    calibrate.add_argument("--aligned", action="store_true", help="each picture is a face, cut as the model wants it")
    calibrate.add_argument(
        "--faces", choices=ONE_FACE, default="largest", help="whose picture it is (default: largest)"
    )
    calibrate.add_argument("--seed", type=int, default=0, metavar="N", help="of the bootstrap (default: 0)")
    add_model_flags(calibrate, default="the gallery's own")
    finish(calibrate, "facenet.commands.gallery_model:run_calibrate")
    reembed = add_verb(
        verbs,
        "reembed",
        "move a gallery to another model, from the pictures its people were enrolled with",
        "The gallery works with its old model until every picture is embedded anew; interrupted, the same command goes "
        "on. Ends with 3 while pictures are missing. Afterwards the thresholds have to be calibrated again.",
    )
    reembed.add_argument("--pictures", type=Path, metavar="DIR", help="where to look for pictures that have been moved")
    reembed.add_argument("--drop-missing", action="store_true", help="remove the embeddings whose pictures are gone")
    reembed.add_argument("--restart", action="store_true", help="give up a move to yet another model")
    add_yes_flag(reembed)
    add_model_flags(reembed)
    finish(reembed, "facenet.commands.gallery_model:run_reembed")


def run_create(args: argparse.Namespace) -> int:
    """Make an empty gallery; 0, or an InputError if there is one."""
    from facenet.commands.screen import Screen
    from facenet.gallery.gallery import Gallery
    from facenet.recognition.opening import header_for

    with Screen() as screen:
        embedder = embedder_from(args, screen.bar("downloading weights"))
    with Gallery.create(args.gallery, header_for(embedder, **made_with(args))) as gallery:
        header = gallery.header
    if args.json:
        emit_json(
            {
                "gallery": args.gallery,
                "fingerprint": header.fingerprint,
                "model": dict(header.model),
                "fusion": header.fusion.value,
                "index": header.index.value,
            }
        )
    say_made(args.gallery, header)
    return 0


def run_calibrate(args: argparse.Namespace) -> int:
    """Calibrate; 0, or an InputError if the data cannot support a target."""
    from facenet.commands.screen import Screen
    from facenet.detection.faces import Policy
    from facenet.recognition.calibrating import calibrate

    if args.target_fmr is None and args.target_fpir is None:
        raise UsageError("name the error rate to allow: --target-fmr for pairs, --target-fpir for searches, or both")
    if args.root is not None and args.pairs is None:
        raise UsageError("--root goes with --pairs")
    with Screen() as screen, opened_recognizer(args, screen) as recognizer:
        result = calibrate(
            recognizer,
            data=args.data,
            pairs=args.pairs,
            root=args.root,
            target_fmr=args.target_fmr,
            target_fpir=args.target_fpir,
            aligned=args.aligned,
            faces=Policy(args.faces),
            seed=args.seed,
            progress=screen.bar("pictures"),
        )
    if args.json:
        emit_json({"gallery": args.gallery, **result.to_dict()})
    else:
        _show_calibration(result)
    return 0


def run_reembed(args: argparse.Namespace) -> int:
    """Move to another model; 0, 1 if the answer to the question was no, or 3 while pictures are missing."""
    from facenet.commands.screen import Screen
    from facenet.recognition.reembed import reembed

    if args.drop_missing and not confirm(
        args, f"remove from {printable(args.gallery)} whatever has no picture any more"
    ):
        return DECLINED
    with Screen() as screen:
        report = reembed(
            args.gallery,
            embedder_from(args, screen.bar("downloading weights")),
            pictures=args.pictures,
            drop_missing=args.drop_missing,
            restart=args.restart,
            progress=screen.bar("embeddings"),
        )
    if args.json:
        emit_json({"gallery": args.gallery, **report.to_dict()})
    else:
        _show_move(report)
    say_notices(report.notes)
    if not report.finished:
        note(
            "the gallery still works with its old model: say where the pictures are with --pictures, or --drop-missing"
        )
        return MISSING_PICTURES
    note(f"the gallery has the model with fingerprint {report.fingerprint} now; run `gallery calibrate` for it")
    return 0


def _show_move(report: ReembedReport) -> None:
    if report.missing:
        rows = [
            (f"{printable(entry.name)} (id:{entry.person})", entry.sample, printable(entry.source), entry.reason)
            for entry in report.missing
        ]
        title = f"{len(rows):,} embeddings {'dropped' if report.finished else 'without a picture'}"
        print_table(title, ("person", "sample", "picture", "why"), rows)
    print(f"{report.embedded:,} of {report.total:,} embeddings made anew")
    if report.without:
        note(f"without any embedding now: {', '.join(f'id:{person}' for person in report.without)}")


def _show_calibration(result: CalibrationResult) -> None:
    thresholds = (("verification", result.verification), ("identification", result.identification))
    rows = [_row(purpose, threshold) for purpose, threshold in thresholds if threshold is not None]
    columns = ("threshold for", "accept from", "rate", "target", "measured", "95 % interval", "missed", "rests on")
    print_table("Thresholds set", columns, rows)
    strangers = result.strangers
    if strangers is not None and result.gallery_people:
        counted = ""
        if strangers.measured is not None:
            counted = f"; counted on these pictures: {strangers.accepted:,} of {strangers.searches:,} searches"
        print(
            f"in a search among the {result.gallery_people:,} people enrolled, the threshold for verification takes "
            f"about {_percent(strangers.expected)} of strangers for somebody{counted}"
        )
    note(f"calibrated on {result.pictures:,} pictures of {result.people:,} people")
    if result.enrolled_people:
        note(f"left out: {result.enrolled_people:,} people who are enrolled themselves")
    for status, count in sorted(result.left_out.items()):
        note(f"left out: {count:,} pictures: {status.replace('_', ' ')}")
    say_notices(result.notes)


def _row(purpose: str, threshold: Threshold) -> tuple[str, ...]:
    low, high = threshold.interval
    if threshold.gallery_people is None:
        basis = f"{threshold.impostor:,} comparisons of {threshold.people:,} people"
    else:
        among = f"{threshold.gallery_people:,} people"
        basis = f"{threshold.impostor:,} searches by {threshold.people:,} strangers among {among}"
    genuine = "" if threshold.genuine == 0 else f"; {threshold.genuine:,} genuine"
    return (
        purpose,
        number(threshold.value),
        threshold.kind.upper(),
        _percent(threshold.target),
        _percent(threshold.measured),
        f"{_percent(low)} to {_percent(high)}",
        "-" if threshold.miss_rate is None else _percent(threshold.miss_rate),
        f"{basis}{genuine}",
    )


def _percent(rate: float) -> str:
    return f"{100 * rate:.3g} %"
