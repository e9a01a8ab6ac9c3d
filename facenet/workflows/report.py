"""Reports on disk: a folder that holds one report and nothing else, written whole, replaced only by another report."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from facenet.errors import CheckpointError, InputError, printable
from facenet.evaluation.report import comparison_files, report_files
from facenet.evaluation.studies import study_files
from facenet.evaluation.study import Study
from facenet.training.files import TEMPORARY, flush_folder, read_json, to_json, write_and_flush
from facenet.workflows.writing import cannot_write

if TYPE_CHECKING:
    from facenet.evaluation.paired import Difference

PAGE = "index.html"
"""What to open in a browser."""

_LIST = "report.json"
"""Names the files of a report: a folder with any other file in it is not ours to replace."""

_FORMAT = "facenet-report"
_REPLACED = ".replaced-"


def require_report_folder(folder: Path) -> None:
    """Refuse a place where a report would take away something else.

    Raises:
        InputError: ``folder`` is a file, or holds anything that is not part of an earlier report.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"{printable(folder)} is a file: name a folder for the report")
    try:
        there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    except OSError as error:
        raise cannot_write(folder, error) from error
    foreign = sorted(there - _listed(folder))
    if foreign:
        raise InputError(
            f"{printable(folder)} holds what is no part of a report, such as {printable(foreign[0])}: name a folder "
            "of the report's own"
        )


def write_report(folder: Path, study: Study, *, pictures: bool = True, seed: int = 0) -> Path:
    """Write a report on a study, and the study itself, into ``folder``; an earlier report there is replaced.

    Args:
        folder: of the report's own.
        study: what was found.
        pictures: show pictures of people, for the worst errors.
        seed: of the map.

    Returns:
        The page to open.

    Raises:
        InputError: as :func:`require_report_folder`.
        StorageError: no space, no permission; an earlier report is untouched.
    """
    files = report_files(study, pictures=pictures, seed=seed) | study_files(study)
    return _write(folder, files)


def write_comparison(folder: Path, studies: Sequence[Study], differences: Sequence[Difference]) -> Path:
    """The same for a comparison of studies, the first of which the others are compared with."""
    found = {"format": "facenet-comparison", "differences": [difference.to_dict() for difference in differences]}
    return _write(folder, comparison_files(studies, differences) | {"comparison.json": to_json(found)})


def _listed(folder: Path) -> set[str]:
    """The files of the report in ``folder``; none if it is not one of ours."""
    if not (folder / _LIST).is_file():
        return set()
    try:
        found = read_json(folder / _LIST)
    except CheckpointError as error:
        raise InputError(f"{printable(folder)} is no report of ours: {error}") from error
    files = found.get("files")
    if found.get("format") != _FORMAT or not isinstance(files, list):
        return set()
    return {_LIST, *(name for name in files if isinstance(name, str))}


def _write(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write beside, then change places with what was there."""
    require_report_folder(folder)
    real = folder.resolve()
    beside, replaced = (real.with_name(prefix + real.name) for prefix in (TEMPORARY, _REPLACED))
    listed = json.dumps({"format": _FORMAT, "version": 1, "files": sorted(files)}, indent=2).encode("ascii") + b"\n"
    try:
        for leftover in (beside, replaced):
            shutil.rmtree(leftover, ignore_errors=True)
        for name, data in {**files, _LIST: listed}.items():
            (beside / name).parent.mkdir(parents=True, exist_ok=True)
            write_and_flush(beside / name, data)
        if real.exists():
            os.rename(real, replaced)
        os.rename(beside, real)
        flush_folder(real.parent)
        shutil.rmtree(replaced, ignore_errors=True)
    except OSError as error:
        shutil.rmtree(beside, ignore_errors=True)
        if replaced.exists() and not real.exists():
            os.rename(replaced, real)
        raise cannot_write(folder, error) from error
    return folder / PAGE
