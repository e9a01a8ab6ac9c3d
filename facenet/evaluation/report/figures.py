"""Figures in the page, and as files beside it."""

from __future__ import annotations

from collections.abc import Sequence

from facenet.evaluation.plots.drawing import Drawing, Drawn, draw
from facenet.evaluation.report.markup import Html, element, join, section, text
from facenet.evaluation.report.page import Part

FOLDER = "figures"


def figures(drawings: Sequence[Drawing]) -> tuple[list[Part], dict[str, bytes]]:
    """Draw figures: the part of the page that shows them (none without figures), and their files by name."""
    shown, files = [], {}
    for drawing in drawings:
        drawn = draw(drawing)
        shown.append(_figure(drawing, drawn))
        for suffix, content in (("png", drawn.png), ("csv", drawn.csv), ("json", drawn.json)):
            files[f"{FOLDER}/{drawing.name}.{suffix}"] = content
    grid = element("div", join(shown), class_="figures")
    return [Part("figures", "Figures", section("figures", "Figures", grid))] if shown else [], files


def _figure(drawing: Drawing, drawn: Drawn) -> Html:
    links = [
        element("a", text(words), href=f"{FOLDER}/{drawing.name}.{suffix}", aria_label=f"{drawing.title} as {words}")
        for suffix, words in (("png", "PNG"), ("csv", "CSV"))
    ]
    caption = Html(f"{text(drawing.reading)} {element('span', join(links, ', '), class_='files')}")
    # Of matplotlib's making, from text that it escapes, and cleaned.
    picture = Html(drawn.svg)
    if drawing.wide:
        picture = element("div", picture, class_="scroll", tabindex=0, role="region", aria_label=drawing.title)
    return element(
        "figure",
        join([element("h3", text(drawing.title)), picture, element("figcaption", caption)]),
        id=f"figure-{drawing.name}",
        **({"class_": "wide"} if drawing.wide else {}),
    )
