"""Faces for a page: cut out of their pictures, small, and inside the page itself."""

from __future__ import annotations

import base64

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facenet.errors import UnreadableImage
from facenet.evaluation.report.markup import Html, element, text
from facenet.evaluation.study import Pictures
from facenet.images import encode_image, load_image

SIDE = 160
"""Pixels: twice what a phone shows."""

_MARGIN = 0.3
_QUALITY = 82


def tile(pictures: Pictures, sample: int, alt: str) -> Html:
    """The face of one sample as ``<img>``; words where its picture cannot be read."""
    try:
        image = load_image(pictures.paths[sample])
    except UnreadableImage as error:
        return element("div", text(error.reason, 80), class_="missing", role="img", aria_label=alt)
    face = cut(image, pictures.boxes[sample])
    data = base64.b64encode(encode_image(face, ".jpg", quality=_QUALITY)).decode("ascii")
    return Html(f'<img src="data:image/jpeg;base64,{data}" alt="{text(alt)}" width="{SIDE}" height="{SIDE}">')


def cut(image: NDArray[np.uint8], box: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A square around a face, with some room around it, scaled to ``uint8 (SIDE, SIDE, 3)``.

    Args:
        image: ``uint8 (H, W, 3)``.
        box: ``(4,)`` left, top, right, bottom; NaN or empty: the middle of the whole picture. Where the square leaves
            the picture it is moved inside, and made smaller if it is larger than the picture.
    """
    height, width = image.shape[:2]
    most = min(height, width)
    if np.isfinite(box).all() and box[2] > box[0] and box[3] > box[1]:
        side = (1 + 2 * _MARGIN) * float(max(box[2] - box[0], box[3] - box[1]))
        middle = float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2
    else:
        side, middle = float(most), (width / 2, height / 2)
    size = int(np.clip(round(side), 1, most))
    left, top = (
        int(np.clip(round(centre - size / 2), 0, end - size))
        for centre, end in zip(middle, (width, height), strict=True)
    )
    square = Image.fromarray(np.ascontiguousarray(image[top : top + size, left : left + size]))
    return np.asarray(square.resize((SIDE, SIDE), Image.Resampling.LANCZOS))
