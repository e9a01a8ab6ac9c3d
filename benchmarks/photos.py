"""Photo → faces → embeddings over a folder of mixed photos: this package against facenet-pytorch's README.

Theirs: one photo at a time, opened with Pillow, through ``MTCNN(image_size=160, margin=0)`` and then
``InceptionResnetV1().eval()``, as its README shows. Ours: :func:`facenet.evaluation.photos.read_photos` with all its
defaults and the precision that ``auto`` picks here, one face of each photo, cut with the same margin. Both read the
same files and hold the same (random) weights; they take turns in one process. Then both are asked for their faces'
boxes: of each photo the most probable, which is what theirs returns.

    python benchmarks/photos.py [FOLDER] [--photos N] [--repeats N]

Without a folder, photos of drawn people are composed: a third of 250×250, a third of 640×480, a third of 1 to 2
megapixels, as JPEG.
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
from facenet_pytorch import MTCNN, InceptionResnetV1
from PIL import Image

from facenet.data.listing import list_pictures
from facenet.data.synthetic import draw_people
from facenet.detection.detector import Detector
from facenet.detection.faces import Policy
from facenet.devices import choose_precision
from facenet.evaluation.embedder import Embedder, ModelSource
from facenet.evaluation.photos import read_photos
from facenet.models.inference import InferenceTrunk
from facenet.models.registry import build_backbone

TARGET = 2.5
SAME = 0.7
"""Boxes that overlap (intersection over union) by so much are of the same face."""

Box = tuple[float, float, float, float]


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--photos", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as drawn:
        if args.folder is None:
            compose(Path(drawn), args.photos)
        found = list_pictures([Path(drawn) if args.folder is None else args.folder]).files
        step = max(1, len(found) // args.photos)
        compare(found[::step][: args.photos], args.repeats, str(args.folder) if args.folder else "drawn people")


def compose(folder: Path, count: int) -> None:
    """Photos of drawn people, one in each: small, middling and large ones in turn."""
    rng = np.random.default_rng(0)
    sizes = ((250, 250), (480, 640), (1000, 1300), (250, 250), (480, 640), (1200, 1600))
    for number, (_, (portrait,)) in enumerate(draw_people([1] * count, seed=1, size=360)):
        height, width = sizes[number % len(sizes)]
        side = round(min(height, width) * rng.uniform(0.5, 0.9))
        person = np.asarray(Image.fromarray(portrait).resize((side, side), Image.Resampling.BICUBIC))
        # A backdrop of soft shapes with some grain, about as busy as a room.
        coarse = Image.fromarray(rng.integers(40, 216, (height // 60, width // 60, 3), dtype=np.uint8))
        scene = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(np.int16)
        scene = (scene + rng.normal(0, 5, (height, width, 1))).clip(0, 255).astype(np.uint8)
        top, left = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
        scene[top : top + side, left : left + side] = person
        Image.fromarray(scene).save(folder / f"{number:04d}.jpg", quality=88)


def compare(files: Sequence[Path], repeats: int, source: str) -> None:
    """Time both ways in turn, and print the ratio and whether both found the same faces."""
    trunk = build_backbone("inception_resnet_v1")
    network = InceptionResnetV1(pretrained=None).eval()
    network.load_state_dict(trunk.state_dict())
    trunk.preprocessing = trunk.preprocessing.for_photos("margin-0")
    precision = choose_precision("auto", "cpu")
    ready = InferenceTrunk(trunk, precision=precision.value)
    embedder = Embedder(ready, trunk.fingerprint(), ModelSource("weights", trunk.architecture, "random"))
    finder = MTCNN(image_size=160, margin=0)

    def theirs() -> int:
        embedded = 0
        for file in files:
            face = finder(Image.open(file).convert("RGB"))
            if face is not None:
                network(face.unsqueeze(0)).detach()
                embedded += 1
        return embedded

    def ours() -> int:
        return sum(len(photo.faces) for photo in read_photos(files, embedder, policy=Policy.PROBABLE))

    counts = (ours(), theirs())
    times = [(seconds(ours), seconds(theirs)) for _ in range(repeats)]
    fast, slow = (statistics.median(column) for column in zip(*times, strict=True))
    ratio = statistics.median(theirs / ours for ours, theirs in times)
    print(
        f"{len(files)} photos ({source}), {torch.get_num_threads()} threads, median of {repeats}; ours in {precision}"
    )
    print(f"  this package     {fast:7.2f} s  {len(files) / fast:6.1f} photos/s  {counts[0]} faces")
    print(f"  facenet-pytorch  {slow:7.2f} s  {len(files) / slow:6.1f} photos/s  {counts[1]} faces")
    print(f"  ratio {ratio:.2f}× (at least {TARGET}×)")
    check_faces(files, embedder, finder)


def check_faces(files: Sequence[Path], embedder: Embedder, finder: MTCNN) -> None:
    """Compare the box of the most probable face of each photo."""
    overlaps: list[float] = []
    ours_only = theirs_only = neither = 0
    photos = read_photos(files, embedder, detector=Detector(), policy=Policy.PROBABLE)
    for file, photo in zip(files, photos, strict=True):
        boxes, probabilities = finder.detect(Image.open(file).convert("RGB"))
        if boxes is None or not photo.faces:
            ours_only += boxes is None and bool(photo.faces)
            theirs_only += boxes is not None and not photo.faces
            neither += boxes is None and not photo.faces
            continue
        best = tuple(float(edge) for edge in boxes[int(np.argmax(probabilities))])
        # Equally probable faces of one photo may change places: the best match counts.
        near = [candidate.box for candidate in photo.found if candidate.probability > max(probabilities) - 1e-3]
        overlaps.append(max((overlap(box, best) for box in near), default=0.0))
    same = sum(value >= SAME for value in overlaps)
    print(f"  same face in {same} of {len(files)}, none for both in {neither}; ", end="")
    print(f"another face in {len(overlaps) - same}, only ours {ours_only}, only theirs {theirs_only}")
    if overlaps:
        print(f"  overlap of the boxes: median {statistics.median(overlaps):.3f}, least {min(overlaps):.3f}")


def overlap(first: Box, second: Box) -> float:
    """Intersection over union of two boxes, in [0, 1]."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(0.0, width) * max(0.0, height)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return shared / (sum(areas) - shared)


def seconds(way: Callable[[], int]) -> float:
    """How long one pass over all files takes."""
    start = time.perf_counter()
    way()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
