"""Everything measured on held-out pictures: who plays which part, and embedders whose figures are known."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from known_heads import OneDirection, knowing_pair_head
from numpy.typing import NDArray
from torch import Tensor

from facenet.data.folders import Folder
from facenet.data.splits import Holdout, Split, split_folder
from facenet.evaluation.heldout import Evaluation, evaluate_heldout, heldout_parts
from facenet.models.heads import Head, LinearHead, build_head
from facenet.models.pair_head import build_pair_head
from facenet.training.config import MEASURES

IMAGES = Holdout("images", images=0.4)
PEOPLE = Holdout("people", images=0.4, people=6)


def folder_of(people: Mapping[str, int]) -> Folder:
    """So many pictures of each person, by name only: nothing is on disk."""
    names = sorted(people)
    return Folder(
        root=Path("nowhere"),
        people=tuple(names),
        paths=tuple(f"{name}/{number:04d}.png" for name in names for number in range(people[name])),
        labels=np.repeat(np.arange(len(names)), [people[name] for name in names]),
    )


@pytest.fixture
def folder() -> Folder:
    return folder_of({f"person {letter}": 12 for letter in "abcdefghijkl"})


def ideal(folder: Folder) -> Tensor:
    """One direction for each person."""
    return torch.eye(len(folder.people))[torch.from_numpy(folder.labels)]


def constant(folder: Folder) -> Tensor:
    """One direction for everybody."""
    return torch.full((len(folder), len(folder.people)), len(folder.people) ** -0.5)


def knowing_head(size: int, columns: list[int]) -> LinearHead:
    """Names the person of each direction: column ``i`` is the person of direction ``columns[i]``."""
    head = build_head("linear", size, len(columns))
    assert isinstance(head, LinearHead)
    with torch.no_grad():
        head.linear.weight.copy_(torch.eye(size)[columns])
        head.linear.bias.zero_()
    return head


def test_closed_set_compares_held_pictures_and_enrols_the_others(folder: Folder) -> None:
    split = split_folder(folder, IMAGES)
    parts = heldout_parts(split)
    assert split.image_held.any() and not split.image_held.all()
    for part in (parts.compared, parts.probes, parts.classified):
        np.testing.assert_array_equal(part, split.image_held)
    np.testing.assert_array_equal(parts.enrolled, ~split.image_held)
    assert parts.needed.all()


def test_open_set_measures_on_people_never_trained_on(folder: Folder) -> None:
    split = split_folder(folder, PEOPLE)
    parts = heldout_parts(split)
    held = split.person_held[folder.labels]
    assert split.person_held.sum() == 6
    np.testing.assert_array_equal(parts.compared, held)
    np.testing.assert_array_equal(parts.probes, held & split.image_held)
    np.testing.assert_array_equal(parts.enrolled, held & ~split.image_held)
    np.testing.assert_array_equal(parts.classified, split.image_held)
    assert not (parts.probes & parts.enrolled).any()
    assert not ((parts.compared | parts.probes | parts.enrolled) & split.train).any()
    np.testing.assert_array_equal(parts.needed, held | split.image_held)


@pytest.mark.parametrize("holdout", [IMAGES, PEOPLE], ids=["images", "people"])
def test_only_needed_rows_are_read(folder: Folder, holdout: Holdout) -> None:
    split = split_folder(folder, holdout)
    embeddings = ideal(folder)
    embeddings[torch.from_numpy(~heldout_parts(split).needed)] = float("nan")
    head = knowing_head(12, list(range(12)))
    found = evaluate_heldout(
        embeddings, folder, split, head=head, people=folder.people, pair_head=knowing_pair_head(12)
    )
    assert found.reasons == {} and found.metrics()["accuracy"] == found.metrics()["pair_f1"] == 1


@pytest.mark.parametrize("holdout", [IMAGES, PEOPLE], ids=["images", "people"])
def test_an_ideal_embedder_is_perfect(folder: Folder, holdout: Holdout) -> None:
    split = split_folder(folder, holdout)
    head, pair_head = knowing_head(12, list(range(12))), knowing_pair_head(12)
    found = evaluate_heldout(ideal(folder), folder, split, head=head, people=folder.people, pair_head=pair_head)
    metrics = found.metrics()
    assert metrics.pop("eer") == 0
    # The right one of 12 has a logit of 16, the others of 0; a pair one of 10 on the right side.
    assert metrics.pop("loss") == pytest.approx(11 * np.exp(-16), rel=1e-3)
    assert metrics.pop("pair_loss") == pytest.approx(np.exp(-10), rel=1e-2)
    expected = {
        "roc_auc", "balanced_accuracy", "tar_at_fmr_0.01", "rank_1", "rank_5", "accuracy", "macro_f1",
        "pair_accuracy", "pair_f1", "pair_roc_auc",
    }  # fmt: skip
    assert expected <= set(metrics) <= expected | {"tar_at_fmr_0.001"}
    assert set(metrics.values()) == {1.0}
    parts = heldout_parts(split)
    assert found.kind == holdout.kind and found.pictures == parts.compared.sum()
    assert found.people == (12 if holdout.kind == "images" else 6)


@pytest.mark.parametrize("holdout", [IMAGES, PEOPLE], ids=["images", "people"])
def test_an_embedder_that_sees_no_difference_is_chance(folder: Folder, holdout: Holdout) -> None:
    split = split_folder(folder, holdout)
    found = evaluate_heldout(
        constant(folder),
        folder,
        split,
        head=knowing_head(12, list(range(12))),
        people=folder.people,
        pair_head=knowing_pair_head(12),
    )
    metrics = found.metrics()
    assert (metrics["pair_accuracy"], metrics["pair_roc_auc"]) == (0.5, 0.5)
    assert (metrics["roc_auc"], metrics["eer"], metrics["balanced_accuracy"]) == (0.5, 0.5, 0.5)
    assert (metrics["tar_at_fmr_0.01"], metrics["rank_1"], metrics["rank_5"]) == (0, 0, 0)
    assert found.classification is not None
    # All scores are equal up to rounding, so everybody is taken for one person.
    assert found.classification.balanced_accuracy == pytest.approx(1 / 12)


def test_people_the_head_does_not_know_are_left_out(folder: Folder) -> None:
    split = split_folder(folder, PEOPLE)
    # The columns in another order than the folder's: names decide, not positions.
    known = [index for index in reversed(range(12)) if not split.person_held[index]]
    people = tuple(folder.people[index] for index in known)
    found = evaluate_heldout(ideal(folder), folder, split, head=knowing_head(12, known), people=people)
    assert found.classification is not None
    assert found.classification.people == people
    assert found.classification.pictures == split.held_images.sum() < split.image_held.sum()
    assert found.classification.accuracy == 1
    swapped = evaluate_heldout(
        ideal(folder), folder, split, head=knowing_head(12, [*known[1:], known[0]]), people=people
    )
    assert swapped.classification is not None and swapped.classification.accuracy == 0


def test_a_folder_without_anybody_the_head_knows(folder: Folder) -> None:
    split = split_folder(folder, IMAGES)
    found = evaluate_heldout(ideal(folder), folder, split, head=knowing_head(12, [0, 1]), people=("X", "Y"))
    assert found.classification is None and "got scores (0, 2)" in found.reasons["classification"]
    assert found.verification is not None


def unmeasurable(people: Mapping[str, int], held: list[int], head: Head | None = None) -> Evaluation:
    folder = folder_of(people)
    image_held = np.zeros(len(folder), dtype=bool)
    image_held[held] = True
    split = Split(image_held, np.zeros(len(folder.people), dtype=bool), folder.labels)
    return evaluate_heldout(ideal(folder), folder, split, head=head, people=folder.people if head else ())


def test_what_cannot_be_measured_says_why() -> None:
    nothing = unmeasurable({"a": 3, "b": 3}, [])
    assert (nothing.people, nothing.pictures, nothing.metrics()) == (0, 0, {})
    assert set(nothing.reasons) == {"verification", "identification", "classification", "pairs"}
    assert nothing.reasons["pairs"] == "no head for pairs in this checkpoint"
    assert nothing.reasons["classification"] == "no classification head in this checkpoint"

    one_each = unmeasurable({"a": 3, "b": 3}, [0, 3])
    assert one_each.verification is None and "none is genuine" in one_each.reasons["verification"]
    assert one_each.identification is not None and one_each.metrics()["rank_1"] == 1

    one_person = unmeasurable({"a": 4}, [0, 1])
    assert "none is impostor" in one_person.reasons["verification"]
    assert "at least 2 people" in one_person.reasons["identification"]

    lonely_head = unmeasurable({"a": 4}, [0, 1], knowing_head(1, [0]))
    assert "at least 2 people" in lonely_head.reasons["classification"]


def test_somebody_with_held_pictures_only_is_compared_but_not_identified() -> None:
    # "c" has no training picture: nothing to enrol.
    found = unmeasurable({"a": 4, "b": 4, "c": 2}, [0, 1, 4, 5, 8, 9])
    assert (found.people, found.pictures) == (3, 6)
    assert found.identification is not None
    assert (found.identification.probes, found.identification.people) == (4, 2)


def test_rows_that_are_no_numbers_are_a_reason_and_no_crash(folder: Folder) -> None:
    split = split_folder(folder, IMAGES)
    found = evaluate_heldout(
        torch.full((len(folder), 12), float("nan")),
        folder,
        split,
        head=knowing_head(12, list(range(12))),
        people=folder.people,
    )
    assert found.metrics() == {}
    assert "not finite" in found.reasons["verification"] and "not finite" in found.reasons["classification"]
    assert "do not have length 1" in found.reasons["identification"]


def noisy(folder: Folder) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.nn.functional.normalize(ideal(folder) + 0.35 * torch.randn(len(folder), 12, generator=generator))


@pytest.mark.parametrize("holdout", [IMAGES, PEOPLE], ids=["images", "people"])
def test_figures_taken_over_equal_figures_measured_again(folder: Folder, holdout: Holdout) -> None:
    split, embeddings = split_folder(folder, holdout), noisy(folder)
    first, second = build_head("linear", 12, 12, seed=1), knowing_head(12, list(range(12)))
    before = evaluate_heldout(embeddings, folder, split, head=first, people=folder.people)
    pair_head = build_pair_head(12, seed=1).eval()
    reused = evaluate_heldout(
        embeddings, folder, split, head=second, people=folder.people, before=before, pair_head=pair_head
    )
    fresh = evaluate_heldout(embeddings, folder, split, head=second, people=folder.people, pair_head=pair_head)
    assert reused.verification is before.verification and reused.identification is before.identification
    assert reused.to_dict() == fresh.to_dict() != before.to_dict()
    assert 0.5 < fresh.metrics()["roc_auc"] < 1


def test_reasons_are_taken_over_too_and_the_heads_own_is_renewed() -> None:
    folder = folder_of({"a": 3, "b": 3})
    image_held = np.array([True, False, False, True, False, False])
    split = Split(image_held, np.zeros(2, dtype=bool), folder.labels)
    before = evaluate_heldout(ideal(folder), folder, split)
    assert set(before.reasons) == {"verification", "classification", "pairs"}
    after = evaluate_heldout(
        ideal(folder), folder, split, head=knowing_head(2, [0, 1]), people=folder.people, before=before
    )
    assert after.reasons == {name: before.reasons[name] for name in ("verification", "pairs")}
    assert after.metrics()["accuracy"] == 1
    assert set(before.reasons) == {"verification", "classification", "pairs"}, "what was handed in was changed"
    again = evaluate_heldout(ideal(folder), folder, split, before=after)
    assert set(again.reasons) == {"verification", "classification", "pairs"}


@pytest.mark.parametrize("holdout", [IMAGES, PEOPLE], ids=["images", "people"])
def test_everything_fits_into_json(folder: Folder, holdout: Holdout) -> None:
    split = split_folder(folder, holdout)
    head, pair_head = build_head("cosface", 12, 12), build_pair_head(12).eval()
    document = evaluate_heldout(
        noisy(folder), folder, split, head=head, people=folder.people, pair_head=pair_head
    ).to_dict()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["heldout"] == holdout.kind
    assert set(document) == {
        "heldout", "people", "pictures", "verification", "identification", "classification", "loss", "pairs", "reasons"
    }  # fmt: skip


def test_figures_are_named_alike_in_every_evaluation(folder: Folder) -> None:
    split = split_folder(folder, IMAGES)
    bare = evaluate_heldout(noisy(folder), folder, split).metrics()
    assert {"roc_auc", "eer", "balanced_accuracy", "tar_at_fmr_0.01", "rank_1", "rank_5"} <= set(bare)
    assert not {"accuracy", "macro_f1"} & set(bare)
    assert all(isinstance(value, float) for value in bare.values())


@pytest.mark.parametrize("holdout", [IMAGES, PEOPLE], ids=["images", "people"])
@pytest.mark.parametrize("measure", ["verification", "identification", "classification", "pairs"])
def test_only_what_is_asked_for_is_measured(folder: Folder, holdout: Holdout, measure: str) -> None:
    split = split_folder(folder, holdout)
    whole = heldout_parts(split).needed
    needed = heldout_parts(split, {measure}).needed
    assert needed.any() and not (needed & ~whole).any()
    embeddings = ideal(folder)
    # What is not needed may hold anything.
    embeddings[torch.from_numpy(~needed)] = float("nan")
    trained = tuple(folder.people[label] for label in np.unique(folder.labels[split.train]))
    head = knowing_head(len(folder.people), [folder.people.index(name) for name in trained])
    found = evaluate_heldout(
        embeddings,
        folder,
        split,
        head=head,
        people=trained,
        measures={measure},
        pair_head=knowing_pair_head(len(folder.people)),
    )
    assert {name for name in MEASURES if getattr(found, name) is not None} == {measure}
    assert found.people > 1 and found.pictures > 1
    assert (found.loss is not None) == (measure == "classification")


def test_the_loss_is_the_cross_entropy(folder: Folder) -> None:
    split = split_folder(folder, IMAGES)
    head = build_head("linear", len(folder.people), len(folder.people))
    found = evaluate_heldout(ideal(folder), folder, split, head=head, people=folder.people)
    held = torch.from_numpy(split.image_held)
    with torch.no_grad():
        shares = head.logits(ideal(folder)[held]).softmax(dim=1)
    right = shares[torch.arange(len(shares)), torch.from_numpy(folder.labels)[held]]
    assert found.metrics()["loss"] == found.loss == pytest.approx(float(-right.log().mean()), rel=1e-5)


def anchored(folder: Folder) -> NDArray[np.bool_]:
    """The first picture of each person."""
    return folder.named_with("0000")


def pictures_in_pairs(folder: Folder, split: Split, anchors: NDArray[np.bool_] | None) -> tuple[list[int], list[int]]:
    """Which pictures a head sees as the first and the second of a pair."""
    seen: list[tuple[Tensor, Tensor]] = []

    class Watching(OneDirection):
        def logits(self, first: Tensor, second: Tensor) -> Tensor:
            seen.append((first[:, 0], second[:, 0]))
            return first[:, 1]

    numbered = torch.arange(len(folder), dtype=torch.float32)[:, None].repeat(1, 2)
    found = evaluate_heldout(numbered, folder, split, measures={"pairs"}, pair_head=Watching(2).eval(), anchors=anchors)
    assert found.reasons.keys() == {"verification", "identification", "classification"}
    ((first, second),) = seen
    return first.int().tolist(), second.int().tolist()


def test_without_references_any_two_held_out_pictures_are_a_pair(folder: Folder) -> None:
    for holdout in (IMAGES, PEOPLE):
        split = split_folder(folder, holdout)
        compared = heldout_parts(split).compared
        first, second = pictures_in_pairs(folder, split, None)
        assert compared[first].all() and compared[second].all()
        assert set(first) | set(second) == set(np.flatnonzero(compared).tolist())
        assert len(set(map(frozenset, zip(first, second, strict=True)))) == len(first)


def test_in_a_closed_set_references_were_trained_on_and_the_others_not(folder: Folder) -> None:
    split = split_folder(folder, Holdout("images", images=0.4, keep="0000"))
    first, second = pictures_in_pairs(folder, split, anchored(folder))
    assert split.train[first].all() and anchored(folder)[first].all()
    assert split.image_held[second].all()
    same = folder.labels[first] == folder.labels[second]
    # Every held-out picture meets the one reference of its person, and as many pairs are of two people.
    assert same.sum() == split.image_held.sum() == len(same) // 2


def test_on_people_held_out_their_own_references_come_first(folder: Folder) -> None:
    split = split_folder(folder, PEOPLE)
    first, second = pictures_in_pairs(folder, split, anchored(folder))
    assert split.held_people[first].all() and split.held_people[second].all()
    assert anchored(folder)[first].all() and not anchored(folder)[second].any()


def test_who_has_no_reference_or_nothing_held_against_it_is_in_no_pair() -> None:
    folder = folder_of({"a": 4, "b": 4, "c": 4, "d": 4})
    anchors = anchored(folder)
    anchors[12] = False
    image_held = np.zeros(16, dtype=bool)
    # "b" gives its reference, "c" nothing.
    image_held[[1, 2, 4, 13]] = True
    split = Split(image_held, np.zeros(4, dtype=bool), folder.labels)
    parts = heldout_parts(split, {"pairs"}, anchors)
    assert np.flatnonzero(parts.paired).tolist() == [0, 1, 2]
    assert np.flatnonzero(parts.references).tolist() == [0]
    found = evaluate_heldout(
        ideal(folder), folder, split, measures={"pairs"}, pair_head=knowing_pair_head(4), anchors=anchors
    )
    assert found.pairs is None and "two people" in found.reasons["pairs"]
    nobody = heldout_parts(split, {"pairs"}, np.zeros(16, dtype=bool))
    assert not nobody.paired.any() and not nobody.references.any()


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.booleans(), st.booleans(), st.integers(0, 2**32))
def test_in_no_pair_is_anything_trained_on_held_against_a_reference(
    counts: list[int], open_set: bool, marked: bool, seed: int
) -> None:
    labels, generator = np.repeat(np.arange(len(counts)), counts), np.random.default_rng(seed)
    person_held = generator.random(len(counts)) < (0.5 if open_set else 0.0)
    split = Split(generator.random(len(labels)) < 0.5, person_held, labels)
    anchors = generator.random(len(labels)) < 0.5 if marked else None
    parts = heldout_parts(split, {"pairs"}, anchors)
    references, others = parts.references, parts.paired & ~parts.references
    assert not (references & ~parts.paired).any() and not (parts.paired & ~parts.needed).any()
    measured = split.held_people if person_held.any() else split.held_images
    assert not (others & ~measured).any()
    if anchors is None:
        assert (references == measured).all() and not others.any()
    else:
        may_be_first = anchors & (measured if person_held.any() else split.train)
        assert (references == may_be_first & np.isin(labels, labels[parts.paired])).all()
        assert set(labels[others]) <= set(labels[references])


def test_pairs_are_decided_anew_where_other_figures_are_taken_over(folder: Folder) -> None:
    split = split_folder(folder, IMAGES)
    before = evaluate_heldout(ideal(folder), folder, split, pair_head=knowing_pair_head(12))
    assert before.metrics()["pair_f1"] == 1
    other = build_pair_head(12, seed=1).eval()
    after = evaluate_heldout(ideal(folder), folder, split, pair_head=other, before=before)
    assert after.verification is before.verification
    assert after.pairs is not None and after.pairs.roc_auc < 1
    without = evaluate_heldout(ideal(folder), folder, split, before=after)
    assert without.pairs is None and "pairs" in without.reasons
