"""The guard: what it lets pass, and what it says when it stops a run."""

from __future__ import annotations

import math

import pytest
import torch
from toys import toy_config

from facenet.errors import EmbeddingCollapse, TrainingDiverged
from facenet.training.guard import CollapseGuard


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number(loss: float) -> None:
    guard = CollapseGuard(toy_config(lr=0.5))
    with pytest.raises(TrainingDiverged, match=r"at step 7.*0\.5.*--lr 0\.05, --clip 1") as caught:
        guard.check_loss(loss, 7)
    assert "\n" not in str(caught.value) and caught.value.exit_code == 3
    guard.check_loss(0.0, 7)
    guard.check_loss(1e30, 7)


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_weights_that_are_no_numbers(broken: float) -> None:
    guard = CollapseGuard(toy_config(lr=0.5))
    good = [torch.zeros(3), torch.full((2, 2), 1e30)]
    guard.check_weights(good, 7)
    guard.check_weights([], 7)
    with pytest.raises(TrainingDiverged, match=r"by step 7.*--lr 0\.05"):
        guard.check_weights([*good, torch.tensor([0.0, broken])], 7)


def test_only_collapsed_steps_in_a_row_count() -> None:
    guard = CollapseGuard(toy_config(), least_spread=0.1, steps=3)
    for spread in (0.0, 0.0, 0.1, 0.0, 0.0, 1.0, 0.0, 0.0):
        guard.check_spread(spread, 1)
    assert guard.collapsed_steps == 2
    with pytest.raises(EmbeddingCollapse, match="for 3 steps up to step 9.*spread 0.05") as caught:
        guard.check_spread(0.05, 9)
    assert "\n" not in str(caught.value) and caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        ({"mining": "hard"}, "--mining semihard"),
        ({"mining": "semihard"}, "--lr 0.001"),
        # Nothing is mined here.
        ({"mining": "hard", "triplets": "sampled"}, "--lr 0.001"),
        ({"mining": "hard", "task": "classification"}, "--lr 0.001"),
        ({"mining": "hard", "task": "siamese"}, "--lr 0.001"),
        ({"triplets": "sampled", "loss": "mean-difference"}, "--loss squared-l2"),
    ],
)
def test_the_remedy_fits_the_cause(settings: dict[str, str], remedy: str) -> None:
    guard = CollapseGuard(toy_config(lr=0.01, **settings), steps=1)
    with pytest.raises(EmbeddingCollapse, match=remedy) as caught:
        guard.check_spread(0.0, 1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("task", ["classification", "siamese"])
def test_a_head_may_learn_from_small_differences(task: str) -> None:
    guard = CollapseGuard(toy_config(task=task), steps=1)
    guard.check_spread(0.001, 1)
    with pytest.raises(EmbeddingCollapse):
        guard.check_spread(1e-5, 2)
    with pytest.raises(EmbeddingCollapse):
        CollapseGuard(toy_config(), steps=1).check_spread(0.001, 1)
