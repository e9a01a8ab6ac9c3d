"""Files that say which pictures are to be compared: the LFW format, and CSV.

**LFW** (``pairs.txt`` of Labeled Faces in the Wild, and its development files). The first line holds the number of
folds and the number of pairs of each kind per fold, ``10<TAB>300``, or the latter alone. Then come, fold by fold, the
pairs of one person, ``name<TAB>i<TAB>j``, and those of two, ``name<TAB>i<TAB>other name<TAB>j``. Picture ``i`` of a
person is ``name/name_000i.jpg`` below the root, or if that is not there, the same with another ending.

**CSV**, UTF-8, with a header: ``a,b,same`` or ``a,b,same,fold``. ``a`` and ``b`` are paths relative to the root,
``same`` is 1 or 0 (or true or false), ``fold`` a whole number.

Nothing is passed over: a line that cannot be read ends the reading, and so does a picture that is not there, unless it
is asked for as a failure. A pair left out in silence would shift the folds and change the figure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from facenet.errors import InputError, MissingError, UsageError, printable
from facenet.evaluation.listfiles import csv_lines, malformed, path_below, read_text
from facenet.images import SUFFIXES

Missing = Literal["refuse", "as-failure"]
"""What becomes of pictures that are not there: ``refuse``: all are listed and nothing is done; ``as-failure``: every
comparison with them counts as wrong."""

_LISTED = 50
_TRUTH = {"1": True, "true": True, "0": False, "false": False}
_LFW_HEADER = re.compile(r"(?:(?P<folds>[0-9]{1,9})\s+)?(?P<pairs>[0-9]{1,9})\s*")


@dataclass(frozen=True, eq=False)
class PairList:
    """Pictures, and which of them are to be compared.

    Attributes:
        paths: ``n`` picture files, each once, in the order they are first named.
        people: ``(n,)`` int64, whom each shows, in ``[0, n)``. In the LFW format people have names. In CSV, pictures
            are of one person if ``same`` pairs link them, directly or over others; so a person whose pictures are not
            all linked counts as several, which makes intervals by person too narrow.
        first, second: ``(m,)`` int64 indices into ``paths``; never equal.
        same: ``(m,)`` bool, true where both show one person; in keeping with ``people``.
        folds: ``(m,)`` int64, not negative; the LFW format counts from 0, a CSV without the column has 0 throughout.
    """

    paths: tuple[str, ...]
    people: NDArray[np.int64]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    same: NDArray[np.bool_]
    folds: NDArray[np.int64]

    def __post_init__(self) -> None:
        if not self.first.shape == self.second.shape == self.same.shape == self.folds.shape == (len(self),):
            raise ValueError("pairs need four arrays of one length")
        if self.people.shape != (len(self.paths),):
            raise ValueError("every picture needs one person")
        if not np.array_equal(self.people[self.first] == self.people[self.second], self.same):
            raise ValueError("the people of some pairs contradict whether the pair shows one person")

    def __len__(self) -> int:
        return len(self.first)


def read_pair_list(file: Path, *, root: Path | None = None, missing: Missing = "refuse") -> PairList:
    """Read a file of pairs. Which format it has is told from its first line.

    Args:
        file: in either format, see the head of this module.
        root: the folder below which the pictures lie; without it, the folder of ``file``. No path in ``file`` may be
            absolute or lead upwards out of it.
        missing: ``as-failure`` keeps pictures that are not there among ``paths``; an LFW file's end in ``.jpg`` then.

    Raises:
        MissingError: there is no such file, or pictures are not there and ``missing`` is ``refuse`` (see
            :func:`listed`).
        UsageError: ``missing`` is neither.
        InputError: a line cannot be understood or contradicts others (with its number), or there is no pair at all.
    """
    if missing not in get_args(Missing):
        raise UsageError(f"missing is {' or '.join(get_args(Missing))}, not {printable(missing)}")
    text = read_text(file)
    lfw = _LFW_HEADER.fullmatch(text.partition("\n")[0].rstrip("\r"))
    where = file.parent if root is None else root
    rows = list(_csv_rows(file, text) if lfw is None else _lfw_rows(file, text, lfw, where))
    if not rows:
        raise InputError(f"{printable(file)} holds no pair")
    index: dict[str, int] = {}
    for row in rows:
        for path in (row.a, row.b):
            index.setdefault(path, len(index))
    first = np.array([index[row.a] for row in rows], dtype=np.int64)
    second = np.array([index[row.b] for row in rows], dtype=np.int64)
    same = np.array([row.same for row in rows], dtype=np.bool_)
    for wrong in np.flatnonzero(first == second)[:1]:
        raise malformed(file, rows[wrong].line, "compares a picture with itself")
    people = _linked(first, second, same, rows, index)
    for wrong in np.flatnonzero((people[first] == people[second]) != same)[:1]:
        raise malformed(file, rows[wrong].line, "tells two pictures apart that other lines, or names, call one person")
    paths = tuple(str(where / path) for path in index)
    if missing == "refuse":
        _require_pictures(paths)
    return PairList(paths, people, first, second, same, np.array([row.fold for row in rows], dtype=np.int64))


def listed(names: Sequence[object]) -> str:
    """Names for the end of a message, each on a line of its own: the first 50, and how many more there are."""
    more = [f"and {len(names) - _LISTED:,} more"] if len(names) > _LISTED else []
    return "".join(f"\n  {printable(name)}" for name in [*names[:_LISTED], *more])


class _Row(NamedTuple):
    """One pair, where it stands, and the names of its people where they have any."""

    line: int
    a: str
    b: str
    same: bool
    fold: int
    names: tuple[str, str] | None = None


def _lfw_rows(file: Path, text: str, header: re.Match[str], root: Path) -> Iterator[_Row]:
    """The pairs of an LFW file; its header says how many lines there must be, and of which kind each is."""
    lines = text.replace("\r\n", "\n").rstrip("\n").split("\n")
    folds, pairs = int(header["folds"] or 1), int(header["pairs"])
    expected, found = 2 * folds * pairs, len(lines) - 1
    if found != expected:
        # The line after the last one, or the first one too many.
        raise malformed(
            file, min(found, expected) + 2, f"line 1 announces {expected:,} pairs, and there are {found:,} lines"
        )
    for number, words in enumerate(_words(line) for line in lines[1:]):
        line, (fold, place) = number + 2, divmod(number, 2 * pairs)
        same = place < pairs
        if len(words) != (3 if same else 4):
            wanted = "`name i j`, two pictures of one person" if same else "`name i name j`, pictures of two people"
            raise malformed(file, line, f"should be {wanted}")
        name, other = (words[0], words[0]) if same else (words[0], words[2])
        one, two = (
            _lfw_picture(file, line, root, *pair) for pair in ((name, words[-2 if same else 1]), (other, words[-1]))
        )
        yield _Row(line, one, two, same, fold, (name, other))


def _words(line: str) -> list[str]:
    return line.split("\t") if "\t" in line else line.split()


def _lfw_picture(file: Path, line: int, root: Path, name: str, number: str) -> str:
    if not re.fullmatch(r"[0-9]{1,9}", number):
        raise malformed(file, line, f"{printable(number)} is no number of a picture")
    if name in ("", "..") or PurePath(name).name != name or "\0" in name:
        raise malformed(file, line, f"{printable(name)} cannot be the name of a person's folder")
    stem = f"{name}/{name}_{int(number):04d}"
    endings = [".jpg", *sorted(SUFFIXES - {".jpg"})]
    return next((stem + ending for ending in endings if (root / (stem + ending)).is_file()), stem + ".jpg")


def _csv_rows(file: Path, text: str) -> Iterator[_Row]:
    lines = csv_lines(file, text)
    line, header = next(lines, (1, []))
    names = [name.strip().lower() for name in header]
    if line != 1 or names not in (["a", "b", "same"], ["a", "b", "same", "fold"]):
        expected = "expected the header `a,b,same` or `a,b,same,fold`, or the two numbers an LFW file begins with"
        raise malformed(file, 1, expected)
    for line, cells in lines:
        yield _csv_row(file, line, cells, len(header))


def _csv_row(file: Path, line: int, cells: list[str], columns: int) -> _Row:
    if len(cells) != columns:
        raise malformed(file, line, f"has {len(cells)} columns instead of {columns}")
    same = _TRUTH.get(cells[2].strip().lower())
    if same is None:
        raise malformed(file, line, f"`same` is 1 or 0, not {printable(cells[2])}")
    fold = cells[3].strip() if columns == 4 else "0"
    if not re.fullmatch(r"[0-9]{1,9}", fold):
        raise malformed(file, line, f"{printable(fold)} is no number of a fold")
    return _Row(line, path_below(file, line, cells[0]), path_below(file, line, cells[1]), same, int(fold))


def _linked(
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    same: NDArray[np.bool_],
    rows: list[_Row],
    index: dict[str, int],
) -> NDArray[np.int64]:
    """Whom each picture shows: by name, or by being linked."""
    names = {path: name for row in rows if row.names for path, name in zip((row.a, row.b), row.names, strict=True)}
    if names:
        _, codes = np.unique([names[path] for path in index], return_inverse=True)
        return codes.astype(np.int64)
    links = coo_array((np.ones(int(same.sum())), (first[same], second[same])), shape=(len(index), len(index)))
    return connected_components(links, directed=False)[1].astype(np.int64)


def _require_pictures(paths: tuple[str, ...]) -> None:
    missing = [path for path in paths if not Path(path).is_file()]
    if missing:
        raise MissingError(f"{len(missing):,} of {len(paths):,} pictures are not there:{listed(missing)}")
