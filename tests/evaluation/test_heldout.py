"""Everything measured on held-out pictures: who plays which part, and embedders whose figures are known."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from facenet.data.folders import Folder
from facenet.data.splits import Holdout, Split, split_folder
from facenet.evaluation.heldout import Evaluation, evaluate_heldout, heldout_parts
from facenet.models.heads import Head, LinearHead, build_head

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
    found = evaluate_heldout(embeddings, folder, split, head=head, people=folder.people)
    assert found.reasons == {} and found.metrics()["accuracy"] == 1


@pytest.mark.parametrize("holdout", [IMAGES, PEOPLE], ids=["images", "people"])
def test_an_ideal_embedder_is_perfect(folder: Folder, holdout: Holdout) -> None:
    split = split_folder(folder, holdout)
    head = knowing_head(12, list(range(12)))
    found = evaluate_heldout(ideal(folder), folder, split, head=head, people=folder.people)
    metrics = found.metrics()
    assert metrics.pop("eer") == 0
    expected = {"roc_auc", "balanced_accuracy", "tar_at_fmr_0.01", "rank_1", "rank_5", "accuracy", "macro_f1"}
    assert expected <= set(metrics) <= expected | {"tar_at_fmr_0.001"}
    assert set(metrics.values()) == {1.0}
    parts = heldout_parts(split)
    assert found.kind == holdout.kind and found.pictures == parts.compared.sum()
    assert found.people == (12 if holdout.kind == "images" else 6)


@pytest.mark.parametrize("holdout", [IMAGES, PEOPLE], ids=["images", "people"])
def test_an_embedder_that_sees_no_difference_is_chance(folder: Folder, holdout: Holdout) -> None:
    split = split_folder(folder, holdout)
    found = evaluate_heldout(
        constant(folder), folder, split, head=knowing_head(12, list(range(12))), people=folder.people
    )
    metrics = found.metrics()
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
    assert set(nothing.reasons) == {"verification", "identification", "classification"}
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
    reused = evaluate_heldout(embeddings, folder, split, head=second, people=folder.people, before=before)
    fresh = evaluate_heldout(embeddings, folder, split, head=second, people=folder.people)
    assert reused.verification is before.verification and reused.identification is before.identification
    assert reused.to_dict() == fresh.to_dict() != before.to_dict()
    assert 0.5 < fresh.metrics()["roc_auc"] < 1


def test_reasons_are_taken_over_too_and_the_heads_own_is_renewed() -> None:
    folder = folder_of({"a": 3, "b": 3})
    image_held = np.array([True, False, False, True, False, False])
    split = Split(image_held, np.zeros(2, dtype=bool), folder.labels)
    before = evaluate_heldout(ideal(folder), folder, split)
    assert set(before.reasons) == {"verification", "classification"}
    after = evaluate_heldout(
        ideal(folder), folder, split, head=knowing_head(2, [0, 1]), people=folder.people, before=before
    )
    assert after.reasons == {"verification": before.reasons["verification"]}
    assert after.metrics()["accuracy"] == 1
    assert set(before.reasons) == {"verification", "classification"}, "what was handed in was changed"
    again = evaluate_heldout(ideal(folder), folder, split, before=after)
    assert set(again.reasons) == {"verification", "classification"}


@pytest.mark.parametrize("holdout", [IMAGES, PEOPLE], ids=["images", "people"])
def test_everything_fits_into_json(folder: Folder, holdout: Holdout) -> None:
    split = split_folder(folder, holdout)
    head = build_head("cosface", 12, 12)
    document = evaluate_heldout(noisy(folder), folder, split, head=head, people=folder.people).to_dict()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["heldout"] == holdout.kind
    assert set(document) == {
        "heldout", "people", "pictures", "verification", "identification", "classification", "reasons"
    }  # fmt: skip


def test_figures_are_named_alike_in_every_evaluation(folder: Folder) -> None:
    split = split_folder(folder, IMAGES)
    bare = evaluate_heldout(noisy(folder), folder, split).metrics()
    assert {"roc_auc", "eer", "balanced_accuracy", "tar_at_fmr_0.01", "rank_1", "rank_5"} <= set(bare)
    assert not {"accuracy", "macro_f1"} & set(bare)
    assert all(isinstance(value, float) for value in bare.values())
