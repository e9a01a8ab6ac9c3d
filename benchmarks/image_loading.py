"""Picture file → network input, one thread: this package against torchvision v1 transforms on Pillow.

Both read 250×250 JPEG files, bring them to 160×160 and scale them; one repeat of one follows one of the other, so that
whatever else the machine does falls on both. Labeled Faces in the Wild is used where ``FACENET_SHARED`` (or
``../shared``) holds it, drawn pictures otherwise.

    python benchmarks/image_loading.py [--pictures N] [--repeats N]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor
from torchvision import transforms

from facenet.data.folders import scan_folder
from facenet.preprocessing import Preprocessing

SIDE = 250
INPUT = 160
TARGET = 2.3


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=15)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        source, files = pictures(args.pictures, Path(folder))
        compare(source, files, args.repeats)


def pictures(count: int, folder: Path) -> tuple[str, list[Path]]:
    """Files to read, and what they are."""
    shared = Path(os.environ.get("FACENET_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    faces = shared / "data" / "lfw"
    if faces.is_dir():
        found = scan_folder(faces)
        step = max(1, len(found) // count)
        return "Labeled Faces in the Wild", [found.file(index) for index in range(0, len(found), step)][:count]
    rng = np.random.default_rng(0)
    files = []
    for number in range(count):
        # Smooth shapes with a little grain: about as many bytes after compression as a photograph.
        coarse = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)).resize((SIDE, SIDE))
        grain = rng.normal(0, 4, (SIDE, SIDE, 1))
        drawn = np.clip(np.asarray(coarse.filter(ImageFilter.GaussianBlur(4))) + grain, 0, 255).astype(np.uint8)
        files.append(folder / f"{number:04d}.jpg")
        Image.fromarray(drawn).save(files[-1], quality=80)
    return "drawn pictures", files


def compare(source: str, files: Sequence[Path], repeats: int) -> None:
    """Time both ways in turn, and print the ratio and how far their pixels are apart."""
    preprocessing = Preprocessing(INPUT, INPUT)
    theirs = transforms.Compose(
        [
            transforms.Resize(INPUT),
            transforms.CenterCrop(INPUT),
            transforms.ToTensor(),
            transforms.Normalize([0.5] * 3, [128 / 255] * 3),
        ]
    )

    def ours(file: Path) -> Tensor:
        return preprocessing.normalise(preprocessing.load(file))

    def peer(file: Path) -> Tensor:
        with Image.open(file) as image:
            return theirs(image.convert("RGB"))

    gaps = [(ours(file) - peer(file)).abs().mean().item() * preprocessing.std for file in files]
    times = [(seconds(ours, files), seconds(peer, files)) for _ in range(repeats)]
    fast, slow = (statistics.median(column) / len(files) for column in zip(*times, strict=True))
    ratio = statistics.median(theirs / ours for ours, theirs in times)
    print(f"{len(files)} JPEG files of {SIDE}×{SIDE} ({source}) → {INPUT}×{INPUT}, one thread, {repeats} repeats")
    print(f"  this package                       {1 / fast:8,.0f} pictures/s")
    print(f"  torchvision v1 transforms, Pillow  {1 / slow:8,.0f} pictures/s")
    print(f"  ratio {ratio:.2f}× (at least {TARGET}×)")
    print(f"  mean difference {statistics.mean(gaps):.2f} grey levels, worst picture {max(gaps):.2f} (at most 1)")


def seconds(load: Callable[[Path], Tensor], files: Sequence[Path]) -> float:
    """How long one pass over all files takes."""
    start = time.perf_counter()
    for file in files:
        load(file)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
