"""From planned batches to tensors, ahead of the computation, by a thread or by processes.

Which pictures make a batch, and the seed of each row, are decided before (see :mod:`facenet.data.samplers`), so the
batches are the same whoever loads them.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from facenet.data.augmentation import augment, check_policy
from facenet.data.folders import Folder
from facenet.data.samplers import Draw
from facenet.errors import UnreadableImage, UsageError
from facenet.preprocessing import Preprocessing, stack_faces

_AHEAD = 2
"""Batches loaded in advance, by the thread or by each process."""

_MOST_WORKERS = 8


class Batch(NamedTuple):
    """Faces and what they show.

    Attributes:
        faces: ``uint8 (n, 3, h, w)``, channels last in memory.
        labels: ``int64 (n,)``, index into the folder's people.
        indices: ``int64 (n,)``, index into the folder's pictures.
    """

    faces: Tensor
    labels: Tensor
    indices: Tensor


class FaceDataset(Dataset[tuple[Tensor, int, int]]):
    """Pictures of a folder as faces, one for each :class:`Draw`.

    Args:
        folder: usable pictures.
        preprocessing: how a picture becomes a face.
        augmentation: one of :data:`facenet.data.augmentation.POLICIES`.

    Raises:
        UsageError: unknown augmentation.
    """

    def __init__(self, folder: Folder, preprocessing: Preprocessing, *, augmentation: str = "none") -> None:
        self.folder = folder
        self.preprocessing = preprocessing
        self.augmentation = check_policy(augmentation)

    def __len__(self) -> int:
        return len(self.folder)

    def __getitem__(self, draw: Draw) -> tuple[Tensor, int, int]:
        """``(face uint8 (3, h, w), label, index)``.

        Raises:
            UnreadableImage: the picture cannot be read.
        """
        face = self.preprocessing.load(self.folder.file(draw.index))
        return augment(face, self.augmentation, draw.seed), int(self.folder.labels[draw.index]), draw.index

    def batch(self, draws: Sequence[Draw]) -> Batch:
        """Load one whole batch; errors as for one face."""
        return _collate([self[draw] for draw in draws])


def _collate(rows: Sequence[tuple[Tensor, int, int]]) -> Batch:
    faces, labels, indices = zip(*rows, strict=True)
    return Batch(stack_faces(faces), torch.tensor(labels), torch.tensor(indices))


def face_loader(
    dataset: FaceDataset,
    batches: Sequence[Sequence[Draw]],
    *,
    workers: int | str = "auto",
    pin: bool = False,
    start: int = 0,
) -> Generator[Batch, None, None]:
    """Load ``batches`` in order, ahead of who uses them.

    Args:
        dataset: where faces come from.
        batches: rows of each batch.
        workers: processes that load. 0: one thread of this process, which is enough where decoding is quicker than
            computing, for the decoders run outside Python's lock. ``"auto"``: 0 on one or two cores, else up to 8.
        pin: put batches in page-locked memory, from where a GPU fetches them faster; ignored without a GPU.
        start: skip so many batches, to go on in the middle of an epoch.

    Returns:
        A generator of :class:`Batch`. Closing it (or leaving a loop over it and dropping it) ends thread and
        processes at once.

    Raises:
        UsageError: ``workers`` is neither ``"auto"`` nor a number of at least 0.
        UnreadableImage: while iterating, a picture cannot be read (any more).
    """
    processes = _count(workers)
    pin = pin and torch.cuda.is_available()
    remaining = batches[start:]
    return _by_processes(dataset, remaining, processes, pin) if processes else _by_thread(dataset, remaining, pin)


def usable_cores() -> int:
    """Processor cores this process may use, at least 1."""
    # A container or a batch system may grant fewer than the machine has.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return 1 if cores is None else cores


def _count(workers: int | str) -> int:
    if workers == "auto":
        cores = usable_cores()
        return 0 if cores <= 2 else min(_MOST_WORKERS, cores - 2)
    if isinstance(workers, str) or workers < 0:
        raise UsageError(f"workers must be 'auto' or at least 0, not {workers}")
    return workers


def _by_thread(dataset: FaceDataset, batches: Sequence[Sequence[Draw]], pin: bool) -> Generator[Batch, None, None]:
    def load(draws: Sequence[Draw]) -> Batch:
        batch = dataset.batch(draws)
        return Batch(*(tensor.pin_memory() for tensor in batch)) if pin else batch

    with ThreadPoolExecutor(1, thread_name_prefix="face-loader") as pool:
        waiting = iter(batches)
        loading: deque[Future[Batch]] = deque(pool.submit(load, draws) for draws in islice(waiting, _AHEAD))
        try:
            while loading:
                batch = loading.popleft().result()
                loading.extend(pool.submit(load, draws) for draws in islice(waiting, 1))
                yield batch
        finally:
            for future in loading:
                future.cancel()


class _Unreadable(NamedTuple):
    """An error on its way between processes, where only its parts travel well."""

    path: str
    reason: str


class _Batches(Dataset[Batch | _Unreadable]):
    """Whole batches by number, so that one process makes one batch."""

    def __init__(self, dataset: FaceDataset, batches: Sequence[Sequence[Draw]]) -> None:
        self.dataset = dataset
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> Batch | _Unreadable:
        rows = []
        for draw in self.batches[number]:
            try:
                rows.append(self.dataset[draw])
            except UnreadableImage as error:
                return _Unreadable(str(self.dataset.folder.file(draw.index)), error.reason)
        return _collate(rows)


def _by_processes(
    dataset: FaceDataset, batches: Sequence[Sequence[Draw]], processes: int, pin: bool
) -> Generator[Batch, None, None]:
    loader = DataLoader(
        _Batches(dataset, batches),
        batch_size=None,
        num_workers=processes,
        prefetch_factor=_AHEAD,
        pin_memory=pin,
        worker_init_fn=_leave_interrupts,
        # Without one of its own the loader would draw from the global generator.
        generator=torch.Generator(),
    )
    iterator = iter(loader)
    try:
        for batch in iterator:
            if isinstance(batch, _Unreadable):
                raise UnreadableImage(batch.path, batch.reason)
            yield batch
    finally:
        # The last reference: its finaliser ends the processes.
        del iterator


def _leave_interrupts(worker: int) -> None:
    """Ctrl-C reaches every process of a terminal; only the main one decides what it means."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
