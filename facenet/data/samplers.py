"""Which pictures make up each batch, planned an epoch at a time.

Every sampler owns its random generator, can save its state and go on from it exactly, and gives each row a seed of
its own, so that augmentation does not depend on who loads the picture.
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from facenet.data.decks import Decks
from facenet.errors import CheckpointError, InputError, UsageError


class Draw(NamedTuple):
    """One row of a batch.

    Attributes:
        index: which picture.
        seed: 63-bit number for its augmentation, one of its own for every (sampler seed, epoch, position).
    """

    index: int  # type: ignore[assignment]  # hides tuple.index, which no row of a batch needs
    seed: int


class Sampler(ABC):
    """What all samplers share: generator, epoch counter, decks, and their state.

    Args:
        data: ``int`` of any shape, what the pictures are told apart by; a saved state fits no other.
        decks: ``int (size,)`` each, see :class:`facenet.data.decks.Decks`.
        seed: start of the generator.

    Raises:
        UsageError: a negative seed.
    """

    batches_per_epoch: int

    def __init__(self, data: np.ndarray, decks: Sequence[np.ndarray], seed: int) -> None:
        if seed < 0:
            raise UsageError(f"a seed of {seed}: at least 0")
        self.seed = seed
        self.epoch = 0
        self.rng = np.random.Generator(np.random.PCG64(seed))
        self._decks = Decks(decks, self.rng)
        self._data = hashlib.sha256(np.ascontiguousarray(data, dtype=np.int64).tobytes()).hexdigest()

    def epoch_batches(self) -> list[list[Draw]]:
        """Plan the next epoch and move on to the one after it."""
        batches = self._plan()
        rows = sum(map(len, batches))
        seeds = iter(np.random.default_rng([self.seed, self.epoch]).integers(0, 2**63, size=rows).tolist())
        self.epoch += 1
        return [[Draw(index, next(seeds)) for index in batch] for batch in batches]

    @abstractmethod
    def _plan(self) -> list[list[int]]:
        """The rows of each batch of the next epoch."""

    @abstractmethod
    def _shape(self) -> list[int]:
        """What the batches' sizes follow from."""

    def state_dict(self) -> dict[str, Any]:
        """All that the next epochs depend on, as numbers, strings and tensors (``torch.load(weights_only=True)``)."""
        return {
            "kind": type(self).__name__,
            "shape": self._shape(),
            "data": self._data,
            "seed": self.seed,
            "epoch": self.epoch,
            **self._decks.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where :meth:`state_dict` was called.

        Raises:
            CheckpointError: the state is of another sampler, another batch shape or other pictures.
        """
        try:
            for entry, ours in (("kind", type(self).__name__), ("shape", self._shape()), ("data", self._data)):
                if state[entry] != ours:
                    raise CheckpointError(f"the saved order of pictures does not fit: {entry} differs")
            self._decks.load_state_dict(state)
            self.seed, self.epoch = int(state["seed"]), int(state["epoch"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"the saved order of pictures cannot be read: {error}") from error


class PeopleSampler(Sampler):
    """Batches of P people with K pictures each, for triplets.

    People with two pictures or more are drawn in shuffled rounds, each once a round and never twice in a batch.
    Each gives its next K pictures; who has fewer gives all of them, then some again. People with one picture serve as
    negatives only: in some batches K of them, all different, take the place of one person. This needs P of at least
    3, because two people with several pictures must be left; with P = 2 they are not used (see ``unused``).

    Args:
        labels: ``int (n,)``, the person of each picture.
        people_per_batch: P, at least 2.
        images_per_person: K, at least 2.
        seed: start of the generator.

    Attributes:
        batches_per_epoch: ``ceil(n / (P·K))``.
        epochs_to_see_all: within the first so many epochs every picture not in ``unused`` is drawn, and within any
            three times as many consecutive ones later.
        unused: ``int64 (m,)``, pictures that are never drawn.

    Raises:
        UsageError: P or K below 2.
        InputError: fewer than two people with two pictures, fewer than P, or fewer than P·K pictures.
    """

    def __init__(self, labels: np.ndarray, *, people_per_batch: int, images_per_person: int, seed: int) -> None:
        if people_per_batch < 2 or images_per_person < 2:
            raise UsageError(f"a batch of {people_per_batch} people × {images_per_person} pictures: both at least 2")
        self.people_per_batch, self.images_per_person = people_per_batch, images_per_person
        people, singletons = _sort_out(labels)
        if people_per_batch > len(people):
            raise InputError(
                f"a batch of {people_per_batch} people needs as many with two pictures each: found {len(people)}"
            )
        placed = len(singletons) > 0 and people_per_batch >= 3
        self.unused = singletons[:0] if placed else np.sort(singletons)
        _refuse_large(people_per_batch * images_per_person, len(labels) - len(self.unused))

        self._people, self._singletons, self._round = len(people), len(people), len(people) + 1
        decks = [*people, singletons, np.arange(len(people))]
        super().__init__(labels, decks, seed)
        self.batches_per_epoch = math.ceil(len(labels) / (people_per_batch * images_per_person))
        hands = math.ceil(len(singletons) / images_per_person)
        self._singleton_batches = min(hands, self.batches_per_epoch) if placed else 0
        self.epochs_to_see_all = self._bound(max(map(len, people)), hands)

    def _bound(self, most_pictures: int, hands: int) -> int:
        rounds = math.ceil(most_pictures / self.images_per_person)
        people_an_epoch = self.batches_per_epoch * self.people_per_batch - self._singleton_batches
        epochs = math.ceil(rounds * self._people / people_an_epoch)
        if self._singleton_batches:
            epochs = max(epochs, math.ceil(hands / self._singleton_batches))
        return epochs

    def _shape(self) -> list[int]:
        return [self.people_per_batch, self.images_per_person]

    def _plan(self) -> list[list[int]]:
        chosen = self.rng.choice(self.batches_per_epoch, size=self._singleton_batches, replace=False)
        with_singletons = set(chosen.tolist())
        return [self._batch(number in with_singletons) for number in range(self.batches_per_epoch)]

    def _batch(self, with_singletons: bool) -> list[int]:
        wanted = dict.fromkeys(
            self._decks.take(self._round, self.people_per_batch - with_singletons).tolist(), self.images_per_person
        )
        rows: list[int] = []
        if with_singletons:
            available = min(self.images_per_person, self._decks.size(self._singletons))
            rows = self._decks.take(self._singletons, available).tolist()
            # Too few of them for a whole place: the person with the most pictures fills it up.
            wanted[max(wanted, key=self._decks.size)] += self.images_per_person - available
        for person, count in wanted.items():
            rows += self._pictures(person, count)
        return rows

    def _pictures(self, person: int, count: int) -> list[int]:
        size = self._decks.size(person)
        if size >= count:
            return self._decks.take(person, count).tolist()
        own = self._decks.take(person, size)
        return own.tolist() + self.rng.choice(own, size=count - size).tolist()


class BalancedSampler(Sampler):
    """Batches for a classification head.

    Balanced, every person is drawn equally often, whoever has how many pictures, and gives the next one in a shuffled
    order of their own. Otherwise every picture is drawn once an epoch.

    Args:
        labels: ``int (n,)``, the person of each picture.
        batch_size: at least 2.
        seed: start of the generator.
        balanced: whether people or pictures are equally likely.

    Attributes:
        batches_per_epoch: ``ceil(n / batch_size)``, or one less: a last batch of one picture, which batch
            normalisation cannot take, is added to the one before it.
        epochs_to_see_all: within the first so many epochs every picture is drawn, and within any three times as many
            consecutive ones later.

    Raises:
        UsageError: ``batch_size`` below 2.
        InputError: one person only, or fewer pictures than a batch.
    """

    def __init__(self, labels: np.ndarray, *, batch_size: int, seed: int, balanced: bool = True) -> None:
        if batch_size < 2:
            raise UsageError(f"a batch of {batch_size}: at least 2")
        own = per_person(labels)
        if len(own) < 2:
            raise InputError(f"telling people apart needs at least two: found {len(own)}")
        _refuse_large(batch_size, len(labels))
        self.batch_size, self.balanced = batch_size, balanced
        self._people, self._pictures = len(own), len(labels)
        everything = np.arange(len(labels) if not balanced else len(own))
        super().__init__(labels, [*(own if balanced else []), everything], seed)
        self.batches_per_epoch = len(cuts(len(labels), batch_size))
        self.epochs_to_see_all = math.ceil(max(map(len, own)) * len(own) / len(labels)) if balanced else 1

    def _shape(self) -> list[int]:
        return [self.batch_size, int(self.balanced)]

    def _plan(self) -> list[list[int]]:
        rows = self._balanced_rows() if self.balanced else self._decks.take(0, self._pictures).tolist()
        return [rows[start:stop] for start, stop in cuts(len(rows), self.batch_size)]

    def _balanced_rows(self) -> list[int]:
        rows: list[int] = []
        while len(rows) < self._pictures:
            people = self._decks.take(self._people, min(self._people, self._pictures - len(rows)))
            rows += [int(self._decks.take(person, 1)[0]) for person in people.tolist()]
        return rows


def batch_shape(batch_size: int, labels: np.ndarray, images_per_person: int = 4) -> tuple[int, int]:
    """From a batch size to ``(people, pictures of each)``, for :class:`PeopleSampler`.

    As many people as fit with ``images_per_person`` pictures each; if there are fewer people with two pictures or
    more, more pictures of each. The product is at most ``batch_size``.

    Raises:
        UsageError: ``batch_size`` below 4 or ``images_per_person`` below 2.
        InputError: fewer than two people with two pictures.
    """
    if batch_size < 4:
        raise UsageError(f"a batch of {batch_size}: triplets need at least 4 (two people with two pictures each)")
    if images_per_person < 2:
        raise UsageError(f"{images_per_person} pictures per person: triplets need at least 2")
    available = len(_sort_out(labels)[0])
    pictures = min(images_per_person, batch_size // 2)
    people = batch_size // pictures
    if people > available:
        people, pictures = available, batch_size // available
    return people, pictures


def sequential_batches(n: int, batch_size: int) -> list[list[Draw]]:
    """All of ``n`` pictures in order, for evaluation; the last batch may be smaller."""
    if batch_size < 1:
        raise UsageError(f"a batch of {batch_size}: at least 1")
    return [
        [Draw(index, index) for index in range(start, min(start + batch_size, n))] for start in range(0, n, batch_size)
    ]


def per_person(labels: np.ndarray) -> list[np.ndarray]:
    """Indices of each person's pictures, people in order of their label."""
    order = np.argsort(labels, kind="stable")
    _, starts = np.unique(labels[order], return_index=True)
    return np.split(order, starts[1:]) if len(order) else []


def _sort_out(labels: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Pictures of each person who has at least two, and the pictures of those who have one.

    Raises:
        InputError: fewer than two people with two pictures.
    """
    own = per_person(labels)
    people = [pictures for pictures in own if len(pictures) >= 2]
    singletons = [pictures for pictures in own if len(pictures) == 1]
    if len(people) < 2:
        needed = "triplets need at least two people with two pictures each"
        if len(own) == 1:
            raise InputError(f"{needed}: found one person only")
        if own and not people:
            raise InputError(f"{needed}: each of the {len(own)} people has one picture only")
        raise InputError(f"{needed}: found {len(people)} among {len(own)} people")
    return people, np.concatenate([np.empty(0, dtype=np.int64), *singletons]).astype(np.int64)


def _refuse_large(batch: int, pictures: int) -> None:
    if batch > pictures:
        raise InputError(
            f"a batch of {batch} is larger than the data: the largest usable batch is {pictures} (all pictures)"
        )


def cuts(rows: int, batch_size: int) -> list[tuple[int, int]]:
    """Where batches begin and end; a last batch of one row joins the one before it, unless all have one."""
    starts = list(range(0, rows, batch_size))
    if batch_size > 1 and len(starts) > 1 and rows - starts[-1] == 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], rows], strict=True))
