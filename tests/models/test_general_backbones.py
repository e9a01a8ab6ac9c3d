"""Networks for general pictures: Inception-ResNet-v2 equals timm's, the others equal torchvision's."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torchvision.transforms.functional import normalize

from facenet.errors import WeightsError
from facenet.models import catalogue
from facenet.models.backbone import Backbone
from facenet.models.cache import Condition, read_record, verify, write_record
from facenet.models.face_model import FaceModel
from facenet.models.inception_resnet_v2 import Block8, Block17, Block35, InceptionResnetV2, ResidualScaling
from facenet.models.registry import build_backbone
from facenet.models.weights import Origin, load_strictly, pretrain

Exercised = Callable[[str], Backbone]
Inputs = Callable[[Backbone, int], Tensor]
FacesFor = Callable[[Backbone, int], Tensor]

NAMES = ["resnet18", "resnet34", "alexnet", pytest.param("vgg16", marks=pytest.mark.slow), "inception_v3"]
LAST = {"alexnet": "classifier.6", "vgg16": "classifier.6"}


def spread(rows: Tensor) -> float:
    """Largest cosine between two different rows."""
    rows = nn.functional.normalize(rows)
    return float((rows @ rows.T).fill_diagonal_(-1).max())


def stirred(network: nn.Module, inputs: Tensor) -> nn.Module:
    """A peer's network in eval mode, its batch normalisation with random scales and statistics of ``inputs``."""
    generator = torch.Generator().manual_seed(0)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.5, 1.5, generator=generator)
        nn.init.uniform_(norm.bias, -0.3, 0.3, generator=generator)
        norm.momentum = 1.0
    with torch.no_grad():
        network.train()(inputs)
    return network.eval()


def test_inception_resnet_v2_equals_timms_through_a_mapping_of_names(inputs: Inputs) -> None:
    ours = build_backbone("inception_resnet_v2").eval()
    with torch.random.fork_rng():
        torch.manual_seed(1)
        theirs = timm.create_model("inception_resnet_v2", pretrained=False)
    theirs = stirred(theirs, inputs(ours, 12))
    load_strictly(ours, theirs.state_dict(), "timm's")
    batch = inputs(ours, 4)
    with torch.no_grad():
        expected = theirs.forward_head(theirs.forward_features(batch), pre_logits=True)
        features = ours.features(batch)
    assert features.shape == (4, 1536)
    # Random residual blocks, one upon another, make large values: what counts is the error relative to them.
    torch.testing.assert_close(features, expected, atol=1e-5 * float(expected.abs().max()), rtol=1e-5)
    assert spread(expected) < 0.9, "the network is collapsed, and this test shows nothing"


def test_inception_resnet_v2_has_the_published_number_of_weights() -> None:
    with torch.device("meta"):
        trunk, theirs = InceptionResnetV2(), timm.create_model("inception_resnet_v2", num_classes=1000)
        head = nn.Linear(trunk.embedding_size, 1000)
    count = sum(parameter.numel() for module in (trunk, head) for parameter in module.parameters())
    assert count == sum(parameter.numel() for parameter in theirs.parameters()) == 55_843_464


def test_residuals_are_scaled_as_published() -> None:
    network = build_backbone("inception_resnet_v2")
    for kind, scales in ((Block35, [0.17] * 10), (Block17, [0.10] * 20), (Block8, [0.20] * 9 + [1.0])):
        assert [module.scaling.scale for module in network.modules() if isinstance(module, kind)] == scales
    x, residual = torch.tensor([1.0, 2.0]), torch.tensor([10.0, -10.0])
    assert torch.equal(ResidualScaling(0.1)(x, residual), torch.tensor([2.0, 1.0]))
    assert "scale=0.1" in str(ResidualScaling(0.1))


def test_the_last_five_stages_can_be_trained_alone() -> None:
    model = FaceModel(build_backbone("inception_resnet_v2"), trainable="last:5")
    trained = {name.removeprefix("trunk.") for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert {".".join(name.split(".")[:2]) for name in trained} == {
        *(f"blocks_8.{number}" for number in (6, 7, 8, 9)),
        "conv2d_7b.conv",
        "conv2d_7b.bn",
    }


@pytest.mark.parametrize("name", ["inception_resnet_v2", "inception_v3"])
def test_inception_networks_take_pictures_down_to_75_pixels(name: str) -> None:
    backbone = build_backbone(name).eval()
    with torch.no_grad():
        assert backbone(torch.zeros(1, 3, 75, 80)).shape == (1, backbone.embedding_size)
        with pytest.raises(RuntimeError):
            backbone(torch.zeros(1, 3, 74, 80))


@pytest.mark.parametrize("name", ["inception_resnet_v2", "inception_v3", "alexnet"])
def test_dropout_is_off_unless_asked_for(name: str, inputs: Inputs) -> None:
    quiet, noisy = build_backbone(name), build_backbone(name, dropout=0.5)
    assert {module.p for module in quiet.modules() if isinstance(module, nn.Dropout)} == {0.0}
    assert {module.p for module in noisy.modules() if isinstance(module, nn.Dropout)} == {0.5}
    batch = inputs(noisy, 2)
    with torch.no_grad():
        assert torch.equal(noisy.eval()(batch), quiet.eval()(batch))


def torchvisions(name: str, inputs: Tensor) -> nn.Module:
    """torchvision's network as it comes with published weights: 1,000 classes, auxiliary classifier and all."""
    options = {"transform_input": True, "init_weights": True} if name == "inception_v3" else {}
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = torchvision.models.get_model(name, weights=None, **options)
    if name == "inception_v3":
        # The auxiliary classifier wants larger pictures than the rest, and takes no part in what is compared.
        auxiliary, network.aux_logits = network.AuxLogits, False
        network.AuxLogits = None
        stirred(network, inputs)
        network.AuxLogits, network.aux_logits = auxiliary, True
        return network
    return stirred(network, inputs)


def imagenet(faces: Tensor) -> Tensor:
    """Network inputs as torchvision's own transforms make them."""
    return normalize(faces.float() / 255, mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])


@pytest.mark.parametrize("name", NAMES)
def test_embeddings_are_what_torchvisions_classifier_is_given(name: str, faces_for: FacesFor) -> None:
    ours = build_backbone(name).eval()
    theirs = torchvisions(name, imagenet(faces_for(ours, 12)))
    load_strictly(ours, theirs.state_dict(), "torchvision's")
    given: list[Tensor] = []
    theirs.get_submodule(LAST.get(name, "fc")).register_forward_pre_hook(lambda _, args: given.append(args[0]))
    faces = faces_for(ours, 4)
    with torch.no_grad():
        theirs(imagenet(faces))
        features = ours.features(ours.preprocessing.normalise(faces))
    assert features.shape == (4, ours.embedding_size)
    torch.testing.assert_close(features, given[0], atol=1e-4 * float(given[0].abs().max()), rtol=1e-4)
    assert spread(given[0]) < (0.995 if name in LAST else 0.95), "collapsed: this test shows nothing"


@pytest.mark.parametrize("name", ["resnet18", "alexnet"])
def test_weights_of_another_network_are_refused(name: str) -> None:
    backbone = build_backbone(name)
    with pytest.raises(WeightsError, match=f"does not fit {name}: tensors .*unknown"):
        load_strictly(backbone, torchvision.models.resnet50(weights=None).state_dict(), "resnet50.pth")


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[catalogue.WeightsEntry, dict[str, Tensor]]:
    """An entry like torchvision's, and what its file in the cache folder ``tmp_path`` holds."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        state = torchvision.models.resnet18(weights=None).state_dict()
    file = tmp_path / "resnet18-made-up.pth"
    torch.save(state, file)
    digits = hashlib.sha256(file.read_bytes()).hexdigest()[:8]
    entry = replace(catalogue.find("resnet18:imagenet"), file_name=file.name, sha256=digits)
    monkeypatch.setattr(catalogue, "CATALOGUE", (entry,))
    return entry, state


@pytest.mark.parametrize("pretrained", ["imagenet", "auto"])
def test_imagenet_weights_are_loaded_by_name(
    tmp_path: Path, published: tuple[catalogue.WeightsEntry, dict[str, Tensor]], pretrained: str
) -> None:
    entry, state = published
    backbone = build_backbone("resnet18")
    origin = pretrain(backbone, pretrained, seed=0, folder=tmp_path, offline=True)
    assert origin.kind == "catalogue" and origin.source == "imagenet" and not origin.fallback
    assert origin.sha256.startswith(str(entry.sha256)) and len(origin.sha256) == 64
    assert set(state) - set(backbone.state_dict()) == {"fc.weight", "fc.bias"}
    assert all(torch.equal(value, state[key]) for key, value in backbone.state_dict().items())


def test_missing_imagenet_weights_are_named_and_only_auto_goes_on_without(tmp_path: Path) -> None:
    backbone = build_backbone("resnet18")
    with pytest.raises(WeightsError, match=r"resnet18-f37072fd\.pth.*put it at .*resnet18-f37072fd\.pth"):
        pretrain(backbone, "imagenet", seed=0, folder=tmp_path, offline=True)
    assert pretrain(backbone, "auto", seed=0, folder=tmp_path, offline=True) == Origin("random", "seed 0", "", True)


def test_the_first_digits_of_a_checksum_are_checked_and_the_rest_is_remembered(
    tmp_path: Path, published: tuple[catalogue.WeightsEntry, dict[str, Tensor]]
) -> None:
    entry, _ = published
    path = tmp_path / entry.file_name
    status = verify(entry, tmp_path)
    assert status.condition is Condition.OK and status.sha256 is not None and status.sha256[:8] == entry.sha256
    assert verify(replace(entry, sha256="00000000"), tmp_path).condition is Condition.CHECKSUM_DIFFERS
    write_record(path, status.sha256, path.stat().st_size, entry.url)
    assert verify(entry, tmp_path).expected_sha256 == status.sha256 == read_record(path).sha256  # type: ignore[union-attr]
    # A file with the same first digits that is not the one downloaded: only the record can tell.
    write_record(path, f"{entry.sha256}{'0' * 56}", path.stat().st_size, entry.url)
    assert verify(entry, tmp_path).condition is Condition.CHECKSUM_DIFFERS
