"""The template protocol at the size of IJB-C, on made-up templates: seconds of every step, and the peak of the memory.

3,531 people have one enrolled template each, and together 19,469 others. Every other template is compared with that of
its own person, and each enrolled one with so many of the others, drawn at random, that there are 15.6 million pairs.
Templates hold some twenty pictures in five media. The text files are written, read, and everything after that is done
as ``evaluate templates`` does it, in one process.

The error rates are known. One in twenty of the other templates shows somebody nobody has heard of, whatever its label
says. People lie so far apart that any threshold that keeps strangers out lets the rest in. So, with ``e`` the share of
genuine pairs that are such: TAR = 1 - e (1 - FMR), AUC = 1 - e / 2, EER = e / (1 + e); up to what the drawing of some
thousand such pairs leaves to chance, about 0.0005.

    python benchmarks/templates.py [--pairs N] [--templates N] [--pictures N] [--size N] [--replicates N]
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch

from facenet.evaluation.comparisons import Comparisons
from facenet.evaluation.curve import curve_of
from facenet.evaluation.ijbfiles import read_media, read_template_pairs
from facenet.evaluation.templates import compare_templates, fuse_templates
from facenet.evaluation.verification import verify_comparisons

Result = TypeVar("Result")

PEOPLE = 3_531
MEDIA = 5
STRANGE = 0.05
TARGETS = (1e-2, 1e-3, 1e-4)
MOST_SECONDS, MOST_GIGABYTES = 60, 4


def main() -> None:
    """Measure and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=15_600_000)
    parser.add_argument("--templates", type=int, default=23_000)
    parser.add_argument("--pictures", type=int, default=460_000)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--replicates", type=int, default=1_000)
    args = parser.parse_args()
    print(f"{args.pairs:,} pairs over {args.templates:,} templates of {args.pictures:,} pictures, {args.size} values")
    print(f"{torch.get_num_threads()} threads, peak {peak():.2f} GB before anything is done\n")
    print(f"{'step':36}{'seconds':>9}{'peak GB':>9}")
    comparisons, strange = compared(args)
    timed("curve of all scores", lambda: curve_of(comparisons.scores, comparisons.genuine))
    (found, _), _ = timed(
        "figures, with intervals",
        lambda: verify_comparisons(comparisons, targets=TARGETS, replicates=args.replicates),
    )
    print(f"{'  peak of the whole process':36}{'':9}{peak():9.2f}  target {MOST_GIGABYTES} GB")
    share = strange / comparisons.genuine_pairs
    print(f"\n{'figure':20}{'found':>10}{'known':>10}")
    print(
        f"{'AUC':20}{found.roc_auc:10.5f}{1 - share / 2:10.5f}\n{'EER':20}{found.eer:10.5f}{share / (1 + share):10.5f}"
    )
    for target in TARGETS:
        known = 1 - share * (1 - target)
        print(f"{f'TAR at FMR {target:g}':20}{found.tar_at_fmr[target].value:10.5f}{known:10.5f}")


def compared(args: argparse.Namespace) -> tuple[Comparisons, int]:
    """The way of the command: read, fuse, score; and how many genuine pairs are none. The rest is given back here."""
    with tempfile.TemporaryDirectory() as folder:
        files = Files(Path(folder) / "face_tid_mid.txt", Path(folder) / "template_pair_label.txt")
        crowd, _ = timed("made up: people, pictures", lambda: Crowd(args.templates, args.pictures, args.size))
        strange, _ = timed("made up: text files", lambda: crowd.write(files, args.pairs))
        began = time.perf_counter()
        media, _ = timed("media file read", lambda: read_media(files.media))
        pairs, _ = timed("pairs file read", lambda: read_template_pairs(files.pairs))
    templates, _ = timed("pictures fused to templates", lambda: fuse_templates(crowd.embeddings, media))
    comparisons, seconds = timed("pairs scored", lambda: compare_templates(templates, pairs))
    print(f"{'  million pairs a second':36}{len(comparisons) / seconds / 1e6:9.2f}")
    print(f"{'  read, fused and scored':36}{time.perf_counter() - began:9.2f}{'':11}target {MOST_SECONDS} s")
    return comparisons, strange


class Files(NamedTuple):
    """The two text files."""

    media: Path
    pairs: Path


class Crowd:
    """Made-up people, and pictures of them.

    Attributes:
        embeddings: ``float32 (pictures, size)`` unit rows, the pictures of a template together.
    """

    def __init__(self, templates: int, pictures: int, size: int) -> None:
        self._random = np.random.default_rng(0)
        others = self._random.integers(0, PEOPLE, templates - PEOPLE)
        self._owners = np.concatenate([np.arange(PEOPLE), others])
        # Ids without order, as in the files of the benchmarks.
        self._ids = self._random.permutation(3 * templates)[:templates] + 1
        self._strange = np.arange(templates) >= PEOPLE
        self._strange &= self._random.random(templates) < STRANGE
        self._pictures = np.sort(self._random.integers(0, templates, pictures - templates))
        self._pictures = np.sort(np.concatenate([np.arange(templates), self._pictures]))
        centres = self._random.standard_normal((PEOPLE + templates, size), dtype=np.float32)
        shown = np.where(self._strange, PEOPLE + np.arange(templates), self._owners)
        rows = torch.from_numpy(self._random.standard_normal((pictures, size), dtype=np.float32))
        rows *= 0.5
        for start in range(0, pictures, 2**14):
            block = slice(start, start + 2**14)
            rows[block] += torch.from_numpy(centres[shown[self._pictures[block]]])
            rows[block] /= torch.linalg.vector_norm(rows[block], dim=1, keepdim=True)
        self.embeddings = rows

    def write(self, files: Files, pairs: int) -> int:
        """Write both files; returns how many genuine pairs are none."""
        templates, media = self._ids[self._pictures].tolist(), self._random.integers(0, MEDIA, len(self._pictures))
        numbered = (np.arange(len(media)) // MEDIA * MEDIA + media).tolist()
        with files.media.open("w") as stream:
            stream.writelines(
                f"{number}.jpg {template} {medium}\n"
                for number, (template, medium) in enumerate(zip(templates, numbered, strict=True), start=1)
            )
        others = np.arange(PEOPLE, len(self._ids))
        each = np.full(PEOPLE, (pairs - len(others)) // PEOPLE)
        each[: pairs - len(others) - int(each.sum())] += 1
        with files.pairs.open("w") as stream:
            for person in range(PEOPLE):
                own = self._owners[PEOPLE:] == person
                strangers = self._random.choice(others[~own], each[person], replace=False)
                for label, chosen in ((1, others[own]), (0, np.sort(strangers))):
                    end = f" {label}\n"
                    begin = f"{self._ids[person]} "
                    stream.writelines(f"{begin}{id}{end}" for id in self._ids[chosen].tolist())
        return int(self._strange[PEOPLE:].sum())


def timed(step: str, work: Callable[[], Result]) -> tuple[Result, float]:
    """Do one step, and print what it took."""
    began = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - began
    print(f"{step:36}{seconds:9.2f}{peak():9.2f}", flush=True)
    return result, seconds


def peak() -> float:
    """Most gigabytes this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


if __name__ == "__main__":
    main()
