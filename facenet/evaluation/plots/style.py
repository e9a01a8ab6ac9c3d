"""How every figure looks: colours, sizes, scales and the words on axes.

The colours of curves are those of Okabe & Ito, "Color Universal Design" (2008), which people who are colour-blind can
tell apart; each goes with a line and a marker of its own, so that none is told by colour alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, Formatter, FuncFormatter, NullLocator
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from facenet.errors import printable

INK, MUTED, GRID, PAPER = "#1c2329", "#5c6670", "#dde2e7", "#fefefe"
"""Text and axes, secondary text and marks, grid lines, what lies behind."""

FAINT = "#88929c"
"""Dots of no colour; to be seen on white and on black, for they are pixels and follow no theme."""

SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
"""Curves, in this order."""

GENUINE, IMPOSTOR = SERIES[0], SERIES[1]

LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (6, 1.5, 1, 1.5, 1, 1.5)), (0, (9, 3)))
MARKERS = ("o", "s", "^", "D", "v", "P")

WIDTH, HEIGHT = 3.75, 3.05
"""Inches: at 96 pixels an inch as wide as a phone, so that text of 10.5 points has 14 pixels there."""

SETTINGS: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10.5,
    "axes.titlesize": 10.5,
    "axes.labelsize": 10.5,
    "xtick.labelsize": 10.5,
    "ytick.labelsize": 10.5,
    "legend.fontsize": 10.5,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "legend.borderaxespad": 0.3,
    "legend.labelspacing": 0.3,
    "text.color": INK,
    "text.parse_math": False,
    "text.usetex": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.03,
    "figure.constrained_layout.w_pad": 0.03,
}

BAND = 0.22
"""Opacity of the 95 % band around a curve."""

_LONGEST = 36


def shorten(name: object, most: int = _LONGEST) -> str:
    """A name from outside as it may stand in a figure: on one line, and not too long."""
    text = printable(name)
    return text if len(text) <= most else text[: most - 1] + "…"


def axes_of(figure: Figure, x_label: str, y_label: str, **place: Any) -> Axes:
    """The axes of a figure that has one drawing area."""
    axes = figure.add_subplot(**place)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    return axes


def percent(share: float) -> str:
    """A share of 1 as the number of an axis in per cent, without the sign: 0.001 → ``0.1``."""
    return f"{100 * share:.6g}"


def percent_axis(axis: Any) -> None:
    """Label the ticks of a linear axis of shares in per cent."""
    axis.set_major_formatter(_Percent())


class _Percent(Formatter):
    """All labels of an axis with as many digits as the one that needs most."""

    def __call__(self, value: float, position: int | None = None) -> str:
        return percent(value)

    def format_ticks(self, values: Any) -> list[str]:
        """The labels of all ticks together."""
        shown = [round(100 * float(value), 4) for value in values]
        digits = max((len(f"{value:.4f}".rstrip("0").partition(".")[2]) for value in shown), default=0)
        return [f"{value:.{digits}f}" for value in shown]


def log_percent_axis(axes: Axes, low: float, high: float = 1.0, *, which: str = "x") -> None:
    """A logarithmic axis of shares from ``low`` to ``high``, with ticks at whole decades, in per cent.

    Args:
        axes: whose axis.
        low, high: in ``(0, 1]``.
        which: ``"x"`` or ``"y"``.
    """
    scale, limits, axis = _parts(axes, which)
    scale("log")
    limits(low, high)
    decades = [d for d in range(-12, 1) if low * 0.999 <= 10.0**d <= high * 1.001]
    every = 1 if len(decades) <= 5 else 2
    # From the right, so that 100 % keeps its label.
    axis.set_major_locator(FixedLocator([10.0**d for d in decades[::-1][::every]]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: percent(value)))


_DET_TICKS = (1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.05, 0.2, 0.5)


def deviate_axis(axes: Axes, low: float, high: float, *, which: str) -> None:
    """An axis of normal deviates (ISO/IEC 19795-1): shares ``p`` stand at the quantile of ``p``, ticks in per cent."""
    scale, limits, axis = _parts(axes, which)
    scale("function", functions=(_deviate, ndtr))
    limits(low, high)
    axis.set_major_locator(FixedLocator([tick for tick in _DET_TICKS if low <= tick <= high]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: percent(value)))


def _deviate(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    # What lies outside is never drawn, but the axis asks for it while it is laid out.
    return np.asarray(ndtri(np.clip(shares, 1e-9, 1 - 1e-9)))


def _parts(axes: Axes, which: str) -> tuple[Callable[..., Any], Callable[..., Any], Any]:
    if which == "x":
        return axes.set_xscale, axes.set_xlim, axes.xaxis
    return axes.set_yscale, axes.set_ylim, axes.yaxis


def floor_of(lowest: float) -> float:
    """Where an axis of shares that end at 1 should begin, so that little of it is empty.

    Args:
        lowest: smallest share shown, in ``[0, 1]``.
    """
    for floor in (0.995, 0.99, 0.98, 0.95, 0.9, 0.8, 0.5):
        if lowest >= floor + 0.15 * (1 - floor):
            return floor
    return 0.0


def legend(figure: Figure, labels: Sequence[str]) -> None:
    """A legend above the axes, where it hides nothing, if there is something to tell apart."""
    if len(labels) > 1:
        figure.legend(loc="outside upper left")


def size_for(labels: Sequence[object]) -> tuple[float, float]:
    """Inches of a figure with a legend of these labels."""
    return WIDTH, HEIGHT + (0.2 * len(labels) if len(labels) > 1 else 0)
