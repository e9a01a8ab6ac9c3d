"""Pairs made of folders: balanced, without copies, folds that share no person, and what a folder cannot give."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facenet.data.folders import Folder, scan_folder
from facenet.data.pairmaking import MadePairs, _pair_number, even_shares, make_pairs
from facenet.errors import InputError, UsageError

People = Callable[[list[int]], Folder]


@pytest.fixture
def people_of(tmp_path: Path, write_people: Callable[[Path, Mapping[str, int]], None]) -> People:
    """People with so many pictures each."""

    def make(counts: list[int]) -> Folder:
        write_people(tmp_path, {f"p{person:02}": pictures for person, pictures in enumerate(counts)})
        return scan_folder(tmp_path)

    return make


@pytest.fixture
def folder(people_of: People) -> Folder:
    return people_of([1, 2, 3, 4, 5, 6, 7, 8, 2, 3, 4, 5])


def checked(made: MadePairs, folds: int, pairs: int) -> None:
    """Everything that has to hold of any list."""
    counts = Counter((row.fold, row.same) for row in made.rows)
    assert counts == {(fold, same): pairs for fold in range(folds) for same in (True, False)}
    assert len({frozenset((row.a, row.b)) for row in made.rows}) == len(made.rows)
    assert all(row.a < row.b for row in made.rows)
    fold_of: dict[str, int] = {}
    for row in made.rows:
        one, other = (path.rpartition("/")[0] for path in (row.a, row.b))
        assert (one == other) == row.same
        assert fold_of.setdefault(one, row.fold) == fold_of.setdefault(other, row.fold) == row.fold
    assert list(made.rows) == sorted(made.rows, key=lambda row: (row.fold, not row.same, row.a, row.b))


@pytest.mark.parametrize(("folds", "pairs"), [(1, 1), (3, 10), (2, 40), (4, 7)])
def test_lists_are_balanced_and_folds_share_nobody(folder: Folder, folds: int, pairs: int) -> None:
    made = make_pairs(folder, folds=folds, pairs=pairs, seed=5)
    checked(made, folds, pairs)
    assert (made.people, made.pictures, made.unreadable, made.copies, made.claimed) == (12, 50, 0, 0, 0)


def test_a_seed_gives_the_same_list_and_another_another(folder: Folder) -> None:
    assert make_pairs(folder, folds=2, pairs=9, seed=1) == make_pairs(folder, folds=2, pairs=9, seed=1)
    assert make_pairs(folder, folds=2, pairs=9, seed=1) != make_pairs(folder, folds=2, pairs=9, seed=2)


def test_everything_a_folder_can_give(folder: Folder) -> None:
    pairs = sum(n * (n - 1) // 2 for n in folder.counts())
    checked(make_pairs(folder, folds=1, pairs=pairs), 1, pairs)
    with pytest.raises(InputError, match=rf"12 people, 11 of them.*at most {pairs:,} pairs of each kind in each of 1"):
        make_pairs(folder, folds=1, pairs=pairs + 1)


def test_nobody_dominates(people_of: People) -> None:
    made = make_pairs(people_of([30, 4, 4, 4, 4]), folds=1, pairs=20)
    genuine = Counter(row.a.split("/")[0] for row in made.rows if row.same)
    assert genuine == {f"p{person:02}": 4 for person in range(5)}
    met = Counter((row.a.split("/")[0], row.b.split("/")[0]) for row in made.rows if not row.same)
    assert len(met) == 10 and set(met.values()) == {2}


def test_copies_are_in_no_pair(tmp_path: Path, people_of: People) -> None:
    people_of([4, 4, 4, 2])
    # A copy by bytes, one saved again, one of somebody else's picture, and two files that are no pictures.
    shutil.copy(tmp_path / "p00/000.png", tmp_path / "p00/copy.png")
    Image.open(tmp_path / "p01/000.png").resize((40, 40)).save(tmp_path / "p01/again.jpg", quality=95)
    shutil.copy(tmp_path / "p02/001.png", tmp_path / "p03/stolen.png")
    (tmp_path / "p03/empty.jpg").touch()
    (tmp_path / "p02/text.png").write_text("no picture")
    made = make_pairs(scan_folder(tmp_path), folds=1, pairs=6 + 6 + 3 + 1)
    checked(made, 1, 16)
    assert (made.people, made.pictures, made.unreadable, made.copies, made.claimed) == (4, 13, 2, 2, 2)
    used = {path for row in made.rows for path in (row.a, row.b)}
    assert not {"p00/copy.png", "p02/001.png", "p03/stolen.png", "p03/empty.jpg", "p02/text.png"} & used
    assert len({"p01/000.png", "p01/again.jpg"} & used) == 1
    with pytest.raises(InputError, match="at most 16 pairs"):
        make_pairs(scan_folder(tmp_path), folds=1, pairs=17)


@pytest.mark.parametrize(("counts", "folds"), [([9], 1), ([1, 1, 1], 1), ([5, 5], 2), ([5], 3)])
def test_folders_that_can_give_nothing(people_of: People, counts: list[int], folds: int) -> None:
    with pytest.raises(InputError, match="is too few, not 1; ask for fewer pairs or fewer folds"):
        make_pairs(people_of(counts), folds=folds, pairs=1)


@pytest.mark.parametrize("wrong", [{"folds": 0}, {"pairs": 0}, {"seed": -1}])
def test_numbers_too_small(folder: Folder, wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        make_pairs(folder, **wrong)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=10), st.data())
def test_shares_are_as_even_as_can_be(most: list[int], data: st.DataObject) -> None:
    wanted = data.draw(st.integers(0, sum(most)))
    shares = even_shares(np.array(most), wanted, np.random.default_rng(0))
    assert shares.sum() == wanted and (shares <= most).all() and (shares >= 0).all()
    # Whoever could give more gives no less than anybody, but for the one that is drawn.
    able = shares[shares < most]
    assert len(able) == 0 or able.min() >= shares.max() - 1


def test_what_is_left_over_goes_to_anybody_who_has_more() -> None:
    """Of ten, the first gives one and the others two: the tenth comes from one of the three that still have some."""
    most, generator = np.array([1, 3, 9, 5, 2]), np.random.default_rng(0)
    given_by = np.stack([even_shares(most, 10, generator) for _ in range(300)])
    np.testing.assert_allclose(given_by.mean(axis=0), [1, 7 / 3, 7 / 3, 7 / 3, 2], atol=0.1)


@given(st.integers(0, 10**17))
def test_pairs_are_numbered_one_by_one(number: int) -> None:
    one, other = _pair_number(number)
    assert 0 <= one < other and other * (other - 1) // 2 + one == number
