"""Networks of timm: same outputs, timm's own contract, and no harm where timm is not installed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace

import pytest
import timm
import torch
from torch import Tensor, nn

from facenet.errors import MissingError, UsageError, WeightsError
from facenet.models.backbone import Backbone
from facenet.models.face_model import FaceModel
from facenet.models.inference import InferenceTrunk
from facenet.models.input_size import set_input_size
from facenet.models.registry import build_backbone
from facenet.models.timm_backbones import TimmBackbone
from facenet.models.weights import load_strictly, pretrain

# A convolutional network with plain batch normalisation, one whose normalisation holds the activation too, one without
# batch normalisation, and a transformer: small ones that timm has for tests.
NAMES = ["test_resnet", "test_efficientnet", "test_convnext", "test_vit"]

Pictures = Callable[[int, int, int, int], Tensor]


@pytest.fixture(params=NAMES)
def backbone(request: pytest.FixtureRequest, pictures: Pictures) -> Backbone:
    """In eval mode, with random scales and statistics where it has batch normalisation."""
    built = build_backbone(f"timm:{request.param}", seed=1)
    generator = torch.Generator().manual_seed(0)
    for module in built.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
            nn.init.uniform_(module.bias, -0.3, 0.3, generator=generator)
            module.momentum = 1.0
    with torch.no_grad():
        built.train().features(built.preprocessing.normalise(faces(pictures, built, 12)))
    return built.eval()


def faces(pictures: Pictures, backbone: Backbone, n: int) -> Tensor:
    """So many faces of the contract's size."""
    return pictures(n, backbone.preprocessing.height, backbone.preprocessing.width, 1)


def test_features_are_what_timms_classifier_is_given(backbone: Backbone, pictures: Pictures) -> None:
    name = backbone.architecture.removeprefix("timm:")
    theirs = timm.create_model(name, pretrained=False, num_classes=5).eval()
    own = {key.removeprefix("network."): value for key, value in backbone.state_dict().items()}
    left_out = theirs.load_state_dict(own, strict=False)
    assert not left_out.unexpected_keys
    assert left_out.missing_keys and all(key.startswith(("head.", "fc.", "classif")) for key in left_out.missing_keys)
    inputs = backbone.preprocessing.normalise(faces(pictures, backbone, 4))
    with torch.no_grad():
        expected = theirs.forward_head(theirs.forward_features(inputs), pre_logits=True)
        features = backbone.features(inputs)
    assert features.shape == (4, backbone.embedding_size)
    torch.testing.assert_close(features, expected, atol=1e-5, rtol=1e-5)
    assert float((expected - expected.mean(dim=0)).abs().max()) > 0.1, "collapsed: this test shows nothing"


def test_layers_between_pooling_and_classifier_decide_the_embeddings_size() -> None:
    with torch.device("meta"):
        backbone = build_backbone("timm:mobilenetv3_small_050").eval()
        assert isinstance(backbone, TimmBackbone)
        shape = backbone.features(torch.empty(1, 3, 224, 224)).shape
    assert shape == (1, backbone.embedding_size) and backbone.embedding_size != backbone.network.num_features


def test_the_contract_is_timms(backbone: Backbone) -> None:
    wanted = timm.data.resolve_model_data_config(timm.create_model(backbone.architecture.removeprefix("timm:")))
    contract = backbone.preprocessing
    assert (3, contract.height, contract.width) == wanted["input_size"]
    scaled = contract.normalise(torch.full((1, 3, 1, 1), 51, dtype=torch.uint8)).flatten()
    mean, std = torch.tensor(wanted["mean"]), torch.tensor(wanted["std"])
    torch.testing.assert_close(scaled, (0.2 - mean) / std)
    assert contract.for_photos(backbone.photo_crop).margin == round(contract.height * 14 / 160)


def test_embedding_equals_training(backbone: Backbone, pictures: Pictures) -> None:
    four = faces(pictures, backbone, 4)
    with torch.no_grad():
        expected = backbone(backbone.preprocessing.normalise(four))
    torch.testing.assert_close(InferenceTrunk(backbone)(four), expected, atol=1e-5, rtol=0)


def test_stages_hold_every_weight_once(backbone: Backbone) -> None:
    stages = backbone.stages()
    held = [id(parameter) for _, stage in stages for parameter in stage.parameters()]
    assert sorted(held) == sorted(id(parameter) for parameter in backbone.parameters())
    assert len({name for name, _ in stages}) == len(stages) > 3
    model = FaceModel(backbone, trainable="last:1")
    trained = {id(parameter) for parameter in model.trainable_parameters()}
    assert trained == {id(parameter) for parameter in stages[-1][1].parameters()} != set()


def test_timms_own_files_fit_and_ours_too(backbone: Backbone) -> None:
    name = backbone.architecture.removeprefix("timm:")
    theirs = timm.create_model(name, pretrained=False).state_dict()
    load_strictly(backbone, theirs, "timm's file")
    assert all(torch.equal(value, theirs[key.removeprefix("network.")]) for key, value in backbone.state_dict().items())
    again = build_backbone(backbone.architecture, seed=2)
    load_strictly(again, backbone.state_dict(), "our file")
    assert again.fingerprint() == backbone.fingerprint()
    with pytest.raises(WeightsError, match=f"does not fit {backbone.architecture}"):
        load_strictly(backbone, {"foreign": torch.ones(1)}, "other.pt")


def test_another_size_is_tried_and_taken(backbone: Backbone, pictures: Pictures) -> None:
    before = backbone.preprocessing
    half = (before.height // 2, before.width // 2)
    set_input_size(backbone.train(), f"{half[0]}x{half[1]}")
    assert backbone.training and all(module.training for module in backbone.modules()), "trying left a trace"
    assert backbone.preprocessing == replace(before, height=half[0], width=half[1])
    assert InferenceTrunk(backbone)(pictures(2, *half, 0)).shape == (2, backbone.embedding_size)


def test_a_size_that_the_layers_refuse_is_refused_with_their_reason() -> None:
    backbone = build_backbone("timm:vit_tiny_patch16_224")
    before = backbone.preprocessing
    with pytest.raises(
        UsageError, match=r"^timm:vit_tiny_patch16_224 cannot take pictures of 112x96: Input \w+ "
    ) as caught:
        set_input_size(backbone, "112x96")
    assert backbone.preprocessing == before and str(caught.value).isprintable()
    assert not backbone.preprocessing.finds_faces and backbone.photo_crop == "margin-20"


def test_trying_a_size_changes_no_statistics(backbone: Backbone) -> None:
    before = backbone.train().fingerprint()
    backbone.check_input(backbone.preprocessing.height, backbone.preprocessing.width)
    assert backbone.fingerprint() == before


def test_layers_that_give_no_reason_are_quoted_by_the_kind_of_their_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(inputs: Tensor) -> Tensor:
        raise AssertionError

    backbone = build_backbone("timm:test_resnet")
    monkeypatch.setattr(backbone, "features", refuse)
    with pytest.raises(UsageError, match="cannot take pictures of 64x64: AssertionError$"):
        set_input_size(backbone, "64")


def test_a_size_of_which_no_embedding_comes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = build_backbone("timm:test_resnet")
    monkeypatch.setattr(backbone, "features", lambda inputs: torch.zeros(len(inputs), 7, 2))
    with pytest.raises(UsageError, match="timm:test_resnet gives no embedding of pictures of 64x64"):
        set_input_size(backbone, "64")


def test_there_are_no_catalogued_weights() -> None:
    backbone = build_backbone("timm:test_vit")
    assert pretrain(backbone, "auto", seed=0, offline=True).fallback
    with pytest.raises(UsageError, match="unknown weights imagenet of timm:test_vit: known are none"):
        pretrain(backbone, "imagenet", seed=0, offline=True)


def test_a_tag_chooses_the_contract_of_those_weights() -> None:
    with torch.device("meta"):
        plain, tagged = build_backbone("timm:vit_tiny_patch16_224"), build_backbone("timm:vit_tiny_patch16_384")
        inception = build_backbone("timm:inception_resnet_v2.tf_in1k")
    assert (plain.preprocessing.height, tagged.preprocessing.height) == (224, 384)
    assert (inception.preprocessing.height, inception.preprocessing.mean) == (299, 127.5)
    assert inception.architecture == "timm:inception_resnet_v2.tf_in1k" and inception.embedding_size == 1536


def test_the_seed_alone_decides_the_weights() -> None:
    before = torch.get_rng_state()
    first, again, other = (build_backbone("timm:test_vit", seed=seed).fingerprint() for seed in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), before), "building drew from the global generator"
    assert first == again != other


@pytest.mark.parametrize("name", ["resnet_18", "", "no such network", "hf-hub:someone/something", "a\nb"])
def test_unknown_networks_are_refused_without_asking_the_network(name: str) -> None:
    with pytest.raises(UsageError, match="timm has no network") as caught:
        build_backbone(f"timm:{name}")
    assert "\n" not in str(caught.value)
    assert ("did you mean timm:resnet18" in str(caught.value)) == (name == "resnet_18")


def test_without_timm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingError, match=r"timm:resnet18 needs timm.*pip install 'facenet\[timm\]'") as caught:
        build_backbone("timm:resnet18")
    assert caught.value.exit_code == 4
