"""What ``gallery calibrate`` shows: the thresholds that were set, what they rest on, and what was left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facenet.commands.common import note, print_table
from facenet.commands.gallery_opening import say_notices
from facenet.commands.gallery_shared import number

if TYPE_CHECKING:
    from facenet.evaluation.calibration import Threshold
    from facenet.recognition.calibrating import CalibrationResult
    from facenet.workflows.track_calibration import TrackCalibration


def show_calibration(result: CalibrationResult | TrackCalibration) -> None:
    """Print the thresholds (standard output), and say what they rest on (standard error)."""
    from facenet.recognition.calibrating import CalibrationResult

    columns = ("threshold for", "accept from", "rate", "target", "measured", "95 % interval", "missed", "rests on")
    print_table("Thresholds set", columns, [_row(*threshold) for threshold in result.thresholds.items()])
    if isinstance(result, CalibrationResult):
        _show_strangers(result)
    note(f"calibrated on {result.basis}")
    if result.enrolled_people:
        note(f"left out: {result.enrolled_people:,} people who are enrolled themselves")
    for status, count in sorted(result.left_out.items()):
        note(f"left out: {count:,} pictures: {status.replace('_', ' ')}")
    say_notices(result.notes)


def _show_strangers(result: CalibrationResult) -> None:
    """Print what a threshold for pairs means in a search."""
    strangers = result.strangers
    if strangers is None or not result.gallery_people:
        return
    counted = ""
    if strangers.measured is not None:
        counted = f"; counted on these pictures: {strangers.accepted:,} of {strangers.searches:,} searches"
    print(
        f"in a search among the {result.gallery_people:,} people enrolled, the threshold for verification takes "
        f"about {_percent(strangers.expected)} of strangers for somebody{counted}"
    )


def _row(purpose: str, threshold: Threshold) -> tuple[str, ...]:
    low, high = threshold.interval
    if threshold.gallery_people is None:
        basis = f"{threshold.impostor:,} comparisons of {threshold.people:,} people"
    else:
        among = f"{threshold.gallery_people:,} people"
        basis = f"{threshold.impostor:,} searches by {threshold.people:,} strangers among {among}"
    genuine = "" if threshold.genuine == 0 else f"; {threshold.genuine:,} genuine"
    return (
        purpose,
        number(threshold.value),
        threshold.kind.upper(),
        _percent(threshold.target),
        _percent(threshold.measured),
        f"{_percent(low)} to {_percent(high)}",
        "-" if threshold.miss_rate is None else _percent(threshold.miss_rate),
        f"{basis}{genuine}",
    )


def _percent(rate: float) -> str:
    return f"{100 * rate:.3g} %"
