"""Bands around curves, against loops over people."""

from __future__ import annotations

import numpy as np
import pytest
from made_up_studies import identification_study, verification_study

from facenet.evaluation.comparisons import Comparisons
from facenet.evaluation.confidence import person_copies
from facenet.evaluation.curve import curve_of
from facenet.evaluation.open_set import open_set_curve
from facenet.evaluation.plots.bands import REPLICATES, open_set_band, roc_band
from facenet.evaluation.searches import Searches

SEED = 5


@pytest.fixture(scope="module")
def comparisons() -> Comparisons:
    found = verification_study(12, 4, replicates=20, folds=None).comparisons
    assert found is not None
    return found


def slow_roc_band(comparisons: Comparisons, fmr: np.ndarray, recall: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """TAR at each FMR and precision at each recall, in every replicate, threshold by threshold."""
    thresholds = np.unique(comparisons.scores)[::-1]
    tars, precisions = [], []
    for copies in person_copies(comparisons.people, replicates=REPLICATES, seed=SEED):
        one, other = (copies[comparisons.owners[side]] for side in (comparisons.first, comparisons.second))
        weight = np.where(comparisons.genuine, one, one * other)
        genuine, impostor = weight * comparisons.genuine, weight * ~comparisons.genuine
        points = [(0.0, 0.0, 1.0)]
        for threshold in thresholds:
            accepted = comparisons.scores >= threshold
            right, wrong = genuine[accepted].sum(), impostor[accepted].sum()
            points.append((wrong / impostor.sum(), right / genuine.sum(), right / max(right + wrong, 1)))
        tars.append([max(tar for rate, tar, _ in points if rate <= limit + 1e-12) for limit in fmr])
        precisions.append([next(p for _, tar, p in points if tar >= level - 1e-12) for level in recall])
    return np.array(tars), np.array(precisions)


def test_the_band_of_the_roc_is_that_of_a_loop_over_people(comparisons: Comparisons) -> None:
    curve = curve_of(comparisons.scores, comparisons.genuine)
    tar, precision = roc_band(comparisons, curve, seed=SEED)
    places = np.linspace(1, len(curve.fmr) - 1, 12).astype(int)
    slow = slow_roc_band(comparisons, curve.fmr[places], curve.tar[places])
    for band, replicates in zip((tar, precision), slow, strict=True):
        low, high = np.quantile(replicates, [0.025, 0.975], axis=0)
        np.testing.assert_allclose(band.low[places], low, atol=1e-9)
        np.testing.assert_allclose(band.high[places], high, atol=1e-9)


def test_a_band_lies_around_its_curve(comparisons: Comparisons) -> None:
    curve = curve_of(comparisons.scores, comparisons.genuine)
    tar, _ = roc_band(comparisons, curve, seed=0)
    middle = (curve.fmr > 0.05) & (curve.fmr < 0.95)
    assert (tar.low <= tar.high).all()
    assert np.mean((tar.low <= curve.tar) & (curve.tar <= tar.high), where=middle) > 0.95


def test_without_errors_the_band_has_no_width() -> None:
    owners = np.repeat(np.arange(6, dtype=np.int32), 2)
    first, second = (side.astype(np.int32) for side in np.triu_indices(12, 1))
    same = owners[first] == owners[second]
    perfect = Comparisons(np.where(same, 0.9, 0.1).astype(np.float32), same, first, second, owners)
    tar, precision = roc_band(perfect, curve_of(perfect.scores, same), seed=0)
    assert tar.low[1:].tolist() == tar.high[1:].tolist() == [1, 1]
    assert precision.low[1] == precision.high[1] == 1


@pytest.fixture(scope="module")
def searches() -> Searches:
    found = identification_study(10, 4, 8, replicates=20).searches
    assert found is not None
    return found


@pytest.mark.parametrize("rank", [1, None])
def test_the_band_of_the_open_set_curve_is_that_of_a_loop_over_people(searches: Searches, rank: int | None) -> None:
    fpir, _, thresholds = open_set_curve(searches, rank)
    band = open_set_band(searches, rank, fpir, thresholds, seed=SEED)
    assert band is not None
    enrolled = person_copies(len(np.unique(searches.mated_people)), replicates=REPLICATES, seed=SEED)
    strangers = person_copies(len(np.unique(searches.stranger_people)), replicates=REPLICATES, seed=SEED + 1)
    rows = []
    for ours, theirs in zip(enrolled, strangers, strict=True):
        weights, others = ours[searches.mated_people], theirs[searches.stranger_people]
        right = searches.ranks <= (searches.enrolled if rank is None else rank)
        points = [
            (
                others[searches.stranger_scores >= threshold].sum() / others.sum(),
                1 - weights[(searches.own_scores >= threshold) & right].sum() / weights.sum(),
            )
            for threshold in thresholds
        ]
        rows.append([min(miss for rate, miss in points if rate <= limit + 1e-12) for limit in fpir])
    low, high = np.quantile(rows, [0.025, 0.975], axis=0)
    np.testing.assert_allclose(band.low, low, atol=1e-9)
    np.testing.assert_allclose(band.high, high, atol=1e-9)


def test_too_many_counts_give_no_band(searches: Searches, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facenet.evaluation.plots.bands._MOST_COUNTS", 10)
    fpir, _, thresholds = open_set_curve(searches, 1)
    assert open_set_band(searches, 1, fpir, thresholds, seed=0) is None
