"""What an audit finds, what it leaves out by rule, and what it tells people."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from facenet.data.audit import Audit, Overlap, audit_folder
from facenet.data.duplicates import linked, look, near_pairs
from facenet.data.folders import LeftOut, scan_folder
from facenet.data.splits import Holdout, split_folder
from facenet.errors import InputError

WritePeople = Callable[[Path, Mapping[str, int]], None]
WritePicture = Callable[[Path, int], None]


def audit(root: Path, **options: object) -> Audit:
    return audit_folder(scan_folder(root), threads=2, **options)  # type: ignore[arg-type]


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.read_bytes())


def save_again(source: Path, target: Path) -> None:
    """The same photograph in another file: smaller, brighter, compressed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.open(source).convert("RGB")
    picture = picture.resize((picture.width * 4 // 5, picture.height * 4 // 5))
    ImageEnhance.Brightness(picture).enhance(1.15).save(target, "JPEG", quality=60)


def test_clean_folder(tmp_path: Path, write_people: WritePeople) -> None:
    write_people(tmp_path, {"Ada": 5, "Bob": 1, "Cleo": 2})
    found = audit(tmp_path)
    assert found.usable.paths == found.folder.paths and found.usable.people == ("Ada", "Bob", "Cleo")
    assert found.left_out == found.unreadable == found.exact == found.conflicts == found.near == ()
    assert found.near_conflicts == found.overlaps == () and found.groups == {}
    assert found.singletons == ("Bob",)
    assert found.lines() == []
    document = found.to_dict()
    assert (document["people"], document["images"], document["singletons"]) == (3, 8, ["Bob"])
    assert document["images_per_person"] == {"min": 1, "median": 2.0, "max": 5}


def test_unreadable_files(tmp_path: Path, write_people: WritePeople) -> None:
    write_people(tmp_path, {"Ada": 3, "Bob": 2})
    whole = (tmp_path / "Ada/000.png").read_bytes()
    (tmp_path / "Ada/empty.jpg").touch()
    (tmp_path / "Ada/text.jpg").write_text("not a picture")
    (tmp_path / "Bob/half.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "Cleo").mkdir()
    (tmp_path / "Cleo/only.jpg").touch()
    found = audit(tmp_path)
    assert found.unreadable == (
        LeftOut("Ada/empty.jpg", "empty file"),
        LeftOut("Ada/text.jpg", "not a picture of a known kind"),
        LeftOut("Bob/half.png", "truncated"),
        LeftOut("Cleo/only.jpg", "empty file"),
    )
    assert found.left_out == found.unreadable
    assert found.usable.people == ("Ada", "Bob") and len(found.usable) == 5
    assert found.lines() == [
        "left out 4:",
        "  Ada/empty.jpg: empty file",
        "  Ada/text.jpg: not a picture of a known kind",
        "  Bob/half.png: truncated",
        "  Cleo/only.jpg: empty file",
    ]


def test_what_the_scan_left_out_is_in_the_list(tmp_path: Path, write_people: WritePeople) -> None:
    write_people(tmp_path, {"Ada": 2})
    (tmp_path / "loose.jpg").touch()
    found = audit(tmp_path)
    assert found.left_out == (LeftOut("loose.jpg", "not in a person's folder"),) and found.unreadable == ()


def test_same_bytes_of_one_person(tmp_path: Path, write_people: WritePeople) -> None:
    write_people(tmp_path, {"Ada": 3, "Bob": 2})
    copy(tmp_path / "Ada/001.png", tmp_path / "Ada/000 copy.png")
    copy(tmp_path / "Ada/001.png", tmp_path / "Ada/zzz.png")
    found = audit(tmp_path)
    assert found.exact == (("Ada/000 copy.png", "Ada/001.png", "Ada/zzz.png"),)
    assert found.left_out == (
        LeftOut("Ada/001.png", "the same picture as Ada/000 copy.png"),
        LeftOut("Ada/zzz.png", "the same picture as Ada/000 copy.png"),
    )
    assert found.near == () and found.conflicts == ()
    assert len(found.usable) == 5


def test_same_bytes_under_two_people(tmp_path: Path, write_people: WritePeople) -> None:
    write_people(tmp_path, {"Ada": 3, "Bob": 2})
    copy(tmp_path / "Ada/001.png", tmp_path / "Bob/x.png")
    copy(tmp_path / "Ada/001.png", tmp_path / "Bob/y.png")
    copy(tmp_path / "Ada/001.png", tmp_path / "Cleo/x.png")
    found = audit(tmp_path)
    assert found.conflicts == (("Ada/001.png", "Bob/x.png", "Bob/y.png", "Cleo/x.png"),)
    assert found.exact == ()
    assert {entry.reason for entry in found.left_out} == {"the same picture is filed under Ada and Bob and Cleo"}
    assert found.usable.paths == ("Ada/000.png", "Ada/002.png", "Bob/000.png", "Bob/001.png")
    assert found.usable.people == ("Ada", "Bob")


def test_near_duplicates_are_kept_and_grouped(tmp_path: Path, write_people: WritePeople) -> None:
    write_people(tmp_path, {"Ada": 6, "Bob": 4})
    save_again(tmp_path / "Ada/001.png", tmp_path / "Ada/a.jpg")
    save_again(tmp_path / "Ada/a.jpg", tmp_path / "Ada/b.jpg")
    found = audit(tmp_path)
    group = ("Ada/001.png", "Ada/a.jpg", "Ada/b.jpg")
    assert found.near == (group,) and found.groups == dict.fromkeys(group, "Ada/001.png")
    assert len(found.usable) == 12 and found.left_out == () and found.near_conflicts == ()
    for seed in range(10):
        split = split_folder(found.usable, Holdout(seed=seed, images=0.4), found.groups)
        held = {path for path, is_held in zip(found.usable.paths, split.image_held, strict=True) if is_held}
        assert held.issuperset(group) or held.isdisjoint(group)


def test_near_duplicates_under_two_people_are_reported(tmp_path: Path, write_people: WritePeople) -> None:
    write_people(tmp_path, {"Ada": 3, "Bob": 3})
    save_again(tmp_path / "Ada/001.png", tmp_path / "Bob/twin.jpg")
    found = audit(tmp_path)
    assert found.near == () and found.near_conflicts == (("Ada/001.png", "Bob/twin.jpg"),)
    assert len(found.usable) == 7
    assert found.lines()[1] == "  Ada/001.png ~ Bob/twin.jpg"


def test_splits_below_the_root(tmp_path: Path, write_people: WritePeople, write_picture: WritePicture) -> None:
    write_people(tmp_path, {"train/Ada": 3, "train/Bob": 3, "Test/Ada": 0, "Test/Cleo": 2})
    copy(tmp_path / "train/Ada/000.png", tmp_path / "Test/Ada/same.png")
    save_again(tmp_path / "train/Bob/001.png", tmp_path / "Test/Bob/again.jpg")
    found = audit(tmp_path)
    assert found.overlaps == (
        Overlap(
            "Test",
            "train",
            ("Ada", "Bob"),
            (("Test/Ada/same.png", "train/Ada/000.png"),),
            (("Test/Bob/again.jpg", "train/Bob/001.png"),),
        ),
    )
    assert found.conflicts == (), "one person in two splits is one person"
    assert found.near_conflicts == ()
    assert found.exact == (("Test/Ada/same.png", "train/Ada/000.png"),)
    assert ("in both Test and train: people", "2") in found.rows()
    assert "  Test/Ada/same.png = train/Ada/000.png" in found.lines()


def test_one_split_name_is_just_a_folder(tmp_path: Path, write_people: WritePeople) -> None:
    write_people(tmp_path, {"train/Ada": 2, "others/Ada": 2, "test": 2})
    found = audit(tmp_path)
    assert found.overlaps == ()
    copy(tmp_path / "train/Ada/000.png", tmp_path / "others/Ada/same.png")
    assert len(audit(tmp_path).conflicts) == 1


def test_against_another_folder(tmp_path: Path, write_people: WritePeople, write_picture: WritePicture) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    write_people(one, {"Ada": 3, "Bob": 3})
    for number in range(3):
        write_picture(two / "Dov" / f"{number}.png", 1000 + number)
    copy(one / "Ada/002.png", two / "Ada/x.png")
    copy(one / "Ada/002.png", two / "Dov/x.png")
    save_again(one / "Bob/000.png", two / "Bob/y.jpg")
    (two / "Dov/broken.jpg").touch()
    found = audit(one, other=scan_folder(two))
    assert found.overlaps == (
        Overlap("one", "two", ("Ada", "Bob"), (("Ada/002.png", "Ada/x.png"),), (("Bob/000.png", "Bob/y.jpg"),)),
    )
    assert found.usable.paths == found.folder.paths, "the other folder takes nothing away"
    assert found.left_out == found.exact == found.conflicts == found.near_conflicts == found.near == ()
    nothing = audit(two, other=scan_folder(one)).overlaps[0]
    assert nothing.exact == (("Ada/x.png", "Ada/002.png"),)


def test_folders_of_the_same_name_are_told_apart(tmp_path: Path, write_people: WritePeople) -> None:
    one, two = tmp_path / "1/faces", tmp_path / "2/faces"
    write_people(one, {"Ada": 2})
    write_people(two, {"Ada": 2})
    overlap = audit(one, other=scan_folder(two)).overlaps[0]
    assert (overlap.first, overlap.second) == (str(one), str(two))


def test_nothing_usable(tmp_path: Path, write_people: WritePeople) -> None:
    write_people(tmp_path, {"Ada": 1})
    copy(tmp_path / "Ada/000.png", tmp_path / "Bob/000.png")
    for number in range(3):
        (tmp_path / f"Ada/e{number}.jpg").touch()
    expected = r"none of the 5 pictures .* can be used: 3 × empty file, 2 × the same picture is filed under Ada and Bob"
    with pytest.raises(InputError, match=expected):
        audit(tmp_path)


def test_blank_pictures_are_no_look_alikes(tmp_path: Path) -> None:
    for number in range(4):
        file = tmp_path / "Ada" / f"{number}.png"
        file.parent.mkdir(exist_ok=True)
        Image.new("RGB", (30 + number, 30), (number, 0, 0)).save(file)
    assert audit(tmp_path).near == ()


def test_progress_and_threads(tmp_path: Path, write_people: WritePeople) -> None:
    write_people(tmp_path, {"Ada": 5, "Bob": 4})
    steps: list[tuple[int, int]] = []
    audit(tmp_path, other=scan_folder(tmp_path), progress=lambda done, total: steps.append((done, total)))
    assert steps == [(number + 1, 18) for number in range(18)]
    folder = scan_folder(tmp_path)
    documents = [audit_folder(folder, threads=threads).to_dict() for threads in (1, 5, None)]
    assert documents[0] == documents[1] == documents[2]


def test_long_lists_are_cut_on_screen_only(tmp_path: Path, write_people: WritePeople) -> None:
    write_people(tmp_path, {"Ada": 2})
    for number in range(25):
        (tmp_path / f"Ada/bad{number:02d}.jpg").touch()
    found = audit(tmp_path)
    lines = found.lines()
    assert len(lines) == 22 and lines[0] == "left out 25:" and lines[-1] == "  and 5 more"
    assert len(found.to_dict()["unreadable"]) == 25


def test_names_survive_screen_and_json(tmp_path: Path, write_picture: WritePicture) -> None:
    odd = b"\xff\xfe".decode("utf-8", "surrogateescape")
    for number, name in enumerate(["two\nlines", "[bold]", odd, "日本"]):
        write_picture(tmp_path / name / "1.png", number)
        (tmp_path / name / "bad.jpg").touch()
    found = audit(tmp_path)
    assert all(line.isprintable() for line in found.lines())
    text = json.dumps(found.to_dict(), ensure_ascii=False, allow_nan=False)
    singletons = json.loads(text.encode("utf-8"))["singletons"]
    assert set(singletons) == {"two\nlines", "[bold]", "\\xff\\xfe", "日本"}


def test_rows_are_text_and_complete(tmp_path: Path, write_people: WritePeople) -> None:
    write_people(tmp_path, {"Ada": 1200 // 100, "Bob": 1})
    rows = dict(audit(tmp_path).rows())
    assert rows["people"] == "2" and rows["usable pictures"] == "13"
    assert rows["pictures per person: median"] == "6.5" and rows["people with one picture"] == "1"


def test_near_pairs_equal_a_slow_search() -> None:
    rng = np.random.default_rng(0)
    images = [
        np.array(Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)).resize((64, 64))) for _ in range(60)
    ]
    images += [
        np.clip(image * rng.uniform(0.8, 1.1) + rng.normal(0, rng.uniform(0, 160), image.shape), 0, 255).astype(
            np.uint8
        )
        for image in images[:30]
    ]
    looks = np.stack([look(image) for image in images])
    assert looks.shape == (90, 264) and looks.dtype == np.uint8
    # Ten more with the hash of the first, and thumbnails less and less like its own.
    doubtful = np.repeat(looks[:1], 10, axis=0)
    doubtful[:, 8:] = np.clip(doubtful[:, 8:] + rng.normal(0, 1, (10, 256)) * np.arange(1, 31, 3)[:, None], 0, 255)
    looks = np.concatenate([looks, doubtful])
    expected = []
    for first in range(100):
        for second in range(first + 1, 100):
            bits = np.unpackbits(looks[first, :8] ^ looks[second, :8]).sum()
            correlation = np.corrcoef(looks[first, 8:], looks[second, 8:])[0, 1]
            if bits <= 8 and correlation >= 0.97:
                expected.append([first, second])
    assert near_pairs(looks).tolist() == expected
    assert len([pair for pair in expected if pair[1] < 90]) >= 5
    assert 2 <= len([pair for pair in expected if pair[0] == 0 and pair[1] >= 90]) <= 8
    assert near_pairs(looks[:0]).shape == (0, 2) and near_pairs(looks[:1]).shape == (0, 2)


def test_linked() -> None:
    groups = linked(8, np.array([[6, 7], [1, 4], [4, 5], [1, 5]]))
    assert [group.tolist() for group in groups] == [[1, 4, 5], [6, 7]]
    assert linked(3, np.empty((0, 2), dtype=np.int64)) == []


def shared() -> Path:
    return Path(os.environ.get("FACENET_SHARED", Path(__file__).resolve().parents[3] / "shared")) / "data"


@pytest.mark.slow
@pytest.mark.skipif(not (shared() / "celebrities").is_dir(), reason="real faces are not beside the project")
def test_look_alikes_among_aligned_faces() -> None:
    """Aligned faces resemble each other: a loose threshold would pair different people."""
    found = audit(shared() / "celebrities")
    assert (len(found.usable.people), len(found.folder)) == (12, 5463)
    assert found.near_conflicts == ()
    assert 200 <= len(found.near) <= 500, "there are hundreds of copies"
    assert max(map(len, found.near)) <= 20, "chains of look-alikes do not swallow a person"
