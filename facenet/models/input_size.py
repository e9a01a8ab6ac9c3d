"""How large the pictures are that a network is given."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from facenet.errors import UsageError, printable

if TYPE_CHECKING:
    from facenet.models.backbone import Backbone

AUTO = "auto"
"""The size that the network was published with."""

_SIZE = re.compile(r"([1-9][0-9]{0,4})(?:x([1-9][0-9]{0,4}))?")


def parse_size(text: str) -> tuple[int, int]:
    """``"112x96"`` → ``(112, 96)``, height and width in pixels; ``"160"`` → ``(160, 160)``.

    Raises:
        UsageError: neither of the two.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise UsageError(f"'{printable(text)}' is no size in pixels: give HEIGHTxWIDTH, such as 112x96, or one number")
    height, width = match.groups()
    return int(height), int(height if width is None else width)


def canonical_size(text: str) -> str:
    """The one spelling of a size that is stored and compared: ``"auto"``, or height and width as ``"160x160"``.

    Raises:
        UsageError: no size.
    """
    if text == AUTO:
        return AUTO
    height, width = parse_size(text)
    return f"{height}x{width}"


def set_input_size(backbone: Backbone, image_size: str, resize: int = 0) -> None:
    """Give a backbone pictures of another size than it was published with; all else of its contract stays.

    A face cut from a photo keeps the share of its surroundings: ``margin-14`` at 160 pixels becomes ``margin-7`` at 80.

    Args:
        backbone: its contract is changed in place.
        image_size: ``"auto"`` for no change, or what :func:`parse_size` takes.
        resize: length in pixels to which a picture's shorter side is scaled before the middle is cut out; 0 scales it
            until the input is just covered.

    Raises:
        UsageError: no size, one that the network cannot take, or ``resize`` is less than a side of it.
    """
    contract = backbone.preprocessing
    old = (contract.height, contract.width)
    new = old if image_size == AUTO else parse_size(image_size)
    if resize != 0 and resize < max(new):
        raise UsageError(
            f"pictures resized to {resize} cannot hold the input of {new[0]}x{new[1]}: --resize must be at least "
            f"{max(new)}, or 0"
        )
    fit = f"cover-{resize}" if resize != 0 else "cover"
    changed = replace(contract, height=new[0], width=new[1], crop=_scaled(contract.crop, old, new), fit=fit)
    if new != old:
        backbone.check_input(*new)
    backbone.preprocessing = changed
    backbone.photo_crop = _scaled(backbone.photo_crop, old, new)


def _scaled(crop: str, old: tuple[int, int], new: tuple[int, int]) -> str:
    """A crop of one input size for another; margins are counted in pixels of the input."""
    kind, dash, margin = crop.partition("-")
    if kind != "margin" or new == old:
        return crop
    # Rounded, the margin of a tiny input could be all of it.
    return f"{kind}{dash}{min(round(int(margin) * min(new) / min(old)), min(new) - 1)}"
