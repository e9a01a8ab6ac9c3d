"""Weights from files: only tensors, never code, and strict on what a network needs."""

from __future__ import annotations

import os
import pickle
import struct
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file
from torch import Tensor

from facenet.errors import StorageError, WeightsError, printable
from facenet.models import catalogue, download
from facenet.models.backbone import Backbone
from facenet.models.partfile import sha256_of
from facenet.models.transfer import DownloadPolicy

_MOST_NAMES = 3
_IMPATIENT = DownloadPolicy(connect_timeout=3, connect_retries=0)

_SAVED = (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
"""How ``torch.save`` begins: today a zip archive, before torch 1.6 a bare pickle."""

_DAMAGE = (
    safetensors.SafetensorError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)
"""What the readers raise, depending on which byte of a file is wrong."""


@dataclass(frozen=True)
class Origin:
    """Where a trunk's starting weights came from; kept in every checkpoint.

    Attributes:
        kind: ``"random"``, ``"catalogue"``, ``"file"`` or ``"checkpoint"``.
        source: the catalogue's name, the file's name, the checkpoint's folder name, or the seed.
        sha256: of the file, empty for random weights.
        fallback: whether random weights were taken because ``auto`` found nothing better.
    """

    kind: str
    source: str
    sha256: str = ""
    fallback: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return asdict(self)


def read_tensors(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read a weight file: safetensors, or a ``.pt`` that holds nothing but tensors.

    Raises:
        WeightsError: not there, unreadable, damaged, or a pickle that would run code.
    """
    file = Path(path)
    if not file.is_file():
        raise WeightsError(f"no weight file at {printable(file)}")
    try:
        with file.open("rb") as stream:
            beginning = stream.read(2)
    except OSError as error:
        raise WeightsError(f"{printable(file)} cannot be read: {_first_line(error)}") from error
    if file.suffix != ".safetensors" and beginning not in _SAVED:
        raise WeightsError(f"{printable(file)} is no weight file")
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{printable(file)} is refused: it is a pickle that holds more than tensors and could run code; "
            "save a state_dict or a .safetensors file"
        ) from error
    except _DAMAGE as error:
        raise WeightsError(f"{printable(file)} is no weight file or is damaged: {_first_line(error)}") from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    ):
        raise WeightsError(f"{printable(file)} holds no table of named tensors")
    return state


def load_strictly(backbone: Backbone, tensors: dict[str, Tensor], name: str) -> None:
    """Load exactly what the backbone needs; a classifier in the file is passed over.

    Raises:
        WeightsError: a tensor is missing, is of another shape or is not finite, or the file holds unknown ones.
    """
    given = backbone.own_tensors(tensors)
    needed = backbone.state_dict()
    # Files from before torch 0.4.1 have no batch counters; no output depends on them.
    missing = [key for key in needed if key not in given and not key.endswith("num_batches_tracked")]
    unknown = [key for key in given if key not in needed]
    shapes = [key for key, value in given.items() if key in needed and value.shape != needed[key].shape]
    if missing or unknown or shapes:
        found = "; ".join(
            f"{len(keys)} {what} ({_some(keys)})"
            for what, keys in (("missing", missing), ("unknown", unknown), ("of another shape", shapes))
            if keys
        )
        raise WeightsError(f"{printable(name)} does not fit {backbone.architecture}: tensors {found}")
    broken = [key for key, value in given.items() if value.is_floating_point() and not bool(value.isfinite().all())]
    if broken:
        raise WeightsError(f"{printable(name)} holds values that are not finite in {_some(broken)}")
    backbone.load_state_dict(given, strict=False)


def pretrain(
    backbone: Backbone,
    pretrained: str,
    *,
    seed: int,
    folder: Path | None = None,
    offline: bool = False,
    progress: Callable[[int, int | None], None] | None = None,
) -> Origin:
    """Give a backbone its starting weights.

    Args:
        backbone: freshly built; changed in place.
        pretrained: ``none`` (stay random), a catalogue name, a path of a weight file or of one of our checkpoint
            folders, or ``auto``: the catalogue's first entry for this architecture if at hand or to be had, else
            random weights, marked as a fallback in the result.
        seed: that the random weights were made with, for the record.
        folder: where downloads are kept; the catalogue's own folder if not given.
        offline: never use the network.
        progress: called with (bytes so far, bytes in all or None) during a download.

    Raises:
        WeightsError: a name or path was asked for and cannot be had; only ``auto`` falls back.
        UsageError: no such name for this architecture.
    """
    random = Origin("random", f"seed {seed}")
    if pretrained == "none":
        return random
    if pretrained == "auto":
        entries = [entry for entry in catalogue.CATALOGUE if entry.architecture == backbone.catalogued_as]
        if not entries:
            return Origin("random", f"seed {seed}", fallback=True)
        try:
            file = download.ensure(entries[0], folder=folder, offline=offline, progress=progress, policy=_IMPATIENT)
        except (WeightsError, StorageError):
            return Origin("random", f"seed {seed}", fallback=True)
        return _load_catalogued(backbone, entries[0].name, file)
    if _is_path(pretrained):
        return _load_path(backbone, Path(pretrained))
    entry = catalogue.find(pretrained, architecture=backbone.catalogued_as)
    return _load_catalogued(
        backbone, entry.name, download.ensure(entry, folder=folder, offline=offline, progress=progress)
    )


def _is_path(text: str) -> bool:
    if any(entry.name == text for entry in catalogue.CATALOGUE):
        # A folder of pictures may well be called like the weights that were trained on it.
        return False
    return os.sep in text or "/" in text or text.endswith((".safetensors", ".pt", ".pth")) or os.path.exists(text)


def _load_catalogued(backbone: Backbone, name: str, file: Path) -> Origin:
    load_strictly(backbone, read_tensors(file), file.name)
    return Origin("catalogue", name, sha256_of(file))


def _load_path(backbone: Backbone, path: Path) -> Origin:
    if not path.is_dir():
        load_strictly(backbone, read_tensors(path), path.name)
        return Origin("file", path.name, sha256_of(path))
    file = path / "model.safetensors"
    if not file.is_file():
        raise WeightsError(f"no model.safetensors in {printable(path)}: a folder must be one of our checkpoints")
    trunk = {key[len("trunk.") :]: value for key, value in read_tensors(file).items() if key.startswith("trunk.")}
    if not trunk:
        raise WeightsError(f"{printable(file)} holds no trunk weights")
    load_strictly(backbone, trunk, file.name)
    return Origin("checkpoint", path.name, sha256_of(file))


def _some(names: Iterable[str]) -> str:
    names = sorted(names)
    more = len(names) - _MOST_NAMES
    shown = ", ".join(printable(name) for name in names[:_MOST_NAMES])
    return shown + (f" and {more} more" if more > 0 else "")


def _first_line(error: BaseException) -> str:
    """The error's first line after its kind: of some, such as a KeyError, the text alone says nothing."""
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0][:160]}" if text else type(error).__name__
