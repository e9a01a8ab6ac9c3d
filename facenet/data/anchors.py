"""Anchors: the pictures that stand for people, like the one in a passport, found by their file names.

Against an anchor are held the other pictures of the person. Of somebody all of whose pictures are anchors, each is
held against another of them; so if nobody says which pictures are anchors, any is held against any other.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facenet.data.folders import Folder
from facenet.data.samplers import per_person
from facenet.errors import InputError, UsageError, printable

Numbers = NDArray[np.int64]
"""``int64 (k,)``: numbers of pictures or people."""

PASSPORT = "script"
"""The word for anchors in a set of passports, as ``dataset passports`` writes it."""

_NAMED = 3
"""How many people a message names."""


def anchor_pictures(folder: Folder, word: str) -> NDArray[np.bool_]:
    """Find each person's anchors: the pictures whose file name contains a word.

    The name is looked at without its folder and its ending; capitals do not matter. A person may have several
    anchors, and nothing but anchors.

    Args:
        folder: by its names only; no picture is opened.
        word: such as ``"script"``; ``""`` makes every picture an anchor.

    Returns:
        ``bool (n,)``.

    Raises:
        InputError: somebody has no anchor; the message names the first by name and says what to do.
    """
    found = folder.named_with(word)
    without = np.flatnonzero(np.bincount(folder.labels[found], minlength=len(folder.people)) == 0)
    if len(without):
        named = ", ".join(printable(folder.people[person]) for person in without[:_NAMED])
        more = ", ..." if len(without) > _NAMED else ""
        copied = " (`dataset passports` does so in a copy)" if word.casefold() == PASSPORT else ""
        raise InputError(
            f"{len(without):,} of {len(folder.people):,} people in {printable(folder.root)} have no picture with "
            f"{printable(repr(word))} in its file name ({named}{more}): rename one picture of each person, such as "
            f"0001.png to 0001-{printable(word)}.png{copied}, or let any picture be the anchor"
        )
    return found


class AnchoredPerson(NamedTuple):
    """The pictures of somebody.

    Attributes:
        anchors: at least one.
        probes: what is held against an anchor: the pictures that are none, or all if there are only anchors.
        anchors_only: whether these are the same.
    """

    anchors: Numbers
    probes: Numbers
    anchors_only: bool

    @property
    def pictures(self) -> Numbers:
        """All of them."""
        return self.anchors if self.anchors_only else np.concatenate([self.anchors, self.probes])

    @property
    def genuine(self) -> int:
        """How many different pairs of an anchor and another picture there are."""
        if self.anchors_only:
            return len(self.anchors) * (len(self.anchors) - 1) // 2
        return len(self.anchors) * len(self.probes)


def anchored_people(labels: np.ndarray, anchors: np.ndarray | None) -> list[AnchoredPerson]:
    """Sort each person's pictures, people in order of their label.

    Args:
        labels: ``int (n,)``, the person of each picture.
        anchors: ``bool (n,)``; None: all are.

    Raises:
        UsageError: ``anchors`` of another shape or type.
        InputError: somebody has no anchor.
    """
    marked = np.ones(len(labels), dtype=np.bool_) if anchors is None else np.asarray(anchors)
    if marked.shape != (len(labels),) or marked.dtype != np.bool_:
        raise UsageError(f"anchors of {len(labels)} pictures must be so many bool, not {marked.dtype} {marked.shape}")
    people = []
    for own in per_person(labels):
        is_anchor = marked[own]
        anchors_only = bool(is_anchor.all())
        people.append(AnchoredPerson(own[is_anchor], own if anchors_only else own[~is_anchor], anchors_only))
    without = sum(not len(person.anchors) for person in people)
    if without:
        raise InputError(f"{without:,} of {len(people):,} people have no anchor")
    return people
