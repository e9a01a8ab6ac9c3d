"""The weights catalogue: what pretrained weights exist, where from, under which terms and how good they are said to be.

Knowledge only: nothing here touches the network or a weights file, and importing it costs next to nothing.
A new set of weights is one more :class:`WeightsEntry` in :data:`CATALOGUE`.

A checksum is written down here only where the publisher states it or several independent publications of it agree. Some
publishers state its first digits only. Where nothing or not all of it is known, the first download records the whole
beside the file, and later checks compare with that.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from facenet.errors import UsageError, printable

_RELEASE = "https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/"
_README = "https://github.com/timesler/facenet-pytorch (README, as listed by https://github.com/davidsandberg/facenet)"
_TORCHVISION = "https://pytorch.org/vision/stable/models.html (the description that torchvision gives with each file)"
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
        sha256: 64 lower-case hexadecimal digits, or as many of the first as the publisher states, or None where no
            trustworthy publication of it is known.
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


def _torchvision(architecture: str, file_name: str, top1: float, top5: float) -> WeightsEntry:
    """Weights of torchvision, whose file names end in the first eight digits of their checksums."""
    return WeightsEntry(
        name="imagenet",
        architecture=architecture,
        file_name=file_name,
        url=f"https://download.pytorch.org/models/{file_name}",
        bytes=None,
        sha256=file_name.removesuffix(".pth").rpartition("-")[2],
        licence=(
            "not stated by the publisher for the weights (the code of torchvision is BSD-3-Clause; it warns that "
            "pretrained models may have licences of their own that come from the training data)"
        ),
        training_data=(
            "ImageNet-1K (1.28 million photographs of 1,000 kinds of things, found on the web). Handed out for "
            "non-commercial research and education only"
        ),
        published=(
            PublishedFigure("ImageNet-1K", "top-1 accuracy", top1, _TORCHVISION),
            PublishedFigure("ImageNet-1K", "top-5 accuracy", top5, _TORCHVISION),
        ),
    )


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
    _torchvision("resnet18", "resnet18-f37072fd.pth", 0.69758, 0.89078),
    _torchvision("resnet34", "resnet34-b627a593.pth", 0.73314, 0.91420),
    _torchvision("alexnet", "alexnet-owt-7be5be79.pth", 0.56522, 0.79066),
    _torchvision("vgg16", "vgg16-397923af.pth", 0.71592, 0.90382),
    _torchvision("inception_v3", "inception_v3_google-0cc3c7bd.pth", 0.77294, 0.93450),
)


def find(name: str, architecture: str | None = None) -> WeightsEntry:
    """Return the catalogue entry called ``name``.

    Arguments:
        name: such as ``"vggface2"``.
        architecture: only look among the weights of this network; None looks among all, and then the name may be
            preceded by the network's, as in ``"resnet18:imagenet"``.

    Raises:
        UsageError: no such name (the known ones are listed), or several networks have weights of that name.
    """
    if architecture is None and ":" in name:
        architecture, _, name = name.rpartition(":")
    candidates = [entry for entry in CATALOGUE if architecture is None or entry.architecture == architecture]
    matches = [entry for entry in candidates if entry.name == name]
    if len(matches) == 1:
        return matches[0]
    if matches:
        owners = ", ".join(f"{entry.architecture}:{entry.name}" for entry in matches)
        raise UsageError(f"weights {printable(name)} exist for several networks: say for which, one of {owners}")
    known = ", ".join(entry.name if architecture is not None else full_name(entry) for entry in candidates)
    of = "" if architecture is None else f" of {printable(architecture)}"
    raise UsageError(f"unknown weights {printable(name)}{of}: known are {known if known else 'none'}")


def full_name(entry: WeightsEntry) -> str:
    """Return the shortest name by which :func:`find` finds ``entry`` among the weights of all networks."""
    alone = sum(other.name == entry.name for other in CATALOGUE) == 1
    return entry.name if alone else f"{entry.architecture}:{entry.name}"


def weights_folder() -> Path:
    """Return the folder weights are kept in: ``$TORCH_HOME/checkpoints``, the one facenet-pytorch uses.

    ``TORCH_HOME`` defaults to ``$XDG_CACHE_HOME/torch``, and ``XDG_CACHE_HOME`` to ``~/.cache``, as in torch; a
    variable that is set but empty counts as not set. The folder need not exist.
    """
    cache = os.environ.get("XDG_CACHE_HOME", "")
    home = os.environ.get("TORCH_HOME", "")
    base = Path(home) if home else Path(cache if cache else "~/.cache") / "torch"
    return base.expanduser() / "checkpoints"
