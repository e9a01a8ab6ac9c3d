"""Does a calibrated threshold keep its word? Open-set identification of people from five pictures each.

    python benchmarks/open_set.py --celebrities DIR --lfw DIR --weights FILE [--cache DIR] [--draws 10] [--seed 0]

Two sets are enrolled in turn: the celebrities (faces already aligned to the 112×112 template), and those people of LFW
who have six pictures or more. Of each person five pictures, drawn with the seed, are enrolled; the others are searched
for. Strangers are people of LFW who are not enrolled: for the celebrities all others *by name*, for LFW's own those
with five pictures or fewer. They are dealt into halves by person. Half A sets the thresholds; what is printed beside
each target was measured on half B, whom no threshold has seen. Everything is searched through ``Gallery``.

The fusions are compared over several draws of the five pictures and of the halves; every fusion sees the same draws.

Each picture is embedded once. With ``--cache`` the embeddings are kept in that folder under the fingerprint of the
model, for the next run. They are biometric data, so choose a place of your own and delete it afterwards; and delete it
after changing how faces are found or cut, which the fingerprint does not know.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from facenet.data.folders import scan_folder
from facenet.detection.faces import Policy
from facenet.evaluation.calibration import Threshold, calibrate_fmr, calibrate_fpir, expected_fpir
from facenet.evaluation.embedder import Embedder, open_embedder
from facenet.evaluation.measured import Measured, measure_fmr, measure_fpir, miss_rate
from facenet.evaluation.photos import read_photos
from facenet.gallery.gallery import Gallery
from facenet.gallery.records import Fusion, Header, IndexKind, Sample
from facenet.geometry import cosine

EACH = 5
TARGET_FPIR = 1e-2
TARGET_FMR = 1e-3


class Faces(NamedTuple):
    """Embedded faces, one per picture, and how many pictures had none.

    Attributes:
        embeddings: ``float32 (n, d)``.
        qualities: ``float32 (n,)``.
        people: ``(n,)`` names.
        without: pictures in which no face was found, or that cannot be read.
    """

    embeddings: np.ndarray
    qualities: np.ndarray
    people: np.ndarray
    without: int = 0

    def only(self, keep: np.ndarray) -> Faces:
        """Some of them: ``bool (n,)``."""
        return Faces(self.embeddings[keep], self.qualities[keep], self.people[keep])

    def __str__(self) -> str:
        return f"{len(self.people):,} pictures of {len(np.unique(self.people)):,} people"


@dataclass(frozen=True)
class Task:
    """People to be enrolled, and others who are not."""

    name: str
    known: Faces
    strangers: Faces


@dataclass(frozen=True)
class Found:
    """What one gallery gave."""

    rank_one: float
    threshold: Threshold
    missed: float
    on_others: Measured


def main() -> None:
    """Embed, calibrate, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--celebrities", type=Path, required=True)
    parser.add_argument("--lfw", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True, help="of the MobileFaceNet")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    args = parser.parse_args()
    embedder = open_embedder(
        backbone="mobilefacenet", pretrained=str(args.weights), device=args.device, precision=args.precision
    )
    print(f"model {embedder.fingerprint}, {embedder.precision} on {embedder.device}")
    celebrities = embed_once(args.celebrities, embedder, aligned=True, cache=args.cache)
    lfw = embed_once(args.lfw, embedder, aligned=False, cache=args.cache)
    print(f"celebrities: {celebrities}; {celebrities.without} pictures unusable")
    print(f"LFW: {lfw}; no face in {lfw.without} pictures")
    enrolled_too = np.isin(plain(lfw.people), plain(celebrities.people))
    print(f"LFW people who are celebrities too, left out as strangers: {lfw.only(enrolled_too)}")
    many = np.isin(lfw.people, with_pictures(lfw.people, EACH + 1))
    header = Header(
        fingerprint=embedder.fingerprint,
        preprocessing=embedder.preprocessing,
        embedding_size=embedder.embedding_size,
        index=IndexKind.EXACT,
    )
    tasks = (
        Task("celebrities", celebrities, lfw.only(~enrolled_too)),
        Task("LFW, 6 pictures or more", lfw.only(many), lfw.only(~many)),
    )
    for task in tasks:
        print(f"\n== {task.name}: {task.known} known, {task.strangers} strangers")
        show_one_draw(task, header, args.seed)
    print(
        f"\n== fusions: FNIR at FPIR {TARGET_FPIR:.0%}, {args.draws} draws of {EACH} pictures per person and of halves"
    )
    for task in tasks:
        show_fusions(task, header, args.seed, args.draws)


def embed_once(root: Path, embedder: Embedder, *, aligned: bool, cache: Path | None) -> Faces:
    """The most central face of every picture below ``root``, from the cache if it is there."""
    folder = scan_folder(root)
    files = [folder.file(index) for index in range(len(folder))]
    described = [embedder.fingerprint, embedder.precision, str(aligned)]
    described += [f"{path} {file.stat().st_size}" for path, file in zip(folder.paths, files, strict=True)]
    key = hashlib.sha256("\n".join(described).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    kept = None if cache is None else cache / f"{embedder.fingerprint}-{key}.npz"
    if kept is not None and kept.is_file():
        with np.load(kept) as arrays:
            return Faces(arrays["embeddings"], arrays["qualities"], arrays["people"], int(arrays["without"]))
    rows, qualities, owners = [], [], []

    def progress(done: int, total: int | None) -> None:
        if done % 500 == 0 or done == total:
            print(f"  {root.name}: {done:,} of {total:,}", file=sys.stderr)

    photos = read_photos(files, embedder, aligned=aligned, policy=Policy.CENTRAL, progress=progress)
    for label, photo in zip(folder.labels, photos, strict=True):
        for face in photo.faces:
            rows.append(face.embedding)
            qualities.append(face.quality.score)
            owners.append(label)
    names = np.array(folder.people)[owners]
    faces = Faces(np.stack(rows), np.array(qualities, dtype=np.float32), names, len(files) - len(rows))
    if kept is not None:
        kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        np.savez(kept, **faces._asdict())
    return faces


def plain(names: np.ndarray) -> np.ndarray:
    """Names without what two sets may spell differently."""
    return np.array(["".join(c for c in str(name).casefold() if c.isalnum()) for name in names])


def with_pictures(people: np.ndarray, least: int) -> np.ndarray:
    """Who has so many pictures."""
    names, counts = np.unique(people, return_counts=True)
    return names[counts >= least]


def draw_enrolled(people: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """``bool (n,)``: five pictures of each person."""
    enrolled = np.zeros(len(people), dtype=bool)
    for name in np.unique(people):
        enrolled[generator.choice(np.flatnonzero(people == name), size=EACH, replace=False)] = True
    return enrolled


def draw_half(people: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """``bool (n,)``: the pictures of half of the people."""
    names = generator.permutation(np.unique(people))
    return np.isin(people, names[: len(names) // 2])


class Draw:
    """One draw of enrolled pictures and of halves of the strangers, searched through a gallery of each fusion."""

    def __init__(self, task: Task, header: Header, seed: int) -> None:
        generator = np.random.default_rng(seed)
        self.enrolled = draw_enrolled(task.known.people, generator)
        self.half_a = draw_half(task.strangers.people, generator)
        self.probes = task.known.only(~self.enrolled)
        self.a, self.b = task.strangers.only(self.half_a), task.strangers.only(~self.half_a)
        self.people = len(np.unique(task.known.people))
        self._templates = task.known.only(self.enrolled)
        self._header = header
        self._seed = seed

    def search(self, fusion: Fusion, replicates: int = 1000) -> tuple[Found, tuple[np.ndarray, ...]]:
        """Figures of one fusion; and ``(who, score)`` of the best candidate for each probe, ``score`` for half B."""
        header = Header(**{**vars(self._header), "fusion": fusion})
        with Gallery.create("memory:", header) as gallery:
            ids = {}
            for name in np.unique(self._templates.people):
                own = self._templates.only(self._templates.people == name)
                samples = [
                    Sample(row, quality=float(quality))
                    for row, quality in zip(own.embeddings, own.qualities, strict=True)
                ]
                ids[gallery.enroll(str(name), samples).person] = name
            answers = [gallery.search_arrays(faces.embeddings, 1) for faces in (self.probes, self.a, self.b)]
        (who, score), (_, score_a), (_, score_b) = ((people[:, 0], scores[:, 0]) for people, scores in answers)
        best = np.array([ids[int(person)] for person in who])
        threshold = calibrate_fpir(
            score_a,
            self.a.people,
            TARGET_FPIR,
            gallery_people=self.people,
            fingerprint=header.fingerprint,
            fusion=fusion.value,
            seed=self._seed,
            replicates=replicates,
        )
        found = Found(
            rank_one=1 - miss_rate(best, score, self.probes.people, -np.inf),
            threshold=threshold,
            missed=miss_rate(best, score, self.probes.people, threshold.value),
            on_others=measure_fpir(score_b, self.b.people, threshold.value, seed=self._seed),
        )
        return found, (best, score, score_b)


def show_one_draw(task: Task, header: Header, seed: int) -> None:
    """Targets beside what was measured on other people, and what the gallery makes of those it knows."""
    draw = Draw(task, header, seed)
    found, (best, score, score_b) = draw.search(header.fusion)
    one_to_one = calibrate_fmr(
        torch.from_numpy(draw.a.embeddings), draw.a.people, TARGET_FMR, fingerprint=header.fingerprint, seed=seed
    )
    matched = measure_fmr(torch.from_numpy(draw.b.embeddings), draw.b.people, one_to_one.value, seed=seed)
    print(f"half A, 1:1  {one_to_one.describe()}")
    print(f"half A, 1:N  {found.threshold.describe()}")
    for threshold in (one_to_one, found.threshold):
        if threshold.caution:
            print(f"  caution ({threshold.kind}): {threshold.caution}")
    print(f"{'':22}{'target':>10}{'half B':>10}   95 % by person")
    print(f"{'1:1 false match rate':22}{TARGET_FMR:>10.2%}{of(matched)}")
    print(f"{'1:N false positives':22}{TARGET_FPIR:>10.2%}{of(found.on_others)}")
    searched = measure_fpir(score_b, draw.b.people, one_to_one.value, seed=seed)
    people, templates = (expected_fpir(one_to_one, count) for count in (draw.people, EACH * draw.people))
    print(f"1:N false positives at the 1:1 threshold:{of(searched)}")
    print(f"  expected of {draw.people} people {people:.2%}, of their {EACH * draw.people:,} pictures {templates:.2%}")
    alike = int(np.count_nonzero(score_b >= np.median(score)))
    print(
        f"strangers of half B as like somebody enrolled as half of the probes are: {alike} of {len(score_b):,} pictures"
    )
    print(f"{'known people':38}{'probes':>8}{'rank-1':>9}{'FNIR 1:N':>10}{'FNIR 1:1':>10}")
    doubtful = unlike_their_own(task.known, one_to_one.value)[~draw.enrolled]
    everyone = np.ones(len(best), dtype=bool)
    for name, kept in (("all", everyone), ("without those unlike their person *", ~doubtful)):
        shares = (-np.inf, found.threshold.value, one_to_one.value)
        rank, *missed = (miss_rate(best[kept], score[kept], draw.probes.people[kept], value) for value in shares)
        print(f"{name:38}{kept.sum():>8,}{1 - rank:>9.2%}{missed[0]:>10.2%}{missed[1]:>10.2%}")
    print("  * wrong names, blanks and blurs, but picked by the model's own scores: to see how much these may weigh")


def of(measured: Measured) -> str:
    """A rate with its interval and what it rests on."""
    low, high = measured.interval
    counts = f"{measured.errors:,} of {measured.count:,}, {measured.people:,} people"
    return f"{measured.rate:>10.3%}   {low:.3%} to {high:.3%} ({counts})"


def unlike_their_own(faces: Faces, threshold: float) -> np.ndarray:
    """``bool (n,)``: pictures that most others of the person do not match: wrong name, blank, or blurred."""
    doubtful = np.zeros(len(faces.people), dtype=bool)
    for name in np.unique(faces.people):
        own = faces.people == name
        rows = torch.from_numpy(faces.embeddings[own])
        scores = cosine(rows, rows).fill_diagonal_(torch.nan)
        doubtful[own] = (scores.nanmedian(dim=1).values < threshold).numpy()
    return doubtful


def show_fusions(task: Task, header: Header, seed: int, draws: int) -> None:
    """Mean over the draws, and how much better than ``max`` each fusion is, draw by draw."""
    results: dict[Fusion, list[Found]] = {fusion: [] for fusion in Fusion}
    for number in range(draws):
        draw = Draw(task, header, seed + number)
        for fusion, found in results.items():
            found.append(draw.search(fusion, replicates=100)[0])
    print(f"{task.name:26}{'rank-1':>9}{'FNIR':>9}{'± sd':>8}{'FNIR less that of max':>24}{'FPIR on half B':>16}")
    base = np.array([found.missed for found in results[Fusion.MAX]])
    for fusion, found in results.items():
        missed = np.array([one.missed for one in found])
        rank_one, others = (
            float(np.mean(list(rates)))
            for rates in ((one.rank_one for one in found), (one.on_others.rate for one in found))
        )
        less = missed - base
        gain = "" if fusion is Fusion.MAX else f"{less.mean():+.2%} ± {less.std():.2%}"
        print(f"  {fusion.value:24}{rank_one:>9.2%}{missed.mean():>9.2%}{missed.std():>8.2%}{gain:>24}{others:>16.2%}")


if __name__ == "__main__":
    main()
