"""What is said of tracks, for people and for programs: outcomes, counts, JSON and a table."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facenet.data.folders import LeftOut
from facenet.recognition.decisions import TrackRules
from facenet.recognition.outcomes import Outcome, Status
from facenet.recognition.tracks import NOT_COMPARED, Vote
from facenet.workflows.track_accuracy import Way
from facenet.workflows.track_folders import Track
from facenet.workflows.writing import csv_pieces, write_whole

_COLUMNS = (
    "track", "truth", "frames", "compared", "no_face", "too_small", "unreadable", "status", "name", "score",
    "threshold", "margin", "agreement", "candidate", "vote", "votes", "reason",
)  # fmt: skip
_DECIDED = ("status", "name", "person", "score", "threshold", "margin", "reason", "candidates")
"""What JSON takes over from the outcome of the whole track."""


@dataclass(frozen=True)
class TrackOutcome:
    """What is said of one track.

    Attributes:
        track: its folder, and whom it shows if that is known.
        outcome: the decision about the whole; its source is the track's name.
        frames: one outcome for each frame, in order, each decided alone.
        windows: one for each frame that was compared.
        agreement: see :func:`facenet.recognition.tracks.agreement`.
        vote: what most frames say; None if none was compared.
    """

    track: Track
    outcome: Outcome
    frames: tuple[Outcome, ...]
    windows: tuple[Outcome, ...]
    agreement: float | None
    vote: Vote | None

    @property
    def compared(self) -> int:
        """Frames that could be compared."""
        return len(self.windows)

    @property
    def problems(self) -> dict[str, int]:
        """How many of the others there are, by what is wrong with them; all kinds."""
        found = Counter(outcome.status for outcome in self.frames)
        return {status.value: found[status] for status in NOT_COMPARED}

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        decided = self.outcome.to_dict()
        windows = iter(self.windows)
        frames = []
        for outcome in self.frames:
            window = None if outcome.status in NOT_COMPARED else _brief(next(windows))
            frames.append({"source": outcome.source, **_brief(outcome), "reason": outcome.reason, "window": window})
        voted = None
        if self.vote is not None:
            candidate = None if self.vote.candidate is None else self.vote.candidate.name
            voted = {"name": candidate, "frames": self.vote.frames, "of": self.vote.of}
        return {
            "track": self.track.name,
            "truth": self.track.truth,
            **{key: decided[key] for key in _DECIDED},
            "agreement": self.agreement,
            "vote": voted,
            "compared": self.compared,
            "problems": self.problems,
            "frames": frames,
        }

    def row(self) -> tuple[object, ...]:
        """One line of the table that is written; see :data:`_COLUMNS`."""
        best = self.outcome.candidates[0].name if self.outcome.candidates else None
        voted = None if self.vote is None or self.vote.candidate is None else self.vote.candidate.name
        return (
            self.track.name,
            self.track.truth,
            len(self.frames),
            self.compared,
            *self.problems.values(),
            self.outcome.status.value,
            self.outcome.name,
            self.outcome.score,
            self.outcome.threshold,
            self.outcome.margin,
            self.agreement,
            best,
            voted,
            None if self.vote is None else self.vote.frames,
            self.outcome.reason,
        )


@dataclass(frozen=True)
class TracksFound:
    """What was found in tracks.

    Attributes:
        tracks: in natural order of their names.
        rules: what decided.
        context: of the windows that the decisions rest on.
        ways: how often each way to decide was right; empty where nobody said whom the tracks show.
        strangers: people of the truth who are not enrolled.
        notices: what should be known about the figures, in words.
        left_out: what lay in the folder and was not looked at.
    """

    tracks: tuple[TrackOutcome, ...]
    rules: TrackRules
    context: int
    ways: tuple[Way, ...] = ()
    strangers: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """How many tracks have each status, only those that occur."""
        found = Counter(track.outcome.status for track in self.tracks)
        return {status.value: found[status] for status in Status if status in found}

    @property
    def frames(self) -> int:
        """Pictures in all tracks."""
        return sum(len(track.frames) for track in self.tracks)

    @property
    def compared(self) -> int:
        """Tracks of which at least one frame could be compared."""
        return sum(track.compared > 0 for track in self.tracks)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "context": self.context,
            "counts": self.counts,
            "frames": self.frames,
            "frames_compared": sum(track.compared for track in self.tracks),
            "tracks": [track.to_dict() for track in self.tracks],
            "accuracy": [way.to_dict() for way in self.ways],
            "strangers": list(self.strangers),
            "notices": list(self.notices),
            "left_out": [{"path": entry.path, "reason": entry.reason} for entry in self.left_out],
        }


def write_tracks(path: Path, found: TracksFound) -> None:
    """Write one line for each track as CSV.

    Raises:
        StorageError: it cannot be written.
    """
    write_whole(path, csv_pieces(_COLUMNS, (track.row() for track in found.tracks)))


def _brief(outcome: Outcome) -> dict[str, Any]:
    best = outcome.candidates[0].name if outcome.candidates else None
    return {"status": outcome.status.value, "name": outcome.name, "candidate": best, "score": outcome.score}
