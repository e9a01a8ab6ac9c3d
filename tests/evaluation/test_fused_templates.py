"""Templates: means as a loop takes them, and comparisons in which nobody gains by failing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import oracles_templates as oracle
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from facenet import geometry
from facenet.errors import InputError
from facenet.evaluation import templates as module
from facenet.evaluation.ijbfiles import Media, TemplatePairs
from facenet.evaluation.templates import Templates, compare_templates, fuse_templates


def media_of(templates: Sequence[int], media: Sequence[int]) -> Media:
    names = tuple(f"{number}.jpg" for number in range(len(templates)))
    return Media(names, np.array(templates, dtype=np.int64), np.array(media, dtype=np.int64))


def pairs_of(*rows: tuple[int, int, bool]) -> TemplatePairs:
    first, second, genuine = zip(*rows, strict=True)
    return TemplatePairs(np.array(first), np.array(second), np.array(genuine, dtype=np.bool_))


def embeddings_of(count: int, seed: int = 0, size: int = 6) -> Tensor:
    return geometry.normalise(torch.randn(count, size, generator=torch.Generator().manual_seed(seed)))


def test_a_long_video_weighs_no_more_than_a_photo() -> None:
    """Nine frames that look one way and a photo that looks another: the template lies half-way."""
    rows = torch.tensor([[1.0, 0.0]] * 9 + [[0.0, 1.0]])
    fused = fuse_templates(rows, media_of([4] * 10, [1] * 9 + [2]))
    torch.testing.assert_close(fused.embeddings, torch.full((1, 2), 0.5**0.5))
    assert (fused.ids.tolist(), fused.media.tolist(), fused.pictures.tolist()) == ([4], [2], [10])


def test_the_mean_of_a_medium_is_not_lengthened() -> None:
    """Two frames at right angles average to a short vector, which pulls less than a photo's."""
    rows = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    fused = fuse_templates(rows, media_of([1, 1, 1], [5, 5, 6]))
    torch.testing.assert_close(fused.embeddings, geometry.normalise(torch.tensor([[0.5, 0.5, 1.0]])))


pictures = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3), st.booleans()), min_size=1, max_size=40)


@settings(deadline=None)
@given(pictures, st.integers(1, 40), st.integers(0, 5), st.randoms(use_true_random=False))
def test_templates_are_what_a_loop_makes_whatever_block_and_order(
    rows: list[tuple[int, int, bool]], at_once: int, seed: int, random: object
) -> None:
    order = list(range(len(rows)))
    random.shuffle(order)  # type: ignore[attr-defined]
    embeddings = embeddings_of(len(rows), seed)
    templates, media, bad = ([row[place] for row in rows] for place in range(3))
    wanted = oracle.fused(embeddings.tolist(), templates, media, bad)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_PICTURES_AT_ONCE", at_once)
        fused = fuse_templates(
            embeddings[order],
            media_of([templates[place] for place in order], [media[place] for place in order]),
            failed=np.array(bad)[order],
        )
    assert fused.ids.tolist() == list(wanted)
    assert fused.failed.tolist() == [value is None for value in wanted.values()]
    for place, (template, value) in enumerate(wanted.items()):
        own = [(number, row) for number, row in enumerate(rows) if row[0] == template]
        good = [(number, row) for number, row in own if not row[2]]
        assert fused.pictures[place] == len(good) and fused.left_out[place] == len(own) - len(good)
        assert fused.media[place] == len({row[1] for _, row in good})
        assert order[fused.shown[place]] in [number for number, _ in good or own]
        if value is not None:
            np.testing.assert_allclose(fused.embeddings[place].numpy(), value, atol=2e-6)


def test_pictures_without_an_embedding_are_left_out_and_counted() -> None:
    rows = embeddings_of(5)
    rows[1] = torch.nan
    rows[3:] = torch.nan
    failed = np.array([False, True, False, True, True])
    fused = fuse_templates(rows, media_of([8, 8, 8, 9, 9], [1, 1, 2, 1, 1]), failed=failed)
    torch.testing.assert_close(fused.embeddings[:1], geometry.normalise(rows[[0, 2]].mean(0, keepdim=True)))
    assert fused.failed.tolist() == [False, True]
    assert (fused.pictures.tolist(), fused.left_out.tolist()) == ([2, 0], [1, 2])
    assert (fused.media.tolist(), fused.shown.tolist()) == ([2, 0], [0, 3])
    everyone = fuse_templates(rows, media_of([8, 8, 8, 9, 9], [1, 1, 2, 1, 1]), failed=np.ones(5, dtype=np.bool_))
    assert everyone.failed.all() and everyone.left_out.tolist() == [3, 2]


def test_one_picture_may_be_in_several_templates() -> None:
    rows, failed = embeddings_of(3), np.array([False, True, False])
    media, places = media_of([1, 1, 2, 2, 3], [1, 2, 1, 1, 1]), np.array([2, 1, 0, 2, 2])
    found = fuse_templates(rows, media, failed=failed, rows=places)
    wanted = fuse_templates(rows[places], media, failed=failed[places])
    torch.testing.assert_close(found.embeddings, wanted.embeddings)
    assert found.left_out.tolist() == wanted.left_out.tolist() == [1, 0, 0]


def test_pictures_that_cancel_one_another_out_make_no_template() -> None:
    row = embeddings_of(1)
    fused = fuse_templates(torch.cat([row, -row, row]), media_of([1, 1, 2], [1, 2, 1]))
    assert fused.failed.tolist() == [True, False]


def test_bad_embeddings_are_refused() -> None:
    media = media_of([1, 1], [1, 2])
    rows = embeddings_of(2)
    rows[1, 0] = torch.nan
    with pytest.raises(InputError, match="not finite"):
        fuse_templates(rows, media)
    for bad in (embeddings_of(3), embeddings_of(2)[0]):
        with pytest.raises(InputError, match="one embedding each"):
            fuse_templates(bad, media)
    with pytest.raises(InputError, match="either failed or not"):
        fuse_templates(embeddings_of(2), media, failed=np.array([True]))
    for rows_of, message in (([0], "one embedding each"), ([0, 3], "beyond the 3"), ([-1, 0], "beyond the 3")):
        with pytest.raises(InputError, match=message):
            fuse_templates(embeddings_of(3), media, rows=np.array(rows_of))
    counts = np.ones(1, dtype=np.int32)
    with pytest.raises(InputError, match="one embedding and one count"):
        Templates(np.array([1]), embeddings_of(2), counts, counts, counts, np.array([0]))


def fused_of(count: int, failed: Sequence[int] = ()) -> Templates:
    """Templates 100, 101, … of one picture each."""
    bad = np.isin(np.arange(count), failed)
    return fuse_templates(embeddings_of(count), media_of(range(100, 100 + count), [1] * count), failed=bad)


def test_people_are_what_genuine_pairs_link() -> None:
    pairs = pairs_of((100, 102, True), (104, 102, True), (101, 105, True), (100, 101, False), (103, 104, False))
    found = compare_templates(fused_of(6), pairs)
    assert found.first.tolist() == [0, 4, 1, 0, 3] and found.second.tolist() == [2, 2, 5, 1, 4]
    a, b, c, d, e, f = found.owners.tolist()
    assert a == c == e and b == f and len({a, b, d}) == 3
    assert found.failed is None and found.genuine.tolist() == pairs.genuine.tolist()


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12), st.lists(st.integers(0, 9), max_size=3))
def test_comparisons_are_what_a_loop_finds(links: list[tuple[int, int]], failed: list[int]) -> None:
    links = [(one, other) for one, other in links if one != other]
    owners = oracle.linked(10, links)
    others = [(one, other) for one in range(10) for other in range(one) if owners[one] != owners[other]]
    rows = [(100 + a, 100 + b, True) for a, b in links] + [(100 + a, 100 + b, False) for a, b in others]
    if not rows:
        return
    templates = fused_of(10, failed)
    found = compare_templates(templates, pairs_of(*rows))
    values = templates.embeddings.tolist()
    for place, (one, other, same) in enumerate(rows):
        wrong = (one - 100) in failed or (other - 100) in failed
        score = (-1.0 if same else 1.0) if wrong else oracle.cosine(values[one - 100], values[other - 100])
        assert found.scores[place] == pytest.approx(score, abs=1e-6)
        assert (found.failed is not None and bool(found.failed[place])) == wrong
    assert found.failures == sum(one - 100 in failed or other - 100 in failed for one, other, _ in rows)
    assert [owners[a] == owners[b] for a, b in links + others] == found.genuine.tolist()


def test_labels_that_contradict_one_another_are_counted() -> None:
    rows = [(100, 101, True), (101, 102, True), (102, 100, False), (100, 102, False), (103, 100, False)]
    with pytest.raises(InputError, match="2 of 5 pairs are labelled impostors"):
        compare_templates(fused_of(4), pairs_of(*rows))


def test_templates_that_are_not_there_are_counted() -> None:
    rows = [(100, 7, False), (8, 101, False), (9999, 7, False), (100, 50, False), (101, 8, False)]
    with pytest.raises(InputError, match="4 templates that no picture belongs to: 7, 8, 50 and others"):
        compare_templates(fused_of(4), pairs_of(*rows))


def test_ideal_templates_are_told_apart_and_constant_ones_tie() -> None:
    labels = np.arange(12) // 3
    media = media_of(range(100, 112), [1] * 12)
    rows = [(100 + a, 100 + b, bool(labels[a] == labels[b])) for a in range(12) for b in range(a)]

    def scores(rows_of: Tensor) -> NDArray[np.float32]:
        return compare_templates(fuse_templates(rows_of, media), pairs_of(*rows)).scores

    genuine = pairs_of(*rows).genuine
    np.testing.assert_array_equal(scores(torch.eye(4)[torch.from_numpy(labels)]), genuine.astype(np.float32))
    assert len(np.unique(scores(embeddings_of(1).expand(12, 6)))) == 1
