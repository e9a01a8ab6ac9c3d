"""Figures of 1:N searches and of retrieval: CMC, open-set error rates, and how retrieval differs between people."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import NDArray

from facenet.evaluation.confidence import replicate_means
from facenet.evaluation.identification import cmc as cmc_of
from facenet.evaluation.intervals import interval_of
from facenet.evaluation.open_set import open_set_curve
from facenet.evaluation.plots import style
from facenet.evaluation.plots.bands import REPLICATES, Band, open_set_band
from facenet.evaluation.plots.drawing import Drawing
from facenet.evaluation.retrieval import Retrieval
from facenet.evaluation.searches import Searches
from facenet.evaluation.study import Study

_RANKS = 50
_POINTS = 400
_RANK_TICKS = (1, 2, 3, 5, 10, 20, 50)


def cmc(studies: Sequence[Study], *, seed: int = 0) -> Drawing | None:
    """How often the right person is among the first k."""
    found = [(s.label, s.searches) for s in studies if s.searches is not None and s.searches.mated]
    last = min((min(searches.enrolled - 1, _RANKS) for _, searches in found), default=0)
    if last < 2:
        return None
    ranks = np.arange(1, last + 1)
    curves = [cmc_of(searches)[:last] for _, searches in found]
    band = _cmc_band(found[0][1], ranks, seed) if len(found) == 1 else None

    def paint(figure: Figure) -> None:
        axes = style.axes_of(figure, "Rank (number of candidates)", "Right person among them (%)")
        axes.set_xscale("log")
        axes.set_xlim(0.95, last * 1.05)
        axes.xaxis.set_major_locator(FixedLocator([rank for rank in _RANK_TICKS if rank <= last]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        if band is not None:
            axes.fill_between(ranks, band.low, band.high, color=style.SERIES[0], alpha=style.BAND, linewidth=0)
        for number, ((label, _), rates) in enumerate(zip(found, curves, strict=True)):
            place = number % len(style.SERIES)
            marker = style.MARKERS[place] if last <= 20 else ""
            axes.plot(
                ranks, rates, color=style.SERIES[place], linestyle=style.LINES[place], marker=marker,
                label=style.shorten(label),
            )  # fmt: skip
        lowest = min(float(rates[0]) for rates in curves)
        bottom = style.floor_of(lowest if band is None else min(lowest, float(band.low[0])))
        axes.set_ylim(bottom, 1 + 0.015 * (1 - bottom))
        style.percent_axis(axes.yaxis)
        style.legend(figure, [label for label, _ in found])

    table: dict[str, Sequence[object] | np.ndarray] = {
        "label": [label for label, _ in found for _ in ranks],
        "rank": np.tile(ranks, len(found)),
        "rate": np.concatenate(curves),
    }
    if band is not None:
        table |= {"low": band.low, "high": band.high}
    return Drawing(
        "cmc",
        "CMC",
        "Higher is better: how often an enrolled person is among the first so many candidates of a search; ties count "
        f"against the system. Among {found[0][1].enrolled:,} people, guessing gives rank / {found[0][1].enrolled:,}."
        + (" The band is the 95 % interval by person." if band is not None else ""),
        " ".join(f"{label}: {100 * r[0]:.2f} % at rank 1." for (label, _), r in zip(found, curves, strict=True)),
        "rank", "share of searches",
        table,
        paint,
        size=style.size_for([label for label, _ in found]),
    )  # fmt: skip


def _cmc_band(searches: Searches, ranks: NDArray[np.int64], seed: int) -> Band:
    hits = (searches.ranks[:, np.newaxis] <= ranks).astype(np.float64)
    replicates = replicate_means(hits, searches.mated_people, replicates=REPLICATES, seed=seed)
    ends = [interval_of(column) for column in replicates.T]
    return Band(*np.array(ends).T)


def open_set(studies: Sequence[Study], *, seed: int = 0) -> Drawing | None:
    """FNIR over FPIR, both logarithmic; with one study in both modes, with several in rank mode."""
    found = [(s.label, s.searches) for s in studies if s.searches is not None and s.searches.mated]
    found = [(label, searches) for label, searches in found if searches.strangers]
    if not found:
        return None
    one = len(found) == 1
    lines: list[tuple[str, Searches, int | None]] = [(label, searches, 1) for label, searches in found]
    if one:
        lines = [("right person first", found[0][1], 1), ("right person returned", found[0][1], None)]
    curves = [_thin(*open_set_curve(searches, rank)) for _, searches, rank in lines]
    band = open_set_band(found[0][1], 1, curves[0][0], curves[0][2], seed=seed) if one else None
    low = _decade(max(searches.strangers for _, searches in found))
    lowest = _decade(max(searches.mated for _, searches in found))

    def paint(figure: Figure) -> None:
        axes = style.axes_of(figure, "False-positive rate, FPIR (%)", "False-negative rate, FNIR (%)")
        style.log_percent_axis(axes, low)
        bottom = max(lowest, _decade_below(min(float(fnir.min()) for _, fnir, _ in curves)))
        style.log_percent_axis(axes, bottom, which="y")
        unsure = 3 / min(searches.strangers for _, searches in found)
        if unsure > low:
            axes.axvspan(low, min(unsure, 1), color=style.GRID, alpha=0.55, linewidth=0)
        if band is not None:
            fpir, under, over = np.maximum(curves[0][0], low), band.low.clip(bottom, 1), band.high.clip(bottom, 1)
            axes.fill_between(fpir, under, over, step="post", color=style.SERIES[0], alpha=style.BAND, linewidth=0)
        for number, ((label, _, _), (fpir, fnir, _)) in enumerate(zip(lines, curves, strict=True)):
            place = number % len(style.SERIES)
            axes.plot(
                np.maximum(fpir, low), np.maximum(fnir, bottom), color=style.SERIES[place], drawstyle="steps-post",
                linestyle=style.LINES[place], label=style.shorten(label),
            )  # fmt: skip
        style.legend(figure, [label for label, _, _ in lines])

    table: dict[str, Sequence[object] | np.ndarray] = {
        "label": [label for (label, _, _), (fpir, _, _) in zip(lines, curves, strict=True) for _ in fpir],
        "threshold": np.concatenate([thresholds for _, _, thresholds in curves]),
        "fpir": np.concatenate([fpir for fpir, _, _ in curves]),
        "fnir": np.concatenate([fnir for _, fnir, _ in curves]),
    }
    return Drawing(
        "open-set",
        "Open-set identification",
        "Lower left is better: searches by enrolled people that do not return them (up) when so many searches by "
        "strangers return somebody (right)."
        + (" The band is the 95 % interval by person." if band is not None else "")
        + " Shaded: fewer than three strangers' searches would return somebody; too few to tell.",
        f"Curve of FNIR over FPIR for {found[0][1].mated:,} searches by enrolled people and "
        f"{found[0][1].strangers:,} by strangers.",
        "FPIR", "FNIR",
        table,
        paint,
        size=style.size_for([label for label, _, _ in lines]),
    )  # fmt: skip


def _thin(
    fpir: NDArray[np.float64], fnir: NDArray[np.float64], thresholds: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Some points of a long curve: both ends, and points evenly spaced in FNIR and in the logarithm of FPIR."""
    if len(fpir) <= _POINTS:
        return fpir, fnir, thresholds
    first = float(fpir[fpir > 0].min(initial=1))
    by_fpir = np.searchsorted(fpir, np.geomspace(first, 1, _POINTS // 2))
    by_fnir = np.searchsorted(-fnir, -np.linspace(fnir[0], fnir[-1], _POINTS // 2))
    kept = np.unique(np.concatenate([[0, len(fpir) - 1], by_fpir, by_fnir]).clip(0, len(fpir) - 1))
    return fpir[kept], fnir[kept], thresholds[kept]


def _decade(trials: int) -> float:
    return _decade_below(1 / max(trials, 10))


def _decade_below(share: float) -> float:
    return float(10.0 ** np.floor(np.log10(max(share, 1e-9)) + 1e-9)) if share < 1 else 0.1


def retrieval(studies: Sequence[Study]) -> Drawing | None:
    """MAP@R of every person, from the worst to the best."""
    found = [(s.label, s.retrieval) for s in studies if s.retrieval is not None and len(s.retrieval.people)]
    if not found:
        return None
    curves = [_by_person(retrieved) for _, retrieved in found]

    def paint(figure: Figure) -> None:
        axes = style.axes_of(figure, "People, worst first (%)", "MAP@R of the person (%)")
        for number, ((label, _), (_, means)) in enumerate(zip(found, curves, strict=True)):
            place = number % len(style.SERIES)
            shares = np.arange(len(means) + 1) / len(means)
            axes.stairs(means, shares, baseline=None, color=style.SERIES[place], linewidth=1.8,
                        linestyle=style.LINES[place], label=style.shorten(label))  # fmt: skip
            axes.axhline(float(means.mean()), color=style.SERIES[place], linewidth=0.8, linestyle=(0, (2, 3)))
        axes.set_xlim(0, 1.005)
        axes.set_ylim(-0.01, 1.02)
        style.percent_axis(axes.xaxis)
        style.percent_axis(axes.yaxis)
        style.legend(figure, [label for label, _ in found])

    return Drawing(
        "retrieval",
        "Retrieval by person",
        "Each person's mean average precision at R, from the worst to the best; a long flat start means that a few "
        "people are hardly ever found. The dotted line is the mean over people.",
        " ".join(f"{label}: {len(means):,} people, {int((means == 0).sum()):,} of them never found."
                 for (label, _), (_, means) in zip(found, curves, strict=True)),
        "people", "MAP@R",
        {
            "label": [label for (label, _), (people, _) in zip(found, curves, strict=True) for _ in people],
            "person": np.concatenate([people for people, _ in curves]),
            "map_at_r": np.concatenate([means for _, means in curves]),
        },
        paint,
        size=style.size_for([label for label, _ in found]),
    )  # fmt: skip


def _by_person(retrieved: Retrieval) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """People by rising MAP@R, and that."""
    people, codes, counts = np.unique(retrieved.people, return_inverse=True, return_counts=True)
    means = np.bincount(codes, weights=retrieved.average_precision_at_r) / counts
    order = np.argsort(means, kind="stable")
    return people[order].astype(np.int64), means[order]
