"""Slow, obvious re-implementations to test against: plain Python lists and loops, straight from the definitions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

Row = Sequence[float]
Triplet = tuple[int, int, int]


# Triplet selection and loss


def squared_l2(a: Row, b: Row) -> float:
    return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))


def distance_table(rows: Sequence[Row]) -> list[list[float]]:
    return [[squared_l2(a, b) for b in rows] for a in rows]


def positives_of(anchor: int, labels: Sequence[int]) -> list[int]:
    return [i for i, label in enumerate(labels) if label == labels[anchor] and i != anchor]


def negatives_of(anchor: int, labels: Sequence[int]) -> list[int]:
    return [i for i, label in enumerate(labels) if label != labels[anchor]]


def pairs(labels: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Every anchor–positive pair that has a negative."""
    for anchor in range(len(labels)):
        if negatives_of(anchor, labels):
            for positive in positives_of(anchor, labels):
                yield anchor, positive


def valid_triplets(labels: Sequence[int]) -> list[Triplet]:
    return [(a, p, n) for a, p in pairs(labels) for n in negatives_of(a, labels)]


def all_triplets(rows: Sequence[Row], labels: Sequence[int], margin: float) -> list[Triplet]:
    d = distance_table(rows)
    return [(a, p, n) for a, p, n in valid_triplets(labels) if d[a][n] < d[a][p] + margin]


def hard_triplets(rows: Sequence[Row], labels: Sequence[int]) -> list[Triplet]:
    d = distance_table(rows)
    found = []
    for anchor in range(len(labels)):
        positives, negatives = positives_of(anchor, labels), negatives_of(anchor, labels)
        if positives and negatives:
            farthest = max(positives, key=lambda i: (d[anchor][i], -i))
            closest = min(negatives, key=lambda i: (d[anchor][i], i))
            found.append((anchor, farthest, closest))
    return found


def semihard_triplets(rows: Sequence[Row], labels: Sequence[int], margin: float, fallback: str) -> list[Triplet]:
    d = distance_table(rows)
    found = []
    for a, p in pairs(labels):
        negatives = negatives_of(a, labels)
        inside = [n for n in negatives if d[a][p] < d[a][n] < d[a][p] + margin]
        if inside:
            found.append((a, p, min(inside, key=lambda n: (d[a][n], n))))
        elif fallback == "hardest":
            found.append((a, p, min(negatives, key=lambda n: (d[a][n], n))))
        elif fallback == "easiest":
            found.append((a, p, max(negatives, key=lambda n: (d[a][n], -n))))
    return found


def tensorflow_semihard_loss(rows: Sequence[Row], labels: Sequence[int], margin: float) -> float:
    """TensorFlow Addons' ``triplet_semihard_loss``: the closest negative beyond the positive, else the farthest."""
    d = distance_table(rows)
    losses = []
    for a, p in pairs(labels):
        distances = [d[a][n] for n in negatives_of(a, labels)]
        beyond = [distance for distance in distances if distance > d[a][p]]
        losses.append(max(0.0, margin + d[a][p] - (min(beyond) if beyond else max(distances))))
    return sum(losses) / len(losses)


def distance_weights(rows: Sequence[Row], labels: Sequence[int], anchor: int) -> dict[int, float]:
    """Chance of each negative of an anchor under distance-weighted sampling; empty if none is within reach."""
    k = len(rows[0])
    weights = {}
    for n in negatives_of(anchor, labels):
        distance = math.sqrt(squared_l2(rows[anchor], rows[n]))
        if distance < 1.4:
            d = max(distance, 0.5)
            weights[n] = 1.0 / (d ** (k - 2) * (1.0 - d * d / 4.0) ** ((k - 3) / 2))
    total = sum(weights.values())
    return {n: weight / total for n, weight in weights.items()}


def triplet_losses(rows: Sequence[Row], triplets: Sequence[Triplet], margin: float, soft: bool) -> list[float]:
    d = distance_table(rows)
    if soft:
        return [math.log1p(math.exp(d[a][p] - d[a][n])) for a, p, n in triplets]
    return [max(0.0, d[a][p] - d[a][n] + margin) for a, p, n in triplets]


def mean_pairwise_squared_l2(rows: Sequence[Row]) -> float:
    d = distance_table(rows)
    pairs_of_two = [(i, j) for i in range(len(rows)) for j in range(len(rows)) if i != j]
    return sum(d[i][j] for i, j in pairs_of_two) / len(pairs_of_two)
