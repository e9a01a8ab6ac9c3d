"""A calibrated threshold: a score to decide by, and everything that says how far it can be trusted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from facenet.errors import GalleryError

_LONGEST_TEXT = 200
_NAMES = {"fmr": "false match rate", "fpir": "false-positive identification rate"}
_FEW_PEOPLE = 50
"""Below this, simulated intervals cover clearly less often than they should: 83 % instead of 95 % with 30 people."""


@dataclass(frozen=True)
class Threshold:
    """Accept if ``score >= value``; made by :mod:`facenet.evaluation.calibration`.

    Attributes:
        value: cosine in ``[-1, 1]``, a float32 number, so that comparing in float32 and in float64 says the same.
        kind: ``"fmr"``: set on comparisons of two pictures (1:1). ``"fpir"``: set on searches by strangers in a
            gallery of ``gallery_people`` (1:N).
        target: the rate not to be exceeded, in ``(0, 1)``.
        measured: the rate at ``value`` on the calibration data, in ``[0, target]``.
        interval: 95 % interval of that rate, bootstrapped by person; in ``[0, 1]``.
        value_interval: 95 % interval of the threshold itself, from the same replicates; in ``[-1, 1]``.
        miss_rate: share of genuine comparisons that ``value`` rejects (FNMR), None if there were none.
        genuine: genuine comparisons.
        impostor: impostor comparisons; for ``"fpir"`` searches by strangers.
        people: how many different people the impostor comparisons are of.
        gallery_people: people in the gallery that was searched, None for ``"fmr"``.
        fingerprint: of the model whose scores these are.
        fusion: how a person's pictures were fused in that gallery; None for ``"fmr"``, which is picture to picture.
        data: digest of the calibration data, empty if none was given.
        seed: of the bootstrap.
        created: UTC time, ISO 8601.

    Raises:
        ValueError: values that contradict one another or lie outside their ranges.
    """

    value: float
    kind: str
    target: float
    measured: float
    interval: tuple[float, float]
    value_interval: tuple[float, float]
    miss_rate: float | None
    genuine: int
    impostor: int
    people: int
    gallery_people: int | None
    fingerprint: str
    fusion: str | None
    data: str
    seed: int
    created: str

    def __post_init__(self) -> None:
        if self.kind not in _NAMES:
            raise ValueError(f"a threshold is of kind {' or '.join(_NAMES)}, not {self.kind!r}")
        # Written so that NaN lies in no range.
        if not (-1 <= self.value <= 1 and 0 < self.target < 1 and 0 <= self.measured <= self.target):
            raise ValueError(f"score {self.value} with rate {self.measured} for the target {self.target} cannot be")
        if not 0 <= self.interval[0] <= self.interval[1] <= 1:
            raise ValueError(f"the interval {self.interval} of a rate leaves [0, 1]")
        if not -1 <= self.value_interval[0] <= self.value_interval[1] <= 1:
            raise ValueError(f"the interval {self.value_interval} of a score leaves [-1, 1]")
        if self.genuine < 0 or self.impostor < 1 or self.people < 1 or self.seed < 0:
            raise ValueError("a threshold rests on at least one impostor comparison")
        if (self.miss_rate is None) != (self.genuine == 0):
            raise ValueError("there is a miss rate exactly where there are genuine comparisons")
        if self.miss_rate is not None and not 0 <= self.miss_rate <= 1:
            raise ValueError(f"the miss rate {self.miss_rate} is outside [0, 1]")
        if (self.gallery_people is not None) != (self.kind == "fpir"):
            raise ValueError("a gallery size belongs to a threshold of kind fpir and to no other")
        if self.gallery_people is not None and self.gallery_people < 1:
            raise ValueError("a threshold of kind fpir needs a gallery that holds somebody")

    @property
    def errors(self) -> int:
        """Impostor comparisons accepted at ``value``."""
        return round(self.measured * self.impostor)

    @property
    def caution(self) -> str:
        """Why the interval may be too narrow, in words; empty if nothing is known against it."""
        if self.people < _FEW_PEOPLE:
            return (
                f"only {self.people} people: an interval bootstrapped over so few is rough, and more often too narrow"
            )
        if self.kind == "fpir" and self.people * self.target < 3:
            return (
                f"searches by one person resemble one another, and {self.people:,} strangers are fewer than the "
                f"{math.ceil(3 / self.target):,} that would show this rate by themselves"
            )
        return ""

    def describe(self) -> str:
        """One line for people."""
        low, high = (_percent(rate) for rate in self.interval)
        if self.kind == "fpir":
            basis = f"{self.impostor:,} searches by {self.people:,} strangers among {self.gallery_people:,} people"
        else:
            basis = f"{self.impostor:,} impostor comparisons of {self.people:,} people"
        missed = (
            "" if self.miss_rate is None else f"; misses {_percent(self.miss_rate)} of {self.genuine:,} genuine ones"
        )
        return (
            f"accept from {self.value:.4f} (95 %: {self.value_interval[0]:.4f} to {self.value_interval[1]:.4f}): "
            f"{_NAMES[self.kind]} {_percent(self.measured)} (95 %: {low} to {high}) for a target of "
            f"{_percent(self.target)}, from {basis}{missed}"
        )

    def to_dict(self) -> dict[str, Any]:
        """All attributes as plain values, fit for JSON."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Threshold:
        """Read back what :meth:`to_dict` gave.

        Raises:
            GalleryError: anything else: entries missing, unknown, of another type, out of range or contradictory.
        """
        names = {field.name for field in fields(cls)}
        if not isinstance(values, Mapping) or set(values) != names:
            raise GalleryError(f"{_UNREADABLE}: it does not have the entries that this version writes; {_REMEDY}")
        wrong = sorted(name for name in names if not _CHECKS[name](values[name]))
        if wrong:
            raise GalleryError(f"{_UNREADABLE}: {', '.join(wrong)} cannot be; {_REMEDY}")
        pairs = {name: tuple(values[name]) for name in ("interval", "value_interval")}
        try:
            return cls(**{**values, **pairs})
        except ValueError as error:
            raise GalleryError(f"{_UNREADABLE}: {error}; {_REMEDY}") from error


_UNREADABLE = "the stored threshold cannot be used"
_REMEDY = "calibrate again"


def _percent(rate: float) -> str:
    """``0.00123`` → ``"0.123 %"``."""
    return f"{100 * rate:.3g} %"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_TEXT and value.isprintable()


def _is_interval(value: object) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(map(_is_number, value))


_CHECKS = {
    "value": _is_number,
    "kind": _is_text,
    "target": _is_number,
    "measured": _is_number,
    "interval": _is_interval,
    "value_interval": _is_interval,
    "miss_rate": lambda value: value is None or _is_number(value),
    "genuine": _is_count,
    "impostor": _is_count,
    "people": _is_count,
    "gallery_people": lambda value: value is None or _is_count(value),
    "fingerprint": _is_text,
    "fusion": lambda value: value is None or _is_text(value),
    "data": _is_text,
    "seed": _is_count,
    "created": _is_text,
}
