"""``evaluate identification|retrieval|templates`` as commands."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
from command_line import Main, Model
from patterns import write_patterns

FAST = "--replicates=20"


@pytest.fixture
def strangers(tmp_path: Path) -> Path:
    return write_patterns(tmp_path / "strangers", {f"stranger {seed}": seed for seed in range(20, 28)}, count=4)


def test_identification(main: Main, model: Model, people: Path, strangers: Path) -> None:
    words = ("evaluate", "identification", "--data", people, "--aligned", FAST, *model)
    closed = main(*words)
    assert closed.code == 0, closed.err
    assert "Identification, closed set" in closed.out and "FNIR" not in closed.out
    opened = main(*words, "--strangers", strangers, "--target-fpir=0.1,0.01", "--json").document
    assert opened["findings"]["rank_1"]["value"] == 1 and opened["findings"]["fnir_at_fpir_0.1"]["value"] == 0
    assert "needs at least 300" in opened["findings"]["fnir_at_fpir_0.01"]["reason"]
    counts = opened["about"]["counts"]
    assert (counts["people_enrolled"], counts["mated_searches"], counts["non_mated_searches"]) == (3, 6, 32)
    both = main(*words, "--enroll=2", "--fusion=mean", "--ranks=1,2", "--json").document
    assert both["about"]["counts"]["pictures_enrolled"] == 6 and "rank_2" in both["findings"]


def test_enrolled_and_probes(main: Main, model: Model, people: Path, tmp_path: Path) -> None:
    probes = write_patterns(tmp_path / "probes", {"Ada": 1, "Zoe": 9}, count=1, start=3)
    words = ("evaluate", "identification", "--enrolled", people, "--probes", probes, "--aligned", FAST, *model)
    document = main(*words, "--json").document
    assert document["findings"]["rank_1"]["value"] == 1
    assert any("1 probes are of 1 people who are not enrolled" in notice for notice in document["notices"])


def test_retrieval(main: Main, model: Model, people: Path) -> None:
    words = ("evaluate", "retrieval", "--data", people, "--aligned", FAST, *model)
    ended = main(*words, "--k=1,2", "--report=out")
    assert ended.code == 0, ended.err
    assert "Recall@1" in ended.out and "MAP@R" in ended.out and Path("out/index.html").is_file()
    found = main(*words, "--json").document["findings"]
    assert [found[key]["value"] for key in ("recall_at_1", "r_precision", "map_at_r")] == [1, 1, 1]


@pytest.fixture
def template_files(people: Path) -> tuple[str, ...]:
    """Two templates of each person: two pictures, and one."""
    owners, lines = {}, []
    for person, folder in enumerate(sorted(people.iterdir())):
        for number in range(3):
            template = 10 * person + (number == 2)
            owners[template] = person
            lines.append(f"{folder.name}/{number}.png {template} {number}\n")
    Path("media.txt").write_text("".join(lines))
    pairs = (f"{a} {b} {int(owners[a] == owners[b])}\n" for a, b in combinations(sorted(owners), 2))
    Path("pairs.txt").write_text("".join(pairs))
    return ("--images", str(people), "--media=media.txt", "--pairs=pairs.txt")


def test_templates(main: Main, model: Model, template_files: tuple[str, ...]) -> None:
    ended = main("evaluate", "templates", *template_files, "--aligned", FAST, *model, "--json")
    document = ended.document
    assert ended.code == 0 and document["findings"]["roc_auc"]["value"] == 1
    counts = document["about"]["counts"]
    assert (counts["templates"], counts["genuine_pairs"], counts["impostor_pairs"]) == (6, 3, 12)


def test_templates_by_given_landmarks(main: Main, model: Model, template_files: tuple[str, ...], people: Path) -> None:
    points = "34 36 62 36 48 52 36 66 60 66 0.9"
    names = [path.relative_to(people).as_posix() for path in sorted(people.rglob("*.png"))]
    Path("points.txt").write_text("".join(f"{name} {points}\n" for name in names))
    words = ("evaluate", "templates", *template_files, FAST, *model, "--landmarks=points.txt")
    ended = main(*words, "--json")
    assert ended.code == 0, ended.err
    about = ended.document["about"]
    assert about["data"]["landmarks"] == "points.txt" and about["faces"] == "cut by the landmarks given"
    Path("points.txt").write_text("".join(f"{name} {points}\n" for name in names[1:]))
    ended = main(*words)
    assert ended.code == 3 and f"no landmarks of 1 pictures: {names[0]}" in ended.error


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["identification"], 2, "either --data, or --enrolled and --probes"),
        (["identification", "--data=people", "--probes=people"], 2, "either --data"),
        (["identification", "--enrolled=people", "--probes=people", "--enroll=1"], 2, "goes with --data"),
        (["identification", "--enrolled=people", "--probes=people"], 3, "the set of probes is empty"),
        (["identification", "--data=people", "--enroll=3"], 3, "the set of probes is empty"),
        (["identification", "--data=people", "--target-fpir=2"], 2, "between 0 and 1"),
        (["identification", "--data=people", "--ranks=0"], 2, "at least 1"),
        (["identification", "--data=people", "--groups=groups.csv"], 2, "give --threshold, or --strangers"),
        (["identification", "--data=people", "--strangers=nowhere"], 4, "no folder nowhere"),
        (["retrieval"], 2, "--data"),
        (["retrieval", "--data=empty"], 3, "nothing to use in empty"),
        (["retrieval", "--data=people", "--threshold=0.5"], 2, "unrecognized arguments"),
        (["templates", "--images=people", "--media=nowhere", "--pairs=media.txt"], 4, "nowhere"),
        (["templates", "--images=people", "--media=media.txt", "--pairs=media.txt"], 3, "line 1"),
    ],
)
def test_mistakes(
    main: Main, model: Model, people: Path, template_files: tuple[str, ...], words: list[str], code: int, why: str
) -> None:
    Path("empty").mkdir()
    Path("groups.csv").write_text("person,side\nAda,left\nBruno,right\n")
    ended = main("evaluate", *words, "--aligned", *model)
    assert (ended.code, ended.out) == (code, ""), ended.err
    assert why in ended.error
