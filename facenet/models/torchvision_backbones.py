"""Networks for general pictures: torchvision's layers (so its weight files fit as they are), our own forward.

The embedding is what the last linear layer, the classifier that is left out here, was given.
"""

from __future__ import annotations

from torch import Tensor, nn
from torchvision import models

from facenet.models.backbone import Backbone, named_parts
from facenet.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing


class TorchvisionBackbone(Backbone):
    """What torchvision's networks have in common.

    The published weights were measured on pictures resized to 256 (Inception-v3: 342) before the input was cut from
    their middle: the contract's fit ``cover-256``. Here a face fills the input, unless that is asked for.

    Attributes:
        left_out: prefixes of what a published file holds for the classifier.
    """

    photo_crop = "margin-20"
    left_out: tuple[str, ...]

    def __init__(self, network: nn.Module, embedding_size: int) -> None:
        super().__init__()
        self.embedding_size = embedding_size
        self.preprocessing = Preprocessing(height=224, width=224, mean=IMAGENET_MEAN, std=IMAGENET_STD)
        for name, layer in network.named_children():
            if f"{name}." not in self.left_out:
                self.add_module(name, layer)

    def stages(self) -> list[tuple[str, nn.Module]]:
        """Layers, or blocks of layers, in order."""
        return named_parts(self)

    def own_tensors(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Reads torchvision's files, without their classifiers."""
        own = super().own_tensors(tensors)
        return {name: tensor for name, tensor in own.items() if not name.startswith(self.left_out)}


class ResNet(TorchvisionBackbone):
    """He et al., "Deep Residual Learning for Image Recognition", arXiv 1512.03385: two convolutions to a block."""

    left_out = ("fc.",)
    map_channels = 512

    conv1: nn.Module
    bn1: nn.Module
    relu: nn.Module
    maxpool: nn.Module
    layer1: nn.Module
    layer2: nn.Module
    layer3: nn.Module
    layer4: nn.Module
    avgpool: nn.Module

    def stages(self) -> list[tuple[str, nn.Module]]:
        """The first convolution with its batch normalisation, then every residual block."""
        blocks = [(name, part) for name, part in named_parts(self) if name.startswith("layer")]
        return [("stem", nn.Sequential(self.conv1, self.bn1)), *blocks]

    def maps(self, inputs: Tensor) -> Tensor:
        """``(n, 3, h, w)`` → ``(n, 512, h', w')``, 7×7 for pictures of 224×224; values of at least 0."""
        x = self.relu(self.bn1(self.conv1(inputs)))
        x = self.maxpool(x)
        x = self.layer1(x)
        x = self.layer2(x)
        x = self.layer3(x)
        return self.layer4(x)

    def features(self, inputs: Tensor) -> Tensor:
        """``(n, 3, h, w)`` → ``(n, 512)``, values of at least 0."""
        return self.avgpool(self.maps(inputs)).flatten(1)


class ResNet18(ResNet):
    """224×224 RGB in, 512 values out; 11.2 million parameters."""

    architecture = "resnet18"

    def __init__(self) -> None:
        super().__init__(models.resnet18(weights=None, num_classes=1), 512)


class ResNet34(ResNet):
    """224×224 RGB in, 512 values out; 21.3 million parameters."""

    architecture = "resnet34"

    def __init__(self) -> None:
        super().__init__(models.resnet34(weights=None, num_classes=1), 512)


class PlainNetwork(TorchvisionBackbone):
    """Convolutions one after another, without batch normalisation, and two wide linear layers."""

    left_out = ("classifier.6.",)
    after_maps = ("classifier.",)

    # torchvision calls these layers ``features``, which here is what a backbone gives.
    convolutions: nn.Module
    avgpool: nn.Module
    classifier: nn.Module

    def __init__(self, network: nn.Module) -> None:
        layers = nn.Module()
        layers.convolutions = network.features
        layers.avgpool = network.avgpool
        assert isinstance(network.classifier, nn.Sequential)
        layers.classifier = network.classifier[:-1]
        super().__init__(layers, 4096)

    def maps(self, inputs: Tensor) -> Tensor:
        """``(n, 3, h, w)`` → ``(n, map_channels, h', w')``, values of at least 0."""
        return self.convolutions(inputs)

    def features(self, inputs: Tensor) -> Tensor:
        """``(n, 3, h, w)`` → ``(n, 4096)``, values of at least 0."""
        x = self.avgpool(self.maps(inputs)).flatten(1)
        return self.classifier(x)

    def own_tensors(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Reads torchvision's files, in which the convolutions are called ``features``."""
        own = super().own_tensors(tensors)
        return {_renamed(name): tensor for name, tensor in own.items()}


class AlexNet(PlainNetwork):
    """Krizhevsky, "One weird trick for parallelizing convolutional neural networks", arXiv 1404.5997.

    224×224 RGB in, 4,096 values out; 57.0 million parameters.

    Args:
        dropout: share of the values before each linear layer set to zero in training; published with 0.5.
    """

    architecture = "alexnet"
    smallest_input = (63, 63)
    map_channels = 256

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__(models.alexnet(weights=None, num_classes=1, dropout=dropout))


class VGG16(PlainNetwork):
    """Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", arXiv 1409.1556.

    224×224 RGB in, 4,096 values out; 134.3 million parameters.

    Args:
        dropout: share of the values after each linear layer set to zero in training; published with 0.5.
    """

    architecture = "vgg16"
    smallest_input = (32, 32)
    map_channels = 512

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__(models.vgg16(weights=None, num_classes=1, dropout=dropout))


class InceptionV3(TorchvisionBackbone):
    """Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", arXiv 1512.00567.

    299×299 RGB in, 2,048 values out; 21.8 million parameters, without the auxiliary classifier. The published weights
    want values in [-1, 1]; torchvision, given pictures scaled by ImageNet's mean and deviation, rescales them to that.

    Args:
        dropout: share of the 2,048 pooled values set to zero in training; published with 0.5.
    """

    architecture = "inception_v3"
    photo_crop = "margin-26"
    smallest_input = (75, 75)
    map_channels = 2048
    left_out = ("fc.", "AuxLogits.")

    avgpool: nn.Module
    dropout: nn.Module

    def __init__(self, dropout: float = 0.0) -> None:
        network = models.inception_v3(weights=None, num_classes=1, aux_logits=False, init_weights=True, dropout=dropout)
        super().__init__(network, 2048)
        self.preprocessing = Preprocessing(height=299, width=299, mean=127.5, std=127.5)

    def maps(self, inputs: Tensor) -> Tensor:
        """``(n, 3, h, w)`` with sides of at least 75 → ``(n, 2048, h', w')``, 8×8 for pictures of 299×299."""
        x = inputs
        # Registered in the order of use, with the pooling between convolutions among them.
        for layer in self.children():
            if layer is self.avgpool:
                break
            x = layer(x)
        return x

    def features(self, inputs: Tensor) -> Tensor:
        """``(n, 3, h, w)`` with sides of at least 75 → ``(n, 2048)``, values of at least 0."""
        return self.dropout(self.avgpool(self.maps(inputs))).flatten(1)


def _renamed(name: str) -> str:
    return f"convolutions.{name.removeprefix('features.')}" if name.startswith("features.") else name
