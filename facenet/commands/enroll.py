"""``enroll``: people into a gallery, one from a few pictures or many from a folder."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facenet.commands.common import add_common_flags, emit_json, note, print_table
from facenet.commands.gallery_opening import opened_recognizer
from facenet.commands.gallery_shared import (
    ONE_FACE,
    add_gallery_flag,
    add_making_flags,
    json_object,
    made_with,
    person_id,
)
from facenet.commands.model_flags import add_model_flags
from facenet.errors import InputError, UsageError, printable

if TYPE_CHECKING:
    from facenet.commands.screen import Screen
    from facenet.data.folders import LeftOut
    from facenet.recognition.recognizer import Recognizer
    from facenet.recognition.reports import EnrollmentReport, PictureReport

NOBODY_ENROLLED = 3
"""Exit code when not one of the pictures is in the gallery afterwards."""

_MANY = 40
"""With more people than this, those of whom everything was enrolled are only counted."""

_WELL = ("enrolled", "already_enrolled")


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``enroll`` parser."""
    parser = subparsers.add_parser(
        "enroll",
        help="add people to a gallery, from pictures of one person or from a folder of people",
        description="A gallery that is not there yet is made. A picture that would do harm (no face, several, too "
        "small, unlike the others, like somebody else) is refused with the reason. Ends with 3 if not one picture is "
        "enrolled in the end.",
        allow_abbrev=False,
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="of the person; pictures are added to who is there")
    parser.add_argument("photos", nargs="*", type=Path, metavar="IMG", help="pictures of this person")
    parser.add_argument(
        "--from-folder", type=Path, metavar="DIR", help="instead: a folder with one folder of pictures per person"
    )
    parser.add_argument(
        "--names", choices=("folder", "path"), help="with --from-folder: names are the folders' (default) or the paths"
    )
    parser.add_argument("--aligned", action="store_true", help="each picture is a face, cut as the model wants it")
    parser.add_argument("--faces", choices=ONE_FACE, help="which face of a picture (default: several are refused)")
    parser.add_argument("--force", action="store_true", help="enroll what would be refused; the log says so")
    parser.add_argument("--new", action="store_true", help="another person of the same name")
    parser.add_argument("--person", type=person_id, metavar="id:N", help="which of several people of this name")
    parser.add_argument("--consent", metavar="REF", help="reference to the consent given")
    parser.add_argument("--expires", metavar="DATE", help="last day of the consent, such as 2030-12-31 (UTC)")
    parser.add_argument("--metadata", type=json_object, metavar="JSON", help='free facts, such as {"badge": 17}')
    add_making_flags(parser)
    add_gallery_flag(parser)
    add_model_flags(
        parser, default="the gallery's own; for a new one the newest checkpoint of the run folder, else vggface2"
    )
    add_common_flags(parser)
    parser.set_defaults(handler="facenet.commands.enroll:run")


def run(args: argparse.Namespace) -> int:
    """Enroll; 0, or 3 if not one picture is in the gallery afterwards."""
    from facenet.commands.screen import Screen

    _check(args)
    with Screen() as screen:
        return (_run_person if args.from_folder is None else _run_folder)(args, screen)


def _check(args: argparse.Namespace) -> None:
    """Refuse what cannot be meant or stored before a model is opened or a gallery made."""
    from facenet.gallery.values import consent_text, expires_text, metadata_text

    for given, form in ((args.consent, consent_text), (args.expires, expires_text), (args.metadata, metadata_text)):
        if given is not None:
            form(given)
    if args.from_folder is None:
        if args.name is None or not args.photos:
            raise UsageError("say whom and from which pictures: enroll NAME IMG…, or enroll --from-folder DIR")
        if args.names is not None:
            raise UsageError("--names goes with --from-folder")
        if args.new and args.person is not None:
            raise UsageError("--new makes another person, --person names one who is there: give one of them")
        return
    if args.name is not None:
        raise UsageError("--from-folder takes the names from the folders: leave NAME and pictures out")
    if args.new or args.person is not None:
        raise UsageError("--new and --person are for one person: not with --from-folder")


def _run_person(args: argparse.Namespace, screen: Screen) -> int:
    from facenet.data.listing import list_pictures
    from facenet.gallery.names import normalise_name

    name = normalise_name(args.name)
    listing = list_pictures(args.photos)
    with opened_recognizer(args, screen, create=True, **made_with(args)) as recognizer:
        if args.person is not None:
            _check_person(recognizer, args.person, name)
        report = recognizer.enroll(
            name,
            listing.files,
            person=args.person,
            new=args.new,
            progress=screen.bar("pictures"),
            **_options(args),
        )
    if args.json:
        left_out = [{"path": entry.path, "reason": entry.reason} for entry in listing.left_out]
        emit_json({"gallery": args.gallery, **report.to_dict(), "left_out": left_out})
    else:
        show_pictures(f"{len(report.pictures):,} pictures", [(report, picture) for picture in report.pictures])
        print(_person_summary(report))
    _note_left_out(listing.left_out)
    return _code([report])


def _check_person(recognizer: Recognizer, person: int, name: str) -> None:
    found = recognizer.gallery.person(person)
    if found.name != name:
        raise InputError(f"id:{person} is {printable(found.name)}, not {printable(name)}: nothing was enrolled")


def _run_folder(args: argparse.Namespace, screen: Screen) -> int:
    from facenet.data.folders import scan_folder
    from facenet.recognition.folders import Naming

    scan_folder(args.from_folder)
    with opened_recognizer(args, screen, create=True, **made_with(args)) as recognizer:
        report = recognizer.enroll_folder(
            args.from_folder,
            naming=Naming.FOLDER if args.names is None else Naming(args.names),
            progress=screen.bar("pictures"),
            **_options(args),
        )
    if args.json:
        emit_json({"gallery": args.gallery, **report.to_dict()})
    else:
        _show_people(report.people)
    _note_left_out(report.left_out)
    return _code(report.people)


def _options(args: argparse.Namespace) -> dict[str, Any]:
    from facenet.detection.faces import Policy

    return {
        "aligned": args.aligned,
        "force": args.force,
        "metadata": args.metadata,
        "consent": args.consent,
        "expires": args.expires,
        "faces": None if args.faces is None else Policy(args.faces),
    }


def show_pictures(title: str, pictures: Sequence[tuple[EnrollmentReport, PictureReport]]) -> None:
    """Print what came of pictures as a table."""
    rows = [
        (printable(report.name), printable(picture.source), picture.result.value, printable(picture.words))
        for report, picture in pictures
    ]
    print_table(title, ("person", "picture", "outcome", "why"), rows)


def _show_people(people: Sequence[EnrollmentReport]) -> None:
    shown = people if len(people) <= _MANY else [report for report in people if _refused(report)]
    if len(shown) < len(people):
        note(f"{len(people) - len(shown):,} people of whom every picture is enrolled are not listed; --json lists them")
    if shown:
        rows = [
            (
                printable(report.name),
                "-" if report.person is None else f"id:{report.person}",
                len(report.pictures),
                report.enrolled,
                report.counts.get("already_enrolled", 0),
                sum(report.counts.values()) - _in_gallery(report),
            )
            for report in shown
        ]
        print_table("People", ("person", "id", "pictures", "enrolled", "already there", "refused"), rows)
    refused = [
        (report, picture) for report in people for picture in report.pictures if picture.result.value not in _WELL
    ]
    if refused:
        show_pictures(f"{len(refused):,} pictures not enrolled", refused)
    present = [report for report in people if report.person is not None]
    print(
        f"{sum(report.created for report in people):,} new people, {len(present):,} of {len(people):,} in the gallery; "
        f"{sum(report.enrolled for report in people):,} pictures enrolled, "
        f"{sum(report.counts.get('already_enrolled', 0) for report in people):,} already there, "
        f"{len(refused):,} refused"
    )


def _person_summary(report: EnrollmentReport) -> str:
    counts = ", ".join(f"{count:,} {result.replace('_', ' ')}" for result, count in report.counts.items())
    if report.person is None:
        return f"{printable(report.name)} is not in the gallery: {counts}"
    return f"{printable(report.name)} (id:{report.person}{', new' if report.created else ''}): {counts}"


def _refused(report: EnrollmentReport) -> bool:
    return _in_gallery(report) < len(report.pictures)


def _in_gallery(report: EnrollmentReport) -> int:
    return sum(report.counts.get(result, 0) for result in _WELL)


def _note_left_out(left_out: Sequence[LeftOut]) -> None:
    for entry in left_out:
        note(f"left out: {printable(entry.path)}: {printable(entry.reason)}")


def _code(reports: Sequence[EnrollmentReport]) -> int:
    return 0 if any(_in_gallery(report) for report in reports) else NOBODY_ENROLLED
