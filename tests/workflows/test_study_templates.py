"""Templates: media are averaged before templates are, failures are told, and files that contradict are refused."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from known_embeddings import direction, ideal, know, known_embedder, noisy, write_names

from facenet.errors import InputError
from facenet.workflows.study_shared import AS_USUAL
from facenet.workflows.study_templates import templates_study

FEW = replace(AS_USUAL, replicates=20)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write_names(tmp_path / "images", people=6, pictures=6)


@pytest.fixture
def files(tmp_path: Path, images: Path) -> tuple[Path, Path]:
    """Two templates of each person: three pictures, two of them frames of one video, and three photos."""
    lines, owners = [], {}
    for person, folder in enumerate(sorted(images.iterdir())):
        folder.rename(folder.with_name(folder.name.replace(" ", "-")))
        for number in range(1, 7):
            template, medium = 100 * person + (number > 3), min(number, 5) if number != 2 else 1
            owners[template] = person
            name = f"{folder.name.replace(' ', '-')}/{folder.name.replace(' ', '-')}_{number:04}.jpg"
            lines.append(f"{name} {template} {1000 * person + medium}")
        for path in sorted((images / folder.name.replace(" ", "-")).iterdir()):
            path.rename(path.with_name(path.name.replace(" ", "-")))
    media, pairs = tmp_path / "media.txt", tmp_path / "pairs.txt"
    media.write_text("\n".join(lines) + "\n")
    pairs.write_text("".join(f"{a} {b} {int(owners[a] == owners[b])}\n" for a, b in combinations(sorted(owners), 2)))
    return media, pairs


def test_the_ideal_embedder(monkeypatch: pytest.MonkeyPatch, images: Path, files: tuple[Path, Path]) -> None:
    know(monkeypatch, ideal)
    study = templates_study(known_embedder(), images, *files, judging=FEW)
    assert [study.finding(key).value for key in ("roc_auc", "eer")] == [1, 0]  # type: ignore[union-attr]
    assert study.samples[:3] == ("0", "1", "100") and len(study.samples) == 12
    counts = study.about["counts"]
    assert (counts["templates"], counts["genuine_pairs"], counts["impostor_pairs"]) == (12, 6, 60)
    assert study.pictures is not None and study.pictures.paths[1].name == "person-00_0004.jpg"


def test_a_medium_counts_once(monkeypatch: pytest.MonkeyPatch, images: Path, files: tuple[Path, Path]) -> None:
    know(monkeypatch, noisy)
    study = templates_study(known_embedder(), images, *files, judging=FEW)
    assert study.comparisons is not None

    def row(number: int) -> np.ndarray:
        found = noisy(images / "person-00" / f"person-00_{number:04}.jpg")
        return found / np.linalg.norm(found)

    one = (row(1) + row(2)) / 2 + row(3)
    other = row(4) + (row(5) + row(6)) / 2
    cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
    (pair,) = np.flatnonzero((study.comparisons.first == 0) & (study.comparisons.second == 1))
    assert study.comparisons.scores[pair] == pytest.approx(cosine, abs=1e-5)


def test_pictures_without_a_face(monkeypatch: pytest.MonkeyPatch, images: Path, files: tuple[Path, Path]) -> None:
    """One picture less is made up for by the others of its template; a template without any fails."""
    know(monkeypatch, lambda path: None if path.name in GONE else ideal(path))
    study = templates_study(known_embedder(), images, *files, judging=FEW)
    assert any("4 pictures have no embedding" in notice for notice in study.notices)
    assert any("1 templates have no embedding at all" in notice for notice in study.notices)
    assert study.comparisons is not None and study.comparisons.failures == 11
    found = study.finding("roc_auc")
    assert found is not None and found.value is not None and found.value < 1


GONE = {"person-00_0001.jpg", *(f"person-05_{number:04}.jpg" for number in (4, 5, 6))}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda media, pairs: pairs.write_text(pairs.read_text() + "0 777 0\n"), "777"),
        (lambda media, pairs: pairs.write_text(pairs.read_text() + "0 one 0\n"), "line 67"),
        (lambda media, pairs: media.write_text("../outside.jpg 0 1\n"), "line 1"),
        (lambda media, pairs: pairs.write_text("0 100 1\n0 1 1\n1 100 0\n"), "1"),
    ],
)
def test_files_that_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, images: Path, files: tuple[Path, Path], change: object, why: str
) -> None:
    know(monkeypatch, lambda path: direction(str(path)))
    change(*files)  # type: ignore[operator]
    with pytest.raises(InputError, match=why):
        templates_study(known_embedder(), images, *files, judging=FEW)
