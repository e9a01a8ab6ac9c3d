"""Means over areas from running sums, against torch's own pooling."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from facenet.detection.sums import AreaMeans

CPU = torch.device("cpu")


def noise(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def pooled(pictures: np.ndarray, size: tuple[int, int]) -> Tensor:
    """What torch makes of it, computed in double precision."""
    values = torch.from_numpy(pictures).permute(0, 3, 1, 2).double()
    return ((adaptive_avg_pool2d(values, size) - 127.5) / 128).float()


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    count=st.integers(1, 3),
    data=st.data(),
)
def test_levels_are_torchs_area_means(
    height: int, width: int, size: tuple[int, int], count: int, data: st.DataObject
) -> None:
    pictures = noise(count, height, width)
    start = data.draw(st.integers(0, size[0] - 1))
    stop = data.draw(st.integers(start + 1, size[0]))
    first = data.draw(st.integers(0, count - 1))
    level = AreaMeans(pictures, CPU).level(slice(first, count), size, slice(start, stop))
    assert level.dtype == torch.float32
    torch.testing.assert_close(level, pooled(pictures, size)[first:, :, start:stop], rtol=0, atol=2e-6)


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("size", [(12, 12), (13, 19), (700, 1100), (1, 1)])
def test_large_areas_of_the_brightest_pixels_do_not_overflow(value: int, size: tuple[int, int]) -> None:
    white = np.full((1, 1500, 2300, 3), value, dtype=np.uint8)
    level = AreaMeans(white, CPU).level(slice(0, 1), size, slice(0, size[0]))
    assert level.shape == (1, 3, *size)
    assert torch.allclose(level, torch.tensor((value - 127.5) / 128), atol=1e-6)


def test_large_areas_are_summed_up_exactly() -> None:
    pictures = noise(1, 1300, 1700)
    level = AreaMeans(pictures, CPU).level(slice(0, 1), (13, 14), slice(2, 11))
    torch.testing.assert_close(level, pooled(pictures, (13, 14))[:, :, 2:11], rtol=0, atol=2e-6)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from([1, 7, 24]))
def test_boxes_are_torchs_area_means_of_the_cut(data: st.DataObject, side: int) -> None:
    pictures = noise(3, 41, 57)
    boxes = []
    for _ in range(data.draw(st.integers(1, 4))):
        left, top = data.draw(st.integers(0, 56)), data.draw(st.integers(0, 40))
        boxes.append((left, top, data.draw(st.integers(left + 1, 57)), data.draw(st.integers(top + 1, 41))))
    chosen = torch.tensor(data.draw(st.lists(st.integers(0, 2), min_size=len(boxes), max_size=len(boxes))))
    cut = AreaMeans(pictures, CPU).boxes(chosen, torch.tensor(boxes), side)
    for result, number, (left, top, right, bottom) in zip(cut, chosen.tolist(), boxes, strict=True):
        wanted = pooled(pictures[number : number + 1, top:bottom, left:right], (side, side))[0]
        torch.testing.assert_close(result, wanted, rtol=0, atol=2e-6)


def test_the_largest_box_of_the_largest_picture() -> None:
    white = np.full((1, 2000, 2000, 3), 255, dtype=np.uint8)
    cut = AreaMeans(white, CPU).boxes(torch.tensor([0]), torch.tensor([[0, 0, 2000, 2000]]), 24)
    assert torch.allclose(cut, torch.tensor(127.5 / 128))


def test_colours_lie_side_by_side_in_memory() -> None:
    means = AreaMeans(noise(2, 30, 40), CPU)
    assert means.level(slice(0, 2), (18, 24), slice(0, 18)).is_contiguous(memory_format=torch.channels_last)
    assert means.boxes(torch.tensor([1, 0]), torch.tensor([[0, 0, 9, 9]] * 2), 24).is_contiguous(
        memory_format=torch.channels_last
    )
