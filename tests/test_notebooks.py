"""The notebooks: readable as they are stored, and telling the same when they are run again."""

from __future__ import annotations

import getpass
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
EXPRESSIONS, GALLERY = "expression_recognition", "train_enroll_identify"
LARGEST = 1_500_000
"""Bytes of a notebook with its pictures."""

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(notebook: NotebookNode) -> str:
    """Everything written to standard output."""
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    return "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")


def texts(notebook: NotebookNode) -> Iterator[str]:
    """All that a reader can read: sources and textual outputs."""
    for cell in notebook.cells:
        yield cell.source
        for output in cell.get("outputs", ()):
            yield output.get("text", "")
            yield from (value for kind, value in output.get("data", {}).items() if kind.startswith("text/"))


def numbers(pattern: str, text: str) -> list[float]:
    """The groups of the first match."""
    found = re.search(pattern, text)
    assert found is not None, f"{pattern} is not in:\n{text}"
    return [float(group) for group in found.groups()]


def test_the_two_are_there() -> None:
    assert [path.stem for path in NOTEBOOKS] == [EXPRESSIONS, GALLERY]
    listed = (ROOT / "notebooks" / "README.md").read_text(encoding="utf-8")
    assert all(path.name in listed for path in NOTEBOOKS)


@every_notebook
def test_the_file_is_a_valid_notebook_of_plain_python(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    assert notebook.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert path.stat().st_size < LARGEST


@every_notebook
def test_it_can_be_read_without_running(path: Path) -> None:
    notebook = read(path)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1)), "run from top to bottom"
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output.text for output in outputs if output.get("name") == "stderr"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 4
    assert notebook.cells[0].cell_type == "markdown" and notebook.cells[0].source.startswith("# ")
    # Whoever scrolls through is never left alone with more than two pieces of code.
    kinds = "".join(cell.cell_type[0] for cell in notebook.cells)
    assert "ccc" not in kinds and all(cell.source.strip() for cell in notebook.cells)


@every_notebook
def test_it_says_nothing_about_the_machine_it_was_run_on(path: Path) -> None:
    words = {str(Path.home()), getpass.getuser(), socket.gethostname(), str(ROOT)}
    # A user may be called like a word of the text; as part of a path it still would be one of these.
    told = [word for word in words if len(word) > 4]
    for text in texts(read(path)):
        assert not re.search(r"(?<![\w.])/(?:home|Users|root|tmp|var|work|usr|opt|private)\b", text), text
        assert not re.search(r"[A-Z]:\\", text), text
        assert not [word for word in told if word in text], text
        assert "images/s" not in text and not re.search(r"\d\s?(?:s|ms|seconds)\b", text), "times are not promised"


def check_expressions(output: str) -> None:
    """Clearly better than guessing, on people the network never saw."""
    accuracy, low, chance = numbers(r"classification: Accuracy +(\S+) +(\S+) to \S+ +chance (\S+)", output)
    assert chance == pytest.approx(1 / 7, abs=1e-3)
    assert low > 2 * chance and accuracy > 0.5
    right, asked = numbers(r"(\d+) of (\d+) right", output)
    assert asked == 140 and right / asked > 0.45


def check_gallery(output: str) -> None:
    """Learnt something; enrolled, told strangers from people enrolled, and one from another."""
    start, end = numbers(r"start      roc_auc (\S+) (?:.*\n)+epoch  40  roc_auc (\S+) ", output)
    assert end > 0.95 and end > start + 0.1
    enrolled = re.findall(r"^enrolled: (.*)$", output, re.MULTILINE)[0].split(", ")
    refused = re.findall(r"^(\w+) refused: ", output, re.MULTILINE)
    assert len(enrolled) >= 8 and len(enrolled) + len(refused) == 16 and not set(enrolled) & set(refused)
    assert re.search(r"^undecided - best candidate: ", output, re.MULTILINE)
    right, asked, wrong = numbers(r"enrolled people: (\d+) of (\d+) pictures recognised, (\d+) taken", output)
    assert right > asked / 4 and wrong < right / 4
    taken, strangers = numbers(r"strangers: +(\d+) of (\d+) pictures taken", output)
    assert strangers == 60 and taken <= 0.2 * strangers
    same, other, stranger = re.findall(r"same person: (True|False)", output)
    assert (same, other, stranger) == ("True", "False", "False")


CHECKS = {EXPRESSIONS: check_expressions, GALLERY: check_gallery}


@every_notebook
def test_what_it_tells_is_what_is_stored(path: Path) -> None:
    CHECKS[path.stem](printed(read(path)))


@pytest.mark.slow
@pytest.mark.timeout(1500)
@every_notebook
def test_running_it_again_tells_the_same(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a copy of what a clone holds, without the stored results; figures may move with processor and versions."""
    shutil.copytree(ROOT / "datasets", tmp_path / "datasets")
    (tmp_path / "notebooks").mkdir()
    stored, fresh = read(path), read(path)
    for cell in code_cells(fresh):
        cell.outputs, cell.execution_count = [], None
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("FACENET_OFFLINE", "1")
    # Its own settings and history, so that nobody's profile decides how the notebook runs.
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    NotebookClient(
        fresh,
        timeout=900,
        kernel_name="python3",
        coalesce_streams=True,
        resources={"metadata": {"path": str(tmp_path / "notebooks")}},
    ).execute()
    assert not list((tmp_path / "notebooks").iterdir()), "runs belong into a temporary folder"
    CHECKS[path.stem](printed(fresh))
    for before, after in zip(code_cells(stored), code_cells(fresh), strict=True):
        assert [kind(output) for output in before.outputs] == [kind(output) for output in after.outputs], before.source


def kind(output: NotebookNode) -> tuple[str, ...]:
    return (output.output_type, output.get("name", ""), *sorted(output.get("data", {})))
