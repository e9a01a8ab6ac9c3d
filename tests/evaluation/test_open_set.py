"""Open-set searches, FNIR and FPIR against counting loops, with ties, failures and in any order."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import oracles_search as oracle
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facenet import geometry
from facenet.errors import InputError, UsageError
from facenet.evaluation.confidence import person_copies
from facenet.evaluation.identification import identification_findings
from facenet.evaluation.open_set import OpenSetRate, missed, open_set_curve, open_set_rate
from facenet.evaluation.open_set_findings import accepted_unseen, fnir_at_fpir, fnir_replicates
from facenet.evaluation.searches import Searches
from facenet.evaluation.searching import search_people

row = st.lists(st.integers(-2, 2), min_size=3, max_size=3).filter(any)
score = st.integers(-4, 4).map(lambda step: np.float32(step / 4))
ANY_RANK = st.sampled_from([1, 2, None])


def searched(
    own: Any,
    ranks: Any,
    strangers: Any,
    *,
    mated_people: NDArray[Any] | None = None,
    stranger_people: NDArray[Any] | None = None,
    enrolled: int = 9,
) -> Searches:
    """Searches with these scores, each by a person of their own unless they are given."""
    own, strangers = np.array(own, np.float32), np.array(strangers, np.float32)
    return Searches(
        enrolled=enrolled,
        mated_people=(np.arange(len(own)) if mated_people is None else mated_people).astype(np.int32),
        mated_samples=np.arange(len(own), dtype=np.int32),
        own_scores=own,
        other_scores=np.zeros(len(own), np.float32),
        other_people=np.zeros(len(own), np.int32),
        ranks=np.array(ranks, np.int32),
        stranger_people=(np.arange(len(strangers)) if stranger_people is None else stranger_people).astype(np.int32),
        stranger_samples=np.arange(len(strangers), dtype=np.int32),
        stranger_scores=strangers,
        stranger_matches=np.zeros(len(strangers), np.int32),
    )


@st.composite
def made_searches(draw: st.DrawFn, most: int = 12) -> Searches:
    own = draw(st.lists(score, min_size=1, max_size=most))
    ranks = draw(st.lists(st.integers(1, 4), min_size=len(own), max_size=len(own)))
    return searched(own, ranks, draw(st.lists(score, min_size=1, max_size=most)))


def lists(searches: Searches) -> tuple[list[float], list[int], list[float]]:
    return searches.own_scores.tolist(), searches.ranks.tolist(), searches.stranger_scores.tolist()


@st.composite
def people_searching(draw: st.DrawFn) -> tuple[Any, ...]:
    enrolled_people = draw(st.lists(st.integers(0, 6), min_size=1, max_size=15))
    probe_people = draw(st.lists(st.sampled_from(enrolled_people), min_size=1, max_size=8))
    stranger_people = draw(st.lists(st.integers(10, 13), min_size=0, max_size=8))
    parts: list[Any] = []
    for people in (probe_people, enrolled_people, stranger_people):
        rows = draw(st.lists(row, min_size=len(people), max_size=len(people)))
        failed = draw(st.lists(st.booleans(), min_size=len(people), max_size=len(people)))
        unit = geometry.normalise(torch.tensor(rows, dtype=torch.float32).reshape(len(people), 3))
        unit[torch.tensor(failed, dtype=torch.bool)] = torch.nan
        parts += [unit, np.array(people, dtype=np.int64), np.array(failed, dtype=np.bool_)]
    return tuple(parts)


@settings(deadline=None, max_examples=200)
@given(people_searching(), st.sampled_from(["max", "mean"]), st.sampled_from([1, 20, 2**22]))
def test_searches_are_equal_to_loops(given_people: Any, fusion: Any, scores_at_once: int) -> None:
    probes, probe_people, lost_probes, enrolled, enrolled_people, lost_enrolled, strangers, stranger_people, lost = (
        given_people
    )
    found = search_people(
        probes,
        probe_people,
        enrolled,
        enrolled_people,
        strangers=strangers,
        stranger_people=stranger_people,
        fusion=fusion,
        failed_probes=lost_probes,
        failed_enrolled=lost_enrolled,
        failed_strangers=lost,
        probe_samples=np.arange(len(probes)) + 5,
        scores_at_once=scores_at_once,
    )
    everybody = sorted(set(enrolled_people.tolist()))
    usable = ~lost_enrolled
    rows, names = geometry.normalise(enrolled[usable].double()).tolist(), enrolled_people[usable].tolist()
    assert found.enrolled == len(everybody)
    assert found.mated_samples.tolist() == [5 + i for i in range(len(probes))]
    assert [everybody[code] for code in found.mated_people] == probe_people.tolist()
    for i, (probe, person) in enumerate(zip(geometry.normalise(probes.double()).tolist(), probe_people, strict=True)):
        if lost_probes[i] or person not in names:
            failed_search = (-1, 1, -1, len(everybody))
            got = (found.own_scores[i], found.other_scores[i], found.other_people[i], found.ranks[i])
            assert got == failed_search
            continue
        scores = oracle.candidates(probe, rows, names, fusion)
        own, others = scores[person], {name: value for name, value in scores.items() if name != person}
        assert found.own_scores[i] == pytest.approx(own, abs=1e-6)
        tied = sum(value >= own - oracle.TIE for value in others.values())
        # Who could not be enrolled scores -1, and ties with whoever scores -1.
        tied += (len(everybody) - len(scores)) * (own <= -1 + oracle.TIE)
        assert found.ranks[i] == 1 + tied
        best = max(others.values(), default=-1)
        assert found.other_scores[i] == pytest.approx(best, abs=1e-6)
        if others and best > -1 + oracle.TIE:
            assert everybody[found.other_people[i]] == min(n for n, v in others.items() if v >= best - oracle.TIE)
        elif len(everybody) == 1:
            assert found.other_people[i] == -1
    for i, stranger in enumerate(geometry.normalise(strangers.double()).tolist()):
        if lost[i]:
            assert (found.stranger_scores[i], found.stranger_matches[i]) == (1, 0)
            continue
        scores = oracle.candidates(stranger, rows, names, fusion)
        best = max(scores.values(), default=-1)
        assert found.stranger_scores[i] == pytest.approx(best, abs=1e-6)
        if best > -1 + oracle.TIE:
            assert everybody[found.stranger_matches[i]] == min(n for n, v in scores.items() if v >= best - oracle.TIE)


@given(made_searches(), ANY_RANK)
def test_curve_is_every_threshold_counted(searches: Searches, rank: int | None) -> None:
    fpir, fnir, thresholds = open_set_curve(searches, rank)
    assert (fpir[0], fpir[-1]) == (0, 1)
    assert (np.diff(thresholds) < 0).all() and (np.diff(fpir) >= 0).all() and (np.diff(fnir) <= 0).all()
    counted = [oracle.open_set_rates(*lists(searches), threshold, rank) for threshold in thresholds]
    assert np.array([fpir, fnir]).T == pytest.approx(np.array(counted))
    # Nor is any operating point left out.
    everywhere = oracle.thresholds(*lists(searches)[::2])
    wanted = {oracle.open_set_rates(*lists(searches), threshold, rank) for threshold in everywhere}
    assert {(round(a, 9), round(b, 9)) for a, b in wanted} <= {(round(a, 9), round(b, 9)) for a, b in counted}


@given(made_searches(most=40), ANY_RANK, st.sampled_from([0.1, 0.25, 0.5, 0.9]))
def test_rate_is_the_smallest_fnir_within_the_target(searches: Searches, rank: int | None, target: float) -> None:
    found = open_set_rate(searches, target, rank=rank)
    if searches.strangers < 3 / target:
        assert found.fnir is None and "needs at least" in found.reason
        return
    assert found.fnir == pytest.approx(oracle.fnir_at_fpir(*lists(searches), target, rank))
    assert found.threshold is not None
    assert (found.fpir, found.fnir) == pytest.approx(oracle.open_set_rates(*lists(searches), found.threshold, rank))
    assert found.misses == np.count_nonzero(missed(searches, found.threshold, rank))
    assert json.loads(json.dumps(found.to_dict())) == found.to_dict()


@given(made_searches(most=40), st.permutations(range(40)))
def test_order_and_copies_do_not_matter(searches: Searches, order: list[int]) -> None:
    one = [i for i in order if i < searches.mated]
    other = [i for i in order if i < searches.strangers]
    own, ranks, strangers = (np.array(column) for column in lists(searches))
    mixed = searched(own[one], ranks[one], strangers[other])
    twice = searched(np.tile(own, 2), np.tile(ranks, 2), np.tile(strangers, 2))
    rates = [open_set_rate(these, 0.5) for these in (searches, mixed, twice)]
    assert rates[0] == rates[1]
    assert (rates[0].fnir, rates[0].threshold) == (rates[2].fnir, rates[2].threshold) or rates[0].reason
    plain, doubled = open_set_curve(searches), open_set_curve(twice)
    assert all(np.array_equal(a, b) for a, b in zip(plain, doubled, strict=True))


@given(made_searches(most=40))
def test_monotone_maps_of_the_scores_change_nothing(searches: Searches) -> None:
    # -1 stands for searches that could not be made, and stays.
    own, ranks, strangers = (np.array(column) for column in lists(searches))
    bent = searched(np.where(own > -1, np.exp(own) / 3, -1), ranks, np.where(strangers > -1, np.exp(strangers) / 3, -1))
    plain, other = open_set_rate(searches, 0.25), open_set_rate(bent, 0.25)
    assert (plain.fnir, plain.fpir, plain.reason) == (other.fnir, other.fpir, other.reason)


def test_ties_with_strangers_count_against_us() -> None:
    strangers = np.concatenate([np.full(5, 0.5), np.zeros(95)])
    exactly = searched([0.5, 0.6, 0.4], [1, 1, 1], strangers)
    allowed = open_set_rate(exactly, 0.05)
    assert (allowed.false_positives, allowed.misses) == (5, 0)
    refused = open_set_rate(exactly, 0.04)
    # Halfway between the strangers that must be rejected and the next score.
    assert (refused.false_positives, refused.misses, refused.threshold) == (0, 2, pytest.approx(0.55))


def test_rank_and_threshold_mode_differ() -> None:
    searches = searched([0.9, 0.8, 0.7], [1, 2, 3], np.zeros(30))
    assert [open_set_rate(searches, 0.1, rank=rank).misses for rank in (1, 2, None)] == [2, 1, 0]


def test_failed_searches_are_missed_at_every_threshold() -> None:
    searches = searched([-1, 0.9, 0.8], [9, 1, 1], np.concatenate([[1.0], np.zeros(39)]))
    assert missed(searches, -np.inf, None).tolist() == [True, False, False]
    assert open_set_curve(searches, None)[1][-1] == pytest.approx(1 / 3)
    # A stranger's failed search is accepted, whatever the threshold.
    assert open_set_rate(searches, 0.1).false_positives == 1
    everybody_refused = open_set_rate(searched([0.9], [1], np.ones(40)), 0.1)
    assert everybody_refused.fnir == 1 and everybody_refused.fpir == 0
    assert everybody_refused.threshold is not None and everybody_refused.threshold > 1


def crowd(people: NDArray[np.int64], noise: float, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(int(people.max()) + 1, 24, generator=generator)
    return geometry.normalise(
        centres[torch.from_numpy(people)] + noise * torch.randn(len(people), 24, generator=generator)
    )


@pytest.fixture(scope="module")
def made() -> Searches:
    people, strangers = np.repeat(np.arange(80), 4), np.repeat(np.arange(200, 500), 2)
    rows, first = crowd(people, 0.7, 0), np.arange(len(people)) % 4 == 0
    return search_people(
        rows[torch.from_numpy(~first)],
        people[~first],
        rows[torch.from_numpy(first)],
        people[first],
        strangers=crowd(strangers, 0.7, 1),
        stranger_people=strangers,
    )


def test_findings_hold_the_rates_and_their_intervals(made: Searches) -> None:
    findings = {finding.key: finding for finding in identification_findings(made, ranks=(1,), replicates=300)}
    assert list(findings) == [
        "rank_1",
        "fnir_at_fpir_0.1",
        "fnir_at_fpir_0.01",
        "fpir_held_out_0.1",
        "fpir_held_out_0.01",
    ]
    for target in (0.1, 0.01):
        finding, rate = findings[f"fnir_at_fpir_{target:g}"], open_set_rate(made, target)
        assert finding.value == rate.fnir and rate.fnir is not None and 0.05 < rate.fnir < 0.9
        assert finding.interval is not None and finding.interval[0] < rate.fnir < finding.interval[1]
        assert finding.chance == pytest.approx(1 - target / 80)
        assert "240 searches by 80 of 80 people enrolled, 600 by 300 strangers" in finding.basis
        assert not finding.higher_is_better
    held_out = findings["fpir_held_out_0.1"]
    assert held_out.value is not None and 0.05 < held_out.value < 0.2
    # A half of 300 searches does carry 0.01, but nothing smaller.
    assert findings["fpir_held_out_0.01"].value is not None
    assert fnir_at_fpir(made, (0.009,), replicates=10)[1].reason == (
        "a half of the strangers makes fewer than 334 searches"
    )


def test_threshold_of_one_half_is_tried_on_the_other(made: Searches) -> None:
    accepted = accepted_unseen(made, 0.1, seed=3)
    assert accepted is not None
    assert np.array_equal(accepted, accepted_unseen(made, 0.1, seed=3))
    best = np.sort(made.stranger_scores)
    # Two thresholds, one for each half, and no stranger in both.
    limits = np.array([made.stranger_scores[accepted].min(), made.stranger_scores[~accepted].max()])
    assert best[-100] < limits.min() and limits.max() < best[-20]
    assert not np.array_equal(accepted, accepted_unseen(made, 0.1, seed=4))
    assert accepted_unseen(made, 0.001) is None


def test_half_does_not_see_its_own_strangers() -> None:
    # Of two strangers one always scores high: each half's threshold is that of the other stranger.
    strangers = np.concatenate([np.full(50, 0.9), np.full(50, 0.1)])
    accepted = accepted_unseen(searched([0.5], [1], strangers, stranger_people=np.repeat([0, 1], 50)), 0.1)
    assert accepted is not None
    assert accepted.tolist() == [True] * 50 + [False] * 50


def test_replicates_are_those_of_people_drawn_again(made: Searches) -> None:
    # Rounded, so that right people and strangers tie.
    own_scores, stranger_scores = made.own_scores.round(1), made.stranger_scores.round(1)
    tied = searched(
        own_scores,
        made.ranks,
        stranger_scores,
        mated_people=made.mated_people,
        stranger_people=made.stranger_people,
        enrolled=80,
    )
    found = fnir_replicates(tied, (0.1, 0.01), replicates=5, seed=7)
    draws = zip(person_copies(80, replicates=5, seed=7), person_copies(300, replicates=5, seed=8), strict=True)
    for replicate, (mated, strangers) in enumerate(draws):
        again = np.repeat(np.arange(tied.mated), mated[tied.mated_people])
        others = np.repeat(np.arange(tied.strangers), strangers[tied.stranger_people])
        drawn = searched(own_scores[again], made.ranks[again], stranger_scores[others], enrolled=80)
        for target in (0.1, 0.01):
            assert found[target][replicate] == pytest.approx(open_set_rate(drawn, target).fnir)


def test_same_searches_are_drawn_alike_for_every_model(made: Searches) -> None:
    worse = searched(
        made.own_scores * 0.9,
        made.ranks,
        made.stranger_scores,
        mated_people=made.mated_people,
        stranger_people=made.stranger_people,
        enrolled=80,
    )
    one, other = (fnir_replicates(these, (0.1,), replicates=200)[0.1] for these in (made, worse))
    assert (other >= one).all()
    assert (other - one).std() < one.std()


def test_ideal_embedder_is_perfect() -> None:
    people, strangers = np.repeat(np.arange(30), 2), np.arange(100, 400)
    rows = torch.eye(400)
    searches = search_people(
        rows[torch.from_numpy(people)],
        people,
        rows[:30],
        np.arange(30),
        strangers=rows[torch.from_numpy(strangers)],
        stranger_people=strangers,
    )
    findings = {finding.key: finding for finding in identification_findings(searches, replicates=50)}
    assert [findings[key].value for key in ("rank_1", "rank_5", "fnir_at_fpir_0.1", "fnir_at_fpir_0.01")] == [
        1,
        1,
        0,
        0,
    ]
    assert findings["fnir_at_fpir_0.01"].interval == (0.0, 3 / 60)
    assert findings["fnir_at_fpir_0.01"].interval_kind == "rule of three"


def test_constant_embedder_finds_nobody() -> None:
    same = torch.ones(60, 1)
    searches = search_people(
        same, np.repeat(np.arange(30), 2), same[:30], np.arange(30), strangers=same, stranger_people=np.arange(100, 160)
    )
    findings = {finding.key: finding for finding in identification_findings(searches, targets=(0.1,), replicates=50)}
    assert (findings["rank_1"].value, findings["fnir_at_fpir_0.1"].value) == (0.0, 1.0)
    assert findings["fnir_at_fpir_0.1"].interval == (1 - 3 / 60, 1.0)
    assert findings["fpir_held_out_0.1"].value == 0.0


def test_known_error_rates() -> None:
    # A tenth of the searches has a right score too low; strangers spread evenly over 0 to 1.
    own = np.where(np.arange(200) % 10 == 0, 0.5, 0.995)
    searches = searched(own, np.ones(200), (np.arange(300) + 0.5) / 300, mated_people=np.arange(200), enrolled=200)
    rate = open_set_rate(searches, 0.01)
    assert (rate.false_positives, rate.misses, rate.fnir) == (3, 20, 0.1)
    finding = fnir_at_fpir(searches, (0.1,), replicates=500)[0]
    assert finding.interval is not None
    assert finding.interval[1] - finding.interval[0] == pytest.approx(2 * 1.96 * np.sqrt(0.09 / 200), rel=0.2)


def test_what_cannot_be_carried_says_so() -> None:
    few = searched([0.9] * 5, [1] * 5, [0.1] * 20)
    finding, held_out = fnir_at_fpir(few, (0.01,))
    assert finding.reason == "FPIR 0.01 needs at least 300 searches by strangers, there are 20"
    assert held_out.reason == finding.reason
    nobody = searched([], [], [0.1] * 40)
    assert open_set_rate(nobody, 0.1).reason == "no search was made by anybody enrolled"
    pair = searched([0.9] * 4, [1] * 4, [0.1] * 40, mated_people=np.array([0, 0, 1, 1]))
    finding = fnir_at_fpir(pair, (0.1,))[0]
    assert finding.value == 0 and finding.interval is None and finding.basis.endswith("too few people for an interval")


def test_bad_input_is_refused() -> None:
    eye, names = torch.eye(4), np.array(["ann", "bob", "cid", "di"])
    with pytest.raises(InputError, match="1 people are among the strangers and enrolled as well, such as b\\\\no"):
        search_people(
            eye,
            np.repeat("ann", 4),
            eye,
            np.array(["ann", "b\no", "c", "d"]),
            strangers=eye[:1],
            stranger_people=np.array(["b\no"]),
        )
    with pytest.raises(InputError, match="the set of probes is empty"):
        search_people(eye[:0], names[:0], eye, names)
    with pytest.raises(InputError, match="nobody is enrolled"):
        search_people(eye, names, eye[:0], names[:0])
    with pytest.raises(InputError, match="1 people have probes but are not enrolled, such as di"):
        search_people(eye, names, eye[:3], names[:3])
    with pytest.raises(InputError, match="1 of 4 probe embeddings do not have length 1"):
        search_people(eye * torch.tensor([[1.0], [1.0], [1.0], [torch.nan]]), names, eye, names)
    with pytest.raises(InputError, match="stranger embeddings have 2 dimensions, enrolled ones 4"):
        search_people(eye, names, eye, names, strangers=torch.eye(2), stranger_people=np.array(["x", "y"]))
    with pytest.raises(InputError, match="need one true/false each"):
        search_people(eye, names, eye, names, failed_probes=np.zeros(3, dtype=np.bool_))
    with pytest.raises(InputError, match="need one number each"):
        search_people(eye, names, eye, names, probe_samples=np.arange(3))
    with pytest.raises(UsageError, match="strangers are embeddings and people"):
        search_people(eye, names, eye, names, strangers=eye)
    with pytest.raises(UsageError, match="fusion"):
        search_people(eye, names, eye, names, fusion="median")  # type: ignore[arg-type]
    only_mated, only_strangers = searched([0.5], [1], []), searched([], [], [0.5])
    for searches, kind in ((only_mated, "non-mated"), (only_strangers, "mated")):
        with pytest.raises(InputError, match=f"needs {kind} searches"):
            open_set_curve(searches)
        with pytest.raises(InputError, match="mated and non-mated"):
            fnir_replicates(searches, (0.1,))
    for target in (0, 1, np.nan):
        with pytest.raises(UsageError, match="target FPIR"):
            open_set_rate(only_mated, target)
    with pytest.raises(UsageError, match="ranks start at 1"):
        open_set_curve(only_mated, 0)


def test_results_that_contradict_themselves_are_refused() -> None:
    OpenSetRate(0.1, 1, 0.5, 0.1, 0.2, 1, 2)
    for wrong in (
        lambda: OpenSetRate(0.1, 1),
        lambda: OpenSetRate(0.1, 1, 0.5, 0.1, 0.2, 1, 2, "too few"),
        lambda: OpenSetRate(0.1, 1, 0.5, 0.11, 0.2, 1, 2),
        lambda: OpenSetRate(0.1, 1, 0.5, 0.1, 1.2, 1, 2),
    ):
        with pytest.raises(ValueError):
            wrong()
