"""Optimisers and learning-rate schedules by name, all torch's own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import ConstantLR, ExponentialLR, LambdaLR, LRScheduler, ReduceLROnPlateau, StepLR

from facenet.training.config import TrainingConfig

_FIRST_SHARE = 0.01


def build_optimiser(parameters: Iterable[nn.Parameter], config: TrainingConfig) -> Optimizer:
    """The optimiser of a run. Fused: one pass over all weights instead of several, the same arithmetic."""
    values: list[nn.Parameter] = list(parameters)
    if config.optimiser == "sgd":
        return SGD(values, lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay, fused=True)
    kind = Adam if config.optimiser == "adam" else AdamW
    return kind(values, lr=config.lr, weight_decay=config.weight_decay, amsgrad=config.amsgrad, fused=True)


class Schedule:
    """One of torch's schedules, told when it moves: by step (cosine), by epoch, or by evaluation (plateau).

    Args:
        optimiser: whose learning rate is set.
        config: ``schedule``, ``warmup``, ``gamma``, ``step_epochs``, ``plateau_*``, ``epochs``.
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
        """Call with what a plateau watches: the primary metric (more is better) or the loss (less is better)."""
        if isinstance(self._schedule, ReduceLROnPlateau):
            self._schedule.step(value)

    def state_dict(self) -> dict[str, Any]:
        """Plain values and tensors."""
        return self._schedule.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where :meth:`state_dict` was called; a cosine goes on along that of the present number of epochs."""
        self._schedule.load_state_dict(state)
        if isinstance(self._schedule, LambdaLR):
            # The optimiser's state brought the rate of the schedule that was saved, perhaps of a shorter one.
            for group, rate, share in zip(
                self._optimiser.param_groups, self._schedule.base_lrs, self._schedule.lr_lambdas, strict=True
            ):
                group["lr"] = rate * share(self._schedule.last_epoch)

    def _move(self) -> None:
        if isinstance(self._schedule, LRScheduler):
            self._schedule.step()


def _build(optimiser: Optimizer, config: TrainingConfig, steps_per_epoch: int) -> LRScheduler | ReduceLROnPlateau:
    if config.schedule == "step":
        return StepLR(optimiser, config.step_epochs, config.gamma)
    if config.schedule == "exponential":
        return ExponentialLR(optimiser, config.gamma)
    if config.schedule == "plateau":
        return ReduceLROnPlateau(
            optimiser,
            mode="min" if config.plateau_watch == "loss" else "max",
            factor=config.gamma,
            patience=config.step_epochs,
            threshold=config.plateau_threshold,
        )
    if config.schedule == "constant":
        return ConstantLR(optimiser, factor=1.0, total_iters=1)
    return LambdaLR(optimiser, _warm_cosine(steps_per_epoch * config.epochs, config.warmup))


def _warm_cosine(steps: int, warmup: float) -> Callable[[int], float]:
    """Step → share of the learning rate: a straight line up to 1, then half a cosine down to 0."""
    rising = max(1, round(steps * warmup))
    falling = max(1, steps - rising)

    def share(step: int) -> float:
        if step < rising:
            return _FIRST_SHARE + (1 - _FIRST_SHARE) * step / rising
        return (1 + math.cos(math.pi * min(step - rising, falling) / falling)) / 2

    return share


def gradient_norm(parameters: Iterable[nn.Parameter]) -> torch.Tensor:
    """L2 norm over all gradients, a scalar."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    return torch.nn.utils.get_total_norm(gradients)
