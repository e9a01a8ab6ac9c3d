"""The network and the head of a checkpoint, ready to classify."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from facenet.devices import choose_device, choose_precision
from facenet.errors import CheckpointError, printable
from facenet.evaluation.embedder import Embedder, ModelSource
from facenet.evaluation.reliability import softmax
from facenet.models.heads import Head
from facenet.models.inference import InferenceTrunk
from facenet.training.checkpoint import Description, load_model
from facenet.training.runs import list_runs

_NO_HEAD = "train one with `python cli.py --train-module classification`"


@dataclass(frozen=True, eq=False)
class Classifier:
    """The network and the head of a checkpoint, ready for use.

    Attributes:
        checkpoint: the folder they come from.
        embedder: the network.
        head: from its embeddings to scores; on the CPU, in float32.
        classes: names of the head's outputs, in order.
    """

    checkpoint: Path
    embedder: Embedder
    head: Head
    classes: tuple[str, ...]

    def probabilities(self, embeddings: NDArray[np.float32]) -> NDArray[np.float64]:
        """The softmax of the head's scores.

        Args:
            embeddings: ``(n, d)``, of length 1.

        Returns:
            ``(n, classes)``, each row in ``[0, 1]`` with sum 1.

        Raises:
            CheckpointError: the network or its head gives something that is no number.
        """
        with torch.inference_mode():
            logits = self.head.logits(torch.from_numpy(embeddings)).float().numpy()
        if not np.isfinite(logits).all():
            raise CheckpointError(
                f"the network in {printable(self.checkpoint)} gives scores that are no numbers: try --precision fp32 "
                "or another checkpoint"
            )
        return softmax(logits)


def open_classifier(
    checkpoint: Path | None = None,
    *,
    runs: Path = Path("runs"),
    device: str = "auto",
    precision: str = "auto",
) -> Classifier:
    """Open a checkpoint that has a head.

    Args:
        checkpoint: one of our checkpoint folders.
        runs: if none is named, the newest checkpoint with a head in these runs is taken.
        device, precision: ``auto`` or a name.

    Raises:
        CheckpointError: there is none, it is damaged, or it has no head.
        ContractError: its weights are not those it was saved with.
        UsageError: a device or precision that cannot be had.
    """
    # First, so that nothing is loaded in vain.
    where = choose_device(device)
    how = choose_precision(precision, where.value)
    path = _newest_with_head(runs) if checkpoint is None else checkpoint
    model, description = load_model(path)
    if model.head is None:
        raise CheckpointError(f"{printable(path)} has no classification head: {_NO_HEAD}")
    trunk = InferenceTrunk(model.trunk, device=where.value, precision=how.value)
    source = ModelSource("checkpoint", model.trunk.architecture, str(path.resolve()))
    embedder = Embedder(trunk, description.fingerprint, source, str(where), str(how))
    return Classifier(path, embedder, model.head, description.people)


def _newest_with_head(runs: Path) -> Path:
    """The usable checkpoint with a head that was written last; a damaged one is never passed over in silence."""
    usable = [path for run in list_runs(runs) if (path := run.usable()) is not None]
    for path in sorted(usable, key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True):
        if Description.read(path).people:
            return path
    raise CheckpointError(
        f"no checkpoint with a classification head in {printable(runs)}: {_NO_HEAD}, or name one with --checkpoint"
    )
