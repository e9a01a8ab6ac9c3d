"""The thing that is trained and saved: a trunk (backbone), perhaps a head, and what of them may change."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from facenet.errors import UsageError
from facenet.models.backbone import Backbone
from facenet.models.heads import Head
from facenet.models.pair_head import PairHead


class FaceModel(nn.Module):
    """A trunk with an optional head; its state has the prefixes ``trunk.``, ``head.`` and ``pair_head.``.

    There are two ways through it: :meth:`forward` gives embeddings, what a head is fed; :meth:`scores` goes on
    through the head and gives one score per person.

    Args:
        trunk: the embedding network.
        head: scores over people, or None.
        pair_head: decides whether two embeddings are of one person, or None.
        trainable: ``"all"``; ``"last:N"``, the trunk's last N stages; ``"head"``, nothing of the trunk but, without
            a head of either kind, its embedding layer. A head always trains.
        frozen_batch_norm: keep the running statistics of every BatchNorm; its scale and shift still learn.

    Raises:
        UsageError: ``trainable`` is none of these.
    """

    def __init__(
        self,
        trunk: Backbone,
        head: Head | None = None,
        *,
        pair_head: PairHead | None = None,
        trainable: str = "all",
        frozen_batch_norm: bool = False,
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = head
        self.pair_head = pair_head
        self.trainable = trainable
        self.frozen_batch_norm = frozen_batch_norm
        has_head = head is not None or pair_head is not None
        self._frozen, learning = _divided(trunk, trainable, has_head=has_head)
        # What belongs to no stage takes no part in any embedding, and never trains.
        trunk.requires_grad_(False)
        for stage in learning:
            stage.requires_grad_(True)

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
        """``(n, 3, h, w)`` network inputs → ``(n, d)`` float32 embeddings, each row of length 1: what a head is fed."""
        embeddings: Tensor = self.trunk(inputs)
        return embeddings

    def scores(self, inputs: Tensor) -> Tensor:
        """``(n, 3, h, w)`` network inputs → ``(n, people)``: the head's scores of the embeddings of :meth:`forward`.

        Softmax of a row gives probabilities.

        Raises:
            UsageError: the model has no head over people.
        """
        if self.head is None:
            raise UsageError("this model has no head: it gives embeddings, and no scores over people")
        return self.head.logits(self(inputs))


def _divided(trunk: Backbone, trainable: str, *, has_head: bool) -> tuple[list[nn.Module], list[nn.Module]]:
    """The stages that are frozen, and those that learn."""
    stages = [stage for _, stage in trunk.stages()]
    kind, _, number = trainable.partition(":")
    if trainable == "all":
        learning = len(stages)
    elif trainable == "head":
        learning = 0 if has_head else 1
    elif kind == "last" and number.isdecimal() and 1 <= int(number) <= len(stages):
        learning = int(number)
    else:
        raise UsageError(f"--trainable takes all, head or last:N with N from 1 to {len(stages)}, not {trainable!r}")
    return stages[: len(stages) - learning], stages[len(stages) - learning :]
