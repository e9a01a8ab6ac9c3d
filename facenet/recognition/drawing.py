"""Outcomes drawn onto their photo: a box and a label for each face."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import cast

import numpy as np
from PIL import Image, ImageDraw, ImageFont, features

from facenet.errors import UsageError
from facenet.recognition.outcomes import Outcome, Status

Colour = tuple[int, int, int]

_COLOURS: dict[Status, Colour] = {
    Status.MATCHED: (150, 245, 150),
    Status.UNDECIDED: (236, 146, 10),
    Status.UNKNOWN: (196, 30, 50),
}
"""Light, middle and dark: told apart in grey print and without colour vision as well."""

_OTHERWISE: Colour = (44, 50, 60)
_DARK: Colour = (16, 20, 24)
_LIGHT: Colour = (255, 255, 255)
_MIDDLE_LIGHTNESS = 140

_LETTER_SHARE, _SMALLEST_LETTER, _LARGEST_LETTER = 1 / 40, 11, 160
_LINE_SHARE = 1 / 250
_LONGEST_NAME = 40
_MISSING_SIGN = chr(0x10FFFF)
"""A code point that no font has, and that therefore looks like whatever a font has not."""

_OWN_FONT = ""
_SYSTEM_FONTS = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "Arial Unicode.ttf",
    "arial.ttf",
    "segoeui.ttf",
    "NotoSansCJK-Regular.ttc",
    "msyh.ttc",
    "Hiragino Sans GB.ttc",
)
"""Looked for where systems keep their fonts, for letters that Pillow's own font has not."""


@dataclass(frozen=True)
class _Label:
    """A label put into place: text, font and letter size, its corner and its size in pixels."""

    text: str
    font: str
    letter: int
    left: int
    top: int
    width: int
    height: int


def draw_outcomes(image: np.ndarray, outcomes: Sequence[Outcome]) -> np.ndarray:
    """Draw every outcome that has a face; one of a whole picture is drawn around the picture.

    The box of a match is light green, of somebody unknown dark red, of somebody undecided amber, of a face that could
    not be compared black. The label says the name (``unknown``, ``undecided: <best candidate>``, or what is wrong) and
    the score. Plain letters look the same on every system; a name with others is written in one of the system's usual
    fonts, and as ``id:7`` if none of them has its script. Labels lie inside the picture, and where there is room not
    on one another.

    Args:
        image: ``uint8 (H, W, 3)``; stays as it is.
        outcomes: of this picture.

    Returns:
        A new image of the same size. Outcomes without a face, of photos without a usable one, leave no mark.

    Raises:
        UsageError: an array that is no image.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise UsageError(f"an image is uint8 (height, width, 3), got {image.dtype} {image.shape}")
    height, width = image.shape[:2]
    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    line = max(1, round(max(height, width) * _LINE_SHARE))
    shown = [(outcome, _box(outcome, width, height)) for outcome in outcomes if _is_drawn(outcome)]
    for outcome, box in shown:
        draw.rectangle(box, outline=_DARK, width=line + 2)
        draw.rectangle(_shrunk(box), outline=_colour(outcome), width=line)
    # Labels last, so that no other face's box crosses them.
    placed: list[_Label] = []
    for outcome, box in shown:
        label = _place(_text(outcome), box, (width, height), placed)
        placed.append(label)
        _draw_label(draw, label, _colour(outcome))
    return np.array(picture)


def _is_drawn(outcome: Outcome) -> bool:
    # Without a detector the whole picture is the face, and then it has a quality.
    return outcome.face is not None or outcome.quality is not None


def _box(outcome: Outcome, width: int, height: int) -> tuple[int, int, int, int]:
    """The face's box, cut off at the picture's edge: the corners of a rectangle that has at least one pixel."""
    if outcome.face is None:
        return 0, 0, width - 1, height - 1
    left, top, right, bottom = (round(value) for value in outcome.face.box)
    left, top = min(max(left, 0), width - 1), min(max(top, 0), height - 1)
    return left, top, max(left, min(right, width - 1)), max(top, min(bottom, height - 1))


def _shrunk(box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    left, top, right, bottom = box
    if right - left < 3 or bottom - top < 3:
        return box
    return left + 1, top + 1, right - 1, bottom - 1


def _colour(outcome: Outcome) -> Colour:
    return _COLOURS.get(outcome.status, _OTHERWISE)


def _text(outcome: Outcome) -> tuple[str, str]:
    """What the label says, and the font it is written in."""
    score = "" if outcome.score is None else f" {outcome.score:.2f}"
    if outcome.status is not Status.MATCHED and outcome.status is not Status.UNDECIDED:
        return f"{outcome.status.value.replace('_', ' ')}{score}", _OWN_FONT
    best = outcome.candidates[0]
    name = best.name if len(best.name) <= _LONGEST_NAME else f"{best.name[: _LONGEST_NAME - 3]}..."
    font = _font_for(name)
    if font is None:
        name, font = f"id:{best.person}", _OWN_FONT
    return f"{name}{score}" if outcome.status is Status.MATCHED else f"undecided: {name}{score}", font


def _place(
    wording: tuple[str, str], box: tuple[int, int, int, int], size: tuple[int, int], placed: Sequence[_Label]
) -> _Label:
    """Above the box, else below it, else wherever inside the picture; beside other labels as far as there is room."""
    width, height = size
    text, font = wording
    letter, text = _fit(text, font, size)
    label_width, label_height = _extent(text, font, letter)
    left = max(0, min(box[0], width - label_width))
    above, below, inside = box[1] - label_height, box[3] + 1, box[1]
    spots = [top for top in (above, below, inside) if 0 <= top <= height - label_height]
    spots += [max(0, min(inside, height - label_height))]
    labels = [_Label(text, font, letter, left, top, label_width, label_height) for top in spots]
    return next((label for label in labels if not any(_overlap(label, other) for other in placed)), labels[0])


def _fit(text: str, font: str, size: tuple[int, int]) -> tuple[int, str]:
    """The largest letters, up to those that suit the picture, in which the label is no larger than it; in the smallest
    the text is cut off."""
    width, height = size
    letter = min(max(round(max(size) * _LETTER_SHARE), _SMALLEST_LETTER), _LARGEST_LETTER)
    while letter > _SMALLEST_LETTER and not _fits(_extent(text, font, letter), size):
        letter = max(_SMALLEST_LETTER, letter * 9 // 10)
    while text and _extent(text, font, letter)[0] > width:
        text = text[:-1]
    return letter, text


def _fits(extent: tuple[int, int], size: tuple[int, int]) -> bool:
    return extent[0] <= size[0] and extent[1] <= size[1]


def _extent(text: str, font: str, letter: int) -> tuple[int, int]:
    """Size of a label, its padding included. Letters with marks above and below them need not be measured: the font's
    own ascent and descent hold them."""
    pad, face = _padding(letter), _font(font, letter)
    return math.ceil(face.getlength(text)) + 2 * pad, sum(face.getmetrics()) + 2 * pad


def _padding(letter: int) -> int:
    return max(1, letter // 6)


def _overlap(one: _Label, other: _Label) -> bool:
    beside = one.left >= other.left + other.width or other.left >= one.left + one.width
    return not beside and one.top < other.top + other.height and other.top < one.top + one.height


def _draw_label(draw: ImageDraw.ImageDraw, label: _Label, colour: Colour) -> None:
    if not label.text:
        return
    corner = (label.left + label.width - 1, label.top + label.height - 1)
    draw.rectangle((label.left, label.top, *corner), fill=colour)
    pad = _padding(label.letter)
    ink = _DARK if _lightness(colour) > _MIDDLE_LIGHTNESS else _LIGHT
    face = _font(label.font, label.letter)
    draw.text((label.left + pad, label.top + pad), label.text, fill=ink, font=face, anchor="la")


def _lightness(colour: Colour) -> float:
    """Perceived, 0 to 255; ITU-R BT.601."""
    red, green, blue = colour
    return 0.299 * red + 0.587 * green + 0.114 * blue


@cache
def _font(name: str, letter: int) -> ImageFont.FreeTypeFont:
    if name == _OWN_FONT:
        return cast(ImageFont.FreeTypeFont, ImageFont.load_default(letter))
    return ImageFont.truetype(name, letter)


@cache
def _fonts() -> tuple[str, ...]:
    """Pillow's own font, and those of the usual ones that this system has."""
    there = [_OWN_FONT]
    for name in _SYSTEM_FONTS:
        try:
            _font(name, _SMALLEST_LETTER)
        except OSError:
            continue
        there.append(name)
    return tuple(there)


def _font_for(text: str) -> str | None:
    """The first font that has every letter of a text, None if none has."""
    if any(_needs_shaping(letter) for letter in text) and not features.check("raqm"):
        return None
    return next((name for name in _fonts() if all(_has_letter(name, letter) for letter in text)), None)


def _needs_shaping(letter: str) -> bool:
    """Whether a letter changes its neighbours or its place: written one after the other, it would be wrong."""
    return unicodedata.bidirectional(letter) in ("R", "AL") or unicodedata.category(letter) in ("Mn", "Mc")


@cache
def _has_letter(name: str, letter: str) -> bool:
    return letter == " " or _looks(name, letter) != _looks(name, _MISSING_SIGN)


def _looks(name: str, letter: str) -> tuple[tuple[int, int], bytes]:
    drawn = _font(name, 24).getmask(letter)
    return drawn.size, bytes(drawn)
