"""Studies of made-up people, for tests of what is done with studies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facenet.evaluation.classification import Classification
from facenet.evaluation.comparisons import Comparisons
from facenet.evaluation.finding import Finding
from facenet.evaluation.folds import accuracy_on_folds
from facenet.evaluation.retrieval import Retrieval
from facenet.evaluation.searches import Searches
from facenet.evaluation.study import Study


def embeddings_of(people: NDArray[np.int32], *, noise: float, seed: int, model: int = 0) -> NDArray[np.float32]:
    """Unit rows; the same people look alike to every ``model``, which adds noise of its own."""
    centres = np.random.default_rng(seed).normal(size=(int(people.max()) + 1, 8))
    rows = centres[people] + noise * np.random.default_rng([seed, model]).normal(size=(len(people), 8))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def compared(people: int = 30, pictures: int = 4, *, noise: float = 0.9, seed: int = 0, model: int = 0) -> Comparisons:
    """Every pair within each of five folds of people."""
    owners = np.repeat(np.arange(people, dtype=np.int32), pictures)
    rows = embeddings_of(owners, noise=noise, seed=seed, model=model)
    one, other = np.triu_indices(len(owners), 1)
    inside = owners[one] % 5 == owners[other] % 5
    one, other = one[inside].astype(np.int32), other[inside].astype(np.int32)
    scores = np.clip((rows[one] * rows[other]).sum(axis=1), -1, 1).astype(np.float32)
    genuine = owners[one] == owners[other]
    return Comparisons(scores, genuine, one, other, owners, folds=(owners[one] % 5).astype(np.int32))


def searched(*, noise: float = 0.9, seed: int = 0, model: int = 0) -> Searches:
    """Twenty people with one picture each in the gallery and three to search with; twenty strangers with six each."""
    people = np.concatenate([np.repeat(np.arange(20), 4), np.repeat(np.arange(20, 40), 6)]).astype(np.int32)
    rows = embeddings_of(people, noise=noise, seed=seed, model=model)
    enrolled = rows[:80:4]
    mated = np.flatnonzero((people < 20) & (np.arange(len(people)) % 4 != 0)).astype(np.int32)
    strangers = np.flatnonzero(people >= 20).astype(np.int32)
    scores = np.clip(rows @ enrolled.T, -1, 1).astype(np.float32)
    own = scores[mated, people[mated]]
    others = scores[mated]
    others[np.arange(len(mated)), people[mated]] = -1
    return Searches(
        enrolled=20,
        mated_people=people[mated],
        mated_samples=mated,
        own_scores=own,
        other_scores=others.max(axis=1),
        other_people=others.argmax(axis=1).astype(np.int32),
        ranks=(1 + (others >= own[:, np.newaxis]).sum(axis=1)).clip(1, 20).astype(np.int32),
        stranger_people=people[strangers] - 20,
        stranger_samples=strangers,
        stranger_scores=scores[strangers].max(axis=1),
        stranger_matches=scores[strangers].argmax(axis=1).astype(np.int32),
    )


def retrieved(*, noise: float = 0.9, seed: int = 0, model: int = 0) -> Retrieval:
    """Ten people with four pictures each; every figure by counting."""
    people = np.repeat(np.arange(10, dtype=np.int32), 4)
    rows = embeddings_of(people, noise=noise, seed=seed, model=model)
    scores = rows @ rows.T
    np.fill_diagonal(scores, -2)
    right = people[np.argsort(-scores, axis=1)[:, :-1]] == people[:, np.newaxis]
    precision = np.cumsum(right, axis=1) / np.arange(1, 40)
    return Retrieval(
        pictures=40,
        ks=(1, 5),
        samples=np.arange(40, dtype=np.int32),
        people=people,
        relevant=np.full(40, 3, dtype=np.int32),
        recall=np.stack([right[:, :k].any(axis=1) for k in (1, 5)], axis=1),
        r_precision=right[:, :3].mean(axis=1),
        average_precision_at_r=(precision * right)[:, :3].sum(axis=1) / 3,
        left_out=0,
    )


def classified(*, wrong: float = 0.2, seed: int = 0, model: int = 0) -> Classification:
    """Two hundred pictures of eight people, of which the head gets a share wrong."""
    labels = np.random.default_rng(seed).integers(8, size=200).astype(np.int32)
    generator = np.random.default_rng([seed, model])
    ranks = np.where(generator.random(200) < wrong, generator.integers(2, 9, size=200), 1).astype(np.int32)
    decided = np.where(ranks == 1, labels, (labels + ranks - 1) % 8).astype(np.int32)
    confidences = generator.uniform(0.2, 1, size=200).astype(np.float32)
    return Classification(tuple(f"person {n}" for n in range(8)), labels, decided, ranks, confidences)


def findings_of(values: dict[str, float]) -> tuple[Finding, ...]:
    """Findings of these values, with nothing else to them."""
    low = ("eer", "fnir", "fpir", "ece")
    return tuple(
        Finding(key, key.upper(), value, higher_is_better=not key.startswith(low)) for key, value in values.items()
    )


def pairs_study(label: str = "A", *, noise: float = 0.9, seed: int = 0, model: int = 0, people: int = 30) -> Study:
    """A study of pairs with folds; its figures are those of its comparisons."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    found = compared(people, noise=noise, seed=seed, model=model)
    assert found.folds is not None
    folds = accuracy_on_folds(found.scores, found.genuine, found.folds)
    values = {
        "accuracy": folds.mean,
        "roc_auc": float(roc_auc_score(found.genuine, found.scores)),
        "average_precision": float(average_precision_score(found.genuine, found.scores)),
    }
    return Study(
        protocol="pairs",
        title="Pairs",
        label=label,
        about={"model": label, "data": {"people": people}, "rules": ["ties count against us"]},
        findings=findings_of(values),
        samples=tuple(f"person {owner}/{place}.jpg" for place, owner in enumerate(found.owners)),
        comparisons=found,
        folds=folds,
        operating_threshold=0.5,
    )
