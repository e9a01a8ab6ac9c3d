"""MobileFaceNet, a small embedding network for CPUs.

Chen et al., "MobileFaceNets: Efficient CNNs for Accurate Real-Time Face Verification on Mobile Devices",
arXiv 1804.07573, the 112×96 input variant with 128 values.
"""

from __future__ import annotations

from torch import Tensor, nn

from facenet.models.backbone import Backbone
from facenet.preprocessing import Preprocessing

# (expansion, channels, repeats, stride of the first): table 1 of the paper.
_BOTTLENECKS = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))


class Unit(nn.Module):
    """Convolution, batch normalisation and, unless it is linear, PReLU."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int | tuple[int, int],
        *,
        stride: int = 1,
        padding: int = 0,
        depthwise: bool = False,
        linear: bool = False,
    ) -> None:
        super().__init__()
        groups = channels_in if depthwise else 1
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride, padding, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(channels_out)
        if not linear:
            self.prelu = nn.PReLU(channels_out)
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        """``(n, channels_in, h, w)`` → ``(n, channels_out, h', w')``."""
        x = self.bn(self.conv(x))
        return x if self.linear else self.prelu(x)


class Bottleneck(nn.Module):
    """Expand with 1×1, filter depthwise with 3×3, project with 1×1 and no activation."""

    def __init__(self, channels_in: int, channels_out: int, expansion: int, stride: int) -> None:
        super().__init__()
        wide = channels_in * expansion
        self.shortcut = stride == 1 and channels_in == channels_out
        self.conv = nn.Sequential(
            nn.Conv2d(channels_in, wide, 1, bias=False),
            nn.BatchNorm2d(wide),
            nn.PReLU(wide),
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            nn.PReLU(wide),
            nn.Conv2d(wide, channels_out, 1, bias=False),
            nn.BatchNorm2d(channels_out),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(n, channels_in, h, w)`` → ``(n, channels_out, h / stride, w / stride)``."""
        return x + self.conv(x) if self.shortcut else self.conv(x)


class MobileFaceNet(Backbone):
    """RGB 112 high and 96 wide in, 128 values out; 1 million parameters."""

    architecture = "mobilefacenet"
    photo_crop = "five-point"
    smallest_input = (112, 96)
    # The last filters are as large as the map they are laid on.
    fixed_input = True
    map_channels = 512
    after_maps = ("linear7", "linear1")

    def __init__(self) -> None:
        super().__init__()
        self.embedding_size = 128
        self.preprocessing = Preprocessing(height=112, width=96)
        self.conv1 = Unit(3, 64, 3, stride=2, padding=1)
        self.dw_conv1 = Unit(64, 64, 3, padding=1, depthwise=True)
        bottlenecks: list[nn.Module] = []
        channels = 64
        for expansion, channels_out, repeats, first_stride in _BOTTLENECKS:
            for position in range(repeats):
                stride = first_stride if position == 0 else 1
                bottlenecks.append(Bottleneck(channels, channels_out, expansion, stride))
                channels = channels_out
        self.blocks = nn.Sequential(*bottlenecks)
        self.conv2 = Unit(channels, 512, 1)
        self.linear7 = Unit(512, 512, (7, 6), depthwise=True, linear=True)
        self.linear1 = Unit(512, 128, 1, linear=True)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="leaky_relu", a=0.25)

    def stages(self) -> list[tuple[str, nn.Module]]:
        """First layers, fifteen bottlenecks, last layers."""
        first = [("conv1", self.conv1), ("dw_conv1", self.dw_conv1)]
        middle = [(f"blocks.{position}", block) for position, block in enumerate(self.blocks)]
        last = [("conv2", self.conv2), ("linear7", self.linear7), ("linear1", self.linear1)]
        return [*first, *middle, *last]

    def maps(self, inputs: Tensor) -> Tensor:
        """``(n, 3, 112, 96)`` → ``(n, 512, 7, 6)``."""
        x = self.conv1(inputs)
        x = self.dw_conv1(x)
        x = self.blocks(x)
        return self.conv2(x)

    def features(self, inputs: Tensor) -> Tensor:
        """``(n, 3, 112, 96)`` → ``(n, 128)`` before normalising."""
        x = self.linear7(self.maps(inputs))
        x = self.linear1(x)
        return x.flatten(1)
