"""The main job end to end on drawn sample people: audit, triplets, head, evaluation, gallery."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facenet.data.splits import Holdout
from facenet.evaluation.embedder import open_embedder
from facenet.training.files import write_json
from facenet.workflows.demo_gallery import GalleryDemo, run_gallery_demo
from facenet.workflows.evaluate import EvaluationResult, evaluate_checkpoint
from facenet.workflows.prepare import prepare
from facenet.workflows.report import write_report
from facenet.workflows.study_checkpoint import checkpoint_study
from facenet.workflows.study_shared import Judging
from facenet.workflows.train import Job, JobListener, TrainResult, train

TRIPLET_SETTINGS: dict[str, Any] = {
    "pretrained": "none",
    "epochs": 20,
    "lr": 1e-3,
    "mining": "hard",
    "soft": True,
    "eval_every": 5,
    "save_seconds": 600.0,
}
"""Random weights: the demo needs no download, and its numbers are the same with and without weights at hand. From
such a start, batch-hard triplets with a soft margin did better on these very people than the default and four other
settings tried."""

HEAD_SETTINGS: dict[str, Any] = {"eval_every": 10, "save_seconds": 600.0}
HOLDOUT = Holdout(images=0.3)
"""More than the default of the few pictures there are: fewer would measure nothing."""


@dataclass(frozen=True, eq=False)
class DemoResult:
    """What the demo did.

    Attributes:
        triplet, classification: the two training runs.
        evaluation: of the final checkpoint.
        report: page that shows the evaluation.
        gallery: who was recognised with it.
        seconds: all in all.
    """

    triplet: TrainResult
    classification: TrainResult
    evaluation: EvaluationResult
    report: Path
    gallery: GalleryDemo
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Everything a report needs, fit for JSON."""
        return {
            "triplet": self.triplet.to_dict(),
            "classification": self.classification.to_dict(),
            "evaluation": self.evaluation.to_dict(),
            "report": str(self.report),
            "gallery": self.gallery.to_dict(),
            "seconds": round(self.seconds, 1),
        }


def run_demo(
    root: Path,
    runs: Path,
    listener: JobListener,
    *,
    device: str = "auto",
    epochs: int | None = None,
    stop: Callable[[], bool] = lambda: False,
    command: tuple[str, ...] = (),
) -> DemoResult | TrainResult:
    """Fine-tune with triplets, train the head, evaluate, report, enroll and identify; writes ``metrics.json``.

    Args:
        root: folder of people.
        runs: where run folders and ``metrics.json`` go.
        listener: shown what happens.
        device: ``auto`` or a name.
        epochs: of triplet training; None for the demo's own number.
        stop: asked after every step.
        command: how it was called, for the record.

    Returns:
        The result; or, if it was stopped, that of the training run that was.
    """
    began = time.monotonic()
    settings = dict(TRIPLET_SETTINGS) if epochs is None else {**TRIPLET_SETTINGS, "epochs": epochs}
    results = []
    steps: tuple[tuple[str, dict[str, Any]], ...] = (("triplet", settings), ("classification", HEAD_SETTINGS))
    for task, given in steps:
        job = Job(task, root, runs, given, holdout=HOLDOUT, device=device, offline=True, command=command)
        result = train(job, listener, stop)
        if result.outcome is None or result.outcome.status == "interrupted":
            return result
        results.append(result)
    evaluation = evaluate_checkpoint(root, runs, checkpoint=results[1].checkpoint, device=device)
    final = results[1]
    study = checkpoint_study(evaluation, judging=Judging(command=command))
    report = write_report(final.run.path / "report", study)
    prepared = prepare(root, HOLDOUT)
    embedder = open_embedder(checkpoint=final.checkpoint, device=device)
    gallery = run_gallery_demo(prepared, embedder, final.run.path, listener.bar)
    demo = DemoResult(results[0], final, evaluation, report, gallery, time.monotonic() - began)
    write_json(runs / "metrics.json", demo.to_dict())
    return demo
