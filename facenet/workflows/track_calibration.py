"""Setting a gallery's threshold for whole face tracks, on tracks of people who are not in it.

The score of a track lies farther from 0 than those of its frames (:mod:`facenet.recognition.tracks`), so a threshold
that was set on single pictures has another error rate on tracks. Here every track makes the search that it makes when
it is decided, and the threshold is set on these searches as one for single pictures is on theirs
(:func:`facenet.evaluation.calibration.calibrate_fpir`): one search for each track, drawn anew by person.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facenet.detection.faces import Policy
from facenet.errors import UsageError
from facenet.evaluation.calibration import Threshold, calibrate_fpir
from facenet.recognition.calibrating import best_scores, check_searches, require_one_face, store_thresholds
from facenet.recognition.calibration_data import CalibrationData, Subject, read_calibration_data
from facenet.recognition.decisions import TRACKS
from facenet.recognition.reader import Progress
from facenet.recognition.recognizer import Recognizer
from facenet.recognition.track_threshold import TrackThreshold
from facenet.recognition.tracks import embed_tracks
from facenet.workflows.track_folders import CONTEXT, Track, scan_tracks


@dataclass(frozen=True)
class TrackCalibration:
    """What was set, and on what.

    Attributes:
        threshold: for whole tracks, as it is stored now.
        pictures: frames that were used.
        people: strangers whose tracks were used.
        tracks: used, one search each.
        enrolled_people: left out because they are in the gallery, by name or by a frame.
        left_out: frames that could not be used, by status; their tracks went by the others.
        tracks_left_out: tracks of strangers of which no frame could be used.
    """

    threshold: TrackThreshold
    pictures: int
    people: int
    tracks: int
    enrolled_people: int
    left_out: dict[str, int]
    tracks_left_out: int

    @property
    def notes(self) -> tuple[str, ...]:
        """What else should be known, in words."""
        unused = f"{self.tracks_left_out:,} tracks are left out, for no frame of theirs can be used"
        return tuple(words for words in (unused if self.tracks_left_out else "", self.threshold.caution) if words)

    @property
    def thresholds(self) -> dict[str, Threshold]:
        """What was set, by purpose."""
        return {TRACKS: self.threshold}

    @property
    def basis(self) -> str:
        """What was used, in words."""
        used = f"{self.tracks:,} tracks of {self.people:,} people, {self.pictures:,} frames"
        return f"{used}, windows of context {self.threshold.context}"

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "tracks": self.threshold.to_dict(),
            "pictures": self.pictures,
            "people": self.people,
            "tracks_used": self.tracks,
            "enrolled_people": self.enrolled_people,
            "left_out": self.left_out,
            "tracks_left_out": self.tracks_left_out,
            "gallery_people": self.threshold.gallery_people,
            "notes": list(self.notes),
        }


def calibrate_tracks(
    recognizer: Recognizer,
    root: Path,
    *,
    target_fpir: float,
    context: int = CONTEXT,
    aligned: bool = False,
    faces: Policy = Policy.LARGEST,
    seed: int = 0,
    progress: Progress | None = None,
) -> TrackCalibration:
    """Set the threshold by which whole tracks are decided, and store it in the gallery beside those that it has.

    Args:
        recognizer: its gallery is searched, once for each track.
        root: tracks of people, ``root/PERSON/TRACK/frame`` or ``root/PERSON/frame``, none of whom should be in the
            gallery; those who are, by name or by a frame's content, are left out.
        target_fpir: share of tracks of strangers that may be taken for somebody in this gallery, as it is now.
        context: frames on either side of the windows that tracks are fused from, from 0; stored with the threshold.
        aligned: the frames are faces, cut as the model wants them.
        faces: which face of a frame is meant; not ``ALL``.
        seed: of the interval's bootstrap.
        progress: told how many frames are done.

    Raises:
        UsageError: a target outside ``(0, 1)``, a negative context, ``Policy.ALL``.
        InputError: the tracks cannot support the target (with what would be needed), no frame can be used, folders that
            are not as expected, or nobody is enrolled.
        MissingError: no such folder.
    """
    check_searches(recognizer, target_fpir)
    require_one_face(faces)
    if context < 0:
        raise UsageError(f"context counts the frames on either side: it cannot be {context}")
    tracks = scan_tracks(root, truth=True).tracks
    subjects = {frame: Subject(_person(track), _person(track)) for track in tracks for frame in track.frames}
    read = read_calibration_data(recognizer, subjects, aligned, faces, progress)
    read.require_some()
    strangers = [track for track in tracks if _person(track) not in read.enrolled]
    embedded = embed_tracks([_rows(track, read) for track in strangers], context)
    people = np.array([_person(strangers[number]) for number in embedded.tracks])
    header = recognizer.gallery.header
    threshold = calibrate_fpir(
        best_scores(recognizer, list(embedded.means)),
        np.unique(people, return_inverse=True)[1],
        target_fpir,
        gallery_people=recognizer.gallery.store.count()[0],
        fingerprint=header.fingerprint,
        fusion=header.fusion.value,
        seed=seed,
        data=read.digest,
    )
    result = TrackCalibration(
        threshold=TrackThreshold.of(threshold, context),
        pictures=len(read.rows),
        people=len(set(people.tolist())),
        tracks=len(embedded.tracks),
        enrolled_people=len(read.enrolled),
        left_out=dict(read.left_out),
        tracks_left_out=len(strangers) - len(embedded.tracks),
    )
    store_thresholds(recognizer, result.thresholds)
    return result


def _person(track: Track) -> str:
    assert track.truth is not None
    return track.truth


def _rows(track: Track, read: CalibrationData) -> np.ndarray:
    """The embeddings of the frames that can be compared: ``float32 (n, d)``, in order."""
    rows = [read.rows[read.files[frame]] for frame in track.frames if frame in read.files]
    return np.stack(rows) if rows else np.empty((0, len(read.rows[0])), np.float32)
