"""Does a threshold keep its word on face tracks? One set on single pictures beside one set on tracks.

    python benchmarks/track_thresholds.py --lfw DIR --weights FILE [--splits 40] [--known 120] [--target 0.05]

A track is up to six pictures of one person: photos of different days, which are less alike than neighbouring frames of
a recording. In every split some of the people with five pictures or more are drawn to be enrolled with two pictures,
and the rest of theirs are a track. All others are strangers with one track each, dealt into halves by person: one half
sets the thresholds, the other is measured. Everything is searched through ``Gallery``. Each picture is embedded once.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from facenet.data.folders import scan_folder
from facenet.detection.faces import Policy
from facenet.evaluation.calibration import calibrate_fpir
from facenet.evaluation.embedder import Embedder, open_embedder
from facenet.evaluation.photos import read_photos
from facenet.gallery.gallery import Gallery
from facenet.gallery.records import Header, IndexKind, Sample
from facenet.recognition.tracks import embed_tracks

LEAST, MOST, ENROLLED = 5, 6, 2
CONTEXTS = (1, 3)


class Searched(NamedTuple):
    """The best candidates of some units: frames, windows or tracks.

    Attributes:
        owners: ``int64 (n,)``, whose track each unit is of.
        scores: ``float32 (n,)``, of the best candidate.
        right: ``bool (n,)``, the best candidate is the owner.
    """

    owners: np.ndarray
    scores: np.ndarray
    right: np.ndarray


def main() -> None:
    """Embed, split over and over, print the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lfw", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True, help="of the MobileFaceNet")
    parser.add_argument("--splits", type=int, default=40)
    parser.add_argument("--known", type=int, default=120, help="people enrolled")
    parser.add_argument("--target", type=float, default=0.05, help="share of strangers' tracks taken for somebody")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    args = parser.parse_args()
    embedder = open_embedder(
        backbone="mobilefacenet", pretrained=str(args.weights), device=args.device, precision=args.precision
    )
    people = embed_people(args.lfw, embedder)
    pictures = sum(map(len, people))
    print(f"model {embedder.fingerprint}: {pictures:,} faces of {len(people)} people with {LEAST} pictures or more")
    header = Header(
        fingerprint=embedder.fingerprint,
        preprocessing=embedder.preprocessing,
        embedding_size=embedder.embedding_size,
        index=IndexKind.EXACT,
    )
    found: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for split in range(args.splits):
        for key, rates in one_split(people, args.known, args.target, header, args.seed + split).items():
            found[key].append(rates)
    strangers = len(people) - args.known
    print(f"{args.known} enrolled with {ENROLLED} pictures, {strangers} strangers, means of {args.splits} splits")
    print(f"{'decided about':16}{'threshold set on':20}{'FPIR':>8}{'FNIR':>8}   (target {args.target:.0%})")
    for (unit, basis), every in found.items():
        fpir, fnir = np.mean(every, axis=0)
        print(f"{unit:16}{basis:20}{fpir:>8.2%}{fnir:>8.2%}")


def embed_people(root: Path, embedder: Embedder) -> list[np.ndarray]:
    """The most central faces of everybody with enough of them: ``float32 (LEAST to MOST, d)`` each."""
    folder = scan_folder(root)
    of_person: dict[int, list[Path]] = defaultdict(list)
    for index, label in enumerate(folder.labels.tolist()):
        of_person[label].append(folder.file(index))
    files = {file: label for label, own in of_person.items() if len(own) >= LEAST for file in own[:MOST]}
    rows: dict[int, list[np.ndarray]] = defaultdict(list)

    def progress(done: int, total: int | None) -> None:
        if done % 500 == 0 or done == total:
            print(f"  {root.name}: {done:,} of {total:,}", file=sys.stderr)

    for photo in read_photos(list(files), embedder, policy=Policy.CENTRAL, progress=progress):
        for face in photo.faces:
            rows[files[photo.path]].append(face.embedding)
    return [np.stack(own) for own in rows.values() if len(own) >= LEAST]


def one_split(
    people: list[np.ndarray], known: int, target: float, header: Header, seed: int
) -> dict[tuple[str, str], tuple[float, float]]:
    """(FPIR, FNIR) of every way, by what is decided about and what the threshold was set on."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(people))
    enrolled, strangers = order[:known], order[known:]
    half_a = strangers[: len(strangers) // 2]
    tracks = [people[number] for number in order]
    with Gallery.create("memory:", header) as gallery:
        ids = np.full(len(people), -1)
        for place, number in enumerate(enrolled):
            own = generator.permutation(people[number])
            ids[number] = gallery.enroll(str(number), [Sample(row) for row in own[:ENROLLED]]).person
            tracks[place] = own[ENROLLED:]
        units = search(gallery, tracks, order, ids)
    thresholds = {}
    for basis, unit in (("single pictures", "frames"), ("tracks", f"tracks {CONTEXTS[-1]}")):
        calibrating = np.isin(units[unit].owners, half_a)
        thresholds[basis] = calibrate_fpir(
            units[unit].scores[calibrating],
            units[unit].owners[calibrating],
            target,
            gallery_people=known,
            fingerprint=header.fingerprint,
            seed=seed,
            replicates=100,
        ).value
    rates = {}
    for unit, searched in units.items():
        mated, other = np.isin(searched.owners, enrolled), np.isin(searched.owners, strangers[len(half_a) :])
        for basis, value in thresholds.items():
            accepted = searched.scores >= value
            rates[unit, basis] = (
                float(accepted[other].mean()),
                float(1 - (accepted & searched.right)[mated].mean()),
            )
    return rates


def search(gallery: Gallery, tracks: list[np.ndarray], owners: np.ndarray, ids: np.ndarray) -> dict[str, Searched]:
    """Who frames, windows and tracks are most like."""
    frames = np.repeat(owners, [len(rows) for rows in tracks])
    units = {"frames": (np.concatenate(tracks), frames)}
    for context in CONTEXTS:
        embedded = embed_tracks(tracks, context)
        units[f"windows {context}"] = (embedded.windows, frames)
        units[f"tracks {context}"] = (embedded.means, owners[embedded.tracks])
    found = {}
    for unit, (rows, whose) in units.items():
        who, scores = gallery.search_arrays(rows, 1)
        found[unit] = Searched(whose, scores[:, 0], who[:, 0] == ids[whose])
    return found


if __name__ == "__main__":
    main()
