"""Who hears about a job: nobody, or whoever reads lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from facenet.training.monitor import Listener, Silence

__all__ = ["JobListener", "Lines", "Silence", "evaluation_line"]

_OF_EMBEDDINGS = ("roc_auc", "eer", "rank_1", "accuracy", "macro_f1")
_OF_HEAD = ("accuracy", "macro_f1", "loss", "roc_auc")
_OF_PAIRS = ("pair_f1", "pair_roc_auc", "roc_auc", "eer")


class JobListener(Listener, Protocol):
    """A :class:`~facenet.training.monitor.Listener` that also hears about the work around training."""

    def warn(self, text: str) -> None:
        """One line that must not be missed."""

    def bar(self, what: str) -> Callable[[int, int | None], None]:
        """A progress bar: call the result with (done, in all or None)."""


class Lines(Silence):
    """Gives every line worth reading, warning and evaluation to a function, such as ``print``; shows no bars.

    Args:
        write: called with one line, without a line break.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write

    def evaluated(self, record: Mapping[str, Any]) -> None:
        """See :func:`evaluation_line`."""
        self._write(evaluation_line(record))

    def say(self, text: str) -> None:
        """The line."""
        self._write(text)

    def warn(self, text: str) -> None:
        """The line, marked."""
        self._write(f"WARNING: {text}")


def evaluation_line(record: Mapping[str, Any]) -> str:
    """One line for an evaluation: metrics of held-out pictures, then the epoch's training pictures.

    Args:
        record: see :meth:`facenet.training.monitor.Listener.evaluated`.
    """
    metrics, train = record["metrics"], record["train"]
    names = _OF_PAIRS if "pair_f1" in metrics else _OF_HEAD if "accuracy" in metrics else _OF_EMBEDDINGS
    shown = "  ".join(f"{name} {metrics[name]:.4f}" for name in names if name in metrics)
    if train:
        shown += f"  (training: loss {train['loss']:.4f}"
        shown += f", right {train['batch_accuracy']:.1%})" if "batch_accuracy" in train else ")"
    mark = "  * best so far" if record["best"] and record["epoch"] > 0 else ""
    where = "start    " if record["step"] == 0 else f"epoch {record['epoch']:3d}"
    return f"{where}  {shown if shown else 'nothing held out to measure'}{mark}"
