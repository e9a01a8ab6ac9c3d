"""Slow, obvious loops that say what templates are and what their files mean; the package is tested against them."""

from __future__ import annotations

import math
from collections.abc import Sequence


def fused(
    embeddings: Sequence[Sequence[float]], templates: Sequence[int], media: Sequence[int], failed: Sequence[bool]
) -> dict[int, list[float] | None]:
    """Template → mean over its media of the mean over each medium's pictures, of length 1; None if it has none."""
    found: dict[int, list[float] | None] = {}
    for template in sorted(set(templates)):
        means = []
        for medium in sorted(set(media)):
            rows = [
                row
                for row, own, of, bad in zip(embeddings, templates, media, failed, strict=True)
                if own == template and of == medium and not bad
            ]
            if rows:
                means.append(mean(rows))
        found[template] = unit(mean(means)) if means else None
    return found


def mean(rows: Sequence[Sequence[float]]) -> list[float]:
    """Value by value."""
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)]


def unit(row: Sequence[float]) -> list[float] | None:
    """Of length 1; None for rounding around nothing."""
    length = math.sqrt(sum(value * value for value in row))
    return [value / length for value in row] if length > 1e-6 else None


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Of two rows of length 1."""
    return min(1.0, max(-1.0, sum(a * b for a, b in zip(one, other, strict=True))))


def linked(count: int, links: Sequence[tuple[int, int]]) -> list[int]:
    """A number for each of ``count`` things, the same for those that are linked: the lowest of the group."""
    group = list(range(count))
    changed = True
    while changed:
        changed = False
        for one, other in links:
            low = min(group[one], group[other])
            if group[one] != low or group[other] != low:
                group[one] = group[other] = low
                changed = True
    return group


def pair_of(line: str) -> tuple[int, int, bool] | None:
    """What one line of a file of template pairs says, or None if it is no such line."""
    words = line.split()
    if len(words) != 3 or not all(word.isdecimal() and word.isascii() and len(word) <= 18 for word in words):
        return None
    first, second, label = map(int, words)
    return None if first == second or label > 1 else (first, second, label == 1)
