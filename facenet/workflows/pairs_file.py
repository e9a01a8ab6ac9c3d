"""A file of pairs made of a folder of people: ``facenet dataset pairs``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facenet.data.contents import Progress
from facenet.data.folders import scan_folder
from facenet.data.pairmaking import MadePairs, make_pairs
from facenet.errors import InputError, printable
from facenet.workflows.writing import csv_pieces, write_whole


@dataclass(frozen=True)
class PairsFile:
    """What :func:`write_pairs` wrote.

    Attributes:
        file: the list, as :func:`facenet.evaluation.pairfiles.read_pair_list` reads it.
        root: the folder its paths are relative to.
        made: the pairs.
        folds, pairs, seed: as they were asked for.
    """

    file: Path
    root: Path
    made: MadePairs
    folds: int
    pairs: int
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """All numbers, fit for JSON."""
        made = self.made
        return {
            "file": str(self.file),
            "root": str(self.root),
            "folds": self.folds,
            "pairs_of_each_kind_in_a_fold": self.pairs,
            "pairs": len(made.rows),
            "seed": self.seed,
            "people": made.people,
            "pictures": made.pictures,
            "left_out": {"unreadable": made.unreadable, "copies": made.copies, "claimed_by_several": made.claimed},
        }


def write_pairs(
    source: Path, file: Path, *, folds: int = 10, pairs: int = 300, seed: int = 0, progress: Progress | None = None
) -> PairsFile:
    """Make pairs of a folder (see :func:`facenet.data.pairmaking.make_pairs`) and write them as CSV.

    Args:
        source: folder of people.
        file: ``a,b,same,fold``; one that is there is refused, for figures may rest on it.
        folds, pairs, seed, progress: see :func:`facenet.data.pairmaking.make_pairs`.

    Raises:
        UsageError: a number is too small.
        MissingError: there is no such folder.
        InputError: ``file`` is there already, or the folder cannot give so many pairs.
        StorageError: the file cannot be written.
    """
    if file.exists():
        raise InputError(f"{printable(file)} is there already: give another name, or remove it")
    made = make_pairs(scan_folder(source), folds=folds, pairs=pairs, seed=seed, progress=progress)
    rows = ((row.a, row.b, int(row.same), row.fold) for row in made.rows)
    write_whole(file, csv_pieces(("a", "b", "same", "fold"), rows))
    return PairsFile(file, source, made, folds, pairs, seed)
