"""Recordings of different length, row by row: each row is a sample, seen with the rows before and after it.

A recording is anything that has a vector for each moment, such as the embeddings of one face over the frames of a
video. All recordings lie in one block, each with ``context`` rows of padding before and after it::

    block     p p a0 a1 a2 p p p p b0 p p     context 2, recordings of 3 rows and 1 row
    window 0  [----------]                    of a0, the first sample: starts at 0
    window 3                   [--------]     of b0, the fourth: starts at 3 + 2·2·1

The window of sample ``s``, which belongs to recording ``r``, starts at row ``s + 2·context·r`` of the block. So one
number for each sample, its recording, is all the index there is, and no window reaches into another recording.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.utils.data import Dataset

from facenet.errors import InputError, UsageError


class Edge(StrEnum):
    """What stands for the rows before the first and after the last of a recording.

    ``REPEAT``: the first or the last row again. ``ZEROS``: zeros.
    """

    REPEAT = "repeat"
    ZEROS = "zeros"


class Places(NamedTuple):
    """Where samples lie.

    Attributes:
        recordings: ``int64 (n,)``.
        rows: ``int64 (n,)``, within the recording.
    """

    recordings: NDArray[np.int64]
    rows: NDArray[np.int64]


class FrameSequences(Dataset[Tensor]):
    """Every row of many recordings with ``context`` rows on either side; samples are numbered through.

    Sample 0 is row 0 of recording 0; the samples of one recording follow one another. A recording without rows is
    allowed and has no sample.

    Many at a time come quickest from a loader over numbers that is told to collate by :meth:`batch`::

        DataLoader(range(len(frames)), batch_size=256, shuffle=True, generator=generator, collate_fn=frames.batch)

    Args:
        recordings: ``(rows, d)`` numbers each, of one ``d`` and at least 1 row in all; copied as float32, one after
            the other, so they may be memory maps.
        context: rows on either side, from 0.
        edge: what stands for rows that are not there.

    Attributes:
        context, edge: as given.
        size: ``d``.
        lengths: ``int64 (recordings,)``, rows of each.
        starts: ``int64 (recordings,)``, the first sample of each.

    Raises:
        UsageError: ``context`` is negative, or no such ``edge``.
        InputError: no recording, no row, a shape or a ``d`` that does not fit, or a value that is no finite float32.
    """

    def __init__(
        self, recordings: Iterable[ArrayLike | Tensor], *, context: int, edge: Edge | str = Edge.REPEAT
    ) -> None:
        if context < 0:
            raise UsageError(f"context counts the rows on either side: it cannot be {context}")
        if edge not in tuple(Edge):
            raise UsageError(f"no such edge {edge!r}: choose one of {', '.join(Edge)}")
        self.context, self.edge = context, Edge(edge)
        given = list(recordings)
        shapes = [_shape(number, recording) for number, recording in enumerate(given)]
        if not shapes:
            raise InputError("frame sequences need at least one recording")
        self.size = _one_size(shapes)
        self.lengths: NDArray[np.int64] = np.array([rows for rows, _ in shapes], dtype=np.int64)
        ends = np.cumsum(self.lengths)
        if ends[-1] == 0:
            raise InputError(f"not one of {len(shapes):,} recordings has a row")
        self.starts: NDArray[np.int64] = ends - self.lengths
        self._recording = np.repeat(np.arange(len(shapes), dtype=np.int32), self.lengths)
        block = torch.empty((int(ends[-1]) + 2 * context * len(shapes), self.size), dtype=torch.float32)
        for number, recording in enumerate(given):
            self._fill(block, number, recording)
        # A view (windows, 2·context + 1, d) over the block: taking rows of it copies just what is asked for.
        self._windows = block.unfold(0, 2 * context + 1, 1).transpose(1, 2)

    def _fill(self, block: Tensor, number: int, recording: ArrayLike | Tensor) -> None:
        """Write one recording and its padding to their place."""
        begin = int(self.starts[number]) + 2 * self.context * number
        first = begin + self.context
        end = first + int(self.lengths[number])
        rows = block[first:end]
        rows.copy_(_as_float32(recording))
        finite = torch.isfinite(rows).all(dim=1)
        if not finite.all():
            bad = int((~finite).nonzero()[0])
            raise InputError(f"recording {number}, row {bad}: holds a value that is no finite number")
        before, after = block[begin:first], block[end : end + self.context]
        if self.edge is Edge.ZEROS or len(rows) == 0:
            before.zero_()
            after.zero_()
        else:
            before.copy_(rows[:1].expand_as(before))
            after.copy_(rows[-1:].expand_as(after))

    def __len__(self) -> int:
        """Number of samples: the rows of all recordings."""
        return len(self._recording)

    def __getitem__(self, sample: int) -> Tensor:
        """A row and its neighbours: ``float32 (2·context + 1, d)``, a copy; the row itself is in the middle.

        Raises:
            IndexError: ``sample`` is not in ``[0, len)``.
        """
        if not 0 <= sample < len(self):
            raise IndexError(f"sample {sample} of {len(self)}")
        window: Tensor = self._windows[sample + 2 * self.context * int(self._recording[sample])]
        return window.clone(memory_format=torch.contiguous_format)

    def batch(self, samples: ArrayLike) -> Tensor:
        """Several samples at once: ``(n,)`` whole numbers, in any order and as often as wanted.

        Returns:
            ``float32 (n, 2·context + 1, d)``, contiguous.

        Raises:
            IndexError: one is not in ``[0, len)``.
            UsageError: these are no whole numbers in a row.
        """
        numbers = self._checked(samples)
        starts = numbers + 2 * self.context * self._recording[numbers].astype(np.int64)
        # Copies whole windows, which indexing with brackets does value by value.
        return torch.index_select(self._windows, 0, torch.from_numpy(starts))

    def locate(self, samples: ArrayLike) -> Places:
        """From numbers ``(n,)`` of samples to their recordings and rows.

        Raises:
            IndexError, UsageError: as :meth:`batch`.
        """
        numbers = self._checked(samples)
        recordings = self._recording[numbers].astype(np.int64)
        return Places(recordings, numbers - self.starts[recordings])

    def samples_of(self, recording: int) -> range:
        """The numbers of a recording's samples, in order of its rows.

        Raises:
            IndexError: there is no such recording.
        """
        if not 0 <= recording < len(self.lengths):
            raise IndexError(f"recording {recording} of {len(self.lengths)}")
        start = int(self.starts[recording])
        return range(start, start + int(self.lengths[recording]))

    def _checked(self, samples: ArrayLike) -> NDArray[np.int64]:
        numbers = np.asarray(samples)
        if numbers.size == 0:
            numbers = numbers.astype(np.int64)
        if numbers.ndim != 1 or not np.issubdtype(numbers.dtype, np.integer):
            raise UsageError(f"samples are whole numbers in a row, not {numbers.dtype} of shape {numbers.shape}")
        outside = numbers[(numbers < 0) | (numbers >= len(self))]
        if len(outside):
            raise IndexError(f"sample {outside[0]} of {len(self)}")
        return numbers.astype(np.int64, copy=False)


class LabelledFrames(Dataset[tuple[Tensor, int]]):
    """The same with a label for each sample.

    Args:
        frames: the samples.
        labels: whole numbers, one for each recording (every row of it has this label) or, with ``per_row``, one for
            each sample.
        per_row: whether ``labels`` are those of samples.

    Attributes:
        frames: as given.
        labels: ``int64 (samples,)``.

    Raises:
        InputError: not so many labels as there are recordings or samples, or no whole numbers.
    """

    def __init__(self, frames: FrameSequences, labels: ArrayLike, *, per_row: bool = False) -> None:
        given = np.asarray(labels)
        wanted, what = (len(frames), "samples") if per_row else (len(frames.lengths), "recordings")
        if given.shape != (wanted,):
            raise InputError(f"{wanted:,} {what} need as many labels in a row, got shape {given.shape}")
        if not np.issubdtype(given.dtype, np.integer):
            raise InputError(f"labels are whole numbers, not {given.dtype}")
        self.frames = frames
        self.labels: NDArray[np.int64] = (given if per_row else np.repeat(given, frames.lengths)).astype(np.int64)

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.frames)

    def __getitem__(self, sample: int) -> tuple[Tensor, int]:
        """Window ``float32 (2·context + 1, d)`` and label.

        Raises:
            IndexError: ``sample`` is not in ``[0, len)``.
        """
        return self.frames[sample], int(self.labels[sample])

    def batch(self, samples: ArrayLike) -> tuple[Tensor, Tensor]:
        """Windows ``float32 (n, 2·context + 1, d)`` and labels ``int64 (n,)``.

        Raises:
            IndexError, UsageError: as :meth:`FrameSequences.batch`.
        """
        windows = self.frames.batch(samples)
        return windows, torch.from_numpy(self.labels[np.asarray(samples, dtype=np.int64)])


def _shape(number: int, recording: ArrayLike | Tensor) -> tuple[int, int]:
    """``(rows, d)`` of a recording that can be used; not yet read if it is a memory map."""
    try:
        array = recording if isinstance(recording, Tensor) else np.asarray(recording)
    except ValueError as error:
        raise InputError(f"recording {number} is no table of numbers: its rows differ in length") from error
    if isinstance(array, Tensor):
        numeric = not array.is_complex() and array.dtype != torch.bool
    else:
        numeric = array.dtype.kind in "fiu"
    if not numeric or array.ndim != 2:
        raise InputError(
            f"recording {number} must be a table (rows, values) of numbers, not {array.dtype} of shape "
            f"{tuple(array.shape)}"
        )
    return array.shape[0], array.shape[1]


def _as_float32(recording: ArrayLike | Tensor) -> Tensor:
    if isinstance(recording, Tensor):
        return recording.detach()
    # What is too large becomes infinite, and is refused with everything else that is not finite. Copied, for torch
    # warns of memory that may not be written to.
    with np.errstate(over="ignore"):
        return torch.from_numpy(np.array(recording, dtype=np.float32))


def _one_size(shapes: Sequence[tuple[int, int]]) -> int:
    """The values in a row, the same in every recording."""
    size = shapes[0][1]
    if size == 0:
        raise InputError("recording 0 has rows without values")
    for number, (_, other) in enumerate(shapes):
        if other != size:
            raise InputError(f"recording {number} has {other} values in a row, recording 0 has {size}")
    return size
