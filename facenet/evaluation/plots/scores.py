"""Figures of scores and of folds: what a threshold cuts through, and how much one tenth of the data differs from the
next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from facenet.evaluation.comparisons import Comparisons
from facenet.evaluation.folds import FoldAccuracy
from facenet.evaluation.plots import style
from facenet.evaluation.plots.drawing import Drawing
from facenet.evaluation.searches import Searches
from facenet.evaluation.study import Study

_BINS = 60


@dataclass(frozen=True, eq=False)
class Kinds:
    """Two kinds of scores that a threshold should part.

    Attributes:
        right, wrong: ``(n,)`` float32, those that should be accepted and those that should not.
        names: of the two, for the legend.
        failed: how many are left out because nothing could be compared.
    """

    right: NDArray[np.float32]
    wrong: NDArray[np.float32]
    names: tuple[str, str]
    failed: int = 0


def kinds_of_comparisons(comparisons: Comparisons) -> Kinds:
    """Genuine and impostor scores, but for those of comparisons that could not be made."""
    made = np.ones(len(comparisons), dtype=np.bool_) if comparisons.failed is None else ~comparisons.failed
    right = comparisons.scores[made & comparisons.genuine]
    wrong = comparisons.scores[made & ~comparisons.genuine]
    return Kinds(right, wrong, ("same person", "different people"), comparisons.failures)


def kinds_of_searches(searches: Searches) -> Kinds:
    """Scores of the right person in mated searches, and of the best candidate in strangers' searches."""
    return Kinds(searches.own_scores, searches.stranger_scores, ("enrolled: right person", "stranger: best candidate"))


def histogram(kinds: Kinds, threshold: float | None) -> Drawing:
    """How often each score occurs, on a logarithmic axis."""
    both = np.concatenate([kinds.right, kinds.wrong]).astype(np.float64)
    low, high = (float(both.min()), float(both.max())) if len(both) else (-1.0, 1.0)
    edges = np.linspace(low, high, _BINS + 1) if high > low else np.linspace(low - 0.01, low + 0.01, _BINS + 1)
    right, wrong = (np.histogram(scores, edges)[0] for scores in (kinds.right, kinds.wrong))

    def paint(figure: Figure) -> None:
        axes = style.axes_of(figure, "Score (cosine)", "Comparisons")
        axes.set_yscale("log")
        # Half a comparison: a bin with one is seen, an empty one is not.
        for counts, colour, name, line in (
            (wrong, style.IMPOSTOR, kinds.names[1], "--"),
            (right, style.GENUINE, kinds.names[0], "-"),
        ):
            axes.stairs(np.maximum(counts, 0.5), edges, baseline=0.5, fill=True, color=colour, alpha=0.2, linewidth=0)
            axes.stairs(np.maximum(counts, 0.5), edges, baseline=0.5, color=colour, linestyle=line, label=name)
        top = max(float(right.max(initial=1)), float(wrong.max(initial=1)))
        axes.set_ylim(0.5, top * 2)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        if threshold is not None and low <= threshold <= high:
            axes.axvline(threshold, color=style.INK, linewidth=1)
            axes.annotate(
                f"{threshold:.3f}", (threshold, 1), (4, 0), ("data", "axes fraction"), "offset points", va="top"
            )  # fmt: skip
        figure.legend(loc="outside upper left", ncols=2 if sum(map(len, kinds.names)) < 30 else 1, reverse=True)

    line = " the vertical line is the operating threshold." if threshold is not None else ""
    failed = f" {kinds.failed:,} comparisons that could not be made are left out." if kinds.failed else ""
    return Drawing(
        "scores",
        "Scores",
        "The less the two hills overlap, the better: how many comparisons got each score (logarithmic);"
        + (line or " what lies in the overlap cannot be told apart by any threshold.")
        + failed,
        f"Histogram of scores: {len(kinds.right):,} ({kinds.names[0]}) with median {_median(kinds.right)}, "
        f"{len(kinds.wrong):,} ({kinds.names[1]}) with median {_median(kinds.wrong)}.",
        "score", "comparisons",
        {"from": edges[:-1], "to": edges[1:], "should_be_accepted": right, "should_be_rejected": wrong},
        paint,
    )  # fmt: skip


def _median(scores: NDArray[np.float32]) -> str:
    return f"{np.median(scores):.3f}" if len(scores) else "none"


def folds(studies: Sequence[Study]) -> Drawing | None:
    """Accuracy of each fold, its mean, and the standard error of the mean."""
    found: list[tuple[str, FoldAccuracy]] = [(s.label, s.folds) for s in studies if s.folds is not None]
    if not found:
        return None

    def paint(figure: Figure) -> None:
        axes = style.axes_of(figure, "Fold", "Accuracy (%)")
        for number, (label, accuracy) in enumerate(found):
            colour = style.SERIES[number % len(style.SERIES)]
            shift = 0.14 * (number - (len(found) - 1) / 2)
            places = np.arange(len(accuracy.accuracies)) + shift
            low, high = accuracy.mean - accuracy.standard_error, accuracy.mean + accuracy.standard_error
            axes.axhspan(low, high, color=colour, alpha=style.BAND, linewidth=0)
            axes.axhline(accuracy.mean, color=colour, linewidth=1, linestyle=style.LINES[number % len(style.LINES)])
            marker = style.MARKERS[number % len(style.MARKERS)]
            axes.plot(places, accuracy.accuracies, marker, color=colour, label=style.shorten(label), markersize=6)
        numbers = found[0][1].fold_numbers
        axes.set_xticks(range(len(numbers)), [str(number) for number in numbers])
        axes.xaxis.grid(False)
        if len(numbers) > 12:
            axes.set_xticks(range(0, len(numbers), 5), [str(number) for number in numbers[::5]])
        style.percent_axis(axes.yaxis)
        axes.margins(y=0.12)
        style.legend(figure, [label for label, _ in found])

    rows = [
        (label, *row)
        for label, accuracy in found
        for row in zip(accuracy.fold_numbers, accuracy.accuracies, accuracy.thresholds, accuracy.pairs, strict=True)
    ]
    names = ("label", "fold", "accuracy", "threshold", "pairs")
    return Drawing(
        "folds",
        "Accuracy of each fold",
        "Each dot is one fold, scored at the threshold that was best on the others; the line is the mean over the "
        "folds, and the band one standard error of it to either side.",
        " ".join(
            f"{label}: {100 * accuracy.mean:.2f} %, standard error {100 * accuracy.standard_error:.2f} %."
            for label, accuracy in found
        ),
        "fold", "accuracy",
        {name: [row[place] for row in rows] for place, name in enumerate(names)},
        paint,
        size=style.size_for([label for label, _ in found]),
    )  # fmt: skip
