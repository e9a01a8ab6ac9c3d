"""The text files of the IJB benchmarks: which pictures make up a template, where the faces are, what is compared.

The layout is the one in which the 1:1 protocols of IJB-B and IJB-C are passed round. One thing a line, in columns
divided by blanks, without a header:

* **media**, ``NAME TEMPLATE_ID MEDIA_ID``: a picture, the template it belongs to, and the medium it comes from, a photo
  or a video of which it is a frame (``ijbb_face_tid_mid.txt``);
* **pairs**, ``TEMPLATE_ID TEMPLATE_ID LABEL``: two templates; label 1 if they are of one person, 0 if of two
  (``ijbb_template_pair_label.txt``);
* **landmarks**, ``NAME x1 y1 x2 y2 x3 y3 x4 y4 x5 y5 SCORE``: five points in the order of
  :class:`facenet.detection.faces.FoundFace`, and how sure their finder was (``ijbb_name_5pts_score.txt``).

Ids are whole numbers of at most 18 digits. Empty lines say nothing; every other line that cannot be read ends the
reading.
"""

from __future__ import annotations

import io
import re
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from facenet.detection.alignment import similarity, template
from facenet.detection.faces import FoundFace
from facenet.errors import InputError, MissingError, printable
from facenet.evaluation.listfiles import malformed, path_below

_NAMED = 3
_MOST_BYTES = 2**28
_MOST_PAIR_BYTES = 2**31
_AT_ONCE = 2**22
_LONGEST_LINE = 2**16

_MEDIA_LINE = "`NAME TEMPLATE_ID MEDIA_ID`"
_PAIR_LINE = "`TEMPLATE_ID TEMPLATE_ID LABEL`, two different templates and 1 or 0"
_LANDMARKS_LINE = "`NAME x1 y1 x2 y2 x3 y3 x4 y4 x5 y5 SCORE`"

_FRAME = np.array([(0, 0), (95, 0), (0, 111), (95, 111)])
"""Corners of the frame of an aligned face, at the size the landmarks' template was made for."""

_FURTHEST = 1e6
"""Landmarks lie within so many pixels of the photo's corner: no photo is larger."""

_SPREAD = 1.0
"""Five landmarks reach over so many pixels at least: fewer make no face."""


@dataclass(frozen=True, eq=False)
class Media:
    """Which picture belongs to which template, and to which medium.

    Attributes:
        names: ``n`` file names below the folder of the pictures, one for each line; a picture that is in several
            templates has several lines.
        templates: ``(n,)`` int64, id of the template.
        media: ``(n,)`` int64, id of the medium.
    """

    names: tuple[str, ...]
    templates: NDArray[np.int64]
    media: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.templates.shape != (len(self),) or self.media.shape != (len(self),):
            raise InputError(f"{len(self)} pictures need one template and one medium each")

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, eq=False)
class TemplatePairs:
    """Which templates are compared.

    Attributes:
        first, second: ``(n,)`` int64, ids of templates; never equal.
        genuine: ``(n,)`` bool, true where both are of one person.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    genuine: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if not self.first.shape == self.second.shape == self.genuine.shape == (len(self),):
            raise InputError("pairs of templates need three arrays of one length")

    def __len__(self) -> int:
        return len(self.first)


@dataclass(frozen=True, eq=False)
class Landmarks:
    """The landmarks of one face in each of ``n`` photos.

    Attributes:
        points: ``float64 (n, 5, 2)``, ``(x, y)`` in pixels of the upright photo, in the order of
            :class:`facenet.detection.faces.FoundFace`.
        scores: ``float64 (n,)`` in ``[0, 1]``, how sure their finder was.
    """

    points: NDArray[np.float64]
    scores: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.points)

    def __iter__(self) -> Iterator[FoundFace]:
        """Each as a found face. Its box, which the files do not give, is the upright rectangle around the frame that
        the aligned face has in the photo."""
        for points, score in zip(self.points, self.scores.tolist(), strict=True):
            back = similarity(template(112, 96), points)
            frame = _FRAME @ back[:, :2].T + back[:, 2]
            (left, top), (right, bottom) = frame.min(axis=0).tolist(), frame.max(axis=0).tolist()
            yield FoundFace((left, top, right, bottom), tuple((x, y) for x, y in points.tolist()), score)


def read_media(file: Path) -> Media:
    """Read which picture belongs to which template, and to which medium.

    Raises:
        MissingError: there is no such file.
        InputError: it is larger than 256 MB or names no picture, or a line cannot be understood, leads out of the
            folder of the pictures, or puts a picture into a template twice (with its number).
    """
    names: list[str] = []
    ids = array("q")
    seen: set[tuple[str, int]] = set()
    for line, name, cells in _rows(file, 2, _MEDIA_LINE):
        if not all(re.fullmatch(r"[0-9]{1,18}", cell) for cell in cells):
            raise malformed(file, line, f"should be {_MEDIA_LINE}, ids of at most 18 digits")
        template_id, medium = map(int, cells)
        if (name, template_id) in seen:
            raise malformed(file, line, f"puts {printable(name)} into template {template_id} a second time")
        seen.add((name, template_id))
        names.append(name)
        ids.extend((template_id, medium))
    if not names:
        raise InputError(f"{printable(file)} names no picture")
    table = np.array(ids, dtype=np.int64).reshape(-1, 2)
    return Media(tuple(names), table[:, 0].copy(), table[:, 1].copy())


def read_landmarks(file: Path, names: Sequence[str]) -> Landmarks:
    """Read where the faces of these pictures are.

    Args:
        file: may tell of other pictures too.
        names: pictures, as in :attr:`Media.names`; one may come several times.

    Returns:
        The landmarks of each, in the order of ``names``.

    Raises:
        MissingError: there is no such file.
        InputError: it is larger than 256 MB, a line cannot be understood, tells of a picture a second time, or gives
            points or a score that cannot be (with its number), or pictures have no line (all are counted).
    """
    rows: dict[str, int] = {}
    values = array("d")
    for line, name, cells in _rows(file, 11, _LANDMARKS_LINE):
        if name in rows:
            raise malformed(file, line, f"tells of {printable(name)} a second time, after line {rows[name]}")
        rows[name] = len(rows)
        try:
            values.extend(map(float, cells))
        except ValueError as error:
            raise malformed(file, line, f"should be {_LANDMARKS_LINE}") from error
        if not _can_be(values[-11:]):
            raise malformed(file, line, "has points or a score, between 0 and 1, that cannot be those of a face")
    without = [name for name in dict.fromkeys(names) if name not in rows]
    if without:
        named = ", ".join(map(printable, without[:_NAMED])) + (" and others" if len(without) > _NAMED else "")
        raise InputError(f"{printable(file)} has no landmarks of {len(without):,} pictures: {named}")
    table = np.array(values, dtype=np.float64).reshape(-1, 11)[[rows[name] for name in names]]
    return Landmarks(table[:, :10].reshape(-1, 5, 2), table[:, 10])


def _can_be(values: Sequence[float]) -> bool:
    """Whether these can be five points of a face, and a score. Written so that NaN cannot."""
    points = values[:10]
    if not (all(abs(value) <= _FURTHEST for value in points) and 0 <= values[10] <= 1):
        return False
    return max(max(points[axis::2]) - min(points[axis::2]) for axis in (0, 1)) >= _SPREAD


def read_template_pairs(file: Path) -> TemplatePairs:
    """Read which templates are compared: millions of lines a second.

    Memory is needed for 34 bytes a pair at most, and given back down to 17.

    Raises:
        MissingError: there is no such file.
        InputError: it is larger than 2 GB or holds no pair, or a line cannot be understood or compares a template with
            itself (with its number).
    """
    blocks: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]] = []
    line = 1
    with _opened(file, _MOST_PAIR_BYTES) as stream:
        while text := stream.read(_AT_ONCE):
            text += stream.readline(_LONGEST_LINE)
            table = _pair_table(text)
            if table is None:
                raise malformed(file, line + _first_wrong(text), f"should be {_PAIR_LINE}")
            blocks.append((table[:, 0].copy(), table[:, 1].copy(), table[:, 2] == 1))
            line += text.count(b"\n")
    if not sum(len(genuine) for _, _, genuine in blocks):
        raise InputError(f"{printable(file)} holds no pair")
    first, second, genuine = (np.concatenate(column) for column in zip(*blocks, strict=True))
    return TemplatePairs(first, second, genuine)


def _pair_table(text: bytes) -> NDArray[np.int64] | None:
    """Lines of pairs as ``int64 (lines, 3)``, or None if one of them is none."""
    if not text.strip():
        return np.empty((0, 3), dtype=np.int64)
    try:
        table = np.loadtxt(io.BytesIO(text), dtype=np.int64, comments=None, ndmin=2)
    except ValueError:
        return None
    if table.shape[1] != 3 or table.min() < 0 or table[:, 2].max() > 1 or (table[:, 0] == table[:, 1]).any():
        return None
    return table


def _first_wrong(text: bytes) -> int:
    """The number, from 0, of the first line that is no pair, in a text that has one: by halving."""
    lines = text.split(b"\n")
    low, high = 0, len(lines)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _pair_table(b"\n".join(lines[low:middle])) is None else (middle, high)
    return low


def _rows(file: Path, columns: int, layout: str) -> Iterator[tuple[int, str, list[str]]]:
    """Number, name and other columns of each line that says something. Blanks within a name are part of it."""
    with _opened(file, _MOST_BYTES) as stream:
        for line, data in enumerate(stream, start=1):
            try:
                cells = data.decode("utf-8").rsplit(None, columns)
            except UnicodeDecodeError as error:
                raise malformed(file, line, "is not UTF-8 text") from error
            if not cells:
                continue
            if len(cells) != columns + 1:
                raise malformed(file, line, f"should be {layout}")
            yield line, path_below(file, line, cells[0].strip()), cells[1:]


@contextmanager
def _opened(file: Path, most: int) -> Iterator[BinaryIO]:
    try:
        with file.open("rb") as stream:
            if file.stat().st_size > most:
                raise InputError(f"{printable(file)} is larger than {most // 2**20:,} MB")
            yield stream
    except FileNotFoundError as error:
        raise MissingError(f"no file {printable(file)}") from error
    except OSError as error:
        raise InputError(f"cannot read {printable(file)}: {error.strerror}") from error
