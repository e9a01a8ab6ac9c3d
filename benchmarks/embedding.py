"""Embedding a folder of pictures, InceptionResnetV1, batch 32: this package against facenet-pytorch's README.

Theirs: ``InceptionResnetV1().eval()`` on batches made with Pillow and torchvision, as its README and examples do: they
call the network as it is and detach the result, so that torch keeps what a gradient would need. Without that
(``torch.no_grad``, which the README does not mention) it is timed too. Ours:
:func:`facenet.evaluation.embed.embed_folder` with the precision that ``auto`` picks here. Both start from the same JPEG
files and hold the same weights, those of a trained checkpoint if one is given (a freshly initialised network is no fair
test of precision). They take turns in one process.

    python benchmarks/embedding.py [--checkpoint DIR] [--rootdir DIR] [--pictures N] [--repeats N]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from facenet_pytorch import InceptionResnetV1, fixed_image_standardization
from PIL import Image
from torchvision.transforms.functional import to_tensor

from facenet.data.folders import Folder, scan_folder
from facenet.devices import choose_precision
from facenet.evaluation.embed import embed_folder
from facenet.geometry import paired_cosine
from facenet.models.backbone import Backbone
from facenet.models.inference import InferenceTrunk
from facenet.models.registry import build_backbone
from facenet.training.checkpoint import load_model

TARGET = 4.0
BATCH = 32


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--rootdir", type=Path, default=Path("datasets/custom_images"))
    parser.add_argument("--pictures", type=int, default=160)
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    trunk = load_trunk(args.checkpoint)
    folder = scan_folder(args.rootdir)
    folder = folder.select(np.arange(len(folder)) < args.pictures)
    precision = choose_precision("auto", "cpu")
    ready = InferenceTrunk(trunk, precision=precision.value)
    ways: dict[str, Callable[[], torch.Tensor]] = {
        "facenet-pytorch": their_way(trunk, folder),
        "  with no_grad": torch.no_grad()(their_way(trunk, folder)),
        "facenet": lambda: embed_folder(ready, folder, batch_size=BATCH),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()
    for _ in range(args.repeats):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    exact = embed_folder(trunk, folder, precision="fp32")
    agreement = paired_cosine(exact, ways["facenet"]())
    print(f"{len(folder)} pictures, batch {BATCH}, {torch.get_num_threads()} threads, median of {args.repeats}")
    print(f"weights: {'random' if args.checkpoint is None else args.checkpoint}; ours in {precision}")
    for name, median in medians.items():
        print(f"  {name:16} {median:7.3f} s  {len(folder) / median:6.1f} images/s")
    print(f"  ratio {medians['facenet-pytorch'] / medians['facenet']:.2f} (target {TARGET})")
    print(f"  ratio {medians['  with no_grad'] / medians['facenet']:.2f} to theirs with no_grad")
    print(f"  cosine to the float32 embedding: mean {agreement.mean():.5f}, least {agreement.min():.5f}")


def load_trunk(checkpoint: Path | None) -> Backbone:
    """The trunk of a checkpoint, or a random one whose BatchNorm has seen some noise."""
    if checkpoint is not None:
        return load_model(checkpoint, backbone="inception_resnet_v1")[0].trunk
    trunk = build_backbone("inception_resnet_v1").train()
    with torch.no_grad():
        for _ in range(3):
            trunk(torch.randn(BATCH, 3, 160, 160))
    return trunk.eval()


def their_way(trunk: Backbone, folder: Folder) -> Callable[[], torch.Tensor]:
    """facenet-pytorch's network in float32, pictures opened with Pillow one after the other."""
    network = InceptionResnetV1(pretrained=None).eval()
    network.load_state_dict(trunk.state_dict())

    def face(file: Path) -> torch.Tensor:
        picture = Image.open(file).convert("RGB").resize((160, 160), Image.Resampling.BILINEAR)
        return fixed_image_standardization(to_tensor(picture) * 255)

    def way() -> torch.Tensor:
        found = []
        for start in range(0, len(folder), BATCH):
            files = [folder.file(index) for index in range(start, min(start + BATCH, len(folder)))]
            found.append(network(torch.stack([face(file) for file in files])).detach())
        return torch.cat(found)

    return way


if __name__ == "__main__":
    main()
