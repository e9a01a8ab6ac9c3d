"""Processes that enroll, remove and read until they are killed or done. Run as a program, with nothing else in it.

Tasks come on stdin (:func:`main`). All processes are forked from this one, so that one start of the interpreter is
enough for hundreds of kills.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from facenet.errors import FacenetError, GalleryError
from facenet.gallery.backend import Store, VectorBlock, create_store, open_store
from facenet.gallery.records import Header, Sample
from facenet.gallery.store import SqliteStore
from facenet.preprocessing import Preprocessing

SIZE = 32
HEADER = Header("f" * 32, Preprocessing(112, 112), SIZE)


def vectors(name: str) -> np.ndarray:
    """The embeddings a person must have, told by the name, which ends with their number."""
    rows = np.random.default_rng(list(name.encode())).standard_normal((int(name.rpartition("-")[2]), SIZE))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def given(name: str) -> list[Sample]:
    return [Sample(row) for row in vectors(name)]


def fork(work: Callable[[int], None]) -> tuple[int, int]:
    """Run ``work(pipe)`` in a child; returns its process and the pipe to read from."""
    read, write = os.pipe()
    process = os.fork()
    if process:
        os.close(write)
        return process, read
    code = 1
    try:
        os.close(read)
        work(write)
        code = 0
    finally:
        # Nothing of the parent's must run in the child, so the traceback is printed here.
        if code:
            traceback.print_exc()
        os._exit(code)


def kills(folder: Path, rounds: int, seed: int) -> dict[str, int]:
    """Kill a writer again and again; whatever it acknowledged must be there, and nothing half."""
    choose = random.Random(seed)
    create_store(str(folder), HEADER).close()
    start = time.monotonic()
    for _ in range(5):
        store = open_store(str(folder))
        store.remove(store.enroll("warm-up-1", given("warm-up-1")).person)
        store.close()
    longest = 0.5 * (time.monotonic() - start)
    alive: dict[int, str] = {}
    gone: list[str] = []
    totals = {"rounds": 0, "enrolled": 0, "removed": 0, "unacknowledged": 0}
    for number in range(rounds):
        process, pipe = fork(partial(write_until_killed, folder, number, dict(alive)))
        ready = os.read(pipe, 6)
        assert ready == b"ready\n", ready
        time.sleep(choose.uniform(0, longest))
        os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        assert os.WIFSIGNALED(status), "the writer ended by itself"
        with open(pipe, "rb") as stream:
            lines = stream.read().decode().splitlines()
        trying: set[int] = set()
        for line in lines:
            word, id, name = line.split()
            if word == "enrolled":
                alive[int(id)] = name
                totals["enrolled"] += 1
            elif word == "removing":
                trying.add(int(id))
            else:
                gone.append(alive.pop(int(id)))
                trying.discard(int(id))
                totals["removed"] += 1
        store = open_store(str(folder))
        found = check(store)
        for id in trying - found.keys():
            gone.append(alive.pop(id))
        assert alive.items() <= found.items(), "an acknowledged enrollment is missing"
        extra = found.keys() - alive.keys()
        assert not extra & {int(line.split()[1]) for line in lines if line.startswith("removed")}
        totals["unacknowledged"] += len(extra)
        alive |= found
        assert store.notices() == []
        store.close()
        totals["rounds"] += 1
    require_no_traces(folder, gone)
    return totals


def write_until_killed(folder: Path, number: int, alive: dict[int, str], pipe: int) -> None:
    choose = random.Random(number)
    store = open_store(str(folder))
    os.write(pipe, b"ready\n")
    for step in range(10_000):
        name = f"p-{number}-{step}-{choose.randint(1, 4)}"
        action = choose.random()
        if action < 0.5 or not alive:
            done = [store.enroll(name, given(name))]
        elif action < 0.7:
            names = [f"{name[:-2]}-{part}-{choose.randint(1, 4)}" for part in range(5)]
            done = list(store.enroll_many((name, given(name)) for name in names))
        else:
            person = choose.choice(list(alive))
            os.write(pipe, f"removing {person} {alive[person]}\n".encode())
            store.remove(person)
            os.write(pipe, f"removed {person} {alive.pop(person)}\n".encode())
            continue
        for one in done:
            alive[one.person] = one.name
        os.write(pipe, "".join(f"enrolled {one.person} {one.name}\n" for one in done).encode())


def check(store: Store) -> dict[int, str]:
    """People by id; every one must have all embeddings the name tells, and the database must be sound."""
    found = {person.id: person.name for person in store.people()}
    assert len(set(found.values())) == len(found), "somebody is there twice"
    held = {id: np.empty((0, SIZE), np.float32) for id in found}
    for block in store.read_vectors(chunk=100):
        held |= by_person(block)
    for id, name in found.items():
        assert np.array_equal(held[id], vectors(name)), f"{name} is there by half"
    assert isinstance(store, SqliteStore)
    with store.database.reading() as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    return found


def by_person(block: VectorBlock) -> dict[int, np.ndarray]:
    return {int(id): block.vectors[block.persons == id] for id in set(block.persons.tolist())}


def require_no_traces(folder: Path, names: list[str]) -> None:
    """No 16 bytes in a row of what was removed, in no file; nobody may have the gallery open."""
    pieces = {
        data[start : start + 16]
        for name in names
        for data in (vectors(name).tobytes(), name.encode().ljust(16))
        for start in range(len(data) - 15)
    }
    words = [name.encode() for name in names]
    for path in folder.iterdir():
        data = path.read_bytes()
        assert not any(data[start : start + 16] in pieces for start in range(len(data) - 15)), f"a trace in {path}"
        assert not any(word in data for word in words), f"a name in {path}"


def creations(folder: Path, rounds: int, seed: int) -> dict[str, int]:
    """Kill while a gallery is made: it is there whole or can be made."""
    choose = random.Random(seed)
    start = time.monotonic()
    create_store(str(folder), HEADER).close()
    longest = 1.5 * (time.monotonic() - start)
    shutil.rmtree(folder)
    whole = 0
    for _ in range(rounds):
        process, pipe = fork(partial(create_and_wait, folder))
        os.read(pipe, 1)
        time.sleep(choose.uniform(0, longest))
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        os.close(pipe)
        try:
            store = open_store(str(folder))
            whole += 1
        except GalleryError:
            store = create_store(str(folder), HEADER)
        assert store.count() == (0, 0)
        store.close()
        shutil.rmtree(folder)
    return {"rounds": rounds, "whole": whole}


def create_and_wait(folder: Path, pipe: int) -> None:
    os.write(pipe, b"r")
    create_store(str(folder), HEADER)
    time.sleep(60)


def crowd(folder: Path, steps: int, seed: int) -> dict[str, int]:
    """Four writers and four readers at once."""
    create_store(str(folder), HEADER).close()
    writers = [fork(partial(write_beside_others, folder, w, steps, seed)) for w in range(4)]
    readers = [fork(partial(read_beside_others, folder, 4 * steps)) for _ in range(4)]
    reports = []
    for process, pipe in [*writers, *readers]:
        with open(pipe, "rb") as stream:
            reports.append(stream.read().decode().splitlines())
        _, status = os.waitpid(process, 0)
        assert status == 0, "a process failed"
    store = open_store(str(folder))
    (together,) = store.people(name="together")
    assert together.embeddings == 4 * steps, "not all that was added to one person is there"
    store.remove(together.id)
    found = check(store)
    wanted = dict(line.split() for report in reports[:4] for line in report)
    assert {str(id): name for id, name in found.items()} == wanted
    assert store.notices() == []
    store.close()
    polls, compared = np.array([report[0].split() for report in reports[4:]], int).sum(axis=0).tolist()
    return {"people": len(found), "polls": polls, "compared": compared}


def write_beside_others(folder: Path, writer: int, steps: int, seed: int, pipe: int) -> None:
    choose = random.Random(100 * seed + writer)
    store = open_store(str(folder))
    own: dict[int, str] = {}
    for step in range(steps):
        names = [f"p-{writer}-{step}-{part}-{choose.randint(1, 4)}" for part in range(choose.choice([1, 1, 8]))]
        done = (
            [store.enroll(names[0], given(names[0]))]
            if len(names) == 1
            else list(store.enroll_many((name, given(name)) for name in names))
        )
        own |= {one.person: one.name for one in done}
        store.enroll("together", given("x-1"))
        if step % 4 == 3:
            person = choose.choice(list(own))
            store.remove(person)
            del own[person]
    store.close()
    os.write(pipe, "".join(f"{id} {name}\n" for id, name in own.items()).encode())


def read_beside_others(folder: Path, until: int, pipe: int) -> None:
    """Follow the changes; every state seen must be whole, and the last one that of the store."""
    store = open_store(str(folder))
    rows: dict[int, np.ndarray] = {}
    generation, polls, compared, history = 0, 0, 0, store.history
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if store.generation() == generation:
            time.sleep(0.001)
            continue
        changes = store.changes(generation, history)
        assert changes.complete and changes.generation > generation
        for person in changes.removed:
            rows.pop(person, None)
        rows |= by_person(changes.block)
        generation, polls = changes.generation, polls + 1
        names = store.names(list(rows))
        for person, name in names.items():
            if name != "together" and person in changes.block.persons:
                assert np.array_equal(rows[person], vectors(name)), f"{name} was seen by half"
        whole: dict[int, np.ndarray] = {}
        for block in store.read_vectors(chunk=64):
            whole |= by_person(block)
        # Else somebody wrote in between.
        if block.generation == generation:
            compared += 1
            assert whole.keys() == rows.keys() and all(np.array_equal(whole[id], rows[id]) for id in rows)
            if [len(rows[person]) for person, name in names.items() if name == "together"] == [until]:
                break
    else:
        raise AssertionError("the end never came in sight")
    store.close()
    os.write(pipe, f"{polls} {compared}".encode())


def full(folder: Path, most: int, seed: int) -> dict[str, object]:
    """Enroll until no file may grow any more."""
    import resource

    store = create_store(str(folder), HEADER)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
    acknowledged, message = [], ""
    try:
        for number in range(100_000):
            name = f"p-{seed}-{number}-3"
            acknowledged.append((store.enroll(name, given(name)).person, name))
    except FacenetError as error:
        message = f"{type(error).__name__}: {error}"
    seen = store.count()[0]
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    found = check(store)
    assert dict(acknowledged).items() <= found.items() and len(found) == seen
    store.close()
    store = open_store(str(folder))
    assert check(store) == found
    store.enroll("after-1", given("after-1"))
    assert len(check(store)) == len(found) + 1
    store.close()
    return {"acknowledged": len(acknowledged), "found": len(found), "message": message}


def stranger(folder: Path, user: int, seed: int) -> dict[str, object]:
    """What another account is told."""
    if os.geteuid() == 0:
        os.setuid(user)
    messages = []
    for call in (lambda: open_store(str(folder)), lambda: create_store(str(folder / "new"), HEADER)):
        try:
            call()
        except FacenetError as error:
            messages.append(f"{type(error).__name__}: {error}")
    return {"messages": messages}


TASKS: dict[str, Callable[[Path, int, int], dict]] = {
    "kills": kills,
    "creations": creations,
    "crowd": crowd,
    "full": full,
    "stranger": stranger,
}


def answer(task: str, folder: str, number: int, seed: int, pipe: int) -> None:
    os.write(pipe, json.dumps(TASKS[task](Path(folder), number, seed)).encode())


def main() -> None:
    """Read a line ``[task, folder, number, seed]`` for each task, write a line for each, empty if it failed."""
    for line in sys.stdin:
        process, pipe = fork(partial(answer, *json.loads(line)))
        with open(pipe, "rb") as stream:
            found = stream.read().decode()
        os.waitpid(process, 0)
        sys.stdout.write(f"{found}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
