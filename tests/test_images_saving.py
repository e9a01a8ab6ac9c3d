"""Writing pictures: whole or not at all, and nothing but the pixels."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facenet.errors import StorageError, UsageError
from facenet.images import decode_image, encode_image, load_image, save_image


def picture(height: int = 40, width: int = 60) -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def test_png_keeps_every_pixel(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (33, 21, 3), dtype=np.uint8)
    save_image(tmp_path / "a.png", noise)
    assert np.array_equal(load_image(tmp_path / "a.png"), noise)


@pytest.mark.parametrize("name", ["a.jpg", "a.jpeg", "a.JPG"])
def test_jpeg_is_nearly_the_same_with_colours_in_full(name: str, tmp_path: Path) -> None:
    image = picture()
    image[::2, ::2] = (255, 0, 0)
    save_image(tmp_path / name, image)
    assert np.abs(load_image(tmp_path / name).astype(int) - image).mean() < 6
    with Image.open(tmp_path / name) as written:
        assert written.format == "JPEG"
        assert [sampling[1:3] for sampling in written.layer] == [(1, 1)] * 3  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_nothing_is_written_but_pixels(name: str, tmp_path: Path) -> None:
    save_image(tmp_path / name, picture())
    with Image.open(tmp_path / name) as written:
        assert not written.getexif() and set(written.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def test_a_view_into_a_larger_picture_can_be_written(tmp_path: Path) -> None:
    image = picture()[::-1, 5:30].transpose(1, 0, 2)
    save_image(tmp_path / "a.png", image)
    assert np.array_equal(load_image(tmp_path / "a.png"), image)


def test_what_was_there_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    for side in (10, 20):
        save_image(tmp_path / "a.png", picture(side, side))
    assert load_image(tmp_path / "a.png").shape == (20, 20, 3)
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_the_longest_name_there_may_be(tmp_path: Path) -> None:
    name = "n" * 251 + ".png"
    save_image(tmp_path / name, picture())
    assert load_image(tmp_path / name).shape == (40, 60, 3)


@pytest.mark.parametrize("name", ["a.gif", "a", "a.png.txt", "a.webp"])
def test_other_endings_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="must end in"):
        save_image(tmp_path / name, picture())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((5, 5), np.uint8),
        np.zeros((5, 5, 3), np.float32),
        np.zeros((5, 0, 3), np.uint8),
        np.zeros((5, 5, 4), np.uint8),
    ],
)
def test_what_is_no_image_is_refused(image: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="must be uint8"):
        save_image(tmp_path / "a.png", image)


def test_places_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot write .*gone.*no such file"):
        save_image(tmp_path / "gone" / "a.png", picture())
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="not a directory"):
        save_image(tmp_path / "file" / "a.png", picture())
    (tmp_path / "b.png").mkdir()
    with pytest.raises(StorageError, match="is a directory"):
        save_image(tmp_path / "b.png", picture())
    assert sorted(file.name for file in tmp_path.iterdir()) == ["b.png", "file"]


def test_names_are_shown_on_one_line(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        save_image(tmp_path / "no\nsuch" / "a.png", picture())
    assert "\n" not in str(caught.value)


def test_a_jpeg_larger_than_the_format_allows(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot write .*a\.jpg"):
        save_image(tmp_path / "a.jpg", np.zeros((1, 70_000, 3), np.uint8))
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_image(tmp_path / "a.png", picture())
    before = (tmp_path / "a.png").read_bytes()

    def full(self: Image.Image, stream: object, **options: object) -> None:
        stream.write(b"half")  # type: ignore[attr-defined]
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(StorageError, match="no space left"):
        save_image(tmp_path / "a.png", picture(9, 9))
    assert (tmp_path / "a.png").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg", ".PNG"])
def test_what_is_encoded_is_what_would_be_written(suffix: str, tmp_path: Path) -> None:
    image = picture()
    save_image(tmp_path / f"a{suffix}", image)
    assert encode_image(image, suffix) == (tmp_path / f"a{suffix}").read_bytes()


def test_encoding_as_png_keeps_every_pixel_and_a_low_quality_takes_less() -> None:
    image = picture()
    assert np.array_equal(decode_image(encode_image(image, ".png")), image)
    assert len(encode_image(image, quality=40)) < len(encode_image(image))


@pytest.mark.parametrize(
    ("image", "suffix", "quality", "message"),
    [
        (picture(), ".gif", 95, "must end in"),
        (picture(), "", 95, "must end in"),
        (np.zeros((5, 5), np.uint8), ".jpg", 95, "must be uint8"),
        (np.zeros((1, 70_000, 3), np.uint8), ".jpg", 95, "70000x1"),
        (picture(), ".jpg", 0, "1 to 100"),
        (picture(), ".jpg", 101, "1 to 100"),
    ],
)
def test_what_cannot_be_encoded_is_refused(image: np.ndarray, suffix: str, quality: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        encode_image(image, suffix, quality=quality)
