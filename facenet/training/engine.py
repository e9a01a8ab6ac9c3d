"""The one training loop: evaluate, then epochs of steps, each followed by an evaluation.

What a resumed run takes from where, so that it ends with the weights of an uninterrupted one:

=====================  =========================================================================================
field                  on resume
=====================  =========================================================================================
weights, optimiser     from the checkpoint
schedule, fp16 scaler  from the checkpoint
order of pictures      the sampler's state at the start of the epoch; the batches already done are skipped
augmentation           follows from the sampler: every draw carries its own seed
torch's generator      from the checkpoint (dropout)
miner's generator      from the checkpoint
best metric, patience  from the checkpoint
settings               from the checkpoint, except those in ``MAY_CHANGE_ON_RESUME``
device, workers        from the call: they do not change what is computed on one kind of device
=====================  =========================================================================================
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import torch
from lightning_fabric import Fabric

from facenet.errors import CheckpointError, EmbeddingCollapse, TrainingDiverged
from facenet.models.face_model import FaceModel
from facenet.training.checkpoint import Description, load_trainer_state, save_checkpoint
from facenet.training.config import TrainingConfig
from facenet.training.guard import CollapseGuard
from facenet.training.monitor import Listener, Monitor
from facenet.training.outcome import Outcome, Progress
from facenet.training.runs import RunFolder
from facenet.training.schedules import Schedule, build_optimiser
from facenet.training.sources import Source
from facenet.training.tasks import Task

Evaluate = Callable[[FaceModel], dict[str, float]]
_PRECISIONS: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "fp32": "32-true",
    "bf16": "bf16-mixed",
    "fp16": "16-mixed",
}


class Trainer:
    """Trains one model on one task.

    Args:
        model: what to train; ends with the last weights (the best are in the run's ``best`` checkpoint).
        task, source: what to learn and where its embeddings come from.
        config: with ``precision`` already decided.
        run: where checkpoints and records go.
        description: of the model, for its checkpoints; epoch, step and metrics are filled in.
        evaluate: model → metrics on held-out pictures; empty if there is nothing to measure.
        listener: shown what happens.
        device: ``cpu``, ``cuda`` or ``mps``.
        stop: asked after every step; true saves and ends the run.
    """

    def __init__(
        self,
        model: FaceModel,
        task: Task,
        source: Source,
        config: TrainingConfig,
        run: RunFolder,
        description: Description,
        evaluate: Evaluate,
        listener: Listener,
        *,
        device: str = "cpu",
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.model, self.task, self.source, self.config, self.run = model, task, source, config, run
        self.description, self.evaluate, self.listener, self.stop = description, evaluate, listener, stop
        self.fabric = Fabric(accelerator=device, devices=1, precision=_PRECISIONS[config.precision])
        model.to(memory_format=torch.channels_last)
        optimiser = build_optimiser(model.trainable_parameters(), config)
        self.network, self.optimiser = self.fabric.setup(model, optimiser)
        if config.compile:
            model.trunk.compile()
        self.steps_per_epoch = math.ceil(task.batches_per_epoch / config.accumulate)
        self.schedule = Schedule(self.optimiser.optimizer, config, self.steps_per_epoch)
        self.guard = CollapseGuard(config)
        self.progress = Progress()
        self.metrics: dict[str, dict[str, float]] = {"start": {}, "last": {}, "best": {}}
        self._epoch_start = task.sampler_state()
        self._seconds, self._images, self._saved_at = 0.0, 0, time.monotonic()

    def fit(self, *, resume: bool = False) -> Outcome:
        """Train to the configured number of epochs; everything random starts from the configured seed.

        Args:
            resume: go on from the run's ``last`` checkpoint.

        Raises:
            TrainingDiverged, EmbeddingCollapse: the best weights so far are saved, and the message says where.
            CheckpointError: the checkpoint to resume from is damaged or of other data.
            StorageError: the run folder cannot be written.
        """
        # The layers' dropout can only draw from torch's global generator; the caller's is left as it was.
        with torch.random.fork_rng():
            torch.manual_seed(self.config.seed)
            if resume:
                self._restore()
            resumed_at = (self.progress.epoch, self.progress.step) if resume else None
            with Monitor(self.run, self.listener, resumed_at=resumed_at) as monitor:
                if not resume:
                    self._evaluate(monitor)
                    self._save_last()
                total = self.steps_per_epoch * self.config.epochs
                self.listener.started(self.config.epochs, total, self.progress.step)
                try:
                    status = self._epochs(monitor)
                except (TrainingDiverged, EmbeddingCollapse) as error:
                    kept = f"; the best weights so far, of epoch {self.progress.best_epoch}, are kept"
                    raise type(error)(f"{error}{kept if self.progress.best_value is not None else ''}") from error
        return self._outcome(status)

    def _epochs(self, monitor: Monitor) -> str:
        status = "finished"
        while self.progress.epoch < self.config.epochs:
            if self.config.patience and self.progress.stale >= self.config.patience:
                status = "stopped_early"
                break
            if not self._train_epoch(monitor):
                status = "interrupted"
                break
            last = self.progress.epoch == self.config.epochs
            if last or self.progress.epoch % self.config.eval_every == 0:
                self._evaluate(monitor)
            if self.config.keep_epochs:
                self._check_weights()
                save_checkpoint(self.run.checkpoints, "epoch", self.model, self._described(), None)
            if not last and time.monotonic() - self._saved_at >= self.config.save_seconds:
                self._save_last()
        self._save_last()
        return status

    def _train_epoch(self, monitor: Monitor) -> bool:
        """Take the steps of one epoch; False if asked to stop before its end."""
        self._epoch_start = self.task.sampler_state()
        plan = self.task.epoch_batches()
        if self.progress.batches == 0:
            self.progress.sums, self.progress.counts = {}, {}
        self.model.train()
        began = time.perf_counter()
        losses: list[float] = []
        group: list[torch.Tensor] = []
        for inputs, labels in self.source.batches(plan, self.progress.batches):
            batches_left = len(plan) - self.progress.batches
            # A last group may be smaller than the others; its gradients are averaged over what there is.
            size = min(self.config.accumulate, batches_left + len(group))
            embeddings = self.source.embed(self.network, inputs)
            result = self.task.loss(self.model, embeddings, labels)
            losses.append(result.loss.item())
            self.guard.check_loss(losses[-1], self.progress.step + 1)
            self.fabric.backward(result.loss / size)
            group.append(result.loss.detach())
            self.progress.batches += 1
            self.progress.images += len(labels)
            self.progress.add({"loss": losses[-1], **result.figures}, len(labels))
            self._images += len(labels)
            if len(group) < size:
                continue
            self._step()
            if result.spread is not None:
                self.guard.check_spread(result.spread, self.progress.step)
            now = time.perf_counter()
            self._seconds, began = self._seconds + now - began, now
            monitor.step(self._record(sum(losses[-len(group) :]) / len(group), result.figures))
            group.clear()
            if self.stop():
                return False
            if self.config.save_steps and self.progress.step % self.config.save_steps == 0:
                self._save_last()
                began = time.perf_counter()
        self.progress.epoch += 1
        self.progress.batches = 0
        self._epoch_start = self.task.sampler_state()
        self.schedule.after_epoch()
        return True

    def _step(self) -> None:
        if self.config.clip > 0:
            self.fabric.clip_gradients(self.network, self.optimiser, max_norm=self.config.clip)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.schedule.after_step()
        self.progress.step += 1

    def _record(self, loss: float, figures: dict[str, float]) -> dict[str, Any]:
        speed = self._images / self._seconds if self._seconds > 0 else 0.0
        steps_left = self.steps_per_epoch * self.config.epochs - self.progress.step
        per_step = self.progress.images / self.progress.step
        return {
            "epoch": self.progress.epoch + 1,
            "step": self.progress.step,
            "loss": loss,
            **figures,
            "lr": self.schedule.lr,
            "images_per_second": round(speed, 1),
            "seconds_left": round(steps_left * per_step / speed, 1) if speed > 0 else 0.0,
        }

    def _evaluate(self, monitor: Monitor) -> None:
        """Measure the present weights; the best so far are saved."""
        self._check_weights()
        self.model.eval()
        state = self.progress
        metrics = self.evaluate(self.model)
        value = metrics.get(self.config.primary)
        first = not self.metrics["start"] and state.step == 0
        self.metrics["last"] = metrics
        state.evaluations += 1
        watches = self.config.primary if self.config.plateau_watch == "primary" else self.config.plateau_watch
        watched = metrics.get(watches)
        if first:
            self.metrics["start"], state.start_value = metrics, value
            if metrics and value is None:
                self.listener.say(f"{self.config.primary} cannot be measured here: no weights will be kept as the best")
            if self.config.schedule == "plateau" and watched is None:
                self.listener.say(f"{watches} cannot be measured here: the learning rate will stay")
        better = value is not None and (state.best_value is None or value > state.best_value)
        if better:
            self.metrics["best"] = metrics
            state.best_value, state.best_epoch, state.stale = value, state.epoch, 0
            save_checkpoint(self.run.checkpoints, "best", self.model, self._described(), None)
        elif value is not None:
            state.stale += 1
        if watched is not None and not first:
            self.schedule.after_evaluation(watched)
        record = {"epoch": state.epoch, "step": state.step, "metrics": metrics, "train": state.means(), "best": better}
        monitor.evaluated(record)

    def _check_weights(self) -> None:
        values = (value for value in self.model.state_dict().values() if value.is_floating_point())
        self.guard.check_weights(values, self.progress.step)

    def _save_last(self) -> None:
        self._check_weights()
        state = {
            "progress": vars(self.progress).copy(),
            "metrics": self.metrics,
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "precision": self.fabric.strategy.precision.state_dict(),
            "sampler": self._epoch_start,
            "task": self.task.state_dict(),
            "collapsed_steps": self.guard.collapsed_steps,
            "rng": torch.get_rng_state(),
            "rng_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        save_checkpoint(self.run.checkpoints, "last", self.model, self._described(), state)
        self._saved_at = time.monotonic()

    def _restore(self) -> None:
        """Everything in the table at the head of this module; the model's weights are already loaded."""
        path = self.run.resumable()
        if path is None:
            raise CheckpointError("there is no checkpoint to resume from in this run")
        state = load_trainer_state(path)
        try:
            self.progress = Progress(**state["progress"])
            self.metrics = state["metrics"]
            self.optimiser.optimizer.load_state_dict(state["optimiser"])
            self.schedule.load_state_dict(state["schedule"])
            self.fabric.strategy.precision.load_state_dict(state["precision"])
            self.task.load_sampler_state(state["sampler"])
            self._epoch_start = self.task.sampler_state()
            self.task.load_state_dict(state["task"])
            self.guard.collapsed_steps = int(state["collapsed_steps"])
            torch.set_rng_state(state["rng"])
            if state["rng_cuda"] and torch.cuda.is_available():
                torch.cuda.set_rng_state_all(state["rng_cuda"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = str(error).partition("\n")[0]
            raise CheckpointError(f"{path.name}/trainer_state.pt is damaged or foreign: {reason}") from error

    def _described(self) -> Description:
        return replace(
            self.description,
            config=self.config,
            fingerprint=self.model.trunk.fingerprint(),
            epoch=self.progress.epoch,
            step=self.progress.step,
            metrics=self.metrics["last"],
            evaluations=self.progress.evaluations,
        )

    def _outcome(self, status: str) -> Outcome:
        state = self.progress
        return Outcome(
            status=status,
            progress=state,
            start=self.metrics["start"],
            last=self.metrics["last"],
            best=self.metrics["best"],
            train=state.means(),
            worse_than_start=state.best_value is not None and state.best_epoch == 0 and state.epoch > 0,
            seconds=self._seconds,
            images_per_second=self._images / self._seconds if self._seconds > 0 else 0.0,
        )
