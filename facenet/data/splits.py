"""Which pictures and which people are held out, decided by hashes of their paths.

Two independent bits describe every split: a picture is held or not, a person is held or not. Because each bit comes
from a hash of the path and the seed, never from a position, adding people moves nobody else's pictures.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from facenet.data.folders import Folder
from facenet.data.given_split import held_by_folder
from facenet.errors import CheckpointError, InputError, UsageError, printable

KINDS = ("images", "people", "folder")


@dataclass(frozen=True)
class Holdout:
    """What to hold out for evaluation.

    Attributes:
        kind: ``"images"``: some pictures of everybody (closed set); ``"people"``: some people whole (open set);
            ``"folder"``: the pictures in the folder beside the training folder (closed set), see
            :mod:`facenet.data.given_split`.
        seed: changes which.
        images: fraction in ``[0, 1)`` of each person's pictures, for both kinds; 0 holds none.
        people: only for kind ``"people"``. A float in ``(0, 1)`` is a fraction, an int of at least 2 a number.
        names: only for kind ``"people"``: hold out exactly these, whatever ``people`` says.
        keep: of people trained on, pictures whose file names contain this word are not held out; empty: no such word.
    """

    kind: str = "images"
    seed: int = 0
    images: float = 0.2
    people: float | int = 0.25
    names: tuple[str, ...] = ()
    keep: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"hold out {', '.join(KINDS[:-1])} or {KINDS[-1]}, not {printable(self.kind)}")
        if not 0 <= self.images < 1:
            raise UsageError(f"the fraction of pictures held out must be in [0, 1), not {self.images}")
        if isinstance(self.people, int):
            if self.people < 2:
                raise UsageError(f"at least 2 people must be held out, not {self.people}")
        elif not 0 < self.people < 1:
            raise UsageError(f"the fraction of people held out must be between 0 and 1, not {self.people}")
        if self.names and self.kind != "people":
            raise UsageError("names of people to hold out go with kind 'people' only")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self) | {"names": list(self.names)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Holdout:
        """Read it back.

        Raises:
            CheckpointError: unknown or impossible values.
        """
        if not isinstance(values, Mapping) or set(values) - {field.name for field in fields(cls)}:
            raise CheckpointError("the held-out split holds entries this version does not know")
        try:
            return cls(**{**values, "names": tuple(values.get("names", ()))})
        except (TypeError, UsageError) as error:
            raise CheckpointError(f"the held-out split cannot be read: {error}") from error


@dataclass(frozen=True, eq=False)
class Split:
    """The two bits for every picture and person of one folder.

    Attributes:
        image_held: ``bool (n,)``, per picture.
        person_held: ``bool (people,)``, per person.
        labels: ``int64 (n,)``, the folder's labels.
    """

    image_held: np.ndarray
    person_held: np.ndarray
    labels: np.ndarray

    @property
    def train(self) -> np.ndarray:
        """``bool (n,)``: pictures to train on."""
        return ~self.image_held & ~self.person_held[self.labels]

    @property
    def held_images(self) -> np.ndarray:
        """``bool (n,)``: held pictures of people who are trained on (closed set)."""
        return self.image_held & ~self.person_held[self.labels]

    @property
    def held_people(self) -> np.ndarray:
        """``bool (n,)``: all pictures of people held out whole (open set)."""
        return self.person_held[self.labels]


def split_folder(folder: Folder, holdout: Holdout, groups: Mapping[str, str] | None = None) -> Split:
    """Assign both bits to every picture of ``folder``.

    Pictures: held if the hash of the path is below the fraction. Two pictures of each person always stay, so who
    has one or two is held out in nothing; who has three or more gives at least one (that with the smallest hash).

    Folder: held if in the folder beside the training folder, whatever else is so.

    People: held if the hash of the name is below the fraction, or those with the smallest hashes. Only people with
    two pictures or more are held, and at least two such people stay on either side.

    Args:
        folder: usable pictures.
        holdout: what to hold out.
        groups: path → key. Pictures of one person with the same key (near duplicates) are held together, so that
            none is tested on whose double was trained on. A path that is not named stands for itself.

    Raises:
        InputError: too few people or pictures to hold anything out, or an unknown name; says how many there are.
    """
    if holdout.kind == "folder":
        nobody = np.zeros(len(folder.people), dtype=bool)
        return Split(image_held=held_by_folder(folder), person_held=nobody, labels=folder.labels)
    image_held = _held_images(folder, holdout, {} if groups is None else groups)
    person_held = np.zeros(len(folder.people), dtype=bool)
    if holdout.kind == "people":
        person_held[_held_people(folder, holdout)] = True
    elif holdout.images > 0 and not image_held.any():
        raise InputError(
            f"no picture can be held out: none of the {len(folder.people)} people has three different ones; "
            "hold out whole people or nothing"
        )
    return Split(image_held=image_held, person_held=person_held, labels=folder.labels)


def _hash(seed: int, kind: str, name: str) -> int:
    """64 bits that depend on nothing but the arguments, on any machine."""
    # A file name that is no valid UTF-8 holds surrogates, which only this error handler lets through.
    text = f"{seed}|{kind}|{name}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big")


def _held_images(folder: Folder, holdout: Holdout, groups: Mapping[str, str]) -> np.ndarray:
    units: list[dict[str, list[int]]] = [defaultdict(list) for _ in folder.people]
    for index, (path, person) in enumerate(zip(folder.paths, folder.labels.tolist(), strict=True)):
        units[person][groups.get(path, path)].append(index)
    kept = folder.named_with(holdout.keep) if holdout.keep else np.zeros(len(folder), dtype=bool)
    held = np.zeros(len(folder), dtype=bool)
    if holdout.images == 0:
        return held
    threshold = int(holdout.images * 2**64)
    for own in units:
        staying = sum(map(len, own.values()))
        gave = False
        for value, key in sorted((_hash(holdout.seed, "image", key), key) for key in own):
            if kept[own[key]].any():
                continue
            if value >= threshold and gave:
                break
            if staying - len(own[key]) >= 2:
                held[own[key]] = True
                staying -= len(own[key])
                gave = True
    return held


def _held_people(folder: Folder, holdout: Holdout) -> list[int]:
    """Indices of the people held out whole."""
    counts = folder.counts()
    eligible = [person for person in range(len(folder.people)) if counts[person] >= 2]
    if len(eligible) < 4:
        raise InputError(
            "holding out people needs at least four with two pictures each, two to train on and two to test on: "
            f"found {len(eligible)}"
        )
    if holdout.names:
        held = _named(folder, holdout.names, eligible)
    else:
        ranked = sorted((_hash(holdout.seed, "person", folder.people[person]), person) for person in eligible)
        if isinstance(holdout.people, int):
            number = holdout.people
        else:
            threshold = int(holdout.people * 2**64)
            below = sum(value < threshold for value, _ in ranked)
            number = min(max(below, 2), len(eligible) - 2)
        held = [person for _, person in ranked[:number]]
    if len(held) < 2 or len(eligible) - len(held) < 2:
        raise InputError(
            f"cannot hold out {len(held)} of {len(eligible)} people with two pictures or more: "
            "two must be held out and two must stay"
        )
    return held


def _named(folder: Folder, names: Sequence[str], eligible: Sequence[int]) -> list[int]:
    number = {folder.people[person]: person for person in eligible}
    unknown = [name for name in dict.fromkeys(names) if name not in number]
    if unknown:
        listed = ", ".join(printable(name) for name in unknown)
        raise InputError(f"cannot hold out {listed}: no such person with two pictures or more")
    return [number[name] for name in dict.fromkeys(names)]
