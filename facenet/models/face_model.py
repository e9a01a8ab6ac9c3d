"""The thing that is trained and saved: a trunk (backbone), perhaps a head, and what of them may change."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from facenet.errors import UsageError
from facenet.models.backbone import Backbone
from facenet.models.heads import Head


class FaceModel(nn.Module):
    """A trunk with an optional head; its state has the prefixes ``trunk.`` and ``head.``.

    Args:
        trunk: the embedding network.
        head: scores over people, or None.
        trainable: ``"all"``; ``"last:N"``, the trunk's last N stages; ``"head"``, nothing of the trunk but, without
            a head, its embedding layer. A head always trains.
        frozen_batch_norm: keep the running statistics of every BatchNorm; its scale and shift still learn.

    Raises:
        UsageError: ``trainable`` is none of these.
    """

    def __init__(
        self, trunk: Backbone, head: Head | None = None, *, trainable: str = "all", frozen_batch_norm: bool = False
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = head
        self.trainable = trainable
        self.frozen_batch_norm = frozen_batch_norm
        self._frozen = _frozen_stages(trunk, trainable, has_head=head is not None)
        # A trunk may come from a model that had parts of it frozen.
        trunk.requires_grad_(True)
        for stage in self._frozen:
            stage.requires_grad_(False)

    @property
    def trunk_is_frozen(self) -> bool:
        """Whether no weight of the trunk can change."""
        return not any(parameter.requires_grad for parameter in self.trunk.parameters())

    def train(self, mode: bool = True) -> FaceModel:
        """As ``nn.Module.train``, but frozen stages stay in eval: their BatchNorm must not drift."""
        super().train(mode)
        for stage in self._frozen:
            stage.eval()
        if self.frozen_batch_norm:
            for module in self.trunk.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        if self.trunk_is_frozen:
            # Dropout belongs to no stage; a trunk that does not learn should not be noisy either.
            self.trunk.eval()
        return self

    def trainable_parameters(self) -> Iterator[nn.Parameter]:
        """The parameters an optimiser should get."""
        return (parameter for parameter in self.parameters() if parameter.requires_grad)

    def forward(self, inputs: Tensor) -> Tensor:
        """``(n, 3, h, w)`` network inputs → ``(n, d)`` float32 embeddings."""
        embeddings: Tensor = self.trunk(inputs)
        return embeddings


def _frozen_stages(trunk: Backbone, trainable: str, *, has_head: bool) -> list[nn.Module]:
    stages = [stage for _, stage in trunk.stages()]
    if trainable == "all":
        return []
    if trainable == "head":
        return stages if has_head else stages[:-1]
    kind, _, number = trainable.partition(":")
    if kind != "last" or not number.isdecimal() or not 1 <= int(number) <= len(stages):
        raise UsageError(f"--trainable takes all, head or last:N with N from 1 to {len(stages)}, not {trainable!r}")
    return stages[: len(stages) - int(number)]
