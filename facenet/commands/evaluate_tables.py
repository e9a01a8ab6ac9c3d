"""Tables of what was found by ``evaluate``: findings, groups, differences, confusion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from facenet.commands.common import note, print_table
from facenet.errors import printable

if TYPE_CHECKING:
    from facenet.evaluation.classification import Classification
    from facenet.evaluation.error_rates import GroupRate
    from facenet.evaluation.finding import Finding
    from facenet.evaluation.groups import GroupRates
    from facenet.evaluation.paired import Difference
    from facenet.evaluation.study import Study

_LARGEST_MATRIX = 20
_NONE_SEEN = "rule of three"
"""Kind of an interval where no error was seen."""


def show_study(study: Study) -> None:
    """Print the findings, the confusion matrix, and the rates of groups, where there are any."""
    columns = ("figure", "value", "95 % interval", "chance", "rests on")
    print_table(study.title, columns, [_finding_row(found) for found in study.findings])
    deviation = next((found.deviation for found in study.findings if found.deviation is not None), None)
    if deviation is not None:
        print(f"(±: standard error of the mean over the folds; deviation of single folds {deviation:.4f})")
    if study.classification is not None:
        show_confusion(study.classification)
    for rates in study.groups:
        _show_groups(rates)


def say_study(study: Study) -> None:
    """Say what must be known before the figures are believed, and what they are figures of."""
    for notice in study.notices:
        note(f"notice: {printable(notice)}")
    for rule in study.about["rules"]:
        note(f"rule: {printable(rule)}")
    note(f"model: {printable(study.label)}; fingerprint {study.about['fingerprint']}")
    note(printable(f"device: {study.about['device']}; precision: {study.about['precision']}"))


def show_differences(first: Study, differences: Sequence[Difference]) -> None:
    """Print what was tested of two or more studies, and what it means in words."""
    columns = ("figure", "model", "value", "the first's", "95 % interval of the difference", "p, adjusted")
    rows = [
        (
            printable(found.title),
            printable(found.label),
            f"{found.value:.4f}",
            f"{found.baseline_value:.4f}",
            "-" if found.interval is None else f"{found.interval[0]:+.4f} to {found.interval[1]:+.4f}",
            "-" if found.adjusted_p is None else f"{found.adjusted_p:.3f}",
        )
        for found in differences
    ]
    print_table(f"{first.title}: differences from {printable(first.label)}", columns, rows)
    for found in differences:
        print(f"{printable(found.title)}: {printable(found.verdict)}")


def show_confusion(classification: Classification) -> None:
    """Print the confusion matrix of a few people, of many those most confused."""
    names = [printable(name) for name in classification.people]
    if len(names) <= _LARGEST_MATRIX:
        # Numbers head the columns: names side by side would not fit.
        columns = ("true \\ decided", *(str(number) for number in range(1, len(names) + 1)))
        rows = [
            (f"{number} {name}", *(count if count else "." for count in row))
            for number, (name, row) in enumerate(zip(names, classification.confusion.tolist(), strict=True), start=1)
        ]
        print_table("Confusion", columns, rows)
        return
    worst = [
        (printable(entry.person), printable(entry.taken_for), entry.pictures)
        for entry in classification.most_confused(10)
    ]
    if worst:
        print_table("Most confused", ("person", "taken for", "pictures"), worst)


def _finding_row(found: Finding) -> tuple[str, str, str, str, str]:
    value = "-" if found.value is None else f"{found.value:.4f}"
    if found.standard_error is not None:
        value += f" ± {found.standard_error:.4f}"
    interval = "-" if found.interval is None else f"{found.interval[0]:.4f} to {found.interval[1]:.4f}"
    if found.interval_kind == _NONE_SEEN:
        interval += f" ({_NONE_SEEN})"
    chance = "-" if found.chance is None else f"{found.chance:.4f}"
    return printable(found.title), value, interval, chance, printable(found.reason if found.reason else found.basis)


def _show_groups(rates: GroupRates) -> None:
    kinds = rates.kinds
    columns = (printable(rates.attribute), *(text for kind in kinds for text in (kind.upper(), "95 % interval", "of")))
    rows = [
        (printable(row.group), *(cell for kind in kinds for cell in _rate_cells(row.rates.get(kind))))
        for row in rates.rows
    ]
    print_table(f"Groups at the threshold {rates.threshold:.4f}", columns, rows)
    measured = [rate for row in rates.rows for rate in row.rates.values()]
    if any(rate.interval_kind == _NONE_SEEN for rate in measured):
        print(f"(where no comparison, or every one, was decided wrongly, the interval is that of the {_NONE_SEEN})")
    for reason in sorted({rate.reason for rate in measured if rate.value is not None and rate.reason}):
        print(f"({printable(reason)})")
    for kind, ratio in rates.ratios.items():
        if ratio.value is None:
            print(f"{kind.upper()}, worst to best: not given: {printable(ratio.reason)}")
            continue
        between = "" if ratio.interval is None else f" ({ratio.interval[0]:.2f} to {ratio.interval[1]:.2f})"
        groups = f"{printable(ratio.worst)} to {printable(ratio.best)}"
        print(f"{kind.upper()}, worst to best: {ratio.value:.2f}{between}, {groups}")
    if rates.left_out:
        print(f"{rates.left_out:,} comparisons of a sample that has a value with one that has none are in no row")


def _rate_cells(rate: GroupRate | None) -> tuple[str, str, str]:
    if rate is None or rate.value is None:
        return "-", "-", "-" if rate is None else f"{rate.count:,}"
    interval = "-" if rate.interval is None else f"{rate.interval[0]:.4f} to {rate.interval[1]:.4f}"
    return f"{rate.value:.4f}", interval, f"{rate.count:,}"
