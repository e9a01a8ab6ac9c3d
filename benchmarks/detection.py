"""Finding faces in a folder of photos of mixed sizes: this package against facenet-pytorch's MTCNN.

Theirs: ``MTCNN(keep_all=True).detect``, one photo at a time, as its README does, for it takes batches of one size only.
Ours: :meth:`facenet.detection.detector.Detector.detect` on lists of ``--batch`` photos. Both run the same networks with
the same weights and thresholds on photos that are already decoded, and take turns in one process. The ratio is the
median of the turns' ratios, for what else a machine does it does to both of a turn. The faces found are compared.

Without a folder, drawn people are laid on backdrops of 250×250 to 1600×1200 pixels.

    python benchmarks/detection.py [FOLDER] [--photos N] [--batch N] [--min-face N] [--repeats N]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from facenet_pytorch import MTCNN
from PIL import Image

from facenet.data.synthetic import Person, Picture, draw_face
from facenet.detection.detector import Detector
from facenet.images import is_image_name, load_image, save_image

TARGET = 2.5
SIZES = ((250, 250), (250, 250), (480, 640), (250, 250), (768, 1024), (250, 250), (1200, 1600))

Box = tuple[float, ...]


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--photos", type=int, default=56)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--min-face", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.folder if args.folder is not None else compose(Path(scratch), args.photos)
        files = sorted(file for file in folder.rglob("*") if is_image_name(file.name))
        chosen = np.linspace(0, len(files) - 1, min(len(files), args.photos)).astype(int)
        photos = [load_image(files[index]) for index in chosen]
    detector = Detector(min_face=args.min_face)
    peer = MTCNN(keep_all=True, min_face_size=args.min_face)

    def theirs() -> list[list[Box]]:
        found = [peer.detect(Image.fromarray(photo))[0] for photo in photos]
        return [[] if boxes is None else [tuple(map(float, box)) for box in boxes] for boxes in found]

    def ours() -> list[list[Box]]:
        batches = [photos[start : start + args.batch] for start in range(0, len(photos), args.batch)]
        return [[face.box for face in faces] for batch in batches for faces in detector.detect(batch)]

    expected, found = theirs(), ours()
    turns = [(seconds(theirs), seconds(ours)) for _ in range(args.repeats)]
    pixels = sum(photo.shape[0] * photo.shape[1] for photo in photos) / len(photos)
    print(f"{len(photos)} photos of {pixels / 1e6:.2f} megapixels, batches of {args.batch}, faces from {args.min_face}")
    print(f"pixels, {torch.get_num_threads()} threads, median of {args.repeats}")
    for name, times in zip(("facenet-pytorch", "facenet"), zip(*turns, strict=True), strict=True):
        median = statistics.median(times)
        print(f"  {name:16} {median:7.3f} s  {median / len(photos) * 1e3:6.1f} ms/photo")
    ratios = [their_time / our_time for their_time, our_time in turns]
    print(f"  ratio {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f} (target {TARGET})")
    print(f"  faces: {sum(map(len, expected))} theirs, {sum(map(len, found))} ours, {shared(expected, found)} the same")


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def shared(expected: Sequence[Sequence[Box]], found: Sequence[Sequence[Box]]) -> int:
    """How many of the expected boxes were found within a pixel."""
    return sum(
        any(np.abs(np.subtract(box, other)).max() <= 1 for other in others)
        for boxes, others in zip(expected, found, strict=True)
        for box in boxes
    )


def compose(folder: Path, count: int) -> Path:
    """Write photos of one to six drawn people each."""
    rng = np.random.default_rng(0)
    for number in range(count):
        height, width = SIZES[number % len(SIZES)]
        coarse = rng.integers(40, 220, (height // 20, width // 20, 3), dtype=np.uint8)
        photo = np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
        cells = max(1, height // 350) * max(1, width // 350)
        for cell in rng.permutation(cells)[: int(rng.integers(1, 7))]:
            place_person(photo, int(cell), rng)
        save_image(folder / f"{number:03}.jpg", photo)
    return folder


def place_person(photo: np.ndarray, cell: int, rng: np.random.Generator) -> None:
    """Draw somebody into one cell of a grid over the photo."""
    columns = max(1, photo.shape[1] // 350)
    side = min(350, *photo.shape[:2])
    size = int(rng.integers(side // 2, side))
    top = side * (cell // columns) + int(rng.integers(0, side - size + 1))
    left = side * (cell % columns) + int(rng.integers(0, side - size + 1))
    photo[top : top + size, left : left + size] = draw_face(Person.random(rng), Picture.random(rng), size)


if __name__ == "__main__":
    main()
