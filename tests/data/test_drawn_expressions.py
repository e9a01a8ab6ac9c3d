"""Drawn expressions: visible, told apart by where the face moves, and nothing to a face that shows none."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest

from facenet.data.synthetic import (
    EXPRESSIONS,
    Movements,
    Person,
    Picture,
    draw_face,
    with_expression,
    write_expressions,
)
from facenet.errors import InputError, StorageError, UsageError
from facenet.images import load_image

NAMES = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")


def rng(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


@pytest.fixture
def frontal() -> tuple[Person, Picture]:
    """Somebody without glasses, beard and fringe, facing the camera in even light without noise."""
    from facenet.data.synthetic.styles import LONG_STYLES

    person = dataclasses.replace(Person.random(rng(1), feminine=True), glasses=None, hair=LONG_STYLES[5])
    still = {"yaw": 0.0, "pitch": 0.0, "roll": 0.0, "noise": 0.0, "blur": 0.0, "x": 0.5, "y": 0.5, "scale": 0.44}
    return person, dataclasses.replace(Picture.random(rng(2)), **still)  # type: ignore[arg-type]


def test_the_seven() -> None:
    assert tuple(EXPRESSIONS) == NAMES
    fields = {field.name for field in dataclasses.fields(Movements)}
    for shown in EXPRESSIONS.values():
        assert set(shown.movements) <= fields
        assert all(low <= high for low, high in (*shown.face.values(), *shown.movements.values()))


def test_a_random_picture_moves_nothing_and_zero_movements_change_no_pixel() -> None:
    for seed in range(6):
        person, picture = Person.random(rng(seed)), Picture.random(rng(seed + 100))
        assert picture.movements == Movements()
        tiny = dataclasses.replace(picture, movements=Movements(**dict.fromkeys(vars(Movements()), -0.0)))
        assert np.array_equal(draw_face(person, picture, 48), draw_face(person, tiny, 48))


def test_every_movement_shows_where_it_should(frontal: tuple[Person, Picture]) -> None:
    """Eyes lie at half the height of the picture (64 pixels here), the mouth at three quarters."""
    person, picture = frontal
    still = draw_face(person, picture, 64).astype(int)
    places = {
        "brow_slant": slice(18, 34),
        "brow_lift": slice(10, 32),
        "squint": slice(28, 40),
        "sneer": slice(30, 56),
        "rounded": slice(44, 62),
        "pressed": slice(44, 62),
        "corners": slice(44, 62),
    }
    assert set(places) == set(vars(Movements()))
    for name, rows in places.items():
        moved = draw_face(person, dataclasses.replace(picture, movements=Movements(**{name: 1.0})), 64)
        changed = np.abs(moved - still).max(axis=(1, 2))
        assert changed[rows].max() > 30, name
        assert np.delete(changed, np.r_[rows]).max() < 30, name


def test_expressions_differ_from_each_other_more_than_one_does_from_itself(frontal: tuple[Person, Picture]) -> None:
    person, picture = frontal
    drawn = np.array(
        [[draw_face(person, with_expression(picture, name, rng(k)), 64) for k in range(4)] for name in NAMES],
        np.float64,
    )
    face = drawn[:, :, 8:62, 12:52]
    within = max(np.abs(a - b).mean() for shown in face for a, b in itertools.combinations(shown, 2))
    means = face.mean(axis=1)
    for (first, a), (second, b) in itertools.combinations(zip(NAMES, means, strict=True), 2):
        assert np.abs(a - b).mean() > 0.8 * within, (first, second)


def test_an_expression_leaves_the_rest_of_a_picture_alone() -> None:
    picture = Picture.random(rng(5))
    smiling = with_expression(picture, "happy", rng(0))
    assert smiling == with_expression(picture, "happy", rng(0)) != with_expression(picture, "happy", rng(1))
    changed = {name for name, value in vars(smiling).items() if value != getattr(picture, name)}
    assert changed == {"smile", "mouth_open", "brow_raise", "eye_open", "movements"}
    with pytest.raises(UsageError, match=r"no expression is called bored.*angry, disgust"):
        with_expression(picture, "bored", rng(0))


def test_the_folder(tmp_path: Path) -> None:
    root = tmp_path / "new" / "set"
    seen: list[tuple[int, int]] = []
    files = write_expressions(root, 2, 1, pictures=2, size=32, progress=lambda done, total: seen.append((done, total)))
    assert files == sorted(path for path in root.rglob("*") if path.is_file())
    names = [path.relative_to(root).as_posix() for path in files]
    train = [f"train/{name}/{k:04d}.png" for name in NAMES for k in range(1, 5)]
    validation = [f"validation/{name}/{k:04d}.png" for name in NAMES for k in range(1, 3)]
    assert names == train + validation
    images = [load_image(path) for path in files]
    assert all(image.shape == (32, 32, 3) for image in images)
    assert len({image.tobytes() for image in images}) == 42, "no picture is another one's copy"
    assert seen == [(14, 42), (28, 42), (42, 42)]


def test_more_people_or_pictures_change_none_of_the_others(tmp_path: Path) -> None:
    small = write_expressions(tmp_path / "small", 1, 1, size=32)
    for file in small:
        part = file.relative_to(tmp_path / "small")
        for more in ({"people": 2, "validation": 2}, {"people": 1, "validation": 1, "pictures": 2}):
            folder = tmp_path / f"large-{more['people']}"
            if not folder.exists():
                write_expressions(folder, size=32, **more)
            assert (folder / part).read_bytes() == file.read_bytes()


def test_other_seeds_draw_others(tmp_path: Path) -> None:
    first, other = (write_expressions(tmp_path / str(seed), 1, 1, seed=seed, size=32) for seed in (0, 1))
    assert not {path.read_bytes() for path in first} & {path.read_bytes() for path in other}


def test_nobody_is_in_both_halves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from facenet.data.synthetic import expression_set

    people: list[Person] = []
    monkeypatch.setattr(
        expression_set, "draw_face", lambda person, picture, size: people.append(person) or np.zeros((32, 32, 3), "u1")
    )
    write_expressions(tmp_path / "set", 5, 4, size=32)
    train, validation = people[: 5 * 7], people[5 * 7 :]
    assert len(set(train)) == 5 and len(set(validation)) == 4
    assert not set(train) & set(validation)


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="not an empty folder"):
        write_expressions(tmp_path / "mine", 1, 1, size=32)
    with pytest.raises(InputError, match="not an empty folder"):
        write_expressions(tmp_path / "mine" / "thesis.txt", 1, 1, size=32)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_an_interrupted_writing_leaves_no_half_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Path.write_bytes

    def full_disk(self: Path, data: bytes) -> int:
        if self.parent.name == "surprise":
            raise OSError(28, "No space left on device")
        return original(self, data)

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(StorageError, match="No space left"):
        write_expressions(tmp_path / "set", 1, 1, size=32)
    assert list((tmp_path / "set").iterdir()) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"people": 0},
        {"people": 1.5},
        {"validation": 0},
        {"validation": 10**6},
        {"pictures": 0},
        {"pictures": True},
        {"size": 31},
        {"size": "64"},
        {"seed": -1},
    ],
)
def test_bad_arguments_are_refused(wrong: dict[str, object], tmp_path: Path) -> None:
    whole: dict[str, object] = {"people": 1, "validation": 1, **wrong}
    with pytest.raises(UsageError, match=f"{next(iter(wrong))} must be a whole number"):
        write_expressions(tmp_path / "set", **whole)  # type: ignore[arg-type]
    assert not (tmp_path / "set").exists()
