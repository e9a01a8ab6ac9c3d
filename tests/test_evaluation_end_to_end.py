"""Every protocol by the real command line: from pictures to figures, a report of each, and a comparison of two models.

The people are patterns of colour and the network is made to tell them apart (see ``patterns``), so the figures are
known; what real people give is measured elsewhere.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from patterns import write_patterns, write_weights

pytestmark = pytest.mark.slow

Done = subprocess.CompletedProcess[str]
PEOPLE = {"Ada": 1, "李小龙": 2, "O'Neil; DROP TABLE": 3, "<b>Clea": 4}


class Session:
    """One folder, one model, and the command line in it."""

    def __init__(self, cli: Callable[..., Done], folder: Path, model: tuple[str, ...]) -> None:
        self._cli, self.folder, self.model = cli, folder, model

    def run(self, *words: object, code: int = 0, model: tuple[str, ...] | None = None) -> Done:
        """Run ``evaluate …``, which must end with ``code``."""
        flags = self.model if model is None else model
        done = self._cli("evaluate", *words, *flags, cwd=self.folder)
        assert done.returncode == code, f"{words} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def json(self, *words: object, model: tuple[str, ...] | None = None) -> Any:
        """The one JSON document."""
        done = self.run(*words, "--json", model=model)
        assert done.stdout.isascii()
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def session(cli: Callable[..., Done], tmp_path_factory: pytest.TempPathFactory) -> Session:
    """People, strangers, a file of pairs as LFW has it, templates, and two sets of weights."""
    folder = tmp_path_factory.mktemp("evaluation")
    people = write_patterns(folder / "people", PEOPLE, count=4)
    write_patterns(folder / "strangers", {f"stranger {seed}": seed for seed in range(20, 28)}, count=4)
    names = sorted(PEOPLE)
    for path in sorted(people.rglob("*.png")):
        path.rename(path.with_name(f"{path.parent.name}_{int(path.stem) + 1:04}.png"))
    lines = ["2\t3"]
    for one, other in ((names[0], names[1]), (names[2], names[3])):
        lines += [f"{one}\t{i}\t{j}" for i, j in ((1, 2), (1, 3), (2, 4))]
        lines += [f"{one}\t{i}\t{other}\t{i}" for i in (1, 2, 3)]
    (folder / "pairs.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    owners = {10 * person + half: person for person in range(4) for half in (0, 1)}
    plain = write_patterns(folder / "plain", {f"p{number}": number for number in range(1, 5)}, count=4)
    rows = [
        f"{path.relative_to(plain).as_posix()} {10 * person + int(path.stem) // 2} {path.stem}\n"
        for person in range(4)
        for path in sorted((plain / f"p{person + 1}").iterdir())
    ]
    (folder / "media.txt").write_text("".join(rows))
    (folder / "template_pairs.txt").write_text(
        "".join(f"{a} {b} {int(owners[a] == owners[b])}\n" for a, b in combinations(sorted(owners), 2))
    )
    for name, seed in (("net", 0), ("other", 1)):
        write_weights(folder / f"{name}.safetensors", seed=seed)
    return Session(cli, folder, model_of("net"))


def model_of(name: str) -> tuple[str, ...]:
    """Flags that name weights, and all that makes a run short."""
    words = ("--backbone=mobilefacenet", f"--pretrained={name}.safetensors", "--precision=fp32", "--device=cpu")
    return (*words, "--aligned", "--replicates=50")


def report(session: Session, name: str) -> str:
    """A report's page; it is whole, and fetches nothing."""
    folder = session.folder / name
    listed = json.loads((folder / "report.json").read_text())["files"]
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert there == {*listed, "report.json"} and {"index.html", "study.json", "study.safetensors"} <= there
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "http://" not in page.replace("http://www.w3.org", "") and "<b>Clea" not in page
    return page


def test_lfw_and_a_comparison_of_two_models(session: Session) -> None:
    words = ("lfw", "--images=people", "--pairs=pairs.txt")
    shown = session.run(*words, "--report=lfw net")
    assert "1.0000 ± 0.0000" in shown.stdout and shown.stderr.splitlines()[-1] == "written: lfw net/index.html"
    page = report(session, "lfw net")
    assert "LFW View 2" in page and "standard error" in page.lower()
    found = session.json(*words, "--centre", "--flip=sum")
    assert found["folds"]["pairs"] == [6, 6] and found["about"]["command"].count("--centre") == 1
    session.run(*words, "--report=lfw other", model=model_of("other"))
    compared = session.run("compare", "lfw net", "lfw other", "--report=compared", model=())
    assert "differences from net" in compared.stdout
    assert (session.folder / "compared" / "index.html").is_file()
    session.run("verification", "--data=people", "--report=all pairs")
    refused = session.run("compare", "lfw net", "all pairs", code=5, model=())
    assert refused.stdout == "" and refused.stderr.startswith("error: ")


def test_every_other_protocol(session: Session) -> None:
    found = session.json("verification", "--data=people", "--report=verification")["findings"]
    assert found["roc_auc"]["value"] == 1 and "needs at least" in found["tar_at_fmr_0.01"]["reason"]
    words = ("identification", "--data=people", "--strangers=strangers", "--target-fpir=0.1")
    found = session.json(*words, "--report=identification")["findings"]
    assert found["rank_1"]["value"] == 1 and found["fnir_at_fpir_0.1"]["value"] == 0
    assert "<svg" in report(session, "identification") or "<img" in report(session, "identification")
    found = session.json("retrieval", "--data=people", "--report=retrieval")["findings"]
    assert found["recall_at_1"]["value"] == found["map_at_r"]["value"] == 1
    words = ("templates", "--images=plain", "--media=media.txt", "--pairs=template_pairs.txt")
    assert session.json(*words, "--report=templates")["findings"]["roc_auc"]["value"] == 1
    for name in ("verification", "retrieval", "templates"):
        report(session, name)


def test_groups(session: Session) -> None:
    rows = "".join(f'"{name}",{"left" if number < 3 else "right"}\n' for name, number in PEOPLE.items())
    (session.folder / "groups.csv").write_text("person,side\n" + rows, encoding="utf-8")
    words = ("verification", "--data=people", "--groups=groups.csv", "--threshold=0.75", "--report=groups")
    document = session.json(*words)
    assert [row["group"] for row in document["groups"][0]["rows"]] == ["left", "right", "(across groups)"]
    assert "left" in report(session, "groups")
    (session.folder / "groups.csv").write_text("person,side\nNobody,left\n" + rows, encoding="utf-8")
    assert "Nobody" in session.run(*words, code=3).stderr


def test_embeddings_of_another_model_are_never_used(session: Session) -> None:
    """Both models share the cache's folder, and each finds its own embeddings there."""
    words = ("verification", "--data=strangers")
    for name in ("net", "other", "net"):
        kept = session.json(*words, model=model_of(name))
        fresh = session.json(*words, "--no-cache", model=model_of(name))
        assert kept["findings"] == fresh["findings"]
    cache = session.folder / "runs" / "embeddings"
    assert len([place for place in cache.iterdir() if place.is_dir()]) == 2
    for part in cache.rglob("*.safetensors"):
        part.write_bytes(part.read_bytes()[:-8])
    damaged = session.run(*words)
    assert "damaged or foreign" in damaged.stderr


def test_photos_without_a_face(session: Session) -> None:
    """Patterns are no faces: the middle stands for each, or all comparisons are wrong."""
    seen = tuple(flag for flag in session.model if flag != "--aligned")
    document = session.json("verification", "--data=people", model=seen)
    assert document["about"]["counts"]["states"] == {"fallback": 16}
    assert any("the middle of the picture stands for it" in notice for notice in document["notices"])
    failed = session.json("verification", "--data=people", "--undetected=as-failure", model=seen)
    assert failed["about"]["counts"]["states"] == {"no_face": 16}
    assert failed["findings"]["roc_auc"]["value"] == 0 and failed["findings"]["eer"]["value"] == 1


def test_mistakes_are_one_line(session: Session) -> None:
    (session.folder / "bad.csv").write_text("a,b,same\nx,y,maybe\n")
    for code, words in (
        (4, ["verification", "--data=nowhere"]),
        (3, ["pairs", "--pairs=bad.csv", "--images=people"]),
        (4, ["lfw", "--images=strangers", "--pairs=pairs.txt"]),
        (2, ["identification"]),
        (3, ["verification", "--data=people", "--report=people"]),
        (2, ["retrieval", "--data=people", "--k=0"]),
    ):
        done = session.run(*words, code=code)
        assert done.stdout == "" and "error: " in done.stderr
