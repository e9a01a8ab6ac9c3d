"""The folded copy for embedding gives what the backbone gives."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from facenet.models.backbone import Backbone
from facenet.models.inference import InferenceTrunk
from facenet.models.registry import BACKBONES

Exercised = Callable[[str], Backbone]

# Many weights take their time, and ResNet-34 is ResNet-18 with more of the same.
HEAVY = ("alexnet", "resnet34", "vgg16")
NAMES = [pytest.param(name, marks=pytest.mark.slow) if name in HEAVY else name for name in sorted(BACKBONES)]
WITHOUT_BATCH_NORM = ("alexnet", "vgg16")


@pytest.fixture(params=NAMES)
def backbone(request: pytest.FixtureRequest, exercised: Exercised) -> Backbone:
    return exercised(request.param)


@pytest.fixture
def faces(backbone: Backbone, faces_for: Callable[[Backbone, int], Tensor]) -> Tensor:
    return faces_for(backbone, 6)


@pytest.fixture
def expected(backbone: Backbone, faces: Tensor) -> Tensor:
    with torch.no_grad():
        return backbone(backbone.preprocessing.normalise(faces))


def test_float32_equals_the_backbone(backbone: Backbone, faces: Tensor, expected: Tensor) -> None:
    trunk = InferenceTrunk(backbone)
    embeddings = trunk(faces)
    assert embeddings.shape == (6, trunk.embedding_size) == (6, backbone.embedding_size)
    assert embeddings.dtype == torch.float32 and not embeddings.requires_grad
    torch.testing.assert_close(embeddings, expected, atol=1e-5, rtol=0)
    alike = 0.995 if backbone.architecture in WITHOUT_BATCH_NORM else 0.9
    assert float((expected @ expected.T).fill_diagonal_(-1).max()) < alike, "collapsed: this test shows nothing"


def test_nothing_is_left_to_normalise(backbone: Backbone) -> None:
    kinds = {type(module) for module in InferenceTrunk(backbone).modules()}
    assert not kinds & {nn.BatchNorm1d, nn.BatchNorm2d}


def test_a_missing_fold_would_show(backbone: Backbone, faces: Tensor, expected: Tensor) -> None:
    norms = [module for module in backbone.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    assert bool(norms) == (backbone.architecture not in WITHOUT_BATCH_NORM)
    if not norms:
        return
    for module in norms:
        module.reset_parameters()
    assert float((InferenceTrunk(backbone)(faces) * expected).sum(dim=1).max()) < 0.9


def test_bfloat16_is_near(backbone: Backbone, faces: Tensor, expected: Tensor) -> None:
    trunk = InferenceTrunk(backbone, precision="bf16")
    assert {parameter.dtype for parameter in trunk.parameters()} == {torch.bfloat16}
    embeddings = trunk(faces)
    assert embeddings.dtype == torch.float32
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(6), atol=1e-6, rtol=0)
    # 8 bits, after so many random layers: trained ones are kinder.
    assert (
        {"inception_v3": 0.95}.get(backbone.architecture, 0.99) <= float((embeddings * expected).sum(dim=1).min()) < 1
    )


def test_the_layout_of_the_faces_in_memory_does_not_matter(backbone: Backbone, faces: Tensor, expected: Tensor) -> None:
    trunk = InferenceTrunk(backbone)
    interleaved = faces.to(memory_format=torch.channels_last)
    torch.testing.assert_close(trunk(interleaved), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(trunk(faces[2:3]), expected[2:3], atol=1e-5, rtol=0)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_backbone_stays_as_it_is(backbone: Backbone, faces: Tensor, precision: str) -> None:
    backbone.train()
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    seen = faces.clone()
    InferenceTrunk(backbone, precision=precision)(faces)
    assert torch.equal(faces, seen)
    assert backbone.training and all(module.training for module in backbone.modules())
    assert all(parameter.requires_grad for parameter in backbone.parameters())
    after = backbone.state_dict()
    assert list(after) == list(before)
    for key, value in before.items():
        assert after[key].dtype == value.dtype and torch.equal(after[key], value), key


def test_later_training_does_not_reach_the_copy(backbone: Backbone, faces: Tensor, expected: Tensor) -> None:
    trunk = InferenceTrunk(backbone)
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.zero_()
    torch.testing.assert_close(trunk(faces), expected, atol=1e-5, rtol=0)
