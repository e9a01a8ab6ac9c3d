"""``tracks``: one decision for all frames of a face, beside what its frames say one by one."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facenet.commands.common import add_common_flags, emit_json, note, print_table
from facenet.commands.gallery_opening import (
    add_search_flags,
    opened_recognizer,
    rule_document,
    say_notices,
    say_rule,
    searched_with,
)
from facenet.commands.gallery_shared import DEFAULT_GALLERY, ONE_FACE, number
from facenet.commands.model_flags import add_model_flags, embedder_from
from facenet.errors import printable

if TYPE_CHECKING:
    from facenet.commands.screen import Screen
    from facenet.gallery.records import Header
    from facenet.recognition.decisions import TrackRules
    from facenet.recognition.recognizer import Recognizer
    from facenet.workflows.track_accuracy import Way
    from facenet.workflows.track_outcomes import TrackOutcome, TracksFound

NOTHING_COMPARED = 3
"""Exit code when not one track has a frame to compare."""

_ABOUT = """\
A track is a folder with the pictures of one face over the frames of a recording, DIR/TRACK/frame, taken in the order
of their names (frame 2 before frame 10). Each track gets one outcome, as `identify` gives one for each face: matched,
unknown, undecided (there is no threshold), or why there is nothing to compare.

With --truth the folders are DIR/PERSON/TRACK/frame (or DIR/PERSON/frame, one track of each person), and single frames,
windows, the vote of a track's frames and whole tracks are compared by how often they are right. Nothing is guessed from
folders: without --truth their names mean nothing. Ends with 3 only if not one track could be compared.

Tracks are decided by --threshold; else by the gallery's threshold for tracks (`gallery calibrate --tracks`); else by
its threshold for single pictures, whose error rate is another on tracks. Windows go by the threshold of tracks; frames
and their votes by that for single pictures.
"""

_COLUMNS = ("track", "frames", "outcome", "name", "score", "margin", "agreement", "vote of its frames")
_TITLES = {"frames": "each frame alone", "windows": "windows", "vote": "vote of a track's frames", "tracks": "tracks"}
_FIGURES = {
    "rank_1": "rank-1: how often the person shown is the best candidate",
    "fnir": "FNIR: how often somebody enrolled is missed, or taken for another",
    "fpir": "FPIR: how often a stranger is taken for somebody",
}


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``tracks`` parser."""
    parser = subparsers.add_parser(
        "tracks",
        help="who is in a recording: one decision for all frames of a face",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("root", type=Path, metavar="DIR", help="folder of tracks")
    known = parser.add_mutually_exclusive_group()
    known.add_argument(
        "--gallery", default=DEFAULT_GALLERY, metavar="LOCATION", help="who is known (default: %(default)s)"
    )
    known.add_argument(
        "--enrolled", type=Path, metavar="FOLDER", help="instead: a folder of people, enrolled for this once"
    )
    add_context_flag(parser)
    parser.add_argument("--truth", action="store_true", help="the upper folders are people: measure")
    parser.add_argument(
        "--contexts", type=_several, default=(), metavar="N,N,…", help="with --truth: further contexts to measure"
    )
    add_search_flags(
        parser, "track", ONE_FACE, policy="largest", threshold="the gallery's for tracks, else for pictures"
    )
    parser.add_argument("--out", type=Path, metavar="CSV", help="write one line for each track")
    add_model_flags(parser, default="the gallery's own; with --enrolled the newest checkpoint, else vggface2")
    add_common_flags(parser)
    parser.set_defaults(handler="facenet.commands.tracks:run")


def run(args: argparse.Namespace) -> int:
    """Decide; 0, or 3 if not one track could be compared."""
    from facenet.commands.screen import Screen
    from facenet.workflows.track_outcomes import write_tracks
    from facenet.workflows.tracks import identify_tracks

    with Screen() as screen, _opened(args, screen) as recognizer:
        found = identify_tracks(
            recognizer,
            args.root,
            context=context_from(args),
            contexts=args.contexts,
            truth=args.truth,
            progress=screen.bar("frames"),
            **searched_with(args),
        )
        header = recognizer.gallery.header
    if args.out is not None:
        write_tracks(args.out, found)
    if args.json:
        known: dict[str, Any] = {"gallery": args.gallery if args.enrolled is None else None}
        known["enrolled"] = None if args.enrolled is None else str(args.enrolled)
        decisions = {
            "decision": rule_document(found.rules.tracks, header),
            "frames_decision": rule_document(found.rules.frames, header),
        }
        emit_json({**known, **decisions, **found.to_dict()})
    else:
        _show(found)
    if args.enrolled is not None and found.rules.tracks.threshold is None:
        note("only ranked: --threshold decides, and so does a gallery's calibrated threshold")
    else:
        _say_rules(found.rules, header)
    say_notices(found.notices)
    for entry in found.left_out:
        note(f"left out: {printable(entry.path)}: {printable(entry.reason)}")
    if args.out is not None:
        note(f"written: {printable(args.out)}")
    return 0 if found.compared else NOTHING_COMPARED


@contextmanager
def _opened(args: argparse.Namespace, screen: Screen) -> Iterator[Recognizer]:
    """The gallery with its model, or the people of a folder in a gallery that is gone afterwards."""
    from facenet.detection.faces import Policy
    from facenet.recognition.recognizer import Recognizer
    from facenet.workflows.tracks import enroll_all

    if args.enrolled is None:
        with opened_recognizer(args, screen) as recognizer:
            yield recognizer
        return
    embedder = embedder_from(args, screen.bar("downloading weights"))
    with Recognizer.open("memory:", embedder=embedder, create=True) as recognizer:
        say_notices(enroll_all(recognizer, args.enrolled, aligned=args.aligned, faces=Policy(args.faces)))
        yield recognizer


def _say_rules(rules: TrackRules, header: Header) -> None:
    """Say what decided about tracks, and what about frames where that is something else (standard error)."""
    say_rule(rules.tracks, header)
    if not rules.differ:
        return
    if rules.frames.threshold is None:
        note("single frames are undecided, for there is no threshold for single pictures")
        say_notices(rules.frames.notices, warn=True)
        return
    note("single frames and their votes go by the threshold for single pictures:")
    say_rule(rules.frames, header)


def _show(found: TracksFound) -> None:
    """Print the tracks, and what is right of them where that is known."""
    print_table(f"{len(found.tracks):,} tracks", _COLUMNS, [_row(track) for track in found.tracks])
    if any(track.outcome.candidates and track.outcome.name is None for track in found.tracks):
        print("(in brackets: the best candidate, who was not recognised)")
    counts = ", ".join(f"{count:,} {status}" for status, count in found.counts.items())
    print(f"{len(found.tracks):,} tracks of {found.frames:,} frames, windows of context {found.context}: {counts}")
    if not found.ways:
        return
    for finding in found.ways[0].findings:
        _show_figure(finding.key, found.ways)
    if any(track.compared < len(track.frames) for track in found.tracks):
        print("(a frame that could not be compared counts as not found)")


def _show_figure(key: str, ways: Sequence[Way]) -> None:
    """Print one figure of every way to decide."""
    columns = ("decided by", "share", "95 % interval", "minus frames alone", "95 % interval")
    rows = []
    for way in ways:
        finding = next(finding for finding in way.findings if finding.key == key)
        less = ("-", "-")
        if key in way.differences:
            difference = way.differences[key]
            less = (f"{difference.value:+.4f}", _range(difference.interval, "+"))
        rows.append((_title(way), number(finding.value), _range(finding.interval), *less))
    print_table(_FIGURES[key], columns, rows)
    findings = [finding for way in ways for finding in way.findings if finding.key == key]
    told = [finding.basis for finding in findings if finding.basis][:1] + [f.reason for f in findings if f.reason][:1]
    print(f"({'; '.join(told)})")


def _row(track: TrackOutcome) -> tuple[object, ...]:
    outcome = track.outcome
    frames = len(track.frames)
    name = f"({printable(outcome.candidates[0].name)})" if outcome.candidates else "-"
    return (
        printable(track.track.name),
        f"{frames:,}" if track.compared == frames else f"{track.compared:,} of {frames:,}",
        outcome.status.value if track.compared else f"{outcome.status.value}: {outcome.reason}",
        name if outcome.name is None else printable(outcome.name),
        number(outcome.score),
        number(outcome.margin),
        "-" if track.agreement is None else f"{track.agreement:.2f}",
        _vote(track),
    )


def _vote(track: TrackOutcome) -> str:
    if track.vote is None:
        return "-"
    who = "unknown" if track.vote.candidate is None else printable(track.vote.candidate.name)
    return f"{who} {track.vote.frames:,} of {track.vote.of:,}"


def _title(way: Way) -> str:
    return f"{_TITLES[way.key]}, context {way.context}" if way.key in ("windows", "tracks") else _TITLES[way.key]


def _range(interval: tuple[float, float] | None, sign: str = "") -> str:
    return "-" if interval is None else f"{interval[0]:{sign}.4f} to {interval[1]:{sign}.4f}"


def add_context_flag(parser: argparse.ArgumentParser) -> None:
    """Add ``--context``; :func:`context_from` reads it."""
    parser.add_argument(
        "--context", type=_frames, metavar="N", help="frames on either side of a window of tracks (default: 3)"
    )


def context_from(args: argparse.Namespace) -> int:
    """What ``--context`` says, or what is usual."""
    from facenet.workflows.track_folders import CONTEXT

    return CONTEXT if args.context is None else args.context


def _frames(text: str) -> int:
    """A number of frames, from 0."""
    count = int(text)
    if count < 0:
        raise argparse.ArgumentTypeError(f"counts the frames on either side: it cannot be {count}")
    return count


def _several(text: str) -> tuple[int, ...]:
    """Numbers of frames, with commas between."""
    return tuple(sorted({_frames(part) for part in text.split(",")}))
