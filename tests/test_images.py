"""Whatever lies on disk becomes an upright RGB image, or one named reason why not."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from facenet.errors import UnreadableImage
from facenet.images import decode_image, is_image_name, load_image

HEIGHT, WIDTH = 37, 53


def scene(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A smooth picture without any symmetry: uint8 (height, width, 3)."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    red = 255 * x / max(width - 1, 1)
    green = 255 * y / max(height - 1, 1)
    blue = 127 + 100 * np.sin(6 * x / width) * np.cos(5 * y / height)
    return np.stack([red, green, blue], axis=2).astype(np.uint8)


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def grey_levels_apart(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(np.int64) - b.astype(np.int64)).mean())


@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("PNG", {}, 0.0),
        ("BMP", {}, 0.0),
        ("PPM", {}, 0.0),
        ("WEBP", {"lossless": True}, 0.0),
        ("WEBP", {"quality": 95}, 3.0),
        ("JPEG", {"quality": 95}, 2.0),
        ("JPEG", {"quality": 95, "progressive": True}, 2.0),
        ("JPEG", {"quality": 95, "subsampling": 0}, 2.0),
    ],
)
def test_every_kind_of_file(tmp_path: Path, kind: str, options: dict[str, object], tolerance: float) -> None:
    # The content decides, so the name says nothing here.
    file = tmp_path / "picture.jpg"
    file.write_bytes(encoded(Image.fromarray(scene()), kind, **options))
    image = load_image(file)
    assert image.shape == (HEIGHT, WIDTH, 3) and image.dtype == np.uint8
    assert image.flags.c_contiguous and image.flags.writeable
    assert grey_levels_apart(image, scene()) <= tolerance


MODES = {
    "PNG": ["L", "1", "P", "LA", "RGBA"],
    "JPEG": ["L", "1", "CMYK"],
    "WEBP": ["L", "P", "RGBA"],
    "BMP": ["L", "1", "P", "RGBA"],
    "PPM": ["L", "1", "RGBA"],
}


@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind, modes in MODES.items() for mode in modes])
def test_every_colour_mode(kind: str, mode: str) -> None:
    source = Image.fromarray(scene()).convert(mode)
    data = encoded(source, kind, **({"lossless": True} if kind == "WEBP" else {"quality": 95}))
    expected = np.asarray(source.convert("RGB"))
    # Hard edges of black and white dots are what JPEG keeps worst.
    tolerance = {"JPEG": 6.0 if mode == "1" else 3.0}.get(kind, 0.0)
    assert grey_levels_apart(decode_image(data), expected) <= tolerance


def test_rgb_without_colour_transform() -> None:
    """A JPEG may hold red, green and blue as they are."""
    data = encoded(Image.fromarray(scene()), "JPEG", quality=95, subsampling=0, keep_rgb=True)
    assert grey_levels_apart(decode_image(data), scene()) <= 2


def test_transparency_is_laid_over_white() -> None:
    colour = np.zeros((2, 3, 4), dtype=np.uint8)
    colour[..., 0] = 200
    colour[..., 3] = [[0, 128, 255]] * 2
    image = decode_image(encoded(Image.fromarray(colour), "PNG"))
    assert image[0, 0].tolist() == [255, 255, 255]
    assert image[0, 2].tolist() == [200, 0, 0]
    np.testing.assert_allclose(image[0, 1], [227, 127, 127], atol=1)


@pytest.mark.parametrize("transparency", [0, b"\x00\xff"])
def test_palette_with_transparency(transparency: int | bytes) -> None:
    source = Image.fromarray(np.array([[0, 1], [1, 0]], dtype=np.uint8), mode="L").convert("P")
    source.putpalette([10, 20, 30, 200, 100, 50])
    image = decode_image(encoded(source, "PNG", transparency=transparency))
    assert image.tolist() == [[[255] * 3, [200, 100, 50]], [[200, 100, 50], [255] * 3]]


def test_palette_without_transparency() -> None:
    source = Image.fromarray(np.array([[0, 1]], dtype=np.uint8), mode="L").convert("P")
    source.putpalette([10, 20, 30, 200, 100, 50])
    assert decode_image(encoded(source, "PNG")).tolist() == [[[10, 20, 30], [200, 100, 50]]]


def sixteen_bit_grey() -> np.ndarray:
    return np.array([[0, 128, 129, 257], [32768, 65278, 65406, 65535]], dtype=np.uint16)


@pytest.mark.parametrize("kind", ["png", "pgm"])
def test_sixteen_bits_are_scaled_not_clipped(kind: str) -> None:
    grey = sixteen_bit_grey()
    if kind == "png":
        data = encoded(Image.fromarray(grey), "PNG")
    else:
        data = b"P5\n4 2\n65535\n" + grey.astype(">u2").tobytes()
    expected = np.round(grey / 257).astype(np.uint8)
    assert decode_image(data)[..., 0].tolist() == expected.tolist()
    assert (decode_image(data) == expected[..., None]).all()


def test_ascii_pgm_and_small_maximum() -> None:
    assert decode_image(b"P2\n2 1\n100\n0 100\n")[0, :, 0].tolist() == [0, 255]


def test_floating_point_is_refused() -> None:
    data = b"Pf\n1 1\n-1.0\n" + struct.pack("<f", 0.5)
    with pytest.raises(UnreadableImage, match="floating-point"):
        decode_image(data)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("at_least", [None, (10, 50)])
def test_exif_orientation(kind: str, orientation: int, at_least: tuple[int, int] | None) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    # Sides of whole blocks of 8: a scaled picture then covers exactly what the large one does.
    large = scene(152, 216)
    data = encoded(Image.fromarray(large), kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    image = decode_image(data, at_least=at_least)
    assert image.flags.c_contiguous
    if at_least is None:
        assert image.shape[:2] == (expected.height, expected.width)
    else:
        assert image.shape[0] >= at_least[0] and image.shape[1] >= at_least[1]
        assert (image.shape[0] > image.shape[1]) == (expected.height > expected.width)
    same_size = np.asarray(expected.resize((image.shape[1], image.shape[0]), Image.Resampling.BOX))
    assert grey_levels_apart(image, same_size) <= 2


def test_orientation_in_xmp() -> None:
    packet = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    data = encoded(Image.fromarray(scene()), "JPEG", quality=95, xmp=packet)
    assert decode_image(data).shape == (WIDTH, HEIGHT, 3)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_senseless_orientation_counts_as_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(scene()), "JPEG", quality=95, exif=exif)
    assert grey_levels_apart(decode_image(data), scene()) <= 2


@pytest.mark.filterwarnings("ignore:Corrupt EXIF:UserWarning", "ignore:Truncated File Read:UserWarning")
def test_damaged_exif_does_not_cost_the_picture() -> None:
    data = encoded(
        Image.fromarray(scene()), "JPEG", quality=95, exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff\x01"
    )
    assert grey_levels_apart(decode_image(data), scene()) <= 2


@pytest.mark.parametrize("at_least", [(1, 1), (40, 40), (100, 100), (101, 99), (199, 250), (200, 321), (500, 500)])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_scaled_decoding_is_never_too_small(at_least: tuple[int, int], mode: str) -> None:
    source = Image.fromarray(scene(400, 320)).convert(mode)
    data = encoded(source, "JPEG", quality=95)
    whole, scaled = decode_image(data), decode_image(data, at_least=at_least)
    assert whole.shape == (400, 320, 3)
    assert scaled.shape[0] >= min(400, at_least[0]) and scaled.shape[1] >= min(320, at_least[1])
    if 8 * at_least[0] <= 400 and 8 * at_least[1] <= 320:
        assert scaled.size < whole.size, "there is room to scale"
    small = [
        np.asarray(Image.fromarray(image).resize((32, 40), Image.Resampling.BILINEAR)) for image in (whole, scaled)
    ]
    assert grey_levels_apart(*small) <= 1


JPEG = encoded(Image.fromarray(scene()), "JPEG")
PNG = encoded(Image.fromarray(scene()), "PNG")
WEBP = encoded(Image.fromarray(scene()), "WEBP")
BMP = encoded(Image.fromarray(scene()), "BMP")
PPM = encoded(Image.fromarray(scene()), "PPM")


@pytest.mark.parametrize("data", [JPEG, PNG, WEBP, BMP, PPM], ids=["jpeg", "png", "webp", "bmp", "ppm"])
@pytest.mark.parametrize("part", [0.5, 0.9])
def test_truncated(data: bytes, part: float) -> None:
    with pytest.raises(UnreadableImage) as raised:
        decode_image(data[: int(len(data) * part)], "half.jpg")
    assert "half.jpg" in str(raised.value)


def test_truncated_names_its_reason() -> None:
    with pytest.raises(UnreadableImage) as raised:
        decode_image(JPEG[: len(JPEG) // 2])
    assert raised.value.reason == "truncated"


def test_harmless_bytes_behind_the_picture() -> None:
    assert grey_levels_apart(decode_image(JPEG + b"\x00" * 99), decode_image(JPEG)) == 0


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"This is no picture at all.\n" * 20, "not a picture of a known kind"),
        (b"GIF89a" + b"\x00" * 100, "not a picture of a known kind"),
        (b"\xff\xd8\xff", "not a picture of a known kind"),
    ],
)
def test_reasons(tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "photo.jpg"
    file.write_bytes(content)
    with pytest.raises(UnreadableImage) as raised:
        load_image(file)
    assert raised.value.reason == reason
    assert str(raised.value) == f"cannot read {file}: {reason}"


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims to be huge."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("size", [(9_000, 9_000), (10_000, 10_000), (60_000, 60_000)])
def test_bomb_is_refused_from_its_header(size: tuple[int, int]) -> None:
    with pytest.raises(UnreadableImage, match="80,000,000"):
        decode_image(bomb(*size))


def test_jpeg_bomb_is_refused_from_its_header() -> None:
    start = JPEG.index(b"\xff\xc0") + 5
    data = JPEG[:start] + struct.pack(">HH", 30_000, 30_000) + JPEG[start + 4 :]
    with pytest.raises(UnreadableImage, match="80,000,000"):
        decode_image(data)


def test_max_pixels_is_inclusive() -> None:
    assert decode_image(PNG, max_pixels=HEIGHT * WIDTH).shape == (HEIGHT, WIDTH, 3)
    for data in (PNG, JPEG):
        with pytest.raises(UnreadableImage, match=f"{WIDTH}x{HEIGHT} pixels"):
            decode_image(data, max_pixels=HEIGHT * WIDTH - 1)


def test_too_many_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facenet.images.MAX_BYTES", 10)
    file = tmp_path / "large.png"
    file.write_bytes(PNG)
    with pytest.raises(UnreadableImage, match="larger than"):
        load_image(file)


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    for path in (tmp_path, pipe, Path("/dev/zero")):
        with pytest.raises(UnreadableImage, match="not a regular file"):
            load_image(path)
    with pytest.raises(UnreadableImage) as raised:
        load_image(tmp_path / "nowhere.jpg")
    assert raised.value.reason == "no such file or directory"


ODD_NAMES = [
    "-rf.jpg",
    "with space.jpg",
    'it\'s "quoted".jpg',
    "two\nlines.jpg",
    "\x1b[31mred.jpg",
    "日本語 имя वर्ण.jpg",
    "👩‍🚀.jpg",
    b"\xff\xfe bytes.jpg".decode("utf-8", "surrogateescape"),
]


@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
def test_any_file_name(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(PNG)
    assert load_image(file).shape == (HEIGHT, WIDTH, 3)
    file.write_bytes(b"")
    with pytest.raises(UnreadableImage) as raised:
        load_image(str(file))
    message = str(raised.value)
    assert message.isprintable(), "one line, no terminal escapes, no undecodable bytes"
    message.encode("utf-8")


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG", "a.PnG", "a.webp", "a.bmp", "a.pgm", "a.ppm", "a.b.jpg"])
def test_picture_names(name: str) -> None:
    assert is_image_name(name)


@pytest.mark.parametrize("name", ["a.txt", "jpg", ".jpg", "a.jpg.part", "a.gif", "a"])
def test_other_names(name: str) -> None:
    assert not is_image_name(name)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damage_never_raises_anything_else(data: st.DataObject) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    oriented = encoded(Image.fromarray(scene()), "JPEG", exif=exif)
    content = bytearray(data.draw(st.sampled_from([JPEG, oriented, PNG, WEBP, BMP, PPM])))
    places = st.integers(0, len(content) - 1)
    near_the_start = st.integers(0, min(90, len(content)) - 1)
    for place, value in data.draw(st.lists(st.tuples(places | near_the_start, st.integers(0, 255)), max_size=8)):
        content[place] = value
    del content[data.draw(st.integers(1, len(content))) :]
    try:
        image = decode_image(bytes(content), max_pixels=1_000_000)
    except UnreadableImage as error:
        assert error.reason
    else:
        assert image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8
