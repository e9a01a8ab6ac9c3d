"""What is done to embeddings between the network and the comparison: the mirrored face's share, and centring."""

from __future__ import annotations

from enum import StrEnum

import torch
from torch import Tensor

from facenet.errors import UsageError
from facenet.geometry import normalise


class Flip(StrEnum):
    """What the embedding of the face mirrored left to right adds to that of the face."""

    NONE = "none"
    """Nothing."""

    SUM = "sum"
    """Both are added: as many values as before."""

    CONCAT = "concat"
    """Both stand side by side: twice as many values. The cosine of two is the mean of the cosines of each kind."""


def with_mirrored(embeddings: Tensor, mirrored: Tensor | None, flip: Flip) -> Tensor:
    """Embeddings that say as much of the mirrored face as of the face.

    Args:
        embeddings: ``(n, d)``, unit rows; rows of NaN stay so.
        mirrored: the same of the faces mirrored left to right; may be None for ``Flip.NONE``.
        flip: ``SUM``: ``normalise(e + m)``; ``CONCAT``: ``normalise([e, m])``.

    Returns:
        ``(n, d)`` float32, for ``CONCAT`` ``(n, 2 d)``; unit rows.

    Raises:
        UsageError: there are no mirrored embeddings, or not as many.
    """
    if flip is Flip.NONE:
        return embeddings
    if mirrored is None or mirrored.shape != embeddings.shape:
        raise UsageError(f"flip {flip.value} needs an embedding of each face mirrored")
    return normalise(embeddings + mirrored if flip is Flip.SUM else torch.cat([embeddings, mirrored], dim=1))


def centred(embeddings: Tensor, mean: Tensor) -> Tensor:
    """Embeddings seen from their mean: ``normalise(embeddings - mean)``.

    Networks leave a direction that all faces share; without it, two people come out less alike. The mean is fitted,
    so it must come from pictures that are not scored with it.

    Args:
        embeddings: ``(n, d)``, unit rows; rows of NaN stay so.
        mean: ``(d,)``.

    Returns:
        ``(n, d)`` float32, unit rows.
    """
    return normalise(embeddings - mean)
