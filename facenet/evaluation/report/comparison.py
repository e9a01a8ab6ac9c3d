"""The report of several studies of the same comparisons, side by side."""

from __future__ import annotations

from collections.abc import Sequence

from facenet.evaluation.finding import Finding
from facenet.evaluation.paired import SIGNIFICANT, Difference
from facenet.evaluation.plots.choice import overlays_of
from facenet.evaluation.plots.style import SERIES, shorten
from facenet.evaluation.report.figures import figures
from facenet.evaluation.report.headline import about, heading, notices
from facenet.evaluation.report.markup import NOTHING, Html, element, join, name, paragraph, section, table, text
from facenet.evaluation.report.page import Part, page
from facenet.evaluation.report.rules import rules
from facenet.evaluation.report.words import amount, decimals, span
from facenet.evaluation.study import Study


def comparison_files(studies: Sequence[Study], differences: Sequence[Difference], *, seed: int = 0) -> dict[str, bytes]:
    """Everything a report of a comparison consists of.

    Args:
        studies: at least two, of the same comparisons; the others are compared with the first.
        differences: what :func:`facenet.evaluation.paired.compare_studies` found.
        seed: of the figures.

    Returns:
        As :func:`facenet.evaluation.report.single.report_files`; no picture of anybody is in it.
    """
    drawn, files = figures(overlays_of(studies, seed=seed))
    title = f"{studies[0].title}: {len(studies)} models compared"
    lines = [f"{study.label}: {notice}" for study in studies for notice in study.notices]
    head = heading(
        "Face recognition, compared",
        title,
        _key(studies),
        notices(lines),
    )
    ends = [about(studies), rules(studies, file="comparison.json")]
    parts = [_verdicts(differences), _side_by_side(studies), *drawn, *ends]
    return {"index.html": page(title, head, parts), **files}


def _key(studies: Sequence[Study]) -> Html:
    """The models, each with the colour of its curves; the first is what the others are compared with."""
    items = []
    for number, study in enumerate(studies):
        colour = f"background:var(--series-{number % len(SERIES) + 1})"
        swatch = element("span", NOTHING, class_="swatch", style=colour)
        note = text(" (what the others are compared with)" if len(studies) > 2 and number == 0 else "")
        items.append(element("li", Html(swatch + name(study.label) + note)))
    return element("ul", join(items), class_="key")


def _verdicts(differences: Sequence[Difference]) -> Part:
    tests = sum(found.p is not None for found in differences)
    several = len({found.study for found in differences}) > 1
    reading = paragraph(text(
        "Both models met the same people, so the difference itself is tested: it can be told from chance even where "
        f"the intervals of the two overlap. p is corrected for all {tests} tests made here (Holm); below "
        f"{SIGNIFICANT:g} counts as a difference."
    ))  # fmt: skip
    head = ("Measure", "Difference", "95 % interval", "p", "Verdict")
    rows = [[_measure(d, several=several), _difference(d), _interval(d), _p(d), _verdict(d)] for d in differences]
    shown = table(head, rows, caption="Differences and tests", kind="verdicts stacked")
    return Part("differences", "Differences", section("differences", "Differences", reading, shown))


def _measure(found: Difference, *, several: bool) -> Html:
    if not several:
        return text(found.title)
    against = Html(f"<small>{name(found.label, 60)} against {name(found.baseline, 60)}</small>")
    return Html(text(found.title) + against)


def _difference(found: Difference) -> Html:
    return text(_signed(found.difference, found.unit, found.interval))


def _signed(value: float, unit: str, interval: tuple[float, float] | None) -> str:
    if unit != "share":
        return _minus(f"{value:+.3f}")
    return _minus(f"{100 * value:+.{decimals(interval)}f} points")


def _minus(number: str) -> str:
    return number.replace("-", "\N{MINUS SIGN}")


def _interval(found: Difference) -> Html:
    if found.interval is None:
        return Html("–")
    if found.unit != "share":
        return text(_minus(" to ".join(f"{end:+.3f}" for end in found.interval)))
    digits = decimals(found.interval)
    return text(_minus(" to ".join(f"{100 * end:+.{digits}f}" for end in found.interval)))


def _p(found: Difference) -> Html:
    if found.adjusted_p is None:
        return Html("–")
    return text("< 0.001" if found.adjusted_p < 0.001 else f"{found.adjusted_p:.3f}")


def _verdict(found: Difference) -> Html:
    small = element("small", text(found.test)) if found.test else ""
    return Html(element("span", text(found.verdict), class_="verdict") + small)


def _side_by_side(studies: Sequence[Study]) -> Part:
    keys = list(dict.fromkeys(found.key for study in studies for found in study.findings))
    head = ["Measure", *(shorten(study.label, 60) for study in studies)]
    rows = []
    for key in keys:
        cells = [study.finding(key) for study in studies]
        title = next(cell.title for cell in cells if cell is not None)
        rows.append([text(title), *(_cell(cell) for cell in cells)])
    shown = table(head, rows, caption="Results of each model", kind="numbers")
    return Part("results", "Results", section("results", "Results of each", shown))


def _cell(found: Finding | None) -> Html:
    if found is None or found.value is None:
        return Html("–")
    small = element("small", text(span(found.interval, found.unit))) if found.interval is not None else ""
    return Html(text(amount(found.value, found.unit, found.interval)) + small)
