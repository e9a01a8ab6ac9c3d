"""What a gallery takes as it grows: memory, disk and time at 1,000 to 1,000,000 embeddings of 128 values.

People have one embedding each and the index is the kind that ``AUTO`` picks. Everything is measured in a process of its
own. "Memory" is the most that a process held which opened the gallery and searched it, less what a process holds that
has only loaded the package.

    python benchmarks/gallery_growth.py [--sizes N ...] [--size N]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gallery_search import BATCH, TOP, People, filled_gallery, take_turns

from facenet.gallery.cache import FILE_NAME
from facenet.gallery.gallery import Gallery
from facenet.gallery.records import IndexKind

REPEATS = 5
COLUMNS = "embeddings  index  enroll s  vectors/s  disk MB  open s  rebuild s  memory MB  1 query ms  64 queries ms"


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--step", choices=("enroll", "search", "nothing"), help=argparse.SUPPRESS)
    parser.add_argument("--place", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step is not None:
        print(json.dumps(measure(args.step, args.place, args.sizes[0], args.size)))
        return
    print(COLUMNS)
    for count in args.sizes:
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
            place = Path(folder) / "gallery"
            print_line(count, place, args.size)


def print_line(count: int, place: Path, size: int) -> None:
    """One gallery."""
    idle = in_a_child("nothing", place, count, size)
    enrolled = in_a_child("enroll", place, count, size)
    rebuilt = in_a_child("search", place, count, size)
    opened = in_a_child("search", place, count, size)
    disk = sum(file.stat().st_size for file in place.iterdir())
    print(
        f"{count:10,}  {opened['kind']:>5}  {enrolled['seconds']:8.2f}  {count / enrolled['seconds']:9.0f}"
        f"  {disk / 1e6:7.1f}  {opened['opened']:6.2f}  {rebuilt['opened']:9.2f}"
        f"  {opened['memory'] - idle['memory']:9.0f}  {opened['one']:10.2f}  {opened['many']:13.1f}",
        flush=True,
    )


def in_a_child(step: str, place: Path, count: int, size: int) -> dict[str, float]:
    """One step in a process of its own."""
    words = [
        sys.executable,
        __file__,
        "--step",
        step,
        "--place",
        str(place),
        "--sizes",
        str(count),
        "--size",
        str(size),
    ]
    found: dict[str, float] = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    return found


def measure(step: str, place: Path, count: int, size: int) -> dict[str, float | str]:
    """In the child: do it, and say what it took."""
    found: dict[str, float | str] = {}
    if step == "enroll":
        people = People(count, size)
        began = time.perf_counter()
        filled_gallery(people, str(place), IndexKind.AUTO).close()
        found["seconds"] = time.perf_counter() - began
        # As large galleries are first opened: the cache holds nothing of what was enrolled in bulk.
        (place / FILE_NAME).unlink()
    elif step == "search":
        people = People(min(count, 1_000), size)
        began = time.perf_counter()
        with Gallery.open(place) as gallery:
            gallery.search(people.queries(1), TOP)
            found["opened"] = time.perf_counter() - began
            one, many = people.queries(1), people.queries(BATCH)
            ways = {"one": lambda: gallery.search(one, TOP), "many": lambda: gallery.search(many, TOP)}
            found |= {name: taken * 1e3 for name, taken in take_turns(ways, REPEATS).items()}
            found["memory"] = peak_megabytes()
            found["kind"] = gallery.stats().index_kind.value
            return found
    found["memory"] = peak_megabytes()
    return found


def peak_megabytes() -> float:
    """The most memory this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    main()
