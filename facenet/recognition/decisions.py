"""By which threshold a decision is taken, where it comes from, and what it means for the gallery as it is now."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from facenet.errors import UsageError
from facenet.evaluation.calibration import Threshold, expected_fpir
from facenet.gallery.records import Fusion, Header, SearchResult
from facenet.recognition.gate import Likeness, Limits
from facenet.recognition.outcomes import Status
from facenet.recognition.track_threshold import TrackThreshold

VERIFICATION = "verification"
"""Key of the gallery's threshold for comparing two faces."""

IDENTIFICATION = "identification"
"""Key of the gallery's threshold for searching it."""

TRACKS = "tracks"
"""Key of the gallery's threshold for searching it with whole face tracks."""

PURPOSES: dict[str, type[Threshold]] = {VERIFICATION: Threshold, IDENTIFICATION: Threshold, TRACKS: TrackThreshold}
"""Everything a gallery may be calibrated for, and what is stored for it."""

GROWTH = 2.0
"""A threshold set for a gallery of so many people is worth checking when there are this many times as many."""

_NOT_CALIBRATED = "not calibrated"

HOW_TO_CALIBRATE = "set a threshold with `gallery calibrate`, or give one with --threshold"


class Origin(StrEnum):
    """Where a threshold comes from: the caller, one of the gallery's calibrations, or nowhere."""

    GIVEN = "given"
    TRACKS = "tracks"
    IDENTIFICATION = "identification"
    VERIFICATION = "verification"
    NONE = "none"


@dataclass(frozen=True)
class Rule:
    """What decides.

    Attributes:
        threshold: a score at least this high is a match; None: nothing can be decided.
        origin: see :class:`Origin`.
        notices: what should be known about it, in words.
        strangers: share of strangers that a search with a calibrated threshold takes for somebody, estimated for the
            gallery as it is now; None for thresholds that are not for searches, or whose rate nobody knows.
    """

    threshold: float | None
    origin: Origin
    notices: tuple[str, ...] = ()
    strangers: float | None = None

    def decide(self, result: SearchResult) -> tuple[Status, str]:
        """Status of a face that was searched for, and the reason for everything but a match."""
        best = result.best
        if best is None:
            return Status.UNKNOWN, "nobody is enrolled"
        if self.threshold is None:
            return Status.UNDECIDED, f"no threshold to decide by: {HOW_TO_CALIBRATE}"
        if best.score >= self.threshold:
            return Status.MATCHED, ""
        return Status.UNKNOWN, f"best score {best.score:.3f} is below the threshold {self.threshold:.3f}"


@dataclass(frozen=True)
class TrackRules:
    """What decides about a recording: each kind of embedding goes by the threshold that was calibrated for it.

    Attributes:
        tracks: about whole tracks, and about windows: these are means of frames as well, only of fewer, so their rate
            of strangers taken for somebody is that of tracks or lower, the lower the smaller the context. By a
            threshold for single pictures it would be higher than asked for, as that of tracks is.
        frames: about single frames, which also vote.
    """

    tracks: Rule
    frames: Rule

    @property
    def differ(self) -> bool:
        """Whether tracks are decided by another threshold than frames."""
        return self.tracks.origin is not self.frames.origin


def identification_rule(header: Header, count: tuple[int, int], given: float | None = None) -> Rule:
    """The rule for searching a gallery: the threshold given, else the one for searches, else the one for pairs.

    Args:
        header: of the gallery.
        count: people and embeddings in it now.
        given: the caller's own threshold, in ``[-1, 1]``.

    Raises:
        UsageError: a threshold no score can be compared with.
    """
    if given is not None:
        return Rule(_checked(given), Origin.GIVEN)
    searched, refused = _stored(header, IDENTIFICATION)
    if searched is not None:
        stale = stale_reason(searched, count[0])
        expected = expected_fpir(searched, count[0])
        return Rule(searched.value, Origin.IDENTIFICATION, (stale,) if stale else (), expected)
    paired, also = _stored(header, VERIFICATION)
    refused += also
    if paired is None:
        return Rule(None, Origin.NONE, refused)
    expected = expected_fpir(paired, comparisons_of(header, count))
    return Rule(paired.value, Origin.VERIFICATION, (*refused, _meaning(paired, expected, count[0])), expected)


def track_rules(header: Header, count: tuple[int, int], context: int, given: float | None = None) -> TrackRules:
    """The rules for recordings: the threshold given decides everything; else tracks go by theirs, frames by their own.

    Without a threshold for tracks, they are decided as searches with single pictures are. Without one for single
    pictures, frames are left undecided.

    Args:
        header, count, given: as for :func:`identification_rule`.
        context: of the windows that the tracks to be decided are fused from. A threshold that was calibrated with
            another context decides all the same, for the mean of a track's windows is nearly that of its frames; a
            notice says so.

    Raises:
        UsageError: a threshold no score can be compared with.
    """
    single = identification_rule(header, count, given)
    if given is not None:
        return TrackRules(single, single)
    stored, refused = _stored(header, TRACKS)
    if stored is None:
        rule = replace(single, notices=(*refused, *single.notices))
        return TrackRules(rule, rule)
    assert isinstance(stored, TrackThreshold)
    notices = [stale] if (stale := stale_reason(stored, count[0])) else []
    if stored.context != context:
        notices.append(
            f"the threshold for tracks was calibrated with windows of context {stored.context}, and these are of "
            f"context {context}: scores differ little, but the rate was measured with the other; --context "
            f"{stored.context}, or calibrate again"
        )
    return TrackRules(Rule(stored.value, Origin.TRACKS, tuple(notices), expected_fpir(stored, count[0])), single)


def verification_rule(header: Header, given: float | None = None) -> Rule:
    """The rule for comparing two faces: the threshold given, else the gallery's for pairs.

    Raises:
        UsageError: a threshold no score can be compared with.
    """
    if given is not None:
        return Rule(_checked(given), Origin.GIVEN)
    paired, refused = _stored(header, VERIFICATION)
    if paired is None:
        return Rule(None, Origin.NONE, refused)
    return Rule(paired.value, Origin.VERIFICATION)


def likeness_of(header: Header, count: tuple[int, int], limits: Limits) -> Likeness:
    """What the enrollment gate goes by: the thresholds that `verify` and `identify` use, else its own limits.

    So nobody is let in whom `identify` would take for somebody else. But a threshold by which too many strangers are
    like somebody in a gallery of this size would keep newcomers out: then the gate asks for its own limit at least.
    """
    pair, search = verification_rule(header), identification_rule(header, count)
    same, same_is = limits.same, _NOT_CALIBRATED
    if pair.threshold is not None:
        same, same_is = pair.threshold, f"calibrated for {pair.origin}"
    close, close_is = limits.close, _NOT_CALIBRATED
    if search.threshold is not None and search.strangers is not None:
        if search.strangers <= limits.newcomers:
            close, close_is = search.threshold, f"calibrated for {search.origin}"
        else:
            close, close_is = max(search.threshold, limits.close), f"{_NOT_CALIBRATED} for a gallery of this size"
    return Likeness(same=same, close=close, same_is=same_is, close_is=close_is)


def stale_reason(threshold: Threshold, people: int) -> str:
    """Why a threshold should be set anew for a gallery of ``people``; empty if it need not.

    A search compares with everybody: the more people, the likelier a stranger is like one of them.
    """
    before = threshold.gallery_people
    if before is None or people <= GROWTH * before:
        return ""
    return (
        f"the threshold was calibrated with {before:,} people in the gallery and there are {people:,} now: more "
        f"strangers than the target of {threshold.target:g} will be taken for somebody; run `gallery calibrate` again"
    )


def calibrated(header: Header, purpose: str) -> Threshold | None:
    """The gallery's threshold for one of :data:`PURPOSES`, whether it may be used or not; None if there is none.

    Raises:
        GalleryError: what is stored is no threshold.
    """
    values = header.calibration.get(purpose)
    return None if values is None else PURPOSES[purpose].from_dict(values)


def _stored(header: Header, purpose: str) -> tuple[Threshold | None, tuple[str, ...]]:
    """The gallery's threshold, or None with what is wrong with it."""
    threshold = calibrated(header, purpose)
    if threshold is None:
        return None, ()
    again = "and is not used; run `gallery calibrate` again"
    if threshold.fingerprint != header.fingerprint:
        return None, (f"the threshold for {purpose} was calibrated with another model {again}",)
    if threshold.fusion is not None and threshold.fusion != header.fusion.value:
        words = f"the threshold for {purpose} was calibrated for fusion {threshold.fusion}, not {header.fusion.value},"
        return None, (f"{words} {again}",)
    return threshold, ()


def comparisons_of(header: Header, count: tuple[int, int]) -> int:
    """How many comparisons a search makes: with every embedding where the best counts, else with every person."""
    people, embeddings = count
    return embeddings if header.fusion is Fusion.MAX else people


def _meaning(paired: Threshold, expected: float, people: int) -> str:
    return (
        f"the threshold is calibrated for comparing two faces (false matches {paired.target:g}): a search among "
        f"{people:,} people may take up to {100 * expected:.2g} % of strangers for somebody; "
        "`gallery calibrate --target-fpir` sets one for searches"
    )


def _checked(threshold: float) -> float:
    if not (math.isfinite(threshold) and -1 <= threshold <= 1):
        raise UsageError(f"a threshold is a score from -1 to 1, not {threshold}")
    return float(threshold)
