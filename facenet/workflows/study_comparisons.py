"""From scored comparisons to a study: what every 1:1 protocol ends with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facenet.errors import printable
from facenet.evaluation.attributes import Attribute, read_attributes
from facenet.evaluation.comparisons import Comparisons, count_as_wrong
from facenet.evaluation.embedded import Embedded
from facenet.evaluation.folds import FoldAccuracy
from facenet.evaluation.groups import group_rates
from facenet.evaluation.scoring import score_rows
from facenet.evaluation.study import Study
from facenet.evaluation.verification import Verification, verify_comparisons
from facenet.workflows.study_shared import Judging, usable_rows

TARGETS = (1e-2, 1e-3)
"""False match rates at which the true accept rate is given, if nothing is said."""

_OPERATING_FMR = 1e-2


@dataclass(frozen=True)
class Protocol:
    """What a study is called, and of whom its samples are.

    Attributes:
        name, title: see :class:`facenet.evaluation.study.Study`.
        samples: name of each sample.
        people: name of each sample's person.
    """

    name: str
    title: str
    samples: tuple[str, ...]
    people: tuple[str, ...]


def judged(
    comparisons: Comparisons,
    protocol: Protocol,
    judging: Judging,
    *,
    label: str,
    about: Mapping[str, Any],
    notices: Sequence[str] = (),
    targets: Sequence[float] = TARGETS,
    folds: FoldAccuracy | None = None,
) -> Study:
    """Every figure of scored comparisons, with the rule by which the operating threshold was chosen.

    Args:
        comparisons: scored.
        protocol: what they are comparisons of.
        judging: how.
        label: what the model is called.
        about: what was measured on what; the number of comparisons and the threshold's rule are added.
        notices: what a reader must know.
        targets: false match rates.
        folds: accuracy over the folds, where the protocol has them.

    Raises:
        InputError: genuine or impostor comparisons are lacking; the attributes cannot be used.
    """
    verification, findings = verify_comparisons(
        comparisons, targets=targets, seed=judging.seed, replicates=judging.replicates, fold_accuracy=folds
    )
    threshold, rule = _operating(judging.threshold, verification, folds)
    compared = {
        "genuine_pairs": comparisons.genuine_pairs,
        "impostor_pairs": comparisons.impostor_pairs,
        "people_compared": comparisons.people,
    }
    told = list(notices)
    if comparisons.failures:
        told.append(
            f"{comparisons.failures:,} of {len(comparisons):,} comparisons could not be made and count as wrong"
        )
    groups = tuple(
        group_rates(comparisons, attribute, threshold, replicates=judging.replicates, seed=judging.seed)
        for attribute in attributes_of(judging, protocol.people, protocol.samples, told)
    )
    return Study(
        protocol=protocol.name,
        title=protocol.title,
        label=label,
        about=with_threshold({**about, "counts": {**about["counts"], **compared}}, threshold, rule),
        findings=findings,
        notices=tuple(told),
        samples=protocol.samples,
        comparisons=comparisons,
        folds=folds,
        groups=groups,
        operating_threshold=threshold,
    )


def compare_pictures(
    found: Embedded,
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    genuine: NDArray[np.bool_],
    owners: NDArray[np.int64],
) -> Comparisons:
    """Score pairs of pictures; those with a picture without an embedding count as wrong.

    Args:
        found: pictures, embedded.
        first, second: ``(n,)`` which of them.
        genuine: ``(n,)``.
        owners: ``(pictures,)`` whom each shows.
    """
    failed = found.failed[first] | found.failed[second]
    return Comparisons(
        scores=count_as_wrong(score_rows(usable_rows(found), first, second), genuine, failed),
        genuine=genuine,
        first=first.astype(np.int32),
        second=second.astype(np.int32),
        owners=owners.astype(np.int32),
        failed=failed if failed.any() else None,
    )


def attributes_of(
    judging: Judging, people: Sequence[str], samples: Sequence[str], notices: list[str]
) -> tuple[Attribute, ...]:
    """The attributes asked for; names in the file that are not in the data are counted in ``notices``.

    Args:
        judging: says which file.
        people: name of each sample's person.
        samples: name of each sample.
        notices: added to.

    Raises:
        InputError, MissingError: as :func:`facenet.evaluation.attributes.read_attributes`.
    """
    if judging.groups is None:
        return ()
    found = read_attributes(judging.groups, people=people, samples=samples, unknown=judging.unknown_names)
    if found.unknown:
        notices.append(
            f"{len(found.unknown):,} names in {printable(judging.groups)} are not in the data, such as "
            f"{printable(found.unknown[0])}: ignored"
        )
    return found.attributes


def with_threshold(about: Mapping[str, Any], threshold: float, rule: str) -> dict[str, Any]:
    """``about`` with the operating threshold among the rules."""
    stated = f"groups and errors are looked at with the threshold {threshold:.4f}, {rule}"
    return {**about, "rules": [*about["rules"], stated]}


def _operating(given: float | None, verification: Verification, folds: FoldAccuracy | None) -> tuple[float, str]:
    """The threshold at which groups and errors are looked at, and where it comes from."""
    if given is not None:
        return given, "which was given"
    if folds is not None:
        return float(np.mean(folds.thresholds)), "the mean of those fitted without one fold each"
    for target, rate in sorted(verification.tar_at_fmr.items()):
        if target == _OPERATING_FMR and rate.threshold is not None:
            return rate.threshold, f"at which FMR does not exceed {target:g} on these same comparisons"
    return verification.eer_threshold, "at which FMR and FNMR are equal on these same comparisons"


def folder_of(sample: str) -> str:
    """The person that a picture's path names: its folder."""
    return PurePosixPath(sample).parent.as_posix()
