"""By which rules the figures of a page were got, and where their numbers are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from facenet.evaluation.report.markup import Html, element, join, paragraph, section, text
from facenet.evaluation.report.page import Part
from facenet.evaluation.study import Study


class _Rule(NamedTuple):
    """What is done, and the parts of a study that it is about (any of them)."""

    title: str
    words: str
    about: frozenset[str]


_SCORED = frozenset({"comparisons", "searches"})
_RESAMPLED = frozenset({"comparisons", "searches", "retrieval"})
_ALL = frozenset({"comparisons", "searches", "retrieval", "classification"})

_RULES = (
    _Rule("Accept", "A score, the cosine of two embeddings, is accepted if it reaches the threshold. Ties count "
          "against the system.", _SCORED),
    _Rule("Thresholds", "A threshold is never scored on the data it was fitted on, or the figure says so.", _SCORED),
    _Rule("TAR at FMR", "The largest true accept rate whose false match rate does not exceed the target. It is given "
          "only where at least 3 / target pairs of different people were compared.", frozenset({"comparisons"})),
    _Rule("Rank", "1 + the number of other people who score at least as high as the right one.",
          frozenset({"searches"})),
    _Rule("FNIR at FPIR", "The share of searches by enrolled people that do not return them, at the smallest threshold "
          "that lets no more than the target of strangers' searches return anybody. It is given only where strangers "
          "made at least 3 / target searches.", frozenset({"searches"})),
    _Rule("Retrieval", "Every picture searches all others. R is the number of other pictures of its person; "
          "R-precision is the share of the first R that show that person, and MAP@R also asks that they come first.",
          frozenset({"retrieval"})),
    _Rule("Decisions", "The person with the highest score. Balanced accuracy and macro F1 count every person alike, "
          "accuracy every picture.", frozenset({"classification"})),
    _Rule("Intervals", "95 %, by drawing the people anew, with all of their comparisons: comparisons share people and "
          "are not independent. They err on the wide side.", _RESAMPLED),
    _Rule("No error seen", "No error in n trials shows a rate below 3 / n, not a rate of 0 (rule of three).", _ALL),
    _Rule("Failures", "A comparison or search that could not be made counts as wrong at every threshold.", _SCORED),
)  # fmt: skip


def rules(studies: Sequence[Study], *, file: str = "study.json") -> Part:
    """The rules that concern what these studies hold.

    Args:
        studies: those of the page.
        file: beside the page, with all its figures.
    """
    held = {part for study in studies for part in _ALL if getattr(study, part) is not None}
    rows = [
        Html(element("dt", text(rule.title)) + element("dd", text(rule.words))) for rule in _RULES if rule.about & held
    ]
    link = element("a", element("code", text(file)), href=file)
    folder = element("code", text("figures"))
    where = Html(f"All figures of this page are in {link} beside it, and what was drawn is in the folder {folder}.")
    shown = [element("dl", join(rows))] if rows else []
    return Part("rules", "Rules", section("rules", "Rules", *shown, paragraph(where, class_="small after")))
