"""``verify``: do two photos show one person, or does a photo show this person of the gallery?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from facenet.commands.common import add_common_flags, emit_json
from facenet.commands.gallery_opening import opened_recognizer, rule_document, say_notices, say_rule
from facenet.commands.gallery_shared import (
    DEFAULT_GALLERY,
    ONE_FACE,
    number,
    threshold_value,
)
from facenet.commands.model_flags import add_model_flags, embedder_from, names_model
from facenet.errors import InputError, UsageError, printable

if TYPE_CHECKING:
    from facenet.commands.screen import Screen
    from facenet.detection.faces import Policy
    from facenet.gallery.records import Header
    from facenet.recognition.comparing import Verification
    from facenet.recognition.decisions import Rule

DIFFERENT = 1
"""Exit code of the answer no."""

_ABOUT = """\
Answers yes with exit code 0 and no with 1. Where there is no answer, because a photo cannot be used or because there
is no threshold to decide by, ends with 3.

Two photos are compared by the gallery's model and its threshold for pairs. If a model is named and no --gallery, no
gallery is needed, and --threshold decides.
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``verify`` parser."""
    parser = subparsers.add_parser(
        "verify",
        help="whether two photos show one person, or a photo shows a person of the gallery",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("photo", type=Path, metavar="IMG", help="a photo")
    parser.add_argument("other", nargs="?", type=Path, metavar="IMG", help="another photo")
    parser.add_argument("--person", metavar="NAME|id:N", help="instead of another photo: a person of the gallery")
    parser.add_argument(
        "--threshold", type=threshold_value, metavar="T", help="score to decide by (default: the calibrated one)"
    )
    parser.add_argument("--aligned", action="store_true", help="each picture is a face, cut as the model wants it")
    parser.add_argument(
        "--faces", choices=ONE_FACE, help="which face of a photo (default: a photo with several cannot be used)"
    )
    parser.add_argument(
        "--gallery",
        metavar="LOCATION",
        help=f"folder of the gallery (default: {DEFAULT_GALLERY}, unless a model is named)",
    )
    add_model_flags(parser, default="the gallery's own")
    add_common_flags(parser)
    parser.set_defaults(handler="facenet.commands.verify:run")


def run(args: argparse.Namespace) -> int:
    """Compare; 0 for yes, 1 for no.

    Raises:
        InputError: a photo cannot be used, or there is no threshold to decide by.
    """
    from facenet.commands.screen import Screen
    from facenet.detection.faces import Policy

    if (args.other is None) == (args.person is None):
        raise UsageError("name two photos, or one photo and --person")
    faces = None if args.faces is None else Policy(args.faces)
    alone = args.gallery is None and args.person is None and names_model(args)
    if args.gallery is None:
        args.gallery = DEFAULT_GALLERY
    with Screen() as screen:
        found, rule, header = (_by_model if alone else _by_gallery)(args, screen, faces)
    if args.json:
        emit_json({"decision": rule_document(rule, header), **found.to_dict()})
    elif found.score is not None:
        print(f"score {number(found.score)}, threshold {number(found.threshold)}: {_answer(found)}")
    if found.same is None:
        say_notices(rule.notices, warn=True)
        raise InputError(f"no answer: {found.reason}")
    say_rule(rule, header)
    return 0 if found.same else DIFFERENT


def _by_gallery(
    args: argparse.Namespace, screen: Screen, faces: Policy | None
) -> tuple[Verification, Rule, Header | None]:
    with opened_recognizer(args, screen) as recognizer:
        rule = recognizer.verification_rule(args.threshold)
        options = {"aligned": args.aligned, "threshold": args.threshold, "faces": faces}
        if args.person is None:
            found = recognizer.verify(args.photo, args.other, **options)
        else:
            found = recognizer.verify_person(args.photo, args.person, **options)
        return found, rule, recognizer.gallery.header


def _by_model(
    args: argparse.Namespace, screen: Screen, faces: Policy | None
) -> tuple[Verification, Rule, Header | None]:
    from facenet.workflows.verify import verify_without_gallery

    embedder = embedder_from(args, screen.bar("downloading weights"))
    found, rule = verify_without_gallery(
        embedder, args.photo, args.other, threshold=args.threshold, aligned=args.aligned, faces=faces
    )
    return found, rule, None


def _answer(found: Verification) -> str:
    who = "one person" if found.person is None else printable(found.person.name)
    if found.same is None:
        return "no answer"
    if found.person is None:
        return "the same person" if found.same else "different people"
    return f"this is {who}" if found.same else f"this is not {who}"
