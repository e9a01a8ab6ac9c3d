"""One protocol carried out with one model on one set of pictures: everything that was found, in one place.

A protocol makes a :class:`Study`, a report draws whatever a study holds, and two studies of the same comparisons can be
tested against each other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from facenet.evaluation.comparisons import Comparisons
from facenet.evaluation.searches import Searches

if TYPE_CHECKING:
    from facenet.evaluation.classification import Classification
    from facenet.evaluation.folds import FoldAccuracy
    from facenet.evaluation.groups import GroupRates
    from facenet.evaluation.reliability import Reliability
    from facenet.evaluation.retrieval import Retrieval


@dataclass(frozen=True)
class Finding:
    """One figure, and everything needed to judge it.

    Attributes:
        key: its name in JSON, such as ``tar_at_fmr_0.001``; the same in every study.
        title: for people.
        value: or None where it could not be measured.
        interval: 95 % interval, or None where there is none.
        interval_kind: how it was got: ``"bootstrap by person"``, ``"rule of three"``; empty without interval.
        standard_error: of the mean over folds, for figures that are such a mean.
        deviation: standard deviation over the folds (n - 1), likewise.
        chance: what guessing gives; None where that means nothing.
        basis: what it rests on: ``"3,000 genuine, 3,000 impostor pairs"``.
        reason: why ``value`` is None; empty otherwise.
        higher_is_better: which way is up.
        unit: ``"share"`` of 1, or ``"score"``.
    """

    key: str
    title: str
    value: float | None
    interval: tuple[float, float] | None = None
    interval_kind: str = ""
    standard_error: float | None = None
    deviation: float | None = None
    chance: float | None = None
    basis: str = ""
    reason: str = ""
    higher_is_better: bool = True
    unit: str = "share"

    def __post_init__(self) -> None:
        if (self.value is None) != bool(self.reason):
            raise ValueError(f"{self.key}: a finding has either a value or a reason why it has none")
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError(f"{self.key}: {self.value} is no finding")
        if self.interval is not None and not self.interval[0] <= self.interval[1]:
            raise ValueError(f"{self.key}: the interval {self.interval} is upside down")
        if self.unit not in ("share", "score"):
            raise ValueError(f"{self.key}: unknown unit {self.unit}")

    def to_dict(self) -> dict[str, Any]:
        """All attributes, fit for JSON."""
        return asdict(self) | {"interval": None if self.interval is None else list(self.interval)}


@dataclass(frozen=True, eq=False)
class Pictures:
    """Where the samples of a study can be looked at.

    Attributes:
        paths: one picture for each sample (of a template, its first).
        boxes: ``float32 (samples, 4)``, see :class:`facenet.evaluation.embedded.Embedded`.
    """

    paths: tuple[Path, ...]
    boxes: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Study:
    """What a protocol found.

    Attributes:
        protocol: ``lfw``, ``pairs``, ``verification``, ``templates``, ``identification``, ``retrieval``,
            ``classification`` or ``checkpoint``.
        title: for people: ``"LFW View 2"``.
        label: the model, in a word or two: what a legend says.
        about: what was measured on what, by which rules: plain values fit for JSON, in the order a reader wants them
            (model, fingerprint, weights, preprocessing, data, counts, rules, seed, versions, command).
        findings: the headline table.
        notices: what a reader must know before believing the figures: failures, exclusions, fallbacks.
        samples: name of each sample, relative to the data: what two studies are matched by.
        comparisons, folds, searches, retrieval, classification, reliability, groups: what the figures came from;
            None where the protocol has no such thing.
        operating_threshold: the score at which errors are shown and groups are compared; None if there is none.
        embeddings, owners, people: ``float32 (m, d)``, ``int32 (m,)`` and names, for a map; not saved.
        pictures: for showing errors; not saved.
    """

    protocol: str
    title: str
    label: str
    about: Mapping[str, Any]
    findings: tuple[Finding, ...]
    notices: tuple[str, ...] = ()
    samples: tuple[str, ...] = ()
    comparisons: Comparisons | None = None
    folds: FoldAccuracy | None = None
    searches: Searches | None = None
    retrieval: Retrieval | None = None
    classification: Classification | None = None
    reliability: Reliability | None = None
    groups: tuple[GroupRates, ...] = ()
    operating_threshold: float | None = None
    embeddings: Tensor | None = field(default=None, repr=False)
    owners: NDArray[np.int32] | None = field(default=None, repr=False)
    people: tuple[str, ...] = field(default=(), repr=False)
    pictures: Pictures | None = field(default=None, repr=False)

    def finding(self, key: str) -> Finding | None:
        """The finding of this name, or None."""
        return next((found for found in self.findings if found.key == key), None)

    def to_dict(self) -> dict[str, Any]:
        """Everything but arrays, fit for JSON."""
        return {
            "protocol": self.protocol,
            "title": self.title,
            "label": self.label,
            "findings": {found.key: found.to_dict() for found in self.findings},
            "notices": list(self.notices),
            "operating_threshold": self.operating_threshold,
            "folds": None if self.folds is None else self.folds.to_dict(),
            "classification": None if self.classification is None else self.classification.to_dict(),
            "reliability": None if self.reliability is None else self.reliability.to_dict(),
            "groups": [rates.to_dict() for rates in self.groups],
            "about": dict(self.about),
        }
