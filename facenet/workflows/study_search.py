"""Protocols that search: who is it among those enrolled (or nobody), and which pictures are the nearest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from facenet.data.folders import scan_folder
from facenet.errors import InputError, UsageError
from facenet.evaluation.embedded import Embedded, one_after_another
from facenet.evaluation.embedder import Embedder
from facenet.evaluation.groups import group_search_rates
from facenet.evaluation.identification import identification_findings
from facenet.evaluation.open_set import open_set_rate
from facenet.evaluation.retrieval import retrieval_findings, retrieve
from facenet.evaluation.searches import Searches
from facenet.evaluation.searching import search_people
from facenet.evaluation.study import Study
from facenet.workflows.study_comparisons import attributes_of, with_threshold
from facenet.workflows.study_sets import Listed, Role, Sets, cast_roles, list_folders
from facenet.workflows.study_shared import (
    AS_THEY_ARE,
    AS_USUAL,
    Judging,
    Progress,
    Reading,
    about,
    embed,
    embed_people,
    label_of,
    pictures_of,
    select,
    usable_rows,
)

RANKS, TARGETS, KS = (1, 5), (0.1, 0.01), (1, 5, 10)
"""What is given, if nothing is said."""


def identification_study(
    embedder: Embedder,
    sets: Sets,
    *,
    fusion: Literal["max", "mean"] = "max",
    ranks: Sequence[int] = RANKS,
    targets: Sequence[float] = TARGETS,
    reading: Reading = AS_THEY_ARE,
    judging: Judging = AS_USUAL,
    progress: Progress | None = None,
) -> Study:
    """Search for people among those enrolled: closed-set, and with strangers open-set (ISO/IEC 19795-1).

    Args:
        embedder: the network.
        sets: whose pictures play which part.
        fusion: how several enrolled pictures of a person give one score; see
            :func:`facenet.evaluation.searching.search_people`.
        ranks: k of the rank-k rates.
        targets: false positive identification rates, for strangers.
        reading, judging: how.
        progress: told how many pictures are embedded.

    Raises:
        MissingError, InputError: folders or pictures that cannot be used, no search left.
        UsageError: groups without a threshold to compare them at.
    """
    notices: list[str] = []
    found, cast = _read(embedder, sets, reading, judging, progress, notices)
    searches = _search(found, cast, fusion)
    threshold, rule = _operating(searches, targets, judging)
    if judging.groups is not None and threshold is None:
        raise UsageError("groups are compared at a threshold: give --threshold, or --strangers to find one")
    groups = tuple(
        group_search_rates(searches, attribute, threshold, replicates=judging.replicates, seed=judging.seed)
        for attribute in attributes_of(judging, cast.names.tolist(), cast.samples, notices)
        if threshold is not None
    )
    people = (*cast.people(Role.ENROLLED), *cast.people(Role.STRANGER))
    number = {name: index for index, name in enumerate(people)}
    said = about(
        embedder,
        reading,
        judging,
        data=sets.folders,
        counts=cast.counts(searches) | {"states": found.counts()},
        rules=[
            f"a person's score is that of the {'best' if fusion == 'max' else 'mean'} of the pictures enrolled",
            "other people who score as high as the right one come before it",
            *_strangers_rule(sets),
        ],
    )
    return Study(
        protocol="identification",
        title="Identification, closed set" + (" and open set" if searches.strangers else ""),
        label=label_of(embedder, judging),
        about=said if threshold is None else with_threshold(said, threshold, rule),
        findings=identification_findings(
            searches, ranks=ranks, targets=targets, seed=judging.seed, replicates=judging.replicates
        ),
        notices=tuple(notices),
        samples=cast.samples,
        searches=searches,
        groups=groups,
        operating_threshold=threshold,
        embeddings=usable_rows(found),
        owners=np.array([number[name] for name in cast.names], dtype=np.int32),
        people=people,
        pictures=pictures_of(found),
    )


def _strangers_rule(sets: Sets) -> list[str]:
    if sets.strangers_aligned is None:
        return []
    return ["pictures of strangers are " + ("faces, used whole" if sets.strangers_aligned else "photos")]


class _Cast(NamedTuple):
    """Who is who: names of pictures, and for each ``(n,)`` the name of its person and its role."""

    samples: tuple[str, ...]
    names: NDArray[Any]
    roles: NDArray[Any]

    def people(self, role: Role) -> list[str]:
        """Names of those who have pictures in a role, in the order in which searches number them."""
        return sorted(set(self.names[self.roles == role].tolist()))

    def counts(self, searches: Searches) -> dict[str, Any]:
        """How many there are of what."""
        return {
            "people_enrolled": searches.enrolled,
            "pictures_enrolled": int(np.count_nonzero(self.roles == Role.ENROLLED)),
            "mated_searches": searches.mated,
            "non_mated_searches": searches.strangers,
            "strangers": len(self.people(Role.STRANGER)),
        }


def _read(
    embedder: Embedder, sets: Sets, reading: Reading, judging: Judging, progress: Progress | None, notices: list[str]
) -> tuple[Embedded, _Cast]:
    """Embed all pictures and give them their roles; of those that have one, the embeddings and who they are."""
    pictures, folders = list_folders(sets)
    found = _embed(pictures, embedder, sets, reading, progress, notices)
    roles = cast_roles(pictures, folders, found, enroll=sets.enroll, seed=judging.seed, notices=notices)
    kept = [row for row, role in enumerate(roles) if role is not Role.LEFT_OUT]
    found = select(found, np.isin(np.arange(len(found)), kept))
    cast = _Cast(
        tuple(pictures[row].sample for row in kept),
        np.array([pictures[row].person for row in kept], dtype=object),
        np.array([roles[row] for row in kept], dtype=object),
    )
    if not (cast.roles != Role.ENROLLED).any():
        raise InputError("the set of probes is empty: nobody has more pictures than are enrolled")
    return found, cast


def _embed(
    pictures: Sequence[Listed],
    embedder: Embedder,
    sets: Sets,
    reading: Reading,
    progress: Progress | None,
    notices: list[str],
) -> Embedded:
    """Embed the pictures of all folders, those of the strangers, which come last, in their own way."""
    others = [picture.file for picture in pictures if picture.part != "strangers"]
    strangers = [picture.file for picture in pictures if picture.part == "strangers"]
    if sets.strangers_aligned is None or sets.strangers_aligned == reading.aligned:
        return embed([*others, *strangers], embedder, reading, progress, notices)
    parts = ((others, reading), (strangers, replace(reading, aligned=sets.strangers_aligned)))
    return one_after_another([embed(files, embedder, how, progress, notices) for files, how in parts])


def _search(found: Embedded, cast: _Cast, fusion: Literal["max", "mean"]) -> Searches:
    rows, failed = usable_rows(found), found.failed
    enrolled, probes, strangers = (
        np.flatnonzero(cast.roles == role) for role in (Role.ENROLLED, Role.PROBE, Role.STRANGER)
    )
    return search_people(
        rows[torch.from_numpy(probes)],
        cast.names[probes],
        rows[torch.from_numpy(enrolled)],
        cast.names[enrolled],
        strangers=rows[torch.from_numpy(strangers)],
        stranger_people=cast.names[strangers],
        fusion=fusion,
        failed_probes=failed[probes],
        failed_enrolled=failed[enrolled],
        failed_strangers=failed[strangers],
        probe_samples=probes,
        stranger_samples=strangers,
    )


def _operating(searches: Searches, targets: Sequence[float], judging: Judging) -> tuple[float | None, str]:
    """The threshold at which errors are looked at: that of the largest target the strangers can carry."""
    if judging.threshold is not None:
        return judging.threshold, "which was given"
    for target in sorted(targets, reverse=True) if searches.strangers else ():
        rate = open_set_rate(searches, target)
        if rate.threshold is not None:
            return rate.threshold, f"at which FPIR does not exceed {target:g} on these same strangers"
    return None, ""


def retrieval_study(
    embedder: Embedder,
    data: Path,
    *,
    ks: Sequence[int] = KS,
    reading: Reading = AS_THEY_ARE,
    judging: Judging = AS_USUAL,
    progress: Progress | None = None,
) -> Study:
    """Every picture of a folder of people searches all others: recall@k, R-precision and MAP@R.

    Args:
        embedder: the network.
        data: folder of people.
        ks: of recall@k.
        reading, judging: how.
        progress: told how many pictures are embedded.

    Raises:
        MissingError, InputError: no such folder, pictures that cannot be used, nobody with two pictures.
    """
    notices: list[str] = []
    folder, found = embed_people(scan_folder(data), embedder, reading, progress, notices)
    failed = found.failed
    retrieval = retrieve(usable_rows(found), folder.labels, ks=tuple(ks), failed=failed if failed.any() else None)
    if retrieval.left_out:
        notices.append(
            f"{retrieval.left_out:,} pictures are the only one of their person: they are searched, and do not search"
        )
    counts = {
        "pictures": len(folder),
        "people": len(folder.people),
        "queries": retrieval.queries,
        "states": found.counts(),
    }
    rules = [
        "every picture searches all others",
        "among pictures that score the same the wrong ones come first",
        "R of a picture is the number of other pictures of its person",
    ]
    return Study(
        protocol="retrieval",
        title="Retrieval",
        label=label_of(embedder, judging),
        about=about(embedder, reading, judging, data={"pictures": data}, counts=counts, rules=rules),
        findings=retrieval_findings(retrieval, seed=judging.seed, replicates=judging.replicates),
        notices=tuple(notices),
        samples=folder.paths,
        retrieval=retrieval,
        embeddings=usable_rows(found),
        owners=folder.labels.astype(np.int32),
        people=folder.people,
        pictures=pictures_of(found),
    )
