"""What is in a folder of people, what is wrong with it, and what is left once the unusable is taken out.

The rule, the same for every command: pictures that cannot be read are left out; of pictures of one person that are
the same byte for byte the first stays; a picture filed under two people is left out everywhere, for nobody knows whose
it is. Near duplicates stay, and are named so that a split can keep them together.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from facenet.data.contents import Contents, Progress, read_contents
from facenet.data.duplicates import linked, near_pairs
from facenet.data.folders import Folder, LeftOut
from facenet.errors import InputError, printable

SPLIT_NAMES = frozenset({"train", "training", "val", "valid", "validation", "dev", "test", "testing", "eval"})
"""Names (lower case) by which folders directly below the root are taken for splits, if there are two or more."""


@dataclass(frozen=True)
class Overlap:
    """What two splits have in common.

    Attributes:
        first, second: names of the splits.
        people: names of people in both.
        exact: pairs of pictures, one in each, that are the same byte for byte (one pair for each such picture).
        near: pairs of pictures, one in each, that look the same.
    """

    first: str
    second: str
    people: tuple[str, ...]
    exact: tuple[tuple[str, str], ...]
    near: tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False)
class Audit:
    """Findings about one folder. Pictures are named by their path relative to its root.

    Attributes:
        folder: what was found by name.
        usable: what is left by the rule.
        left_out: everything that is not used, each with its reason, sorted by path.
        unreadable: those of ``left_out`` that are no readable pictures.
        exact: groups of pictures of one person with the same bytes; the first of each is used.
        conflicts: groups of pictures with the same bytes under different people; none is used.
        near: groups of pictures of one person that look the same; all are used.
        near_conflicts: pairs of pictures that look the same under different people; both are used.
        overlaps: what each two splits have in common, if anything.
        groups: path → key for every usable picture that has look-alikes, equal keys for look-alikes; made for
            :func:`facenet.data.splits.split_folder`.
    """

    folder: Folder
    usable: Folder
    left_out: tuple[LeftOut, ...]
    unreadable: tuple[LeftOut, ...]
    exact: tuple[tuple[str, ...], ...]
    conflicts: tuple[tuple[str, ...], ...]
    near: tuple[tuple[str, ...], ...]
    near_conflicts: tuple[tuple[str, str], ...]
    overlaps: tuple[Overlap, ...]
    groups: dict[str, str]

    @property
    def singletons(self) -> tuple[str, ...]:
        """People with one usable picture."""
        return tuple(self.usable.people[person] for person in np.flatnonzero(self.usable.counts() == 1))

    def to_dict(self) -> dict[str, Any]:
        """All findings as plain values, for JSON; bytes of a file name that are no text are shown escaped."""
        counts = self.usable.counts()
        document = {
            "root": str(self.folder.root),
            "pictures_found": len(self.folder),
            "people": len(self.usable.people),
            "images": len(self.usable),
            "images_per_person": {
                "min": int(counts.min()),
                "median": float(np.median(counts)),
                "max": int(counts.max()),
            },
            "singletons": self.singletons,
            "unreadable": [entry._asdict() for entry in self.unreadable],
            "exact_duplicates": self.exact,
            "near_duplicates": self.near,
            "under_two_people": self.conflicts,
            "near_under_two_people": self.near_conflicts,
            "overlaps": [asdict(overlap) for overlap in self.overlaps],
            "left_out": [entry._asdict() for entry in self.left_out],
        }
        return {key: _for_json(value) for key, value in document.items()}

    def rows(self) -> list[tuple[str, str]]:
        """Counts for a table: what, how many."""
        counts = self.usable.counts()
        rows = [
            ("people", f"{len(self.usable.people):,}"),
            ("usable pictures", f"{len(self.usable):,}"),
            ("pictures per person: least", f"{counts.min():,}"),
            ("pictures per person: median", f"{np.median(counts):,g}"),
            ("pictures per person: most", f"{counts.max():,}"),
            ("people with one picture", f"{len(self.singletons):,}"),
            ("left out", f"{len(self.left_out):,}"),
            ("of these unreadable", f"{len(self.unreadable):,}"),
            ("of these copies, same bytes", f"{sum(len(group) - 1 for group in self.exact):,}"),
            ("of these under two people", f"{sum(map(len, self.conflicts)):,}"),
            ("near duplicates, groups", f"{len(self.near):,}"),
            ("near duplicates under two people", f"{len(self.near_conflicts):,}"),
        ]
        return rows + [
            (f"in both {printable(overlap.first)} and {printable(overlap.second)}: {what}", f"{len(found):,}")
            for overlap in self.overlaps
            for what, found in (("people", overlap.people), ("pictures", overlap.exact), ("near", overlap.near))
        ]

    def lines(self, limit: int = 20, *, shared_people: bool = True) -> list[str]:
        """What needs attention, one line each, nothing if nothing does; of each kind at most ``limit`` are named.

        Args:
            limit: of each kind.
            shared_people: name the people who are in two splits; where they are meant to be, that is no news.
        """
        left_out = [f"{entry.path}: {entry.reason}" for entry in self.left_out]
        lines = _listed(f"left out {len(left_out):,}:", left_out, limit)
        doubtful = [f"{first} ~ {second}" for first, second in self.near_conflicts]
        lines += _listed("nearly the same picture under two people (used; look at them):", doubtful, limit)
        for overlap in self.overlaps:
            where = f"in both {printable(overlap.first)} and {printable(overlap.second)}"
            pairs = [f"{first} = {second}" for first, second in overlap.exact]
            pairs += [f"{first} ~ {second}" for first, second in overlap.near]
            if shared_people:
                lines += _listed(f"people {where}:", overlap.people, limit)
            lines += _listed(f"pictures {where}:", pairs, limit)
        return lines


def audit_folder(
    folder: Folder, *, other: Folder | None = None, threads: int | None = None, progress: Progress | None = None
) -> Audit:
    """Read every picture of ``folder`` once, and see what is the matter with it.

    Args:
        folder: pictures found by name.
        other: another folder, such as the one to test on; what both have in common is reported.
        threads: files read at a time, and so pictures held in memory; default: one for each core, at most 8.
        progress: told how far it is: (pictures done, pictures in all).

    Raises:
        InputError: no picture can be used; says why.
    """
    rows = _Rows(folder, other)
    contents = read_contents(rows.files, threads=threads, progress=progress)
    twins = contents.twins()
    own = [[row for row in group if row < len(folder)] for group in twins]
    conflicts = [group for group in own if len(rows.people_of(group)) > 1]
    exact = [group for group in own if len(rows.people_of(group)) == 1 and len(group) > 1]

    unused = {row: reason for row, reason in contents.unreadable.items() if row < len(folder)}
    unreadable = _left_out(folder, unused)
    for group in conflicts:
        names = " and ".join(sorted(rows.people_of(group)))
        unused |= dict.fromkeys(group, f"the same picture is filed under {names}")
    for first, *copies in exact:
        unused |= dict.fromkeys(copies, f"the same picture as {folder.paths[first]}")
    usable = np.ones(len(folder), dtype=bool)
    usable[list(unused)] = False
    if not usable.any():
        reasons = ", ".join(f"{count} × {printable(why)}" for why, count in Counter(unused.values()).most_common(3))
        raise InputError(f"none of the {len(folder)} pictures below {printable(folder.root)} can be used: {reasons}")

    pairs = _look_alikes(contents, usable)
    inside = pairs[pairs[:, 1] < len(folder)]
    same = folder.labels[inside[:, 0]] == folder.labels[inside[:, 1]]
    mixed = [(a, b) for a, b in inside.tolist() if rows.people[a] != rows.people[b]]
    return Audit(
        folder=folder,
        usable=folder.select(usable),
        left_out=tuple(sorted([*folder.left_out, *_left_out(folder, unused)], key=lambda entry: entry.path.split("/"))),
        unreadable=unreadable,
        exact=tuple(rows.paths_of(group) for group in exact),
        conflicts=tuple(rows.paths_of(group) for group in conflicts),
        near=tuple(rows.paths_of(group) for group in linked(len(folder), inside[same])),
        near_conflicts=tuple((rows.paths[a], rows.paths[b]) for a, b in mixed),
        overlaps=rows.overlaps(twins, pairs),
        groups={rows.paths[row]: rows.paths[group[0]] for group in linked(len(folder), inside) for row in group},
    )


class _Rows:
    """All pictures of one folder, and behind them those of another.

    Attributes:
        paths, files: of each picture.
        people: the name of whom it shows, without the split's.
        sides: its split, an index into ``names``, or -1 for none.
        names: of the splits: folders directly below the root, or the two folders themselves.
    """

    def __init__(self, folder: Folder, other: Folder | None) -> None:
        folders = [folder] if other is None else [folder, other]
        self.names = _split_names(folder) if other is None else _short_names(folder, other)
        self.paths = [path for part in folders for path in part.paths]
        self.files = [part.root / path for part in folders for path in part.paths]
        self.people: list[str] = []
        self.sides: list[int] = []
        for side, part in enumerate(folders):
            splits = _split_names(part)
            for name in (part.people[label] for label in part.labels):
                top, _, rest = name.partition("/")
                inside = rest and top in splits
                self.people.append(rest if inside else name)
                self.sides.append(side if other is not None else splits.index(top) if inside else -1)

    def people_of(self, rows: Iterable[int]) -> set[str]:
        return {self.people[row] for row in rows}

    def paths_of(self, rows: Iterable[int]) -> tuple[str, ...]:
        return tuple(self.paths[row] for row in rows)

    def overlaps(self, twins: Sequence[Sequence[int]], near: np.ndarray) -> tuple[Overlap, ...]:
        """What each two splits have in common."""
        members: dict[int, set[str]] = defaultdict(set)
        for side, person in zip(self.sides, self.people, strict=True):
            members[side].add(person)
        overlaps = []
        for first, second in combinations(range(len(self.names)), 2):
            people = tuple(sorted(members[first] & members[second]))
            exact = [pair for group in twins if (pair := self._across(group, first, second))]
            alike = [pair for rows in near.tolist() if (pair := self._across(rows, first, second))]
            if people or exact or alike:
                overlaps.append(Overlap(self.names[first], self.names[second], people, tuple(exact), tuple(alike)))
        return tuple(overlaps)

    def _across(self, rows: Sequence[int], first: int, second: int) -> tuple[str, str] | None:
        """The first picture in each of two splits, if both are among ``rows``."""
        found = {self.sides[row]: self.paths[row] for row in reversed(rows)}
        return (found[first], found[second]) if first in found and second in found else None


def _split_names(folder: Folder) -> list[str]:
    """Names of the folders directly below the root that are splits; one alone is none."""
    tops = dict.fromkeys(name.partition("/")[0] for name in folder.people if "/" in name)
    names = [top for top in tops if top.lower() in SPLIT_NAMES]
    return names if len(names) > 1 else []


def _short_names(first: Folder, second: Folder) -> list[str]:
    """What to call two folders: their own names where these tell them apart, else the whole paths."""
    short = [first.root.name, second.root.name]
    return short if all(short) and short[0] != short[1] else [str(first.root), str(second.root)]


def _look_alikes(contents: Contents, usable: np.ndarray) -> np.ndarray:
    """Pairs of rows ``int64 (m, 2)`` that look the same but are not, at least one of them in the first folder."""
    digests, size = contents.digests, len(usable)
    beyond = {digests[row]: row for row in range(len(digests) - 1, size - 1, -1) if digests[row]}
    rows = np.array([*np.flatnonzero(usable), *sorted(beyond.values())], dtype=np.int64)
    pairs = rows[near_pairs(contents.looks[rows])]
    telling = [a < size and digests[a] != digests[b] for a, b in pairs.tolist()]
    return pairs[np.array(telling, dtype=bool)]


def _left_out(folder: Folder, reasons: dict[int, str]) -> tuple[LeftOut, ...]:
    return tuple(LeftOut(folder.paths[row], reasons[row]) for row in sorted(reasons))


def _listed(title: str, entries: Sequence[str], limit: int) -> list[str]:
    if not entries:
        return []
    lines = [title, *(f"  {printable(entry)}" for entry in entries[:limit])]
    return lines if len(entries) <= limit else [*lines, f"  and {len(entries) - limit:,} more"]


def _for_json(value: Any) -> Any:
    """Lists for tuples, and text that any writer of JSON can encode."""
    if isinstance(value, dict):
        return {key: _for_json(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_for_json(entry) for entry in value]
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return value
