"""Studies read from their report folders and tested against the first: ``facenet evaluate compare``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from facenet.errors import UsageError
from facenet.evaluation.paired import Difference, compare_studies
from facenet.evaluation.studies import read_study
from facenet.evaluation.study import Study


@dataclass(frozen=True, eq=False)
class Compared:
    """What :func:`compare` found.

    Attributes:
        folders: that were read.
        studies: one for each, each with a label of its own.
        differences: every study after the first against the first, study by study.
        seed: of the bootstrap.
        replicates: that were asked for.
    """

    folders: tuple[Path, ...]
    studies: tuple[Study, ...]
    differences: tuple[Difference, ...]
    seed: int
    replicates: int

    def to_dict(self) -> dict[str, Any]:
        """Everything but the studies' arrays, fit for JSON."""
        return {
            "studies": [
                {"folder": str(folder), "label": study.label, "protocol": study.protocol, "about": dict(study.about)}
                for folder, study in zip(self.folders, self.studies, strict=True)
            ],
            "differences": [difference.to_dict() for difference in self.differences],
            "seed": self.seed,
            "replicates": self.replicates,
        }


def compare(folders: Sequence[Path], *, seed: int = 0, replicates: int = 1000) -> Compared:
    """Read two or more studies and test each against the first.

    Args:
        folders: as ``evaluate … --report DIR`` wrote them.
        seed, replicates: see :func:`facenet.evaluation.paired.compare_studies`.

    Raises:
        UsageError: fewer than two folders.
        MissingError, InputError: see :func:`facenet.evaluation.studies.read_study`.
        ContractError: they did not compare the same things.
    """
    if len(folders) < 2:
        raise UsageError(f"a comparison needs at least two report folders, got {len(folders)}")
    studies = _told_apart(folders, [read_study(folder) for folder in folders])
    differences = compare_studies(studies, seed=seed, replicates=replicates)
    return Compared(tuple(folders), studies, differences, seed, replicates)


def _told_apart(folders: Sequence[Path], studies: Sequence[Study]) -> tuple[Study, ...]:
    """Studies of the same label get the name of their folder behind it, and a number where that is the same too."""
    labels = [study.label for study in studies]
    for names in ([folder.absolute().name for folder in folders], [str(place) for place in range(1, len(folders) + 1)]):
        several = {label for label, count in Counter(labels).items() if count > 1}
        labels = [f"{label} ({name})" if label in several else label for label, name in zip(labels, names, strict=True)]
    return tuple(replace(study, label=label) for study, label in zip(studies, labels, strict=True))
