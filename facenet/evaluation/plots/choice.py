"""Which figures a study, or several side by side, can be drawn as."""

from __future__ import annotations

from collections.abc import Sequence

from facenet.evaluation.plots import deciding, group_rates, scores, searching, verification
from facenet.evaluation.plots.drawing import Drawing
from facenet.evaluation.plots.embedding_map import embedding_map
from facenet.evaluation.study import Study


def drawings_of(study: Study, *, seed: int = 0) -> list[Drawing]:
    """Every figure there is for one study, in the order a reader wants them; names are distinct."""
    drawings = overlays_of([study], seed=seed)
    if study.comparisons is not None:
        kinds = scores.kinds_of_comparisons(study.comparisons)
        drawings.insert(_after_curves(drawings), scores.histogram(kinds, study.operating_threshold))
    elif study.searches is not None:
        kinds = scores.kinds_of_searches(study.searches)
        drawings.append(scores.histogram(kinds, study.operating_threshold))
    if study.classification is not None:
        drawings += _those(deciding.confusion(study.classification))
    for number, rates in enumerate(study.groups, start=1):
        drawings += _those(group_rates.groups(rates, number))
    drawings += _those(embedding_map(study, seed=seed))
    # At the end a wide one leaves no gap.
    return sorted(drawings, key=lambda drawing: drawing.wide)


def overlays_of(studies: Sequence[Study], *, seed: int = 0) -> list[Drawing]:
    """The figures in which studies can be laid over one another."""
    runs = verification.runs_of(studies, seed=seed)
    curves = [verification.roc(runs), verification.det(runs), verification.precision_recall(runs)] if runs else []
    return curves + _those(
        scores.folds(studies),
        searching.cmc(studies, seed=seed),
        searching.open_set(studies, seed=seed),
        searching.retrieval(studies),
        deciding.reliability(studies),
    )


def _after_curves(drawings: Sequence[Drawing]) -> int:
    return next((place for place, drawing in enumerate(drawings, 1) if drawing.name == "det"), len(drawings))


def _those(*drawings: Drawing | None) -> list[Drawing]:
    return [drawing for drawing in drawings if drawing is not None]
