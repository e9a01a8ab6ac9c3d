"""How FAISS computes, set for the length of one of our own calls."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import faiss

_products = threading.Lock()
_products_under_way = 0
_usual_threshold = 0
_FEWEST = 1


@contextmanager
def matrix_products() -> Iterator[None]:
    """Let FAISS compare vectors by matrix products, however few queries there are.

    By default it does so from 128,000 queries on. What decides is a variable of the whole process; it is put back when
    the last of the searches that run at the same time is done. Other users of FAISS get the same answers meanwhile.
    """
    global _products_under_way, _usual_threshold
    with _products:
        if _products_under_way == 0:
            _usual_threshold = faiss.cvar.distance_compute_blas_threshold
            faiss.cvar.distance_compute_blas_threshold = _FEWEST
        _products_under_way += 1
    try:
        yield
    finally:
        with _products:
            _products_under_way -= 1
            if _products_under_way == 0:
                faiss.cvar.distance_compute_blas_threshold = _usual_threshold


@contextmanager
def one_thread(small: bool = True) -> Iterator[None]:
    """Let FAISS compute in the calling thread only, if the work is small: threads would mostly wait for each other.

    Applies to the calling thread and what it calls.
    """
    usual = faiss.omp_get_max_threads()
    if small:
        faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        if small:
            faiss.omp_set_num_threads(usual)
