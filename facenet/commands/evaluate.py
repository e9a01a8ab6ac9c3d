"""``evaluate`` and, in the original words, ``--train 0``: the newest checkpoint on held-out pictures."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from facenet.commands.common import add_common_flags, emit_json, note, print_table
from facenet.commands.train import add_data_flags
from facenet.errors import printable

if TYPE_CHECKING:
    from facenet.evaluation.classification import Classification
    from facenet.evaluation.heldout import Evaluation
    from facenet.workflows.evaluate import EvaluationResult

_LARGEST_MATRIX = 20


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``evaluate`` parser."""
    parser = subparsers.add_parser("evaluate", help="measure a checkpoint on held-out pictures", allow_abbrev=False)
    add_data_flags(parser)
    parser.add_argument("--checkpoint", type=Path, help="evaluate this one (default: the newest)")
    parser.add_argument("--backbone", help="refuse a checkpoint of another architecture")
    parser.add_argument("--precision", default="auto", help="auto, fp32, bf16 or fp16 (default: auto)")
    add_common_flags(parser)
    parser.set_defaults(handler="facenet.commands.evaluate:run")


def run(args: argparse.Namespace) -> int:
    """Evaluate; always 0."""
    from facenet.commands.screen import Screen
    from facenet.workflows.evaluate import evaluate_checkpoint

    with Screen() as screen:
        result = evaluate_checkpoint(
            args.rootdir,
            args.run_dir,
            checkpoint=args.checkpoint,
            device=args.device,
            precision=args.precision,
            backbone=args.backbone,
            progress=screen.bar("embedding"),
        )
    if args.json:
        emit_json(result.to_dict())
    else:
        show_evaluation(result)
    return 0


def show_evaluation(result: EvaluationResult) -> None:
    """Print the figures as tables, and what they are figures of."""
    evaluation = result.evaluation
    what = "people never trained on" if evaluation.kind == "people" else "held-out pictures of people trained on"
    title = f"{evaluation.pictures:,} {what} ({evaluation.people:,} people)"
    print_table(title, ("metric", "value", "chance", "rests on"), evaluation_rows(evaluation))
    if evaluation.classification is not None:
        _show_confusion(evaluation.classification)
    note_selection(result)
    for part, reason in evaluation.reasons.items():
        note(f"no {part}: {printable(reason)}")
    note(f"checkpoint: {printable(result.checkpoint)}; fingerprint {result.description.fingerprint}")
    note(f"device: {result.device}; precision: {result.precision}")
    for file in result.files:
        note(f"written: {printable(file)}")


def note_selection(result: EvaluationResult) -> None:
    """Say so if the weights were chosen by these very figures."""
    if result.chosen_from > 1:
        note(
            f"these weights were kept as the best of {result.chosen_from} evaluations on these same pictures: "
            "expect slightly less on new ones"
        )


def evaluation_rows(evaluation: Evaluation) -> list[tuple[str, str, str, str]]:
    """Metric, value, value at chance, and the comparisons it rests on."""
    rows: list[tuple[str, str, str, str]] = []
    verification = evaluation.verification
    if verification is not None:
        pairs = f"{verification.genuine_pairs:,} genuine, {verification.impostor_pairs:,} impostor pairs"
        rows.append(("verification: ROC AUC", f"{verification.roc_auc:.4f}", "0.5000", pairs))
        rows.append(("verification: EER", f"{verification.eer:.4f}", "0.5000", pairs))
        for target, rate in verification.tar_at_fmr.items():
            value = "-" if rate.value is None else f"{rate.value:.4f}"
            rows.append((f"verification: TAR at FMR {target:g}", value, f"{target:.4f}", rate.reason or pairs))
        halves = verification.halves
        value = "-" if halves.value is None else f"{halves.value:.4f}"
        basis = halves.reason or f"threshold fitted on one half, scored on the other (split by {halves.split})"
        rows.append(("verification: balanced accuracy", value, "0.5000", basis))
    identification = evaluation.identification
    if identification is not None:
        basis = f"{identification.probes:,} probes, {identification.people:,} people"
        for rank, rank_rate in identification.rank_rates.items():
            value = "-" if rank_rate.value is None else f"{rank_rate.value:.4f}"
            rows.append((f"identification: rank {rank}", value, f"{rank_rate.chance:.4f}", rank_rate.reason or basis))
    classification = evaluation.classification
    if classification is not None:
        basis = f"{classification.pictures:,} pictures, {len(classification.people):,} people"
        chance = f"{classification.majority_accuracy:.4f}"
        rows.append(("classification: accuracy", f"{classification.accuracy:.4f}", chance, basis))
        rows.append(("classification: macro F1", f"{classification.macro_f1:.4f}", "", basis))
    return rows


def _show_confusion(classification: Classification) -> None:
    names = [printable(name) for name in classification.people]
    if len(names) <= _LARGEST_MATRIX:
        # Numbers head the columns: names side by side would not fit.
        columns = ("true \\ decided", *(str(number) for number in range(1, len(names) + 1)))
        rows = [
            (f"{number} {name}", *(count if count else "." for count in row))
            for number, (name, row) in enumerate(zip(names, classification.confusion.tolist(), strict=True), start=1)
        ]
        print_table("Confusion", columns, rows)
        return
    worst = [
        (printable(entry.person), printable(entry.taken_for), entry.pictures)
        for entry in classification.most_confused(10)
    ]
    if worst:
        print_table("Most confused", ("person", "taken for", "pictures"), worst)
