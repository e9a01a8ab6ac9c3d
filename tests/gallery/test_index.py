"""Every kind of index finds whom loops find, whatever was put in and taken out."""

from __future__ import annotations

import subprocess
import sys
import threading

import faiss
import numpy as np
import pytest
from gallery_tools import SIZE, unit
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles_gallery import agree, search_slowly

from facenet.gallery import exact as exact_module
from facenet.gallery.approximate import IvfIndex
from facenet.gallery.exact import ExactIndex
from facenet.gallery.faiss_settings import matrix_products, one_thread
from facenet.gallery.index import VectorIndex, best_people
from facenet.gallery.kinds import kind_for, make_index
from facenet.gallery.recall import made_up_queries, measured_recall
from facenet.gallery.records import IndexKind
from facenet.gallery.rows import Rows

KINDS = [IndexKind.EXACT, IndexKind.HNSW, IndexKind.IVF]
every_kind = pytest.mark.parametrize("kind", KINDS)


def forever(count: int) -> np.ndarray:
    return np.full(count, np.inf)


def filled(kind: IndexKind, persons: np.ndarray, rows: np.ndarray, size: int = SIZE) -> VectorIndex:
    index = make_index(kind, Rows(size))
    index.replace(np.asarray(persons, np.int64), rows, forever(len(persons)))
    index.build()
    return index


def answers(index: VectorIndex, queries: np.ndarray, k: int) -> list[list[tuple[int, float]]]:
    persons, scores = index.search(queries, k)
    assert persons.shape == scores.shape == (len(queries), k)
    assert persons.dtype == np.int64 and scores.dtype == np.float32
    assert np.array_equal(persons < 0, np.isneginf(scores))
    return [
        [(p, s) for p, s in zip(line, values, strict=True) if p >= 0]
        for line, values in zip(persons.tolist(), scores.tolist(), strict=True)
    ]


@every_kind
@pytest.mark.parametrize("each", [1, 3])
def test_finds_whom_loops_find(kind: IndexKind, each: int) -> None:
    persons, rows = np.repeat(np.arange(40) * 2 + 1, each), unit(40 * each, seed=1)
    index = filled(kind, persons, rows)
    queries = unit(6, seed=2)
    for k in (1, 2, 5, 40, 100):
        for query, found in zip(queries, answers(index, queries, k), strict=True):
            assert agree(found, search_slowly(persons.tolist(), rows.tolist(), query.tolist(), k))


@settings(deadline=None, max_examples=60)
@given(data=st.data(), kind=st.sampled_from(KINDS), seed=st.integers(0, 10_000))
def test_replacing_and_removing_like_a_dictionary(data: st.DataObject, kind: IndexKind, seed: int) -> None:
    generator = np.random.default_rng(seed)
    present: dict[int, np.ndarray] = {}
    index = make_index(kind, Rows(SIZE))
    index.build()
    for _ in range(data.draw(st.integers(1, 12))):
        chosen = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=4, unique=True))
        if data.draw(st.booleans()):
            new = {person: unit(int(generator.integers(1, 4)), seed=int(generator.integers(1e6))) for person in chosen}
            present |= new
            persons = np.repeat(list(new), [len(rows) for rows in new.values()]).astype(np.int64)
            index.replace(persons, np.concatenate(list(new.values())), forever(len(persons)))
        else:
            for person in chosen:
                present.pop(person, None)
            index.remove(np.array(chosen))
        persons = [person for person, rows in present.items() for _ in rows]
        rows = [row.tolist() for own in present.values() for row in own]
        assert index.people == len(present) and index.rows.alive == len(rows)
        query = unit(1, seed=int(generator.integers(1e6)))
        k = data.draw(st.integers(1, 12))
        assert agree(answers(index, query, k)[0], search_slowly(persons, rows, query[0].tolist(), k))


@every_kind
def test_nobody_dead_is_found_when_all_living_score_below_zero(kind: IndexKind) -> None:
    query = unit(1, seed=4)
    towards = -np.abs(unit(400, seed=5)) * np.sign(query)
    index = filled(kind, np.arange(400), (towards / np.linalg.norm(towards, axis=1, keepdims=True)).astype(np.float32))
    index.remove(np.arange(0, 300))
    persons, scores = index.search(query, 3)
    assert (persons >= 300).all() and (scores < 0).all() and (np.diff(scores[0]) <= 0).all()


@every_kind
def test_equal_scores_are_ordered_by_person(kind: IndexKind) -> None:
    row = unit(1, seed=6)
    index = filled(kind, np.arange(50)[::-1], np.repeat(row, 50, axis=0))
    persons, scores = index.search(np.concatenate([row, unit(1, seed=7)]), 50)
    assert (persons == np.arange(50)).all() and (scores == scores[:, :1]).all()


def test_exact_ties_at_the_edge_go_to_the_lowest_ids_in_a_large_index() -> None:
    row = unit(1, seed=8)
    order = np.random.default_rng(0).permutation(6000)
    index = filled(IndexKind.EXACT, order, np.where((order < 3000)[:, None], row, unit(6000, seed=9)))
    assert index.search(row, 5)[0].tolist() == [[0, 1, 2, 3, 4]]


def test_one_person_with_a_thousand_rows_crowds_nobody_out() -> None:
    near = unit(1, seed=10) + 0.01 * unit(1000, seed=11)
    rows = np.concatenate([near / np.linalg.norm(near, axis=1, keepdims=True), unit(5000, seed=12)]).astype(np.float32)
    persons = np.concatenate([np.zeros(1000), np.arange(1, 5001)]).astype(np.int64)
    index = filled(IndexKind.EXACT, persons, rows)
    query = unit(1, seed=10)
    expected = search_slowly(persons.tolist(), rows.tolist(), query[0].tolist(), 7)
    assert agree(answers(index, query, 7)[0], expected)
    assert expected[0][0] == 0


@every_kind
def test_a_query_scores_the_same_alone_and_among_others_and_in_every_kind(kind: IndexKind) -> None:
    persons, rows, queries = np.arange(3000), unit(3000, seed=13), unit(70, seed=14)
    index, exact = filled(kind, persons, rows), filled(IndexKind.EXACT, persons, rows)
    together, scores = index.search(queries, 5)
    for i in (0, 1, 33, 69):
        alone = index.search(queries[i : i + 1], 5)
        assert np.array_equal(alone[0][0], together[i]) and np.array_equal(alone[1][0], scores[i])
    same = together == exact.search(queries, 5)[0]
    assert np.array_equal(scores[same], exact.search(queries, 5)[1][same])
    assert same[:, 0].mean() > 0.9


@every_kind
def test_scores_stay_in_range(kind: IndexKind) -> None:
    rows = unit(200, seed=15)
    rows = np.concatenate([rows, -rows])
    _, scores = filled(kind, np.arange(400), rows).search(rows, 400)
    assert scores.max() <= 1.0 and scores.min() >= -1.0
    assert (scores[:, 0] > 1.0 - 1e-6).all() and (scores[:, -1] < -1.0 + 1e-6).all()


@every_kind
def test_empty(kind: IndexKind) -> None:
    index = filled(kind, np.empty(0, np.int64), np.empty((0, SIZE), np.float32))
    persons, scores = index.search(unit(2), 3)
    assert (persons == -1).all() and np.isneginf(scores).all()
    assert index.search(np.empty((0, SIZE), np.float32), 3)[0].shape == (0, 3)
    index.remove(np.array([5]))
    assert measured_recall(index) == 1.0


@every_kind
def test_expired_people_go_and_the_others_stay(kind: IndexKind) -> None:
    index = make_index(kind, Rows(SIZE))
    index.replace(np.arange(5), unit(5), np.array([np.inf, 100.0, 200.0, np.inf, 100.0]))
    index.build()
    index.drop_expired(99.9)
    assert index.people == 5
    index.drop_expired(100.0)
    assert set(index.search(unit(1, seed=3), 5)[0][0].tolist()) == {0, 2, 3, -1}
    index.replace(np.array([1]), unit(1), np.array([300.0]))
    index.drop_expired(250.0)
    assert set(index.search(unit(1, seed=3), 5)[0][0].tolist()) == {0, 1, 3, -1}


@every_kind
def test_what_was_removed_is_in_no_part_of_the_index(kind: IndexKind) -> None:
    rows = unit(60, seed=16)
    index = filled(kind, np.arange(60), rows)
    index.remove(np.array([7, 59]))
    parts = [index.rows.vectors.tobytes(), *(array.tobytes() for array in index.structure().values())]
    for gone in (7, 59):
        assert not any(rows[gone].tobytes() in part or rows[gone, :4].tobytes() in part for part in parts)
    assert rows[8].tobytes() in parts[0]


def test_codes_of_removed_people_neither_stay_nor_spoil_those_of_new_ones() -> None:
    index = filled(IndexKind.IVF, np.arange(5000), unit(5000, seed=27))
    index.remove(np.arange(100, 200))
    new = unit(300, seed=28)
    index.replace(np.arange(9000, 9300), new, forever(300))
    assert index.search(new, 1)[0][:, 0].tolist() == list(range(9000, 9300))
    index.remove(np.arange(10_000))
    structure = index.structure()
    assert structure["codes"].tobytes() == structure["trained"].tobytes()


def test_lists_of_few_people_have_random_centres() -> None:
    alone = unit(1, seed=17)
    crowd = unit(1, seed=18) + 0.3 * unit(2000, seed=19)
    rows = np.concatenate([crowd / np.linalg.norm(crowd, axis=1, keepdims=True), alone]).astype(np.float32)
    index = filled(IndexKind.IVF, np.arange(2001), rows)
    trained = faiss.deserialize_index(index.structure()["trained"])
    centres = faiss.downcast_index(trained.quantizer).reconstruct_n()
    assert len(centres) > 4 and (centres @ alone[0]).max() < 0.99


@every_kind
def test_comes_back_from_its_structure(kind: IndexKind) -> None:
    rows, queries = unit(5000, seed=20), unit(20, seed=21)
    index = filled(kind, np.arange(5000), rows)
    index.remove(np.arange(100, 110))
    copy = Rows(SIZE)
    copy.allocate(len(index.rows))
    copy.vectors[:], copy.persons[:] = index.rows.vectors, index.rows.persons
    copy.recount()
    again = make_index(kind, copy)
    assert again.restore(index.structure())
    assert again.people == 4990
    assert np.array_equal(again.search(queries, 3)[0], index.search(queries, 3)[0])
    for both in (again, index):
        both.replace(np.array([9000]), queries[:1], forever(1))
    assert again.search(queries[:1], 1)[0].tolist() == [[9000]]


def test_comes_back_without_the_parts_that_tell() -> None:
    index = filled(IndexKind.IVF, np.arange(3000), unit(3000, seed=22))
    structure = {name: part for name, part in index.structure().items() if name not in IvfIndex.revealing}
    again = make_index(IndexKind.IVF, index.rows)
    assert not again.restore(structure)
    queries = unit(9, seed=23)
    assert np.array_equal(again.search(queries, 2)[0], index.search(queries, 2)[0])


@pytest.mark.parametrize("kind", [IndexKind.HNSW, IndexKind.IVF])
def test_effort_is_tuned_until_nearly_everybody_is_found(kind: IndexKind) -> None:
    index = filled(kind, np.arange(6_000), unit(6_000, 64, seed=24), 64)
    assert measured_recall(index, sample=400, seed=5) >= 0.98


def test_recall_tells_a_bad_index_from_a_good_one() -> None:
    rows = unit(6000, 32, seed=25)
    index = filled(IndexKind.IVF, np.arange(6000), rows, 32)
    assert isinstance(index, IvfIndex)
    good = measured_recall(index)
    index._effort = 1
    assert measured_recall(index) < 0.7 < 0.95 < good


@pytest.mark.parametrize("each", [1, 4])
def test_made_up_queries_are_as_like_their_people_as_other_photos(each: int) -> None:
    generator = np.random.default_rng(1)
    photos = np.repeat(unit(300, 128), each, axis=0) + np.sqrt(2 / 3 / 128) * generator.standard_normal(
        (300 * each, 128)
    )
    photos = (photos / np.linalg.norm(photos, axis=1, keepdims=True)).astype(np.float32)
    rows = Rows(128)
    rows.append(np.repeat(np.arange(300), each), photos, forever(300 * each))
    queries = made_up_queries(rows, 5000, seed=1)
    cosines = (np.repeat(queries, each, axis=0) * photos).sum(axis=1)
    assert len(queries) == 300 and abs(cosines.mean() - 0.6) < 0.02
    assert np.array_equal(queries, made_up_queries(rows, 5000, seed=1))
    assert len(made_up_queries(rows, 10, seed=2)) <= 10


def test_wears_out_when_many_are_gone() -> None:
    index = filled(IndexKind.IVF, np.arange(6000), unit(6000, seed=26))
    assert not index.worn
    index.remove(np.arange(4097))
    assert index.worn


def test_kind_by_size() -> None:
    limit = 64_000_000 // 128
    assert kind_for(IndexKind.AUTO, limit, 128) is IndexKind.EXACT
    assert kind_for(IndexKind.AUTO, limit + 1, 128) is IndexKind.IVF
    assert kind_for(IndexKind.AUTO, 2 * limit, 128, IndexKind.EXACT) is IndexKind.EXACT
    assert kind_for(IndexKind.AUTO, 2 * limit + 1, 128, IndexKind.EXACT) is IndexKind.IVF
    assert kind_for(IndexKind.AUTO, limit // 2 + 1, 128, IndexKind.IVF) is IndexKind.IVF
    assert kind_for(IndexKind.AUTO, limit // 2, 128, IndexKind.IVF) is IndexKind.EXACT
    assert kind_for(IndexKind.HNSW, 10**9, 512, IndexKind.EXACT) is IndexKind.HNSW


def test_best_people_of_candidates() -> None:
    persons = np.array([[3, 1, 3, -1, 2]])
    scores = np.array([[0.5, 0.5, 0.9, -np.inf, 0.1]], np.float32)
    found, best = best_people(persons, scores, 5)
    assert found.tolist() == [[3, 1, 2, -1, -1]]
    np.testing.assert_allclose(best[0, :3], [0.9, 0.5, 0.1])
    assert np.isneginf(best[0, 3:]).all()


def test_the_variable_of_the_process_is_put_back() -> None:
    usual = faiss.cvar.distance_compute_blas_threshold
    with matrix_products():
        assert faiss.cvar.distance_compute_blas_threshold < 64
        with matrix_products():
            pass
        assert faiss.cvar.distance_compute_blas_threshold < 64
    assert faiss.cvar.distance_compute_blas_threshold == usual
    with pytest.raises(ZeroDivisionError), matrix_products():
        raise ZeroDivisionError
    assert faiss.cvar.distance_compute_blas_threshold == usual


def test_threads_are_put_back() -> None:
    usual = faiss.omp_get_max_threads()
    with one_thread():
        assert faiss.omp_get_max_threads() == 1
        with one_thread(False):
            assert faiss.omp_get_max_threads() == 1
    assert faiss.omp_get_max_threads() == usual
    with pytest.raises(ZeroDivisionError), one_thread():
        raise ZeroDivisionError
    assert faiss.omp_get_max_threads() == usual


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_rows_in_parts_for_several_threads(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact_module, "_VALUES_FOR_A_THREAD", 1000)
    monkeypatch.setattr(faiss, "omp_get_max_threads", lambda: threads)
    persons, rows, queries = np.repeat(np.arange(100), 2), unit(200, seed=30), unit(7, seed=31)
    index = filled(IndexKind.EXACT, persons, rows)
    for k in (1, 5, 30, 90):
        for query, found in zip(queries, answers(index, queries, k), strict=True):
            assert agree(found, search_slowly(persons.tolist(), rows.tolist(), query.tolist(), k))


def test_the_variable_is_put_back_by_the_last_of_many_threads() -> None:
    usual = faiss.cvar.distance_compute_blas_threshold
    index = ExactIndex(Rows(SIZE))
    index.replace(np.arange(500), unit(500), forever(500))
    threads = [threading.Thread(target=lambda: [index.search(unit(8), 3) for _ in range(30)]) for _ in range(4)]
    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(switch)
    assert faiss.cvar.distance_compute_blas_threshold == usual


def test_search_works_beside_packages_that_replace_the_methods_of_faiss() -> None:
    """In a process of its own, for what ``torch_utils`` replaces stays replaced."""
    script = (
        "import faiss.contrib.torch_utils, numpy as np\n"
        "from facenet.gallery.kinds import make_index\n"
        "from facenet.gallery.records import IndexKind\n"
        "from facenet.gallery.rows import Rows\n"
        "rows = np.eye(32, dtype=np.float32)\n"
        "for kind in (IndexKind.EXACT, IndexKind.HNSW, IndexKind.IVF):\n"
        "    index = make_index(kind, Rows(32))\n"
        "    index.replace(np.arange(32), rows, np.full(32, np.inf))\n"
        "    index.build()\n"
        "    assert index.search(rows, 1)[0][:, 0].tolist() == list(range(32)), kind\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
