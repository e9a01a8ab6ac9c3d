"""The weights catalogue: what pretrained weights exist, where from, under which terms and how good they are said to be.

Knowledge only: nothing here touches the network or a weights file, and importing it costs next to nothing.
A new set of weights is one more :class:`WeightsEntry` in :data:`CATALOGUE`.

A checksum is written down here only where several independent publications of it agree; where ``sha256`` is None the
first download records one beside the file, and later checks compare with that.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from facenet.errors import UsageError, printable

_RELEASE = "https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/"
_README = "https://github.com/timesler/facenet-pytorch (README, as listed by https://github.com/davidsandberg/facenet)"
_LICENCE = (
    "not stated by the publisher for the weights (the code of facenet-pytorch and of davidsandberg/facenet is MIT); "
    "the terms of the training data may bind whoever uses them"
)


@dataclass(frozen=True)
class PublishedFigure:
    """One result the publisher of weights states; never one measured here.

    Attributes:
        benchmark: data set and protocol, such as ``"LFW verification"``.
        metric: what the value counts, such as ``"mean accuracy"``.
        value: in the metric's own unit; accuracies are fractions in [0, 1].
        source: where it is published.
    """

    benchmark: str
    metric: str
    value: float
    source: str


@dataclass(frozen=True)
class WeightsEntry:
    """One downloadable weights file.

    Attributes:
        name: short name a user types, such as ``"vggface2"``; unique within one architecture.
        architecture: the network it fits, such as ``"inception_resnet_v1"``.
        file_name: name in the cache folder, without a folder part.
        url: https address of the file.
        bytes: exact length of the file, or None where it could not be established.
        sha256: 64 lower-case hexadecimal digits, or None where no trustworthy publication of it is known.
        licence: terms of the weights, in words.
        training_data: what they were trained on, and under which terms that was handed out.
        published: figures stated by the publisher, each with its source.
    """

    name: str
    architecture: str
    file_name: str
    url: str
    bytes: int | None
    sha256: str | None
    licence: str
    training_data: str
    published: tuple[PublishedFigure, ...]


CATALOGUE: tuple[WeightsEntry, ...] = (
    WeightsEntry(
        name="vggface2",
        architecture="inception_resnet_v1",
        file_name="20180402-114759-vggface2.pt",
        url=_RELEASE + "20180402-114759-vggface2.pt",
        # No checksum comes from the publisher. This one stands, with this length and this address, in many unrelated
        # projects that check their download against it, and in the pointer file of a public copy.
        bytes=111_898_327,
        sha256="281cebca8662831adb987a874bdcb36e73f5b1c6dc5ee5878f305e985625d99b",
        licence=_LICENCE,
        training_data=(
            "VGGFace2 (8,631 people; photographs found on the web). Reports of its terms disagree: CC BY-SA 4.0, or "
            "non-commercial research only"
        ),
        published=(PublishedFigure("LFW verification", "accuracy", 0.9965, _README),),
    ),
    WeightsEntry(
        name="casia-webface",
        architecture="inception_resnet_v1",
        file_name="20180408-102900-casia-webface.pt",
        url=_RELEASE + "20180408-102900-casia-webface.pt",
        # The two files differ only in their last layer, (10,575 - 8,631) people x (512 weights + 1 bias) x 4 bytes:
        # this length is the other one plus exactly that.
        bytes=115_887_415,
        sha256=None,
        licence=_LICENCE,
        training_data=(
            "CASIA-WebFace (10,575 people; photographs found on the web). Handed out under a release agreement, "
            "reported to allow non-commercial research only"
        ),
        published=(PublishedFigure("LFW verification", "accuracy", 0.9905, _README),),
    ),
)


def find(name: str, architecture: str | None = None) -> WeightsEntry:
    """Return the catalogue entry called ``name``.

    Arguments:
        name: such as ``"vggface2"``.
        architecture: only look among the weights of this network; None looks among all.

    Raises:
        UsageError: no such name (the known ones are listed), or several networks have weights of that name.
    """
    candidates = [entry for entry in CATALOGUE if architecture is None or entry.architecture == architecture]
    matches = [entry for entry in candidates if entry.name == name]
    if len(matches) == 1:
        return matches[0]
    if matches:
        owners = ", ".join(entry.architecture for entry in matches)
        raise UsageError(f"weights {printable(name)} exist for several networks ({owners}): say for which")
    known = ", ".join(entry.name for entry in candidates)
    of = "" if architecture is None else f" of {printable(architecture)}"
    raise UsageError(f"unknown weights {printable(name)}{of}: known are {known if known else 'none'}")


def weights_folder() -> Path:
    """Return the folder weights are kept in: ``$TORCH_HOME/checkpoints``, the one facenet-pytorch uses.

    ``TORCH_HOME`` defaults to ``$XDG_CACHE_HOME/torch``, and ``XDG_CACHE_HOME`` to ``~/.cache``, as in torch; a
    variable that is set but empty counts as not set. The folder need not exist.
    """
    cache = os.environ.get("XDG_CACHE_HOME", "")
    home = os.environ.get("TORCH_HOME", "")
    base = Path(home) if home else Path(cache if cache else "~/.cache") / "torch"
    return base.expanduser() / "checkpoints"
