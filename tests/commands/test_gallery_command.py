"""``gallery list|show|stats|log|create|rename|remove|purge|compact``: looking at a gallery and changing it."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from command_line import Main, Model
from patterns import write_patterns


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


def names(main: Main) -> list[str]:
    return [person["name"] for person in main("gallery", "list", "--json").document["people"]]


def test_list_and_show(enrolled: Main, people: Path) -> None:
    listed = enrolled("gallery", "list")
    assert listed.code == 0 and "3 people in gallery" in listed.out and "id:2" in listed.out
    (bruno,) = enrolled("gallery", "list", "--name=Bruno", "--json").document["people"]
    assert (bruno["id"], bruno["embeddings"]) == (2, 3)
    shown = enrolled("gallery", "show", "Bruno")
    assert shown.code == 0 and "Bruno (id:2), enrolled 20" in shown.out and "0.png" in shown.out
    document = enrolled("gallery", "show", "id:2", "--json").document
    assert [Path(sample["source"]).name for sample in document["samples"]] == ["0.png", "1.png", "2.png"]
    assert set(document["samples"][0]) == {"id", "source", "content", "box", "quality", "added"}, "and no vector"
    nobody = enrolled("gallery", "list", "--name=Nobody")
    assert (nobody.code, nobody.out) == (0, "") and "nobody is named Nobody" in nobody.err


def test_stats(enrolled: Main) -> None:
    document = enrolled("gallery", "stats", "--json").document
    assert (document["people"], document["embeddings"]) == (3, 9)
    table = enrolled("gallery", "stats")
    assert table.code == 0 and "fingerprint" in table.out and "not calibrated" in table.out


def test_log_names_nobody(enrolled: Main) -> None:
    assert enrolled("gallery", "rename", "Ada", "Zuleika").code == 0
    log = enrolled("gallery", "log")
    assert log.code == 0 and "rename" in log.out and "Zuleika" not in log.out and "Ada" not in log.out
    (last,) = enrolled("gallery", "log", "--last=1", "--json").document["entries"]
    assert (last["action"], last["person"]) == ("rename", 1)


def test_create(main: Main, model: Model) -> None:
    made = main("gallery", "create", "--fusion=mean", *model, "--json")
    assert made.code == 0 and made.document["fusion"] == "mean"
    assert "nobody is enrolled" in main("gallery", "list").err
    again = main("gallery", "create", *model)
    assert again.code in (2, 3, 4) and "gallery" in again.error
    assert main("gallery", "stats", "--json").document["fusion"] == "mean"


def test_rename(enrolled: Main) -> None:
    renamed = enrolled("gallery", "rename", "Ada", "李小龙 🙂 [bold]")
    assert renamed.code == 0 and "Ada (id:1) is now 李小龙 🙂 [bold]" in renamed.err
    assert "李小龙 🙂 [bold]" in enrolled("gallery", "list").out
    document = enrolled("gallery", "rename", "id:1", "Bruno", "--json").document
    assert (document["was"], document["person"]["name"]) == ("李小龙 🙂 [bold]", "Bruno")
    ambiguous = enrolled("gallery", "rename", "Bruno", "Ada")
    assert ambiguous.code == 3 and "id:1" in ambiguous.error and "id:2" in ambiguous.error
    for bad in ("", "id:3", "two\nlines", "\x1b[31mred", "x" * 10_000):
        refused = enrolled("gallery", "rename", "id:1", bad)
        assert refused.code == 3 and "\x1b" not in refused.error and len(refused.error) < 2_000
    assert names(enrolled) == ["Bruno", "Bruno", "Clea"]


@pytest.mark.parametrize("name", ["Robert'); DROP TABLE people;--", "../../etc/passwd", "محمد", "a" * 256, "e\u0301"])
def test_any_name(enrolled: Main, name: str) -> None:
    assert enrolled("gallery", "rename", "Ada", name).code == 0
    assert enrolled("gallery", "show", name, "--json").document["id"] == 1


def test_tables_stay_aligned(enrolled: Main) -> None:
    from rich.cells import cell_len

    for number, name in enumerate(("李小龙", "Ω", "محمد"), start=1):
        assert enrolled("gallery", "rename", f"id:{number}", name).code == 0
    lines = [line for line in enrolled("gallery", "list").out.splitlines() if line[:1] in "│┃┏└┡"]
    assert len(lines) >= 7 and len({cell_len(line) for line in lines}) == 1


def test_remove_asks_first(enrolled: Main, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = enrolled("gallery", "remove", "Ada")
    assert refused.code == 2 and "Ada (id:1) with 3 embeddings" in refused.error and "--yes" in refused.error
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    for answer, code in (("", 1), ("n\n", 1), ("YES\n", 0)):
        monkeypatch.setattr(sys, "stdin", Terminal(answer))
        ended = enrolled("gallery", "remove", "Ada")
        assert ended.code == code, answer
        assert names(enrolled) == (["Bruno", "Clea"] if code == 0 else ["Ada", "Bruno", "Clea"])


def test_remove_several_or_nobody(enrolled: Main) -> None:
    mistake = enrolled("gallery", "remove", "Ada", "id:3", "Nobody", "--yes")
    assert mistake.code == 3 and "Nobody" in mistake.error and len(names(enrolled)) == 3
    done = enrolled("gallery", "remove", "Ada", "id:1", "id:3", "--yes", "--json")
    assert done.code == 0 and [person["id"] for person in done.document["removed"]] == [1, 3]
    assert names(enrolled) == ["Bruno"]
    gone = enrolled("gallery", "show", "id:1")
    assert gone.code == 3 and "1" in gone.error


def test_purge(enrolled: Main, tmp_path: Path) -> None:
    nothing = enrolled("gallery", "purge")
    assert nothing.code == 0 and "nobody's consent has expired" in nothing.err
    old = write_patterns(tmp_path / "old", {"Dora": 4}, count=1) / "Dora"
    assert enrolled("enroll", "Dora", old, "--aligned", "--expires=2020-01-01").code == 0
    listed = enrolled("gallery", "purge", "--dry-run", "--json").document
    assert [person["name"] for person in listed["expired"]] == ["Dora"] and listed["removed"] == []
    unasked = enrolled("gallery", "purge")
    assert unasked.code == 2 and "--yes" in unasked.error and len(names(enrolled)) == 4
    done = enrolled("gallery", "purge", "--yes")
    assert done.code == 0 and "removed 1 people" in done.err
    assert names(enrolled) == ["Ada", "Bruno", "Clea"]


def test_compact(enrolled: Main) -> None:
    untouched = enrolled("gallery", "compact", "--json").document
    assert untouched["rows"] == 0
    assert enrolled("gallery", "remove", "Ada", "--yes").code == 0
    done = enrolled("gallery", "compact", "--json").document
    assert done["rows"] > 0 and done["bytes_after"] > 0
    assert enrolled("gallery", "compact", "--json").document["rows"] == 0
    assert names(enrolled) == ["Bruno", "Clea"] and enrolled("gallery", "check").code == 0


@pytest.mark.parametrize("verb", [["list"], ["show", "Ada"], ["stats"], ["log"], ["rename", "Ada", "Eve"],
                                  ["remove", "Ada", "--yes"], ["purge", "--yes"], ["compact"], ["check"]])  # fmt: skip
def test_without_a_gallery(main: Main, tmp_path: Path, verb: list[str]) -> None:
    missing = main("gallery", *verb)
    assert (missing.code, missing.out) == (4, "") and "gallery" in missing.error
    (tmp_path / "file").write_text("not a gallery")
    (tmp_path / "empty\nfolder").mkdir()
    for place in ("file", "empty\nfolder", "file/below"):
        ended = main("gallery", *verb, "--gallery", tmp_path / place)
        assert (ended.code, ended.out) == (4, "") and "file" in ended.error.replace("folder", "file")
    assert (tmp_path / "file").read_text() == "not a gallery"
    assert list((tmp_path / "empty\nfolder").iterdir()) == []


def test_nothing_given(main: Main) -> None:
    assert main("gallery").code == 2
    assert main("gallery", "explode").code == 2
    assert main("gallery", "log", "--last=0").code == 2
