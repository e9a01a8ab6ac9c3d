"""``models list|pull|verify`` as a person and as a program uses them, against a local server."""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from facenet.commands import models
from facenet.errors import UsageError, WeightsError
from facenet.models import catalogue
from facenet.models.catalogue import PublishedFigure, WeightsEntry

CONTENT = random.Random(2).randbytes(100_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()

Run = Callable[..., int]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Iterator[Path]:
    """A cache folder and a catalogue of two: ``pinned`` (checksum known) and ``loose`` (not known)."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("FACENET_OFFLINE", raising=False)
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    (shelf / "pinned.pt").write_bytes(CONTENT)
    (shelf / "loose.pt").write_bytes(CONTENT)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(shelf)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    pinned = WeightsEntry(
        name="pinned",
        architecture="net",
        file_name="pinned.pt",
        url=f"http://127.0.0.1:{server.server_port}/pinned.pt",
        bytes=len(CONTENT),
        sha256=SHA256,
        licence="[MIT]",
        training_data="noise",
        published=(PublishedFigure("LFW verification", "accuracy", 0.5, "https://example.org"),),
    )
    loose = replace(
        pinned, name="loose", file_name="loose.pt", url=pinned.url.replace("pinned", "loose"), bytes=None, sha256=None
    )
    monkeypatch.setattr(catalogue, "CATALOGUE", (pinned, loose))
    yield tmp_path / "home" / "checkpoints"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def run() -> Run:
    def call(*words: str) -> int:
        parser = argparse.ArgumentParser()
        models.register(parser.add_subparsers())
        args = parser.parse_args(["models", *words])
        module, function = args.handler.split(":")
        return getattr(importlib.import_module(module), function)(args)

    return call


def test_list_shows_what_is_known_and_what_is_at_hand(folder, run, capsys):
    folder.mkdir(parents=True)
    (folder / "pinned.pt").write_bytes(CONTENT)
    assert run("list") == 0
    shown = capsys.readouterr()
    for text in ("pinned", "loose", "net", "0.1 MB", "unknown", "yes", "no", "[MIT]", "noise", "accuracy 0.5"):
        assert text in shown.out
    assert "https://example.org" in shown.err and str(folder) in shown.err


def test_list_of_the_real_catalogue_names_licences_and_figures(run, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert run("list", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["folder"] == str(tmp_path / "checkpoints")
    by_name = {weights["name"]: weights for weights in document["weights"]}
    assert by_name["vggface2"]["published"][0]["value"] == 0.9965
    assert by_name["casia-webface"]["published"][0]["value"] == 0.9905
    networks = {network["name"]: network for network in document["networks"]}
    assert networks["resnet18"] == {
        "name": "resnet18",
        "embedding_size": 512,
        "input_size": [224, 224],
        "parameters": 11_176_512,
        "summary": "ResNet-18 (arXiv 1512.03385)",
        "multiply_adds": 1_813_561_344,
        "mean": [123.675, 116.28, 103.53],
        "std": [58.395, 57.12, 57.375],
        "photo_crop": "margin-20",
        "weights": ["imagenet"],
    }
    assert networks["inception_resnet_v1"]["weights"] == ["vggface2", "casia-webface"]
    assert networks["mobilefacenet"]["weights"] == []
    assert document["timm"] is True
    for weights in by_name.values():
        assert weights["at_hand"] is False
        assert weights["path"] == str(tmp_path / "checkpoints" / weights["file_name"])
        assert "not stated" in weights["licence"]


def test_list_shows_the_networks_and_weights_under_the_same_terms_once(run, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(models, "_has_timm", lambda: False)
    assert run("list") == 0
    shown = capsys.readouterr()
    line = next(line for line in shown.out.splitlines() if "vgg16" in line)
    for text in ("224x224", "ImageNet", "margin-20", "4,096", "134.26 M", "15,466.2 M", "imagenet"):
        assert text in line
    assert "127.5, 128.0" in shown.out and "five-point" in shown.out
    assert shown.out.count("BSD-3-Clause") == 1
    assert "pip install 'facenet[timm]'" in shown.err


def test_weights_of_several_networks_are_pulled_by_both_names(run, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(UsageError, match="one of resnet18:imagenet"):
        run("pull", "imagenet", "--offline")
    with pytest.raises(WeightsError, match="models/resnet34-b627a593.pth") as caught:
        run("pull", "resnet34:imagenet", "--offline")
    assert str(tmp_path / "checkpoints" / "resnet34-b627a593.pth") in str(caught.value)


def test_pull_downloads_then_says_it_is_there(folder, run, capsys):
    assert run("pull", "pinned", "loose", "pinned") == 0
    first = capsys.readouterr()
    assert first.out == ""
    assert first.err.count("is now at") == 2 and "downloading pinned" in first.err
    assert (folder / "pinned.pt").read_bytes() == CONTENT
    assert run("pull", "pinned", "--offline") == 0
    assert f"pinned was already at {folder / 'pinned.pt'}" in capsys.readouterr().err


def test_pull_prints_one_document(folder, run, capsys):
    assert run("pull", "loose", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert [(w["name"], w["sha256"], w["downloaded"]) for w in document["weights"]] == [("loose", SHA256, True)]
    assert run("pull", "loose", "--json") == 0
    assert json.loads(capsys.readouterr().out)["weights"][0]["downloaded"] is False


def test_pull_checks_the_digits_it_knows_and_keeps_the_rest(folder, run, capsys, monkeypatch):
    pinned, loose = catalogue.CATALOGUE
    first_digits = replace(loose, name="pinned", sha256=SHA256[:8])
    monkeypatch.setattr(catalogue, "CATALOGUE", (replace(pinned, architecture="other", sha256="0" * 8), first_digits))
    assert run("pull", "net:pinned", "--json") == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["weights"][0]["sha256"] == SHA256
    assert "net:pinned is now at" in shown.err and "downloading net:pinned" in shown.err
    assert json.loads((folder / "loose.pt.sha256.json").read_bytes())["sha256"] == SHA256
    assert run("verify", "net:pinned") == 0
    assert run("pull", "net:pinned") == 0
    assert "net:pinned was already at" in capsys.readouterr().err
    with pytest.raises(WeightsError, match=f"the checksum is {SHA256} instead of 00000000"):
        run("pull", "other:pinned")
    assert not (folder / "pinned.pt").exists()
    assert run("verify", "other:pinned") == 4
    assert "'models pull other:pinned' downloads it" in capsys.readouterr().err


def test_pull_shows_a_bar_on_a_terminal_only_and_never_on_standard_output(folder, run, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    assert run("pull", "pinned", "--json") == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["weights"][0]["downloaded"] is True
    assert "downloading" not in shown.err and "pinned" in shown.err


def test_pull_replaces_damaged_bytes_of_the_right_length(folder, run, capsys):
    folder.mkdir(parents=True)
    (folder / "pinned.pt").write_bytes(bytes(len(CONTENT)))
    assert run("pull", "pinned") == 0
    assert "checksum differs" in capsys.readouterr().err
    assert (folder / "pinned.pt").read_bytes() == CONTENT


@pytest.mark.parametrize("way", ["flag", "variable"])
def test_pull_offline_names_the_file_and_the_place(folder, run, capsys, monkeypatch, way):
    if way == "variable":
        monkeypatch.setenv("FACENET_OFFLINE", "1")
    with pytest.raises(WeightsError) as caught:
        run("pull", "pinned", *(["--offline"] if way == "flag" else []))
    text = str(caught.value)
    assert "/pinned.pt" in text and str(folder / "pinned.pt") in text
    assert caught.value.exit_code == 4
    assert "downloading" not in capsys.readouterr().err


@pytest.mark.parametrize("value", ["", "0", "false", "No"])
def test_a_variable_that_says_no_is_not_offline(folder, run, monkeypatch, value):
    monkeypatch.setenv("FACENET_OFFLINE", value)
    assert run("pull", "pinned") == 0


def test_an_unknown_name_is_told_before_anything_is_downloaded(folder, run):
    with pytest.raises(UsageError, match="known are pinned, loose"):
        run("pull", "pinned", "nonsense")
    assert not folder.exists()


def test_verify_is_4_until_all_is_whole(folder, run, capsys):
    assert run("verify") == 4
    assert "no weights" in capsys.readouterr().err
    assert run("verify", "pinned") == 4
    assert "missing" in capsys.readouterr().out
    run("pull", "pinned")
    capsys.readouterr()
    assert run("verify") == 0
    shown = capsys.readouterr().out
    assert "pinned" in shown and "loose" not in shown
    assert run("verify", "pinned", "loose") == 4
    (folder / "pinned.pt").write_bytes(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))
    capsys.readouterr()
    assert run("verify", "--json") == 4
    document = json.loads(capsys.readouterr().out)
    assert [(w["name"], w["condition"], w["usable"]) for w in document["weights"]] == [
        ("pinned", "checksum differs", False)
    ]


def test_verify_accepts_an_unrecorded_file_and_pull_records_it(folder, run, capsys):
    folder.mkdir(parents=True)
    (folder / "loose.pt").write_bytes(CONTENT)
    assert run("verify", "loose") == 0
    shown = capsys.readouterr()
    assert "unrecorded" in shown.out and "'models pull'" in shown.err
    assert run("pull", "loose") == 0
    assert run("verify", "loose") == 0
    (folder / "loose.pt").write_bytes(CONTENT + b"?")
    assert run("verify", "loose") == 4


def test_a_cache_folder_with_a_newline_stays_on_one_line(folder, run, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "two\nlines"))
    assert run("pull", "pinned") == 0
    assert r"two\nlines" in capsys.readouterr().err


def test_registering_imports_nothing_heavy():
    code = (
        "import argparse, sys; from facenet.commands import models; "
        "models.register(argparse.ArgumentParser().add_subparsers()); "
        "print([m for m in ('torch', 'requests', 'numpy', 'rich', 'filelock') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
