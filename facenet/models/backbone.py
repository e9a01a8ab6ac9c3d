"""What every embedding network of this package has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from facenet.geometry import normalise
from facenet.preprocessing import Preprocessing, fingerprint


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
    """

    architecture: str
    photo_crop: str
    embedding_size: int
    preprocessing: Preprocessing
    foldable: bool = True

    @abstractmethod
    def stages(self) -> list[tuple[str, nn.Module]]:
        """The parts from input to output, named; freezing goes by this order.

        Inside a part, a convolution and the batch normalisation that follows it are registered one after the other.
        """

    @abstractmethod
    def features(self, inputs: Tensor) -> Tensor:
        """``(n, 3, height, width)`` → ``(n, d)``, before normalising."""

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
