"""What stands for a person."""

from __future__ import annotations

import numpy as np
import pytest
from gallery_tools import unit
from hypothesis import given
from hypothesis import strategies as st
from oracles_gallery import fuse_slowly

from facenet.gallery.backend import VectorBlock
from facenet.gallery.records import Fusion
from facenet.gallery.templates import first_rows, fuse

MEANS = [Fusion.MEAN, Fusion.QUALITY]


def block(counts: list[int], *, qualities: list[float] | None = None, vectors: np.ndarray | None = None) -> VectorBlock:
    persons = np.repeat(np.arange(len(counts)) * 3 + 1, counts).astype(np.int64)
    rows = unit(len(persons), 6, seed=len(persons)) if vectors is None else vectors
    weights = np.linspace(0, 1, len(persons)) if qualities is None else np.array(qualities)
    return VectorBlock(
        persons, np.arange(len(persons)), rows, weights.astype(np.float32), np.full(len(persons), np.inf)
    )


@given(
    counts=st.lists(st.integers(1, 5), min_size=1, max_size=8),
    fusion=st.sampled_from(list(Fusion)),
    seed=st.integers(0, 1000),
)
def test_agrees_with_loops(counts: list[int], fusion: Fusion, seed: int) -> None:
    n = sum(counts)
    generator = np.random.default_rng(seed)
    qualities = generator.choice([0.0, 0.25, 1.0], n).tolist()
    given_block = block(counts, qualities=qualities, vectors=unit(n, 6, seed=seed))
    persons, rows = fuse(given_block, fusion)
    expected = fuse_slowly(given_block.persons.tolist(), given_block.vectors.tolist(), qualities, fusion)
    assert persons.tolist() == [person for person, _ in expected]
    assert rows.dtype == np.float32 and persons.dtype == np.int64
    np.testing.assert_allclose(rows, np.array([row for _, row in expected]), atol=2e-7)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-6)


def test_max_keeps_rows_as_they_are() -> None:
    given_block = block([2, 3])
    persons, rows = fuse(given_block, Fusion.MAX)
    assert np.array_equal(persons, given_block.persons) and np.array_equal(rows, given_block.vectors)


def test_weights_draw_the_mean() -> None:
    vectors = np.eye(6, dtype=np.float32)[:2]
    _, rows = fuse(block([2], qualities=[0.75, 0.25], vectors=vectors), Fusion.QUALITY)
    np.testing.assert_allclose(rows[0, :2], np.array([3, 1]) / np.sqrt(10), atol=1e-7)


def test_no_weight_at_all_is_the_plain_mean() -> None:
    given_block = block([3, 2], qualities=[0, 0, 0, 0.5, 0.5])
    assert np.array_equal(fuse(given_block, Fusion.QUALITY)[1], fuse(given_block, Fusion.MEAN)[1])


@pytest.mark.parametrize("fusion", MEANS)
def test_opposite_vectors_leave_the_one_that_weighs_most(fusion: Fusion) -> None:
    row = unit(1, 6)[0]
    vectors = np.stack([row, -row])
    _, rows = fuse(block([2], qualities=[0.5, 0.5], vectors=vectors), fusion)
    assert np.array_equal(rows[0], row)


def test_a_weight_of_zero_takes_no_part() -> None:
    row = unit(3, 6)
    _, rows = fuse(block([3], qualities=[1.0, 0.0, 0.0], vectors=row), Fusion.QUALITY)
    np.testing.assert_allclose(rows[0], row[0], atol=1e-7)


@pytest.mark.parametrize("fusion", list(Fusion))
def test_nobody(fusion: Fusion) -> None:
    persons, rows = fuse(block([]), fusion)
    assert persons.shape == (0,) and rows.shape == (0, 6)


def test_first_rows() -> None:
    assert first_rows(np.array([4, 4, 7, 9, 9, 9])).tolist() == [0, 2, 3]
    assert first_rows(np.empty(0, np.int64)).tolist() == []
