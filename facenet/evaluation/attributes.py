"""Attributes of people or pictures from a CSV file: what error rates can be grouped by.

UTF-8, with a header, ``person,ATTRIBUTE[,ATTRIBUTE …]`` or ``image,ATTRIBUTE[,ATTRIBUTE …]``. Each further line gives
one person's or one image's values; an empty cell, or no line at all, means that the value is not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from facenet.errors import InputError, UsageError, printable
from facenet.evaluation.listfiles import csv_lines, malformed, read_text

NOT_GIVEN = "(not given)"
"""The group of samples whose value is not known."""

MOST_GROUPS = 50
"""Groups of one attribute: more are no groups but measurements, such as an age in years."""


_NAMED = 3


@dataclass(frozen=True, eq=False)
class Attribute:
    """One attribute, and the group of every sample.

    Attributes:
        name: as the file's header has it.
        groups: names in order; :data:`NOT_GIVEN` last, if some sample has no value.
        codes: ``(samples,)`` int32, place of each sample's group in ``groups``.
    """

    name: str
    groups: tuple[str, ...]
    codes: NDArray[np.int32]

    def __post_init__(self) -> None:
        if self.codes.ndim != 1 or self.codes.dtype != np.int32 or len(set(self.groups)) != len(self.groups):
            raise ValueError("each sample needs one group, as int32, and groups have different names")
        if len(self.codes) and not 0 <= self.codes.min() <= self.codes.max() < len(self.groups):
            raise ValueError(f"codes leave the {len(self.groups)} groups")


@dataclass(frozen=True, eq=False)
class Attributes:
    """What a file says about the samples of a study.

    Attributes:
        of: what its lines are about.
        attributes: in the order of its columns.
        unknown: names in it that no sample has, in the order of its lines; empty unless they were to be ignored.
    """

    of: Literal["person", "image"]
    attributes: tuple[Attribute, ...]
    unknown: tuple[str, ...] = ()


def read_attributes(
    file: Path, *, people: Sequence[str], samples: Sequence[str], unknown: Literal["refuse", "ignore"] = "refuse"
) -> Attributes:
    """Read a file of attributes, see the head of this module.

    Args:
        file: at most 256 MB.
        people: for each sample the name of its person.
        samples: for each sample its own name: path relative to the data.
        unknown: what to do with names in the file that no sample has: ``"refuse"``, or ``"ignore"``.

    Raises:
        UsageError: ``unknown`` is something else.
        MissingError: there is no such file.
        InputError: it is no such table; a line repeats a name with other values (with its number); an attribute has
            more than 50 groups; it names somebody unknown (all counted, the first few named); it names nobody known.
    """
    if unknown not in ("refuse", "ignore"):
        raise UsageError(f"unknown names are refused or ignored, not {printable(unknown)}")
    if len(people) != len(samples):
        raise InputError(f"{len(samples)} samples need one person each, got {len(people)}")
    of, names, values = _table(file)
    wanted = people if of == "person" else [_spelling(sample) for sample in samples]
    known = set(wanted)
    strangers = tuple(name for name in values if name not in known)
    if strangers and unknown == "refuse":
        named = ", ".join(printable(name) for name in strangers[:_NAMED])
        more = " and others" if len(strangers) > _NAMED else ""
        raise InputError(
            f"{printable(file)} names {len(strangers):,} of {len(values):,} {_plural(of)} that are not measured here: "
            f"{named}{more}"
        )
    if len(strangers) == len(values):
        raise InputError(f"{printable(file)} says nothing about the {_plural(of)} that are measured here")
    empty = ("",) * len(names)
    rows = [values.get(name, empty) for name in wanted]
    columns = zip(*rows, strict=True) if rows else iter([()] * len(names))
    attributes = tuple(_attribute(file, name, column) for name, column in zip(names, columns, strict=True))
    return Attributes(of, attributes, strangers)


def _attribute(file: Path, name: str, column: Sequence[str]) -> Attribute:
    """Number the groups, those without a value last."""
    given = [value if value else NOT_GIVEN for value in column]
    groups = sorted(set(given), key=lambda group: (group == NOT_GIVEN, group))
    if len(groups) > MOST_GROUPS:
        raise InputError(
            f"{printable(file)}: {printable(name)} has {len(groups):,} different values, and at most {MOST_GROUPS} "
            "groups can be told apart: give ranges instead of numbers"
        )
    place = {group: code for code, group in enumerate(groups)}
    return Attribute(name, tuple(groups), np.array([place[group] for group in given], dtype=np.int32))


def _table(file: Path) -> tuple[Literal["person", "image"], list[str], dict[str, tuple[str, ...]]]:
    """What the lines are about, the names of the attributes, and the values by name, in order."""
    rows = csv_lines(file, read_text(file))
    _, header = next(rows, (1, []))
    of = header[0].strip().lower() if header else ""
    names = [name.strip() for name in header[1:]]
    if of not in ("person", "image") or not names or "" in names:
        raise malformed(file, 1, "expected the header `person,ATTRIBUTE` or `image,ATTRIBUTE`, with more if need be")
    if len(set(names)) < len(names):
        raise malformed(file, 1, "two columns have the same name")
    values: dict[str, tuple[str, ...]] = {}
    for line, cells in rows:
        if len(cells) != len(header):
            raise malformed(file, line, f"has {len(cells)} columns instead of {len(header)}")
        name = _spelling(cells[0]) if of == "image" else cells[0]
        if not name:
            raise malformed(file, line, f"names no {of}")
        found = tuple(cell.strip() for cell in cells[1:])
        if values.setdefault(name, found) != found:
            raise malformed(file, line, f"gives {printable(name)} other values than a line before")
    return ("person" if of == "person" else "image"), names, values


def _spelling(path: str) -> str:
    """The shortest spelling of a relative path: ``./a//b.jpg`` is ``a/b.jpg``."""
    return PurePath(path).as_posix() if path else ""


def _plural(of: str) -> str:
    return "people" if of == "person" else "images"
