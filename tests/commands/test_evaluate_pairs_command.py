"""``evaluate lfw|pairs|verification`` as a command: words, tables, JSON, the cache, and bad input."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Main, Model
from patterns import write_patterns

from facenet.models.inference import InferenceTrunk

PICTURES = 4
LABELS = {f"person {number}": number for number in range(1, 7)}
FAST = "--replicates=20"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Six people with four pictures each, named as in LFW."""
    root = write_patterns(tmp_path / "images", LABELS, count=PICTURES)
    for path in sorted(root.rglob("*.png")):
        path.rename(path.with_name(f"{path.parent.name}_{int(path.stem) + 1:04}.png"))
    return root


@pytest.fixture
def lfw(tmp_path: Path, images: Path) -> Path:
    lines = ["3\t4"]
    for fold in range(3):
        one, other = f"person {2 * fold + 1}", f"person {2 * fold + 2}"
        lines += [f"{one}\t{i}\t{j}" for i, j in ((1, 2), (1, 3), (2, 3), (3, 4))]
        lines += [f"{one}\t{number}\t{other}\t{number}" for number in range(1, PICTURES + 1)]
    file = tmp_path / "pairs.txt"
    file.write_text("\n".join(lines) + "\n")
    return file


def test_lfw(main: Main, model: Model, images: Path, lfw: Path) -> None:
    words = ("evaluate", "lfw", "--images", images, "--pairs", lfw, "--aligned", FAST, *model)
    ended = main(*words)
    assert ended.code == 0, ended.err
    assert "rule of" in ended.out
    assert "LFW View 2" in ended.out and "1.0000 ± 0.0000" in ended.out and "standard error of the mean" in ended.out
    assert "FMR 0.01 needs at least 300" in ended.out.replace("\n", " ")
    assert "rule: accepted if score >= threshold" in ended.err and "fingerprint" in ended.err
    document = main(*words, "--json").document
    assert document["protocol"] == "lfw" and document["findings"]["accuracy"]["value"] == 1
    assert document["folds"]["pairs"] == [8, 8, 8]
    assert document["about"]["data"] == {"pairs": str(lfw), "pictures": str(images)}
    for flip in ("sum", "concat"):
        assert main(*words, f"--flip={flip}", "--centre", "--json").document["about"]["flip"] == flip


def test_the_second_run_asks_no_network(
    main: Main, model: Model, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("evaluate", "verification", "--data", images, "--aligned", "--json", FAST, *model)
    first = main(*words).document
    assert Path("runs/embeddings").is_dir() and Path("runs/embeddings").stat().st_mode & 0o077 == 0

    def refuse(self: object, faces: object) -> None:
        raise AssertionError("embedded again")

    with monkeypatch.context() as patch:
        patch.setattr(InferenceTrunk, "__call__", refuse)
        assert main(*words).document == first
    kept = sorted(Path("runs/embeddings").rglob("*"))
    assert main(*words, "--no-cache").document["findings"] == first["findings"]
    assert main(*words, "--cache=elsewhere").document["findings"] == first["findings"]
    assert sorted(Path("runs/embeddings").rglob("*")) == kept and Path("elsewhere").is_dir()


def test_what_is_kept_is_forgotten_on_demand(main: Main, model: Model, images: Path) -> None:
    words = ("evaluate", "verification", "--data", images, "--aligned", FAST, *model)
    assert main(*words).code == 0
    Path("runs/embeddings/notes.txt").write_text("mine")
    assert main("evaluate", "forget", "--json").document == {"folder": "runs/embeddings", "files": 1}
    assert [path.name for path in Path("runs/embeddings").rglob("*")] == ["notes.txt"]
    ended = main("evaluate", "forget", "--cache=nowhere")
    assert ended.code == 0 and "0 files of embeddings deleted from nowhere" in ended.err


def test_pairs_made_of_a_folder(main: Main, model: Model, images: Path) -> None:
    made = main("dataset", "pairs", images, "pairs.csv", "--folds=2", "--pairs=10")
    assert made.code == 0, made.err
    document = main(
        "evaluate", "pairs", "--pairs=pairs.csv", "--images", images, "--aligned", "--json", FAST, *model
    ).document
    assert document["protocol"] == "pairs" and document["findings"]["accuracy"]["value"] == 1


def test_groups_are_shown(main: Main, model: Model, images: Path) -> None:
    table = "person,side\n" + "".join(
        f"{name},{'left' if number < 4 else 'right'}\n" for name, number in LABELS.items()
    )
    Path("groups.csv").write_text(table + "[b]nobody[/b],left\n")
    words = ("evaluate", "verification", "--data", images, "--aligned", FAST, *model, "--groups=groups.csv")
    refused = main(*words)
    assert refused.code == 3 and "[b]nobody[/b]" in refused.error
    ended = main(*words, "--unknown-names=ignore", "--threshold=0.75")
    assert ended.code == 0, ended.err
    assert (
        "rule of three" in ended.out
        and "Groups at the threshold 0.7500" in ended.out
        and "(across groups)" in ended.out
    )
    assert "FNMR, worst to best: not given" in ended.out
    assert "notice: 1 names in groups.csv" in ended.err
    document = main(*words, "--unknown-names=ignore", "--json").document
    assert [row["group"] for row in document["groups"][0]["rows"]] == ["left", "right", "(across groups)"]


def test_missing_pictures_are_all_listed(main: Main, model: Model, images: Path, lfw: Path) -> None:
    gone = [images / "person 1" / "person 1_0001.png", images / "person 2" / "person 2_0004.png"]
    for path in gone:
        path.unlink()
    words = ("evaluate", "lfw", "--images", images, "--pairs", lfw, "--aligned", FAST, *model)
    ended = main(*words)
    assert (ended.code, ended.out) == (4, "")
    # What is looked for last is the picture's name as LFW has it.
    assert all(str(path.with_suffix(".jpg")) in ended.err for path in gone) and "2 of 24" in ended.err
    document = main(*words, "--missing=as-failure", "--json").document
    # Two genuine pairs and an impostor pair of the one, an impostor pair of the other; and no fold has shifted.
    assert document["folds"]["pairs"] == [8, 8, 8] and document["folds"]["accuracies"][0] == 4 / 8
    assert any("2 of 24 pictures: no such file" in notice for notice in document["notices"])


def test_pictures_that_cannot_be_read(main: Main, model: Model, images: Path) -> None:
    bad = images / "person 1" / "person 1_0001.png"
    bad.write_bytes(b"no picture")
    words = ("evaluate", "verification", "--data", images, "--aligned", FAST, *model)
    ended = main(*words)
    assert (ended.code, ended.out) == (3, "") and str(bad) in ended.err
    document = main(*words, "--missing=as-failure", "--json").document
    assert document["about"]["counts"]["states"] == {"face": 23, "unreadable": 1}


def test_a_report_and_where_it_may_not_go(main: Main, model: Model, images: Path) -> None:
    words = ("evaluate", "verification", "--data", images, "--aligned", FAST, *model)
    ended = main(*words, "--report=out")
    assert ended.code == 0, ended.err
    assert ended.err.splitlines()[-1] == "written: out/index.html" and Path("out/index.html").is_file()
    assert main(*words, "--report=out", "--no-pictures", "--label=[red]mine[/red]").code == 0
    assert "[red]mine" in main(*words, "--label=[red]mine[/red]").err
    refused = main(*words, "--report", images)
    assert refused.code == 3 and "no part of a report" in refused.error
    assert main(*words, "--no-pictures").code == 2


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["lfw"], 2, "--images"),
        (["pairs"], 2, "--pairs"),
        (["verification", "--data=nowhere"], 4, "no folder nowhere"),
        (["verification", "--data=images", "--most=1"], 2, "at least 2"),
        (["verification", "--data=images", "--target-fmr=0"], 2, "between 0 and 1"),
        (["verification", "--data=images", "--target-fmr=0.1,,"], 2, "--target-fmr"),
        (["verification", "--data=images", "--seed=-1"], 2, "must not be negative"),
        (["verification", "--data=images", "--replicates=0"], 2, "at least 1"),
        (["verification", "--data=images", "--threshold=nan"], 2, "between -1 and 1"),
        (["verification", "--data=images", "--faces=all"], 2, "invalid choice"),
        (["verification", "--data=images", "--cache=a", "--no-cache"], 2, "not allowed with"),
        (["verification", "--data=images", "--unknown-names=ignore"], 2, "goes with --groups"),
        (["verification", "--data=images", "--groups=nowhere.csv"], 4, "nowhere.csv"),
        (["pairs", "--pairs=nowhere.csv"], 4, "nowhere.csv"),
        (["pairs", "--pairs=bad.csv", "--images=images"], 3, "line 3"),
        (["pairs", "--pairs=outside.csv", "--images=images"], 3, "line 2"),
        (["pairs", "--pairs=cut.txt", "--images=images"], 3, "line 1 announces"),
        (["lfw", "--pairs=good.csv", "--images=images"], 3, "no LFW View 2 file"),
        (["pairs", "--pairs=good.csv", "--images=images", "--centre"], 2, "--centre"),
        (["pairs", "--pairs=one.csv", "--images=images"], 3, "holds no impostor pair"),
    ],
)
def test_mistakes(main: Main, model: Model, images: Path, words: list[str], code: int, why: str) -> None:
    good = "a,b,same\nperson 1/person 1_0001.png,person 1/person 1_0002.png,1\n"
    other = "person 1/person 1_0001.png,person 2/person 2_0002.png,0\n"
    Path("good.csv").write_text(good + other)
    Path("one.csv").write_text(good)
    Path("bad.csv").write_text(good + "one,two\n")
    Path("outside.csv").write_text("a,b,same\n../x.png,y.png,1\n")
    Path("cut.txt").write_text("10\t300\nperson 1\t1\t2\n")
    ended = main("evaluate", *words, "--aligned", *model)
    assert (ended.code, ended.out) == (code, ""), ended.err
    assert why in ended.error


def test_flags_before_the_protocol_are_not_forgotten(main: Main) -> None:
    ended = main("evaluate", "--json", "verification", "--data=images")
    assert ended.code == 2 and "behind the name of the protocol" in ended.error


@pytest.mark.parametrize(
    "protocol",
    ["lfw", "pairs", "verification", "templates", "identification", "retrieval", "classification", "compare"],
)
def test_help(main: Main, protocol: str) -> None:
    ended = main("evaluate", protocol, "--help")
    assert ended.code == 0 and ended.out.startswith(f"usage: facenet evaluate {protocol}")
    assert protocol in main("evaluate", "--help").out
