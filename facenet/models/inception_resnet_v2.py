"""Inception-ResNet-v2, a deep network for general pictures.

Szegedy et al., "Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning",
arXiv 1602.07261. The widths are those of the network its authors released and trained, which differs from the
paper's figures in the stem (one plain path, then ``mixed_5b``) and in the channels between the blocks (320, 1,088,
2,080): published weights fit this form only.
"""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn

from facenet.models.backbone import Backbone, named_parts
from facenet.preprocessing import Preprocessing

_BRANCH = re.compile(r"\.branch(\d)\.")
_TIMM_PARTS = {
    "repeat.": "blocks_35.",
    "repeat_1.": "blocks_17.",
    "repeat_2.": "blocks_8.",
    "block8.": "blocks_8.9.",
}
_CLASSIFIERS = ("classif.", "last_linear.")


class ConvUnit(nn.Module):
    """Convolution, batch normalisation, ReLU."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int | tuple[int, int],
        *,
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(channels_out, eps=1e-3)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """``(n, channels_in, h, w)`` → ``(n, channels_out, h', w')``, values of at least 0."""
        return self.relu(self.bn(self.conv(x)))


class Branches(nn.Module):
    """Several ways through the same input, their outputs side by side."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            branch if isinstance(branch, nn.Sequential) else nn.Sequential(branch) for branch in branches
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(n, channels_in, h, w)`` → ``(n, sum of the branches' channels, h', w')``."""
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class Mixed5b(Branches):
    """The first inception block, at 35×35 for pictures of 299×299."""

    def __init__(self, channels_in: int = 192) -> None:
        super().__init__(
            ConvUnit(channels_in, 96, 1),
            nn.Sequential(ConvUnit(channels_in, 48, 1), ConvUnit(48, 64, 5, padding=2)),
            nn.Sequential(ConvUnit(channels_in, 64, 1), ConvUnit(64, 96, 3, padding=1), ConvUnit(96, 96, 3, padding=1)),
            nn.Sequential(nn.AvgPool2d(3, 1, padding=1, count_include_pad=False), ConvUnit(channels_in, 64, 1)),
        )
        self.channels_out = 96 + 64 + 96 + 64


class Mixed6a(Branches):
    """Reduction from 35×35 to 17×17."""

    def __init__(self, channels_in: int = 320) -> None:
        super().__init__(
            ConvUnit(channels_in, 384, 3, stride=2),
            nn.Sequential(
                ConvUnit(channels_in, 256, 1), ConvUnit(256, 256, 3, padding=1), ConvUnit(256, 384, 3, stride=2)
            ),
            nn.MaxPool2d(3, 2),
        )
        self.channels_out = 384 + 384 + channels_in


class Mixed7a(Branches):
    """Reduction from 17×17 to 8×8."""

    def __init__(self, channels_in: int = 1088) -> None:
        super().__init__(
            nn.Sequential(ConvUnit(channels_in, 256, 1), ConvUnit(256, 384, 3, stride=2)),
            nn.Sequential(ConvUnit(channels_in, 256, 1), ConvUnit(256, 288, 3, stride=2)),
            nn.Sequential(
                ConvUnit(channels_in, 256, 1), ConvUnit(256, 288, 3, padding=1), ConvUnit(288, 320, 3, stride=2)
            ),
            nn.MaxPool2d(3, 2),
        )
        self.channels_out = 384 + 288 + 320 + channels_in


class ResidualScaling(nn.Module):
    """Adds a residual made small, without which training of so wide a network dies (section 3.3 of the paper)."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """Two tensors of one shape → ``x + scale * residual``."""
        return x + self.scale * residual

    def extra_repr(self) -> str:
        """The scale, for ``print(network)``."""
        return f"scale={self.scale}"


class ResidualBlock(nn.Module):
    """Branches, a convolution that brings them to the input's channels, and a scaled sum with the input.

    Args:
        channels: of input and output.
        branches: ``(n, channels, h, w)`` → ``(n, branch_channels, h, w)``.
        branch_channels: what the branches give together.
        scale: how much of the residual is added.
        relu: whether a ReLU follows.
    """

    def __init__(
        self, channels: int, branches: tuple[nn.Module, ...], branch_channels: int, scale: float, *, relu: bool = True
    ) -> None:
        super().__init__()
        self.mixed = Branches(*branches)
        self.expand = nn.Conv2d(branch_channels, channels, 1)
        self.scaling = ResidualScaling(scale)
        self.relu = nn.ReLU() if relu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """``(n, channels, h, w)`` → same shape."""
        return self.relu(self.scaling(x, self.expand(self.mixed(x))))


class Block35(ResidualBlock):
    """Inception-ResNet-A, for the 35×35 grid."""

    def __init__(self, channels: int = 320, scale: float = 0.17) -> None:
        branches = (
            ConvUnit(channels, 32, 1),
            nn.Sequential(ConvUnit(channels, 32, 1), ConvUnit(32, 32, 3, padding=1)),
            nn.Sequential(ConvUnit(channels, 32, 1), ConvUnit(32, 48, 3, padding=1), ConvUnit(48, 64, 3, padding=1)),
        )
        super().__init__(channels, branches, 32 + 32 + 64, scale)


class Block17(ResidualBlock):
    """Inception-ResNet-B, for the 17×17 grid."""

    def __init__(self, channels: int = 1088, scale: float = 0.10) -> None:
        branches = (
            ConvUnit(channels, 192, 1),
            nn.Sequential(
                ConvUnit(channels, 128, 1),
                ConvUnit(128, 160, (1, 7), padding=(0, 3)),
                ConvUnit(160, 192, (7, 1), padding=(3, 0)),
            ),
        )
        super().__init__(channels, branches, 192 + 192, scale)


class Block8(ResidualBlock):
    """Inception-ResNet-C, for the 8×8 grid."""

    def __init__(self, channels: int = 2080, scale: float = 0.20, *, relu: bool = True) -> None:
        branches = (
            ConvUnit(channels, 192, 1),
            nn.Sequential(
                ConvUnit(channels, 192, 1),
                ConvUnit(192, 224, (1, 3), padding=(0, 1)),
                ConvUnit(224, 256, (3, 1), padding=(1, 0)),
            ),
        )
        super().__init__(channels, branches, 192 + 256, scale, relu=relu)


class InceptionResnetV2(Backbone):
    """299×299 RGB in, 1,536 values out; 54.3 million parameters, and 55.84 million with a 1,000-way linear head.

    Args:
        dropout: share of the 1,536 pooled values set to zero in training; the paper's classifier drops 0.2 of them.
    """

    architecture = "inception_resnet_v2"
    photo_crop = "margin-26"
    smallest_input = (75, 75)
    map_channels = 1536

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.embedding_size = 1536
        self.preprocessing = Preprocessing(height=299, width=299, mean=127.5, std=127.5)
        self.conv2d_1a = ConvUnit(3, 32, 3, stride=2)
        self.conv2d_2a = ConvUnit(32, 32, 3)
        self.conv2d_2b = ConvUnit(32, 64, 3, padding=1)
        self.maxpool_3a = nn.MaxPool2d(3, 2)
        self.conv2d_3b = ConvUnit(64, 80, 1)
        self.conv2d_4a = ConvUnit(80, 192, 3)
        self.maxpool_5a = nn.MaxPool2d(3, 2)
        self.mixed_5b = Mixed5b(channels_in=192)
        self.blocks_35 = nn.Sequential(*(Block35(channels=320, scale=0.17) for _ in range(10)))
        self.mixed_6a = Mixed6a(channels_in=320)
        self.blocks_17 = nn.Sequential(*(Block17(channels=1088, scale=0.10) for _ in range(20)))
        self.mixed_7a = Mixed7a(channels_in=1088)
        # The last block adds its whole residual and leaves values below zero as they are.
        last = Block8(channels=2080, scale=1.0, relu=False)
        self.blocks_8 = nn.Sequential(*(Block8(channels=2080, scale=0.20) for _ in range(9)), last)
        self.conv2d_7b = ConvUnit(2080, 1536, 1)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                # torch's default shrinks the signal from layer to layer until all pictures give one embedding.
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")

    def stages(self) -> list[tuple[str, nn.Module]]:
        """Stem layers, inception and reduction blocks, every residual block by itself, the last convolution."""
        return named_parts(self)

    def maps(self, inputs: Tensor) -> Tensor:
        """``(n, 3, h, w)`` with sides of at least 75 → ``(n, 1536, h', w')``, 8×8 for pictures of 299×299."""
        x = self.conv2d_1a(inputs)
        x = self.conv2d_2a(x)
        x = self.conv2d_2b(x)
        x = self.maxpool_3a(x)
        x = self.conv2d_3b(x)
        x = self.conv2d_4a(x)
        x = self.maxpool_5a(x)
        x = self.mixed_5b(x)
        x = self.blocks_35(x)
        x = self.mixed_6a(x)
        x = self.blocks_17(x)
        x = self.mixed_7a(x)
        x = self.blocks_8(x)
        return self.conv2d_7b(x)

    def features(self, inputs: Tensor) -> Tensor:
        """``(n, 3, h, w)`` with sides of at least 75 → ``(n, 1536)``, values of at least 0."""
        x = self.avgpool(self.maps(inputs)).flatten(1)
        return self.dropout(x)

    def own_tensors(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Also reads files in the naming of timm's ``inception_resnet_v2``."""
        return {
            _own_name(name): tensor
            for name, tensor in super().own_tensors(tensors).items()
            if not name.startswith(_CLASSIFIERS)
        }


def _own_name(name: str) -> str:
    """A tensor's name here for its name in timm; names of ours stay as they are."""
    for theirs, ours in _TIMM_PARTS.items():
        if name.startswith(theirs):
            name = ours + name.removeprefix(theirs).replace("conv2d.", "expand.")
    inside = ".mixed.branches." if name.startswith("blocks_") else ".branches."
    branch = _BRANCH.search(name)
    if branch is None:
        return name
    # A branch of one layer is no list of layers in timm.
    rest = name[branch.end() :]
    return name[: branch.start()] + f"{inside}{branch[1]}." + (rest if rest[0].isdigit() else f"0.{rest}")
