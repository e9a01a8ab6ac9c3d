"""What of a model may change: freezing from the front, weights and batch statistics alike."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from facenet.errors import UsageError
from facenet.models.backbone import Backbone
from facenet.models.face_model import FaceModel
from facenet.models.heads import build_head
from facenet.models.pair_head import build_pair_head
from facenet.models.registry import BACKBONES, build_backbone

Pictures = Callable[[int, int, int, int], Tensor]

MOBILE = build_backbone("mobilefacenet")
STAGES = len(MOBILE.stages())


@pytest.fixture
def trunk() -> Backbone:
    return copy.deepcopy(MOBILE)


def trainable_names(model: FaceModel) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def stage_parameters(trunk: Backbone, number: int) -> set[str]:
    """Names of the weights in the last ``number`` stages, found by the stages' names."""
    last = tuple(name for name, _ in trunk.stages()[len(trunk.stages()) - number :])
    return {
        f"trunk.{name}" for name, _ in trunk.named_parameters() if any(name.startswith(stage + ".") for stage in last)
    }


def test_all_trains_everything(trunk: Backbone) -> None:
    model = FaceModel(trunk)
    assert model.head is None and model.trainable == "all" and not model.trunk_is_frozen
    assert trainable_names(model) == {name for name, _ in model.named_parameters()}
    assert len(list(model.trainable_parameters())) == len(list(model.parameters()))


@pytest.mark.parametrize("number", [1, 2, 7, STAGES])
def test_last_n_trains_exactly_the_last_stages(trunk: Backbone, number: int) -> None:
    model = FaceModel(trunk, trainable=f"last:{number}")
    assert trainable_names(model) == stage_parameters(trunk, number) != set()
    given = {id(parameter) for parameter in model.trainable_parameters()}
    named = dict(model.named_parameters())
    assert given == {id(named[name]) for name in trainable_names(model)}
    assert not model.trunk_is_frozen


def test_head_trains_the_head_alone_and_without_one_the_embedding_layer(trunk: Backbone) -> None:
    with_head = FaceModel(copy.deepcopy(trunk), build_head("linear", 128, 3), trainable="head")
    assert trainable_names(with_head) == {"head.linear.weight", "head.linear.bias"}
    assert with_head.trunk_is_frozen
    without = FaceModel(trunk, trainable="head")
    assert trainable_names(without) == stage_parameters(trunk, 1)
    assert all(name.startswith("trunk.linear1.") for name in trainable_names(without))
    assert not without.trunk_is_frozen


def test_a_head_for_pairs_counts_as_a_head(trunk: Backbone) -> None:
    own = {f"pair_head.layers.{number}.{kind}" for number in (0, 3) for kind in ("weight", "bias")}
    model = FaceModel(copy.deepcopy(trunk), pair_head=build_pair_head(128), trainable="head")
    assert trainable_names(model) == own and model.trunk_is_frozen and model.head is None
    assert FaceModel(trunk).pair_head is None
    assert trainable_names(FaceModel(trunk, pair_head=build_pair_head(128), trainable="last:1")) == (
        own | stage_parameters(trunk, 1)
    )


def test_scores_are_the_other_way_through(trunk: Backbone, pictures: Pictures) -> None:
    inputs = trunk.preprocessing.normalise(pictures(3, 112, 96, 0))
    for kind in ("linear", "cosface"):
        model = FaceModel(trunk, build_head(kind, 128, 4)).eval()
        assert model.head is not None
        with torch.no_grad():
            scores, embeddings = model.scores(inputs), model(inputs)
            assert scores.shape == (3, 4)
            assert torch.equal(scores, model.head.logits(embeddings))
            if kind == "linear":
                weight, bias = (model.get_parameter(f"head.linear.{name}") for name in ("weight", "bias"))
                torch.testing.assert_close(scores, 16 * embeddings @ weight.T + bias, atol=1e-4, rtol=1e-5)
    for headless in (FaceModel(trunk), FaceModel(trunk, pair_head=build_pair_head(128))):
        with pytest.raises(UsageError, match="this model has no head"):
            headless.scores(inputs)


@pytest.mark.parametrize("trainable", ["all", "last:2", "head"])
def test_a_head_always_trains(trunk: Backbone, trainable: str) -> None:
    model = FaceModel(trunk, build_head("arcface", 128, 3), trainable=trainable)
    assert {name for name in trainable_names(model) if name.startswith("head.")} == {"head.margin.W"}


def test_inception_is_frozen_by_its_own_stages() -> None:
    trunk = build_backbone("inception_resnet_v1")
    last_one = trainable_names(FaceModel(trunk, trainable="last:1"))
    assert last_one == {"trunk.last_linear.weight", "trunk.last_bn.weight", "trunk.last_bn.bias"}
    last_three = trainable_names(FaceModel(trunk, trainable="last:3"))
    assert {name.split(".")[1] for name in last_three - last_one} == {"repeat_3", "block8"}


def test_a_trunk_that_was_frozen_elsewhere_thaws(trunk: Backbone) -> None:
    frozen = FaceModel(trunk, trainable="last:1")
    everything = {f"trunk.{name}" for name, _ in trunk.named_parameters()}
    assert trainable_names(FaceModel(frozen.trunk, trainable="all")) == everything
    assert trainable_names(FaceModel(frozen.trunk, trainable="last:3")) == stage_parameters(trunk, 3)


def test_frozen_stages_stay_in_eval(trunk: Backbone) -> None:
    model = FaceModel(trunk, trainable="last:3")
    for _ in range(2):
        assert model.train() is model
        assert model.training
        modes = [{module.training for module in stage.modules()} for _, stage in trunk.stages()]
        assert modes == [{False}] * (STAGES - 3) + [{True}] * 3
        model.eval()
        assert not any(module.training for module in model.modules())


@pytest.mark.parametrize("name", ["alexnet", "inception_resnet_v1"])
def test_a_trunk_that_does_not_learn_drops_nothing(name: str) -> None:
    """Dropout lies between the stages, and belongs to none."""
    with torch.device("meta"):
        trunk, head = build_backbone(name, dropout=0.5), build_head("linear", 512, 3)
    assert [layer for layer in trunk.modules() if isinstance(layer, nn.Dropout) and layer.p]
    FaceModel(trunk, head, trainable="head").train()
    assert not any(module.training for module in trunk.modules()) and head.training


def test_a_training_step_changes_what_is_trainable_and_nothing_else(trunk: Backbone, pictures: Pictures) -> None:
    model = FaceModel(trunk, build_head("linear", 128, 4), trainable="last:2").train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    optimiser = torch.optim.SGD(model.trainable_parameters(), lr=0.1)
    embeddings = model(trunk.preprocessing.normalise(pictures(4, 112, 96, 0)))
    assert model.head is not None
    model.head.loss(embeddings, torch.arange(4)).backward()
    optimiser.step()
    changed = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    open_parts = {"head", "trunk.linear7", "trunk.linear1"}
    assert {key for key in before if any(key.startswith(part + ".") for part in open_parts)} == changed
    assert {"trunk.linear1.bn.running_mean", "trunk.linear1.bn.num_batches_tracked"} <= changed


def test_the_forward_is_the_trunks(trunk: Backbone, pictures: Pictures) -> None:
    inputs = trunk.preprocessing.normalise(pictures(3, 112, 96, 0))
    model = FaceModel(trunk, build_head("linear", 128, 4)).eval()
    with torch.no_grad():
        assert torch.equal(model(inputs), trunk(inputs))


def test_the_state_has_a_prefix_for_each_part_and_loads_strictly(trunk: Backbone) -> None:
    paired = FaceModel(trunk, pair_head=build_pair_head(128))
    assert {key.split(".")[0] for key in paired.state_dict()} == {"trunk", "pair_head"}
    model = FaceModel(trunk, build_head("cosface", 128, 4), trainable="last:1")
    assert {key.split(".")[0] for key in model.state_dict()} == {"trunk", "head"}
    other = FaceModel(build_backbone("mobilefacenet", seed=3), build_head("cosface", 128, 4, seed=3))
    other.load_state_dict(model.state_dict(), strict=True)
    assert other.trunk.fingerprint() == model.trunk.fingerprint()


def test_a_copy_freezes_its_own_stages(trunk: Backbone) -> None:
    model = FaceModel(trunk, trainable="last:1")
    twin = copy.deepcopy(model).train()
    norms = [module for module in twin.trunk.conv1.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms and not any(norm.training for norm in norms)


@pytest.mark.parametrize(
    "trainable",
    [
        "last:0",
        f"last:{STAGES + 1}",
        "last:99",
        "last:-1",
        "last:1.5",
        "last:",
        "last:²",
        "last",
        "none",
        "",
        "ALL",
        "head:1",
    ],
)
def test_nonsense_is_refused_with_what_is_possible(trunk: Backbone, trainable: str) -> None:
    with pytest.raises(UsageError, match=f"takes all, head or last:N with N from 1 to {STAGES}"):
        FaceModel(trunk, trainable=trainable)
    assert all(parameter.requires_grad for parameter in trunk.parameters()), "half of the work was done"


@pytest.mark.parametrize("name", sorted(set(BACKBONES) - {"alexnet", "vgg16"}))
def test_frozen_batch_norm_keeps_its_statistics_while_scale_and_shift_learn(
    name: str, inputs: Callable[[Backbone, int], Tensor]
) -> None:
    trunk = build_backbone(name, seed=0)
    model = FaceModel(trunk, frozen_batch_norm=True).train()
    before = {key: value.clone() for key, value in model.state_dict().items() if "running" in key}
    model(inputs(trunk, 4)).square().sum().backward()
    after = model.state_dict()
    assert before and all(torch.equal(value, after[key]) for key, value in before.items())
    norms = [module for module in trunk.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert all(module.weight.requires_grad and module.weight.grad is not None for module in norms)


def test_batch_norm_learns_its_statistics_unless_frozen() -> None:
    model = FaceModel(build_backbone("mobilefacenet", seed=0)).train()
    before = model.trunk.get_buffer("conv1.bn.running_mean").clone()
    model(torch.randn(4, 3, 112, 96, generator=torch.Generator().manual_seed(0)))
    assert not torch.equal(before, model.trunk.get_buffer("conv1.bn.running_mean"))
