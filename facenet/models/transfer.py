"""One HTTP transfer into a part file: address rules, redirects, resuming, limits.

A transfer continues an earlier part only if the server confirms, through ``If-Range``, that the file is still the same
one; otherwise it starts over, so halves of two different files are never glued together.

When to try again, checking and moving into place are the business of :mod:`facenet.models.download`.
"""

from __future__ import annotations

import ipaddress
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import urljoin, urlsplit

import requests
from urllib3.exceptions import ReadTimeoutError

from facenet._version import __version__
from facenet.errors import StorageError, printable
from facenet.models.partfile import PartNote, discard, read_note, restart, storing

Progress = Callable[[int, "int | None"], None]
"""Called with (bytes at hand, bytes in all or None) as a transfer goes on."""

_CHUNK = 64 * 1024
_SPARE_DISK = 16 * 1024 * 1024
_MAX_REDIRECTS = 5
_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class DownloadPolicy:
    """How patient and how trusting a download is.

    Attributes:
        connect_timeout: longest wait for a connection, in seconds.
        read_timeout: longest silence of a connected server, in seconds.
        retries: further attempts after the first.
        connect_retries: how many of them may follow one another without reaching the server at all; few, so that a
            machine without a network hears so soon.
        backoff: pause before the second attempt, in seconds; doubled for each further one.
        longest_pause: cap on every pause between attempts, in seconds, also on one the server asks for.
        max_bytes: upper bound where the size of the file is not known beforehand.
        lock_wait: longest wait for another process that downloads the same file, in seconds.
        allow_http: accept plain http from hosts other than this one.
    """

    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    retries: int = 4
    connect_retries: int = 1
    backoff: float = 1.0
    longest_pause: float = 30.0
    max_bytes: int = 2 * 1024**3
    lock_wait: float = 3600.0
    allow_http: bool = False


class Interrupted(Exception):
    """The transfer broke off; another attempt may succeed.

    Attributes:
        pause: seconds the server asks to be left alone, or None.
    """

    def __init__(self, reason: str, pause: float | None = None) -> None:
        super().__init__(reason)
        self.pause = pause


class Unreachable(Interrupted):
    """The server could not even be reached."""


class Refused(Exception):
    """The transfer cannot succeed, however often it is tried."""


class _Session(requests.Session):
    """A session that leaves redirects alone: requests reads their whole body, however long, to prepare the next hop."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        return None


def transfer(
    url: str, part: Path, *, expected_bytes: int | None, policy: DownloadPolicy, progress: Progress | None
) -> bool:
    """Bring the file at ``url`` into ``part``, going on from what is already there where the server allows it.

    Arguments:
        url: https address, or http of this host (of any host with ``policy.allow_http``).
        part: file to write; its folder exists. It is kept when the transfer breaks off.
        expected_bytes: exact length the file must have, or None.

    Returns:
        True if an earlier part was continued, False if every byte came in this transfer.

    Raises:
        Interrupted: the connection failed, fell silent or broke off, or the server is busy.
        Refused: forbidden address, HTTP error, wrong length announced or sent.
        StorageError: the part cannot be written or the disk is (nearly) full; what is there stays for later.
    """
    note = read_note(part, url)
    if note is not None and expected_bytes is not None and note.total not in (None, expected_bytes):
        note = None
    start = part.stat().st_size if note is not None and part.is_file() else 0
    if note is not None and start > 0 and start == note.total:
        return True
    headers = {"Accept-Encoding": "identity", "User-Agent": f"facenet/{__version__}"}
    if note is not None and start > 0:
        headers |= {"Range": f"bytes={start}-", "If-Range": note.validator}
    with _Session() as session, _get(session, url, headers, policy) as response:
        _check_status(response, part)
        if response.status_code == 200:
            start = 0
            announced = _integer(response.headers.get("Content-Length"))
        else:
            announced = _check_continuation(response, part, start, note)
        total = _agreed_total(announced, expected_bytes, policy)
        _check_space(part, total, start)
        if start == 0:
            validator = _validator(response)
            note = None if validator is None else PartNote(url, validator, total)
            restart(part, note)
        _stream(response, part, start, total, policy, progress)
    return start > 0


def check_url(url: str, policy: DownloadPolicy) -> None:
    """Refuse any address but https and, for this host or with ``policy.allow_http``, http."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError as error:
        raise Refused("the address is malformed") from error
    if parts.scheme == "https" and host:
        return
    if parts.scheme == "http" and host and (policy.allow_http or _is_loopback(host)):
        return
    raise Refused(f"{printable(parts.scheme) if parts.scheme else 'no'} scheme, where https is required")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _get(session: requests.Session, url: str, headers: dict[str, str], policy: DownloadPolicy) -> requests.Response:
    """Follow redirects one by one, so that every hop meets the same address rules."""
    timeout = (policy.connect_timeout, policy.read_timeout)
    for _ in range(_MAX_REDIRECTS + 1):
        check_url(url, policy)
        try:
            response = session.get(url, headers=headers, stream=True, allow_redirects=False, timeout=timeout)
        except requests.RequestException as error:
            _give_reason(error, policy)
        if not response.is_redirect:
            return response
        response.close()
        url = _redirected(url, response.headers["Location"])
    raise Refused(f"the server redirects more than {_MAX_REDIRECTS} times")


def _redirected(url: str, location: str) -> str:
    try:
        target = urljoin(url, location)
        downgraded = urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https"
    except ValueError as error:
        raise Refused("the server redirects to a malformed address") from error
    if downgraded:
        raise Refused("the server redirects to an address that is not https")
    return target


def _give_reason(error: requests.RequestException, policy: DownloadPolicy) -> NoReturn:
    """Raise the short, named form of what went wrong on the network."""
    # A timeout while the body is read arrives as a ConnectionError around urllib3's own exception.
    silent = isinstance(error, requests.ReadTimeout) or any(isinstance(a, ReadTimeoutError) for a in error.args)
    if isinstance(error, requests.ConnectTimeout):
        raise Unreachable(f"no connection within {policy.connect_timeout:g} s") from error
    if silent:
        raise Interrupted(f"the server was silent for {policy.read_timeout:g} s") from error
    if isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        raise Refused("the certificate of the server is not trusted") from error
    if isinstance(error, requests.ConnectionError):
        raise Unreachable("no connection to the server") from error
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        raise Interrupted("the connection broke off") from error
    raise Refused(f"the request failed ({type(error).__name__})") from error


def _check_status(response: requests.Response, part: Path) -> None:
    status = response.status_code
    if status == 416:
        discard(part)
        raise Interrupted("the server no longer has the rest of that file")
    if status in _TRY_AGAIN:
        seconds = _integer(response.headers.get("Retry-After"))
        raise Interrupted(f"the server answers HTTP {status}", None if seconds is None else float(seconds))
    if status not in (200, 206):
        raise Refused(f"the server answers HTTP {status}")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise Refused("the server sends the file re-encoded")


def _check_continuation(response: requests.Response, part: Path, start: int, note: PartNote | None) -> int | None:
    """Return the full length a 206 answer states; drop the part if the answer does not continue exactly it."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    total = None if match is None else _integer(match[2])
    same_place = start > 0 and match is not None and int(match[1]) == start
    # A server may honour Range and overlook If-Range: compare what it says of the file it is sending now.
    same_version = False
    if note is not None:
        given = response.headers.get("ETag" if note.validator.startswith('"') else "Last-Modified")
        same_version = given is None or given == note.validator
    same_length = note is not None and (note.total is None or total is None or note.total == total)
    if not (same_place and same_version and same_length):
        discard(part)
        raise Interrupted("the file changed on the server")
    return total


def _agreed_total(announced: int | None, expected: int | None, policy: DownloadPolicy) -> int | None:
    """Return the full length to come, None if nobody states it."""
    if announced is not None and expected is not None and announced != expected:
        raise Refused(f"the server announces {announced} bytes instead of {expected}")
    if announced == 0:
        raise Refused("the server sends an empty file")
    if announced is not None and expected is None and announced > policy.max_bytes:
        raise Refused(f"the server announces {announced} bytes, more than the {policy.max_bytes} allowed")
    return expected if announced is None else announced


def _check_space(part: Path, total: int | None, start: int) -> None:
    if total is None:
        return
    with storing(part):
        freed = part.stat().st_size if start == 0 and part.is_file() else 0
        free = shutil.disk_usage(part.parent).free + freed
    if free < total - start + _SPARE_DISK:
        raise StorageError(
            f"cannot write {printable(part)}: {total - start + _SPARE_DISK} bytes needed, {free} free on that disk"
        )


def _stream(
    response: requests.Response,
    part: Path,
    start: int,
    total: int | None,
    policy: DownloadPolicy,
    progress: Progress | None,
) -> None:
    limit = policy.max_bytes if total is None else total
    done = start
    with storing(part), part.open("ab") as file:
        for chunk in _chunks(response, policy):
            done += len(chunk)
            if done > limit:
                break
            file.write(chunk)
            if progress is not None:
                progress(done, total)
        file.flush()
        os.fsync(file.fileno())
    if done > limit:
        discard(part)
        raise Refused(f"the server sends more than {limit} bytes")
    if done == 0:
        raise Refused("the server sends an empty file")
    if total is not None and done < total:
        raise Interrupted(f"the connection broke off after {done} of {total} bytes")


def _chunks(response: requests.Response, policy: DownloadPolicy) -> Iterator[bytes]:
    # requests' exceptions are OSErrors: named here, at their source, they cannot be taken for a full disk.
    try:
        yield from response.iter_content(_CHUNK)
    except requests.RequestException as error:
        _give_reason(error, policy)


def _validator(response: requests.Response) -> str | None:
    """Return what identifies this version of the file: a strong ETag, else Last-Modified, else None."""
    etag = response.headers.get("ETag")
    if etag is not None and etag.startswith('"'):
        return etag
    return response.headers.get("Last-Modified")


def _integer(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"[0-9]{1,18}", text) else None
