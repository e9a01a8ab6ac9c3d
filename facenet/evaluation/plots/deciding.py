"""Figures of a classification head: who is taken for whom, and whether its confidence can be believed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from facenet.evaluation.classification import Classification
from facenet.evaluation.plots import style
from facenet.evaluation.plots.drawing import Drawing
from facenet.evaluation.reliability import Reliability
from facenet.evaluation.study import Study

MOST_PEOPLE = 30
"""People beyond which a confusion matrix cannot be read."""

_NUMBERS = 12


def confusion(classification: Classification) -> Drawing | None:
    """The confusion matrix, each row as shares of that person's pictures; None for too many people."""
    counts = classification.confusion
    shown = np.flatnonzero(counts.sum(axis=0) + counts.sum(axis=1))
    if len(shown) > MOST_PEOPLE:
        return None
    matrix = counts[np.ix_(shown, shown)]
    small = len(shown) <= _NUMBERS
    names = [style.shorten(classification.people[person], 12 if small else 20) for person in shown]
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = style.WIDTH if small else 3.0 + 0.2 * len(shown)

    def paint(figure: Figure) -> None:
        axes = style.axes_of(figure, "Taken for", "Who it is")
        cells = np.zeros((*shares.shape, 4))
        cells[..., :3] = to_rgb(style.IMPOSTOR)
        np.einsum("iic->ic", cells)[:, :3] = to_rgb(style.GENUINE)
        # A single mistake among many must still be seen.
        cells[..., 3] = np.where(matrix > 0, 0.12 + 0.7 * shares, 0)
        axes.imshow(cells, interpolation="nearest", aspect="equal")
        axes.set_xticks(range(len(names)), names, rotation=90)
        axes.set_yticks(range(len(names)), names)
        axes.grid(False)
        axes.tick_params(length=0)
        for row, column in np.argwhere(matrix > 0) if small else ():
            axes.text(column, row, f"{matrix[row, column]:,}", ha="center", va="center")

    rows, columns = (place.ravel() for place in np.indices(matrix.shape))
    return Drawing(
        "confusion",
        "Confusion matrix",
        "Each row is one person's pictures, spread over whom they were taken for: blue on the diagonal is right, "
        "orange off it is wrong, and the stronger the colour, the larger the share of the row.",
        f"Confusion matrix of {len(shown)} people: {int(matrix.trace()):,} of {int(matrix.sum()):,} pictures right.",
        "taken for", "person",
        {
            "person": [classification.people[shown[row]] for row in rows],
            "taken_for": [classification.people[shown[column]] for column in columns],
            "pictures": matrix.ravel(),
        },
        paint,
        size=(side, side),
        wide=not small,
    )  # fmt: skip


def reliability(studies: Sequence[Study]) -> Drawing | None:
    """Accuracy over confidence, and how many pictures there are of each confidence."""
    found: list[tuple[str, Reliability]] = [(s.label, s.reliability) for s in studies if s.reliability is not None]
    if not found:
        return None

    def paint(figure: Figure) -> None:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        upper.plot([0, 1], [0, 1], color=style.MUTED, linewidth=0.8, linestyle=(0, (2, 3)))
        for number, (label, measured) in enumerate(found):
            place = number % len(style.SERIES)
            filled = measured.counts > 0
            confidence, accuracy = measured.confidence[filled], measured.accuracy[filled]
            colour, line = style.SERIES[place], style.LINES[place]
            upper.plot(confidence, accuracy, color=colour, linestyle=line, linewidth=1, label=style.shorten(label))
            sizes = 8 + 80 * measured.counts[filled] / measured.pictures
            upper.scatter(
                confidence, accuracy, sizes, color=colour, marker=style.MARKERS[place], linewidths=0, zorder=3
            )
            lower.stairs(
                measured.counts / measured.pictures, measured.edges, color=colour, linestyle=line,
                fill=len(found) == 1, alpha=0.45 if len(found) == 1 else 1.0,
            )  # fmt: skip
        upper.set_ylabel("Right (%)")
        lower.set_ylabel("Pictures (%)")
        lower.set_xlabel("Confidence (%)")
        upper.set_ylim(0, 1.03)
        lower.set_xlim(0, 1.01)
        for axis in (upper.yaxis, lower.yaxis, lower.xaxis):
            style.percent_axis(axis)
        style.legend(figure, [label for label, _ in found])

    rows = [
        (label, low, high, count, confidence, accuracy)
        for label, r in found
        for low, high, count, confidence, accuracy in zip(
            r.edges[:-1], r.edges[1:], r.counts, r.confidence, r.accuracy, strict=True
        )
    ]
    names = ("label", "from", "to", "pictures", "mean_confidence", "accuracy")
    return Drawing(
        "reliability",
        "Reliability",
        "On the dotted diagonal a confidence of 80 % is right in 80 % of cases; dots below it mean that the head is "
        "surer than it should be, and small dots that few pictures say so. Below: how many have that confidence.",
        " ".join(f"{label}: expected calibration error {100 * r.ece:.2f} %." for label, r in found),
        "confidence", "accuracy",
        {name: np.array([row[place] for row in rows]) if place else [row[0] for row in rows]
         for place, name in enumerate(names)},
        paint,
        size=(style.WIDTH, style.size_for(found)[1] + 0.6),
    )  # fmt: skip
