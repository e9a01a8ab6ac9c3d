"""``demo``: the main job end to end on the sample people."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from facenet.commands.common import add_common_flags, emit_json, note, print_table
from facenet.commands.evaluate import evaluation_rows, note_selection
from facenet.commands.train import INTERRUPTED, stop_on_interrupt
from facenet.errors import printable

if TYPE_CHECKING:
    from facenet.workflows.demo_gallery import GalleryDemo

_METRICS = {
    "verification: ROC AUC": "roc_auc",
    "verification: EER": "eer",
    "verification: TAR at FMR 0.01": "tar_at_fmr_0.01",
    "verification: balanced accuracy": "balanced_accuracy",
    "identification: rank 1": "rank_1",
    "identification: rank 5": "rank_5",
}
"""Rows of the evaluation's table that were measured before training too, by the name of the metric."""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``demo`` parser."""
    parser = subparsers.add_parser("demo", help="train, evaluate, enroll and identify drawn people, in minutes")
    parser.add_argument("--rootdir", type=Path, default=Path("datasets/custom_images"), help="folder of people")
    parser.add_argument("--run-dir", type=Path, default=Path("runs/demo"), help="where results go")
    parser.add_argument("--ep", "--epochs", dest="epochs", type=int, help="epochs of triplet training")
    add_common_flags(parser)
    parser.set_defaults(handler="facenet.commands.demo:run")


def run(args: argparse.Namespace) -> int:
    """Run the demo; 0 when done, 130 when interrupted."""
    from facenet.commands.screen import Screen
    from facenet.workflows.demo import DemoResult, run_demo

    with Screen() as screen, stop_on_interrupt(screen.say) as stop:
        result = run_demo(
            args.rootdir,
            args.run_dir,
            screen,
            device=args.device,
            epochs=args.epochs,
            stop=stop,
            command=tuple(sys.argv),
        )
    if not isinstance(result, DemoResult):
        note("stopped before the end")
        return INTERRUPTED
    if args.json:
        emit_json(result.to_dict())
        return 0
    start = result.triplet.outcome.start if result.triplet.outcome is not None else {}
    rows = [
        (name, f"{start[_METRICS[name]]:.4f}" if _METRICS.get(name) in start else "-", value, chance, basis)
        for name, value, chance, basis in evaluation_rows(result.evaluation.evaluation)
    ]
    print_table(
        "Held-out pictures of the sample people", ("metric", "untrained", "trained", "chance", "rests on"), rows
    )
    note_selection(result.evaluation)
    _show_gallery(result.gallery)
    note(f"checkpoint: {printable(result.evaluation.checkpoint)}")
    note(f"report: {printable(result.report)}")
    note(f"metrics: {printable(args.run_dir / 'metrics.json')}")
    note(f"done in {result.seconds:.0f} s, from random weights; for real faces start from --pretrained vggface2")
    return 0


def _show_gallery(gallery: GalleryDemo) -> None:
    """Who was recognised, and who was taken for somebody."""
    threshold = gallery.threshold
    rows = [
        ("recognised as themselves", f"{gallery.right} of {gallery.probes}", "held-out pictures of enrolled people"),
        ("taken for somebody else", f"{gallery.wrong} of {gallery.probes}", "held-out pictures of enrolled people"),
        (
            "strangers taken for somebody",
            f"{gallery.accepted} of {gallery.strangers}",
            f"target {threshold.target:.0%}; other strangers than those the threshold was calibrated on",
        ),
    ]
    title = f"A gallery of {gallery.people} people ({gallery.pictures} pictures), threshold {threshold.value:.3f}"
    print_table(title, ("outcome", "pictures", "rests on"), rows)
    if gallery.example is not None:
        picture, score = printable(gallery.example.source), gallery.example.score
        print(f"for example: {picture} is {printable(gallery.example.name)} (score {score:.3f})")
    note(f"gallery: {printable(gallery.location)}")
