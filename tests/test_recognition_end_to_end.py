"""From pictures to decisions by the real command line: enroll, identify, verify, and all that a gallery lives through.

The people are patterns of colour and the network is made to tell them apart (see ``patterns``), so every answer is
known; what real people give is measured elsewhere.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from patterns import SAME, write_patterns, write_weights

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
Done = subprocess.CompletedProcess[str]
PEOPLE = {"Ada": 1, "李小龙": 2, "O'Neil; DROP TABLE": 3, "Clea": 4}


class Session:
    """One folder, one model, and the command line in it."""

    def __init__(self, cli: Callable[..., Done], folder: Path, model: tuple[str, ...]) -> None:
        self._cli, self.folder, self.model = cli, folder, model

    def run(self, *words: object, code: int = 0) -> Done:
        """Run a command that must end with ``code``, and if that is an error, say so in one line."""
        done = self._cli(*words, cwd=self.folder)
        assert done.returncode == code, f"{words} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert len(errors) <= 1 and (code < 2 or errors or "error: " in done.stderr or done.stdout), done.stderr
        return done

    def json(self, *words: object, code: int = 0) -> Any:
        """The one JSON document of a command."""
        done = self.run(*words, "--json", code=code)
        assert done.stdout.isascii()
        return json.loads(done.stdout)

    def names(self, *words: object) -> list[str]:
        return [person["name"] for person in self.json("gallery", "list", *words)["people"]]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("weights") / "net.safetensors")


@pytest.fixture(scope="module")
def prepared(
    cli: Callable[..., Done], tmp_path_factory: pytest.TempPathFactory, weights: Path
) -> tuple[Path, tuple[str, ...]]:
    """A folder with people, strangers, and a gallery of the people, and the flags that name the model."""
    folder = tmp_path_factory.mktemp("prepared")
    model = ("--backbone=mobilefacenet", f"--pretrained={weights}", "--precision=fp32", "--device=cpu")
    write_patterns(folder / "people", PEOPLE, count=3)
    write_patterns(folder / "later", PEOPLE, count=1, start=3)
    write_patterns(folder / "strangers", {f"stranger {seed}": seed for seed in range(20, 36)}, count=6)
    found = Session(cli, folder, model).json("enroll", "--from-folder=people", "--aligned", *model)
    assert found["counts"] == {"enrolled": 12}
    return folder, model


@pytest.fixture
def session(cli: Callable[..., Done], tmp_path: Path, prepared: tuple[Path, tuple[str, ...]]) -> Session:
    """A copy of the prepared folder, to do with as one likes."""
    folder, model = prepared
    shutil.copytree(folder, tmp_path / "copy")
    return Session(cli, tmp_path / "copy", model)


def test_from_pictures_to_decisions(session: Session) -> None:
    """Without a threshold nothing is decided; calibrated, people are recognised and strangers are not."""
    assert sorted(session.names()) == sorted(PEOPLE)
    undecided = session.run("identify", "later", "--aligned")
    assert "4 undecided" in undecided.stdout and "gallery calibrate" in undecided.stderr

    targets = ("--target-fmr=0.001", "--target-fpir=0.05")
    (session.folder / "strangers" / "Ada").mkdir()
    (session.folder / "strangers" / "Ada" / "0.png").write_bytes(b"")
    calibrated = session.json("gallery", "calibrate", "--data=strangers", *targets, "--aligned")
    assert (calibrated["pictures"], calibrated["people"], calibrated["enrolled_people"]) == (96, 16, 1)
    for purpose, kind in (("verification", "fmr"), ("identification", "fpir")):
        assert calibrated[purpose]["kind"] == kind and -1 < calibrated[purpose]["value"] < SAME

    found = session.run("identify", "later", "strangers/stranger 20", "--aligned", "--draw=drawn")
    assert "4 matched" in found.stdout and "6 unknown" in found.stdout
    assert "decided by the calibrated threshold for identification" in found.stderr
    assert len(list((session.folder / "drawn").iterdir())) == 10
    document = session.json("identify", "later", "--aligned")
    assert all(outcome["name"] == Path(outcome["source"]).parent.name for outcome in document["outcomes"])
    assert document["decision"]["calibration"]["target"] == 0.05

    photo = session.folder / "later" / "Ada" / "3.png"
    session.run("verify", photo, "--person=Ada", "--aligned")
    session.run("verify", photo, "--person=Clea", "--aligned", code=1)
    session.run("verify", photo, "people/Ada/0.png", "--aligned")
    session.run("verify", photo, "people/Clea/0.png", "--aligned", code=1)
    # One more person, and the people are enrolled as before.
    assert session.json("enroll", "--from-folder=people", "--aligned")["counts"] == {"already_enrolled": 12}
    stats = session.json("gallery", "stats")
    assert (stats["people"], stats["embeddings"]) == (4, 12)


def test_photos_without_a_face(session: Session) -> None:
    """Patterns are no faces: where the detector looks for one, it says so."""
    found = session.json("identify", "later", code=3)
    assert found["counts"] == {"no_face": 4}
    assert session.json("enroll", "Nobody", "later/Ada", code=3)["counts"] == {"no_face": 1}
    session.run("verify", "later/Ada/3.png", "--person=Ada", "--threshold=0.5", code=3)
    assert len(session.names()) == 4


def test_a_batch_with_bad_pictures(session: Session) -> None:
    batch = session.folder / "batch"
    batch.mkdir()
    good = (session.folder / "later" / "Ada" / "3.png").read_bytes()
    for name, data in (
        ("good.png", good),
        ("cut.png", good[:500]),
        ("empty.jpg", b""),
        ("text.webp", b"not a picture"),
    ):
        (batch / name).write_bytes(data)
    found = session.json("identify", "batch", "--aligned", f"--threshold={SAME}")
    assert found["counts"] == {"matched": 1, "unreadable": 3}
    enrolled = session.json("enroll", "Ada", "batch", "--aligned")
    assert enrolled["counts"] == {"enrolled": 1, "unreadable": 3}


def test_a_gallery_lives_on(session: Session) -> None:
    """Rename, back up, export, remove, restore, import, check."""
    session.run("gallery", "rename", "Clea", "Clea the Second")
    session.run("gallery", "backup", "kept")
    session.run("gallery", "export", "people.exported")
    session.run("gallery", "remove", "Clea the Second", "--yes")
    assert "Clea the Second" not in session.names()
    session.run("gallery", "check")
    photo = ("later/Clea/3.png", "--aligned", f"--threshold={SAME}")
    assert session.json("identify", *photo)["counts"] == {"unknown": 1}

    session.run("gallery", "restore", "kept", "--gallery=restored")
    assert "Clea the Second" in session.names("--gallery=restored")
    assert session.json("identify", *photo, "--gallery=restored")["counts"] == {"matched": 1}
    session.run("gallery", "check", "--gallery=restored")

    session.run("gallery", "create", "--gallery=other", *session.model)
    session.run("gallery", "import", "people.exported", "--gallery=other")
    assert len(session.names("--gallery=other")) == 4
    assert session.json("identify", *photo, "--gallery=other")["counts"] == {"matched": 1}


def test_a_new_model(session: Session, tmp_path: Path) -> None:
    """Pictures at hand, a gallery moves to another model; till then the other model is refused."""
    other = write_weights(tmp_path / "other.safetensors", seed=1)
    new = ("--backbone=mobilefacenet", f"--pretrained={other}", "--precision=fp32")
    refused = session.run("identify", "later", "--aligned", *new, code=5)
    assert "gallery reembed" in refused.stderr
    session.run("gallery", "reembed", *new)
    before, after = sorted(PEOPLE), sorted(session.names())
    assert before == after
    found = session.json("identify", "later", "--aligned", f"--threshold={SAME}")
    assert found["counts"] == {"matched": 4}
    session.run("gallery", "check")


def test_damage_is_found_and_mended(session: Session) -> None:
    """A flipped bit in the database: ``check`` ends with 1, ``repair`` saves the rest."""
    file = session.folder / "gallery" / "gallery.sqlite"
    session.run("gallery", "check")
    data = bytearray(file.read_bytes())
    place = data.find(b"O'Neil")
    assert place > 0
    data[place] ^= 1
    file.write_bytes(data)
    checked = session.run("gallery", "check", code=1)
    assert "repair" in checked.stderr
    session.run("gallery", "repair", code=2)
    session.run("gallery", "repair", "--yes")
    session.run("gallery", "check")
    assert {"Ada", "李小龙", "Clea"} <= set(session.names())


def test_a_terminal_that_cannot_show_every_name(session: Session, child_environment: dict[str, str]) -> None:
    environment = {**child_environment, "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "cli.py"), "gallery", "list"],
        cwd=session.folder,
        env=environment,
        capture_output=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert rb"\u674e\u5c0f\u9f99" in done.stdout and b"Clea" in done.stdout


def test_mistakes_cost_nothing(session: Session) -> None:
    (session.folder / "empty").mkdir()
    (session.folder / "file").write_text("in the way")
    for code, words in (
        (4, ["identify", "later", "--gallery=nowhere"]),
        (4, ["gallery", "list", "--gallery=file"]),
        (3, ["gallery", "remove", "Ada", "Nobody", "--yes"]),
        (2, ["gallery", "remove", "Ada"]),
        (2, ["identify", "later", "--threshold=1.5"]),
        (3, ["enroll", "Ada", "empty"]),
        (2, ["enroll", "Ada", "--from-folder=people"]),
        (3, ["gallery", "calibrate", "--data=strangers", "--target-fmr=1e-6", "--aligned"]),
    ):
        session.run(*words, code=code)
    assert (session.folder / "file").read_text() == "in the way"
    assert sorted(session.names()) == sorted(PEOPLE)
    session.run("gallery", "check")
