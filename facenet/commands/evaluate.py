"""``evaluate`` and, in the original words, ``--train 0``: the newest checkpoint on held-out pictures."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facenet.commands import (
    evaluate_classification,
    evaluate_compare,
    evaluate_forget,
    evaluate_pairs,
    evaluate_search,
    evaluate_templates,
)
from facenet.commands.common import add_common_flags, emit_json, note, print_table
from facenet.commands.evaluate_shared import add_report_flags, require_place
from facenet.commands.evaluate_tables import show_confusion
from facenet.commands.train import add_data_flags
from facenet.errors import printable

if TYPE_CHECKING:
    from facenet.evaluation.heldout import Evaluation
    from facenet.workflows.evaluate import EvaluationResult

_ABOUT = """\
Without a PROTOCOL, measures the newest checkpoint on the pictures that its run held out. The protocols take any model
and any pictures; each has --help of its own, and `evaluate compare` tests two reports against each other.
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``evaluate`` parser with its protocols."""
    parser = subparsers.add_parser(
        "evaluate",
        help="measure a checkpoint on held-out pictures, or any model by the field's protocols",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    verbs = parser.add_subparsers(metavar="PROTOCOL", required=False, action=_Protocols)
    for protocols in (
        evaluate_pairs, evaluate_templates, evaluate_search, evaluate_classification, evaluate_compare, evaluate_forget,
    ):  # fmt: skip
        protocols.register(verbs)
    add_data_flags(parser)
    parser.add_argument("--checkpoint", type=Path, help="evaluate this one (default: the newest)")
    parser.add_argument("--backbone", help="refuse a checkpoint of another architecture")
    parser.add_argument("--precision", default="auto", help="auto, fp32, bf16 or fp16 (default: auto)")
    add_report_flags(parser)
    add_common_flags(parser)
    parser.set_defaults(handler="facenet.commands.evaluate:run")


class _Protocols(argparse._SubParsersAction):
    """Refuses flags before the protocol's name: argparse would forget them for the protocol's own."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        if any(value != parser.get_default(name) for name, value in vars(namespace).items()):
            parser.error(f"flags go behind the name of the protocol: evaluate {values[0]} ...")
        super().__call__(parser, namespace, values, option_string)


def run(args: argparse.Namespace) -> int:
    """Evaluate; always 0."""
    from facenet.commands.screen import Screen
    from facenet.workflows.evaluate import evaluate_checkpoint

    require_place(args)
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
        page = None if args.report is None else _write_report(args, result)
    if args.json:
        emit_json(result.to_dict())
    else:
        show_evaluation(result)
    if page is not None:
        note(f"written: {printable(page)}")
    return 0


def _write_report(args: argparse.Namespace, result: EvaluationResult) -> Path:
    from facenet.workflows.report import write_report
    from facenet.workflows.study_checkpoint import checkpoint_study
    from facenet.workflows.study_shared import Judging

    study = checkpoint_study(result, judging=Judging(label=args.label, command=tuple(sys.argv)))
    return write_report(args.report, study, pictures=not args.no_pictures)


def show_evaluation(result: EvaluationResult) -> None:
    """Print the figures as tables, and what they are figures of."""
    evaluation = result.evaluation
    what = (
        "pictures of people never trained on"
        if evaluation.kind == "people"
        else "held-out pictures of people trained on"
    )
    title = f"{evaluation.pictures:,} {what} ({evaluation.people:,} people)"
    print_table(title, ("metric", "value", "chance", "rests on"), evaluation_rows(evaluation))
    if evaluation.classification is not None:
        show_confusion(evaluation.classification)
    note_selection(result)
    for part, reason in result.missing.items():
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
    decided = evaluation.pairs
    if decided is not None:
        basis = f"{decided.genuine:,} genuine, {decided.impostor:,} impostor pairs, decided by the head"
        rows.append(("pairs: F1", f"{decided.f1:.4f}", f"{decided.always_f1:.4f}", basis))
        rows.append(("pairs: accuracy", f"{decided.accuracy:.4f}", f"{decided.majority_accuracy:.4f}", basis))
        rows.append(("pairs: ROC AUC", f"{decided.roc_auc:.4f}", "0.5000", basis))
    return rows
