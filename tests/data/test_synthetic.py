"""Sample people: drawn alike every time, independent of each other, recognisable, and equal to the shipped set."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facenet.data.synthetic import Hair, Person, Picture, draw_face, draw_people, write_people
from facenet.data.synthetic.curves import mirrored, ribbon, smooth
from facenet.data.synthetic.pose import Pose
from facenet.errors import InputError, StorageError, UsageError
from facenet.images import load_image

SHIPPED = Path(__file__).resolve().parents[2] / "datasets" / "custom_images"


def rng(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def as_list(*args: object, **options: object) -> list[tuple[str, list[np.ndarray]]]:
    return list(draw_people(*args, **options))  # type: ignore[arg-type]


def test_pictures_have_the_promised_form() -> None:
    for size in (32, 57):
        (name, images), *rest = as_list(1, 2, size=size)
        assert name.isalpha() and not rest and len(images) == 2
        assert all(i.shape == (size, size, 3) and i.dtype == np.uint8 and i.std() > 20 for i in images)


def test_equal_seeds_give_equal_pixels_and_other_seeds_others() -> None:
    first, again, other = (as_list(2, 2, seed=seed, size=48) for seed in (7, 7, 8))
    assert np.array_equal([i for _, i in first], [i for _, i in again])
    assert all(not np.array_equal(a, b) for (_, x), (_, y) in zip(first, other, strict=True) for a in x for b in y)


def test_more_people_or_pictures_change_none_of_the_others() -> None:
    small, large = as_list(2, 2, size=40), as_list([3, 4, 1], size=40)
    assert [len(images) for _, images in large] == [3, 4, 1]
    for (name, images), (same_name, more) in zip(small, large, strict=False):
        assert name == same_name
        assert np.array_equal(images, more[:2])


def test_a_person_and_a_picture_decide_everything() -> None:
    person, picture = Person.random(rng(1)), Picture.random(rng(2))
    assert person == Person.random(rng(1)) and picture == Picture.random(rng(2))
    image = draw_face(person, picture, 48)
    assert np.array_equal(image, draw_face(person, picture, 48))
    moments: dict[str, Any] = {"exposure": picture.exposure * 0.7, "smile": -0.9, "yaw": 0.4, "clothes": (0, 0, 0)}
    for field, value in moments.items():
        assert not np.array_equal(image, draw_face(person, dataclasses.replace(picture, **{field: value}), 48)), field
    traits: dict[str, Any] = {"skin": (60, 40, 30), "hair": Hair(0.3, 0.3, 0.5, (-0.3,) * 5), "texture": 1}
    for field, value in traits.items():
        assert not np.array_equal(image, draw_face(dataclasses.replace(person, **{field: value}), picture, 48)), field


def test_names_stay_distinct_beyond_the_list() -> None:
    names = [name for name, _ in draw_people(52, 1, size=32)]
    assert len(set(names)) == 52
    assert all(name.isalnum() and name.isascii() for name in names)


def test_every_style_can_be_drawn_in_every_pose() -> None:
    from facenet.data.synthetic.styles import BEARDS, GLASSES, LONG_STYLES, SHORT_STYLES

    person, picture = Person.random(rng(3), feminine=True), Picture.random(rng(4))
    seen = set()
    turns = [(0.42, -0.26, 0.28), (-0.42, 0.26, -0.28)]
    for k, style in enumerate((*LONG_STYLES, *SHORT_STYLES)):
        beard, glasses = (*BEARDS, None)[k % 5], (*GLASSES, None)[k % 5]
        someone = dataclasses.replace(person, hair=style, beard=beard, glasses=glasses)
        for yaw, pitch, roll in turns:
            turned = dataclasses.replace(picture, yaw=yaw, pitch=pitch, roll=roll)
            seen.add(draw_face(someone, turned, 32).tobytes())
    assert len(seen) == 2 * (len(LONG_STYLES) + len(SHORT_STYLES))


@pytest.fixture(scope="module")
def people() -> np.ndarray:
    """Twelve people in six pictures each: ``(12, 6, 64, 64, 3)``."""
    return np.array([images for _, images in draw_people(12, 6, seed=3, size=64)])


def test_people_look_like_themselves_but_not_in_every_pixel(people: np.ndarray) -> None:
    flat = people.reshape(72, -1).astype(np.float64)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    alike = flat @ flat.T
    who = np.repeat(np.arange(12), 6)
    same = who[:, None] == who[None, :]
    np.fill_diagonal(alike, -1.0)
    off_diagonal = ~np.eye(72, dtype=bool)
    assert alike[same & off_diagonal].mean() > alike[~same].mean() + 0.01
    assert alike[same & off_diagonal].max() < 0.999
    nearest = (who[alike.argmax(axis=1)] == who).mean()
    # Chance is 5/71. Were it near 1, pixels would do and there would be nothing to learn.
    assert 0.3 < nearest < 0.9


def test_the_background_says_nothing_about_the_person(people: np.ndarray) -> None:
    """Variance between people over variance within them: chance in the upper corners, far more on the face."""
    values = people.astype(np.float64)
    share = values.mean(axis=1).var(axis=0, ddof=1).mean(axis=-1) / values.var(axis=1, ddof=1).mean(axis=(0, -1))
    corners = np.concatenate([share[:8, :8], share[:8, -8:]]).mean()
    # For six independent draws the expected share is one sixth.
    assert 0.08 < corners < 0.3
    assert share[20:44, 24:40].mean() > 3 * corners


def test_write_people(tmp_path: Path) -> None:
    root = tmp_path / "new" / "set"
    files = write_people(root, [2, 1], size=40)
    assert files == sorted(p for p in root.rglob("*") if p.is_file())
    assert [str(f.relative_to(root)) for f in files] == ["Ada/0001.jpg", "Ada/0002.jpg", "Bruno/0001.jpg"]
    (_, images), _ = draw_people([2, 1], size=40)
    assert np.abs(load_image(files[1]).astype(int) - images[1]).mean() < 6
    bytes_before = [f.read_bytes() for f in files]
    with pytest.raises(InputError, match="not an empty folder"):
        write_people(root, 3)
    assert [f.read_bytes() for f in files] == bytes_before
    with pytest.raises(InputError, match="not an empty folder"):
        write_people(files[0], 3)
    empty = tmp_path / "empty"
    empty.mkdir()
    again = write_people(empty, [2, 1], size=40)
    assert [f.read_bytes() for f in again] == bytes_before


def test_an_interrupted_writing_leaves_no_half_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(self: Path, data: bytes) -> int:
        if self.name == "0002.jpg":
            raise OSError(28, "No space left on device")
        return original(self, data)

    original = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(StorageError, match="No space left"):
        write_people(tmp_path / "set", 2, 2, size=32)
    assert list((tmp_path / "set").iterdir()) == []


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a user whom permissions hold back")
def test_unwritable_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="cannot write"):
        write_people(tmp_path / "set", 1, 1, size=32)


def test_a_path_through_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="cannot write"):
        write_people(tmp_path / "file" / "set", 1, 1, size=32)


@pytest.mark.parametrize(
    "arguments",
    [
        {"people": 0},
        {"people": -1},
        {"people": 10**9},
        {"people": 2.0},
        {"people": True},
        {"people": "3"},
        {"people": []},
        {"people": [2, 0]},
        {"people": [10**6]},
        {"pictures": 0},
        {"pictures": 10**6},
        {"pictures": None},
        {"size": 31},
        {"size": 1025},
        {"size": 64.5},
        {"seed": -1},
        {"seed": 2**63},
    ],
)
def test_bad_arguments_are_refused_at_once(arguments: dict[str, object], tmp_path: Path) -> None:
    whole: dict[str, object] = {"people": 2, "pictures": 1, **arguments}
    with pytest.raises(UsageError, match="must be a whole number"):
        draw_people(**whole)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="must be a whole number"):
        write_people(tmp_path / "set", **whole)  # type: ignore[arg-type]
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize("options", [{"quality": 0}, {"quality": 101}])
def test_bad_quality(options: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="quality"):
        write_people(tmp_path / "set", 1, 1, **options)


def test_bad_size_of_a_single_face() -> None:
    with pytest.raises(UsageError, match="size"):
        draw_face(Person.random(rng(0)), Picture.random(rng(0)), size=10**6)


def test_shipped_set_has_the_promised_form() -> None:
    files = sorted(SHIPPED.rglob("*"))
    pictures = [f for f in files if f.is_file()]
    assert len({f.parent.name for f in pictures}) == 16 and len(pictures) == 160
    assert {f.parent.parent for f in pictures} == {SHIPPED}
    assert {f.name for f in pictures} == {f"{k:04d}.jpg" for k in range(1, 11)}
    assert all(f.parent.name.isalpha() for f in pictures)
    assert sum(f.stat().st_size for f in pictures) < 2_000_000
    assert all(load_image(f).shape == (160, 160, 3) for f in pictures)


def test_shipped_set_is_what_the_generator_draws(tmp_path: Path) -> None:
    """Compared as decoded pixels: another Pillow may round a JPEG or an edge otherwise."""
    for written in write_people(tmp_path / "set", 4, 2, seed=0):
        shipped = load_image(SHIPPED / written.relative_to(tmp_path / "set"))
        difference = np.abs(load_image(written).astype(int) - shipped)
        assert difference.mean() < 1.0, written.name


def test_smooth_passes_through_its_points() -> None:
    knots = np.array([(0.0, 0.0), (1.0, 2.0), (3.0, -1.0), (4.0, 0.5)])
    assert np.allclose(smooth(knots, steps=5)[::5], knots)
    assert np.allclose(smooth(knots, closed=True, steps=5)[::5], knots)
    straight = smooth([(0.0, 0.0), (1.0, 1.0), (2.0, 2.0)])
    assert np.allclose(straight[:, 0], straight[:, 1])


def test_mirrored_repeats_no_point_on_the_axis() -> None:
    assert mirrored([(0.0, -1.0), (2.0, 0.0), (0.0, 1.0)]).tolist() == [[0, -1], [2, 0], [0, 1], [-2, 0]]
    assert mirrored([(1.0, 0.0), (2.0, 1.0)]).tolist() == [[1, 0], [2, 1], [-2, 1], [-1, 0]]


def test_ribbon_is_as_wide_as_asked() -> None:
    band = ribbon([(0.0, 0.0), (1.0, 0.0), (2.0, 0.0)], (0.2, 0.4))
    assert np.allclose(np.abs(band[:3, 1] - band[:2:-1, 1]), [0.2, 0.3, 0.4])


def test_a_turned_head_shows_parallax() -> None:
    ahead, turned = (Pose(100.0, 100.0, 50.0, yaw, 0.0, 0.0) for yaw in (0.0, 0.3))
    brow, tip, lifted = [(0.0, -0.9)], [(0.0, 0.4)], 0.2
    assert np.allclose(ahead.surface(tip, lifted), [(100.0, 120.0)])
    shift = {name: turned.surface(p, z)[0, 0] - 100.0 for name, p, z in (("brow", brow, 0), ("tip", tip, lifted))}
    assert 0 < shift["brow"] < shift["tip"]
    tilted = Pose(100.0, 90.0, 50.0, 0.0, 0.0, 0.4)
    points = np.array([(0.3, -0.2), (-0.5, 0.7)])
    assert np.allclose(tilted.upright(tilted.outline(points, depth=0.0)), points)
