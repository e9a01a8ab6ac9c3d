"""Sizes of pictures: one spelling, one change of contract, and what every network can take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from facenet.errors import UsageError
from facenet.models.backbone import Backbone
from facenet.models.input_size import canonical_size, parse_size, set_input_size
from facenet.models.registry import BACKBONES, build_backbone
from facenet.preprocessing import Preprocessing

SMALLEST = {
    "alexnet": (63, 63),
    "inception_resnet_v1": (75, 75),
    "inception_resnet_v2": (75, 75),
    "inception_v3": (75, 75),
    "mobilefacenet": (112, 96),
    "resnet18": (1, 1),
    "resnet34": (1, 1),
    "vgg16": (32, 32),
}


@given(st.integers(1, 4096), st.integers(1, 4096))
def test_a_size_has_one_spelling(height: int, width: int) -> None:
    assert parse_size(f"{height}x{width}") == (height, width)
    assert canonical_size(f"{height}x{width}") == f"{height}x{width}"
    assert parse_size(str(height)) == parse_size(canonical_size(str(height))) == (height, height)


def test_auto_stays_auto() -> None:
    assert canonical_size("auto") == "auto"
    with pytest.raises(UsageError):
        parse_size("auto")


@pytest.mark.parametrize(
    "text", ["", "x", "96x", "x96", "0", "0x96", "96x0", "-5", "1.5", "96X96", " 96", "96x96x3", "٩٦"]
)
def test_what_is_no_size_is_refused_with_what_is_one(text: str) -> None:
    for function in (parse_size, canonical_size):
        with pytest.raises(UsageError, match="is no size in pixels: give HEIGHTxWIDTH, such as 112x96, or one number"):
            function(text)


def test_a_refused_size_is_shown_on_one_line() -> None:
    with pytest.raises(UsageError) as caught:
        parse_size("96\n\x1b[31m")
    assert str(caught.value).isprintable()


def test_every_network_says_how_small_its_pictures_may_be() -> None:
    assert SMALLEST.keys() == BACKBONES.keys()
    with torch.device("meta"):
        backbones = {name: build_backbone(name) for name in BACKBONES}
    assert {name: backbone.smallest_input for name, backbone in backbones.items()} == SMALLEST
    assert [name for name, backbone in backbones.items() if backbone.fixed_input] == ["mobilefacenet"]


@pytest.mark.parametrize("name", sorted(SMALLEST))
def test_the_smallest_picture_gives_an_embedding_and_one_pixel_less_does_not(name: str) -> None:
    backbone = build_backbone(name).eval()
    height, width = SMALLEST[name]
    with torch.no_grad():
        assert backbone(torch.zeros(1, 3, height, width)).shape == (1, backbone.embedding_size)
        assert backbone.maps(torch.zeros(1, 3, height, width)).shape[:2] == (1, backbone.map_channels)
        if backbone.fixed_input:
            with pytest.raises(RuntimeError):
                backbone(torch.zeros(1, 3, width, width))
            # A larger one is taken without a word, and gives an embedding of another length.
            assert backbone(torch.zeros(1, 3, height, height)).shape != (1, backbone.embedding_size)
        elif (height, width) != (1, 1):
            for shape in ((height - 1, width + 20), (height + 20, width - 1)):
                with pytest.raises(RuntimeError):
                    backbone(torch.zeros(1, 3, *shape))


@pytest.fixture(scope="module")
def bare() -> Callable[[str], Backbone]:
    """Networks without weights: what they say of sizes rests on none."""

    def build(name: str) -> Backbone:
        with torch.device("meta"):
            return build_backbone(name)

    return build


def test_what_a_network_cannot_take_is_refused_with_what_it_can(bare: Callable[[str], Backbone]) -> None:
    mobile, inception, contract = bare("mobilefacenet"), bare("inception_v3"), bare("inception_v3").preprocessing
    with pytest.raises(UsageError, match=r"^mobilefacenet takes 112x96 only, not 96x96$"):
        set_input_size(mobile, "96x96")
    for size in ("64x64", "64"):
        with pytest.raises(UsageError, match=r"^inception_v3 takes pictures of at least 75x75, not 64x64$"):
            set_input_size(inception, size)
    for size in ("74x90", "90x74"):
        with pytest.raises(UsageError, match=f"at least 75x75, not {size}$"):
            set_input_size(inception, size)
    with pytest.raises(UsageError, match="sides must be 1 to 4096"):
        set_input_size(inception, "5000")
    assert inception.preprocessing == contract and inception.photo_crop == "margin-26", "half of the work was done"


def test_all_but_the_size_stays(bare: Callable[[str], Backbone]) -> None:
    backbone = bare("resnet18")
    before = backbone.preprocessing
    set_input_size(backbone, "140x112")
    assert backbone.preprocessing == replace(before, height=140, width=112)
    assert backbone.photo_crop == "margin-10"
    assert bare("resnet18").photo_crop == "margin-20", "another network changed, too"


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_auto_and_the_published_size_change_nothing(name: str, bare: Callable[[str], Backbone]) -> None:
    backbone = bare(name)
    before, crop = backbone.preprocessing, backbone.photo_crop
    for size in ("auto", f"{before.height}x{before.width}"):
        set_input_size(backbone, size)
        assert (backbone.preprocessing, backbone.photo_crop) == (before, crop)


@cache
def _one() -> Backbone:
    with torch.device("meta"):
        return build_backbone("resnet18")


@given(st.integers(1, 400), st.integers(1, 400), st.integers(0, 223))
def test_a_margin_keeps_its_share_and_is_always_possible(height: int, width: int, margin: int) -> None:
    backbone = _one()
    backbone.preprocessing = Preprocessing(224, 224, detector="mtcnn", crop=f"margin-{margin}")
    backbone.photo_crop = f"margin-{margin}"
    set_input_size(backbone, f"{height}x{width}")
    contract, side = backbone.preprocessing, min(height, width)
    assert contract.crop == backbone.photo_crop and contract.margin < side
    # Rounded; or, where that would leave nothing of the face, one pixel of it.
    assert abs(contract.margin - side * margin / 224) <= 0.5 or contract.margin == side - 1 < side * margin / 224


def test_faces_turned_onto_a_template_stay_so() -> None:
    with torch.device("meta"):
        backbone = build_backbone("resnet18")
    backbone.preprocessing = backbone.preprocessing.for_photos("five-point")
    set_input_size(backbone, "112")
    assert (backbone.preprocessing.crop, backbone.preprocessing.height) == ("five-point", 112)


def test_resizing_comes_before_cutting_the_middle(bare: Callable[[str], Backbone]) -> None:
    backbone = bare("resnet18")
    published = backbone.preprocessing
    set_input_size(backbone, "auto", 256)
    assert backbone.preprocessing == replace(published, fit="cover-256")
    stripes = np.repeat(np.arange(256, dtype=np.uint8), 256 * 3).reshape(256, 256, 3)
    assert backbone.preprocessing.to_face(stripes)[0, :, 0].tolist() == list(range(16, 240))
    set_input_size(backbone, "auto")
    assert backbone.preprocessing == published


@pytest.mark.parametrize(("size", "resize"), [("auto", 223), ("140x112", 139), ("300", 256), ("auto", -1)])
def test_resizing_to_less_than_the_input_is_refused(size: str, resize: int, bare: Callable[[str], Backbone]) -> None:
    backbone = bare("resnet18")
    with pytest.raises(UsageError, match=f"resized to {resize} cannot hold the input of .*--resize must be at least"):
        set_input_size(backbone, size, resize)
    assert backbone.preprocessing == bare("resnet18").preprocessing


def test_faces_cut_from_photos_are_not_resized_again(bare: Callable[[str], Backbone]) -> None:
    backbone = bare("resnet18")
    backbone.preprocessing = backbone.preprocessing.for_photos("margin-20")
    with pytest.raises(UsageError, match="is for whole pictures"):
        set_input_size(backbone, "auto", 256)


def test_a_network_trained_on_another_size_embeds_pictures_of_it(
    exercised: Callable[[str], Backbone], pictures: Callable[[int, int, int, int], Tensor]
) -> None:
    backbone = exercised("resnet18")
    before = backbone.fingerprint()
    set_input_size(backbone, "48x40")
    assert backbone.fingerprint() != before, "embeddings of two sizes could be compared"
    contract: Preprocessing = backbone.preprocessing
    face = contract.to_face(pictures(1, 96, 100, 0)[0].permute(1, 2, 0).contiguous().numpy())
    assert face.shape == (3, 48, 40)
    with torch.no_grad():
        assert backbone(contract.normalise(face[None])).shape == (1, 512)
