"""Batches are the same whoever loads them, and nobody stays behind when loading ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from facenet.data import loaders
from facenet.data.augmentation import augment
from facenet.data.folders import Folder, scan_folder
from facenet.data.loaders import Batch, FaceDataset, face_loader, usable_cores
from facenet.data.samplers import BalancedSampler, Draw, sequential_batches
from facenet.errors import UnreadableImage, UsageError
from facenet.preprocessing import Preprocessing

SIZE = Preprocessing(24, 20)
everyone = pytest.mark.parametrize("workers", [0, 2])


@pytest.fixture
def folder(tmp_path: Path, write_people: Callable[..., None]) -> Folder:
    write_people(tmp_path, {"Ada": 7, "two\nlines": 4, "-Bob": 3})
    return scan_folder(tmp_path)


def face_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("face-loader")]


def test_item(folder: Folder) -> None:
    face, label, index = FaceDataset(folder, SIZE)[Draw(5, 0)]
    assert torch.equal(face, SIZE.load(folder.file(5)))
    assert label == folder.labels[5] and index == 5
    varied = FaceDataset(folder, SIZE, augmentation="light")
    for seed in (3, 4):
        assert torch.equal(varied[Draw(5, seed)][0], augment(face, "light", seed))
    assert len(FaceDataset(folder, SIZE)) == 14


@everyone
def test_batches_in_order(folder: Folder, workers: int) -> None:
    dataset = FaceDataset(folder, SIZE)
    batches = list(face_loader(dataset, sequential_batches(14, 4), workers=workers))
    assert [batch.faces.shape for batch in batches] == [(4, 3, 24, 20)] * 3 + [(2, 3, 24, 20)]
    for batch in batches:
        assert isinstance(batch, Batch)
        assert batch.faces.dtype == torch.uint8 and batch.faces.is_contiguous(memory_format=torch.channels_last)
        assert batch.labels.dtype == batch.indices.dtype == torch.int64
        assert (batch.labels.numpy() == folder.labels[batch.indices.numpy()]).all()
        for face, index in zip(batch.faces, batch.indices.tolist(), strict=True):
            assert torch.equal(face, SIZE.load(folder.file(index)))
    assert torch.cat([batch.indices for batch in batches]).tolist() == list(range(14))


@pytest.mark.parametrize("augmentation", ["none", "strong"])
def test_number_of_workers_changes_nothing(folder: Folder, augmentation: str) -> None:
    dataset = FaceDataset(folder, SIZE, augmentation=augmentation)
    plan = BalancedSampler(folder.labels, batch_size=3, seed=5).epoch_batches()
    runs = [list(face_loader(dataset, plan, workers=workers)) for workers in (0, 1, 2, "auto")]
    for run in runs[1:]:
        assert len(run) == len(runs[0])
        for ours, reference in zip(run, runs[0], strict=True):
            assert all(torch.equal(a, b) for a, b in zip(ours, reference, strict=True))
    varied = torch.cat([batch.faces for batch in runs[0]])
    plain = torch.stack([SIZE.load(folder.file(draw.index)) for batch in plan for draw in batch])
    assert torch.equal(varied, plain) == (augmentation == "none")


@everyone
def test_start_in_the_middle(folder: Folder, workers: int) -> None:
    dataset = FaceDataset(folder, SIZE, augmentation="light")
    plan = sequential_batches(14, 3)
    whole = list(face_loader(dataset, plan, workers=0))
    rest = list(face_loader(dataset, plan, workers=workers, start=2))
    assert len(rest) == 3
    assert all(torch.equal(a.faces, b.faces) for a, b in zip(rest, whole[2:], strict=True))
    assert list(face_loader(dataset, plan, workers=workers, start=5)) == []


@everyone
def test_picture_that_has_become_unreadable(folder: Folder, workers: int) -> None:
    folder.file(6).write_bytes(b"")
    loading = face_loader(FaceDataset(folder, SIZE), sequential_batches(14, 4), workers=workers)
    assert next(loading).indices.tolist() == [0, 1, 2, 3]
    with pytest.raises(UnreadableImage) as raised:
        next(loading)
    assert raised.value.reason == "empty file"
    assert str(raised.value).startswith("cannot read ") and str(raised.value).isprintable()
    assert folder.people[folder.labels[6]].replace("\n", "\\n") in str(raised.value)
    assert not multiprocessing.active_children() and not face_threads()


@everyone
def test_leaving_early_ends_everybody(folder: Folder, workers: int) -> None:
    loading = face_loader(FaceDataset(folder, SIZE), sequential_batches(14, 1), workers=workers)
    next(loading)
    assert multiprocessing.active_children() or face_threads()
    loading.close()
    assert not multiprocessing.active_children() and not face_threads()


@everyone
def test_error_of_the_user_ends_everybody(folder: Folder, workers: int) -> None:
    def consume() -> None:
        for _ in face_loader(FaceDataset(folder, SIZE), sequential_batches(14, 1), workers=workers):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        consume()
    assert not multiprocessing.active_children() and not face_threads()


def test_thread_does_not_run_far_ahead(folder: Folder) -> None:
    loaded: list[int] = []

    class Counting(FaceDataset):
        def __getitem__(self, draw: Draw) -> tuple[torch.Tensor, int, int]:
            loaded.append(draw.index)
            return super().__getitem__(draw)

    loading = face_loader(Counting(folder, SIZE), sequential_batches(14, 1), workers=0)
    for number, _ in enumerate(loading):
        expected = min(number + 3, 14)
        deadline = time.monotonic() + 20
        while len(loaded) < expected and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.02)
        assert len(loaded) == expected, "two batches ahead of the one in use, no more"


@everyone
def test_no_global_generator_is_touched(folder: Folder, workers: int) -> None:
    before = torch.random.get_rng_state()
    list(face_loader(FaceDataset(folder, SIZE, augmentation="strong"), sequential_batches(14, 5), workers=workers))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_empty_plan(folder: Folder) -> None:
    assert list(face_loader(FaceDataset(folder, SIZE), [], workers=0)) == []


@pytest.mark.parametrize(("cores", "expected"), [(1, 0), (2, 0), (3, 1), (6, 4), (64, 8)])
def test_auto(monkeypatch: pytest.MonkeyPatch, cores: int, expected: int) -> None:
    monkeypatch.setattr(loaders, "usable_cores", lambda: cores)
    assert loaders._count("auto") == expected


def test_usable_cores() -> None:
    assert usable_cores() >= 1


@pytest.mark.parametrize("workers", [-1, "many"])
def test_senseless_workers(folder: Folder, workers: int | str) -> None:
    with pytest.raises(UsageError, match="workers"):
        face_loader(FaceDataset(folder, SIZE), [], workers=workers)


def test_unknown_augmentation(folder: Folder) -> None:
    with pytest.raises(UsageError, match="no augmentation"):
        FaceDataset(folder, SIZE, augmentation="heavy")


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a GPU")
def test_pinning_without_a_gpu_is_ignored(folder: Folder) -> None:
    batch = next(face_loader(FaceDataset(folder, SIZE), sequential_batches(14, 4), pin=True))
    assert not batch.faces.is_pinned()


@pytest.mark.slow
def test_interrupt_from_the_terminal(tmp_path: Path, folder: Folder) -> None:
    """Ctrl-C reaches every process: the workers go on until the main one, having finished its step, stops them."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import signal, sys
            from facenet.data.folders import scan_folder
            from facenet.data.loaders import FaceDataset, face_loader
            from facenet.data.samplers import sequential_batches
            from facenet.preprocessing import Preprocessing

            asked = []
            signal.signal(signal.SIGINT, lambda *_: asked.append(True))
            folder = scan_folder({str(folder.root)!r})
            plan = sequential_batches(len(folder), 2) * 100_000
            for batch in face_loader(FaceDataset(folder, Preprocessing(24, 20)), plan, workers=2):
                print("batch", flush=True)
                if asked:
                    break
            print("saved", flush=True)
            """
        )
    )
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "batch\n"
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert out.endswith("saved\n") and err == "" and process.returncode == 0
