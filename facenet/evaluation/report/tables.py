"""Tables beside the figures: error rates of groups, and who is taken for whom."""

from __future__ import annotations

from collections.abc import Sequence

from facenet.evaluation.classification import Classification
from facenet.evaluation.groups import GroupRate, GroupRates
from facenet.evaluation.report.markup import Html, element, join, name, paragraph, section, table, text
from facenet.evaluation.report.page import Part
from facenet.evaluation.report.words import decimals, share, span

_MOST_GROUPS = 100
_MOST_CONFUSED = 20


def groups(found: Sequence[GroupRates]) -> list[Part]:
    """Error rates of groups at one common threshold, and how far the worst is from the best; nothing without groups."""
    if not found:
        return []
    pieces = [piece for rates in found for piece in _attribute(rates)]
    reading = paragraph(text(
        "Every group is held to the same threshold. The ratio says how many times as often a system errs with the "
        "group it serves worst as with the one it serves best; it is above 1 by chance alone, so look at its interval."
    ))  # fmt: skip
    return [Part("groups", "Groups", section("groups", "Groups", reading, *pieces))]


def _attribute(rates: GroupRates) -> list[Html]:
    head = ["Group", *(kind.upper() for kind in rates.kinds)]
    rows = [[name(row.group), *(_rate(row.rates.get(kind)) for kind in rates.kinds)] for row in rates.rows]
    lines = [_ratio(rates, kind) for kind in rates.kinds]
    if rates.left_out:
        lines.append(text(f"{rates.left_out:,} comparisons of a sample with a value and one without are in no row."))
    if len(rows) > _MOST_GROUPS:
        lines.append(text(f"The first {_MOST_GROUPS} of {len(rows):,} groups are shown; study.json has all."))
    return [
        Html(f"<h3>By {name(rates.attribute)}, at threshold {rates.threshold:.3f}</h3>"),
        table(head, rows[:_MOST_GROUPS], caption="Error rates of groups", kind="numbers"),
        paragraph(join(lines, "<br>")),
    ]


def _rate(rate: GroupRate | None) -> Html:
    if rate is None or rate.value is None:
        return Html("–" if rate is None else "–" + element("span", text(rate.reason), class_="reason"))
    value = share(rate.value, decimals(rate.interval))
    sure = span(rate.interval, "share") if rate.interval is not None else rate.reason
    if rate.interval is not None and not rate.errors:
        sure += f" ({rate.interval_kind})"
    small = f"{rate.errors:,} of {rate.count:,}, {rate.people:,} people"
    return Html(text(value) + element("small", text(sure)) + element("small", text(small)))


def _ratio(rates: GroupRates, kind: str) -> Html:
    ratio = rates.ratios[kind]
    if ratio.value is None:
        return text(f"{kind.upper()}, worst to best: not given, {ratio.reason}.")
    sure = ", and its 95 % interval has no upper end"
    if ratio.interval is not None:
        sure = f", 95 % interval {ratio.interval[0]:.2f} to {ratio.interval[1]:.2f}"
    between = f"{name(ratio.worst)} to {name(ratio.best)}"
    return Html(f"{text(kind.upper())}, worst to best ({between}): <strong>{ratio.value:.2f}</strong>{text(sure)}.")


def confused(classification: Classification | None) -> list[Part]:
    """The most frequent mistakes of a classification head; nothing where there are none."""
    if classification is None:
        return []
    worst = classification.most_confused(_MOST_CONFUSED)
    if not worst:
        return []
    head = ("Who it is", "Taken for", "Pictures", "Share")
    rows = [
        [name(row.person), name(row.taken_for), text(f"{row.pictures:,}"), text(share(row.share, 1))] for row in worst
    ]
    shown = table(head, rows, caption="Most frequent mistakes", kind="numbers")
    return [Part("confused", "Most confused", section("confused", "Most confused", shown))]
