"""What the commands on a gallery share: flags, people and figures in words, and asking before something goes."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from facenet.commands.common import add_common_flags, note
from facenet.errors import UsageError, printable

if TYPE_CHECKING:
    from facenet.gallery.records import Person

DECLINED = 1
"""Exit code when the question before a change was answered with no."""

DEFAULT_GALLERY = "gallery"

FUSIONS = ("max", "mean", "quality-weighted")
INDEXES = ("auto", "exact", "hnsw", "ivf")
ONE_FACE = ("largest", "central", "probable")
POLICIES = (*ONE_FACE, "all")


def add_gallery_flag(parser: argparse.ArgumentParser) -> None:
    """Add ``--gallery``."""
    parser.add_argument(
        "--gallery",
        default=DEFAULT_GALLERY,
        metavar="LOCATION",
        help="folder of the gallery (default: %(default)s)",
    )


def add_yes_flag(parser: argparse.ArgumentParser) -> None:
    """Add ``--yes``."""
    parser.add_argument("--yes", action="store_true", help="do not ask; needed where nobody can answer, as in a script")


def add_verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, help: str, description: str | None = None
) -> argparse.ArgumentParser:
    """Add the parser of a verb of ``gallery``; :func:`finish` completes it."""
    return verbs.add_parser(name, help=help, description=description, allow_abbrev=False)


def finish(parser: argparse.ArgumentParser, handler: str) -> None:
    """Add the flags that every verb has, after its own, and say who handles it."""
    add_gallery_flag(parser)
    add_common_flags(parser)
    parser.set_defaults(handler=handler)


def threshold_value(text: str) -> float:
    """A cosine: a number from -1 to 1."""
    number = float(text)
    if not -1 <= number <= 1:
        raise argparse.ArgumentTypeError(f"a cosine lies between -1 and 1, not at {text}")
    return number


def rate_value(text: str) -> float:
    """A rate: more than 0, less than 1."""
    number = float(text)
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError(f"a rate lies between 0 and 1, not at {text}")
    return number


def positive(text: str) -> int:
    """A whole number from 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {number}")
    return number


def json_object(text: str) -> dict[str, Any]:
    """A JSON object, such as ``{"badge": 17}``."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"no valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError('must be a JSON object, such as {"badge": 17}')
    return value


def person_id(text: str) -> int:
    """``id:7`` or ``7``."""
    digits = text.removeprefix("id:")
    if not (digits.isascii() and digits.isdigit()):
        raise argparse.ArgumentTypeError(f"must be id:N, not {printable(text)}")
    return int(digits)


def add_making_flags(parser: argparse.ArgumentParser) -> None:
    """Add ``--fusion`` and ``--index``, for a gallery that is made."""
    making = parser.add_argument_group("a gallery that is made")
    making.add_argument("--fusion", choices=FUSIONS, help="how the pictures of a person stand for that person")
    making.add_argument("--index", choices=INDEXES, help="how it is searched")


def made_with(args: argparse.Namespace) -> dict[str, Any]:
    """What :func:`add_making_flags` was given, as arguments of :func:`opened_recognizer`."""
    from facenet.gallery.records import Fusion, IndexKind

    return {
        "fusion": None if args.fusion is None else Fusion(args.fusion),
        "index": None if args.index is None else IndexKind(args.index),
    }


def confirm(args: argparse.Namespace, question: str) -> bool:
    """Ask at the terminal, unless ``--yes`` answers.

    Raises:
        UsageError: nobody is there to answer.
    """
    if args.yes:
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"{question}: add --yes, for nobody is at a terminal to be asked")
    note(f"{question}? [y/N]")
    agreed = sys.stdin.readline().strip().lower() in ("y", "yes")
    if not agreed:
        note("nothing was changed")
    return agreed


def named(person: Person) -> str:
    """``Ada (id:3)``, fit for a line."""
    return f"{printable(person.name)} (id:{person.id})"


def person_document(person: Person) -> dict[str, Any]:
    """A person as plain values, for JSON."""
    return {
        "id": person.id,
        "name": person.name,
        "embeddings": person.embeddings,
        "created": person.created,
        "expires": person.expires,
        "consent": person.consent,
        "metadata": dict(person.metadata),
    }


def number(value: float | None) -> str:
    """A score for a table; ``-`` where there is none."""
    return "-" if value is None or not math.isfinite(value) else f"{value:.4f}"


def size_text(size: int) -> str:
    """Bytes, in the unit that suits them."""
    amount, unit = float(size), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"


def metadata_text(metadata: Mapping[str, Any]) -> str:
    """Metadata in a table cell."""
    return printable(json.dumps(metadata, ensure_ascii=False)) if metadata else ""
