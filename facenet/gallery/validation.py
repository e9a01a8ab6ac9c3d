"""Embeddings that come from outside, refused if a gallery cannot use them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facenet.errors import InputError
from facenet.gallery.records import Sample
from facenet.gallery.sqlite_rows import check_vectors
from facenet.geometry import normalise

_ROUNDING = 1e-6
"""What rounding in float32 may make of a length of 1."""


def checked_embeddings(embeddings: Any, size: int) -> np.ndarray:
    """Rows ready for comparing: ``float32 (n, size)`` of length 1 to within rounding.

    Args:
        embeddings: array or tensor of a floating type, ``(n, size)`` or one row ``(size,)``; each row of length 1 to
            within 1e-3.
        size: values in an embedding of the gallery.

    Raises:
        InputError: something else; names the first row that is not finite, all zeros or not of length 1.
    """
    given = embeddings.detach().cpu() if isinstance(embeddings, Tensor) else embeddings
    if isinstance(given, np.ndarray) and np.issubdtype(given.dtype, np.floating):
        # A copy: a stored embedding is read-only, which torch does not take.
        rows = torch.from_numpy(np.array(given, np.float32, order="C"))
    elif isinstance(given, Tensor) and given.is_floating_point():
        rows = given.float()
    else:
        kind = str(given.dtype) if isinstance(given, np.ndarray | Tensor) else type(given).__name__
        raise InputError(f"embeddings are arrays or tensors of floating-point numbers, these are {kind}")
    if rows.ndim == 1:
        rows = rows[None]
    array = rows.numpy()
    lengths = check_vectors(array, size)
    # What is of length 1 to within rounding stays as it is: a single search should not pay for making it so again.
    return array if np.abs(lengths - 1.0).max(initial=0.0) <= _ROUNDING else normalise(rows).numpy()


def checked_samples(embeddings: Any, size: int) -> list[Sample]:
    """Samples to be enrolled, from samples (which the store checks) or from embeddings alone.

    Raises:
        InputError: there are none, or as :func:`checked_embeddings`.
    """
    if isinstance(embeddings, Sequence) and embeddings and all(isinstance(sample, Sample) for sample in embeddings):
        return list(embeddings)
    samples = [Sample(row) for row in checked_embeddings(embeddings, size)]
    if not samples:
        raise InputError("there is no embedding to enroll")
    return samples
