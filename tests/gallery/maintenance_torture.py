"""Galleries that are moved, restored, backed up and repaired by processes that are killed. Run as a program.

``python maintenance_torture.py TASK FOLDER ROUNDS SEED`` prints what came of it as JSON; a task is one of ``TASKS``.
Children are forked from this process, so that one start of the interpreter is enough for all kills.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from gallery_tools import header, people, samples, unit
from maintenance_tools import contents, contents_of
from store_torture import fork

from facenet.errors import GalleryError
from facenet.gallery import reembedding as moving
from facenet.gallery.backend import Store, create_store, open_store
from facenet.gallery.backup import backup, restore
from facenet.gallery.health import check
from facenet.gallery.records import Header
from facenet.gallery.repair import repair

PEOPLE, EACH, BATCH = 40, 2, 16


def kill(work: Callable[[int], None], after: float) -> list[str]:
    """Run ``work(pipe)`` in a child, kill it after so many seconds; returns the lines it wrote."""
    process, pipe = fork(work)
    ready = os.read(pipe, 6)
    assert ready == b"ready\n", ready
    time.sleep(after)
    os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    assert os.WIFSIGNALED(status), "it ended by itself"
    with open(pipe, "rb") as stream:
        return stream.read().decode().splitlines()


def new_gallery(folder: Path) -> None:
    store = create_store(str(folder), header_of(0))
    list(store.enroll_many(people(PEOPLE, EACH, size_of(0))))
    store.close()


def size_of(model: int) -> int:
    return 32 + 8 * (model % 3)


def header_of(model: int) -> Header:
    return header(size_of(model), fingerprint=f"{model:032x}")


def vector_of(sample: int, model: int) -> np.ndarray:
    return unit(1, size_of(model), seed=1_000_000 * model + sample)[0]


def moves(folder: Path, rounds: int, seed: int) -> dict[str, int]:
    """Kill a gallery's move to another model: it is of the old or of the new one, whole, and what was put stays."""
    choose = random.Random(seed)
    new_gallery(folder)
    first = contents(str(folder))["samples"]
    start = time.monotonic()
    store = open_store(str(folder))
    move(store, 1)
    store.close()
    longest = time.monotonic() - start
    model, totals = 1, {"rounds": 0, "finished": 0, "under_way": 0}
    for number in range(rounds):
        lines = kill(partial(move_until_killed, folder, model), choose.uniform(0, 1.2 * longest))
        put = {int(line.split()[1]): int(line.split()[2]) for line in lines if line.startswith("put")}
        acknowledged = [int(line.split()[1]) for line in lines if line.startswith("finished")]
        store = open_store(str(folder))
        now = int(store.header().fingerprint, 16)
        assert now >= max([model, *acknowledged]) and now <= max([model, *acknowledged]) + 1
        target = moving.target(store)
        if target is not None:
            under_way = int(target.fingerprint, 16)
            assert under_way == now + 1 and moving.progress(store).done >= put.get(under_way, 0)
            totals["under_way"] += 1
        elif now + 1 in put:
            raise AssertionError("new vectors that were acknowledged are gone")
        if number % 4 == 0:
            # What is enrolled on the way belongs to the old model until the end.
            new = store.enroll(f"late {number}", samples(1, size_of(now), seed=number)).samples[0]
            store.remove_sample(new)
        found = contents_of(store)
        assert found["samples"].keys() == first.keys()
        assert all(found["samples"][id_][-1] == vector_of(id_, now).tobytes() for id_ in first), "vectors are mixed"
        store.close()
        report = check(folder)
        assert report.clean, report
        no_trace(folder, [vector_of(id_, now - 1) for id_ in first])
        model = now
        totals["rounds"] += 1
    totals["finished"] = model - 1
    return totals


def move(store: Store, model: int, say: Callable[[str], None] = lambda line: None) -> None:
    moving.begin(store, header_of(model))
    while waiting := moving.pending(store, limit=BATCH):
        moving.put(store, [(sample.id, vector_of(sample.id, model), 0.5) for sample in waiting])
        say(f"put {model} {moving.progress(store).done}\n")
    moving.finish(store)
    say(f"finished {model}\n")


def move_until_killed(folder: Path, model: int, pipe: int) -> None:
    store = open_store(str(folder))
    os.write(pipe, b"ready\n")
    while True:
        model += 1
        move(store, model, lambda line: os.write(pipe, line.encode()) and None)


def no_trace(folder: Path, vectors: list[np.ndarray]) -> None:
    for path in folder.iterdir():
        data = path.read_bytes()
        assert not any(vector.tobytes()[:24] in data for vector in vectors), f"an old vector is in {path}"


def restores(folder: Path, rounds: int, seed: int) -> dict[str, int]:
    """Kill a restore: the gallery is as it was or as the backup is."""
    choose = random.Random(seed)
    new_gallery(folder)
    copies = [folder.with_name("one"), folder.with_name("other")]
    backup(folder, copies[0])
    store = open_store(str(folder))
    store.rename(1, "renamed")
    last = store.enroll("only in the other", samples(3, size_of(0))).person
    store.close()
    backup(folder, copies[1])
    states = [contents(str(copy)) for copy in copies]
    assert contents(str(folder)) == states[1] != states[0]
    start = time.monotonic()
    restore(copies[0], folder)
    longest = time.monotonic() - start
    seen = []
    for _ in range(rounds):
        kill(partial(restore_until_killed, folder, copies), choose.uniform(0, 3 * longest))
        found = contents(str(folder))
        assert found in states, "neither the one nor the other"
        seen.append(states.index(found))
        report = check(folder)
        assert report.clean, report
    store = open_store(str(folder))
    assert store.enroll("new", samples(1, size_of(0), seed=9)).person > last
    store.close()
    return {"rounds": rounds, "one": seen.count(0), "other": seen.count(1)}


def restore_until_killed(folder: Path, copies: list[Path], pipe: int) -> None:
    os.write(pipe, b"ready\n")
    while True:
        for copy in copies:
            restore(copy, folder)


def backups(folder: Path, rounds: int, seed: int) -> dict[str, int]:
    """Kill a backup: it is there whole or not at all, and the gallery is untouched."""
    choose = random.Random(seed)
    new_gallery(folder)
    before = contents(str(folder))
    copy = folder.with_name("copy")
    start = time.monotonic()
    backup(folder, copy)
    longest = time.monotonic() - start
    whole = 0
    for _ in range(rounds):
        shutil.rmtree(copy, ignore_errors=True)
        kill(partial(backup_and_wait, folder, copy), choose.uniform(0, 1.5 * longest))
        if copy.exists():
            assert contents(str(copy)) == before and check(copy).clean
            whole += 1
            longest *= 0.8
        else:
            # A machine that has become busy meanwhile needs longer.
            longest *= 1.25
        assert contents(str(folder)) == before and check(folder).clean
    shutil.rmtree(copy, ignore_errors=True)
    backup(folder, copy)
    assert contents(str(copy)) == before and not list(folder.parent.glob(".writing-*"))
    return {"rounds": rounds, "whole": whole}


def backup_and_wait(folder: Path, copy: Path, pipe: int) -> None:
    os.write(pipe, b"ready\n")
    backup(folder, copy)
    time.sleep(60)


def repairs(folder: Path, rounds: int, seed: int) -> dict[str, int]:
    """Kill a repair: the gallery is as it was, or a second repair completes it; nobody is lost."""
    choose = random.Random(seed)
    new_gallery(folder)
    before = contents(str(folder))
    start = time.monotonic()
    repair(folder, healthy=True)
    longest = time.monotonic() - start
    totals = {"rounds": rounds, "kept": 0, "interrupted": 0}
    for _ in range(rounds):
        kill(partial(repair_and_wait, folder), choose.uniform(0, 1.5 * longest))
        totals["kept"] += len(list(folder.glob("gallery.damaged-*")))
        try:
            found = contents(str(folder))
        except GalleryError as error:
            assert "interrupted" in str(error)
            totals["interrupted"] += 1
            repair(folder)
            found = contents(str(folder))
        assert found == before
        assert not check(folder).damaged
        for left in folder.iterdir():
            if left.name.startswith(".writing-"):
                shutil.rmtree(left)
            elif left.name.startswith("gallery.damaged-"):
                left.unlink()
        assert check(folder).clean
    return totals


def repair_and_wait(folder: Path, pipe: int) -> None:
    os.write(pipe, b"ready\n")
    repair(folder, healthy=True)
    time.sleep(60)


TASKS: dict[str, Callable[[Path, int, int], dict[str, int]]] = {
    "moves": moves,
    "restores": restores,
    "backups": backups,
    "repairs": repairs,
}

if __name__ == "__main__":
    task, place, number, chance = sys.argv[1:]
    print(json.dumps(TASKS[task](Path(place), int(number), int(chance))))
