"""Bring pretrained weights into the cache folder, whole or not at all.

While a download runs, ``FILE.part`` grows next to ``FILE`` (and is kept for resuming when it breaks off) and
``FILE.lock`` is held: a lock of the operating system, which ends with its process. So two processes never write the
same part, and a killed one leaves nothing behind that must be cleaned up.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from facenet.errors import StorageError, WeightsError, printable
from facenet.models.cache import at_hand, expected_sha256, weights_path, write_record
from facenet.models.catalogue import WeightsEntry
from facenet.models.partfile import discard, sha256_of, storing
from facenet.models.transfer import DownloadPolicy, Interrupted, Progress, Refused, Unreachable, check_url, transfer

DEFAULT_POLICY = DownloadPolicy()

_LOG = logging.getLogger(__name__)
_LOCK_POLL = 0.2


def ensure(
    entry: WeightsEntry,
    *,
    folder: Path | None = None,
    offline: bool = False,
    progress: Progress | None = None,
    thorough: bool = False,
    policy: DownloadPolicy = DEFAULT_POLICY,
) -> Path:
    """Return the file of ``entry``, downloading it first if it is not at hand.

    Arguments:
        entry: which weights.
        folder: cache folder; None is :func:`facenet.models.catalogue.weights_folder`.
        offline: never touch the network.
        progress: called with (bytes at hand, bytes in all or None) while downloading.
        thorough: also compare the checksum of a file at hand, and replace it if that differs. Otherwise a quick look
            at its size is enough, see :func:`facenet.models.cache.at_hand`.

    Raises:
        WeightsError: not at hand and not to be had; names the address and the place to put the file.
        StorageError: the folder cannot be written or the disk is full.
    """
    path = weights_path(entry, folder)
    if not thorough and at_hand(entry, folder):
        return path
    return fetch(
        entry.url,
        path,
        expected_bytes=entry.bytes,
        expected_sha256=expected_sha256(entry, path),
        offline=offline,
        progress=progress,
        policy=policy,
    )


def fetch(
    url: str,
    destination: Path,
    *,
    expected_bytes: int | None = None,
    expected_sha256: str | None = None,
    offline: bool = False,
    progress: Progress | None = None,
    policy: DownloadPolicy = DEFAULT_POLICY,
) -> Path:
    """Download ``url`` to ``destination`` and return ``destination``; a file already there that fits is kept.

    The file appears under its name only when complete and checked. A download that broke off goes on where it stopped.
    Several processes may ask for the same file: one downloads, the others wait and take what it brought.

    Arguments:
        url: https address; http is accepted of this host only, see :class:`DownloadPolicy`.
        destination: full path of the file; its folder is made if need be.
        expected_bytes: exact length the file must have, or None.
        expected_sha256: checksum it must have, 64 lower-case hexadecimal digits or the first of them, or None.
        offline: never touch the network.
        progress: called with (bytes at hand, bytes in all or None).

    Raises:
        WeightsError: the file cannot be had; names the address and the place to put the file by hand.
        StorageError: the place cannot be written or the disk is full; what came so far is kept for another try.
    """
    if offline:
        if _fits(destination, expected_bytes, expected_sha256):
            return destination
        raise WeightsError(_failure("downloading is switched off", url, destination))
    if destination.is_dir():
        raise StorageError(f"cannot write {printable(destination)}: a folder is in the way")
    try:
        check_url(url, policy)
    except Refused as refusal:
        raise WeightsError(_failure(str(refusal), url, destination)) from refusal
    with storing(destination.parent):
        destination.parent.mkdir(parents=True, exist_ok=True)
    part = destination.with_name(destination.name + ".part")
    with _locked(destination, part, expected_bytes, progress, policy):
        if _fits(destination, expected_bytes, expected_sha256):
            return destination
        sha256 = _download(url, destination, part, expected_bytes, expected_sha256, progress, policy)
        # Record before file: should the machine stop in between, a file without its checksum cannot be the result.
        write_record(destination, sha256, part.stat().st_size, url)
        with storing(destination):
            os.replace(part, destination)
        discard(part)
    return destination


def _download(
    url: str,
    destination: Path,
    part: Path,
    expected_bytes: int | None,
    expected_sha256: str | None,
    progress: Progress | None,
    policy: DownloadPolicy,
) -> str:
    """Fill ``part`` in as many attempts as the policy allows and return its SHA-256."""
    attempts = unreachable = 0
    while True:
        try:
            resumed = transfer(url, part, expected_bytes=expected_bytes, policy=policy, progress=progress)
            return _checked(part, expected_sha256, resumed)
        except Refused as refusal:
            raise WeightsError(_failure(str(refusal), url, destination)) from refusal
        except Interrupted as interruption:
            attempts += 1
            unreachable = unreachable + 1 if isinstance(interruption, Unreachable) else 0
            if attempts > policy.retries or unreachable > policy.connect_retries:
                reason = f"{interruption}; tried {'once' if attempts == 1 else f'{attempts} times'}"
                raise WeightsError(_failure(reason, url, destination)) from interruption
            _LOG.info("%s: %s; trying again", url, interruption)
            pause = policy.backoff * 2 ** (attempts - 1) if interruption.pause is None else interruption.pause
        time.sleep(min(pause, policy.longest_pause))


def _checked(part: Path, expected_sha256: str | None, resumed: bool) -> str:
    found = sha256_of(part)
    if expected_sha256 is None or found.startswith(expected_sha256):
        return found
    discard(part)
    reason = f"the checksum is {found} instead of {expected_sha256}"
    # The fault may lie in the piece that was here before: worth a download from the first byte, but not more.
    raise Interrupted(reason) if resumed else Refused(reason)


@contextmanager
def _locked(
    destination: Path, part: Path, total: int | None, progress: Progress | None, policy: DownloadPolicy
) -> Iterator[None]:
    """Hold the lock of ``destination``; while another process has it, report how far that one is."""
    lock = FileLock(destination.with_name(destination.name + ".lock"))
    deadline = time.monotonic() + policy.lock_wait
    while not _acquired(lock, destination):
        if time.monotonic() >= deadline:
            raise WeightsError(
                f"{printable(destination)} has been downloaded by another process for {policy.lock_wait:g} s: "
                "wait for that one or end it, then try again"
            )
        if progress is not None and part.is_file():
            progress(part.stat().st_size, total)
    try:
        yield
    finally:
        lock.release()


def _acquired(lock: FileLock, destination: Path) -> bool:
    with storing(destination):
        # The timeout is an OSError too: caught inside, it is not taken for a folder that cannot be written.
        try:
            lock.acquire(timeout=_LOCK_POLL)
        except Timeout:
            return False
    return True


def _fits(path: Path, expected_bytes: int | None, expected_sha256: str | None) -> bool:
    if not path.is_file() or (expected_bytes is not None and path.stat().st_size != expected_bytes):
        return False
    return expected_sha256 is None or sha256_of(path).startswith(expected_sha256)


def _failure(reason: str, url: str, destination: Path) -> str:
    return (
        f"cannot download {printable(url)} ({reason}): get that file by another way and put it at "
        f"{printable(destination)}"
    )
