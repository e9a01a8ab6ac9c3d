"""The only place for normalising, cosine and squared L2 distance, and the conversions between them.

Everywhere in this package an *embedding* is a float tensor of shape ``(n, d)`` whose rows have length 1.
Cosine similarity ``c`` in ``[-1, 1]`` is the only similarity; squared L2 distance ``d = 2 - 2c`` in ``[0, 4]``
is the only distance.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

Number = TypeVar("Number")

_SMALLEST_NORM = 1e-12


def normalise(vectors: Tensor) -> Tensor:
    """Scale each row to length 1, computed in float32 (or float64 if given).

    Args:
        vectors: ``(n, d)``, any floating dtype; rows between 1e-12 and 1e18 long, so that a squared length fits
            float32.

    Returns:
        ``(n, d)`` float32 (float64 for float64 input). A zero row stays zero instead of becoming NaN.
    """
    wide = vectors if vectors.dtype == torch.float64 else vectors.float()
    return torch.nn.functional.normalize(wide, dim=-1, eps=_SMALLEST_NORM)


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Cosine similarity of every row of ``a`` with every row of ``b``.

    Args:
        a: ``(n, d)`` embeddings (unit rows).
        b: ``(m, d)`` embeddings (unit rows).

    Returns:
        ``(n, m)`` in ``[-1, 1]``, float32 or wider; clamped, so rounding never leaves the range.
    """
    a, b = _same_width(a, b)
    return (a @ b.T).clamp(-1.0, 1.0)


def paired_cosine(a: Tensor, b: Tensor) -> Tensor:
    """Cosine similarity of row ``i`` of ``a`` with row ``i`` of ``b``: ``(n, d), (n, d) → (n,)`` in ``[-1, 1]``."""
    a, b = _same_width(a, b)
    return (a * b).sum(dim=-1).clamp(-1.0, 1.0)


def squared_l2(a: Tensor, b: Tensor) -> Tensor:
    """Squared L2 distance of every row of ``a`` to every row of ``b``: ``(n, d), (m, d) → (n, m)`` in ``[0, 4]``.

    Uses ``2 - 2·cosine``, which holds for unit rows only and is differentiable everywhere (no square root).
    """
    return cosine_to_squared_l2(cosine(a, b))


def paired_squared_l2(a: Tensor, b: Tensor) -> Tensor:
    """Squared L2 distance of row ``i`` of ``a`` to row ``i`` of ``b``: ``(n, d), (n, d) → (n,)`` in ``[0, 4]``.

    The difference is squared directly: exact zero for equal rows, and no rounding for near ones. Clamped, so rounding
    never leaves the range.
    """
    a, b = _same_width(a, b)
    return (a - b).square().sum(dim=-1).clamp(max=4.0)


def cosine_to_squared_l2(similarity: Number) -> Number:
    """``2 - 2c``: works on floats, arrays and tensors alike."""
    return 2.0 - 2.0 * similarity  # type: ignore[operator,return-value]


def squared_l2_to_cosine(distance: Number) -> Number:
    """``1 - d / 2``: the inverse of :func:`cosine_to_squared_l2`."""
    return 1.0 - distance / 2.0  # type: ignore[operator,return-value]


def _same_width(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Bring half-precision operands to float32 and two float types to the wider one."""
    kind = torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32)
    return a.to(kind), b.to(kind)
