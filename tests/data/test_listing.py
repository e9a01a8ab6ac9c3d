"""Pictures named one by one or lying in folders: all of them, once, in one order."""

from __future__ import annotations

from pathlib import Path

import pytest

from facenet.data.listing import list_pictures
from facenet.errors import InputError, MissingError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def names(root: Path, *sources: Path) -> list[str]:
    return [file.relative_to(root).as_posix() for file in list_pictures(sources).files]


def test_any_depth_in_the_order_of_the_parts(tmp_path: Path) -> None:
    touch(tmp_path, "b.png", "a/b/c/2.jpg", "a/1.JPG", "a b/1.webp", "notes.txt", ".hidden/1.png", ".x.png")
    assert names(tmp_path, tmp_path) == ["a/1.JPG", "a/b/c/2.jpg", "a b/1.webp", "b.png"]


def test_named_files_come_as_they_are(tmp_path: Path) -> None:
    touch(tmp_path, "b.png", "notes.txt", "a/1.png")
    given = [tmp_path / "notes.txt", tmp_path / "b.png", tmp_path / "a", tmp_path / "b.png"]
    assert names(tmp_path, *given) == ["notes.txt", "b.png", "a/1.png"]
    assert names(tmp_path, tmp_path, tmp_path / "a") == ["a/1.png", "b.png"]


def test_links_are_followed_once(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    listing = list_pictures([tmp_path])
    assert [file.name for file in listing.files] == ["1.png"]
    assert {(Path(entry.path).name, entry.reason) for entry in listing.left_out} == {
        ("loop", "link to a folder read already"),
        ("gone.png", "broken link"),
    }


def test_other_kinds_are_told(tmp_path: Path) -> None:
    touch(tmp_path, "1.png", "2.gif")
    (entry,) = list_pictures([tmp_path]).left_out
    assert entry.path == str(tmp_path / "2.gif") and "convert" in entry.reason


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="two\\\\nlines"):
        list_pictures([tmp_path / "two\nlines"])
    with pytest.raises(InputError, match="no pictures"):
        list_pictures([tmp_path, tmp_path])
    with pytest.raises(InputError, match="no pictures"):
        list_pictures([])
