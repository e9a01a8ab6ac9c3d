"""Setting a gallery's thresholds on pictures of people who are not in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from facenet.data.folders import scan_folder
from facenet.detection.faces import Policy
from facenet.errors import InputError, UsageError
from facenet.evaluation.calibration import (
    Threshold,
    calibrate_fmr,
    calibrate_fmr_pairs,
    calibrate_fpir,
    expected_fpir,
)
from facenet.evaluation.pairfiles import PairList, read_pair_list
from facenet.geometry import paired_cosine
from facenet.recognition.calibration_data import CalibrationData, Subject, read_calibration_data
from facenet.recognition.decisions import IDENTIFICATION, VERIFICATION, comparisons_of
from facenet.recognition.reader import Progress
from facenet.recognition.recognizer import Recognizer

_SEARCHED_AT_ONCE = 1024


@dataclass(frozen=True)
class StrangerRate:
    """How many strangers a threshold takes for somebody in a gallery.

    Attributes:
        expected: share of searches by strangers, estimated from the target and the gallery's size.
        accepted, searches: as counted on the calibration data; no searches where the gallery is empty.
    """

    expected: float
    accepted: int = 0
    searches: int = 0

    @property
    def measured(self) -> float | None:
        """Share of the searches, None without any."""
        return self.accepted / self.searches if self.searches else None


@dataclass(frozen=True)
class CalibrationResult:
    """What was set, and on what.

    Attributes:
        verification: threshold for comparing two faces, None if none was asked for.
        identification: threshold for searching this gallery, None if none was asked for.
        strangers: what the threshold for pairs means for searches in this gallery; None without one.
        pictures: used.
        people: used.
        enrolled_people: left out because they are in the gallery, by name or by picture.
        left_out: pictures that could not be used, by status.
        gallery_people: in the gallery now.
        notes: what else should be known, in words.
    """

    verification: Threshold | None
    identification: Threshold | None
    strangers: StrangerRate | None
    pictures: int
    people: int
    enrolled_people: int
    left_out: dict[str, int]
    gallery_people: int
    notes: tuple[str, ...] = ()

    @property
    def thresholds(self) -> dict[str, Threshold]:
        """What was set, by purpose."""
        found = {VERIFICATION: self.verification, IDENTIFICATION: self.identification}
        return {purpose: threshold for purpose, threshold in found.items() if threshold is not None}

    @property
    def basis(self) -> str:
        """What was used, in words."""
        return f"{self.pictures:,} pictures of {self.people:,} people"

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        strangers = None
        if self.strangers is not None:
            counts = {"accepted": self.strangers.accepted, "searches": self.strangers.searches}
            strangers = {"expected": self.strangers.expected, "measured": self.strangers.measured, **counts}
        return {
            "verification": None if self.verification is None else self.verification.to_dict(),
            "identification": None if self.identification is None else self.identification.to_dict(),
            "strangers": strangers,
            "pictures": self.pictures,
            "people": self.people,
            "enrolled_people": self.enrolled_people,
            "left_out": self.left_out,
            "gallery_people": self.gallery_people,
            "notes": list(self.notes),
        }


def calibrate(
    recognizer: Recognizer,
    *,
    data: Path | None = None,
    pairs: Path | None = None,
    root: Path | None = None,
    target_fmr: float | None = None,
    target_fpir: float | None = None,
    aligned: bool = False,
    faces: Policy = Policy.LARGEST,
    seed: int = 0,
    progress: Progress | None = None,
) -> CalibrationResult:
    """Set the thresholds asked for, and store them in the gallery; others that it has stay.

    Args:
        recognizer: its gallery is calibrated, and searched for the rates of searches.
        data: folder of people, none of whom should be in the gallery; those who are, by name or by picture, are left
            out.
        pairs: instead, a list of comparisons; see :func:`facenet.evaluation.pairfiles.read_pair_list`. A person's
            name is that of the folder with the picture.
        root: folder that ``pairs`` names its pictures in.
        target_fmr: share of comparisons of two people that may be taken for one person.
        target_fpir: share of searches by strangers in this gallery, as it is now, that may return somebody.
        aligned: the pictures are faces, cut as the model wants them.
        faces: which face of a picture its person is; not ``all``.
        seed: of the intervals' bootstrap.
        progress: told how many pictures are done.

    Raises:
        UsageError: not exactly one of ``data`` and ``pairs``, no target, a target outside ``(0, 1)``.
        InputError: the data cannot support a target (with what would be needed), or nobody is enrolled and a rate of
            searches is asked for.
        MissingError: no such folder or file.
    """
    _check_request(recognizer, data, pairs, target_fmr, target_fpir, faces)
    listed = None if pairs is None else read_pair_list(pairs, root=root)
    subjects = _subjects_in(data) if listed is None else _subjects_of(listed)
    read = read_calibration_data(recognizer, subjects, aligned, faces, progress)
    read.require_some()
    header = recognizer.gallery.header
    common: dict[str, Any] = {"fingerprint": header.fingerprint, "seed": seed, "data": read.digest}
    verification = identification = strangers = None
    count = recognizer.gallery.store.count()
    best = best_scores(recognizer, read.rows) if count[0] else np.empty(0, dtype=np.float32)
    if target_fmr is not None:
        if listed is None:
            verification = calibrate_fmr(read.embeddings, read.labels, target_fmr, **common)
        else:
            verification = _from_pairs(listed, read, target_fmr, common)
        expected = expected_fpir(verification, comparisons_of(header, count))
        strangers = StrangerRate(expected, int(np.count_nonzero(best >= verification.value)), len(best))
    if target_fpir is not None:
        identification = calibrate_fpir(
            best, read.labels, target_fpir, gallery_people=count[0], fusion=header.fusion.value, **common
        )
    result = CalibrationResult(
        verification=verification,
        identification=identification,
        strangers=strangers,
        pictures=len(read.rows),
        people=len(set(read.people)),
        enrolled_people=len(read.enrolled),
        left_out=dict(read.left_out),
        gallery_people=count[0],
        notes=tuple(t.caution for t in (verification, identification) if t is not None and t.caution),
    )
    store_thresholds(recognizer, result.thresholds)
    return result


def _check_request(
    recognizer: Recognizer,
    data: Path | None,
    pairs: Path | None,
    target_fmr: float | None,
    target_fpir: float | None,
    faces: Policy,
) -> None:
    """What can be refused before an hour of embedding."""
    if (data is None) == (pairs is None):
        raise UsageError("calibration needs either a folder of people (--data) or a list of pairs (--pairs)")
    if target_fmr is None and target_fpir is None:
        raise UsageError("name the error rate to allow: --target-fmr for pairs, --target-fpir for searches")
    if target_fmr is not None:
        _check_rate(target_fmr)
    require_one_face(faces)
    if target_fpir is not None:
        check_searches(recognizer, target_fpir)


def check_searches(recognizer: Recognizer, target_fpir: float) -> None:
    """Refuse a rate of searches that cannot be calibrated, before an hour of embedding.

    Raises:
        UsageError: a target outside ``(0, 1)``.
        InputError: nobody is enrolled.
    """
    _check_rate(target_fpir)
    if recognizer.gallery.store.count()[0] == 0:
        raise InputError("nobody is enrolled: a rate of searches can be calibrated once the gallery holds its people")


def require_one_face(faces: Policy) -> None:
    """Refuse a policy that finds several people in a picture.

    Raises:
        UsageError: ``ALL``.
    """
    if faces is Policy.ALL:
        raise UsageError("one face of each picture shows its person: largest, central or probable, not all")


def _check_rate(target: float) -> None:
    if not 0 < target < 1:
        raise UsageError(f"a target rate lies between 0 and 1, not {target}")


def _subjects_in(data: Path | None) -> dict[Path, Subject]:
    """Two folders are two people, also where they have one name."""
    assert data is not None
    folder = scan_folder(data)
    people = [Subject(person, person.rpartition("/")[2]) for person in folder.people]
    return {folder.file(index): people[label] for index, label in enumerate(folder.labels.tolist())}


def _subjects_of(listed: PairList) -> dict[Path, Subject]:
    paths = [Path(path) for path in listed.paths]
    return {
        path: Subject(str(person), path.parent.name) for path, person in zip(paths, listed.people.tolist(), strict=True)
    }


def _from_pairs(listed: PairList, read: CalibrationData, target: float, common: Mapping[str, Any]) -> Threshold:
    """From the pairs of which both pictures can be used."""
    rows = np.array([read.files.get(Path(path), -1) for path in listed.paths], dtype=np.int64)
    usable = (rows[listed.first] >= 0) & (rows[listed.second] >= 0)
    first, second = listed.first[usable], listed.second[usable]
    embeddings = read.embeddings
    scores = paired_cosine(embeddings[torch.from_numpy(rows[first])], embeddings[torch.from_numpy(rows[second])])
    people = listed.people
    return calibrate_fmr_pairs(scores.numpy(), listed.same[usable], people[first], people[second], target, **common)


def best_scores(recognizer: Recognizer, rows: Sequence[np.ndarray]) -> NDArray[np.float32]:
    """Score of the best candidate for each row: ``float32 (n,)``."""
    found = []
    for start in range(0, len(rows), _SEARCHED_AT_ONCE):
        block = np.stack(rows[start : start + _SEARCHED_AT_ONCE])
        found.append(recognizer.gallery.search_arrays(block, 1)[1][:, 0])
    return np.concatenate(found)


def store_thresholds(recognizer: Recognizer, thresholds: Mapping[str, Threshold]) -> None:
    """Put thresholds, by purpose, beside those that the gallery has for other purposes."""
    before = recognizer.gallery.header.calibration
    new = {purpose: threshold.to_dict() for purpose, threshold in thresholds.items()}
    recognizer.gallery.store.set_calibration({**before, **new})
