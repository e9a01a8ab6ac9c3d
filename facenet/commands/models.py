"""``models list|pull|verify``: the networks, the weights catalogue, and what of it lies in the cache folder."""

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
    from facenet.models.registry import BackboneEntry

_MILLION = 1_000_000
_DAMAGED = 4


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``models`` parser with its verbs."""
    models = subparsers.add_parser("models", help="networks and pretrained weights: list, download, check")
    verbs = models.add_subparsers(metavar="VERB", required=True)
    listing = verbs.add_parser(
        "list", help="what networks and weights there are, under which terms, and what is at hand"
    )
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
    """Show every network and every entry of the catalogue; always 0."""
    from facenet.models import cache, catalogue
    from facenet.models.registry import BACKBONES

    folder = catalogue.weights_folder()
    if args.json:
        weights = [_described(entry) | {"at_hand": cache.at_hand(entry, folder)} for entry in catalogue.CATALOGUE]
        networks = [_network(entry) for entry in BACKBONES.values()]
        emit_json({"folder": str(folder), "networks": networks, "timm": _has_timm(), "weights": weights})
        return 0
    _print_networks(list(BACKBONES.values()))
    rows = [
        (
            catalogue.full_name(entry),
            entry.architecture,
            _size(entry),
            "yes" if cache.at_hand(entry, folder) else "no",
            _figures(entry),
        )
        for entry in catalogue.CATALOGUE
    ]
    columns = ("weights", "architecture", "size", "at hand", "published figures (not measured here)")
    print_table("Pretrained weights", columns, rows)
    print_table("Terms", ("weights", "licence", "training data"), _terms(catalogue.CATALOGUE))
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
        rows = [
            (catalogue.full_name(status.entry), str(status.condition), printable(status.path)) for status in statuses
        ]
        print_table("Weights", ("weights", "condition", "file"), rows)
    for status in statuses:
        name = catalogue.full_name(status.entry)
        if status.condition is cache.Condition.UNRECORDED:
            note(f"nobody knows the checksum of {name}: 'models pull' records the one it has now")
        elif not status.usable:
            note(f"{name}: {status.condition}; 'models pull {name}' downloads it")
    return 0 if statuses and all(status.usable for status in statuses) else _DAMAGED


def _pull(entry: WeightsEntry, folder: Path, offline: bool) -> dict[str, object]:
    from facenet.models import cache, catalogue, download

    name = catalogue.full_name(entry)
    status = cache.verify(entry, folder)
    downloaded = not status.usable
    if downloaded:
        if status.condition is not cache.Condition.MISSING:
            note(f"{name}: {status.condition}, the file is not used")
        with _progress(entry, name, offline) as progress:
            download.ensure(entry, folder=folder, offline=offline, progress=progress, thorough=True)
        status = cache.verify(entry, folder)
    elif status.condition is cache.Condition.UNRECORDED:
        cache.remember(status)
    note(f"{name} {'is now' if downloaded else 'was already'} at {printable(status.path)}")
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


def _print_networks(entries: list[BackboneEntry]) -> None:
    rows = [
        (
            entry.name,
            f"{entry.input_size[0]}x{entry.input_size[1]}",
            _scaling(entry),
            entry.photo_crop,
            f"{entry.embedding_size:,}",
            f"{entry.parameters / _MILLION:6.2f} M",
            "unknown" if entry.multiply_adds is None else f"{entry.multiply_adds / _MILLION:9,.1f} M",
            ", ".join(_weights_of(entry)) or "none",
        )
        for entry in entries
    ]
    columns = ("network", "input", "mean, std", "face crop", "embedding", "parameters", "multiply-adds", "weights")
    print_table("Networks", columns, rows)
    if _has_timm():
        note("timm:NAME takes any network of timm, with random weights or those of a file")
    else:
        note("timm:NAME takes any network of timm, which is not installed: pip install 'facenet[timm]'")


def _network(entry: BackboneEntry) -> dict[str, object]:
    from dataclasses import asdict

    described = asdict(entry)
    del described["location"]
    return described | {"weights": _weights_of(entry)}


def _weights_of(entry: BackboneEntry) -> list[str]:
    from facenet.models import catalogue

    return [weights.name for weights in catalogue.CATALOGUE if weights.architecture == entry.name]


def _scaling(entry: BackboneEntry) -> str:
    from facenet.preprocessing import IMAGENET_MEAN, IMAGENET_STD

    if (entry.mean, entry.std) == (IMAGENET_MEAN, IMAGENET_STD):
        return "ImageNet"
    return f"{entry.mean}, {entry.std}"


def _has_timm() -> bool:
    from importlib.util import find_spec

    return find_spec("timm") is not None


def _terms(entries: tuple[WeightsEntry, ...]) -> list[tuple[str, str, str]]:
    """Rows of names, licence and training data; weights under the same terms share one."""
    from facenet.models import catalogue

    owners: dict[tuple[str, str], list[str]] = {}
    for entry in entries:
        owners.setdefault((entry.licence, entry.training_data), []).append(catalogue.full_name(entry))
    return [(", ".join(names), *terms) for terms, names in owners.items()]


def _size(entry: WeightsEntry) -> str:
    return "unknown" if entry.bytes is None else f"{entry.bytes / _MILLION:.1f} MB"


def _figures(entry: WeightsEntry) -> str:
    return ", ".join(f"{figure.benchmark}: {figure.metric} {figure.value}" for figure in entry.published)


@contextmanager
def _progress(entry: WeightsEntry, name: str, offline: bool) -> Iterator[Callable[[int, int | None], None] | None]:
    """Give a callback that moves a progress bar on standard error, or None where that is no terminal."""
    if offline or not sys.stderr.isatty():
        if not offline:
            note(f"downloading {name} ({_size(entry)}) from {entry.url}")
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
        task = bar.add_task(name, total=entry.bytes)

        def move(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total)

        yield move
