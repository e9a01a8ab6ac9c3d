"""``dataset passports`` as it is typed: what it copies, names, leaves out and refuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from command_line import Main
from PIL import Image

from facenet.data.anchors import anchor_pictures
from facenet.data.combinations import TripletSampler
from facenet.data.folders import scan_folder
from facenet.workflows import passports

PLACE = "trainset/folder-1/folder-2"
Write = Callable[[Mapping[str, int]], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Noise for so many pictures of each person, jpg and png by turns; in ``tmp_path/people``."""

    def make(people: Mapping[str, int]) -> Path:
        rng = np.random.default_rng(0)
        for name, count in people.items():
            (tmp_path / "people" / name).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                noise = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
                noise.resize((40, 40)).save(tmp_path / "people" / name / f"a{number}.{('JPG', 'png')[number % 2]}")
        return tmp_path / "people"

    return make


def tree(root: Path) -> dict[str, bytes]:
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in root.rglob("*") if file.is_file()}


def test_people_as_passports(main: Main, write: Write, tmp_path: Path) -> None:
    source = write({"Ada": 3, "set/b/Bruno": 2, "alone": 1})
    before = tree(source)
    done = main("dataset", "passports", source, "made/passports")
    assert done.code == 0, done.err
    assert tree(source) == before
    assert tree(tmp_path / "made/passports") == {
        f"{PLACE}/Ada/0001-script.JPG": before["Ada/a0.JPG"],
        f"{PLACE}/Ada/0002.png": before["Ada/a1.png"],
        f"{PLACE}/Ada/0003.JPG": before["Ada/a2.JPG"],
        f"{PLACE}/set/b/Bruno/0001-script.JPG": before["set/b/Bruno/a0.JPG"],
        f"{PLACE}/set/b/Bruno/0002.png": before["set/b/Bruno/a1.png"],
    }
    assert not list((tmp_path / "made").glob(".*"))
    assert "left out, people with too few pictures: alone\n" in done.err
    command = "python cli.py train --recipe passport-triplet --rootdir made/passports"
    assert done.err.splitlines()[-1] == f"train on them:  {command}"
    assert "--rootdir 'another place'\n" in main("dataset", "passports", source, "another place").err
    folder = scan_folder(tmp_path / "made/passports")
    anchors = anchor_pictures(folder, "script")
    assert anchors.tolist() == [True, False, False, True, False]
    sampler = TripletSampler(folder.labels, triplets_per_batch=3, seed=0, anchors=anchors)
    assert sampler.positives.tolist() == [1, 2, 4]


def test_another_picture_as_anchor(main: Main, write: Write, tmp_path: Path) -> None:
    source = write({"Ada": 3, "Bruno": 2})
    done = main("dataset", "passports", source, "made", "--anchor", 3, "--json")
    assert done.document == {
        "root": "made",
        "anchor": "script",
        "people": 1,
        "pictures": 3,
        "left_out": {"people_with_too_few_pictures": ["Bruno"], "pictures": []},
    }
    before = {name.partition("/")[2]: data for name, data in tree(source).items() if name.startswith("Ada/")}
    assert tree(tmp_path / "made" / PLACE) == {
        "Ada/0001-script.JPG": before["a2.JPG"],
        "Ada/0002.JPG": before["a0.JPG"],
        "Ada/0003.png": before["a1.png"],
    }
    assert main("dataset", "passports", source, "first", "--anchor", "first").code == 0
    assert (tmp_path / "first" / PLACE / "Bruno/0001-script.JPG").exists()


def test_what_cannot_be_read_is_left_out_and_said(main: Main, write: Write, tmp_path: Path) -> None:
    source = write({"Ada": 3, "Bruno": 2, "Clea": 1})
    (source / "Ada/a0.JPG").write_bytes(b"")
    (source / "Ada/z\n.gif").write_bytes(b"GIF89a")
    (source / "Bruno/a1.png").write_bytes((source / "Bruno/a1.png").read_bytes()[:80])
    done = main("dataset", "passports", source, "made", "--json")
    assert done.code == 0, done.err
    assert sorted(tree(tmp_path / "made" / PLACE)) == ["Ada/0001-script.png", "Ada/0002.JPG"]
    left_out = done.document["left_out"]
    assert left_out["people_with_too_few_pictures"] == ["Bruno", "Clea"]
    assert [entry["path"] for entry in left_out["pictures"]] == ["Ada/z\n.gif", "Ada/a0.JPG", "Bruno/a1.png"]
    assert left_out["pictures"][1]["reason"] == "empty file"
    said = main("dataset", "passports", source, "made again")
    assert "Ada/z\\n.gif (a kind of picture" in said.err and "Ada/a0.JPG (empty file)" in said.err


def test_of_many_left_out_some_are_named(main: Main, write: Write) -> None:
    done = main("dataset", "passports", write({"Ada": 2, **{f"p{person}": 1 for person in range(6)}}), "made")
    assert "people with too few pictures: p0, p1, p2 and 3 more; --json names all\n" in done.err


def test_what_is_refused(main: Main, write: Write, tmp_path: Path) -> None:
    source = write({"Ada": 2, "Bruno": 2})
    before = tree(source)
    assert main("dataset", "passports", "nowhere", "made").code == 4
    for inside in (source / "made", source / "Ada/deep/made", source / "../people/made"):
        refused = main("dataset", "passports", source, inside)
        assert refused.code == 3 and "which is to be read: name a folder elsewhere" in refused.error
    (tmp_path / "link").symlink_to(source)
    assert main("dataset", "passports", "link", source / "made").code == 3
    assert main("dataset", "passports", source, "link/made").code == 3
    assert tree(source) == before and sorted(entry.name for entry in source.iterdir()) == ["Ada", "Bruno"]

    few = main("dataset", "passports", source, "made", "--anchor", 3)
    assert few.code == 3 and "has 3 pictures that can be read" in few.error
    (tmp_path / "empty").mkdir()
    assert main("dataset", "passports", "empty", "made").code == 3
    assert not (tmp_path / "made").exists() and not list(tmp_path.glob(".writing-*"))


@pytest.mark.parametrize("there", ["file", "folder", "broken link", "source"])
def test_nothing_is_overwritten(main: Main, write: Write, tmp_path: Path, there: str) -> None:
    source = write({"Ada": 2})
    target = source if there == "source" else tmp_path / "made"
    if there == "file":
        target.write_text("mine")
    elif there == "folder":
        target.mkdir()
    elif there == "broken link":
        target.symlink_to("nothing")
    refused = main("dataset", "passports", source, target)
    assert refused.code == 3 and "nothing is ever overwritten" in refused.error
    assert len(tree(source)) == 2
    assert there != "file" or target.read_text() == "mine"
    assert there != "folder" or not list(target.iterdir())


def test_a_target_that_cannot_be_written_leaves_nothing(main: Main, write: Write, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    refused = main("dataset", "passports", write({"Ada": 2}), "file/made")
    assert refused.code == 4 and "cannot write file/made" in refused.error


def test_a_picture_that_vanishes_meanwhile_leaves_nothing(
    main: Main, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write({"Ada": 3})

    def and_gone(file: Path) -> bytes:
        (source / "Ada/a2.JPG").unlink(missing_ok=True)
        return read(file)

    read = passports.read_picture_bytes
    monkeypatch.setattr(passports, "read_picture_bytes", and_gone)
    ended = main("dataset", "passports", source, "made")
    assert ended.code == 3 and "a2.JPG: no such file" in ended.error
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["people"]


@pytest.mark.parametrize("wrong", [["--anchor", "0"], ["--anchor", "last"], ["--anchor", "-1"], ["--anch", "1"]])
def test_wrong_usage(main: Main, write: Write, tmp_path: Path, wrong: list[str]) -> None:
    assert main("dataset", "passports", write({"Ada": 2}), "made", *wrong).code == 2
    assert not (tmp_path / "made").exists()


def test_no_target_is_wrong_usage(main: Main) -> None:
    assert main("dataset", "passports", "people").code == 2
