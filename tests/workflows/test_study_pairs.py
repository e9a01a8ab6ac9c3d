"""LFW, pairs and folders of people: known embedders get known figures, and nothing is dropped or scored twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from known_embeddings import SIZE, constant, direction, ideal, know, known_embedder, noisy, write_lfw, write_names

from facenet.errors import InputError, MissingError, UsageError
from facenet.evaluation.study import Study
from facenet.workflows.study_pairs import lfw_study, pairs_study, verification_study
from facenet.workflows.study_shared import AS_THEY_ARE, AS_USUAL

FEW = replace(AS_USUAL, replicates=20)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write_names(tmp_path / "images", people=8, pictures=5)


@pytest.fixture
def lfw(tmp_path: Path, images: Path) -> Path:
    return write_lfw(tmp_path / "pairs.txt", images, folds=4, pairs=10)


def value(study: Study, key: str) -> float:
    found = study.finding(key)
    assert found is not None and found.value is not None, found
    return found.value


def test_the_ideal_embedder(monkeypatch: pytest.MonkeyPatch, images: Path, lfw: Path) -> None:
    know(monkeypatch, ideal)
    study = lfw_study(known_embedder(), images, lfw, judging=FEW)
    assert (study.protocol, study.title) == ("lfw", "LFW View 2")
    assert [value(study, key) for key in ("accuracy", "roc_auc", "f1", "average_precision")] == [1] * 4
    assert value(study, "eer") == 0
    assert study.folds is not None and study.folds.accuracies == (1, 1, 1, 1) and study.folds.pairs == (20,) * 4
    accuracy = study.finding("accuracy")
    assert accuracy is not None and accuracy.standard_error == 0 and accuracy.deviation == 0
    assert study.finding("tar_at_fmr_0.01") is not None and study.finding("tar_at_fmr_0.01").value is None  # type: ignore[union-attr]
    counts = study.about["counts"]
    assert (counts["genuine_pairs"], counts["impostor_pairs"], counts["folds"]) == (40, 40, 4)
    assert study.samples[0] == "person 00/person 00_0001.jpg"


def test_the_constant_embedder(monkeypatch: pytest.MonkeyPatch, images: Path, lfw: Path) -> None:
    know(monkeypatch, constant)
    study = lfw_study(known_embedder(), images, lfw, judging=FEW)
    assert [value(study, key) for key in ("accuracy", "roc_auc", "eer")] == [0.5] * 3


def test_a_known_number_of_errors(monkeypatch: pytest.MonkeyPatch, images: Path, lfw: Path) -> None:
    """One picture of the first fold looks like somebody else: its 4 genuine pairs are lost, and only they."""
    wrong = "person 00_0003.jpg"
    know(monkeypatch, lambda path: direction("nobody") if path.name == wrong else ideal(path))
    study = lfw_study(known_embedder(), images, lfw, judging=FEW)
    assert study.folds is not None and study.folds.accuracies == (16 / 20, 1, 1, 1)
    assert value(study, "accuracy") == pytest.approx(76 / 80)
    assert study.folds.standard_error == pytest.approx(np.std([0.8, 1, 1, 1], ddof=1) / 2)


def test_pairs_of_pictures_without_a_face_are_wrong_and_stay_in_their_fold(
    monkeypatch: pytest.MonkeyPatch, images: Path, lfw: Path
) -> None:
    know(monkeypatch, lambda path: None if path.name == "person 00_0001.jpg" else ideal(path))
    study = lfw_study(known_embedder(), images, lfw, judging=FEW)
    assert study.folds is not None and study.folds.pairs == (20,) * 4
    # Its 4 genuine pairs, and of the 10 impostor pairs listed the 5 with it.
    assert study.folds.accuracies == (11 / 20, 1, 1, 1)
    assert study.comparisons is not None and study.comparisons.failures == 9
    assert any("9 of 80 comparisons could not be made" in notice for notice in study.notices)
    assert any("1 of 40 pictures: no face was found" in notice for notice in study.notices)


def test_centring_takes_away_what_everybody_shares(monkeypatch: pytest.MonkeyPatch, images: Path, lfw: Path) -> None:
    """The mean of the other folds is what is taken away, each picture counted once, and not that of its own fold."""
    know(monkeypatch, lambda path: noisy(path) + 30 * np.ones(SIZE))
    plain, centred = (
        lfw_study(known_embedder(), images, lfw, centre=centre, judging=FEW).comparisons for centre in (False, True)
    )
    assert plain is not None and centred is not None and plain.folds is not None
    rows = {path: (row := noisy(path) + 30 * np.ones(SIZE)) / np.linalg.norm(row) for path in images.rglob("*.jpg")}
    names = sorted(rows)
    study = lfw_study(known_embedder(), images, lfw, centre=True, judging=FEW)
    place = {name: number for number, name in enumerate(study.samples)}
    for pair in (0, 25, 79):
        fold = plain.folds[pair]
        mean = np.mean([rows[n] for n in names if int(n.parent.name[-2:]) // 2 != fold and used(place, n, images)], 0)
        one, other = (rows[images / study.samples[side[pair]]] - mean for side in (centred.first, centred.second))
        cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
        assert centred.scores[pair] == pytest.approx(cosine, abs=1e-4)
    assert plain.scores.min() > 0.9 > centred.scores.min()


def used(place: dict[str, int], name: Path, images: Path) -> bool:
    return name.relative_to(images).as_posix() in place


def test_lfw_takes_nothing_else(monkeypatch: pytest.MonkeyPatch, images: Path, tmp_path: Path) -> None:
    know(monkeypatch, ideal)
    one_fold = write_lfw(tmp_path / "one.txt", images, folds=1, pairs=10)
    csv = tmp_path / "pairs.csv"
    csv.write_text("a,b,same,fold\n" + "".join(rows_of(people=(0, 1), fold=0)) + "".join(rows_of((2, 3), fold=1)))
    for file in (one_fold, csv):
        with pytest.raises(InputError, match="no LFW View 2 file"):
            lfw_study(known_embedder(), images, file, judging=FEW)
    study = pairs_study(known_embedder(), csv, images=images, judging=FEW)
    assert study.protocol == "pairs" and value(study, "accuracy") == 1
    without = pairs_study(known_embedder(), one_fold, images=images, judging=FEW)
    assert without.folds is None and without.comparisons is not None and without.comparisons.folds is None
    assert value(without, "balanced_accuracy") == 1
    with pytest.raises(UsageError, match="--centre"):
        pairs_study(known_embedder(), one_fold, images=images, centre=True, judging=FEW)


def rows_of(people: tuple[int, int], fold: int) -> list[str]:
    def picture(person: int, number: int) -> str:
        return f"person {person:02}/person {person:02}_{number:04}.jpg"

    one, other = people
    same = [f"{picture(one, 1)},{picture(one, number)},1,{fold}\n" for number in (2, 3, 4)]
    return same + [f"{picture(one, number)},{picture(other, number)},0,{fold}\n" for number in (1, 2, 3)]


def test_pairs_of_one_kind_are_refused_before_the_work(
    monkeypatch: pytest.MonkeyPatch, images: Path, tmp_path: Path
) -> None:
    def refuse(path: Path) -> np.ndarray:
        raise AssertionError("embedded before it was asked whether the pairs can be measured")

    know(monkeypatch, refuse)
    file = tmp_path / "pairs.csv"
    whole = "".join([*rows_of((0, 1), 3), *rows_of((4, 5), 5)])
    file.write_text("a,b,same,fold\n" + whole + "".join(rows_of((2, 3), 7)[:3]))
    with pytest.raises(InputError, match="fold 7 has no impostor pair"):
        pairs_study(known_embedder(), file, images=images, judging=FEW)
    for rows, missing in ((rows_of((0, 1), 0)[:3], "impostor"), (rows_of((0, 1), 0)[3:], "genuine")):
        file.write_text("a,b,same,fold\n" + "".join(rows))
        with pytest.raises(InputError, match=f"holds no {missing} pair"):
            pairs_study(known_embedder(), file, images=images, judging=FEW)


def test_pictures_lie_beside_the_file_unless_said(monkeypatch: pytest.MonkeyPatch, images: Path) -> None:
    know(monkeypatch, ideal)
    file = images / "pairs.csv"
    file.write_text("a,b,same,fold\n" + "".join(rows_of((0, 1), 0)) + "".join(rows_of((2, 3), 1)))
    assert value(pairs_study(known_embedder(), file, judging=FEW), "accuracy") == 1
    with pytest.raises(MissingError, match="12 of 12|not there"):
        pairs_study(known_embedder(), file, images=images.parent, judging=FEW)


def test_a_pair_of_copies_is_named(monkeypatch: pytest.MonkeyPatch, images: Path, lfw: Path) -> None:
    know(monkeypatch, ideal)
    first = images / "person 00" / "person 00_0001.jpg"
    first.with_name("person 00_0002.jpg").write_bytes(first.read_bytes())
    study = lfw_study(known_embedder(), images, lfw, judging=FEW)
    assert any("1 pairs compare a picture with a copy" in notice for notice in study.notices)
    assert len(study.comparisons or ()) == 80


def test_a_folder_of_people(monkeypatch: pytest.MonkeyPatch, images: Path) -> None:
    know(monkeypatch, noisy)
    study = verification_study(known_embedder(), images, judging=FEW)
    comparisons = study.comparisons
    assert comparisons is not None and (comparisons.genuine_pairs, comparisons.impostor_pairs) == (80, 700)
    assert 0.8 < value(study, "roc_auc") < 1 and study.finding("accuracy") is None
    assert study.people == tuple(f"person {number:02}" for number in range(8))
    assert study.about["rules"][1] == "all pairs"
    sampled = verification_study(known_embedder(), images, most=60, judging=FEW)
    assert len(sampled.comparisons or ()) == 60 and "out of 780 pairs" in sampled.about["rules"][1]


def test_copies_change_nothing(monkeypatch: pytest.MonkeyPatch, images: Path) -> None:
    """Copies of a person's pictures are not compared; what is filed under two people is used for neither."""
    know(monkeypatch, noisy)
    before = verification_study(known_embedder(), images, judging=FEW)
    for path in sorted((images / "person 03").iterdir()):
        path.with_name("z" + path.name).write_bytes(path.read_bytes())
    after = verification_study(known_embedder(), images, judging=FEW)
    assert [found.to_dict() for found in before.findings] == [found.to_dict() for found in after.findings]
    assert any("5 pictures are copies" in notice for notice in after.notices)
    shared = images / "person 04" / "person 04_0001.jpg"
    (images / "person 05" / "x.jpg").write_bytes(shared.read_bytes())
    without = verification_study(known_embedder(), images, judging=FEW)
    assert "person 04/person 04_0001.jpg" not in without.samples and "person 05/x.jpg" not in without.samples
    assert any("2 pictures lie byte for byte under several people" in notice for notice in without.notices)


@pytest.mark.parametrize(("people", "pictures"), [(1, 5), (4, 1)])
def test_one_kind_of_pair_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, people: int, pictures: int) -> None:
    know(monkeypatch, ideal)
    with pytest.raises(InputError, match="verification needs two people"):
        verification_study(known_embedder(), write_names(tmp_path / "few", people, pictures), judging=FEW)


def test_groups_are_held_to_the_stated_threshold(monkeypatch: pytest.MonkeyPatch, images: Path, tmp_path: Path) -> None:
    know(monkeypatch, noisy)
    table = tmp_path / "groups.csv"
    lines = [f"person {number:02},{'left' if number < 4 else 'right'}" for number in range(8)]
    table.write_text("\n".join(["person,side", *lines, "nobody,left"]) + "\n")
    with pytest.raises(InputError, match="nobody"):
        verification_study(known_embedder(), images, judging=replace(FEW, groups=table))
    judging = replace(FEW, groups=table, unknown_names="ignore", threshold=0.5)
    study = verification_study(known_embedder(), images, judging=judging)
    (groups,) = study.groups
    assert groups.threshold == study.operating_threshold == 0.5
    assert [row.group for row in groups.rows][:2] == ["left", "right"]
    assert any("1 names in" in notice and "nobody" in notice for notice in study.notices)
    assert "0.5000, which was given" in study.about["rules"][-1]
    comparisons = study.comparisons
    assert comparisons is not None
    left = comparisons.owners[comparisons.first] < 4
    genuine = comparisons.genuine & left
    assert groups.rows[0].rates["fnmr"].value == pytest.approx(np.mean(comparisons.scores[genuine] < 0.5))


def test_what_was_measured_is_said(monkeypatch: pytest.MonkeyPatch, images: Path) -> None:
    know(monkeypatch, noisy)
    judging = replace(FEW, label="mine", seed=7, command=("cli.py", "evaluate", "two words"))
    study = verification_study(known_embedder(), images, reading=AS_THEY_ARE, judging=judging)
    about = study.about
    assert study.label == "mine" and about["fingerprint"] == "f" * 32 and about["seed"] == 7
    assert about["command"] == "cli.py evaluate 'two words'" and about["data"] == {"pictures": str(images)}
    assert about["counts"]["states"] == {"face": 40} and "numpy" in about["versions"]
    assert study.to_dict()["about"] == about


def test_a_network_that_gives_no_numbers(monkeypatch: pytest.MonkeyPatch, images: Path, lfw: Path) -> None:
    know(monkeypatch, lambda path: np.full(SIZE, np.nan) if path.name == "person 00_0001.jpg" else ideal(path))
    for centre in (False, True):
        with pytest.raises(InputError, match="1 of 40 embeddings are not finite"):
            lfw_study(known_embedder(), images, lfw, centre=centre, judging=FEW)
    with pytest.raises(InputError, match="1 of 40 embeddings are not finite"):
        verification_study(known_embedder(), images, judging=FEW)
