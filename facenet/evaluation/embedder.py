"""A network ready to embed, with the contract and the fingerprint its embeddings carry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from facenet.devices import choose_device, choose_precision
from facenet.errors import CheckpointError, ContractError, UsageError, WeightsError, printable
from facenet.models.backbone import Backbone
from facenet.models.inference import InferenceTrunk
from facenet.models.registry import build_backbone
from facenet.models.weights import pretrain
from facenet.preprocessing import Preprocessing
from facenet.training.checkpoint import load_model
from facenet.training.runs import newest_checkpoint

_DEFAULT_BACKBONE = "inception_resnet_v1"
_DEFAULT_WEIGHTS = "vggface2"


@dataclass(frozen=True)
class ModelSource:
    """Where a model can be had again.

    Attributes:
        kind: ``"checkpoint"`` for one of our checkpoint folders, ``"weights"`` for a backbone with published weights.
        backbone: architecture.
        place: the checkpoint folder's or the weight file's absolute path, or the catalogue's name of the weights.
    """

    kind: str
    backbone: str
    place: str

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelSource:
        """Read back what ``to_dict`` gave.

        Raises:
            CheckpointError: something else.
        """
        if set(values) != {"kind", "backbone", "place"} or not all(isinstance(text, str) for text in values.values()):
            raise CheckpointError("the description of the model cannot be read: name the model with --checkpoint")
        return cls(**values)


@dataclass(frozen=True, eq=False)
class Embedder:
    """A network for use, not for training.

    Attributes:
        trunk: faces in, unit vectors out.
        fingerprint: what its embeddings carry.
        source: where it came from.
        device, precision: what it computes on and in, with the reason.
    """

    trunk: InferenceTrunk
    fingerprint: str
    source: ModelSource
    device: str = "cpu"
    precision: str = "fp32"

    @property
    def preprocessing(self) -> Preprocessing:
        """The contract of its inputs."""
        return self.trunk.preprocessing

    @property
    def embedding_size(self) -> int:
        """Values in an embedding."""
        return self.trunk.embedding_size


def open_embedder(
    *,
    checkpoint: Path | None = None,
    backbone: str | None = None,
    pretrained: str | None = None,
    runs: Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    offline: bool = False,
    progress: Callable[[int, int | None], None] | None = None,
) -> Embedder:
    """Open a trained network. Untrained weights are never used.

    Args:
        checkpoint: one of our checkpoint folders; then nothing else may be named.
        backbone: architecture for ``pretrained`` (default: ``inception_resnet_v1``).
        pretrained: a catalogue name or a weight file. Its faces are cut from photos as the architecture's published
            weights want them (``Backbone.photo_crop``).
        runs: if neither is given, the newest checkpoint in these runs is taken, and if there is none ``vggface2``.
        device, precision: ``auto`` or a name.
        offline: never use the network.
        progress: called with (bytes so far, bytes in all or None) during a download.

    Raises:
        UsageError: contradicting arguments, unknown names.
        CheckpointError, ContractError, WeightsError: the model cannot be had.
    """
    if checkpoint is not None and (pretrained is not None or backbone is not None):
        raise UsageError("--checkpoint names the whole model: leave --backbone and --pretrained out")
    if pretrained in ("none", "auto"):
        raise UsageError(f"--pretrained {pretrained} may mean untrained weights, which recognise nobody: name weights")
    if checkpoint is None and pretrained is None and backbone is None and runs is not None:
        checkpoint = newest_checkpoint(runs)
    if checkpoint is not None:
        model, description = load_model(checkpoint)
        trunk: Backbone = model.trunk
        source = ModelSource("checkpoint", trunk.architecture, str(checkpoint.resolve()))
        fingerprint = description.fingerprint
    else:
        trunk = build_backbone(_DEFAULT_BACKBONE if backbone is None else backbone)
        wanted = _DEFAULT_WEIGHTS if pretrained is None else pretrained
        trunk.preprocessing = trunk.preprocessing.for_photos(trunk.photo_crop)
        origin = pretrain(trunk, wanted, seed=0, offline=offline, progress=progress)
        place = wanted if origin.kind == "catalogue" else str(Path(wanted).resolve())
        source = ModelSource("weights", trunk.architecture, place)
        fingerprint = trunk.fingerprint()
    where = choose_device(device)
    how = choose_precision(precision, where.value)
    ready = InferenceTrunk(trunk, device=where.value, precision=how.value)
    return Embedder(ready, fingerprint, source, str(where), str(how))


def reopen_embedder(
    source: ModelSource, fingerprint: str, *, device: str = "auto", precision: str = "auto", offline: bool = False
) -> Embedder:
    """Open the model that embeddings were made with.

    Raises:
        WeightsError: it is no longer where it was.
        ContractError: what lies there now is another model.
        CheckpointError: damaged, or the source is of a kind this version does not know.
    """
    if source.kind not in ("checkpoint", "weights"):
        raise CheckpointError(f"unknown kind of model {printable(source.kind)}: name the model with --checkpoint")
    try:
        if source.kind == "checkpoint":
            opened = open_embedder(checkpoint=Path(source.place), device=device, precision=precision)
        else:
            opened = open_embedder(
                backbone=source.backbone, pretrained=source.place, device=device, precision=precision, offline=offline
            )
    except (CheckpointError, WeightsError) as error:
        raise WeightsError(f"the model cannot be opened: {error}; name it with --checkpoint or --pretrained") from error
    require_fingerprint(opened.fingerprint, fingerprint)
    return opened


def require_fingerprint(given: str, needed: str) -> None:
    """Two embeddings may be compared only if what made them is the same.

    Raises:
        ContractError: it is not; with both values and the way out.
    """
    if given != needed:
        raise ContractError(
            f"these embeddings have fingerprint {printable(given)}, the gallery's have {printable(needed)}: they were "
            "made by another model or another preprocessing and cannot be compared. Use the gallery's own model, or "
            "move the gallery to the new one with `gallery reembed`"
        )
