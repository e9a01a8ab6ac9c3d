"""Opening a gallery for a command, searching it, and saying what it was made with, what it noticed and what decides."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from facenet.commands.common import note
from facenet.commands.gallery_shared import positive, threshold_value
from facenet.commands.model_flags import embedder_from, names_model
from facenet.commands.models import is_offline
from facenet.errors import printable

if TYPE_CHECKING:
    from facenet.commands.screen import Screen
    from facenet.evaluation.calibration import Threshold
    from facenet.gallery.gallery import Gallery
    from facenet.gallery.records import Fusion, Header, IndexKind
    from facenet.recognition.decisions import Rule
    from facenet.recognition.recognizer import Recognizer


def add_search_flags(
    parser: argparse.ArgumentParser, of: str, policies: Sequence[str], *, policy: str, threshold: str
) -> None:
    """Add the flags of a search: ``--top-k``, ``--threshold``, ``--aligned`` and ``--faces``.

    Args:
        parser: of a command that decides about pictures.
        of: what is decided about, such as ``"face"``.
        policies: choices of ``--faces``.
        policy: the one that is taken if nothing is said.
        threshold: which threshold decides if none is given.
    """
    parser.add_argument("--top-k", type=positive, default=5, metavar="N", help=f"candidates per {of} (default: 5)")
    parser.add_argument(
        "--threshold", type=threshold_value, metavar="T", help=f"score to decide by (default: {threshold})"
    )
    parser.add_argument("--aligned", action="store_true", help="each picture is a face, cut as the model wants it")
    parser.add_argument(
        "--faces", choices=policies, default=policy, help="which faces of a picture (default: %(default)s)"
    )


def searched_with(args: argparse.Namespace) -> dict[str, Any]:
    """What :func:`add_search_flags` was given, as arguments of the function that searches."""
    from facenet.detection.faces import Policy

    return {
        "top_k": args.top_k,
        "threshold": args.threshold,
        "aligned": args.aligned,
        "faces": Policy(args.faces),
    }


@contextmanager
def opened(location: str) -> Iterator[Gallery]:
    """An existing gallery, whose notices are shown at the end, whatever that is."""
    from facenet.gallery.gallery import Gallery

    with Gallery.open(location) as gallery:
        try:
            yield gallery
        finally:
            say_notices(gallery.notices)


@contextmanager
def opened_recognizer(
    args: argparse.Namespace,
    screen: Screen,
    *,
    create: bool = False,
    fusion: Fusion | None = None,
    index: IndexKind | None = None,
) -> Iterator[Recognizer]:
    """The gallery with its own model, or with the one the flags name; notices are shown at the end.

    Args:
        args: parsed by a parser with ``--gallery``, model flags and ``--device``.
        screen: shows a download.
        create, fusion, index: see :meth:`facenet.recognition.recognizer.Recognizer.open`. The model of a gallery that
            is made is the one the flags name, or their default.
    """
    from facenet.gallery.backend import gallery_exists
    from facenet.recognition.recognizer import Recognizer

    making = create and not gallery_exists(args.gallery)
    needed = making or names_model(args)
    embedder = embedder_from(args, screen.bar("downloading weights")) if needed else None
    with Recognizer.open(
        args.gallery,
        embedder=embedder,
        create=create,
        fusion=fusion,
        index=index,
        device=args.device,
        precision=args.precision,
        offline=is_offline(args),
    ) as recognizer:
        if making:
            say_made(args.gallery, recognizer.gallery.header)
        try:
            yield recognizer
        finally:
            say_notices(recognizer.gallery.notices)


def say_made(location: str, header: Header) -> None:
    """Say where a gallery was made and with which model (standard error)."""
    note(f"made the gallery {printable(location)} for {model_text(header)}, fingerprint {header.fingerprint}")
    note(f"fusion: {header.fusion.value}; index: {header.index.value}")


def model_text(header: Header) -> str:
    """Which model a gallery is made for, and where it is."""
    if not header.model:
        return "a model that was not named"
    return f"{printable(header.model.get('backbone', ''))} of {printable(header.model.get('place', ''))}"


def threshold_texts(header: Header) -> dict[str, str]:
    """What each threshold promises and rests on, by purpose."""
    from facenet.recognition.decisions import PURPOSES, calibrated

    found = {}
    for purpose in PURPOSES:
        threshold = calibrated(header, purpose)
        found[purpose] = "not calibrated" if threshold is None else threshold.describe()
    return found


def say_notices(notices: Iterable[str], *, warn: bool = False) -> None:
    """Say what was noticed, once each (standard error)."""
    for text in dict.fromkeys(notices):
        note(f"{'WARNING' if warn else 'note'}: {printable(text)}")


def say_rule(rule: Rule, header: Header | None) -> None:
    """Say what decided, what that rests on, and what should be known about it (standard error)."""
    threshold = _calibrated(rule, header)
    if threshold is not None:
        note(f"decided by the calibrated threshold for {rule.origin.value}: {threshold.describe()}")
        if threshold.caution:
            note(f"note: {threshold.caution}")
    elif rule.threshold is not None:
        note(f"decided by the threshold given, {rule.threshold:.4f}")
    else:
        note(
            "WARNING: nothing was decided, for there is no threshold: set one with `gallery calibrate`, or give one "
            "with --threshold"
        )
    say_notices(rule.notices, warn=True)


def rule_document(rule: Rule, header: Header | None) -> dict[str, Any]:
    """What decided, as plain values, for JSON."""
    threshold = _calibrated(rule, header)
    return {
        "threshold": rule.threshold,
        "origin": rule.origin.value,
        "calibration": None if threshold is None else threshold.to_dict(),
        "notices": list(rule.notices),
    }


def _calibrated(rule: Rule, header: Header | None) -> Threshold | None:
    from facenet.recognition.decisions import PURPOSES, calibrated

    if header is None or rule.origin.value not in PURPOSES:
        return None
    return calibrated(header, rule.origin.value)
