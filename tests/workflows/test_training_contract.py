"""How training learns in which way its faces were cut, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from facenet.errors import InputError, UsageError
from facenet.models.registry import build_backbone
from facenet.preprocessing import Preprocessing
from facenet.workflows import contract
from facenet.workflows.contract import same_cut, training_contract


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> list[Preprocessing | None]:
    """What the folder says of itself: the last entry."""
    said: list[Preprocessing | None] = [None]
    monkeypatch.setattr(contract, "declared_contract", lambda root: said[-1])
    return said


def test_pictures_are_taken_whole_unless_something_else_is_said(toy: str, declared: list, tmp_path: Path) -> None:
    trunk = build_backbone(toy)
    assert training_contract(trunk, tmp_path, aligned=False) == trunk.preprocessing
    assert not trunk.preprocessing.finds_faces


def test_aligned_means_the_cut_of_the_published_weights(toy: str, declared: list, tmp_path: Path) -> None:
    trunk = build_backbone(toy)
    found = training_contract(trunk, tmp_path, aligned=True)
    assert found == trunk.preprocessing.for_photos("five-point")


def test_a_folder_that_knows_how_its_faces_were_cut_is_believed(toy: str, declared: list, tmp_path: Path) -> None:
    trunk = build_backbone(toy)
    declared.append(Preprocessing(32, 32).for_photos("margin-3"))
    assert training_contract(trunk, tmp_path, aligned=False) == trunk.preprocessing.for_photos("margin-3")
    declared.append(Preprocessing(112, 112).for_photos("five-point"))
    assert training_contract(trunk, tmp_path, aligned=True) == trunk.preprocessing.for_photos("five-point")


def test_contradictions_and_sizes_that_do_not_fit_are_refused(toy: str, declared: list, tmp_path: Path) -> None:
    trunk = build_backbone(toy)
    declared.append(Preprocessing(32, 32).for_photos("margin-3"))
    with pytest.raises(UsageError, match="leave --aligned out"):
        training_contract(trunk, tmp_path, aligned=True)
    declared.append(Preprocessing(160, 160).for_photos("margin-3"))
    with pytest.raises(InputError, match="--size 32x32 --crop margin-3"):
        training_contract(trunk, tmp_path, aligned=False)


@pytest.mark.parametrize(
    ("made", "wanted", "fits"),
    [
        ((112, 112), (112, 96), True),
        ((112, 96), (112, 112), False),
        ((112, 112), (160, 160), True),
        ((112, 96), (224, 192), True),
    ],
)
def test_the_five_point_template_fits_what_is_no_wider(
    made: tuple[int, int], wanted: tuple[int, int], fits: bool
) -> None:
    faces, inputs = (Preprocessing(*size).for_photos("five-point") for size in (made, wanted))
    assert same_cut(faces, inputs) is fits
    assert not same_cut(faces, Preprocessing(*wanted).for_photos("margin-0"))


@pytest.mark.slow
def test_the_checkpoint_says_how_its_faces_were_cut(cli, drawn_people: Path, tmp_path: Path) -> None:
    words = "train triplet --backbone mobilefacenet --pretrained none --ep 1 --aligned --json --rootdir".split()
    done = cli(*words, drawn_people, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "five-point" in done.stderr
    checkpoint = tmp_path / json.loads(done.stdout)["checkpoint"] / "checkpoint.json"
    assert json.loads(checkpoint.read_text())["preprocessing"]["crop"] == "five-point"
