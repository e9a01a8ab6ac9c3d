"""Comparisons in the order of their scores, made ready for figures of thousands of weightings of their people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facenet.evaluation.curve import curve_of
from facenet.evaluation.rates import errors_allowed


@dataclass(frozen=True, eq=False)
class RankedComparisons:
    """Comparisons of both kinds, ``g`` genuine and ``i`` impostor ones, each kind with falling scores.

    Attributes:
        person: ``(g,)`` int64, of each genuine comparison.
        sides: ``(2, i)`` int64, people of each impostor comparison.
        genuine_sizes, impostor_sizes: ``(g,)`` and ``(i,)`` int64, how many comparisons each stands for; None where
            that is one.
        higher, as_high: ``(g,)`` int64, impostor comparisons with a higher score, and with at least as high a score.
        tied: ``(g,)`` int64, genuine comparisons with at least as high a score, itself among them.
        above: ``(i,)`` int64, genuine comparisons with a higher score than this impostor comparison.
        matches, false_matches: ``(k,)`` int64, comparisons accepted at each operating point, see
            :class:`facenet.evaluation.curve.Curve`.
    """

    person: NDArray[np.int64]
    sides: NDArray[np.int64]
    genuine_sizes: NDArray[np.int64] | None
    impostor_sizes: NDArray[np.int64] | None
    higher: NDArray[np.int64]
    as_high: NDArray[np.int64]
    tied: NDArray[np.int64]
    above: NDArray[np.int64]
    matches: NDArray[np.int64]
    false_matches: NDArray[np.int64]

    def figures(self, copies: NDArray[np.int64], targets: Sequence[float]) -> tuple[float, ...] | None:
        """AUC, EER, average precision and TAR at each target FMR, if each person were there so often.

        Everything is counted in whole numbers and divided last, so that equal figures are equal numbers.

        Args:
            copies: ``(people,)``.
            targets: false match rates, in ``(0, 1)``.

        Returns:
            ``3 + len(targets)`` figures in ``[0, 1]``; None if either kind has no comparison left.
        """
        weights, found = _running(copies[self.person], self.genuine_sizes)
        _, wrong = _running(copies[self.sides[0]] * copies[self.sides[1]], self.impostor_sizes)
        genuine, impostor = int(found[-1]), int(wrong[-1])
        if genuine == 0 or impostor == 0:
            return None
        false, true = wrong[self.as_high], found[self.tied]
        # Twice the pairs of a genuine and a higher impostor comparison; tied ones count half.
        upset = int(weights @ (wrong[self.higher] + false))
        auc = 1 - upset / (2 * genuine * impostor)
        # Of what weighs nothing the precision may be anything, but not 0 / 0.
        precision = float(weights @ (true / np.maximum(true + false, 1))) / genuine
        rates = [self._true_accepts(found, wrong, target) / genuine for target in targets]
        return auc, self._equal_error(found, wrong), precision, *rates

    def _true_accepts(self, found: NDArray[np.int64], wrong: NDArray[np.int64], target: float) -> int:
        """Genuine comparisons above the first impostor comparison that is one too many, and so above all its equals."""
        rejected = int(np.searchsorted(wrong[1:], errors_allowed(target, int(wrong[-1])), side="right"))
        return int(found[self.above[rejected]])

    def _equal_error(self, found: NDArray[np.int64], wrong: NDArray[np.int64]) -> float:
        """EER on the straight line between the two operating points where FNMR stops to exceed FMR."""
        genuine, impostor = int(found[-1]), int(wrong[-1])

        def excess(point: int) -> tuple[int, int]:
            false_matches = int(wrong[self.false_matches[point]])
            return (genuine - int(found[self.matches[point]])) * impostor - false_matches * genuine, false_matches

        before, after = 0, len(self.matches) - 1
        while after - before > 1:
            middle = (before + after) // 2
            if excess(middle)[0] > 0:
                before = middle
            else:
                after = middle
        (excess_before, false_before), (excess_after, false_after) = excess(before), excess(after)
        share = excess_before / (excess_before - excess_after)
        return (false_before + share * (false_after - false_before)) / impostor


def rank_comparisons(
    scores: NDArray[np.float32],
    genuine: NDArray[np.bool_],
    sides: NDArray[np.int32],
    *,
    seed: int,
    most: int,
) -> RankedComparisons:
    """Sort comparisons, and thin them out where they are too many.

    Args:
        scores: ``(n,)`` finite similarities.
        genuine: ``(n,)`` bool, with comparisons of both kinds.
        sides: ``(2, n)`` the people of each, numbered without gaps, lower one first.
        seed: of the comparisons drawn, not negative.
        most: how many to keep at most, at least 4: half of them genuine, and impostor ones for the rest.
    """
    ours, theirs = np.flatnonzero(genuine), np.flatnonzero(~genuine)
    # From the errors on: genuine comparisons by rising, impostor ones by falling score.
    ours = ours[np.argsort(_sort_keys(scores[ours], sides[:, ours]))]
    theirs = theirs[np.argsort(-_sort_keys(scores[theirs], sides[:, theirs]))]
    generator = np.random.default_rng([seed, 1])
    quota = max(most // 2, most - len(theirs))
    kept, genuine_sizes = _thin_out(len(ours), quota, generator)
    ours, genuine_sizes = ours[kept][::-1], None if genuine_sizes is None else genuine_sizes[::-1]
    kept, impostor_sizes = _thin_out(len(theirs), most - len(ours), generator)
    theirs = theirs[kept]
    rising, impostors_rising = scores[ours][::-1], scores[theirs][::-1]
    curve = curve_of(
        np.concatenate([rising, impostors_rising]), np.repeat([True, False], [len(rising), len(impostors_rising)])
    )

    def count(listed: NDArray[np.float32], of: NDArray[np.float32], equal: bool) -> NDArray[np.int64]:
        return len(listed) - np.searchsorted(listed, of, side="left" if equal else "right")

    return RankedComparisons(
        person=sides[0, ours].astype(np.int64),
        sides=sides[:, theirs].astype(np.int64),
        genuine_sizes=genuine_sizes,
        impostor_sizes=impostor_sizes,
        higher=count(impostors_rising, scores[ours], equal=False),
        as_high=count(impostors_rising, scores[ours], equal=True),
        tied=count(rising, scores[ours], equal=True),
        above=count(rising, scores[theirs], equal=False),
        matches=curve.matches,
        false_matches=curve.false_matches,
    )


def _sort_keys(scores: NDArray[np.float32], sides: NDArray[np.int32]) -> NDArray[np.int64]:
    """Whole numbers that sort by score and then by people, so that what is drawn does not depend on the order given.

    One such number sorts ten times as fast as three columns. The people are cut to 32 bits: two pairs of more than
    65,536 people may share them, and if their scores are equal as well, their order is left open.
    """
    # Adding zero makes the two zeros one.
    bits = (scores + np.float32(0)).view(np.int32)
    rising = np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits).astype(np.int64)
    people = sides[0] * np.int64(sides.max() + 1) + sides[1]
    return (rising << 32) | (people & 0xFFFFFFFF)


def _thin_out(
    count: int, most: int, generator: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """Which of the first, second, ... to keep, and how many each stands for; None for the sizes if all are kept.

    Half of ``most`` goes to the first, without a gap; after them groups grow with their distance from the start, and
    one is drawn of each.
    """
    if count <= most:
        return np.arange(count), None
    whole = max(1, most // 2)
    edges = np.unique(np.geomspace(whole, count, most - whole + 1).round().astype(np.int64))
    begins = np.concatenate([np.arange(whole), edges[:-1]])
    sizes = np.diff(begins, append=count)
    return begins + (generator.random(len(begins)) * sizes).astype(np.int64), sizes


def _running(
    weights: NDArray[np.int64], sizes: NDArray[np.int64] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The weights times the sizes, and their sums over the first none, one, two, ..."""
    if sizes is not None:
        weights = weights * sizes
    sums = np.zeros(len(weights) + 1, dtype=np.int64)
    np.cumsum(weights, out=sums[1:])
    return weights, sums
