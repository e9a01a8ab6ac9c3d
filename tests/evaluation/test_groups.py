"""Error rates by group, against counting one by one and crowds built copy by copy."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_studies import compared, searched

from facenet.errors import InputError
from facenet.evaluation import error_rates
from facenet.evaluation.attributes import NOT_GIVEN, Attribute
from facenet.evaluation.bootstrap import measure
from facenet.evaluation.comparisons import Comparisons
from facenet.evaluation.confidence import person_copies
from facenet.evaluation.groups import ACROSS, GroupRate, GroupRates, GroupRow, Ratio, group_rates, group_search_rates
from facenet.evaluation.intervals import interval_of
from facenet.evaluation.trials import listed_trials

THRESHOLD = 0.4


def by_person(comparisons: Comparisons, names: list[str], place: list[int] | None = None) -> Attribute:
    """People one after another into the groups, or as ``place`` says."""
    owners = comparisons.owners
    codes = owners % len(names) if place is None else np.array(place)[owners]
    return Attribute("kind", tuple(names), codes.astype(np.int32))


def counted(comparisons: Comparisons, attribute: Attribute, threshold: float) -> dict[str, dict[str, list[int]]]:
    """Errors and comparisons of every row, one comparison after another."""
    found: dict[str, dict[str, list[int]]] = {}
    for place in range(len(comparisons)):
        one, other = (
            attribute.groups[attribute.codes[side[place]]] for side in (comparisons.first, comparisons.second)
        )
        if one != other and NOT_GIVEN in (one, other):
            continue
        genuine = bool(comparisons.genuine[place])
        wrong = (float(comparisons.scores[place]) >= threshold) != genuine
        wrong = wrong or (comparisons.failed is not None and bool(comparisons.failed[place]))
        row = found.setdefault(one if one == other else ACROSS, {"fnmr": [0, 0], "fmr": [0, 0]})
        row["fnmr" if genuine else "fmr"][0] += wrong
        row["fnmr" if genuine else "fmr"][1] += 1
    return found


def row(rates: GroupRates, group: str) -> GroupRow:
    return next(row for row in rates.rows if row.group == group)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.floats(-1, 1), st.lists(st.integers(0, 3), min_size=36, max_size=36))
def test_rates_are_those_of_counting(seed: int, threshold: float, codes: list[int]) -> None:
    comparisons = compared(12, 3, seed=seed)
    failed = np.random.default_rng(seed).random(len(comparisons)) < 0.1
    comparisons = replace(comparisons, failed=failed)
    groups = ("a", "b", "c", NOT_GIVEN)
    attribute = Attribute("kind", groups, np.array(codes, dtype=np.int32))
    rates = group_rates(comparisons, attribute, threshold, replicates=5)
    expected = counted(comparisons, attribute, threshold)
    for found in rates.rows:
        for kind, rate in found.rates.items():
            assert [rate.errors, rate.count] == expected.get(found.group, {}).get(kind, [0, 0])
    assert set(expected) <= {found.group for found in rates.rows}
    shown = sum(rate.count for found in rates.rows for rate in found.rates.values())
    assert shown + rates.left_out == len(comparisons)
    json.dumps(rates.to_dict(), allow_nan=False)


def test_order_of_comparisons_and_of_sides_changes_nothing() -> None:
    comparisons = compared()
    attribute = by_person(comparisons, ["a", "b"])
    order = np.random.default_rng(0).permutation(len(comparisons))
    turned = Comparisons(
        comparisons.scores[order],
        comparisons.genuine[order],
        comparisons.second[order],
        comparisons.first[order],
        comparisons.owners,
    )
    assert group_rates(turned, attribute, THRESHOLD) == group_rates(comparisons, attribute, THRESHOLD)


def test_one_group_of_all_has_the_intervals_of_the_bootstrap() -> None:
    comparisons = compared(noise=1.2)
    rates = group_rates(comparisons, by_person(comparisons, ["all"]), THRESHOLD, seed=3, replicates=200)
    owners = comparisons.owners
    apart, alike = ~comparisons.genuine, comparisons.genuine
    sides = [owners[side[apart]] for side in (comparisons.first, comparisons.second)]
    fmr = measure(listed_trials(comparisons.scores[apart], *sides), THRESHOLD, seed=3, replicates=200)
    # A miss is what a threshold accepts of scores turned round.
    turned = listed_trials(-comparisons.scores[alike], owners[comparisons.first[alike]])
    fnmr = measure(turned, float(np.nextafter(np.float32(-THRESHOLD), np.float32(1))), seed=3, replicates=200)
    for kind, expected in (("fmr", fmr), ("fnmr", fnmr)):
        found = row(rates, "all").rates[kind]
        assert (found.errors, found.count, found.people) == (expected.errors, expected.count, expected.people)
        assert found.interval == pytest.approx(expected.interval)
        assert found.interval_kind == "bootstrap by person"


@pytest.mark.parametrize("dense", [0, 1000])
def test_intervals_of_a_group_are_those_of_the_same_people_drawn(dense: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(error_rates, "_DENSE_FACTOR", dense)
    monkeypatch.setattr(error_rates, "_COPIES_AT_ONCE", 100)
    comparisons = compared(noise=1.2)
    attribute = by_person(comparisons, ["a", "b"])
    rates = group_rates(comparisons, attribute, THRESHOLD, seed=7, replicates=60)
    one, other = (comparisons.owners[side] for side in (comparisons.first, comparisons.second))
    inside = (one % 2 == 1) & (other % 2 == 1) & ~comparisons.genuine
    wrong = comparisons.scores >= THRESHOLD
    expected = []
    for copies in person_copies(30, replicates=60, seed=7):
        weights = [int(copies[a] * copies[b]) for a, b in zip(one[inside], other[inside], strict=True)]
        if sum(weights):
            expected.append(np.dot(weights, wrong[inside]) / sum(weights))
    assert row(rates, "b").rates["fmr"].interval == pytest.approx(interval_of(np.array(expected)))


def test_a_group_that_fares_worse_is_found() -> None:
    comparisons = compared(40, noise=0.8)
    worse = comparisons.owners[comparisons.first] % 2 == 1
    scores = np.where(worse & comparisons.genuine, comparisons.scores - 0.35, comparisons.scores).clip(-1, 1)
    comparisons = replace(comparisons, scores=scores.astype(np.float32))
    rates = group_rates(comparisons, by_person(comparisons, ["a", "b"]), THRESHOLD)
    ratio = rates.ratios["fnmr"]
    a, b = (row(rates, group).rates["fnmr"].value for group in "ab")
    assert a is not None and b is not None and ratio.value == pytest.approx(b / a)
    assert (ratio.worst, ratio.best) == ("b", "a")
    assert ratio.interval is not None and 1 < ratio.interval[0] < ratio.value < ratio.interval[1]
    assert row(rates, ACROSS).rates["fnmr"].reason == "nothing was compared"
    assert row(rates, ACROSS).rates["fmr"].count > 0


def test_no_ratio_where_a_group_saw_no_error() -> None:
    comparisons = compared()
    spared = comparisons.owners[comparisons.first] % 2 == 0
    scores = np.where(comparisons.genuine & spared, 1, np.where(comparisons.genuine, -1, 0)).astype(np.float32)
    rates = group_rates(replace(comparisons, scores=scores), by_person(comparisons, ["a", "b"]), THRESHOLD)
    ratio = rates.ratios["fnmr"]
    assert ratio.value is None and ratio.reason == "no error was seen in 90 of a"
    assert row(rates, "a").rates["fnmr"].interval == (0, 3 / 90)
    assert row(rates, "b").rates["fnmr"].interval == (1 - 3 / 90, 1)
    assert row(rates, "b").rates["fnmr"].interval_kind == "rule of three"
    assert rates.ratios["fmr"].reason.endswith("of a and 1 more")


def test_who_has_no_value_is_no_group_of_the_ratio() -> None:
    comparisons = compared(noise=1.2)
    names = ["a", NOT_GIVEN]
    rates = group_rates(comparisons, by_person(comparisons, names), THRESHOLD)
    assert [found.group for found in rates.rows] == names
    assert rates.left_out > 0
    assert rates.ratios["fnmr"].reason == "1 of the groups was compared, a ratio needs 2"


def test_few_people_have_no_interval() -> None:
    comparisons = compared(noise=1.2)
    few = error_rates.FEWEST_PEOPLE - 1
    attribute = by_person(comparisons, ["few", "many"], [0] * few + [1] * (30 - few))
    found = row(group_rates(comparisons, attribute, THRESHOLD), "few").rates["fnmr"]
    assert found.value is not None and found.interval is None and found.people == few
    assert f"needs {few + 1} people, there are {few}" in found.reason


def test_one_who_is_in_two_groups_is_drawn_for_both() -> None:
    comparisons = compared(noise=1.2)
    glasses = Attribute("glasses", ("no", "yes"), (np.arange(120) % 4 // 2).astype(np.int32))
    rates = group_rates(comparisons, glasses, THRESHOLD)
    assert row(rates, ACROSS).rates["fnmr"].count == 120 and row(rates, "yes").rates["fnmr"].count == 30
    # Were all their pictures alike, so would the two groups be in every replicate.
    same = replace(comparisons, scores=np.where(comparisons.first // 4 % 3 == 0, -1, 1).astype(np.float32))
    ratio = group_rates(same, glasses, THRESHOLD).ratios["fnmr"]
    assert ratio.value == 1 and ratio.interval == (1, 1)


def test_searches() -> None:
    searches = searched(noise=1.1)
    names = ("a", "b")
    owners = np.concatenate([np.repeat(np.arange(20), 4), np.repeat(np.arange(20, 40), 6)])
    attribute = Attribute("kind", names, (owners % 2).astype(np.int32))
    for rank in (1, None):
        rates = group_search_rates(searches, attribute, THRESHOLD, rank=rank, replicates=50)
        assert rates.kinds == ("fnir", "fpir")
        for code, group in enumerate(names):
            missed = [
                float(own) < THRESHOLD or (rank is not None and place > rank)
                for own, place, person in zip(searches.own_scores, searches.ranks, searches.mated_people, strict=True)
                if person % 2 == code
            ]
            found = row(rates, group).rates["fnir"]
            assert (found.errors, found.count, found.people) == (sum(missed), 30, 10)
            accepted = searches.stranger_scores[searches.stranger_people % 2 == code] >= THRESHOLD
            assert (row(rates, group).rates["fpir"].errors, 60) == (accepted.sum(), len(accepted))
    with pytest.raises(InputError, match="beyond"):
        group_search_rates(searches, Attribute("kind", names, attribute.codes[:90]), THRESHOLD)


def test_what_does_not_fit_is_refused() -> None:
    comparisons = compared()
    with pytest.raises(InputError, match="one group each"):
        group_rates(comparisons, Attribute("kind", ("a",), np.zeros(3, dtype=np.int32)), THRESHOLD)
    with pytest.raises(ValueError, match="groups"):
        Attribute("kind", ("a",), np.ones(3, dtype=np.int32))
    with pytest.raises(ValueError, match="different names"):
        Attribute("kind", ("a", "a"), np.ones(3, dtype=np.int32))
    with pytest.raises(ValueError, match="cannot be"):
        GroupRate(2, 1, 1, (0, 1), "rule of three")
    with pytest.raises(ValueError, match="interval"):
        GroupRate(1, 2, 1)
    with pytest.raises(ValueError, match="ratio"):
        Ratio(None)
