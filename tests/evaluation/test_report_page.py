"""The page as a browser, a reader and an attacker would see it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from made_up_studies import (
    ABOUT,
    classification_study,
    identification_study,
    retrieval_study,
    verification_study,
    with_pictures,
)  # fmt: skip

from facenet.evaluation.paired import compare_studies
from facenet.evaluation.report import comparison_files, report_files
from facenet.evaluation.study import Finding, Study

HOSTILE = "</bdi><script>alert('x')</script><img src=http://evil.example/a.png onerror=\"alert(1)\">\x1b[0m\n&amp; $x^2"
EMPTY = {"meta", "img", "br", "link", "hr", "input"}


class Reader(HTMLParser):
    """Tags that are opened and closed in order, and what they hold."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes <{self.open[-1:]}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).replace("\N{NO-BREAK SPACE}", " ").split())


def read(page: bytes) -> Reader:
    reader = Reader()
    reader.feed(page.decode())
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Study]:
    verified = verification_study(6, 3, spread=1.8, folds=None, replicates=20)
    return {
        "verification": with_pictures(verified, tmp_path_factory.mktemp("drawn") / "a", 6, 3),
        "identification": identification_study(8, 3, 5, replicates=20),
        "retrieval": retrieval_study(8, 3, replicates=20),
        "classification": classification_study(4, 6, replicates=20),
        "folds": verification_study(20, 4, folds=5, replicates=20),
        "nothing": Study("pairs", "Nothing", "model", {}, ()),
    }


NAMES = ("verification", "identification", "retrieval", "classification", "folds", "nothing")


def check_page(files: dict[str, bytes], beside: str) -> Reader:
    """What holds for every page."""
    page = read(files["index.html"])
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "iframe", "object", "form", "base")
        assert not any(key.startswith("on") for key in attributes)
        if tag == "a":
            target = attributes["href"]
            assert target[1:] in ids if target.startswith("#") else target in {*files, beside}
        if tag in ("img", "image"):
            assert attributes.get("src", attributes.get("href", "")).startswith("data:image/")
        if tag == "img":
            assert attributes["alt"]
        if tag == "svg":
            assert attributes["role"] == "img" and attributes["aria-label"]
    policy = next(a["content"] for t, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'") and "script" not in policy
    html = files["index.html"].decode()
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style and "@import" not in style
    return page


@pytest.mark.parametrize("name", NAMES)
def test_every_page_is_whole_and_safe(name: str, studies: dict[str, Study]) -> None:
    files = report_files(studies[name])
    page = check_page(files, "study.json")
    assert sum(tag == "h1" for tag, _ in page.tags) == 1
    assert len(files["index.html"]) < 3_000_000
    shown = {Path(file).stem for file in files if file.startswith("figures/")}
    assert shown == {a["id"].removeprefix("figure-") for t, a in page.tags if t == "figure"}
    for stem in shown:
        assert json.loads(files[f"figures/{stem}.json"])["how_to_read"].replace("\n", " ") in page.text
        assert files[f"figures/{stem}.png"].startswith(b"\x89PNG") and files[f"figures/{stem}.csv"]


def test_the_same_study_gives_the_same_files(studies: dict[str, Study]) -> None:
    assert report_files(studies["verification"], seed=1) == report_files(studies["verification"], seed=1)


def test_every_finding_every_notice_and_all_about_it_is_shown(studies: dict[str, Study]) -> None:
    study = studies["folds"]
    text = read(report_files(study)["index.html"]).text
    for finding in study.findings:
        assert finding.title in text and finding.basis in text
        assert finding.value is None or f"{100 * finding.value:.2f} %" in text or finding.unit != "share"
    assert study.notices[0] in text
    for value in ABOUT.values():
        for entry in value.values() if isinstance(value, dict) else [value]:
            assert str(entry) in text


def test_a_figure_that_could_not_be_had_says_why() -> None:
    missing = Finding("tar_at_fmr_0.001", "TAR at FMR 0.001", None, reason="3,000 impostor pairs are needed")
    text = read(report_files(Study("pairs", "T", "m", {}, (missing,)))["index.html"]).text
    assert "– 3,000 impostor pairs are needed" in text or "–3,000 impostor pairs are needed" in text


def test_no_picture_of_anybody_without_leave(studies: dict[str, Study]) -> None:
    study = studies["verification"]
    with_faces, without = report_files(study), report_files(study, pictures=False)
    assert (
        b'src="data:image/jpeg' in with_faces["index.html"] and "False accepts" in read(with_faces["index.html"]).text
    )
    assert b"image/jpeg" not in without["index.html"] and b"<img" not in without["index.html"]
    assert with_faces.keys() == without.keys()


def test_names_from_outside_are_shown_and_do_nothing(studies: dict[str, Study]) -> None:
    study = studies["verification"]
    rates = replace(study.groups[0], attribute=HOSTILE, rows=(replace(study.groups[0].rows[0], group=HOSTILE),))
    study = replace(
        study,
        title=HOSTILE, label=HOSTILE, notices=(HOSTILE,), people=tuple(HOSTILE for _ in study.people),
        about={HOSTILE: HOSTILE, "nested": {HOSTILE: [HOSTILE, {"deep": {"deeper": HOSTILE}}]}},
        samples=tuple(f"{HOSTILE}{number}" for number in range(len(study.samples))), groups=(rates,),
        findings=(Finding(HOSTILE, HOSTILE, 0.5, basis=HOSTILE, interval=(0, 1), interval_kind=HOSTILE),),
    )  # fmt: skip
    files = report_files(study)
    page = check_page(files, "study.json")
    assert "alert('x')" in page.text and "\x1b" not in page.text
    assert all(re.fullmatch(r"index\.html|figures/[a-z0-9-]+\.(png|csv|json)", file) for file in files)


def test_a_classification_with_hostile_names(studies: dict[str, Study]) -> None:
    found = studies["classification"].classification
    assert found is not None
    study = replace(studies["classification"], classification=replace(found, people=(HOSTILE, "b", "c", "漢字\udcff")))
    check_page(report_files(study), "study.json")


def test_pictures_that_are_gone_are_said_to_be(studies: dict[str, Study]) -> None:
    study = studies["verification"]
    assert study.pictures is not None
    gone = replace(study.pictures, paths=tuple(path.with_name("gone.jpg") for path in study.pictures.paths))
    page = check_page(report_files(replace(study, pictures=gone)), "study.json")
    assert "no such file" in page.text


def test_texts_without_end_are_cut_off() -> None:
    study = Study("pairs", "T" * 10_000, "m", {"a": "x" * 1_000_000, "b": list(range(100_000))}, ())
    assert len(report_files(study)["index.html"]) < 60_000


def test_a_comparison_shows_every_model_and_verdict() -> None:
    studies = [
        verification_study(20, 4, spread=spread, label=label, folds=5, replicates=20)
        for spread, label in ((1.1, "one"), (1.5, "<b>other</b>"), (1.1, "third"))
    ]
    differences = compare_studies(studies, replicates=400)
    files = comparison_files(studies, differences)
    page = check_page(files, "comparison.json")
    assert files == comparison_files(studies, differences)
    for difference in differences:
        assert difference.verdict.replace("\n", " ") in page.text
    assert "<b>other</b>" in page.text and "third" in page.text
    assert {"figures/roc.png", "figures/roc.csv", "figures/folds.json"} <= set(files)
    assert page.text.count("five points") == 0 and page.text.count("mobilefacenet, casia-webface") == 1


def test_what_studies_have_in_common_is_said_once_and_what_not_apart() -> None:
    one = Study("pairs", "T", "one", {"seed": 12345, "model": "alpha"}, ())
    text = read(
        comparison_files([one, replace(one, label="two", about={"seed": 12345, "model": "beta"})], [])["index.html"]
    ).text
    assert text.count("12345") == 1 and "alpha" in text and "beta" in text


def test_numbers_of_the_page_do_not_depend_on_the_order_of_the_samples_of_a_map(studies: dict[str, Study]) -> None:
    study = replace(studies["retrieval"], owners=np.zeros(24, np.int32), people=("one",))
    assert report_files(study)["figures/map.csv"].count(b"one,") == 24


@pytest.mark.parametrize(
    ("name", "there", "not_there"),
    [
        ("verification", "TAR at FMR", "R-precision is"),
        ("identification", "FNIR at FPIR", "R-precision is"),
        ("retrieval", "R-precision is", "reaches the threshold"),
        ("classification", "Balanced accuracy and macro F1 count", "reaches the threshold"),
        ("nothing", "All figures of this page", "rule of three"),
    ],
)
def test_only_rules_that_concern_the_study_are_given(
    name: str, there: str, not_there: str, studies: dict[str, Study]
) -> None:
    text = read(report_files(studies[name])["index.html"]).text
    assert there in text and not_there not in text
