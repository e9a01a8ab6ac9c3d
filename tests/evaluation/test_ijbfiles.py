"""The IJB text files: what they say comes back, and a line that says anything else ends the reading with its number."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracles_templates import pair_of

from facenet.detection.alignment import similarity, template
from facenet.errors import InputError, MissingError
from facenet.evaluation import ijbfiles
from facenet.evaluation.ijbfiles import Landmarks, Media, TemplatePairs, read_landmarks, read_media, read_template_pairs

POINTS = "46.06 62.03 87.79 60.32 68.85 77.66 52.16 99.88 86.45 98.65"

Write = Callable[[str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Put a text into a file."""

    def to_file(text: str | bytes) -> Path:
        file = tmp_path / "meta.txt"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file

    return to_file


def test_media_are_read(write: Write) -> None:
    media = read_media(write("1.jpg 7 69544\r\n\n  video/frame 2.png\t7 69545 \n1.jpg 12 69544"))
    assert media.names == ("1.jpg", "video/frame 2.png", "1.jpg")
    assert media.templates.tolist() == [7, 7, 12] and media.media.tolist() == [69544, 69545, 69544]
    assert media.templates.dtype == media.media.dtype == np.int64


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1.jpg 7 5\n2.jpg 7\n", "line 2: should be `NAME TEMPLATE_ID MEDIA_ID`"),
        ("1.jpg 7 5\n\n2.jpg 7 x\n", "line 3: should be"),
        ("1.jpg -7 5\n", "line 1: should be"),
        ("1.jpg 7.0 5\n", "line 1: should be"),
        (f"1.jpg 7 {10**18}\n", "18 digits"),
        ("1.jpg 7 5\n../2.jpg 7 6\n", "line 2: '../2.jpg' is no path below"),
        ("/etc/1.jpg 7 5\n", "line 1: '/etc/1.jpg' is no path below"),
        ("a\0.jpg 7 5\n", "line 1: .* is no path below"),
        ("1.jpg 7 5\n2.jpg 7 5\n1.jpg 7 6\n", "line 3: puts 1.jpg into template 7 a second time"),
        ("1.jpg 7 5\n./1.jpg 7 5\n", "line 2: puts 1.jpg into template 7 a second time"),
        (b"1.jpg 7 5\n\xff.jpg 7 5\n", "line 2: is not UTF-8"),
        ("", "names no picture"),
        (" \n\n", "names no picture"),
    ],
)
def test_bad_media_are_refused(write: Write, text: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_media(write(text))


def test_pairs_are_read(write: Write) -> None:
    pairs = read_template_pairs(write("1 11065 1\n\n 1\t17 0\r\n922337203685477580 2 0"))
    assert pairs.first.tolist() == [1, 1, 922337203685477580] and pairs.second.tolist() == [11065, 17, 2]
    assert pairs.genuine.tolist() == [True, False, False]
    assert (pairs.first.dtype, pairs.second.dtype, pairs.genuine.dtype) == (np.int64, np.int64, np.bool_)


@pytest.mark.parametrize("line", ["1 2", "1 2 0 3", "1 2 2", "1 2 -1", "-1 2 0", "1 1 1", "a b 1", "1.5 2 0", "1,2,0"])
@pytest.mark.parametrize("before", [0, 1, 999, 5000])
def test_bad_pairs_are_refused_with_their_line(
    write: Write, line: str, before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ijbfiles, "_AT_ONCE", 10_000)
    text = "".join(f"{number + 1} {number + 2} {number % 2}\n" for number in range(before)) + line + "\n7 8 1\n"
    with pytest.raises(InputError, match=rf"meta.txt, line {before + 1}: should be `TEMPLATE_ID TEMPLATE_ID LABEL`"):
        read_template_pairs(write(text))


@pytest.mark.parametrize("text", ["", "\n \n", b"\xff\n", f"1 {10**19} 0\n"])
def test_files_that_are_no_pairs_are_refused(write: Write, text: str | bytes) -> None:
    with pytest.raises(InputError, match="holds no pair|line 1"):
        read_template_pairs(write(text))


lines = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 999), st.integers(0, 999), st.integers(0, 1)).map(lambda row: "{} {} {}".format(*row)),
        st.text("0123456789 \t", max_size=12),
    ),
    min_size=1,
    max_size=30,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines, st.integers(1, 60))
def test_pairs_are_read_as_a_loop_reads_them(write: Write, said: list[str], at_once: int) -> None:
    rows = [(number, pair_of(line)) for number, line in enumerate(said, start=1) if line.strip()]
    wrong = [number for number, row in rows if row is None]
    file = write("\n".join(said) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ijbfiles, "_AT_ONCE", at_once)
        if wrong or not rows:
            with pytest.raises(InputError, match=f"line {wrong[0]}: " if wrong else "holds no pair"):
                read_template_pairs(file)
        else:
            found = read_template_pairs(file)
            columns = zip(found.first.tolist(), found.second.tolist(), found.genuine.tolist(), strict=True)
            assert list(columns) == [row for _, row in rows]


def test_landmarks_are_read_for_the_names_asked_for(write: Write) -> None:
    file = write(f"2.jpg {POINTS} 0.5\nother.jpg {POINTS} 1\n1.jpg {POINTS.replace('46.06', '40')} 0.999\n")
    found = read_landmarks(file, ["1.jpg", "2.jpg", "1.jpg"])
    assert len(found) == 3 and found.points.shape == (3, 5, 2)
    first, second, third = found
    assert first.landmarks[0] == (40, 62.03) and second.landmarks[0] == (46.06, 62.03) and third == first
    assert second.landmarks[4] == (86.45, 98.65)
    assert (first.probability, second.probability) == (0.999, 0.5)


def test_the_box_is_the_frame_of_the_aligned_face() -> None:
    """Landmarks that lie as the template has them, twice as large and somewhere else, have its frame for a box."""
    points = template(112, 96) * 2 + (100, 40)
    (face,) = Landmarks(points[np.newaxis], np.ones(1))
    np.testing.assert_allclose(face.box, (100, 40, 100 + 2 * 95, 40 + 2 * 111), atol=1e-6)
    turned = points @ np.array([[0, 1], [-1, 0]])
    (face,) = Landmarks(turned[np.newaxis], np.ones(1))
    assert face.width == pytest.approx(2 * 111) and face.height == pytest.approx(2 * 95)
    np.testing.assert_allclose(similarity(np.array(face.landmarks), turned)[:, :2], np.eye(2), atol=1e-9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1.jpg 1 2 3 4 5 6 7 8 9 10\n", "line 1: should be `NAME x1 y1"),
        (f"\n1.jpg {POINTS.replace('62.03', 'x')} 0.9\n", "line 2: should be `NAME x1 y1"),
        (f"1.jpg {POINTS.replace('62.03', 'nan')} 0.9\n", "line 1: has points"),
        (f"1.jpg {POINTS.replace('62.03', '1e300')} 0.9\n", "line 1: has points"),
        (f"1.jpg {'5 ' * 10}0.9\n", "line 1: has points"),
        (f"1.jpg {POINTS} 1.5\n", "line 1: has points or a score"),
        (f"1.jpg {POINTS} nan\n", "line 1: has points or a score"),
        (f"../1.jpg {POINTS} 0.5\n", "line 1: '../1.jpg' is no path below"),
        (f"1.jpg {POINTS} 0.5\n1.jpg {POINTS} 0.5\n", "line 2: tells of 1.jpg a second time"),
        (f"2.jpg {POINTS} 0.5\n", "has no landmarks of 1 pictures: 1.jpg$"),
    ],
)
def test_bad_landmarks_are_refused(write: Write, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_landmarks(write(text), ["1.jpg"])


def test_all_pictures_without_landmarks_are_counted(write: Write) -> None:
    with pytest.raises(InputError, match=r"no landmarks of 5 pictures: 0\.jpg, 1\.jpg, 2\.jpg and others"):
        read_landmarks(write(f"x.jpg {POINTS} 0.5\n"), [f"{number % 5}.jpg" for number in range(9)])


@pytest.mark.parametrize("read", [read_media, read_template_pairs, lambda file: read_landmarks(file, [])])
def test_files_that_cannot_be_read(
    read: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MissingError, match="no file"):
        read(tmp_path / "meta.txt")
    with pytest.raises(InputError, match="cannot read"):
        read(tmp_path)
    (tmp_path / "large.txt").write_bytes(b"\n" * 101)
    for bound in ("_MOST_BYTES", "_MOST_PAIR_BYTES"):
        monkeypatch.setattr(ijbfiles, bound, 100)
    with pytest.raises(InputError, match="larger than"):
        read(tmp_path / "large.txt")


def test_arrays_that_do_not_fit_are_refused() -> None:
    one = np.array([1])
    with pytest.raises(InputError):
        Media(("a", "b"), one, one)
    with pytest.raises(InputError):
        TemplatePairs(one, np.array([1, 2]), np.array([True]))
