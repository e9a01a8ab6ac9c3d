"""Named errors: each with its exit code, and names from outside shown on one harmless line."""

from __future__ import annotations

import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facenet import errors
from facenet.errors import FacenetError, InputError, MissingError, UnreadableImage, UsageError, printable

ALL = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)]


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.UsageError, 2),
        (errors.InputError, 3),
        (errors.UnreadableImage, 3),
        (errors.TrainingDiverged, 3),
        (errors.EmbeddingCollapse, 3),
        (errors.MissingError, 4),
        (errors.WeightsError, 4),
        (errors.StorageError, 4),
        (errors.CheckpointError, 4),
        (errors.ContractError, 5),
    ],
)
def test_exit_codes(kind: type[FacenetError], code: int) -> None:
    assert kind.exit_code == code
    assert issubclass(kind, FacenetError)


def test_every_error_is_one_of_ours_and_says_what_it_is_for() -> None:
    assert len(ALL) >= 11
    for kind in ALL:
        assert issubclass(kind, FacenetError) and kind.__doc__
        # 0 is success, 1 a negative answer, from 126 on the shell's own.
        assert 2 <= kind.exit_code <= 5


def test_families_can_be_caught_together() -> None:
    assert issubclass(UnreadableImage, InputError)
    for kind in (errors.WeightsError, errors.StorageError, errors.CheckpointError):
        assert issubclass(kind, MissingError)
    assert not issubclass(InputError, UsageError)


def test_an_unreadable_image_says_which_and_why() -> None:
    error = UnreadableImage("Ada\n/1.jpg", "empty file")
    assert str(error) == "cannot read Ada\\n/1.jpg: empty file"
    assert error.reason == "empty file"


@pytest.mark.parametrize("name", ["Ada", "Søren Ågård", "山田 太郎", "محمد", 'O\'Neil "Jr"', "-rf", "a\\b", ""])
def test_ordinary_names_are_shown_as_they_are(name: str) -> None:
    assert printable(name) == name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\nb", "a\\nb"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\rb\tc\x00", "a\\rb\\tc\\x00"),
        ("\udcff", "\\udcff"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("\u2028", "\\u2028"),
    ],
)
def test_what_could_fool_a_terminal_is_escaped(name: str, shown: str) -> None:
    assert printable(name) == shown


@given(st.text(st.characters(), max_size=40))
def test_any_name_becomes_one_printable_line_that_can_be_written(name: str) -> None:
    shown = printable(name)
    assert shown.isprintable() and len(shown.splitlines()) <= 1
    shown.encode("utf-8")
    assert printable(shown) == shown
