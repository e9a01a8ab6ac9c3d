"""Studies as files, and whether two of them measured the same thing.

``study.json``          what was found, and where its arrays lie; for people and programs
``study.safetensors``   scores, searches, names of samples; the document says which file it belongs with

Not saved: embeddings and their people (``embeddings``, ``owners``, ``people``) and where the pictures lie
(``pictures``), for a study may be handed on and those are personal data. Tuples in ``about`` come back as lists.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from facenet.errors import FacenetError, InputError, MissingError, printable
from facenet.evaluation.classification import Classification
from facenet.evaluation.comparisons import Comparisons
from facenet.evaluation.finding import Finding
from facenet.evaluation.folds import FoldAccuracy
from facenet.evaluation.groups import GroupRates
from facenet.evaluation.packing import pack, unpack
from facenet.evaluation.reliability import Reliability
from facenet.evaluation.retrieval import Retrieval
from facenet.evaluation.searches import Searches
from facenet.evaluation.study import Study

DOCUMENT, ARRAYS = "study.json", "study.safetensors"

_FORMAT = "facenet study 1"
_SAMPLES = "samples"
_MOST_DOCUMENT_BYTES = 64 * 1024 * 1024
_MOST_ARRAY_BYTES = 4 * 1024**3

_PARTS: dict[str, Any] = {
    "protocol": str,
    "title": str,
    "label": str,
    "findings": tuple[Finding, ...],
    "notices": tuple[str, ...],
    "operating_threshold": float | None,
    "groups": tuple[GroupRates, ...],
    "folds": FoldAccuracy | None,
    "reliability": Reliability | None,
    "comparisons": Comparisons | None,
    "searches": Searches | None,
    "retrieval": Retrieval | None,
    "classification": Classification | None,
}
"""Part of a study → its type."""


def study_files(study: Study) -> dict[str, bytes]:
    """A study as files, for :func:`read_study`: name → contents. The same study gives the same bytes.

    Raises:
        ValueError: ``about`` holds what JSON cannot.
    """
    arrays = {_SAMPLES: np.frombuffer(json.dumps(study.samples).encode("ascii"), dtype=np.uint8)}
    parts = {name: pack(getattr(study, name), name, arrays) for name in _PARTS}
    data = safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in sorted(arrays.items())})
    document = {
        "format": _FORMAT,
        "arrays": hashlib.sha256(data).hexdigest(),
        "compared": study_digest(study),
        "about": dict(study.about),
        **parts,
    }
    return {DOCUMENT: (json.dumps(document, indent=1, allow_nan=False) + "\n").encode("ascii"), ARRAYS: data}


def read_study(folder: Path) -> Study:
    """Read what :func:`study_files` made. It comes back equal, but for what is not saved.

    Args:
        folder: that holds both files; no code in them is run, and no more is read than 64 MB and 4 GB.

    Raises:
        MissingError: a file is not there.
        InputError: a file is damaged, too large, not one of these, or the two do not belong together.
    """
    document = _document(folder)
    data = _read(folder, ARRAYS, _MOST_ARRAY_BYTES)
    if hashlib.sha256(data).hexdigest() != document.get("arrays"):
        raise _damaged(folder, f"{ARRAYS} is not the file that {DOCUMENT} was written with")
    try:
        arrays = safetensors.numpy.load(data)
        samples = json.loads(arrays[_SAMPLES].tobytes())
        parts = {name: unpack(kind, document[name], arrays) for name, kind in _PARTS.items()}
        study = Study(**parts, about=_mapping(document["about"]), samples=unpack(tuple[str, ...], samples, {}))
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, RecursionError, FacenetError) as error:
        raise _damaged(folder, str(error)) from error
    if study_digest(study) != document.get("compared"):
        raise _damaged(folder, "it holds other comparisons than it says")
    return study


def study_contents(study: Study) -> dict[str, tuple[int, str]]:
    """What was compared with what, aspect by aspect: how many, and a SHA-256 (hex) over all of them.

    Aspects that a study does not have are left out. Nothing that depends on the model is in it: no score, no failure.
    """
    found = {"samples": (len(study.samples), _digest(json.dumps(study.samples)))}
    compared, searches, retrieval, classified = study.comparisons, study.searches, study.retrieval, study.classification
    if compared is not None:
        found["people"] = (compared.people, _digest(compared.owners))
        found["comparisons"] = (len(compared), _digest(compared.first, compared.second, compared.genuine))
        if compared.folds is not None:
            found["folds"] = (len(np.unique(compared.folds)), _digest(compared.folds))
    if searches is not None:
        found["people enrolled"] = (searches.enrolled, _digest(str(searches.enrolled)))
        found["mated searches"] = (searches.mated, _digest(searches.mated_people, searches.mated_samples))
        found["searches by strangers"] = (
            searches.strangers,
            _digest(searches.stranger_people, searches.stranger_samples),
        )
    if retrieval is not None:
        queries = _digest(retrieval.samples, retrieval.people, retrieval.relevant, str(retrieval.pictures))
        found["queries"] = (retrieval.queries, queries)
    if classified is not None:
        found["pictures classified"] = (classified.pictures, _digest(classified.labels, json.dumps(classified.people)))
    return found


def study_digest(study: Study) -> str:
    """SHA-256 (hex) of protocol, samples, comparisons and folds: equal exactly if two studies compared the same."""
    return _digest(study.protocol, json.dumps(study_contents(study)))


def _digest(*parts: str | NDArray[Any]) -> str:
    """Hash of ASCII texts and arrays, with their types and shapes."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            part = np.frombuffer(part.encode("ascii"), dtype=np.uint8)
        total.update(f"{part.dtype.str} {part.shape}\n".encode("ascii"))
        total.update(np.ascontiguousarray(part).data)
    return total.hexdigest()


def _document(folder: Path) -> dict[str, Any]:
    try:
        document = json.loads(_read(folder, DOCUMENT, _MOST_DOCUMENT_BYTES))
    except (ValueError, RecursionError) as error:
        raise _damaged(folder, f"{DOCUMENT} is no JSON") from error
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise _damaged(folder, f"{DOCUMENT} does not call itself `{_FORMAT}`")
    return document


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("`about` is no mapping")
    return value


def _read(folder: Path, name: str, most: int) -> bytes:
    path = folder / name
    try:
        with path.open("rb") as stream:
            if os.fstat(stream.fileno()).st_size > most:
                raise InputError(f"{printable(path)} is larger than {most:,} bytes")
            return stream.read()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingError(
            f"no {name} in {printable(folder)}: `evaluate lfw|pairs|… --report DIR` writes such a folder"
        ) from error
    except OSError as error:
        raise InputError(f"cannot read {printable(path)}: {error.strerror}") from error


def _damaged(folder: Path, why: str) -> InputError:
    return InputError(f"the study in {printable(folder)} cannot be used: {printable(why)}")
