"""What tests of maintenance share: galleries with something in everything, and all that can be read from one."""

from __future__ import annotations

import functools
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from gallery_tools import header, people, samples

from facenet.gallery.backend import Store, create_store, open_store

Contents = dict[str, Any]


def furnished(folder: Path, *, count: int = 20, each: int = 2, size: int = 16) -> str:
    """Make a gallery where people were enrolled, renamed, changed and removed; returns its location, closed."""
    location = str(folder / "gallery")
    shutil.copytree(_furnished(count, each, size).name, location)
    return location


@functools.cache
def _furnished(count: int, each: int, size: int) -> tempfile.TemporaryDirectory[str]:
    """Made once, copied ever after: nothing here waits for a disk twice."""
    folder = tempfile.TemporaryDirectory()
    store = create_store(folder.name, header(size))
    list(store.enroll_many(people(count, each, size)))
    store.enroll("Zoë 漢字", samples(3, size, seed=5), metadata={"a": [1]}, consent="c 1", expires="2099-01-01")
    store.rename(2, "Ada")
    store.update(3, metadata={"team": "x"}, consent="form 7")
    store.remove(4)
    store.remove_sample(store.samples(5)[0].id)
    store.set_calibration({"verification": {"value": 0.5}})
    store.close()
    return folder


def contents(location: str) -> Contents:
    """People and embeddings by id, the header, and the number of audit entries."""
    store = open_store(location)
    try:
        return contents_of(store)
    finally:
        store.close()


def contents_of(store: Store) -> Contents:
    found: Contents = {"header": store.header(), "people": {}, "samples": {}}
    for person in store.people():
        found["people"][person.id] = person
        for sample in store.samples(person.id):
            kept = (sample.person, sample.source, sample.content, sample.box, sample.quality, sample.added)
            found["samples"][sample.id] = (*kept, sample.embedding.tobytes())
    return found


def database(location: str) -> Path:
    return Path(location) / "gallery.sqlite"


def flips(whole: bytes, count: int, seed: int) -> Iterator[bytes]:
    """The same bytes with one bit turned over, mostly where something is written."""
    chance = random.Random(seed)
    written = np.flatnonzero(np.frombuffer(whole, np.uint8)).tolist()
    for number in range(count):
        data = bytearray(whole)
        data[chance.randrange(len(data)) if number % 5 == 0 else chance.choice(written)] ^= 1 << chance.randrange(8)
        yield bytes(data)
