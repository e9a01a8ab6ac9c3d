"""Pictures of a folder → embeddings, quickly: folded layers, large batches, decoding beside computing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from facenet.data.folders import Folder
from facenet.data.loaders import FaceDataset, face_loader
from facenet.data.samplers import sequential_batches
from facenet.models.backbone import Backbone
from facenet.models.inference import InferenceTrunk


def embed_folder(
    trunk: Backbone | InferenceTrunk,
    folder: Folder,
    *,
    keep: np.ndarray | None = None,
    device: str = "cpu",
    precision: str = "fp32",
    batch_size: int = 32,
    workers: int | str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Embed the pictures of a folder in its order.

    Args:
        trunk: a backbone, or one made ready before (then ``device`` and ``precision`` are its own).
        folder: usable pictures.
        keep: ``bool (n,)``, embed only these; all others get rows of NaN, so that using one by mistake shows.
        device, precision: see :class:`facenet.models.inference.InferenceTrunk`.
        batch_size: pictures at a time; on a GPU, more is quicker.
        workers: see :func:`facenet.data.loaders.face_loader`.
        progress: called with (pictures done, pictures in all) after every batch.

    Returns:
        ``(n, d)`` float32 on the CPU, unit rows.

    Raises:
        UnreadableImage: a picture cannot be read any more.
    """
    ready = trunk if isinstance(trunk, InferenceTrunk) else InferenceTrunk(trunk, device=device, precision=precision)
    wanted = np.arange(len(folder)) if keep is None else np.flatnonzero(keep)
    dataset = FaceDataset(folder, ready.preprocessing)
    batches = [
        [draw._replace(index=int(wanted[draw.index])) for draw in batch]
        for batch in sequential_batches(len(wanted), batch_size)
    ]
    embeddings = torch.full((len(folder), ready.embedding_size), float("nan"))
    done = 0
    for batch in face_loader(dataset, batches, workers=workers, pin=ready.device.type == "cuda"):
        embeddings[batch.indices] = ready(batch.faces).cpu()
        done += len(batch.indices)
        if progress is not None:
            progress(done, len(wanted))
    return embeddings
