"""Are two models really different? Paired tests on studies of the same comparisons.

Two intervals that overlap say little: both models met the same easy and hard people, and what they share cancels out in
the difference. So the difference itself is looked at.

* **Accuracy over folds**: a paired t test, ``t = mean / (deviation / √folds)`` of the folds' differences. It supposes
  that these are drawn independently from one normal distribution. Folds that share no person are nearly so; only the
  thresholds were fitted on pairs that other folds share. With few folds it finds large differences only.
* **Every other figure**: a paired bootstrap. People are drawn anew (see :mod:`facenet.evaluation.bootstrap`), the same
  for both models, thresholds at a target are set anew, and the figures are taken again. It supposes that people are
  drawn independently, and enough of them. ``p = 2 · (b + 1) / (replicates + 1)``, at most 1, where ``b`` is how many of
  the differences lie on the rarer side of 0, or on it: never 0, and below 0.05 about where the 95 % interval leaves
  out 0 (Davison & Hinkley, "Bootstrap Methods and their Application", 1997, chapter 4). Where errors are few it errs
  on the wide side, like the intervals.

All p are corrected together by Holm's method (Scandinavian Journal of Statistics 6, 1979), which needs no independence:
among models that are all alike, a difference is found anywhere at most one time in twenty.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import ttest_rel

from facenet.errors import ContractError, UsageError, printable
from facenet.evaluation.finding import Finding
from facenet.evaluation.folds import FoldAccuracy
from facenet.evaluation.intervals import interval_of
from facenet.evaluation.paired_replicates import Replicates, paired_replicates
from facenet.evaluation.studies import study_contents
from facenet.evaluation.study import Study

SIGNIFICANT = 0.05
"""Adjusted p below which two figures are called different."""

_REPLICATES_PER_TEST = 40
"""So many at least, or Holm's correction could never leave a smallest possible p of 2 / replicates significant."""

_ROUNDING = 1e-12


@dataclass(frozen=True)
class Difference:
    """One figure of two studies.

    Attributes:
        key, title, unit, higher_is_better: of the finding, see :class:`facenet.evaluation.finding.Finding`.
        baseline, label: labels of the first study and of the other one.
        study: place of the other study among those compared, from 1.
        baseline_value, value: the figure of the first study and of the other one.
        interval: 95 % interval of ``value - baseline_value``; None where there is no test.
        p: two-sided, above 0, at most 1; None where there is no test.
        adjusted_p: the same after Holm's correction over all differences that were tested together.
        test: ``"paired bootstrap over people"`` (or ``pictures``), ``"paired t test over 10 folds"``; empty without.
        reason: why there is no test; empty otherwise.
    """

    key: str
    title: str
    unit: str
    higher_is_better: bool
    baseline: str
    label: str
    study: int
    baseline_value: float
    value: float
    interval: tuple[float, float] | None
    p: float | None
    adjusted_p: float | None
    test: str
    reason: str = ""

    def __post_init__(self) -> None:
        parts = (self.interval is not None, self.p is not None, self.adjusted_p is not None, bool(self.test))
        if len({*parts, not self.reason}) != 1:
            raise ValueError(f"{self.key}: a difference has either a test with all its figures or a reason for none")
        if self.p is not None and self.adjusted_p is not None and not 0 < self.p <= self.adjusted_p <= 1:
            raise ValueError(f"{self.key}: p = {self.p}, adjusted {self.adjusted_p}, cannot be")

    @property
    def difference(self) -> float:
        """``value - baseline_value``: above 0 is better only if ``higher_is_better``."""
        return self.value - self.baseline_value

    @property
    def significant(self) -> bool:
        """Whether the two can be told apart."""
        return self.adjusted_p is not None and self.adjusted_p < SIGNIFICANT and self.difference != 0

    @property
    def verdict(self) -> str:
        """In words: who is better, by how much, and whether that can be told. p is the adjusted one."""
        if self.interval is None or self.adjusted_p is None:
            return f"not tested: {self.reason}"
        low, high = self.interval
        if low == high == self.difference == 0:
            return "no difference"
        if not self.significant:
            between = f"{self._amount(low, '+')} to {self._amount(high, '+')}"
            return (
                f"cannot be told apart: {self._amount(self.difference, '+')}{self._points} ({between}), {self._chance}"
            )
        better = (self.difference > 0) == self.higher_is_better
        # From the better one's side, so that it reads the same for figures of which less is better.
        ends = (low, high) if self.difference > 0 else (-high, -low)
        between = f"{self._amount(ends[0])} to {self._amount(ends[1])}"
        winner = self.label if better else self.baseline
        return f"{winner} is better by {self._amount(abs(self.difference))}{self._points} ({between}), {self._chance}"

    @property
    def _points(self) -> str:
        return " points" if self.unit == "share" else ""

    @property
    def _chance(self) -> str:
        return f"p = {self.adjusted_p:.2g}"

    def _amount(self, value: float, sign: str = "-") -> str:
        """In percentage points, or as a score: two decimals, or two digits where that would show nothing."""
        shown = 100 * value if self.unit == "share" else value
        return format(shown, f"{sign}.2f" if abs(shown) >= 0.095 or shown == 0 else f"{sign}.2g")

    def to_dict(self) -> dict[str, Any]:
        """All attributes, the difference and the verdict, fit for JSON."""
        interval = None if self.interval is None else list(self.interval)
        return asdict(self) | {"interval": interval, "difference": self.difference, "verdict": self.verdict}


def compare_studies(studies: Sequence[Study], *, seed: int = 0, replicates: int = 1000) -> tuple[Difference, ...]:
    """Test every study against the first, in every figure of which both have a value.

    Args:
        studies: two or more, of the same protocol on the same samples.
        seed, replicates: of the bootstrap. Where there are so many differences that Holm's correction over so few
            replicates could call none of them real, 40 replicates are drawn for each.

    Returns:
        Study by study after the first, in the order of the first one's findings. A model compared with itself differs
        by exactly 0, and p is 1.

    Raises:
        UsageError: fewer than two studies, or no replicate.
        ContractError: they did not compare the same things; what differs is named.
    """
    if len(studies) < 2 or replicates < 1:
        raise UsageError("a comparison needs at least two studies and one replicate")
    baseline, *others = studies
    for other in others:
        _require_same(baseline, other)
    shared = [_shared(baseline, other) for other in others]
    drawn = max(replicates, _REPLICATES_PER_TEST * sum(map(len, shared)))
    differences = []
    for place, (other, findings) in enumerate(zip(others, shared, strict=True), 1):
        keys = [one.key for one, _ in findings]
        resampled = paired_replicates(baseline, other, keys, replicates=drawn, seed=seed)
        for one, two in findings:
            outcome = _test(baseline, other, one.key, resampled.get(one.key))
            differences.append(_difference((baseline, one), (other, two), place, outcome))
    return _corrected(differences)


def holm(chances: Sequence[float]) -> list[float]:
    """p values corrected for there being several, by Holm's step-down method; in the order they came in."""
    adjusted = [0.0] * len(chances)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(chances)), key=lambda place: chances[place])):
        highest = max(highest, min(1.0, (len(chances) - rank) * chances[place]))
        adjusted[place] = highest
    return adjusted


class _Outcome(NamedTuple):
    """What one test gave; ``reason`` says why there was none."""

    interval: tuple[float, float] | None = None
    p: float | None = None
    test: str = ""
    reason: str = ""


def _require_same(baseline: Study, other: Study) -> None:
    names = f"{printable(baseline.label)} and {printable(other.label)}"
    if baseline.protocol != other.protocol:
        raise ContractError(f"{names} cannot be compared: one is of {baseline.protocol}, the other of {other.protocol}")
    one, two = study_contents(baseline), study_contents(other)
    parts = []
    for aspect in dict.fromkeys([*one, *two]):
        if one.get(aspect) != two.get(aspect):
            counts = [f"{found[aspect][0]:,}" if aspect in found else "none" for found in (one, two)]
            parts.append(f"{aspect} ({counts[0]} and {counts[1]}{', but others' if counts[0] == counts[1] else ''})")
    if parts:
        raise ContractError(
            f"{names} cannot be compared, for they differ in {'; '.join(parts)}: evaluate both on the same data, with "
            "the same protocol and seed"
        )


def _shared(baseline: Study, other: Study) -> list[tuple[Finding, Finding]]:
    """Findings of which both have a value."""
    pairs = [(one, other.finding(one.key)) for one in baseline.findings]
    return [(one, two) for one, two in pairs if two is not None and None not in (one.value, two.value)]


def _test(baseline: Study, other: Study, key: str, resampled: Replicates | None) -> _Outcome:
    if key == "accuracy" and baseline.folds is not None and other.folds is not None:
        return _over_folds(baseline.folds, other.folds)
    if resampled is None or len(resampled.baseline) == 0:
        return _Outcome(reason="this figure cannot be resampled")
    differences = resampled.other - resampled.baseline
    rarer = min(np.count_nonzero(differences <= 0), np.count_nonzero(differences >= 0))
    p = min(1.0, 2 * (int(rarer) + 1) / (len(differences) + 1))
    return _Outcome(interval_of(differences), p, f"paired bootstrap over {resampled.drawn}")


def _over_folds(one: FoldAccuracy, two: FoldAccuracy) -> _Outcome:
    name = f"paired t test over {len(one.accuracies)} folds"
    a, b = np.array(one.accuracies), np.array(two.accuracies)
    if np.ptp(b - a) <= _ROUNDING:
        if np.abs(b - a).max() <= _ROUNDING:
            return _Outcome((0.0, 0.0), 1.0, name)
        return _Outcome(reason="every fold differs by the same, so a t test has nothing to measure chance by")
    found = ttest_rel(b, a)
    low, high = found.confidence_interval(0.95)
    return _Outcome((float(low), float(high)), max(float(found.pvalue), sys.float_info.min), name)


def _difference(
    baseline: tuple[Study, Finding], other: tuple[Study, Finding], place: int, outcome: _Outcome
) -> Difference:
    """The finding in both studies, not yet corrected for there being others."""
    (first, one), (second, two) = baseline, other
    assert one.value is not None and two.value is not None
    return Difference(
        key=one.key,
        title=one.title,
        unit=one.unit,
        higher_is_better=one.higher_is_better,
        baseline=first.label,
        label=second.label,
        study=place,
        baseline_value=one.value,
        value=two.value,
        interval=outcome.interval,
        p=outcome.p,
        adjusted_p=outcome.p,
        test=outcome.test,
        reason=outcome.reason,
    )


def _corrected(differences: Sequence[Difference]) -> tuple[Difference, ...]:
    tested = iter(holm([found.p for found in differences if found.p is not None]))
    return tuple(found if found.p is None else replace(found, adjusted_p=next(tested)) for found in differences)
