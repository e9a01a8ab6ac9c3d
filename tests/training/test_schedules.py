"""Optimisers and schedules against formulas written out."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn
from toys import toy_config

from facenet.training.schedules import Schedule, build_optimiser, gradient_norm

STEPS, EPOCHS = 5, 4


def rates(settings: dict[str, Any], values: list[float] | None = None) -> list[float]:
    """The learning rate of every step of a run."""
    config = toy_config(epochs=EPOCHS, lr=0.2, **settings)
    optimiser = build_optimiser([nn.Parameter(torch.zeros(1))], config)
    schedule = Schedule(optimiser, config, STEPS)
    found = []
    for epoch in range(EPOCHS):
        for _ in range(STEPS):
            found.append(schedule.lr)
            optimiser.step()
            schedule.after_step()
        schedule.after_epoch()
        if values is not None:
            schedule.after_evaluation(values[epoch])
    return found


def test_constant() -> None:
    assert rates({"schedule": "constant"}) == [0.2] * 20


def test_step() -> None:
    expected = [0.2] * 10 + [0.1] * 10
    assert rates({"schedule": "step", "step_epochs": 2, "gamma": 0.5}) == pytest.approx(expected)


def test_exponential() -> None:
    expected = [0.2 * 0.5**epoch for epoch in range(EPOCHS) for _ in range(STEPS)]
    assert rates({"schedule": "exponential", "gamma": 0.5}) == pytest.approx(expected)


def test_cosine_rises_then_falls() -> None:
    found = rates({"schedule": "cosine", "warmup": 0.2})
    rising = [0.2 * (0.01 + 0.99 * step / 4) for step in range(4)]
    falling = [0.2 * 0.5 * (1 + math.cos(math.pi * step / 16)) for step in range(16)]
    assert found == pytest.approx(rising + falling)
    assert found[4] == 0.2 and 0 < found[-1] < 0.01


def test_plateau_waits() -> None:
    settings = {"schedule": "plateau", "step_epochs": 1, "gamma": 0.5}
    assert rates(settings, [0.5, 0.6, 0.7, 0.8]) == [0.2] * 20
    # No better in epochs 2 and 3: more than one evaluation of patience.
    expected = [0.2] * 15 + [0.1] * 5
    assert rates(settings, [0.5, 0.5, 0.4, 0.8]) == pytest.approx(expected)


def test_no_rate_of_a_cosine_is_negative_or_above_the_start() -> None:
    for warmup in (0.0, 0.05, 0.5, 0.99):
        assert all(0 <= rate <= 0.2 for rate in rates({"schedule": "cosine", "warmup": warmup}))


@pytest.mark.parametrize("schedule", ["constant", "step", "exponential", "cosine", "plateau"])
def test_state_goes_through_a_file(schedule: str, tmp_path: Any) -> None:
    config = toy_config(schedule=schedule, epochs=EPOCHS, step_epochs=1, gamma=0.5)
    optimiser = build_optimiser([nn.Parameter(torch.zeros(1))], config)
    saved = Schedule(optimiser, config, STEPS)
    for _ in range(3):
        optimiser.step()
        saved.after_step()
        saved.after_epoch()
        saved.after_evaluation(0.5)
    torch.save([saved.state_dict(), optimiser.state_dict()], tmp_path / "state.pt")
    state, optimiser_state = torch.load(tmp_path / "state.pt", weights_only=True)
    other = build_optimiser([nn.Parameter(torch.zeros(1))], config)
    loaded = Schedule(other, config, STEPS)
    other.load_state_dict(optimiser_state)
    loaded.load_state_dict(state)
    for _ in range(5):
        assert loaded.lr == saved.lr
        for schedule_, optimiser_ in ((loaded, other), (saved, optimiser)):
            optimiser_.step()
            schedule_.after_step()
            schedule_.after_epoch()
            schedule_.after_evaluation(0.4)


def test_a_longer_cosine_is_taken_up_with_the_very_next_step() -> None:
    made = {}
    for epochs in (2, EPOCHS):
        config = toy_config(schedule="cosine", epochs=epochs, lr=0.2)
        optimiser = build_optimiser([nn.Parameter(torch.zeros(1))], config)
        made[epochs] = optimiser, Schedule(optimiser, config, STEPS)
    (ended, short), (optimiser, longer) = made[2], made[EPOCHS]
    for _ in range(2 * STEPS):
        ended.step()
        short.after_step()
    assert short.lr < 1e-6
    optimiser.load_state_dict(ended.state_dict())
    longer.load_state_dict(short.state_dict())
    assert longer.lr == pytest.approx(rates({"schedule": "cosine"})[2 * STEPS])


@pytest.mark.parametrize(
    ("name", "kind"), [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)]
)
def test_optimisers(name: str, kind: type) -> None:
    config = toy_config(optimiser=name, lr=0.1, weight_decay=0.01, momentum=0.7)
    optimiser = build_optimiser(iter([nn.Parameter(torch.zeros(3))]), config)
    group = optimiser.param_groups[0]
    assert type(optimiser) is kind
    assert (group["lr"], group["weight_decay"]) == (0.1, 0.01)
    assert group.get("momentum", 0.7) == 0.7


def test_gradient_norm() -> None:
    weights = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(5))]
    weights[0].grad, weights[1].grad = torch.tensor([3.0, 0.0]), torch.tensor([4.0])
    assert gradient_norm(weights).item() == pytest.approx(5.0)


def test_plateau_may_watch_a_loss() -> None:
    settings = {"schedule": "plateau", "gamma": 0.5, "step_epochs": 1, "plateau_watch": "loss"}
    assert rates(settings, [1.0, 1.0, 1.0, 1.0])[-1] == pytest.approx(0.1)
    assert rates(settings, [1.0, 0.9, 0.8, 0.7])[-1] == pytest.approx(0.2)
    assert rates(settings, [0.7, 0.8, 0.9, 1.0])[-1] == pytest.approx(0.1)


def test_plateau_counts_a_small_change_as_none() -> None:
    settings = {"schedule": "plateau", "gamma": 0.5, "step_epochs": 1, "plateau_watch": "loss"}
    slow = [1.0, 0.995, 0.991, 0.985]
    assert rates(settings, slow)[-1] == pytest.approx(0.2)
    assert rates({**settings, "plateau_threshold": 0.05}, slow)[-1] == pytest.approx(0.1)


@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_amsgrad_never_takes_a_larger_step_after_a_large_gradient(kind: str) -> None:
    moved = {}
    for amsgrad in (False, True):
        weight = nn.Parameter(torch.zeros(1))
        optimiser = build_optimiser([weight], toy_config(optimiser=kind, amsgrad=amsgrad, lr=0.1))
        # Adam forgets the one large gradient; AMSGrad keeps its maximum.
        for gradient in [100.0, *[1.0] * 3000]:
            weight.grad = torch.tensor([gradient])
            before = weight.detach().clone()
            optimiser.step()
        moved[amsgrad] = float((weight.detach() - before).abs())
    assert moved[True] < 0.5 * moved[False]
