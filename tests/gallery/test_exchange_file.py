"""The exchange file: opened by others' readers, whole after a round trip, and harmless whatever a stranger writes."""

from __future__ import annotations

import json
import math
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file

from facenet.errors import InputError, StorageError
from facenet.gallery.exchange_file import ExchangeFile, FilePerson, write_exchange
from facenet.gallery.records import Header, Person, StoredSample
from facenet.preprocessing import Preprocessing

HEADER = Header("f" * 32, Preprocessing(112, 112), 4)
WHEN = "2026-01-02T03:04:05+00:00"
PEOPLE = [
    Person(7, "Ada", {"team": [1, None, "x"]}, "consent 12", "2030-01-01T00:00:00+00:00", WHEN, 2),
    Person(9, "漢字 '; DROP TABLE people;--", {}, "", "", WHEN, 0),
    Person(12, "Zoë", {"nested": {"a": 1.5}}, "", "", WHEN, 1),
]


def samples() -> list[StoredSample]:
    rows = np.eye(4, dtype=np.float32)
    return [
        StoredSample(rows[0], "/a/b.jpg", "0" * 64, (1.0, 2.5, 30.0, 40.0), 0.5, 1, 7, WHEN),
        StoredSample(rows[1], "", "", None, 1.0, 2, 7, WHEN),
        StoredSample(rows[2], "ümlaut\n.png", "1" * 64, None, 0.0, 3, 12, WHEN),
    ]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "people.safetensors"
    write_exchange(path, HEADER, vectors=[np.eye(4, dtype=np.float32)[:3]], people=PEOPLE, samples=samples())
    return path


def read(path: Path) -> list[FilePerson]:
    with ExchangeFile(path) as opened:
        return list(opened.people())


def rewritten(path: Path, change: dict[str, Any]) -> None:
    """Change entries of the file's JSON header, keeping its length."""
    data = bytearray(path.read_bytes())
    length = int.from_bytes(data[:8], "little")
    document = json.loads(data[8 : 8 + length])
    for key, value in change.items():
        *above, last = key.split(".")
        place = document
        for name in above:
            place = place[name]
        place[last] = value
    data[8 : 8 + length] = json.dumps(document).encode().ljust(length)
    path.write_bytes(data)


def test_a_round_trip_keeps_everything(file: Path) -> None:
    with ExchangeFile(file) as opened:
        assert (opened.header, opened.rows) == (HEADER, 3)
        back = list(opened.people())
    assert [one.person for one in back] == PEOPLE
    flat = [(sample, added) for one in back for sample, added in zip(one.samples, one.added, strict=True)]
    for (sample, added), wanted in zip(flat, samples(), strict=True):
        assert np.array_equal(sample.embedding, wanted.embedding) and sample.embedding.dtype == np.float32
        assert (sample.source, sample.content, sample.box, sample.quality, added) == (
            wanted.source,
            wanted.content,
            wanted.box,
            wanted.quality,
            wanted.added,
        )


def test_others_can_open_it(file: Path) -> None:
    tensors = load_file(file)
    assert np.array_equal(tensors["embeddings"], np.eye(4, dtype=np.float32)[:3])
    assert [json.loads(line)["name"] for line in tensors["people"].tobytes().splitlines()] == [p.name for p in PEOPLE]
    with safe_open(file, framework="numpy") as opened:
        assert opened.metadata()["format"] == "facenet-gallery"


def test_nobody_at_all(tmp_path: Path) -> None:
    path = tmp_path / "nobody.safetensors"
    write_exchange(path, HEADER, vectors=[], people=[], samples=[])
    assert read(path) == []
    assert load_file(path)["embeddings"].shape == (0, 4)


def test_only_the_owner_can_read_it_and_nothing_is_overwritten(file: Path) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = file.read_bytes()
    with pytest.raises(InputError, match="there already"):
        write_exchange(file, HEADER, vectors=[], people=[], samples=[])
    assert file.read_bytes() == before


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    def failing() -> Any:
        yield np.eye(4, dtype=np.float32)
        raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match="no space left"):
        write_exchange(tmp_path / "people.safetensors", HEADER, vectors=failing(), people=PEOPLE, samples=[])
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StorageError):
        write_exchange(tmp_path / "no" / "such" / "x.safetensors", HEADER, vectors=[], people=[], samples=[])


@pytest.mark.parametrize(
    "change",
    [
        {"__metadata__.format": "other"},
        {"__metadata__.version": "2"},
        {"__metadata__.gallery": "[]"},
        {"__metadata__.gallery": 5},
        {"__metadata__.gallery": json.dumps({"fingerprint": 1, "preprocessing": {}, "embedding_size": 4})},
        {"__metadata__.gallery": json.dumps({"fingerprint": "a", "preprocessing": {"height": 0}, "embedding_size": 4})},
        {"__metadata__.gallery": json.dumps({"fingerprint": "a", "preprocessing": 3, "embedding_size": 4})},
        {"__metadata__.gallery": json.dumps({"fingerprint": "a", "preprocessing": {}, "embedding_size": 10**30})},
        {"embeddings.shape": [2**40, 2**40]},
        {"embeddings.shape": [-3, -4]},
        {"embeddings.shape": [4, 3]},
        {"embeddings.shape": [True, 4]},
        {"embeddings.dtype": "F64"},
        {"embeddings.data_offsets": [0, 10**15]},
        {"people.data_offsets": [0, 10]},
        {"people": None},
        {"extra": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}},
    ],
)
def test_a_hostile_header_is_refused(file: Path, change: dict[str, Any]) -> None:
    rewritten(file, change)
    with pytest.raises(InputError, match="cannot import"):
        read(file)


def person_line(**changes: Any) -> bytes:
    values = {"id": 1, "name": "x", "metadata": {}, "consent": "", "expires": "", "created": WHEN, "embeddings": 1}
    return json.dumps({**values, **changes}).encode()


def sample_line(**changes: Any) -> bytes:
    values = {"source": "", "content": "", "box": None, "quality": 1.0, "added": WHEN}
    return json.dumps({**values, **changes}).encode()


def hostile(path: Path, person: bytes, sample: bytes) -> None:
    """A file whose header is right for whatever the lines hold."""
    path.unlink(missing_ok=True)
    write_exchange(path, HEADER, vectors=[np.eye(4, dtype=np.float32)[:1]], people=[], samples=[])
    lines = person + b"\n", sample + b"\n"
    path.write_bytes(path.read_bytes() + b"".join(lines))
    ends = [16, 16 + len(lines[0]), 16 + len(lines[0]) + len(lines[1])]
    rewritten(
        path,
        {
            "people": {"dtype": "U8", "shape": [len(lines[0])], "data_offsets": ends[:2]},
            "samples": {"dtype": "U8", "shape": [len(lines[1])], "data_offsets": ends[1:]},
        },
    )


def test_the_hostile_file_would_be_read_if_it_were_right(tmp_path: Path) -> None:
    hostile(tmp_path / "x", person_line(), sample_line())
    assert len(read(tmp_path / "x")) == 1


@pytest.mark.parametrize(
    "line",
    [
        person_line(embeddings=2),
        person_line(embeddings=0),
        person_line(embeddings=10**18),
        person_line(embeddings=-1),
        person_line(embeddings=1.0),
        person_line(name=None),
        person_line(name=["x"]),
        person_line(metadata=[]),
        person_line(extra=1),
        person_line(created="yesterday"),
        person_line(created="2026-01-01"),
        person_line(id=True),
        person_line(consent="x" * 100_000),
        b"[" * 100_000,
        b"{" + b'"a":{' * 50_000,
        b'{"id": ' + b"9" * 10_000 + b"}",
        b"null",
        b"\xff\xfe",
        b"",
    ],
)
def test_hostile_people_are_refused(tmp_path: Path, line: bytes) -> None:
    hostile(tmp_path / "x", line, sample_line())
    with pytest.raises(InputError, match="cannot import"):
        read(tmp_path / "x")


@pytest.mark.parametrize(
    "line",
    [
        sample_line(quality=2),
        sample_line(quality=-0.1),
        sample_line(quality=True),
        sample_line(quality=math.nan),
        sample_line(box=[1, 2, 3]),
        sample_line(box=[1, 2, 3, math.inf]),
        sample_line(box=[1, 2, 3, 1e300]),
        sample_line(box=[1, 2, 3, 10**400]),
        sample_line(box="1234"),
        sample_line(source=5),
        sample_line(added=""),
        sample_line(added=WHEN, more=1),
        b"{}",
        b"",
    ],
)
def test_hostile_samples_are_refused(tmp_path: Path, line: bytes) -> None:
    hostile(tmp_path / "x", person_line(), line)
    with pytest.raises(InputError, match="cannot import"):
        read(tmp_path / "x")


@given(data=st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_bytes_are_refused_or_read(file: Path, data: st.DataObject) -> None:
    contents = bytearray(file.read_bytes())
    used = len(contents) - 8 - 65536
    for _ in range(data.draw(st.integers(1, 4))):
        # The blanks that fill up the header are skipped: they make up nearly all of the file.
        place = data.draw(st.integers(0, 900 + used))
        contents[place if place < 900 else 8 + 65536 + place - 900 - 1] = data.draw(st.integers(0, 255))
    damaged = file.with_name("damaged")
    damaged.write_bytes(contents[: data.draw(st.sampled_from([len(contents), len(contents) - 1, 70_000, 100, 5, 0]))])
    try:
        for one in read(damaged):
            assert isinstance(one.person.name, str) and len(one.samples) == one.person.embeddings
    except InputError as error:
        assert "cannot import" in str(error)


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_refused(tmp_path: Path, contents: bytes) -> None:
    (tmp_path / "any").write_bytes(contents)
    with pytest.raises(InputError, match="cannot import"):
        ExchangeFile(tmp_path / "any")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError, match="cannot read"):
            ExchangeFile(path)
