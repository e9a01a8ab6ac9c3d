"""Held-out pictures and people: hashes decide, so growth of the data moves nobody else."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facenet.data.folders import Folder
from facenet.data.splits import Holdout, Split, split_folder
from facenet.errors import CheckpointError, InputError, UsageError

Make = Callable[[Mapping[str, int]], Folder]

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
populations = st.dictionaries(st.text("abcdef", min_size=1, max_size=4), st.integers(1, 12), min_size=1, max_size=12)
several = st.dictionaries(st.text("abcdef", min_size=1, max_size=4), st.integers(2, 12), min_size=4, max_size=12)


def held_paths(folder: Folder, split: Split) -> set[str]:
    return {folder.paths[index] for index in np.flatnonzero(split.image_held)}


def held_names(folder: Folder, split: Split) -> set[str]:
    return {folder.people[person] for person in np.flatnonzero(split.person_held)}


@quick
@given(people=populations, fraction=st.sampled_from([0.01, 0.2, 0.5, 0.99]), seed=st.integers(0, 3))
def test_who_keeps_and_who_gives(folder_of: Make, people: dict[str, int], fraction: float, seed: int) -> None:
    people = {"someone": 3, **people}
    folder = folder_of(people)
    split = split_folder(folder, Holdout(images=fraction, seed=seed))
    held = np.bincount(folder.labels[split.image_held], minlength=len(folder.people))
    for count, given_away in zip(folder.counts(), held, strict=True):
        if count <= 2:
            assert given_away == 0
        else:
            assert given_away >= 1 and count - given_away >= 2
    assert not split.person_held.any() and not split.held_people.any()


def test_fraction_is_met_on_average(folder_of: Make) -> None:
    folder = folder_of({f"person {number}": 50 for number in range(60)})
    assert abs(split_folder(folder, Holdout(images=0.2)).image_held.mean() - 0.2) < 0.03
    assert abs(split_folder(folder, Holdout("people", people=0.25)).person_held.mean() - 0.25) < 0.15


@quick
@given(people=several, more=populations, seed=st.integers(0, 3))
def test_adding_people_moves_no_pictures(
    folder_of: Make, people: dict[str, int], more: dict[str, int], seed: int
) -> None:
    holdout = Holdout(images=0.3, seed=seed)
    people = {"someone": 3, **people}
    few, many = folder_of(people), folder_of({**more, **people})
    assert held_paths(few, split_folder(few, holdout)) == {
        path for path in held_paths(many, split_folder(many, holdout)) if path.rpartition("/")[0] in people
    }


def test_adding_people_moves_no_people(folder_of: Make) -> None:
    names = [f"person {number}" for number in range(120)]
    few, many = folder_of(dict.fromkeys(names[:60], 3)), folder_of(dict.fromkeys(names, 3))
    holdout = Holdout("people")
    held = held_names(many, split_folder(many, holdout))
    assert held_names(few, split_folder(few, holdout)) == held & set(few.people)


@quick
@given(people=several, kind=st.sampled_from(["images", "people"]), seed=st.integers(0, 3))
def test_parts_are_disjoint_and_everything(folder_of: Make, people: dict[str, int], kind: str, seed: int) -> None:
    folder = folder_of({"someone": 3, **people})
    split = split_folder(folder, Holdout(kind, seed=seed))
    total = split.train.astype(int) + split.held_images + split.held_people
    assert (total == 1).all()
    if kind == "people":
        assert 2 <= split.person_held.sum() <= len(folder.people) - 2
        assert not set(folder.labels[split.train]) & set(np.flatnonzero(split.person_held))


@quick
@given(people=several, order=st.randoms(use_true_random=False))
def test_order_of_the_folder_is_irrelevant(folder_of: Make, people: dict[str, int], order: object) -> None:
    folder = folder_of({"someone": 3, **people})
    rows = np.random.default_rng(order.randint(0, 2**32)).permutation(len(folder))  # type: ignore[attr-defined]
    relabelled = np.random.default_rng(1).permutation(len(folder.people))
    shuffled = Folder(
        root=folder.root,
        people=tuple(folder.people[person] for person in np.argsort(relabelled)),
        paths=tuple(folder.paths[row] for row in rows),
        labels=relabelled[folder.labels[rows]],
    )
    for holdout in (Holdout(), Holdout("people"), Holdout("people", people=2)):
        first, second = split_folder(folder, holdout), split_folder(shuffled, holdout)
        assert held_paths(folder, first) == held_paths(shuffled, second)
        assert held_names(folder, first) == held_names(shuffled, second)


def test_recorded_split(folder_of: Make) -> None:
    """Split once, split for ever: a new version must hold out what the old one did."""
    folder = folder_of({"Ada": 4, "Bob": 3, "Cleo": 5, "Dov": 2})
    assert held_paths(folder, split_folder(folder, Holdout())) == {
        "Ada/0000.png",
        "Bob/0002.png",
        "Cleo/0000.png",
        "Cleo/0003.png",
    }
    assert held_names(folder, split_folder(folder, Holdout("people", people=2))) == {"Ada", "Dov"}


def test_seed_matters(folder_of: Make) -> None:
    folder = folder_of({f"person {number}": 8 for number in range(12)})
    splits = [split_folder(folder, Holdout("people", seed=seed)) for seed in range(3)]
    assert len({held.image_held.tobytes() for held in splits}) == 3
    assert len({held.person_held.tobytes() for held in splits}) == 3


@quick
@given(
    counts=st.lists(st.integers(3, 12), min_size=1, max_size=5),
    keys=st.lists(st.integers(0, 4), min_size=60, max_size=60),
    seed=st.integers(0, 3),
)
def test_look_alikes_stay_together(folder_of: Make, counts: list[int], keys: list[int], seed: int) -> None:
    folder = folder_of({"other": 5} | {f"p{number}": count for number, count in enumerate(counts)})
    # Key 0: a picture without look-alikes.
    groups = {path: f"{path.partition('/')[0]}|{key}" for path, key in zip(folder.paths, keys, strict=False) if key > 0}
    split = split_folder(folder, Holdout(seed=seed, images=0.4), groups)
    held: dict[str, set[bool]] = {}
    for path, is_held in zip(folder.paths, split.image_held.tolist(), strict=True):
        held.setdefault(groups.get(path, path), set()).add(is_held)
    assert all(len(values) == 1 for values in held.values())
    staying = np.bincount(folder.labels[~split.image_held], minlength=len(folder.people))
    assert (staying >= 2).all()


def test_one_large_group_cannot_be_held(folder_of: Make) -> None:
    folder = folder_of({"Ada": 6, "Bob": 3})
    groups = {path: "film" for path in folder.paths if path.startswith("Ada")}
    split = split_folder(folder, Holdout(), groups)
    assert np.bincount(folder.labels[split.image_held], minlength=2).tolist() == [0, 1]


def test_no_pictures_held_if_none_are_wanted(folder_of: Make) -> None:
    folder = folder_of({"Ada": 1, "Bob": 2})
    assert split_folder(folder, Holdout(images=0)).train.all()
    many = folder_of({f"person {number}": 4 for number in range(8)})
    assert not split_folder(many, Holdout("people", images=0)).image_held.any()


def test_nothing_to_hold(folder_of: Make) -> None:
    with pytest.raises(InputError, match="none of the 2 people has three"):
        split_folder(folder_of({"Ada": 1, "Bob": 2}), Holdout())


@pytest.mark.parametrize("people", [0.01, 0.5, 0.99])
@pytest.mark.parametrize("seed", range(5))
def test_two_people_on_either_side(folder_of: Make, people: float, seed: int) -> None:
    folder = folder_of({"a": 2, "b": 2, "c": 2, "d": 2, "alone": 1})
    split = split_folder(folder, Holdout("people", people=people, seed=seed))
    assert split.person_held.sum() == 2
    assert "alone" not in held_names(folder, split)


@pytest.mark.parametrize("number", [2, 3, 5])
def test_number_of_people(folder_of: Make, number: int) -> None:
    folder = folder_of({f"person {index}": 1 + index for index in range(8)})
    split = split_folder(folder, Holdout("people", people=number))
    assert split.person_held.sum() == number
    assert (folder.counts()[split.person_held] >= 2).all()


def test_too_few_or_too_many_people(folder_of: Make) -> None:
    with pytest.raises(InputError, match="at least four .* found 3"):
        split_folder(folder_of({"a": 2, "b": 2, "c": 2, "alone": 1}), Holdout("people"))
    with pytest.raises(InputError, match="cannot hold out 4 of 5"):
        split_folder(folder_of(dict.fromkeys("abcde", 2)), Holdout("people", people=4))


def test_named_people(folder_of: Make) -> None:
    folder = folder_of(dict.fromkeys("abcde", 3) | {"alone": 1})
    split = split_folder(folder, Holdout("people", names=("e", "b", "e")))
    assert held_names(folder, split) == {"b", "e"}
    for names, message in ((("a", "no\nbody"), r"no\\nbody: no such"), (("a", "alone"), "alone: no such")):
        with pytest.raises(InputError, match=message):
            split_folder(folder, Holdout("people", names=names))
    with pytest.raises(InputError, match="cannot hold out 1 of 5"):
        split_folder(folder, Holdout("people", names=("a",)))


def test_names_that_are_no_text(folder_of: Make) -> None:
    odd = b"\xff\xfe".decode("utf-8", "surrogateescape")
    folder = folder_of({odd: 5, "a\nb": 5, "c": 5, "d": 5})
    assert split_folder(folder, Holdout("people")).person_held.sum() == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "pictures"},
        {"images": 1.0},
        {"images": -0.1},
        {"images": float("nan")},
        {"people": 0.0},
        {"people": 1.0},
        {"people": 1},
        {"people": float("nan")},
        {"names": ("a", "b")},
    ],
)
def test_impossible_holdouts(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Holdout(**wrong)
    with pytest.raises(CheckpointError):
        Holdout.from_dict(wrong)


@pytest.mark.parametrize(
    "holdout", [Holdout(), Holdout("people", seed=3, images=0.1, people=5), Holdout("people", names=("a", "b"))]
)
def test_holdout_survives_json(holdout: Holdout) -> None:
    assert Holdout.from_dict(json.loads(json.dumps(holdout.to_dict()))) == holdout


@pytest.mark.parametrize("values", [{"sort": 1}, {"names": 3}, {"people": "many"}, {"images": None}, 7])
def test_foreign_holdouts(values: object) -> None:
    with pytest.raises(CheckpointError):
        Holdout.from_dict(values)  # type: ignore[arg-type]


@quick
@given(people=several, seed=st.integers(0, 3))
def test_named_pictures_are_never_held_out_on_their_own(folder_of: Make, people: dict[str, int], seed: int) -> None:
    folder = folder_of({"someone": 4, **people})
    word = folder.paths[0].rsplit("/", 1)[1].partition(".")[0]
    free = split_folder(folder, Holdout(images=0.9, seed=seed))
    kept = split_folder(folder, Holdout(images=0.9, seed=seed, keep=word))
    named = folder.named_with(word)
    assert named.any() and not kept.image_held[named].any()
    # Whoever has three others still gives one of these.
    others = np.bincount(folder.labels[~named], minlength=len(folder.people))
    given_away = np.bincount(folder.labels[kept.image_held], minlength=len(folder.people))
    assert (given_away[others >= 2] >= 1).all()
    assert free.image_held.sum() >= kept.image_held.sum()


def test_words_in_names_are_found_whatever_their_case(folder_of: Make) -> None:
    folder = folder_of({"scripted": 2})
    assert not folder.named_with("script").any()
    renamed = Folder(folder.root, folder.people, ("scripted/1-SCRIPT.png", "scripted/2.script"), folder.labels)
    assert renamed.named_with("Script").tolist() == [True, False]
