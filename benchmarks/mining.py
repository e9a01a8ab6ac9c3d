"""Triplet selection side by side: ours against pytorch-metric-learning, and against dictionaries and loops.

    python benchmarks/mining.py [--rounds 7] [--only semihard]

Times: one process, both sides in turn within each round, median over the rounds. Memory: each side once in a fresh
child process, the growth of its peak resident size (``VmHWM`` of Linux) over the peak before the call. Embeddings are
drawn so that people overlap: some negatives are closer than positives, some within the margin, most beyond.
Other work on the machine stretches short parallel operations most: measure on an idle one.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.miners import DistanceWeightedMiner, TripletMarginMiner
from torch import Tensor

from facenet.geometry import normalise
from facenet.mining import mine

MARGIN = 0.2
Select = Callable[[Tensor, Tensor], Sequence[Tensor]]


def ours(strategy: str) -> Select:
    generator = torch.Generator().manual_seed(0)

    def select(embeddings: Tensor, labels: Tensor) -> Sequence[Tensor]:
        return tuple(
            mine(embeddings, labels, strategy, margin=MARGIN, fallback="none", generator=generator, max_triplets=None)
        )

    return select


def margin_miner(kind: str) -> Select:
    """Theirs, on the same distance as ours (squared L2) instead of their default (L2)."""
    return TripletMarginMiner(margin=MARGIN, type_of_triplets=kind, distance=LpDistance(power=2))


def dictionary_and_loops(embeddings: Tensor, labels: Tensor) -> Sequence[Tensor]:
    """Per-class random selection as one writes it first: for each pair some other person, and an image of theirs."""

    def negative(people: dict[int, list[int]], person: int) -> int:
        return random.choice(people[random.choice([other for other in people if other != person])])

    return loop_over_pairs(labels, negative)


def dictionary_and_loops_over_images(embeddings: Tensor, labels: Tensor) -> Sequence[Tensor]:
    """The same, but every image of anyone else is equally likely, as in ours: for each pair a list of them all."""

    def negative(people: dict[int, list[int]], person: int) -> int:
        return random.choice([image for other in people if other != person for image in people[other]])

    return loop_over_pairs(labels, negative)


def loop_over_pairs(labels: Tensor, negative: Callable[[dict[int, list[int]], int], int]) -> Sequence[Tensor]:
    """Every anchor–positive pair of every person, with the negative that ``negative`` picks."""
    people: dict[int, list[int]] = {}
    for image, person in enumerate(labels.tolist()):
        people.setdefault(person, []).append(image)
    anchors, positives, negatives = [], [], []
    for person, images in people.items():
        for anchor in images:
            for positive in images:
                if anchor != positive:
                    anchors.append(anchor)
                    positives.append(positive)
                    negatives.append(negative(people, person))
    return torch.tensor(anchors), torch.tensor(positives), torch.tensor(negatives)


@dataclass(frozen=True)
class Contest:
    """One row of the table."""

    name: str
    batch: int
    images: int
    ours: Select
    peer: Select
    target: float
    heavy: bool = False


def contests() -> list[Contest]:
    rows = []
    for images, heavy in ((4, False), (32, True)):
        semihard, every, weighted = ours("semihard"), ours("all"), ours("distance_weighted")
        rows += [
            Contest("semihard / TripletMarginMiner", 1024, images, semihard, margin_miner("semihard"), 50, heavy),
            Contest("all / TripletMarginMiner", 1024, images, every, margin_miner("all"), 3, heavy),
            Contest("distance_weighted / its miner", 1024, images, weighted, DistanceWeightedMiner(), 3),
        ]
    for images in (4, 16, 32):
        rows += [
            Contest("random / loops, by person", 256, images, ours("random"), dictionary_and_loops, 100),
            Contest("random / loops, by image", 256, images, ours("random"), dictionary_and_loops_over_images, 100),
        ]
    return rows


def batch_of(size: int, images: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(size // images).repeat_interleave(images)
    labels = labels[torch.randperm(size, generator=generator)]
    centres = normalise(torch.randn(size // images, 512, generator=generator))
    noise = normalise(torch.randn(size, 512, generator=generator))
    return normalise(0.3 * centres[:1] + 0.4 * centres[labels] + noise), labels


def seconds(select: Select, embeddings: Tensor, labels: Tensor, times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        select(embeddings, labels)
    return (time.perf_counter() - start) / times


def race(contest: Contest, rounds: int) -> tuple[float, float]:
    """Median seconds of ours and of the peer; short work is repeated to 20 ms a turn, so that the clock resolves it."""
    batch = batch_of(contest.batch, contest.images)
    sides = (contest.ours, contest.peer)
    times = [max(1, round(0.02 / min(seconds(side, *batch, 1) for _ in range(2)))) for side in sides]
    turns = [[seconds(side, *batch, many) for side, many in zip(sides, times, strict=True)] for _ in range(rounds)]
    return statistics.median(turn[0] for turn in turns), statistics.median(turn[1] for turn in turns)


def peak_growth(number: int, side: str) -> float:
    """Megabytes by which the peak of a fresh process grows in one call."""
    command = [sys.executable, __file__, "--child", str(number), side]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def peak_kibibytes() -> int:
    """Of this process alone; ``ru_maxrss`` would start at the size of the process that started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return int(status.split("VmHWM:")[1].split()[0])


def child(number: int, side: str) -> None:
    contest = contests()[number]
    select: Select = getattr(contest, side)
    select(*batch_of(64, contest.images))
    embeddings, labels = batch_of(contest.batch, contest.images)
    before = peak_kibibytes()
    select(embeddings, labels)
    print((peak_kibibytes() - before) / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each contest (heavy ones: 3)")
    parser.add_argument("--only", default="", help="contests whose name begins like this")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(2)
    random.seed(0)
    torch.manual_seed(0)
    if options.child is not None:
        child(int(options.child[0]), options.child[1])
        return
    head = ("batch", "ours ms", "peer ms", "ratio", "target", "ours MB", "peer MB")
    print(f"{'ours / peer':<32}" + "".join(f"{title:>10}" for title in head))
    for number, contest in enumerate(contests()):
        if not contest.name.startswith(options.only):
            continue
        mine_s, peer_s = race(contest, min(3, options.rounds) if contest.heavy else options.rounds)
        shape = f"{contest.batch // contest.images}×{contest.images}"
        numbers = (f"{mine_s * 1e3:.3f}", f"{peer_s * 1e3:.2f}", f"{peer_s / mine_s:.0f}×", f"{contest.target:.0f}×")
        memory = (f"{peak_growth(number, side):.0f}" for side in ("ours", "peer"))
        print(f"{contest.name:<32}" + "".join(f"{cell:>10}" for cell in (shape, *numbers, *memory)), flush=True)


if __name__ == "__main__":
    main()
