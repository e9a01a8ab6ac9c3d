"""The page around the contents: a document that may load nothing, run nothing and send nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from facenet import __version__
from facenet.evaluation.report.markup import Html, element, join, text
from facenet.evaluation.report.stylesheet import STYLE

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""Content security policy: nothing from anywhere, but for the styles and pictures that are in the page itself."""


class Part(NamedTuple):
    """A section of a page: the id it is linked by, what the link says, and the section."""

    identity: str
    title: str
    content: Html


def page(title: str, head: Html, parts: Sequence[Part]) -> bytes:
    """A whole HTML document, UTF-8.

    Args:
        title: of the window.
        head: what stands above the contents: heading, headline figure, notices.
        parts: the sections; listed at the top.
    """
    links = join(element("a", text(part.title), href=f"#{part.identity}") for part in parts)
    contents = join([
        element("header", head),
        element("nav", links, aria_label="Contents"),
        *(part.content for part in parts),
        element("footer", element("p", text(
            f"Made by facenet {__version__}. This page holds everything it shows: it loads nothing, runs no script and "
            "can be passed on as one file. Links to figures and numbers lead to the files beside it."
        ), class_="small")),
    ])  # fmt: skip
    return (
        f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="robots" content="noindex">
<title>{text(title, 200)}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
{contents}
</main>
</body>
</html>
"""
    ).encode("utf-8", "backslashreplace")
