"""Numbers as a reader wants them: shares in per cent, with as many digits as their interval can carry."""

from __future__ import annotations

import math

from facenet.evaluation.finding import Finding

_DIGITS_OF_SCORES = 3


def decimals(interval: tuple[float, float] | None) -> int:
    """Digits after the point of a share in per cent: at least 2, and two that count of the interval's width."""
    if interval is None or interval[1] <= interval[0]:
        return 2
    width = 100 * (interval[1] - interval[0])
    return min(max(math.ceil(-math.log10(width)) + 1, 2), 4)


def share(value: float, digits: int = 2) -> str:
    """A share of 1 in per cent: ``99.28 %``; one too small for the digits keeps two that count: ``0.0031 %``."""
    return f"{_number(100 * value, digits)} %"


def _number(value: float, digits: int) -> str:
    if value != 0 and abs(value) < 0.5 * 10**-digits:
        return f"{value:.2g}" if abs(value) >= 1e-4 else f"{value:.1e}"
    return f"{value:.{digits}f}"


def amount(value: float, unit: str, interval: tuple[float, float] | None = None) -> str:
    """A figure with its unit.

    Args:
        value: share of 1, or score.
        unit: ``"share"`` or ``"score"``.
        interval: by which the digits are chosen.
    """
    return share(value, decimals(interval)) if unit == "share" else f"{value:.{_DIGITS_OF_SCORES}f}"


def span(interval: tuple[float, float], unit: str) -> str:
    """An interval with its unit: ``98.95 to 99.52 %``."""
    if unit != "share":
        return " to ".join(f"{end:.{_DIGITS_OF_SCORES}f}" for end in interval)
    digits = decimals(interval)
    return " to ".join(_number(100 * end, digits) for end in interval) + " %"


def chance_of(finding: Finding) -> str:
    """What guessing gives; a dash where that means nothing."""
    if finding.chance is None:
        return "–"
    return f"{100 * finding.chance:.3g} %" if finding.unit == "share" else f"{finding.chance:.3f}"


def value_of(finding: Finding) -> str:
    """The value of a finding; a dash where there is none."""
    if finding.value is None:
        return "–"
    return amount(finding.value, finding.unit, finding.interval)


def spread_of(finding: Finding) -> str:
    """Standard error and deviation over the folds, where the finding is a mean over folds; else nothing."""
    if finding.standard_error is None:
        return ""
    words = f"standard error {amount(finding.standard_error, finding.unit)}"
    if finding.deviation is not None:
        words += f", deviation of the folds {amount(finding.deviation, finding.unit)}"
    return words


def plain_title(key: str) -> str:
    """The title of a row from the name of a value: ``false_matches`` → ``False matches``."""
    shown = key.replace("_", " ").strip()
    return shown[:1].upper() + shown[1:]
