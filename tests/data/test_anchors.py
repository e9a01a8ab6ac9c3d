"""Anchors by their file names, and who is refused for having none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facenet.data.anchors import anchor_pictures, anchored_people
from facenet.data.folders import Folder
from facenet.errors import InputError, UsageError


def folder(*paths: str) -> Folder:
    """These pictures, by name only."""
    owners = [path.rpartition("/")[0] for path in paths]
    people = sorted(set(owners))
    labels = np.array([people.index(owner) for owner in owners], dtype=np.int64)
    return Folder(root=Path("passports"), people=tuple(people), paths=paths, labels=labels)


def test_anchors_are_found_by_the_name_of_the_file_alone() -> None:
    found = anchor_pictures(
        folder(
            "set/a/0001-script.png",
            "set/a/0002.png",
            "set/a/SCRIPTED.v2.JPG",
            "set/a/no.script.jpg",
            "set/script/1.script",
            "set/script/1Script.png",
            "set/script/2.png",
        ),
        "script",
    )
    assert found.dtype == np.bool_ and found.tolist() == [True, False, True, True, False, True, False]


def test_the_word_may_be_typed_in_capitals() -> None:
    assert anchor_pictures(folder("a/Straße.png", "a/2.png"), "STRASSE").tolist() == [True, False]


def test_no_word_makes_every_picture_an_anchor() -> None:
    assert anchor_pictures(folder("a/1.png", "b/1.png", "b/2.png"), "").all()


def test_who_has_nothing_but_anchors_is_not_refused() -> None:
    assert anchor_pictures(folder("a/script.png", "b/script-1.png", "b/script-2.png"), "script").all()


def test_people_without_an_anchor_are_named() -> None:
    with pytest.raises(InputError) as raised:
        anchor_pictures(folder("a/script.png", "bad\nname/1.png", "c/2.png"), "script")
    assert str(raised.value) == (
        "2 of 3 people in passports have no picture with 'script' in its file name (bad\\nname, c): rename one picture "
        "of each person, such as 0001.png to 0001-script.png (`dataset passports` does so in a copy), or "
        "let any picture be the anchor"
    )


def test_the_command_that_copies_is_named_for_its_own_word_only() -> None:
    with pytest.raises(InputError, match=r"0001\.png to 0001-id\.png, or let any picture be the anchor"):
        anchor_pictures(folder("a/1.png"), "id")
    with pytest.raises(InputError, match=r"\(`dataset passports` does so in a copy\)"):
        anchor_pictures(folder("a/1.png"), "Script")


def test_of_many_people_without_an_anchor_the_first_are_named() -> None:
    people = [f"p{person:02}" for person in range(12)]
    with pytest.raises(InputError, match=r"11 of 12 people .* \(p00, p01, p02, \.\.\.\)"):
        anchor_pictures(folder(*(f"{name}/1.png" for name in people[:-1]), "p11/script.png"), "script")


def test_people_and_their_pictures() -> None:
    labels = np.array([7, 3, 7, 3, 7, 5])
    anchors = np.array([True, True, False, True, False, True])
    first, second, third = anchored_people(labels, anchors)
    assert first.anchors_only and first.anchors.tolist() == first.probes.tolist() == first.pictures.tolist() == [1, 3]
    assert first.genuine == 1
    assert second.anchors.tolist() == [5] and second.genuine == 0
    assert not third.anchors_only and third.anchors.tolist() == [0] and third.probes.tolist() == [2, 4]
    assert third.pictures.tolist() == [0, 2, 4] and third.genuine == 2
    assert [person.genuine for person in anchored_people(labels, None)] == [1, 0, 3]


def test_anchors_of_other_pictures_are_refused() -> None:
    labels = np.array([0, 0, 1])
    for anchors in (np.ones(2, dtype=bool), np.ones((3, 1), dtype=bool), np.ones(3, dtype=np.int64)):
        with pytest.raises(UsageError, match="anchors of 3 pictures must be so many bool"):
            anchored_people(labels, anchors)
    with pytest.raises(InputError, match="1 of 2 people have no anchor"):
        anchored_people(labels, np.array([True, False, False]))
