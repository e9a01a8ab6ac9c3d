"""Which settings a run uses: the table against all settings there are, and against what training does."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from toys import toy_config, toy_trainer

from facenet.errors import UsageError
from facenet.recipes.recipe import load_recipe, recipe_names
from facenet.training.config import TrainingConfig
from facenet.workflows.used_settings import ALWAYS, REFUSED_UNUSED, USES, is_used, require_used

OTHER: dict[str, Any] = {
    "triplets": "sampled", "margin": 0.5, "soft": True, "images_per_person": 4, "mining": "random", "fallback": "none",
    "loss": "mean-difference", "anchor": "script", "head": "arcface", "balanced": False, "momentum": 0.1,
    "amsgrad": True, "warmup": 0.5, "gamma": 0.01, "step_epochs": 1, "plateau_watch": "loss",
    "plateau_threshold": 0.9, "batch_norm": "frozen",
}  # fmt: skip
"""Another value than the default, for each setting that does not matter always and that a toy can be trained with."""

RUNS: dict[str, dict[str, Any]] = {
    "mined, adam, cosine": {},
    "mined at random, sgd, constant": {"mining": "random", "optimiser": "sgd", "schedule": "constant"},
    "sampled, sgd, exponential": {"triplets": "sampled", "optimiser": "sgd", "schedule": "exponential"},
    "head, adam, step": {"task": "classification", "trainable": "head", "schedule": "step"},
    "trunk and head, sgd, plateau": {"task": "classification", "optimiser": "sgd", "schedule": "plateau"},
    "pairs, adamw, constant": {"task": "siamese", "trainable": "head", "optimiser": "adamw", "schedule": "constant"},
}


def weights(folder: Path, config: TrainingConfig) -> dict[str, torch.Tensor]:
    trainer = toy_trainer(folder, config)
    trainer.fit()
    checkpoint = trainer.run.resumable()
    assert checkpoint is not None
    return load_file(checkpoint / "model.safetensors")


def test_every_setting_is_in_the_table_once() -> None:
    assert ALWAYS | set(USES) == {field.name for field in fields(TrainingConfig)}
    assert not ALWAYS & set(USES)
    assert set(OTHER) | {"dropout", "compile"} == set(USES)
    assert all(getattr(toy_config(), name) != value for name, value in OTHER.items())


def test_the_page_on_training_names_what_does_not_matter_always() -> None:
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    table = page[page.index("| goes with | flags |") :].partition("\n\n")[0]
    assert set(re.findall(r"`--([a-z-]+)`", table)) == {name.replace("_", "-") for name in USES}


def test_each_setting_matters_to_some_run_and_not_to_another() -> None:
    runs = [toy_config(**{"backbone": "resnet18", **changes}) for changes in RUNS.values()]
    for name in USES:
        assert {is_used(name, config) for config in runs} == {True, False} or name == "compile", name


@pytest.mark.parametrize("changes", RUNS.values(), ids=list(RUNS))
def test_what_is_not_used_changes_no_weight(
    changes: dict[str, Any], tmp_path: Path, toy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = toy_config(epochs=1, **changes)
    expected = weights(tmp_path / "as it is", config)
    ignored = {name: value for name, value in OTHER.items() if not is_used(name, config)}
    assert len(ignored) > 5
    # All at once; what the configuration itself refuses is no setting of any run.
    allowed = {name: value for name, value in ignored.items() if name not in REFUSED_UNUSED}
    found = weights(tmp_path / "other values", toy_config(epochs=1, **changes, **allowed))
    assert expected.keys() == found.keys()
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "mining"), ({}, "triplets"), ({}, "images_per_person"), ({}, "margin"), ({}, "soft"), ({}, "warmup"),
        ({}, "amsgrad"), ({}, "batch_norm"), ({"triplets": "sampled"}, "loss"), ({"triplets": "sampled"}, "anchor"),
        ({"task": "siamese"}, "anchor"), ({"task": "classification"}, "head"), ({"optimiser": "sgd"}, "momentum"),
        ({"schedule": "exponential"}, "gamma"), ({"schedule": "step", "step_epochs": 9}, "step_epochs"),
    ],
)  # fmt: skip
def test_what_is_used_changes_weights(changes: dict[str, Any], name: str, tmp_path: Path) -> None:
    """So that nothing stands in the table as used by nobody."""
    config = toy_config(epochs=2, **changes)
    assert is_used(name, config)
    expected = weights(tmp_path / "as it is", config)
    found = weights(tmp_path / "another value", toy_config(**{"epochs": 2, **changes, name: OTHER[name]}))
    assert expected.keys() != found.keys() or any(not torch.equal(expected[key], found[key]) for key in expected)


def test_dropout_matters_where_a_layer_drops() -> None:
    for backbone, used in (("inception_resnet_v2", True), ("resnet18", False)):
        assert is_used("dropout", toy_config(backbone=backbone)) == used
    head = {"trainable": "head", "task": "classification", "backbone": "inception_resnet_v2"}
    assert not is_used("dropout", toy_config(**head))
    assert is_used("dropout", toy_config(**{**head, "task": "siamese"}))


def test_compiling_matters_where_the_trunk_runs_in_training() -> None:
    head = {"trainable": "head", "task": "classification"}
    assert not is_used("compile", toy_config(**head, augmentation="none"))
    assert is_used("compile", toy_config(**head, augmentation="flip"))
    # Without a head, the embedding layer learns.
    assert is_used("compile", toy_config(trainable="head", augmentation="none"))


@pytest.mark.parametrize("name", recipe_names())
def test_recipes_set_nothing_that_their_runs_ignore(name: str) -> None:
    settings = load_recipe(name).settings
    require_used(settings, TrainingConfig(**settings))


def test_what_is_refused() -> None:
    config = TrainingConfig(task="siamese")
    require_used(["lr", "anchor", "epochs"], config)
    with pytest.raises(UsageError) as caught:
        require_used(["lr", "margin"], config)
    assert str(caught.value) == "--margin goes with triplet training: this run would ignore it, leave it out"
    with pytest.raises(UsageError) as caught:
        require_used(["images_per_person", "plateau_watch"], config)
    assert str(caught.value) == (
        "--images-per-person goes with mined triplets; --plateau-watch goes with --schedule plateau: this run would "
        "ignore them, leave them out"
    )
