"""``predict``: class probabilities of a checkpoint's head, for pictures or folders of them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from facenet.commands.common import add_common_flags, emit_json, note, print_table
from facenet.commands.gallery_shared import POLICIES, positive
from facenet.errors import printable

if TYPE_CHECKING:
    from facenet.workflows.classifier import Classifier
    from facenet.workflows.predictions import Predicted, Prediction

NOTHING_PREDICTED = 3
"""Exit code when not one picture could be used."""

_COLUMNS = ("picture", "face", "outcome", "class", "probability", "then")


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``predict`` parser."""
    parser = subparsers.add_parser(
        "predict",
        help="class probabilities of a trained head for pictures",
        description="Says for every face which classes of the head are the most probable. A head knows its own classes "
        "only, so that a stranger gets a name as well: `identify` is for strangers. Ends with 3 if not one picture "
        "could be used.",
        allow_abbrev=False,
    )
    parser.add_argument("sources", nargs="+", type=Path, metavar="IMG|DIR", help="pictures, or folders of pictures")
    parser.add_argument("--top-k", type=positive, default=5, metavar="N", help="classes per face (default: 5)")
    parser.add_argument("--aligned", action="store_true", help="each picture is a face, cut as the model wants it")
    parser.add_argument(
        "--faces", choices=POLICIES, default="largest", help="which faces of a picture (default: largest)"
    )
    parser.add_argument("--out", type=Path, metavar="CSV", help="also write a table with a line for each face")
    parser.add_argument("--bs", type=positive, default=32, metavar="N", help="faces embedded at a time (default: 32)")
    model = parser.add_argument_group("model (default: the newest checkpoint with a head in the run folder)")
    model.add_argument("--checkpoint", type=Path, metavar="DIR", help="a checkpoint folder")
    model.add_argument("--run-dir", type=Path, default=Path("runs"), help="folder of runs (default: %(default)s)")
    model.add_argument("--precision", default="auto", help="auto, fp32, bf16 or fp16 (default: %(default)s)")
    add_common_flags(parser)
    parser.set_defaults(handler="facenet.commands.predict:run")


def run(args: argparse.Namespace) -> int:
    """Predict; 0, or 3 if not one picture could be used."""
    from facenet.commands.screen import Screen
    from facenet.detection.faces import Policy
    from facenet.workflows.classifier import open_classifier
    from facenet.workflows.predict import predict_pictures

    with Screen() as screen:
        classifier = open_classifier(args.checkpoint, runs=args.run_dir, device=args.device, precision=args.precision)
        found = predict_pictures(
            args.sources,
            classifier,
            top_k=args.top_k,
            aligned=args.aligned,
            policy=Policy(args.faces),
            batch_size=args.bs,
            out=args.out,
            progress=screen.bar("pictures"),
        )
    if args.json:
        emit_json({**_model(classifier), **found.to_dict()})
    else:
        _show(found, classifier)
    for entry in found.left_out:
        note(f"left out: {printable(entry.path)}: {printable(entry.reason)}")
    if found.table is not None:
        note(f"written: {printable(found.table)}")
    if not found.faces:
        note("not one picture could be used")
        return NOTHING_PREDICTED
    return 0


def _model(classifier: Classifier) -> dict[str, object]:
    return {
        "checkpoint": str(classifier.checkpoint),
        "fingerprint": classifier.embedder.fingerprint,
        "classes": list(classifier.classes),
        "device": classifier.embedder.device,
        "precision": classifier.embedder.precision,
    }


def _show(found: Predicted, classifier: Classifier) -> None:
    print_table(f"{found.pictures:,} pictures", _COLUMNS, [_row(prediction) for prediction in found.predictions])
    counts = ", ".join(f"{count:,} {status}" for status, count in found.counts.items())
    print(f"{found.faces:,} faces classified in {found.pictures:,} pictures: {counts}")
    embedder = classifier.embedder
    note(
        f"checkpoint: {printable(classifier.checkpoint)}; {len(classifier.classes):,} classes; "
        f"device: {embedder.device}; precision: {embedder.precision}"
    )


def _row(prediction: Prediction) -> tuple[object, ...]:
    path, status = printable(prediction.path), prediction.status.value
    if not prediction.classes:
        return (path, "-", f"{status}: {printable(prediction.reason)}", "-", "-", "-")
    first, *others = prediction.classes
    then = ", ".join(f"{printable(name)} {probability:.4f}" for name, probability in others)
    return (path, _place(prediction), status, printable(first.name), f"{first.probability:.4f}", then)


def _place(prediction: Prediction) -> str:
    """Where the face is: its size and its left upper corner in pixels."""
    if prediction.found is None:
        return "whole picture"
    left, top = prediction.found.box[:2]
    return f"{prediction.found.width:.0f}x{prediction.found.height:.0f} at {left:.0f},{top:.0f}"
