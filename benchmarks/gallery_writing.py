"""Writing to a gallery durably, and opening a large one.

1. ``Gallery.enroll_many`` on disk against what one would write at first: an SQLite table, and a transaction for every
   vector. Both are on disk when they say so. People have one embedding each.
2. Opening a gallery and answering one query with the index from its cache, against the same without a cache, where the
   index is built from the store. The index is the kind that ``AUTO`` picks.

    python benchmarks/gallery_writing.py [--rows N] [--rows-naive N] [--rows-opened N] [--size N] [--repeats N]
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path

from gallery_search import People, filled_gallery, header

from facenet.gallery.cache import FILE_NAME
from facenet.gallery.gallery import Gallery
from facenet.gallery.records import IndexKind, Sample


def main() -> None:
    """Measure and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--rows-naive", type=int, default=500)
    parser.add_argument("--rows-opened", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        writing(Path(folder), args.rows, args.rows_naive, args.size, args.repeats)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        opening(Path(folder) / "gallery", args.rows_opened, args.size, args.repeats)


def writing(folder: Path, count: int, naive: int, size: int, repeats: int) -> None:
    """Work 1."""
    people = People(count, size)
    named = [
        (f"person {id}", [Sample(row)])
        for persons, rows in people.blocks()
        for id, row in zip(persons, rows, strict=True)
    ]
    rates: dict[str, list[float]] = {"naive": [], "gallery": []}
    for turn in range(repeats):
        began = time.perf_counter()
        write_naively(folder / f"naive{turn}.sqlite", named[:naive])
        rates["naive"].append(naive / (time.perf_counter() - began))
        with Gallery.create(folder / f"gallery{turn}", header(size, IndexKind.AUTO)) as gallery:
            began = time.perf_counter()
            written = sum(len(enrollment.samples) for enrollment in gallery.enroll_many(named))
            rates["gallery"].append(written / (time.perf_counter() - began))
            assert gallery.store.count() == (count, count)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    print(f"durable enrollment of vectors of {size}, median of {repeats}")
    for name, rate in medians.items():
        print(f"  {name:10} {rate:9.0f} vectors/s")
    print(f"  ratio {medians['gallery'] / medians['naive']:.0f} (target 20, and 10,000 vectors/s)")


def write_naively(path: Path, named: list[tuple[str, list[Sample]]]) -> None:
    """A table as SQLite makes it, and a transaction for every vector."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, vector BLOB)")
    for name, samples in named:
        connection.execute("INSERT INTO people (name, vector) VALUES (?, ?)", (name, samples[0].embedding.tobytes()))
        connection.commit()
    connection.close()


def opening(place: Path, count: int, size: int, repeats: int) -> None:
    """Work 2."""
    people = People(count, size)
    filled_gallery(people, str(place), IndexKind.AUTO).close()
    query = people.queries(1)
    seconds: dict[str, list[float]] = {"without cache": [], "with cache": []}
    for _ in range(repeats):
        for name in seconds:
            if name == "without cache":
                (place / FILE_NAME).unlink()
            began = time.perf_counter()
            with Gallery.open(place) as gallery:
                gallery.search(query, 5)
                seconds[name].append(time.perf_counter() - began)
                kind = gallery.stats().index_kind
                assert len(gallery.notices) == (name == "without cache")
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"\nopening a gallery of {count:,} x {size} ({kind}) and answering one query, median of {repeats}")
    for name, taken in medians.items():
        print(f"  {name:15} {taken:8.2f} s")
    print(f"  ratio {medians['without cache'] / medians['with cache']:.1f} (target 10)")


if __name__ == "__main__":
    main()
