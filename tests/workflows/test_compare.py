"""Report folders compared: labels that can be told apart, one document of all, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facenet.errors import ContractError, MissingError, UsageError
from facenet.evaluation.comparisons import Comparisons
from facenet.evaluation.finding import Finding
from facenet.evaluation.studies import study_files
from facenet.evaluation.study import Study
from facenet.workflows.compare import compare


def a_study(*, noise: float, seed: int = 0) -> Study:
    """Forty people with two pictures each."""
    owners = np.repeat(np.arange(40, dtype=np.int32), 2)
    one, other = (side.astype(np.int32) for side in np.triu_indices(80, 1))
    genuine = owners[one] == owners[other]
    scores = genuine * 0.3 + noise * np.random.default_rng(seed).normal(size=len(one))
    comparisons = Comparisons(scores.clip(-1, 1).astype(np.float32), genuine, one, other, owners)
    finding = Finding("roc_auc", "AUC", 1 - noise)
    samples = tuple(f"{place}.jpg" for place in range(80))
    return Study("verification", "Pairs", "net", {"model": "net"}, (finding,), samples=samples, comparisons=comparisons)


def written(folder: Path, study: Study) -> Path:
    folder.mkdir(parents=True)
    for name, data in study_files(study).items():
        (folder / name).write_bytes(data)
    return folder


def test_a_better_one_is_told_from_a_worse_one(tmp_path: Path) -> None:
    studies = (a_study(noise=0.4), a_study(noise=0.1), replace(a_study(noise=0.4, seed=1), label="other"))
    folders = [written(tmp_path / name, study) for name, study in zip(("a/run", "b/run", "c"), studies, strict=True)]
    found = compare(folders, replicates=200)
    assert [study.label for study in found.studies] == ["net (run) (1)", "net (run) (2)", "other"]
    better, alike = found.differences
    assert better.verdict.startswith("net (run) (2) is better by 30.00 points")
    assert alike.baseline == "net (run) (1)" and alike.label == "other" and not alike.significant
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert [study["folder"] for study in document["studies"]] == list(map(str, folders))
    assert document["differences"][0]["verdict"] == better.verdict
    assert compare(folders, replicates=200).differences == found.differences


def test_folder_names_tell_the_same_model_apart(tmp_path: Path) -> None:
    folders = [written(tmp_path / name, a_study(noise=0.2)) for name in ("old", "new")]
    found = compare(folders, replicates=20)
    assert [study.label for study in found.studies] == ["net (old)", "net (new)"]
    assert found.differences[0].verdict == "no difference"


def test_what_is_refused(tmp_path: Path) -> None:
    folder = written(tmp_path / "a", a_study(noise=0.2))
    with pytest.raises(UsageError, match="at least two"):
        compare([folder])
    with pytest.raises(MissingError, match=r"study\.json"):
        compare([folder, tmp_path])
    other = written(tmp_path / "b", replace(a_study(noise=0.2), samples=("x",)))
    with pytest.raises(ContractError, match=r"net \(a\) and net \(b\) cannot be compared.*samples \(80 and 1\)"):
        compare([folder, other])
