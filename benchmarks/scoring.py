"""Scoring pairs and drawing their curve: this package against a plain loop and against scikit-learn, pairs a second.

Rows are 23,000 unit vectors of 512 values. Two lists of pairs:

* *dense*, as in the template protocols: 15.6 million pairs of 3,531 rows with the others;
* *sparse*: a million pairs of any rows, drawn at random.

**Scores.** The loop is ``rows[i] @ rows[j]``, pair by pair in Python, NumPy's own product. scikit-learn's is
``1 - paired_cosine_distances(rows[first], rows[second])``, ten thousand pairs at a time, which is quicker than all at
once. Both are timed on a part of the list. ``floor`` is what no way can go below: reading the list and the rows and
writing the scores at the measured bandwidth of memory, or one multiply-add for each value of each pair at the measured
rate of a matrix product, whichever is longer. Below it stands the floor of the way taken: for *multiplied*, all cells
of the tiles that have pairs; for *fetched*, two rows read and written, and read again, for every pair.

**Curve.** All operating points, AUC, EER and TAR at two false match rates, from the scores. scikit-learn's is
``roc_curve`` without dropping points, ``auc``, and NumPy for the rest. The floor is sorting the scores with NumPy.

All take turns in one process; seconds are medians.

    python benchmarks/scoring.py [--pairs N] [--sparse N] [--rows N] [--size N] [--repeats N]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import auc, roc_curve
from sklearn.metrics.pairwise import paired_cosine_distances

from facenet.evaluation import scoring
from facenet.evaluation.curve import curve_of
from facenet.evaluation.scoring import score_rows
from facenet.evaluation.verification import verify_pairs
from facenet.geometry import normalise

ENROLLED = 3_531
GENUINE = 20_000
LOOPED, LEARNED, LEARNED_AT_ONCE = 20_000, 200_000, 10_000
TARGETS = (1e-2, 1e-3)


def main() -> None:
    """Measure and print three tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=15_600_000)
    parser.add_argument("--sparse", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=23_000)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    rows = normalise(torch.randn(args.rows, args.size, generator=torch.Generator().manual_seed(0)))
    machine = Machine(args.size)
    print(f"{torch.get_num_threads()} threads, {args.rows:,} x {args.size}, median of {args.repeats}")
    print(
        f"memory read at {machine.bytes / 1e9:.1f} GB/s, matrix product at {machine.adds / 1e9:.0f}e9 multiply-adds/s"
    )
    generator = np.random.default_rng(0)
    first = np.sort(generator.integers(0, ENROLLED, args.pairs)).astype(np.int32)
    second = generator.integers(ENROLLED, args.rows, args.pairs).astype(np.int32)
    scores = compare_scoring("dense", rows, first, second, machine, args.repeats)
    one, other = (generator.integers(0, args.rows, args.sparse).astype(np.int32) for _ in range(2))
    compare_scoring("sparse", rows, one, other, machine, args.repeats)
    compare_curves(scores, generator, args.repeats)


class Machine:
    """What this machine can do at most.

    Attributes:
        bytes: read from memory a second.
        adds: multiply-adds a second, in a product of two matrices.
    """

    def __init__(self, size: int) -> None:
        much, one, other = torch.zeros(2**27), torch.zeros(2_048, size), torch.zeros(8_192, size)
        seconds = take_turns({"read": much.sum, "product": lambda: one @ other.T}, 7)
        self.bytes = much.numel() * 4 / seconds["read"]
        self.adds = one.numel() * len(other) / seconds["product"]


def compare_scoring(
    name: str,
    rows: torch.Tensor,
    first: NDArray[np.integer],
    second: NDArray[np.integer],
    machine: Machine,
    repeats: int,
) -> NDArray[np.float32]:
    """Print one table; returns our scores."""
    plain, n, size = rows.numpy(), len(first), rows.shape[1]
    part = {"facenet": n, "loop": min(n, LOOPED), "scikit-learn": min(n, LEARNED)}
    few, more = part["loop"], part["scikit-learn"]
    ways: dict[str, Callable[[], NDArray[np.float32]]] = {
        "facenet": lambda: score_rows(rows, first, second),
        "loop": lambda: looped(plain, first[:few], second[:few]),
        "scikit-learn": lambda: learned(plain, first[:more], second[:more]),
    }
    seconds = take_turns(ways, repeats)
    rates = {key: part[key] / seconds[key] for key in ways}
    scores = ways["facenet"]()
    moved = first.nbytes + second.nbytes + rows.nbytes + scores.nbytes
    floor = max(moved / machine.bytes, n * size / machine.adds)
    tiles = scoring._Tiles(first, second, len(rows), scoring._SIDE)
    if tiles.worth_multiplying():
        cells = int(np.count_nonzero(np.diff(tiles.ends))) * scoring._SIDE**2
        way, taken = f"multiplied, {cells / n:.1f} a pair", cells * size / machine.adds
    else:
        way, taken = "fetched", 6 * n * size * 4 / machine.bytes
    print(f"\n{f'{n:,} {name} pairs':32}{'pairs/s':>12}{'facenet is':>14}")
    for key, rate in rates.items():
        print(f"  {f'{key} ({part[key]:,} pairs)':30}{rate:12,.0f}{rates['facenet'] / rate:12.1f} x")
    for title, least in (("floor", floor), (f"floor: {way}", taken)):
        print(f"  {title:30}{n / least:12,.0f}{rates['facenet'] * least / n:13.0%}")
    for key in ("loop", "scikit-learn"):
        print(f"  {key} differs from facenet by {np.abs(ways[key]() - scores[: part[key]]).max():.1e}")
    return scores


def looped(rows: NDArray[np.float32], first: NDArray[np.integer], second: NDArray[np.integer]) -> NDArray[np.float32]:
    """Pair by pair."""
    scores = np.empty(len(first), dtype=np.float32)
    for place, (one, other) in enumerate(zip(first.tolist(), second.tolist(), strict=True)):
        scores[place] = rows[one] @ rows[other]
    return scores


def learned(rows: NDArray[np.float32], first: NDArray[np.integer], second: NDArray[np.integer]) -> NDArray[np.float32]:
    """scikit-learn's, some at a time."""
    blocks = (slice(start, start + LEARNED_AT_ONCE) for start in range(0, len(first), LEARNED_AT_ONCE))
    found = [1 - paired_cosine_distances(rows[first[block]], rows[second[block]]) for block in blocks]
    scores: NDArray[np.float32] = np.concatenate(found).astype(np.float32)
    return scores


def compare_curves(scores: NDArray[np.float32], generator: np.random.Generator, repeats: int) -> None:
    """Print the third table."""
    genuine = np.zeros(len(scores), dtype=np.bool_)
    genuine[generator.choice(len(scores), GENUINE, replace=False)] = True
    # Genuine pairs score higher than most impostors.
    scores[genuine] += np.float32(0.15)

    def ours() -> tuple[float, ...]:
        found = verify_pairs(scores, genuine, targets=TARGETS)
        return found.roc_auc, found.eer, *(float(found.tar_at_fmr[target].value or 0) for target in TARGETS)

    def theirs() -> tuple[float, ...]:
        fmr, tar, _ = roc_curve(genuine, scores, drop_intermediate=False)
        eer = fmr[np.argmin(np.abs(fmr + tar - 1))]
        within = [np.searchsorted(fmr, target, side="right") - 1 for target in TARGETS]
        return float(auc(fmr, tar)), float(eer), *(float(tar[place]) for place in within)

    ways: dict[str, Callable[[], object]] = {
        "facenet: curve": lambda: curve_of(scores, genuine),
        "facenet: all figures, halves too": ours,
        "scikit-learn: curve": lambda: roc_curve(genuine, scores, drop_intermediate=False),
        "scikit-learn: figures": theirs,
        "floor: np.sort": lambda: np.sort(scores),
    }
    seconds = take_turns(ways, max(1, repeats // 2))
    print(f"\n{f'curve of {len(scores):,} scores':36}{'seconds':>8}{'pairs/s':>14}")
    for name, taken in seconds.items():
        print(f"  {name:34}{taken:8.2f}{len(scores) / taken:14,.0f}")
    curve, figures = (
        seconds[f"scikit-learn: {key}"] / seconds[f"facenet: {ours}"]
        for key, ours in (("curve", "curve"), ("figures", "all figures, halves too"))
    )
    print(f"  curve {curve:.1f} x as fast as scikit-learn's, all figures {figures:.1f} x")
    print(f"  AUC, EER, TAR differ by {max(abs(a - b) for a, b in zip(ours(), theirs(), strict=True)):.1e}")


def take_turns(ways: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each way, after one round that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()
    for _ in range(repeats):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


if __name__ == "__main__":
    main()
