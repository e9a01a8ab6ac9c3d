"""Retrieval figures against loops and against pytorch-metric-learning, with ties, in any order and block size."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import numpy as np
import oracles_search as oracle
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from torch import Tensor

from facenet import geometry
from facenet.errors import InputError, UsageError
from facenet.evaluation.retrieval import Retrieval, retrieval_findings, retrieve

# Small whole numbers: many rows point exactly the same way, so ties are the rule.
row = st.lists(st.integers(-1, 1), min_size=3, max_size=3).filter(any)


@st.composite
def pictures(draw: st.DrawFn) -> tuple[Tensor, NDArray[np.int64]]:
    people = draw(st.lists(st.integers(0, 4), min_size=2, max_size=40).filter(lambda p: len(set(p)) < len(p)))
    rows = draw(st.lists(row, min_size=len(people), max_size=len(people)))
    return geometry.normalise(torch.tensor(rows, dtype=torch.float32)), np.array(people)


def crowd(people: NDArray[np.int64], noise: float, seed: int = 0, size: int = 16) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(int(people.max()) + 1, size, generator=generator)
    return geometry.normalise(
        centres[torch.from_numpy(people)] + noise * torch.randn(len(people), size, generator=generator)
    )


@settings(deadline=None, max_examples=200)
@given(pictures(), st.lists(st.integers(1, 30), min_size=1, max_size=3), st.sampled_from([1, 50, 2**21]))
def test_equal_to_loops(given_pictures: Any, ks: list[int], results_at_once: int) -> None:
    rows, people = given_pictures
    found = retrieve(rows, people, ks=ks, results_at_once=results_at_once)
    wide = geometry.normalise(rows.double()).tolist()
    asking = [i for i in range(len(people)) if (people == people[i]).sum() > 1]
    lists = [oracle.results(query, wide, people.tolist()) for query in asking]
    assert found.samples.tolist() == asking
    assert found.left_out == len(people) - len(asking)
    assert found.relevant.tolist() == [sum(flags) for flags in lists]
    assert found.recall.tolist() == [[oracle.recall_at(flags, k) for k in found.ks] for flags in lists]
    assert found.r_precision.tolist() == pytest.approx([oracle.r_precision(flags) for flags in lists])
    assert found.average_precision_at_r.tolist() == pytest.approx([oracle.average_precision_at_r(f) for f in lists])


def test_agrees_with_pytorch_metric_learning() -> None:
    people = np.random.default_rng(0).integers(0, 60, 400)
    people[:5] = np.arange(100, 105)
    rows = crowd(people, noise=0.9)
    found = retrieve(rows, people)
    wanted = ("precision_at_1", "r_precision", "mean_average_precision_at_r")
    calculator = AccuracyCalculator(include=wanted, k="max_bin_count", device=torch.device("cpu"))
    peer = calculator.get_accuracy(rows, torch.from_numpy(people))
    assert 0.2 < found.recall_at(1) < 0.98
    assert found.left_out >= 5
    assert found.recall_at(1) == pytest.approx(peer["precision_at_1"])
    assert found.mean_r_precision == pytest.approx(peer["r_precision"])
    assert found.map_at_r == pytest.approx(peer["mean_average_precision_at_r"])


@settings(deadline=None)
@given(pictures(), st.randoms(use_true_random=False))
def test_order_does_not_matter(given_pictures: Any, random: Any) -> None:
    rows, people = given_pictures
    order = np.arange(len(people))
    random.shuffle(order)
    plain, mixed = retrieve(rows, people), retrieve(rows[torch.from_numpy(order)], people[order])
    assert mixed.map_at_r == pytest.approx(plain.map_at_r)
    place = {sample: at for at, sample in enumerate(plain.samples.tolist())}
    again = [place[order[sample]] for sample in mixed.samples]
    assert mixed.recall.tolist() == plain.recall[again].tolist()
    assert mixed.average_precision_at_r.tolist() == plain.average_precision_at_r[again].tolist()


def test_blocks_agree_where_lists_differ_in_length() -> None:
    people = np.concatenate([np.full(90, 0), np.full(30, 1), np.repeat(np.arange(2, 80), 3), np.arange(80, 90)])
    rows = crowd(people, noise=0.8)
    ways = [retrieve(rows, people, results_at_once=n) for n in (1, 997, 2**21)]
    for one, other in permutations(ways, 2):
        assert one.recall.tolist() == other.recall.tolist()
        assert one.average_precision_at_r.tolist() == other.average_precision_at_r.tolist()


@settings(deadline=None)
@given(st.lists(st.integers(0, 30), min_size=4, max_size=4), st.integers(1, 3), st.randoms(use_true_random=False))
def test_ties_cut_off_at_the_end_of_a_list_are_settled(counts: list[int], k: int, random: Any) -> None:
    # Two people, many of whose pictures are copies of one another, the right of the wrong ones too; then 60 others.
    people = np.concatenate([[0, 0], np.repeat([0, 0, 1, 1], counts), np.arange(2, 62)])
    places = np.concatenate([[0, 0], np.repeat([0, 1, 0, 1], counts), np.full(60, 2)])
    order = np.arange(len(people))
    random.shuffle(order)
    people, places = people[order], places[order]
    found = retrieve(torch.eye(3)[torch.from_numpy(places)], people, ks=(k,))
    rows = np.eye(3)[places].tolist()
    lists = [oracle.results(query, rows, people.tolist()) for query in found.samples]
    assert found.recall[:, 0].tolist() == [oracle.recall_at(flags, k) for flags in lists]
    assert found.r_precision.tolist() == pytest.approx([oracle.r_precision(flags) for flags in lists])
    assert found.average_precision_at_r.tolist() == pytest.approx([oracle.average_precision_at_r(f) for f in lists])


def test_all_scores_are_looked_at_where_a_list_ends_among_right_ones_that_tie() -> None:
    # 30 pictures of one person and 10 of another are alike: of 29 right results 10 stand behind the 29th place.
    people = np.concatenate([np.zeros(30, int), np.ones(10, int), np.arange(2, 62)])
    rows = torch.eye(2)[torch.from_numpy((people > 1).astype(int))]
    found = retrieve(rows, people, ks=(10, 11))
    assert found.recall[:30].tolist() == [[False, True]] * 30
    assert found.r_precision[:30] == pytest.approx(19 / 29)
    assert found.recall[30:].any() == np.False_


def test_ideal_embedder_is_perfect() -> None:
    people = np.repeat(np.arange(12), 3)
    found = retrieve(torch.eye(12)[torch.from_numpy(people)], people)
    assert (found.recall_at(1), found.mean_r_precision, found.map_at_r) == (1.0, 1.0, 1.0)
    by_key = {finding.key: finding for finding in retrieval_findings(found)}
    assert list(by_key) == ["recall_at_1", "recall_at_5", "recall_at_10", "r_precision", "map_at_r"]
    assert by_key["map_at_r"].interval == (pytest.approx(1 - 3 / 36), 1.0)
    assert by_key["map_at_r"].interval_kind == "rule of three"


@pytest.mark.parametrize("constant", [1.0, 0.0])
def test_constant_embedder_has_every_tie_against_it(constant: float) -> None:
    people = np.repeat(np.arange(40), 2)
    rows = torch.zeros(80, 4)
    rows[:, 1] = constant
    found = retrieve(rows, people, ks=(1, 77, 78, 79))
    assert [found.recall_at(k) for k in found.ks] == [0.0, 0.0, 0.0, 1.0]
    assert (found.mean_r_precision, found.map_at_r) == (0.0, 0.0)


def test_known_error_rate() -> None:
    # Of 100 people with two pictures each, 20 are mixed up in pairs: they find each other's picture first.
    people = np.repeat(np.arange(100), 2)
    points = torch.eye(100).repeat_interleave(2, dim=0)
    for first in range(0, 20, 2):
        points[[2 * first + 1, 2 * first + 3]] = points[[2 * first + 3, 2 * first + 1]]
    found = retrieve(points, people)
    assert found.recall_at(1) == pytest.approx(0.8)
    assert found.map_at_r == pytest.approx(0.8)
    finding = retrieval_findings(found, replicates=400)[0]
    assert finding.interval is not None and finding.interval_kind == "bootstrap by person"
    assert finding.interval[0] < 0.8 < finding.interval[1]
    # Binomial over the 100 people, not over their 200 pictures.
    assert finding.interval[1] - finding.interval[0] == pytest.approx(2 * 1.96 * 0.04, rel=0.25)


def test_chance_is_what_random_order_gives() -> None:
    people = np.array([0, 0, 0, 1, 1, 2])
    findings = {f.key: f for f in retrieval_findings(retrieve(torch.eye(6), people, ks=(1, 2, 3)), replicates=10)}
    expected: dict[str, list[float]] = {key: [] for key in ("recall_at_1", "recall_at_2", "r_precision", "map_at_r")}
    for wanted in (2, 2, 2, 1, 1):
        orders = [list(flags) for flags in permutations([True] * wanted + [False] * (5 - wanted))]
        expected["recall_at_1"].append(np.mean([oracle.recall_at(flags, 1) for flags in orders]))
        expected["recall_at_2"].append(np.mean([oracle.recall_at(flags, 2) for flags in orders]))
        expected["r_precision"].append(np.mean([oracle.r_precision(flags) for flags in orders]))
        expected["map_at_r"].append(np.mean([oracle.average_precision_at_r(flags) for flags in orders]))
    for key, values in expected.items():
        assert findings[key].chance == pytest.approx(np.mean(values))


def test_recall_that_cannot_be_missed_is_not_given() -> None:
    findings = retrieval_findings(retrieve(torch.eye(4), np.array([0, 0, 1, 1]), ks=(2, 3, 9)), replicates=10)
    by_key = {finding.key: finding for finding in findings}
    assert by_key["recall_at_2"].value is not None
    assert by_key["recall_at_3"].reason == "recall@3 among 3 other pictures cannot be missed"
    assert by_key["recall_at_9"].value is None and by_key["recall_at_9"].chance == 1
    # Two people are too few to resample.
    assert by_key["map_at_r"].interval is None and "too few people" in by_key["map_at_r"].basis


def test_failed_pictures_count_as_wrong() -> None:
    people = np.repeat(np.arange(4), 3)
    rows = torch.eye(4)[torch.from_numpy(people)].clone()
    failed = np.zeros(12, dtype=np.bool_)
    failed[[0, 9, 10, 11]] = True
    rows[torch.from_numpy(failed)] = torch.nan
    found = retrieve(rows, people, ks=(1,), failed=failed)
    assert found.queries == 12
    assert found.recall[:, 0].tolist() == [False, *[True] * 8, False, False, False]
    assert found.r_precision.tolist() == [0, 0.5, 0.5, *[1.0] * 6, 0, 0, 0]
    nothing = retrieve(rows, people, failed=np.ones(12, dtype=np.bool_))
    assert nothing.map_at_r == 0.0


def test_half_precision_is_accepted() -> None:
    people = np.repeat(np.arange(5), 2)
    assert retrieve(torch.eye(5, dtype=torch.bfloat16)[torch.from_numpy(people)], people).recall_at(1) == 1.0


def test_json_holds_the_means() -> None:
    document = retrieve(torch.eye(3), np.array([0, 0, 1]), ks=(5, 1)).to_dict()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert list(document["recall"]) == ["1", "5"]


def test_bad_input_is_refused() -> None:
    rows, people = torch.eye(4), np.array([0, 0, 1, 1])
    with pytest.raises(InputError, match="somebody with two pictures, and each of 4 "):
        retrieve(rows, np.arange(4))
    with pytest.raises(InputError, match="somebody with two pictures"):
        retrieve(rows[:0], people[:0])
    with pytest.raises(InputError, match="1 of 4 embeddings do not have length 1"):
        retrieve(rows * torch.tensor([[1.0], [torch.nan], [1.0], [1.0]]), people)
    with pytest.raises(InputError, match="4 of 4 embeddings"):
        retrieve(rows * 0.5, people)
    for wrong in ((rows, people[:3]), (rows[0], people), (rows, people[:, np.newaxis])):
        with pytest.raises(InputError, match="one row and one label"):
            retrieve(*wrong)
    with pytest.raises(InputError, match="failures"):
        retrieve(rows, people, failed=np.zeros(3, dtype=np.bool_))
    with pytest.raises(InputError, match="true and false"):
        retrieve(rows, people, failed=np.zeros(4, dtype=np.int64))  # type: ignore[arg-type]
    for ks in ((), (0,), (1, -1)):
        with pytest.raises(UsageError, match="recall@k"):
            retrieve(rows, people, ks=ks)


def test_results_that_contradict_themselves_are_refused() -> None:
    def made(**changes: Any) -> Retrieval:
        plain: dict[str, Any] = {
            "pictures": 3,
            "ks": (1, 2),
            "samples": np.array([0, 1], np.int32),
            "people": np.array([0, 0], np.int32),
            "relevant": np.array([1, 1], np.int32),
            "recall": np.array([[True, True], [False, True]]),
            "r_precision": np.array([1.0, 0.0]),
            "average_precision_at_r": np.array([1.0, 0.0]),
            "left_out": 1,
        }
        return Retrieval(**(plain | changes))

    made()
    for wrong in (
        {"people": np.array([0], np.int32)},
        {"recall": np.array([[True], [False]])},
        {"recall": np.array([[True, False], [False, True]])},
        {"left_out": 2},
        {"ks": (2, 1)},
        {"relevant": np.array([0, 1], np.int32)},
        {"average_precision_at_r": np.array([1.0, 0.5])},
        {"average_precision_at_r": np.array([1.0, np.nan])},
        {"r_precision": np.array([2.0, 0.0])},
    ):
        with pytest.raises(ValueError):
            made(**wrong)
