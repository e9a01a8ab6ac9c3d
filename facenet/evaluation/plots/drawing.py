"""One figure: its picture for the page and for print, the numbers behind it, and how to read it."""

from __future__ import annotations

import csv
import io
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from facenet.errors import printable
from facenet.evaluation.plots import style, svg

DOTS_PER_INCH = 240
"""Of the PNG: 900 pixels for a column of 3.75 inches."""


@dataclass(frozen=True, eq=False)
class Drawing:
    """A figure, not yet drawn.

    Attributes:
        name: stem of its files, lower case, no blanks: ``"roc"``.
        title: for people.
        reading: one sentence (or two) that says how to read it.
        alt: what it shows, in words, for those who cannot see it.
        x, y: what the axes say.
        table: column → values; columns of one length. Numbers, or names from outside.
        paint: draws into an empty figure, under the settings of :mod:`facenet.evaluation.plots.style`.
        size: inches.
        wide: it wants the full width of a page.
    """

    name: str
    title: str
    reading: str
    alt: str
    x: str
    y: str
    table: Mapping[str, Sequence[Any] | np.ndarray]
    paint: Callable[[Figure], None]
    size: tuple[float, float] = (style.WIDTH, style.HEIGHT)
    wide: bool = False

    def __post_init__(self) -> None:
        if len({len(column) for column in self.table.values()}) > 1:
            raise ValueError(f"{self.name}: the columns of its table differ in length")


@dataclass(frozen=True)
class Drawn:
    """A figure in every form: ``svg`` to be put into HTML as it is, and the bytes of its files."""

    svg: str
    png: bytes
    csv: bytes
    json: bytes


def draw(drawing: Drawing) -> Drawn:
    """Draw a figure. The same drawing gives the same bytes.

    Scripts that DejaVu Sans does not have are drawn as boxes in the PNG; in the page they are text.
    """
    with rc_context({**style.SETTINGS, **svg.settings(drawing.name)}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=drawing.size)
        FigureCanvasAgg(figure)
        drawing.paint(figure)
        page = svg.of_figure(figure, drawing.name, drawing.alt)
        png = io.BytesIO()
        figure.savefig(png, format="png", dpi=DOTS_PER_INCH, facecolor="white", metadata={"Software": None})
    return Drawn(page, png.getvalue(), table_csv(drawing.table), _description(drawing))


def table_csv(table: Mapping[str, Sequence[Any] | np.ndarray]) -> bytes:
    """Columns as CSV (RFC 4180, UTF-8); numbers as short as they can be without loss, NaN and None as empty cells."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(table)
    columns = [column.tolist() if isinstance(column, np.ndarray) else list(column) for column in table.values()]
    writer.writerows([_cell(value) for value in row] for row in zip(*columns, strict=True))
    return text.getvalue().encode("utf-8", "backslashreplace")


def _cell(value: object) -> object:
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, float):
        return f"{value:.9g}"
    return printable(value) if isinstance(value, str) else value


def _description(drawing: Drawing) -> bytes:
    about = {
        "name": drawing.name,
        "title": drawing.title,
        "how_to_read": drawing.reading,
        "shows": drawing.alt,
        "x": drawing.x,
        "y": drawing.y,
        "columns": list(drawing.table),
        "rows": len(next(iter(drawing.table.values()), ())),
    }
    return (json.dumps(about, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
