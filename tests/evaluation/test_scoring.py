"""Cosines of listed pairs: the same numbers by either way, whatever the tiles, the order and the types."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from facenet import geometry
from facenet.errors import InputError
from facenet.evaluation import scoring
from facenet.evaluation.scoring import score_rows

WAYS = {"multiplied": 10**9, "fetched": 0}
"""Cells that one pair is worth, so that one of the two ways is always taken."""


def embeddings_of(count: int, size: int, seed: int = 0) -> Tensor:
    return geometry.normalise(torch.randn(count, size, generator=torch.Generator().manual_seed(seed)))


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(scoring, "_CELLS_PER_PAIR", WAYS[request.param])
    return str(request.param)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 39), st.integers(0, 39)), max_size=60),
    st.integers(1, 50),
    st.sampled_from(sorted(WAYS)),
    st.sampled_from([np.int32, np.int64, np.uint8]),
)
def test_scores_are_cosines_whatever_the_tiles(rows: list[tuple[int, int]], side: int, way: str, kind: type) -> None:
    embeddings = embeddings_of(40, 7)
    first, second = np.array(rows, dtype=kind).reshape(-1, 2).T
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "_CELLS_PER_PAIR", WAYS[way])
        scores = score_rows(embeddings, first, second, side=side)
    table = geometry.cosine(embeddings.double(), embeddings.double()).numpy()
    assert scores.dtype == np.float32 and scores.shape == first.shape
    np.testing.assert_allclose(scores, table[first, second], atol=1e-6)


def test_many_blocks_and_many_rows(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles grow where there would be more of them than numbers, and rows are fetched in several goes."""
    monkeypatch.setattr(scoring, "_MOST_BLOCKS", 5)
    monkeypatch.setattr(scoring, "_VALUES_ALONE", 100)
    generator = np.random.default_rng(0)
    embeddings = embeddings_of(300, 16)
    first, second = generator.integers(0, 300, (2, 2_000))
    table = geometry.cosine(embeddings, embeddings).numpy()
    np.testing.assert_allclose(score_rows(embeddings, first, second, side=2), table[first, second], atol=1e-6)


def test_order_and_direction_do_not_matter(way: str) -> None:
    generator = np.random.default_rng(1)
    embeddings = embeddings_of(150, 33)
    first, second = generator.integers(0, 150, (2, 1_000))
    order = generator.permutation(1_000)
    scores = score_rows(embeddings, first, second, side=64)
    np.testing.assert_array_equal(score_rows(embeddings, first[order], second[order], side=64), scores[order])
    np.testing.assert_allclose(score_rows(embeddings, second, first, side=64), scores, atol=1e-6)


@pytest.mark.parametrize("size", [7, 128, 500, 512])
def test_equal_rows_score_equally(way: str, size: int) -> None:
    """A network that gives one embedding for all must come out at chance, not at the whim of rounding."""
    rows, pairs = 1_100, 40_000
    embeddings = embeddings_of(1, size).expand(rows, size)
    first, second = np.random.default_rng(2).integers(0, rows, (2, pairs))
    scores = score_rows(embeddings, first, second)
    assert len(np.unique(scores)) == 1 and scores[0] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_other_types_are_widened_first(way: str, kind: torch.dtype) -> None:
    embeddings = embeddings_of(20, 8).to(kind)
    first, second = np.arange(19), np.arange(1, 20)
    wanted = geometry.paired_cosine(embeddings[:-1].double(), embeddings[1:].double()).numpy()
    np.testing.assert_allclose(score_rows(embeddings, first, second), wanted, atol=1e-6)


def test_a_row_of_nan_spoils_its_own_pairs_only(way: str) -> None:
    embeddings = embeddings_of(6, 8)
    embeddings[2] = torch.nan
    first, second = np.array([0, 2, 3, 5]), np.array([1, 1, 2, 4])
    assert np.isnan(score_rows(embeddings, first, second)).tolist() == [False, True, True, False]


def test_dense_pairs_are_multiplied_and_few_are_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    for name in ("_multiply_tiles", "_fetch_rows"):
        monkeypatch.setattr(scoring, name, lambda *arguments, name=name: called.append(name))
    every, other = (axis.ravel() for axis in np.indices((1_100, 1_100)))
    score_rows(embeddings_of(1_100, 4), every, other)
    score_rows(embeddings_of(1_100, 4), every[:1_000], other[:1_000])
    assert called == ["_multiply_tiles", "_fetch_rows"]


def test_bad_calls_are_refused() -> None:
    rows = embeddings_of(3, 4)
    for first, second in (([0, 3], [1, 1]), ([0, 1], [1, -1]), ([0, 1], [1]), ([[0]], [[1]])):
        with pytest.raises(InputError):
            score_rows(rows, np.array(first), np.array(second))
    assert score_rows(rows, np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)).shape == (0,)
