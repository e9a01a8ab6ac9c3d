"""Frame sequences: each window is that of the slow way, and nothing of one recording is ever seen in another."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from facenet.data.sequences import Edge, FrameSequences, LabelledFrames
from facenet.errors import InputError, UsageError

Rows = NDArray[np.float32]


def slow_windows(recordings: list[Rows], context: int, edge: Edge) -> list[tuple[int, int, list[list[float]]]]:
    """(recording, row, window) of every sample, one value after the other."""
    found = []
    for number, recording in enumerate(recordings):
        for row in range(len(recording)):
            window = []
            for place in range(row - context, row + context + 1):
                if 0 <= place < len(recording):
                    window.append([float(value) for value in recording[place]])
                elif edge is Edge.ZEROS:
                    window.append([0.0] * recording.shape[1])
                else:
                    window.append([float(value) for value in recording[0 if place < 0 else -1]])
            found.append((number, row, window))
    return found


def made(lengths: list[int], size: int = 2, seed: int = 0) -> list[Rows]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((length, size), dtype=np.float32) for length in lengths]


LENGTHS = st.lists(st.integers(0, 7), min_size=1, max_size=6).filter(lambda lengths: sum(lengths) > 0)


@given(lengths=LENGTHS, size=st.integers(1, 3), context=st.integers(0, 9), edge=st.sampled_from(Edge))
def test_as_the_slow_way(lengths: list[int], size: int, context: int, edge: Edge) -> None:
    recordings = made(lengths, size)
    frames = FrameSequences(recordings, context=context, edge=edge)
    expected = slow_windows(recordings, context, edge)
    assert len(frames) == len(expected) == sum(lengths)
    everything = frames.batch(np.arange(len(frames)))
    assert everything.dtype == torch.float32 and everything.shape == (len(frames), 2 * context + 1, size)
    assert everything.is_contiguous()
    places = frames.locate(np.arange(len(frames)))
    for sample, (recording, row, window) in enumerate(expected):
        assert frames[sample].tolist() == everything[sample].tolist() == window
        assert (places.recordings[sample], places.rows[sample]) == (recording, row)
        assert frames.samples_of(recording)[row] == sample
    assert sum(len(frames.samples_of(number)) for number in range(len(lengths))) == len(frames)


@given(lengths=LENGTHS, context=st.integers(0, 12), edge=st.sampled_from(Edge))
def test_nothing_leaks(lengths: list[int], context: int, edge: Edge) -> None:
    recordings = [np.full((length, 1), number + 1, dtype=np.float32) for number, length in enumerate(lengths)]
    frames = FrameSequences(recordings, context=context, edge=edge)
    for sample in range(len(frames)):
        (recording,) = frames.locate([sample]).recordings
        seen = set(frames[sample].unique().tolist())
        assert seen <= ({recording + 1, 0} if edge is Edge.ZEROS else {recording + 1})


@given(lengths=LENGTHS, context=st.integers(0, 4), data=st.data())
def test_batches_in_any_order(lengths: list[int], context: int, data: st.DataObject) -> None:
    frames = FrameSequences(made(lengths), context=context)
    samples = data.draw(st.lists(st.integers(0, len(frames) - 1), max_size=9))
    batch = frames.batch(samples)
    assert batch.shape == (len(samples), 2 * context + 1, 2)
    assert all(torch.equal(window, frames[sample]) for window, sample in zip(batch, samples, strict=True))


def test_by_hand() -> None:
    recordings = [np.array([[1.0], [2.0], [3.0]]), np.empty((0, 1)), np.array([[9.0]])]
    frames = FrameSequences(recordings, context=2)
    assert frames.batch([0, 1, 2, 3])[:, :, 0].tolist() == [
        [1, 1, 1, 2, 3],
        [1, 1, 2, 3, 3],
        [1, 2, 3, 3, 3],
        [9, 9, 9, 9, 9],
    ]
    zeros = FrameSequences(recordings, context=2, edge="zeros")
    assert zeros.batch([0, 3])[:, :, 0].tolist() == [[0, 0, 1, 2, 3], [0, 0, 9, 0, 0]]
    assert frames.lengths.tolist() == [3, 0, 1] and frames.starts.tolist() == [0, 3, 3]
    assert frames.samples_of(1) == range(3, 3) and (frames.size, frames.context) == (1, 2)
    assert frames.edge is Edge.REPEAT and zeros.edge is Edge.ZEROS


def test_what_is_handed_out_can_be_changed() -> None:
    recordings = made([4, 3])
    frames = FrameSequences(recordings, context=1)
    before = frames.batch(range(7))
    frames[1].zero_()
    frames.batch([0, 1]).zero_()
    recordings[0][:] = 7
    assert torch.equal(frames.batch(range(7)), before)


@pytest.mark.parametrize(
    "as_given",
    [
        lambda rows: rows.astype(np.float64),
        lambda rows: rows.astype(">f4"),
        lambda rows: rows[::-1].copy()[::-1],
        lambda rows: np.asfortranarray(rows),
        lambda rows: torch.from_numpy(rows.copy()).requires_grad_(),
        lambda rows: rows.tolist(),
    ],
)
def test_rows_of_any_kind(as_given: Any) -> None:
    recordings = made([4, 1, 3])
    expected = FrameSequences(recordings, context=2).batch(range(8))
    frames = FrameSequences((as_given(rows) for rows in recordings), context=2)
    assert torch.equal(frames.batch(range(8)), expected) and not frames[0].requires_grad


def test_memory_maps(tmp_path: Path) -> None:
    recordings = made([5, 2])
    for number, rows in enumerate(recordings):
        np.save(tmp_path / f"{number}.npy", rows)
    mapped = [np.load(tmp_path / f"{number}.npy", mmap_mode="r") for number in range(2)]
    expected = FrameSequences(recordings, context=1).batch(range(7))
    assert torch.equal(FrameSequences(mapped, context=1).batch(range(7)), expected)


def test_integers_are_numbers_too() -> None:
    rows = np.array([[250], [3]], dtype=np.uint8)
    assert FrameSequences([rows], context=0).batch([0, 1])[:, 0, 0].tolist() == [250, 3]


@pytest.mark.parametrize(
    ("recordings", "word"),
    [
        ([], "at least one recording"),
        ([np.empty((0, 3)), np.empty((0, 3))], "not one of 2 recordings has a row"),
        ([np.zeros((2, 3)), np.zeros((2, 4))], "recording 1 has 4 values in a row, recording 0 has 3"),
        ([np.zeros((2, 3)), np.zeros(3)], r"recording 1 must be a table .* shape \(3,\)"),
        ([np.zeros((2, 0))], "recording 0 has rows without values"),
        ([np.array([["a"]])], "recording 0 must be a table .* of numbers"),
        ([np.array([[True]])], "recording 0 must be a table .* of numbers"),
        ([torch.zeros((2, 3), dtype=torch.complex64)], "recording 0 must be a table .* of numbers"),
        ([[[1.0], [2.0, 3.0]]], "recording 0 is no table of numbers: its rows differ"),
        ([np.zeros((1, 2)), np.array([[0, 1], [0, np.nan]])], "recording 1, row 1: .* no finite number"),
        ([np.array([[1e39]])], "recording 0, row 0: .* no finite number"),
        ([torch.tensor([[0.0], [torch.inf]])], "recording 0, row 1: .* no finite number"),
    ],
)
def test_recordings_that_cannot_be_used(recordings: list[Any], word: str) -> None:
    with pytest.raises(InputError, match=word):
        FrameSequences(recordings, context=1)


def test_wrong_use() -> None:
    recordings = made([4, 3])
    with pytest.raises(UsageError, match="cannot be -1"):
        FrameSequences(recordings, context=-1)
    with pytest.raises(UsageError, match="choose one of repeat, zeros"):
        FrameSequences(recordings, context=1, edge="mirror")
    frames = FrameSequences(recordings, context=1)
    for sample in (-1, 7, 10**12):
        with pytest.raises(IndexError, match=f"sample {sample} of 7"):
            frames[sample]
        with pytest.raises(IndexError, match=f"sample {sample} of 7"):
            frames.batch([0, sample])
        with pytest.raises(IndexError, match=f"sample {sample} of 7"):
            frames.locate([sample])
    for samples in ([0.5], [[0]], 0, ["a"], [True]):
        with pytest.raises(UsageError, match="whole numbers in a row"):
            frames.batch(samples)
    for recording in (-1, 2):
        with pytest.raises(IndexError, match=f"recording {recording} of 2"):
            frames.samples_of(recording)


def test_iteration_ends() -> None:
    frames = FrameSequences(made([2, 1]), context=0)
    assert len(list(frames)) == 3  # type: ignore[call-overload]


@pytest.mark.parametrize("workers", [0, 2])
def test_loaders(workers: int) -> None:
    labelled = LabelledFrames(FrameSequences(made([5, 0, 3]), context=2), [10, 20, 30])
    shuffled: dict[str, Any] = {"batch_size": 3, "shuffle": True, "num_workers": workers}
    plain = DataLoader(labelled, generator=torch.Generator().manual_seed(5), **shuffled)
    numbers: DataLoader[Any] = DataLoader(
        range(8),  # type: ignore[arg-type]
        collate_fn=labelled.batch,
        generator=torch.Generator().manual_seed(5),
        **shuffled,
    )
    for (windows, labels), (same, alike) in zip(plain, numbers, strict=True):
        assert torch.equal(windows, same) and torch.equal(labels, alike) and labels.dtype == torch.int64


def test_labels() -> None:
    frames = FrameSequences(made([2, 0, 3]), context=1)
    spread = LabelledFrames(frames, np.array([7, 8, 9], dtype=np.int16))
    assert spread.labels.tolist() == [7, 7, 9, 9, 9] and len(spread) == 5
    window, label = spread[2]
    assert torch.equal(window, frames[2]) and label == 9
    rows = LabelledFrames(frames, [5, 4, 3, 2, 1], per_row=True)
    windows, labels = rows.batch([4, 0, 4])
    assert labels.tolist() == [1, 5, 1] and torch.equal(windows, frames.batch([4, 0, 4]))
    with pytest.raises(IndexError):
        rows.batch([5])
    with pytest.raises(IndexError):
        rows[-1]
    with pytest.raises(InputError, match="3 recordings need as many labels"):
        LabelledFrames(frames, [1, 2])
    with pytest.raises(InputError, match="5 samples need as many labels"):
        LabelledFrames(frames, [1, 2, 3], per_row=True)
    with pytest.raises(InputError, match="whole numbers, not float64"):
        LabelledFrames(frames, [1.0, 2.0, 3.0])


def test_millions_of_samples_cost_a_number_each() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(0, 2_000, 3_000)
    rows = np.arange(2_000, dtype=np.float32)[:, np.newaxis]
    recordings = [np.hstack([rows[:length], np.full((length, 1), number)]) for number, length in enumerate(lengths)]
    tracemalloc.start()
    frames = FrameSequences(recordings, context=3)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # A list would take 8 bytes for each reference alone. torch's memory is not counted, which holds the rows.
    assert len(frames) > 2_500_000 and kept < 5 * len(frames)
    samples = rng.integers(0, len(frames), 5_000)
    places = frames.locate(samples)
    batch = frames.batch(samples).numpy()
    assert (batch[:, :, 1] == places.recordings[:, np.newaxis]).all()
    wanted = places.rows[:, np.newaxis] + np.arange(-3, 4)
    assert (batch[:, :, 0] == wanted.clip(0, lengths[places.recordings][:, np.newaxis] - 1)).all()
