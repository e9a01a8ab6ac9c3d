"""What every embedding network of this package has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from facenet.errors import UsageError
from facenet.geometry import normalise
from facenet.preprocessing import Preprocessing, fingerprint

NO_MAPS = "gives no feature maps; every network that `models list` names does"
"""What is wrong with a network that can only be used up to its embedding."""


class Backbone(nn.Module, ABC):
    """An embedding network: faces in, unit vectors out.

    Attributes:
        architecture: the name in the registry.
        embedding_size: length ``d`` of an embedding.
        preprocessing: the contract its inputs obey.
        photo_crop: how published weights of this architecture want a face cut from a photo; see
            :class:`facenet.preprocessing.Preprocessing`.
        foldable: whether a batch normalisation registered right after a convolution or linear layer is also applied
            right after it, so that the two may be made one for embedding.
        smallest_input: least height and width in pixels of a picture that the layers can take.
        fixed_input: whether the layers can take pictures of ``smallest_input`` only.
        map_channels: channels of :meth:`maps`, None for a network that gives none.
        after_maps: beginnings of the names of those stages that :meth:`maps` does not go through.
    """

    architecture: str
    photo_crop: str
    embedding_size: int
    preprocessing: Preprocessing
    foldable: bool = True
    smallest_input: tuple[int, int] = (1, 1)
    fixed_input: bool = False
    map_channels: int | None = None
    after_maps: tuple[str, ...] = ()

    @property
    def catalogued_as(self) -> str:
        """The architecture whose published weights fit."""
        return self.architecture

    @abstractmethod
    def stages(self) -> list[tuple[str, nn.Module]]:
        """The parts from input to output, named; freezing goes by this order.

        Inside a part, a convolution and the batch normalisation that follows it are registered one after the other.
        """

    @abstractmethod
    def features(self, inputs: Tensor) -> Tensor:
        """``(n, 3, height, width)`` → ``(n, d)``, before normalising."""

    def maps(self, inputs: Tensor) -> Tensor:
        """``(n, 3, height, width)`` → ``(n, map_channels, h, w)``, the last feature map before it is pooled.

        Raises:
            UsageError: the network gives none.
        """
        raise UsageError(f"{self.architecture} {NO_MAPS}")

    def check_input(self, height: int, width: int) -> None:
        """Make sure that the layers can take pictures of this size, in pixels.

        Raises:
            UsageError: they cannot; says what they can take.
        """
        smallest = f"{self.smallest_input[0]}x{self.smallest_input[1]}"
        if self.fixed_input and (height, width) != self.smallest_input:
            raise UsageError(f"{self.architecture} takes {smallest} only, not {height}x{width}")
        if height < self.smallest_input[0] or width < self.smallest_input[1]:
            raise UsageError(f"{self.architecture} takes pictures of at least {smallest}, not {height}x{width}")

    def forward(self, inputs: Tensor) -> Tensor:
        """``(n, 3, height, width)`` normalised inputs → ``(n, d)`` float32 embeddings, each row of length 1."""
        return normalise(self.features(inputs))

    def own_tensors(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """What of a weight file belongs to this network, under the names of its state.

        The classifier that published weights were trained with, ``logits.*`` in facenet-pytorch's files, is left out.
        """
        return {name: tensor for name, tensor in tensors.items() if not name.startswith("logits.")}

    def fingerprint(self) -> str:
        """Hash over preprocessing, architecture and present weights; see :func:`facenet.preprocessing.fingerprint`."""
        return fingerprint(self.preprocessing, self.architecture, self.state_dict())


def named_parts(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """The children that hold weights, in order of registration; of plain sequences, however deep, their members."""
    parts: list[tuple[str, nn.Module]] = []
    for name, child in module.named_children():
        if isinstance(child, nn.Sequential | nn.ModuleList):
            parts += [(f"{name}.{inner}", part) for inner, part in named_parts(child)]
        elif any(True for _ in child.parameters()):
            parts.append((name, child))
    return parts
