"""Pair files of both formats: what is read, and what ends the reading."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facenet.errors import InputError, MissingError, UsageError
from facenet.evaluation.pairfiles import PairList, listed, read_pair_list

SHARED = Path(os.environ.get("FACENET_SHARED", Path(__file__).resolve().parents[3] / "shared"))

Writer = Callable[..., Path]

LFW = "\n".join(
    ["2\t2", "Ada\t1\t2", "Bo\t1\t2", "Ada\t1\tBo\t2", "Cy\t1\tBo\t1"]
    + ["Cy\t1\t2", "Ada\t2\t1", "Ada\t2\tCy\t2", "Bo\t1\tCy\t1", ""]
)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Ada, Bo and Cy with two pictures each; empty files, for nobody looks into them."""
    for name in ("Ada", "Bo", "Cy"):
        (tmp_path / "people" / name).mkdir(parents=True)
        for number in (1, 2):
            (tmp_path / "people" / name / f"{name}_{number:04d}.jpg").touch()
    return tmp_path / "people"


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    def write(content: str | bytes, name: str = "pairs.txt") -> Path:
        file = tmp_path / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    return write


def shown(pairs: PairList, root: Path) -> list[tuple[str, str, bool, int]]:
    names = [Path(path).relative_to(root).as_posix() for path in pairs.paths]
    columns = zip(pairs.first, pairs.second, pairs.same, pairs.folds, strict=True)
    return [(names[a], names[b], bool(same), int(fold)) for a, b, same, fold in columns]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("separator", ["\t", " "])
def test_lfw_file(write: Writer, pictures: Path, newline: str, separator: str) -> None:
    text = LFW.replace("\t", separator).replace("\n", newline)
    pairs = read_pair_list(write(text), root=pictures)
    assert shown(pairs, pictures) == [
        ("Ada/Ada_0001.jpg", "Ada/Ada_0002.jpg", True, 0),
        ("Bo/Bo_0001.jpg", "Bo/Bo_0002.jpg", True, 0),
        ("Ada/Ada_0001.jpg", "Bo/Bo_0002.jpg", False, 0),
        ("Cy/Cy_0001.jpg", "Bo/Bo_0001.jpg", False, 0),
        ("Cy/Cy_0001.jpg", "Cy/Cy_0002.jpg", True, 1),
        ("Ada/Ada_0002.jpg", "Ada/Ada_0001.jpg", True, 1),
        ("Ada/Ada_0002.jpg", "Cy/Cy_0002.jpg", False, 1),
        ("Bo/Bo_0001.jpg", "Cy/Cy_0001.jpg", False, 1),
    ]
    assert len(pairs.paths) == 6 and len(set(pairs.people)) == 3
    assert (pairs.first.dtype, pairs.same.dtype, pairs.folds.dtype) == (np.int64, np.bool_, np.int64)


def test_lfw_file_without_folds_and_with_other_endings(write: Writer, pictures: Path) -> None:
    (pictures / "Ada" / "Ada_0002.jpg").rename(pictures / "Ada" / "Ada_0002.png")
    pairs = read_pair_list(write("1\nAda\t1\t2\nAda\t2\tBo\t1\n"), root=pictures)
    assert shown(pairs, pictures) == [
        ("Ada/Ada_0001.jpg", "Ada/Ada_0002.png", True, 0),
        ("Ada/Ada_0002.png", "Bo/Bo_0001.jpg", False, 0),
    ]


def test_the_root_is_the_files_folder_unless_it_is_given(write: Writer, pictures: Path) -> None:
    beside = pictures / "pairs.csv"
    beside.write_text("a,b,same\nAda/Ada_0001.jpg,Bo/Bo_0001.jpg,0\n")
    assert read_pair_list(beside).paths[0] == str(pictures / "Ada" / "Ada_0001.jpg")
    with pytest.raises(MissingError):
        read_pair_list(write(beside.read_text()))


def test_csv_file(write: Writer, pictures: Path) -> None:
    text = (
        "\ufeffA, B ,same,fold\r\n"
        '"Ada/Ada_0001.jpg",./Ada//Ada_0002.jpg,TRUE,0\r\n'
        "\r\n"
        "Ada/Ada_0002.jpg,Bo/Bo_0001.jpg,0,7\r\n"
    )
    pairs = read_pair_list(write(text, "pairs.csv"), root=pictures)
    assert shown(pairs, pictures) == [
        ("Ada/Ada_0001.jpg", "Ada/Ada_0002.jpg", True, 0),
        ("Ada/Ada_0002.jpg", "Bo/Bo_0001.jpg", False, 7),
    ]


def test_people_of_a_csv_are_those_that_pairs_link(write: Writer, pictures: Path) -> None:
    rows = [("Ada", 1, "Ada", 2, 1), ("Ada", 2, "Bo", 1, 1), ("Cy", 1, "Cy", 2, 0), ("Bo", 1, "Cy", 1, 0)]
    lines = [f"{a}/{a}_{i:04d}.jpg,{b}/{b}_{j:04d}.jpg,{same}" for a, i, b, j, same in rows]
    pairs = read_pair_list(write("a,b,same\n" + "\n".join(lines)), root=pictures)
    ada, other_ada, bo, cy, other_cy = (int(person) for person in pairs.people)
    assert ada == other_ada == bo and len({ada, cy, other_cy}) == 3
    contradiction = "Ada/Ada_0001.jpg,Bo/Bo_0001.jpg,0"
    with pytest.raises(InputError, match=r"line 6: tells two pictures apart"):
        read_pair_list(write("a,b,same\n" + "\n".join([*lines, contradiction])), root=pictures)


@pytest.mark.parametrize("name", ["Zoë Ångström", "李雷", "O'Brien, Jr.", "semi;colon", "a\u2028b", "..."])
def test_names_of_any_script(write: Writer, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "any" / name
    folder.mkdir(parents=True)
    for number in (1, 2):
        (folder / f"{name}_{number:04d}.jpg").touch()
        (folder / f"other{number}.jpg").touch()
    pairs = read_pair_list(
        write(f"1\n{name}\t1\t2\n{name}\t1\tOther\t3\n".replace("Other\t3", "Ada\t1")), root=_with_ada(tmp_path / "any")
    )
    assert Path(pairs.paths[0]).parent.name == name
    pairs = read_pair_list(write(f'a,b,same\n"{name}/other1.jpg","{name}/other2.jpg",1\n'), root=tmp_path / "any")
    assert Path(pairs.paths[1]) == folder / "other2.jpg"


def _with_ada(root: Path) -> Path:
    (root / "Ada").mkdir(exist_ok=True)
    (root / "Ada" / "Ada_0001.jpg").touch()
    return root


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"line 1: expected the header"),
        ("\n", r"line 1: expected the header"),
        ("x,y,z\n", r"line 1: expected the header"),
        ("Ada\t1\t2\n", r"line 1: expected the header"),
        ("a,b,same\n", r"holds no pair"),
        ("0\n", r"line 2: line 1 announces 0 pairs, and there are 1 lines|holds no pair"),
        ("a,b,same\nx.jpg,y.jpg\n", r"line 2: has 2 columns instead of 3"),
        ("a,b,same\nx.jpg,y.jpg,1,0\n", r"line 2: has 4 columns"),
        ("a,b,same\nx.jpg,y.jpg,maybe\n", r"line 2: `same` is 1 or 0, not maybe"),
        ("a,b,same,fold\nx.jpg,y.jpg,1,-1\n", r"line 2: -1 is no number"),
        ("a,b,same\n\nx.jpg,./x.jpg,1\n", r"line 3: compares a picture with itself"),
        ('a,b,same\n"x.jpg,y.jpg,1\n', r"line \d: is no CSV"),
        ("a,b,same\n/etc/x.jpg,y.jpg,1\n", r"line 2: .* is no path below"),
        ("a,b,same\n../x.jpg,y.jpg,1\n", r"line 2: .* is no path below"),
        ("a,b,same\nx.jpg,a/../../y.jpg,1\n", r"line 2: .* is no path below"),
        ("a,b,same\n,y.jpg,1\n", r"line 2: .* is no path below"),
        ("a,b,same\nx\0.jpg,y.jpg,1\n", r"line 2: "),
        ("1\nAda\t1\t2\n", r"line 3: line 1 announces 2 pairs, and there are 1 lines"),
        ("1\nAda\t1\t2\nAda\t1\tBo\t1\nAda\t1\tBo\t2\n", r"line 4: line 1 announces 2 pairs, and there are 3"),
        ("1\nAda\t1\tBo\t2\nAda\t1\t2\n", r"line 2: should be `name i j`"),
        ("1\nAda\t1\t2\nAda\t1\t2\n", r"line 3: should be `name i name j`"),
        ("1\nAda\t1\ttwo\nAda\t1\tBo\t1\n", r"line 2: two is no number"),
        ("1\nAda\t1\t2\nAda\t-1\tBo\t1\n", r"line 3: -1 is no number"),
        ("1\nAda\t1\t1\nAda\t1\tBo\t1\n", r"line 2: compares a picture with itself"),
        ("1\nAda\t1\t2\nAda\t1\tAda\t2\n", r"line 3: tells two pictures apart"),
        ("1\n..\t1\t2\nAda\t1\tBo\t1\n", r"line 2: .* cannot be the name"),
        ("1\nAda/../..\t1\t2\nAda\t1\tBo\t1\n", r"line 2: .* cannot be the name"),
        ("1\n/etc\t1\t2\nAda\t1\tBo\t1\n", r"line 2: .* cannot be the name"),
        ("1\n\t1\t2\nAda\t1\tBo\t1\n", r"line 2: .* cannot be the name"),
        (b"a,b,same\nx.jpg,\xff.jpg,1\n", r"line 2: is not UTF-8"),
        (b"\x89PNG\r\n\x1a\n\0\0", r"line 1: is not UTF-8"),
    ],
)
def test_malformed_files_name_the_line(write: Writer, pictures: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as refusal:
        read_pair_list(write(text), root=pictures)
    assert "\n" not in str(refusal.value)


def test_missing_pictures_are_all_listed(write: Writer, pictures: Path) -> None:
    gone = [pictures / name / f"{name}_{number:04d}.jpg" for name in ("Ada", "Bo") for number in (1, 2)]
    for file in gone:
        file.unlink()
    with pytest.raises(MissingError, match=r"^4 of 6 pictures are not there:\n") as refusal:
        read_pair_list(write(LFW), root=pictures)
    assert str(refusal.value).split("\n  ")[1:] == [str(file) for file in gone]


def test_of_many_missing_pictures_fifty_are_named_and_the_rest_counted(write: Writer, pictures: Path) -> None:
    lines = [f"x/{number}.jpg,Ada/Ada_0001.jpg,0" for number in range(1053)]
    with pytest.raises(MissingError, match=r"1,053 of 1,054") as refusal:
        read_pair_list(write("a,b,same\n" + "\n".join(lines)), root=pictures)
    named = str(refusal.value).split("\n  ")[1:]
    assert named == [*(str(pictures / f"x/{number}.jpg") for number in range(50)), "and 1,003 more"]


def test_a_name_that_spans_lines_is_one_line_of_the_list() -> None:
    assert listed(["a\nb\x1b", "c"]) == "\n  a\\nb\\x1b\n  c"
    assert listed([]) == ""


def test_missing_pictures_are_kept_as_failures_and_no_fold_shifts(write: Writer, pictures: Path) -> None:
    whole = read_pair_list(write(LFW), root=pictures)
    (pictures / "Ada" / "Ada_0002.jpg").unlink()
    (pictures / "Bo" / "Bo_0001.jpg").unlink()
    kept = read_pair_list(write(LFW), root=pictures, missing="as-failure")
    assert shown(kept, pictures) == shown(whole, pictures)
    assert kept.paths == whole.paths and kept.people.tolist() == whole.people.tolist()
    with pytest.raises(MissingError):
        read_pair_list(write(LFW), root=pictures, missing="refuse")


@pytest.mark.parametrize("missing", ["", "as_failure", "ignore"])
def test_an_unknown_way_to_deal_with_missing_pictures(write: Writer, pictures: Path, missing: str) -> None:
    with pytest.raises(UsageError, match="missing is refuse or as-failure"):
        read_pair_list(write(LFW), root=pictures, missing=missing)  # type: ignore[arg-type]


def test_no_file_or_a_folder(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no file"):
        read_pair_list(tmp_path / "nothing.txt")
    with pytest.raises(InputError, match="cannot read"):
        read_pair_list(tmp_path)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)), st.booleans())
def test_whatever_is_in_the_file_the_error_is_one_of_ours(write: Writer, content: bytes, header: bool) -> None:
    with pytest.raises((InputError, MissingError)):
        read_pair_list(write((b"a,b,same\n" if header else b"") + content))


@pytest.mark.skipif(not (SHARED / "data" / "lfw_pairs.txt").is_file(), reason=f"no LFW pairs in {SHARED}")
def test_the_official_file() -> None:
    pairs = read_pair_list(SHARED / "data" / "lfw_pairs.txt", root=SHARED / "data" / "lfw")
    assert (len(pairs), int(pairs.same.sum()), len(pairs.paths), len(set(pairs.people.tolist()))) == (
        6000,
        3000,
        7701,
        4281,
    )
    assert np.bincount(pairs.folds).tolist() == [600] * 10
