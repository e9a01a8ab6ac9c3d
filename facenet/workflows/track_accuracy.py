"""How often tracks and their frames are decided rightly, where it is known whom they show.

Frames of one track, and tracks of one person, are not independent of one another: intervals are by person (see
:mod:`facenet.evaluation.confidence`). A frame that could not be compared is never left out: it counts as wrong for
people who are enrolled. A score that somebody else reaches as well counts as wrong too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facenet.evaluation.confidence import replicate_means
from facenet.evaluation.finding import Finding
from facenet.evaluation.intervals import BY_PERSON, FEWEST_PEOPLE, RULE_OF_THREE, interval_of, rule_of_three
from facenet.evaluation.rates import SMALLEST_STEP
from facenet.recognition.outcomes import Outcome, Status
from facenet.recognition.tracks import NOT_COMPARED, TrackDecisions, TrackFrames, Vote, vote

_NO_THRESHOLD = "frames are not decided, for there is a threshold for tracks only"


@dataclass(frozen=True)
class Difference:
    """By how much a figure differs from that of frames alone.

    Attributes:
        value: this way's figure less that of ``frames``.
        interval: 95 %, over people drawn together for both; None with too few people, or where the difference is the
            same whoever is drawn.
    """

    value: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Way:
    """One way to decide, and how often it is right.

    Attributes:
        key: ``frames``, ``windows``, ``vote`` or ``tracks``.
        context: frames on either side of a window; None for a vote.
        findings: ``rank_1`` where tracks are of people enrolled, with a threshold ``fnir`` as well, and ``fpir`` where
            tracks are of strangers. Where there is a threshold for tracks only, these two are without a value for
            frames and their vote.
        differences: of those that have a value both here and for ``frames``, by key; empty for these themselves.
    """

    key: str
    context: int | None
    findings: tuple[Finding, ...]
    differences: Mapping[str, Difference]

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "way": self.key,
            "context": self.context,
            "findings": {finding.key: finding.to_dict() for finding in self.findings},
            "differences": {
                key: {"value": found.value, "interval": None if found.interval is None else list(found.interval)}
                for key, found in self.differences.items()
            },
        }


class Resampling(NamedTuple):
    """How often people are drawn anew for intervals, and by which seed."""

    replicates: int = 1000
    seed: int = 0


AS_USUAL = Resampling()


class Decides(NamedTuple):
    """For what there is a threshold: tracks and windows, and single frames, which also vote."""

    tracks: bool
    frames: bool


class _Decided(NamedTuple):
    """What one way says of its units.

    Attributes:
        tracks: ``int64 (n,)``, of which track each is.
        right: ``(n,)``, the best candidate is the person.
        identified: ``(n,)``, and was accepted.
        accepted: ``(n,)``, somebody was.
    """

    tracks: NDArray[np.int64]
    right: NDArray[np.bool_]
    identified: NDArray[np.bool_]
    accepted: NDArray[np.bool_]


def track_accuracy(
    truths: Sequence[str],
    known: frozenset[str],
    enrolled: int,
    frames: TrackFrames,
    decisions: Sequence[TrackDecisions],
    *,
    decides: Decides,
    resampling: Resampling,
) -> tuple[Way, ...]:
    """Count what every way decided rightly.

    Args:
        truths: whom each track shows.
        known: the names among them that are enrolled; the others are strangers.
        enrolled: people in the gallery.
        frames: each frame decided alone.
        decisions: windows and tracks, one for each context; context 0 adds only its tracks, for its windows are the
            frames.
        decides: for what there was a threshold.
        resampling: for the intervals.

    Returns:
        Frames, windows by context, the vote of the frames, tracks by context.
    """
    ways: list[tuple[str, int | None, _Decided]] = [("frames", 0, _of_frames(truths, frames.outcomes))]
    for decided in decisions:
        if decided.context > 0:
            ways.append(("windows", decided.context, _of_windows(truths, frames, decided)))
    ways.append(("vote", None, _of_votes(truths, frames.outcomes)))
    ways += [("tracks", decided.context, _of_tracks(truths, decided.tracks)) for decided in decisions]
    judge = _Judge(truths, known, enrolled, decides, resampling)
    return tuple(judge.judge(key, context, decided, ways[0][2]) for key, context, decided in ways)


class _Figure(NamedTuple):
    """What is measured, and on which tracks: ``bool (tracks,)``, at least one."""

    key: str
    title: str
    tracks: NDArray[np.bool_]
    chance: float | None = None

    @property
    def ranks(self) -> bool:
        """Whether it can be measured without a threshold."""
        return self.key == "rank_1"

    def values(self, decided: _Decided) -> NDArray[np.bool_]:
        """What the figure is the share of, for each unit of these tracks."""
        which = self.tracks[decided.tracks]
        if self.ranks:
            return decided.right[which]
        return ~decided.identified[which] if self.key == "fnir" else decided.accepted[which]


class _Judge:
    """Makes figures of what was decided."""

    def __init__(
        self, truths: Sequence[str], known: frozenset[str], enrolled: int, decides: Decides, resampling: Resampling
    ) -> None:
        self._people = np.unique(np.array(truths, dtype=object), return_inverse=True)[1].astype(np.int64)
        self._mated = np.array([truth in known for truth in truths], dtype=np.bool_)
        self._enrolled, self._decides, self._resampling = enrolled, decides, resampling

    def judge(self, key: str, context: int | None, decided: _Decided, frames: _Decided) -> Way:
        """The figures of one way, and what they differ by from those of ``frames``."""
        unit = "frames" if key in ("frames", "windows") else "tracks"
        decides = self._decides.tracks if key in ("windows", "tracks") else self._decides.frames
        findings = []
        differences = {}
        for figure in self._figures():
            finding = self._finding(figure, decided, unit, decides)
            findings.append(finding)
            compared = figure.ranks or self._decides.frames
            if key != "frames" and compared and finding.value is not None:
                differences[figure.key] = self._difference(figure, decided, frames)
        return Way(key, context, tuple(findings), differences)

    def _figures(self) -> list[_Figure]:
        """What can be measured on these tracks."""
        found = []
        if self._mated.any():
            found.append(_Figure("rank_1", "Rank-1 rate", self._mated, 1 / self._enrolled))
        if self._mated.any() and any(self._decides):
            found.append(_Figure("fnir", "FNIR, enrolled people missed or taken for another", self._mated))
        if any(self._decides) and not self._mated.all():
            found.append(_Figure("fpir", "FPIR, strangers taken for somebody", ~self._mated))
        return found

    def _finding(self, figure: _Figure, decided: _Decided, unit: str, decides: bool) -> Finding:
        if not (figure.ranks or decides):
            return Finding(figure.key, figure.title, None, reason=_NO_THRESHOLD)
        if figure.ranks and self._enrolled < 2:
            reason = "rank 1 among 1 person cannot be missed"
            return Finding(figure.key, figure.title, None, chance=figure.chance, reason=reason)
        values, tracks = figure.values(decided), np.flatnonzero(figure.tracks)
        people = len(np.unique(self._people[tracks]))
        counted = "" if unit == "tracks" else f"{len(values):,} frames of "
        basis, interval, kind = f"{counted}{len(tracks):,} tracks by {people:,} people", None, ""
        if people < FEWEST_PEOPLE:
            basis += "; too few people for an interval"
        elif values.all() or not values.any():
            # Frames of one track say the same thing over and over: they are one trial.
            interval, kind = rule_of_three(bool(values.all()), len(tracks)), RULE_OF_THREE
        else:
            interval, kind = interval_of(self._replicates(figure, decided)), BY_PERSON
        return Finding(
            figure.key,
            figure.title,
            float(values.mean()),
            interval,
            kind,
            chance=figure.chance,
            basis=basis,
            higher_is_better=figure.ranks,
        )

    def _difference(self, figure: _Figure, decided: _Decided, frames: _Decided) -> Difference:
        value = float(figure.values(decided).mean() - figure.values(frames).mean())
        if len(np.unique(self._people[figure.tracks])) < FEWEST_PEOPLE:
            return Difference(value, None)
        # The same people are drawn for both, for the seed is the same and nobody is without a frame or a track.
        drawn = self._replicates(figure, decided) - self._replicates(figure, frames)
        # Where neither way ever varies, resampling shows nothing, and least of all that there is no difference.
        return Difference(value, None if drawn.min() == drawn.max() else interval_of(drawn))

    def _replicates(self, figure: _Figure, decided: _Decided) -> NDArray[np.float64]:
        columns = figure.values(decided).astype(np.float64)[:, np.newaxis]
        people = self._people[decided.tracks[figure.tracks[decided.tracks]]]
        replicates, seed = self._resampling
        return replicate_means(columns, people, replicates=replicates, seed=seed)[:, 0]


def _of_frames(truths: Sequence[str], outcomes: Sequence[Sequence[Outcome]]) -> _Decided:
    """One unit for each frame, whether it was compared or not."""
    tracks = np.repeat(np.arange(len(outcomes)), [len(of_track) for of_track in outcomes])
    rows = [_judged(outcome, truth) for truth, of_track in zip(truths, outcomes, strict=True) for outcome in of_track]
    return _Decided(tracks, *np.array(rows, dtype=np.bool_).T)


def _of_windows(truths: Sequence[str], frames: TrackFrames, decided: TrackDecisions) -> _Decided:
    """The same with the window of each frame that was compared in its place."""
    placed = []
    for of_track, windows in zip(frames.outcomes, decided.windows, strict=True):
        compared = iter(windows)
        placed.append([frame if frame.status in NOT_COMPARED else next(compared) for frame in of_track])
    return _of_frames(truths, placed)


def _of_tracks(truths: Sequence[str], outcomes: Sequence[Outcome]) -> _Decided:
    return _of_frames(truths, [[outcome] for outcome in outcomes])


def _of_votes(truths: Sequence[str], outcomes: Sequence[Sequence[Outcome]]) -> _Decided:
    rows = []
    for truth, of_track in zip(truths, outcomes, strict=True):
        ranked, decided = vote(of_track, ranked=True), vote(of_track)
        rows.append((_names(ranked, truth), _names(decided, truth), decided is not None and _somebody(decided)))
    return _Decided(np.arange(len(rows)), *np.array(rows, dtype=np.bool_).T)


def _judged(outcome: Outcome, truth: str) -> tuple[bool, bool, bool]:
    """Whether the best candidate is the person, whether this was accepted, and whether anybody was."""
    accepted = outcome.status is Status.MATCHED
    alone = outcome.margin is None or outcome.margin > SMALLEST_STEP
    right = alone and bool(outcome.candidates) and outcome.candidates[0].name == truth
    return right, right and accepted, accepted


def _somebody(found: Vote) -> bool:
    return found.candidate is not None


def _names(found: Vote | None, truth: str) -> bool:
    return found is not None and found.candidate is not None and found.candidate.name == truth
