"""The figures of two studies in the same resampled people: what the difference between them is tested by."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facenet.evaluation.classification import Classification
from facenet.evaluation.comparisons import Comparisons
from facenet.evaluation.confidence import replicate_counts, replicate_means, replicate_verification
from facenet.evaluation.halves import accuracy_on_halves, deal_halves
from facenet.evaluation.open_set_findings import fnir_replicates
from facenet.evaluation.precision_recall import decide_best_f1
from facenet.evaluation.retrieval import Retrieval
from facenet.evaluation.searches import Searches
from facenet.evaluation.study import Study


class Replicates(NamedTuple):
    """One figure in data drawn anew, place by place in the same.

    Attributes:
        baseline, other: ``(r,)`` float64, of the first study and of the other one.
        drawn: what was drawn: ``people``, or ``pictures``.
    """

    baseline: NDArray[np.float64]
    other: NDArray[np.float64]
    drawn: str = "people"


_TAR, _FNIR, _RANK, _RECALL, _TOP = "tar_at_fmr_", "fnir_at_fpir_", "rank_", "recall_at_", "top_"


def paired_replicates(
    baseline: Study, other: Study, keys: Iterable[str], *, replicates: int, seed: int
) -> dict[str, Replicates]:
    """Draw people anew, again and again, and look at both studies each time.

    Args:
        baseline, other: studies of the same comparisons (see :func:`facenet.evaluation.studies.study_contents`).
        keys: of findings that both have.
        replicates, seed: of the bootstrap.

    Returns:
        key → replicates, for those of ``keys`` that can be resampled. Replicates in which a figure has no meaning are
        left out, in both.
    """
    wanted = list(keys)
    found: dict[str, Replicates] = {}
    if baseline.comparisons is not None and other.comparisons is not None:
        found |= _verification(baseline.comparisons, other.comparisons, wanted, replicates, seed)
        if "f1" in wanted:
            found |= _f1(baseline.comparisons, other.comparisons, replicates, seed)
        if "balanced_accuracy" in wanted:
            found |= _balanced_accuracy(baseline.comparisons, other.comparisons, replicates, seed)
    if baseline.searches is not None and other.searches is not None:
        found |= _identification(baseline.searches, other.searches, wanted, replicates, seed)
    if baseline.retrieval is not None and other.retrieval is not None:
        found |= _retrieval(baseline.retrieval, other.retrieval, wanted, replicates, seed)
    if baseline.classification is not None and other.classification is not None:
        found |= _classification(baseline.classification, other.classification, wanted, replicates, seed)
    return found


def _verification(
    one: Comparisons, other: Comparisons, keys: list[str], replicates: int, seed: int
) -> dict[str, Replicates]:
    """AUC, EER, average precision, and TAR with the threshold set anew in each replicate."""
    targets = {key: float(key.removeprefix(_TAR)) for key in keys if key.startswith(_TAR)}
    plain = [key for key in ("roc_auc", "eer", "average_precision") if key in keys]
    if not targets and not plain:
        return {}
    a, b = replicate_verification(
        [one.scores, other.scores], one, sorted(set(targets.values())), replicates=replicates, seed=seed
    )
    found = {key: Replicates(getattr(a, key), getattr(b, key)) for key in plain}
    return found | {key: Replicates(a.tar[target], b.tar[target]) for key, target in targets.items()}


def _f1(one: Comparisons, other: Comparisons, replicates: int, seed: int) -> dict[str, Replicates]:
    """F1 of decisions at thresholds that stay as they were fitted on other pairs."""
    decided = [decide_best_f1(comparisons, seed) for comparisons in (one, other)]
    if any(decisions.rule == "none" for decisions in decided):
        return {}
    # Accepted or not, genuine or not; 4 where nothing was decided.
    kinds = [np.where(d.made, 2 * d.accepted + one.genuine, 4) for d in decided]

    def rate(counts: NDArray[np.float64]) -> NDArray[np.float64]:
        missed, wrong, right = counts[:, 1], counts[:, 2], counts[:, 3]
        return _quotient(2 * right, 2 * right + wrong + missed)

    return {"f1": _decided(kinds, 5, rate, one, replicates, seed)}


def _balanced_accuracy(one: Comparisons, other: Comparisons, replicates: int, seed: int) -> dict[str, Replicates]:
    """Balanced accuracy of decisions at thresholds that stay as they were fitted on the other half."""
    people = np.stack([one.owners[one.first], one.owners[one.second]], axis=1)
    kinds = []
    for comparisons in (one, other):
        dealt = deal_halves(comparisons.scores, comparisons.genuine, people, seed)
        fitted = accuracy_on_halves(comparisons.scores, comparisons.genuine, people, seed).thresholds
        if dealt is None:
            return {}
        kind = np.full(len(comparisons), 8)
        for half, (scored, threshold) in enumerate(zip(dealt[1:], fitted[::-1], strict=True)):
            kind[scored] = (4 * half + 2 * (comparisons.scores >= threshold) + comparisons.genuine)[scored]
        kinds.append(kind)

    def rate(counts: NDArray[np.float64]) -> NDArray[np.float64]:
        shares = []
        for half in (counts[:, :4], counts[:, 4:8]):
            shares += [_quotient(half[:, 3], half[:, 1] + half[:, 3]), _quotient(half[:, 0], half[:, 0] + half[:, 2])]
        return np.mean(shares, axis=0)

    return {"balanced_accuracy": _decided(kinds, 9, rate, one, replicates, seed)}


def _decided(
    kinds: list[NDArray[np.integer[Any]]],
    count: int,
    rate: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    comparisons: Comparisons,
    replicates: int,
    seed: int,
) -> Replicates:
    """A rate of decisions of both studies: ``(r, count)`` numbers of comparisons of each kind to ``(r,)``."""
    # Counted together, so that both have the same people and the same comparisons in every replicate.
    both = replicate_counts(count * kinds[0] + kinds[1], count**2, comparisons, replicates=replicates, seed=seed)
    table = both.reshape(-1, count, count)
    rates = rate(table.sum(axis=2)), rate(table.sum(axis=1))
    known = ~(np.isnan(rates[0]) | np.isnan(rates[1]))
    return Replicates(rates[0][known], rates[1][known])


def _quotient(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """``part / whole``, NaN where ``whole`` is 0."""
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def _identification(
    one: Searches, other: Searches, keys: list[str], replicates: int, seed: int
) -> dict[str, Replicates]:
    """Rank-k rates by person who searched, and FNIR with the threshold set anew in each replicate."""
    ranks = {key: int(key.removeprefix(_RANK)) for key in keys if key.startswith(_RANK)}
    targets = {key: float(key.removeprefix(_FNIR)) for key in keys if key.startswith(_FNIR)}
    found = _means(
        one.mated_people,
        list(ranks),
        lambda key: (one.ranks <= ranks[key], other.ranks <= ranks[key]),
        replicates,
        seed,
    )
    if targets:
        a, b = (
            fnir_replicates(searches, sorted(set(targets.values())), replicates=replicates, seed=seed)
            for searches in (one, other)
        )
        found |= {key: Replicates(a[target], b[target]) for key, target in targets.items()}
    return found


def _retrieval(one: Retrieval, other: Retrieval, keys: list[str], replicates: int, seed: int) -> dict[str, Replicates]:
    """Means over queries, by person who asks."""
    names = [key for key in keys if key.startswith(_RECALL) or key in ("r_precision", "map_at_r")]

    def values(retrieval: Retrieval, key: str) -> NDArray[np.float64]:
        if key.startswith(_RECALL):
            return retrieval.recall[:, retrieval.ks.index(int(key.removeprefix(_RECALL)))].astype(np.float64)
        return retrieval.r_precision if key == "r_precision" else retrieval.average_precision_at_r

    return _means(one.people, names, lambda key: (values(one, key), values(other, key)), replicates, seed)


def _means(
    people: NDArray[np.int32],
    keys: list[str],
    values: Callable[[str], tuple[NDArray[np.generic], NDArray[np.generic]]],
    replicates: int,
    seed: int,
) -> dict[str, Replicates]:
    """Means of both studies' values, each counted as often as its person was drawn."""
    if not keys:
        return {}
    columns = [column.astype(np.float64) for key in keys for column in values(key)]
    drawn = replicate_means(np.stack(columns, axis=1), people, replicates=replicates, seed=seed)
    return {key: Replicates(drawn[:, 2 * place], drawn[:, 2 * place + 1]) for place, key in enumerate(keys)}


def _classification(
    one: Classification, other: Classification, keys: list[str], replicates: int, seed: int
) -> dict[str, Replicates]:
    """Shares of pictures, and means over people, of pictures drawn anew within each person: people are the classes."""
    plain = ("accuracy", "balanced_accuracy", "macro_f1", "weighted_f1")
    wanted = [key for key in keys if key in plain or key.startswith(_TOP)]
    if not wanted:
        return {}
    order = np.argsort(one.labels, kind="stable")
    labels, counts = one.labels[order], one.pictures_per_person
    starts, sizes = (np.cumsum(counts) - counts)[labels], counts[labels]
    generator = np.random.default_rng(seed)
    found = np.empty((2, len(wanted), replicates))
    for replicate in range(replicates):
        chosen = order[starts + generator.integers(sizes)]
        for place, study in enumerate((one, other)):
            figures = _figures(study, chosen)
            for row, key in enumerate(wanted):
                rank = int(key.removeprefix(_TOP)) if key.startswith(_TOP) else None
                found[place, row, replicate] = figures[key] if rank is None else np.mean(study.ranks[chosen] <= rank)
    return {key: Replicates(found[0, row], found[1, row], "pictures") for row, key in enumerate(wanted)}


def _figures(study: Classification, chosen: NDArray[np.intp]) -> dict[str, float]:
    """The figures of :class:`facenet.evaluation.classification.Classification`, of the chosen pictures."""
    people = len(study.people)
    labels, decided = study.labels[chosen], study.decided[chosen]
    counts = np.bincount(labels, minlength=people)
    seen = counts > 0
    counts = counts[seen]
    right = np.bincount(labels[decided == labels], minlength=people)[seen]
    f1 = 2 * right / (counts + np.bincount(decided, minlength=people)[seen])
    return {
        "accuracy": right.sum() / len(labels),
        "balanced_accuracy": (right / counts).mean(),
        "macro_f1": f1.mean(),
        "weighted_f1": f1 @ counts / len(labels),
    }
