"""Pictures that lie in a training folder and one to test on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from facenet.data.folders import Folder, scan_folder
from facenet.data.given_split import GivenSplit, given_split, held_by_folder, people_across
from facenet.data.splits import Holdout, split_folder
from facenet.errors import InputError

Write = Callable[[Path, Mapping[str, int]], None]
LAID_OUT = {"train/Ada": 3, "train/Bo": 2, "validation/Ada": 1, "validation/Bo": 2}


@pytest.fixture
def lay_out(tmp_path: Path, write_people: Write) -> Callable[[Mapping[str, int]], Folder]:
    def write(people: Mapping[str, int]) -> Folder:
        write_people(tmp_path, people)
        return scan_folder(tmp_path)

    return write


@pytest.mark.parametrize("training", ["train", "Training", "trainset"])
@pytest.mark.parametrize("held", ["validation", "val", "TEST"])
def test_the_two_folders_are_known_by_their_names(
    lay_out: Callable[[Mapping[str, int]], Folder], training: str, held: str
) -> None:
    folder = lay_out({f"{training}/Ada": 2, f"{held}/Ada": 1})
    assert given_split(folder) == GivenSplit(training, held)
    assert held_by_folder(people_across(folder)).sum() == 1


@pytest.mark.parametrize(
    "people",
    [
        {"Ada": 2, "Bo": 2},
        {"train/Ada": 2, "train/Bo": 2},
        {"train/Ada": 2, "validation/Ada": 2, "test/Ada": 2},
        {"train/Ada": 2, "validation/Ada": 2, "Bo": 2},
        {"train/Ada": 2, "training/Ada": 2},
        {"train": 2, "validation": 2},
        {"left/Ada": 2, "right/Ada": 2},
    ],
)
def test_any_other_layout_is_none(lay_out: Callable[[Mapping[str, int]], Folder], people: dict[str, int]) -> None:
    folder = lay_out(people)
    assert given_split(folder) is None
    with pytest.raises(InputError, match="--holdout"):
        people_across(folder)


def test_people_are_one_across_the_folders(lay_out: Callable[[Mapping[str, int]], Folder]) -> None:
    found = lay_out(LAID_OUT)
    folder = people_across(found)
    assert folder.people == ("Ada", "Bo") and folder.paths == found.paths
    for path, label in zip(folder.paths, folder.labels, strict=True):
        assert path.split("/")[1] == folder.people[label]
    split = split_folder(folder, Holdout(kind="folder"))
    assert not split.person_held.any()
    for path, held in zip(folder.paths, split.image_held, strict=True):
        assert held == path.startswith("validation/")
    assert np.array_equal(split.held_images, split.image_held)
    assert int(split.train.sum()) == 5


def test_nested_people_keep_their_inner_names(lay_out: Callable[[Mapping[str, int]], Folder]) -> None:
    assert people_across(lay_out({"train/a/Ada": 2, "train/b/Ada": 2, "val/b/Ada": 1})).people == ("a/Ada", "b/Ada")


def test_who_is_only_in_the_held_folder_is_named(lay_out: Callable[[Mapping[str, int]], Folder]) -> None:
    strangers = {f"validation/stranger {number}": 1 for number in range(5)}
    with pytest.raises(InputError, match=r"stranger 0, stranger 1, stranger 2 and 2 more, which train/ lacks"):
        people_across(lay_out({**LAID_OUT, **strangers}))


def test_a_side_that_lost_all_its_pictures(lay_out: Callable[[Mapping[str, int]], Folder]) -> None:
    folder = people_across(lay_out(LAID_OUT))
    for side in ("train", "validation"):
        kept = np.array([path.startswith(side) for path in folder.paths])
        with pytest.raises(InputError, match="test on"):
            held_by_folder(folder.select(kept))
