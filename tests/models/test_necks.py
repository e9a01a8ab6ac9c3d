"""Necks: which there are, what they compute, what of base and neck trains, and which files fit."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from facenet.errors import UsageError, WeightsError
from facenet.models import catalogue
from facenet.models.backbone import Backbone
from facenet.models.face_model import FaceModel
from facenet.models.heads import build_head
from facenet.models.inference import InferenceTrunk
from facenet.models.input_size import set_input_size
from facenet.models.necks import NeckedBackbone, parse_neck
from facenet.models.pair_head import build_pair_head
from facenet.models.registry import BACKBONES, build_backbone, takes_dropout
from facenet.models.weights import Origin, load_strictly, pretrain

Exercised = Callable[[str], Backbone]
Inputs = Callable[[Backbone, int], Tensor]
FacesFor = Callable[[Backbone, int], Tensor]

CONV, LINEAR = "conv-24-12", "linear-24-12"
UNUSED = {
    "alexnet": {"classifier"},
    "inception_resnet_v1": {"last_linear", "last_bn"},
    "mobilefacenet": {"linear7", "linear1"},
    "vgg16": {"classifier"},
}
"""First parts of the names of what a network does after its last feature map."""

# Many layers take their time.
NAMES = [
    pytest.param(name, marks=pytest.mark.slow) if name == "inception_resnet_v2" else name for name in sorted(BACKBONES)
]
LIGHT = ["inception_resnet_v1", "mobilefacenet", "resnet18"]
FED_BY = {"inception_resnet_v1": "avgpool_1a", "mobilefacenet": "linear7"}
"""What comes after the last feature map, where it is not called ``avgpool``."""


def necked(base: Backbone, neck: str, *, dropout: float = 0.0) -> NeckedBackbone:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return NeckedBackbone(base, neck, dropout=dropout)


def trainable(model: nn.Module) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def under(names: set[str], state: dict[str, Tensor]) -> set[str]:
    """What of a state lies under some of a base's parts."""
    return {key for key in state if key.startswith("base.") and key.split(".")[1] in names}


@given(st.sampled_from(["linear", "conv"]), st.lists(st.integers(1, 8192), min_size=1, max_size=5))
def test_every_neck_has_one_spelling(kind: str, widths: list[int]) -> None:
    assert parse_neck("-".join([kind, *map(str, widths)])) == (kind, tuple(widths))


def test_no_neck_is_a_neck_too(toy: str) -> None:
    assert parse_neck("none") == ("none", ())
    bare = build_backbone(toy)
    assert type(build_backbone(toy, neck="none")) is type(bare)
    with pytest.raises(UsageError, match="at least one layer"):
        NeckedBackbone(bare, "none")


@pytest.mark.parametrize(
    "text",
    [
        "", "linear", "linear-", "linear-0", "linear-012", "linear-8193", "linear-1-2-3-4-5-6", "linear-64-",
        "linear--64", "conv-1.5", "conv-64x", "conv-+8", "conv-٦٤", "Linear-64", " linear-64", "dense-64", "64",
        "conv-9999999999", "a\nb",
    ],
)  # fmt: skip
def test_what_is_no_neck_is_refused_with_what_there_is(text: str) -> None:
    with pytest.raises(
        UsageError, match="choose none, linear-N-... or conv-N-... with up to 5 widths of 1 to 8192"
    ) as caught:
        parse_neck(text)
    assert str(caught.value).isprintable()
    with pytest.raises(UsageError, match="unknown neck"):
        build_backbone("resnet18", neck=text)


@pytest.mark.parametrize("neck", ["linear-7", "linear-24-12-5"])
def test_linear_layers_on_the_base_s_features(neck: str, exercised: Exercised, inputs: Inputs) -> None:
    base = exercised("mobilefacenet")
    trunk = necked(base, neck).eval()
    batch = inputs(base, 4)
    state = trunk.neck.state_dict()
    weights = [value for name, value in state.items() if name.endswith("weight")]
    biases = [value for name, value in state.items() if name.endswith("bias")]
    with torch.no_grad():
        for bias in biases:
            nn.init.uniform_(bias, -1.0, 1.0, generator=torch.Generator().manual_seed(0))
        x = base.features(batch)
        for number, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            x = (x if number == 0 else x.clamp(min=0)) @ weight.T + bias
        torch.testing.assert_close(trunk.features(batch), x, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(trunk(batch), functional.normalize(x), atol=1e-5, rtol=0)
    assert [tuple(weight.shape) for weight in weights][-1] == (trunk.embedding_size, weights[-1].shape[1])
    assert trunk.embedding_size == int(neck.rpartition("-")[2]) == x.shape[1]
    assert bool((x < 0).any()), "an embedding may point anywhere"


@pytest.mark.parametrize(
    ("name", "size"), [("resnet18", (150, 100)), ("inception_v3", (110, 75)), ("alexnet", (63, 63))]
)
def test_convolutions_on_torchvisions_last_feature_map(
    name: str, size: tuple[int, int], pictures: Callable[[int, int, int, int], Tensor]
) -> None:
    """Each layer as the formula of the neck says, on the map that torchvision's own network pools."""
    trunk = build_backbone(name, neck=CONV, seed=1).eval()
    assert isinstance(trunk, NeckedBackbone)
    with torch.random.fork_rng():
        torch.manual_seed(2)
        theirs = torchvision.models.get_model(name, weights=None, **({"init_weights": True} if "v3" in name else {}))
    theirs.eval()
    load_strictly(trunk, theirs.state_dict(), "torchvision's")
    pooled: list[Tensor] = []
    theirs.avgpool.register_forward_pre_hook(lambda _, args: pooled.append(args[0]))
    batch = trunk.preprocessing.normalise(pictures(3, *size, 1))
    first, second = (layer for layer in trunk.neck if isinstance(layer, nn.Conv2d))
    with torch.no_grad():
        for layer in (first, second):
            assert layer.bias is not None
            nn.init.uniform_(layer.bias, -1.0, 1.0, generator=torch.Generator().manual_seed(0))
        theirs(batch)
        maps = pooled[0]
        torch.testing.assert_close(trunk.base.maps(batch), maps, atol=1e-4 * float(maps.abs().max()), rtol=1e-4)
        x = functional.conv2d(halved(maps), first.weight, first.bias, padding=1).clamp(min=0)
        x = functional.conv2d(halved(x), second.weight, second.bias, padding=1).clamp(min=0)
        expected = x.amax(dim=(2, 3))
        features = trunk.features(batch)
    assert features.shape == (3, 12) and bool((expected > 0).any())
    torch.testing.assert_close(features, expected, atol=1e-4 * float(expected.max()), rtol=1e-4)


def halved(maps: Tensor) -> Tensor:
    """The largest of every 2×2 values; odd sides are rounded up."""
    high, wide = ((side + 1) // 2 * 2 for side in maps.shape[2:])
    filled = functional.pad(maps, (0, wide - maps.shape[3], 0, high - maps.shape[2]), value=-torch.inf)
    return filled.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).amax(dim=(3, 5))


@pytest.mark.parametrize("name", LIGHT)
def test_maps_are_what_is_pooled(name: str, exercised: Exercised, inputs: Inputs) -> None:
    backbone = exercised(name)
    given_on: list[Tensor] = []
    after = backbone.get_submodule(FED_BY.get(name, "avgpool"))
    handle = after.register_forward_pre_hook(lambda _, args: given_on.append(args[0]))
    batch = inputs(backbone, 2)
    with torch.no_grad():
        backbone.features(batch)
        handle.remove()
        maps = backbone.maps(batch)
    assert torch.equal(maps, given_on[0])
    assert maps.shape[:2] == (2, backbone.map_channels)


@pytest.mark.parametrize("name", NAMES)
def test_every_network_of_the_registry_carries_a_neck(name: str) -> None:
    with torch.device("meta"):
        bare, trunk = build_backbone(name), build_backbone(name, neck=CONV)
        linear = build_backbone(name, neck=LINEAR)
        pictures = torch.empty(2, 3, *bare.smallest_input)
        assert bare.eval().maps(pictures).shape[:2] == (2, bare.map_channels)
        assert trunk.eval()(pictures).shape == linear.eval()(pictures).shape == (2, 12)
    for top, neck in ((trunk, CONV), (linear, LINEAR)):
        assert top.architecture == f"{name}+{neck}" and top.catalogued_as == name and top.embedding_size == 12
        assert (top.smallest_input, top.fixed_input) == (bare.smallest_input, bare.fixed_input)
        assert (top.photo_crop, top.preprocessing) == (bare.photo_crop, bare.preprocessing)
        assert top.foldable == bare.foldable
    held = {id(parameter) for _, stage in linear.stages() for parameter in stage.parameters()}
    assert held == {id(parameter) for parameter in linear.parameters()}
    held = {id(parameter) for _, stage in trunk.stages() for parameter in stage.parameters()}
    left_out = {key for key, parameter in trunk.named_parameters() if id(parameter) not in held}
    assert {key.split(".")[1] for key in left_out} == UNUSED.get(name, set())


@pytest.mark.parametrize("neck", [CONV, LINEAR])
@pytest.mark.parametrize("name", LIGHT)
def test_stages_are_named_and_used_in_order(name: str, neck: str, exercised: Exercised, inputs: Inputs) -> None:
    trunk = necked(exercised(name), neck).eval()
    stages = trunk.stages()
    assert len({stage for stage, _ in stages}) == len(stages)
    assert len([stage for stage, _ in stages if stage.startswith("neck.")]) == 2
    stage_of = {module: number for number, (_, stage) in enumerate(stages) for module in stage.modules()}
    used: list[int] = []
    for module, number in stage_of.items():
        if not list(module.children()):
            module.register_forward_hook(lambda *_, number=number: used.append(number))
    with torch.no_grad():
        trunk(inputs(trunk.base, 1))
    assert used == sorted(used) and set(used) == set(range(len(stages)))


def test_vgg16_trains_its_two_linear_layers_and_those_of_the_neck() -> None:
    with torch.device("meta"):
        model = FaceModel(build_backbone("vgg16", neck="linear-1000-256-108"), trainable="last:5")
    layers = {name.rpartition(".")[0] for name in trainable(model)}
    assert layers == {
        f"trunk.{part}" for part in ("base.classifier.0", "base.classifier.3", "neck.0", "neck.2", "neck.4")
    }


@pytest.mark.parametrize("neck", [CONV, LINEAR])
@pytest.mark.parametrize("name", ["mobilefacenet", "resnet18"])
def test_what_a_neck_does_not_use_never_changes(name: str, neck: str, exercised: Exercised, inputs: Inputs) -> None:
    trunk = necked(exercised(name), neck)
    pair_head = build_pair_head(trunk.embedding_size)
    model = FaceModel(trunk, pair_head=pair_head).train()
    before = {key: value.clone() for key, value in trunk.state_dict().items()}
    optimiser = torch.optim.SGD(model.trainable_parameters(), lr=0.05, momentum=0.9, weight_decay=0.1)
    for seed in range(2):
        embeddings = model(inputs(trunk.base, 4) + 0.1 * seed)
        pair_head.loss(embeddings[0::2], embeddings[1::2], torch.tensor([True, False])).backward()
        given_to = [parameter for group in optimiser.param_groups for parameter in group["params"]]
        assert all(parameter.grad is not None for parameter in given_to), "the optimiser was given what nothing uses"
        optimiser.step()
        optimiser.zero_grad()
    unused = under(UNUSED.get(name, set()), before) if neck == CONV else set()
    unchanged = {key for key, value in trunk.state_dict().items() if torch.equal(value, before[key])}
    assert unchanged == unused
    assert bool(unused) == (name == "mobilefacenet" and neck == CONV)


def test_last_n_counts_the_neck_and_head_freezes_everything(exercised: Exercised) -> None:
    trunk = necked(exercised("mobilefacenet"), CONV)
    ends = {f"trunk.neck.{number}.{kind}" for number in (1, 5) for kind in ("weight", "bias")}
    assert trainable(FaceModel(trunk, trainable="last:2")) == ends
    model = FaceModel(trunk, trainable="last:3")
    assert {name.split(".")[2] for name in trainable(model) - ends} == {"conv2"}
    assert trainable(FaceModel(trunk, trainable="head")) == {name for name in ends if ".5." in name}
    pair = FaceModel(trunk, pair_head=build_pair_head(12), trainable="head")
    assert pair.trunk_is_frozen and {name.split(".")[0] for name in trainable(pair)} == {"pair_head"}
    with pytest.raises(UsageError, match=f"N from 1 to {len(trunk.stages())},"):
        FaceModel(trunk, trainable="last:99")


@pytest.mark.parametrize("neck", [CONV, LINEAR])
def test_embedding_equals_training(neck: str, exercised: Exercised, faces_for: FacesFor) -> None:
    trunk = necked(exercised("mobilefacenet"), neck).eval()
    faces = faces_for(trunk.base, 5)
    with torch.no_grad():
        expected = trunk(trunk.preprocessing.normalise(faces))
    quick = InferenceTrunk(trunk)
    assert not [module for module in quick.modules() if isinstance(module, nn.BatchNorm2d)]
    torch.testing.assert_close(quick(faces), expected, atol=1e-5, rtol=0)
    rounded = InferenceTrunk(trunk, precision="bf16")(faces)
    assert rounded.dtype == torch.float32 and float((rounded * expected).sum(dim=1).min()) > 0.97
    alike = float((expected @ expected.T).fill_diagonal_(-1).max())
    assert alike < 0.99, "the network is collapsed, and this test shows nothing"


def test_a_random_neck_tells_pictures_apart(exercised: Exercised, inputs: Inputs) -> None:
    base = exercised("mobilefacenet")
    with torch.no_grad():
        for neck in ("linear-256-128-64", "conv-256-64"):
            rows = necked(base, neck).eval()(inputs(base, 8))
            assert float((rows @ rows.T).fill_diagonal_(-1).max()) < 0.97


def test_a_random_neck_neither_fades_nor_minds_how_loud_its_base_is(exercised: Exercised) -> None:
    base = exercised("mobilefacenet")
    generator = torch.Generator().manual_seed(0)
    features, maps = torch.randn(8, 128, generator=generator), torch.randn(8, 512, 7, 6, generator=generator)
    for neck, given_values in (("linear-256-128-64", features), ("conv-256-64", maps)):
        layers = necked(base, neck).eval().neck
        with torch.no_grad():
            loud, quiet = layers(given_values), layers(1e-3 * given_values)
        torch.testing.assert_close(functional.normalize(quiet), functional.normalize(loud), atol=1e-5, rtol=0)
        assert float(loud.square().mean()) > 0.5


def test_the_seed_decides_base_and_neck_and_the_base_is_the_bare_one() -> None:
    before = torch.get_rng_state()
    states = [build_backbone("mobilefacenet", seed=seed, neck=CONV).state_dict() for seed in (5, 5, 6)]
    assert torch.equal(torch.get_rng_state(), before), "building drew from the global generator"
    one, again, other = states
    assert all(torch.equal(value, again[key]) for key, value in one.items())
    assert not torch.equal(one["neck.1.weight"], other["neck.1.weight"])
    bare = build_backbone("mobilefacenet", seed=5).state_dict()
    assert {key: value for key, value in one.items() if key.startswith("base.")}.keys() == {
        f"base.{key}" for key in bare
    }
    assert all(torch.equal(value, one[f"base.{key}"]) for key, value in bare.items())


def test_the_contract_is_the_bases_and_can_be_set() -> None:
    with torch.device("meta"):
        trunk = build_backbone("resnet18", neck=LINEAR)
    assert isinstance(trunk, NeckedBackbone)
    cut = trunk.preprocessing.for_photos(trunk.photo_crop)
    trunk.preprocessing = cut
    assert trunk.preprocessing == trunk.base.preprocessing == cut
    set_input_size(trunk, "112")
    assert (trunk.preprocessing.height, trunk.preprocessing.crop, trunk.photo_crop) == (112, "margin-10", "margin-10")
    with torch.device("meta"):
        mobile = build_backbone("mobilefacenet", neck=CONV)
    with pytest.raises(UsageError, match="^mobilefacenet takes 112x96 only, not 96x96$"):
        set_input_size(mobile, "96")
    with pytest.raises(UsageError, match="at least 75x75, not 74x74"), torch.device("meta"):
        set_input_size(build_backbone("inception_v3", neck=CONV), "74")


def test_the_fingerprint_tells_necks_apart(exercised: Exercised) -> None:
    base = exercised("mobilefacenet")
    prints = {necked(copy.deepcopy(base), neck).fingerprint() for neck in (CONV, LINEAR)} | {base.fingerprint()}
    assert len(prints) == 3
    trunk = necked(base, CONV)
    before = trunk.fingerprint()
    with torch.no_grad():
        trunk.neck[5].bias[0] += 1e-3  # type: ignore[index,operator]
    assert trunk.fingerprint() != before


@pytest.mark.parametrize("name", [*sorted(BACKBONES), "timm:test_vit"])
def test_dropout_is_passed_on_where_it_is_taken(name: str) -> None:
    with torch.device("meta"):
        built = {neck: build_backbone(name, neck=neck, dropout=0.3) for neck in ("none", LINEAR)}
    taken = name in ("alexnet", "inception_resnet_v1", "inception_resnet_v2", "inception_v3", "vgg16")
    assert takes_dropout(name) == takes_dropout(name, LINEAR) == taken
    for backbone in built.values():
        active = {module.p for module in backbone.modules() if isinstance(module, nn.Dropout) and module.p}
        assert active == ({0.3} if taken else set())


def test_dropout_with_convolutions_lies_between_them() -> None:
    for name in ("resnet18", "inception_v3"):
        assert takes_dropout(name, CONV)
        with torch.device("meta"):
            trunk = build_backbone(name, neck="conv-9-8-7", dropout=0.3)
        assert isinstance(trunk, NeckedBackbone)
        kinds = [type(layer).__name__ for layer in trunk.neck]
        one = ["MaxPool2d", "Conv2d", "ReLU"]
        assert kinds == [*one, "Dropout", *one, "Dropout", *one, "AdaptiveMaxPool2d", "Flatten"]
        assert {layer.p for layer in trunk.neck if isinstance(layer, nn.Dropout)} == {0.3}
        assert not [layer for layer in trunk.base.modules() if isinstance(layer, nn.Dropout) and layer.p]


@pytest.mark.parametrize("name", ["resnet18", "inception_v3"])
def test_nothing_is_dropped_behind_a_single_convolution(name: str) -> None:
    with torch.device("meta"):
        trunk = build_backbone(name, neck="conv-9", dropout=0.3)
    assert not [layer for layer in trunk.modules() if isinstance(layer, nn.Dropout) and layer.p]
    assert not takes_dropout(name, "conv-9")


def test_convolutions_need_a_feature_map(toy: str) -> None:
    for name in ("timm:test_vit", toy):
        with pytest.raises(UsageError, match=f"neck {CONV} is not for {name}, which gives no feature maps; every netw"):
            build_backbone(name, neck=CONV)
        backbone = build_backbone(name)
        with pytest.raises(UsageError, match=f"{name} gives no feature maps; every network that `models list` names"):
            backbone.maps(torch.zeros(1, 3, 32, 32))
        assert build_backbone(name, neck=LINEAR).embedding_size == 12
    with pytest.raises(UsageError, match="unknown backbone"):
        takes_dropout("no such network")


# Files.


def same(trunk: nn.Module, state: dict[str, Tensor], prefix: str) -> bool:
    part = {key.removeprefix(prefix): value for key, value in trunk.state_dict().items() if key.startswith(prefix)}
    return part.keys() == state.keys() and all(torch.equal(value, state[key]) for key, value in part.items())


@pytest.fixture
def trunk() -> Backbone:
    return build_backbone("mobilefacenet", neck=CONV, seed=1)


def save_checkpoint(path: Path, trunk: Backbone) -> Path:
    path.mkdir()
    save_file(FaceModel(trunk, build_head("linear", trunk.embedding_size, 3)).state_dict(), path / "model.safetensors")
    return path


def test_files_of_the_bare_base_fit_and_leave_the_neck_as_it_is(tmp_path: Path, trunk: Backbone) -> None:
    neck = {key: value.clone() for key, value in trunk.state_dict().items() if key.startswith("neck.")}
    for seed, suffix in ((2, ".safetensors"), (3, ".pt")):
        bare = build_backbone("mobilefacenet", seed=seed)
        file = tmp_path / f"weights{suffix}"
        if suffix == ".pt":
            torch.save(bare.state_dict() | {"logits.weight": torch.ones(2, 2)}, file)
        else:
            save_file(bare.state_dict(), file)
        origin = pretrain(trunk, str(file), seed=0)
        assert origin == Origin("file", file.name, hashlib.sha256(file.read_bytes()).hexdigest())
        assert same(trunk, bare.state_dict(), "base.")
        assert same(trunk, {key.removeprefix("neck."): value for key, value in neck.items()}, "neck.")


def test_checkpoints_of_the_bare_base_and_of_the_whole_fit(tmp_path: Path, trunk: Backbone) -> None:
    bare, whole = build_backbone("mobilefacenet", seed=2), build_backbone("mobilefacenet", neck=CONV, seed=3)
    neck = {key.removeprefix("neck."): value for key, value in trunk.state_dict().items() if key.startswith("neck.")}
    path = save_checkpoint(tmp_path / "bare", bare)
    assert pretrain(trunk, str(path), seed=0).kind == "checkpoint"
    assert same(trunk, bare.state_dict(), "base.") and same(trunk, neck, "neck.")
    path = save_checkpoint(tmp_path / "whole", whole)
    origin = pretrain(trunk, str(path), seed=0)
    assert (origin.kind, origin.source) == ("checkpoint", "whole")
    assert trunk.fingerprint() == whole.fingerprint()


def test_other_necks_and_other_networks_are_refused_and_change_nothing(tmp_path: Path, trunk: Backbone) -> None:
    before = trunk.fingerprint()
    others = {"mobilefacenet": "conv-24-13", "resnet18": CONV}
    for number, (name, neck) in enumerate(others.items()):
        path = save_checkpoint(tmp_path / str(number), build_backbone(name, neck=neck))
        with pytest.raises(WeightsError, match=rf"does not fit mobilefacenet\+{CONV}"):
            pretrain(trunk, str(path), seed=0)
    longer = save_checkpoint(tmp_path / "longer", build_backbone("mobilefacenet", neck=f"{CONV}-6"))
    with pytest.raises(WeightsError, match=r"2 unknown \(neck\.9\.bias, neck\.9\.weight\)"):
        pretrain(trunk, str(longer), seed=0)
    half = {key: value for key, value in trunk.state_dict().items() if key.startswith("base.")}
    with pytest.raises(WeightsError, match=r"4 missing \(neck\.1\.bias, .*and 1 more"):
        load_strictly(trunk, half, "half of it")
    with pytest.raises(WeightsError, match="missing"):
        load_strictly(trunk, {}, "nothing")
    bare = build_backbone("mobilefacenet")
    broken = bare.state_dict() | {"conv2.bn.bias": torch.full((512,), torch.nan)}
    with pytest.raises(WeightsError, match=r"not finite in base\.conv2\.bn\.bias"):
        load_strictly(trunk, broken, "broken")
    assert trunk.fingerprint() == before
    with pytest.raises(WeightsError, match="does not fit mobilefacenet: tensors .*unknown"):
        load_strictly(bare, trunk.state_dict(), "a file with a neck")


@pytest.mark.parametrize("pretrained", ["imagenet", "auto"])
def test_published_weights_are_those_of_the_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pretrained: str
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        state = torchvision.models.resnet18(weights=None).state_dict()
    file = tmp_path / "resnet18-made-up.pth"
    torch.save(state, file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    entry = replace(catalogue.find("resnet18:imagenet"), file_name=file.name, sha256=digest[:8])
    monkeypatch.setattr(catalogue, "CATALOGUE", (entry,))
    trunk = build_backbone("resnet18", neck=LINEAR)
    origin = pretrain(trunk, pretrained, seed=0, folder=tmp_path, offline=True)
    assert origin == Origin("catalogue", "imagenet", digest)
    own = {key: value for key, value in state.items() if not key.startswith("fc.")}
    assert same(trunk, own, "base.")
    with pytest.raises(UsageError, match="unknown weights vggface2 of resnet18: known are imagenet"):
        pretrain(trunk, "vggface2", seed=0, folder=tmp_path, offline=True)


def test_files_of_timms_naming_fit_under_a_neck() -> None:
    trunk = build_backbone("timm:test_vit", neck=LINEAR, seed=1)
    bare = build_backbone("timm:test_vit", seed=2)
    theirs = {key.removeprefix("network."): value for key, value in bare.state_dict().items()}
    load_strictly(trunk, theirs, "timm's")
    assert same(trunk, bare.state_dict(), "base.")
