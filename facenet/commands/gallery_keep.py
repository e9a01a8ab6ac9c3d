"""``gallery check|repair|backup|restore|export|import``: what keeps a gallery safe and carries it elsewhere."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facenet.commands.common import emit_json, note, print_table
from facenet.commands.gallery_opening import opened, say_notices
from facenet.commands.gallery_shared import DECLINED, add_verb, add_yes_flag, confirm, finish, size_text
from facenet.commands.model_flags import add_model_flags, embedder_from, names_model
from facenet.errors import printable

if TYPE_CHECKING:
    from facenet.gallery.findings import HealthReport

PROBLEMS = 1
"""Exit code of ``check`` when something is wrong."""

_SHOWN = 10
"""Ids named in a line at most."""


def add_verbs(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parsers."""
    check = add_verb(
        verbs, "check", "look for damage; 1 if there is any", "Reads everything, changes nothing; safe while in use."
    )
    finish(check, "facenet.commands.gallery_keep:run_check")
    repair = add_verb(
        verbs,
        "repair",
        "save what can be saved of a damaged gallery",
        "Writes what is whole into a new database and keeps the damaged one beside it. At a terminal it asks first.",
    )
    add_yes_flag(repair)
    add_model_flags(repair, default="what the gallery says, unless that is lost")
    finish(repair, "facenet.commands.gallery_keep:run_repair")
    backup = add_verb(verbs, "backup", "copy a gallery as it is at this moment, also while it is in use")
    backup.add_argument("destination", type=Path, metavar="DEST", help="folder to make; must not be there")
    finish(backup, "facenet.commands.gallery_keep:run_backup")
    restore = add_verb(
        verbs,
        "restore",
        "bring a gallery back from a backup",
        "Replaces what is in the gallery in one step. Who was removed since the backup stays removed. At a terminal "
        "it asks first, unless there is no gallery yet.",
    )
    restore.add_argument("source", type=Path, metavar="FROM", help="folder that `gallery backup` made")
    restore.add_argument("--include-removed", action="store_true", help="also bring back people who were removed since")
    add_yes_flag(restore)
    finish(restore, "facenet.commands.gallery_keep:run_restore")
    export = add_verb(verbs, "export", "write people and embeddings to one file, to be imported elsewhere")
    export.add_argument("file", type=Path, metavar="FILE", help="file to write; must not be there")
    export.add_argument("people", nargs="*", metavar="PERSON", help="names or id:N (default: everybody)")
    finish(export, "facenet.commands.gallery_keep:run_export")
    bringing = add_verb(verbs, "import", "add the people of an exported file, all of them or nobody")
    bringing.add_argument("file", type=Path, metavar="FILE", help="file that `gallery export` wrote")
    bringing.add_argument(
        "--same-name",
        choices=("refuse", "new", "add", "skip"),
        default="refuse",
        help="what becomes of somebody whose name is there already: nobody is imported, another person of that name is "
        "made, the embeddings are added, or that person is left out (default: refuse)",
    )
    finish(bringing, "facenet.commands.gallery_keep:run_import")


def run_check(args: argparse.Namespace) -> int:
    """Look for damage; 0, or 1 if something is to be done."""
    from facenet.commands.screen import Screen
    from facenet.gallery.health import check

    with Screen() as screen:
        report = check(args.gallery, progress=screen.bar("rows"))
    if args.json:
        emit_json({"gallery": args.gallery, **_report_document(report)})
    else:
        _show_findings(report)
    return 0 if report.clean else PROBLEMS


def run_repair(args: argparse.Namespace) -> int:
    """Save what can be saved; 0, or 1 if the answer to the question was no."""
    from facenet.commands.screen import Screen
    from facenet.gallery.repair import repair
    from facenet.recognition.opening import header_for

    if not confirm(args, f"rewrite the damaged gallery {printable(args.gallery)} from what is whole in it"):
        return DECLINED
    with Screen() as screen:
        # Only where the gallery no longer knows its own model.
        header = header_for(embedder_from(args, screen.bar("downloading weights"))) if names_model(args) else None
        report = repair(args.gallery, header=header, progress=screen.bar("rows"))
    if args.json:
        emit_json(
            {
                "gallery": args.gallery,
                "people": report.people,
                "embeddings": report.embeddings,
                "lost_people": list(report.lost_people),
                "nameless": list(report.nameless),
                "lost_embeddings": report.lost_embeddings,
                "header_from": report.header_from,
                "kept": None if report.kept is None else str(report.kept),
                "notes": list(report.notes),
            }
        )
        return 0
    rows = [
        ("people", report.people),
        ("embeddings", report.embeddings),
        ("people lost", _ids(report.lost_people)),
        ("people without their name", _ids(report.nameless)),
        ("embeddings lost, at most", report.lost_embeddings),
        ("fingerprint and contract from", report.header_from),
    ]
    print_table(f"Repaired {printable(args.gallery)}", ("what", "value"), rows)
    say_notices(report.notes)
    return 0


def run_backup(args: argparse.Namespace) -> int:
    """Copy the gallery; 0, or a GalleryError if it is damaged."""
    from facenet.commands.screen import Screen
    from facenet.gallery.backup import backup

    with Screen() as screen:
        report = backup(args.gallery, args.destination, progress=screen.bar("pages"))
    if args.json:
        emit_json(
            {
                "gallery": args.gallery,
                "destination": str(report.destination),
                "people": report.people,
                "embeddings": report.embeddings,
                "bytes": report.bytes,
            }
        )
    else:
        note(
            f"backed up {report.people:,} people with {report.embeddings:,} embeddings to "
            f"{printable(report.destination)} ({size_text(report.bytes)})"
        )
    return 0


def run_restore(args: argparse.Namespace) -> int:
    """Bring the gallery back; 0, or 1 if the answer to the question was no."""
    from facenet.commands.screen import Screen
    from facenet.gallery.backend import gallery_exists
    from facenet.gallery.backup import restore

    question = f"replace what is in {printable(args.gallery)} by the backup {printable(args.source)}"
    if gallery_exists(args.gallery) and not confirm(args, question):
        return DECLINED
    with Screen() as screen:
        report = restore(args.source, args.gallery, include_removed=args.include_removed, progress=screen.bar("rows"))
    if args.json:
        emit_json(
            {
                "gallery": args.gallery,
                "people": report.people,
                "embeddings": report.embeddings,
                "removed_since": list(report.removed_since),
                "removed_embeddings": report.removed_embeddings,
                "included": report.included,
                "dropped": list(report.dropped),
                "removals_known": report.removals_known,
                "notes": list(report.notes),
            }
        )
        return 0
    note(f"{printable(args.gallery)} has {report.people:,} people with {report.embeddings:,} embeddings now")
    if report.dropped:
        note(f"gone, for they were enrolled since the backup: {_ids(report.dropped)}")
    say_notices(report.notes)
    return 0


def run_export(args: argparse.Namespace) -> int:
    """Write people to a file; 0, or an InputError."""
    from facenet.commands.screen import Screen
    from facenet.gallery.exchange import export

    people = None
    if args.people:
        with opened(args.gallery) as gallery:
            people = sorted({gallery.resolve(reference).id for reference in args.people})
    with Screen() as screen:
        report = export(args.gallery, args.file, people=people, progress=screen.bar("embeddings"))
    if args.json:
        emit_json(
            {
                "gallery": args.gallery,
                "file": str(report.file),
                "people": report.people,
                "embeddings": report.embeddings,
            }
        )
    else:
        note(
            f"exported {report.people:,} people with {report.embeddings:,} embeddings to {printable(report.file)}; "
            "it holds biometric data"
        )
    return 0


def run_import(args: argparse.Namespace) -> int:
    """Bring people in; 0, or an InputError."""
    from facenet.commands.screen import Screen
    from facenet.gallery.exchange import SameName, import_

    with Screen() as screen:
        report = import_(
            args.gallery, args.file, on_same_name=SameName(args.same_name), progress=screen.bar("embeddings")
        )
    if args.json:
        emit_json(
            {
                "gallery": args.gallery,
                "people": {str(given): made for given, made in report.people.items()},
                "added_to": list(report.added_to),
                "skipped": list(report.skipped),
                "embeddings": report.embeddings,
            }
        )
    else:
        note(
            f"imported {len(report.people):,} people with {report.embeddings:,} embeddings; "
            f"{len(report.added_to):,} of them were there, {len(report.skipped):,} were left out"
        )
    return 0


def _ids(ids: Sequence[int]) -> str:
    shown = ", ".join(f"id:{number}" for number in ids[:_SHOWN])
    if not ids:
        return "none"
    return shown if len(ids) <= _SHOWN else f"{shown} and {len(ids) - _SHOWN:,} more"


def _show_findings(report: HealthReport) -> None:
    what = ", ".join(
        f"{count:,} {name}"
        for name, count in (("people", report.people), ("embeddings", report.embeddings))
        if count is not None
    )
    place = f"{printable(report.location)}: {what if what else 'nothing in it can be read'}"
    if not report.findings:
        print(f"{place}; nothing is wrong")
        return
    rows = [(finding.severity.value, finding.kind, printable(finding.message)) for finding in report.findings]
    print_table(place, ("finding", "of", "what"), rows)
    for advice in dict.fromkeys(finding.advice for finding in report.findings if finding.advice):
        note(printable(advice))


def _report_document(report: HealthReport) -> dict[str, Any]:
    return {
        "clean": report.clean,
        "people": report.people,
        "embeddings": report.embeddings,
        "findings": [
            {
                "severity": finding.severity.value,
                "kind": finding.kind,
                "message": finding.message,
                "advice": finding.advice,
                "ids": list(finding.ids),
            }
            for finding in report.findings
        ],
    }
