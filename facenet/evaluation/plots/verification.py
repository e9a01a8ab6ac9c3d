"""Figures of 1:1 comparisons: ROC, DET, precision and recall, scores, accuracy of each fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from facenet.evaluation.comparisons import Comparisons
from facenet.evaluation.curve import Curve, curve_of, thin_curve
from facenet.evaluation.plots import style
from facenet.evaluation.plots.bands import Band, roc_band
from facenet.evaluation.plots.drawing import Drawing
from facenet.evaluation.study import Study

_POINTS = 700
_RULE_OF_THREE = 3
_DET_HIGH = 0.5


@dataclass(frozen=True, eq=False)
class Run:
    """The comparisons of one study, as far as they are drawn.

    Attributes:
        label: for legends.
        comparisons: all of them.
        curve: thinned.
        tar, precision: 95 % bands at each point of the curve, or None.
        operating: ``(FMR, TAR)`` at the study's threshold, or None.
    """

    label: str
    comparisons: Comparisons
    curve: Curve
    tar: Band | None
    precision: Band | None
    operating: tuple[float, float] | None

    @property
    def precisions(self) -> NDArray[np.float64]:
        """Precision at each point of the curve; NaN where nothing is accepted."""
        accepted = self.curve.matches + self.curve.false_matches
        missing = np.full(len(accepted), np.nan)
        return np.divide(self.curve.matches, accepted, out=missing, where=accepted > 0)


def runs_of(studies: Sequence[Study], *, seed: int = 0) -> list[Run]:
    """What can be drawn of these studies; bands only where there is but one to look at."""
    runs = []
    for study in studies:
        found = study.comparisons
        if found is None or found.genuine_pairs == 0 or found.impostor_pairs == 0:
            continue
        curve = thin_curve(curve_of(found.scores, found.genuine), _POINTS)
        tar, precision = (None, None) if len(studies) > 1 else roc_band(found, curve, seed=seed)
        operating = None
        if study.operating_threshold is not None:
            accepted = found.scores >= study.operating_threshold
            operating = float(accepted[~found.genuine].mean()), float(accepted[found.genuine].mean())
        runs.append(Run(study.label, found, curve, tar, precision, operating))
    return runs


def roc(runs: Sequence[Run]) -> Drawing:
    """TAR over FMR, on a logarithmic axis."""
    low = _lowest_rate(max(run.curve.impostor_pairs for run in runs))
    unsure = _RULE_OF_THREE / min(run.curve.impostor_pairs for run in runs)

    def paint(figure: Figure) -> None:
        axes = style.axes_of(figure, "False match rate (%)", "True accept rate (%)")
        style.log_percent_axis(axes, low)
        _shade(axes, low, unsure)
        for number, run in enumerate(runs):
            kept = _steps(run.curve.fmr, low, 1.0)
            fmr = np.maximum(run.curve.fmr, low)[kept]
            _curve(axes, fmr, run.curve.tar[kept], _at(run.tar, kept), number, run.label, drawstyle="steps-post")
            _operating(axes, run, number, low)
        lowest = min(float(np.interp(low, run.curve.fmr, run.curve.tar)) for run in runs)
        if (band := runs[0].tar) is not None:
            lowest = min(lowest, float(np.nan_to_num(band.low, nan=1)[runs[0].curve.fmr >= low].min(initial=1)))
        bottom = style.floor_of(lowest)
        axes.set_ylim(bottom, 1 + 0.015 * (1 - bottom))
        style.percent_axis(axes.yaxis)
        style.legend(figure, _labels(runs))

    return Drawing(
        "roc",
        "ROC",
        "Higher is better: the share of pairs of one person that are accepted (up) when so many pairs of two people "
        "are accepted too (right, logarithmic)." + _band_note(runs) + _unsure_note("impostor"),
        f"Curve of the true accept rate over the false match rate. {_roc_words(runs)}",
        "false match rate", "true accept rate",
        _roc_table(runs),
        paint,
        size=style.size_for(_labels(runs)),
    )  # fmt: skip


def det(runs: Sequence[Run]) -> Drawing:
    """FNMR over FMR, both on axes of normal deviates."""
    low = _lowest_rate(max(run.curve.impostor_pairs for run in runs))
    lowest = _lowest_rate(max(run.curve.genuine_pairs for run in runs))
    unsure = _RULE_OF_THREE / min(run.curve.impostor_pairs for run in runs)

    def paint(figure: Figure) -> None:
        axes = style.axes_of(figure, "False match rate (%)", "False non-match rate (%)")
        style.deviate_axis(axes, low, _DET_HIGH, which="x")
        style.deviate_axis(axes, lowest, _DET_HIGH, which="y")
        _shade(axes, low, unsure)
        ends = max(low, lowest)
        axes.plot([ends, _DET_HIGH], [ends, _DET_HIGH], color=style.MUTED, linewidth=0.8, linestyle=(0, (2, 3)))
        for number, run in enumerate(runs):
            kept = _steps(run.curve.fmr, low, _DET_HIGH)
            fmr = np.maximum(run.curve.fmr, low)[kept]
            fnmr = (1 - run.curve.tar[kept]).clip(lowest, 1)
            band = _missed(_at(run.tar, kept), lowest)
            _curve(axes, fmr, fnmr, band, number, run.label, drawstyle="steps-post")
        style.legend(figure, _labels(runs))

    return Drawing(
        "det",
        "DET",
        "Lower left is better: both kinds of error at every threshold, on axes that make a normal distribution a "
        "straight line; the dotted diagonal meets the curve at the equal error rate." + _band_note(runs),
        f"Curve of the false non-match rate over the false match rate on normal-deviate axes. {_roc_words(runs)}",
        "false match rate", "false non-match rate",
        {key: column for key, column in _roc_table(runs).items() if not key.startswith("tar")}
        | {"fnmr": np.concatenate([1 - run.curve.tar for run in runs])},
        paint,
        size=style.size_for(_labels(runs)),
    )  # fmt: skip


def precision_recall(runs: Sequence[Run]) -> Drawing:
    """Precision over recall."""

    def paint(figure: Figure) -> None:
        axes = style.axes_of(figure, "Recall (%)", "Precision (%)")
        lowest = 1.0
        for number, run in enumerate(runs):
            precisions = run.precisions
            _curve(axes, run.curve.tar, precisions, run.precision, number, run.label)
            lowest = min(lowest, float(np.nanmin(precisions)))
            chance = run.curve.genuine_pairs / len(run.comparisons)
        axes.axhline(chance, color=style.MUTED, linewidth=0.8, linestyle=(0, (2, 3)))
        bottom = style.floor_of(lowest)
        axes.set_ylim(bottom, 1 + 0.015 * (1 - bottom))
        axes.set_xlim(0, 1.01)
        style.percent_axis(axes.xaxis)
        style.percent_axis(axes.yaxis)
        style.legend(figure, _labels(runs))

    table: dict[str, Sequence[object] | np.ndarray] = {
        "label": [run.label for run in runs for _ in run.curve.tar],
        "threshold": np.concatenate([run.curve.thresholds for run in runs]),
        "recall": np.concatenate([run.curve.tar for run in runs]),
        "precision": np.concatenate([run.precisions for run in runs]),
    }
    if len(runs) == 1 and (band := runs[0].precision) is not None:
        table |= {"precision_low": band.low, "precision_high": band.high}
    return Drawing(
        "precision-recall",
        "Precision and recall",
        "Higher is better: of the pairs that are accepted, the share that is right (up), when so many of the pairs of "
        "one person are found (right); the dotted line is guessing, and it depends on the mix of pairs compared."
        + _band_note(runs),
        "Curve of precision over recall.",
        "recall", "precision",
        table,
        paint,
        size=style.size_for(_labels(runs)),
    )  # fmt: skip


def _roc_table(runs: Sequence[Run]) -> dict[str, Sequence[object] | np.ndarray]:
    table: dict[str, Sequence[object] | np.ndarray] = {
        "label": [run.label for run in runs for _ in run.curve.fmr],
        "threshold": np.concatenate([run.curve.thresholds for run in runs]),
        "fmr": np.concatenate([run.curve.fmr for run in runs]),
        "tar": np.concatenate([run.curve.tar for run in runs]),
    }
    if len(runs) == 1 and (band := runs[0].tar) is not None:
        table |= {"tar_low": band.low, "tar_high": band.high}
    return table


def _curve(
    axes: Axes,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    band: Band | None,
    number: int,
    label: str,
    **options: object,
) -> None:
    colour = style.SERIES[number % len(style.SERIES)]
    line = style.LINES[number % len(style.LINES)]
    if band is not None:
        step = "post" if options else None
        axes.fill_between(x, band.low, band.high, step=step, color=colour, alpha=style.BAND, linewidth=0)  # type: ignore[arg-type]
    axes.plot(x, y, color=colour, linestyle=line, label=style.shorten(label), **options)  # type: ignore[arg-type]


def _steps(fmr: NDArray[np.float64], low: float, high: float) -> NDArray[np.intp]:
    """The points that steps go through: of those of one FMR, and of those left of the axis, the last each."""
    shown = np.maximum(fmr, low)
    last = np.append(shown[1:] > shown[:-1], True)
    return np.flatnonzero(last & (shown <= high))


def _at(band: Band | None, kept: NDArray[np.intp]) -> Band | None:
    return None if band is None else Band(band.low[kept], band.high[kept])


def _operating(axes: Axes, run: Run, number: int, low: float) -> None:
    if run.operating is not None:
        fmr, tar = run.operating
        colour, marker = style.SERIES[number % len(style.SERIES)], style.MARKERS[number % len(style.MARKERS)]
        axes.plot([max(fmr, low)], [tar], marker, color=colour, markeredgecolor=style.PAPER, markersize=7)


def _shade(axes: Axes, low: float, unsure: float) -> None:
    if unsure > low:
        axes.axvspan(low, min(unsure, 1), color=style.GRID, alpha=0.55, linewidth=0)


def _missed(band: Band | None, lowest: float) -> Band | None:
    """The band of FNMR where that of TAR is given."""
    return None if band is None else Band((1 - band.high).clip(lowest, 1), (1 - band.low).clip(lowest, 1))


def _lowest_rate(trials: int) -> float:
    """Where a logarithmic axis begins: the decade of one error in so many, or below."""
    return float(10.0 ** np.floor(np.log10(1 / max(trials, 10)) + 1e-9))


def _labels(runs: Sequence[Run]) -> list[str]:
    return [run.label for run in runs]


def _band_note(runs: Sequence[Run]) -> str:
    return " The band is the 95 % interval by person." if runs[0].tar is not None else ""


def _unsure_note(kind: str) -> str:
    return f" Shaded: fewer than three errors in the {kind} comparisons there are; too few to tell."


def _roc_words(runs: Sequence[Run]) -> str:
    words = []
    for run in runs:
        target = 0.01
        tar = run.curve.tar[np.searchsorted(run.curve.fmr, target * (1 + 1e-12), side="right") - 1]
        words.append(f"{run.label}: {100 * tar:.2f} % accepted at a false match rate of 1 %.")
    return " ".join(words)
