"""One protocol carried out with one model on one set of pictures: everything that was found, in one place.

A protocol makes a :class:`Study`, a report draws whatever a study holds, and two studies of the same comparisons can be
tested against each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from facenet.evaluation.comparisons import Comparisons
from facenet.evaluation.finding import Finding
from facenet.evaluation.searches import Searches

if TYPE_CHECKING:
    from facenet.evaluation.classification import Classification
    from facenet.evaluation.folds import FoldAccuracy
    from facenet.evaluation.groups import GroupRates
    from facenet.evaluation.reliability import Reliability
    from facenet.evaluation.retrieval import Retrieval


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
