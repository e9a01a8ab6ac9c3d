"""What README and docs tell a newcomer works: every command, every link, every piece of Python."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from facenet.data.synthetic import write_people

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMAND = re.compile(r"^python cli\.py .*$", re.MULTILINE)
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)#]+)[^)]*\)")


def blocks(page: Path, language: str) -> list[str]:
    return [text for found, text in BLOCK.findall(page.read_text(encoding="utf-8")) if found == language]


def commands(page: Path) -> list[str]:
    return [line for text in blocks(page, "bash") for line in COMMAND.findall(text)]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What a command finds around it after cloning, with fewer and smaller pictures; each page is read on its own."""
    folder = tmp_path / "clone"
    folder.mkdir()
    shutil.copy(ROOT / "cli.py", folder)
    write_people(folder / "datasets" / "custom_images", 9, 6, seed=0)
    return folder


def run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "FACENET_OFFLINE": "1", "TORCH_HOME": str(folder / "torch"), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=500
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert "://" in target or (page.parent / target).exists(), f"{page.name} links to {target}"


def test_readme_names_the_two_commands_that_the_makefile_has() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("demo", "test"):
        assert f"make {target}" in text
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
        assert f"make {target}" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_readme_shows_the_original_command_lines() -> None:
    found = commands(ROOT / "README.md")
    for start in ("--train-module inception", "--train-module classification", "--train 0"):
        assert any(line.startswith(f"python cli.py {start}") for line in found)


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.name)
def test_commands_of_a_page_work_in_order(page: Path, clone: Path) -> None:
    for command in commands(page):
        arguments = shlex.split(command)[1:]
        if arguments[1].startswith("--train") and "0" not in arguments[1:3] and "--ep" not in arguments:
            # One epoch instead of many; a resumed run must not end below the epochs it has.
            arguments += ["--ep", "2" if "--check" in arguments else "1"]
        done = run(arguments, clone)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.mark.slow
def test_readme_python_runs_on_a_gallery(clone: Path) -> None:
    for line in (
        "train triplet --backbone mobilefacenet --pretrained none --ep 1 --run-dir other-runs",
        "enroll Ada datasets/custom_images/Ada --force --run-dir other-runs --gallery gallery-for-python",
    ):
        done = run(["cli.py", *line.split()], clone)
        assert done.returncode == 0, done.stderr
    (code,) = blocks(ROOT / "README.md", "python")
    done = run(["-c", code.replace('"gallery"', '"gallery-for-python"')], clone)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "undecided None " + done.stdout.split()[-1] + "\n"
    assert -1 <= float(done.stdout.split()[-1]) <= 1
