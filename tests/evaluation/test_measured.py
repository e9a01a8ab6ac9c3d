"""What a threshold does on other people, against counting loops."""

from __future__ import annotations

import math

import numpy as np
import oracles_calibration as oracle
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from facenet.errors import InputError
from facenet.evaluation.calibration import calibrate_fmr, calibrate_fpir
from facenet.evaluation.identification import identify
from facenet.evaluation.measured import measure_fmr, measure_fpir, miss_rate
from facenet.geometry import cosine, normalise


def rows(labels: np.ndarray, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    centres = normalise(torch.randn(int(labels.max()) + 1, 12, generator=generator))
    return normalise(centres[torch.from_numpy(labels)] + 0.2 * torch.randn(len(labels), 12, generator=generator))


@pytest.mark.parametrize("threshold", [-1.0, 0.2, 0.5, 0.99])
def test_false_matches_are_counted(threshold: float) -> None:
    labels = np.random.default_rng(0).integers(0, 9, size=40)
    embeddings = rows(labels)
    scores = cosine(embeddings, embeddings)
    impostor = [float(scores[pair]) for pair in oracle.pairs_of(labels.tolist())[1]]
    found = measure_fmr(embeddings, labels, threshold)
    assert found.rate == oracle.error_rate(impostor, threshold)
    assert (found.count, found.people) == (len(impostor), len(set(labels.tolist())))
    assert found.errors == sum(score >= threshold for score in impostor)
    if found.errors == 0:
        assert found.interval == (0, 3 / len(impostor))
    else:
        assert found.interval[0] <= found.rate <= found.interval[1]


def test_on_its_own_data_a_threshold_does_what_it_says() -> None:
    labels = np.repeat(np.arange(50), 3)
    embeddings = rows(labels)
    threshold = calibrate_fmr(embeddings, labels, 0.01, fingerprint="")
    again = measure_fmr(embeddings, labels, threshold.value)
    assert (again.rate, again.errors, again.interval) == (threshold.measured, threshold.errors, threshold.interval)
    scores = np.random.default_rng(1).uniform(-1, 1, 400)
    searched = calibrate_fpir(scores, np.arange(400) // 4, 0.05, gallery_people=9, fingerprint="")
    again = measure_fpir(scores, np.arange(400) // 4, searched.value)
    assert (again.rate, again.interval, again.people) == (searched.measured, searched.interval, 100)


searches = st.lists(st.tuples(st.integers(0, 3), st.integers(-10, 10), st.integers(0, 3)), min_size=1, max_size=30)


@given(searches, st.floats(-1.1, 1.1))
def test_misses_are_counted(found: list[tuple[int, int, int]], threshold: float) -> None:
    best, scores, right = (np.array(column) for column in zip(*found, strict=True))
    misses = sum(not (b == r and s / 10 >= threshold) for b, s, r in found)
    assert miss_rate(best, scores / 10, right, threshold) == misses / len(found)


def test_a_nan_score_is_a_miss() -> None:
    assert miss_rate(np.array([1]), np.array([math.nan]), np.array([1]), -math.inf) == 1


def test_without_a_threshold_misses_are_what_rank_one_leaves() -> None:
    labels = np.repeat(np.arange(30), 6)
    embeddings = rows(labels)
    enrolled = np.arange(len(labels)) % 6 < 3
    templates, probes = embeddings[torch.from_numpy(enrolled)], embeddings[torch.from_numpy(~enrolled)]
    scores, best = cosine(probes, templates).max(dim=1)
    missed = miss_rate(labels[enrolled][best.numpy()], scores.numpy(), labels[~enrolled], -math.inf)
    rank_one = identify(probes, labels[~enrolled], templates, labels[enrolled]).rank_rates[1].value
    assert rank_one is not None and missed == pytest.approx(1 - rank_one)


def test_nothing_to_measure_is_refused() -> None:
    nobody = np.empty(0, dtype=np.int64)
    with pytest.raises(InputError):
        measure_fpir(np.empty(0), nobody, 0.5)
    with pytest.raises(InputError):
        miss_rate(nobody, np.empty(0), nobody, 0.5)
    with pytest.raises(InputError):
        miss_rate(np.arange(3), np.zeros(2), np.arange(3), 0.5)
    with pytest.raises(InputError, match="two people"):
        measure_fmr(rows(np.zeros(5, dtype=np.int64)), np.zeros(5, dtype=np.int64), 0.5)
    with pytest.raises(InputError, match="no cosines"):
        measure_fpir(np.array([0.1, math.nan]), np.arange(2), 0.5)
