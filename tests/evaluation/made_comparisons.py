"""Comparisons for tests: a few at random with many ties, and crowds whose people differ in how hard they are."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from facenet.evaluation.comparisons import Comparisons

dyadic = st.one_of(st.integers(-4, 4).map(lambda step: step / 4), st.integers(-64, 64).map(lambda step: step / 64))
"""Scores of which many are equal, and whose midpoints are exact in float32 as in float64."""


@st.composite
def few_comparisons(draw: st.DrawFn, folds: int = 0) -> Comparisons:
    """Up to 25 comparisons of up to 10 samples, with both kinds (in every fold)."""
    owners = [0, 0, 1, *draw(st.lists(st.integers(0, 4), max_size=7))]
    everyone = st.tuples(*[st.integers(0, len(owners) - 1)] * 2)
    apart = [(draw(st.permutations((0, 1))), (draw(st.sampled_from((0, 1))), 2)) for _ in range(max(folds, 1))]
    pairs = [tuple(pair) for couple in apart for pair in couple]
    numbers = [fold for fold in range(max(folds, 1)) for _ in range(2)]
    for pair in draw(st.lists(everyone.filter(lambda pair: pair[0] != pair[1]), max_size=20)):
        pairs.append(pair)
        numbers.append(draw(st.integers(0, max(folds, 1) - 1)))
    order = draw(st.permutations(range(len(pairs))))
    scores = draw(st.lists(dyadic, min_size=len(pairs), max_size=len(pairs)))
    return comparisons_of(
        scores,
        [pairs[place] for place in order],
        owners,
        [3 * numbers[place] + 2 for place in order] if folds else None,
    )


def comparisons_of(
    scores: Any, pairs: Any, owners: Any, folds: Any = None, failed: NDArray[np.bool_] | None = None
) -> Comparisons:
    """Comparisons from plain lists; ``pairs`` name samples."""
    people = np.array(owners, dtype=np.int32)
    first, second = np.array(pairs, dtype=np.int32).T
    return Comparisons(
        np.array(scores, dtype=np.float32),
        people[first] == people[second],
        np.ascontiguousarray(first),
        np.ascontiguousarray(second),
        people,
        None if folds is None else np.array(folds, dtype=np.int32),
        failed,
    )


def crowd(
    people: int, *, genuine: int, impostor: int, seed: int, apart: float = 0.5, hardness: float = 0.05
) -> Comparisons:
    """So many comparisons of people with four pictures each; normal scores, to which everybody adds their own."""
    generator = np.random.default_rng(seed)
    ours = generator.integers(people, size=genuine)
    theirs = (generator.integers(people, size=impostor) + np.array([[0], [1]])) % people
    theirs[1] = (theirs[0] + generator.integers(1, people, size=impostor)) % people
    sides = np.concatenate([np.stack([ours, ours]), theirs], axis=1)
    pictures = 4 * sides + np.stack(
        [generator.integers(0, 2, genuine + impostor), generator.integers(2, 4, genuine + impostor)]
    )
    same = np.arange(genuine + impostor) < genuine
    own = generator.normal(0, hardness, people)
    scores = (generator.normal(0, 0.1, len(same)) + apart * same + own[sides].sum(axis=0)).clip(-1, 1)
    order = generator.permutation(len(same))
    return comparisons_of(scores[order], pictures.T[order], np.repeat(np.arange(people), 4))


def reordered(comparisons: Comparisons, order: Any, *, swap: bool = False) -> Comparisons:
    """The same comparisons in another order, and with the two sides swapped if asked for."""
    first, second = comparisons.first[order], comparisons.second[order]
    return Comparisons(
        comparisons.scores[order],
        comparisons.genuine[order],
        second if swap else first,
        first if swap else second,
        comparisons.owners,
        None if comparisons.folds is None else comparisons.folds[order],
        None if comparisons.failed is None else comparisons.failed[order],
    )
