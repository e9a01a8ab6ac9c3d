"""Whole pictures, whole sets of people, and the folder they are written to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facenet.data.synthetic import eyes, face, hair, light, scene
from facenet.data.synthetic.canvas import SUPERSAMPLING, Canvas
from facenet.data.synthetic.person import Person
from facenet.data.synthetic.picture import Picture
from facenet.data.synthetic.pose import Pose
from facenet.data.synthetic.sets import MOST_PEOPLE, MOST_PICTURES, MOST_SEED, SIZES, filled_at_once, generator, whole
from facenet.data.synthetic.sitting import Sitting

_NAMES = (
    "Ada Bruno Clea Dario Elva Fenno Greta Hugo Ilse Jorin Kaya Lando Mirela Nilo Odessa Pavlo Quilla Rasmo Sunna "
    "Tarik Ulla Viktor Wanda Xavo Yara Zeno Amara Bento Celeste Dragan Esme Florin Gioia Hakan Imani Jasper Kalea "
    "Leif Maris Nuri Oriel Perrin Runa Silvan Thea Umar Vesna Wim"
).split()
"""Invented; every other one is given to a woman, so their number is even."""


def draw_face(person: Person, picture: Picture, size: int = 160) -> NDArray[np.uint8]:
    """Draw one picture of a person.

    Args:
        person: whom to draw.
        picture: under which circumstances.
        size: side in pixels, 32..1024.

    Returns:
        Image ``uint8 (size, size, 3)``, RGB; the same for the same arguments.

    Raises:
        UsageError: ``size`` is out of bounds.
    """
    size = whole("size", size, *SIZES)
    side = size * SUPERSAMPLING
    pose = Pose(picture.x * side, picture.y * side, picture.scale * side, picture.yaw, picture.pitch, picture.roll)
    s = Sitting(person, picture, pose, Canvas(size, scene.backdrop(picture)))
    hair.draw_hair_behind(s)
    scene.draw_body(s)
    face.draw_ears(s)
    face.draw_skin(s)
    face.draw_marks(s)
    face.draw_nose(s)
    face.draw_creases(s)
    hair.draw_beard(s)
    face.draw_mouth(s)
    eyes.draw_eyes(s)
    eyes.draw_brows(s)
    eyes.draw_glasses(s)
    hair.draw_hair(s)
    return light.photograph(s, light.shine(s, s.canvas.pixels()))


def draw_people(
    people: int | Sequence[int], pictures: int = 10, *, seed: int = 0, size: int = 160
) -> Iterator[tuple[str, list[NDArray[np.uint8]]]]:
    """Draw people one after the other.

    A picture depends on the seed and on the numbers of its person and of itself only: asking for more people or more
    pictures adds to a set and changes nothing in it.

    Args:
        people: how many people, 1..100,000, each in ``pictures`` pictures; or how many pictures of each person.
        pictures: how many pictures of each person, 1..1,000; ignored if ``people`` says so itself.
        seed: choice of the whole set, 0 or more.
        size: side of a picture in pixels, 32..1024.

    Returns:
        Iterator over ``(name, images)``: names are distinct and made of letters (and digits after the first 48);
        images are ``uint8 (size, size, 3)``, RGB.

    Raises:
        UsageError: an argument is out of bounds; raised at once, not at the first person.
    """
    counts = _counts(people, pictures)
    seed, size = whole("seed", seed, 0, MOST_SEED), whole("size", size, *SIZES)
    return ((_name(i), list(_pictures_of(i, counts[i], seed, size))) for i in range(len(counts)))


def write_people(
    root: Path,
    people: int | Sequence[int] = 16,
    pictures: int = 10,
    *,
    seed: int = 0,
    size: int = 160,
    quality: int = 88,
) -> list[Path]:
    """Draw people as :func:`draw_people` does and write them as ``root/<name>/0001.jpg`` and so on.

    Everything is written into a hidden folder inside ``root`` first; people appear only when all are complete.

    Args:
        root: folder to fill; made if it is not there, with its parents.
        people, pictures, seed, size: as in :func:`draw_people`.
        quality: of the JPEG files, 1..100.

    Returns:
        The files, people in the order they were drawn.

    Raises:
        UsageError: an argument is out of bounds.
        InputError: ``root`` is a file, or a folder with something in it.
        StorageError: ``root`` cannot be written.
    """
    counts = _counts(people, pictures)
    seed, size = whole("seed", seed, 0, MOST_SEED), whole("size", size, *SIZES)
    quality = whole("quality", quality, 1, 100)
    root = Path(root)
    with filled_at_once(root) as unfinished:
        for index, count in enumerate(counts):
            folder = unfinished / _name(index)
            folder.mkdir()
            for number, image in enumerate(_pictures_of(index, count, seed, size), start=1):
                (folder / _file_name(number)).write_bytes(_jpeg(image, quality))
    return [root / _name(i) / _file_name(k) for i, count in enumerate(counts) for k in range(1, count + 1)]


def _pictures_of(index: int, count: int, seed: int, size: int) -> Iterator[NDArray[np.uint8]]:
    person = Person.random(generator(seed, index), feminine=index % 2 == 0)
    return (draw_face(person, Picture.random(generator(seed, index, k)), size) for k in range(count))


def _name(index: int) -> str:
    lap, place = divmod(index, len(_NAMES))
    return _NAMES[place] if lap == 0 else f"{_NAMES[place]}{lap + 1}"


def _file_name(number: int) -> str:
    return f"{number:04d}.jpg"


def _jpeg(image: NDArray[np.uint8], quality: int) -> bytes:
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue()


def _counts(people: int | Sequence[int], pictures: int) -> list[int]:
    """How many pictures of each person."""
    if isinstance(people, Sequence) and not isinstance(people, str):
        whole("people", len(people), 1, MOST_PEOPLE)
        return [whole("pictures", count, 1, MOST_PICTURES) for count in people]
    return [whole("pictures", pictures, 1, MOST_PICTURES)] * whole("people", people, 1, MOST_PEOPLE)
