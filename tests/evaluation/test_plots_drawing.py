"""Figures as files: the same bytes every time, numbers that are those of the study, and SVG that is safe in a page."""

from __future__ import annotations

import csv
import io
import json
import re
import warnings
from collections.abc import Sequence
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib import rcParams
from matplotlib.figure import Figure
from PIL import Image

from facenet.evaluation.plots import style
from facenet.evaluation.plots.drawing import Drawing, draw, table_csv

HOSTILE = "<script>alert(1)</script> & \"q\" 'a' $x^2 -- \x1b[31m\n漢字 \u202eright"


def drawing(name: str = "a", label: str = "curve", **options: object) -> Drawing:
    def paint(figure: Figure) -> None:
        axes = style.axes_of(figure, "x", "y")
        axes.plot([0, 1, 2], [0.1234567, 2, 1], color=style.SERIES[1], label=style.shorten(label))
        axes.scatter([0, 1], [1, 2], color=style.MUTED, rasterized=True)
        axes.text(0.5, 0.5, style.shorten(label, 200), in_layout=False)
        figure.legend(loc="outside upper left")

    table: dict[str, Sequence[object] | np.ndarray] = {"label": [label] * 3, "x": np.array([0.0, 1 / 3, np.nan])}
    return Drawing(name, "Title", "How to read it.", "What it shows.", "x", "y", table, paint, **options)  # type: ignore[arg-type]


def test_the_same_drawing_gives_the_same_bytes() -> None:
    assert draw(drawing()) == draw(drawing())


def test_the_png_is_a_picture_on_white_and_says_nothing_else() -> None:
    with Image.open(io.BytesIO(draw(drawing()).png)) as picture:
        assert picture.size == (900, 732)
        assert picture.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
        assert set(picture.info) <= {"dpi"}


def test_the_table_comes_back_as_numbers() -> None:
    rows = list(csv.DictReader(io.StringIO(draw(drawing()).csv.decode())))
    assert [row["label"] for row in rows] == ["curve"] * 3
    assert [row["x"] for row in rows] == ["0", "0.333333333", ""]


def test_names_stay_on_their_line_of_the_table() -> None:
    lines = table_csv({"person": [HOSTILE], "n": [3], "none": [None]}).decode().splitlines()
    assert len(lines) == 2 and "\x1b" not in lines[1] and lines[1].endswith(",3,")


def test_the_description_says_how_to_read_it() -> None:
    about = json.loads(draw(drawing()).json)
    assert (about["title"], about["how_to_read"], about["columns"]) == ("Title", "How to read it.", ["label", "x"])
    assert about["rows"] == 3


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in length"):
        Drawing("a", "", "", "", "", "", {"x": [1], "y": [1, 2]}, lambda figure: None)


def test_text_from_outside_is_text_and_nothing_else() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = draw(drawing(label=HOSTILE))
    root = ElementTree.fromstring(drawn.svg)
    assert {element.tag for element in root.iter()} <= {
        "svg",
        "g",
        "path",
        "defs",
        "use",
        "text",
        "clipPath",
        "rect",
        "image",
    }
    assert "<script" not in drawn.svg and "<!--" not in drawn.svg
    shown = " ".join(element.text or "" for element in root.iter("text"))
    assert "<script>alert(1)</script>" in shown and "\x1b" not in shown and "\n" not in shown and "\u202e" not in shown
    assert "漢字" in shown


def test_the_svg_follows_the_colours_and_the_type_of_the_page() -> None:
    svg = draw(drawing()).svg
    assert "var(--series-2)" in svg and "var(--ink)" in svg
    assert not re.search("#[0-9a-f]{6}", re.sub('href="data:[^"]*"', "", svg))
    assert "font-family" not in svg and "<style" not in svg
    root = ElementTree.fromstring(svg)
    assert root.get("role") == "img" and root.get("aria-label") == "What it shows."
    assert root.get("viewBox") == "0 0 270 219.6" and "width" not in root.attrib


def test_the_ids_of_two_figures_do_not_mix() -> None:
    found = [set(re.findall(' id="([^"]*)"', draw(drawing(name)).svg)) for name in ("a", "b")]
    assert found[0] and not found[0] & found[1]
    for name, ids in zip(("a", "b"), found, strict=True):
        svg = draw(drawing(name)).svg
        links = set(re.findall(r'href="#([^"]*)"', svg)) | set(re.findall(r"url\(#([^)]*)\)", svg))
        assert links == ids


def test_nothing_is_fetched_from_anywhere() -> None:
    svg = draw(drawing()).svg
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in re.findall('href="([^"]*)"', svg))
    assert "http" not in svg


def test_global_settings_are_left_alone() -> None:
    before = dict(rcParams)
    draw(drawing())
    assert dict(rcParams) == before


@pytest.mark.parametrize(
    ("lowest", "floor"), [(0.0, 0.0), (0.5, 0.0), (0.6, 0.5), (0.96, 0.95), (0.9999, 0.995), (1, 0.995)]
)
def test_where_an_axis_begins(lowest: float, floor: float) -> None:
    assert style.floor_of(lowest) == floor


def test_labels_of_an_axis_have_equally_many_digits() -> None:
    figure = Figure()
    axes = figure.add_subplot()
    style.percent_axis(axes.yaxis)
    assert axes.yaxis.get_major_formatter().format_ticks([0.97, 0.975, 0.98]) == ["97.0", "97.5", "98.0"]
    assert axes.yaxis.get_major_formatter().format_ticks([0, 0.5, 1]) == ["0", "50", "100"]
