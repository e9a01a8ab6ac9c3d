"""Error rates of groups side by side, with their intervals."""

from __future__ import annotations

import re

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from facenet.evaluation.groups import GroupRates
from facenet.evaluation.plots import style
from facenet.evaluation.plots.drawing import Drawing

MOST_GROUPS = 24
"""Groups in one figure; the table beside it has all."""


def groups(rates: GroupRates, number: int) -> Drawing | None:
    """Both error rates of every group of one attribute.

    Args:
        rates: of the groups.
        number: tells the files of several attributes apart.
    """
    rows = [row for row in rates.rows if any(rate.value is not None for rate in row.rates.values())][:MOST_GROUPS]
    if not rows:
        return None
    names = [style.shorten(row.group, 20) for row in rows]

    def paint(figure: Figure) -> None:
        panels = figure.subplots(1, len(rates.kinds), sharey=True, squeeze=False)[0]
        for place, (axes, kind) in enumerate(zip(panels, rates.kinds, strict=True)):
            colour = style.SERIES[place]
            for height, row in enumerate(rows):
                rate = row.rates.get(kind)
                if rate is None or rate.value is None:
                    continue
                if rate.interval is not None:
                    axes.plot(rate.interval, [height, height], color=colour, linewidth=1.4)
                face = colour if rate.errors else style.PAPER
                axes.plot([rate.value], [height], "o", color=colour, markerfacecolor=face, markersize=6)
            axes.set_xlabel(f"{kind.upper()} (%)")
            axes.set_xlim(left=-0.02 * max(axes.get_xlim()[1], 1e-6))
            axes.xaxis.set_major_locator(MaxNLocator(4))
            style.percent_axis(axes.xaxis)
            axes.yaxis.grid(False)
            axes.tick_params(axis="y", length=0)
            axes.spines["left"].set_visible(False)
        panels[0].set_yticks(range(len(names)), names)
        panels[0].set_ylim(len(names) - 0.4, -0.6)

    cells = [(row.group, kind, rate) for row in rows for kind, rate in row.rates.items()]
    ends = [rate.interval if rate.interval is not None else (np.nan, np.nan) for _, _, rate in cells]
    return Drawing(
        f"groups-{number}-{_stem(rates.attribute)}",
        f"Groups: {style.shorten(rates.attribute, 24)}",
        f"Both error rates of every group at the same threshold, {rates.threshold:.3f}, with 95 % intervals by person; "
        "hollow: no error was seen. Groups whose intervals lie far apart are treated differently.",
        f"Error rates of {len(rows)} groups by {style.shorten(rates.attribute, 24)}.",
        "error rate", "group",
        {
            "group": [group for group, _, _ in cells],
            "rate": [kind for _, kind, _ in cells],
            "value": [np.nan if rate.value is None else rate.value for _, _, rate in cells],
            "low": [low for low, _ in ends],
            "high": [high for _, high in ends],
            "errors": [rate.errors for _, _, rate in cells],
            "comparisons": [rate.count for _, _, rate in cells],
            "people": [rate.people for _, _, rate in cells],
        },
        paint,
        size=(style.WIDTH, 1.0 + 0.26 * len(rows)),
    )  # fmt: skip


def _stem(name: str) -> str:
    """What of a name from outside may be in the name of a file."""
    return re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")[:24] or "attribute"
