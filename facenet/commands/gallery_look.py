"""``gallery list|show|stats|log``: what is in a gallery. No vector is ever shown."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from facenet.commands.common import emit_json, note, print_table
from facenet.commands.gallery_opening import model_text, opened, threshold_texts
from facenet.commands.gallery_shared import (
    add_verb,
    finish,
    metadata_text,
    named,
    person_document,
    positive,
    size_text,
)
from facenet.errors import printable

if TYPE_CHECKING:
    from facenet.gallery.records import AuditEntry, Header, Person, StoredSample
    from facenet.gallery.stats import Stats

_LONGEST = 120
"""Characters of an entry's details in a table."""


def add_verbs(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parsers."""
    listing = add_verb(verbs, "list", "who is enrolled")
    listing.add_argument("--name", metavar="NAME", help="only people of this name")
    finish(listing, "facenet.commands.gallery_look:run_list")
    show = add_verb(verbs, "show", "one person, and which pictures stand for that person")
    show.add_argument("person", metavar="PERSON", help="name or id:N")
    finish(show, "facenet.commands.gallery_look:run_show")
    stats = add_verb(verbs, "stats", "size, model, index and its measured recall, calibration")
    finish(stats, "facenet.commands.gallery_look:run_stats")
    log = add_verb(verbs, "log", "who did what and when; holds neither names nor vectors")
    log.add_argument("--last", type=positive, default=100, metavar="N", help="so many entries (default: %(default)s)")
    finish(log, "facenet.commands.gallery_look:run_log")


def run_list(args: argparse.Namespace) -> int:
    """List people; always 0."""
    with opened(args.gallery) as gallery:
        people = gallery.people() if args.name is None else gallery.people(name=args.name)
    if args.json:
        emit_json({"gallery": args.gallery, "people": [person_document(person) for person in people]})
        return 0
    if not people:
        note("nobody is enrolled" if args.name is None else f"nobody is named {printable(args.name)}")
        return 0
    show_people(f"{len(people):,} people in {printable(args.gallery)}", people)
    return 0


def show_people(title: str, people: list[Person]) -> None:
    """Print people as a table."""
    rows = [
        (
            f"id:{person.id}",
            printable(person.name),
            person.embeddings,
            person.created,
            printable(person.expires),
            printable(person.consent),
        )
        for person in people
    ]
    print_table(title, ("id", "name", "embeddings", "enrolled", "expires", "consent"), rows)


def run_show(args: argparse.Namespace) -> int:
    """Show one person; 0, or an InputError."""
    with opened(args.gallery) as gallery:
        person = gallery.resolve(args.person)
        samples = gallery.samples(person.id)
    if args.json:
        emit_json(person_document(person) | {"samples": [_sample_document(sample) for sample in samples]})
        return 0
    print(f"{named(person)}, enrolled {person.created}")
    for what, text in (
        ("expires", person.expires),
        ("consent", person.consent),
        ("metadata", metadata_text(person.metadata)),
    ):
        if text:
            print(f"{what}: {printable(text)}")
    rows = [
        (sample.id, printable(sample.source), _box(sample), f"{sample.quality:.2f}", sample.added) for sample in samples
    ]
    print_table(f"{len(samples):,} embeddings", ("sample", "picture", "face", "quality", "added"), rows)
    return 0


def run_stats(args: argparse.Namespace) -> int:
    """Show figures of the gallery; always 0."""
    with opened(args.gallery) as gallery:
        stats, header = gallery.stats(), gallery.header
    if args.json:
        emit_json(
            {
                **stats.to_dict(),
                "model": dict(header.model),
                "preprocessing": header.preprocessing.to_dict(),
                "calibration": dict(header.calibration),
            }
        )
        return 0
    print_table(printable(args.gallery), ("what", "value"), _figures(stats, header))
    return 0


def _figures(stats: Stats, header: Header) -> list[tuple[str, object]]:
    index = f"{stats.index_kind.value}{'' if stats.index is stats.index_kind else f', chosen by {stats.index.value}'}"
    if stats.recall < 1:
        index += f", finds {100 * stats.recall:.2f} % of what an exact one finds"
    return [
        ("people", f"{stats.people:,}"),
        ("embeddings", f"{stats.embeddings:,} of {stats.embedding_size:,} values"),
        ("expired, to be purged", f"{stats.expired:,}"),
        ("made", stats.created),
        ("model", model_text(header)),
        ("fingerprint", stats.fingerprint),
        ("fusion", stats.fusion.value),
        ("index", f"{index}; {stats.index_rows:,} rows"),
        ("on disk", f"{size_text(stats.store_bytes)}, and {size_text(stats.cache_bytes)} of index cache"),
        *((f"threshold for {purpose}", text) for purpose, text in threshold_texts(header).items()),
    ]


def run_log(args: argparse.Namespace) -> int:
    """Show the audit log, newest last; always 0."""
    with opened(args.gallery) as gallery:
        entries = gallery.store.audit(args.last)
    if args.json:
        emit_json({"gallery": args.gallery, "entries": [_entry_document(entry) for entry in entries]})
        return 0
    rows = [
        (
            entry.id,
            entry.at,
            printable(entry.actor),
            printable(entry.action),
            "" if entry.person is None else f"id:{entry.person}",
            _shortened(metadata_text(entry.details)),
        )
        for entry in entries
    ]
    print_table(f"Log of {printable(args.gallery)}", ("entry", "at", "by", "action", "person", "details"), rows)
    return 0


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… (--json shows all)"


def _sample_document(sample: StoredSample) -> dict[str, Any]:
    return {
        "id": sample.id,
        "source": sample.source,
        "content": sample.content,
        "box": None if sample.box is None else list(sample.box),
        "quality": sample.quality,
        "added": sample.added,
    }


def _entry_document(entry: AuditEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "at": entry.at,
        "actor": entry.actor,
        "action": entry.action,
        "person": entry.person,
        "details": dict(entry.details),
    }


def _box(sample: StoredSample) -> str:
    if sample.box is None:
        return "the picture"
    left, top, right, bottom = sample.box
    return f"{right - left:.0f}x{bottom - top:.0f} at {left:.0f},{top:.0f}"
