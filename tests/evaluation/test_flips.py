"""Mirrored faces and centring: the formulas, against the obvious way to compute them and the laws they obey."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from facenet.errors import UsageError
from facenet.evaluation.flips import Flip, centred, with_mirrored
from facenet.geometry import cosine, normalise

seeds = st.integers(0, 2**31)


def unit(seed: int, n: int = 5, d: int = 7) -> Tensor:
    return normalise(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)))


def by_hand(vector: np.ndarray) -> np.ndarray:
    return vector / np.sqrt((vector**2).sum())


@given(seeds)
def test_sum_and_concat_are_what_they_say(seed: int) -> None:
    plain, mirrored = unit(seed), unit(seed + 1)
    added, beside = (with_mirrored(plain, mirrored, flip) for flip in (Flip.SUM, Flip.CONCAT))
    assert added.shape == (5, 7) and beside.shape == (5, 14)
    assert added.dtype == beside.dtype == torch.float32
    for row in range(5):
        e, m = plain[row].double().numpy(), mirrored[row].double().numpy()
        np.testing.assert_allclose(added[row], by_hand(e + m), atol=1e-5)
        np.testing.assert_allclose(beside[row], by_hand(np.concatenate([e, m])), atol=1e-6)


@given(seeds)
def test_the_cosine_of_concatenated_embeddings_is_the_mean_of_both(seed: int) -> None:
    plain, mirrored = unit(seed), unit(seed + 1)
    beside = with_mirrored(plain, mirrored, Flip.CONCAT)
    mean = (cosine(plain, plain) + cosine(mirrored, mirrored)) / 2
    torch.testing.assert_close(cosine(beside, beside), mean, atol=1e-5, rtol=0)


def test_a_symmetrical_face_gains_nothing() -> None:
    plain = unit(3)
    torch.testing.assert_close(with_mirrored(plain, plain, Flip.SUM), plain)
    beside = with_mirrored(plain, plain, Flip.CONCAT)
    torch.testing.assert_close(cosine(beside, beside), cosine(plain, plain))


@given(seeds)
def test_which_of_the_two_is_the_mirrored_one_does_not_matter_to_the_sum(seed: int) -> None:
    plain, mirrored = unit(seed), unit(seed + 1)
    forth, back = (with_mirrored(*pair, Flip.SUM) for pair in ((plain, mirrored), (mirrored, plain)))
    torch.testing.assert_close(forth, back)


def test_no_flip_gives_back_what_was_given() -> None:
    plain = unit(1)
    assert with_mirrored(plain, None, Flip.NONE) is plain
    assert with_mirrored(plain, unit(2), Flip.NONE) is plain


@pytest.mark.parametrize("flip", [Flip.SUM, Flip.CONCAT])
@pytest.mark.parametrize("mirrored", [None, unit(2, n=4), unit(2, d=6)])
def test_missing_or_unfit_mirrored_embeddings(flip: Flip, mirrored: Tensor | None) -> None:
    with pytest.raises(UsageError, match=f"flip {flip.value} needs"):
        with_mirrored(unit(1), mirrored, flip)


@given(seeds)
def test_centring_is_what_it_says_and_gives_unit_rows(seed: int) -> None:
    embeddings = unit(seed)
    mean = embeddings.mean(dim=0)
    found = centred(embeddings, mean)
    for row in range(5):
        expected = by_hand(embeddings[row].double().numpy() - mean.double().numpy())
        np.testing.assert_allclose(found[row], expected, atol=1e-5)
    torch.testing.assert_close(centred(embeddings, torch.zeros(7)), embeddings)


def test_centring_takes_away_what_all_faces_share() -> None:
    shared = torch.zeros(16)
    shared[0] = 5.0
    people = normalise(shared + torch.eye(16)[1:9])
    before = cosine(people, people)
    centred_people = centred(people, people.mean(dim=0))
    after = cosine(centred_people, centred_people)
    others = ~torch.eye(8, dtype=torch.bool)
    assert before[others].min() > 0.9 and after[others].max() < 0


@pytest.mark.parametrize("flip", list(Flip))
def test_rows_without_an_embedding_stay_without(flip: Flip) -> None:
    plain, mirrored = unit(1), unit(2)
    plain[2] = mirrored[2] = float("nan")
    found = centred(with_mirrored(plain, mirrored, flip), torch.zeros(14 if flip is Flip.CONCAT else 7))
    assert torch.isnan(found).all(dim=1).tolist() == [False, False, True, False, False]
    assert not torch.isnan(found[[0, 1, 3, 4]]).any()
