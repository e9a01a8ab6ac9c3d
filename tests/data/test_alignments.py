"""``alignment.json``: read back as it was written, ignored where it is somebody else's, never guessed from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from facenet.data.alignments import FILE_NAME, Alignment, declared_contract, read_alignment
from facenet.detection.faces import Policy
from facenet.errors import InputError
from facenet.preprocessing import Preprocessing

ALIGNMENT = Alignment(Preprocessing(112, 96).for_photos("five-point"), Policy.CENTRAL, "jpg")


def declare(root: Path, document: object) -> None:
    (root / FILE_NAME).write_text(document if isinstance(document, str) else json.dumps(document))


def test_round_trip(tmp_path: Path) -> None:
    declare(tmp_path, ALIGNMENT.to_dict())
    assert read_alignment(tmp_path) == ALIGNMENT
    assert declared_contract(tmp_path) == ALIGNMENT.preprocessing


def test_nothing_is_declared(tmp_path: Path) -> None:
    assert declared_contract(tmp_path) is None
    assert declared_contract(tmp_path / "gone") is None
    (tmp_path / "file").touch()
    assert declared_contract(tmp_path / "file") is None


@pytest.mark.parametrize("document", [{}, [], 3, {"format": "other"}, {"landmarks": {"a": 1}}, '{"a": 1}'])
def test_what_others_wrote_declares_nothing(tmp_path: Path, document: object) -> None:
    declare(tmp_path, document)
    assert declared_contract(tmp_path) is None


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    declare(tmp_path, " " * 2_000_000)
    assert declared_contract(tmp_path) is None


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"preprocessing": None},
        {"preprocessing": {"height": 112}},
        {"preprocessing": {**ALIGNMENT.preprocessing.to_dict(), "crop": "round"}},
        {"preprocessing": {**ALIGNMENT.preprocessing.to_dict(), "surprise": 1}},
        {"preprocessing": {**ALIGNMENT.preprocessing.to_dict(), "height": "112"}},
        {"preprocessing": Preprocessing(112, 96).to_dict()},
        {"faces": "several"},
        {"faces": None},
        {"picture_format": "gif"},
        {"picture_format": ["png"]},
    ],
)
def test_damage_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    declare(tmp_path, {**ALIGNMENT.to_dict(), **change})
    with pytest.raises(InputError, match="alignment.json"):
        declared_contract(tmp_path)


@pytest.mark.parametrize("text", ["", "{", '{"format": "facenet-alignment"', "\x00", "[" * 100_000])
def test_half_a_file_is_refused(tmp_path: Path, text: str) -> None:
    declare(tmp_path, text)
    with pytest.raises(InputError, match="dataset align"):
        declared_contract(tmp_path)


def test_a_folder_of_that_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(InputError, match="cannot read"):
        declared_contract(tmp_path)
