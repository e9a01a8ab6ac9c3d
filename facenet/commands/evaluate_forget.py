"""``evaluate forget``: delete the embeddings that protocols have kept."""

from __future__ import annotations

import argparse
from pathlib import Path

from facenet.commands.common import add_common_flags, emit_json, note
from facenet.commands.evaluate_shared import Verbs, add_protocol, kept_in
from facenet.errors import printable

_ABOUT = """\
Embeddings are biometric data. This deletes all that protocols have kept, whichever model made them, and nothing else
that lies there. The next run embeds its pictures again.
"""


def register(verbs: Verbs) -> None:
    """Add the parser."""
    parser = add_protocol(verbs, "forget", help="delete the embeddings kept for the next run", description=_ABOUT)
    parser.add_argument("--cache", type=Path, metavar="DIR", help="where they are (default: RUN-DIR/embeddings)")
    parser.add_argument("--run-dir", type=Path, default=Path("runs"), help="folder of runs (default: %(default)s)")
    add_common_flags(parser)
    parser.set_defaults(handler="facenet.commands.evaluate_forget:run")


def run(args: argparse.Namespace) -> int:
    """Delete; always 0, for nothing to delete is as good as everything deleted."""
    from facenet.workflows.embedding_cache import forget

    folder = kept_in(args)
    deleted = forget(folder)
    if args.json:
        emit_json({"folder": str(folder), "files": deleted})
    else:
        note(f"{deleted:,} files of embeddings deleted from {printable(folder)}")
    return 0
