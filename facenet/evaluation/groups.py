"""Error rates of groups of people at one common threshold: does a system err more often with some than with others?

ISO/IEC 19795-10 calls such a difference a *differential*. The rules here:

* Every group is held to the same threshold, as it is in use.
* A comparison belongs to a group if both of its samples do. Those of two groups have a row of their own: people are
  confused within their group more often than across, so that an FMR over everybody flatters every group.
* Intervals come from resampling people (see :mod:`facenet.evaluation.bootstrap`), with the same people drawn for every
  group: one who is in two, with and without glasses, is drawn for both.
* The ratio of the worst group's rate to the best one's is given only where each group erred at least once. It is above
  1 even where groups do not differ, for the worst and the best of several are picked by what was measured: its
  interval says how far the two groups that were picked can be trusted, not that some pair of groups must differ.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facenet.errors import InputError, printable
from facenet.evaluation.attributes import NOT_GIVEN, Attribute
from facenet.evaluation.comparisons import Comparisons
from facenet.evaluation.error_rates import Drawn, GroupRate, MeasuredRate, measure_rate
from facenet.evaluation.open_set import missed
from facenet.evaluation.searches import Searches

ACROSS = "(across groups)"
"""The row of comparisons between samples of two groups."""


@dataclass(frozen=True)
class GroupRow:
    """One group, :data:`facenet.evaluation.attributes.NOT_GIVEN` or :data:`ACROSS`.

    Attributes:
        group: its name.
        rates: ``fnmr`` and ``fmr``, or ``fnir`` and ``fpir`` → rate.
    """

    group: str
    rates: dict[str, GroupRate]

    def to_dict(self) -> dict[str, Any]:
        """All attributes, fit for JSON."""
        return {"group": self.group, **{kind: rate.to_dict() for kind, rate in self.rates.items()}}


@dataclass(frozen=True)
class Ratio:
    """The worst group's rate divided by the best one's.

    Attributes:
        value: at least 1, or None.
        worst, best: those groups; empty without value.
        interval: 95 % interval of the ratio of these two groups, by person; None with fewer than 3 people in either,
            or where the best group might err so rarely that the ratio has no upper end.
        reason: why ``value`` is None; empty otherwise.
    """

    value: float | None
    worst: str = ""
    best: str = ""
    interval: tuple[float, float] | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        if (self.value is None) != bool(self.reason):
            raise ValueError("a ratio has either a value or a reason why it has none")

    def to_dict(self) -> dict[str, Any]:
        """All attributes, fit for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class GroupRates:
    """What :func:`group_rates` or :func:`group_search_rates` found.

    Attributes:
        attribute: what the groups are by.
        threshold: accept if ``score >= threshold``; the same for all.
        rows: the groups in order of name, then samples without a value, then comparisons across groups, if any.
        ratios: ``fnmr`` and ``fmr``, or ``fnir`` and ``fpir`` → worst to best.
        left_out: comparisons of a sample that has a value with one that has none: in no row.
    """

    attribute: str
    threshold: float
    rows: tuple[GroupRow, ...]
    ratios: dict[str, Ratio]
    left_out: int = 0

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of the rates, in order."""
        return tuple(self.ratios)

    def to_dict(self) -> dict[str, Any]:
        """All attributes, fit for JSON."""
        return {
            "attribute": self.attribute,
            "threshold": self.threshold,
            "rows": [row.to_dict() for row in self.rows],
            "ratios": {kind: ratio.to_dict() for kind, ratio in self.ratios.items()},
            "left_out": self.left_out,
        }


def group_rates(
    comparisons: Comparisons, attribute: Attribute, threshold: float, *, replicates: int = 1000, seed: int = 0
) -> GroupRates:
    """FNMR and FMR of every group, and of the comparisons across groups, at one threshold.

    Args:
        comparisons: scored; one that could not be made counts as wrong.
        attribute: one group for each sample of ``comparisons``.
        threshold: accept if ``score >= threshold``. If it was fitted on these same comparisons, say so beside it.
        replicates, seed: of the bootstrap.

    Raises:
        InputError: not one group for each sample.
    """
    if attribute.codes.shape != comparisons.owners.shape:
        raise InputError(f"{len(comparisons.owners)} samples need one group each, got {len(attribute.codes)}")
    wrong = (comparisons.scores >= float(threshold)) != comparisons.genuine
    if comparisons.failed is not None:
        wrong |= comparisons.failed
    owners = comparisons.owners
    used = np.zeros(len(owners), dtype=np.bool_)
    used[comparisons.first] = used[comparisons.second] = True
    compared = np.unique(owners[used])
    drawn = Drawn(len(compared), replicates, seed)
    codes = np.searchsorted(compared, owners).astype(np.int32)
    one, other = codes[comparisons.first], codes[comparisons.second]
    place, rows, left_out = _places(comparisons, attribute)
    kinds: dict[str, list[MeasuredRate]] = {"fnmr": [], "fmr": []}
    for row in range(len(rows)):
        inside = place == row
        mated, apart = np.flatnonzero(inside & comparisons.genuine), np.flatnonzero(inside & ~comparisons.genuine)
        kinds["fnmr"].append(measure_rate(wrong[mated], one[mated], None, drawn))
        kinds["fmr"].append(measure_rate(wrong[apart], one[apart], other[apart], drawn))
    return _assemble(attribute, threshold, rows, kinds, left_out)


def group_search_rates(
    searches: Searches,
    attribute: Attribute,
    threshold: float,
    *,
    rank: int | None = 1,
    replicates: int = 1000,
    seed: int = 0,
) -> GroupRates:
    """FNIR and FPIR of every group at one threshold; a search belongs to the group of the picture searched with.

    Args:
        searches: ``mated_samples`` and ``stranger_samples`` are places in ``attribute.codes``.
        attribute: one group for each sample.
        threshold: return candidates with ``score >= threshold``.
        rank: a mated search also misses if the right person comes after this rank; None: only if they score below
            the threshold.
        replicates, seed: of the bootstrap.

    Raises:
        InputError: a search with a sample that has no group.
    """
    parts = {
        "fnir": (searches.mated_samples, searches.mated_people, missed(searches, threshold, rank)),
        "fpir": (searches.stranger_samples, searches.stranger_people, searches.stranger_scores >= float(threshold)),
    }
    kinds: dict[str, list[MeasuredRate]] = {}
    for kind, (samples, people, wrong) in parts.items():
        if len(samples) and not 0 <= samples.min() <= samples.max() < len(attribute.codes):
            raise InputError(f"searches were made with samples beyond the {len(attribute.codes)} that have a group")
        groups = attribute.codes[samples]
        names, codes = np.unique(people, return_inverse=True)
        drawn = Drawn(len(names), replicates, seed)
        inside = [np.flatnonzero(groups == row) for row in range(len(attribute.groups))]
        kinds[kind] = [measure_rate(wrong[part], codes[part], None, drawn) for part in inside]
    return _assemble(attribute, threshold, attribute.groups, kinds, 0)


def _places(comparisons: Comparisons, attribute: Attribute) -> tuple[NDArray[np.int32], tuple[str, ...], int]:
    """Row of each comparison (-1 for none), the rows' names, and how many comparisons are in none."""
    one, other = attribute.codes[comparisons.first], attribute.codes[comparisons.second]
    place = np.where(one == other, one, np.int32(len(attribute.groups)))
    if NOT_GIVEN in attribute.groups:
        unknown = attribute.groups.index(NOT_GIVEN)
        place[(one != other) & ((one == unknown) | (other == unknown))] = -1
    across = (ACROSS,) if (place == len(attribute.groups)).any() else ()
    return place, attribute.groups + across, int(np.count_nonzero(place == -1))


def _assemble(
    attribute: Attribute, threshold: float, rows: tuple[str, ...], kinds: dict[str, list[MeasuredRate]], left_out: int
) -> GroupRates:
    return GroupRates(
        attribute=attribute.name,
        threshold=float(threshold),
        rows=tuple(
            GroupRow(group, {kind: measured[row].rate for kind, measured in kinds.items()})
            for row, group in enumerate(rows)
        ),
        ratios={kind: _ratio(dict(zip(rows, measured, strict=True))) for kind, measured in kinds.items()},
        left_out=left_out,
    )


def _ratio(measured: dict[str, MeasuredRate]) -> Ratio:
    """Worst to best of the groups that were compared at all; samples without a value are no group."""
    entering = {
        group: part
        for group, part in measured.items()
        if group not in (NOT_GIVEN, ACROSS) and part.rate.value is not None
    }
    if len(entering) < 2:
        return Ratio(None, reason=f"{len(entering)} of the groups was compared, a ratio needs 2")
    faultless = [group for group, part in entering.items() if part.rate.errors == 0]
    if faultless:
        others = f" and {len(faultless) - 1} more" if len(faultless) > 1 else ""
        count = entering[faultless[0]].rate.count
        return Ratio(None, reason=f"no error was seen in {count:,} of {printable(faultless[0])}{others}")
    ordered = sorted(entering.items(), key=lambda item: item[1].rate.errors / item[1].rate.count)
    (best, low), (worst, high) = ordered[0], ordered[-1]
    value = (high.rate.errors / high.rate.count) / (low.rate.errors / low.rate.count)
    return Ratio(value, worst, best, _ratio_interval(high, low))


def _ratio_interval(worst: MeasuredRate, best: MeasuredRate) -> tuple[float, float] | None:
    """The percentile interval of the quotient of the same replicates."""
    if not len(worst.replicates) or not len(best.replicates):
        return None
    known = ~(np.isnan(worst.replicates) | np.isnan(best.replicates)) & ((worst.replicates + best.replicates) > 0)
    with np.errstate(divide="ignore"):
        quotients = worst.replicates[known] / best.replicates[known]
    # Values that occur, none between two: next to an infinite one nothing can be interpolated.
    low, high = np.quantile(quotients, [0.025, 0.975], method="inverted_cdf") if known.any() else (0.0, np.inf)
    return (float(low), float(high)) if np.isfinite(high) else None
