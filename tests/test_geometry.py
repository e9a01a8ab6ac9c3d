"""Normalising, cosine and squared L2 against double precision and against the laws they obey."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from facenet.geometry import (
    cosine,
    cosine_to_squared_l2,
    normalise,
    paired_cosine,
    paired_squared_l2,
    squared_l2,
    squared_l2_to_cosine,
)

HALVES = (torch.float16, torch.bfloat16)


@st.composite
def vectors(draw: st.DrawFn, rows: int | None = None, width: int | None = None) -> Tensor:
    """Rows of very different lengths, some equal, opposite or zero."""
    n = draw(st.integers(1, 7)) if rows is None else rows
    d = draw(st.integers(1, 40)) if width is None else width
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10_000)))
    table = torch.randn(n, d, generator=generator)
    for row in range(n):
        kind = draw(st.sampled_from(["as it is", "as it is", "copy", "opposite", "zero"]))
        if kind == "zero":
            table[row] = 0
        elif kind != "as it is":
            table[row] = table[0] if kind == "copy" else -table[0]
    lengths = draw(st.lists(st.floats(-6, 6), min_size=n, max_size=n))
    return table * (10.0 ** torch.tensor(lengths, dtype=torch.float32))[:, None]


@st.composite
def two_sets(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    width = draw(st.integers(1, 40))
    return normalise(draw(vectors(width=width))), normalise(draw(vectors(width=width)))


def exact_cosine(a: Tensor, b: Tensor) -> np.ndarray:
    return a.double().numpy() @ b.double().numpy().T


@settings(deadline=None, max_examples=50)
@given(vectors())
def test_normalised_rows_point_the_same_way_and_have_length_one(rows: Tensor) -> None:
    unit = normalise(rows)
    assert unit.dtype == torch.float32 and unit.shape == rows.shape
    for given_row, row in zip(rows.double().tolist(), unit.tolist(), strict=True):
        length = math.sqrt(sum(value**2 for value in given_row))
        expected = [value / length for value in given_row] if length else given_row
        assert row == pytest.approx(expected, abs=1e-6)


@settings(deadline=None, max_examples=50)
@given(vectors(), st.floats(1e-3, 1e3))
def test_normalising_twice_or_after_scaling_changes_nothing(rows: Tensor, factor: float) -> None:
    unit = normalise(rows)
    torch.testing.assert_close(normalise(unit), unit, atol=1e-6, rtol=0)
    torch.testing.assert_close(normalise(rows * factor), unit, atol=1e-6, rtol=0)


@pytest.mark.parametrize("dtype", HALVES)
def test_half_precision_is_normalised_in_float32(dtype: torch.dtype) -> None:
    # Squared in float16, 300 overflows and 1e-4 vanishes.
    rows = torch.tensor([[300.0, 400.0, 0.0], [1e-4, 0.0, 0.0], [0.0, 0.0, 0.0]]).to(dtype)
    unit = normalise(rows)
    assert unit.dtype == torch.float32
    exact = rows.double() / rows.double().norm(dim=1, keepdim=True).clamp(min=1e-30)
    torch.testing.assert_close(unit.double(), exact, atol=1e-6, rtol=0)


def test_double_precision_stays() -> None:
    rows = torch.randn(4, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    unit = normalise(rows)
    assert unit.dtype == torch.float64
    assert float((unit.norm(dim=1) - 1).abs().max()) < 1e-15
    assert cosine(unit, unit.float()).dtype == torch.float64


@settings(deadline=None, max_examples=50)
@given(two_sets())
def test_all_pairs_equal_double_precision_and_stay_in_range(sets: tuple[Tensor, Tensor]) -> None:
    a, b = sets
    similarity, distance = cosine(a, b), squared_l2(a, b)
    assert similarity.shape == distance.shape == (len(a), len(b))
    assert float(similarity.min()) >= -1 and float(similarity.max()) <= 1
    assert float(distance.min()) >= 0 and float(distance.max()) <= 4
    exact = exact_cosine(a, b)
    np.testing.assert_allclose(similarity, exact, atol=1e-6)
    if (a.norm(dim=1) > 0).all() and (b.norm(dim=1) > 0).all():
        differences = a.double()[:, None] - b.double()[None]
        np.testing.assert_allclose(distance, differences.square().sum(dim=-1), atol=2e-6)


@settings(deadline=None, max_examples=50)
@given(two_sets())
def test_distance_is_two_minus_two_cosine_everywhere(sets: tuple[Tensor, Tensor]) -> None:
    a, b = sets
    similarity = cosine(a, b)
    assert torch.equal(squared_l2(a, b), 2 - 2 * similarity)
    assert torch.equal(squared_l2(a, b), cosine_to_squared_l2(similarity))
    torch.testing.assert_close(squared_l2_to_cosine(squared_l2(a, b)), similarity, atol=3e-7, rtol=0)


@settings(deadline=None, max_examples=50)
@given(two_sets())
def test_both_ways_round_are_equal(sets: tuple[Tensor, Tensor]) -> None:
    a, b = sets
    torch.testing.assert_close(cosine(a, b), cosine(b, a).T, atol=1e-6, rtol=0)
    torch.testing.assert_close(squared_l2(a, b), squared_l2(b, a).T, atol=2e-6, rtol=0)


@settings(deadline=None, max_examples=50)
@given(vectors(rows=5, width=16), vectors(rows=5, width=16))
def test_paired_functions_are_the_diagonals(first: Tensor, second: Tensor) -> None:
    a, b = normalise(first), normalise(second)
    both = (a.norm(dim=1) > 0) & (b.norm(dim=1) > 0)
    assert paired_cosine(a, b).shape == paired_squared_l2(a, b).shape == (5,)
    torch.testing.assert_close(paired_cosine(a, b), cosine(a, b).diagonal(), atol=1e-6, rtol=0)
    torch.testing.assert_close(paired_squared_l2(a, b)[both], squared_l2(a, b).diagonal()[both], atol=2e-6, rtol=0)


def test_rounding_never_leaves_the_range() -> None:
    a = normalise(torch.randn(5_000, 128, generator=torch.Generator().manual_seed(0)))
    # Without clamping a fifth of these would be out by a rounding error.
    assert float((a * a).sum(dim=1).max()) > 1
    assert float(paired_cosine(a, a).max()) == 1 and float(paired_cosine(a, -a).min()) == -1
    assert float(paired_squared_l2(a, -a).max()) == 4 and float(paired_squared_l2(a, a).max()) == 0
    few = a[:200]
    assert float(squared_l2(few, few).min()) == 0 and float(squared_l2(few, -few).max()) == 4


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("compare", [cosine, squared_l2, paired_cosine, paired_squared_l2])
def test_half_precision_is_compared_in_float32(compare: Callable[[Tensor, Tensor], Tensor], dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (normalise(torch.randn(6, 512, generator=generator)).to(dtype) for _ in range(2))
    result = compare(a, b)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, compare(a.double(), b.double()).float(), atol=1e-6, rtol=0)
    mixed = compare(a, b.float())
    assert mixed.dtype == torch.float32 and torch.equal(mixed, result)


@pytest.mark.parametrize("compare", [cosine, squared_l2, paired_cosine, paired_squared_l2])
def test_gradients_are_finite_at_zero_distance_and_for_zero_rows(compare: Callable[[Tensor, Tensor], Tensor]) -> None:
    raw = torch.tensor([[3.0, 4.0], [3.0, 4.0], [-3.0, -4.0], [0.0, 0.0]], requires_grad=True)
    unit = normalise(raw)
    compare(unit, unit.flip(0)).sum().backward()
    assert raw.grad is not None and bool(raw.grad.isfinite().all())


def test_the_gradient_of_a_distance_is_that_of_double_precision() -> None:
    generator = torch.Generator().manual_seed(0)
    raw = torch.randn(4, 8, generator=generator, dtype=torch.float64, requires_grad=True)
    other = normalise(torch.randn(3, 8, generator=generator, dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda x: squared_l2(normalise(x), other), (raw,))
    assert torch.autograd.gradcheck(lambda x: paired_squared_l2(normalise(x)[:3], other), (raw,))


def test_conversions_take_numbers_and_arrays_too() -> None:
    assert [cosine_to_squared_l2(c) for c in (1.0, 0.0, -1.0)] == [0.0, 2.0, 4.0]
    assert [squared_l2_to_cosine(d) for d in (0.0, 2.0, 4.0)] == [1.0, 0.0, -1.0]
    values = np.linspace(-1, 1, 9, dtype=np.float32)
    assert cosine_to_squared_l2(values).dtype == np.float32
    np.testing.assert_array_equal(squared_l2_to_cosine(cosine_to_squared_l2(values)), values)


def test_no_rows_give_an_empty_table() -> None:
    empty, some = torch.empty(0, 8), normalise(torch.ones(3, 8))
    assert normalise(empty).shape == (0, 8)
    assert cosine(empty, some).shape == (0, 3) and squared_l2(some, empty).shape == (3, 0)


def test_nan_is_not_hidden() -> None:
    rows = torch.tensor([[float("nan"), 1.0], [0.0, 1.0]])
    assert normalise(rows)[0].isnan().all() and not normalise(rows)[1].isnan().any()
    assert cosine(normalise(rows), normalise(rows))[0].isnan().all()


def test_rows_of_different_widths_are_refused() -> None:
    with pytest.raises(RuntimeError):
        cosine(torch.ones(2, 3), torch.ones(2, 4))
