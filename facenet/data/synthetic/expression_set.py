"""A folder of drawn expressions, laid out as expression data sets are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facenet.data.contents import Progress
from facenet.data.synthetic.expressions import EXPRESSIONS, with_expression
from facenet.data.synthetic.people import draw_face
from facenet.data.synthetic.person import Person
from facenet.data.synthetic.picture import Picture
from facenet.data.synthetic.sets import MOST_PEOPLE, MOST_PICTURES, MOST_SEED, SIZES, filled_at_once, generator, whole

_CLOSER, _LOWER = 1.4, 0.03
"""How much larger a head is than in a portrait, and how much further down: the face fills the picture."""


def write_expressions(
    root: Path,
    people: int = 40,
    validation: int = 12,
    *,
    pictures: int = 1,
    seed: int = 0,
    size: int = 64,
    progress: Progress | None = None,
) -> list[Path]:
    """Draw people showing seven expressions: ``root/train/happy/0001.png``, ``root/validation/sad/0003.png`` and so on.

    Everybody shows every expression equally often, so nothing but the expression tells the folders apart, and nobody
    is in both halves. A picture depends on the seed, its half, its expression and the numbers of its person and of
    itself only: asking for more people adds to a set and changes nothing in it.

    Args:
        root: folder to fill; made if it is not there, with its parents.
        people: how many in ``train``, 1..100,000.
        validation: how many others in ``validation``, 1..100,000.
        pictures: how many pictures of each person in each expression, 1..1,000.
        seed: choice of the whole set, 0 or more.
        size: side of a picture in pixels, 32..1024.
        progress: told how far it is.

    Returns:
        The files, sorted.

    Raises:
        UsageError: an argument is out of bounds.
        InputError: ``root`` is a file, or a folder with something in it.
        StorageError: ``root`` cannot be written.
    """
    counts = {
        "train": whole("people", people, 1, MOST_PEOPLE),
        "validation": whole("validation", validation, 1, MOST_PEOPLE),
    }
    pictures = whole("pictures", pictures, 1, MOST_PICTURES)
    seed, size = whole("seed", seed, 0, MOST_SEED), whole("size", size, *SIZES)
    root = Path(root)
    written: list[str] = []
    in_all = sum(counts.values()) * len(EXPRESSIONS) * pictures
    with filled_at_once(root) as unfinished:
        for half, (folder, count) in enumerate(counts.items()):
            for expression in EXPRESSIONS:
                (unfinished / folder / expression).mkdir(parents=True)
            for index in range(count):
                for name, picture, image in _shown_by(half, index, pictures, seed, size):
                    file = f"{folder}/{name}/{index * pictures + picture + 1:04d}.png"
                    (unfinished / file).write_bytes(_png(image))
                    written.append(file)
                if progress is not None:
                    progress(len(written), in_all)
    return [root / file for file in sorted(written)]


def _shown_by(
    half: int, index: int, pictures: int, seed: int, size: int
) -> Iterator[tuple[str, int, NDArray[np.uint8]]]:
    """All pictures of one person: expression, number, image."""
    person = Person.random(generator(seed, half, index), feminine=index % 2 == 0)
    for number, name in enumerate(EXPRESSIONS):
        for k in range(pictures):
            rng = generator(seed, half, index, number, k)
            picture = Picture.random(rng)
            near = replace(picture, scale=_CLOSER * picture.scale, y=picture.y + _LOWER)
            yield name, k, draw_face(person, with_expression(near, name, rng), size)


def _png(image: NDArray[np.uint8]) -> bytes:
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
