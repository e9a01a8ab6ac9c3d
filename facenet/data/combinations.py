"""Pictures combined with anchors: triplets and pairs for training, and a fixed list of pairs to measure.

What anchors are is said in :mod:`facenet.data.anchors`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facenet.data.anchors import AnchoredPerson, Numbers, anchored_people
from facenet.data.pairmaking import even_shares
from facenet.data.samplers import Sampler, cuts, per_person
from facenet.errors import InputError, UsageError


class CombinationSampler(Sampler):
    """What both samplers share: who has which anchors, and how anchors and other people are drawn.

    Args:
        labels: ``int (n,)``, the person of each picture.
        anchors: ``bool (n,)``, as :func:`facenet.data.anchors.anchor_pictures` finds them; None: any picture.
        per_batch: triplets or pairs, at least 1. The last batch may be smaller; one of a single sample joins the one
            before.
        seed: start of the generator.
        pictures: whether other people give any of their pictures, or else anchors only.

    Attributes:
        positives: ``int64 (m,)``, sorted: the pictures that are held against an anchor of their person.
        batches_per_epoch: ``ceil(samples / per_batch)``, or one less; there is a triplet, or there are two pairs, for
            each of the ``positives``.

    Raises:
        UsageError: no sample in a batch, a negative seed, or anchors of another shape.
        InputError: fewer than two people, nobody with an anchor and another picture, or somebody without an anchor.
    """

    _NAME: str
    _PER_POSITIVE: int

    def __init__(
        self, labels: np.ndarray, anchors: np.ndarray | None, *, per_batch: int, seed: int, pictures: bool
    ) -> None:
        if per_batch < 1:
            raise UsageError(f"a batch of {per_batch} {self._NAME}: at least 1")
        people = anchored_people(labels, anchors)
        if len(people) < 2:
            raise InputError(f"{self._NAME} need at least two people: found {len(people)}")
        own = [person.probes for person in people if person.genuine]
        if not own:
            raise InputError(
                f"{self._NAME} need somebody with an anchor and another picture: each of the {len(people):,} people "
                "has one picture only"
            )
        self.positives = np.sort(np.concatenate(own))
        self._per_batch, self._people = per_batch, people
        self._person = np.unique(labels, return_inverse=True)[1].astype(np.int64)
        marked = np.zeros(len(labels), dtype=np.int64)
        marked[np.concatenate([person.anchors for person in people])] = 1
        # Deck i holds the anchors of person i; the others follow.
        self._round, self._order, self._more = len(people), len(people) + 1, len(people) + 2
        decks = [*(person.anchors for person in people), np.arange(len(people)), self.positives]
        decks += [person.pictures for person in people] if pictures else [self.positives]
        super().__init__(np.stack([labels, marked]), decks, seed)
        self.batches_per_epoch = len(cuts(self._PER_POSITIVE * len(self.positives), per_batch))

    def _shape(self) -> list[int]:
        return [self._per_batch]

    def _batches(self, rows: NDArray[np.int64]) -> list[list[int]]:
        return [rows[start:stop].ravel().tolist() for start, stop in cuts(len(rows), self._per_batch)]

    def _anchors(self, positives: Numbers) -> Numbers:
        """For each of all positives, each once, an anchor of the same person and another picture."""
        chosen = np.empty(len(self._person), dtype=np.int64)
        for number, person in enumerate(self._people):
            if person.anchors_only:
                # In a circle each is the anchor of the next: never its own, and each of them once.
                circle = self._decks.take(number, len(person.anchors))
                chosen[circle] = np.roll(circle, 1)
            else:
                chosen[person.probes] = self._rounds(number, len(person.probes))
        return chosen[positives]

    def _others(self, people: Numbers) -> Numbers:
        """For each of these people another, drawn in rounds; who is drawn for himself waits for the next row."""
        found = np.empty_like(people)
        waiting, times = -1, 0
        for row, own in enumerate(people.tolist()):
            if times and waiting != own:
                found[row], times = waiting, times - 1
                continue
            while (drawn := int(self._decks.take(self._round, 1)[0])) == own:
                waiting, times = own, times + 1
            found[row] = drawn
        return found

    def _of(self, people: Numbers, first_deck: int) -> Numbers:
        """For each of these people the next card of their deck, the first person's being ``first_deck``."""
        found = np.empty_like(people)
        for rows in per_person(people):
            found[rows] = self._rounds(first_deck + int(people[rows[0]]), len(rows))
        return found

    def _rounds(self, deck: int, count: int) -> Numbers:
        """The next cards of a deck, as many as are wanted."""
        size = self._decks.size(deck)
        return np.concatenate([self._decks.take(deck, min(size, count - done)) for done in range(0, count, size)])


class TripletSampler(CombinationSampler):
    """Triplets of an anchor, another picture of the same person, and a picture of somebody else.

    An epoch has one triplet for each picture that is held against an anchor, in shuffled order. The anchor is one of
    the person's, in shuffled rounds if there are several. For the negative other people are drawn in shuffled rounds,
    whoever has how many pictures, and each gives the next one in a shuffled order of their own, anchors included. Who
    has one picture only serves as a negative.

    Rows of a batch are ``[anchor, positive, negative, anchor, positive, negative, …]``. Arguments, attributes and
    errors: see :class:`CombinationSampler`.
    """

    _NAME = "triplets"
    _PER_POSITIVE = 1

    def __init__(
        self, labels: np.ndarray, *, triplets_per_batch: int, seed: int, anchors: np.ndarray | None = None
    ) -> None:
        super().__init__(labels, anchors, per_batch=triplets_per_batch, seed=seed, pictures=True)

    def _plan(self) -> list[list[int]]:
        positives = self._decks.take(self._order, len(self.positives))
        anchors = self._anchors(positives)
        negatives = self._of(self._others(self._person[positives]), self._more)
        return self._batches(np.stack([anchors, positives, negatives], axis=1))


class PairSampler(CombinationSampler):
    """Pairs of an anchor and another picture, as often of the same person as of two.

    In an epoch each picture that is held against an anchor occurs in one genuine and in one impostor pair. In the
    genuine one the anchor is one of the person's, in shuffled rounds if there are several. For the impostor one other
    people are drawn in shuffled rounds, and each gives the next one of their anchors. Genuine and impostor pairs take
    turns, so that a batch has as many of each, or one more of either. Who has one picture only is in impostor pairs.

    Rows of a batch are ``[anchor, picture, anchor, picture, …]``. Arguments, attributes and errors: see
    :class:`CombinationSampler`.
    """

    _NAME = "pairs"
    _PER_POSITIVE = 2

    def __init__(
        self, labels: np.ndarray, *, pairs_per_batch: int, seed: int, anchors: np.ndarray | None = None
    ) -> None:
        super().__init__(labels, anchors, per_batch=pairs_per_batch, seed=seed, pictures=False)

    def _plan(self) -> list[list[int]]:
        genuine = self._decks.take(self._order, len(self.positives))
        impostor = self._decks.take(self._more, len(self.positives))
        rows = np.empty((2 * len(self.positives), 2), dtype=np.int64)
        rows[0::2] = np.stack([self._anchors(genuine), genuine], axis=1)
        rows[1::2] = np.stack([self._of(self._others(self._person[impostor]), 0), impostor], axis=1)
        return self._batches(rows)


def balanced_pairs(
    labels: np.ndarray, anchors: np.ndarray | None = None, *, seed: int = 0, most: int = 20_000
) -> tuple[Numbers, Numbers]:
    """Draw a fixed list of pairs to measure on: an anchor and another picture, half of them of the same person.

    No two pictures meet twice. If there are more pairs than wanted, people give genuine pairs as evenly as their
    pictures allow, and are in impostor pairs as often as one another (give or take two, as long as no two people have
    to meet twice; two people meet a second time only when all others have met).

    Args:
        labels: ``int (n,)``, the person of each picture.
        anchors: ``bool (n,)``, as :func:`facenet.data.anchors.anchor_pictures` finds them; None: any picture. A
            picture that is none is held against anchors only.
        seed: the same gives the same list.
        most: at most so many pairs of each kind.

    Returns:
        ``(first, second)``, ``int64 (2·k,)`` each: genuine pairs, then as many impostor ones, each kind in order of
        the pictures' numbers. ``first`` is an anchor.

    Raises:
        UsageError: ``most`` below 1, a negative seed, or anchors of another shape.
        InputError: no genuine or no impostor pair can be made, or somebody has no anchor.
    """
    if most < 1 or seed < 0:
        raise UsageError(f"at most {most} pairs of each kind with seed {seed}: 1 and 0 are the least")
    people = anchored_people(labels, anchors)
    able = [person for person in people if person.genuine]
    if len(people) < 2:
        raise InputError(f"no pair of two people can be made: found {len(people)}")
    if not able:
        raise InputError(
            f"no pair of one person can be made: each of the {len(people):,} people has one picture only, or only one "
            "is left of them here"
        )
    has = np.array([person.genuine for person in able], dtype=np.int64)
    count = min(most, int(has.sum()), _all_impostors(people))
    generator = np.random.default_rng(seed)
    shares = even_shares(has, count, generator)
    genuine = [_genuine(person, share, generator) for person, share in zip(able, shares.tolist(), strict=True)]
    pairs = [np.concatenate(kind) for kind in (genuine, _impostors(people, count, generator))]
    first, second = np.concatenate([kind[np.lexsort(kind.T[::-1])] for kind in pairs]).T
    return np.ascontiguousarray(first), np.ascontiguousarray(second)


def _genuine(person: AnchoredPerson, count: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """So many different pairs of one person: ``(count, 2)``."""
    numbers = generator.choice(person.genuine, size=count, replace=False)
    if person.anchors_only:
        one, other = _meetings(numbers, len(person.anchors))
    else:
        one, other = np.divmod(numbers, len(person.probes))
    return np.stack([person.anchors[one], person.probes[other]], axis=1)


def _impostors(people: list[AnchoredPerson], count: int, generator: np.random.Generator) -> list[NDArray[np.int64]]:
    """So many different pairs of two people."""
    seats = generator.permutation(len(people))
    meetings = len(people) * (len(people) - 1) // 2
    one, other = _meetings(np.arange(min(count, meetings)), len(people))
    met = [(people[a], people[b]) for a, b in zip(seats[one].tolist(), seats[other].tolist(), strict=True)]
    shares = np.ones(count, dtype=np.int64)
    if count > meetings:
        shares = even_shares(np.array([_impostors_of(*two) for two in met]), count, generator)
    return [_met(*two, share, generator) for two, share in zip(met, shares.tolist(), strict=True)]


def _met(one: AnchoredPerson, other: AnchoredPerson, count: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """So many different pairs of these two, ``(count, 2)``: anchors of one with the other's, then the reverse."""
    numbers = generator.choice(_impostors_of(one, other), size=count, replace=False)
    there = len(one.anchors) * len(other.probes)
    pairs = []
    for a, b, part in ((one, other, numbers[numbers < there]), (other, one, numbers[numbers >= there] - there)):
        first, second = np.divmod(part, len(b.probes))
        pairs.append(np.stack([a.anchors[first], b.probes[second]], axis=1))
    return np.concatenate(pairs)


def _impostors_of(one: AnchoredPerson, other: AnchoredPerson) -> int:
    """How many different pairs two people give."""
    there, back = len(one.anchors) * len(other.probes), len(other.anchors) * len(one.probes)
    # Where all are anchors, the way back gives the same pairs.
    return there if one.anchors_only and other.anchors_only else there + back


def _all_impostors(people: list[AnchoredPerson]) -> int:
    """How many different pairs any two people give: the sum of :func:`_impostors_of`, without looking at each two."""
    anchors = np.array([len(person.anchors) for person in people])
    probes = np.array([len(person.probes) for person in people])
    twice = anchors[[person.anchors_only for person in people]]
    both_ways = anchors.sum() * probes.sum() - (anchors * probes).sum()
    return int(both_ways - (twice.sum() ** 2 - (twice**2).sum()) // 2)


def _meetings(numbers: NDArray[np.int64], people: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The meetings of these numbers, at a round table: first each with his neighbour, then each with the next but one.

    Numbers from 0 to below ``people · (people - 1) / 2`` are all different meetings; among the first so many,
    everybody is in as many as anybody else, give or take two.
    """
    apart, seat = np.divmod(numbers, people)
    return seat, (seat + apart + 1) % people
