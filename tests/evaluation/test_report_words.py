"""Numbers as words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facenet.evaluation.report.markup import element, name, table, text
from facenet.evaluation.report.words import chance_of, decimals, plain_title, share, span, spread_of, value_of
from facenet.evaluation.study import Finding


@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [(0.9928, 2, "99.28 %"), (1.0, 2, "100.00 %"), (0.0, 2, "0.00 %"), (0.000031, 2, "0.0031 %"), (0.5, 1, "50.0 %"),
     (1e-9, 2, "1.0e-07 %"), (0.00005, 2, "0.01 %")],
)  # fmt: skip
def test_shares(value: float, digits: int, shown: str) -> None:
    assert share(value, digits) == shown


@given(st.floats(1e-12, 1))
def test_a_share_that_is_not_nothing_is_not_shown_as_nothing(value: float) -> None:
    assert float(share(value).removesuffix(" %")) > 0


@pytest.mark.parametrize(
    ("interval", "digits"),
    [(None, 2), ((0.5, 0.5), 2), ((0.90, 0.95), 2), ((0.991, 0.994), 2), ((0.9991, 0.9994), 3), ((0, 1e-9), 4)],
)
def test_digits_are_those_an_interval_can_carry(interval: tuple[float, float] | None, digits: int) -> None:
    assert decimals(interval) == digits


def test_a_finding_in_words() -> None:
    found = Finding("accuracy", "Accuracy", 0.99283, (0.9895, 0.9952), "bootstrap by person", 0.0011, 0.0035, 0.5)
    assert (value_of(found), span((0.9895, 0.9952), "share"), chance_of(found)) == (
        "99.28 %",
        "98.95 to 99.52 %",
        "50 %",
    )
    assert spread_of(found) == "standard error 0.11 %, deviation of the folds 0.35 %"
    score = Finding("t", "T", 0.31249, (0.3, 0.4), "x", unit="score")
    assert (value_of(score), span((0.3, 0.4), "score"), chance_of(score)) == ("0.312", "0.300 to 0.400", "–")
    assert value_of(Finding("t", "T", None, reason="too few")) == "–" and spread_of(score) == ""


def test_titles() -> None:
    assert plain_title("false_matches") == "False matches" and plain_title("") == ""


@given(st.text())
def test_text_from_outside_cannot_open_a_tag_or_leave_an_attribute(value: str) -> None:
    for shown in (text(value), name(value).removeprefix("<bdi>").removesuffix("</bdi>")):
        assert not set("<>\"'\n") & set(shown)
    assert element("p", text(""), title=value).count("<") == 2


def test_long_text_is_cut_off() -> None:
    assert len(text("x" * 10_000)) == 2000 and text("abcdef", 4) == "abc…"


def test_a_row_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError):
        table(("a", "b"), [[text("1")]], caption="c", kind="k")
