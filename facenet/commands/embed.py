"""``embed``: photos become a file of embeddings, and a table that says what became of every photo."""

from __future__ import annotations

import argparse
from pathlib import Path

from facenet.commands.common import add_common_flags, emit_json, note, print_table
from facenet.commands.model_flags import add_model_flags, embedder_from
from facenet.errors import printable

_USELESS = 3
"""Exit code when not one photo held a face."""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``embed`` parser."""
    parser = subparsers.add_parser(
        "embed",
        help="find faces in photos and write their embeddings to a file",
        description="Writes FILE.safetensors and FILE.csv. Interrupted, the same command goes on where it was. Ends "
        "with 3 if not one photo held a face.",
        allow_abbrev=False,
    )
    parser.add_argument("sources", nargs="+", type=Path, metavar="SRC", help="photos, or folders of photos")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="where to write, without an ending")
    parser.add_argument("--aligned", action="store_true", help="each picture is a face, cut as the model wants it")
    parser.add_argument(
        "--faces",
        choices=("largest", "central", "probable", "all"),
        default="largest",
        help="which faces of a photo (default: largest)",
    )
    parser.add_argument("--bs", type=int, default=32, metavar="N", help="faces embedded at a time (default: 32)")
    add_model_flags(parser)
    add_common_flags(parser)
    parser.set_defaults(handler="facenet.commands.embed:run")


def run(args: argparse.Namespace) -> int:
    """Embed; 0, or 3 if there was nothing to embed."""
    from facenet.commands.screen import Screen
    from facenet.detection.faces import Policy
    from facenet.workflows.embed import embed_photos

    with Screen() as screen:
        embedder = embedder_from(args, screen.bar("downloading weights"))
        result = embed_photos(
            args.sources,
            args.out,
            embedder,
            aligned=args.aligned,
            policy=Policy(args.faces),
            batch_size=args.bs,
            progress=screen.bar("photos"),
            say=screen.say,
        )
    if args.json:
        emit_json(result.to_dict())
    else:
        counts = sorted(result.outcomes.items())
        print_table("Photos", ("outcome", "photos"), counts)
        note(f"{result.rows:,} embeddings of {result.photos:,} photos")
        note(f"model: fingerprint {result.fingerprint}; device: {embedder.device}; precision: {embedder.precision}")
        for file in (result.embeddings, result.table):
            note(f"written: {printable(file)}")
    if result.rows == 0:
        note("no photo held a face that could be embedded: the table says why for each")
        return _USELESS
    return 0
