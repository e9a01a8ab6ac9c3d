"""Lists of pairs to verify, made of a folder of people in the manner of Labeled Faces in the Wild.

As many pairs of one person as of two in every fold, and no person in two folds: what is fitted on some folds can be
scored on another. (G. B. Huang et al., "Labeled Faces in the Wild", 2007, whose second view is made like this.)

* People come into play as evenly as their pictures allow: who has a hundred pictures gives no more pairs than who has
  five, as long as these suffice; and two people meet a second time only when all others have met.
* No pair occurs twice.
* Pictures that cannot be read are left out. So are copies, by bytes or by look: of those of one person all but the
  first, for to know a picture again is no feat, and of those under several people all, for nobody can say whose they
  are.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facenet.data.contents import Contents, Progress, read_contents
from facenet.data.duplicates import linked, near_pairs
from facenet.data.folders import Folder
from facenet.errors import InputError, UsageError, printable


class PairRow(NamedTuple):
    """Two pictures, paths relative to the folder's root; whether they are of one person; the fold, from 0."""

    a: str
    b: str
    same: bool
    fold: int


@dataclass(frozen=True)
class MadePairs:
    """What :func:`make_pairs` made.

    Attributes:
        rows: fold by fold, pairs of one person first, each kind in order of path.
        people: how many people can be in pairs.
        pictures: how many pictures they were drawn from.
        unreadable, copies, claimed: pictures left out: unreadable; copies of another of the same person; copies of
            somebody else's. A picture whose name is no text counts as unreadable.
    """

    rows: tuple[PairRow, ...]
    people: int
    pictures: int
    unreadable: int
    copies: int
    claimed: int


def make_pairs(
    folder: Folder, *, folds: int = 10, pairs: int = 300, seed: int = 0, progress: Progress | None = None
) -> MadePairs:
    """Draw pairs. The same folder and seed give the same pairs.

    Args:
        folder: every picture is read once.
        folds: at least 1.
        pairs: of each kind in each fold, at least 1.
        seed: not negative.
        progress: called with (pictures read, in all).

    Raises:
        UsageError: a number is too small.
        InputError: the folder cannot give so many; the message says what it can.
    """
    if folds < 1 or pairs < 1 or seed < 0:
        raise UsageError(f"{folds} folds of {pairs} pairs with seed {seed} cannot be made: 1, 1 and 0 are the least")
    contents = read_contents([folder.file(index) for index in range(len(folder))], progress=progress)
    usable, counts = _usable(folder, contents)
    pictures = [np.flatnonzero(usable & (folder.labels == person)) for person in range(len(folder.people))]
    pictures = [own for own in pictures if len(own)]
    generator = np.random.default_rng(seed)
    dealt = _deal(pictures, folds, generator)
    _require(folder, dealt, pairs)
    rows: list[PairRow] = []
    for fold, people in enumerate(dealt):
        for same, found in ((True, _genuine(people, pairs, generator)), (False, _impostor(people, pairs, generator))):
            rows += [PairRow(folder.paths[a], folder.paths[b], same, fold) for a, b in sorted(found)]
    return MadePairs(tuple(rows), len(pictures), int(usable.sum()), *counts)


def _usable(folder: Folder, contents: Contents) -> tuple[NDArray[np.bool_], tuple[int, int, int]]:
    """Which pictures can be in pairs, and how many were left out: unreadable, copies, claimed by several people."""
    usable = np.array([_is_text(path) for path in folder.paths], dtype=np.bool_)
    usable[list(contents.unreadable)] = False
    unreadable = int(np.count_nonzero(~usable))
    twins = [(group[0], other) for group in contents.twins() for other in group[1:]]
    alike = np.concatenate([near_pairs(contents.looks), np.array(twins, dtype=np.int64).reshape(-1, 2)])
    copies = claimed = 0
    for group in linked(len(folder), alike[usable[alike].all(axis=1)]):
        several = len(np.unique(folder.labels[group])) > 1
        dropped = group if several else np.sort(group)[1:]
        usable[dropped] = False
        claimed += len(dropped) if several else 0
        copies += 0 if several else len(dropped)
    return usable, (unreadable, copies, claimed)


def _is_text(path: str) -> bool:
    """Whether a path can be written into a file of text: bytes that are no UTF-8 cannot."""
    return path.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in path)


People = list[NDArray[np.intp]]
"""For each person their pictures, all different."""


def _deal(pictures: People, folds: int, generator: np.random.Generator) -> list[People]:
    """People into folds: round after round, those with most pictures first, so that all folds get alike."""
    order = generator.permutation(len(pictures))
    order = order[np.argsort([-len(pictures[person]) for person in order], kind="stable")]
    dealt: list[People] = [[] for _ in range(folds)]
    for start in range(0, len(order), folds):
        # Drawn, for the first of each round has most pictures.
        for person, fold in zip(order[start : start + folds], generator.permutation(folds), strict=False):
            dealt[fold].append(pictures[person])
    return dealt


def _require(folder: Folder, dealt: list[People], pairs: int) -> None:
    """Raise InputError unless every fold can give so many pairs of each kind."""
    genuine = min(sum(_pairs_of(len(own)) for own in people) for people in dealt)
    impostor = min(_impostors_of(people) for people in dealt)
    if min(genuine, impostor) >= pairs:
        return
    people = sum(map(len, dealt))
    several = sum(len(own) > 1 for people in dealt for own in people)
    where = f"{printable(folder.root)} has {people:,} people, {several:,} of them with two different pictures or more"
    most = min(genuine, impostor)
    can = f"gives at most {most:,} pairs of each kind in each of {len(dealt)} folds" if most else "is too few"
    raise InputError(f"{where}: that {can}, not {pairs:,}; ask for fewer pairs or fewer folds")


def _pairs_of(pictures: int) -> int:
    return pictures * (pictures - 1) // 2


def _impostors_of(people: People) -> int:
    return _pairs_of(sum(map(len, people))) - sum(_pairs_of(len(own)) for own in people)


def _genuine(people: People, pairs: int, generator: np.random.Generator) -> list[tuple[int, int]]:
    """Different pairs of pictures of one person."""
    several = [own for own in people if len(own) > 1]
    shares = even_shares(np.array([_pairs_of(len(own)) for own in several]), pairs, generator)
    found = []
    for own, share in zip(several, shares, strict=True):
        for number in generator.choice(_pairs_of(len(own)), size=share, replace=False).tolist():
            one, other = _pair_number(number)
            found.append((int(own[one]), int(own[other])))
    return found


def _impostor(people: People, pairs: int, generator: np.random.Generator) -> list[tuple[int, int]]:
    """Different pairs of pictures of two people, each smaller index first."""
    meetings = _pairs_of(len(people))
    if pairs <= meetings:
        met = [_pair_number(number) for number in generator.choice(meetings, size=pairs, replace=False).tolist()]
        shares = np.ones(pairs, dtype=np.int64)
    else:
        met = [(one, other) for one, other in combinations(range(len(people)), 2)]
        shares = even_shares(np.array([len(people[a]) * len(people[b]) for a, b in met]), pairs, generator)
    found = []
    for (one, other), share in zip(met, shares, strict=True):
        a, b = people[one], people[other]
        for number in generator.choice(len(a) * len(b), size=share, replace=False).tolist():
            pair = int(a[number // len(b)]), int(b[number % len(b)])
            found.append((min(pair), max(pair)))
    return found


def _pair_number(number: int) -> tuple[int, int]:
    """The pair of that number among (0, 1), (0, 2), (1, 2), (0, 3), …: number ``other · (other - 1) / 2 + one``."""
    other = int((1 + (1 + 8 * number) ** 0.5) / 2)
    # The square root is rounded: it may be one too high or too low.
    while _pairs_of(other) > number:
        other -= 1
    while _pairs_of(other + 1) <= number:
        other += 1
    return number - _pairs_of(other), other


def even_shares(most: NDArray[np.int64], wanted: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """As many of each as of any other, where it has so many; the rest is drawn.

    Args:
        most: ``(k,)``, how many each can give; ``wanted`` or more together.
        wanted: how many all shall give together.
        generator: for the rest.

    Returns:
        ``(k,)`` int64 with sum ``wanted``.
    """
    low, high = 0, int(most.max(initial=0))
    while low < high:
        level = (low + high + 1) // 2
        low, high = (level, high) if np.minimum(most, level).sum() <= wanted else (low, level - 1)
    shares = np.minimum(most, low)
    able = np.flatnonzero(most > low)
    shares[generator.choice(able, size=wanted - int(shares.sum()), replace=False)] += 1
    return shares
