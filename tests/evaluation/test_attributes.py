"""Tables of attributes: what is read out of them, and what is refused with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from facenet.errors import InputError, MissingError, UsageError
from facenet.evaluation.attributes import NOT_GIVEN, Attributes, read_attributes

PEOPLE = ["Ada", "Ada", "Bob", "Čy, Ž"]
SAMPLES = ["Ada/1.jpg", "Ada/2.jpg", "Bob/1.jpg", "Čy, Ž/1.jpg"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "attributes.csv"


def read(file: Path, text: str | bytes, **options: object) -> Attributes:
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_attributes(file, people=PEOPLE, samples=SAMPLES, **options)  # type: ignore[arg-type]


def groups(found: Attributes, place: int = 0) -> list[str]:
    """The group of each sample."""
    attribute = found.attributes[place]
    return [attribute.groups[code] for code in attribute.codes]


def test_attributes_of_people(file: Path) -> None:
    found = read(file, '\ufeffPerson,age,hair\r\nBob,old, dark \r\n"Čy, Ž",young,\r\nAda,old,fair\r\n')
    assert found.of == "person" and found.unknown == ()
    assert [attribute.name for attribute in found.attributes] == ["age", "hair"]
    assert groups(found) == ["old", "old", "old", "young"]
    assert groups(found, 1) == ["fair", "fair", "dark", NOT_GIVEN]
    assert found.attributes[1].groups == ("dark", "fair", NOT_GIVEN)


def test_attributes_of_images(file: Path) -> None:
    found = read(file, "image,glasses\n./Ada//2.jpg,yes\nBob/1.jpg,no\nBob/1.jpg,no\n")
    assert found.of == "image"
    assert groups(found) == [NOT_GIVEN, "yes", "no", NOT_GIVEN]


def test_names_nobody_has_are_counted_and_refused_unless_to_be_ignored(file: Path) -> None:
    text = "person,age\nAda,1\n" + "".join(f"x{n},1\n" for n in range(5))
    with pytest.raises(InputError, match=r"names 5 of 6 people that are not measured here: x0, x1, x2 and others"):
        read(file, text)
    found = read(file, text, unknown="ignore")
    assert found.unknown == ("x0", "x1", "x2", "x3", "x4") and groups(found)[:3] == ["1", "1", NOT_GIVEN]
    with pytest.raises(InputError, match="says nothing about the people"):
        read(file, "person,age\nX,1\n", unknown="ignore")
    with pytest.raises(UsageError):
        read(file, text, unknown="perhaps")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: expected the header"),
        ("name,age\nAda,1\n", "line 1: expected the header"),
        ("person\nAda\n", "line 1: expected the header"),
        ("person,age,\nAda,1,2\n", "line 1: expected the header"),
        ("person,age,age\nAda,1,2\n", "line 1: two columns have the same name"),
        ("person,age\nAda,1\n\nBob\n", "line 4: has 1 columns instead of 2"),
        ("person,age\nAda,1\nBob,1\nAda,2\n", "line 4: gives Ada other values than a line before"),
        ("image,age\nAda/1.jpg,1\nAda/./1.jpg,2\n", "line 3: gives Ada/1.jpg other values"),
        ("person,age\n,1\n", "line 2: names no person"),
        ('person,age\n"Ada,1\n', "is no CSV"),
        (b"person,age\nAda,1\n\xff\xfe,2\n", "line 3: is not UTF-8 text"),
        ("person,age\n", "says nothing about the people"),
    ],
)
def test_what_is_no_such_table_is_refused_with_its_line(file: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(file, text)


def test_a_name_cannot_break_the_message(file: Path) -> None:
    with pytest.raises(InputError, match=r"not measured here: a\\nb") as raised:
        read(file, 'person,age\nAda,1\n"a\nb",1\n')
    assert "\n" not in str(raised.value)


def test_measurements_are_no_groups(file: Path) -> None:
    people = [str(number) for number in range(60)]
    file.write_text("person,age\n" + "".join(f"{name},{name}.5\n" for name in people))
    with pytest.raises(InputError, match="age has 60 different values.*ranges"):
        read_attributes(file, people=people, samples=people)


def test_no_file_and_too_few_people(file: Path) -> None:
    with pytest.raises(MissingError, match="no file"):
        read_attributes(file, people=PEOPLE, samples=SAMPLES)
    with pytest.raises(InputError, match="one person each"):
        read_attributes(file, people=PEOPLE[:1], samples=SAMPLES)
    with pytest.raises(InputError, match="cannot read"):
        read_attributes(file.parent, people=PEOPLE, samples=SAMPLES)
