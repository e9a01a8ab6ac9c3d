"""A network and a task small enough to train in a fraction of a second, for tests of everything around them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from facenet.data.combinations import balanced_pairs
from facenet.data.splits import Holdout
from facenet.evaluation.pair_decisions import decide_pairs
from facenet.evaluation.pairs import all_or_sampled_pairs, score_pairs
from facenet.evaluation.verification import verify_pairs
from facenet.models.backbone import Backbone
from facenet.models.face_model import FaceModel
from facenet.preprocessing import Preprocessing
from facenet.training.checkpoint import Description, build_model, load_model
from facenet.training.config import TrainingConfig
from facenet.training.engine import Trainer
from facenet.training.monitor import Silence
from facenet.training.runs import RunFolder
from facenet.training.sources import EmbeddingSource, Plan, Source
from facenet.training.tasks import build_task

PEOPLE, PICTURES, SIDE = 6, 6, 32
NAMES = tuple(f"person {number}" for number in range(PEOPLE))


class ToyBackbone(Backbone):
    """Two convolutions with batch normalisation, dropout, and a linear layer: 16 values from 32×32 pixels."""

    architecture = "toy"
    photo_crop = "five-point"

    def __init__(self) -> None:
        super().__init__()
        self.embedding_size = 16
        self.preprocessing = Preprocessing(height=SIDE, width=SIDE)
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(8, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.last = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Dropout(0.2), nn.Linear(256, 16))

    def stages(self) -> list[tuple[str, nn.Module]]:
        return [("first", self.first), ("second", self.second), ("last", self.last)]

    def features(self, inputs: Tensor) -> Tensor:
        return self.last(self.second(self.first(inputs)))


def toy_faces() -> tuple[Tensor, Tensor]:
    """``uint8 (36, 3, 32, 32)`` pictures of six people, each a pattern of their own under noise, and their labels."""
    rng = np.random.default_rng(7)
    patterns = rng.integers(40, 216, (PEOPLE, 1, 3, SIDE // 4, SIDE // 4)).repeat(4, 3).repeat(4, 4)
    noise = rng.normal(0, 60, (PEOPLE, PICTURES, 3, SIDE, SIDE))
    faces = (patterns + noise).clip(0, 255).astype(np.uint8).reshape(-1, 3, SIDE, SIDE)
    return torch.from_numpy(faces), torch.arange(PEOPLE).repeat_interleave(PICTURES)


class ToySource:
    """Pictures from memory; every other one is mirrored, as its own seed says."""

    def __init__(self, faces: Tensor, labels: Tensor) -> None:
        self.faces, self.labels = faces, labels

    def batches(self, plan: Plan, start: int) -> Iterator[tuple[Tensor, Tensor]]:
        for draws in plan[start:]:
            rows = [self.faces[draw.index].flip(-1) if draw.seed % 2 else self.faces[draw.index] for draw in draws]
            yield torch.stack(rows), self.labels[[draw.index for draw in draws]]

    def embed(self, model: nn.Module, inputs: Tensor) -> Tensor:
        embeddings: Tensor = model(Preprocessing(height=SIDE, width=SIDE).normalise(inputs))
        return embeddings


def toy_config(**changes: Any) -> TrainingConfig:
    """Three epochs of five steps."""
    values: dict[str, Any] = {
        "backbone": "toy",
        "pretrained": "none",
        "precision": "fp32",
        "epochs": 3,
        "batch_size": 8,
        "images_per_person": 2,
        "lr": 1e-2,
        "seed": 3,
    }
    return TrainingConfig(**{**values, **changes})


def toy_trainer(
    folder: Path,
    config: TrainingConfig,
    *,
    resume: bool = False,
    stop: Callable[[], bool] = lambda: False,
    evaluate: Callable[[FaceModel], dict[str, float]] | None = None,
    listener: Any = None,
) -> Trainer:
    """A trainer in ``folder``, freshly begun or with the weights of the folder's last checkpoint.

    With whatever word for anchors in the configuration, the first picture of each person is one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run = RunFolder(folder)
    faces, labels = toy_faces()
    if resume:
        path = run.resumable()
        assert path is not None, "nothing to resume from"
        model, description = load_model(path)
        description = replace(description, config=config)
    else:
        model, description = _fresh(config)
    source: Source = ToySource(faces, labels)
    if model.trunk_is_frozen:
        with torch.no_grad():
            table = model.eval()(model.trunk.preprocessing.normalise(faces))
        source = EmbeddingSource(table, labels, torch.device("cpu"))
    return Trainer(
        model,
        build_task(labels.numpy(), config, np.arange(len(labels)) % PICTURES == 0 if config.anchor else None),
        source,
        config,
        run,
        description,
        toy_metrics if evaluate is None else evaluate,
        Silence() if listener is None else listener,
        stop=stop,
    )


def toy_metrics(model: FaceModel) -> dict[str, float]:
    """How well people are told apart on the pictures that are trained on."""
    faces, labels = toy_faces()
    with torch.inference_mode():
        embeddings = model(model.trunk.preprocessing.normalise(faces))
        found = {}
        if model.head is not None:
            found["accuracy"] = float((model.head.logits(embeddings).argmax(dim=1) == labels).float().mean())
        if model.pair_head is not None:
            first, second = balanced_pairs(labels.numpy())
            same = labels.numpy()[first] == labels.numpy()[second]
            found["pair_f1"] = decide_pairs(model.pair_head, embeddings, first, second, same).f1
    pairs = all_or_sampled_pairs(labels.numpy())
    verification = verify_pairs(score_pairs(embeddings, pairs), pairs.genuine, people=pairs.people(labels.numpy()))
    return {**found, "roc_auc": verification.roc_auc}


def _fresh(config: TrainingConfig) -> tuple[FaceModel, Description]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        trunk = ToyBackbone()
    people = NAMES if config.task == "classification" else ()
    description = Description(
        config=config,
        holdout=Holdout(),
        preprocessing=trunk.preprocessing,
        fingerprint="",
        people=people,
        origin={"kind": "random"},
        epoch=0,
        step=0,
        metrics={},
    )
    return build_model(trunk, config, people), description
