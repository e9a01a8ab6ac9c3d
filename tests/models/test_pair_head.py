"""The head for pairs: scores that know no order, a loss that can be checked by hand, and learning."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from facenet.geometry import normalise
from facenet.models.pair_head import PairHead, build_pair_head

SIZE = 16


def rows(n: int, seed: int) -> Tensor:
    """``(n, SIZE)`` embeddings in random directions."""
    return normalise(torch.randn(n, SIZE, generator=torch.Generator().manual_seed(seed)))


def by_hand(head: PairHead, first: list[float], second: list[float]) -> float:
    """The layers, value by value, for one order."""
    state = {name: value.tolist() for name, value in head.state_dict().items()}
    values = [16 * value for value in first + second]
    hidden = [
        max(0.0, bias + sum(weight * value for weight, value in zip(weights, values, strict=True)))
        for weights, bias in zip(state["layers.0.weight"], state["layers.0.bias"], strict=True)
    ]
    (last,) = state["layers.3.weight"]
    return state["layers.3.bias"][0] + sum(weight * value for weight, value in zip(last, hidden, strict=True))


def softplus(value: float) -> float:
    return math.log1p(math.exp(-abs(value))) + max(value, 0.0)


@pytest.mark.parametrize("training", [False, True])
def test_scores_and_loss_are_those_worked_out_by_hand(training: bool) -> None:
    head = build_pair_head(SIZE, seed=1).train(training)
    first, second, same = rows(4, 0), rows(4, 1), torch.tensor([True, False, False, True])
    there = [by_hand(head, a, b) for a, b in zip(first.tolist(), second.tolist(), strict=True)]
    back = [by_hand(head, b, a) for a, b in zip(first.tolist(), second.tolist(), strict=True)]
    assert max(abs(a - b) for a, b in zip(there, back, strict=True)) > 0.1, "the orders agree: this test shows nothing"
    expected = torch.tensor([(a + b) / 2 for a, b in zip(there, back, strict=True)])
    torch.testing.assert_close(head.logits(first, second), expected, atol=1e-4, rtol=1e-4)
    assert torch.equal(head(first, second), head.logits(first, second))
    signs = [-1 if genuine else 1 for genuine in same.tolist()] * 2
    costs = [softplus(sign * value) for sign, value in zip(signs, there + back, strict=True)]
    assert head.loss(first, second, same).item() == pytest.approx(sum(costs) / len(costs), rel=1e-4)


@given(st.integers(0, 9), st.integers(0, 2**31))
def test_the_order_of_two_pictures_changes_nothing(n: int, seed: int) -> None:
    head = build_pair_head(SIZE, seed=2).eval()
    first, second = rows(n, seed), rows(n, seed + 1)
    assert head.logits(first, second).shape == (n,)
    assert torch.equal(head.logits(first, second), head.logits(second, first))
    if n:
        same = torch.arange(n) % 2 == 0
        torch.testing.assert_close(head.loss(first, second, same), head.loss(second, first, same))


def test_dropout_is_off_unless_asked_for_and_acts_in_training_only() -> None:
    first, second = rows(8, 0), rows(8, 1)
    quiet, noisy = build_pair_head(SIZE), build_pair_head(SIZE, dropout=0.5)
    assert torch.equal(quiet.train().logits(first, second), quiet.eval().logits(first, second))
    assert torch.equal(noisy.eval().logits(first, second), quiet.logits(first, second))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        assert not torch.allclose(noisy.train().logits(first, second), quiet.logits(first, second))


def test_the_seed_alone_decides_the_weights() -> None:
    before = torch.get_rng_state()
    one, again, other = (build_pair_head(SIZE, seed=seed).state_dict() for seed in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), before), "building drew from the global generator"
    assert all(torch.equal(value, again[name]) for name, value in one.items())
    assert not any(torch.equal(value, other[name]) for name, value in one.items())
    assert {name: tuple(value.shape) for name, value in one.items()} == {
        "layers.0.weight": (256, 2 * SIZE),
        "layers.0.bias": (256,),
        "layers.3.weight": (1, 256),
        "layers.3.bias": (1,),
    }
    assert PairHead(SIZE, hidden=7).layers[0].out_features == 7


def test_gradients_reach_both_pictures_and_every_weight() -> None:
    head = build_pair_head(SIZE)
    first, second = rows(6, 0).requires_grad_(), rows(6, 1).requires_grad_()
    loss = head.loss(first, second, torch.arange(6) < 3)
    assert loss.shape == ()
    loss.backward()
    for tensor in (first, second, *head.parameters()):
        assert tensor.grad is not None and bool(tensor.grad.isfinite().all()) and bool((tensor.grad != 0).any())


def test_people_never_seen_are_told_apart_after_training() -> None:
    generator = torch.Generator().manual_seed(0)

    def pairs(people: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor]:
        """As often one person as two, the first picture always a clean one."""
        one = torch.randint(len(people), (n,), generator=generator)
        same = torch.arange(n) % 2 == 0
        away = torch.randint(1, len(people), (n,), generator=generator)
        first = people[torch.where(same, one, (one + away) % len(people))]
        return first, normalise(people[one] + 0.1 * torch.randn(n, SIZE, generator=generator)), same

    head = build_pair_head(SIZE, seed=0).train()
    optimiser = torch.optim.SGD(head.parameters(), lr=0.01, momentum=0.9)
    known = rows(200, 3)
    for _ in range(400):
        optimiser.zero_grad()
        head.loss(*pairs(known, 16)).backward()
        optimiser.step()
    first, second, same = pairs(rows(200, 4), 1000)
    with torch.no_grad():
        scores = head.eval().logits(first, second)
    right = ((scores > 0) == same).float().mean().item()
    assert right > 0.85, f"{right:.2f} of the pairs decided rightly"
