"""The evaluation of a checkpoint on held-out pictures as a study, for its report."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from facenet.errors import InputError
from facenet.evaluation.classification_findings import classification_findings
from facenet.evaluation.comparisons import Comparisons
from facenet.evaluation.finding import Finding
from facenet.evaluation.heldout import Parts, heldout_parts
from facenet.evaluation.identification import identification_findings
from facenet.evaluation.pairs import all_or_sampled_pairs
from facenet.evaluation.reliability import reliability_of
from facenet.evaluation.scoring import score_rows
from facenet.evaluation.searches import Searches
from facenet.evaluation.searching import search_people
from facenet.evaluation.study import Pictures, Study
from facenet.workflows.evaluate import EvaluationResult, Material
from facenet.workflows.study_comparisons import Protocol, judged
from facenet.workflows.study_shared import AS_USUAL, Judging, described


def checkpoint_study(result: EvaluationResult, *, judging: Judging = AS_USUAL) -> Study:
    """Everything behind the figures of :func:`facenet.workflows.evaluate.evaluate_checkpoint`, with intervals.

    What the evaluation could not measure is left out, and the reason is among the notices.

    Args:
        result: of it.
        judging: how; no groups.

    Raises:
        InputError: nothing at all could be measured.
    """
    evaluation, material = result.evaluation, result.material
    parts = heldout_parts(material.split, result.description.config.measures)
    kept = parts.needed
    study = _empty(result, judging)
    findings: list[Finding] = []
    if evaluation.verification is not None:
        study = _verified(study, material, parts, judging)
        findings += [replace(found, title=f"verification: {found.title}") for found in study.findings]
    if evaluation.identification is not None:
        searches = _searches(material, parts)
        found = identification_findings(searches, seed=judging.seed, replicates=judging.replicates)
        findings += [replace(one, title=f"identification: {one.title}") for one in found]
        study = replace(study, searches=searches)
    classification = evaluation.classification
    if classification is not None:
        reliability = reliability_of(classification.confidences, classification.correct)
        found = classification_findings(classification, reliability, seed=judging.seed, replicates=judging.replicates)
        findings += [replace(one, title=f"classification: {one.title}") for one in found]
        study = replace(study, classification=classification, reliability=reliability)
    if evaluation.pairs is not None:
        findings += [replace(one, title=f"pairs: {one.title}") for one in evaluation.pairs.findings()]
    if not findings:
        raise InputError("there is nothing to report: " + "; ".join(map(str, evaluation.reasons.values())))
    folder = material.folder
    people, owners = _people(material, parts)
    rows = np.flatnonzero(kept)
    boxes = np.full((len(rows), 4), np.nan, dtype=np.float32)
    return replace(
        study,
        findings=tuple(findings),
        samples=tuple(folder.paths[row] for row in rows.tolist()),
        embeddings=material.embeddings[torch.from_numpy(rows)].float(),
        owners=owners[rows],
        people=people,
        pictures=Pictures(tuple(folder.file(row) for row in rows.tolist()), boxes),
    )


def _empty(result: EvaluationResult, judging: Judging) -> Study:
    """A study that says what is measured, and holds nothing yet."""
    description, evaluation = result.description, result.evaluation
    run = result.checkpoint.parent.parent.name
    place = f"{run}/{result.checkpoint.name}" if run else result.checkpoint.name
    model = {
        "model": description.config.backbone,
        "weights": str(result.checkpoint),
        "fingerprint": description.fingerprint,
        "preprocessing": description.preprocessing.to_dict(),
        "device": result.device,
        "precision": result.precision,
    }
    notices = [f"no {part}: {reason}" for part, reason in result.missing.items()]
    if result.chosen_from > 1:
        notices.append(
            f"these weights were kept as the best of {result.chosen_from} evaluations on these same pictures: expect "
            "slightly less on new ones"
        )
    what = "people never trained on" if evaluation.kind == "people" else "held-out pictures of people trained on"
    return Study(
        protocol="checkpoint",
        title=f"Checkpoint on {what}",
        label=place if judging.label is None else judging.label,
        about=described(
            model,
            judging,
            data={"pictures": result.material.folder.root},
            counts={"pictures": evaluation.pictures, "people": evaluation.people},
            rules=["accepted if score >= threshold", f"held out: {what}"],
        ),
        findings=(),
        notices=tuple(notices),
    )


def _places(needed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Row of a picture in the folder → its place among the samples."""
    return np.cumsum(needed) - 1


def _verified(study: Study, material: Material, parts: Parts, judging: Judging) -> Study:
    compared = np.flatnonzero(parts.compared)
    labels = material.folder.labels[compared]
    pairs = all_or_sampled_pairs(labels)
    place = _places(parts.needed)[compared].astype(np.int32)
    comparisons = Comparisons(
        scores=score_rows(material.embeddings[torch.from_numpy(compared)], pairs.first, pairs.second),
        genuine=pairs.genuine,
        first=place[pairs.first],
        second=place[pairs.second],
        owners=material.folder.labels[parts.needed].astype(np.int32),
    )
    return judged(
        comparisons,
        Protocol(study.protocol, study.title, (), ()),
        replace(judging, groups=None),
        label=study.label,
        about=study.about,
        notices=study.notices,
    )


def _searches(material: Material, parts: Parts) -> Searches:
    labels = material.folder.labels
    probes = parts.probes & np.isin(labels, labels[parts.enrolled])
    return search_people(
        material.embeddings[torch.from_numpy(probes)],
        labels[probes],
        material.embeddings[torch.from_numpy(parts.enrolled)],
        labels[parts.enrolled],
        probe_samples=_places(parts.needed)[probes],
    )


def _people(material: Material, parts: Parts) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """Names, those enrolled first and in the order in which searches number them; and the owner of each picture."""
    labels, names = material.folder.labels, material.folder.people
    enrolled = np.unique(labels[parts.enrolled])
    order = np.concatenate([enrolled, np.setdiff1d(np.arange(len(names)), enrolled)])
    number = np.empty(len(names), dtype=np.int32)
    number[order] = np.arange(len(names))
    return tuple(names[label] for label in order), number[labels]
