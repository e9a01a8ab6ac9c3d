"""``gallery rename|remove|purge|compact``: what changes who is in a gallery, and the space they took."""

from __future__ import annotations

import argparse

from facenet.commands.common import emit_json, note
from facenet.commands.gallery_look import show_people
from facenet.commands.gallery_opening import opened
from facenet.commands.gallery_shared import (
    DECLINED,
    add_verb,
    add_yes_flag,
    confirm,
    finish,
    named,
    person_document,
)
from facenet.errors import UsageError, printable


def add_verbs(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parsers."""
    rename = add_verb(verbs, "rename", "give a person another name")
    rename.add_argument("person", metavar="PERSON", help="name or id:N")
    rename.add_argument("name", metavar="NAME", help="the new name")
    finish(rename, "facenet.commands.gallery_change:run_rename")
    remove = add_verb(
        verbs,
        "remove",
        "remove people and every trace of their vectors",
        "Removes people for good. At a terminal it asks first. A mistake in one PERSON removes nobody.",
    )
    remove.add_argument("people", nargs="+", metavar="PERSON", help="names or id:N")
    remove.add_argument("--sample", type=int, metavar="N", help="only this embedding, as `gallery show` numbers it")
    add_yes_flag(remove)
    finish(remove, "facenet.commands.gallery_change:run_remove")
    purge = add_verb(
        verbs,
        "purge",
        "remove everybody whose consent has expired",
        "Removes everybody whose expiry has passed, as `gallery remove` does. At a terminal it asks first.",
    )
    purge.add_argument("--dry-run", action="store_true", help="only show who would be removed")
    add_yes_flag(purge)
    finish(purge, "facenet.commands.gallery_change:run_purge")
    compact = add_verb(
        verbs,
        "compact",
        "give back the space of what was removed",
        "Rewrites the database without the blank rows that removals leave; needs as much memory as it has on disk.",
    )
    finish(compact, "facenet.commands.gallery_change:run_compact")


def run_rename(args: argparse.Namespace) -> int:
    """Rename a person; 0, or an InputError."""
    with opened(args.gallery) as gallery:
        before = gallery.resolve(args.person)
        gallery.rename(before, args.name)
        after = gallery.person(before.id)
    if args.json:
        emit_json({"person": person_document(after), "was": before.name})
    else:
        note(f"{named(before)} is now {printable(after.name)}")
    return 0


def run_remove(args: argparse.Namespace) -> int:
    """Remove people; 0, 1 if the answer to the question was no, or an InputError."""
    if args.sample is not None:
        return _remove_sample(args)
    with opened(args.gallery) as gallery:
        people = list({person.id: person for person in map(gallery.resolve, args.people)}.values())
        embeddings = sum(person.embeddings for person in people)
        whom = ", ".join(named(person) for person in people)
        if not confirm(args, f"remove {whom} with {embeddings:,} embeddings for good"):
            return DECLINED
        for person in people:
            gallery.remove(person)
    if args.json:
        emit_json({"removed": [person_document(person) for person in people]})
    else:
        note(f"removed {whom}")
    return 0


def _remove_sample(args: argparse.Namespace) -> int:
    if len(args.people) != 1:
        raise UsageError("--sample is one person's: name that person only")
    with opened(args.gallery) as gallery:
        person = gallery.resolve(args.people[0])
        if not confirm(args, f"remove embedding {args.sample} of {named(person)} for good"):
            return DECLINED
        gallery.remove_sample(person, args.sample)
        left = gallery.person(person.id)
    if args.json:
        emit_json({"person": person_document(left), "removed_sample": args.sample})
    else:
        note(f"removed embedding {args.sample}: {named(left)} has {left.embeddings:,} left")
    return 0


def run_purge(args: argparse.Namespace) -> int:
    """Remove whose consent has expired; 0, or 1 if the answer to the question was no."""
    with opened(args.gallery) as gallery:
        expired = gallery.store.expired()
        if not args.json:
            if expired:
                show_people("Expired", expired)
            else:
                note("nobody's consent has expired")
        removed: list[dict[str, object]] = []
        if expired and not args.dry_run:
            if not confirm(args, f"remove {len(expired):,} people whose consent has expired for good"):
                return DECLINED
            removed = [person_document(person) for person in gallery.purge()]
    if args.json:
        emit_json({"expired": [person_document(person) for person in expired], "removed": removed})
    elif removed:
        note(f"removed {len(removed):,} people")
    return 0


def run_compact(args: argparse.Namespace) -> int:
    """Give space back; 0."""
    with opened(args.gallery) as gallery:
        before = gallery.stats().store_bytes
        rows = gallery.compact()
        after = gallery.stats().store_bytes
    if args.json:
        emit_json({"rows": rows, "bytes_before": before, "bytes_after": after})
    else:
        note(f"{rows:,} blank rows given up; {before:,} bytes before, {after:,} now")
    return 0
