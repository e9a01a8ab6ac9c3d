"""``gallery create|calibrate|reembed``: the model of a gallery, and the thresholds that its scores are judged by."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facenet.commands.common import emit_json, note, print_table
from facenet.commands.gallery_calibrated import show_calibration
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
    rate_value,
)
from facenet.commands.model_flags import add_model_flags, embedder_from
from facenet.commands.tracks import add_context_flag, context_from
from facenet.errors import UsageError, printable

if TYPE_CHECKING:
    from facenet.recognition.calibrating import CalibrationResult
    from facenet.recognition.reembed import ReembedReport
    from facenet.workflows.track_calibration import TrackCalibration

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
        "Sets a threshold for pairs (--target-fmr), for searches of this gallery (--target-fpir), or both; with "
        "--tracks for searches by whole face tracks. Others that the gallery has stay. A target that the pictures "
        "cannot show is refused, with how many would be needed.",
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
    source.add_argument(
        "--tracks", type=Path, metavar="DIR", help="tracks of people, PERSON/TRACK/frame; who is enrolled is left out"
    )
    add_context_flag(calibrate)
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
    from facenet.workflows.track_calibration import calibrate_tracks

    _check_calibration(args)
    shown: CalibrationResult | TrackCalibration
    with Screen() as screen, opened_recognizer(args, screen) as recognizer:
        common: dict[str, Any] = {
            "target_fpir": args.target_fpir,
            "aligned": args.aligned,
            "faces": Policy(args.faces),
            "seed": args.seed,
            "progress": screen.bar("pictures"),
        }
        if args.tracks is not None:
            shown = calibrate_tracks(recognizer, args.tracks, context=context_from(args), **common)
        else:
            shown = calibrate(
                recognizer, data=args.data, pairs=args.pairs, root=args.root, target_fmr=args.target_fmr, **common
            )
    if args.json:
        emit_json({"gallery": args.gallery, **shown.to_dict()})
    else:
        show_calibration(shown)
    return 0


def _check_calibration(args: argparse.Namespace) -> None:
    """Refuse flags that do not go together.

    Raises:
        UsageError: says which.
    """
    if args.tracks is not None and args.target_fmr is not None:
        raise UsageError(
            "--target-fmr is for pairs of pictures, and pairs of tracks are not offered: --tracks takes --target-fpir"
        )
    if args.tracks is not None and args.target_fpir is None:
        raise UsageError("name the share of strangers' tracks to allow: --tracks takes --target-fpir")
    if args.target_fmr is None and args.target_fpir is None:
        raise UsageError("name the error rate to allow: --target-fmr for pairs, --target-fpir for searches, or both")
    if args.root is not None and args.pairs is None:
        raise UsageError("--root goes with --pairs")
    if args.context is not None and args.tracks is None:
        raise UsageError("--context goes with --tracks")


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
