"""Backbones: figures of the registry, reproducible weights, and outputs equal to independent implementations."""

from __future__ import annotations

from collections.abc import Callable

import facenet_pytorch
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from facenet.errors import UsageError
from facenet.models.backbone import Backbone
from facenet.models.inception_resnet_v1 import InceptionResnetV1
from facenet.models.mobilefacenet import MobileFaceNet
from facenet.models.registry import BACKBONES, build_backbone

Exercised = Callable[[str], Backbone]
Pictures = Callable[[int, int, int, int], Tensor]

Inputs = Callable[[Backbone, int], Tensor]

# Many weights take their time, and ResNet-34 is ResNet-18 with more of the same.
HEAVY = ("alexnet", "resnet34", "vgg16")
NAMES = [pytest.param(name, marks=pytest.mark.slow) if name in HEAVY else name for name in sorted(BACKBONES)]

# Without batch normalisation, and with nothing below zero in the embedding, random weights tell little apart.
ALIKE = {"alexnet": 0.995, "vgg16": 0.995}

# bfloat16 has 8 bits: what is left of them after so many random layers.
ROUNDED = {"inception_v3": 0.95}


def spread(embeddings: Tensor) -> float:
    """Largest cosine between two different rows."""
    return float((embeddings @ embeddings.T).fill_diagonal_(-1).max())


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_the_registry_says_what_is_true(name: str) -> None:
    entry = BACKBONES[name]
    with torch.device("meta"):
        backbone = build_backbone(name).eval()
    contract = backbone.preprocessing
    assert entry.name == backbone.architecture == name and entry.summary
    assert entry.embedding_size == backbone.embedding_size
    assert entry.input_size == (contract.height, contract.width)
    assert (entry.mean, entry.std, entry.photo_crop) == (contract.mean, contract.std, backbone.photo_crop)
    assert contract.for_photos(backbone.photo_crop).crop == backbone.photo_crop
    assert entry.parameters == sum(parameter.numel() for parameter in backbone.parameters())
    with FlopCounterMode(display=False) as counter:
        backbone(torch.empty(1, 3, contract.height, contract.width, device="meta"))
    assert entry.multiply_adds == counter.get_total_flops() // 2


@pytest.mark.parametrize("name", NAMES)
def test_embeddings_are_unit_rows_of_float32(name: str, exercised: Exercised, inputs: Inputs) -> None:
    backbone = exercised(name)
    batch = inputs(backbone, 4)
    with torch.no_grad():
        embeddings = backbone(batch)
        singly = torch.cat([backbone(row[None]) for row in batch])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rounded = backbone(batch)
    assert embeddings.shape == (4, backbone.embedding_size)
    assert embeddings.dtype == rounded.dtype == torch.float32
    for rows in (embeddings, rounded):
        torch.testing.assert_close(rows.norm(dim=1), torch.ones(4), atol=1e-6, rtol=0)
    assert spread(embeddings) < ALIKE.get(name, 0.9), "the network is collapsed, and this test shows nothing"
    torch.testing.assert_close(singly, embeddings, atol=1e-5, rtol=0)
    assert float((rounded * embeddings).sum(dim=1).min()) > ROUNDED.get(name, 0.98)


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_alone_decides_the_weights(name: str) -> None:
    torch.manual_seed(123)
    before = torch.get_rng_state()
    first = build_backbone(name, seed=5).state_dict()
    assert torch.equal(torch.get_rng_state(), before), "building drew from the global generator"
    torch.rand(3)
    again, other = build_backbone(name, seed=5).state_dict(), build_backbone(name, seed=6).state_dict()
    assert all(torch.equal(value, again[key]) for key, value in first.items())
    assert not all(torch.equal(value, other[key]) for key, value in first.items())


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"unknown backbone 'resnet' \(did you mean resnet\d\d\?\): choose one of inc"):
        build_backbone("resnet")
    with pytest.raises(
        UsageError, match=r"^unknown backbone 'a\\nb': choose one of .*mobilefacenet, .*, or timm:NAME$"
    ):
        build_backbone("a\nb")


@pytest.mark.parametrize("name", NAMES)
def test_stages_hold_every_weight_once_in_the_order_of_use(name: str, exercised: Exercised, inputs: Inputs) -> None:
    backbone = exercised(name)
    stages = backbone.stages()
    assert len({stage for stage, _ in stages}) == len(stages)
    held = [id(parameter) for _, stage in stages for parameter in stage.parameters()]
    assert sorted(held) == sorted(id(parameter) for parameter in backbone.parameters())

    stage_of = {module: number for number, (_, stage) in enumerate(stages) for module in stage.modules()}
    used: list[int] = []
    for module, number in stage_of.items():
        if not list(module.children()):
            module.register_forward_hook(lambda *_, number=number: used.append(number))
    with torch.no_grad():
        backbone(inputs(backbone, 1))
    assert used == sorted(used)
    assert set(used) == set(range(len(stages)))


@pytest.mark.parametrize("name", NAMES)
def test_a_gradient_reaches_every_weight(name: str, inputs: Inputs) -> None:
    backbone = build_backbone(name).train()
    embeddings = backbone(inputs(backbone, 3))
    # Unit rows have a length that never changes: only a direction gives a gradient.
    (embeddings @ torch.randn(backbone.embedding_size, generator=torch.Generator().manual_seed(0))).sum().backward()
    for key, parameter in backbone.named_parameters():
        assert parameter.grad is not None and bool(parameter.grad.isfinite().all()), key
        assert bool((parameter.grad != 0).any()), key


@pytest.mark.parametrize("name", NAMES)
def test_random_weights_tell_pictures_apart_in_training(name: str, inputs: Inputs) -> None:
    backbone = build_backbone(name).train()
    with torch.no_grad():
        assert spread(backbone(inputs(backbone, 8))) < ALIKE.get(name, 0.9)


@pytest.mark.parametrize("name", NAMES)
def test_the_fingerprint_follows_the_weights_and_nothing_else(name: str, exercised: Exercised) -> None:
    backbone = exercised(name)
    before = backbone.fingerprint()
    assert exercised(name).to(memory_format=torch.channels_last).train().fingerprint() == before
    with torch.no_grad():
        next(backbone.parameters()).view(-1)[0] += 1e-3
    assert backbone.fingerprint() != before


def test_inception_equals_facenet_pytorch(exercised: Exercised, inputs: Inputs) -> None:
    ours = exercised("inception_resnet_v1")
    theirs = facenet_pytorch.InceptionResnetV1(pretrained=None, classify=True, num_classes=7).eval()
    keys = {key: value.shape for key, value in theirs.state_dict().items() if not key.startswith("logits.")}
    assert {key: value.shape for key, value in ours.state_dict().items()} == keys
    theirs.load_state_dict(ours.state_dict(), strict=False)
    theirs.classify = False
    batch = inputs(ours, 4)
    with torch.no_grad():
        expected = theirs(batch)
        torch.testing.assert_close(ours(batch), expected, atol=1e-6, rtol=0)
    assert spread(expected) < 0.9, "the network is collapsed, and this test shows nothing"


def test_inception_takes_pictures_down_to_75_pixels(exercised: Exercised, pictures: Pictures) -> None:
    backbone = exercised("inception_resnet_v1")
    with torch.no_grad():
        for height, width in ((75, 75), (75, 190)):
            batch = backbone.preprocessing.normalise(pictures(2, height, width, 1))
            assert backbone(batch).shape == (2, 512)
        with pytest.raises(RuntimeError):
            backbone(torch.zeros(2, 3, 74, 75))


def test_dropout_acts_in_training_only(exercised: Exercised) -> None:
    assert build_backbone("inception_resnet_v1").dropout.p == 0
    backbone = build_backbone("inception_resnet_v1", dropout=0.4)
    assert isinstance(backbone, InceptionResnetV1) and backbone.dropout.p == 0.4
    values = torch.ones(1, 1792)
    assert torch.equal(backbone.eval().dropout(values), values)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        dropped = backbone.train().dropout(values)
    assert 0.3 < float((dropped == 0).float().mean()) < 0.5


def mobilefacenet_by_hand(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """The paper's table 1 as a list of operations on a table of tensors."""

    def norm(x: Tensor, prefix: str) -> Tensor:
        mean, var, weight, bias = (
            state[f"{prefix}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (var + 1e-5).sqrt() * weight + bias

    def prelu(x: Tensor, key: str) -> Tensor:
        return torch.where(x > 0, x, x * state[key][:, None, None])

    def conv(x: Tensor, key: str, stride: int = 1, padding: int = 0) -> Tensor:
        kernel = state[key]
        return functional.conv2d(x, kernel, None, stride, padding, groups=x.shape[1] // kernel.shape[1])

    x = prelu(norm(conv(x, "conv1.conv.weight", 2, 1), "conv1.bn"), "conv1.prelu.weight")
    x = prelu(norm(conv(x, "dw_conv1.conv.weight", 1, 1), "dw_conv1.bn"), "dw_conv1.prelu.weight")
    strides = [2, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1]
    for block, stride in enumerate(strides):
        at = f"blocks.{block}.conv"
        y = prelu(norm(conv(x, f"{at}.0.weight"), f"{at}.1"), f"{at}.2.weight")
        y = prelu(norm(conv(y, f"{at}.3.weight", stride, 1), f"{at}.4"), f"{at}.5.weight")
        y = norm(conv(y, f"{at}.6.weight"), f"{at}.7")
        x = x + y if stride == 1 and x.shape == y.shape else y
    x = prelu(norm(conv(x, "conv2.conv.weight"), "conv2.bn"), "conv2.prelu.weight")
    assert x.shape[1:] == (512, 7, 6)
    x = norm(conv(x, "linear7.conv.weight"), "linear7.bn")
    x = norm(conv(x, "linear1.conv.weight"), "linear1.bn")
    return functional.normalize(x[:, :, 0, 0])


def test_mobilefacenet_equals_its_table_of_layers(exercised: Exercised, inputs: Inputs) -> None:
    backbone = exercised("mobilefacenet")
    batch = inputs(backbone, 4)
    with torch.no_grad():
        for module in backbone.modules():
            if isinstance(module, nn.PReLU):
                nn.init.uniform_(module.weight, 0.0, 0.5, generator=torch.Generator().manual_seed(0))
        expected = mobilefacenet_by_hand(backbone.state_dict(), batch)
        torch.testing.assert_close(backbone(batch), expected, atol=1e-5, rtol=0)
    assert spread(expected) < 0.9, "the network is collapsed, and this test shows nothing"


def test_mobilefacenet_holds_as_many_values_as_its_published_weights() -> None:
    assert sum(value.numel() for value in MobileFaceNet().state_dict().values()) == 1_019_186


def test_mobilefacenet_refuses_pictures_of_another_size(exercised: Exercised) -> None:
    backbone = exercised("mobilefacenet")
    with torch.no_grad(), pytest.raises(RuntimeError):
        backbone(torch.zeros(1, 3, 96, 96))
