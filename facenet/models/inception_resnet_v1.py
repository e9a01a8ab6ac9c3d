"""Inception-ResNet-v1 for faces: facenet-pytorch's layers (and weights), our own forward and random start.

Szegedy et al., "Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning",
arXiv 1602.07261, with the 512-value embedding of facenet-pytorch's VGGFace2 and CASIA-WebFace weights.
"""

from __future__ import annotations

from facenet_pytorch import InceptionResnetV1 as _Layers
from torch import Tensor, nn

from facenet.models.backbone import Backbone
from facenet.preprocessing import Preprocessing


class InceptionResnetV1(Backbone):
    """160×160 RGB in, 512 values out; 23.5 million parameters.

    The layers keep facenet-pytorch's names, so its weight files fit as they are.

    Args:
        dropout: share of the 1,792 pooled values set to zero in training. Triplet training wants none of it: noise
            between two views of one picture looks like distance.
    """

    architecture = "inception_resnet_v1"
    photo_crop = "margin-14"
    smallest_input = (75, 75)
    map_channels = 1792
    after_maps = ("embedding",)

    conv2d_1a: nn.Module
    conv2d_2a: nn.Module
    conv2d_2b: nn.Module
    maxpool_3a: nn.Module
    conv2d_3b: nn.Module
    conv2d_4a: nn.Module
    conv2d_4b: nn.Module
    repeat_1: nn.Module
    mixed_6a: nn.Module
    repeat_2: nn.Module
    mixed_7a: nn.Module
    repeat_3: nn.Module
    block8: nn.Module
    avgpool_1a: nn.Module
    dropout: nn.Module
    last_linear: nn.Module
    last_bn: nn.Module

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.embedding_size = 512
        self.preprocessing = Preprocessing(height=160, width=160)
        for name, layer in _Layers(pretrained=None, dropout_prob=dropout).named_children():
            self.add_module(name, layer)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                # torch's default shrinks the signal from layer to layer until all pictures give one embedding.
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")

    def stages(self) -> list[tuple[str, nn.Module]]:
        """Stem layers, the residual stages, and the embedding layer, as in the paper's figure."""
        embedding = nn.Sequential(self.last_linear, self.last_bn)
        names = (
            "conv2d_1a conv2d_2a conv2d_2b conv2d_3b conv2d_4a conv2d_4b "
            "repeat_1 mixed_6a repeat_2 mixed_7a repeat_3 block8"
        ).split()
        return [(name, self.get_submodule(name)) for name in names] + [("embedding", embedding)]

    def maps(self, inputs: Tensor) -> Tensor:
        """``(n, 3, h, w)`` with sides of at least 75 → ``(n, 1792, h', w')``, 3×3 for pictures of 160×160."""
        x = self.conv2d_1a(inputs)
        x = self.conv2d_2a(x)
        x = self.conv2d_2b(x)
        x = self.maxpool_3a(x)
        x = self.conv2d_3b(x)
        x = self.conv2d_4a(x)
        x = self.conv2d_4b(x)
        x = self.repeat_1(x)
        x = self.mixed_6a(x)
        x = self.repeat_2(x)
        x = self.mixed_7a(x)
        x = self.repeat_3(x)
        return self.block8(x)

    def features(self, inputs: Tensor) -> Tensor:
        """``(n, 3, h, w)`` with sides of at least 75 → ``(n, 512)`` before normalising."""
        x = self.avgpool_1a(self.maps(inputs))
        x = self.dropout(x.flatten(1))
        x = self.last_linear(x)
        return self.last_bn(x)
