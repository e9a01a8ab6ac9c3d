"""Templates: several pictures of one person, compared as one.

The protocol of the IJB sets with averaged features, as in Crosswhite et al., "Template Adaptation for Face
Verification and Identification" (FG 2017), and Cao et al., "VGGFace2" (FG 2018): the embeddings of one medium, a photo
or the frames of one video, are averaged, so that a long video weighs no more than a photo; these means are averaged
over the template and brought to length 1. Means are taken of unit embeddings, and no medium's mean is lengthened.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from facenet.errors import InputError
from facenet.evaluation.comparisons import Comparisons, count_as_wrong
from facenet.evaluation.ijbfiles import Media, TemplatePairs
from facenet.evaluation.scoring import score_rows
from facenet.geometry import normalise

_NAMED = 3
_PICTURES_AT_ONCE = 2**14
_NO_DIRECTION = 1e-6
"""A mean this short is rounding: its pictures cancel one another out."""


@dataclass(frozen=True, eq=False)
class Templates:
    """Templates with one embedding each.

    Attributes:
        ids: ``(t,)`` int64, rising.
        embeddings: ``float32 (t, d)`` on the CPU, unit rows; NaN where the template has failed: none of its pictures
            has an embedding, or they cancel one another out.
        media: ``(t,)`` int32, how many media are in the embedding.
        pictures: ``(t,)`` int32, how many pictures are in it.
        left_out: ``(t,)`` int32, how many pictures of the template are not, as they have no embedding.
        shown: ``(t,)`` int64, line of the media file (counted from 0) of the first picture that is in it; of a failed
            template, of its first.
    """

    ids: NDArray[np.int64]
    embeddings: Tensor
    media: NDArray[np.int32]
    pictures: NDArray[np.int32]
    left_out: NDArray[np.int32]
    shown: NDArray[np.int64]

    def __post_init__(self) -> None:
        columns = (self.media, self.pictures, self.left_out, self.shown)
        if self.embeddings.shape[:1] != (len(self),) or any(column.shape != (len(self),) for column in columns):
            raise InputError(f"{len(self)} templates need one embedding and one count of each kind")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def failed(self) -> NDArray[np.bool_]:
        """``(t,)`` bool: templates without an embedding."""
        return self.embeddings.isnan().any(dim=1).numpy()


def fuse_templates(
    embeddings: Tensor,
    media: Media,
    *,
    failed: NDArray[np.bool_] | None = None,
    rows: NDArray[np.integer[Any]] | None = None,
) -> Templates:
    """Mean over the embeddings of one medium, then over the media of a template, brought to length 1.

    Args:
        embeddings: ``(m, d)`` floats, unit rows; besides, memory for some ten thousand rows is needed.
        media: ``n`` lines that say which template and medium a picture belongs to. One medium in two templates is two.
        failed: ``(m,)`` bool, rows that are no embeddings, whatever stands there.
        rows: ``(n,)`` the row of ``embeddings`` for each line of ``media``; without it, there is one for each, in
            order.

    Raises:
        InputError: arrays that do not fit together; a row that is not finite and not among ``failed``.
    """
    places = np.arange(len(media)) if rows is None else rows
    usable = np.ones(len(embeddings), dtype=np.bool_) if failed is None else ~failed
    fits = places.shape == (len(media),) and (rows is not None or len(embeddings) == len(media))
    if embeddings.ndim != 2 or not fits:
        raise InputError(f"{len(media):,} pictures need one embedding each, got {tuple(embeddings.shape)}")
    if usable.shape != embeddings.shape[:1]:
        raise InputError(f"each of {len(embeddings):,} embeddings either failed or not, got {usable.shape}")
    if len(places) and (places.min() < 0 or places.max() >= len(embeddings)):
        raise InputError(f"pictures name rows beyond the {len(embeddings):,} that there are")
    used = usable[places]
    ids, owners = np.unique(media.templates, return_inverse=True)
    lines = np.lexsort((media.media, owners))
    lines = lines[used[lines]]
    fused = np.full((len(ids), embeddings.shape[1]), np.nan, dtype=np.float32)
    counts = np.zeros(len(ids), dtype=np.int32)
    for block in _blocks(owners[lines]):
        part = lines[block]
        fetched = torch.from_numpy(places[part]).to(embeddings.device)
        values = embeddings.index_select(0, fetched).float().cpu().numpy()
        if not np.isfinite(values).all():
            raise InputError("some embeddings are not finite, and not among the failed ones")
        template, medium = owners[part], media.media[part]
        starts = _starts(template, medium)
        of_media = _means(values, starts)
        ends = _starts(template[starts])
        fused[template[starts][ends]] = _means(of_media, ends)
        counts[template[starts][ends]] = np.diff(ends, append=len(starts))
    fused[np.linalg.norm(fused, axis=1) < _NO_DIRECTION] = np.nan
    pictures = np.bincount(owners[used], minlength=len(ids)).astype(np.int32)
    left_out = np.bincount(owners[~used], minlength=len(ids)).astype(np.int32)
    return Templates(ids, normalise(torch.from_numpy(fused)), counts, pictures, left_out, _first_of(owners, used))


def _blocks(owners: NDArray[np.int64]) -> list[slice]:
    """Parts of a sorted array, of some ten thousand elements, in which no template is divided."""
    starts = _starts(owners)
    wanted = np.arange(0, len(owners), _PICTURES_AT_ONCE)
    cuts = np.unique(starts[np.searchsorted(starts, wanted, side="right") - 1])
    return [slice(start, end) for start, end in pairwise([*cuts.tolist(), len(owners)])]


def _starts(*columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where in sorted columns another value begins."""
    changes = np.logical_or.reduce([column[1:] != column[:-1] for column in columns])
    return np.flatnonzero(np.concatenate([[len(columns[0]) > 0], changes]))


def _means(values: NDArray[np.float32], starts: NDArray[np.int64]) -> NDArray[np.float32]:
    """Mean of the rows from each start to the next."""
    sums: NDArray[np.float32] = np.add.reduceat(values, starts, axis=0)
    sums /= np.diff(starts, append=len(values))[:, np.newaxis]
    return sums


def _first_of(owners: NDArray[np.int64], used: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The first used row of each owner, or its first."""
    order = np.lexsort((np.arange(len(owners)), ~used, owners))
    return order[_starts(owners[order])]


def compare_templates(templates: Templates, pairs: TemplatePairs) -> Comparisons:
    """Score pairs of templates.

    The files say which templates are of one person, not who that is. So a person is what genuine pairs link, directly
    or over others: one whose templates are not all linked counts as several, which makes intervals by person too
    narrow.

    Args:
        templates: all that ``pairs`` name, and perhaps others.
        pairs: what to compare. About 60 bytes a pair are needed besides.

    Returns:
        Comparisons whose sample ``i`` is template ``i``. Those with a failed template count as wrong.

    Raises:
        InputError: pairs name templates that are not there (all are counted), or call two templates of one person
            impostors.
    """
    first, second = _found(templates.ids, pairs.first, pairs.second)
    owners = _linked(len(templates), first[pairs.genuine], second[pairs.genuine])
    contradictions = int(np.count_nonzero((owners[first] == owners[second]) != pairs.genuine))
    if contradictions:
        raise InputError(
            f"{contradictions:,} of {len(pairs):,} pairs are labelled impostors, but genuine pairs link their templates"
        )
    scores = score_rows(templates.embeddings, first, second)
    bad = templates.failed
    if not bad.any():
        return Comparisons(scores, pairs.genuine, first, second, owners)
    failed = bad[first] | bad[second]
    return Comparisons(
        count_as_wrong(scores, pairs.genuine, failed), pairs.genuine, first, second, owners, failed=failed
    )


def _found(ids: NDArray[np.int64], *columns: NDArray[np.int64]) -> list[NDArray[np.int32]]:
    """The place of each id of each column among ``ids``."""
    places, unknown = [], []
    for column in columns:
        place = np.searchsorted(ids, column).astype(np.int32)
        np.minimum(place, len(ids) - 1, out=place)
        strange = ids[place] != column
        if strange.any():
            unknown.append(np.unique(column[strange]))
        places.append(place)
    if unknown:
        strangers = np.unique(np.concatenate(unknown))
        named = ", ".join(map(str, strangers[:_NAMED])) + (" and others" if len(strangers) > _NAMED else "")
        raise InputError(f"pairs name {len(strangers):,} templates that no picture belongs to: {named}")
    return places


def _linked(count: int, first: NDArray[np.int32], second: NDArray[np.int32]) -> NDArray[np.int32]:
    """A person for each template."""
    links = coo_array((np.ones(len(first), dtype=np.bool_), (first, second)), shape=(count, count))
    return connected_components(links, directed=False)[1].astype(np.int32)
