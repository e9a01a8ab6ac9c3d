"""Which kinds of index there are, and which one is used."""

from __future__ import annotations

from facenet.gallery.approximate import HnswIndex, IvfIndex
from facenet.gallery.exact import ExactIndex
from facenet.gallery.index import VectorIndex
from facenet.gallery.records import IndexKind
from facenet.gallery.rows import Rows

_KINDS: dict[IndexKind, type[VectorIndex]] = {kind.kind: kind for kind in (ExactIndex, HnswIndex, IvfIndex)}
_EXACT_UP_TO = 64_000_000
"""Values in all rows (500,000 of 128 or 125,000 of 512) up to which ``AUTO`` is exact: there a query takes about
20 ms."""


def kind_for(wanted: IndexKind, rows: int, size: int, present: IndexKind | None = None) -> IndexKind:
    """The kind of index to use.

    ``AUTO`` is exact up to 64 million values and IVF above. Measured with 300,000 rows of 128 values, a query takes IVF
    0.2 ms where people form groups and 0.3 ms where not, HNSW 1 ms and 4 ms, both with at least 99 % of the right
    people; and IVF is built in a fortieth of the time.

    Args:
        wanted: as the gallery's header says.
        rows: how many there are.
        size: values in each.
        present: kind in use; ``AUTO`` stays with it until the rows are twice, or half, as many as would change it.
    """
    if wanted is not IndexKind.AUTO:
        return wanted
    limit: float = _EXACT_UP_TO
    if present is IndexKind.EXACT:
        limit = 2 * limit
    elif present is not None:
        limit = limit / 2
    return IndexKind.EXACT if rows * size <= limit else IndexKind.IVF


def make_index(kind: IndexKind, rows: Rows) -> VectorIndex:
    """An index of one kind (not ``AUTO``) over ``rows``; to be built or restored unless there are none."""
    return _KINDS[kind](rows)


def revealing_parts(kind: IndexKind) -> frozenset[str]:
    """See :attr:`facenet.gallery.index.VectorIndex.revealing`."""
    return _KINDS[kind].revealing
