"""Which figures a study is drawn as, that their numbers are the study's, and studies at the edges."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from made_up_studies import classification_study, identification_study, retrieval_study, verification_study
from sklearn.metrics import precision_recall_curve

from facenet.evaluation.comparisons import Comparisons
from facenet.evaluation.identification import cmc as cmc_of
from facenet.evaluation.plots import deciding, scores, searching, verification
from facenet.evaluation.plots.choice import drawings_of, overlays_of
from facenet.evaluation.plots.drawing import draw
from facenet.evaluation.plots.embedding_map import MOST_POINTS, embedding_map
from facenet.evaluation.searches import Searches
from facenet.evaluation.study import Study


@pytest.fixture(scope="module")
def verified() -> Study:
    return verification_study(20, 4, folds=5, replicates=20)


@pytest.fixture(scope="module")
def identified() -> Study:
    return identification_study(12, 4, 8, replicates=20)


def column(study: Study, name: str, key: str) -> np.ndarray:
    drawing = next(drawing for drawing in drawings_of(study) if drawing.name == name)
    return np.asarray(drawing.table[key])


def test_each_study_has_its_figures(verified: Study, identified: Study) -> None:
    names = [drawing.name for drawing in drawings_of(verified)]
    assert names == ["roc", "det", "scores", "precision-recall", "folds", "groups-1-eyewear", "map"]
    assert [drawing.name for drawing in drawings_of(identified)] == ["cmc", "open-set", "scores", "map"]
    assert [drawing.name for drawing in drawings_of(retrieval_study(8, 3, replicates=20))] == ["retrieval", "map"]
    names = [drawing.name for drawing in drawings_of(classification_study(4, 6, replicates=20))]
    assert names == ["reliability", "confusion", "map"]
    assert drawings_of(Study("pairs", "Nothing", "model", {}, ())) == []


def test_every_figure_says_how_to_read_it(verified: Study, identified: Study) -> None:
    for drawing in drawings_of(verified) + drawings_of(identified):
        assert drawing.reading.endswith(".") and drawing.alt.endswith(".") and drawing.title


def test_the_roc_holds_the_operating_points(verified: Study) -> None:
    found = verified.comparisons
    assert found is not None
    for name, genuine, key in (("roc", True, "tar"), ("roc", False, "fmr")):
        for threshold, rate in zip(
            column(verified, name, "threshold")[::40], column(verified, name, key)[::40], strict=True
        ):
            assert rate == pytest.approx(np.mean(found.scores[found.genuine == genuine] >= threshold))
    assert np.array_equal(column(verified, "det", "fnmr"), 1 - column(verified, "roc", "tar"))


def test_steps_go_through_the_best_point_of_each_rate() -> None:
    fmr = np.array([0, 0, 0.001, 0.01, 0.01, 0.5, 1])
    assert verification._steps(fmr, 0.005, 0.5).tolist() == [2, 4, 5]
    assert verification._steps(fmr, 0.0005, 1.0).tolist() == [1, 2, 4, 5, 6]


def test_precision_and_recall_are_those_of_scikit_learn(verified: Study) -> None:
    found = verified.comparisons
    assert found is not None
    precision, recall, _ = precision_recall_curve(found.genuine, found.scores)
    ours = dict(
        zip(
            column(verified, "precision-recall", "recall"),
            column(verified, "precision-recall", "precision"),
            strict=True,
        )
    )
    theirs = dict(zip(recall[:-1], precision[:-1], strict=True))
    for level in list(theirs)[::20]:
        assert ours[level] in precision[:-1][recall[:-1] == level]


def test_the_histogram_counts_every_comparison_that_was_made(verified: Study) -> None:
    found = verified.comparisons
    assert found is not None and found.failures > 0
    counted = (
        column(verified, "scores", "should_be_accepted").sum(),
        column(verified, "scores", "should_be_rejected").sum(),
    )
    assert sum(counted) == len(found) - found.failures
    assert counted[1] == found.impostor_pairs


def test_the_cmc_is_that_of_the_searches(identified: Study) -> None:
    assert identified.searches is not None
    assert np.array_equal(column(identified, "cmc", "rate"), cmc_of(identified.searches)[:11])
    low, high = column(identified, "cmc", "low"), column(identified, "cmc", "high")
    assert (low <= high).all() and high[-1] <= 1


def test_folds_are_drawn_as_they_were_measured(verified: Study) -> None:
    assert verified.folds is not None
    assert tuple(column(verified, "folds", "accuracy")) == verified.folds.accuracies


def test_the_confusion_matrix_leaves_out_people_nobody_has_to_do_with() -> None:
    study = classification_study(4, 6, replicates=20)
    assert study.classification is not None
    more = replace(study.classification, people=(*study.classification.people, "nobody"))
    drawing = deciding.confusion(more)
    assert drawing is not None and "nobody" not in drawing.table["person"]
    assert np.asarray(drawing.table["pictures"]).sum() == study.classification.pictures


def test_a_confusion_matrix_of_many_people_is_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    study = classification_study(5, 4, replicates=20)
    assert study.classification is not None
    monkeypatch.setattr(deciding, "MOST_PEOPLE", 4)
    assert deciding.confusion(study.classification) is None


def test_overlays_tell_their_models_apart(verified: Study) -> None:
    other = replace(verified, label="other")
    drawings = overlays_of([verified, other])
    assert [drawing.name for drawing in drawings] == ["roc", "det", "precision-recall", "folds"]
    for drawing in drawings:
        labels = list(dict.fromkeys(drawing.table["label"]))
        assert labels == ["mobilefacenet", "other"]
        assert all(label in draw(drawing).svg for label in labels)


def comparisons_of(scores: list[float], genuine: list[bool]) -> Comparisons:
    owners = np.array([0, 0, 1, 2], dtype=np.int32)
    second = np.where(genuine, 1, 2).astype(np.int32)
    return Comparisons(
        np.array(scores, np.float32), np.array(genuine), np.zeros(len(genuine), np.int32), second, owners
    )


@pytest.mark.parametrize(
    "found",
    [
        comparisons_of([0.9, 0.1], [True, False]),
        comparisons_of([0.5, 0.5, 0.5], [True, False, False]),
        comparisons_of([0.1, 0.9], [True, False]),
        comparisons_of([-1.0, 1.0], [True, False]),
    ],
)
@pytest.mark.filterwarnings("error")
def test_perfect_constant_and_hopeless_models_can_be_drawn(found: Comparisons) -> None:
    study = Study("pairs", "Edge", "model", {}, (), comparisons=found, operating_threshold=0.5)
    for drawing in drawings_of(study):
        assert len(draw(drawing).svg) > 500


@pytest.mark.parametrize("kind", [True, False])
def test_comparisons_of_one_kind_have_scores_but_no_curve(kind: bool) -> None:
    study = Study("pairs", "Edge", "model", {}, (), comparisons=comparisons_of([0.4, 0.6], [kind, kind]))
    assert [drawing.name for drawing in drawings_of(study)] == ["scores"]
    assert verification.runs_of([study]) == []
    assert draw(drawings_of(study)[0]).png


def some_searches(searches: Searches, mated: int, strangers: int) -> Searches:
    cut = {
        key: getattr(searches, key)[:mated]
        for key in vars(searches)
        if key.startswith(("mated_", "own", "other", "ranks"))
    }
    cut |= {key: getattr(searches, key)[:strangers] for key in vars(searches) if key.startswith("stranger_")}
    return replace(searches, **cut)


@pytest.mark.parametrize(
    ("mated", "strangers", "names"),
    [(9, 0, ["cmc", "scores"]), (0, 9, ["scores"]), (1, 1, ["cmc", "open-set", "scores"])],
)
def test_searches_of_one_kind(identified: Study, mated: int, strangers: int, names: list[str]) -> None:
    assert identified.searches is not None
    study = replace(identified, searches=some_searches(identified.searches, mated, strangers), embeddings=None)
    drawings = drawings_of(study)
    assert [drawing.name for drawing in drawings] == names
    assert all(draw(drawing).png for drawing in drawings)


def test_two_people_enrolled_have_no_cmc(identified: Study) -> None:
    assert identified.searches is not None
    few = replace(some_searches(identified.searches, 3, 3), enrolled=2, ranks=np.ones(3, np.int32))
    assert searching.cmc([replace(identified, searches=few)]) is None


def test_the_map_leaves_out_what_has_no_embedding(verified: Study) -> None:
    assert verified.embeddings is not None
    embeddings = verified.embeddings.clone()
    embeddings[::4] = torch.nan
    drawing = embedding_map(replace(verified, embeddings=embeddings))
    assert drawing is not None and len(drawing.table["x"]) == 60
    assert np.isfinite(np.asarray(drawing.table["x"])).all()


def test_the_map_is_the_same_every_time_and_keeps_people_together(verified: Study) -> None:
    one, other = embedding_map(verified, seed=3), embedding_map(verified, seed=3)
    assert one is not None and other is not None and draw(one) == draw(other)
    places = np.stack([one.table["x"], one.table["y"]], axis=1)
    people = np.asarray(one.table["person"])
    distances = np.linalg.norm(places[:, None] - places, axis=2) + np.where(np.eye(len(places)), np.inf, 0)
    assert np.mean(people[distances.argmin(axis=1)] == people) > 0.9


@pytest.mark.parametrize("rows", [0, 2, 3, 29])
def test_maps_of_few_pictures(verified: Study, rows: int) -> None:
    assert verified.embeddings is not None and verified.owners is not None
    drawing = embedding_map(replace(verified, embeddings=verified.embeddings[:rows], owners=verified.owners[:rows]))
    assert (drawing is None) == (rows < 3)
    assert drawing is None or ("PCA" in drawing.title and draw(drawing).png)


@pytest.mark.filterwarnings("error")
def test_embeddings_that_are_all_one_point_can_be_drawn(verified: Study) -> None:
    assert verified.embeddings is not None
    drawing = embedding_map(replace(verified, embeddings=torch.ones_like(verified.embeddings) / 8))
    assert drawing is not None and draw(drawing).png


def test_a_large_map_shows_some_of_all_people_by_lot(verified: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facenet.evaluation.plots.embedding_map.MOST_POINTS", 50)
    drawing = embedding_map(verified)
    assert drawing is not None and len(drawing.table["x"]) == 50 and "50 of 80 pictures" in drawing.reading
    assert MOST_POINTS >= 1000


def test_the_kinds_of_scores_in_searches(identified: Study) -> None:
    assert identified.searches is not None
    kinds = scores.kinds_of_searches(identified.searches)
    assert len(kinds.right) == identified.searches.mated and len(kinds.wrong) == identified.searches.strangers
