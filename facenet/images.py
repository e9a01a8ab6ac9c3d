"""The only place an image file is opened.

Whatever is on disk, what comes out is an *image*: upright (EXIF orientation applied) RGB, ``uint8 (H, W, 3)``.
Files are distrusted: kind, byte count and pixel count are checked before anything is decoded.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
import struct
import threading
import zlib
from pathlib import Path
from typing import IO, cast

import numpy as np
import simplejpeg
from PIL import ExifTags, Image

from facenet.errors import StorageError, UnreadableImage, UsageError, printable

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".pgm", ".ppm"})
"""File name endings (lower case) taken for pictures; the content decides how they are decoded."""

MAX_BYTES = 256 * 1024 * 1024
"""Largest picture file that is read at all."""

MAX_PIXELS = 80_000_000
"""Largest picture that is decoded: above today's phone cameras, below what would fill a small machine's memory."""

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "PPM")

_WRITTEN = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}

_JPEG_START = b"\xff\xd8\xff"
_MAY_BE_TURNED = (b"Exif", b"tiff:Orientation")
"""Without these bytes anywhere, a JPEG says nothing about its orientation, and its header need not be read twice."""

_DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


def is_image_name(name: str) -> bool:
    """Whether a file name ends like a picture this package reads."""
    return os.path.splitext(name)[1].lower() in SUFFIXES


def load_image(
    path: str | os.PathLike[str],
    *,
    at_least: tuple[int, int] | None = None,
    max_pixels: int = MAX_PIXELS,
) -> np.ndarray:
    """Read one picture file.

    Args:
        path: file to read (jpg, png, webp, bmp, pgm or ppm, told by content, in any colour mode).
        at_least: ``(height, width)`` in pixels. If given, a JPEG may come back smaller than it is stored (scaled
            while decoding, which is faster), but never below this size in either direction.
        max_pixels: refuse larger pictures from their header, before decoding.

    Returns:
        ``uint8 (H, W, 3)``, RGB, upright, C-contiguous, writable. 16-bit pictures are scaled to 8 bits; transparent
        ones are laid over white.

    Raises:
        UnreadableImage: missing, empty, not a picture, truncated, too large; ``reason`` says which.
    """
    return decode_image(read_picture_bytes(path), path, at_least=at_least, max_pixels=max_pixels)


def read_picture_bytes(path: str | os.PathLike[str]) -> bytes:
    """Read the raw bytes of a picture file, refusing what is no regular file or larger than ``MAX_BYTES``.

    Raises:
        UnreadableImage: with the reason.
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableImage(path, "not a regular file")
        if status.st_size > MAX_BYTES:
            raise UnreadableImage(path, f"larger than {MAX_BYTES // 2**20} MiB")
        data = Path(path).read_bytes()
    except OSError as error:
        raise UnreadableImage(path, _os_reason(error)) from error
    if not data:
        raise UnreadableImage(path, "empty file")
    return data


def decode_image(
    data: bytes,
    name: object = "picture",
    *,
    at_least: tuple[int, int] | None = None,
    max_pixels: int = MAX_PIXELS,
) -> np.ndarray:
    """Decode the bytes of one picture file; arguments, result and errors as :func:`load_image`.

    ``name`` is only used in messages.
    """
    try:
        pixels = _plain_jpeg(data, name, at_least, max_pixels)
        if pixels is not None:
            return pixels
        picture = Image.open(io.BytesIO(data), formats=_FORMATS)
        _check_size(name, picture.size, max_pixels)
        orientation = _orientation(picture)
        if picture.format in ("JPEG", "MPO") and picture.mode in ("RGB", "L"):
            pixels = _decode_jpeg(data, at_least, turned=orientation in (5, 6, 7, 8))
        if pixels is None:
            pixels = _to_rgb(picture)
    except Image.UnidentifiedImageError as error:
        raise UnreadableImage(name, "not a picture of a known kind") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadableImage(name, f"more than the {max_pixels:,} pixels allowed") from error
    except _DECODER_ERRORS as error:
        raise UnreadableImage(name, _decoder_reason(error)) from error
    return np.ascontiguousarray(_upright(pixels, orientation))


def _check_size(name: object, size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise UnreadableImage(name, f"{width}x{height} pixels, more than the {max_pixels:,} allowed")


def _plain_jpeg(data: bytes, name: object, at_least: tuple[int, int] | None, max_pixels: int) -> np.ndarray | None:
    """Decode the most common kind of picture in the shortest way; None if it is another or is damaged."""
    if not data.startswith(_JPEG_START) or any(mark in data for mark in _MAY_BE_TURNED):
        return None
    try:
        height, width, colourspace, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        # Pillow names what is wrong with it.
        return None
    if colourspace not in ("YCbCr", "Gray"):
        return None
    _check_size(name, (width, height), max_pixels)
    return _decode_jpeg(data, at_least, turned=False)


def _decode_jpeg(data: bytes, at_least: tuple[int, int] | None, *, turned: bool) -> np.ndarray | None:
    """Decode with libjpeg-turbo; None if the file needs Pillow's patience."""
    height, width = at_least if at_least is not None else (0, 0)
    if turned:
        height, width = width, height
    try:
        decoded = simplejpeg.decode_jpeg(data, colorspace="RGB", min_height=height, min_width=width, min_factor=1)
    except ValueError:
        # Damaged in some way. Pillow reads through harmless damage and names the rest.
        return None
    return cast(np.ndarray, decoded)


def _orientation(picture: Image.Image) -> object:
    """EXIF orientation, 1 to 8 where it is sound; 1 (upright) where there is none or it cannot be read."""
    try:
        return picture.getexif().get(ExifTags.Base.Orientation, 1)
    except (SyntaxError, ValueError, KeyError, IndexError, TypeError, struct.error):
        # The pixels do not depend on it: like every viewer, show the picture as it is stored.
        return 1


def _to_rgb(picture: Image.Image) -> np.ndarray:
    """Bring any Pillow colour mode to ``uint8 (H, W, 3)``."""
    picture.load()
    if picture.mode == "F":
        raise ValueError("floating-point pixels have no fixed range")
    if picture.mode.startswith("I"):
        # Pillow holds 16-bit grey in these modes and clips instead of scaling when asked to convert them.
        wide = np.asarray(picture).astype(np.int64)
        grey = ((wide.clip(0, 65535) + 128) // 257).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        layered = picture.convert("RGBA")
        white = Image.new("RGBA", layered.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(white, layered)
    # A copy, for what Pillow lends cannot be written to.
    return np.array(picture.convert("RGB"))


def _upright(pixels: np.ndarray, orientation: object) -> np.ndarray:
    """Turn and mirror as EXIF 2.32, tag 0x0112 says; unknown values count as upright."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def _os_reason(error: OSError) -> str:
    return error.strerror.lower() if error.strerror else "cannot be opened"


def _decoder_reason(error: Exception) -> str:
    text = str(error).lower()
    if "truncated" in text or "premature" in text or "unexpected end" in text or isinstance(error, EOFError):
        return "truncated"
    return "damaged: " + (text.splitlines()[0][:80] if text else type(error).__name__)


def save_image(path: str | os.PathLike[str], image: np.ndarray) -> None:
    """Write one picture file, which appears whole or not at all.

    Args:
        path: ends in ``.png`` (every pixel is kept), ``.jpg`` or ``.jpeg`` (quality 95, colours at full resolution). A
            file of this name is replaced.
        image: ``uint8 (H, W, 3)``, RGB. Nothing but its pixels is written.

    Raises:
        UsageError: another suffix, or something that is no image.
        StorageError: no such folder, no permission, no space; what was there before is untouched.
    """
    target = Path(path)
    kind = _written_kind(image, target.suffix, printable(target))
    # Of its own for every thread, and short, for a name may be as long as a folder allows.
    beside = target.with_name(f".writing-{os.getpid()}-{threading.get_ident()}")
    try:
        with beside.open("wb") as stream:
            _encode(stream, image, kind, quality=95)
        os.replace(beside, target)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        reason = error.strerror.lower() if error.strerror else str(error)
        raise StorageError(f"cannot write {printable(target)}: {reason}") from error


def encode_image(image: np.ndarray, suffix: str = ".jpg", *, quality: int = 95) -> bytes:
    """The bytes of a picture file; the same for the same pixels.

    Args:
        image: ``uint8 (H, W, 3)``, RGB. Nothing but its pixels is encoded.
        suffix: ``.png`` (every pixel is kept), ``.jpg`` or ``.jpeg`` (colours at full resolution).
        quality: of a JPEG, 1 to 100.

    Raises:
        UsageError: another suffix or quality, something that is no image, or a JPEG of more than 65,500 pixels a side.
    """
    kind = _written_kind(image, suffix, f"a picture as {printable(suffix)}")
    if not 1 <= quality <= 100:
        raise UsageError(f"the quality of a JPEG is 1 to 100, not {quality}")
    stream = io.BytesIO()
    try:
        _encode(stream, image, kind, quality=quality)
    except OSError as error:
        raise UsageError(f"cannot write a {kind} of {image.shape[1]}x{image.shape[0]} pixels: {error}") from error
    return stream.getvalue()


def _written_kind(image: np.ndarray, suffix: str, name: str) -> str:
    """What Pillow calls the kind of file; UsageError about ``name`` if it cannot be written."""
    kind = _WRITTEN.get(suffix.lower())
    if kind is None:
        raise UsageError(f"cannot write {name}: a picture's name must end in .png, .jpg or .jpeg")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise UsageError(f"cannot write {image.dtype} {image.shape} as a picture: it must be uint8 (height, width, 3)")
    return kind


def _encode(stream: IO[bytes], image: np.ndarray, kind: str, *, quality: int) -> None:
    # What PNG does not know it does not heed.
    Image.fromarray(image).save(stream, format=kind, quality=quality, subsampling="4:4:4")
