"""Identification and retrieval: who plays which part, who is left out, and figures that are known."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from known_embeddings import constant, direction, ideal, know, known_embedder, noisy, write_names

from facenet.errors import InputError, UsageError
from facenet.evaluation.embedded import Embedded
from facenet.evaluation.embedder import Embedder
from facenet.evaluation.study import Study
from facenet.workflows import study_shared
from facenet.workflows.study_search import identification_study, retrieval_study
from facenet.workflows.study_sets import Sets
from facenet.workflows.study_shared import AS_THEY_ARE, AS_USUAL

FEW = replace(AS_USUAL, replicates=20)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_names(tmp_path / "data", people=6, pictures=4)


@pytest.fixture
def strangers(tmp_path: Path) -> Path:
    return write_names(tmp_path / "strangers", people=10, pictures=4, prefix="stranger")


def value(study: Study, key: str) -> float:
    found = study.finding(key)
    assert found is not None and found.value is not None, found
    return found.value


def test_the_ideal_embedder(monkeypatch: pytest.MonkeyPatch, data: Path, strangers: Path) -> None:
    know(monkeypatch, ideal)
    study = identification_study(known_embedder(), Sets(data=data, strangers=strangers), targets=(0.1,), judging=FEW)
    searches = study.searches
    assert searches is not None and (searches.enrolled, searches.mated, searches.strangers) == (6, 18, 40)
    assert value(study, "rank_1") == 1 and value(study, "fnir_at_fpir_0.1") == 0
    assert study.title == "Identification, closed set and open set"
    assert study.operating_threshold is not None and "FPIR does not exceed 0.1" in study.about["rules"][-1]
    for sample, person in zip(searches.mated_samples, searches.mated_people, strict=True):
        assert study.samples[sample].startswith(study.people[person] + "/")
    for sample, match in zip(searches.stranger_samples, searches.stranger_matches, strict=True):
        assert study.samples[sample].startswith("strangers/stranger") and match < 6
    assert study.owners is not None and study.people[:6] == tuple(f"person {number:02}" for number in range(6))
    closed = identification_study(known_embedder(), Sets(data=data), judging=FEW)
    assert closed.finding("fnir_at_fpir_0.1") is None and closed.operating_threshold is None


def test_the_constant_embedder(monkeypatch: pytest.MonkeyPatch, data: Path, strangers: Path) -> None:
    """It sees no difference: nobody is found first, and no stranger is refused but with everybody else."""
    know(monkeypatch, constant)
    study = identification_study(known_embedder(), Sets(data=data, strangers=strangers), targets=(0.1,), judging=FEW)
    assert value(study, "rank_1") == 0 and value(study, "fnir_at_fpir_0.1") == 1


def test_a_known_number_of_errors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of 18 probes 3 look like somebody else who is enrolled."""
    gallery, probes = (write_names(tmp_path / name, people=6, pictures=3) for name in ("gallery", "probes"))
    rename_contents(probes)

    def rule(path: Path) -> np.ndarray:
        wrong = path.parent.parent.name == "probes" and path.name == f"{path.parent.name}_0002.jpg"
        return direction("person 00" if wrong and path.parent.name in WRONG else path.parent.name)

    know(monkeypatch, rule)
    study = identification_study(known_embedder(), Sets(enrolled=gallery, probes=probes), judging=FEW)
    assert value(study, "rank_1") == pytest.approx(15 / 18)
    assert study.samples[0] == "enrolled/person 00/person 00_0001.jpg"
    assert study.about["counts"]["pictures_enrolled"] == 18


WRONG = ("person 03", "person 04", "person 05")


def rename_contents(root: Path) -> None:
    """Other bytes, so that nothing is a copy of what lies in another folder."""
    for path in root.rglob("*.jpg"):
        path.write_text(f"other {path.name}")


def test_who_is_enrolled_follows_from_the_seed_alone(
    monkeypatch: pytest.MonkeyPatch, data: Path, strangers: Path
) -> None:
    know(monkeypatch, noisy)

    def probes(sets: Sets, seed: int = 0) -> set[str]:
        study = identification_study(known_embedder(), sets, judging=replace(FEW, seed=seed))
        assert study.searches is not None
        return {study.samples[sample] for sample in study.searches.mated_samples}

    first = probes(Sets(data=data))
    assert len(first) == 18 and probes(Sets(data=data)) == first != probes(Sets(data=data), seed=1)
    assert probes(Sets(data=data, strangers=strangers)) == first
    write_names(data, people=1, pictures=4, prefix="zoe")
    assert {name for name in probes(Sets(data=data)) if name.startswith("person")} == first
    assert len(probes(Sets(data=data, enroll=3))) == 7
    with pytest.raises(InputError, match="set of probes is empty"):
        probes(Sets(data=data, enroll=4))


def test_strangers_who_may_be_enrolled_are_left_out(
    monkeypatch: pytest.MonkeyPatch, data: Path, strangers: Path
) -> None:
    know(monkeypatch, noisy)
    shutil.copytree(strangers / "stranger 00", strangers / "person 02")
    rename_contents(strangers / "person 02")
    seen = next((data / "person 01").iterdir())
    shutil.copy(seen, strangers / "stranger 05" / "seen.jpg")
    study = identification_study(known_embedder(), Sets(data=data, strangers=strangers), judging=FEW)
    assert study.searches is not None and study.searches.strangers == 36
    (notice,) = (notice for notice in study.notices if "strangers have" in notice)
    assert "2 strangers" in notice and "9 pictures: person 02, stranger 05" in notice


def test_probes_that_are_enrolled_and_probes_of_nobody_enrolled(
    monkeypatch: pytest.MonkeyPatch, data: Path, tmp_path: Path
) -> None:
    know(monkeypatch, noisy)
    probes = write_names(tmp_path / "probes", people=7, pictures=5)
    study = identification_study(known_embedder(), Sets(enrolled=data, probes=probes), judging=FEW)
    # Four of everybody's pictures are the enrolled ones; the seventh person is not enrolled.
    assert study.searches is not None and (study.searches.mated, study.searches.strangers) == (6, 5)
    assert any("24 probes are copies" in notice for notice in study.notices)
    assert any("5 probes are of 1 people who are not enrolled" in notice for notice in study.notices)


def test_pictures_without_a_face(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, strangers: Path) -> None:
    """A failed search counts as wrong on either side."""
    gallery, probes = (write_names(tmp_path / name, people=6, pictures=1) for name in ("gallery", "probes"))
    rename_contents(probes)
    failing = {probes / "person 01" / "person 01_0001.jpg", strangers / "stranger 03" / "stranger 03_0001.jpg"}
    know(monkeypatch, lambda path: None if path in failing else ideal(path))
    sets = Sets(enrolled=gallery, probes=probes, strangers=strangers)
    study = identification_study(known_embedder(), sets, targets=(0.1,), judging=FEW)
    assert value(study, "rank_1") == pytest.approx(5 / 6)
    assert study.searches is not None and sorted(study.searches.stranger_scores)[-1] == 1
    assert value(study, "fnir_at_fpir_0.1") == pytest.approx(1 / 6)


def test_groups_need_a_threshold(monkeypatch: pytest.MonkeyPatch, data: Path, strangers: Path, tmp_path: Path) -> None:
    know(monkeypatch, noisy)
    table = tmp_path / "groups.csv"
    table.write_text("person,side\n" + "".join(f"person {n:02},{'l' if n < 3 else 'r'}\n" for n in range(6)))
    judging = replace(FEW, groups=table)
    with pytest.raises(UsageError, match="--threshold"):
        identification_study(known_embedder(), Sets(data=data), judging=judging)
    given = identification_study(known_embedder(), Sets(data=data), judging=replace(judging, threshold=0.5))
    assert given.groups[0].threshold == 0.5 and given.groups[0].kinds == ("fnir", "fpir")
    opened = identification_study(known_embedder(), Sets(data=data, strangers=strangers), judging=judging)
    assert opened.groups[0].threshold == opened.operating_threshold


@pytest.mark.parametrize(
    "parts", [{}, {"data": Path("a"), "enrolled": Path("b"), "probes": Path("c")}, {"enrolled": Path("a")}]
)
def test_sets_are_named_in_one_way(parts: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match="either --data, or --enrolled and --probes"):
        Sets(**parts)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="at least 1"):
        Sets(data=Path("a"), enroll=0)


def test_retrieval(monkeypatch: pytest.MonkeyPatch, data: Path) -> None:
    know(monkeypatch, ideal)
    write_names(data, people=1, pictures=1, prefix="alone")
    study = retrieval_study(known_embedder(), data, ks=(1, 2), judging=FEW)
    assert [value(study, key) for key in ("recall_at_1", "recall_at_2", "r_precision", "map_at_r")] == [1] * 4
    assert any("1 pictures are the only one of their person" in notice for notice in study.notices)
    assert study.about["counts"]["queries"] == 24
    know(monkeypatch, constant)
    study = retrieval_study(known_embedder(), data, judging=FEW)
    assert [value(study, key) for key in ("recall_at_1", "r_precision", "map_at_r")] == [0] * 3


def test_copies_do_not_find_each_other(monkeypatch: pytest.MonkeyPatch, data: Path) -> None:
    know(monkeypatch, lambda path: noisy(path.with_name(path.name.removeprefix("copy of "))))
    before = retrieval_study(known_embedder(), data, judging=FEW)
    for path in sorted(data.rglob("*.jpg")):
        shutil.copy(path, path.with_name("copy of " + path.name))
    after = retrieval_study(known_embedder(), data, judging=FEW)
    assert [found.to_dict() for found in before.findings] == [found.to_dict() for found in after.findings]


def test_nobody_with_two_pictures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    know(monkeypatch, ideal)
    with pytest.raises(InputError):
        retrieval_study(known_embedder(), write_names(tmp_path / "few", people=4, pictures=1), judging=FEW)


def test_a_network_that_gives_no_numbers(monkeypatch: pytest.MonkeyPatch, data: Path) -> None:
    know(monkeypatch, lambda path: direction(str(path)) * np.nan)
    with pytest.raises(InputError, match="24 of 24 embeddings are not finite"):
        retrieval_study(known_embedder(), data, judging=FEW)
    with pytest.raises(InputError, match="24 of 24 embeddings are not finite"):
        identification_study(known_embedder(), Sets(data=data), judging=FEW)


def test_strangers_may_be_photos_where_the_others_are_faces(
    monkeypatch: pytest.MonkeyPatch, data: Path, strangers: Path
) -> None:
    know(monkeypatch, noisy)
    known = study_shared.embed_pictures
    read: dict[bool, int] = {}

    def embed(paths: Sequence[str], embedder: Embedder, **options: Any) -> Embedded:
        read[options["aligned"]] = len(paths)
        return known(paths, embedder, **options)

    monkeypatch.setattr(study_shared, "embed_pictures", embed)
    faces = replace(AS_THEY_ARE, aligned=True)
    apart = identification_study(
        known_embedder(), Sets(data=data, strangers=strangers, strangers_aligned=False), reading=faces, judging=FEW
    )
    assert read == {True: 24, False: 40}
    assert "pictures of strangers are photos" in apart.about["rules"]
    read.clear()
    together = identification_study(known_embedder(), Sets(data=data, strangers=strangers), reading=faces, judging=FEW)
    assert read == {True: 64}
    assert apart.findings == together.findings and apart.samples == together.samples
    with pytest.raises(UsageError, match="--strangers-aligned goes with --strangers"):
        Sets(data=data, strangers_aligned=True)
