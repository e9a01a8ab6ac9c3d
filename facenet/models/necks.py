"""Layers put on top of a backbone, which thereby gives another, mostly smaller, embedding.

``linear-1000-256-108``: linear layers of these widths on the backbone's own embedding, with ReLU between them.
``conv-512-256``: convolutions of these widths on the backbone's last feature map, each after a max pooling, and the
largest value of every channel in the end.
"""

from __future__ import annotations

import re

from torch import Tensor, nn

from facenet.errors import UsageError, printable
from facenet.models.backbone import NO_MAPS, Backbone, named_parts
from facenet.preprocessing import Preprocessing

NO_NECK = "none"
_NECK = re.compile(r"(linear|conv)((?:-[1-9][0-9]{0,3})+)")
_MOST_LAYERS = 5
_WIDEST = 8192


def parse_neck(text: str) -> tuple[str, tuple[int, ...]]:
    """``"linear-1000-108"`` → ``("linear", (1000, 108))``; ``"none"`` → ``("none", ())``.

    Raises:
        UsageError: no neck, or one of absurd size.
    """
    if text == NO_NECK:
        return NO_NECK, ()
    match = _NECK.fullmatch(text)
    widths = tuple(int(width) for width in match[2].split("-")[1:]) if match is not None else ()
    if match is None or len(widths) > _MOST_LAYERS or max(widths) > _WIDEST:
        raise UsageError(
            f"unknown neck '{printable(text)}': choose none, linear-N-... or conv-N-... with up to {_MOST_LAYERS} "
            f"widths of 1 to {_WIDEST}, such as linear-1000-256-108"
        )
    return match[1], widths


class NeckedBackbone(Backbone):
    """A backbone with more layers on top; its contract, and what pictures it takes, are those of the backbone below.

    Its state has the prefixes ``base.`` and ``neck.``. Layers of the base that a convolutional neck does not use stay
    in it, so that weight files fit, but belong to no stage and never train.

    Args:
        base: the backbone; becomes a part of this one.
        neck: as :func:`parse_neck` takes it, but not ``"none"``.
        dropout: share of the values between two convolutions of the neck set to zero in training.

    Raises:
        UsageError: no neck, or a convolutional one on a backbone without feature maps.
    """

    def __init__(self, base: Backbone, neck: str, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.kind, widths = parse_neck(neck)
        if not widths:
            raise UsageError("a backbone with a neck needs one of at least one layer")
        if self.kind == "conv" and base.map_channels is None:
            raise UsageError(f"neck {neck} is not for {base.architecture}, which {NO_MAPS}")
        self.architecture = f"{base.architecture}+{neck}"
        self.embedding_size = widths[-1]
        self.foldable = base.foldable
        self.smallest_input = base.smallest_input
        self.fixed_input = base.fixed_input
        self.base = base
        if self.kind == "conv":
            assert base.map_channels is not None
            self.neck = _convolutions(base.map_channels, widths, dropout)
        else:
            self.neck = _linear_layers(base.embedding_size, widths)
        for layer in self.neck:
            if isinstance(layer, nn.Conv2d | nn.Linear):
                # torch's default shrinks the signal from layer to layer until all pictures give one embedding.
                nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)

    @property
    def preprocessing(self) -> Preprocessing:
        """The contract, kept by the base."""
        return self.base.preprocessing

    @preprocessing.setter
    def preprocessing(self, contract: Preprocessing) -> None:
        self.base.preprocessing = contract

    @property
    def photo_crop(self) -> str:
        """How the base's published weights want a face cut."""
        return self.base.photo_crop

    @photo_crop.setter
    def photo_crop(self, crop: str) -> None:
        self.base.photo_crop = crop

    @property
    def catalogued_as(self) -> str:
        """The base's architecture: published weights know of no neck."""
        return self.base.catalogued_as

    def check_input(self, height: int, width: int) -> None:
        """As the base's; a neck takes maps of any size."""
        self.base.check_input(height, width)

    def stages(self) -> list[tuple[str, nn.Module]]:
        """The base's stages that the neck is fed by, then every layer of the neck that has weights."""
        unused = self.base.after_maps if self.kind == "conv" else ()
        below = [(f"base.{name}", stage) for name, stage in self.base.stages() if not name.startswith(unused)]
        return below + [(f"neck.{name}", layer) for name, layer in named_parts(self.neck)]

    def features(self, inputs: Tensor) -> Tensor:
        """``(n, 3, height, width)`` → ``(n, d)``."""
        x = self.base.maps(inputs) if self.kind == "conv" else self.base.features(inputs)
        outputs: Tensor = self.neck(x)
        return outputs

    def own_tensors(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Of a file of this network, all; of any file that the base can read, those, and the neck as it is now."""
        if tensors and all(name.startswith(("base.", "neck.")) for name in tensors):
            return tensors
        below = {f"base.{name}": tensor for name, tensor in self.base.own_tensors(tensors).items()}
        return below | {f"neck.{name}": tensor for name, tensor in self.neck.state_dict().items()}


def _linear_layers(values: int, widths: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Linear(values, width), nn.ReLU()]
        values = width
    # An embedding may point anywhere, also below zero.
    return nn.Sequential(*layers[:-1])


def _convolutions(channels: int, widths: tuple[int, ...], dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in widths:
        # Rounded up, or a map of one cell would have none left.
        layers += [nn.MaxPool2d(2, ceil_mode=True), nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
        layers.append(nn.Dropout(dropout))
        channels = width
    return nn.Sequential(*layers[:-1], nn.AdaptiveMaxPool2d(1), nn.Flatten())
