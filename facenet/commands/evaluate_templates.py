"""``evaluate templates``: several pictures of one person, compared as one."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from facenet.commands.evaluate_pairs import add_target_fmr
from facenet.commands.evaluate_shared import Verbs, add_protocol, finish, measure

_ABOUT = """\
The 1:1 protocol of the IJB sets, with files in their text layout: MEDIA has lines `NAME TEMPLATE MEDIUM`, PAIRS has
lines `TEMPLATE TEMPLATE 1|0`, LANDMARKS has lines `NAME x1 y1 ... x5 y5 SCORE`. With landmarks, faces are cut by them
and none is looked for.
"""


def register(verbs: Verbs) -> None:
    """Add the parser."""
    parser = add_protocol(verbs, "templates", help="pairs of templates, as in the IJB sets", description=_ABOUT)
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="folder of the pictures")
    parser.add_argument("--media", type=Path, required=True, metavar="FILE", help="which picture is in which template")
    parser.add_argument("--pairs", type=Path, required=True, metavar="FILE", help="which templates are compared")
    parser.add_argument("--landmarks", type=Path, metavar="FILE", help="where the face of each picture is")
    add_target_fmr(parser, "0.01,0.001,0.0001")
    finish(parser, "facenet.commands.evaluate_templates:run")


def run(args: argparse.Namespace) -> int:
    """Evaluate; always 0."""
    from facenet.workflows.study_templates import templates_study

    return measure(
        args,
        partial(
            templates_study,
            images=args.images,
            media=args.media,
            pairs=args.pairs,
            landmarks=args.landmarks,
            targets=args.target_fmr,
        ),
    )
