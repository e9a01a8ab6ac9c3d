"""Figures as SVG that is put into a page as it is: small, in the page's own type, and in its colours, light or dark."""

from __future__ import annotations

import io
import re
from typing import Any
from xml.etree import ElementTree

from matplotlib.figure import Figure

from facenet.evaluation.plots import style

VARIABLES = {
    style.INK: "--ink",
    style.MUTED: "--muted",
    style.GRID: "--grid",
    style.PAPER: "--paper",
    **{colour: f"--series-{number}" for number, colour in enumerate(style.SERIES, start=1)},
}
"""Colour in a figure → the variable of the page's style sheet that it follows."""

_SVG = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_NUMBER = re.compile(r"-?\d+\.\d+")
_COLOUR = re.compile("#[0-9a-f]{6}")
_REFERENCE = re.compile(r"url\(#([^)]+)\)|^#(.+)$")
_NO_METADATA: dict[str, Any] = dict.fromkeys(("Date", "Creator", "Format", "Type"))


def settings(name: str) -> dict[str, Any]:
    """What matplotlib must be told: text stays text, and names inside the file depend on the figure alone."""
    return {"svg.fonttype": "none", "svg.hashsalt": name, "svg.image_inline": True}


def of_figure(figure: Figure, name: str, alt: str) -> str:
    """One ``<svg>`` element for HTML.

    Args:
        figure: drawn under :func:`settings`.
        name: letters, digits and hyphens; begins every id inside, so that figures of one page do not mix theirs.
        alt: read aloud instead of the figure.
    """
    file = io.BytesIO()
    figure.savefig(file, format="svg", facecolor="none", metadata=_NO_METADATA)
    # Our own file, written a moment ago.
    root = ElementTree.fromstring(file.getvalue())
    _drop_definitions_of_style(root)
    _simplify(root, name)
    for attribute in ("width", "height", "version"):
        root.attrib.pop(attribute, None)
    root.set("role", "img")
    root.set("aria-label", alt)
    return ElementTree.tostring(root, encoding="unicode")


def _drop_definitions_of_style(root: ElementTree.Element) -> None:
    """Leave out what would style the page around the figure, and the metadata."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == f"{_SVG}style" or not child.tag.startswith(_SVG):
                parent.remove(child)
        for child in list(parent):
            if child.tag in (f"{_SVG}defs", f"{_SVG}metadata") and len(child) == 0:
                parent.remove(child)


def _simplify(root: ElementTree.Element, name: str) -> None:
    used = {found for element in root.iter() for value in element.attrib.values() for found in _references(value)}
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        link = element.attrib.pop(_LINK, None)
        if link is not None:
            element.set("href", link)
        identity = element.attrib.pop("id", None)
        if identity in used:
            element.set("id", f"{name}-{identity}")
        for key, value in list(element.attrib.items()):
            element.set(key, _attribute(key, value, name))
        if element.tag != "text":
            element.text = None
        element.tail = None


def _references(value: str) -> set[str]:
    return {either for pair in _REFERENCE.findall(value) for either in pair if either}


def _attribute(key: str, value: str, name: str) -> str:
    if key == "href" and value.startswith("data:"):
        return value
    if key in ("href", "clip-path"):
        return value.replace("#", f"#{name}-")
    if key == "style":
        parts = [part.strip() for part in value.split(";") if "font-family" not in part]
        return ";".join(_COLOUR.sub(_follow, part).replace(": ", ":") for part in parts)
    if key in ("d", "points", "x", "y", "transform", "width", "height"):
        shorter = _NUMBER.sub(lambda found: f"{float(found.group()):.2f}".rstrip("0").rstrip("."), value)
        return " ".join(shorter.split())
    return value


def _follow(found: re.Match[str]) -> str:
    colour = found.group()
    return f"var({VARIABLES[colour]})" if colour in VARIABLES else colour
