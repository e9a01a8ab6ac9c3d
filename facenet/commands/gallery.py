"""``gallery VERB``: the set of enrolled people. Its verbs live in modules of their own, by what they are for."""

from __future__ import annotations

import argparse

from facenet.commands import gallery_change, gallery_keep, gallery_look, gallery_model

_VERBS = """\
PERSON is a name, or id:N where several people have the name (`gallery list` shows the ids).
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``gallery`` parser with its verbs."""
    gallery = subparsers.add_parser(
        "gallery", help="the enrolled people: look, change, back up, calibrate", description=_VERBS, allow_abbrev=False
    )
    verbs = gallery.add_subparsers(metavar="VERB", required=True)
    for module in (gallery_look, gallery_change, gallery_keep, gallery_model):
        module.add_verbs(verbs)
