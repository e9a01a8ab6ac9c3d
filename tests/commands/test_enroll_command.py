"""``enroll``: what it takes, what it says, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Main, Model
from patterns import write_patterns


def test_one_person(main: Main, model: Model, people: Path) -> None:
    ended = main("enroll", "Ada Lovelace", people / "Ada", people / "Ada" / "0.png", "--aligned", *model)
    assert ended.code == 0, ended.err
    assert "Ada Lovelace (id:1, new): 3 enrolled" in ended.out
    assert "made the gallery gallery for toy" in ended.err and "fingerprint" in ended.err
    again = main("enroll", "Ada Lovelace", people / "Ada", "--aligned", "--json")
    assert (again.code, again.document["counts"]) == (0, {"already_enrolled": 3})
    assert (again.document["created"], again.document["person"]) == (False, 1)
    assert "made the gallery" not in again.err


def test_a_folder_of_people(main: Main, model: Model, people: Path) -> None:
    (people / "Ada" / "broken.png").write_bytes(b"\x89PNG not much")
    (people / "lying.png").write_bytes(b"")
    ended = main("enroll", "--from-folder", people, "--aligned", *model)
    assert ended.code == 0, ended.err
    assert "3 new people, 3 of 3 in the gallery; 9 pictures enrolled, 0 already there, 1 refused" in ended.out
    assert "broken.png" in ended.out and "unreadable" in ended.out
    assert "left out: lying.png: not in a person's folder" in ended.err
    write_patterns(people, {"Dora": 4}, count=2)
    again = main("enroll", "--from-folder", people, "--aligned", "--json").document
    assert again["counts"] == {"enrolled": 2, "already_enrolled": 9, "unreadable": 1}
    assert [person["created"] for person in again["people"]] == [False, False, False, True]


def test_of_many_people_only_the_trouble_is_listed(
    enrolled: Main, people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from facenet.commands import enroll

    monkeypatch.setattr(enroll, "_MANY", 2)
    (people / "Bruno" / "empty.png").touch()
    ended = enrolled("enroll", "--from-folder", people, "--aligned")
    assert "2 people of whom every picture is enrolled are not listed" in ended.err
    assert "Bruno" in ended.out and "empty file" in ended.out and "Clea" not in ended.out


def test_a_second_person_of_a_name(enrolled: Main, tmp_path: Path) -> None:
    other = write_patterns(tmp_path / "others", {"Ada": 5}, count=2) / "Ada"
    refused = enrolled("enroll", "Ada", other, "--aligned")
    assert refused.code == 3 and "unlike Ada" in refused.out
    assert enrolled("enroll", "Ada", other, "--aligned", "--new").code == 0
    ambiguous = enrolled("enroll", "Ada", other, "--aligned")
    assert ambiguous.code == 3 and "id:1, id:4" in ambiguous.error
    chosen = enrolled("enroll", "Ada", other, "--aligned", "--person", "id:4", "--json").document
    assert (chosen["person"], chosen["counts"]) == (4, {"already_enrolled": 2})
    wrong = enrolled("enroll", "Ada", other, "--aligned", "--person", "id:2")
    assert wrong.code == 3 and "id:2 is Bruno, not Ada" in wrong.error
    assert enrolled("enroll", "Ada", other, "--aligned", "--person", "id:99").code == 3


def test_the_gate_and_force(enrolled: Main, people: Path) -> None:
    refused = enrolled("enroll", "Impostor", people / "Ada" / "0.png", "--aligned")
    assert refused.code == 3
    assert "Impostor is not in the gallery: 1 refused" in refused.out
    assert "too close to Ada (id:1)" in " ".join(refused.out.split())
    forced = enrolled("enroll", "Impostor", people / "Ada" / "0.png", "--aligned", "--force")
    assert forced.code == 0
    (entry,) = [entry for entry in enrolled("gallery", "log", "--json").document["entries"] if entry["person"] == 4]
    assert entry["details"]["forced"] == {"too_close": 1}


def test_facts_about_a_person(main: Main, model: Model, people: Path) -> None:
    facts = ("--consent=form 12", "--expires=2099-12-31", '--metadata={"badge": 17}')
    assert main("enroll", "Ada", people / "Ada", "--aligned", *facts, *model).code == 0
    (person,) = main("gallery", "list", "--json").document["people"]
    assert (person["consent"], person["metadata"]) == ("form 12", {"badge": 17})
    assert person["expires"].startswith("2100-01-01T00:00:00"), "that day counts in full"
    shown = main("gallery", "show", "Ada").out
    assert "consent: form 12" in shown and '{"badge": 17}' in shown and "expires: 2100" in shown


def test_a_gallery_is_made_as_asked_and_stays_so(main: Main, model: Model, people: Path) -> None:
    made = ("--fusion=mean", "--index=exact")
    assert main("enroll", "Ada", people / "Ada", "--aligned", *made, *model).code == 0
    assert main("gallery", "stats", "--json").document["fusion"] == "mean"
    other = main("enroll", "Bruno", people / "Bruno", "--aligned", "--fusion=max")
    assert other.code == 2 and "fusion is mean, not max" in other.error
    assert main("enroll", "Bruno", people / "Bruno", "--aligned", *made).code == 0


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ([], "enroll NAME"),
        (["Ada"], "enroll NAME"),
        (["Ada", "people/Ada", "--from-folder=people"], "--from-folder takes the names"),
        (["--from-folder=people", "--new"], "--new and --person"),
        (["--from-folder=people", "--person=id:1"], "--new and --person"),
        (["Ada", "people/Ada", "--new", "--person=id:1"], "give one of them"),
        (["Ada", "people/Ada", "--names=path"], "--names goes with --from-folder"),
        (["Ada", "people/Ada", "--person=Ada"], "id:N"),
        (["Ada", "people/Ada", "--metadata={"], "no valid JSON"),
        (["Ada", "people/Ada", "--metadata=[1]"], "JSON object"),
        (["Ada", "people/Ada", "--faces=all"], "invalid choice"),
        (["Ada", "people/Ada", "--checkpoint=x", "--pretrained=y"], "--checkpoint names the whole model"),
    ],
)
def test_contradictions_leave_no_gallery(main: Main, people: Path, words: list[str], why: str, tmp_path: Path) -> None:
    ended = main("enroll", *words)
    assert ended.code == 2 and why in ended.error
    assert not (tmp_path / "gallery").exists()


def test_what_is_not_there_leaves_no_gallery(main: Main, model: Model, people: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for words, code, why in (
        (["Ada", tmp_path / "missing.png"], 4, "no file or folder"),
        (["Ada", tmp_path / "empty"], 3, "no pictures in"),
        (["Ada", people / "Ada", "--expires=soon"], 3, "cannot read the expiry"),
        (["Ada", people / "Ada", "--consent=a\nb"], 3, "cannot be printed"),
        (["id:7", people / "Ada"], 3, "id:"),
        (["two\nlines", people / "Ada"], 3, "two\\nlines"),
        (["--from-folder", tmp_path / "empty"], 3, "nothing to use in"),
        (["--from-folder", tmp_path / "missing"], 4, "no folder"),
    ):
        ended = main("enroll", *words, "--aligned", *model)
        assert ended.code == code and why in ended.error
        assert not (tmp_path / "gallery").exists()


def test_nothing_but_bad_pictures(main: Main, model: Model, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture at all")
    ended = main("enroll", "Ada", tmp_path / "bad.png", "--aligned", *model, "--json")
    assert ended.code == 3
    assert ended.document["person"] is None and ended.document["counts"] == {"unreadable": 1}
    assert main("gallery", "list", "--json").document["people"] == []


def test_another_model_is_refused(enrolled: Main, toy: str, people: Path, tmp_path: Path) -> None:
    from patterns import write_weights

    other = write_weights(tmp_path / "other.safetensors", toy, seed=1)
    words = ("--aligned", f"--backbone={toy}", f"--pretrained={other}", "--precision=fp32")
    ended = enrolled("enroll", "Dora", people / "Ada", *words)
    assert ended.code == 5 and "gallery reembed" in ended.error
    (tmp_path / "toy.safetensors").rename(tmp_path / "moved.safetensors")
    gone = enrolled("enroll", "Ada", people / "Ada", "--aligned")
    assert gone.code == 4 and "--pretrained" in gone.error
    moved = (f"--backbone={toy}", f"--pretrained={tmp_path / 'moved.safetensors'}", "--precision=fp32")
    assert enrolled("enroll", "Ada", people / "Ada", "--aligned", *moved).code == 0
