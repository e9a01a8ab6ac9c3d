"""Backbones by name. A new backbone is one new file and one line in ``BACKBONES``."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

import torch

from facenet.errors import UsageError
from facenet.models.backbone import Backbone


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
    """

    name: str
    location: str
    embedding_size: int
    input_size: tuple[int, int]
    parameters: int
    summary: str


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
        ),
        BackboneEntry(
            "mobilefacenet",
            "facenet.models.mobilefacenet:MobileFaceNet",
            128,
            (112, 96),
            999_552,
            "MobileFaceNet (arXiv 1804.07573), small and quick on a CPU",
        ),
    )
}


def build_backbone(name: str, *, seed: int = 0, **options: float) -> Backbone:
    """Build a backbone with random weights.

    Args:
        name: a key of ``BACKBONES``.
        seed: decides the random weights; the global generator is left as it was.
        options: what the backbone's class takes, such as ``dropout``.

    Raises:
        UsageError: no such backbone.
    """
    if name not in BACKBONES:
        raise UsageError(f"unknown backbone {name!r}: choose one of {', '.join(BACKBONES)}")
    module, _, attribute = BACKBONES[name].location.partition(":")
    backbone_class = getattr(importlib.import_module(module), attribute)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone: Backbone = backbone_class(**options)
    return backbone
