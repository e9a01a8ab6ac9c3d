"""Arithmetic on boxes, against slow and obvious forms of the same."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from facenet.detection.boxes import best, moved, pixels_within, squared, suppressed, uncovered


def some_boxes(count: int, seed: int, spread: int = 60) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * spread
    return torch.cat([corner, corner + 5 + 35 * torch.rand(count, 2, generator=generator)], dim=1)


def some_scores(count: int, seed: int) -> Tensor:
    return torch.rand(count, generator=torch.Generator().manual_seed(seed))


def shared_area(a: Tensor, b: Tensor, one: int) -> float:
    wide = min(a[2], b[2]) - max(a[0], b[0]) + one
    high = min(a[3], b[3]) - max(a[1], b[1]) + one
    return float(max(wide, 0) * max(high, 0))


def area(box: Tensor, one: int) -> float:
    return float((box[2] - box[0] + one) * (box[3] - box[1] + one))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 30), st.integers(0, 10_000), st.integers(1, 4), st.sampled_from([0.3, 0.5, 0.7]))
def test_suppression_keeps_the_better_of_two_within_a_group(count: int, seed: int, groups: int, overlap: float) -> None:
    boxes, scores = some_boxes(count, seed), some_scores(count, seed)
    group = (torch.arange(count) * groups) // max(1, count) * 3
    kept: list[int] = []
    for row in scores.argsort(descending=True).tolist():
        rivals = [other for other in kept if group[other] == group[row]]
        common = [shared_area(boxes[row], boxes[other], 0) for other in rivals]
        unions = [area(boxes[row], 0) + area(boxes[o], 0) - c for o, c in zip(rivals, common, strict=True)]
        if all(c <= overlap * union for c, union in zip(common, unions, strict=True)):
            kept.append(row)
    found = suppressed(boxes, scores, group, overlap)
    assert found.dtype == torch.int64 and sorted(found.tolist()) == sorted(kept)
    assert group[found].tolist() == sorted(group[found].tolist())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 25), st.integers(0, 10_000))
def test_a_box_within_a_better_one_is_dropped(count: int, seed: int) -> None:
    boxes, scores = some_boxes(count, seed), some_scores(count, seed)
    kept: list[int] = []
    for row in scores.argsort(descending=True).tolist():
        smaller = [min(area(boxes[row], 1), area(boxes[other], 1)) for other in kept]
        common = [shared_area(boxes[row], boxes[other], 1) for other in kept]
        if all(c <= 0.7 * s for c, s in zip(common, smaller, strict=True)):
            kept.append(row)
    assert uncovered(boxes, scores, 0.7).tolist() == kept


def test_of_equally_good_boxes_the_later_stays() -> None:
    assert uncovered(torch.tensor([[0.0, 0, 10, 10], [0, 0, 11, 11]]), torch.tensor([0.9, 0.9]), 0.7).tolist() == [1]


@given(st.lists(st.integers(0, 3), max_size=30), st.integers(1, 6), st.integers(0, 1000))
def test_no_group_keeps_more_than_its_best(groups: list[int], most: int, seed: int) -> None:
    group, scores = torch.tensor(sorted(groups), dtype=torch.int64), some_scores(len(groups), seed)
    kept = best(scores, group, most)
    for number in range(4):
        own = (group == number).nonzero().flatten()
        wanted = own[scores[own].argsort(descending=True)[:most]]
        assert sorted(kept[group[kept] == number].tolist()) == sorted(wanted.tolist())
    assert group[kept].tolist() == sorted(group[kept].tolist())


@given(st.integers(1, 20), st.integers(0, 1000))
def test_squares_have_the_longer_side_and_the_same_centre(count: int, seed: int) -> None:
    boxes = some_boxes(count, seed)
    square = squared(boxes)
    size, wanted = square[:, 2:] - square[:, :2], (boxes[:, 2:] - boxes[:, :2]).amax(dim=1, keepdim=True)
    assert torch.allclose(size, wanted.expand(-1, 2))
    assert torch.allclose(square[:, 2:] + square[:, :2], boxes[:, 2:] + boxes[:, :2])


def test_edges_move_by_shares_of_the_size() -> None:
    box, shares = torch.tensor([[10.0, 20, 30, 60]]), torch.tensor([[0.1, -0.1, 0.5, 0.25]])
    assert torch.allclose(moved(box, shares, extra=0), torch.tensor([[12.0, 16, 40, 70]]))
    assert torch.allclose(moved(box, shares, extra=1), torch.tensor([[12.1, 15.9, 40.5, 70.25]]))


def test_only_what_lies_in_the_picture_is_looked_at() -> None:
    boxes = torch.tensor([[3.9, 4.2, 9.8, 12.0], [-5.5, -0.5, 60, 90], [50, 2, 60, 9], [2, -9, 8, 0.9], [7, 7, 5, 9]])
    corners, inside = pixels_within(boxes, height=30, width=40)
    assert inside.tolist() == [True, True, False, False, False]
    # Counted from 1: what starts at 3 starts with the third pixel.
    assert corners[0].tolist() == [2, 3, 9, 12]
    assert corners[1].tolist() == [0, 0, 40, 30]
