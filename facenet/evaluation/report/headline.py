"""What was found, first of all in one figure, then in a table; what to know before believing it; what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from facenet.evaluation.finding import Finding
from facenet.evaluation.report.markup import NOTHING, Html, element, join, name, paragraph, section, table, text
from facenet.evaluation.report.page import Part
from facenet.evaluation.report.words import chance_of, plain_title, span, spread_of, value_of
from facenet.evaluation.study import Study

_MOST_ENTRIES = 200
_DEPTH = 3


def hero(findings: Sequence[Finding]) -> Html:
    """The first finding, large."""
    if not findings:
        return NOTHING
    first = findings[0]
    words: list[Html] = []
    if first.interval is not None:
        words.append(text(f"95 % interval {span(first.interval, first.unit)}"))
    if spread := spread_of(first):
        words.append(text(spread))
    if first.basis:
        words.append(text(first.basis))
    if first.reason:
        words.append(text(first.reason))
    value = element("strong", text(value_of(first)))
    lines = Html(element("b", text(first.title)) + "<br>" + join(words, " · "))
    return element("div", Html(value + element("span", lines)), class_="hero")


def notices(lines: Sequence[str]) -> Html:
    """What a reader must know before believing the figures."""
    if not lines:
        return NOTHING
    items = join(element("li", text(line)) for line in lines)
    return element(
        "aside",
        Html(element("h2", text("Before you rely on this"), id="notices") + element("ul", items)),
        class_="notices",
        aria_labelledby="notices",
    )


def results(findings: Sequence[Finding]) -> Part:
    """The table of all findings."""
    head = ("Measure", "Value", "95 % interval", "Chance")
    rows = [[_measure(found), _value(found), _interval(found), _chance(found)] for found in findings]
    return Part("results", "Results", section("results", "Results", table(
        head, rows, caption="Results with their 95 % intervals", kind="findings stacked",
    )))  # fmt: skip


def _measure(found: Finding) -> Html:
    notes = [found.basis, "" if found.higher_is_better else "lower is better"]
    small = " · ".join(note for note in notes if note)
    return Html(text(found.title) + (element("small", text(small)) if small else ""))


def _value(found: Finding) -> Html:
    if found.value is None:
        return Html("–" + element("span", text(found.reason), class_="reason"))
    spread = spread_of(found).replace(", ", "\n").split("\n")
    small = join((element("small", text(line)) for line in spread if line), "")
    return Html(element("strong", text(value_of(found))) + small)


def _interval(found: Finding) -> Html:
    if found.interval is None:
        return Html("–")
    small = element("small", text(found.interval_kind)) if found.interval_kind else ""
    return Html(text(span(found.interval, found.unit)) + small)


def _chance(found: Finding) -> Html:
    return text(chance_of(found))


def about(studies: Sequence[Study]) -> Part:
    """What was measured on what, as the studies say it: first what they have in common, then what each has alone."""
    title = "What was measured"
    same = {key: value for key, value in studies[0].about.items() if _shared(key, value, studies)}
    pieces = [_entries(same)] if same else []
    for study in studies:
        own = {key: value for key, value in study.about.items() if key not in same}
        if own:
            pieces.append(Html(element("h3", name(study.label)) + _entries(own)))
    return Part("about", title, section("about", title, *pieces))


def _shared(key: str, value: object, studies: Sequence[Study]) -> bool:
    return all(key in study.about and study.about[key] == value for study in studies)


def _entries(entries: Mapping[str, object], depth: int = 1) -> Html:
    shown = list(entries.items())[:_MOST_ENTRIES]
    rows = [
        Html(element("dt", text(plain_title(str(key)), 120)) + element("dd", _entry(value, str(key), depth)))
        for key, value in shown
    ]
    return element("dl", join(rows))


_VERBATIM = frozenset({"command", "command_line", "fingerprint", "weights", "sha256", "seed"})


def _entry(value: object, key: str, depth: int) -> Html:
    if isinstance(value, Mapping) and depth < _DEPTH:
        return _entries(value, depth + 1)
    if isinstance(value, list | tuple) and depth < _DEPTH:
        pieces = [_entry(item, key, depth + 1) for item in value[:_MOST_ENTRIES]]
        return join((element("div", piece) for piece in pieces), "")
    if value is None:
        return Html("–")
    if isinstance(value, bool):
        return text("yes" if value else "no")
    if isinstance(value, int) and key not in _VERBATIM:
        return text(f"{value:,}")
    if isinstance(value, float):
        return text(f"{value:.6g}")
    return element("code", text(value)) if key in _VERBATIM else element("bdi", text(value))


def heading(kicker: str, title: str, *lines: Html) -> Html:
    """Title of the page, and what stands around it."""
    return join([
        paragraph(text(kicker), class_="kicker"),
        element("h1", text(title, 200)),
        *lines,
    ])  # fmt: skip
