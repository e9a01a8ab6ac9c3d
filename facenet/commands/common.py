"""What every command shares: common flags, tables and notes. Standard output is for results, the rest for people."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence


def add_common_flags(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``, ``--device`` and ``--debug``."""
    parser.add_argument("--json", action="store_true", help="print one JSON document on standard output")
    parser.add_argument(
        "--device", default="auto", choices=("auto", "cpu", "cuda", "mps"), help="where to compute (default: auto)"
    )
    parser.add_argument("--debug", action="store_true", help="show a traceback when something fails")


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table on standard output; numbers are set flush right."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", title_style="bold")
    for position, column in enumerate(columns):
        numeric = position > 0 and all(_is_number(row[position]) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        # Text, not str: a name with square brackets must not be read as markup.
        table.add_row(*(Text(str(cell)) for cell in row))
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(table)


def emit_json(document: object) -> None:
    """Print one JSON document on standard output (ASCII only, so any name survives any terminal)."""
    json.dump(document, sys.stdout, indent=2, ensure_ascii=True, allow_nan=False)
    sys.stdout.write("\n")


def note(text: str) -> None:
    """Say something to the person at the terminal (standard error)."""
    print(text, file=sys.stderr, flush=True)


def _is_number(cell: object) -> bool:
    text = str(cell).strip().rstrip("%")
    return text in ("", "-") or text.replace(".", "", 1).replace(",", "").lstrip("-").isdigit()
