"""Each recipe with its own network on a handful of drawn people: a few steps, resumed, evaluated.

Networks start from random weights and see the smallest pictures they can take: what is tested is that all parts of a
recipe go together, not what it learns.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import Ended, Main

from facenet.data.synthetic import write_people
from facenet.recipes.recipe import load_recipe, recipe_names
from facenet.training.files import read_json

pytestmark = pytest.mark.slow

CHEAP = ("--device=cpu", "--precision=fp32", "--workers=0")
SMALL: dict[str, tuple[str, ...]] = {
    "celebrity-site": ("--pretrained=none", "--image-size=75", "--bs=4", "--momentum=0"),
    "expression-inception-resnet-v2": ("--image-size=75", "--bs=3"),
    "facenet-classification": ("--bs=4", "--momentum=0"),
    "facenet-triplet": ("--pretrained=none", "--image-size=75", "--holdout-images=0.5"),
    "facenet-triplet-pk": ("--pretrained=none", "--image-size=75", "--bs=8", "--holdout-images=0.5"),
    "passport-siamese": ("--pretrained=none", "--image-size=75", "--momentum=0"),
    "passport-triplet": ("--pretrained=none", "--image-size=32", "--bs=2", "--momentum=0"),
    "resnet18-verification": ("--image-size=32", "--resize=40", "--bs=4"),
}
"""What makes a recipe's run short; all else stays as the recipe says."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def no_weights_left(tmp_path: Path) -> Iterator[None]:
    """VGG-16's checkpoints take more than a gigabyte, and pytest keeps the folders of three test runs."""
    yield
    shutil.rmtree(tmp_path / "runs", ignore_errors=True)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four people with four pictures each."""
    root = tmp_path_factory.mktemp("drawn") / "people"
    write_people(root, people=4, pictures=4, seed=3, size=96)
    return root


def as_passports(drawn: Path, root: Path) -> Path:
    """The same pictures in nested folders; of each person the first is named as a passport's."""
    for person in sorted(drawn.iterdir()):
        folder = root / "trainset" / "folder-1" / "folder-2" / person.name
        folder.mkdir(parents=True)
        for number, picture in enumerate(sorted(person.iterdir())):
            name = "script" if number == 0 else f"{number:04d}"
            (folder / f"{name}{picture.suffix}").write_bytes(picture.read_bytes())
    return root


def as_expressions(drawn: Path, root: Path) -> Path:
    """The same pictures as classes of a training and a validation folder, one picture each in the latter."""
    for person in sorted(drawn.iterdir()):
        for number, picture in enumerate(sorted(person.iterdir())):
            folder = root / ("validation" if number == 0 else "train") / person.name
            folder.mkdir(parents=True, exist_ok=True)
            (folder / picture.name).write_bytes(picture.read_bytes())
    return root


def pictures_for(name: str, drawn: Path, root: Path) -> Path:
    """Pictures laid out as the recipe wants them."""
    if name.startswith("passport"):
        return as_passports(drawn, root)
    return as_expressions(drawn, root) if name.startswith("expression") else drawn


def ended_well(ended: Ended) -> dict[str, Any]:
    assert ended.code == 0, ended.err
    document: dict[str, Any] = ended.document
    return document


def test_every_recipe_is_run() -> None:
    assert sorted(SMALL) == recipe_names()


@pytest.mark.parametrize("name", sorted(SMALL))
def test_train_resume_evaluate(name: str, main: Main, drawn: Path, tmp_path: Path) -> None:
    root = pictures_for(name, drawn, tmp_path / "laid out")
    where = (f"--rootdir={root}", *CHEAP, *SMALL[name])
    recipe = load_recipe(name)
    if recipe.settings.get("pretrained") == "tuned":
        tuned = ("--backbone=mobilefacenet", "--pretrained=none", "--bs=4", "--images-per-person=2", *CHEAP)
        ended_well(main("train", "triplet", f"--rootdir={root}", "--ep=1", *tuned, "--json"))
    words = ("train", "--recipe", name, *where)

    first = ended_well(main(*words, "--ep=1", "--json"))
    config, primary = first["config"], first["config"]["primary"]
    untouched = set(recipe.settings) - set(first["recipe"]["overridden"])
    assert {key: config[key] for key in untouched - {"pretrained"}} == {
        key: recipe.settings[key] for key in untouched - {"pretrained"}
    }
    assert first["status"] == "finished" and first["epochs"] == 1 and first["steps"] >= 2
    assert math.isfinite(first["start"][primary]) and primary in first["best"]

    again = ended_well(main(*words, "--check=1", "--ep=2", "--json"))
    assert again["run"] == first["run"]
    assert again["epochs"] == 2 and again["steps"] == 2 * first["steps"]
    assert again["recipe"] == read_json(Path(first["run"]) / "run.json")["recipe"] == first["recipe"]
    kept = {path.name.split("-")[0] for path in (Path(first["run"]) / "checkpoints").iterdir()}
    assert ("epoch" in kept) == bool(config["keep_epochs"])
    if recipe.settings.get("eval_every", 1) == 1:
        assert all(
            math.isfinite(again["last"][metric]) for metric in (primary, "train_loss") if metric in again["last"]
        )

    found = ended_well(main("evaluate", f"--rootdir={root}", "--device=cpu", "--precision=fp32", "--json"))
    assert found["checkpoint"] == again["checkpoint"]
    assert found["metrics"][primary] == pytest.approx(again["best"][primary], abs=0.02)
