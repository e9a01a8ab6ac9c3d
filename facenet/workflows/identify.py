"""Who is in these photos, as one call: list, identify, draw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from facenet.data.folders import LeftOut
from facenet.data.listing import list_pictures
from facenet.detection.faces import Policy
from facenet.errors import InputError, UnreadableImage, printable
from facenet.images import load_image, save_image
from facenet.recognition.decisions import Rule
from facenet.recognition.drawing import draw_outcomes
from facenet.recognition.outcomes import Outcome, Status
from facenet.recognition.recognizer import Recognizer
from facenet.workflows.writing import cannot_write

COMPARED = frozenset({Status.MATCHED, Status.UNKNOWN, Status.UNDECIDED})
"""What is said about a face that was compared with the gallery."""

_LONGEST_STEM = 50


@dataclass(frozen=True)
class Identified:
    """What was found in photos.

    Attributes:
        outcomes: in the order of the photos.
        rule: what decided.
        photos: how many were looked at.
        left_out: what lay in a folder and was not looked at.
        drawn: pictures with boxes and names that were written.
    """

    outcomes: tuple[Outcome, ...]
    rule: Rule
    photos: int
    left_out: tuple[LeftOut, ...] = ()
    drawn: tuple[Path, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """How often each status occurs, only those that do."""
        found = Counter(outcome.status for outcome in self.outcomes)
        return {status.value: found[status] for status in Status if status in found}

    @property
    def compared(self) -> int:
        """Faces that could be compared with the gallery."""
        return sum(outcome.status in COMPARED for outcome in self.outcomes)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "photos": self.photos,
            "counts": self.counts,
            "outcomes": [outcome.to_dict() for outcome in self.outcomes],
            "left_out": [{"path": entry.path, "reason": entry.reason} for entry in self.left_out],
            "drawn": [str(path) for path in self.drawn],
        }


def identify_pictures(
    recognizer: Recognizer,
    sources: Sequence[Path],
    *,
    top_k: int = 5,
    threshold: float | None = None,
    aligned: bool = False,
    faces: Policy = Policy.ALL,
    draw: Path | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Identified:
    """Identify every face in files and folders of photos.

    Args:
        recognizer: with its gallery.
        sources: files and folders; see :func:`facenet.data.listing.list_pictures`.
        top_k, threshold, aligned, faces, progress: see
            :meth:`facenet.recognition.recognizer.Recognizer.identify`.
        draw: folder for a PNG copy of each readable photo with boxes and names; must not hold any of the photos.

    Raises:
        MissingError: a source is not there.
        InputError: no picture in them, or ``draw`` holds photos to be read.
        UsageError: as ``Recognizer.identify``.
        StorageError: a drawn picture cannot be written.
    """
    listing = list_pictures(sources)
    places = {}
    if draw is not None:
        places = _places(listing.files, draw)
        _make(draw)
    rule = recognizer.identification_rule(threshold)
    found = recognizer.identify(
        listing.files, top_k=top_k, threshold=threshold, aligned=aligned, faces=faces, progress=progress
    )
    outcomes: list[Outcome] = []
    drawn: list[Path] = []
    for source, group in groupby(found, key=lambda outcome: outcome.source):
        of_photo = list(group)
        outcomes += of_photo
        if source in places and _draw(Path(source), of_photo, places[source]):
            drawn.append(places[source])
    return Identified(tuple(outcomes), rule, len(listing.files), listing.left_out, tuple(drawn))


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error


def _places(files: Sequence[Path], folder: Path) -> dict[str, Path]:
    """Where the drawn copy of each photo goes: its name, with a number where several have the same."""
    real = folder.resolve()
    inside = next((file for file in files if real in file.resolve().parents), None)
    if inside is not None:
        raise InputError(f"{printable(inside)} is to be read and lies in the folder to be written: name another folder")
    taken: set[str] = set()
    last: Counter[str] = Counter()
    places = {}
    for file in files:
        # A name may be as long as a folder allows, and upper and lower case are one name on some systems.
        stem = file.stem[:_LONGEST_STEM]
        name = f"{stem}.png"
        while name.lower() in taken:
            last[stem.lower()] += 1
            name = f"{stem}.{last[stem.lower()] + 1}.png"
        taken.add(name.lower())
        places[str(file)] = folder / name
    return places


def _draw(photo: Path, outcomes: Sequence[Outcome], place: Path) -> bool:
    """Write the photo with its outcomes drawn onto it; False if it cannot be read."""
    try:
        image = load_image(photo)
    except UnreadableImage:
        # Its outcome says so already.
        return False
    save_image(place, draw_outcomes(image, outcomes))
    return True
