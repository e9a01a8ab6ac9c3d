"""Closed-set identification against a brute-force loop, with ties, in any order and block size."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from oracles_evaluation import identification_rank
from torch import Tensor

from facenet import geometry
from facenet.errors import InputError, UsageError
from facenet.evaluation.identification import (
    Identification,
    RankRate,
    cmc,
    identification_findings,
    identify,
    rank_rate,
)
from facenet.evaluation.searching import search_people

# Small whole numbers: many rows point exactly the same way, so ties between people are the rule.
row = st.lists(st.integers(-2, 2), min_size=3, max_size=3).filter(any)


@st.composite
def searches(draw: st.DrawFn) -> tuple[Tensor, NDArray[np.int64], Tensor, NDArray[np.int64]]:
    enrolled_people = draw(st.lists(st.integers(0, 6), min_size=2, max_size=20).filter(lambda p: len(set(p)) > 1))
    probe_people = draw(st.lists(st.sampled_from(enrolled_people), min_size=1, max_size=12))
    enrolled = draw(st.lists(row, min_size=len(enrolled_people), max_size=len(enrolled_people)))
    probes = draw(st.lists(row, min_size=len(probe_people), max_size=len(probe_people)))
    unit = [geometry.normalise(torch.tensor(rows, dtype=torch.float32)) for rows in (probes, enrolled)]
    return unit[0], np.array(probe_people), unit[1], np.array(enrolled_people)


@settings(deadline=None, max_examples=200)
@given(searches(), st.sampled_from(["max", "mean"]), st.integers(1, 60))
def test_equal_to_brute_force(search: Any, fusion: Any, scores_at_once: int) -> None:
    probes, probe_people, enrolled, enrolled_people = search
    result = identify(probes, probe_people, enrolled, enrolled_people, fusion=fusion, scores_at_once=scores_at_once)
    wide_probes, wide_enrolled = geometry.normalise(probes.double()), geometry.normalise(enrolled.double())
    expected = [
        identification_rank(probe, person, wide_enrolled.tolist(), enrolled_people.tolist(), fusion)
        for probe, person in zip(wide_probes.tolist(), probe_people.tolist(), strict=True)
    ]
    assert result.probe_ranks.tolist() == expected
    people = len(set(enrolled_people.tolist()))
    assert result.cmc.tolist() == pytest.approx([np.mean([r <= k for r in expected]) for k in range(1, people + 1)])
    for k, rate in result.rank_rates.items():
        assert rate.value == (None if k >= people else np.mean([r <= k for r in expected]))
        assert rate.chance == min(1, k / people)


@settings(deadline=None)
@given(searches(), st.sampled_from(["max", "mean"]), st.randoms(use_true_random=False))
def test_order_does_not_matter(search: Any, fusion: Any, random: Any) -> None:
    probes, probe_people, enrolled, enrolled_people = search
    order, enrolled_order = np.arange(len(probes)), np.arange(len(enrolled))
    random.shuffle(order)
    random.shuffle(enrolled_order)
    plain = identify(probes, probe_people, enrolled, enrolled_people, fusion=fusion)
    mixed = identify(
        probes[torch.from_numpy(order)],
        probe_people[order],
        enrolled[torch.from_numpy(enrolled_order)],
        enrolled_people[enrolled_order],
        fusion=fusion,
    )
    assert mixed.probe_ranks.tolist() == plain.probe_ranks[order].tolist()
    assert mixed.to_dict() == plain.to_dict()


@given(searches())
def test_enrolling_a_picture_twice_changes_nothing(search: Any) -> None:
    probes, probe_people, enrolled, enrolled_people = search
    plain = identify(probes, probe_people, enrolled, enrolled_people)
    twice = identify(probes, probe_people, torch.cat([enrolled, enrolled]), np.tile(enrolled_people, 2))
    assert twice.probe_ranks.tolist() == plain.probe_ranks.tolist()


def test_large_random_blocks_agree() -> None:
    generator = torch.Generator().manual_seed(0)
    enrolled = geometry.normalise(torch.randn(700, 64, generator=generator))
    probes = geometry.normalise(0.3 * torch.randn(300, 64, generator=generator) + enrolled[:300])
    people = np.arange(700) % 90
    ranks = [identify(probes, people[:300], enrolled, people, scores_at_once=n).probe_ranks for n in (1, 7001, 2**24)]
    assert ranks[0].tolist() == ranks[1].tolist() == ranks[2].tolist()
    assert 0.5 < np.mean(ranks[0] == 1) < 1


def test_ideal_embedder_is_perfect() -> None:
    names = np.array(["ann", "bob", "cid", "di", "eve", "fay"])
    result = identify(torch.eye(6), names, torch.eye(6), names)
    assert result.rank_rates == {1: RankRate(1, 1.0, 1 / 6), 5: RankRate(5, 1.0, 5 / 6)}
    assert result.cmc.tolist() == [1.0] * 6


@pytest.mark.parametrize("constant", [1.0, 0.0])
def test_constant_embedder_has_every_tie_against_it(constant: float) -> None:
    names = np.arange(8)
    same = torch.zeros(8, 4)
    same[:, 1] = constant
    result = identify(same, names, same, names)
    assert result.probe_ranks.tolist() == [8] * 8
    assert (result.rank_rates[1].value, result.rank_rates[5].value) == (0.0, 0.0)


def test_copies_that_differ_by_rounding_are_ties() -> None:
    generator = torch.Generator().manual_seed(0)
    copies = geometry.normalise(torch.randn(1, 512, generator=generator))
    nearly = geometry.normalise(copies.double() * 3).float()
    result = identify(copies, np.array([0]), torch.cat([copies, nearly]), np.array([0, 1]), ranks=(1,))
    assert result.probe_ranks.tolist() == [2]


def test_fusion_decides_between_one_good_picture_and_a_good_mean() -> None:
    angles = {"ann": [0.0, 2.0], "bob": [0.4, 0.5]}
    enrolled = torch.tensor([[np.cos(a), np.sin(a)] for person in angles.values() for a in person])
    people = np.repeat(list(angles), 2)
    probe, who = torch.tensor([[1.0, 0.0]], dtype=torch.float64), np.array(["ann"])
    assert identify(probe, who, enrolled, people, fusion="max").probe_ranks.tolist() == [1]
    assert identify(probe, who, enrolled, people, fusion="mean").probe_ranks.tolist() == [2]


def test_rank_that_cannot_be_missed_is_not_given() -> None:
    names = np.arange(5)
    rates = identify(torch.eye(5), names, torch.eye(5), names, ranks=(1, 4, 5, 9)).rank_rates
    assert (rates[4].value, rates[4].chance) == (1.0, 0.8)
    assert rates[5] == RankRate(5, None, 1.0, "rank 5 among 5 people cannot be missed")
    assert rates[9].value is None


def test_cmc_of_searches_is_that_of_the_identification() -> None:
    generator = torch.Generator().manual_seed(0)
    enrolled = geometry.normalise(torch.randn(40, 8, generator=generator))
    probes = geometry.normalise(torch.randn(120, 8, generator=generator) + enrolled.repeat(3, 1))
    people, enrolled_people = np.tile(np.arange(40), 3), np.arange(40)
    identified = identify(probes, people, enrolled, enrolled_people)
    searches = search_people(probes, people, enrolled, enrolled_people)
    assert cmc(searches).tolist() == identified.cmc.tolist()
    findings = identification_findings(searches, ranks=(1, 5, 40), replicates=200)
    assert [finding.key for finding in findings] == ["rank_1", "rank_5", "rank_40"]
    assert [finding.value for finding in findings[:2]] == [rate.value for rate in identified.rank_rates.values()]
    assert [finding.chance for finding in findings] == [1 / 40, 5 / 40, 1.0]
    assert findings[0].basis == "120 searches by 40 of 40 people enrolled"
    assert findings[0].interval is not None and findings[0].value is not None
    assert findings[0].interval[0] < findings[0].value < findings[0].interval[1]
    assert findings[0].interval_kind == "bootstrap by person"
    assert (findings[2].value, findings[2].reason) == (None, "rank 40 among 40 people cannot be missed")


def test_interval_of_a_known_error_rate_is_by_person() -> None:
    # Of 100 people 20 are taken for another, in each of their 5 searches: binomial over people, not over searches.
    shown = np.where(np.arange(100) < 20, (np.arange(100) + 1) % 100, np.arange(100))
    people = np.repeat(np.arange(100), 5)
    searches = search_people(torch.eye(100)[torch.from_numpy(shown[people])], people, torch.eye(100), np.arange(100))
    finding = identification_findings(searches, ranks=(1,), replicates=500)[0]
    assert finding.value == pytest.approx(0.8)
    assert finding.interval is not None
    assert finding.interval[1] - finding.interval[0] == pytest.approx(2 * 1.96 * 0.04, rel=0.2)
    again = identification_findings(searches, ranks=(1,), replicates=500)[0]
    assert again == finding


def test_no_error_is_told_by_the_rule_of_three() -> None:
    people = np.repeat(np.arange(10), 3)
    searches = search_people(torch.eye(10)[torch.from_numpy(people)], people, torch.eye(10), np.arange(10))
    finding = identification_findings(searches, ranks=(1,))[0]
    assert (finding.value, finding.interval, finding.interval_kind) == (1.0, (0.9, 1.0), "rule of three")
    constant = search_people(torch.ones(30, 1), people, torch.ones(10, 1), np.arange(10))
    finding = identification_findings(constant, ranks=(1,))[0]
    assert (finding.value, finding.interval) == (0.0, (0.0, 0.1))


def test_two_people_have_no_interval() -> None:
    searches = search_people(torch.eye(3)[:2], np.arange(2), torch.eye(3), np.arange(3))
    finding = identification_findings(searches, ranks=(1,))[0]
    assert (finding.value, finding.interval, finding.interval_kind) == (1.0, None, "")
    assert finding.basis.endswith("too few people for an interval")


def test_findings_refuse_what_cannot_be_asked() -> None:
    only_strangers = search_people(
        torch.eye(3)[:0],
        np.arange(0),
        torch.eye(3),
        np.arange(3),
        strangers=torch.eye(3),
        stranger_people=np.arange(3, 6),
    )
    assert all(finding.value is None for finding in identification_findings(only_strangers, replicates=10))
    with pytest.raises(InputError, match="a CMC needs searches"):
        cmc(only_strangers)
    with pytest.raises(UsageError, match="ranks start at 1"):
        identification_findings(only_strangers, ranks=(0,))
    with pytest.raises(UsageError, match="target FPIR"):
        identification_findings(only_strangers, targets=(1.0,))


def test_half_precision_is_accepted() -> None:
    names = np.arange(3)
    eye = torch.eye(3, dtype=torch.bfloat16)
    assert identify(eye, names, eye, names).rank_rates[1].value == 1.0


def test_json_holds_every_figure() -> None:
    names = np.arange(30)
    document = identify(torch.eye(30), names, torch.eye(30), names).to_dict(cmc_length=3)
    again = json.loads(json.dumps(document, allow_nan=False))
    assert again == document
    assert again["cmc"] == [1.0, 1.0, 1.0]
    assert again["rank_rates"]["5"] == {"rank": 5, "value": 1.0, "chance": 5 / 30, "reason": ""}


def test_bad_input_is_refused() -> None:
    eye, names = torch.eye(3), np.array(["ann", "bob", "cid"])
    with pytest.raises(InputError, match=r"1 people have probes but are not enrolled, such as d\\ni"):
        identify(eye, np.array(["ann", "bob", "d\ni"]), eye, names)
    with pytest.raises(InputError, match="not enrolled, such as 0:"):
        identify(eye, np.array([0, 1, 2]), eye, np.array([1, 2, 3]))
    with pytest.raises(InputError, match="at least 2 people"):
        identify(eye, np.repeat("ann", 3), eye, np.repeat("ann", 3))
    with pytest.raises(InputError, match="2 of 3 probe embeddings do not have length 1"):
        identify(eye * torch.tensor([[1.0], [2.0], [torch.nan]]), names, eye, names)
    with pytest.raises(InputError, match="enrolled embeddings do not have length 1"):
        identify(eye, names, eye * 0.5, names)
    with pytest.raises(InputError, match="one row and one label"):
        identify(eye, names[:2], eye, names)
    with pytest.raises(InputError, match="the set of probes is empty"):
        identify(eye[:0], names[:0], eye, names)
    with pytest.raises(InputError, match="dimensions"):
        identify(torch.eye(4)[:3], names, eye, names)
    with pytest.raises(UsageError, match="fusion"):
        identify(eye, names, eye, names, fusion="median")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="ranks start at 1"):
        identify(eye, names, eye, names, ranks=(0,))


def test_results_that_contradict_themselves_are_refused() -> None:
    ranks = np.array([1, 2, 3])
    good = {1: rank_rate(ranks, 3, 1)}
    Identification(3, 3, 5, "max", good, ranks)
    for wrong in (
        lambda: Identification(4, 3, 5, "max", good, ranks),
        lambda: Identification(3, 2, 5, "max", good, ranks),
        lambda: Identification(3, 6, 5, "max", good, ranks),
        lambda: Identification(3, 3, 5, "max", {1: RankRate(1, 0.9, 1 / 3)}, ranks),
        lambda: RankRate(0, 0.5, 0.1),
        lambda: RankRate(1, 1.5, 0.1),
        lambda: RankRate(1, None, 0.1),
        lambda: RankRate(1, 0.5, 0.0),
    ):
        with pytest.raises(ValueError):
            wrong()
