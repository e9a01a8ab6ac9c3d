"""The weights catalogue: complete entries, lookup, the cache folder."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import torch
import torchvision

from facenet.errors import UsageError
from facenet.models import catalogue
from facenet.models.catalogue import CATALOGUE, find, weights_folder


@pytest.mark.parametrize("entry", CATALOGUE, ids=catalogue.full_name)
def test_entry_is_complete_and_well_formed(entry):
    assert urlsplit(entry.url).scheme == "https"
    assert entry.url.endswith("/" + entry.file_name)
    assert Path(entry.file_name).name == entry.file_name
    assert entry.bytes is None or entry.bytes > 0
    assert entry.sha256 is None or re.fullmatch(r"[0-9a-f]{64}|[0-9a-f]{8}", entry.sha256)
    assert entry.licence and entry.training_data
    assert entry.published
    for figure in entry.published:
        assert 0 < figure.value < 1
        assert figure.source.startswith("https://")


def test_names_are_unique_within_an_architecture_and_files_among_all():
    assert len({(entry.architecture, entry.name) for entry in CATALOGUE}) == len(CATALOGUE)
    assert len({entry.file_name for entry in CATALOGUE}) == len(CATALOGUE)


def test_addresses_and_file_names_are_those_of_facenet_pytorch():
    spec = find_spec("facenet_pytorch")
    if spec is None or spec.submodule_search_locations is None:
        pytest.skip("facenet-pytorch is not installed")
    source = Path(spec.submodule_search_locations[0], "models", "inception_resnet_v1.py").read_text(encoding="utf-8")
    for entry in CATALOGUE:
        if entry.architecture == "inception_resnet_v1":
            assert f"'{entry.url}'" in source


def test_addresses_checksums_and_figures_of_imagenet_weights_are_those_of_torchvision():
    entries = [entry for entry in CATALOGUE if entry.name == "imagenet"]
    assert {entry.architecture for entry in entries} == {"resnet18", "resnet34", "alexnet", "vgg16", "inception_v3"}
    for entry in entries:
        weights = torchvision.models.get_model_weights(entry.architecture).IMAGENET1K_V1
        assert entry.url == weights.url
        # As torch.hub reads it: the digits between the last dash and the dot begin the SHA-256.
        assert entry.sha256 == torch.hub.HASH_REGEX.search(entry.file_name).group(1)
        measured = weights.meta["_metrics"]["ImageNet-1K"]
        assert [figure.value for figure in entry.published] == pytest.approx(
            [measured["acc@1"] / 100, measured["acc@5"] / 100]
        )


def test_the_two_lengths_differ_by_their_last_layers():
    by_name = {entry.name: entry for entry in CATALOGUE}
    more_people = 10_575 - 8_631
    assert by_name["casia-webface"].bytes - by_name["vggface2"].bytes == more_people * (512 + 1) * 4


def test_a_name_of_several_networks_is_found_with_the_networks_before_it():
    assert find("resnet18:imagenet") is find("imagenet", architecture="resnet18")
    assert find("inception_resnet_v1:vggface2") is find("vggface2")
    for entry in CATALOGUE:
        assert find(catalogue.full_name(entry)) is entry
    with pytest.raises(UsageError, match="one of resnet18:imagenet, resnet34:imagenet"):
        find("imagenet")


def test_find_returns_the_entry_with_and_without_architecture():
    assert find("vggface2").file_name == "20180402-114759-vggface2.pt"
    assert find("casia-webface", architecture="inception_resnet_v1").name == "casia-webface"


@pytest.mark.parametrize(
    ("name", "architecture", "told"),
    [
        ("vggface3", None, "vggface2, casia-webface, resnet18:imagenet"),
        ("resnet18:vggface2", None, "unknown weights vggface2 of resnet18: known are imagenet"),
        ("nonsense:imagenet", None, "known are none"),
        ("VGGFace2", "inception_resnet_v1", "vggface2, casia-webface"),
        ("vggface2", "mobilefacenet", "known are none"),
        ("a\nb", None, r"a\nb"),
    ],
)
def test_unknown_name_is_a_usage_error_that_lists_the_known(name, architecture, told):
    with pytest.raises(UsageError) as caught:
        find(name, architecture)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_name_shared_by_two_architectures_needs_the_architecture(monkeypatch):
    entry = CATALOGUE[0]
    other = type(entry)(**{**vars(entry), "architecture": "other", "file_name": "other.pt"})
    monkeypatch.setattr(catalogue, "CATALOGUE", (entry, other))
    with pytest.raises(UsageError, match="several networks"):
        find(entry.name)
    assert find(entry.name, "other") is other


@pytest.mark.parametrize(
    ("torch_home", "xdg", "expected"),
    [
        ("/t", "/x", "/t/checkpoints"),
        (None, "/x", "/x/torch/checkpoints"),
        (None, None, "/h/.cache/torch/checkpoints"),
        ("", "", "/h/.cache/torch/checkpoints"),
        ("~/t", None, "/h/t/checkpoints"),
    ],
)
def test_weights_folder_follows_torch(monkeypatch, torch_home, xdg, expected):
    monkeypatch.setenv("HOME", "/h")
    monkeypatch.setenv("USERPROFILE", "/h")
    for name, value in (("TORCH_HOME", torch_home), ("XDG_CACHE_HOME", xdg)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert weights_folder() == Path(expected)


def test_importing_the_catalogue_brings_in_nothing_heavy():
    code = (
        "import sys, facenet.models.catalogue; "
        "print([m for m in ('torch', 'requests', 'numpy', 'filelock') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
