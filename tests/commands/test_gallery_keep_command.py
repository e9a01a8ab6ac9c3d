"""``gallery check|repair|backup|restore|export|import``: keeping a gallery safe, and carrying people elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from command_line import Main, Model
from patterns import write_patterns


def names(main: Main, gallery: str = "gallery") -> list[str]:
    found = main("gallery", "list", f"--gallery={gallery}", "--json").document["people"]
    return [person["name"] for person in found]


def flip(file: Path, text: bytes) -> None:
    """Change one bit of the first occurrence of ``text``."""
    data = bytearray(file.read_bytes())
    place = data.find(text)
    assert place >= 0
    data[place] ^= 1
    file.write_bytes(data)


def test_a_gallery_without_fault(enrolled: Main) -> None:
    ended = enrolled("gallery", "check")
    assert ended.code == 0 and "3 people, 9 embeddings" in ended.out
    document = enrolled("gallery", "check", "--json").document
    assert (document["clean"], document["people"], document["embeddings"]) == (True, 3, 9)
    unneeded = enrolled("gallery", "repair", "--yes")
    assert unneeded.code == 2 and "nothing to repair" in unneeded.error


def test_damage(enrolled: Main, model: Model, tmp_path: Path) -> None:
    flip(tmp_path / "gallery" / "gallery.sqlite", b"Bruno")
    checked = enrolled("gallery", "check")
    assert checked.code == 1 and "damage" in checked.out and "gallery repair" in checked.err
    found = enrolled("gallery", "check", "--json")
    assert found.code == 1 and found.document["clean"] is False and found.document["findings"]
    unasked = enrolled("gallery", "repair")
    assert unasked.code == 2 and "--yes" in unasked.error
    repaired = enrolled("gallery", "repair", "--yes", "--json")
    assert repaired.code == 0, repaired.err
    assert repaired.document["nameless"] == [2] and repaired.document["embeddings"] == 9
    assert Path(repaired.document["kept"]).exists()
    assert {"Ada", "Clea"} < set(names(enrolled))
    assert enrolled("gallery", "rename", "id:2", "Bruno").code == 0
    flip(tmp_path / "gallery" / "gallery.sqlite", b"Clea")
    table = enrolled("gallery", "repair", "--yes", *model)
    assert table.code == 0 and "Repaired gallery" in table.out and "id:3" in table.out


def test_backup_and_restore(enrolled: Main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = enrolled("gallery", "backup", "kept")
    assert made.code == 0 and "3 people with 9 embeddings to kept" in made.err
    there = enrolled("gallery", "backup", "kept")
    assert there.code == 3 and "there already" in there.error
    assert enrolled("gallery", "remove", "Bruno", "--yes").code == 0
    late = write_patterns(tmp_path / "late", {"Dora": 4}, count=1) / "Dora"
    assert enrolled("enroll", "Dora", late, "--aligned").code == 0
    unasked = enrolled("gallery", "restore", "kept")
    assert unasked.code == 2 and "--yes" in unasked.error and names(enrolled) == ["Ada", "Clea", "Dora"]
    back = enrolled("gallery", "restore", "kept", "--yes")
    assert (
        back.code == 0 and "2 people" in back.err and "gone, for they were enrolled since the backup: id:4" in back.err
    )
    assert names(enrolled) == ["Ada", "Clea"]
    whole = enrolled("gallery", "restore", "kept", "--yes", "--include-removed", "--json").document
    assert (whole["people"], whole["removed_since"]) == (3, [2])
    assert enrolled("gallery", "restore", "kept", "--gallery=elsewhere").code == 0, "nothing to be asked about"
    assert names(enrolled, "elsewhere") == ["Ada", "Bruno", "Clea"]
    for source, code in (("nowhere", 4), ("toy.safetensors", 4)):
        assert enrolled("gallery", "restore", source, "--yes").code == code
    assert names(enrolled) == ["Ada", "Bruno", "Clea"]


def test_export_and_import(enrolled: Main, model: Model, tmp_path: Path) -> None:
    written = enrolled("gallery", "export", "two", "Ada", "id:3", "--json").document
    assert (written["people"], written["embeddings"]) == (2, 6)
    assert enrolled("gallery", "export", "all").code == 0
    again = enrolled("gallery", "export", "all")
    assert again.code == 3 and "there already" in again.error
    assert enrolled("gallery", "export", "three", "Nobody").code == 3
    assert enrolled("gallery", "create", "--gallery=other", *model).code == 0
    assert enrolled("gallery", "import", "two", "--gallery=other").code == 0
    assert names(enrolled, "other") == ["Ada", "Clea"]
    refused = enrolled("gallery", "import", "all", "--gallery=other")
    assert refused.code == 3 and names(enrolled, "other") == ["Ada", "Clea"]
    skipped = enrolled("gallery", "import", "all", "--gallery=other", "--same-name=skip")
    assert skipped.code == 0 and "2 were left out" in skipped.err
    assert names(enrolled, "other") == ["Ada", "Clea", "Bruno"]
    added = enrolled("gallery", "import", "all", "--gallery=other", "--same-name=add", "--json").document
    assert added["embeddings"] == 0 and sorted(added["people"]) == ["1", "2", "3"]


def test_import_of_what_is_no_export(enrolled: Main, toy: str, tmp_path: Path) -> None:
    from patterns import write_weights

    for file, code in (("missing", 4), ("toy.safetensors", 3), ("people", 3)):
        ended = enrolled("gallery", "import", file)
        assert ended.code in (code, 3, 4) and file in ended.error
    assert enrolled("gallery", "export", "all").code == 0
    other = write_weights(tmp_path / "other.safetensors", toy, seed=1)
    words = (f"--backbone={toy}", f"--pretrained={other}", "--precision=fp32")
    assert enrolled("gallery", "create", "--gallery=other", *words).code == 0
    refused = enrolled("gallery", "import", "all", "--gallery=other")
    assert refused.code == 5 and names(enrolled, "other") == []


def test_asking_at_a_terminal(enrolled: Main, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import io

    assert enrolled("gallery", "backup", "kept").code == 0
    stdin = io.StringIO("no\n")
    monkeypatch.setattr(stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stdin", stdin)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    ended = enrolled("gallery", "restore", "kept")
    assert ended.code == 1 and "nothing was changed" in ended.err
