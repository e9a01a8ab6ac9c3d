"""The command line within this process, on a toy network: words, exit codes, JSON, files, and bad input."""

from __future__ import annotations

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import Ended, Main
from PIL import Image

from facenet.commands import evaluate as evaluate_command
from facenet.commands import train as train_command
from facenet.training.files import read_json

ROOT = Path(__file__).parent.parent


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Six people with six pictures each: a pattern of their own under noise."""
    return write_patterns(tmp_path / "people", {f"person {number}": 6 for number in range(6)})


def write_patterns(root: Path, people: dict[str, int]) -> Path:
    rng = np.random.default_rng(5)
    for name, count in people.items():
        (root / name).mkdir(parents=True)
        pattern = rng.integers(40, 216, (6, 6, 3)).repeat(6, 0).repeat(6, 1)
        for number in range(count):
            noisy = (pattern + rng.normal(0, 150, pattern.shape)).clip(0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(root / name / f"{number}.png")
    return root


ANY = ("--backbone=toy", "--pretrained=none", "--precision=fp32", "--device=cpu", "--bs=8")
TOY = (*ANY, "--images-per-person=2")


@pytest.fixture
def triplet(main: Main, toy: str, people: Path) -> Callable[..., Ended]:
    """Train the toy with triplets for an epoch on the six people."""

    def run(*words: object, root: Path = people) -> Ended:
        return main("--train-module", "inception", f"--rootdir={root}", "--ep=1", *TOY, *words)

    return run


# ------------------------------------------------------------------------------------------------------- words


def test_nothing_given(main: Main) -> None:
    ended = main()
    assert (ended.code, ended.out) == (2, "")
    assert "--train-module inception" in ended.err


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["train"],
        ["train", "nonsense"],
        ["--train-module", "nonsense"],
        ["--train", "2"],
        ["--train", "1"],
        ["--train-module"],
        ["train", "triplet", "--nonsense"],
        ["train", "triplet", "--check", "2"],
        ["train", "triplet", "--bs", "many"],
        ["train", "triplet", "--boot", "1"],
        ["--train", "0", "--lr", "1"],
        ["evaluate", "--device", "tpu"],
    ],
)
def test_wrong_usage(main: Main, words: list[str]) -> None:
    ended = main(*words)
    assert (ended.code, ended.out) == (2, "")
    assert "error: " in ended.err and "Traceback" not in ended.err


@pytest.mark.parametrize(
    "words", [[], ["train"], ["evaluate"], ["demo"], ["dataset"], ["dataset", "audit"], ["models"], ["models", "list"]]
)
def test_help(main: Main, words: list[str]) -> None:
    ended = main(*words, "--help")
    assert ended.code == 0
    assert ended.out.startswith("usage: facenet")


def test_version(main: Main) -> None:
    assert main("--version").out.startswith("facenet ")


def heard(monkeypatch: pytest.MonkeyPatch, main: Main, *words: str) -> Any:
    """The arguments that the handler of a command line gets."""
    found: list[Any] = []

    def handler(args: Any) -> int:
        found.append(args)
        return 0

    monkeypatch.setattr(train_command, "run", handler)
    monkeypatch.setattr(evaluate_command, "run", handler)
    assert main(*words).code == 0
    return found[0]


@pytest.mark.parametrize(
    ("original", "verbs"),
    [
        (["--train-module", "inception"], ["train", "triplet"]),
        (["--train-module=inception", "--train", "1"], ["train", "triplet"]),
        (["--rootdir", "d", "--lr", "0.1", "--train-module", "classification", "--bs", "5"],
         ["train", "classification", "--rootdir", "d", "--lr", "0.1", "--bs", "5"]),
        (["--train-module", "inception", "--ep", "3", "--check", "1"],
         ["train", "triplet", "--epochs", "3", "--check", "1"]),
        (["--train", "0", "--rootdir", "d"], ["evaluate", "--rootdir", "d"]),
        (["--train=0"], ["evaluate"]),
        (["--train-module", "inception", "--train", "0"], ["evaluate"]),
        (["--train-module", "inception", "--pretrained", "none", "--json"],
         ["train", "triplet", "--pretrained", "none", "--json"]),
    ],
)  # fmt: skip
def test_original_words(monkeypatch: pytest.MonkeyPatch, main: Main, original: list[str], verbs: list[str]) -> None:
    first, second = (vars(heard(monkeypatch, main, *words)) for words in (original, verbs))
    tasks = [train_command.TASKS.get(found.pop("task", "triplet")) for found in (first, second)]
    assert tasks[0] == tasks[1]
    assert first == second


@pytest.mark.parametrize(
    ("words", "task", "rate"),
    [
        (["--lr", "0.5"], "inception", 0.5),
        (["--lrin", "0.5", "--lrcl", "0.1"], "inception", 0.5),
        (["--lrin", "0.5", "--lrcl", "0.1"], "classification", 0.1),
        (["--lrin", "0.5", "--lr", "0.2"], "classification", 0.2),
        (["--lrcl", "0.5"], "inception", None),
    ],
)
def test_learning_rates(
    monkeypatch: pytest.MonkeyPatch, main: Main, words: list[str], task: str, rate: float | None
) -> None:
    args = heard(monkeypatch, main, "--train-module", task, *words)
    found = train_command._settings(args, train_command.TASKS[task])
    assert found == ({} if rate is None else {"lr": rate})


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], None),
        (["--holdout", "people"], {"kind": "people"}),
        (["--holdout-people", "3"], {"kind": "people", "people": 3}),
        (["--holdout-people", "0.5", "--holdout-seed", "0"], {"kind": "people", "people": 0.5, "seed": 0}),
        (["--holdout-people", "Ada,Bob C."], {"kind": "people", "names": ("Ada", "Bob C.")}),
        (["--holdout-images", "0"], {"images": 0.0}),
    ],
)
def test_holdouts(
    monkeypatch: pytest.MonkeyPatch, main: Main, words: list[str], expected: dict[str, Any] | None
) -> None:
    from facenet.data.splits import Holdout

    args = heard(monkeypatch, main, "train", "triplet", *words)
    assert train_command._holdout(args) == (None if expected is None else Holdout(**expected))


@pytest.mark.parametrize(
    "words",
    [
        ["--holdout", "images", "--holdout-people", "3"],
        ["--holdout-people", "1"],
        ["--holdout-images", "1"],
        ["--ep", "0"],
        ["--bs", "3"],
        ["--lr", "0"],
        ["--lr", "nan"],
        ["--margin", "-1"],
        ["--mining", "best"],
        ["--optimiser", "magic"],
        ["--schedule", "moon"],
        ["--primary", "eer"],
        ["--trainable", "last:9"],
        ["--trainable", "some"],
        ["--augmentation", "wild"],
        ["--precision", "fp16"],
        ["--precision", "int4"],
        ["--backbone", "resnet"],
        ["--images-per-person", "1"],
        ["--device", "mps"],
    ],
)
def test_impossible_settings(triplet: Callable[..., Ended], tmp_path: Path, words: list[str]) -> None:
    ended = triplet(*words)
    assert ended.code == 2, ended.err
    assert len(ended.error) > 20
    assert not (tmp_path / "runs").exists()


def test_imports(child_environment: dict[str, str]) -> None:
    """Asking for help loads nothing heavy."""
    code = (
        "import sys, facenet; from facenet.cli import main\n"
        "try: main(['train', '--help'])\n"
        "except SystemExit: pass\n"
        "print('HEAVY', sorted({'torch', 'numpy', 'PIL', 'rich', 'lightning_fabric', 'faiss'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=child_environment, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "HEAVY []", done.stderr


# ------------------------------------------------------------------------------------------------------- whole jobs


def document(ended: Ended) -> dict[str, Any]:
    """The one JSON document on standard output."""
    assert ended.code == 0, ended.err
    found: dict[str, Any] = json.loads(ended.out)
    return found


def test_triplets_head_evaluation(triplet: Callable[..., Ended], main: Main, people: Path, tmp_path: Path) -> None:
    trained = document(triplet("--ep=6", "--lr=0.01", "--json"))
    run = tmp_path / "runs" / "triplet-001"
    assert Path(trained["run"]).resolve() == run
    assert (trained["status"], trained["epochs"]) == ("finished", 6)
    assert trained["best"]["roc_auc"] > trained["start"]["roc_auc"]
    assert sorted(path.name for path in run.iterdir()) == [
        "audit.json", "checkpoints", "metrics.jsonl", "run.json", "summary.json", "tensorboard",
    ]  # fmt: skip
    assert read_json(run / "summary.json") == trained
    assert read_json(run / "audit.json")["people"] == 6
    record = read_json(run / "run.json")
    assert record["config"] == trained["config"] and record["data"]["pictures"] == 36
    assert record["origin"]["kind"] == "random" and record["device"].startswith("cpu (asked for")
    assert any(path.name.startswith("events.out.tfevents") for path in (run / "tensorboard").iterdir())

    head = document(main("--train-module", "classification", f"--rootdir={people}", "--device=cpu", "--json"))
    assert head["config"]["backbone"] == "toy" and head["config"]["trainable"] == "head"
    assert Path(head["run"]).name == "classification-001"
    tuned = read_json(Path(head["run"]) / "run.json")["origin"]
    assert tuned["kind"] == "checkpoint" and tuned["source"].startswith("triplet-001/best-")
    assert head["best"]["accuracy"] >= 0.5
    assert head["best"]["roc_auc"] == pytest.approx(trained["best"]["roc_auc"], abs=1e-6)

    found = document(main("--train", "0", f"--rootdir={people}", "--device=cpu", "--json", "--precision=fp32"))
    assert found["checkpoint"] == head["checkpoint"]
    assert found["heldout"] == "images"
    assert found["metrics"]["accuracy"] == pytest.approx(head["best"]["accuracy"])
    assert found["classification"] is not None
    written = Path(head["run"])
    assert read_json(written / "evaluation.json") == found
    rows = (written / "confusion.csv").read_text().splitlines()
    assert len(rows) == 7 and rows[1].startswith("person 0,")

    table = main("--train", "0", f"--rootdir={people}", "--device=cpu")
    assert table.code == 0
    for text in ("held-out pictures of people trained on", "ROC AUC", "rank 1", "macro F1", "Confusion", "person 5"):
        assert text in table.out
    assert "kept as the best of" in table.err and str(written / "confusion.csv").endswith("confusion.csv")


def test_people_never_seen(triplet: Callable[..., Ended], main: Main, people: Path) -> None:
    trained = document(triplet("--holdout-people=person 1,person 4", "--json"))
    names = ("person 1", "person 4")
    assert read_json(Path(trained["run"]) / "run.json")["data"]["trained_on"] <= 4 * 6 - 4
    ended = main("--train-module", "classification", f"--rootdir={people}", "--device=cpu", "--ep=3", "--json")
    head = document(ended)
    # The trunk learns nothing more, so the head may know everybody; what the trunk never saw stays apart.
    checkpoint = read_json(Path(head["checkpoint"]) / "checkpoint.json")
    assert len(checkpoint["people"]) == 6 and checkpoint["holdout"]["names"] == list(names)
    assert "WARNING" not in ended.err
    found = document(main("--train", "0", f"--rootdir={people}", "--device=cpu", "--json"))
    assert (found["heldout"], found["people"], found["pictures"]) == ("people", 2, 12)
    assert len(found["classification"]["people"]) == 6
    table = main("--train", "0", f"--rootdir={people}", "--device=cpu")
    assert "people never trained on (2 people)" in table.out
    other = main(
        "--train-module", "classification", f"--rootdir={people}", "--device=cpu", "--ep=1", "--holdout=images"
    )
    assert other.code == 0 and "held-out figures may be too good" in other.err


def test_resuming(triplet: Callable[..., Ended], tmp_path: Path, people: Path) -> None:
    first = triplet("--check=1")
    assert first.code == 0 and "WARNING: there is no triplet run to resume" in first.err
    finished = triplet("--check=1", "--json")
    assert finished.code == 0 and "has done all its 1 epochs: give a larger --ep" in finished.err
    assert "status" not in json.loads(finished.out)
    for words, flag in (
        (["--lr=0.3"], "--lr"), (["--bs=9"], "--bs"), (["--backbone=mobilefacenet"], "--backbone"),
        (["--soft"], "--soft"), (["--seed=5"], "--seed"),
    ):  # fmt: skip
        changed = triplet("--check=1", "--ep=2", *words)
        assert changed.code == 2 and f"has {flag} " in changed.error and "--check 0" in changed.error
    assert "--holdout" in triplet("--check=1", "--ep=2", "--holdout-images=0.5").error
    longer = document(triplet("--check=1", "--ep=3", "--precision=auto", "--json"))
    assert (longer["epochs"], longer["config"]["precision"]) == (3, "fp32")
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["triplet-001"]
    (people / "person 0" / "0.png").rename(people / "person 0" / "renamed.png")
    moved = triplet("--check=1", "--ep=4")
    assert moved.code == 3 and "not those that triplet-001 was started with" in moved.error


def test_ctrl_c(triplet: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from facenet.commands.screen import Screen

    show = Screen.step

    def show_and_interrupt(self: Screen, record: Any) -> None:
        show(self, record)
        if record["step"] == 3:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Screen, "step", show_and_interrupt)
        stopped = triplet("--ep=2", "--json")
    assert stopped.code == 130
    assert json.loads(stopped.out)["steps"] == 3
    assert f"go on with  python cli.py --train-module inception --rootdir={tmp_path}/people" in stopped.err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert document(triplet("--ep=2", "--check=1", "--json"))["status"] == "finished"


def test_a_second_ctrl_c_stops_at_once(triplet: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch) -> None:
    from facenet.commands.screen import Screen

    def interrupt_twice(self: Screen, record: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Screen, "step", interrupt_twice)
    stopped = triplet()
    assert (stopped.code, stopped.out) == (130, "")
    assert stopped.err.rstrip().endswith("interrupted")


# ------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("task", ["inception", "classification"])
def test_no_data(main: Main, toy: str, tmp_path: Path, task: str) -> None:
    def error(root: Path) -> tuple[int, str]:
        ended = main("--train-module", task, f"--rootdir={root}", *ANY)
        return ended.code, ended.error

    missing = tmp_path / "mis\nsing"
    code, line = error(missing)
    assert code == 4 and "no folder" in line and "mis\\nsing" in line
    (tmp_path / "empty").mkdir()
    code, line = error(tmp_path / "empty")
    assert code == 3 and "no pictures in it" in line
    (tmp_path / "file").write_text("x")
    code, line = error(tmp_path / "file")
    assert code == 3 and "is a file" in line
    code, line = error(write_patterns(tmp_path / "alone", {"Ada": 9}))
    assert code == 3 and ("one person only" in line or "found 1" in line)
    code, line = error(write_patterns(tmp_path / "singletons", {name: 1 for name in "abcdefghij"}))
    assert code == 3 and "picture" in line
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("task", ["inception", "classification"])
def test_all_singletons_with_nothing_held_out(main: Main, toy: str, tmp_path: Path, task: str) -> None:
    root = write_patterns(tmp_path / "singletons", {name: 1 for name in "abcdefghij"})
    ended = main("--train-module", task, f"--rootdir={root}", "--holdout-images=0", "--ep=1", *ANY)
    if task == "inception":
        assert ended.code == 3 and "each of the 10 people has one picture only" in ended.error
    else:
        assert ended.code == 0, ended.err


def test_a_batch_larger_than_the_data(triplet: Callable[..., Ended]) -> None:
    ended = triplet("--bs=500", "--images-per-person=20")
    assert ended.code == 3 and "larger than the data" in ended.error


def png_bomb(side: int = 60_000) -> bytes:
    """A PNG of a few hundred bytes that says it holds 3.6 thousand million pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_bad_pictures_are_listed_once_and_left_out(triplet: Callable[..., Ended], people: Path) -> None:
    good = (people / "person 0" / "0.png").read_bytes()
    for name, data in (
        ("zero.png", b""), ("cut.png", good[: len(good) // 2]), ("renamed.jpg", b"this is a text\n" * 9),
        ("bomb.png", png_bomb()), ("noise.webp", os.urandom(500)),
    ):  # fmt: skip
        (people / "person 1" / name).write_bytes(data)
    ended = triplet("--json")
    assert document(ended)["status"] == "finished"
    assert ended.err.count("left out 5:") == 1
    for name in ("zero.png: empty file", "cut.png", "renamed.jpg", "bomb.png: ", "noise.webp"):
        assert ended.err.count(f"person 1/{name}") == 1
    assert "80,000,000" in next(line for line in ended.err.splitlines() if "bomb.png" in line)
    assert read_json(Path(document(ended)["run"]) / "audit.json")["pictures_found"] == 41


def test_nothing_but_bad_pictures(main: Main, tmp_path: Path, toy: str) -> None:
    for name in ("Ada", "Bob"):
        (tmp_path / "bad" / name).mkdir(parents=True)
        (tmp_path / "bad" / name / "1.jpg").write_bytes(b"")
    ended = main("--train-module", "inception", f"--rootdir={tmp_path / 'bad'}", *TOY)
    assert ended.code == 3 and "none of the 2 pictures" in ended.error and "2 × empty file" in ended.error


NAMES = (
    "Zoë Ångström", "Жанна д'Арк", "李小龙", "محمد", "-rf", "--help", "two\nlines", 'say "cheese"', "$(reboot); `x`",
    "[red]bold[/red]", " lead and trail ", "a,b;c\td", "\x1b[31mred", "%s %d {0}", "O'Neil \\ back",
)  # fmt: skip


def test_people_of_any_name(main: Main, toy: str, tmp_path: Path) -> None:
    names = [*NAMES, os.fsdecode(b"no utf-8 \xff\xfe")]
    root = write_patterns(tmp_path / "-all 'kinds'\nof", {name: 4 for name in names})
    trained = document(main("--train-module", "inception", f"--rootdir={root}", "--ep=1", "--json", *TOY))
    assert trained["status"] == "finished"
    head = document(main("--train-module", "classification", f"--rootdir={root}", "--device=cpu", "--ep=2", "--json"))
    assert sorted(read_json(Path(head["checkpoint"]) / "checkpoint.json")["people"]) == sorted(names)
    found = document(main("--train", "0", f"--rootdir={root}", "--device=cpu", "--json"))
    assert sorted(found["classification"]["people"]) == sorted(names)
    table = main("--train", "0", f"--rootdir={root}", "--device=cpu")
    assert table.code == 0
    assert "\x1b" not in table.out + table.err
    for shown in ("李小龙", "[red]bold[/red]", "two\\nlines", "\\x1b[31mred"):
        assert shown in table.out
    resumed = main("--train-module", "inception", f"--rootdir={root}", "--ep=2", "--check=1", *TOY)
    assert resumed.code == 0, resumed.err


@pytest.mark.parametrize("place", ["file", "below a file", "/dev/null", "/proc/runs"])
def test_a_run_folder_that_cannot_be_made(triplet: Callable[..., Ended], tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("in the way")
    runs = {"file": tmp_path / "file", "below a file": tmp_path / "file" / "runs"}.get(place, Path(place))
    ended = triplet(f"--run-dir={runs}")
    assert ended.code == 4 and "cannot write" in ended.error and "--run-dir" in ended.error


def test_a_rate_that_gives_nan(triplet: Callable[..., Ended], tmp_path: Path) -> None:
    ended = triplet("--lr=1e38", "--optimiser=sgd", "--schedule=constant", "--ep=3")
    assert ended.code == 3 and "the best weights so far, of epoch 0, are kept" in ended.error
    (best,) = (tmp_path / "runs" / "triplet-001" / "checkpoints").glob("best-*")
    assert best.name == "best-00000000-0"


def test_a_rate_that_gives_nan_to_the_head(triplet: Callable[..., Ended], main: Main, people: Path) -> None:
    assert triplet().code == 0
    words = ("--train-module", "classification", f"--rootdir={people}", "--device=cpu", "--optimiser=sgd")
    ended = main(*words, "--lr=1e38", "--schedule=constant")
    assert ended.code == 3 and "--lr 1e+37" in ended.error and "of epoch 0, are kept" in ended.error


def test_training_that_makes_it_worse(triplet: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch) -> None:
    from facenet.evaluation.heldout import Evaluation

    values = iter([0.9, 0.5, 0.4])
    monkeypatch.setattr(Evaluation, "metrics", lambda self: {"roc_auc": next(values)})
    ended = triplet("--ep=2")
    assert ended.code == 0
    assert "did not improve on the starting weights, which are kept" in ended.err
    assert "best-00000000-0" in ended.err.splitlines()[-1]


def test_evaluating_what_is_not_there(main: Main, people: Path, tmp_path: Path) -> None:
    ended = main("--train", "0", f"--rootdir={people}")
    assert ended.code == 4 and "--train-module inception" in ended.error
    ended = main("--train", "0", f"--rootdir={people}", "--checkpoint", tmp_path / "missing")
    assert ended.code == 4 and "no checkpoint at" in ended.error
    ended = main("evaluate", f"--rootdir={people}", "--checkpoint", people)
    assert ended.code == 4 and "checkpoint.json" in ended.error


def test_a_checkpoint_that_does_not_fit(triplet: Callable[..., Ended], main: Main, people: Path) -> None:
    trained = document(triplet("--json"))
    other = main("--train", "0", f"--rootdir={people}", "--backbone=mobilefacenet")
    assert other.code == 5 and "holds a toy, not a mobilefacenet" in other.error
    other = main("--train-module", "classification", f"--rootdir={people}", "--backbone=mobilefacenet")
    assert other.code == 5 and "holds a toy" in other.error
    file = Path(trained["checkpoint"]) / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    for words in (["--train", "0"], ["--train-module", "classification"]):
        damaged = main(*words, f"--rootdir={people}")
        assert damaged.code == 4 and "model.safetensors is damaged" in damaged.error
    file.write_bytes(data[:-50])
    assert main("--train", "0", f"--rootdir={people}").code == 4
    (last,) = file.parent.parent.glob("last-*")
    (last / "checkpoint.json").write_text("{")
    resumed = triplet("--check=1", "--ep=2")
    assert resumed.code == 4 and "no valid JSON" in resumed.error


def test_one_damaged_run_does_not_hide_the_others(triplet: Callable[..., Ended], main: Main, people: Path) -> None:
    old = Path(document(triplet("--json"))["checkpoint"])
    new = Path(document(triplet("--json"))["checkpoint"])
    (old / "checkpoint.json").write_text("{")
    found = document(main("--train", "0", f"--rootdir={people}", "--device=cpu", "--json"))
    assert found["checkpoint"] == str(new)


class Evil:
    """Unpickled, it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.folder),))


def test_a_pickle_offered_as_weights(triplet: Callable[..., Ended], tmp_path: Path) -> None:
    torch.save({"state_dict": Evil(tmp_path / "made")}, tmp_path / "evil.pt")
    ended = triplet(f"--pretrained={tmp_path / 'evil.pt'}")
    assert ended.code == 4 and "could run code" in ended.error
    assert not (tmp_path / "made").exists()
    assert not (tmp_path / "runs").exists()


def test_weights_that_are_not_there(triplet: Callable[..., Ended], tmp_path: Path) -> None:
    assert triplet("--pretrained=missing.pt").code == 4
    assert triplet("--pretrained=vggface2").code == 2
    assert triplet("--pretrained=nonsense").code in (2, 4)
    (tmp_path / "cut.safetensors").write_bytes(b"\x10")
    assert "damaged" in triplet("--pretrained=cut.safetensors").error
    fallback = triplet("--pretrained=auto")
    assert fallback.code == 0 and "WARNING: no pretrained weights for toy" in fallback.err


def test_pictures_that_vanish_while_training(
    triplet: Callable[..., Ended], people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from facenet.commands.screen import Screen

    monkeypatch.setattr(Screen, "started", lambda self, *given: shutil.rmtree(people / "person 2"))
    ended = triplet()
    assert ended.code == 3 and "person 2" in ended.error


def test_debug_shows_where(main: Main, toy: str, tmp_path: Path) -> None:
    from facenet.errors import MissingError

    with pytest.raises(MissingError):
        main("--train-module", "inception", f"--rootdir={tmp_path / 'missing'}", "--debug", *TOY)
