"""Pictures that look the same although their files differ: saved again, scaled, recoloured, slightly cropped.

A perceptual hash finds candidates quickly; a small grey thumbnail confirms them. The hash alone is not enough here:
cropped faces are all alike to it, and of the pairs of aligned faces within 8 bits a third show different people.
The two thresholds were set on aligned celebrity faces and on Labeled Faces in the Wild: every confirmed pair that was
looked at is one photograph, and hardly a copy is missed that shows the same part of it.
"""

from __future__ import annotations

import faiss
import numpy as np
from PIL import Image
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

MOST_BITS = 8
"""Largest Hamming distance of two hashes of 64 bits."""

LEAST_CORRELATION = 0.97
"""Smallest correlation of two thumbnails."""

_HASH_BYTES = 8
_THUMBNAIL = 16
LOOK_BYTES = _HASH_BYTES + _THUMBNAIL**2
"""What is remembered of a picture: little enough for half a million of them."""

_HASHED = 32
_FREQUENCIES = 8
_LEAST_CONTRAST = 2.0
_BLOCK = 4096


def look(image: np.ndarray) -> np.ndarray:
    """What is remembered of a picture: a hash, and behind it a thumbnail.

    The hash compares the 8×8 lowest frequencies of the grey picture at 32×32 with their median (the "pHash" of
    C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010).

    Args:
        image: ``uint8 (H, W, 3)``.

    Returns:
        ``uint8 (264,)``: hash (8 bytes), then thumbnail (16×16 grey levels).
    """
    small = Image.fromarray(image).resize((_HASHED, _HASHED), Image.Resampling.BOX).convert("L")
    grey = np.asarray(small, dtype=np.float32)
    low = dctn(grey, norm="ortho")[:_FREQUENCIES, :_FREQUENCIES].ravel()
    cell = _HASHED // _THUMBNAIL
    thumbnail = grey.reshape(_THUMBNAIL, cell, _THUMBNAIL, cell).mean(axis=(1, 3))
    return np.concatenate([np.packbits(low > np.median(low)), np.round(thumbnail).astype(np.uint8).ravel()])


def near_pairs(looks: np.ndarray) -> np.ndarray:
    """All pairs of pictures that look the same.

    Compares all with all, in blocks: ten thousand pictures take a moment, half a million some minutes.

    Args:
        looks: ``uint8 (n, 264)``, a row of :func:`look` for each picture.

    Returns:
        ``int64 (m, 2)``, the smaller index first, in ascending order. Nearly blank pictures are in no pair.
    """
    # Blank pictures have a hash of rounding errors; they would all be candidates for each other.
    telling = np.array([row[_HASH_BYTES:].std() >= _LEAST_CONTRAST for row in looks], dtype=bool)
    hashes, thumbnails = np.ascontiguousarray(looks[telling, :_HASH_BYTES]), looks[telling, _HASH_BYTES:]
    index = faiss.IndexBinaryFlat(_HASH_BYTES * 8)
    index.add(hashes)
    found = []
    for start in range(0, len(hashes), _BLOCK):
        # The radius is exclusive.
        limits, _, candidates = index.range_search(hashes[start : start + _BLOCK], MOST_BITS + 1)
        first = start + np.repeat(np.arange(len(limits) - 1), np.diff(limits).astype(np.int64))
        once = first < candidates
        first, second = first[once], candidates[once]
        alike = _correlation(thumbnails, first, second) >= LEAST_CORRELATION
        found.append(np.stack([first[alike], second[alike]], axis=1))
    if not found:
        return np.empty((0, 2), dtype=np.int64)
    pairs = np.flatnonzero(telling)[np.concatenate(found)]
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def linked(n: int, pairs: np.ndarray) -> list[np.ndarray]:
    """Groups of at least two among ``n`` things joined by ``pairs`` ``int (m, 2)``, directly or through others."""
    graph = coo_array((np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    _, group = connected_components(graph, directed=False)
    order = np.argsort(group, kind="stable")
    _, starts = np.unique(group[order], return_index=True)
    groups = [members for members in np.split(order, starts[1:]) if len(members) > 1]
    return sorted(groups, key=lambda members: int(members[0]))


def _correlation(thumbnails: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pearson correlation of row ``first[i]`` with row ``second[i]``: blind to brightness and contrast."""
    result = np.empty(len(first), dtype=np.float32)
    for start in range(0, len(first), _BLOCK):
        part = slice(start, start + _BLOCK)
        a, b = (thumbnails[rows[part]].astype(np.float32) for rows in (first, second))
        a -= a.mean(axis=1, keepdims=True)
        b -= b.mean(axis=1, keepdims=True)
        result[part] = (a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    return result
