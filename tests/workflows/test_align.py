"""``dataset align``: one face for each photo, where it belongs, and nowhere else; interrupted runs go on."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from scenes import RedDetector, paint, save

from facenet.data.alignments import Alignment, declared_contract
from facenet.data.folders import scan_folder
from facenet.detection.alignment import cut_face
from facenet.detection.faces import Policy
from facenet.errors import ContractError, InputError, MissingError, StorageError, UsageError
from facenet.images import load_image
from facenet.models.registry import build_backbone
from facenet.preprocessing import Preprocessing
from facenet.workflows import align_faces
from facenet.workflows.align import AlignResult, align_folder, name_outputs, photo_contract

FIVE = Alignment(Preprocessing(112, 112).for_photos("five-point"), Policy.LARGEST, "png")
FACE = (10, 10, 80, 80)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "source"
    for number in range(3):
        save(root / "Ada" / f"{number}.png", paint(100, 150, FACE, seed=number))
    save(root / "set" / "Bo\nb" / "1.png", paint(100, 200, FACE, (90, 5, 180, 95)))
    save(root / "set" / "Bo\nb" / "1.jpg", paint(100, 100), quality=95)
    save(root / "set" / "Bo\nb" / "none.png", paint(60, 60))
    (root / "Ada" / "broken.jpg").touch()
    (root / "Ada" / "moving.gif").touch()
    return root


def align(source: Path, target: Path, alignment: Alignment = FIVE, **options: object) -> AlignResult:
    return align_folder(source, target, alignment, detector=RedDetector(), **options)


def lines(target: Path) -> dict[str, dict[str, str]]:
    with (target / "align.csv").open(encoding="utf-8", newline="") as stream:
        return {line["source"]: line for line in csv.DictReader(stream)}


def pictures(target: Path) -> list[str]:
    return sorted(path.relative_to(target).as_posix() for path in target.rglob("*.png"))


def contents(target: Path) -> dict[str, bytes]:
    return {name: (target / name).read_bytes() for name in pictures(target)}


def test_what_is_written(source: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    result = align(source, tmp_path / "faces", progress=lambda *now: told.append(now))
    assert told == [(7, 7)]
    assert result.outcomes == {"written": 4, "no_face": 2, "unreadable": 1, "left_out": 1}
    json.dumps(result.to_dict())
    assert pictures(tmp_path / "faces") == ["Ada/0.png", "Ada/1.png", "Ada/2.png", "set/Bo\nb/1.png.png"]
    image = load_image(source / "Ada" / "1.png")
    (face,) = RedDetector().detect([image])[0]
    expected = cut_face(image, face, FIVE.preprocessing).permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(load_image(tmp_path / "faces" / "Ada" / "1.png"), expected)
    table = lines(tmp_path / "faces")
    assert table["set/Bo\nb/1.png"]["faces"] == "2" and table["set/Bo\nb/1.png"]["left"] == "90.00"
    assert table["Ada/broken.jpg"]["reason"] == "empty file" and table["Ada/broken.jpg"]["output"] == ""
    assert table["Ada/moving.gif"]["status"] == "left_out"
    assert declared_contract(tmp_path / "faces") == FIVE.preprocessing
    assert scan_folder(tmp_path / "faces").people == ("Ada", "set/Bo\nb"), "ready to train on"


@pytest.mark.parametrize(("crop", "size"), [("five-point", (112, 96)), ("margin-14", (160, 160))])
def test_other_contracts(source: Path, tmp_path: Path, crop: str, size: tuple[int, int]) -> None:
    alignment = Alignment(photo_contract(size=size, crop=crop), Policy.CENTRAL, "jpg")
    align(source, tmp_path / "faces", alignment)
    assert load_image(tmp_path / "faces" / "Ada" / "1.jpg").shape == (*size, 3)
    assert declared_contract(tmp_path / "faces") == alignment.preprocessing


def test_contracts_by_name() -> None:
    assert photo_contract() == FIVE.preprocessing
    for name in ("mobilefacenet", "inception_resnet_v1"):
        trunk = build_backbone(name)
        assert photo_contract(backbone=name) == trunk.preprocessing.for_photos(trunk.photo_crop)
    for wrong in ({"backbone": "mobilefacenet", "size": (112, 96)}, {"backbone": "nonsense"}, {"crop": "round"}):
        with pytest.raises(UsageError):
            photo_contract(**wrong)


def test_what_is_done_is_not_done_again(source: Path, tmp_path: Path) -> None:
    align(source, tmp_path / "faces")
    before = contents(tmp_path / "faces")
    detector, said = RedDetector(), []
    again = align_folder(source, tmp_path / "faces", FIVE, detector=detector, say=said.append)
    assert detector.calls == [] and again.resumed == 7 and "7 of 7" in said[0]
    (tmp_path / "faces" / "Ada" / "0.png").unlink()
    (tmp_path / "faces" / "Ada" / "1.png").write_bytes(b"")
    save(source / "Ada" / "2.png", paint(110, 150, (20, 20, 99, 99), seed=5))
    save(source / "Ada" / "new.png", paint(110, 150, FACE))
    last = align(source, tmp_path / "faces")
    assert last.resumed == 4 and last.outcomes["written"] == 5
    after = contents(tmp_path / "faces")
    assert after["Ada/0.png"] == before["Ada/0.png"] and after["Ada/1.png"] == before["Ada/1.png"]
    assert after["Ada/2.png"] != before["Ada/2.png"] and "Ada/new.png" in after


@pytest.mark.parametrize("at", [1, 2, 3, 4])
@pytest.mark.parametrize("after", [False, True])
def test_interrupted_while_writing(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, after: bool
) -> None:
    align(source, tmp_path / "whole")
    count, write = 0, align_faces.save_image

    def stopping(path: Path, image: np.ndarray) -> None:
        nonlocal count
        count += 1
        if count == at and not after:
            raise KeyboardInterrupt
        write(path, image)
        if count == at:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(align_faces, "save_image", stopping)
        with pytest.raises(KeyboardInterrupt):
            align(source, tmp_path / "faces")
    journal = tmp_path / "faces" / ".alignment.jsonl"
    journal.write_bytes(journal.read_bytes() + b'\n{"source": "Ada/0.png", "sta')
    assert align(source, tmp_path / "faces").outcomes["written"] == 4
    assert contents(tmp_path / "faces") == contents(tmp_path / "whole")
    assert lines(tmp_path / "faces") == lines(tmp_path / "whole")
    assert not list((tmp_path / "faces").rglob(".writing-*"))


def test_a_photo_without_a_face_any_more_loses_its_picture(source: Path, tmp_path: Path) -> None:
    align(source, tmp_path / "faces")
    save(source / "Ada" / "0.png", paint(120, 120))
    (source / "Ada" / "1.png").unlink()
    result = align(source, tmp_path / "faces")
    assert pictures(tmp_path / "faces") == ["Ada/1.png", "Ada/2.png", "set/Bo\nb/1.png.png"]
    assert result.outcomes["no_face"] == 3 and result.outcomes["source_gone"] == 1
    assert lines(tmp_path / "faces")["Ada/1.png"]["status"] == "source_gone"


def test_two_pictures_of_one_name(source: Path, tmp_path: Path) -> None:
    for suffix in ("jpg", "bmp", "PNG"):
        save(source / "Ada" / f"0.{suffix}", paint(100, 150, FACE, seed=9) if suffix != "jpg" else paint(90, 90))
    align(source, tmp_path / "faces")
    table = lines(tmp_path / "faces")
    written = {name: line["output"] for name, line in table.items() if line["output"] and name.startswith("Ada/0")}
    assert written == {"Ada/0.PNG": "Ada/0.png", "Ada/0.bmp": "Ada/0.bmp.png", "Ada/0.png": "Ada/0.png.png"}
    assert "another picture has the name 0" in table["Ada/0.bmp"]["reason"]
    save(source / "Ada" / "0.JPG", paint(100, 150, FACE, seed=11))
    align(source, tmp_path / "faces")
    assert {name: line["output"] for name, line in lines(tmp_path / "faces").items() if name in written} == written


@given(st.lists(st.text("aA.jpn-2é", min_size=1, max_size=5), unique=True, max_size=12))
def test_outputs_never_collide(names: list[str]) -> None:
    paths = [f"Ada/{name}.jpg" for name in names] + [f"ada/{name}.png" for name in names]
    outputs = name_outputs(paths, {}, "png")
    assert len({output.casefold() for output in outputs}) == len(paths)
    for path, output in zip(paths, outputs, strict=True):
        assert output.rpartition("/")[0] == path.rpartition("/")[0]


def test_what_others_put_there_stays(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "faces"
    target.mkdir()
    align(source / ".." / "source", target)
    (target / "Ada" / "3.png").write_text("mine")
    save(source / "Ada" / "3.png", paint(100, 100, FACE))
    (target / "Cem").write_text("mine")
    save(source / "Cem" / "1.png", paint(100, 100, FACE))
    result = align(source, target)
    assert result.outcomes["in_the_way"] == 2 and result.outcomes["written"] == 4
    assert (target / "Ada" / "3.png").read_text() == (target / "Cem").read_text() == "mine"
    (target / "Ada" / "3.png").unlink()
    assert align(source, target).outcomes["written"] == 5


def test_links_do_not_lead_out(source: Path, tmp_path: Path) -> None:
    target, outside = tmp_path / "faces", tmp_path / "outside"
    align(source / ".." / "source", target)
    outside.mkdir()
    (target / "Dan").symlink_to(outside)
    (target / "Ada" / "0.png").unlink()
    (target / "Ada" / "0.png").symlink_to(outside / "stolen.png")
    save(source / "Dan" / "1.png", paint(100, 100, FACE))
    result = align(source, target)
    assert list(outside.iterdir()) == []
    assert result.outcomes["in_the_way"] == 1
    assert (target / "Ada" / "0.png").is_file() and not (target / "Ada" / "0.png").is_symlink()


def test_other_alignments_and_other_sources_are_refused(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "faces"
    align(source, target)
    before = contents(target)
    others = (
        Alignment(photo_contract(size=(112, 96)), Policy.LARGEST, "png"),
        Alignment(FIVE.preprocessing, Policy.CENTRAL, "png"),
        Alignment(FIVE.preprocessing, Policy.LARGEST, "jpg"),
    )
    for other in others:
        with pytest.raises(ContractError, match="112x112 five-point, largest face, png"):
            align(source, target, other)
    save(tmp_path / "second" / "Ada" / "0.png", paint(100, 100, FACE))
    with pytest.raises(InputError, match="holds the faces of"):
        align(tmp_path / "second", target)
    source.rename(tmp_path / "moved")
    assert align(tmp_path / "moved", target).resumed == 7
    assert contents(target) == before


def test_what_cannot_be(source: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="other people"):
        align(source, tmp_path / "faces", Alignment(FIVE.preprocessing, Policy.ALL, "png"))
    for target in (source, source / "faces", tmp_path):
        with pytest.raises(UsageError, match="lie in one another"):
            align(source, target)
    with pytest.raises(MissingError):
        align(tmp_path / "gone", tmp_path / "faces")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    with pytest.raises(InputError, match="something else"):
        align(source, tmp_path / "full")
    with pytest.raises(InputError, match="is a file"):
        align(source, tmp_path / "full" / "mine.txt")
    with pytest.raises(StorageError):
        align(source, tmp_path / "full" / "mine.txt" / "deeper")
    align(source, tmp_path / "faces")
    with FileLock(tmp_path / "faces" / ".alignment.lock"), pytest.raises(InputError, match="another process"):
        align(source, tmp_path / "faces")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["faces", "full", "source"]


@pytest.mark.skipif(os.name != "posix", reason="long names")
def test_names_too_long_for_the_disk(source: Path, tmp_path: Path) -> None:
    name = "x" * 248
    for suffix in ("bmp", "png"):
        save(source / "Ada" / f"{name}.{suffix}", paint(100, 100, FACE))
    result = align(source, tmp_path / "faces")
    assert result.outcomes["in_the_way"] == 1
    assert "too long" in lines(tmp_path / "faces")[f"Ada/{name}.png"]["reason"]
