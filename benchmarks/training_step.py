"""One triplet fine-tuning step of InceptionResnetV1: this package against facenet-pytorch's way, on this CPU.

Theirs is the step of facenet-pytorch's fine-tuning example (float32, default memory layout, ``optim.Adam``, its own
network class) with a triplet loss in place of its classifier's. Ours is what ``cli.py train`` does: mining, bfloat16
layers where the CPU has them, channels-last memory, a fused optimiser. Both train all weights with the same optimiser
settings on the same pictures; steps are taken in turn in one process.

    python benchmarks/training_step.py [--batch N] [--repeats N] [--precision auto|fp32|bf16]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from facenet_pytorch import InceptionResnetV1, fixed_image_standardization
from lightning_fabric import Fabric
from torch import nn, optim

from facenet.devices import choose_precision
from facenet.losses import TripletObjective
from facenet.models.face_model import FaceModel
from facenet.models.registry import build_backbone
from facenet.training.config import TrainingConfig
from facenet.training.schedules import build_optimiser

TARGET = 2.8
IMAGES_PER_PERSON = 4


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--precision", default="auto")
    args = parser.parse_args()
    faces = torch.randint(0, 256, (args.batch, 3, 160, 160), dtype=torch.uint8)
    labels = torch.arange(args.batch // IMAGES_PER_PERSON).repeat_interleave(IMAGES_PER_PERSON)
    steps = {"facenet-pytorch": their_step(faces, labels), "facenet": our_step(faces, labels, args.precision)}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()
    for _ in range(args.repeats):
        for name, step in steps.items():
            began = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"triplet step, batch {args.batch}, {torch.get_num_threads()} threads, median of {args.repeats}")
    for name, median in medians.items():
        print(f"  {name:16} {median:7.3f} s  {args.batch / median:6.1f} images/s")
    print(f"  ratio {medians['facenet-pytorch'] / medians['facenet']:.2f} (target {TARGET})")


def their_step(faces: torch.Tensor, labels: torch.Tensor) -> Callable[[], None]:
    """Float32, default layout, each batch's triplets by torch's own loss: anchor, next picture, next person."""
    network = InceptionResnetV1(pretrained=None).train()
    optimiser = optim.Adam(network.parameters(), lr=0.001)
    loss_of = nn.TripletMarginLoss(margin=0.2)
    positives = torch.arange(len(labels)).roll(-1)
    negatives = torch.arange(len(labels)).roll(-IMAGES_PER_PERSON)

    def step() -> None:
        embeddings = network(fixed_image_standardization(faces.float()))
        loss = loss_of(embeddings, embeddings[positives], embeddings[negatives])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return step


def our_step(faces: torch.Tensor, labels: torch.Tensor, precision: str) -> Callable[[], None]:
    """The pieces of :class:`facenet.training.engine.Trainer`, put together as it does."""
    config = TrainingConfig(lr=0.001, optimiser="adam")
    chosen = choose_precision(precision, "cpu").value
    fabric = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed" if chosen == "bf16" else "32-true")
    model = FaceModel(build_backbone("inception_resnet_v1")).train().to(memory_format=torch.channels_last)
    network, optimiser = fabric.setup(model, build_optimiser(model.trainable_parameters(), config))
    objective = TripletObjective(margin=config.margin)
    interleaved = faces.contiguous(memory_format=torch.channels_last)

    def step() -> None:
        embeddings = network(model.trunk.preprocessing.normalise(interleaved))
        result = objective(embeddings, labels)
        fabric.backward(result.loss)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    return step


if __name__ == "__main__":
    main()
