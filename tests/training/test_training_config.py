"""The table of settings: refused if impossible, kept as it is in a file, and guarded when a run is resumed."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest

from facenet.errors import CheckpointError, UsageError
from facenet.training.config import MAY_CHANGE_ON_RESUME, MEASURES, PRIMARY, TrainingConfig


def test_through_json() -> None:
    config = TrainingConfig(task="classification", lr=0.3, soft=True, primary="accuracy")
    assert TrainingConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        ({"epochs": 0}, "--ep "),
        ({"batch_size": 0}, "--bs "),
        ({"images_per_person": 0}, "--images-per-person"),
        ({"accumulate": 0}, "--accumulate"),
        ({"step_epochs": 0}, "--step-epochs"),
        ({"eval_every": 0}, "--eval-every"),
        ({"seed": -1}, "--seed"),
        ({"seed": 2**63}, "--seed"),
        ({"patience": -1}, "--patience"),
        ({"save_seconds": float("nan")}, "--save-seconds"),
        ({"weight_decay": -0.1}, "--weight-decay"),
        ({"clip": float("nan")}, "--clip"),
        ({"clip": float("inf")}, "--clip"),
        ({"momentum": float("inf")}, "--momentum"),
        ({"save_seconds": float("inf")}, "--save-seconds"),
        ({"workers": 257}, "--workers"),
        ({"workers": -2}, "--workers"),
        ({"lr": 0.0}, "--lr"),
        ({"lr": float("nan")}, "--lr"),
        ({"lr": float("inf")}, "--lr"),
        ({"margin": -1.0}, "--margin"),
        ({"gamma": 0.0}, "--gamma"),
        ({"dropout": 1.0}, "--dropout"),
        ({"warmup": -0.1}, "--warmup"),
        ({"task": "quadruplet"}, "task"),
        ({"triplets": "dreamt"}, "triplets"),
        ({"loss": "cosine"}, "loss"),
        ({"loss": "mean-difference"}, "--loss"),
        ({"anchor": "script"}, "--anchor"),
        ({"amsgrad": True, "optimiser": "sgd"}, "--amsgrad"),
        ({"plateau_watch": "weather"}, "plateau watch"),
        ({"plateau_watch": "loss", "schedule": "plateau", "measure": "verification"}, "--plateau-watch"),
        ({"plateau_threshold": -1.0}, "--plateau-threshold"),
        ({"resize": -1}, "--resize"),
        ({"measure": "verification,beauty"}, "measure"),
        ({"measure": ""}, "measure"),
        ({"measure": 3}, "--measure"),
        ({"optimiser": "lion"}, "optimiser"),
        ({"schedule": "linear"}, "schedule"),
        ({"primary": "eer"}, "primary"),
    ],
)
def test_impossible(changes: dict[str, Any], flag: str) -> None:
    with pytest.raises(UsageError) as caught:
        TrainingConfig(**changes)
    assert flag in str(caught.value)
    with pytest.raises(CheckpointError):
        TrainingConfig.from_dict({**TrainingConfig().to_dict(), **changes})


@pytest.mark.parametrize("values", [{"later": 1}, [], None, {"lr": "fast"}, {"epochs": None}])
def test_what_is_stored_is_distrusted(values: Any) -> None:
    with pytest.raises(CheckpointError):
        TrainingConfig.from_dict(values)


def test_a_resumed_run_may_change_only_what_it_is_not() -> None:
    config = TrainingConfig(precision="bf16")
    changed = config.resumed_with({"epochs": 40, "workers": 2, "lr": config.lr, "precision": "auto"})
    assert (changed.epochs, changed.workers, changed.precision) == (40, 2, "bf16")
    assert config.resumed_with({}) == config
    for field in fields(TrainingConfig):
        before = getattr(config, field.name)
        after = not before if isinstance(before, bool) else "other" if isinstance(before, str) else before + 1
        if field.name in MAY_CHANGE_ON_RESUME:
            assert getattr(config.resumed_with({field.name: after}), field.name) == after
        else:
            with pytest.raises(UsageError, match="--check 0"):
                config.resumed_with({field.name: after})


def test_primaries_are_what_an_evaluation_measures() -> None:
    import torch

    from facenet.evaluation.pairs import all_or_sampled_pairs, score_pairs
    from facenet.evaluation.verification import verify_pairs

    labels = torch.arange(4).repeat_interleave(3).numpy()
    pairs = all_or_sampled_pairs(labels)
    embeddings = torch.nn.functional.normalize(torch.randn(12, 8, generator=torch.Generator().manual_seed(0)))
    found = verify_pairs(score_pairs(embeddings, pairs), pairs.genuine, people=pairs.people(labels))
    assert {f"tar_at_fmr_{target:g}" for target in found.tar_at_fmr} <= set(PRIMARY)


def test_what_is_measured() -> None:
    assert TrainingConfig().measures == set(MEASURES)
    assert TrainingConfig(measure="pairs,classification").measures == {"pairs", "classification"}


def test_configurations_stored_before_a_setting_was_there_have_its_default() -> None:
    stored = TrainingConfig().to_dict()
    for name in ("neck", "image_size", "resize", "triplets", "anchor", "amsgrad", "loss", "measure", "keep_epochs"):
        del stored[name]
    assert TrainingConfig.from_dict(stored) == TrainingConfig()
