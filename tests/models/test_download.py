"""Downloads against a local server that truncates, corrupts, stalls, refuses and changes its mind."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import random
import re
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facenet.errors import StorageError, WeightsError
from facenet.models import transfer
from facenet.models.cache import Condition, at_hand, read_record, remember, verify
from facenet.models.catalogue import WeightsEntry
from facenet.models.download import ensure, fetch
from facenet.models.transfer import DownloadPolicy

CONTENT = random.Random(0).randbytes(400_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
OTHER = random.Random(1).randbytes(400_000)
HALF = 200_000
FAST = DownloadPolicy(
    connect_timeout=2.0, read_timeout=0.3, retries=2, backoff=0.001, longest_pause=0.01, max_bytes=500_000, lock_wait=20
)
FETCH_ELSEWHERE = (
    sys.executable,
    "-c",
    "import sys; from pathlib import Path; from facenet.models.download import fetch; "
    "fetch(sys.argv[1], Path(sys.argv[2]))",
)


class Request(BaseHTTPRequestHandler):
    """One GET: plays the next act of the server's script, or serves properly when the script has run out."""

    server: Server

    def do_GET(self) -> None:
        self.server.ranges.append(self.headers.get("Range"))
        act = self.server.script.pop(0) if self.server.script else serve
        act(self)

    def head(self, status: int, **headers: object) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.content = CONTENT
        self.script: list[Act] = []
        self.ranges: list[str | None] = []
        self.ended = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/weights.pt"

    @property
    def etag(self) -> str:
        return f'"{hashlib.sha256(self.content).hexdigest()[:16]}"'

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up in the middle is what is tested here."""


Act = Callable[[Request], None]


def serve(request: Request) -> None:
    """What a good server does: Range with If-Range, ETag, Content-Length."""
    content, etag = request.server.content, request.server.etag
    asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
    if asked is None or request.headers.get("If-Range") not in (None, etag):
        request.head(200, Content_Length=len(content), ETag=etag)
        request.wfile.write(content)
        return
    start = int(asked[1])
    if start >= len(content):
        request.head(416, Content_Range=f"bytes */{len(content)}")
        return
    place = f"bytes {start}-{len(content) - 1}/{len(content)}"
    request.head(206, Content_Length=len(content) - start, Content_Range=place, ETag=etag)
    request.wfile.write(content[start:])


def truncate(length: int) -> Act:
    """Announce everything there is to come, send the first ``length`` bytes of it, hang up."""

    def act(request: Request) -> None:
        sent = io.BytesIO()
        request.wfile, wire = sent, request.wfile
        serve(request)
        head, body = sent.getvalue().split(b"\r\n\r\n", 1)
        wire.write(head + b"\r\n\r\n" + body[:length])
        request.wfile = wire

    return act


def stall(length: int) -> Act:
    """Send ``length`` bytes, then neither go on nor hang up."""

    def act(request: Request) -> None:
        truncate(length)(request)
        request.wfile.flush()
        request.server.ended.wait()

    return act


def answer(status: int, body: bytes = b"", **headers: object) -> Act:
    def act(request: Request) -> None:
        request.head(status, **{"Content_Length": len(body), **headers})
        request.wfile.write(body)

    return act


def unmeasured(body: bytes) -> Act:
    """Send ``body`` without saying how long it is."""

    def act(request: Request) -> None:
        request.head(200)
        request.wfile.write(body)

    return act


def slowly(request: Request) -> None:
    request.head(200, Content_Length=len(CONTENT), ETag=request.server.etag)
    for start in range(0, len(CONTENT), 40_000):
        request.wfile.write(CONTENT[start : start + 40_000])
        time.sleep(0.03)


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    local = Server()
    thread = threading.Thread(target=local.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield local
    local.ended.set()
    local.shutdown()
    thread.join()
    local.server_close()


@pytest.fixture
def destination(tmp_path) -> Path:
    return tmp_path / "checkpoints" / "weights.pt"


def entry_of(server: Server, size: int | None = len(CONTENT), sha256: str | None = SHA256) -> WeightsEntry:
    return WeightsEntry("local", "net", "weights.pt", server.url, size, sha256, "none", "noise", ())


def part_of(destination: Path) -> Path:
    return destination.with_name(destination.name + ".part")


def left(destination: Path) -> set[str]:
    """Names in the folder, apart from the lock, which stays."""
    return {path.name for path in destination.parent.iterdir()} - {"weights.pt.lock"}


def refusal(server: Server, destination: Path, **expected: object) -> str:
    """Fetch, expect a WeightsError, and return its text after checking what every such text must hold."""
    with pytest.raises(WeightsError) as caught:
        fetch(server.url, destination, policy=FAST, **expected)
    text = str(caught.value)
    assert server.url in text and str(destination) in text and "\n" not in text
    assert caught.value.exit_code == 4
    assert not destination.exists()
    return text


# ---------------------------------------------------------------- all goes well


def test_download_is_complete_recorded_and_readable_by_others(server, destination):
    seen: list[tuple[int, int | None]] = []
    assert fetch(server.url, destination, progress=lambda done, total: seen.append((done, total))) == destination
    assert destination.read_bytes() == CONTENT
    assert left(destination) == {"weights.pt", "weights.pt.sha256.json"}
    record = read_record(destination)
    assert record is not None
    assert (record.sha256, record.bytes, record.url) == (SHA256, len(CONTENT), server.url)
    assert record.time.endswith("+00:00")
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    if os.name == "posix":
        plain = destination.with_name("plain")
        plain.touch()
        assert stat.S_IMODE(destination.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_a_file_that_fits_is_not_asked_for_again(server, destination):
    for _ in range(2):
        fetch(server.url, destination, expected_bytes=len(CONTENT), expected_sha256=SHA256, policy=FAST)
    assert len(server.ranges) == 1


def test_a_file_that_does_not_fit_is_replaced(server, destination):
    destination.parent.mkdir()
    destination.write_bytes(CONTENT[:-1] + b"?")
    fetch(server.url, destination, expected_bytes=len(CONTENT), expected_sha256=SHA256, policy=FAST)
    assert destination.read_bytes() == CONTENT


def test_a_server_that_states_no_length_and_no_version_will_do(server, destination):
    server.script = [unmeasured(CONTENT)]
    fetch(server.url, destination, policy=FAST)
    assert destination.read_bytes() == CONTENT


def test_redirects_are_followed_to_allowed_places_only_so_many_times(server, destination):
    server.script = [answer(302, Location="/elsewhere"), answer(307, Location=server.url)]
    fetch(server.url, destination, policy=FAST)
    assert destination.read_bytes() == CONTENT
    destination.unlink()
    server.script = [answer(302, Location=server.url)] * 10
    assert "redirects more than 5 times" in refusal(server, destination)


# ---------------------------------------------------------------- it breaks off


def test_truncated_twice_it_goes_on_where_it_stopped(server, destination):
    server.script = [truncate(HALF), truncate(100_000)]
    fetch(server.url, destination, expected_sha256=SHA256, policy=FAST)
    assert destination.read_bytes() == CONTENT
    first, second, third = server.ranges
    assert first is None
    starts = [int(asked.removeprefix("bytes=").removesuffix("-")) for asked in (second, third)]
    assert 0 < starts[0] <= HALF and starts[0] < starts[1] <= starts[0] + 100_000


def test_truncated_every_time_it_gives_up_and_a_later_call_goes_on(server, destination):
    server.script = [truncate(70_000)] * 3
    assert "broke off" in refusal(server, destination)
    assert len(server.ranges) == 1 + FAST.retries
    kept = part_of(destination).stat().st_size
    assert kept > 0
    fetch(server.url, destination, expected_sha256=SHA256, policy=FAST)
    assert server.ranges[-1] == f"bytes={kept}-"
    assert destination.read_bytes() == CONTENT


def test_a_stalled_server_is_a_named_error_and_not_a_hang(server, destination):
    server.script = [stall(100_000)] * 3
    began = time.monotonic()
    assert "silent for 0.3 s" in refusal(server, destination)
    assert time.monotonic() - began < 5


def test_a_server_that_never_answers_is_a_named_error(server, destination):
    server.script = [lambda request: request.server.ended.wait()] * 3
    assert "silent for 0.3 s" in refusal(server, destination)


def test_nobody_listening_is_a_named_error(server, destination):
    server.shutdown()
    server.server_close()
    text = refusal(server, destination)
    assert "no connection" in text and "tried 2 times" in text


@pytest.mark.parametrize(
    ("error", "told", "attempts"),
    [
        (requests.exceptions.SSLError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed"), "certificate", 1),
        (requests.exceptions.SSLError("EOF occurred in violation of protocol"), "no connection", 2),
        (requests.ConnectTimeout("slow"), "no connection within 2 s", 2),
        (requests.exceptions.InvalidURL("bad"), "InvalidURL", 1),
    ],
)
def test_what_the_network_layer_reports_is_named(server, destination, monkeypatch, error, told, attempts):
    calls: list[str] = []

    def fail(self: object, url: str, **options: object) -> None:
        calls.append(url)
        raise error

    monkeypatch.setattr(transfer._Session, "get", fail)
    assert told in refusal(server, destination)
    assert len(calls) == attempts


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_busy_server_is_asked_again(server, destination, status):
    server.script = [answer(status, b"busy", Retry_After=3600)]
    fetch(server.url, destination, policy=FAST)
    assert destination.read_bytes() == CONTENT


@pytest.mark.parametrize("status", [401, 403, 404, 410, 204])
def test_a_refusal_is_final(server, destination, status):
    server.script = [answer(status, b"no such thing")]
    assert f"HTTP {status}" in refusal(server, destination)
    assert len(server.ranges) == 1
    assert left(destination) == set()


def test_killed_midway_it_leaves_no_file_and_resumes_to_the_same_bytes(server, destination):
    server.script = [stall(HALF)]
    child = subprocess.Popen([*FETCH_ELSEWHERE, server.url, str(destination)])
    part = part_of(destination)
    deadline = time.monotonic() + 30
    while not (part.is_file() and part.stat().st_size >= 100_000):
        assert time.monotonic() < deadline and child.poll() is None
        time.sleep(0.01)
    child.kill()
    child.wait()
    kept = part.stat().st_size
    assert not destination.exists()
    fetch(server.url, destination, expected_bytes=len(CONTENT), expected_sha256=SHA256, policy=FAST)
    assert server.ranges == [None, f"bytes={kept}-"]
    assert destination.read_bytes() == CONTENT


def kill_before_the_rename(server: Server, destination: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("facenet.models.download.write_record", killed)
        fetch(server.url, destination, policy=FAST)
    assert not destination.exists()
    assert part_of(destination).read_bytes() == CONTENT


def test_killed_between_the_last_byte_and_the_rename_it_asks_for_nothing_more(server, destination, monkeypatch):
    kill_before_the_rename(server, destination, monkeypatch)
    fetch(server.url, destination, policy=FAST)
    assert destination.read_bytes() == CONTENT
    assert len(server.ranges) == 1


def test_a_whole_part_of_another_length_than_expected_is_not_taken(server, destination, monkeypatch):
    kill_before_the_rename(server, destination, monkeypatch)
    server.content = OTHER[:HALF]
    fetch(server.url, destination, expected_bytes=HALF, policy=FAST)
    assert destination.read_bytes() == OTHER[:HALF]


def test_the_bytes_are_on_the_disk_before_the_name_is(server, destination, monkeypatch):
    steps: list[str] = []
    replace_file, sync = os.replace, os.fsync

    def replaced(source: Path, target: Path) -> None:
        steps.append(f"rename to {target.name}")
        replace_file(source, target)

    def synced(descriptor: int) -> None:
        steps.append(f"sync {os.fstat(descriptor).st_size} bytes")
        sync(descriptor)

    monkeypatch.setattr(os, "replace", replaced)
    monkeypatch.setattr(os, "fsync", synced)
    fetch(server.url, destination, policy=FAST)
    assert steps[-1] == "rename to weights.pt"
    assert f"sync {len(CONTENT)} bytes" in steps


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, len(CONTENT)), max_size=4))
def test_wherever_it_is_cut_the_bytes_are_the_same(server, tmp_path, cuts):
    destination = tmp_path / "weights.pt"
    server.script = [truncate(cut) for cut in cuts]
    fetch(server.url, destination, expected_bytes=len(CONTENT), policy=replace(FAST, retries=5, backoff=0))
    assert destination.read_bytes() == CONTENT
    destination.unlink()


# ---------------------------------------------------------------- halves of different files


def test_a_file_changed_between_attempts_is_not_glued_together(server, destination):
    def change(request: Request) -> None:
        server.content = OTHER
        serve(request)

    server.script = [truncate(HALF), change]
    fetch(server.url, destination, policy=FAST)
    assert destination.read_bytes() == OTHER
    assert len(server.ranges) == 2, "If-Range settles it in one answer"


@pytest.mark.parametrize("other", [OTHER, OTHER + b"longer"])
def test_a_server_that_overlooks_if_range_is_found_out(server, destination, other):
    def change(request: Request) -> None:
        server.content = other
        del request.headers["If-Range"]
        serve(request)

    server.script = [truncate(HALF), change]
    fetch(server.url, destination, policy=FAST)
    assert destination.read_bytes() == other


def test_another_length_alone_is_enough_to_start_over(server, destination):
    def grown(request: Request) -> None:
        server.content = CONTENT + b"more"
        start = int(request.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        request.head(206, Content_Range=f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        request.wfile.write(server.content[start:])

    server.script = [truncate(HALF), grown]
    fetch(server.url, destination, policy=FAST)
    assert destination.read_bytes() == CONTENT + b"more"
    assert server.ranges[-1] is None


def test_a_server_without_ranges_starts_over(server, destination):
    def whole(request: Request) -> None:
        del request.headers["Range"]
        serve(request)

    server.script = [truncate(HALF), whole]
    fetch(server.url, destination, policy=FAST)
    assert destination.read_bytes() == CONTENT


def test_without_anything_to_tell_versions_apart_it_starts_over(server, destination):
    def nameless(request: Request) -> None:
        request.head(200, Content_Length=len(CONTENT), ETag='W/"weak"')
        request.wfile.write(CONTENT[:HALF])

    server.script = [nameless]
    fetch(server.url, destination, policy=FAST)
    assert server.ranges == [None, None]
    assert destination.read_bytes() == CONTENT


def test_a_wrong_piece_of_the_file_is_thrown_away(server, destination):
    def elsewhere(request: Request) -> None:
        place = f"bytes 10-{len(CONTENT) - 1}/{len(CONTENT)}"
        request.head(206, Content_Range=place, ETag=server.etag)
        request.wfile.write(CONTENT[10:])

    server.script = [truncate(HALF), elsewhere]
    fetch(server.url, destination, policy=FAST)
    assert destination.read_bytes() == CONTENT


def test_a_file_that_became_shorter_starts_over(server, destination):
    def shorten(request: Request) -> None:
        server.content = OTHER[:1000]
        del request.headers["If-Range"]
        serve(request)

    server.script = [truncate(HALF), shorten]
    fetch(server.url, destination, policy=FAST)
    assert destination.read_bytes() == OTHER[:1000]


def test_a_spoilt_part_is_found_by_its_checksum_and_downloaded_once_more(server, destination):
    server.script = [truncate(70_000)] * 3
    refusal(server, destination)
    part = part_of(destination)
    part.write_bytes(b"?" + part.read_bytes()[1:])
    fetch(server.url, destination, expected_sha256=SHA256, policy=FAST)
    assert destination.read_bytes() == CONTENT


@pytest.mark.parametrize(
    "note", ["", "{", "[]", '{"url": 1}', '{"url": "http://else.where/", "validator": "x", "total": 1}']
)
def test_a_part_with_a_foreign_or_illegible_note_is_not_continued(server, destination, note):
    destination.parent.mkdir()
    part_of(destination).write_bytes(OTHER[:HALF])
    part_of(destination).with_name("weights.pt.part.json").write_text(note)
    fetch(server.url, destination, policy=FAST)
    assert server.ranges == [None]
    assert destination.read_bytes() == CONTENT


# ---------------------------------------------------------------- not what was asked for


def test_corrupt_bytes_are_refused_and_removed(server, destination):
    server.content = CONTENT[:-1] + b"?"
    text = refusal(server, destination, expected_bytes=len(CONTENT), expected_sha256=SHA256)
    assert f"instead of {SHA256}" in text
    assert left(destination) == set()
    assert len(server.ranges) == 1


@pytest.mark.parametrize("announced", [1, len(CONTENT) - 1, len(CONTENT) + 1, 10**15])
def test_a_wrong_announced_length_is_refused_before_writing(server, destination, announced):
    server.script = [answer(200, CONTENT, Content_Length=announced)]
    assert f"announces {announced} bytes" in refusal(server, destination, expected_bytes=len(CONTENT))
    assert left(destination) == set()


def test_a_length_over_the_bound_is_refused_before_writing(server, destination):
    server.script = [answer(200, CONTENT, Content_Length=FAST.max_bytes + 1)]
    assert "more than the 500000 allowed" in refusal(server, destination)
    assert left(destination) == set()


def test_an_endless_file_is_not_received_to_its_end(server, destination):
    sent: list[int] = []

    def endless(request: Request) -> None:
        request.head(200)
        for number in range(1000):
            request.wfile.write(CONTENT)
            sent.append(number)

    server.script = [endless]
    refusal(server, destination)
    assert len(sent) < 1000


@pytest.mark.parametrize("expected", [len(CONTENT), None])
def test_too_many_bytes_are_cut_off(server, destination, expected):
    server.script = [unmeasured(CONTENT + OTHER)]
    assert "sends more than" in refusal(server, destination, expected_bytes=expected)
    assert left(destination) == set()


def test_too_few_bytes_without_a_length_are_noticed(server, destination):
    server.script = [unmeasured(CONTENT[:HALF])] * 3
    text = refusal(server, destination, expected_bytes=len(CONTENT))
    assert f"after {HALF} of {len(CONTENT)} bytes" in text


@pytest.mark.parametrize("act", [unmeasured(b""), answer(200)], ids=["unmeasured", "measured"])
def test_an_empty_file_is_refused(server, destination, act):
    server.script = [act]
    assert "empty file" in refusal(server, destination)


def test_a_reencoded_answer_is_refused(server, destination):
    server.script = [answer(200, CONTENT, Content_Encoding="gzip")]
    assert "re-encoded" in refusal(server, destination)


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/x", "file:///etc/passwd", "http://192.0.2.1/x", "http://[bad/x"])
def test_a_redirect_to_a_forbidden_place_is_refused(server, destination, target):
    server.script = [answer(302, Location=target)]
    refusal(server, destination)


def test_the_body_of_a_redirect_is_not_read(server, destination):
    def endless(request: Request) -> None:
        request.head(302, Location="/elsewhere")
        request.wfile.write(b"x" * 100)
        request.wfile.flush()
        request.server.ended.wait()

    server.script = [endless]
    fetch(server.url, destination, policy=replace(FAST, retries=0))
    assert destination.read_bytes() == CONTENT


def test_https_is_never_left_by_a_redirect():
    with pytest.raises(transfer.Refused, match="not https"):
        transfer._redirected("https://example.org/a", "http://127.0.0.1/b")
    assert transfer._redirected("https://example.org/a", "/b") == "https://example.org/b"


@pytest.mark.parametrize(
    "url", ["http://192.0.2.1/x", "http://localhost.example.org/x", "ftp://127.0.0.1/x", "file:///x", "x", "https://"]
)
def test_only_https_or_this_host_is_asked(url, destination):
    with pytest.raises(WeightsError, match="https is required"):
        fetch(url, destination, policy=FAST)
    assert not destination.parent.exists()


@pytest.mark.parametrize(
    "url", ["https://example.org/x", "http://127.0.0.1:1/x", "http://[::1]/x", "http://localhost/x"]
)
def test_addresses_that_are_allowed(url):
    transfer.check_url(url, FAST)


def test_plain_http_elsewhere_must_be_allowed_explicitly():
    transfer.check_url("http://192.0.2.1/x", replace(FAST, allow_http=True))


# ---------------------------------------------------------------- the place to write to


def test_a_disk_too_small_is_noticed_before_writing(server, destination, monkeypatch):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=len(CONTENT)))
    with pytest.raises(StorageError, match="bytes needed") as caught:
        fetch(server.url, destination, policy=FAST)
    assert str(destination) in str(caught.value)
    assert left(destination) == set()


def test_a_disk_that_fills_up_keeps_the_part_for_later(server, destination, monkeypatch):
    class Full(io.FileIO):
        def write(self, data: bytes) -> int:
            if self.tell() >= HALF:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(data)

    plain = Path.open

    def opened(self: Path, mode: str = "r", *args: object, **options: object) -> object:
        if self.suffix == ".part" and mode == "ab":
            return Full(self, mode)
        return plain(self, mode, *args, **options)

    with monkeypatch.context() as patch, pytest.raises(StorageError, match="No space left") as caught:
        patch.setattr(Path, "open", opened)
        fetch(server.url, destination, policy=FAST)
    assert str(part_of(destination)) in str(caught.value)
    assert not destination.exists()
    kept = part_of(destination).stat().st_size
    assert kept >= HALF
    fetch(server.url, destination, expected_sha256=SHA256, policy=FAST)
    assert server.ranges == [None, f"bytes={kept}-"]
    assert destination.read_bytes() == CONTENT


def test_a_folder_or_a_file_in_the_way_is_a_storage_error(server, destination, tmp_path):
    destination.mkdir(parents=True)
    with pytest.raises(StorageError, match="folder is in the way"):
        fetch(server.url, destination, policy=FAST)
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write"):
        fetch(server.url, tmp_path / "file" / "weights.pt", policy=FAST)
    assert server.ranges == []


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a user whom the file system can refuse")
def test_an_unwritable_folder_is_a_storage_error(server, destination):
    destination.parent.mkdir()
    destination.parent.chmod(0o500)
    with pytest.raises(StorageError, match="Permission denied"):
        fetch(server.url, destination, policy=FAST)


def test_odd_names_are_shown_escaped(server, tmp_path):
    server.script = [answer(404)]
    with pytest.raises(WeightsError) as caught:
        fetch(server.url, tmp_path / "two\nlines" / "weights.pt", policy=FAST)
    assert r"two\nlines" in str(caught.value) and "\n" not in str(caught.value)


# ---------------------------------------------------------------- several at once


def test_threads_that_want_the_same_file_download_it_once(server, destination):
    server.script = [slowly]
    waited: list[int] = []
    failures: list[Exception] = []

    def one() -> None:
        try:
            fetch(
                server.url,
                destination,
                expected_sha256=SHA256,
                policy=FAST,
                progress=lambda done, total: waited.append(done),
            )
        except WeightsError as error:
            failures.append(error)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(server.ranges) == 1
    assert destination.read_bytes() == CONTENT
    assert left(destination) == {"weights.pt", "weights.pt.sha256.json"}
    assert len(waited) > 7


def test_processes_that_want_the_same_file_download_it_once(server, destination):
    server.script = [slowly]
    children = [subprocess.Popen([*FETCH_ELSEWHERE, server.url, str(destination)]) for _ in range(2)]
    assert [child.wait(30) for child in children] == [0, 0]
    assert len(server.ranges) == 1
    assert destination.read_bytes() == CONTENT


def test_waiting_for_another_process_ends_in_a_named_error(server, destination):
    server.script = [stall(HALF)]
    patient = replace(FAST, read_timeout=2.0, retries=0)
    other = threading.Thread(target=lambda: pytest.raises(WeightsError, fetch, server.url, destination, policy=patient))
    other.start()
    while not part_of(destination).exists():
        time.sleep(0.01)
    with pytest.raises(WeightsError, match="another process") as caught:
        fetch(server.url, destination, policy=replace(FAST, lock_wait=0.1))
    assert str(destination) in str(caught.value)
    server.ended.set()
    other.join()


# ---------------------------------------------------------------- the cache folder


def test_offline_names_the_file_and_the_place(server, destination):
    entry = entry_of(server)
    with pytest.raises(WeightsError) as caught:
        ensure(entry, folder=destination.parent, offline=True)
    text = str(caught.value)
    assert entry.url in text and str(destination) in text and "switched off" in text and "\n" not in text
    assert not destination.parent.exists()
    ensure(entry, folder=destination.parent, policy=FAST)
    assert ensure(entry, folder=destination.parent, offline=True) == destination
    assert fetch(entry.url, destination, expected_sha256=SHA256, offline=True) == destination
    assert len(server.ranges) == 1


def test_ensure_replaces_a_file_of_the_wrong_size_but_not_offline(server, destination):
    entry = entry_of(server)
    destination.parent.mkdir()
    destination.write_bytes(CONTENT[:HALF])
    assert not at_hand(entry, destination.parent)
    with pytest.raises(WeightsError):
        ensure(entry, folder=destination.parent, offline=True)
    ensure(entry, folder=destination.parent, policy=FAST)
    assert destination.read_bytes() == CONTENT


def test_ensure_looks_at_the_size_and_thoroughly_at_the_bytes(server, destination):
    entry = entry_of(server)
    destination.parent.mkdir()
    destination.write_bytes(OTHER)
    ensure(entry, folder=destination.parent, policy=FAST)
    assert destination.read_bytes() == OTHER
    ensure(entry, folder=destination.parent, thorough=True, policy=FAST)
    assert destination.read_bytes() == CONTENT


def test_verify_tells_every_condition(server, destination):
    entry, folder = entry_of(server), destination.parent
    assert verify(entry, folder).condition is Condition.MISSING
    ensure(entry, folder=folder, policy=FAST)
    whole = verify(entry, folder)
    assert (whole.condition, whole.sha256, whole.bytes, whole.usable) == (Condition.OK, SHA256, len(CONTENT), True)
    destination.write_bytes(OTHER)
    spoilt = verify(entry, folder)
    assert (spoilt.condition, spoilt.usable) == (Condition.CHECKSUM_DIFFERS, False)
    destination.write_bytes(CONTENT[:HALF])
    assert verify(entry, folder).condition is Condition.SIZE_DIFFERS
    assert not verify(entry, folder).usable


def test_where_the_catalogue_is_silent_the_first_download_decides(server, destination):
    entry, folder = entry_of(server, size=None, sha256=None), destination.parent
    ensure(entry, folder=folder, policy=FAST)
    assert verify(entry, folder).condition is Condition.OK
    destination.write_bytes(OTHER)
    assert verify(entry, folder).condition is Condition.CHECKSUM_DIFFERS
    destination.unlink()
    server.content = OTHER
    with pytest.raises(WeightsError, match="checksum"):
        ensure(entry, folder=folder, policy=FAST)
    assert not destination.exists()


def test_a_file_put_there_by_hand_is_unrecorded_until_remembered(server, destination):
    entry, folder = entry_of(server, sha256=None), destination.parent
    folder.mkdir()
    destination.write_bytes(CONTENT)
    status = verify(entry, folder)
    assert status.condition is Condition.UNRECORDED and status.usable
    assert ensure(entry, folder=folder, offline=True) == destination
    remember(status)
    assert verify(entry, folder).condition is Condition.OK
    with pytest.raises(ValueError, match="only an unrecorded file"):
        remember(verify(entry, folder))


def test_a_record_of_another_file_does_not_count(server, destination):
    entry, folder = entry_of(server), destination.parent
    ensure(replace(entry, sha256=None), folder=folder, policy=FAST)
    assert not at_hand(replace(entry, sha256="0" * 64), folder)
    assert at_hand(entry, folder)


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({"sha256": 1, "bytes": "x", "url": None, "time": ""})])
def test_a_damaged_record_is_a_named_error(server, destination, text):
    entry, folder = entry_of(server, sha256=None), destination.parent
    ensure(entry, folder=folder, policy=FAST)
    place = destination.with_name("weights.pt.sha256.json")
    place.write_text(text)
    with pytest.raises(WeightsError, match="delete it") as caught:
        verify(entry, folder)
    assert str(place) in str(caught.value)
