"""The second half of the demo: people into a gallery, a threshold from strangers, and who is recognised by it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facenet.data.synthetic import draw_people
from facenet.evaluation.calibration import Threshold
from facenet.evaluation.embedder import Embedder
from facenet.images import save_image
from facenet.recognition.calibrating import calibrate
from facenet.recognition.outcomes import Outcome, Status
from facenet.recognition.recognizer import Recognizer
from facenet.training.files import storage_error
from facenet.workflows.prepare import Prepared

STRANGERS = 40
"""Drawn for the threshold, and as many others to see whether it holds."""

PICTURES = 3
TARGET_FPIR = 0.1
"""120 searches by strangers could show half of it; but a network that has seen sixteen people knows most of them again
only at a generous rate."""

_SEED = 1
"""The sample people are drawn with another, so no stranger is one of them."""


@dataclass(frozen=True)
class GalleryDemo:
    """What the gallery recognised.

    Attributes:
        location: the gallery.
        people, pictures: enrolled.
        threshold: calibrated on strangers.
        probes: held-out pictures of enrolled people.
        right, wrong: of these, matched to their own person, and to another; the rest were taken for strangers.
        strangers: searches by other strangers than those the threshold was calibrated on.
        accepted: of these, taken for somebody.
        example: one probe that was recognised, if any was.
    """

    location: Path
    people: int
    pictures: int
    threshold: Threshold
    probes: int
    right: int
    wrong: int
    strangers: int
    accepted: int
    example: Outcome | None

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "location": str(self.location),
            "people": self.people,
            "pictures": self.pictures,
            "threshold": self.threshold.to_dict(),
            "probes": self.probes,
            "right": self.right,
            "wrong": self.wrong,
            "strangers": self.strangers,
            "accepted": self.accepted,
            "example": None if self.example is None else self.example.to_dict(),
        }


def run_gallery_demo(
    prepared: Prepared,
    embedder: Embedder,
    folder: Path,
    progress: Callable[[str], Callable[[int, int | None], None]],
) -> GalleryDemo:
    """Enroll everybody from the pictures trained on, calibrate on strangers, identify held-out pictures and strangers.

    Args:
        prepared: the sample people and which of their pictures are held out.
        embedder: trained on the others.
        folder: gets ``gallery`` and the drawn ``strangers``.
        progress: makes a progress bar of a title.

    Raises:
        StorageError: nothing can be written there.
    """
    for_threshold, for_test = draw_strangers(folder / "strangers", progress("drawing strangers"))
    pictures, held = prepared.folder, prepared.split.held_images
    with Recognizer.open(folder / "gallery", embedder=embedder, create=True) as recognizer:
        for label, name in enumerate(pictures.people):
            own = (pictures.labels == label) & ~held
            # Drawn faces are small and plain, and a network that has seen sixteen people tells few apart: the gate
            # would be right to refuse some of what the demo wants to show.
            recognizer.enroll(name, [pictures.file(index) for index in own.nonzero()[0]], force=True)
        result = calibrate(recognizer, data=for_threshold, target_fpir=TARGET_FPIR, progress=progress("calibrating"))
        assert result.identification is not None
        probes = held.nonzero()[0].tolist()
        outcomes = list(recognizer.identify([pictures.file(index) for index in probes]))
        names = [pictures.people[pictures.labels[index]] for index in probes]
        right = [outcome for outcome, name in zip(outcomes, names, strict=True) if outcome.name == name]
        matched = sum(outcome.status is Status.MATCHED for outcome in outcomes)
        strangers = list(recognizer.identify(sorted(for_test.rglob("*.png"))))
        people, enrolled = recognizer.gallery.store.count()
    return GalleryDemo(
        location=folder / "gallery",
        people=people,
        pictures=enrolled,
        threshold=result.identification,
        probes=len(probes),
        right=len(right),
        wrong=matched - len(right),
        strangers=len(strangers),
        accepted=sum(outcome.status is Status.MATCHED for outcome in strangers),
        example=max(right, key=lambda outcome: outcome.score or 0.0, default=None),
    )


def draw_strangers(root: Path, progress: Callable[[int, int | None], None]) -> tuple[Path, Path]:
    """Draw two folders of strangers, half for the threshold and half for the test.

    Raises:
        StorageError: nothing can be written there.
    """
    halves = (root / "for-the-threshold", root / "for-the-test")
    for number, (_, images) in enumerate(draw_people(2 * STRANGERS, PICTURES, seed=_SEED)):
        person = halves[number % 2] / f"stranger-{number:03d}"
        try:
            person.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(person, error) from error
        for count, image in enumerate(images, start=1):
            save_image(person / f"{count:04d}.png", image)
        progress(number + 1, 2 * STRANGERS)
    return halves
