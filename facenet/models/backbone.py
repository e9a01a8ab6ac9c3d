"""What every embedding network of this package has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

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
    """

    architecture: ClassVar[str]
    photo_crop: ClassVar[str]
    embedding_size: int
    preprocessing: Preprocessing

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

    def fingerprint(self) -> str:
        """Hash over preprocessing, architecture and present weights; see :func:`facenet.preprocessing.fingerprint`."""
        return fingerprint(self.preprocessing, self.architecture, self.state_dict())
