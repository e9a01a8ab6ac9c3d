"""What a person may be called: everything that is visible text, and nothing that breaks a line or a terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facenet.errors import InputError
from facenet.gallery.names import LONGEST_NAME, normalise_name, parse_reference

LEGAL = [
    "Zoë",
    "李小龙",
    "محمد علي",
    "שָׁלוֹם",
    "สมชาย",
    "Владимир",
    "👩‍👩‍👧‍👦",
    "e\u0301",
    "क्षत्रिय",
    "Robert'); DROP TABLE people;--",
    '" OR 1=1 --',
    "../../etc/passwd",
    "C:\\Windows\\system32",
    "<script>alert(1)</script>",
    "%s %n {0} $(reboot)",
    "file:memory:",
    "identity:5",
    "id:",
    "id:x",
    "NULL",
    "a\u200fb",
    "-rf",
    "x" * LONGEST_NAME,
]

ILLEGAL = {
    "": "empty",
    "   ": "empty",
    "\u3000\u2003": "empty",
    "a\nb": "control",
    "a\x00b": "control",
    "a\x1b[31mb": "control",
    "a\x7fb": "control",
    "a\x85b": "control",
    "a\ud800b": "surrogate",
    "a\u202eb": "direction",
    "a\u2066b": "direction",
    "a\u2028b": "line separator",
    "a\u2029b": "paragraph separator",
    "\u200d": "nothing visible",
    "\u0301": "nothing visible",
    "id:5": "refers",
    " id:5 ": "refers",
    "ID:5": "refers",
    "id:-5": "refers",
    "id: 5": "refers",
    "id:٥": "refers",
    "x" * (LONGEST_NAME + 1): "257 characters",
    "x" * 10_000: "10000 characters",
}


@pytest.mark.parametrize("name", LEGAL)
def test_any_visible_text_is_a_name(name: str) -> None:
    assert normalise_name(name) == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize(("name", "reason"), ILLEGAL.items())
def test_what_is_no_name_is_refused_with_the_reason_and_without_the_character(name: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        normalise_name(name)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_a_name_that_is_no_text_is_refused() -> None:
    with pytest.raises(InputError, match="must be text, not int"):
        normalise_name(5)  # type: ignore[arg-type]


def test_spellings_of_one_text_are_one_name() -> None:
    assert normalise_name("  Zoe\u0308 ") == normalise_name("Zo\u00eb") == "Zo\u00eb"
    assert normalise_name("Zoë") != normalise_name("zoë")


@given(st.text())
def test_a_normalised_name_stays_as_it_is(text: str) -> None:
    try:
        name = normalise_name(text)
    except InputError as error:
        assert str(error).isprintable()
        return
    assert normalise_name(name) == name
    assert 1 <= len(name) <= LONGEST_NAME
    assert name.encode("utf-8").decode("utf-8") == name
    assert "\n" not in name and parse_reference(name) == name


@given(st.integers(0, 2**63 - 1))
def test_a_reference_by_id_is_a_number(number: int) -> None:
    assert parse_reference(f" id:{number}") == number


@pytest.mark.parametrize("reference", ["id:9999999999999999999", "id:-1", "id:99999999999999999999", "", "a\nb"])
def test_a_reference_nobody_can_have_is_refused(reference: str) -> None:
    with pytest.raises(InputError):
        parse_reference(reference)
