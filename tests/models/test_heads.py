"""Classification heads: scores, losses, gradients, and weights that travel."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from facenet.errors import UsageError
from facenet.geometry import cosine, normalise
from facenet.models.heads import HEADS, LinearHead, build_head

PEOPLE, SIZE = 5, 16


@pytest.fixture
def data() -> tuple[Tensor, Tensor]:
    """Embeddings around five directions, and whose they are."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(40) % PEOPLE
    centres = normalise(torch.randn(PEOPLE, SIZE, generator=generator))
    return normalise(centres[labels] + 0.1 * torch.randn(40, SIZE, generator=generator)), labels


@pytest.mark.parametrize("kind", HEADS)
def test_one_score_for_each_person(kind: str, data: tuple[Tensor, Tensor]) -> None:
    embeddings, _ = data
    head = build_head(kind, SIZE, PEOPLE)
    logits = head.logits(embeddings)
    assert logits.shape == (40, PEOPLE) and logits.dtype == torch.float32
    assert torch.equal(head(embeddings), logits)
    assert head.logits(embeddings[:0]).shape == (0, PEOPLE)


@pytest.mark.parametrize("kind", HEADS)
def test_a_few_steps_learn_people_who_are_apart(kind: str, data: tuple[Tensor, Tensor]) -> None:
    embeddings, labels = data
    head = build_head(kind, SIZE, PEOPLE, seed=1)
    optimiser = torch.optim.Adam(head.parameters(), lr=0.05)
    losses = []
    for _ in range(60):
        loss = head.loss(embeddings, labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
    assert torch.equal(head.logits(embeddings).argmax(dim=1), labels)


@pytest.mark.parametrize("kind", HEADS)
def test_gradients_reach_embeddings_and_every_weight(kind: str, data: tuple[Tensor, Tensor]) -> None:
    embeddings, labels = data
    embeddings.requires_grad_()
    head = build_head(kind, SIZE, PEOPLE)
    loss = head.loss(embeddings, labels)
    assert loss.shape == () and loss.item() > 0
    loss.backward()
    assert embeddings.grad is not None and bool((embeddings.grad.norm(dim=1) > 0).all())
    parameters = list(head.parameters())
    assert parameters and all(parameter.grad is not None for parameter in parameters)


@pytest.mark.parametrize("kind", HEADS)
def test_all_weights_are_saved_and_load_back(kind: str, data: tuple[Tensor, Tensor]) -> None:
    embeddings, labels = data
    head, other = build_head(kind, SIZE, PEOPLE, seed=1), build_head(kind, SIZE, PEOPLE, seed=2)
    state = head.state_dict()
    assert {key for key, _ in head.named_parameters()} <= set(state)
    assert not torch.allclose(head.logits(embeddings), other.logits(embeddings))
    other.load_state_dict(state, strict=True)
    assert torch.equal(head.logits(embeddings), other.logits(embeddings))
    assert torch.equal(head.loss(embeddings, labels), other.loss(embeddings, labels))


def test_a_linear_head_is_softmax_regression_on_embeddings_scaled_up(data: tuple[Tensor, Tensor]) -> None:
    embeddings, labels = data
    head = build_head("linear", SIZE, PEOPLE)
    assert isinstance(head, LinearHead)
    logits = (16 * embeddings @ head.linear.weight.T + head.linear.bias).detach()
    torch.testing.assert_close(head.logits(embeddings), logits)
    by_hand = [-math.log(row.exp()[label] / row.exp().sum()) for row, label in zip(logits, labels, strict=True)]
    assert head.loss(embeddings, labels).item() == pytest.approx(sum(by_hand) / 40, rel=1e-5)


@pytest.mark.parametrize(("kind", "scale"), [("arcface", 64.0), ("cosface", 64.0)])
def test_margin_heads_score_by_the_cosine_and_ask_more_of_the_right_person(
    kind: str, scale: float, data: tuple[Tensor, Tensor]
) -> None:
    embeddings, labels = data
    head = build_head(kind, SIZE, PEOPLE)
    (weight,) = head.parameters()
    centres = normalise(weight.detach().T if weight.shape == (SIZE, PEOPLE) else weight.detach())
    torch.testing.assert_close(head.logits(embeddings), scale * cosine(embeddings, centres), atol=1e-4, rtol=0)

    cosines = cosine(embeddings, centres).double()
    rows = torch.arange(len(labels))
    right = cosines[rows, labels]
    if kind == "arcface":
        cosines[rows, labels] = torch.cos(torch.acos(right) + math.radians(28.6))
    else:
        cosines[rows, labels] = right - 0.35
    expected = nn.functional.cross_entropy(scale * cosines, labels).item()
    assert head.loss(embeddings, labels).item() == pytest.approx(expected, rel=1e-3)
    assert expected > nn.functional.cross_entropy(head.logits(embeddings), labels).item()


@pytest.mark.parametrize("kind", HEADS)
def test_the_seed_alone_decides_the_weights(kind: str) -> None:
    torch.manual_seed(123)
    before = torch.get_rng_state()
    first = build_head(kind, SIZE, PEOPLE, seed=5).state_dict()
    assert torch.equal(torch.get_rng_state(), before), "building drew from the global generator"
    torch.rand(3)
    again, other = build_head(kind, SIZE, PEOPLE, seed=5).state_dict(), build_head(kind, SIZE, PEOPLE).state_dict()
    assert all(torch.equal(value, again[key]) for key, value in first.items())
    assert not all(torch.equal(value, other[key]) for key, value in first.items())


def test_unknown_kinds_are_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="unknown head 'sphereface': choose one of linear, arcface, cosface"):
        build_head("sphereface", SIZE, PEOPLE)
