"""Small folders of people for the data tests: noise, no faces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facenet.data.folders import Folder

Writer = Callable[[Path, int], None]


@pytest.fixture
def write_picture() -> Writer:
    """Write one picture that looks like no other; its number decides its pixels."""

    def write(file: Path, number: int) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        coarse = np.random.default_rng(number).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((48, 40), Image.Resampling.BICUBIC).save(file)

    return write


@pytest.fixture
def write_people(write_picture: Writer) -> Callable[[Path, Mapping[str, int]], None]:
    """Write so many pictures for each person."""

    def write(root: Path, people: Mapping[str, int]) -> None:
        number = 0
        for name, count in people.items():
            for picture in range(count):
                write_picture(root / name / f"{picture:03d}.png", number)
                number += 1

    return write


@pytest.fixture
def folder_of() -> Callable[[Mapping[str, int]], Folder]:
    """A folder with so many pictures of each person, by name only: nothing is on disk."""

    def make(people: Mapping[str, int]) -> Folder:
        names = sorted(name for name, count in people.items() if count)
        return Folder(
            root=Path("nowhere"),
            people=tuple(names),
            paths=tuple(f"{name}/{number:04d}.png" for name in names for number in range(people[name])),
            labels=np.repeat(np.arange(len(names)), [people[name] for name in names]),
        )

    return make
