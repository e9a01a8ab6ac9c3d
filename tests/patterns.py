"""People who are patterns of colour, and a network that tells them apart: an ideal case for what lies around it.

The network is one of random weights whose features of random patterns are moved to have mean zero. Pictures of one
pattern under noise then score above 0.8 with one another, those of two patterns below 0.7.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from facenet.models.registry import build_backbone
from facenet.preprocessing import stack_faces

SIDE = 96
_SQUARES = ((np.indices((SIDE, SIDE)) // (SIDE // 16)).sum(0) % 2)[..., None]
"""A chessboard, the same for everybody: without fine detail a picture is taken for blurred."""

SAME = 0.8
"""A score that every pair of pictures of one person reaches, and no pair of two people."""


def pattern_pictures(seed: int, count: int) -> list[np.ndarray]:
    """Pictures ``uint8 (96, 96, 3)`` of person ``seed``."""
    rng = np.random.default_rng(seed)
    patches = rng.integers(0, 150, (3, 3, 3)).repeat(SIDE // 3, 0).repeat(SIDE // 3, 1)
    pattern = patches + 60 * _SQUARES
    return [(pattern + rng.normal(0, 20, pattern.shape)).clip(0, 255).astype(np.uint8) for _ in range(count)]


def write_patterns(root: Path, people: Mapping[str, int], *, count: int = 4, start: int = 0) -> Path:
    """Write ``root/NAME/0.png …`` for each name and seed; returns ``root``."""
    for name, seed in people.items():
        folder = root / name
        folder.mkdir(parents=True)
        for number, picture in enumerate(pattern_pictures(seed, start + count)[start:], start=start):
            Image.fromarray(picture).save(folder / f"{number}.png")
    return root


def write_weights(path: Path, backbone: str = "mobilefacenet", seed: int = 0) -> Path:
    """Write the network's weights; other weights for another seed."""
    net = build_backbone(backbone, seed=seed).eval()
    pictures = [pattern_pictures(10_000 + number, 1)[0] for number in range(48)]
    with torch.no_grad():
        mean = net.features(
            net.preprocessing.normalise(stack_faces([net.preprocessing.to_face(picture) for picture in pictures]))
        ).mean(0)
        last = [module for module in net.modules() if isinstance(module, torch.nn.BatchNorm2d | torch.nn.Linear)][-1]
        last.bias -= mean
    save_file(net.state_dict(), path)
    return path
