"""Checkpoints: folders that hold a model, what it is, and (the ``last`` one) how to go on.

``model.safetensors``   weights of trunk and heads
``checkpoint.json``     what they are: backbone, people, preprocessing contract, fingerprint, configuration, metrics
``trainer_state.pt``    optimiser, schedule, generators, sampler; only in checkpoints one can resume from

What a resumed run takes from where is written down in :mod:`facenet.training.engine`.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import pickle
import platform
import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from facenet._version import __version__
from facenet.data.splits import Holdout
from facenet.errors import CheckpointError, ContractError, UsageError, printable
from facenet.models.backbone import Backbone
from facenet.models.face_model import FaceModel
from facenet.models.heads import build_head
from facenet.models.pair_head import build_pair_head
from facenet.models.registry import build_backbone
from facenet.preprocessing import Preprocessing
from facenet.training.config import TrainingConfig
from facenet.training.files import read_json, to_json, write_folder

FORMAT = "facenet-checkpoint"
VERSION = 1
WEIGHTS, STATE = "model.safetensors", "trainer_state.pt"
_NAME = re.compile(r"(last|best|epoch)-(\d{8})-(\d+)")
_PACKAGES = (
    "torch", "torchvision", "numpy", "scipy", "scikit-learn", "faiss-cpu", "pillow", "simplejpeg", "facenet-pytorch",
    "pytorch-metric-learning", "safetensors",
)  # fmt: skip


@dataclass(frozen=True)
class Description:
    """``checkpoint.json``: everything about a model but its weights.

    Attributes:
        config: the run's settings.
        holdout: which pictures the run never trained on.
        preprocessing: the contract of the trunk's inputs.
        fingerprint: of preprocessing, architecture and trunk weights.
        people: names of the head's outputs, in order; empty without a head.
        origin: where the trunk's starting weights came from (``Origin.to_dict``).
        epoch, step: how far training had come.
        metrics: of the last evaluation before saving.
        evaluations: how often held-out pictures had been measured; a ``best`` checkpoint is the best of so many.
        created: UTC time, ISO 8601.
        versions: of Python and the packages that can change a number.
    """

    config: TrainingConfig
    holdout: Holdout
    preprocessing: Preprocessing
    fingerprint: str
    people: tuple[str, ...]
    origin: dict[str, Any]
    epoch: int
    step: int
    metrics: dict[str, float]
    evaluations: int = 0
    created: str = ""
    versions: dict[str, str] | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "config": self.config.to_dict(),
            "holdout": self.holdout.to_dict(),
            "preprocessing": self.preprocessing.to_dict(),
            "fingerprint": self.fingerprint,
            "people": list(self.people),
            "origin": self.origin,
            "epoch": self.epoch,
            "step": self.step,
            "metrics": self.metrics,
            "evaluations": self.evaluations,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": versions(),
        }

    @classmethod
    def read(cls, path: Path) -> Description:
        """Read ``checkpoint.json`` from a checkpoint folder.

        Raises:
            CheckpointError: not there, damaged, not one of ours, of a later version, or a run instead of one of its
                checkpoints.
        """
        inside = path / "checkpoints"
        if inside.is_dir() and not (path / "checkpoint.json").exists():
            found = usable(inside)
            example = "but it has none" if found is None else f"such as {printable(found)}"
            raise CheckpointError(f"{printable(path)} is the folder of a run: name one of its checkpoints, {example}")
        values = read_json(path / "checkpoint.json")
        if values.get("format") != FORMAT:
            raise CheckpointError(f"{printable(path)} is no facenet checkpoint")
        if values.get("version") != VERSION:
            raise CheckpointError(
                f"{printable(path)} was written in format {values.get('version')!r}, this version reads {VERSION}"
            )
        try:
            return cls(
                config=TrainingConfig.from_dict(values["config"]),
                holdout=Holdout.from_dict(values["holdout"]),
                preprocessing=Preprocessing.from_dict(values["preprocessing"]),
                fingerprint=str(values["fingerprint"]),
                people=tuple(str(name) for name in values["people"]),
                origin=dict(values["origin"]),
                epoch=int(values["epoch"]),
                step=int(values["step"]),
                metrics=dict(values["metrics"]),
                evaluations=int(values["evaluations"]),
                created=str(values["created"]),
                versions=dict(values["versions"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{printable(path)}/checkpoint.json is damaged: {error}") from error


def versions() -> dict[str, str]:
    """Versions of this package, of Python, and of the packages whose change can change a number."""
    found = {"facenet": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        found[package] = importlib.metadata.version(package)
    return found


def save_checkpoint(
    folder: Path, kind: str, model: FaceModel, description: Description, trainer_state: dict[str, Any] | None
) -> Path:
    """Write ``folder/kind-STEP-N`` whole or not at all, then remove older ones of its kind (``epoch``: of its step).

    Args:
        folder: of all checkpoints of the run.
        kind: ``last``, ``best`` or ``epoch``.
        model: whose weights are saved.
        description: see :class:`Description`.
        trainer_state: plain values and tensors, or None for a model that is only to be used.

    Raises:
        StorageError: it cannot be written; older checkpoints are untouched.
    """
    previous = [entry for entry in _entries(folder) if entry.name.startswith(kind)]
    # The same step can be saved twice (within an epoch and at its end): the second gets a name of its own, so that
    # nothing is ever taken away before what replaces it is whole.
    taken = [number for step, number in map(_order, previous) if step == description.step]
    again = max(taken, default=-1) + 1
    path = folder / f"{kind}-{description.step:08d}-{again}"
    # Weights may share memory or be laid out channels-last; the file holds plain copies.
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    contents = {WEIGHTS: safetensors.torch.save(tensors)}
    if trainer_state is not None:
        buffer = io.BytesIO()
        torch.save(trainer_state, buffer)
        contents[STATE] = buffer.getvalue()
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    write_folder(path, {**contents, "checkpoint.json": to_json({**description.to_dict(), "files": digests})})
    for old in previous:
        # A run that was killed does an epoch again, and ends it with the same weights.
        if kind != "epoch" or _order(old)[0] == description.step:
            shutil.rmtree(old, ignore_errors=True)
    return path


def newest(folder: Path, kind: str | None = None) -> Path | None:
    """The checkpoint with the most steps in a run's checkpoint folder, of one kind or of any."""
    entries = [entry for entry in _entries(folder) if kind is None or entry.name.startswith(kind)]
    return max(entries, key=_order, default=None)


def usable(folder: Path) -> Path | None:
    """The checkpoint to use: the best one, or the last of a run that has not been evaluated."""
    best = newest(folder, "best")
    return best if best is not None else newest(folder)


def load_model(path: Path, *, backbone: str | None = None) -> tuple[FaceModel, Description]:
    """Load the model of a checkpoint folder, in eval mode.

    Args:
        path: a checkpoint folder.
        backbone: if given, refuse a checkpoint of another architecture.

    Raises:
        CheckpointError: not there, damaged, or not one of ours.
        ContractError: of another architecture than asked for, or its weights are not those it was saved with.
    """
    if not path.is_dir():
        raise CheckpointError(f"no checkpoint at {printable(path)}")
    description = Description.read(path)
    config = description.config
    if backbone is not None and backbone != config.backbone:
        raise ContractError(
            f"{printable(path)} holds a {config.backbone}, not a {backbone}: leave --backbone out or choose another "
            "checkpoint"
        )
    try:
        trunk = build_backbone(config.backbone, seed=config.seed, neck=config.neck, dropout=config.dropout)
        model = build_model(trunk, config, description.people)
        model.load_state_dict(safetensors.torch.load(_read_checked(path, WEIGHTS)))
    except (safetensors.SafetensorError, RuntimeError, UsageError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"the weights in {printable(path)} do not fit: {reason}") from error
    trunk.preprocessing = description.preprocessing
    if trunk.fingerprint() != description.fingerprint:
        raise ContractError(
            f"{printable(path)} has fingerprint {trunk.fingerprint()} but was saved with {description.fingerprint}: "
            "its files were changed or belong to different checkpoints; use another checkpoint"
        )
    return model.eval(), description


def load_trainer_state(path: Path) -> dict[str, Any]:
    """Read ``trainer_state.pt``: only tensors and plain values, never code.

    Raises:
        CheckpointError: missing, damaged or refused.
    """
    data = _read_checked(path, STATE)
    try:
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{printable(path)}/{STATE} is damaged or foreign") from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{printable(path)}/{STATE} is not one of ours")
    return state


def _read_checked(path: Path, name: str) -> bytes:
    """The bytes of one file of a checkpoint, as they were saved."""
    digests = read_json(path / "checkpoint.json").get("files")
    try:
        data = (path / name).read_bytes()
    except OSError as error:
        raise CheckpointError(f"{printable(path)} has no readable {name}: use another checkpoint") from error
    if not isinstance(digests, dict) or hashlib.sha256(data).hexdigest() != digests.get(name):
        raise CheckpointError(f"{printable(path)}/{name} is damaged or foreign: use another checkpoint")
    return data


def build_model(trunk: Backbone, config: TrainingConfig, people: tuple[str, ...]) -> FaceModel:
    """A trunk with the head its task wants: over ``people`` if there are any, over pairs for ``siamese``, or none."""
    head = build_head(config.head, trunk.embedding_size, len(people), seed=config.seed) if people else None
    pair_head = None
    if config.task == "siamese":
        pair_head = build_pair_head(trunk.embedding_size, dropout=config.dropout, seed=config.seed)
    return FaceModel(
        trunk,
        head,
        pair_head=pair_head,
        trainable=config.trainable,
        frozen_batch_norm=config.batch_norm == "frozen",
    )


def _entries(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and _NAME.fullmatch(entry.name))


def _order(entry: Path) -> tuple[int, int]:
    """(step, count at this step) from a checkpoint's name."""
    _, step, again = entry.name.split("-")
    return int(step), int(again)
