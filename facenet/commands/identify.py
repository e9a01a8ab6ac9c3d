"""``identify``: who is in these photos, or nobody we know."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from facenet.commands.common import add_common_flags, emit_json, note, print_table
from facenet.commands.gallery_opening import (
    add_search_flags,
    opened_recognizer,
    rule_document,
    say_rule,
    searched_with,
)
from facenet.commands.gallery_shared import POLICIES, add_gallery_flag, number
from facenet.commands.model_flags import add_model_flags
from facenet.errors import printable

if TYPE_CHECKING:
    from facenet.recognition.outcomes import Outcome
    from facenet.workflows.identify import Identified

NOTHING_COMPARED = 3
"""Exit code when not one photo held a face to compare."""

_COLUMNS = ("photo", "face", "outcome", "name", "score", "threshold", "margin", "runner-up")


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``identify`` parser."""
    parser = subparsers.add_parser(
        "identify",
        help="who is in a photo, among the people of a gallery",
        description="Says for every face: matched, unknown, undecided (there is no threshold), or why there is nothing "
        "to compare. Strangers are unknown, and that is no error: ends with 3 only if not one face could be compared.",
        allow_abbrev=False,
    )
    parser.add_argument("photos", nargs="+", type=Path, metavar="IMG|DIR", help="photos, or folders of photos")
    add_search_flags(parser, "face", POLICIES, policy="all", threshold="the calibrated one")
    parser.add_argument("--draw", type=Path, metavar="OUT", help="write the photos with boxes and names into a folder")
    add_gallery_flag(parser)
    add_model_flags(parser, default="the gallery's own")
    add_common_flags(parser)
    parser.set_defaults(handler="facenet.commands.identify:run")


def run(args: argparse.Namespace) -> int:
    """Identify; 0, or 3 if not one face could be compared."""
    from facenet.commands.screen import Screen
    from facenet.workflows.identify import identify_pictures

    with Screen() as screen, opened_recognizer(args, screen) as recognizer:
        found = identify_pictures(
            recognizer,
            args.photos,
            **searched_with(args),
            draw=args.draw,
            progress=screen.bar("photos"),
        )
        header = recognizer.gallery.header
    if args.json:
        emit_json({"gallery": args.gallery, "decision": rule_document(found.rule, header), **found.to_dict()})
    else:
        print_table(f"{found.photos:,} photos", _COLUMNS, [_row(outcome) for outcome in found.outcomes])
        if any(outcome.candidates and outcome.name is None for outcome in found.outcomes):
            print("(in brackets: the best candidate, who was not recognised)")
        print(_summary(found))
    say_rule(found.rule, header)
    for entry in found.left_out:
        note(f"left out: {printable(entry.path)}: {printable(entry.reason)}")
    if args.draw is not None:
        note(f"drawn: {len(found.drawn):,} pictures into {printable(args.draw)}")
    return 0 if found.compared else NOTHING_COMPARED


def _row(outcome: Outcome) -> tuple[object, ...]:
    second = outcome.candidates[1] if len(outcome.candidates) > 1 else None
    return (
        printable(outcome.source),
        face_text(outcome),
        outcome.status.value if outcome.candidates else f"{outcome.status.value}: {printable(outcome.reason)}",
        _name(outcome),
        number(outcome.score),
        number(outcome.threshold),
        number(outcome.margin),
        "-" if second is None else f"{printable(second.name)} {second.score:.4f}",
    )


def _name(outcome: Outcome) -> str:
    if outcome.name is not None:
        return printable(outcome.name)
    return f"({printable(outcome.candidates[0].name)})" if outcome.candidates else "-"


def face_text(outcome: Outcome) -> str:
    """Where a face is: its size and its left upper corner in pixels."""
    if outcome.face is None:
        return "whole picture" if outcome.quality is not None else "-"
    left, top = outcome.face.box[:2]
    return f"{outcome.face.width:.0f}x{outcome.face.height:.0f} at {left:.0f},{top:.0f}"


def _summary(found: Identified) -> str:
    counts = ", ".join(f"{count:,} {status}" for status, count in found.counts.items())
    faces = f"{found.compared:,} faces compared in {found.photos:,} photos"
    return f"{faces}: {counts}"
