"""Finding people and pictures: any nesting, any name, always the same order."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from facenet.data.folders import LeftOut, scan_folder
from facenet.errors import InputError, MissingError


def touch(root: Path, *names: str) -> None:
    """Empty files: a scan goes by names only."""
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def test_any_nesting(tmp_path: Path) -> None:
    touch(
        tmp_path, "Ada/1.jpg", "Ada/2.PNG", "set/a/Bob/1.webp", "set/a/1.bmp", "set/b/Bob/x.pgm", "set/b/Bob/notes.txt"
    )
    folder = scan_folder(tmp_path)
    assert folder.people == ("Ada", "set/a", "set/a/Bob", "set/b/Bob")
    assert folder.paths == ("Ada/1.jpg", "Ada/2.PNG", "set/a/1.bmp", "set/a/Bob/1.webp", "set/b/Bob/x.pgm")
    assert folder.labels.tolist() == [0, 0, 1, 2, 3] and folder.labels.dtype == np.int64
    assert folder.counts().tolist() == [2, 1, 1, 1]
    assert len(folder) == 5 and folder.file(3) == tmp_path / "set/a/Bob/1.webp"
    assert folder.left_out == ()


def test_order_is_by_parts_not_by_whole_path(tmp_path: Path) -> None:
    # As whole strings, "a b/…" and "a-b/…" come before "a/…", because space and dash come before the slash.
    touch(tmp_path, "a-b/1.jpg", "a/1.jpg", "a b/1.jpg", "B/1.jpg", "é/1.jpg", "a/b/1.jpg")
    folder = scan_folder(tmp_path)
    assert folder.people == ("B", "a", "a/b", "a b", "a-b", "é")
    assert folder.paths == tuple(f"{name}/1.jpg" for name in folder.people)


def test_order_does_not_depend_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, *(f"{person}/{number}.jpg" for person in "abcd" for number in range(12)))
    os.symlink(tmp_path / "a", tmp_path / "z_link")
    straight = scan_folder(tmp_path)
    real_scandir = os.scandir

    class Backwards:
        def __init__(self, path: str) -> None:
            self.entries = real_scandir(path)

        def __enter__(self) -> list[os.DirEntry[str]]:
            return sorted(self.entries, key=lambda entry: entry.name, reverse=True)

        def __exit__(self, *_: object) -> None:
            self.entries.close()

    monkeypatch.setattr("os.scandir", Backwards)
    backwards = scan_folder(tmp_path)
    assert backwards.paths == straight.paths and backwards.people == straight.people
    assert backwards.left_out == straight.left_out


def test_hidden_and_leftover_folders_are_skipped(tmp_path: Path) -> None:
    touch(tmp_path, "Ada/1.jpg", "Ada/.hidden.jpg", ".cache/1.jpg", "__MACOSX/Ada/1.jpg", "Ada/@eaDir/1.jpg")
    folder = scan_folder(tmp_path)
    assert folder.paths == ("Ada/1.jpg",) and folder.left_out == ()


def test_what_is_not_used_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "Ada/1.jpg", "loose.jpg", "Ada/photo.HEIC")
    os.mkfifo(tmp_path / "Ada/pipe.jpg")
    os.symlink(tmp_path / "gone.jpg", tmp_path / "Ada/broken.jpg")
    folder = scan_folder(tmp_path)
    assert folder.paths == ("Ada/1.jpg",)
    assert folder.left_out == (
        LeftOut("Ada/broken.jpg", "broken link"),
        LeftOut("Ada/photo.HEIC", "a kind of picture that is not read; convert it to jpg or png"),
        LeftOut("Ada/pipe.jpg", "not a regular file"),
        LeftOut("loose.jpg", "not in a person's folder"),
    )


def test_folder_named_like_a_picture(tmp_path: Path) -> None:
    touch(tmp_path, "Ada.jpg/1.jpg")
    assert scan_folder(tmp_path).people == ("Ada.jpg",)


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    root = tmp_path / "root"
    touch(elsewhere, "Cleo/1.jpg")
    touch(root, "Ada/1.jpg", "Ada/deeper/1.jpg")
    os.symlink(elsewhere, root / "more")
    os.symlink(elsewhere / "Cleo/1.jpg", root / "Ada/2.jpg")
    os.symlink(root, root / "Ada/deeper/loop")
    os.symlink(root / "Ada", root / "AAA")
    os.symlink(root / "self", root / "self")
    folder = scan_folder(root)
    assert folder.paths == ("Ada/1.jpg", "Ada/2.jpg", "Ada/deeper/1.jpg", "more/Cleo/1.jpg")
    assert folder.left_out[:2] == (
        LeftOut("AAA", "link to a folder read already"),
        LeftOut("Ada/deeper/loop", "link to a folder read already"),
    )
    assert [entry.path for entry in folder.left_out[2:]] == ["self"]


def test_root_may_be_a_link(tmp_path: Path) -> None:
    touch(tmp_path / "real", "Ada/1.jpg")
    os.symlink(tmp_path / "real", tmp_path / "link")
    assert scan_folder(str(tmp_path / "link")).paths == ("Ada/1.jpg",)


ODD_NAMES = [
    "-rf",
    "two\nlines",
    'it\'s "quoted"',
    " space ",
    "Ωmega 日本 مريم",
    "👩‍🚀",
    "back\\slash",
    b"\xff\xfe".decode("utf-8", "surrogateescape"),
]


@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
def test_any_name(tmp_path: Path, name: str) -> None:
    touch(tmp_path, f"{name}/{name}.jpg", f"{name}.jpg")
    folder = scan_folder(tmp_path)
    assert folder.people == (name,) and folder.paths == (f"{name}/{name}.jpg",)
    assert folder.file(0).is_file()
    assert folder.left_out[0].path == f"{name}.jpg"


def test_folder_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "Ada/1.jpg", "Bob/1.jpg")
    real_scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("Bob") or not (tmp_path / "Ada").exists():
            raise PermissionError(13, "Permission denied")
        return real_scandir(path)

    monkeypatch.setattr("os.scandir", refuse)
    assert scan_folder(tmp_path).left_out == (LeftOut("Bob", "permission denied"),)
    (tmp_path / "Ada/1.jpg").unlink()
    (tmp_path / "Ada").rmdir()
    with pytest.raises(InputError, match="permission denied"):
        scan_folder(tmp_path)


def test_missing_root(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="expected one folder per person") as raised:
        scan_folder(tmp_path / "no\nwhere")
    assert "\n" not in str(raised.value)


def test_root_is_a_file(tmp_path: Path) -> None:
    touch(tmp_path, "file.jpg")
    with pytest.raises(InputError, match="is a file: expected one folder per person"):
        scan_folder(tmp_path / "file.jpg")


def test_nothing_in_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no pictures in it; expected one folder per person, such as .*Ada/1.jpg"):
        scan_folder(tmp_path)


def test_pictures_only_in_the_root(tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg", "2.jpg")
    with pytest.raises(InputError, match="2 pictures are in no person's folder"):
        scan_folder(tmp_path)


def test_select(tmp_path: Path) -> None:
    touch(tmp_path, "Ada/1.jpg", "Ada/2.jpg", "Bob/1.jpg", "Cleo/1.jpg", "loose.jpg")
    folder = scan_folder(tmp_path)
    part = folder.select(np.array([False, True, False, True]))
    assert part.people == ("Ada", "Cleo") and part.paths == ("Ada/2.jpg", "Cleo/1.jpg")
    assert part.labels.tolist() == [0, 1] and part.labels.dtype == np.int64
    assert part.root == folder.root and part.left_out == folder.left_out
    nobody = folder.select(np.zeros(4, dtype=bool))
    assert len(nobody) == 0 and nobody.people == () and nobody.counts().tolist() == []
