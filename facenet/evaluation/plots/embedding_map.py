"""The embeddings of a study as a map: who lies near whom."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from facenet.evaluation.plots import style
from facenet.evaluation.plots.drawing import Drawing
from facenet.evaluation.study import Study

MOST_POINTS = 1500
"""Pictures on a map; more are drawn by lot, for the map of more takes minutes and cannot be read."""

MOST_PEOPLE = 12
"""People in colour: those with the most pictures."""

_MOST_OF_ONE = 60
_FEWEST = 30
_PERPLEXITY = 30
_DIMENSIONS = 50
_ONE_POINT = 1e-6


class _Chosen(NamedTuple):
    """Rows of the embeddings that are shown, and the people in colour, the one with the most pictures first."""

    rows: NDArray[np.int64]
    coloured: NDArray[np.int64]


def embedding_map(study: Study, *, seed: int = 0) -> Drawing | None:
    """A map in two dimensions, by t-SNE, or by PCA for few pictures.

    Args:
        study: with ``embeddings`` and ``owners``; rows that are not finite are left out.
        seed: of what is drawn by lot, and of t-SNE.

    Returns:
        None where there are fewer than three pictures to show.
    """
    if study.embeddings is None or study.owners is None:
        return None
    embeddings = study.embeddings.detach().cpu().float().numpy()
    chosen = _choose(embeddings, study.owners, np.random.default_rng(seed))
    if len(chosen.rows) < 3:
        return None
    places, method = _project(embeddings[chosen.rows], seed)
    owners = study.owners[chosen.rows]
    names = [study.people[owner] if owner < len(study.people) else str(owner) for owner in owners]

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        others = ~np.isin(owners, chosen.coloured)
        axes.scatter(
            places[others, 0], places[others, 1], s=6, color=style.FAINT, alpha=0.6, linewidths=0, rasterized=True
        )
        for number, person in enumerate(chosen.coloured):
            mine = owners == person
            colour, marker = _look(number)
            axes.scatter(
                places[mine, 0], places[mine, 1], s=20, color=colour, marker=marker, linewidths=0.4,
                edgecolors=style.PAPER,
                label=style.shorten(names[int(np.argmax(mine))], 20),
            )  # fmt: skip
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_aspect("equal", adjustable="datalim")
        axes.spines[:].set_visible(True)
        axes.spines[:].set_color(style.GRID)
        if len(chosen.coloured):
            figure.legend(loc="outside lower left", ncols=2, handletextpad=0.1, columnspacing=0.8)

    left_out = len(embeddings) - len(chosen.rows)
    how = "t-SNE keeps neighbours together; distances between groups and their sizes mean nothing."
    return Drawing(
        "map",
        f"Map of the embeddings ({method})",
        "Each dot is a picture, and pictures that the model takes for alike lie near one another: dots of one person "
        "should form one group without others in it. " + (how if method == "t-SNE" else "")
        + (f" {len(chosen.rows):,} of {len(embeddings):,} pictures, drawn by lot." if left_out else ""),
        f"Scatter plot of {len(chosen.rows):,} pictures of {len(np.unique(owners)):,} people, "
        f"{len(chosen.coloured)} of them in colour.",
        "first dimension", "second dimension",
        {"person": names, "x": places[:, 0], "y": places[:, 1]},
        paint,
        size=(style.WIDTH, style.WIDTH + 0.2 * ((len(chosen.coloured) + 1) // 2)),
    )  # fmt: skip


def _look(number: int) -> tuple[str, str]:
    """Colour and marker of the person at this place; no two of them are alike in both."""
    colours = len(style.SERIES)
    return style.SERIES[number % colours], style.MARKERS[(number + number // colours) % len(style.MARKERS)]


def _choose(embeddings: NDArray[np.float32], owners: NDArray[np.int32], generator: np.random.Generator) -> _Chosen:
    usable = np.flatnonzero(np.isfinite(embeddings).all(axis=1))
    people, counts = np.unique(owners[usable], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    coloured = people[order[:MOST_PEOPLE]]
    if len(people) > MOST_PEOPLE:
        # One dot in colour says nothing.
        coloured = coloured[counts[order[:MOST_PEOPLE]] > 1]
    if len(usable) <= MOST_POINTS:
        return _Chosen(usable, coloured.astype(np.int64))
    mine = [generator.permutation(usable[owners[usable] == person])[:_MOST_OF_ONE] for person in coloured]
    others = generator.permutation(usable[~np.isin(owners[usable], coloured)])
    first = np.concatenate([*mine, others])[:MOST_POINTS]
    return _Chosen(np.sort(first), coloured.astype(np.int64))


def _project(embeddings: NDArray[np.float32], seed: int) -> tuple[NDArray[np.float64], str]:
    """``(n, d)`` → ``(n, 2)`` and the name of the method."""
    # With several threads sums are rounded in another order each time, and t-SNE makes much of that.
    if np.ptp(embeddings, axis=0).max() < _ONE_POINT:
        return np.zeros((len(embeddings), 2)), "PCA"
    with threadpool_limits(1):
        few = len(embeddings) < _FEWEST
        parts = 2 if few else min(_DIMENSIONS, *embeddings.shape)
        reduced = PCA(parts, svd_solver="full").fit_transform(embeddings.astype(np.float64))
        if few:
            return reduced, "PCA"
        perplexity = min(_PERPLEXITY, (len(embeddings) - 1) / 3)
        tsne = TSNE(2, perplexity=perplexity, init="pca", learning_rate="auto", random_state=seed, n_jobs=1)
        return tsne.fit_transform(reduced).astype(np.float64), "t-SNE"
