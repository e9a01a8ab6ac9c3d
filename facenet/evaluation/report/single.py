"""The report of one study."""

from __future__ import annotations

from facenet.evaluation.plots.choice import drawings_of
from facenet.evaluation.report.examples import examples
from facenet.evaluation.report.figures import figures
from facenet.evaluation.report.headline import about, heading, hero, notices, results
from facenet.evaluation.report.markup import Html, name, paragraph
from facenet.evaluation.report.page import page
from facenet.evaluation.report.rules import rules
from facenet.evaluation.report.tables import confused, groups
from facenet.evaluation.study import Study


def report_files(study: Study, *, pictures: bool = True, seed: int = 0) -> dict[str, bytes]:
    """Everything a report of a study consists of, but for the files of the study itself.

    Args:
        study: what was found. Parts that are None are left out. Names in it come from outside and are escaped.
        pictures: show faces of the worst errors. Without, no picture of anybody is in the files.
        seed: of the bands around curves and of the map.

    Returns:
        Relative name, with forward slashes → bytes: ``index.html``, and for each figure ``figures/NAME.png``, ``.csv``
        (its numbers) and ``.json`` (what it is and how to read it). The same study and seed give the same bytes. The
        page links to the figures and to ``study.json`` beside it, and needs none of them.
    """
    drawn, files = figures(drawings_of(study, seed=seed))
    worst = examples(study) if pictures else []
    parts = [
        results(study.findings),
        about([study]),
        *drawn,
        *groups(study.groups),
        *confused(study.classification),
        *worst,
        rules([study]),
    ]
    head = heading(
        "Face recognition, evaluated",
        study.title,
        paragraph(Html(f"Model: {name(study.label)}")),
        hero(study.findings),
        notices(study.notices),
    )
    return {"index.html": page(f"{study.title}: {study.label}", head, parts), **files}
