"""The contract by which an image becomes a network input, and the fingerprint that tells two embeddings apart.

Training, evaluation and use all call :meth:`Preprocessing.load` or :meth:`Preprocessing.to_face` and
:meth:`Preprocessing.normalise`; nothing else in the package resizes or scales pixels on the way to a network.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as transform

from facenet.errors import CheckpointError, UsageError
from facenet.images import load_image

PerChannel = float | tuple[float, float, float]

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
"""Mean and standard deviation of ImageNet's pictures, of values in ``[0, 255]``, as torchvision's weights expect."""

_LARGEST_SIDE = 4096

_LONGEST = 8
"""Of a picture far longer than the network input, only so many times what is needed is scaled."""


@dataclass(frozen=True)
class Preprocessing:
    """How a picture becomes a network input; equal contracts give equal pixels.

    Attributes:
        height, width: size of the network input in pixels.
        detector: who finds the face: ``"mtcnn"``, or ``"none"`` where every picture is a face as it is.
        crop: how the face is cut from the picture: ``"five-point"`` (turned, scaled and moved so that eyes, nose and
            mouth come to lie on the standard 112×112 or 112×96 template), ``"margin-N"`` (the detector's box,
            stretched to the input size, with a margin of N pixels of the input as facenet-pytorch counts them), or
            ``"none"`` where every picture is a face as it is.
        fit: how a whole picture becomes the input: ``"cover"``: scale with the sides' ratio kept until the input is
            covered, then cut the middle out; ``"cover-N"``: likewise, but scale until the shorter side has N pixels, as
            networks for general pictures are published with (resize to 256, cut 224 by 224 from the middle).
        colour: order of the channels, ``"RGB"``.
        mean, std: each value ``x`` in ``[0, 255]`` becomes ``(x - mean) / std``; one number, or three: for red, green
            and blue.
        interpolation: ``"bilinear-antialias"``.
    """

    height: int
    width: int
    detector: str = "none"
    crop: str = "none"
    fit: str = "cover"
    colour: str = "RGB"
    mean: PerChannel = 127.5
    std: PerChannel = 128.0
    interpolation: str = "bilinear-antialias"

    def __post_init__(self) -> None:
        allowed = {"colour": "RGB", "interpolation": "bilinear-antialias"}
        for field, value in allowed.items():
            if getattr(self, field) != value:
                raise UsageError(f"preprocessing {field} must be {value!r}, not {getattr(self, field)!r}")
        if self.detector not in ("none", "mtcnn"):
            raise UsageError(f"preprocessing detector must be 'mtcnn' or 'none', not {self.detector!r}")
        if self.crop not in ("none", "five-point") and self._margin(self.crop) is None:
            raise UsageError(f"preprocessing crop must be 'five-point', 'margin-N' or 'none', not {self.crop!r}")
        if (self.detector == "none") != (self.crop == "none"):
            raise UsageError(f"preprocessing detector {self.detector!r} does not go with crop {self.crop!r}")
        if not (1 <= self.height <= _LARGEST_SIDE and 1 <= self.width <= _LARGEST_SIDE):
            raise UsageError(f"network input of {self.height}x{self.width} pixels: sides must be 1 to {_LARGEST_SIDE}")
        if self.fit != "cover" and self._shorter_side is None:
            raise UsageError(
                f"preprocessing fit must be 'cover' or 'cover-N' with N from {max(self.height, self.width)} to "
                f"{_LARGEST_SIDE}, not {self.fit!r}"
            )
        if self.fit != "cover" and self.finds_faces:
            raise UsageError(f"preprocessing fit {self.fit!r} is for whole pictures, not for faces cut by {self.crop}")
        for field in ("mean", "std"):
            # JSON knows lists only; as a tuple, contracts can be compared and hashed.
            object.__setattr__(self, field, _per_channel(getattr(self, field)))
        if not (all(map(math.isfinite, _numbers(self.mean))) and all(0 < std < math.inf for std in _numbers(self.std))):
            raise UsageError("preprocessing needs a finite mean and a positive std")

    @property
    def finds_faces(self) -> bool:
        """Whether a photo needs a detector before it can be used; if not, every picture is a face as it is."""
        return self.detector != "none"

    @property
    def margin(self) -> int:
        """Pixels of the input around the detector's box, for ``"margin-N"``; 0 for every other crop."""
        return self._margin(self.crop) or 0

    def for_photos(self, crop: str) -> Preprocessing:
        """The same contract for photos: faces found by MTCNN and cut out by ``crop``."""
        return replace(self, detector="mtcnn", crop=crop, fit="cover")

    @property
    def _shorter_side(self) -> int | None:
        """N of a fit of ``"cover-N"`` that can be."""
        side = _counted(self.fit, "cover-")
        return side if side is not None and max(self.height, self.width) <= side <= _LARGEST_SIDE else None

    def _margin(self, crop: str) -> int | None:
        margin = _counted(crop, "margin-")
        return margin if margin is not None and margin < min(self.height, self.width) else None

    def load(self, path: str | os.PathLike[str]) -> Tensor:
        """Picture file → face: ``uint8 (3, height, width)``, laid out in memory as ``(height, width, 3)``.

        A JPEG at least twice as large as needed is scaled while it is decoded.

        Raises:
            UnreadableImage: as :func:`facenet.images.load_image`.
        """
        return self.to_face(load_image(path, at_least=(2 * self._covered[0], 2 * self._covered[1])))

    def to_face(self, image: np.ndarray) -> Tensor:
        """Image → face: ``uint8 (H, W, 3)`` → ``uint8 (3, height, width)``, laid out in memory as it came."""
        # A view in (3, H, W) order over (H, W, 3) memory takes torchvision's fast path for interleaved pixels.
        picture = torch.from_numpy(image).permute(2, 0, 1)
        high, wide = image.shape[:2]
        covered = self._covered
        scale = max(covered[0] / high, covered[1] / wide)
        longest = (math.ceil(_LONGEST * self.height / scale), math.ceil(_LONGEST * self.width / scale))
        if high > longest[0] or wide > longest[1]:
            # One row of a million pixels, scaled until it is as high as the input, would not fit in memory.
            high, wide = min(high, longest[0]), min(wide, longest[1])
            # Copied, for resizing keeps the pixels interleaved only where they lie without gaps.
            picture = _middle(picture, high, wide).permute(1, 2, 0).contiguous().permute(2, 0, 1)
        size = [max(covered[0], round(high * scale)), max(covered[1], round(wide * scale))]
        if size != [high, wide]:
            picture = transform.resize(picture, size, interpolation=InterpolationMode.BILINEAR, antialias=True)
        return _middle(picture, self.height, self.width)

    @property
    def _covered(self) -> tuple[int, int]:
        """What a picture is scaled to cover, height and width."""
        side = self._shorter_side
        return (self.height, self.width) if side is None else (side, side)

    def normalise(self, faces: Tensor) -> Tensor:
        """Faces → network input: ``uint8 (n, 3, height, width)`` → ``float32``, same shape, layout and device."""
        return faces.to(torch.float32, copy=True).sub_(_operand(self.mean, faces)).div_(_operand(self.std, faces))

    def to_dict(self) -> dict[str, Any]:
        """The contract as plain values, for JSON."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocessing:
        """Read a contract back.

        Raises:
            CheckpointError: unknown, missing or impossible values.
        """
        known = {field.name for field in fields(cls)}
        if not isinstance(values, Mapping) or set(values) - known:
            raise CheckpointError("the preprocessing contract holds entries this version does not know")
        try:
            return cls(**values)
        except (TypeError, UsageError) as error:
            raise CheckpointError(f"the preprocessing contract cannot be read: {error}") from error


def _counted(text: str, prefix: str) -> int | None:
    """The number behind a prefix, or None if it is not this prefix with a plain number."""
    digits = text.removeprefix(prefix) if isinstance(text, str) else text
    if digits == text or not digits.isascii() or not digits.isdigit() or str(int(digits)) != digits:
        return None
    return int(digits)


def _per_channel(value: PerChannel | list[float]) -> PerChannel:
    """One number, or three as a tuple."""
    if not isinstance(value, list | tuple):
        return value
    if len(value) != 3:
        raise UsageError(f"preprocessing mean and std are one number or three, not {len(value)}")
    red, green, blue = value
    return (red, green, blue)


def _numbers(value: PerChannel) -> tuple[float, ...]:
    return value if isinstance(value, tuple) else (value,)


def _operand(value: PerChannel, faces: Tensor) -> float | Tensor:
    """What can be subtracted from or divide ``(n, 3, h, w)``."""
    if not isinstance(value, tuple):
        return value
    return torch.tensor(value, dtype=torch.float32, device=faces.device).view(3, 1, 1)


def _middle(picture: Tensor, height: int, width: int) -> Tensor:
    """The middle of a picture: a view ``(3, height, width)``."""
    top, left = (picture.shape[-2] - height) // 2, (picture.shape[-1] - width) // 2
    return picture[:, top : top + height, left : left + width]


def stack_faces(faces: Sequence[Tensor]) -> Tensor:
    """Faces → batch: ``n × (3, h, w)`` → ``(n, 3, h, w)``, channels last in memory, which convolutions like."""
    # NumPy, for torch would start a second set of threads when a loading thread calls this, and the two would fight
    # the network's over the cores.
    rows = np.stack([face.permute(1, 2, 0).numpy() for face in faces])
    return torch.from_numpy(rows).permute(0, 3, 1, 2)


def weights_digest(state: Mapping[str, Tensor]) -> str:
    """SHA-256 (hex) over names, types, shapes and values of all tensors that can change an output."""
    digest = hashlib.sha256()
    for name in sorted(state):
        if name.endswith("num_batches_tracked"):
            continue
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def fingerprint(preprocessing: Preprocessing, architecture: str, state: Mapping[str, Tensor]) -> str:
    """Hash over preprocessing, architecture and weights (hex, 32 digits).

    Two embeddings may be compared only if the fingerprints of what made them are equal.
    """
    described = {
        "architecture": architecture,
        "preprocessing": preprocessing.to_dict(),
        "weights": weights_digest(state),
    }
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:32]
