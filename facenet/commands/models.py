"""``models list|pull|verify``: the weights catalogue and what of it lies in the cache folder."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from facenet.commands.common import add_common_flags, emit_json, note, print_table
from facenet.errors import printable

if TYPE_CHECKING:
    from facenet.models.cache import WeightsStatus
    from facenet.models.catalogue import WeightsEntry

_MEGABYTE = 1_000_000
_DAMAGED = 4


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``models`` parser with its verbs."""
    models = subparsers.add_parser("models", help="pretrained weights: list, download, check")
    verbs = models.add_subparsers(metavar="VERB", required=True)
    listing = verbs.add_parser("list", help="what weights there are, under which terms, and which are at hand")
    pull = verbs.add_parser("pull", help="download weights into the cache folder")
    pull.add_argument("names", nargs="+", metavar="NAME", help="weights as 'models list' names them")
    verify = verbs.add_parser("verify", help="check weights in the cache folder byte by byte")
    verify.add_argument("names", nargs="*", metavar="NAME", help="weights to check (default: all that are there)")
    for parser, handler in ((listing, "run_list"), (pull, "run_pull"), (verify, "run_verify")):
        parser.add_argument("--offline", action="store_true", help="never use the network (also FACENET_OFFLINE=1)")
        add_common_flags(parser)
        parser.set_defaults(handler=f"facenet.commands.models:{handler}")


def is_offline(args: argparse.Namespace) -> bool:
    """Return whether ``--offline`` or the environment variable ``FACENET_OFFLINE`` forbids the network."""
    return bool(args.offline) or os.environ.get("FACENET_OFFLINE", "").lower() not in ("", "0", "false", "no")


def run_list(args: argparse.Namespace) -> int:
    """Show every entry of the catalogue; always 0."""
    from facenet.models import cache, catalogue

    folder = catalogue.weights_folder()
    if args.json:
        weights = [_described(entry) | {"at_hand": cache.at_hand(entry, folder)} for entry in catalogue.CATALOGUE]
        emit_json({"folder": str(folder), "weights": weights})
        return 0
    rows = [
        (entry.name, entry.architecture, _size(entry), "yes" if cache.at_hand(entry, folder) else "no", _figures(entry))
        for entry in catalogue.CATALOGUE
    ]
    columns = ("weights", "architecture", "size", "at hand", "published figures (not measured here)")
    print_table("Pretrained weights", columns, rows)
    terms = [(entry.name, entry.licence, entry.training_data) for entry in catalogue.CATALOGUE]
    print_table("Terms", ("weights", "licence", "training data"), terms)
    for source in dict.fromkeys(figure.source for entry in catalogue.CATALOGUE for figure in entry.published):
        note(f"figures from {source}")
    note(f"kept in {printable(folder)}")
    return 0


def run_pull(args: argparse.Namespace) -> int:
    """Download the named weights, or say that they are there; 0, or a WeightsError."""
    from facenet.models import catalogue

    folder = catalogue.weights_folder()
    results = [_pull(entry, folder, is_offline(args)) for entry in _named(args.names)]
    if args.json:
        emit_json({"folder": str(folder), "weights": results})
    return 0


def run_verify(args: argparse.Namespace) -> int:
    """Check the named weights, or all that are there; 0 if all are whole, 4 if any is missing or damaged."""
    from facenet.models import cache, catalogue

    folder = catalogue.weights_folder()
    statuses = [cache.verify(entry, folder) for entry in (_named(args.names) if args.names else catalogue.CATALOGUE)]
    if not args.names:
        statuses = [status for status in statuses if status.condition is not cache.Condition.MISSING]
    if not statuses:
        note(f"no weights of the catalogue in {printable(folder)}")
    if args.json:
        emit_json({"folder": str(folder), "weights": [_checked(status) for status in statuses]})
    elif statuses:
        rows = [(status.entry.name, str(status.condition), printable(status.path)) for status in statuses]
        print_table("Weights", ("weights", "condition", "file"), rows)
    for status in statuses:
        if status.condition is cache.Condition.UNRECORDED:
            note(f"nobody knows the checksum of {status.entry.name}: 'models pull' records the one it has now")
        elif not status.usable:
            note(f"{status.entry.name}: {status.condition}; 'models pull {status.entry.name}' downloads it")
    return 0 if statuses and all(status.usable for status in statuses) else _DAMAGED


def _pull(entry: WeightsEntry, folder: Path, offline: bool) -> dict[str, object]:
    from facenet.models import cache, download

    status = cache.verify(entry, folder)
    downloaded = not status.usable
    if downloaded:
        if status.condition is not cache.Condition.MISSING:
            note(f"{entry.name}: {status.condition}, the file is not used")
        with _progress(entry, offline) as progress:
            download.ensure(entry, folder=folder, offline=offline, progress=progress, thorough=True)
        status = cache.verify(entry, folder)
    elif status.condition is cache.Condition.UNRECORDED:
        cache.remember(status)
    note(f"{entry.name} {'is now' if downloaded else 'was already'} at {printable(status.path)}")
    return _described(entry) | {"sha256": status.sha256, "downloaded": downloaded}


def _named(names: list[str]) -> list[WeightsEntry]:
    from facenet.models import catalogue

    return [catalogue.find(name) for name in dict.fromkeys(names)]


def _described(entry: WeightsEntry) -> dict[str, object]:
    from dataclasses import asdict

    from facenet.models import cache

    return asdict(entry) | {"path": str(cache.weights_path(entry))}


def _checked(status: WeightsStatus) -> dict[str, object]:
    return {
        "name": status.entry.name,
        "architecture": status.entry.architecture,
        "path": str(status.path),
        "condition": str(status.condition),
        "usable": status.usable,
        "bytes": status.bytes,
        "sha256": status.sha256,
        "expected_sha256": status.expected_sha256,
    }


def _size(entry: WeightsEntry) -> str:
    return "unknown" if entry.bytes is None else f"{entry.bytes / _MEGABYTE:.1f} MB"


def _figures(entry: WeightsEntry) -> str:
    return ", ".join(f"{figure.benchmark}: {figure.metric} {figure.value}" for figure in entry.published)


@contextmanager
def _progress(entry: WeightsEntry, offline: bool) -> Iterator[Callable[[int, int | None], None] | None]:
    """Give a callback that moves a progress bar on standard error, or None where that is no terminal."""
    if offline or not sys.stderr.isatty():
        if not offline:
            note(f"downloading {entry.name} ({_size(entry)}) from {entry.url}")
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(entry.name, total=entry.bytes)

        def move(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total)

        yield move
