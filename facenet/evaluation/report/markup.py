"""HTML, in which text from outside is always escaped: what is :data:`Html` has been, what is ``str`` has not."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import NewType

from facenet.errors import printable

Html = NewType("Html", str)
"""A piece of a page, ready to be put into it."""

NOTHING = Html("")

LONGEST = 2000
"""Characters of one text from outside that are shown."""


def text(value: object, most: int = LONGEST) -> Html:
    """Any text, escaped, on one line, cut off where it is too long."""
    shown = printable(value)
    if len(shown) > most:
        shown = shown[: most - 1] + "…"
    # A number and its unit stay on one line.
    return Html(html.escape(shown).replace(" %", "&nbsp;%"))


def name(value: object, most: int = 120) -> Html:
    """A name from outside, kept apart so that one that is written from right to left turns nothing around it."""
    return Html(f"<bdi>{text(value, most)}</bdi>")


def element(tag: str, content: Html, **attributes: object) -> Html:
    """``<tag …>content</tag>``; of attribute names a trailing underscore is left out, others become hyphens."""
    shown = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"' for key, value in attributes.items()
    )
    return Html(f"<{tag}{shown}>{content}</{tag}>")


def join(pieces: Iterable[Html], between: str = "\n") -> Html:
    """Pieces one after the other."""
    return Html(between.join(pieces))


def paragraph(content: Html, **attributes: object) -> Html:
    """A paragraph."""
    return element("p", content, **attributes)


def section(identity: str, title: str, *content: Html) -> Html:
    """A part of the page under a heading that can be linked to."""
    heading = element("h2", text(title), id=f"{identity}-title")
    return element("section", join([heading, *content]), id=identity, aria_labelledby=f"{identity}-title")


def table(head: Sequence[str], rows: Iterable[Sequence[Html]], *, caption: str, kind: str) -> Html:
    """A table that scrolls inside its own box; the first cell of each row heads it.

    Args:
        head: titles of the columns.
        rows: cells, as many.
        caption: what it holds, for those who have it read to them.
        kind: class of the table; of ``stacked`` ones a narrow screen shows each row as a block.
    """
    titles = join((element("th", name(title), scope="col") for title in head), "")
    lines = []
    for row in rows:
        cells = [element("th", row[0], scope="row")]
        # What a narrow screen shows in place of the head.
        cells += [element("td", cell, data_label=title) for title, cell in zip(head[1:], row[1:], strict=True)]
        lines.append(element("tr", join(cells, "")))
    inner = [element("caption", text(caption)), element("thead", element("tr", titles)), element("tbody", join(lines))]
    shown = element("table", join(inner), class_=kind)
    # Scrolled by keyboard, too.
    return element("div", shown, class_="scroll", tabindex=0, role="region", aria_label=caption)
