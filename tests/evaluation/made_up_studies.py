"""Studies of people who do not exist: drawn from numbers, with the errors one wants to see in a report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from facenet.data.synthetic import write_people
from facenet.evaluation.attributes import Attribute
from facenet.evaluation.classification import classify
from facenet.evaluation.classification_findings import classification_findings
from facenet.evaluation.comparisons import Comparisons, count_as_wrong
from facenet.evaluation.folds import accuracy_on_folds
from facenet.evaluation.groups import group_rates
from facenet.evaluation.identification import identification_findings
from facenet.evaluation.reliability import reliability_of
from facenet.evaluation.retrieval import retrieval_findings, retrieve
from facenet.evaluation.searching import search_people
from facenet.evaluation.study import Pictures, Study
from facenet.evaluation.verification import verify_comparisons
from facenet.geometry import normalise

ABOUT = {
    "model": "mobilefacenet, casia-webface",
    "fingerprint": "9f4c1e07ab52d8e3",
    "preprocessing": {"detector": "mtcnn", "alignment": "5 points", "size": "112×96", "flip": "none"},
    "data": {"pictures": 600, "people": 60, "without a face": 3},
    "protocol": "ten folds; the threshold is fitted on nine and scored on the tenth",
    "seed": 0,
    "versions": {"facenet": "0.1.0", "torch": "2.15.0"},
    "command": "facenet evaluate pairs --pairs pairs.txt --images people --pretrained casia-webface --report report",
}


def embeddings_of(people: int, pictures: int, *, spread: float, seed: int = 0, size: int = 64) -> torch.Tensor:
    """``(people * pictures, size)`` unit rows around one centre for each person."""
    generator = np.random.default_rng(seed)
    centres = np.repeat(generator.normal(size=(people, size)), pictures, axis=0)
    rows = centres + spread * generator.normal(size=centres.shape)
    return normalise(torch.from_numpy(rows.astype(np.float32)))


def drawn_pictures(folder: Path, people: int, pictures: int) -> Pictures:
    """Pictures of drawn people, with a box around the face in most of them."""
    paths = tuple(write_people(folder, people, pictures, size=160))
    boxes = np.tile(np.array([40, 35, 120, 130], np.float32), (len(paths), 1))
    boxes[::5] = np.nan
    return Pictures(paths, boxes)


def sample_names(people: int, pictures: int) -> tuple[str, ...]:
    return tuple(f"person_{person:02d}/{picture:04d}.jpg" for person in range(people) for picture in range(pictures))


def verification_study(
    people: int = 60, pictures: int = 6, *, spread: float = 1.1, label: str = "mobilefacenet", seed: int = 0,
    folds: int | None = 10, replicates: int = 200,
) -> Study:  # fmt: skip
    """All genuine pairs of some people, and as many impostor pairs, within folds that share no person."""
    owners = np.repeat(np.arange(people, dtype=np.int32), pictures)
    embeddings = embeddings_of(people, pictures, spread=spread, seed=seed)
    first, second = (side.astype(np.int32) for side in np.triu_indices(len(owners), 1))
    same = owners[first] == owners[second]
    fold_of = owners % (folds or 1)
    within = fold_of[first] == fold_of[second]
    impostors = np.flatnonzero(~same & within)
    few = np.random.default_rng(7).permutation(impostors)[: 4 * int(same.sum())]
    kept = np.sort(np.concatenate([np.flatnonzero(same), few]))
    first, second, same = first[kept], second[kept], same[kept]
    scores = (embeddings[first] * embeddings[second]).sum(1).clamp(-1, 1).numpy()
    failed = same & ((first == 3) | (second == 3))
    scores = count_as_wrong(scores, same, failed)
    fold_numbers = (fold_of[first] + 1).astype(np.int32) if folds else None
    comparisons = Comparisons(scores, same, first, second, owners, fold_numbers, failed)
    accuracy = accuracy_on_folds(scores, same, fold_numbers) if fold_numbers is not None else None
    _, findings = verify_comparisons(comparisons, fold_accuracy=accuracy, replicates=replicates)
    threshold = float(np.quantile(scores[~same & ~failed], 0.99))
    names = ("glasses", "no glasses", "(not given)")
    attribute = Attribute("eyewear", names, (owners % 7 // 3).astype(np.int32))
    return Study(
        protocol="pairs",
        title="Verification on pairs of drawn people",
        label=label,
        about=ABOUT,
        findings=findings,
        notices=(f"{comparisons.failures} comparisons could not be made: no face was found. They count as wrong.",),
        samples=sample_names(people, pictures),
        comparisons=comparisons,
        folds=accuracy,
        groups=(group_rates(comparisons, attribute, threshold, replicates=replicates),),
        operating_threshold=threshold,
        embeddings=embeddings,
        owners=owners,
        people=tuple(f"person_{person:02d}" for person in range(people)),
    )


def identification_study(
    people: int = 40, pictures: int = 6, strangers: int = 30, *, spread: float = 1.2, seed: int = 0,
    replicates: int = 200, label: str = "mobilefacenet",
) -> Study:  # fmt: skip
    """One picture of each enrolled person is the gallery; the others, and those of strangers, are searched with."""
    everybody = people + strangers
    embeddings = embeddings_of(everybody, pictures, spread=spread, seed=seed)
    owners = np.repeat(np.arange(everybody, dtype=np.int32), pictures)
    samples = np.arange(len(owners), dtype=np.int32)
    enrolled = (owners < people) & (samples % pictures == 0)
    probes, others = (owners < people) & ~enrolled, owners >= people
    searches = search_people(
        embeddings[probes], owners[probes], embeddings[enrolled], owners[enrolled], strangers=embeddings[others],
        stranger_people=owners[others], probe_samples=samples[probes], stranger_samples=samples[others],
    )  # fmt: skip
    return Study(
        protocol="identification",
        title="Open-set identification of drawn people",
        label=label,
        about=ABOUT,
        findings=identification_findings(searches, targets=(0.1, 0.02), replicates=replicates),
        samples=sample_names(everybody, pictures),
        searches=searches,
        operating_threshold=float(np.quantile(searches.stranger_scores, 0.95)),
        embeddings=embeddings,
        owners=owners,
        people=tuple(f"person_{person:02d}" for person in range(everybody)),
    )


def retrieval_study(people: int = 40, pictures: int = 6, *, spread: float = 1.2, replicates: int = 200) -> Study:
    """Every picture searches all others."""
    embeddings = embeddings_of(people, pictures, spread=spread)
    owners = np.repeat(np.arange(people, dtype=np.int32), pictures)
    retrieved = retrieve(embeddings, owners)
    return Study(
        protocol="retrieval",
        title="Retrieval of drawn people",
        label="mobilefacenet",
        about=ABOUT,
        findings=retrieval_findings(retrieved, replicates=replicates),
        samples=sample_names(people, pictures),
        retrieval=retrieved,
        embeddings=embeddings,
        owners=owners,
        people=tuple(f"person_{person:02d}" for person in range(people)),
    )


def classification_study(people: int = 8, pictures: int = 20, *, spread: float = 1.5, replicates: int = 200) -> Study:
    """A head that takes the nearest centre, and is too sure of itself."""
    embeddings = embeddings_of(people, pictures, spread=spread, size=16)
    labels = np.repeat(np.arange(people, dtype=np.int64), pictures)
    centres = normalise(torch.stack([embeddings[labels == person].mean(0) for person in range(people)]))
    logits = (12 * embeddings @ centres.T).numpy()
    names = tuple(f"person_{person:02d}" for person in range(people))
    found = classify(logits, labels, names)
    reliability = reliability_of(found.confidences, found.correct)
    return Study(
        protocol="classification",
        title="Classification of drawn people",
        label="mobilefacenet",
        about=ABOUT,
        findings=classification_findings(found, reliability, replicates=replicates),
        samples=sample_names(people, pictures),
        classification=found,
        reliability=reliability,
        embeddings=embeddings,
        owners=labels.astype(np.int32),
        people=names,
    )


def with_pictures(study: Study, folder: Path, people: int, pictures: int) -> Study:
    """The same study, with drawn faces to show."""
    return replace(study, pictures=drawn_pictures(folder, people, pictures))
