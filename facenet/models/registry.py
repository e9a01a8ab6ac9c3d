"""Backbones by name. A new backbone is one new file and one line in ``BACKBONES``."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass

import torch

from facenet.errors import UsageError, printable
from facenet.models.backbone import Backbone
from facenet.models.necks import NO_NECK, NeckedBackbone, parse_neck
from facenet.preprocessing import IMAGENET_MEAN, IMAGENET_STD, PerChannel

_TIMM = "timm:"


@dataclass(frozen=True)
class BackboneEntry:
    """One line of the registry.

    Attributes:
        name: what ``--backbone`` takes.
        location: ``module:class``, imported when it is built.
        embedding_size: length of an embedding.
        input_size: (height, width) in pixels.
        parameters: number of trainable values.
        summary: one line for people.
        multiply_adds: multiplications, each with its addition, in the convolutions and linear layers for one picture;
            None where nobody counted.
        mean, std: scaling of the input, as in :class:`facenet.preprocessing.Preprocessing`.
        photo_crop: how a face is cut from a photo, as in :class:`facenet.models.backbone.Backbone`.
    """

    name: str
    location: str
    embedding_size: int
    input_size: tuple[int, int]
    parameters: int
    summary: str
    multiply_adds: int | None = None
    mean: PerChannel = 127.5
    std: PerChannel = 128.0
    photo_crop: str = "margin-14"


def _torchvision(
    name: str, class_name: str, embedding_size: int, parameters: int, multiply_adds: int, summary: str
) -> BackboneEntry:
    """A network of torchvision's that takes 224×224 pixels scaled by ImageNet's figures."""
    return BackboneEntry(
        name,
        f"facenet.models.torchvision_backbones:{class_name}",
        embedding_size,
        (224, 224),
        parameters,
        summary,
        multiply_adds,
        IMAGENET_MEAN,
        IMAGENET_STD,
        "margin-20",
    )


BACKBONES: dict[str, BackboneEntry] = {
    entry.name: entry
    for entry in (
        BackboneEntry(
            "inception_resnet_v1",
            "facenet.models.inception_resnet_v1:InceptionResnetV1",
            512,
            (160, 160),
            23_482_624,
            "Inception-ResNet-v1 (arXiv 1602.07261), facenet-pytorch's layers",
            1_417_662_304,
        ),
        BackboneEntry(
            "inception_resnet_v2",
            "facenet.models.inception_resnet_v2:InceptionResnetV2",
            1536,
            (299, 299),
            54_306_464,
            "Inception-ResNet-v2 (arXiv 1602.07261), deep and slow",
            13_154_258_016,
            std=127.5,
            photo_crop="margin-26",
        ),
        BackboneEntry(
            "mobilefacenet",
            "facenet.models.mobilefacenet:MobileFaceNet",
            128,
            (112, 96),
            999_552,
            "MobileFaceNet (arXiv 1804.07573), small and quick on a CPU",
            189_408_256,
            photo_crop="five-point",
        ),
        _torchvision("resnet18", "ResNet18", 512, 11_176_512, 1_813_561_344, "ResNet-18 (arXiv 1512.03385)"),
        _torchvision("resnet34", "ResNet34", 512, 21_284_672, 3_663_249_408, "ResNet-34 (arXiv 1512.03385)"),
        _torchvision("alexnet", "AlexNet", 4096, 57_003_840, 710_092_480, "AlexNet (arXiv 1404.5997)"),
        _torchvision("vgg16", "VGG16", 4096, 134_260_544, 15_466_168_320, "VGG-16 (arXiv 1409.1556), very slow"),
        BackboneEntry(
            "inception_v3",
            "facenet.models.torchvision_backbones:InceptionV3",
            2048,
            (299, 299),
            21_785_568,
            "Inception-v3 (arXiv 1512.00567), without its auxiliary classifier",
            5_711_168_096,
            std=127.5,
            photo_crop="margin-26",
        ),
    )
}


def takes_dropout(name: str, neck: str = NO_NECK) -> bool:
    """Whether ``dropout`` changes what :func:`build_backbone` builds.

    Raises:
        UsageError: no such backbone or neck.
    """
    backbone_class, _ = _class_of(name)
    kind, widths = parse_neck(neck)
    if kind == "conv":
        # It is fed before the backbone's own dropout, and has some itself between two convolutions.
        return len(widths) > 1
    return "dropout" in inspect.signature(backbone_class).parameters


def build_backbone(name: str, *, seed: int = 0, neck: str = NO_NECK, dropout: float = 0.0) -> Backbone:
    """Build a backbone with random weights.

    Args:
        name: a key of ``BACKBONES``, or ``timm:NAME`` for a network of the optional package timm.
        seed: decides the random weights; the global generator is left as it was. Those of the backbone are the same
            whatever is put on it.
        neck: layers put on top, as :func:`facenet.models.necks.parse_neck` takes them.
        dropout: share of values set to zero in training; without effect where :func:`takes_dropout` says no.

    Raises:
        UsageError: no such backbone or neck, or the two do not go together.
        MissingError: ``timm:NAME`` without timm.
    """
    kind, _ = parse_neck(neck)
    backbone_class, words = _class_of(name)
    options = {"dropout": dropout} if kind != "conv" and takes_dropout(name) else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone: Backbone = backbone_class(*words, **options)
        return backbone if kind == NO_NECK else NeckedBackbone(backbone, neck, dropout=dropout)


def _class_of(name: str) -> tuple[Callable[..., Backbone], tuple[str, ...]]:
    """A backbone's class, and what it wants to be told."""
    location, words = _location(name)
    module, _, attribute = location.partition(":")
    return getattr(importlib.import_module(module), attribute), words


def _location(name: str) -> tuple[str, tuple[str, ...]]:
    """``module:class``, and what the class wants to be told."""
    if name.startswith(_TIMM):
        return "facenet.models.timm_backbones:TimmBackbone", (name.removeprefix(_TIMM),)
    if name in BACKBONES:
        return BACKBONES[name].location, ()
    near = difflib.get_close_matches(name, BACKBONES, n=1)
    meant = f" (did you mean {near[0]}?)" if near else ""
    raise UsageError(
        f"unknown backbone '{printable(name)}'{meant}: choose one of {', '.join(BACKBONES)}, or {_TIMM}NAME"
    )
