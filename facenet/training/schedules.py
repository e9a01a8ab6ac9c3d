"""Optimisers and learning-rate schedules by name, all torch's own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    LRScheduler,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)

from facenet.training.config import TrainingConfig

_FIRST_SHARE = 0.01


def build_optimiser(parameters: Iterable[nn.Parameter], config: TrainingConfig) -> Optimizer:
    """The optimiser of a run. Fused: one pass over all weights instead of several, the same arithmetic."""
    values: list[nn.Parameter] = list(parameters)
    if config.optimiser == "sgd":
        return SGD(values, lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay, fused=True)
    kind = Adam if config.optimiser == "adam" else AdamW
    return kind(values, lr=config.lr, weight_decay=config.weight_decay, fused=True)


class Schedule:
    """One of torch's schedules, told when it moves: by step (cosine), by epoch, or by evaluation (plateau).

    Args:
        optimiser: whose learning rate is set.
        config: ``schedule``, ``warmup``, ``gamma``, ``step_epochs``, ``epochs``.
        steps_per_epoch: optimiser steps in an epoch, at least 1.
    """

    def __init__(self, optimiser: Optimizer, config: TrainingConfig, steps_per_epoch: int) -> None:
        self.kind = config.schedule
        self._schedule = _build(optimiser, config, max(1, steps_per_epoch))
        self._optimiser = optimiser

    @property
    def lr(self) -> float:
        """The present learning rate."""
        return float(self._optimiser.param_groups[0]["lr"])

    def after_step(self) -> None:
        """Call after every optimiser step."""
        if self.kind == "cosine":
            self._move()

    def after_epoch(self) -> None:
        """Call at the end of every epoch."""
        if self.kind in ("step", "exponential"):
            self._move()

    def after_evaluation(self, value: float) -> None:
        """Call with the primary metric (higher is better)."""
        if isinstance(self._schedule, ReduceLROnPlateau):
            self._schedule.step(value)

    def state_dict(self) -> dict[str, Any]:
        """Plain values and tensors."""
        return self._schedule.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where :meth:`state_dict` was called."""
        self._schedule.load_state_dict(state)

    def _move(self) -> None:
        if isinstance(self._schedule, LRScheduler):
            self._schedule.step()


def _build(optimiser: Optimizer, config: TrainingConfig, steps_per_epoch: int) -> LRScheduler | ReduceLROnPlateau:
    if config.schedule == "step":
        return StepLR(optimiser, config.step_epochs, config.gamma)
    if config.schedule == "exponential":
        return ExponentialLR(optimiser, config.gamma)
    if config.schedule == "plateau":
        return ReduceLROnPlateau(optimiser, mode="max", factor=config.gamma, patience=config.step_epochs)
    if config.schedule == "constant":
        return ConstantLR(optimiser, factor=1.0, total_iters=1)
    steps = steps_per_epoch * config.epochs
    rising = max(1, round(steps * config.warmup))
    warmup = LinearLR(optimiser, start_factor=_FIRST_SHARE, total_iters=rising)
    falling = CosineAnnealingLR(optimiser, T_max=max(1, steps - rising))
    return SequentialLR(optimiser, [warmup, falling], milestones=[rising])


def gradient_norm(parameters: Iterable[nn.Parameter]) -> torch.Tensor:
    """L2 norm over all gradients, a scalar."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    return torch.nn.utils.get_total_norm(gradients)
