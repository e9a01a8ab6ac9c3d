"""The training loop: exact resume, best weights, accumulation, freezing, and what it tells."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from toys import ToyBackbone, toy_config, toy_faces, toy_metrics, toy_trainer

from facenet.errors import CheckpointError, EmbeddingCollapse, StorageError, TrainingDiverged
from facenet.models.face_model import FaceModel
from facenet.training import engine, files
from facenet.training.checkpoint import Description, load_model, load_trainer_state, newest
from facenet.training.config import TrainingConfig
from facenet.training.engine import Outcome
from facenet.training.monitor import read_records
from facenet.training.runs import RunFolder

pytestmark = pytest.mark.usefixtures("toy", "no_waiting_for_the_disk")

TIMING = ("images_per_second", "seconds_left")


@pytest.fixture
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files.os, "fsync", lambda handle: None)


def after(steps: int) -> Callable[[], bool]:
    """True when asked for the ``steps``-th time."""
    asked = iter(range(1, 1_000_000))
    return lambda: next(asked) >= steps


def weights(folder: Path, kind: str = "last") -> dict[str, Tensor]:
    path = newest(RunFolder(folder).checkpoints, kind)
    assert path is not None
    return load_model(path)[0].state_dict()


def assert_same_weights(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    different = [name for name in first if not torch.equal(first[name], second[name])]
    assert not different


def records(folder: Path) -> list[dict[str, Any]]:
    """All records but what the clock says."""
    found = read_records(RunFolder(folder).metrics)
    return [{key: value for key, value in record.items() if key not in TIMING} for record in found]


def assert_same_run(first: Path, second: Path) -> None:
    assert_same_weights(weights(first), weights(second))
    assert_same_weights(weights(first, "best"), weights(second, "best"))
    assert records(first) == records(second)
    states = [load_trainer_state(newest(RunFolder(folder).checkpoints, "last") or folder) for folder in (first, second)]
    assert states[0]["progress"] == states[1]["progress"]
    assert torch.equal(states[0]["rng"], states[1]["rng"])


def in_pieces(folder: Path, config: TrainingConfig, steps: int) -> Outcome:
    """Train with an interruption after every so many steps."""
    outcome = toy_trainer(folder, config, stop=after(steps)).fit()
    for _ in range(1000):
        if outcome.status != "interrupted":
            return outcome
        outcome = toy_trainer(folder, config, resume=True, stop=after(steps)).fit(resume=True)
    raise AssertionError("it never ends")


CASES: dict[str, dict[str, Any]] = {
    **{f"mining {name}": {"mining": name} for name in ("semihard", "hard", "all", "distance_weighted", "random")},
    "soft margin": {"mining": "all", "soft": True},
    "accumulation, last group smaller": {"accumulate": 2},
    "accumulation of a whole epoch": {"accumulate": 9},
    "clipped": {"clip": 0.1},
    **{f"optimiser {name}": {"optimiser": name, "weight_decay": 1e-3} for name in ("sgd", "adam", "adamw")},
    **{
        f"schedule {name}": {"schedule": name, "step_epochs": 1, "gamma": 0.5, "warmup": 0.3}
        for name in ("constant", "step", "exponential", "cosine", "plateau")
    },
    "evaluated every other epoch": {"eval_every": 2},
    "every epoch kept": {"keep_epochs": True},
    "bf16": {"precision": "bf16"},
    "amsgrad": {"optimiser": "adam", "amsgrad": True},
    "last two stages": {"trainable": "last:2"},
    "embedding layer": {"trainable": "head"},
    "head and trunk": {"task": "classification", "primary": "accuracy"},
    "unbalanced": {"task": "classification", "primary": "accuracy", "balanced": False},
    "head on a frozen trunk": {"task": "classification", "primary": "accuracy", "trainable": "head"},
    "arcface": {"task": "classification", "primary": "accuracy", "head": "arcface", "accumulate": 2},
    "cosface on a frozen trunk": {
        "task": "classification", "primary": "accuracy", "head": "cosface", "trainable": "head",
    },
    "triplets sampled": {"triplets": "sampled"},
    "triplets sampled around anchors": {"triplets": "sampled", "anchor": "script", "soft": True, "accumulate": 3},
    "mean difference": {"triplets": "sampled", "anchor": "script", "loss": "mean-difference"},
    "pairs": {"task": "siamese", "primary": "pair_f1", "dropout": 0.3},
    "pairs with anchors": {"task": "siamese", "primary": "pair_f1", "anchor": "script", "batch_size": 4},
    "pairs on a frozen trunk": {"task": "siamese", "primary": "pair_f1", "trainable": "head", "dropout": 0.3},
}  # fmt: skip


@pytest.mark.parametrize("settings", CASES.values(), ids=CASES.keys())
def test_interrupted_runs_end_as_uninterrupted_ones(tmp_path: Path, settings: dict[str, Any]) -> None:
    config = toy_config(**settings)
    whole = toy_trainer(tmp_path / "whole", config).fit()
    assert whole.status == "finished"
    # With five steps an epoch, every two of them is within epochs and at the end of one.
    pieces = in_pieces(tmp_path / "pieces", config, 2)
    assert (pieces.status, pieces.start, pieces.last, pieces.best) == (
        "finished",
        whole.start,
        whole.last,
        whole.best,
    )
    assert_same_run(tmp_path / "whole", tmp_path / "pieces")


def test_interrupted_after_every_single_step(tmp_path: Path) -> None:
    toy_trainer(tmp_path / "whole", toy_config()).fit()
    in_pieces(tmp_path / "pieces", toy_config(), 1)
    assert_same_run(tmp_path / "whole", tmp_path / "pieces")


def test_training_changes_the_weights_and_depends_on_the_seed(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("again", 1), ("b", 2)):
        toy_trainer(tmp_path / name, toy_config(seed=seed)).fit()
    first, again, other = (weights(tmp_path / name) for name in ("a", "again", "b"))
    assert_same_weights(first, again)
    assert not torch.equal(first["trunk.first.0.weight"], other["trunk.first.0.weight"])
    assert not torch.equal(first["trunk.first.0.weight"], _starting_weights(seed=1)["first.0.weight"])


def _starting_weights(seed: int) -> dict[str, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ToyBackbone().state_dict()


def test_a_later_save_within_the_epoch_does_not_change_anything(tmp_path: Path) -> None:
    toy_trainer(tmp_path / "rarely", toy_config()).fit()
    toy_trainer(tmp_path / "often", toy_config(save_steps=1, save_seconds=0)).fit()
    assert_same_weights(weights(tmp_path / "rarely"), weights(tmp_path / "often"))


class Killed(BaseException):
    """Stands for the end of the process."""


def test_nothing_is_recorded_twice_if_an_epoch_was_measured_but_not_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Saved at the epoch's last step (5), then measured, then gone before anything else was saved.
    config = toy_config(save_steps=5)
    toy_trainer(tmp_path / "whole", config).fit()
    evaluate = engine.Trainer._evaluate

    def evaluate_and_die(self: engine.Trainer, monitor: Any) -> None:
        evaluate(self, monitor)
        if self.progress.epoch == 1:
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(engine.Trainer, "_evaluate", evaluate_and_die)
        toy_trainer(tmp_path / "killed", config).fit()
    toy_trainer(tmp_path / "killed", config, resume=True).fit(resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


def test_the_callers_generator_is_left_alone(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    toy_trainer(tmp_path, toy_config(epochs=1)).fit()
    assert torch.equal(before, torch.get_rng_state())


def test_accumulated_steps_average_over_their_batches(tmp_path: Path) -> None:
    config = toy_config(accumulate=2)
    outcome = toy_trainer(tmp_path, config).fit()
    # 36 pictures in batches of 8 are 5 batches, so steps of 2, 2 and 1.
    assert outcome.progress.step == 9
    assert outcome.progress.images == 3 * 5 * 8
    assert [record["step"] for record in records(tmp_path) if record["kind"] == "step"] == list(range(1, 10))


@pytest.mark.parametrize(("accumulate", "batches_of_a_step"), [(2, 2), (9, 5)])
def test_an_accumulated_gradient_is_the_mean_of_its_batches(
    tmp_path: Path, accumulate: int, batches_of_a_step: int
) -> None:
    """Accumulated batches move a linear head as the mean of their losses does, also where an epoch has too few."""
    settings = {"task": "classification", "trainable": "head", "optimiser": "sgd", "momentum": 0.0, "lr": 0.1}
    config = toy_config(**settings, primary="accuracy", accumulate=accumulate, epochs=1, schedule="constant")
    trainer = toy_trainer(tmp_path / "run", config, stop=after(1))
    reference = toy_trainer(tmp_path / "reference", config)
    batches = list(reference.source.batches(reference.task.epoch_batches(), 0))[:batches_of_a_step]
    head = reference.model.head
    assert head is not None
    loss = sum(head.loss(inputs, labels) for inputs, labels in batches) / batches_of_a_step
    assert isinstance(loss, Tensor)
    loss.backward()
    expected = {name: value - 0.1 * value.grad for name, value in head.named_parameters() if value.grad is not None}
    trainer.fit()
    for name, value in trainer.model.head.named_parameters():  # type: ignore[union-attr]
        assert torch.allclose(value, expected[name], atol=1e-6)


@pytest.mark.parametrize(
    ("trainable", "frozen"), [("last:2", ["first"]), ("last:1", ["first", "second"]), ("head", ["first", "second"])]
)
def test_frozen_stages_stay_as_they_are(tmp_path: Path, trainable: str, frozen: list[str]) -> None:
    trainer = toy_trainer(tmp_path, toy_config(trainable=trainable))
    before = {name: value.clone() for name, value in trainer.model.trunk.state_dict().items()}
    trainer.fit()
    trainer.model.train()
    after_training = trainer.model.trunk.state_dict()
    for name, stage in trainer.model.trunk.stages():
        changed = {
            key for key in after_training if key.startswith(name) and not torch.equal(after_training[key], before[key])
        }
        if name in frozen:
            assert not changed
            assert not any(module.training for module in stage.modules())
        else:
            assert changed
            assert stage.training


def test_a_head_leaves_the_whole_trunk_alone(tmp_path: Path) -> None:
    config = toy_config(task="classification", trainable="head", primary="accuracy", lr=0.3, epochs=10)
    trainer = toy_trainer(tmp_path, config)
    before = {name: value.clone() for name, value in trainer.model.trunk.state_dict().items()}
    outcome = trainer.fit()
    assert_same_weights(before, trainer.model.trunk.state_dict())
    assert outcome.best["accuracy"] > outcome.start["accuracy"] + 0.3


def scripted(values: list[float]) -> Callable[[FaceModel], dict[str, float]]:
    """An evaluation whose figures are known beforehand: start, epoch 1, epoch 2, …"""
    left = iter(values)
    return lambda model: {"roc_auc": next(left), "eer": 0.5}


def test_starting_weights_are_kept_if_training_makes_them_worse(tmp_path: Path) -> None:
    trainer = toy_trainer(tmp_path, toy_config(), evaluate=scripted([0.9, 0.8, 0.7, 0.85]))
    starting = {f"trunk.{name}": value.clone() for name, value in trainer.model.trunk.state_dict().items()}
    outcome = trainer.fit()
    assert outcome.worse_than_start
    assert outcome.best == outcome.start == {"roc_auc": 0.9, "eer": 0.5}
    assert outcome.last["roc_auc"] == 0.85
    best = RunFolder(tmp_path).usable()
    assert best is not None and best.name == "best-00000000-0"
    assert_same_weights(starting, weights(tmp_path, "best"))
    assert Description.read(best).metrics == outcome.start
    assert len(list(RunFolder(tmp_path).checkpoints.iterdir())) == 2


def test_the_best_weights_are_those_of_the_best_epoch(tmp_path: Path) -> None:
    outcome = toy_trainer(tmp_path, toy_config(), evaluate=scripted([0.5, 0.6, 0.9, 0.7])).fit()
    assert not outcome.worse_than_start
    assert (outcome.progress.best_epoch, outcome.progress.best_value, outcome.progress.stale) == (2, 0.9, 1)
    best = RunFolder(tmp_path).usable()
    assert best is not None and best.name == "best-00000010-0"
    assert Description.read(best).epoch == 2
    assert [record["best"] for record in records(tmp_path) if record["kind"] == "evaluation"] == [
        True,
        True,
        True,
        False,
    ]


def test_early_stop(tmp_path: Path) -> None:
    config = toy_config(epochs=9, patience=2)
    outcome = toy_trainer(tmp_path, config, evaluate=scripted([0.5, 0.6, 0.6, 0.6, 0.9])).fit()
    assert (outcome.status, outcome.progress.epoch) == ("stopped_early", 3)
    # Asked to go on, it has nothing new to hope for; with more patience it has.
    again = toy_trainer(tmp_path, config, resume=True, evaluate=scripted([0.9])).fit(resume=True)
    assert (again.status, again.progress.epoch) == ("stopped_early", 3)
    patient = toy_config(epochs=4, patience=5)
    more = toy_trainer(tmp_path, patient, resume=True, evaluate=scripted([0.9])).fit(resume=True)
    assert (more.status, more.progress.epoch, more.best["roc_auc"]) == ("finished", 4, 0.9)


@pytest.mark.parametrize("steps", [7, 10], ids=["within an epoch", "at the end of one"])
def test_a_run_that_stops_as_soon_as_it_goes_on_keeps_its_place(tmp_path: Path, steps: int) -> None:
    """Resumed with too little patience it saves at once, before it has planned an epoch."""
    config = toy_config(epochs=4)
    toy_trainer(tmp_path / "whole", config, evaluate=scripted([0.5] * 5)).fit()
    toy_trainer(tmp_path / "stopped", config, evaluate=scripted([0.5] * 2), stop=after(steps)).fit()
    impatient = toy_config(epochs=4, patience=1)
    outcome = toy_trainer(tmp_path / "stopped", impatient, resume=True, evaluate=scripted([])).fit(resume=True)
    assert outcome.status == "stopped_early"
    toy_trainer(tmp_path / "stopped", config, resume=True, evaluate=scripted([0.5] * 3)).fit(resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


def test_nothing_to_measure_is_no_reason_to_stop(tmp_path: Path) -> None:
    outcome = toy_trainer(tmp_path, toy_config(patience=1), evaluate=lambda model: {}).fit()
    assert (outcome.status, outcome.progress.epoch, outcome.start, outcome.best) == ("finished", 3, {}, {})
    assert not outcome.worse_than_start
    assert newest(RunFolder(tmp_path).checkpoints, "best") is None
    usable = RunFolder(tmp_path).usable()
    assert usable is not None and usable.name == "last-00000015-0"


def test_a_rate_that_breaks_everything(tmp_path: Path) -> None:
    trainer = toy_trainer(tmp_path, toy_config(lr=1e38, schedule="constant", optimiser="sgd"))
    with pytest.raises(
        TrainingDiverged, match="lower the learning rate.*best weights so far, of epoch 0, are kept"
    ) as caught:
        trainer.fit()
    assert "\n" not in str(caught.value)
    assert all(value.isfinite().all() for value in weights(tmp_path, "best").values())
    assert all(value.isfinite().all() for value in weights(tmp_path, "last").values())


def test_broken_weights_are_not_taken_for_a_finished_run(tmp_path: Path) -> None:
    """The very last step may be the one that breaks the weights, with no step after it to notice."""
    trainer = toy_trainer(tmp_path, toy_config(epochs=1), evaluate=scripted([0.5, 0.6]))
    step = trainer._step

    def last_step_breaks() -> None:
        step()
        if trainer.progress.step == 5:
            with torch.no_grad():
                next(trainer.model.trainable_parameters()).fill_(math.nan)

    trainer._step = last_step_breaks  # type: ignore[method-assign]
    with pytest.raises(TrainingDiverged, match="best weights so far, of epoch 0, are kept"):
        trainer.fit()
    assert all(value.isfinite().all() for value in weights(tmp_path, "best").values())
    assert all(value.isfinite().all() for value in weights(tmp_path, "last").values())


def test_collapsed_steps_are_counted_on_after_an_interruption(tmp_path: Path) -> None:
    for resume, counted in ((False, 3), (True, 6)):
        trainer = toy_trainer(tmp_path, toy_config(), resume=resume, stop=after(3))
        trainer.guard.least_spread = 5.0
        trainer.fit(resume=resume)
        assert trainer.guard.collapsed_steps == counted


def test_collapse_is_noticed_and_the_best_weights_stay(tmp_path: Path) -> None:
    trainer = toy_trainer(tmp_path, toy_config(epochs=50, mining="hard"))
    with torch.no_grad():
        # All that tells two pictures apart is taken away; only the bias is left, which no triplet can move.
        trainer.model.trunk.get_parameter("last.3.weight").zero_()
        trainer.model.trunk.get_parameter("last.3.weight").requires_grad_(False)
    with pytest.raises(EmbeddingCollapse, match="one point.*--mining semihard.*of epoch 0, are kept"):
        trainer.fit()
    assert trainer.progress.step == 25
    assert newest(RunFolder(tmp_path).checkpoints, "best") is not None


@pytest.mark.parametrize("part", ["progress", "optimiser", "sampler", "task", "rng"])
def test_a_foreign_trainer_state_is_refused(tmp_path: Path, part: str) -> None:
    toy_trainer(tmp_path, toy_config(epochs=2), stop=after(3)).fit()
    path = newest(RunFolder(tmp_path).checkpoints, "last")
    assert path is not None
    state = load_trainer_state(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "load_trainer_state", lambda path: {**state, part: {"foreign": torch.zeros(3)}})
        with pytest.raises(CheckpointError) as caught:
            toy_trainer(tmp_path, toy_config(epochs=2), resume=True).fit(resume=True)
    assert "\n" not in str(caught.value)


def test_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint"):
        toy_trainer(tmp_path, toy_config()).fit(resume=True)


def test_a_full_disk_leaves_the_checkpoint_before_untouched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = toy_config(save_steps=2)
    toy_trainer(tmp_path / "whole", config).fit()
    toy_trainer(tmp_path / "full", config, stop=after(3)).fit()
    saved = {file: file.read_bytes() for file in (tmp_path / "full" / "checkpoints").rglob("*") if file.is_file()}

    def no_space(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", no_space)
        with pytest.raises(StorageError, match="no space left.*--check 1"):
            trainer = toy_trainer(tmp_path / "full", config, resume=True)
            patch.setattr(engine, "Monitor", lambda *given, **named: _QuietMonitor())
            trainer.fit(resume=True)
    assert saved == {
        file: file.read_bytes() for file in (tmp_path / "full" / "checkpoints").rglob("*") if file.is_file()
    }
    toy_trainer(tmp_path / "full", config, resume=True).fit(resume=True)
    assert_same_weights(weights(tmp_path / "whole"), weights(tmp_path / "full"))


class _QuietMonitor:
    def __enter__(self) -> _QuietMonitor:
        return self

    def __exit__(self, *given: object) -> None:
        return None

    def step(self, record: dict[str, Any]) -> None:
        return None

    evaluated = step


def test_a_longer_schedule_is_followed_from_where_it_stands(tmp_path: Path) -> None:
    """Given more epochs, the cosine is that of the longer run, not one that ended long ago."""
    toy_trainer(tmp_path / "run", toy_config(epochs=2)).fit()
    toy_trainer(tmp_path / "run", toy_config(epochs=4), resume=True).fit(resume=True)
    toy_trainer(tmp_path / "long", toy_config(epochs=4)).fit()
    rates = {
        name: [record["lr"] for record in records(tmp_path / name) if record["kind"] == "step"]
        for name in ("run", "long")
    }
    assert rates["run"][10:] == rates["long"][10:]
    assert rates["run"][9] < 1e-6 < rates["run"][10]


def test_the_last_epoch_is_always_evaluated(tmp_path: Path) -> None:
    toy_trainer(tmp_path, toy_config(eval_every=2, epochs=3)).fit()
    assert [record["epoch"] for record in records(tmp_path) if record["kind"] == "evaluation"] == [0, 2, 3]


@pytest.mark.parametrize(("eval_every", "falls"), [(1, 4), (2, 7)])
def test_a_plateau_counts_the_evaluations_after_epochs(tmp_path: Path, eval_every: int, falls: int) -> None:
    """The first one that is counted sets the mark, which the starting weights do not; the third is one too many."""
    config = toy_config(schedule="plateau", step_epochs=1, gamma=0.5, eval_every=eval_every, epochs=falls)
    toy_trainer(tmp_path, config, evaluate=lambda model: {"roc_auc": 0.5}).fit()
    rates = {record["epoch"]: record["lr"] / config.lr for record in records(tmp_path) if record["kind"] == "step"}
    assert rates == {epoch: 0.5 if epoch == falls else 1.0 for epoch in range(1, falls + 1)}


class Heard:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def started(self, epochs: int, steps: int, done: int) -> None:
        self.calls.append(("started", (epochs, steps, done)))

    def step(self, record: dict[str, Any]) -> None:
        self.calls.append(("step", record))

    def evaluated(self, record: dict[str, Any]) -> None:
        self.calls.append(("evaluated", record))

    def say(self, text: str) -> None:
        self.calls.append(("say", text))

    def ended(self) -> None:
        self.calls.append(("ended", None))


def test_the_listener_hears_everything_in_order(tmp_path: Path) -> None:
    heard = Heard()
    toy_trainer(tmp_path, toy_config(epochs=2), listener=heard).fit()
    steps = ["step"] * 5
    assert [name for name, _ in heard.calls] == [
        "evaluated",
        "started",
        *steps,
        "evaluated",
        *steps,
        "evaluated",
        "ended",
    ]
    assert heard.calls[1][1] == (2, 10, 0)
    record = heard.calls[2][1]
    assert {"loss", "active", "triplets", "positive_distance", "negative_distance", "spread", *TIMING} <= set(record)
    assert record["step"] == record["epoch"] == 1
    assert 0 <= record["active"] <= 1 and 0 <= record["positive_distance"] <= 4 and 0 < record["spread"] <= 4
    assert heard.calls[-2][1]["metrics"].keys() == {"roc_auc"}


def test_the_time_left_is_that_of_pictures_and_not_of_samples(tmp_path: Path) -> None:
    trainer = toy_trainer(tmp_path, toy_config(task="siamese", primary="pair_f1"))
    # Two steps of eight pairs in four seconds.
    trainer.progress.step, trainer.progress.images = 2, 32
    trainer._seconds, trainer._images = 4.0, 32
    record = trainer._record(0.5, {})
    assert record["images_per_second"] == 8.0
    assert record["seconds_left"] == 2.0 * (3 * trainer.steps_per_epoch - 2)


def test_metrics_that_cannot_decide_are_said_so(tmp_path: Path) -> None:
    heard = Heard()
    outcome = toy_trainer(tmp_path, toy_config(epochs=1, primary="accuracy"), listener=heard).fit()
    assert any(name == "say" and "accuracy" in text for name, text in heard.calls)
    assert outcome.best == {} and outcome.progress.best_value is None
    assert (usable := RunFolder(tmp_path).usable()) is not None and usable.name.startswith("last")


@pytest.mark.parametrize(
    ("settings", "figures", "missing"),
    [
        ({"plateau_watch": "loss"}, {"roc_auc": 0.5}, "loss"),
        ({"plateau_watch": "loss"}, {"roc_auc": 0.5, "loss": 1.0}, None),
        ({"primary": "accuracy"}, {"loss": 1.0}, "accuracy"),
        ({}, {}, "roc_auc"),
        ({}, {"roc_auc": 0.5}, None),
    ],
)
def test_a_rate_that_waits_for_what_is_not_measured_is_said_so(
    tmp_path: Path, settings: dict[str, Any], figures: dict[str, float], missing: str | None
) -> None:
    heard = Heard()
    config = toy_config(epochs=2, schedule="plateau", **settings)
    toy_trainer(tmp_path, config, evaluate=lambda model: dict(figures), listener=heard).fit()
    said = [text for name, text in heard.calls if name == "say" and "learning rate" in text]
    assert said == ([] if missing is None else [f"{missing} cannot be measured here: the learning rate will stay"])


def test_checkpoints_say_how_often_was_measured(tmp_path: Path) -> None:
    toy_trainer(tmp_path, toy_config()).fit()
    last = newest(RunFolder(tmp_path).checkpoints, "last")
    assert last is not None
    assert Description.read(last).evaluations == 4
    document = json.loads((last / "checkpoint.json").read_text())
    assert (document["epoch"], document["step"]) == (3, 15)
    assert document["metrics"] == toy_metrics(load_model(last)[0])


def test_the_toy_learns(tmp_path: Path) -> None:
    outcome = toy_trainer(tmp_path, toy_config(epochs=6)).fit()
    assert outcome.best["roc_auc"] > outcome.start["roc_auc"] + 0.05
    faces, labels = toy_faces()
    assert len(faces) == len(labels) == 36


def test_sampled_triplets_teach_the_toy(tmp_path: Path) -> None:
    outcome = toy_trainer(tmp_path, toy_config(triplets="sampled", anchor="script", epochs=8)).fit()
    assert outcome.last["roc_auc"] > 0.95 > outcome.start["roc_auc"]


@pytest.mark.slow
def test_pairs_teach_the_toy(tmp_path: Path) -> None:
    """At first the loss stays where guessing is: two embeddings side by side do not say how far they are apart."""
    settings = {"task": "siamese", "primary": "pair_f1", "schedule": "constant", "lr": 1e-3, "epochs": 80}
    outcome = toy_trainer(tmp_path, toy_config(**settings)).fit()
    assert outcome.start["pair_f1"] < 0.7 and outcome.best["pair_f1"] > 0.95


def test_the_weights_of_every_epoch_can_be_kept(tmp_path: Path) -> None:
    config = toy_config(keep_epochs=True, epochs=3)
    in_pieces(tmp_path, config, 2)
    kept = sorted((tmp_path / "checkpoints").glob("epoch-*"))
    assert [Description.read(path).epoch for path in kept] == [1, 2, 3]
    assert_same_weights(load_model(kept[-1])[0].state_dict(), weights(tmp_path))
    first, last = (load_model(path)[0].state_dict() for path in (kept[0], kept[-1]))
    assert any(not torch.equal(first[name], last[name]) for name in first)
    assert not list((tmp_path / "checkpoints").glob("epoch-*/trainer_state.pt"))
    measured = [record["metrics"] for record in records(tmp_path) if record["kind"] == "evaluation"]
    assert [Description.read(path).metrics for path in kept] == measured[1:]


def test_weights_of_an_epoch_done_twice_are_kept_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluate = engine.Trainer._evaluate

    def die_after_two_epochs(self: engine.Trainer, monitor: Any) -> None:
        if self.progress.epoch == 2:
            raise Killed
        evaluate(self, monitor)

    config = toy_config(keep_epochs=True, epochs=2)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(engine.Trainer, "_evaluate", die_after_two_epochs)
        toy_trainer(tmp_path, config).fit()
    toy_trainer(tmp_path, config, resume=True).fit(resume=True)
    kept = sorted((tmp_path / "checkpoints").glob("epoch-*"))
    assert [Description.read(path).epoch for path in kept] == [1, 2]


def test_means_of_an_epoch_are_over_its_pictures(tmp_path: Path) -> None:
    outcome = toy_trainer(tmp_path, toy_config(task="classification", primary="accuracy", epochs=2)).fit()
    found = read_records(tmp_path / "metrics.jsonl")
    steps = [record for record in found if record["kind"] == "step" and record["epoch"] == 2]
    # 36 pictures in batches of 8: the last has 4.
    sizes = [8, 8, 8, 8, 4]
    assert len(steps) == len(sizes)
    for name in ("loss", "batch_accuracy"):
        expected = sum(step[name] * size for step, size in zip(steps, sizes, strict=True)) / 36
        assert outcome.train[name] == pytest.approx(expected)
    first, *_, last = (record for record in found if record["kind"] == "evaluation")
    assert first["train"] == {} and last["train"] == outcome.train
